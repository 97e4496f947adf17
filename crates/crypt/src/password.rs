//! What is kept of a person's password: argon2id (RFC 9106) with a salt of its own, and the parameters that it was made with.
//!
//! Owns: the hash, its stored form, and passwords that we make up. Owns not: which passwords are good enough, and how often one may be
//! guessed (`directory`). A hash takes tens of milliseconds and [`limits::PASSWORD_MEMORY_KIB`]: never on a thread that serves others.

use crate::{CryptError, compare, encoding};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::{Entropy, Secret, limits, world::random};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// The most that stored parameters may ask of us: a changed store must not make a sign-in run for ever.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const MALFORMED: CryptError = CryptError::Malformed { what: "password hash" };

/// The hash of a password. Shows nothing of itself but to serde.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    salt: String,
    hash: String,
    memory_kib: u32,
    passes: u32,
}

impl PasswordHash {
    /// Hashes a password with today's parameters. The bytes of its text count as they are: no form of Unicode is made of another.
    ///
    /// # Errors
    /// [`CryptError::Unavailable`] if there is no memory for it.
    pub fn of(password: &Secret<String>, entropy: &dyn Entropy) -> Result<Self, CryptError> {
        Self::with(password, limits::PASSWORD_MEMORY_KIB, limits::PASSWORD_PASSES, entropy)
    }

    /// A hash with less work than today's, as if made long ago. For tests.
    ///
    /// # Errors
    /// As [`PasswordHash::of`].
    #[cfg(any(test, feature = "test-keys"))]
    pub fn of_old(password: &Secret<String>, entropy: &dyn Entropy) -> Result<Self, CryptError> {
        Self::with(password, 64, 1, entropy)
    }

    fn with(
        password: &Secret<String>,
        memory_kib: u32,
        passes: u32,
        entropy: &dyn Entropy,
    ) -> Result<Self, CryptError> {
        let salt = random::<SALT_BYTES>(entropy);
        let hash = stretch(password, &salt, memory_kib, passes)?;
        let (salt, hash) = (encoding::base64url(&salt), encoding::base64url(hash.as_slice()));
        Ok(Self { salt, hash, memory_kib, passes })
    }

    /// A hash that no password has, of the same work: for whoever has none, so that the time tells nobody who is here.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self {
            salt: encoding::base64url(&[0; SALT_BYTES]),
            // Longer than any hash: it equals none.
            hash: encoding::base64url(&[0; HASH_BYTES + 1]),
            memory_kib: limits::PASSWORD_MEMORY_KIB,
            passes: limits::PASSWORD_PASSES,
        }
    }

    /// Whether this is that password. Does the whole work either way.
    ///
    /// # Errors
    /// [`CryptError::Malformed`] if what was stored is no hash; [`CryptError::Unavailable`] if there is no memory for it.
    pub fn matches(&self, presented: &Secret<String>) -> Result<bool, CryptError> {
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX {
            return Err(MALFORMED);
        }
        let salt = encoding::from_base64url(&self.salt).map_err(|_| MALFORMED)?;
        let kept = encoding::from_base64url(&self.hash).map_err(|_| MALFORMED)?;
        let hash = stretch(presented, &salt, self.memory_kib, self.passes)?;
        Ok(compare::equal(&kept, hash.as_slice()))
    }

    /// Was it made with today's parameters? If not, it is made anew at the next sign-in, when the password is at hand.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.memory_kib == limits::PASSWORD_MEMORY_KIB && self.passes == limits::PASSWORD_PASSES
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(..)")
    }
}

fn stretch(
    password: &Secret<String>,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
) -> Result<Zeroizing<[u8; HASH_BYTES]>, CryptError> {
    let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).map_err(|_| MALFORMED)?;
    let mut hash = Zeroizing::new([0; HASH_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.expose().as_bytes(), salt, hash.as_mut_slice())
        .map_err(|_| CryptError::Unavailable { what: "hashing a password" })?;
    Ok(hash)
}

/// A password that we make up: 20 characters in four groups, about 99 random bits, none that looks like another.
#[must_use]
pub fn fresh_password(entropy: &dyn Entropy) -> Secret<String> {
    const ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut text = Zeroizing::new(String::with_capacity(23));
    for position in 0..20 {
        if position > 0 && position % 5 == 0 {
            text.push('-');
        }
        // 31 does not divide 2^32: one symbol is likelier than another by less than one in a hundred million.
        let drawn = u32::from_be_bytes(random(entropy)) % 31;
        text.extend(ALPHABET.get(drawn as usize).copied().map(char::from));
    }
    Secret::new(std::mem::take(&mut *text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_is_known_by_its_hash_only() {
        let hash = PasswordHash::of(&secret("correct horse"), &SystemEntropy).unwrap();
        let stored = serde_json::to_string(&hash).unwrap();
        let read: PasswordHash = serde_json::from_str(&stored).unwrap();
        assert!(read.is_current() && read.matches(&secret("correct horse")).unwrap());
        for wrong in ["", "correct horse ", "Correct horse", "correct hors"] {
            assert!(!read.matches(&secret(wrong)).unwrap(), "{wrong}");
        }
        assert!(!stored.contains("horse") && format!("{hash:?}") == "PasswordHash(..)");
        let again = PasswordHash::of(&secret("correct horse"), &SystemEntropy).unwrap();
        assert!(again != hash, "each has its own salt");
    }

    #[test]
    fn accents_are_bytes() {
        let composed = PasswordHash::of(&secret("caf\u{e9} au lait"), &SystemEntropy).unwrap();
        assert!(!composed.matches(&secret("cafe\u{301} au lait")).unwrap());
    }

    #[test]
    fn other_parameters_still_match_and_are_told() {
        let old = PasswordHash::of_old(&secret("correct horse"), &SystemEntropy).unwrap();
        assert!(!old.is_current() && old.matches(&secret("correct horse")).unwrap());
    }

    #[test]
    fn stored_parameters_cannot_ask_for_everything() {
        let hash = PasswordHash::of_old(&secret("correct horse"), &SystemEntropy).unwrap();
        for (memory_kib, passes) in [(MEMORY_KIB_MAX + 1, 1), (64, PASSES_MAX + 1), (0, 1), (64, 0)] {
            let changed = PasswordHash { memory_kib, passes, ..hash.clone() };
            assert_eq!(changed.matches(&secret("correct horse")), Err(MALFORMED), "{memory_kib} {passes}");
        }
        let changed = PasswordHash { salt: "?".to_owned(), ..hash };
        assert_eq!(changed.matches(&secret("correct horse")), Err(MALFORMED));
    }

    #[test]
    fn nobody_has_no_password() {
        let nobody = PasswordHash::of_nobody();
        assert!(nobody.is_current() && !nobody.matches(&secret("")).unwrap());
    }

    #[test]
    fn passwords_that_we_make_up_can_be_read_out() {
        let password = fresh_password(&SystemEntropy);
        let groups: Vec<&str> = password.expose().split('-').collect();
        assert_eq!(groups.len(), 4);
        for group in groups {
            assert_eq!(group.len(), 5);
            assert!(!group.contains(['i', 'l', 'o', '0', '1']), "{group}");
        }
        assert!(password.expose() != fresh_password(&SystemEntropy).expose());
    }
}
