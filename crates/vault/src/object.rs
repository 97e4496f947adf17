//! What secrets, keys and certificates have in common: a head that holds the latest version, and the others, each a record of its own.
//!
//! Owns: the records, finding them, adding and changing versions. Owns not: what a version of one kind consists of (`secrets`, `keys`,
//! `certificates`), deletion (`deleted`).
//!
//! Versions are kept below the object's id, not its name: who purges an object and makes another of its name meets nothing of the old one.
//! Most requests want the latest: it stands in the head, if it is small, and has a record of its own once it is the latest no more (ADR 0029).

use crate::{
    Attributes, AttributesChange, Vault, VaultError,
    attributes::check_tags,
    certificates,
    schedule::{self, Task},
};
use access::{Action, Permit};
use domain::{ObjectId, ObjectKind, ObjectName, ObjectVersion, Timestamp, VaultId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt, sync::Arc};
use store::{Decision, Halt, Key, Load, Record, View, Write, contract::VALUE_BYTES_MAX, delete, put, refuse};

/// Bytes of a head, as it is stored, up to which the latest version stands in it: a page of heads stays small, and so does what a deletion
/// adds to one.
pub(crate) const HEAD_BYTES_MAX: usize = 4_096;

/// What is stored of something.
pub trait Stored:
    Serialize + DeserializeOwned + Clone + fmt::Debug + PartialEq + Send + Sync + 'static
{
}
impl<T: Serialize + DeserializeOwned + Clone + fmt::Debug + PartialEq + Send + Sync + 'static> Stored for T {}

/// A kind of object: what it consists of, and by which actions callers may do what all kinds can.
pub trait Kind: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Which.
    const KIND: ObjectKind;
    /// Characters of the name and of the value of a tag.
    const TAG_CHARS_MAX: usize;
    /// What is kept of an object besides its versions.
    type About: Stored + Default;
    /// What one version consists of, besides attributes and tags.
    type Content: Stored;
    /// Seeing it.
    type Get: Action;
    /// Listing.
    type List: Action;
    /// Changing what is said of a version.
    type Update: Action;
    /// Deleting it, recoverably.
    type Delete: Action;
    /// Seeing it deleted.
    type GetDeleted: Action;
    /// Listing deleted ones.
    type ListDeleted: Action;
    /// Bringing it back.
    type Recover: Action;
    /// Deleting it for good.
    type Purge: Action;
    /// Taking it out, sealed.
    type Backup: Action;
    /// Putting it in again.
    type Restore: Action;

    /// The part of a version that is sealed under the vault's key, if any is.
    fn sealed(content: &Self::Content) -> Option<&crypt::Sealed>;

    /// The same version with that part sealed anew: for another vault, or for a backup.
    fn resealed(content: Self::Content, sealed: crypt::Sealed) -> Self::Content;

    /// When something is to happen to an object by itself, and what. It is scheduled exactly while the object is there and not deleted.
    fn due(_head: &Head<Self>) -> Option<(Timestamp, Task)> {
        None
    }
}

/// The head of an object. There is one exactly while the object is not deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Head<K: Kind> {
    /// Never used again, even for another object of the same name.
    pub id: ObjectId,
    /// As it was spelled when it was first made.
    pub name: ObjectName,
    /// The latest version.
    pub latest: ObjectVersion,
    /// The same, whole; `None`: it is too large for here, or was written before heads had it, and has a record of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) whole: Option<Arc<Version<K>>>,
    /// Does it belong to a certificate? Then only that can be deleted or renewed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub managed: bool,
    /// What its kind keeps besides.
    #[serde(default)]
    pub about: K::About,
}

impl<K: Kind> Head<K> {
    pub(crate) fn prefix(vault: VaultId) -> Key {
        Key::new(format!("{}/{vault}/", K::KIND))
    }

    /// A version of this object.
    pub(crate) fn version(
        &self,
        view: &View,
        vault: VaultId,
        version: ObjectVersion,
    ) -> Result<Option<Arc<Version<K>>>, Load> {
        match &self.whole {
            Some(latest) if latest.version == version => Ok(Some(latest.clone())),
            _ => view.get::<Version<K>>(&(vault, self.id, version)),
        }
    }

    /// The head with this for its latest version, and the writes of both.
    pub(crate) fn with_latest(
        mut self,
        vault: VaultId,
        version: &Arc<Version<K>>,
    ) -> Result<(Self, Vec<Write>), Halt<VaultError>> {
        let id = (vault, self.name.clone());
        self.latest = version.version;
        self.whole = Some(version.clone());
        let write = put::<Self>(&id, &self);
        if write.value_bytes() <= HEAD_BYTES_MAX {
            return Ok((self, vec![write]));
        }
        self.whole = None;
        let version = fitting::<K>(&(vault, self.id, version.version), version)?;
        let write = put::<Self>(&id, &self);
        Ok((self, vec![write, version]))
    }
}

impl<K: Kind> Record for Head<K> {
    type Id = (VaultId, ObjectName);

