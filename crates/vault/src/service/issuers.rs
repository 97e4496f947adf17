//! Operations on a vault's issuers and contacts.

use super::{Permitted, VaultService};
use crate::{
    Page, PageRequest, VaultError,
    certificates::{Contacts, Issuer, IssuerChange, contacts, issuers},
};
use access::{Asker, DeleteIssuer, GetContacts, GetIssuer, ListIssuers, ManageContacts, Permit, SetIssuer};
use crypt::{Sealed, envelope};
use domain::{ObjectName, Timestamp, VaultName};
use std::sync::Arc;
use store::Halt;

impl VaultService {
    /// A page of a vault's issuers (Key Vault: Get Certificate Issuers).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn list_issuers(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        request: &PageRequest,
    ) -> Result<Permitted<Page<Arc<Issuer>>>, VaultError> {
        let of =
            self.look(asker, vault, None, |_view, permit: &Permit<ListIssuers>, _vault| Ok(permit.vault()));
        let id = of.await?.value;
        let names = self.names::<Issuer>(&Issuer::prefix(id), request, |issuer| &issuer.name).await?;
        self.again(asker, vault, id, None, names, |view, permit: &Permit<ListIssuers>, names| {
            issuers::list(permit, view, names)
        })
        .await
    }

    /// One issuer, without its password (Key Vault: Get Certificate Issuer).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_issuer(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<Arc<Issuer>>, VaultError> {
        self.look(asker, vault, None, |view, permit: &Permit<GetIssuer>, _vault| {
            issuers::get(permit, view, name)
        })
        .await
    }

    /// Makes an issuer, or makes it anew (Key Vault: Set Certificate Issuer).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn set_issuer(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &IssuerChange,
        now: Timestamp,
    ) -> Result<Permitted<Issuer>, VaultError> {
        self.change(asker, vault, None, |view, permit: &Permit<SetIssuer>, vault| {
            issuers::set(permit, view, name, asked, self.seal_password(vault, name, asked)?, now)
        })
        .await
    }

    /// Changes an issuer (Key Vault: Update Certificate Issuer).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn update_issuer(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
        asked: &IssuerChange,
        now: Timestamp,
    ) -> Result<Permitted<Issuer>, VaultError> {
        self.change(asker, vault, None, |view, permit: &Permit<SetIssuer>, vault| {
            issuers::update(permit, view, name, asked, self.seal_password(vault, name, asked)?, now)
        })
        .await
    }

    fn seal_password(
        &self,
        vault: &crate::Vault,
        name: &ObjectName,
        asked: &IssuerChange,
    ) -> Result<Option<Sealed>, Halt<VaultError>> {
        let Some(password) = asked.credentials.as_ref().and_then(|credentials| credentials.password.as_ref())
        else {
            return Ok(None);
        };
        let key = self.key(vault).map_err(Halt::Refuse)?;
        let address = Issuer::address(vault.id, name);
        let sealed = envelope::seal(&key, &address, password.expose().as_bytes(), &*self.entropy);
        sealed.map(Some).map_err(|error| Halt::Refuse(error.into()))
    }

    /// Removes an issuer (Key Vault: Delete Certificate Issuer).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete_issuer(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        name: &ObjectName,
    ) -> Result<Permitted<Arc<Issuer>>, VaultError> {
        self.change(asker, vault, None, |view, permit: &Permit<DeleteIssuer>, _vault| {
            issuers::delete(permit, view, name)
        })
        .await
    }

    /// The vault's contacts (Key Vault: Get Certificate Contacts).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get_contacts(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
    ) -> Result<Permitted<Arc<Contacts>>, VaultError> {
        self.look(asker, vault, None, |view, permit: &Permit<GetContacts>, _vault| {
            contacts::get(permit, view)
        })
        .await
    }

    /// Replaces the vault's contacts (Key Vault: Set Certificate Contacts).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn set_contacts(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
        asked: &Contacts,
    ) -> Result<Permitted<Contacts>, VaultError> {
        self.change(asker, vault, None, |_view, permit: &Permit<ManageContacts>, _vault| {
            contacts::set(permit, asked)
        })
        .await
    }

    /// Removes the vault's contacts (Key Vault: Delete Certificate Contacts).
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete_contacts(
        &self,
        asker: &Asker<'_>,
        vault: &VaultName,
    ) -> Result<Permitted<Arc<Contacts>>, VaultError> {
        self.change(asker, vault, None, |view, permit: &Permit<ManageContacts>, _vault| {
            contacts::delete(permit, view)
        })
        .await
    }
}
