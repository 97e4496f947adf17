//! Versions that no head leads to: what a purge leaves behind, and what a restore has laid out before it makes it visible.
//!
//! A record of garbage is written in the commit that drops the head, or before the first version is laid out, so that whatever happens
//! the versions are found and removed.

use crate::{
    Head, Kind, VaultError, certificates::Certificates, deleted::Deleted, keys::Keys, object::Version,
    secrets::Secrets,
};
use access::RoleAssignments;
use domain::{ObjectId, ObjectKind, Timestamp, VaultId};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Halt, Key, Record, StoreError, View, Write, delete, put, refuse};

/// For how long a restore may be under way before what it has laid out is taken for left behind.
pub(crate) const STAGED_FOR: Duration = Duration::from_secs(900);

/// What is to be removed, or may have to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Garbage {
    /// In which vault.
    pub(crate) vault: VaultId,
    /// Of which object; `None`: all that is of the vault.
    pub(crate) object: Option<(ObjectKind, ObjectId)>,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Is it to be removed? If not, somebody is still laying it out, unless that is long ago.
    pub(crate) condemned: bool,
}

impl Garbage {
    /// Of a purged object.
    pub(crate) fn condemned<K: Kind>(vault: VaultId, object: ObjectId, now: Timestamp) -> Self {
        Self { vault, object: Some((K::KIND, object)), since: now, condemned: true }
    }

    /// Of an object that is being laid out.
    pub(crate) fn staged<K: Kind>(vault: VaultId, object: ObjectId, now: Timestamp) -> Self {
        Self { condemned: false, ..Self::condemned::<K>(vault, object, now) }
    }

    /// Of a purged vault.
    pub(crate) const fn of_vault(vault: VaultId, now: Timestamp) -> Self {
        Self { vault, object: None, since: now, condemned: true }
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.condemned || self.since.plus(STAGED_FOR) <= now
    }

    /// Refuses if what is being laid out was taken for left behind, because it took too long: some of it may be gone already.
    pub(crate) fn check_staged(&self, view: &View) -> Result<(), Halt<VaultError>> {
        match view.get::<Self>(&(self.vault, self.object))? {
            Some(garbage) if !garbage.condemned => Ok(()),
            _ => refuse(VaultError::Store(StoreError::Unavailable("the restore took too long".to_owned()))),
        }
    }

    pub(crate) fn prefix() -> Key {
        Key::new("garbage/")
    }

    pub(crate) fn put(&self) -> Write {
        put::<Self>(&(self.vault, self.object), self)
    }

    pub(crate) fn unput(&self) -> Write {
        delete::<Self>(&(self.vault, self.object))
    }

    /// Below which prefixes there is what is to be removed.
    pub(crate) fn prefixes(&self) -> Vec<Key> {
        match self.object {
            Some((ObjectKind::Secret, object)) => vec![Version::<Secrets>::prefix(self.vault, object)],
            Some((ObjectKind::Key, object)) => vec![Version::<Keys>::prefix(self.vault, object)],
            Some((ObjectKind::Certificate, object)) => {
                vec![Version::<Certificates>::prefix(self.vault, object)]
            }
            None => {
                let mut prefixes = vec![RoleAssignments::prefix(self.vault)];
                prefixes.extend(of_kind::<Secrets>(self.vault));
                prefixes.extend(of_kind::<Keys>(self.vault));
                prefixes.extend(of_kind::<Certificates>(self.vault));
                prefixes.extend(crate::certificates::prefixes(self.vault));
                prefixes
            }
        }
    }
}

fn of_kind<K: Kind>(vault: VaultId) -> [Key; 3] {
    [Head::<K>::prefix(vault), Deleted::<K>::prefix(vault), Key::new(format!("{}-version/{vault}/", K::KIND))]
}

impl Record for Garbage {
    type Id = (VaultId, Option<(ObjectKind, ObjectId)>);

    fn key((vault, object): &Self::Id) -> Key {
        Key::new(match object {
            Some((kind, object)) => format!("garbage/{vault}/{kind}/{object}"),
            None => format!("garbage/{vault}/"),
        })
    }
}
