//! What is to happen at a time: purges of what was deleted, rotations of keys, renewals of certificates. Ordered by time in the store, so
//! that looking for what is due costs nothing while nothing is.

use crate::{Head, Kind, Vault};
use domain::{ObjectId, ObjectKind, ObjectName, Timestamp, VaultId, VaultName};
use serde::{Deserialize, Serialize};
use std::fmt;
use store::{Key, Record, Write, delete, put};

/// What is to be done. Objects by name, to find them, and by id, to know that it is still they.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Delete a deleted object for good.
    Purge {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
        /// Which.
        object: ObjectId,
    },
    /// Delete the deleted vault for good.
    PurgeVault,
    /// Make a new version of a key, as its rotation policy says.
    Rotate {
        /// Its name.
        name: ObjectName,
        /// Which.
        object: ObjectId,
    },
    /// Make a new version of a certificate, as its policy says.
    Renew {
        /// Its name.
        name: ObjectName,
        /// Which.
        object: ObjectId,
    },
}

/// As it is named in keys and in the log.
impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Purge { kind, object, .. } => write!(formatter, "purge/{kind}/{object}"),
            Self::PurgeVault => formatter.write_str("purge-vault"),
            Self::Rotate { object, .. } => write!(formatter, "rotate/{object}"),
            Self::Renew { object, .. } => write!(formatter, "renew/{object}"),
        }
    }
}

/// One thing that is to happen. Whether it still is to, what it is about decides when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// In which vault, by name.
    pub vault: VaultName,
    /// In which vault.
    pub vault_id: VaultId,
    /// What.
    pub task: Task,
}

impl Due {
    pub(crate) fn prefix() -> Key {
        Key::new("due/")
    }

    pub(crate) fn put(&self) -> Write {
        put::<Self>(self, self)
    }

    pub(crate) fn unput(&self) -> Write {
        delete::<Self>(self)
    }
}

/// What is scheduled for an object, if anything.
fn of<K: Kind>(vault: &Vault, head: &Head<K>) -> Option<Due> {
    let (at, task) = K::due(head)?;
    Some(Due { at, vault: vault.name.clone(), vault_id: vault.id, task })
}

/// The writes by which what is scheduled for an object is what its head says after a change: `None` is an object that is not there.
pub(crate) fn moved<K: Kind>(vault: &Vault, before: Option<&Head<K>>, after: Option<&Head<K>>) -> Vec<Write> {
    let (before, after) = (before.and_then(|head| of(vault, head)), after.and_then(|head| of(vault, head)));
    if before == after {
        return Vec::new();
    }
    before.iter().map(Due::unput).chain(after.iter().map(Due::put)).collect()
}

impl Record for Due {
    type Id = Self;

    /// Times before 1970 are due as well: they are taken for 1970.
    fn key(due: &Self) -> Key {
        let at = due.at.seconds().max(0);
        Key::new(format!("due/{at:020}/{}/{}", due.vault_id, due.task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_time() {
        let due = |at| Due {
            at: Timestamp::from_seconds(at),
            vault: VaultName::parse("shop").unwrap(),
            vault_id: "00000000-0000-4000-8000-000000000000".parse().unwrap(),
            task: Task::PurgeVault,
        };
        let keys: Vec<Key> =
            [-5, 9, 10, 1_800_000_000, i64::MAX].into_iter().map(|at| Due::key(&due(at))).collect();
        assert!(keys.is_sorted_by(|one, next| one < next));
        assert!(keys.iter().all(|key| key.as_bytes().starts_with(Due::prefix().as_bytes())));
    }
}
