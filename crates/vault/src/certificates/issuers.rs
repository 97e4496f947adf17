//! Issuers: by whom a vault's certificates may be signed besides their own keys.
//!
//! Owns: their records, and which of them this product carries out. Owns not: the vault's own authority (`authority`), which an issuer of
//! the provider [`OWN_PROVIDER`] stands for. Of all others an object is kept, as clients make them, and creating with one says that they
//! are not reached from here.

use super::{
    CertificateFault,
    contacts::check_texts,
    policy::{SELF_ISSUER, UNKNOWN_ISSUER},
};
use crate::VaultError;
use access::{DeleteIssuer, GetIssuer, ListIssuers, Permit, SetIssuer};
use crypt::Sealed;
use domain::{ObjectName, Secret, Timestamp, VaultId, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, delete as unwrite, put, refuse};

/// The provider of issuers that stand for the vault's own authority.
pub const OWN_PROVIDER: &str = "Keyless";

/// Somebody who is responsible for an account with an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administrator {
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// A mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// An issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issuer {
    /// As it was spelled when it was made.
    pub name: ObjectName,
    /// Which authority, or which product of it.
    pub provider: String,
    /// The account with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The account's password, sealed under the vault's key. Nothing reads it: it is kept for the day on which something will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Sealed>,
    /// The organization's number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Who is responsible.
    #[serde(default)]
    pub administrators: Vec<Administrator>,
    /// May certificates be asked of it?
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// What a request says of an account.
#[derive(Debug, Default)]
pub struct IssuerCredentials {
    /// The account.
    pub account: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
}

/// What a request says of an issuer; what it leaves out stays as it is.
#[derive(Debug, Default)]
pub struct IssuerChange {
    /// Which authority.
    pub provider: Option<String>,
    /// The account with it.
    pub credentials: Option<IssuerCredentials>,
    /// The organization's number there.
    pub organization: Option<String>,
    /// Who is responsible: replaces all.
    pub administrators: Option<Vec<Administrator>>,
    /// May certificates be asked of it?
    pub enabled: Option<bool>,
}

impl Issuer {
    pub(crate) fn prefix(vault: VaultId) -> Key {
        Key::new(format!("certificate-issuer/{vault}/"))
    }

    /// The address under which its password is sealed.
    pub(crate) fn address(vault: VaultId, name: &ObjectName) -> Vec<u8> {
        Self::key(&(vault, name.clone())).as_bytes().to_vec()
    }

    /// Does it stand for the vault's own authority?
    pub fn is_own(&self) -> bool {
        self.provider.eq_ignore_ascii_case(OWN_PROVIDER)
    }
}

impl Record for Issuer {
    type Id = (VaultId, ObjectName);

    fn key((vault, name): &Self::Id) -> Key {
        Key::new(format!("certificate-issuer/{vault}/{}", name.folded()))
    }
}

impl IssuerChange {
    fn check(&self) -> Result<(), VaultError> {
        let administrators = self.administrators.iter().flatten();
        if administrators.clone().count() > limits::CONTACTS_MAX {
            let limit = limits::CONTACTS_MAX;
            return Err(VaultError::TooLarge { what: "the number of administrators of an issuer", limit });
        }
        let people = administrators.flat_map(|one| [&one.first_name, &one.last_name, &one.email, &one.phone]);
        let account = self.credentials.iter().map(|credentials| &credentials.account);
        check_texts(people.chain(account).chain([&self.provider, &self.organization]).flatten())?;
        let password = self.credentials.iter().filter_map(|credentials| credentials.password.as_ref());
        let limit = limits::ISSUER_PASSWORD_BYTES_MAX;
        match password.into_iter().any(|password| password.expose().len() > limit) {
            true => Err(VaultError::TooLarge { what: "the length of an issuer's password in bytes", limit }),
            false => Ok(()),
        }
    }

