//! The data directory: which file is what, who may read it, and that only one server uses it at a time.

use crate::{error::StartError, seal::SealError};
use kernel::{KernelError, files};
use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a lock is waited for whose process is no more. Ours: a child of it becomes another program, or ends, in milliseconds.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(5);
const RELEASE_LOOK: Duration = Duration::from_millis(20);

/// Where each file of an installation is.
#[derive(Clone, Debug)]
pub struct Layout(PathBuf);

impl Layout {
    /// Of a data directory.
    pub fn of(data_dir: impl Into<PathBuf>) -> Self {
        Self(data_dir.into())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Its real path: two names of one directory are one installation, a copy is another.
    pub(crate) fn real(&self) -> PathBuf {
        std::fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone())
    }

    /// The embedded store.
    pub fn store(&self) -> PathBuf {
        self.0.join("keyless.redb")
    }

    /// The key file, an opener of the root key.
    pub fn key_file(&self) -> PathBuf {
        self.0.join("root.key")
    }

    /// The administrator's socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    /// The folder of the audit log.
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// The certificate of our authority, to be handed to clients elsewhere.
    pub fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// Why nothing is done where there is no store: there never was an installation, or its store is gone, for which a start is no help.
    pub(crate) fn nothing_here(&self) -> StartError {
        let path = self.0.clone();
        match self.authority().exists() || self.0.join("keyless.redb.commits").exists() {
            true => SealError::StoreMissing { path }.into(),
            false => StartError::NothingHere { path },
        }
    }

    /// The process of the server that holds the directory, as far as can be seen from here.
    pub fn holder(&self) -> Option<u32> {
        files::lock_holder(&self.0)
    }

    /// Whether a first start ever got this far.
    pub fn is_installed(&self) -> bool {
        // What may not be looked at is somebody's.
        self.store().try_exists().unwrap_or(true)
    }
}

/// A data directory that is ours alone while this value lives.
#[derive(Debug)]
pub struct DataDir {
    layout: Layout,
    _lock: files::Lock,
}

impl DataDir {
    /// Makes the directory (0700) if it is not there, checks that nobody else can look into it, and locks it.
    ///
    /// # Errors
    /// [`StartError::DataDir`], [`StartError::AlreadyRunning`].
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let refuse = |what: String| StartError::DataDir { path: path.to_owned(), what };
        files::create_private_dir(path).map_err(|error| refuse(domain::chain(&error)))?;
        let metadata = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
        if metadata.uid() != kernel::effective_uid() {
            return Err(refuse(format!(
                "it belongs to user {}; run as that user, or choose another with --data-dir",
                metadata.uid()
            )));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(refuse(format!(
                "others may look into it (mode {mode:o}): chmod 700 {}",
                path.display()
            )));
        }
        match lock(path, RELEASE_TIME_MAX) {
            Ok(lock) => Ok(Self { layout: Layout::of(path), _lock: lock }),
            Err(KernelError::Locked { pid }) => {
                Err(StartError::AlreadyRunning { path: path.to_owned(), pid })
            }
            Err(error) => Err(refuse(domain::chain(&error))),
        }
    }

    /// As [`Self::open`], of an installation that must be there already.
    ///
    /// # Errors
    /// [`StartError::NothingHere`], [`SealError::StoreMissing`] and those of [`Self::open`].
    pub fn open_existing(path: &Path) -> Result<Self, StartError> {
        let layout = Layout::of(path);
        if !layout.is_installed() {
            return Err(layout.nothing_here());
        }
        Self::open(path)
    }

    /// Where each file is.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Locks a directory. One that somebody holds of whom the file names a process that is no more is waited for: a child of a server that was killed
/// has the lock's descriptor until it has become another program.
fn lock(path: &Path, time_max: Duration) -> Result<files::Lock, KernelError> {
    let until = Instant::now() + time_max;
    loop {
        match files::lock_exclusive(path) {
            Err(KernelError::Locked { pid })
                if !pid.is_some_and(kernel::process::is_running) && Instant::now() < until =>
            {
                std::thread::sleep(RELEASE_LOOK);
            }
            locked => return locked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_outlives_its_process_for_a_moment_is_waited_for() {
        let place = std::env::temp_dir().join(format!("keyless-lock-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let held = files::lock_exclusive(&place).unwrap();
        let brief = Duration::from_millis(50);
        assert!(
            matches!(lock(&place, RELEASE_TIME_MAX), Err(KernelError::Locked { .. })),
            "who holds it is there"
        );
        // One that has ended, and that nobody waits for yet.
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        while kernel::process::is_running(gone.id()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::write(place.join("lock"), gone.id().to_string()).unwrap();
        assert!(matches!(lock(&place, brief), Err(KernelError::Locked { .. })), "not for ever");
        let letting_go = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        drop(lock(&place, RELEASE_TIME_MAX).unwrap());
        letting_go.join().unwrap();
        gone.wait().unwrap();
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_said_to_be_empty() {
        let place = std::env::temp_dir().join(format!("keyless-data-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let nothing = DataDir::open_existing(&place);
        assert!(matches!(nothing, Err(StartError::NothingHere { .. })), "{nothing:?}");
        // `up` made none where an installation has lost its store, which `verify` said it would.
        for left in ["ca.pem", "keyless.redb.commits"] {
            std::fs::write(place.join(left), "").unwrap();
            let lost = DataDir::open_existing(&place);
            assert!(matches!(lost, Err(StartError::Seal(SealError::StoreMissing { .. }))), "{lost:?}");
            std::fs::remove_file(place.join(left)).unwrap();
        }
        // No lookup below it can succeed, as in another user's directory, which tests that run as root can look into.
        let file = place.join("file");
        std::fs::write(&file, "").unwrap();
        let unusable = DataDir::open_existing(&file);
        assert!(matches!(unusable, Err(StartError::DataDir { .. })), "{unusable:?}");
        // Made or locked it is neither, and why that is so is said.
        for (path, why) in [(file.join("below"), "os error 20"), (place.join("locked"), "os error 21")] {
            let _is_a_directory = std::fs::create_dir_all(place.join("locked/lock"));
            let closed = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(place.join("locked"), closed).unwrap();
            let refused = DataDir::open(&path).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        std::fs::remove_dir_all(&place).unwrap();
    }
}
