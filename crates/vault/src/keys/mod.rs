//! Keys: what a version consists of, and the decisions that only keys have. Each takes the permit of its action.
//!
//! One file for each idea: `content` (what is kept of a version), `versions` (making, taking in, changing), `operations` (who may use a
//! key, and when), `rotation` and `period` (policies and their times), `release` (policies of release), `open` (keys that are in use),
//! `fault` (what can go wrong). How a key works is `crypt::keys`'s.

mod content;
mod fault;
pub(crate) mod open;
pub(crate) mod operations;
mod period;
pub(crate) mod release;
pub(crate) mod rotation;
pub(crate) mod versions;

pub use content::{KeyContent, KeyKind, KeyOp, PublicHalf, ReleasePolicy};
pub use fault::KeyFault;
pub use period::Period;
pub use rotation::{LifetimeAction, LifetimeActionKind, NewRotationPolicy, RotationPolicy};
pub use versions::{ImportedKey, KeyChange, KeyTerms, NewKey};

use crate::{
    VaultError,
    object::{Head, Kind, Object, Place, Version},
    schedule::Task,
};
use access::{
    BackupKey, DeleteKey, GetDeletedKey, GetKey, ListDeletedKeys, ListKeys, PurgeKey, RecoverKey, RestoreKey,
    UpdateKey,
};
use crypt::Sealed;
use domain::{ObjectKind, Timestamp, limits};
use serde::{Deserialize, Serialize};
use store::{Decision, Halt};

/// Keys, as a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {}

/// What is kept of a key besides its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyAbout {
    /// How it is renewed, if that was ever said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationPolicy>,
    /// When it is renewed by itself, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<Timestamp>,
}

impl Kind for Keys {
    const KIND: ObjectKind = ObjectKind::Key;
    const TAG_CHARS_MAX: usize = limits::KEY_TAG_CHARS_MAX;
    type About = KeyAbout;
    type Content = KeyContent;
    type Get = GetKey;
    type List = ListKeys;
    type Update = UpdateKey;
    type Delete = DeleteKey;
    type GetDeleted = GetDeletedKey;
    type ListDeleted = ListDeletedKeys;
    type Recover = RecoverKey;
    type Purge = PurgeKey;
    type Backup = BackupKey;
    type Restore = RestoreKey;

    fn sealed(content: &KeyContent) -> Option<&Sealed> {
        Some(&content.sealed)
    }

    fn resealed(content: KeyContent, sealed: Sealed) -> KeyContent {
        KeyContent { sealed, ..content }
    }

    fn due(head: &Head<Self>) -> Option<(Timestamp, Task)> {
        let at = head.about.due?;
        Some((at, Task::Rotate { name: head.name.clone(), object: head.id }))
    }
}

/// Adds the key of a new version of a certificate, in its transaction: the place was found as a managed one, and the version is the
/// certificate's own. What becomes of such a key is the certificate's to say, so it has no rotation policy.
pub(crate) fn managed_version(
    place: Place<Keys>,
    version: Version<Keys>,
) -> Result<Decision<Object<Keys>>, Halt<VaultError>> {
    place.add(version, true, KeyAbout::default())
}
