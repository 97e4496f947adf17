//! The key ring: which keys sign, which are published, and their sealed private halves in the store.
//!
//! The shapes allow several published keys of which one signs, so that a new key can be published before it signs and an old one
//! stays published until its last token has expired. Changing the ring is a commit; the ring in memory follows it.

use crate::DirectoryError;
use access::KeySource;
use crypt::{Key256, PublicKey, Sealed, SigningKey};
use domain::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Key, Record, Write};

/// The ring's record: all keys in the order of their making, and the one that signs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RingRecord {
    pub(crate) current: String,
    pub(crate) published: Vec<String>,
    /// Grows when a key is revoked.
    #[serde(default)]
    pub(crate) epoch: u64,
}

impl Record for RingRecord {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("signing-keys")
    }
}

/// One signing key's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// The self-signed certificate, DER in base64url.
    pub(crate) certificate: String,
    /// The private key, PKCS#8 sealed under the root key for this record's address.
    pub(crate) private: Sealed,
    pub(crate) created: Timestamp,
}

impl Record for KeyRecord {
    type Id = str;

    fn key(kid: &str) -> Key {
        Key::new(format!("signing-key/{kid}"))
    }
}

/// The ring in memory.
pub struct KeyRing {
    current: Arc<SigningKey>,
    published: Vec<Arc<PublicKey>>,
    epoch: u64,
}

impl KeyRing {
    /// The key that signs.
    pub fn current(&self) -> &SigningKey {
        &self.current
    }

    /// Every key that verifies, in the order of their making.
    pub fn published(&self) -> &[Arc<PublicKey>] {
        &self.published
    }
}

impl KeySource for KeyRing {
    fn public_key(&self, kid: &str) -> Option<Arc<PublicKey>> {
        self.published.iter().find(|key| key.kid() == kid).cloned()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Seals a new key, and makes the ring that has it alone.
pub(crate) fn found(
    key: &SigningKey,
    root: &Key256,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<[Write; 2], DirectoryError> {
    let private = crypt::envelope::seal(root, &address(key.kid()), key.to_pkcs8().expose(), entropy)?;
    let certificate = crypt::encoding::base64url(key.certificate_der());
    let record = KeyRecord { certificate, private, created: now };
    let ring = RingRecord { current: key.kid().to_owned(), published: vec![key.kid().to_owned()], epoch: 0 };
    Ok([store::put::<KeyRecord>(key.kid(), &record), store::put::<RingRecord>(&(), &ring)])
}

/// Opens the stored keys of a ring.
pub(crate) fn open(
    ring: &RingRecord,
    keys: &[(String, Arc<KeyRecord>)],
    root: &Key256,
) -> Result<KeyRing, DirectoryError> {
    let mut current = None;
    let mut published = Vec::with_capacity(keys.len());
    for (kid, record) in keys {
        let private = crypt::envelope::open(root, &address(kid), &record.private)?;
        let certificate = crypt::encoding::from_base64url(&record.certificate)?;
        let key = SigningKey::from_pkcs8(&private, &certificate)?;
        if key.kid() != kid {
            return Err(DirectoryError::Broken { what: "a signing key is stored under another key's id" });
        }
        published.push(key.public().clone());
        if *kid == ring.current {
            current = Some(Arc::new(key));
        }
    }
    let current = current.ok_or(DirectoryError::Broken { what: "the key ring has no current key" })?;
    Ok(KeyRing { current, published, epoch: ring.epoch })
}

fn address(kid: &str) -> Vec<u8> {
    // One version: a private key is never replaced under its id.
    format!("signing-key/{kid}#1").into_bytes()
}
