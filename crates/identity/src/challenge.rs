//! The challenge of Azure Arc's protocol: a key in a file that only the app can read, good for one request of its own connections.
//!
//! The key takes the place of the endpoint secret: it is against forged requests that an app is made to send, as who makes one can read no
//! files. Who calls is said by the kernel, as everywhere, so a key in other hands is worth nothing (ADR 0025). Owns: the keys of one workload
//! and their files. Owns not: the folder (`server` makes it, has the program see it, and takes it away), and HTTP (`wire/msi`).

use crate::IdentityError;
use crypt::{HashedSecret, fresh_secret};
use domain::{ChallengeId, Entropy, Secret, Timestamp, limits};
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Who writes and removes files. Threads that answer requests may not (ADR 0026).
pub trait FileHands: Send + Sync {
    /// Does it, and waits until it is done.
    ///
    /// # Errors
    /// Those of the work; or there is nobody to do it.
    fn work(&self, work: Box<dyn FnOnce() -> io::Result<()> + Send>) -> io::Result<()>;
}

/// Where every thread may.
#[derive(Clone, Copy, Debug)]
pub struct OwnHands;

impl FileHands for OwnHands {
    fn work(&self, work: Box<dyn FnOnce() -> io::Result<()> + Send>) -> io::Result<()> {
        work()
    }
}

/// What a key's file is called after its id.
const SUFFIX: &str = ".key";
/// The bit of a folder's mode that lets everybody pass through.
const EVERYBODY_PASSES: u32 = 0o001;

/// The open challenges of one workload.
pub struct Challenges {
    folder: PathBuf,
    hands: Arc<dyn FileHands>,
    open: Mutex<Vec<Key>>,
}

/// One key that was not presented yet.
#[derive(Debug)]
struct Key {
    id: ChallengeId,
    hash: HashedSecret,
    made: Timestamp,
}

impl Key {
    /// Also where the clock was set back by more than that: what is to be good later is not good now. Not by less, as whoever looks may have
    /// read the time a moment before it was made.
    fn is_over(&self, now: Timestamp) -> bool {
        let life = limits::CHALLENGE_KEY_LIFETIME;
        now >= self.made.plus(life) || now.plus(life) <= self.made
    }
}

impl Challenges {
    /// With keys in files of this folder, which belongs to us. Its group is the account that reads them, unless everybody may pass through
    /// it: then everybody who sees it may read them.
    pub fn new(folder: PathBuf, hands: Arc<dyn FileHands>) -> Self {
        Self { folder, hands, open: Mutex::default() }
    }

    /// Removes what an earlier run of the server has left there. By whoever knows that the workload is this server's.
    pub fn clear(&self) {
        for left in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let _nobody_takes_it = fs::remove_file(left.path());
        }
    }

    /// Leaves a key for the app.
    pub(crate) fn pose(&self, entropy: &dyn Entropy, now: Timestamp) -> Result<ChallengeId, IdentityError> {
        self.sweep(now);
        let (id, key) = (ChallengeId::random(entropy), fresh_secret(entropy));
        {
            let mut open = self.open();
            if open.len() >= limits::CHALLENGE_KEYS_MAX {
                return Err(IdentityError::TooManyKeys);
            }
            // Counted before it is written, and taken by nobody before: nobody has it.
            open.push(Key { id, hash: HashedSecret::of(&key), made: now });
        }
        let (folder, path) = (self.folder.clone(), self.path(id));
        self.hands.work(Box::new(move || write(&folder, &path, &key))).map_err(|error| {
            self.open().retain(|open| open.id != id);
            self.remove(id);
            IdentityError::Key(error)
        })?;
        Ok(id)
    }

    /// Is this a key that was left for the app, and is it still good? Whatever it is, it is not good a second time.
    pub(crate) fn take(&self, presented: &Secret<String>, now: Timestamp) -> bool {
        let taken = {
            let mut open = self.open();
            let at = open.iter().position(|key| key.hash.matches(presented));
            at.map(|at| open.swap_remove(at))
        };
        let Some(key) = taken else { return false };
        self.remove(key.id);
        !key.is_over(now)
    }

    /// Forgets keys that nobody has come for.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let over: Vec<_> = self.open().extract_if(.., |key| key.is_over(now)).collect();
        over.iter().for_each(|key| self.remove(key.id));
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Key>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: ChallengeId) -> PathBuf {
        self.folder.join(format!("{id}{SUFFIX}"))
    }

    fn remove(&self, id: ChallengeId) {
        let path = self.path(id);
        // It may have gone with the folder, as the workload has ended; and one that stays opens nothing any more.
        let _gone_or_worthless = self.hands.work(Box::new(move || fs::remove_file(path)));
    }
}

/// Not synced to the disk: nobody needs it after a crash of the machine.
fn write(folder: &Path, path: &Path, key: &Secret<String>) -> io::Result<()> {
    let folder = fs::symlink_metadata(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(key.expose().as_bytes())?;
    if folder.mode() & EVERYBODY_PASSES != 0 {
        // A container's users are numbered by its image: nobody can say which one the program will be.
        file.set_permissions(Permissions::from_mode(0o444))?;
    } else if kernel::is_root() {
        // An account's user and group have the same number.
        fchown(&file, Some(folder.gid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// What clients are told: where the program sees a key's file.
pub fn seen_at(id: ChallengeId) -> String {
    format!("{SEEN_IN}/{id}{SUFFIX}")
}

/// The one folder in which clients look for keys.
/// Source: <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>.
pub const SEEN_IN: &str = "/var/opt/azcmagent/tokens";

#[cfg(test)]
mod tests;
