//! The root key in slots: wrapped once for each thing that opens it, so that losing one opener loses nothing (ADR 0002).
//!
//! Owns: the stored form of the slots and how each opener becomes a wrapping key. Owns not: where the slots and the key file lie
//! (`server`). The stored form holds no secret, but whoever can replace it can lock us out: it belongs into the store, beside what it opens.

use crate::{CryptError, Key256, RecoveryKey, Sealed, compare, encoding, envelope, hash};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::{Entropy, Secret, world::random};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Characters that a passphrase must have. Source: NIST SP 800-63B section 5.1.1.2 (8); ours is more, as an attacker may guess offline.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Memory of argon2id, KiB. Source: RFC 9106 section 4, second recommendation (64 MiB, 3 passes); above OWASP's least (19 MiB, 2 passes).
const PASSPHRASE_MEMORY_KIB: u32 = 64 * 1024;
/// Passes of argon2id, as above.
const PASSPHRASE_PASSES: u32 = 3;
/// The most that stored parameters may ask of us: a changed store must not make opening run for ever.
const PASSPHRASE_MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSPHRASE_PASSES_MAX: u32 = 32;

/// The kinds of slot. There is at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// Opened by the recovery key that was printed once.
    Recovery,
    /// Opened by a 0600 file: whoever reads the disk can open it, and the server can start without anybody.
    KeyFile,
    /// Opened by a passphrase.
    Passphrase,
}

