//! Slots.
use crate::{CryptError, Key256, RecoveryKey};
use domain::{Entropy, Secret};
use serde::{Deserialize, Serialize};

/// The kinds of slot; at most one slot of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// Opened by the recovery key.
    Recovery,
    /// Opened by a 0600 file.
    KeyFile,
    /// Opened by a passphrase.
    Passphrase,
}

/// What opens a slot.
#[derive(Debug, Clone, Copy)]
pub enum Opener<'a> {
    /// The recovery key that was printed once.
    Recovery(&'a RecoveryKey),
    /// The content of the key file, 32 bytes.
    KeyFile(&'a Secret<Vec<u8>>),
    /// A passphrase.
    Passphrase(&'a Secret<String>),
}

/// The root key, wrapped for each opener. Holds no secret: it may be stored as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slots(());

impl Slots {
    /// Wraps a root key for each opener.
    /// # Errors
    /// Forbidden if there is none, or two of a kind; Malformed for an unfit opener.
    pub fn create(_root: &Key256, _openers: &[Opener<'_>], _entropy: &dyn Entropy) -> Result<Self, CryptError> { todo!() }
    /// The root key.
    /// # Errors
    /// Rejected if the opener is wrong or no slot of its kind is there.
    pub fn open(&self, _opener: Opener<'_>) -> Result<Key256, CryptError> { todo!() }
    /// Adds a slot, or replaces the slot of that kind. The root key is the proof that one may.
    /// # Errors
    /// Rejected if this is not the root key.
    pub fn add(&mut self, _root: &Key256, _opener: Opener<'_>, _entropy: &dyn Entropy) -> Result<(), CryptError> { todo!() }
    /// Removes the slot of a kind.
    /// # Errors
    /// Rejected if this is not the root key; Forbidden if it is the last.
    pub fn remove(&mut self, _root: &Key256, _kind: SlotKind) -> Result<(), CryptError> { todo!() }
    /// Which slots there are.
    pub fn kinds(&self) -> Vec<SlotKind> { todo!() }
}
