//! The root key: made at first start, opened by the key file or a passphrase at each later one, proven by the recovery key.
//!
//! Owns: where the slots lie and which opener is used. Owns not: how a slot is wrapped (`crypt::slots`).
//! Order of a first start: opener on disk, recovery key announced, slots committed. A crash in between leaves no slots, so the next
//! start is a first start again and nothing was sealed under a key that nobody has.

use crate::data::Layout;
use crypt::{Key256, Opener, RecoveryKey, RecoveryKeyFault, SlotKind, Slots};
use domain::{Entropy, Secret};
use serde::{Deserialize, Serialize};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use store::{Decision, Halt, Key, Record, Store, StoreError};

/// Characters of a passphrase. Ours: argon2id makes a guess cost tens of milliseconds, so this length is out of reach of a laptop.
const PASSPHRASE_CHARS_MIN: usize = 12;
/// Bytes of the key file.
const KEY_FILE_BYTES: usize = 32;

/// Why the root key is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file is gone.
    #[error("the key file {} is gone: `keyless recover` makes it anew from your recovery key", path.display())]
    KeyFileMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// What opens an installation is there, and its store is not.
    #[error("{} had an installation, and its store is gone or empty: put the store back, or move what is left there away", path.display())]
    StoreMissing {
        /// The data directory.
        path: PathBuf,
    },
    /// The key file does not open this installation.
    #[error("the key file {} does not open this installation: it is another's, or damaged; put the right one back, or `keyless recover`", path.display())]
    WrongKeyFile {
        /// Which file.
        path: PathBuf,
    },
    /// Others may read the key file.
    #[error("others may read {} (mode {mode:o}): chmod 600 it", path.display())]
    OpenToOthers {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A passphrase is needed.
    #[error("this installation is opened by a passphrase: give --passphrase-file FILE")]
    PassphraseNeeded,
    /// The passphrase is wrong.
    #[error("the passphrase in {} (passphrase_file) does not open this installation", path.display())]
    WrongPassphrase {
        /// Where it came from.
        path: PathBuf,
    },
    /// The recovery key is right, and what is to open the root key from day to day does not.
    #[error(
        "the recovery key is right, but {0}; put the right one there, or `keyless recover --passphrase-file FILE` sets another"
    )]
    OpenerNotProven(Box<SealError>),
    /// A passphrase was given to an installation that has none.
    #[error(
        "this installation is opened by its key file, not by a passphrase: `keyless recover --passphrase-file FILE` changes that"
    )]
    NoPassphraseSlot,
    /// The passphrase is too short.
    #[error("the passphrase in {} (passphrase_file) is too short: at least {PASSPHRASE_CHARS_MIN} characters", path.display())]
    ShortPassphrase {
        /// Where it came from.
        path: PathBuf,
    },
    /// The file of the passphrase cannot be read.
    #[error("the passphrase cannot be read from {} (passphrase_file): {what}", path.display())]
    PassphraseFile {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The recovery key has a typing error.
    #[error("{0}")]
    RecoveryTypo(#[from] RecoveryKeyFault),
    /// It is a recovery key, of another installation.
    #[error("this recovery key is well formed but belongs to another installation")]
    WrongRecoveryKey,
    /// The store has no slots: not an installation, or not all of it.
    #[error("the store holds no root key slots: it is not this installation's, or was damaged")]
    NoSlots,
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// Cryptography.
    #[error("{0}")]
    Crypt(#[from] crypt::CryptError),
}

/// The slots as they lie in the store. They hold no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct SlotsRecord(Slots);

impl Record for SlotsRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("seal/slots")
    }
}

/// An opened root key.
#[derive(Debug)]
pub struct Unsealed {
    /// The key.
    pub root: Key256,
    /// What opened it.
    pub by: SlotKind,
    /// Whether it was made just now.
    pub is_first_start: bool,
}

