//! What the resource manager alone knows of an app: its plan, and what App Service's clients set and want to be told again. Nothing here
//! makes the app run otherwise.
//!
//! Owns: the record, which goes with its app. Owns not: the decisions that change it (`resource`).

use domain::{AppId, PlanId, PlanName, ResourceGroupName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Key, Record};

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its plan; without one it is in the plan that is always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRef>,
    /// Which plan of that name: one that is made later is another. `None` in records of older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
    /// `app,linux` or the like, as its maker said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Values of `config/web` and of the site itself that are told again, at most [`domain::limits::SITE_VALUES_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, SiteValue>,
    /// Settings that a client wants to stay in their slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slot_settings: Vec<String>,
    /// Connection strings that a client wants to stay in their slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slot_connection_strings: Vec<String>,
}

/// A plan by its name: plans of two groups may have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// Its group.
    pub group: ResourceGroupName,
    /// Its name.
    pub name: PlanName,
}

/// One of its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SiteValue {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text, of at most [`domain::limits::SITE_VALUE_BYTES_MAX`].
    Text(String),
}

impl Record for Site {
    type Id = AppId;

    fn key(app: &AppId) -> Key {
        Key::new(format!("site/{app}"))
    }
}

impl Site {
    /// Below which all of them are.
    pub fn prefix() -> Key {
        Key::new("site/")
    }

    /// Is it in this very plan, as which what has its name is there now?
    pub fn is_in(&self, plan: PlanId) -> bool {
        self.plan.is_some() && self.plan_id.is_none_or(|id| id == plan)
    }
}