/// What opens a slot.
#[derive(Debug, Clone, Copy)]
pub enum Opener<'a> {
    /// The recovery key that was printed once.
    Recovery(&'a RecoveryKey),
    /// The content of the key file: 32 random bytes.
    KeyFile(&'a Secret<Vec<u8>>),
    /// A passphrase, as typed.
    Passphrase(&'a Secret<String>),
}

/// The root key, wrapped for each opener.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slots {
    slots: Vec<Slot>,
    /// A keyed hash that only the root key makes, so that a slot is never added for another key.
    check: Check,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slot {
    kind: SlotKind,
    wrapped: Sealed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passphrase: Option<Stretch>,
}

/// How a passphrase becomes a key: argon2id with these parameters (RFC 9106).
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stretch {
    salt: String,
    memory_kib: u32,
    passes: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Check(String);

impl Check {
    fn of(root: &Key256) -> Self {
        let tag =
            hash::MacKey::new(root.derive("keyless slots: check").expose()).mac(&[b"this is the root key"]);
        Self(encoding::hex(&tag))
    }

    fn holds(&self, root: &Key256) -> bool {
        compare::equal(self.0.as_bytes(), Self::of(root).0.as_bytes())
    }
}

const NOT_THE_ROOT_KEY: CryptError = CryptError::Rejected { what: "root key" };

impl Slots {
    /// Wraps a root key for each opener.
    ///
    /// # Errors
    /// [`CryptError::Forbidden`] without an opener or for too short a passphrase; [`CryptError::Malformed`] for a key file that is not
    /// 32 bytes.
    pub fn create(root: &Key256, openers: &[Opener<'_>], entropy: &dyn Entropy) -> Result<Self, CryptError> {
        if openers.is_empty() {
            return Err(CryptError::Forbidden { why: "a root key that nothing opens is lost" });
        }
        let mut slots = Self { slots: vec![], check: Check::of(root) };
        for opener in openers {
            slots.add(root, *opener, entropy)?;
        }
        Ok(slots)
    }

    /// The root key.
    ///
    /// # Errors
    /// [`CryptError::Rejected`], naming the opener, if it is wrong or has no slot; [`CryptError::Malformed`] if the slots are damaged.
    pub fn open(&self, opener: Opener<'_>) -> Result<Key256, CryptError> {
        let rejected = CryptError::Rejected { what: opener.name() };
        let slot =
            self.slots.iter().find(|slot| slot.kind == opener.kind()).ok_or_else(|| rejected.clone())?;
        let wrapping = opener.wrapping_key(slot.passphrase.as_ref())?;
        let root =
            envelope::open_key(&wrapping, address(slot.kind), &slot.wrapped).map_err(
                |error| match error {
                    CryptError::Rejected { .. } => rejected.clone(),
                    other @ (CryptError::Malformed { .. }
                    | CryptError::Unavailable { .. }
                    | CryptError::Forbidden { .. }) => other,
                },
            )?;
        if self.check.holds(&root) { Ok(root) } else { Err(rejected) }
    }

    /// Adds a slot, or replaces the one of that kind: a lost recovery key is renewed so. The root key is the proof that one may.
    ///
    /// # Errors
    /// [`CryptError::Rejected`] if this is not the root key; else as [`Slots::create`].
    pub fn add(
        &mut self,
        root: &Key256,
        opener: Opener<'_>,
        entropy: &dyn Entropy,
    ) -> Result<(), CryptError> {
        if !self.check.holds(root) {
            return Err(NOT_THE_ROOT_KEY);
        }
        let kind = opener.kind();
        let passphrase = match opener {
            Opener::Passphrase(passphrase) => {
                if passphrase.expose().chars().count() < PASSPHRASE_CHARS_MIN {
                    return Err(CryptError::Forbidden { why: "a passphrase has at least 12 characters" });
                }
                Some(Stretch::fresh(entropy))
            }
            Opener::Recovery(_) | Opener::KeyFile(_) => None,
        };
        let wrapping = opener.wrapping_key(passphrase.as_ref())?;
        let wrapped = envelope::seal_key(&wrapping, address(kind), root, entropy)?;
        self.slots.retain(|slot| slot.kind != kind);
        self.slots.push(Slot { kind, wrapped, passphrase });
        Ok(())
    }

    /// Removes the slot of a kind, if it is there.
    ///
    /// # Errors
    /// [`CryptError::Rejected`] if this is not the root key; [`CryptError::Forbidden`] if no other slot would be left.
    pub fn remove(&mut self, root: &Key256, kind: SlotKind) -> Result<(), CryptError> {
        if !self.check.holds(root) {
            return Err(NOT_THE_ROOT_KEY);
        }
        if self.slots.iter().all(|slot| slot.kind == kind) {
            return Err(CryptError::Forbidden {
                why: "the last slot stays: without it the root key is lost",
            });
        }
        self.slots.retain(|slot| slot.kind != kind);
        Ok(())
    }

    /// Which slots there are.
    #[must_use]
    pub fn kinds(&self) -> Vec<SlotKind> {
        self.slots.iter().map(|slot| slot.kind).collect()
    }
}

impl Opener<'_> {
    const fn kind(&self) -> SlotKind {
        match self {
            Self::Recovery(_) => SlotKind::Recovery,
            Self::KeyFile(_) => SlotKind::KeyFile,
            Self::Passphrase(_) => SlotKind::Passphrase,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Recovery(_) => "recovery key",
            Self::KeyFile(_) => "key file",
            Self::Passphrase(_) => "passphrase",
        }
    }

    fn wrapping_key(&self, stretch: Option<&Stretch>) -> Result<Key256, CryptError> {
        match self {
            Self::Recovery(key) => Ok(key.wrapping_key()),
            Self::KeyFile(bytes) => Key256::from_bytes(bytes)
                .map(|key| key.derive("keyless slot: key file"))
                .map_err(|_| CryptError::Malformed { what: "key file" }),
            Self::Passphrase(passphrase) => {
                stretch.ok_or(CryptError::Malformed { what: "passphrase slot" })?.key(passphrase)
            }
        }
    }
}

impl Stretch {
    fn fresh(entropy: &dyn Entropy) -> Self {
        Self {
            salt: encoding::base64url(&random::<16>(entropy)),
            memory_kib: PASSPHRASE_MEMORY_KIB,
            passes: PASSPHRASE_PASSES,
        }
    }

    fn key(&self, passphrase: &Secret<String>) -> Result<Key256, CryptError> {
        const MALFORMED: CryptError = CryptError::Malformed { what: "passphrase slot" };
        if self.memory_kib > PASSPHRASE_MEMORY_KIB_MAX || self.passes > PASSPHRASE_PASSES_MAX {
            return Err(MALFORMED);
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| MALFORMED)?;
        let salt = encoding::from_base64url(&self.salt)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose().as_bytes(), &salt, key.as_mut_slice())
            .map_err(|_| MALFORMED)?;
        Ok(Key256::new(*key))
    }
}

/// What a wrapped root key is bound to: its kind of slot, so that none stands in for another.
const fn address(kind: SlotKind) -> &'static [u8] {
    match kind {
        SlotKind::Recovery => b"seal/slots#recovery",
        SlotKind::KeyFile => b"seal/slots#key-file",
        SlotKind::Passphrase => b"seal/slots#passphrase",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    struct Openers {
        recovery: RecoveryKey,
        file: Secret<Vec<u8>>,
        passphrase: Secret<String>,
    }

    impl Openers {
        fn fresh() -> Self {
            Self {
                recovery: RecoveryKey::fresh(&SystemEntropy),
                file: Secret::new(random::<32>(&SystemEntropy).to_vec()),
                passphrase: Secret::new("correct horse battery".to_owned()),
            }
        }

        fn all(&self) -> [Opener<'_>; 3] {
            [
                Opener::Recovery(&self.recovery),
                Opener::KeyFile(&self.file),
                Opener::Passphrase(&self.passphrase),
            ]
        }
    }

    #[test]
    fn each_opener_opens_the_same_root_key() {
        let (root, openers) = (Key256::random(&SystemEntropy), Openers::fresh());
        let slots = Slots::create(&root, &openers.all(), &SystemEntropy).unwrap();
        let stored = serde_json::to_string(&slots).unwrap();
        let slots: Slots = serde_json::from_str(&stored).unwrap();
        assert_eq!(slots.kinds(), [SlotKind::Recovery, SlotKind::KeyFile, SlotKind::Passphrase]);
        for opener in openers.all() {
            assert_eq!(slots.open(opener).unwrap().expose(), root.expose());
        }
        let typed = RecoveryKey::parse(openers.recovery.printed().expose()).unwrap();
        assert_eq!(slots.open(Opener::Recovery(&typed)).unwrap().expose(), root.expose());
        assert!(!stored.contains("correct horse") && stored.contains(r#""memory_kib":65536"#));
    }

    #[test]
    fn wrong_openers_are_rejected_by_name() {
        let (root, openers) = (Key256::random(&SystemEntropy), Openers::fresh());
        let slots = Slots::create(&root, &openers.all(), &SystemEntropy).unwrap();
        let mut wrong = Openers::fresh();
        wrong.passphrase = Secret::new("correct horse battery ".to_owned());
        for (opener, what) in wrong.all().into_iter().zip(["recovery key", "key file", "passphrase"]) {
            assert_eq!(slots.open(opener).err(), Some(CryptError::Rejected { what }));
        }
        let short = Secret::new(vec![0; 31]);
        assert_eq!(
            slots.open(Opener::KeyFile(&short)).err(),
            Some(CryptError::Malformed { what: "key file" })
        );
    }

    #[test]
    fn an_opener_without_slot_is_rejected() {
        let (root, openers) = (Key256::random(&SystemEntropy), Openers::fresh());
        let slots = Slots::create(&root, &openers.all()[..1], &SystemEntropy).unwrap();
        assert_eq!(slots.open(openers.all()[1]).err(), Some(CryptError::Rejected { what: "key file" }));
    }

    #[test]
    fn changes_need_the_root_key_and_never_take_the_last_slot() {
        let (root, openers) = (Key256::random(&SystemEntropy), Openers::fresh());
        let [recovery, file, _] = openers.all();
        assert!(matches!(Slots::create(&root, &[], &SystemEntropy), Err(CryptError::Forbidden { .. })));
        let mut slots = Slots::create(&root, &[recovery], &SystemEntropy).unwrap();
        let stranger = Key256::random(&SystemEntropy);
        assert_eq!(slots.add(&stranger, file, &SystemEntropy), Err(NOT_THE_ROOT_KEY));
        assert_eq!(slots.remove(&stranger, SlotKind::Recovery), Err(NOT_THE_ROOT_KEY));
        assert!(matches!(slots.remove(&root, SlotKind::Recovery), Err(CryptError::Forbidden { .. })));
        slots.add(&root, file, &SystemEntropy).unwrap();
        slots.remove(&root, SlotKind::Recovery).unwrap();
        assert!(slots.open(recovery).is_err());
        assert_eq!(slots.open(file).unwrap().expose(), root.expose());
        assert!(matches!(slots.remove(&root, SlotKind::KeyFile), Err(CryptError::Forbidden { .. })));
    }

    #[test]
    fn a_renewed_opener_replaces_the_old_one() {
        let (root, old, new) = (Key256::random(&SystemEntropy), Openers::fresh(), Openers::fresh());
        let mut slots = Slots::create(&root, &[old.all()[0]], &SystemEntropy).unwrap();
        slots.add(&root, new.all()[0], &SystemEntropy).unwrap();
        assert_eq!(slots.kinds(), [SlotKind::Recovery]);
        assert!(slots.open(old.all()[0]).is_err() && slots.open(new.all()[0]).is_ok());
    }

    #[test]
    fn a_slot_moved_to_another_kind_does_not_open() {
        let (root, openers) = (Key256::random(&SystemEntropy), Openers::fresh());
        let mut slots = Slots::create(&root, &openers.all()[..2], &SystemEntropy).unwrap();
        let wrapped = slots.slots[0].wrapped.clone();
        slots.slots[1].wrapped = wrapped;
        assert!(slots.open(openers.all()[1]).is_err());
    }

    #[test]
    fn passphrases_are_long_and_their_parameters_bounded() {
        let root = Key256::random(&SystemEntropy);
        let short = Secret::new("elf zeichen".to_owned());
        let refused = Slots::create(&root, &[Opener::Passphrase(&short)], &SystemEntropy);
        assert!(matches!(refused, Err(CryptError::Forbidden { .. })));
        let openers = Openers::fresh();
        let mut slots = Slots::create(&root, &openers.all()[2..], &SystemEntropy).unwrap();
        slots.slots[0].passphrase.as_mut().unwrap().memory_kib = u32::MAX;
        assert_eq!(
            slots.open(openers.all()[2]).err(),
            Some(CryptError::Malformed { what: "passphrase slot" })
        );
    }

    /// Held against the reference implementation's tool: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`.
    #[test]
    fn argon2id_agrees_with_the_reference_implementation() {
        let stretch = Stretch { salt: encoding::base64url(b"somesalt"), memory_kib: 65_536, passes: 2 };
        let key = stretch.key(&Secret::new("password".to_owned())).unwrap();
        assert_eq!(
            encoding::hex(key.expose()),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }
}