    fn key((vault, name): &Self::Id) -> Key {
        let kind = K::KIND.as_str().as_bytes();
        Key::of(&[kind, b"/", vault.text().as_ref(), b"/", name.folded().as_bytes()])
    }
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Version<K: Kind> {
    /// Which.
    pub version: ObjectVersion,
    /// Its attributes.
    pub attributes: Attributes,
    /// The caller's own names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What its kind consists of.
    pub content: K::Content,
}

/// What names a version's record.
pub type VersionId = (VaultId, ObjectId, ObjectVersion);

impl<K: Kind> Version<K> {
    pub(crate) fn prefix(vault: VaultId, object: ObjectId) -> Key {
        Key::new(format!("{}-version/{vault}/{object}/", K::KIND))
    }

    /// The address under which its content is sealed: moved to another vault, object or version it does not open.
    pub(crate) fn address(id: &VersionId) -> Vec<u8> {
        Self::key(id).as_bytes().to_vec()
    }
}

impl<K: Kind> Record for Version<K> {
    type Id = VersionId;

    fn key((vault, object, version): &Self::Id) -> Key {
        let (vault, object, kind) = (vault.text(), object.text(), K::KIND.as_str().as_bytes());
        Key::of(&[kind, b"-version/", vault.as_ref(), b"/", object.as_ref(), b"/", &version.text()])
    }
}

/// A version of an object with its head: what most operations answer. What is secret of it stays sealed.
#[derive(Clone, Debug)]
pub struct Object<K: Kind> {
    /// Its head.
    pub head: Arc<Head<K>>,
    /// The version.
    pub version: Arc<Version<K>>,
}

impl<K: Kind> Object<K> {
    pub(crate) fn id(&self, vault: VaultId) -> VersionId {
        (vault, self.head.id, self.version.version)
    }
}

/// The head of an object that is not deleted.
pub(crate) fn head<K: Kind>(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
) -> Result<Arc<Head<K>>, Halt<VaultError>> {
    match view.get::<Head<K>>(&(vault, name.clone()))? {
        Some(head) => Ok(head),
        None => refuse(not_found::<K>(name, None)),
    }
}

/// The latest version, or the named one.
pub(crate) fn find<K: Kind>(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Object<K>, Halt<VaultError>> {
    let head = head::<K>(view, vault, name)?;
    match head.version(view, vault, version.unwrap_or(head.latest))? {
        Some(version) => Ok(Object { head, version }),
        None => refuse(not_found::<K>(name, version)),
    }
}

pub(crate) fn not_found<K: Kind>(name: &ObjectName, version: Option<ObjectVersion>) -> VaultError {
    VaultError::ObjectNotFound { kind: K::KIND, name: name.clone(), version }
}

/// Sees a version, whatever its attributes say.
pub(crate) fn see<K: Kind>(
    permit: &Permit<K::Get>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Object<K>, Halt<VaultError>> {
    find(view, permit.vault(), name, version)
}

/// Where a new version goes: into an object that is there, or into a new one of this id. A name that a deleted object holds is taken.
pub(crate) struct Place<K: Kind> {
    pub(crate) vault: VaultId,
    pub(crate) id: ObjectId,
    name: ObjectName,
    pub(crate) head: Option<Arc<Head<K>>>,
}

/// Finds the place of a new version. `managed`: the version is a certificate's own.
pub(crate) fn place<K: Kind>(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
    fresh: ObjectId,
    managed: bool,
) -> Result<Place<K>, Halt<VaultError>> {
    let head_id = (vault, name.clone());
    if let Some(head) = view.get::<Head<K>>(&head_id)? {
        return match (head.managed, managed) {
            (true, false) => refuse(VaultError::ManagedByCertificate {
                kind: K::KIND,
                name: head.name.clone(),
                operation: "set",
            }),
            (false, true) => refuse(VaultError::NameTaken { kind: K::KIND, name: head.name.clone() }),
            _ => Ok(Place { vault, id: head.id, name: head.name.clone(), head: Some(head) }),
        };
    }
    if view.get::<crate::deleted::Deleted<K>>(&head_id)?.is_some() {
        return refuse(VaultError::ObjectIsDeleted { kind: K::KIND, name: name.clone() });
    }
    if !managed {
        require_unreserved::<K>(view, vault, name)?;
    }
    Ok(Place { vault, id: fresh, name: name.clone(), head: None })
}

/// The name of a certificate that is being made is no key's and no secret's.
pub(crate) fn require_unreserved<K: Kind>(
    view: &View,
    vault: VaultId,
    name: &ObjectName,
) -> Result<(), Halt<VaultError>> {
    match K::KIND {
        // Whoever makes one looks at its pending operation anyway.
        ObjectKind::Certificate => Ok(()),
        kind => certificates::require_unreserved(view, vault, (kind, name)),
    }
}

impl<K: Kind> Place<K> {
    /// In an object that was found.
    pub(crate) fn of(vault: VaultId, head: Arc<Head<K>>) -> Self {
        Self { vault, id: head.id, name: head.name.clone(), head: Some(head) }
    }

    /// Adds a version there and makes it the latest; the one that was has a record of its own from now on. The name keeps the spelling of
    /// its first version.
    pub(crate) fn add(
        self,
        version: Version<K>,
        managed: bool,
        about: K::About,
    ) -> Result<Decision<Object<K>>, Halt<VaultError>> {
        let head =
            Head { id: self.id, name: self.name, latest: version.version, whole: None, managed, about };
        let version = Arc::new(version);
        let (head, mut writes) = head.with_latest(self.vault, &version)?;
        if let Some(before) = self.head.as_ref().and_then(|head| head.whole.as_ref()) {
            writes.push(fitting::<K>(&(self.vault, self.id, before.version), before)?);
        }
        Ok(Decision::of(Object { head: Arc::new(head), version }, writes))
    }
}

/// What a request says of a version that is there; what it leaves out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct VersionChange {
    /// Replaces all tags, if said.
    pub tags: Option<BTreeMap<String, String>>,
    /// Changes those that are said.
    pub attributes: AttributesChange,
}

/// What becomes of an object of which a version, or what its kind keeps besides, is changed.
pub(crate) struct Change<K: Kind> {
    before: Object<K>,
    after: Object<K>,
}

impl<K: Kind> Change<K> {
    /// Of what was found; nothing is changed yet.
    pub(crate) fn of(found: Object<K>) -> Self {
        Self { before: found.clone(), after: found }
    }

    /// As it is now to be.
    pub(crate) fn after(&self) -> &Object<K> {
        &self.after
    }

    /// The version is to be this.
    pub(crate) fn version(&mut self, version: Version<K>) {
        self.after.version = Arc::new(version);
    }

    /// What the kind keeps besides is to be this.
    pub(crate) fn about(&mut self, about: K::About) {
        self.after.head = Arc::new(Head { about, ..Head::clone(&self.after.head) });
    }

    /// The writes; what was scheduled follows.
    pub(crate) fn decided(self, vault: &Vault) -> Result<Decision<Object<K>>, Halt<VaultError>> {
        let Self { before, mut after } = self;
        let is_changed = before.version != after.version;
        let mut writes = Vec::new();
        if is_changed && after.version.version == after.head.latest {
            let (head, written) = Head::clone(&after.head).with_latest(vault.id, &after.version)?;
            writes.extend(written);
            if before.head.whole.is_none() && head.whole.is_some() {
                writes.push(delete::<Version<K>>(&before.id(vault.id)));
            }
            after.head = Arc::new(head);
        } else {
            if is_changed {
                writes.push(fitting::<K>(&after.id(vault.id), &after.version)?);
            }
            if before.head != after.head {
                writes.push(put::<Head<K>>(&(vault.id, after.head.name.clone()), &after.head));
            }
        }
        writes.extend(schedule::moved(vault, Some(&*before.head), Some(&*after.head)));
        Ok(Decision::of(after, writes))
    }
}

/// Changes what is said of a version; `content` changes what its kind lets change.
pub(crate) fn update<K: Kind>(
    permit: &Permit<K::Update>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    change: &VersionChange,
    now: Timestamp,
    content: impl FnOnce(&mut K::Content) -> Result<(), VaultError>,
) -> Result<Change<K>, Halt<VaultError>> {
    if let Some(tags) = &change.tags {
        check_tags(tags, K::TAG_CHARS_MAX).map_err(Halt::Refuse)?;
    }
    let found = find::<K>(view, permit.vault(), name, version)?;
    // Or who may change secrets could bring back what who may change certificates has disabled.
    if found.head.managed && change.attributes != AttributesChange::default() {
        let (kind, name) = (K::KIND, found.head.name.clone());
        return refuse(VaultError::ManagedByCertificate { kind, name, operation: "update" });
    }
    let mut changed = Version::clone(&found.version);
    changed.attributes = changed.attributes.changed(change.attributes, now);
    if let Some(tags) = &change.tags {
        changed.tags.clone_from(tags);
    }
    content(&mut changed.content).map_err(Halt::Refuse)?;
    let mut change = Change::of(found);
    change.version(changed);
    Ok(change)
}

/// The write of a version, if a store can keep it. Its parts may each be of their full size, but tags that are all of long characters do
/// not fit beside a full value: that is the caller's to know, not a failure of ours.
pub(crate) fn fitting<K: Kind>(id: &VersionId, version: &Version<K>) -> Result<Write, Halt<VaultError>> {
    let write = put::<Version<K>>(id, version);
    match write.fits() {
        true => Ok(write),
        false => refuse(VaultError::TooLarge {
            what: "the size of a version with its tags, as it is stored, in bytes",
            limit: VALUE_BYTES_MAX,
        }),
    }
}

/// The latest versions of listed heads. A head that is gone by now is left out.
pub(crate) fn latest<K: Kind>(
    permit: &Permit<K::List>,
    view: &View,
    names: &[ObjectName],
) -> Result<Vec<Object<K>>, Halt<VaultError>> {
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        match find(view, permit.vault(), name, None) {
            Ok(found) => items.push(found),
            Err(Halt::Refuse(VaultError::ObjectNotFound { .. })) => {}
            Err(halt) => return Err(halt),
        }
    }
    Ok(items)
}
