//! A PUBLIC test key. Anybody can read it here: never a production key.
use crate::SigningKey;
use domain::Timestamp;
/// The test key with a certificate from the epoch on: always the same kid.
#[must_use]
pub fn signing_key() -> SigningKey { todo!() }
/// Another one.
#[must_use]
pub fn other_signing_key() -> SigningKey { let _ = Timestamp::default(); todo!() }
