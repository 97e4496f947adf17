//! The files of hosted apps: each app's folder, its deployments, its home and its log.
//!
//! Where the server is root, an app's files belong to the app's own account, and its folder is outside of the data directory, which is
//! closed to everybody else. What is unpacked belongs to us until it is handed over as a whole.

use super::mark::{Installation, Whose};
use crate::data::Layout;
use domain::{AppId, DeploymentId, limits};
use kernel::files::remove_whole;
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
    /// Whose it is to be.
    installation: Installation,
}

/// The file that says that there have been containers.
const CONTAINERS: &str = ".containers";
/// The file that says that there have been images of ours.
const ROOT_FILES: &str = ".root-files";

/// The folder of one app.
#[derive(Clone, Debug)]
pub(crate) struct AppFolder(PathBuf);

impl AppFiles {
    /// Of an installation. `chosen` is the operator's word.
    pub(crate) fn of(layout: &Layout, chosen: Option<&Path>, id: String) -> Self {
        let data = layout.real();
        let store = data.join(layout.store().file_name().unwrap_or_default());
        let installation = Installation { id, data, store };
        let root = match chosen {
            Some(chosen) => chosen.to_owned(),
            None if kernel::is_root() => beside(layout, &installation),
            None => installation.data.join("apps"),
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
        self.check()?;
        self.installation.mark(&self.root)
    }

    /// Makes sure that nobody else may write there.
    fn check(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.root)?;
        if !found.is_dir() || found.uid() != kernel::effective_uid() || found.mode() & 0o022 != 0 {
            let what = format!(
                "{}: it must be a folder of our own that nobody else may write to",
                self.root.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(())
    }

    /// Is it ours already, or was it before we were moved here?
    pub(crate) fn is_ours(&self) -> bool {
        self.check().is_ok()
            && matches!(self.installation.whose(&self.root), Whose::Ours | Whose::Left)
            && self.installation.mark(&self.root).is_ok()
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

/// Root's folder beside the data directory, by that one's real path: as it is spelled it may end with a slash, or be a link. Once it was named
/// as it was spelled: who has such a one keeps it.
fn beside(layout: &Layout, installation: &Installation) -> PathBuf {
    let named = |data: &Path| {
        let mut beside = data.as_os_str().to_owned();
        beside.push("-apps");
        PathBuf::from(beside)
    };
    let usual = named(&installation.data);
    let known = [named(layout.root()), usual.clone(), installation.data.join("-apps")];
    let is_ours = |folder: &PathBuf| matches!(installation.whose(folder), Whose::Ours | Whose::Left);
    known.into_iter().find(is_ours).unwrap_or(usual)
}

/// Why hosted apps of an installation do not come to their files, if they are to run under accounts of their own and do not.
pub(crate) fn why_closed(layout: &Layout, chosen: Option<&Path>) -> Option<String> {
    if !kernel::is_root() {
        return None;
    }
    // Whose the folder is does not matter.
    closed(&AppFiles::of(layout, chosen, String::new()).root)
}

/// Why accounts of their own do not come to files below this folder: one above it, or itself, is closed to others. The outermost one is told.
pub(crate) fn closed(folder: &Path) -> Option<String> {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mut above: Vec<_> = real.ancestors().collect();
    above.reverse();
    above.into_iter().find_map(|one| {
        let mode = fs::metadata(one).ok()?.mode() & 0o777;
        let is_closed = mode & 0o001 == 0;
        is_closed.then(|| {
            format!(
                "{one} is closed to others (mode {mode:o}), and apps, which run under accounts of their own, have their files below it: \
                 name a folder elsewhere by apps_dir, or chmod o+x {one}",
                one = one.display()
            )
        })
    })
}

impl AppFolder {
    /// Why its account does not come to its files, if it does not.
    pub(crate) fn closed(&self) -> Option<String> {
        // Its own folder is made open, when it is made.
        closed(self.0.parent().unwrap_or(&self.0))
    }

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

    /// Deployments that were under way when a server was killed: of any that is over the package is gone.
    pub(crate) fn unfinished(&self) -> Vec<DeploymentId> {
        let id = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".zip")?.parse().ok();
        listed(&self.0).filter_map(id).collect()
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
        let left = id();
        fs::write(folder.package(left), "left by a crash").unwrap();
        assert_eq!(folder.unfinished(), [left]);
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

    #[test]
    fn the_folder_beside_is_one_however_the_data_directory_is_spelled() {
        let place = std::env::temp_dir().join(format!("keyless-beside-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&place);
        fs::create_dir_all(place.join("data")).unwrap();
        let place = fs::canonicalize(&place).unwrap();
        std::os::unix::fs::symlink(place.join("data"), place.join("link")).unwrap();
        let found = |spelled: &str| {
            let layout = Layout::of(format!("{}/{spelled}", place.display()));
            let files = AppFiles::of(&layout, Some(&place), "one here".to_owned());
            (beside(&layout, &files.installation), files.installation)
        };
        let usual = place.join("data-apps");
        for spelled in ["data", "data/", "link", "link/"] {
            assert_eq!(found(spelled).0, usual, "{spelled}");
        }
        // Those of earlier versions are kept, by how they were found, and inside also by any name.
        for (earlier, spelled) in [("data/-apps", "data/"), ("data/-apps", "data"), ("link-apps", "link")] {
            let earlier = place.join(earlier);
            fs::create_dir(&earlier).unwrap();
            found(spelled).1.mark(&earlier).unwrap();
            assert_eq!(fs::canonicalize(found(spelled).0).unwrap(), earlier, "{spelled}");
            fs::remove_dir_all(&earlier).unwrap();
        }
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_folder_that_others_cannot_pass_is_named() {
        let place = std::env::temp_dir().join(format!("keyless-closed-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&place);
        let (shut, below) = (place.join("shut"), place.join("shut/data/apps"));
        fs::create_dir_all(&below).unwrap();
        let shut = fs::canonicalize(&shut).unwrap();
        // Where tests are run may be closed itself.
        let before = closed(&place);
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
        // Also of what is not there yet.
        for folder in [&below, &shut] {
            let why = closed(folder).unwrap();
            assert!(why.contains("apps_dir"), "{why}");
            assert!(before.is_some() || why.starts_with(&*format!("{} ", shut.display())), "{why}");
        }
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed(&below), before);
        fs::remove_dir_all(&place).unwrap();
    }
}
