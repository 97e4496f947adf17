//! What is said of every version: attributes and tags, and what a request may change of them.

use crate::VaultError;
use domain::{Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Attributes of one version (Key Vault: `Attributes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Is it served at all?
    pub enabled: bool,
    /// Not to be used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Not to be used from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When this version was made.
    pub created: Timestamp,
    /// When its attributes were last changed.
    pub updated: Timestamp,
}

/// What a request says about attributes; what it leaves out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributesChange {
    /// Serve it?
    pub enabled: Option<bool>,
    /// Not to be used before.
    pub not_before: Option<Timestamp>,
    /// Not to be used from then on.
    pub expires: Option<Timestamp>,
}

impl Attributes {
    /// Of a new version.
    pub(crate) fn new(asked: AttributesChange, now: Timestamp) -> Self {
        Self {
            enabled: asked.enabled.unwrap_or(true),
            not_before: asked.not_before,
            expires: asked.expires,
            created: now,
            updated: now,
        }
    }

    /// After a change.
    pub(crate) fn changed(self, change: AttributesChange, now: Timestamp) -> Self {
        Self {
            enabled: change.enabled.unwrap_or(self.enabled),
            not_before: change.not_before.or(self.not_before),
            expires: change.expires.or(self.expires),
            updated: now,
            ..self
        }
    }
}

pub(crate) fn check(length: usize, limit: usize, what: &'static str) -> Result<(), VaultError> {
    if length > limit { Err(VaultError::TooLarge { what, limit }) } else { Ok(()) }
}

pub(crate) fn check_tags(tags: &BTreeMap<String, String>, chars_max: usize) -> Result<(), VaultError> {
    check(tags.len(), limits::TAGS_MAX, "the number of tags")?;
    tags.iter().try_for_each(|(name, value)| {
        check(name.chars().count(), chars_max, "the length of a tag's name in characters")?;
        check(value.chars().count(), chars_max, "the length of a tag's value in characters")
    })
}
