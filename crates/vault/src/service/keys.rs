//! Operations that only keys have.
//!
//! Who may, and what the key is, is read in one query each time. What comes after it, the cryptography, needs no store: opened keys are
//! kept, since opening one costs more than using it. What keeps a processor busy for long goes to the workers.

use super::{Permitted, VaultService, permitted};
use crate::{
    Object, Vault, VaultError,
    keys::{
        ImportedKey, KeyChange, KeyFault, KeyOp, KeyTerms, Keys, NewKey, NewRotationPolicy, PublicHalf,
        RotationPolicy,
        operations::{self, PublicPermit},
        release, rotation, versions,
    },
    object::VersionId,
    schedule::Due,
    vaults,
};
use access::{
    Action, Asker, CreateKey, Decrypt, Encrypt, GetKey, GetRandomBytes, GetRotationPolicy, ImportKey, Permit,
    ReleaseKey, RotateKey, SetRotationPolicy, Sign, UnwrapKey, UpdateKey, Verify, WrapKey,
};
use crypt::{
    CryptError, Sealed,
    keys::{
        Ciphertext, Encrypted, EncryptionAlgorithm, KeyOperationError, KeySpec, Plaintext, PrivateKey,
        PublicKey, RsaSize, SignatureAlgorithm,
    },
};
use domain::{ObjectId, ObjectName, ObjectVersion, Secret, Timestamp, VaultName, limits, world::busy};
use std::{convert::Infallible, sync::Arc};
use store::{Decision, Halt, View, query, transact};

/// How often a key is made anew since the one that it is to follow has become another meanwhile.
const ROTATE_ATTEMPTS_MAX: usize = 3;

/// What an operation with a key came to, and with which version.
#[derive(Debug)]
pub struct Used<T> {
    /// The version that was used.
    pub key: Object<Keys>,
    /// The result.
    pub value: T,
}

/// A version that may be used, in its vault, and why.
struct Usable {
    vault: Arc<Vault>,
    key: Object<Keys>,
    because: String,
}

/// What became of a rotation that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// There is a new version.
    Done,
    /// There is nothing to do: the key is gone, another, or not due any more.
    NotDue,
    /// The key became one of another type or size while its next version was made. It is still due.
    Later,
}

/// A private key that is to be sealed, once for a place however often the decision runs.
struct ToSeal<'a> {
    key: &'a PrivateKey,
    stored: Secret<Vec<u8>>,
    sealed: Option<(VersionId, Sealed)>,
}

impl<'a> ToSeal<'a> {
    fn new(key: &'a PrivateKey) -> Result<Self, VaultError> {
        Ok(Self { key, stored: key.to_stored()?, sealed: None })
    }

    fn at(
        &mut self,
        service: &VaultService,
        vault: &Vault,
        id: &VersionId,
    ) -> Result<Sealed, Halt<VaultError>> {
        match &self.sealed {
            Some((of, sealed)) if of == id => Ok(sealed.clone()),
            _ => {
                let sealed = service.seal::<Keys>(vault, id, self.stored.expose()).map_err(Halt::Refuse)?;
                Ok(self.sealed.insert((*id, sealed)).1.clone())
            }
        }
    }
}

