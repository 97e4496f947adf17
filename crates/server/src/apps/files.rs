//! The files of hosted apps: each app's folder, its deployments, its home and its log.
//!
//! Where the server is root, an app's files belong to the app's own account, and its folder is outside of the data directory, which is
//! closed to everybody else. What is unpacked belongs to us until it is handed over as a whole.

use crate::data::Layout;
use domain::{AppId, DeploymentId, limits};
use kernel::files::{remove_whole, write_private};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// The folder of all apps.
#[derive(Clone, Debug)]
pub(crate) struct AppFiles {
    root: PathBuf,
    /// Which one, as its folder is marked with.
    installation: String,
}

/// The file that says whose the folder is.
const MARK: &str = ".keyless";
/// The file that says that there have been containers.
const CONTAINERS: &str = ".containers";
/// The file that says that there have been images of ours.
const ROOT_FILES: &str = ".root-files";

/// The folder of one app.
#[derive(Clone, Debug)]
pub(crate) struct AppFolder(PathBuf);

impl AppFiles {
    /// Of an installation. `chosen` is the operator's word.
    pub(crate) fn of(layout: &Layout, chosen: Option<&Path>, installation: String) -> Self {
        let root = match chosen {
            Some(chosen) => chosen.to_owned(),
            None if kernel::is_root() => {
                let mut beside = layout.root().as_os_str().to_owned();
                beside.push("-apps");
                PathBuf::from(beside)
            }
            None => layout.root().join("apps"),
        };
        Self { root, installation }
    }

