//! Operations that only secrets have.

use super::{Permitted, VaultService, permitted};
use crate::{
    Object, SecretChange, SecretWithValue, Secrets, SetSecret, VaultError,
    certificates::{CertificateFault, Certificates, ContentType, Der, material},
    object::{self, Version},
    secrets, vaults,
};
use access::{Asker, GetSecret, SetSecret as SetAction, UpdateSecret};
use crypt::{CryptError, Sealed, certificate::CertificateError};
use domain::{Entropy, ObjectName, ObjectVersion, Secret, Timestamp, VaultName};
use std::sync::Arc;
use store::{Decision, Halt, query, refuse, transact};

impl VaultService {
    /// Reads the latest version of a secret, or the named one (Key Vault: Get Secret).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_secret(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
    ) -> Result<Permitted<SecretWithValue>, VaultError> {
        let (permit, vault, found) = query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = permitted::<GetSecret>(view, asker, &vault, Some(name))?;
            let found = secrets::read(&permit, view, name, version)?;
            Ok((permit, vault, found))
        })
        .await?;
        let value = secrets::open(&permit, &*self.key(&vault)?, found)?;
        Ok(Permitted { value, because: permit.because(), recovery: vault.recovery() })
    }

    /// Reads a certificate's secret in a form of the caller's choice (Key Vault: Get Secret, `outContentType`): as it is if that is its own,
    /// a PFX as PEM.
    ///
    /// # Errors
    /// [`CertificateFault::NoSuchForm`] for a secret that is no certificate's, and for PEM as a PFX; [`VaultError`].
    pub async fn get_secret_as(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        form: ContentType,
    ) -> Result<Permitted<SecretWithValue>, VaultError> {
        let (permit, vault, found, certificate) = query(&*self.store, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = permitted::<GetSecret>(view, asker, &vault, Some(name))?;
            let found = secrets::read(&permit, view, name, version)?;
            if !found.head.managed {
                return refuse(CertificateFault::NoSuchForm { why: "it is no certificate's" }.into());
            }
            let version = Some(found.version.version);
            let certificate = object::find::<Certificates>(view, permit.vault(), name, version)?;
            Ok((permit, vault, found, certificate))
        })
        .await?;
        let kept = found.version.content.content_type.as_deref().and_then(ContentType::parse);
        let mut read = secrets::open(&permit, &*self.key(&vault)?, found)?;
        match (kept, form) {
            (Some(kept), form) if kept == form => {}
            (Some(ContentType::Pkcs12), ContentType::Pem) => {
                read.value = to_pem(&read.value, &certificate.version.content.chain, &*self.entropy)?;
                let mut shown = Version::clone(&read.secret.version);
                shown.content.content_type = Some(form.as_str().to_owned());
                read.secret.version = Arc::new(shown);
            }
            _ => return Err(CertificateFault::NoSuchForm { why: "PEM is not made a PFX" }.into()),
        }
        Ok(Permitted { value: read, because: permit.because(), recovery: vault.recovery() })
    }

    /// Adds a version to a secret, or makes it (Key Vault: Set Secret).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn set_secret(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: SetSecret,
        now: Timestamp,
    ) -> Result<Permitted<SecretWithValue>, VaultError> {
        let (version, fresh) = (ObjectVersion::random(&*self.entropy), self.object_id(now));
        // Sealed once for a place, however often the decision runs: it draws randomness, and large values take their time.
        let mut sealed: Option<(object::VersionId, Sealed)> = None;
        let (secret, because, recovery) = transact(&*self.store, &*self.entropy, |view| {
            let vault = vaults::find(view, vault)?;
            let permit = permitted::<SetAction>(view, asker, &vault, Some(name))?;
            asked.check().map_err(Halt::Refuse)?;
            let place = object::place::<Secrets>(view, permit.vault(), name, fresh, false)?;
            let id = (place.vault, place.id, version);
            let sealed = match &sealed {
                Some((of, sealed)) if *of == id => sealed.clone(),
                _ => {
                    let plain = asked.value.expose().as_bytes();
                    let fresh = self.seal::<Secrets>(&vault, &id, plain).map_err(Halt::Refuse)?;
                    sealed.insert((id, fresh)).1.clone()
                }
            };
            let decision = secrets::write(place, asked.version(version, sealed, now))?;
            Ok(Decision::of((decision.value, permit.because(), vault.recovery()), decision.writes))
        })
        .await?;
        Ok(Permitted { value: SecretWithValue { secret, value: asked.value }, because, recovery })
    }

    /// Changes what is said of a version (Key Vault: Update Secret).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn update_secret(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        version: Option<ObjectVersion>,
        change: &SecretChange,
        now: Timestamp,
    ) -> Result<Permitted<Object<Secrets>>, VaultError> {
        self.change(asker, vault, Some(name), |view, permit: &access::Permit<UpdateSecret>, vault| {
            secrets::update(permit, view, vault, name, version, change, now)
        })
        .await
    }
}

/// A PFX of a certificate's secret as PEM, with the private key if it has one.
fn to_pem(
    value: &Secret<String>,
    chain: &[Der],
    entropy: &dyn Entropy,
) -> Result<Secret<String>, VaultError> {
    const WRONG: CryptError = CryptError::Malformed { what: "certificate's secret" };
    let pfx = Secret::new(crypt::encoding::from_base64(value.expose()).map_err(|_| WRONG)?);
    let key = match crypt::certificate::read_pfx(&pfx, None) {
        Ok(read) => Some(read.key_pkcs8),
        // Of a certificate whose key is not exportable.
        Err(CertificateError::KeyMissing) => None,
        Err(_) => return Err(WRONG.into()),
    };
    let chain: Vec<Vec<u8>> = chain.iter().map(|der| der.0.clone()).collect();
    material::secret_value(ContentType::Pem, key.as_ref(), &chain, entropy)
}
