//! Secrets: what a version consists of, and the decisions that only they have. Each takes the permit of its action: without one there is
//! nothing to call.

use crate::{
    Attributes, AttributesChange, Vault, VaultError,
    attributes::{check, check_tags},
    object::{self, Kind, Object, Place, Version},
};
use access::{
    BackupSecret, DeleteSecret, GetDeletedSecret, GetSecret, ListDeletedSecrets, ListSecrets, Permit,
    PurgeSecret, RecoverSecret, RestoreSecret, UpdateSecret,
};
use crypt::{Key256, Sealed};
use domain::{ObjectKind, ObjectName, ObjectVersion, Secret, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Decision, Halt, View, refuse};

/// Secrets, as a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {}

/// What a version of a secret consists of. Not before and expiry of a secret are for people to read: it is served outside of them, as
/// Key Vault does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretContent {
    /// What kind of value it is, for people and programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Of a certificate's secret: which version came before it (Key Vault: `previousVersion`). Those of before this was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ObjectVersion>,
    /// The value, sealed under the vault's key at this version's address.
    pub(crate) sealed: Sealed,
}

impl Kind for Secrets {
    const KIND: ObjectKind = ObjectKind::Secret;
    const TAG_CHARS_MAX: usize = limits::TAG_CHARS_MAX;
    type About = Nothing;
    type Content = SecretContent;
    type Get = GetSecret;
    type List = ListSecrets;
    type Update = UpdateSecret;
    type Delete = DeleteSecret;
    type GetDeleted = GetDeletedSecret;
    type ListDeleted = ListDeletedSecrets;
    type Recover = RecoverSecret;
    type Purge = PurgeSecret;
    type Backup = BackupSecret;
    type Restore = RestoreSecret;

    fn sealed(content: &SecretContent) -> Option<&Sealed> {
        Some(&content.sealed)
    }

    fn resealed(content: SecretContent, sealed: Sealed) -> SecretContent {
        SecretContent { sealed, ..content }
    }
}

/// Nothing besides the versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// A new version as a request asks for it.
#[derive(Debug)]
pub struct SetSecret {
    /// At most [`limits::SECRET_VALUE_BYTES_MAX`].
    pub value: Secret<String>,
    /// What kind of value it is, for people and programs. At most [`limits::CONTENT_TYPE_CHARS_MAX`].
    pub content_type: Option<String>,
    /// Names and values of the caller's own.
    pub tags: BTreeMap<String, String>,
    /// Its attributes.
    pub attributes: AttributesChange,
}

/// A change of a version that is there.
#[derive(Debug, Default)]
pub struct SecretChange {
    /// Replaces, if said.
    pub content_type: Option<String>,
    /// What all kinds of objects let change.
    pub change: object::VersionChange,
}

/// A secret's version with its value.
#[derive(Debug)]
pub struct SecretWithValue {
    /// The version.
    pub secret: Object<Secrets>,
    /// The value.
    pub value: Secret<String>,
}

impl SetSecret {
    pub(crate) fn check(&self) -> Result<(), VaultError> {
        check(self.value.expose().len(), limits::SECRET_VALUE_BYTES_MAX, "the length of the value in bytes")?;
        check_content_type(self.content_type.as_deref())?;
        check_tags(&self.tags, Secrets::TAG_CHARS_MAX)
    }

    /// The version that it asks for.
    pub(crate) fn version(&self, version: ObjectVersion, sealed: Sealed, now: Timestamp) -> Version<Secrets> {
        Version {
            version,
            attributes: Attributes::new(self.attributes, now),
            tags: self.tags.clone(),
            content: SecretContent { content_type: self.content_type.clone(), previous: None, sealed },
        }
    }
}

fn check_content_type(content_type: Option<&str>) -> Result<(), VaultError> {
    check(
        content_type.map_or(0, |text| text.chars().count()),
        limits::CONTENT_TYPE_CHARS_MAX,
        "the length of contentType in characters",
    )
}

/// Reads a version. A disabled one is refused, and no older one takes its place.
pub(crate) fn read(
    permit: &Permit<GetSecret>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Object<Secrets>, Halt<VaultError>> {
    let found = object::find::<Secrets>(view, permit.vault(), name, version)?;
    if !found.version.attributes.enabled {
        return refuse(VaultError::SecretDisabled { name: found.head.name.clone() });
    }
    Ok(found)
}

/// Opens what was read.
pub(crate) fn open(
    permit: &Permit<GetSecret>,
    key: &Key256,
    found: Object<Secrets>,
) -> Result<SecretWithValue, VaultError> {
    let address = Version::<Secrets>::address(&found.id(permit.vault()));
    let value = crypt::envelope::open(key, &address, &found.version.content.sealed)?;
    Ok(SecretWithValue { secret: found, value: utf8(value)? })
}

/// Bytes that were text when they were sealed; leaves no copy behind if they are not.
fn utf8(bytes: Secret<Vec<u8>>) -> Result<Secret<String>, VaultError> {
    match std::str::from_utf8(bytes.expose()) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(crypt::CryptError::Malformed { what: "secret value" }.into()),
    }
}

/// Adds a version and makes it the latest.
pub(crate) fn write(
    place: Place<Secrets>,
    version: Version<Secrets>,
) -> Result<Decision<Object<Secrets>>, Halt<VaultError>> {
    place.add(version, false, Nothing {})
}

/// Adds the secret of a new version of a certificate, in its transaction.
pub(crate) fn write_managed(
    place: Place<Secrets>,
    version: Version<Secrets>,
) -> Result<Decision<Object<Secrets>>, Halt<VaultError>> {
    place.add(version, true, Nothing {})
}

/// Changes what is said of a version; its value stays.
pub(crate) fn update(
    permit: &Permit<UpdateSecret>,
    view: &View,
    vault: &Vault,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    change: &SecretChange,
    now: Timestamp,
) -> Result<Decision<Object<Secrets>>, Halt<VaultError>> {
    check_content_type(change.content_type.as_deref()).map_err(Halt::Refuse)?;
    let found = object::find::<Secrets>(view, permit.vault(), name, version)?;
    // It says what the value of a certificate's secret is, which is made as the certificate's policy says.
    let is_another =
        change.content_type.is_some() && change.content_type != found.version.content.content_type;
    if found.head.managed && is_another {
        let (kind, name) = (Secrets::KIND, found.head.name.clone());
        return refuse(VaultError::ManagedByCertificate { kind, name, operation: "update" });
    }
    let updated = object::update::<Secrets>(permit, view, name, version, &change.change, now, |content| {
        if change.content_type.is_some() {
            content.content_type.clone_from(&change.content_type);
        }
        Ok(())
    })?;
    updated.decided(vault)
}
