//! [`Vacated`]: something is gone, and roles that were given there may be left.
//!
//! Roles are kept by whom they are given to, so that no decision that takes something away knows all of them. It writes this record instead, in
//! its own commit; the roles go after it, and then the record. Whatever ends in between, the record says what is left to do.

use crate::Scope;
use serde::{Deserialize, Serialize};
use store::{Key, Record, Write, put};

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vacated {
    /// Where roles may be given still.
    pub scope: Scope,
}

impl Vacated {
    /// Below which all of them are.
    pub fn prefix() -> Key {
        Key::new("vacated/")
    }

    /// The write for the commit that takes something away.
    pub fn mark(scope: Scope) -> Write {
        let vacated = Self { scope };
        put::<Self>(&vacated.scope, &vacated)
    }
}

impl Record for Vacated {
    type Id = Scope;

    fn key(scope: &Scope) -> Key {
        Key::new(match scope {
            Scope::Subscription => "vacated/subscription".to_owned(),
            Scope::Group(name) => format!("vacated/group/{}", name.folded()),
            Scope::Vault(id) => format!("vacated/vault/{id}"),
            Scope::App(id) => format!("vacated/app/{id}"),
            Scope::Identity(id) => format!("vacated/identity/{id}"),
            Scope::Plan(id) => format!("vacated/plan/{id}"),
        })
    }
}