/// What [`recover`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovered {
    /// The recovery key is right, and the opener in use as well. Nothing was changed.
    Sound,
    /// The recovery key is right. Nothing was changed; whether the passphrase is right as well is not known here, as no file of it is configured.
    RecoveryKeyOnly,
    /// The key file was missing or wrong and was made anew.
    KeyFileWritten,
    /// From now on a passphrase opens the root key.
    PassphraseSet,
}

/// Whether no root key was ever made here.
///
/// # Errors
/// The store's.
pub async fn is_new(store: &dyn Store) -> Result<bool, SealError> {
    Ok(load(store).await?.is_none())
}

/// Opens the root key, or makes it at first start; then `announce` is told the recovery key, once. If it cannot pass that on, nothing is made.
///
/// # Errors
/// [`SealError`].
pub async fn unseal(
    store: &dyn Store,
    layout: &Layout,
    passphrase_file: Option<&Path>,
    entropy: &dyn Entropy,
    announce: impl FnOnce(&Secret<String>) -> Result<(), SealError>,
) -> Result<Unsealed, SealError> {
    match load(store).await? {
        Some(slots) => open(&slots, layout, passphrase_file),
        None => create(store, layout, passphrase_file, entropy, announce).await,
    }
}

/// Opens the root key of an installation that is there.
///
/// # Errors
/// [`SealError`].
pub async fn unseal_existing(
    store: &dyn Store,
    layout: &Layout,
    passphrase_file: Option<&Path>,
) -> Result<Unsealed, SealError> {
    open(&load(store).await?.ok_or(SealError::NoSlots)?, layout, passphrase_file)
}

fn open(slots: &Slots, layout: &Layout, passphrase_file: Option<&Path>) -> Result<Unsealed, SealError> {
    let has = |kind| slots.kinds().contains(&kind);
    if let Some(path) = passphrase_file {
        let passphrase = read_passphrase(path)?;
        if !has(SlotKind::Passphrase) {
            return Err(SealError::NoPassphraseSlot);
        }
        let root = slots
            .open(Opener::Passphrase(&passphrase))
            .map_err(|_| SealError::WrongPassphrase { path: path.to_owned() })?;
        return Ok(Unsealed { root, by: SlotKind::Passphrase, is_first_start: false });
    }
    if !has(SlotKind::KeyFile) {
        return Err(SealError::PassphraseNeeded);
    }
    let root = open_by_key_file(slots, layout)?;
    Ok(Unsealed { root, by: SlotKind::KeyFile, is_first_start: false })
}

/// Proves a recovery key, and mends or changes the opener in daily use. `configured` is where the passphrase is that opens the root key from day
/// to day, if one does; `wanted` where that is which is to do so from now on.
///
/// # Errors
/// [`SealError`]; then nothing was changed.
pub async fn recover(
    store: &dyn Store,
    layout: &Layout,
    (configured, wanted): (Option<&Path>, Option<&Path>),
    typed: &Secret<String>,
    entropy: &dyn Entropy,
) -> Result<Recovered, SealError> {
    let recovery = RecoveryKey::parse(typed.expose())?;
    let mut slots = load(store).await?.ok_or(SealError::NoSlots)?;
    let root = slots.open(Opener::Recovery(&recovery)).map_err(|_| SealError::WrongRecoveryKey)?;
    if let Some(path) = wanted {
        let passphrase = read_passphrase(path)?;
        slots.add(&root, Opener::Passphrase(&passphrase), entropy)?;
        if slots.kinds().contains(&SlotKind::KeyFile) {
            slots.remove(&root, SlotKind::KeyFile)?;
        }
        save(store, entropy, slots).await?;
        // Only now: until the commit the key file was the way in.
        let _absent = std::fs::remove_file(layout.key_file());
        return Ok(Recovered::PassphraseSet);
    }
    if slots.kinds().contains(&SlotKind::Passphrase) {
        return match configured.map(|path| open(&slots, layout, Some(path))) {
            Some(Ok(_)) => Ok(Recovered::Sound),
            Some(Err(error)) => Err(SealError::OpenerNotProven(Box::new(error))),
            None => Ok(Recovered::RecoveryKeyOnly),
        };
    }
    if open_by_key_file(&slots, layout).is_ok() {
        return Ok(Recovered::Sound);
    }
    let content = write_key_file(layout, entropy)?;
    slots.add(&root, Opener::KeyFile(&content), entropy)?;
    save(store, entropy, slots).await?;
    Ok(Recovered::KeyFileWritten)
}

