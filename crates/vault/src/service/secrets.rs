//! Operations that only secrets have.

use super::{Permitted, VaultService, permitted};
use crate::{Object, SecretChange, SecretWithValue, Secrets, SetSecret, VaultError, object, secrets, vaults};
use access::{Asker, GetSecret, SetSecret as SetAction, UpdateSecret};
use crypt::Sealed;
use domain::{ObjectId, ObjectName, ObjectVersion, Timestamp, VaultName};
use store::{Decision, Halt, query, transact};

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
        let (version, fresh) = (ObjectVersion::random(&*self.entropy), ObjectId::random(&*self.entropy));
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
        self.change(asker, vault, Some(name), |view, permit: &access::Permit<UpdateSecret>, _vault| {
            secrets::update(permit, view, name, version, change, now)
        })
        .await
    }
}