impl VaultService {
    /// Makes a key, or a new version of one (Key Vault: Create Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn create_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &NewKey,
        now: Timestamp,
    ) -> Result<Permitted<Object<Keys>>, VaultError> {
        // Asked before a key is made, which takes long: who may not, or asks for what there is not, gets nobody to work.
        let spec = self.look(asker, vault, Some(name), |view, permit: &Permit<CreateKey>, _vault| {
            let spec = asked.spec().map_err(Halt::Refuse)?;
            asked.terms.check().map_err(Halt::Refuse)?;
            versions::place(permit, view, name, ObjectId::random(&*self.entropy))?;
            Ok(spec)
        });
        let key = self.make(spec.await?.value)?;
        self.add_key::<CreateKey>(asker, vault, name, (&key, asked.kind.is_hsm), &asked.terms, now).await
    }

    /// Takes a key in from outside (Key Vault: Import Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn import_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &ImportedKey,
        now: Timestamp,
    ) -> Result<Permitted<Object<Keys>>, VaultError> {
        let may = self.look(asker, vault, Some(name), |view, permit: &Permit<ImportKey>, _vault| {
            asked.terms.check().map_err(Halt::Refuse)?;
            versions::place(permit, view, name, ObjectId::random(&*self.entropy)).map(drop)
        });
        let _may_try = may.await?;
        let read = busy(&*self.workers, || PrivateKey::import(asked.kind.key_type, &asked.jwk));
        let key = read.ok_or(NO_WORKER)?.map_err(KeyFault::Import)?;
        self.add_key::<ImportKey>(asker, vault, name, (&key, asked.kind.is_hsm), &asked.terms, now).await
    }

    async fn add_key<A: versions::AddsKey>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        (key, is_hsm): (&PrivateKey, bool),
        terms: &KeyTerms,
        now: Timestamp,
    ) -> Result<Permitted<Object<Keys>>, VaultError> {
        let (version, fresh) = (ObjectVersion::random(&*self.entropy), self.object_id(now));
        let mut to_seal = ToSeal::new(key)?;
        self.change(asker, vault, Some(name), |view, permit: &Permit<A>, vault| {
            let place = versions::place(permit, view, name, fresh)?;
            let sealed = to_seal.at(self, vault, &(place.vault, place.id, version))?;
            versions::add(permit, vault, place, terms.version(version, (key, is_hsm), sealed, now))
        })
        .await
    }

    fn make(&self, spec: KeySpec) -> Result<PrivateKey, VaultError> {
        Ok(busy(&*self.workers, || PrivateKey::generate(spec, &*self.entropy)).ok_or(NO_WORKER)??)
    }

    /// Changes what is said of a version (Key Vault: Update Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn update_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        change: &KeyChange,
        now: Timestamp,
    ) -> Result<Permitted<Object<Keys>>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<UpdateKey>, vault| {
            versions::update(permit, view, vault, name, version, change, now)
        })
        .await
    }

    /// Makes a new version like the latest (Key Vault: Rotate Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn rotate_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        now: Timestamp,
    ) -> Result<Permitted<Object<Keys>>, VaultError> {
        for _ in 0..ROTATE_ATTEMPTS_MAX {
            let found = self.look(asker, vault, Some(name), |view, permit: &Permit<RotateKey>, _vault| {
                Ok(rotation::to_follow(permit, view, name)?.1)
            });
            let spec = found.await?.value;
            let key = self.make(spec)?;
            let (version, mut to_seal) = (ObjectVersion::random(&*self.entropy), ToSeal::new(&key)?);
            let rotated = self.change(asker, vault, Some(name), |view, permit: &Permit<RotateKey>, vault| {
                let found = rotation::to_follow(permit, view, name)?;
                self.follow(vault, found, version, &mut to_seal, now)
            });
            let Permitted { value, because, recovery } = rotated.await?;
            if let Some(value) = value {
                return Ok(Permitted { value, because, recovery });
            }
        }
        Err(VaultError::Contended { what: "the key" })
    }

    /// Lets a key that was made follow the latest version; not, if that one is of another type or size by now.
    fn follow(
        &self,
        vault: &Vault,
        (found, spec): (Object<Keys>, KeySpec),
        version: ObjectVersion,
        to_seal: &mut ToSeal<'_>,
        now: Timestamp,
    ) -> Result<Decision<Option<Object<Keys>>>, Halt<VaultError>> {
        if to_seal.key.spec() != spec {
            return Ok(Decision::read(None));
        }
        let sealed = to_seal.at(self, vault, &(vault.id, found.head.id, version))?;
        let decision = rotation::follow(vault, &found, (version, to_seal.key, sealed), now)?;
        Ok(Decision::of(Some(decision.value), decision.writes))
    }

    /// Rotates a key whose time has come by its policy.
    pub(super) async fn rotate_when_due(
        &self,
        due: &Due,
        (name, object): (&ObjectName, ObjectId),
        now: Timestamp,
    ) -> Result<Rotation, VaultError> {
        let still = |view: &View, vault: &Vault| rotation::to_follow_when_due(view, vault, name, object, now);
        let spec = query(&*self.store, |view| {
            let vault = vaults::find_again(view, &due.vault, due.vault_id)?;
            Ok::<_, Halt<VaultError>>(still(view, &vault)?.map(|(_, spec)| spec))
        });
        let Some(spec) = spec.await? else { return Ok(Rotation::NotDue) };
        let key = self.make(spec)?;
        let (version, mut to_seal) = (ObjectVersion::random(&*self.entropy), ToSeal::new(&key)?);
        transact(&*self.store, &*self.entropy, |view| {
            let vault = vaults::find_again(view, &due.vault, due.vault_id)?;
            let Some(found) = still(view, &vault)? else { return Ok(Decision::read(Rotation::NotDue)) };
            let followed = self.follow(&vault, found, version, &mut to_seal, now)?;
            let mut writes = followed.writes;
            let rotation = if followed.value.is_some() { Rotation::Done } else { Rotation::Later };
            // It may have been put off, and then the key's head does not know of it.
            if rotation == Rotation::Done && !writes.iter().any(|write| write.key() == due.unput().key()) {
                writes.push(due.unput());
            }
            Ok(Decision::of(rotation, writes))
        })
        .await
    }

    /// A key's rotation policy with the key's name (Key Vault: Get Key Rotation Policy).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_rotation_policy(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<(ObjectName, RotationPolicy)>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<GetRotationPolicy>, _vault| {
            rotation::policy(permit, view, name)
        })
        .await
    }

    /// Sets a key's rotation policy (Key Vault: Update Key Rotation Policy).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn set_rotation_policy(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &NewRotationPolicy,
        now: Timestamp,
    ) -> Result<Permitted<(ObjectName, RotationPolicy)>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &Permit<SetRotationPolicy>, vault| {
            rotation::set_policy(permit, view, vault, name, asked, now)
        })
        .await
    }

    /// Signs a digest (Key Vault: Sign).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn sign(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        (algorithm, digest): (SignatureAlgorithm, &[u8]),
        now: Timestamp,
    ) -> Result<Permitted<Used<Vec<u8>>>, VaultError> {
        let usable = self.usable::<Sign>(asker, vault, name, version, KeyOp::Sign, now).await?;
        let key = self.private(&usable)?;
        let signed = self.with_private(&key, || key.sign(algorithm, digest))?;
        used(usable, KeyOp::Sign, signed)
    }

    /// Whether something is a key's signature of a digest (Key Vault: Verify).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn verify(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        (algorithm, digest, signature): (SignatureAlgorithm, &[u8], &[u8]),
        now: Timestamp,
    ) -> Result<Permitted<Used<bool>>, VaultError> {
        let usable = self.usable_public::<Verify>(asker, vault, name, version, KeyOp::Verify, now).await?;
        let verified = match self.public(&usable)? {
            Some(public) => public.verify(algorithm, digest, signature),
            None => self.private(&usable)?.verify(algorithm, digest, signature),
        };
        used(usable, KeyOp::Verify, verified)
    }

    /// Encrypts a value (Key Vault: Encrypt).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn encrypt(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        (algorithm, plaintext): (EncryptionAlgorithm, &Plaintext<'_>),
        now: Timestamp,
    ) -> Result<Permitted<Used<Encrypted>>, VaultError> {
        let usable = self.usable_public::<Encrypt>(asker, vault, name, version, KeyOp::Encrypt, now).await?;
        let encrypted = match self.public(&usable)? {
            Some(public) => public.encrypt(algorithm, plaintext),
            None => self.private(&usable)?.encrypt(algorithm, plaintext, &*self.entropy),
        };
        used(usable, KeyOp::Encrypt, encrypted)
    }

    /// Encrypts a key (Key Vault: Wrap Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn wrap_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        (algorithm, plaintext): (EncryptionAlgorithm, &Plaintext<'_>),
        now: Timestamp,
    ) -> Result<Permitted<Used<Encrypted>>, VaultError> {
        let usable = self.usable_public::<WrapKey>(asker, vault, name, version, KeyOp::WrapKey, now).await?;
        let wrapped = match self.public(&usable)? {
            Some(public) => public.wrap_key(algorithm, plaintext),
            None => self.private(&usable)?.wrap_key(algorithm, plaintext, &*self.entropy),
        };
        used(usable, KeyOp::WrapKey, wrapped)
    }

    /// Decrypts a value (Key Vault: Decrypt).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn decrypt(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        (algorithm, ciphertext): (EncryptionAlgorithm, &Ciphertext<'_>),
        now: Timestamp,
    ) -> Result<Permitted<Used<Secret<Vec<u8>>>>, VaultError> {
        let usable = self.usable::<Decrypt>(asker, vault, name, version, KeyOp::Decrypt, now).await?;
        let key = self.private(&usable)?;
        let decrypted = self.with_private(&key, || key.decrypt(algorithm, ciphertext))?;
        used(usable, KeyOp::Decrypt, decrypted)
    }

    /// Decrypts a key (Key Vault: Unwrap Key).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn unwrap_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        (algorithm, ciphertext): (EncryptionAlgorithm, &Ciphertext<'_>),
        now: Timestamp,
    ) -> Result<Permitted<Used<Secret<Vec<u8>>>>, VaultError> {
        let usable = self.usable::<UnwrapKey>(asker, vault, name, version, KeyOp::UnwrapKey, now).await?;
        let key = self.private(&usable)?;
        let unwrapped = self.with_private(&key, || key.unwrap_key(algorithm, ciphertext))?;
        used(usable, KeyOp::UnwrapKey, unwrapped)
    }

    /// Releases a key to an environment that somebody vouches for (Key Vault: Release). Nobody is trusted to do so: it never happens.
    ///
    /// # Errors
    /// [`VaultError`], always: [`KeyFault::NoAttestationAuthority`] when nothing else is wrong.
    pub async fn release_key(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        attestation: &str,
    ) -> Result<Permitted<Infallible>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<ReleaseKey>, _vault| {
            release::release(permit, view, name, version, attestation)
        })
        .await
    }

    /// What an HSM says of a key (Key Vault: Get Key Attestation). There is none: it never happens.
    ///
    /// # Errors
    /// [`VaultError`], always: [`KeyFault::NoAttestation`] when nothing else is wrong.
    pub async fn get_key_attestation(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<Permitted<Infallible>, VaultError> {
        self.look(asker, vault, Some(name), |view, permit: &Permit<GetKey>, _vault| {
            release::attestation(permit, view, name, version)
        })
        .await
    }

    /// Random bytes, 1 to [`limits::RANDOM_BYTES_MAX`] (Key Vault: Get Random Bytes).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn random_bytes(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        count: i64,
    ) -> Result<Permitted<Secret<Vec<u8>>>, VaultError> {
        let may = self.look(asker, vault, None, |_view, _permit: &Permit<GetRandomBytes>, _vault| {
            let bytes =
                usize::try_from(count).ok().filter(|bytes| (1..=limits::RANDOM_BYTES_MAX).contains(bytes));
            bytes.ok_or_else(|| Halt::Refuse(KeyFault::RandomBytes { count }.into()))
        });
        let Permitted { value, because, recovery } = may.await?;
        let mut bytes = vec![0; value];
        self.entropy.fill(&mut bytes);
        Ok(Permitted { value: Secret::new(bytes), because, recovery })
    }

    async fn usable<A: Action>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        operation: KeyOp,
        now: Timestamp,
    ) -> Result<Usable, VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = permitted::<A>(view, asker, &vault, Some(name))?;
            let key = operations::to_use(&permit, view, name, version, operation, now)?;
            Ok(Usable { vault, key, because: permit.because() })
        })
        .await
    }

    async fn usable_public<A: Action>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        operation: KeyOp,
        now: Timestamp,
    ) -> Result<Usable, VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = PublicPermit::<A>::ask(view, asker, &vault, Some(name))?;
            let key = operations::to_use_public(&permit, view, name, version, operation, now)?;
            Ok(Usable { vault, key, because: permit.because() })
        })
        .await
    }

    /// Whether a caller may use the public half of a key, if it has one: asked before it is said what is wrong with a request.
    ///
    /// # Errors
    /// [`VaultError::Denied`], [`VaultError::VaultNotFound`].
    pub async fn may_use_public<A: Action>(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: Option<&ObjectName>,
    ) -> Result<(), VaultError> {
        query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            PublicPermit::<A>::ask(view, asker, &vault, name).map(drop)
        })
        .await
    }

    fn private(&self, usable: &Usable) -> Result<Arc<PrivateKey>, VaultError> {
        let id = usable.key.id(usable.vault.id);
        self.private_keys.get(&id, || {
            let stored = self.open::<Keys>(&usable.vault, &id, &usable.key.version.content.sealed)?;
            Ok(PrivateKey::from_stored(&stored)?)
        })
    }

    /// The public half of an asymmetric key: for it nothing is unsealed.
    fn public(&self, usable: &Usable) -> Result<Option<Arc<PublicKey>>, VaultError> {
        let PublicHalf::Jwk(jwk) = &usable.key.version.content.public else { return Ok(None) };
        let malformed = |_| CryptError::Malformed { what: "stored key" };
        let id = usable.key.id(usable.vault.id);
        self.public_keys.get(&id, || Ok(PublicKey::from_jwk(jwk).map_err(malformed)?)).map(Some)
    }

    /// Drops opened keys that nobody is to use any more.
    pub(super) fn forget_keys(&self, of: impl Fn(&VersionId) -> bool) {
        self.private_keys.forget(&of);
        self.public_keys.forget(&of);
    }

    /// Private operations of large RSA keys take milliseconds: others are not held up by them.
    fn with_private<T: Send>(
        &self,
        key: &PrivateKey,
        work: impl FnOnce() -> Result<T, KeyOperationError> + Send,
    ) -> Result<Result<T, KeyOperationError>, VaultError> {
        match key.spec() {
            KeySpec::Rsa(RsaSize::Bits3072 | RsaSize::Bits4096) => {
                Ok(busy(&*self.workers, work).ok_or(NO_WORKER)?)
            }
            KeySpec::Rsa(RsaSize::Bits2048) | KeySpec::Ec(_) | KeySpec::Oct(_) => Ok(work()),
        }
    }
}

const NO_WORKER: CryptError = CryptError::Unavailable { what: "handing work to a worker" };

fn used<T>(
    usable: Usable,
    operation: KeyOp,
    result: Result<T, KeyOperationError>,
) -> Result<Permitted<Used<T>>, VaultError> {
    let value = result.map_err(|error| KeyFault::Operation { operation, error })?;
    let recovery = usable.vault.recovery();
    Ok(Permitted { value: Used { key: usable.key, value }, because: usable.because, recovery })
}
