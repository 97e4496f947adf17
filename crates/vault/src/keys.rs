//! Keys: what a version consists of.

use crate::object::Kind;
use access::{
    BackupKey, DeleteKey, GetDeletedKey, GetKey, ListDeletedKeys, ListKeys, PurgeKey, RecoverKey, RestoreKey, UpdateKey,
};
use crypt::Sealed;
use domain::{ObjectKind, limits};
use serde::{Deserialize, Serialize};

/// Keys, as a kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {}

/// What is kept of a key besides its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyAbout {}

/// What a version of a key consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyContent {
    /// The private key, sealed under the vault's key at this version's address.
    pub(crate) sealed: Sealed,
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

    fn resealed(_content: KeyContent, sealed: Sealed) -> KeyContent {
        KeyContent { sealed }
    }
}
