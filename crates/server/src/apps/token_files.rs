//! The token files of instances (ADR 0024): written before the program is born, renewed in place while it runs, removed when it has ended.
//!
//! A file is in a folder that only its own app's account can pass through, and which is ours: the app reads the file and can put nothing else
//! there. It is replaced as a whole, so whoever opens it reads one token or the next. Owns not: what is in it (`directory::workload_token`),
//! and what it is good for (`identity`).

use super::{
    Apps,
    files::AppFolder,
    instance_files::{found, remove},
};
use domain::{AppId, Secret, Timestamp, WorkloadId, limits};
use host::{AppView, HostService, Started};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

const FILE: &str = "token";
/// What it is called until it is whole.
const NEXT: &str = "next";
/// The variable that says which identity is asked for.
const CLIENT: &str = "AZURE_CLIENT_ID";

/// When each file was written, and in which epoch of the signing keys. What an earlier run of the server wrote is renewed at once.
#[derive(Default)]
pub(super) struct TokenFiles(Mutex<HashMap<WorkloadId, (Timestamp, u64)>>);

/// What a program is started with, beside its other variables.
///
/// # Errors
/// Why it gets no token file, for the operator. It has its endpoint all the same.
pub(super) fn give(
    host: &HostService,
    folder: &AppFolder,
    view: &AppView,
    started: &Started,
    environment: &BTreeMap<String, Secret<String>>,
    account: Option<u32>,
    now: Timestamp,
) -> Result<Vec<(&'static str, String)>, String> {
    if !started.enforcement.is_enforced() {
        return Err("the kernel does not keep this app apart, so anybody could use it".to_owned());
    }
    let client = match environment.get(CLIENT) {
        // One of its user-assigned identities, as a setting says: others were removed.
        Some(chosen) => chosen.expose().clone(),
        None => match (&view.principal, &*view.user_assigned) {
            (Some(own), _) => own.client.to_string(),
            (None, [(_, only)]) => only.client.to_string(),
            (None, []) => return Err("the app has no identity".to_owned()),
            (None, _) => {
                return Err(
                    "the app has several identities: say which by a setting AZURE_CLIENT_ID".to_owned()
                );
            }
        },
    };
    let text = host.workload_token(view.app.id, started.workload, now).map_err(|it| domain::chain(&it))?;
    if let Err(error) = make(folder, started.workload, account).and_then(|own| write(&own, &text)) {
        // Nobody renews what the program was not told of.
        remove(&folder.tokens(), started.workload);
        return Err(format!("it cannot be written: {error}"));
    }
    let (tenant, authority) = host.authority();
    Ok(vec![
        ("AZURE_FEDERATED_TOKEN_FILE", path(folder, started.workload).to_string_lossy().into_owned()),
        (CLIENT, client),
        ("AZURE_TENANT_ID", tenant),
        ("AZURE_AUTHORITY_HOST", authority),
    ])
}

/// Where an instance's file is.
fn path(folder: &AppFolder, workload: WorkloadId) -> PathBuf {
    folder.tokens().join(workload.to_string()).join(FILE)
}

/// The folder of an instance's file: its group, the app's account, passes through it, and nobody else but us.
fn make(folder: &AppFolder, workload: WorkloadId, account: Option<u32>) -> io::Result<PathBuf> {
    let all = folder.tokens();
    super::files::make(&all, 0o711)?;
    let own = all.join(workload.to_string());
    DirBuilder::new().mode(0o700).create(&own)?;
    if let Some(account) = account {
        lchown(&own, None, Some(account))?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o710))?;
    }
    Ok(own)
}

/// Puts another token in the place of the one that is there. Not synced to the disk: nobody needs it after a crash of the machine.
fn write(own: &Path, text: &Secret<String>) -> io::Result<()> {
    let next = own.join(NEXT);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&next)?;
    file.write_all(text.expose().as_bytes())?;
    if kernel::is_root() {
        // An account's user and group have the same number.
        let account = Some(fs::symlink_metadata(own)?.gid());
        fchown(&file, account, account)?;
    }
    fs::rename(next, own.join(FILE))
}

impl TokenFiles {
    /// Of an instance that has ended nothing is renewed.
    pub(super) fn forget(&self, workload: WorkloadId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&workload);
    }
}