    /// Makes the folder, or makes sure that nobody else may write there.
    pub(crate) fn open(&self) -> io::Result<()> {
        // To be passed through, not to be listed.
        match fs::DirBuilder::new().mode(0o711).create(&self.root) {
            Ok(()) => fs::set_permissions(&self.root, fs::Permissions::from_mode(0o711))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let found = fs::symlink_metadata(&self.root)?;
        if !found.is_dir() || found.uid() != kernel::effective_uid() || found.mode() & 0o022 != 0 {
            let what = format!(
                "{}: it must be a folder of our own that nobody else may write to",
                self.root.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        self.mark()
    }

    /// Whose folder it is: another installation of ours must neither use it nor sweep it.
    fn mark(&self) -> io::Result<()> {
        let path = self.root.join(MARK);
        // An empty one is of a crash of before.
        if fs::metadata(&path).map_or(true, |metadata| metadata.len() == 0) {
            write_private(&path, self.installation.as_bytes()).map_err(io::Error::other)?;
        }
        if self.is_ours() {
            return Ok(());
        }
        let what = format!("{} is another installation's: choose another apps_dir", self.root.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
    }

    fn is_ours(&self) -> bool {
        fs::read_to_string(self.root.join(MARK)).is_ok_and(|marked| marked == self.installation)
    }

    /// Containers are used: from now on it is looked for what is left of some.
    pub(crate) fn mark_containers(&self) -> io::Result<()> {
        fs::write(self.root.join(CONTAINERS), "")
    }

    pub(crate) fn has_containers(&self) -> bool {
        self.root.join(CONTAINERS).exists()
    }

    /// Root file systems are deployed: from now on it is looked for what is left of their images.
    pub(crate) fn mark_root_files(&self) -> io::Result<()> {
        fs::write(self.root.join(ROOT_FILES), "")
    }

    pub(crate) fn has_root_files(&self) -> bool {
        self.root.join(ROOT_FILES).exists()
    }

    pub(crate) fn app(&self, app: AppId) -> AppFolder {
        AppFolder(self.root.join(app.to_string()))
    }

    /// Removes the folders of apps that are no more. Answers which could not be.
    pub(crate) fn sweep(&self, is_known: impl Fn(AppId) -> bool) -> Vec<(PathBuf, io::Error)> {
        if !self.is_ours() {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let gone = entries.flatten().filter(|entry| {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            id.is_some_and(|id| !is_known(id))
        });
        gone.filter_map(|entry| {
            let path = entry.path();
            remove_whole(&path).err().map(|error| (path, error))
        })
        .collect()
    }
}

impl AppFolder {
    /// Makes what every app has: a home and a folder for temporary files, both the app's own.
    pub(crate) fn make(&self, account: Option<u32>) -> io::Result<()> {
        make(&self.0, 0o711)?;
        make(&self.0.join("deployments"), 0o711)?;
        for own in [self.home(), self.temporary()] {
            make(&own, 0o700)?;
        }
        drop(super::log::open(self)?);
        // The log, too: programs open `/dev/stdout` by its name. None of them can be replaced by something else: the folder is ours.
        for own in [self.home(), self.temporary(), self.log()] {
            if let Some(account) = account {
                lchown(&own, Some(account), Some(account))?;
            }
        }
        Ok(())
    }

    pub(crate) fn deployment(&self, id: DeploymentId) -> PathBuf {
        self.0.join("deployments").join(id.to_string())
    }

    /// Where a package lies until it is unpacked.
    pub(crate) fn package(&self, id: DeploymentId) -> PathBuf {
        self.0.join(format!("{id}.zip"))
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Below it each instance's token file is.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.0.join("tokens")
    }

    /// Below it are the keys that each instance is left as Azure Arc leaves them. To be passed through by nobody: programs see their own
    /// elsewhere.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// What its instances and we write.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The log before the last rotation.
    pub(crate) fn earlier_log(&self) -> PathBuf {
        self.0.join("log.1")
    }

    /// Blocks, as long as there is much.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_whole(&self.0)
    }

    /// Removes the files of a deployment. Blocks.
    pub(crate) fn remove_deployment(&self, id: DeploymentId) -> io::Result<()> {
        remove_whole(&self.deployment(id))
    }

    /// Blocks. Removes deployments but the current one, those that something runs from, and the newest few besides; and packages that nobody came to unpack.
    pub(crate) fn prune(&self, current: DeploymentId, used: &BTreeSet<DeploymentId>) {
        let is_kept = |name: &OsStr| {
            let id = name.to_str().and_then(|name| name.parse::<DeploymentId>().ok());
            id.is_some_and(|id| id == current || used.contains(&id))
        };
        let mut found: Vec<_> = listed(&self.0.join("deployments"))
            .filter(|entry| !is_kept(&entry.file_name()))
            .map(|entry| (entry.metadata().and_then(|metadata| metadata.modified()).ok(), entry.path()))
            .collect();
        found.sort();
        let old = found.len().saturating_sub(limits::DEPLOYMENTS_KEPT - 1);
        for (_, path) in found.iter().take(old) {
            let _best_effort = remove_whole(path);
        }
        for entry in listed(&self.0) {
            if entry.path().extension().is_some_and(|extension| extension == "zip") {
                let _best_effort = fs::remove_file(entry.path());
            }
        }
    }
}

fn listed(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// Makes a folder, if there is none.
pub(super) fn make(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(()),
        // Whatever our file mode mask is.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> DeploymentId {
        DeploymentId::random(&crypt::SystemEntropy)
    }

    #[test]
    fn what_serves_is_kept_whatever_was_deployed_since() {
        let root = std::env::temp_dir().join(format!("keyless-files-{}", std::process::id()));
        let files = AppFiles::of(&Layout::of("/nowhere"), Some(&root), "one".to_owned());
        files.open().unwrap();
        let folder = files.app(AppId::random(&crypt::SystemEntropy));
        folder.make(None).unwrap();
        let all: Vec<_> = (0..5).map(|_| id()).collect();
        for deployment in &all {
            fs::create_dir(folder.deployment(*deployment)).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        fs::write(folder.package(id()), "left by a crash").unwrap();
        // The first one serves; none of those since came to start.
        let serving = BTreeSet::from([*all.first().unwrap()]);
        folder.prune(*all.last().unwrap(), &serving);
        let left: Vec<bool> = all.iter().map(|deployment| folder.deployment(*deployment).exists()).collect();
        assert_eq!(left, [true, false, false, true, true]);
        assert!(!listed(&folder.0).any(|entry| entry.path().extension().is_some()));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn another_installations_folder_is_neither_used_nor_swept() {
        let root = std::env::temp_dir().join(format!("keyless-mark-{}", std::process::id()));
        let of = |name: &str| AppFiles::of(&Layout::of("/nowhere"), Some(&root), name.to_owned());
        of("one").open().unwrap();
        of("one").open().unwrap();
        let app = AppId::random(&crypt::SystemEntropy);
        of("one").app(app).make(None).unwrap();
        assert!(of("two").open().is_err());
        assert!(of("two").sweep(|_| false).is_empty());
        assert!(of("one").app(app).home().exists());
        assert!(of("one").sweep(|_| false).is_empty());
        assert!(!of("one").app(app).home().exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
