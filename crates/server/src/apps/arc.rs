//! Where an instance's keys are that it is left as Azure Arc's agent leaves them (ADR 0025), and where the program sees them.
//!
//! Clients read keys in `/var/opt/azcmagent/tokens` and nowhere else. On this machine nothing is put there: each program gets a mount of its
//! own folder in its own namespace. So nobody else finds the path, and a machine that is in Arc itself keeps its own agent's keys to itself.
//! Owns: the folders and their life. Owns not: keys (`identity::challenge`), how something is mounted (`kernel`).

use super::files::AppFolder;
use domain::WorkloadId;
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

/// Where an instance's keys are. In the folder that is its own they are as the program is to see them: the last two names are those below
/// `/var/opt` ([`identity::challenge::SEEN_IN`]).
pub(crate) fn key_folder(folder: &AppFolder, workload: WorkloadId) -> PathBuf {
    folder.keys().join(workload.to_string()).join("azcmagent/tokens")
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
    // Podman makes what is missing around it, in the container.
    let seen = if is_container { None } else { Some(place()?) };
    let keys = make(folder, workload, account, is_container)
        .map_err(|error| format!("the folder for keys cannot be made: {error}"))?;
    let own = folder.keys().join(workload.to_string());
    let (source, target) = match seen {
        None => (keys, identity::challenge::SEEN_IN.into()),
        Some(Seen::Agent) => (own.join("azcmagent"), AGENT.into()),
        Some(Seen::Around) => (own, AROUND.into()),
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
    let keys = key_folder(folder, workload);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        apps::{
            AppFiles,
            instance_files::{found, remove},
        },
        data::Layout,
    };
    use domain::AppId;
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
        assert_eq!(keys, key_folder(&folder, own));
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
        assert_eq!(found(&folder.keys()).len(), 2);
        remove(&folder.keys(), own);
        remove(&folder.keys(), own);
        assert_eq!(found(&folder.keys()), [contained]);
        fs::remove_dir_all(&root).unwrap();
    }
}
