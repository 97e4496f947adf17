//! Keys: what a version consists of, and the decisions that make, take in and change versions. Each takes the permit of its action.
//!
//! One file for each idea: `content` (what is kept of a version), `fault` (what can go wrong), `operations` (who may use a key, and when),
//! `rotation` and `period` (policies and their times), `release` (policies of release), `open` (keys that are in use). How a key works is
//! `crypt::keys`'s.

mod content;
mod fault;

pub use content::{KeyContent, KeyKind, KeyOp, PublicHalf, ReleasePolicy};
pub use fault::KeyFault;

use crate::{
    VaultError,
    object::{Kind, Object, Place, Version},
};
use access::{
    BackupKey, DeleteKey, GetDeletedKey, GetKey, ListDeletedKeys, ListKeys, PurgeKey, RecoverKey, RestoreKey,
    UpdateKey,
};
use crypt::Sealed;
use domain::{ObjectKind, limits};
use serde::{Deserialize, Serialize};
use store::{Decision, Halt};

/// Keys, as a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {}

/// What is kept of a key besides its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyAbout {}

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
}

/// Adds the key of a new version of a certificate, in its transaction: the place was found as a managed one, and the version is the
/// certificate's own. What becomes of such a key is the certificate's to say, so it has no rotation policy.
pub(crate) fn managed_version(
    place: Place<Keys>,
    version: Version<Keys>,
) -> Result<Decision<Object<Keys>>, Halt<VaultError>> {
    place.add(version, true, KeyAbout::default())
}
