//! [`Vacated`]: something is gone, and roles that were given there may be left.
//!
//! Roles are kept by whom they are given to, so that no decision that takes something away knows all of them. It writes this record instead, in
//! its own commit; the roles go after it, and then the record. Whatever ends in between, the record says what is left to do.

use crate::Scope;
use domain::{AppId, PlanId, PrincipalId};
use serde::{Deserialize, Serialize};
use store::{Key, Record, Write, put};

/// What is gone, by an id that is never used again: what is taken away there later is nobody's. A group is not among them: what is given there
/// goes before it does, and a vault's roles are with the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum Gone {
    /// An app.
    App(AppId),
    /// A user-assigned identity, by its principal.
    Identity(PrincipalId),
    /// An App Service plan.
    Plan(PlanId),
}

impl Gone {
    /// Where roles may be given still.
    pub const fn scope(self) -> Scope {
        match self {
            Self::App(id) => Scope::App(id),
            Self::Identity(id) => Scope::Identity(id),
            Self::Plan(id) => Scope::Plan(id),
        }
    }
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vacated {
    /// What is gone.
    #[serde(rename = "scope")]
    pub gone: Gone,
}

impl Vacated {
    /// Below which all of them are.
    pub fn prefix() -> Key {
        Key::new("vacated/")
    }

    /// The write for the commit that takes something away.
    pub fn mark(gone: Gone) -> Write {
        put::<Self>(&gone, &Self { gone })
    }
}

impl Record for Vacated {
    type Id = Gone;

    fn key(gone: &Gone) -> Key {
        Key::new(match gone {
            Gone::App(id) => format!("vacated/app/{id}"),
            Gone::Identity(id) => format!("vacated/identity/{id}"),
            Gone::Plan(id) => format!("vacated/plan/{id}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_always_written() {
        let id = "11111111-0000-4000-8000-000000000001";
        for (kind, gone) in [
            ("app", Gone::App(id.parse().unwrap())),
            ("identity", Gone::Identity(id.parse().unwrap())),
            ("plan", Gone::Plan(id.parse().unwrap())),
        ] {
            let written = format!(r#"{{"scope":{{"kind":"{kind}","of":"{id}"}}}}"#);
            assert_eq!(serde_json::from_str::<Vacated>(&written).unwrap(), Vacated { gone });
            assert_eq!(serde_json::to_string(&gone.scope()).unwrap(), serde_json::to_string(&gone).unwrap());
            let Write::Put(key, value) = Vacated::mark(gone) else { panic!("it is put") };
            assert_eq!(key, Key::new(format!("vacated/{kind}/{id}")));
            assert_eq!(*value, *written.as_bytes());
        }
        for kind in ["group", "vault"] {
            let written = format!(r#"{{"scope":{{"kind":"{kind}","of":"{id}"}}}}"#);
            assert!(serde_json::from_str::<Vacated>(&written).is_err(), "{kind}");
        }
    }
}
