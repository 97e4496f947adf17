//! Principals by client id: the index beside `access::Principal`.

use crate::group::Membership;
use access::Principal;
use domain::{ClientId, PrincipalId};
use serde::{Deserialize, Serialize};
use store::{Key, Record, Write};

/// From a client id to its principal. Unique by its key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PrincipalIndex {
    pub(crate) principal: PrincipalId,
}

impl Record for PrincipalIndex {
    type Id = ClientId;

    fn key(id: &ClientId) -> Key {
        Key::new(format!("principal-client/{id}"))
    }
}

/// The writes by which a principal comes to be.
pub(crate) fn put(principal: &Principal) -> [Write; 2] {
    [
        store::put::<Principal>(&principal.id, principal),
        store::put::<PrincipalIndex>(&principal.client, &PrincipalIndex { principal: principal.id }),
    ]
}

/// The writes by which a principal ceases to be, and its memberships with it.
pub(crate) fn delete(principal: &Principal) -> Vec<Write> {
    let mut writes =
        vec![store::delete::<Principal>(&principal.id), store::delete::<PrincipalIndex>(&principal.client)];
    let memberships =
        principal.member_of.iter().map(|group| store::delete::<Membership>(&(*group, principal.id)));
    writes.extend(memberships);
    writes
}
