//! What is said of a secret's version besides its value, and what a request may change of it.

use crate::VaultError;
use domain::{Secret, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Attributes of one version (Key Vault: `SecretAttributes`). Not before and expiry are for people to read: secrets are served outside of
/// them, as Key Vault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretAttributes {
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

impl SecretAttributes {
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

/// A new version as a request asks for it.
#[derive(Debug)]
pub struct SetSecret {
    /// At most [`limits::SECRET_VALUE_BYTES_MAX`].
    pub value: Secret<String>,
    /// What kind of value it is, for people and programs.
    pub content_type: Option<String>,
    /// Names and values of the caller's own.
    pub tags: BTreeMap<String, String>,
    /// Its attributes.
    pub attributes: AttributesChange,
}

/// A change of a version that is there.
#[derive(Debug, Default)]
pub struct SecretChange {
    /// Replaces, if said.
    pub content_type: Option<String>,
    /// Replaces all tags, if said.
    pub tags: Option<BTreeMap<String, String>>,
    /// Changes those that are said.
    pub attributes: AttributesChange,
}

impl SetSecret {
    pub(crate) fn check(&self) -> Result<(), VaultError> {
        check(self.value.expose().len(), limits::SECRET_VALUE_BYTES_MAX, "the length of the value in bytes")?;
        check_content_type(self.content_type.as_deref())?;
        check_tags(&self.tags)
    }
}

impl SecretChange {
    pub(crate) fn check(&self) -> Result<(), VaultError> {
        check_content_type(self.content_type.as_deref())?;
        self.tags.as_ref().map_or(Ok(()), check_tags)
    }
}

fn check(length: usize, limit: usize, what: &'static str) -> Result<(), VaultError> {
    if length > limit { Err(VaultError::TooLarge { what, limit }) } else { Ok(()) }
}

fn check_content_type(content_type: Option<&str>) -> Result<(), VaultError> {
    check(
        content_type.map_or(0, |text| text.chars().count()),
        limits::CONTENT_TYPE_CHARS_MAX,
        "the length of contentType in characters",
    )
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), VaultError> {
    check(tags.len(), limits::TAGS_MAX, "the number of tags")?;
    tags.iter().try_for_each(|(name, value)| {
        check(name.chars().count(), limits::TAG_CHARS_MAX, "the length of a tag's name in characters")?;
        check(value.chars().count(), limits::TAG_CHARS_MAX, "the length of a tag's value in characters")
    })
}
