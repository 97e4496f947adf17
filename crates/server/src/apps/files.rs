//! The files of hosted apps: each app's folder, its deployments, its home and its log.
//!
//! Where the server is root, an app's files belong to the app's own account, and its folder is outside of the data directory, which is
//! closed to everybody else. What is unpacked belongs to us until it is handed over as a whole.

use crate::data::Layout;
use domain::{AppId, DeploymentId, limits};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// The folder of all apps.
#[derive(Clone, Debug)]
pub(crate) struct AppFiles {
    root: PathBuf,
}

/// The folder of one app.
#[derive(Clone, Debug)]
pub(crate) struct AppFolder(PathBuf);

impl AppFiles {
    /// Of an installation. `chosen` is the operator's word.
    pub(crate) fn of(layout: &Layout, chosen: Option<&Path>) -> Self {
        let root = match chosen {
            Some(chosen) => chosen.to_owned(),
            None if kernel::is_root() => {
                let mut beside = layout.root().as_os_str().to_owned();
                beside.push("-apps");
                PathBuf::from(beside)
            }
            None => layout.root().join("apps"),
        };
        Self { root }
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
        Ok(())
    }

    pub(crate) fn app(&self, app: AppId) -> AppFolder {
        AppFolder(self.root.join(app.to_string()))
    }

    /// Removes the folders of apps that are no more. Answers which could not be.
    pub(crate) fn sweep(&self, is_known: impl Fn(AppId) -> bool) -> Vec<(PathBuf, io::Error)> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let gone = entries.flatten().filter(|entry| {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            id.is_some_and(|id| !is_known(id))
        });
        gone.filter_map(|entry| {
            let path = entry.path();
            fs::remove_dir_all(&path).err().map(|error| (path, error))
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

    /// What its instances and we write.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The log before the last rotation.
    pub(crate) fn earlier_log(&self) -> PathBuf {
        self.0.join("log.1")
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes deployments but the newest few, and whatever a deployment left that did not come about.
    pub(crate) fn prune(&self, current: DeploymentId) {
        let Ok(entries) = fs::read_dir(self.0.join("deployments")) else { return };
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_str() != Some(&*current.to_string()))
            .map(|entry| (entry.metadata().and_then(|metadata| metadata.modified()).ok(), entry.path()))
            .collect();
        found.sort();
        let kept = limits::DEPLOYMENTS_KEPT - 1;
        let old = found.len().saturating_sub(kept);
        for (_, path) in found.iter().take(old) {
            let _best_effort = fs::remove_dir_all(path);
        }
    }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(()),
        // Whatever our file mode mask is.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
    }
}
