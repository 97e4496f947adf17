//! The key ring: which keys are published, which one of them signs, and their sealed private halves in the store.
//!
//! A key is announced (published, does not sign yet), then current (signs), then retired (published until the last token that it signed
//! has expired), then gone. When it goes from one to the next is decided in `roll`; the ring in memory follows the commit (`keys`).
//! Invariant: exactly one key is current and at most one is announced. A private key is in the store only as long as it may sign.

use crate::DirectoryError;
use access::KeySource;
use crypt::{Key256, PublicKey, Sealed, SigningKey};
use domain::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Halt, Key, Record, View};

/// The ring's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRing")]
pub(crate) struct RingRecord {
    /// In the order of their making.
    pub(crate) keys: Vec<RingKey>,
    /// Grows when a key is revoked.
    pub(crate) epoch: u64,
    /// Grows with each change: of two copies of the ring, the one with more changes is the later one.
    pub(crate) changes: u64,
}

/// One key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingKey {
    /// Its id.
    pub kid: String,
    /// What it is good for.
    #[serde(flatten)]
    pub state: KeyState,
}

/// What a published key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KeyState {
    /// Published, so that everybody knows it before it signs.
    Announced {
        /// Since when it is published.
        since: Timestamp,
        /// When it becomes the current one.
        signs_from: Timestamp,
    },
    /// The one that signs.
    Current {
        /// Since when it signs. The epoch's begin: not known, so long ago.
        since: Timestamp,
        /// The longest life that its tokens may have, seconds.
        token_seconds: u64,
    },
    /// Signs no more; published for the tokens that it has signed.
    Retired {
        /// Since when it does not sign.
        since: Timestamp,
        /// When the last of its tokens has expired for certain.
        gone_at: Timestamp,
    },
}

/// A ring as it may be found in a store.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredRing {
    Rolling {
        keys: Vec<RingKey>,
        epoch: u64,
        changes: u64,
    },
    /// As it was written before keys rolled: one key for ever, and its age not known.
    Fixed {
        current: String,
        #[serde(default)]
        epoch: u64,
    },
}

impl From<StoredRing> for RingRecord {
    fn from(stored: StoredRing) -> Self {
        match stored {
            StoredRing::Rolling { keys, epoch, changes } => Self { keys, epoch, changes },
            StoredRing::Fixed { current, epoch } => {
                let state = KeyState::Current { since: Timestamp::default(), token_seconds: 0 };
                Self { keys: vec![RingKey { kid: current, state }], epoch, changes: 0 }
            }
        }
    }
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
    /// While it may sign: the private key, PKCS#8 sealed under the root key for this record's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) private: Option<Sealed>,
    /// Once it may not: the public half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<PublicKey>,
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
    record: RingRecord,
    current: Arc<SigningKey>,
    /// Opened as soon as it is announced: one that does not open is noticed before it is needed.
    announced: Option<Arc<SigningKey>>,
    published: Vec<Arc<PublicKey>>,
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

    /// The same keys with what each is good for.
    pub fn keys(&self) -> &[RingKey] {
        &self.record.keys
    }

    pub(crate) const fn record(&self) -> &RingRecord {
        &self.record
    }

    fn signing(&self, kid: &str) -> Option<Arc<SigningKey>> {
        [Some(&self.current), self.announced.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.kid() == kid)
            .cloned()
    }
}

impl KeySource for KeyRing {
    fn public_key(&self, kid: &str) -> Option<Arc<PublicKey>> {
        self.published.iter().find(|key| key.kid() == kid).cloned()
    }

    fn epoch(&self) -> u64 {
        self.record.epoch
    }
}

/// The ring that has this key alone.
pub(crate) fn found(kid: &str, token_seconds: u64, now: Timestamp) -> RingRecord {
    let state = KeyState::Current { since: now, token_seconds };
    RingRecord { keys: vec![RingKey { kid: kid.to_owned(), state }], epoch: 0, changes: 0 }
}