impl Apps {
    /// Renews the files whose time has come, and removes what there is of instances that are no more.
    pub(super) async fn renew_token_files(self: &Arc<Self>) {
        let running: Vec<(AppId, BTreeSet<WorkloadId>)> = {
            let states = self.state();
            let running = states.iter();
            running
                .map(|(app, state)| (app, state.instances.iter().map(|one| one.workload).collect()))
                .collect()
        };
        let apps = self.clone();
        let renewed = tokio::task::spawn_blocking(move || {
            for (app, running) in running {
                apps.renew_of(app, &running);
            }
            apps.sweep_instance_files();
        });
        let _ended = renewed.await;
    }

    fn renew_of(&self, app: AppId, running: &BTreeSet<WorkloadId>) {
        let (folder, now) = (self.files.app(app), self.now());
        let epoch = access::KeySource::epoch(&*self.services.directory);
        for workload in found(&folder.tokens()).into_iter().filter(|workload| running.contains(workload)) {
            let mut renewed = self.token_files.0.lock().unwrap_or_else(PoisonError::into_inner);
            if renewed.get(&workload).is_some_and(|(at, of)| *of == epoch && !is_due(*at, now)) {
                continue;
            }
            let text = self.services.host.workload_token(app, workload, now).map_err(io::Error::other);
            let own = folder.tokens().join(workload.to_string());
            match text.and_then(|text| write(&own, &text)) {
                Ok(()) => drop(renewed.insert(workload, (now, epoch))),
                Err(error) => {
                    tracing::warn!(%workload, %error, "an instance's token file cannot be renewed yet");
                }
            }
        }
    }
}

/// Is it time for another? Also where the clock was set back: what is to be good later is not good now.
fn is_due(renewed: Timestamp, now: Timestamp) -> bool {
    now < renewed || now >= renewed.plus(limits::WORKLOAD_TOKEN_RENEWED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{apps::AppFiles, data::Layout};
    use std::time::Duration;

    fn folder(name: &str) -> (PathBuf, AppFolder) {
        let root = std::env::temp_dir().join(format!("keyless-token-{name}-{}", std::process::id()));
        let files = AppFiles::of(&Layout::of("/nowhere"), Some(&root), "one".to_owned());
        files.open().unwrap();
        let folder = files.app(AppId::random(&crypt::SystemEntropy));
        folder.make(None).unwrap();
        (root, folder)
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_read_by_its_account_only() {
        let (root, folder) = folder("replaced");
        let workload = WorkloadId::random(&crypt::SystemEntropy);
        let account = kernel::is_root().then_some(12_345);
        let own = make(&folder, workload, account).unwrap();
        for text in ["first", "second, longer", "3"] {
            write(&own, &Secret::new(text.to_owned())).unwrap();
            assert_eq!(fs::read_to_string(path(&folder, workload)).unwrap(), text);
        }
        // One that a crash has left.
        fs::write(own.join(NEXT), "half").unwrap();
        write(&own, &Secret::new("whole".to_owned())).unwrap();
        assert_eq!(fs::read_dir(&own).unwrap().count(), 1);
        let (of_file, of_folder) =
            (fs::metadata(path(&folder, workload)).unwrap(), fs::metadata(&own).unwrap());
        assert_eq!(of_file.mode() & 0o777, 0o400);
        match account {
            Some(account) => {
                assert_eq!((of_file.uid(), of_file.gid()), (account, account));
                assert_eq!((of_folder.uid(), of_folder.gid(), of_folder.mode() & 0o777), (0, account, 0o710));
            }
            None => assert_eq!(of_folder.mode() & 0o777, 0o700),
        }
        assert!(make(&folder, workload, account).is_err(), "an instance's folder is made once");
        assert_eq!(found(&folder.tokens()), [workload]);
        remove(&folder.tokens(), workload);
        remove(&folder.tokens(), workload);
        assert!(found(&folder.tokens()).is_empty());
        fs::remove_dir_all(&root).unwrap();
    }

    /// What is renewed so is good for as long as SDKs keep what they read, and longer.
    #[test]
    fn it_is_renewed_long_before_it_is_over() {
        const SDKS_KEEP: Duration = Duration::from_secs(600);
        assert!(limits::WORKLOAD_TOKEN_RENEWED + SDKS_KEEP < limits::WORKLOAD_TOKEN_LIFETIME);
        let at = Timestamp::from_seconds(1_800_000_000);
        for (later, due) in [(0, false), (599, false), (600, true), (6_000, true)] {
            assert_eq!(is_due(at, at.plus(Duration::from_secs(later))), due, "{later}");
        }
        assert!(is_due(at.plus(Duration::from_secs(1)), at));
    }
}
