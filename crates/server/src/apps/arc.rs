//! Where an instance's keys are that it is left as Azure Arc's agent leaves them (ADR 0025), and where the program sees them.
//!
//! Clients read keys in `/var/opt/azcmagent/tokens` and nowhere else. On this machine nothing is put there: each program gets a mount of its
//! own folder in its own namespace. So nobody else finds the path, and a machine that is in Arc itself keeps its own agent's keys to itself.
//! Owns: the folders and their life. Owns not: keys (`identity::challenge`), how something is mounted (`kernel`).

use super::{Apps, files::AppFolder};
use domain::{AppId, WorkloadId};
use host::workload::key_folder;
use kernel::Bind;
use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// The folder of everything of the agent's.
const AGENT: &str = "/var/opt/azcmagent";
/// That which it is in.
const AROUND: &str = "/var/opt";

/// Where the program is to see something, and what: the folder of the agent, or the one around it if that is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Agent,
    Around,
}

/// Where keys can be mounted here.
///
/// # Errors
/// Nowhere, and what to do about it.
pub(super) fn place() -> Result<Seen, String> {
    place_in(Path::new(AGENT), Path::new(AROUND))
}

fn place_in(agent: &Path, around: &Path) -> Result<Seen, String> {
    let has_agent = fs::metadata(agent).is_ok_and(|found| found.is_dir());
    if has_agent {
        return Ok(Seen::Agent);
    }
    // Whatever was in it, programs would not see any more.
    let is_empty = fs::read_dir(around).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty {
        return Ok(Seen::Around);
    }
    Err(format!("needs a place to show keys at: make the empty folder {AGENT}"))
}

/// Makes the folder of an instance's keys, if it is to have any, and says what the program sees where. In a container, whose users are
/// numbered by its image, everybody reads them; that is nobody but the container, as only it sees the folder.
///
/// # Errors
/// Why not, for the operator.
pub(super) fn give(
    is_arc: bool,
    folder: &AppFolder,
    workload: WorkloadId,
    account: Option<u32>,
    is_container: bool,
) -> Result<Vec<Bind>, String> {
    if !is_arc {
        return Ok(Vec::new());
    }
    let seen = place()?;
    let keys = make(folder, workload, account, is_container)
        .map_err(|error| format!("the folder for keys cannot be made: {error}"))?;
    let own = folder.keys().join(workload.to_string());
    let (source, target) = match (is_container, seen) {
        // Podman makes what is missing around it, in the container.
        (true, _) => (keys, identity::challenge::SEEN_IN.into()),
        (false, Seen::Agent) => (own.join("azcmagent"), AGENT.into()),
        (false, Seen::Around) => (own, AROUND.into()),
    };
    Ok(vec![Bind { source, target }])
}

fn make(
    folder: &AppFolder,
    workload: WorkloadId,
    account: Option<u32>,
    is_container: bool,
) -> io::Result<PathBuf> {
    let all = folder.keys();
    // Passed through by us alone. A program comes from within.
    super::files::make(&all, 0o700)?;
    let keys = key_folder(&all, workload);
    for around in [all.join(workload.to_string()), all.join(workload.to_string()).join("azcmagent")] {
        super::files::make(&around, 0o711)?;
    }
    super::files::make(&keys, 0o700)?;
    let mode = match (account, is_container) {
        (_, true) => 0o711,
        (Some(account), false) => {
            lchown(&keys, None, Some(account))?;
            0o710
        }
        (None, false) => 0o700,
    };
    fs::set_permissions(&keys, fs::Permissions::from_mode(mode))?;
    Ok(keys)
}

/// Removes what an instance had, if it had any.
pub(super) fn remove(folder: &AppFolder, workload: WorkloadId) {
    match fs::remove_dir_all(folder.keys().join(workload.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%workload, %error, "an instance's keys cannot be removed");
        }
        _ => {}
    }
}

/// The instances of which there are folders.
fn found(folder: &AppFolder) -> Vec<WorkloadId> {
    let entries = fs::read_dir(folder.keys()).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

impl Apps {
    /// Removes the keys of an instance that has ended.
    pub(super) fn remove_keys(&self, app: AppId, workload: WorkloadId) {
        remove(&self.files.app(app), workload);
    }

    /// Removes keys that nobody came for, and folders of which nothing runs.
    pub(super) fn sweep_keys(&self) {
        self.services.identity.sweep_challenges(self.now());
        let apps: Vec<_> = self.state().keys().copied().collect();
        for app in apps {
            let folder = self.files.app(app);
            for workload in found(&folder) {
                if self.services.identity.workload(workload).is_none() {
                    remove(&folder, workload);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{apps::AppFiles, data::Layout};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn keys_are_shown_where_nothing_is_lost_by_it() {
        let around = std::env::temp_dir().join(format!("keyless-arc-place-{}", std::process::id()));
        let agent = around.join("azcmagent");
        let place = || place_in(&agent, &around);
        assert!(place().unwrap_err().contains("make the empty folder /var/opt/azcmagent"), "there is none");
        fs::create_dir(&around).unwrap();
        assert_eq!(place(), Ok(Seen::Around));
        fs::create_dir(around.join("somebody's")).unwrap();
        assert!(place().is_err());
        fs::write(&agent, "a file").unwrap();
        assert!(place().is_err());
        fs::remove_file(&agent).unwrap();
        fs::create_dir(&agent).unwrap();
        assert_eq!(place(), Ok(Seen::Agent));
        fs::remove_dir_all(around).unwrap();
    }

    #[test]
    fn nobody_passes_to_an_instances_keys_but_from_within() {
        let root = std::env::temp_dir().join(format!("keyless-arc-folder-{}", std::process::id()));
        let files = AppFiles::of(&Layout::of("/nowhere"), Some(&root), "one".to_owned());
        files.open().unwrap();
        let folder = files.app(AppId::random(&crypt::SystemEntropy));
        folder.make(None).unwrap();
        let [own, contained] = [(); 2].map(|()| WorkloadId::random(&crypt::SystemEntropy));
        let account = kernel::is_root().then_some(12_345);
        let keys = make(&folder, own, account, false).unwrap();
        assert_eq!(keys, key_folder(&folder.keys(), own));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&folder.keys()), 0o700);
        assert_eq!(mode(&make(&folder, contained, account, true).unwrap()), 0o711);
        match account {
            Some(account) => {
                let found = fs::metadata(&keys).unwrap();
                assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (0, account, 0o710));
            }
            None => assert_eq!(mode(&keys), 0o700),
        }
        assert_eq!(found(&folder).len(), 2);
        remove(&folder, own);
        remove(&folder, own);
        assert_eq!(found(&folder), [contained]);
        fs::remove_dir_all(&root).unwrap();
    }
}