async fn create(
    store: &dyn Store,
    layout: &Layout,
    passphrase_file: Option<&Path>,
    entropy: &dyn Entropy,
    announce: impl FnOnce(&Secret<String>) -> Result<(), SealError>,
) -> Result<Unsealed, SealError> {
    // The authority's certificate is written once there are slots. Whoever has it and none has lost the store, such as to a file system that is
    // not mounted yet: a key file that opens it must not be written over.
    if layout.authority().exists() {
        return Err(SealError::StoreMissing { path: layout.root().to_owned() });
    }
    let (root, recovery) = (Key256::random(entropy), RecoveryKey::fresh(entropy));
    let (slots, by) = match passphrase_file {
        Some(path) => {
            let passphrase = read_passphrase(path)?;
            let openers = [Opener::Recovery(&recovery), Opener::Passphrase(&passphrase)];
            (Slots::create(&root, &openers, entropy)?, SlotKind::Passphrase)
        }
        None => {
            let content = write_key_file(layout, entropy)?;
            let openers = [Opener::Recovery(&recovery), Opener::KeyFile(&content)];
            (Slots::create(&root, &openers, entropy)?, SlotKind::KeyFile)
        }
    };
    announce(&recovery.printed())?;
    save(store, entropy, slots).await?;
    Ok(Unsealed { root, by, is_first_start: true })
}

async fn load(store: &dyn Store) -> Result<Option<Slots>, SealError> {
    store::query(store, |view| {
        Ok::<_, Halt<SealError>>(view.get::<SlotsRecord>(&())?.map(|record| record.0.clone()))
    })
    .await
}

async fn save(store: &dyn Store, entropy: &dyn Entropy, slots: Slots) -> Result<(), SealError> {
    let record = SlotsRecord(slots);
    store::transact(store, entropy, |view| {
        view.get::<SlotsRecord>(&())?;
        Ok::<_, Halt<SealError>>(Decision::of((), vec![store::put::<SlotsRecord>(&(), &record)]))
    })
    .await
}

fn open_by_key_file(slots: &Slots, layout: &Layout) -> Result<Key256, SealError> {
    let path = layout.key_file();
    let file = |error: std::io::Error| SealError::File { path: path.clone(), what: error.to_string() };
    let content = match std::fs::read(&path) {
        Ok(content) => Secret::new(content),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SealError::KeyFileMissing { path });
        }
        Err(error) => return Err(file(error)),
    };
    let mode = std::fs::metadata(&path).map_err(file)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SealError::OpenToOthers { path, mode });
    }
    slots.open(Opener::KeyFile(&content)).map_err(|_| SealError::WrongKeyFile { path })
}

fn write_key_file(layout: &Layout, entropy: &dyn Entropy) -> Result<Secret<Vec<u8>>, SealError> {
    let mut content = vec![0; KEY_FILE_BYTES];
    entropy.fill(&mut content);
    let path = layout.key_file();
    let content = Secret::new(content);
    kernel::files::write_private(&path, content.expose())
        .map_err(|error| SealError::File { path, what: domain::chain(&error) })?;
    Ok(content)
}

/// The first line of the file: editors end it, and a person types no line ends.
fn read_passphrase(path: &Path) -> Result<Secret<String>, SealError> {
    let file = |what: String| SealError::PassphraseFile { path: path.to_owned(), what };
    let bytes = Secret::new(std::fs::read(path).map_err(|error| file(error.to_string()))?);
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| file("it is not valid UTF-8".into()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(SealError::ShortPassphrase { path: path.to_owned() });
    }
    Ok(Secret::new(line.to_owned()))
}
