//! Whom a vault's certificates concern: a list that is kept for people and programs. Nothing is sent to anybody.

use super::CertificateFault;
use crate::VaultError;
use access::{GetContacts, ManageContacts, Permit};
use domain::{VaultId, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, delete as unwrite, put, refuse};

/// Somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// A mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// The contacts of one vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacts {
    /// In the order in which they were given.
    pub contacts: Vec<Contact>,
}

impl Record for Contacts {
    type Id = VaultId;

    fn key(vault: &VaultId) -> Key {
        Key::new(format!("certificate-contacts/{vault}/all"))
    }
}

impl Contacts {
    fn check(&self) -> Result<(), VaultError> {
        if self.contacts.len() > limits::CONTACTS_MAX {
            return Err(VaultError::TooLarge { what: "the number of contacts", limit: limits::CONTACTS_MAX });
        }
        let texts = self.contacts.iter().flat_map(|one| [&one.email, &one.name, &one.phone]).flatten();
        check_texts(texts)
    }
}

/// Lines of text about people: short.
pub(super) fn check_texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<(), VaultError> {
    let limit = limits::CONTACT_CHARS_MAX;
    match texts.into_iter().any(|text| text.chars().count() > limit) {
        true => Err(VaultError::TooLarge { what: "the length of a contact's detail in characters", limit }),
        false => Ok(()),
    }
}

fn find(view: &View, vault: VaultId) -> Result<Arc<Contacts>, Halt<VaultError>> {
    match view.get::<Contacts>(&vault)? {
        Some(contacts) => Ok(contacts),
        None => refuse(CertificateFault::ContactsNotFound.into()),
    }
}

/// Sees them.
pub(crate) fn get(permit: &Permit<GetContacts>, view: &View) -> Result<Arc<Contacts>, Halt<VaultError>> {
    find(view, permit.vault())
}

/// Replaces them.
pub(crate) fn set(
    permit: &Permit<ManageContacts>,
    contacts: &Contacts,
) -> Result<Decision<Contacts>, Halt<VaultError>> {
    contacts.check().map_err(Halt::Refuse)?;
    Ok(Decision::of(contacts.clone(), vec![put::<Contacts>(&permit.vault(), contacts)]))
}

/// Removes them; answers them as they were.
pub(crate) fn delete(
    permit: &Permit<ManageContacts>,
    view: &View,
) -> Result<Decision<Arc<Contacts>>, Halt<VaultError>> {
    let contacts = find(view, permit.vault())?;
    Ok(Decision::of(contacts, vec![unwrite::<Contacts>(&permit.vault())]))
}