    fn apply(&self, issuer: &mut Issuer, sealed: Option<Sealed>) -> Result<(), VaultError> {
        if let Some(provider) = &self.provider {
            if provider.trim().is_empty() {
                return Err(
                    CertificateFault::Invalid { what: "the provider", rule: "must not be empty" }.into()
                );
            }
            issuer.provider.clone_from(provider);
        }
        if let Some(credentials) = &self.credentials {
            if credentials.account.is_some() {
                issuer.account.clone_from(&credentials.account);
            }
            if credentials.password.is_some() {
                issuer.password = sealed;
            }
        }
        if self.organization.is_some() {
            // The organization that is there, said again without administrators, has none: so az takes the last one away. Another number is
            // no word on them, and they without a number none on it: az adds one so.
            if self.organization == issuer.organization && self.administrators.is_none() {
                issuer.administrators.clear();
            }
            issuer.organization.clone_from(&self.organization);
        }
        if let Some(administrators) = &self.administrators {
            issuer.administrators.clone_from(administrators);
        }
        issuer.enabled = self.enabled.unwrap_or(issuer.enabled);
        Ok(())
    }
}

/// The issuer of a name.
pub(crate) fn find(view: &View, vault: VaultId, name: &ObjectName) -> Result<Arc<Issuer>, Halt<VaultError>> {
    match view.get::<Issuer>(&(vault, name.clone()))? {
        Some(issuer) => Ok(issuer),
        None => refuse(CertificateFault::IssuerNotFound { name: name.clone() }.into()),
    }
}

/// Sees one.
pub(crate) fn get(
    permit: &Permit<GetIssuer>,
    view: &View,
    name: &ObjectName,
) -> Result<Arc<Issuer>, Halt<VaultError>> {
    find(view, permit.vault(), name)
}

/// Those of listed names that are still there.
pub(crate) fn list(
    permit: &Permit<ListIssuers>,
    view: &View,
    names: &[ObjectName],
) -> Result<Vec<Arc<Issuer>>, Halt<VaultError>> {
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        items.extend(view.get::<Issuer>(&(permit.vault(), name.clone()))?);
    }
    Ok(items)
}

/// Makes one, or makes it anew. `sealed`: the password of the request.
pub(crate) fn set(
    permit: &Permit<SetIssuer>,
    view: &View,
    name: &ObjectName,
    asked: &IssuerChange,
    sealed: Option<Sealed>,
    now: Timestamp,
) -> Result<Decision<Issuer>, Halt<VaultError>> {
    asked.check().map_err(Halt::Refuse)?;
    if [SELF_ISSUER, UNKNOWN_ISSUER].iter().any(|reserved| name.as_str().eq_ignore_ascii_case(reserved)) {
        return refuse(CertificateFault::IssuerReserved { name: name.clone() }.into());
    }
    if asked.provider.is_none() {
        return refuse(CertificateFault::Invalid { what: "the provider", rule: "must be given" }.into());
    }
    let id = (permit.vault(), name.clone());
    let known = view.get::<Issuer>(&id)?;
    let mut issuer = Issuer {
        name: known.as_ref().map_or_else(|| name.clone(), |known| known.name.clone()),
        provider: String::new(),
        account: None,
        password: None,
        organization: None,
        administrators: Vec::new(),
        enabled: true,
        created: known.map_or(now, |known| known.created),
        updated: now,
    };
    asked.apply(&mut issuer, sealed).map_err(Halt::Refuse)?;
    Ok(Decision::of(issuer.clone(), vec![put::<Issuer>(&id, &issuer)]))
}

/// Changes one.
pub(crate) fn update(
    permit: &Permit<SetIssuer>,
    view: &View,
    name: &ObjectName,
    asked: &IssuerChange,
    sealed: Option<Sealed>,
    now: Timestamp,
) -> Result<Decision<Issuer>, Halt<VaultError>> {
    asked.check().map_err(Halt::Refuse)?;
    let mut issuer = Issuer::clone(&*find(view, permit.vault(), name)?);
    asked.apply(&mut issuer, sealed).map_err(Halt::Refuse)?;
    issuer.updated = now;
    Ok(Decision::of(issuer.clone(), vec![put::<Issuer>(&(permit.vault(), name.clone()), &issuer)]))
}

/// Removes one; answers it as it was. Certificates that name it stay; making another version of them fails.
pub(crate) fn delete(
    permit: &Permit<DeleteIssuer>,
    view: &View,
    name: &ObjectName,
) -> Result<Decision<Arc<Issuer>>, Halt<VaultError>> {
    let issuer = find(view, permit.vault(), name)?;
    Ok(Decision::of(issuer, vec![unwrite::<Issuer>(&(permit.vault(), name.clone()))]))
}
