//! Principals by client id: the index beside `access::Principal`.

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

/// The writes by which a principal ceases to be.
pub(crate) fn delete(principal: &Principal) -> [Write; 2] {
    [store::delete::<Principal>(&principal.id), store::delete::<PrincipalIndex>(&principal.client)]
}
