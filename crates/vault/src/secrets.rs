//! Decisions about secrets. Each takes the permit of its action: without one there is nothing to call.

use crate::{
    SecretAttributes, SecretChange, SecretRecord, SetSecret, Vault, VaultError,
    records::{SecretHead, SecretRecordId},
};
use access::{GetSecret, ListSecrets, Permit, SetSecret as SetAction, UpdateSecret};
use crypt::{Key256, Sealed};
use domain::{Secret, ObjectName, ObjectVersion, Timestamp, VaultId};
use std::sync::Arc;
use store::{Decision, Halt, View, Write, contract::VALUE_BYTES_MAX, put, refuse};

/// What an operation answers, and why it was allowed: for the audit log.
#[derive(Debug)]
pub struct Permitted<T> {
    /// The answer.
    pub value: T,
    /// The rule that allowed it.
    pub because: String,
}

/// A secret's version without its value.
#[derive(Clone, Debug)]
pub struct SecretProperties {
    /// As it was spelled when it was first set.
    pub name: ObjectName,
    /// The stored version; its value stays sealed.
    pub record: Arc<SecretRecord>,
}

/// A secret's version with its value.
#[derive(Debug)]
pub struct SecretWithValue {
    /// What is said of it.
    pub properties: SecretProperties,
    /// The value.
    pub value: Secret<String>,
}

/// What a read has found: still sealed.
pub(crate) struct Found {
    pub(crate) id: SecretRecordId,
    pub(crate) properties: SecretProperties,
}

/// The latest version, or the named one.
fn find(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Found, Halt<VaultError>> {
    let not_found = || VaultError::SecretNotFound { name: name.clone(), version };
    let Some(head) = view.get::<SecretHead>(&(vault, name.clone()))? else { return refuse(not_found()) };
    let id = (vault, name.clone(), version.unwrap_or(head.latest));
    let Some(record) = view.get::<SecretRecord>(&id)? else { return refuse(not_found()) };
    Ok(Found { id, properties: SecretProperties { name: head.name.clone(), record } })
}

/// Reads a version. A disabled one is refused, and no older one takes its place.
pub(crate) fn read(
    permit: &Permit<GetSecret>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Found, Halt<VaultError>> {
    let found = find(view, permit.vault(), name, version)?;
    if !found.properties.record.attributes.enabled {
        return refuse(VaultError::SecretDisabled { name: found.properties.name });
    }
    Ok(found)
}

/// Opens what was read.
pub(crate) fn open(
    _permit: &Permit<GetSecret>,
    key: &Key256,
    found: Found,
) -> Result<SecretWithValue, VaultError> {
    let value =
        crypt::envelope::open(key, &SecretRecord::address(&found.id), &found.properties.record.sealed)?;
    let value = utf8(value)?;
    Ok(SecretWithValue { properties: found.properties, value })
}

/// Bytes that were text when they were sealed; leaves no copy behind if they are not.
fn utf8(bytes: Secret<Vec<u8>>) -> Result<Secret<String>, VaultError> {
    match std::str::from_utf8(bytes.expose()) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(crypt::CryptError::Malformed { what: "secret value" }.into()),
    }
}

/// Adds a version and makes it the latest. The name keeps the spelling of its first version.
pub(crate) fn write(
    permit: &Permit<SetAction>,
    view: &View,
    name: &ObjectName,
    version: ObjectVersion,
    asked: &SetSecret,
    sealed: Sealed,
    now: Timestamp,
) -> Result<Decision<SecretProperties>, Halt<VaultError>> {
    let head_id = (permit.vault(), name.clone());
    let name = view.get::<SecretHead>(&head_id)?.map_or_else(|| name.clone(), |head| head.name.clone());
    let record = SecretRecord {
        version,
        attributes: SecretAttributes::new(asked.attributes, now),
        content_type: asked.content_type.clone(),
        tags: asked.tags.clone(),
        sealed,
    };
    let head = SecretHead { name: name.clone(), latest: version };
    let id = (permit.vault(), name.clone(), version);
    let writes = vec![put::<SecretHead>(&head_id, &head), fitting(&id, &record)?];
    Ok(Decision::of(SecretProperties { name, record: Arc::new(record) }, writes))
}

/// Changes what is said of a version; its value stays.
pub(crate) fn update(
    permit: &Permit<UpdateSecret>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    change: &SecretChange,
    now: Timestamp,
) -> Result<Decision<SecretProperties>, Halt<VaultError>> {
    let found = find(view, permit.vault(), name, version)?;
    let before = &found.properties.record;
    let record = SecretRecord {
        attributes: before.attributes.changed(change.attributes, now),
        content_type: change.content_type.clone().or_else(|| before.content_type.clone()),
        tags: change.tags.clone().unwrap_or_else(|| before.tags.clone()),
        ..SecretRecord::clone(before)
    };
    let writes = vec![fitting(&found.id, &record)?];
    Ok(Decision::of(SecretProperties { record: Arc::new(record), ..found.properties }, writes))
}

/// The write of a version, if a store can keep it. Value and tags may each be of their full size, but tags that are all of long
/// characters do not fit beside a full value: that is the caller's to know, not a failure of ours.
fn fitting(id: &SecretRecordId, record: &SecretRecord) -> Result<Write, Halt<VaultError>> {
    let write = put::<SecretRecord>(id, record);
    match &write {
        Write::Put(_, value) if value.len() > VALUE_BYTES_MAX => refuse(VaultError::TooLarge {
            what: "the size of a secret with its tags, as it is stored, in bytes",
            limit: VALUE_BYTES_MAX,
        }),
        _ => Ok(write),
    }
}

/// The latest versions of listed heads. A head that is gone by now is left out.
pub(crate) fn latest(
    permit: &Permit<ListSecrets>,
    view: &View,
    names: &[ObjectName],
) -> Result<Vec<SecretProperties>, Halt<VaultError>> {
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        match find(view, permit.vault(), name, None) {
            Ok(found) => items.push(found.properties),
            Err(Halt::Refuse(VaultError::SecretNotFound { .. })) => {}
            Err(halt) => return Err(halt),
        }
    }
    Ok(items)
}

/// The name of a secret as it was first spelled.
pub(crate) fn spelled(
    permit: &Permit<ListSecrets>,
    view: &View,
    name: &ObjectName,
) -> Result<ObjectName, Halt<VaultError>> {
    Ok(find(view, permit.vault(), name, None)?.properties.name)
}

/// The permit of an action, in the same view as everything else: a removed principal or policy is refused from the moment of its removal.
pub(crate) fn permitted<A: access::Action>(
    view: &View,
    caller: &access::Caller,
    vault: &Vault,
) -> Result<Permit<A>, Halt<VaultError>> {
    access::permit::<A>(view, caller, &vault.scope()).map_err(|halt| halt.map(VaultError::Denied))
}
