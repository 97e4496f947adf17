//! Recovery key.
use domain::{Entropy, Secret};

/// 256 bits that open the root key.
pub struct RecoveryKey(#[expect(dead_code, reason="skeleton")] Secret<[u8; 32]>);
impl std::fmt::Debug for RecoveryKey { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("RecoveryKey(..)") } }

/// Why a text is no recovery key. Groups count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyFault {
    /// Too many or too few characters.
    #[error("a recovery key has 8 groups of 8 characters; this has {found} characters")]
    Length {
        /// Characters without separators.
        found: usize,
    },
    /// A character that never occurs.
    #[error("group {group} of the recovery key has a character that is no letter or digit of it")]
    Character {
        /// Which group.
        group: usize,
    },
    /// A group that does not fit its check.
    #[error("group {group} of the recovery key is mistyped")]
    Mistyped {
        /// Which group.
        group: usize,
    },
}

impl RecoveryKey {
    /// A fresh key.
    pub fn fresh(_entropy: &dyn Entropy) -> Self { todo!() }
    /// As it is printed, once.
    pub fn printed(&self) -> Secret<String> { todo!() }
    /// Reads what a person typed.
    /// # Errors
    /// [`RecoveryKeyFault`], naming the group.
    pub fn parse(_text: &str) -> Result<Self, RecoveryKeyFault> { todo!() }
}