/// The record of a new key, its private half sealed.
pub(crate) fn seal(
    key: &SigningKey,
    root: &Key256,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<KeyRecord, DirectoryError> {
    let private = crypt::envelope::seal(root, &address(key.kid()), key.to_pkcs8().expose(), entropy)?;
    let certificate = crypt::encoding::base64url(key.certificate_der());
    Ok(KeyRecord { certificate, private: Some(private), public: None, created: now })
}

/// The ring and the records of all its keys.
pub(crate) type Stored = (Arc<RingRecord>, Vec<Arc<KeyRecord>>);

/// Reads both at one position of the store.
pub(crate) fn stored(view: &View) -> Result<Stored, Halt<DirectoryError>> {
    let broken = |what| Halt::Refuse(DirectoryError::Broken { what });
    let ring = view.get::<RingRecord>(&())?.ok_or_else(|| broken("there is no key ring"))?;
    let mut records = Vec::with_capacity(ring.keys.len());
    for RingKey { kid, .. } in &ring.keys {
        records.push(view.get::<KeyRecord>(kid)?.ok_or_else(|| broken("a key of the ring is missing"))?);
    }
    Ok((ring, records))
}

/// Opens a stored ring. Keys that are open already, in the ring before it, are taken from there.
pub(crate) fn open(
    (ring, records): &Stored,
    root: &Key256,
    before: Option<&KeyRing>,
) -> Result<KeyRing, DirectoryError> {
    let (mut current, mut announced) = (None, None);
    let mut published = Vec::with_capacity(records.len());
    for (RingKey { kid, state }, record) in ring.keys.iter().zip(records) {
        if let KeyState::Retired { .. } = state {
            let known = before.and_then(|before| before.public_key(kid));
            published.push(known.map_or_else(|| public(kid, record, root).map(Arc::new), Ok)?);
            continue;
        }
        let known = before.and_then(|before| before.signing(kid));
        let key = known.map_or_else(|| private(kid, record, root).map(Arc::new), Ok)?;
        published.push(key.public().clone());
        match state {
            KeyState::Current { .. } => current = Some(key),
            _ => announced = Some(key),
        }
    }
    let current = current.ok_or(DirectoryError::Broken { what: "the key ring has no current key" })?;
    Ok(KeyRing { record: (**ring).clone(), current, announced, published })
}

/// The record of a key that signs no more: without its private half.
pub(crate) fn retire(kid: &str, record: &KeyRecord, root: &Key256) -> Result<KeyRecord, DirectoryError> {
    let public = public(kid, record, root)?;
    Ok(KeyRecord { private: None, public: Some(public), ..record.clone() })
}

fn private(kid: &str, record: &KeyRecord, root: &Key256) -> Result<SigningKey, DirectoryError> {
    let sealed = record
        .private
        .as_ref()
        .ok_or(DirectoryError::Broken { what: "a signing key has no private half" })?;
    let private = crypt::envelope::open(root, &address(kid), sealed)?;
    let key = SigningKey::from_pkcs8(&private, &crypt::encoding::from_base64url(&record.certificate)?)?;
    if key.kid() == kid { Ok(key) } else { Err(MIXED_UP) }
}

fn public(kid: &str, record: &KeyRecord, root: &Key256) -> Result<PublicKey, DirectoryError> {
    match &record.public {
        Some(public) if public.kid() == kid => Ok(public.clone()),
        Some(_) => Err(MIXED_UP),
        None => Ok((**private(kid, record, root)?.public()).clone()),
    }
}

const MIXED_UP: DirectoryError =
    DirectoryError::Broken { what: "a signing key is stored under another key's id" };

fn address(kid: &str) -> Vec<u8> {
    // One version: a private key is never replaced under its id.
    format!("signing-key/{kid}#1").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_before_keys_rolled_is_read_as_one_of_a_very_old_key() {
        let read: RingRecord =
            serde_json::from_str(r#"{"current":"a","published":["a"],"epoch":3}"#).unwrap();
        let state = KeyState::Current { since: Timestamp::default(), token_seconds: 0 };
        assert_eq!(read, RingRecord { keys: vec![RingKey { kid: "a".into(), state }], epoch: 3, changes: 0 });
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<RingRecord>(&written).unwrap(), read);
    }
}
