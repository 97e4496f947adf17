//! Where a resource is as the resource manager shows it: its group, its location and its tags. Each vault, app, plan and identity has one.

use crate::{Location, ResourceGroupName, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The place of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The resource group that it is in.
    pub group: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// What people wrote on it.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl Placement {
    /// Is it what everything has that nobody placed? Then records need not say so.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Names and values that people write on a resource. Names are the same in any case (Azure Resource Manager, tags).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

/// Why these are no tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// Too many.
    #[error("a resource has at most {} tags", limits::RESOURCE_TAGS_MAX)]
    TooMany,
    /// A name is empty, too long, or has a control character or one of `<>%&\?/`.
    #[error(
        "a tag's name has 1 to {} characters, none of them a control character or of <>%&\\?/",
        limits::RESOURCE_TAG_NAME_CHARS_MAX
    )]
    Name,
    /// A value is too long, or has a control character.
    #[error(
        "a tag's value has at most {} characters, none of them a control character",
        limits::RESOURCE_TAG_VALUE_CHARS_MAX
    )]
    Value,
    /// All of them are more than a record has room for.
    #[error("the tags of a resource have at most {} bytes in all", limits::RESOURCE_TAGS_BYTES_MAX)]
    TooLarge,
    /// Two names are the same but for their case.
    #[error("two tags have the same name")]
    Twice,
}

impl Tags {
    /// Checks them.
    ///
    /// # Errors
    /// [`TagFault`].
    pub fn new(tags: BTreeMap<String, String>) -> Result<Self, TagFault> {
        if tags.len() > limits::RESOURCE_TAGS_MAX {
            return Err(TagFault::TooMany);
        }
        let mut folded: Vec<String> = tags.keys().map(|name| name.to_lowercase()).collect();
        folded.sort_unstable();
        if folded.windows(2).any(|names| matches!(names, [one, other] if one == other)) {
            return Err(TagFault::Twice);
        }
        for (name, value) in &tags {
            let is_name = (1..=limits::RESOURCE_TAG_NAME_CHARS_MAX).contains(&name.chars().count())
                && !name.contains(['<', '>', '%', '&', '\\', '?', '/'])
                && !name.contains(char::is_control);
            if !is_name {
                return Err(TagFault::Name);
            }
            if value.chars().count() > limits::RESOURCE_TAG_VALUE_CHARS_MAX
                || value.contains(char::is_control)
            {
                return Err(TagFault::Value);
            }
        }
        let bytes: usize = tags.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limits::RESOURCE_TAGS_BYTES_MAX {
            return Err(TagFault::TooLarge);
        }
        Ok(Self(tags))
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let is_it = |(known, _): &(&String, &String)| known.to_lowercase() == name.to_lowercase();
        self.0.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[(&str, &str)]) -> Result<Tags, TagFault> {
        Tags::new(tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_place_is_told_only_if_somebody_chose_it() {
        let mut placement = Placement::default();
        assert!(placement.is_default());
        assert_eq!(placement.group.as_str(), "keyless");
        placement.location = Location::of_display("West Europe").unwrap();
        assert_eq!(placement.location.as_str(), "westeurope");
        assert!(!placement.is_default());
        assert!(Location::of_display("über").is_err() && Location::of_display(" ").is_err());
    }

    #[test]
    fn tags_are_found_in_any_case_and_bounded() {
        let known = tags(&[("Env", "test"), ("team", "")]).unwrap();
        assert_eq!((known.get("ENV"), known.get("team"), known.get("x")), (Some("test"), Some(""), None));
        assert_eq!(tags(&[("env", "a"), ("ENV", "b")]), Err(TagFault::Twice));
        for name in ["", "a/b", "a<b", "a\nb", &"n".repeat(513)] {
            assert_eq!(tags(&[(name, "")]), Err(TagFault::Name), "{name}");
        }
        assert!(tags(&[(&"n".repeat(512), &"v".repeat(256))]).is_ok());
        assert_eq!(tags(&[("n", &"v".repeat(257))]), Err(TagFault::Value));
        assert_eq!(tags(&[("n", "a\0")]), Err(TagFault::Value));
        let wide: Vec<String> = (0..50).map(|number| format!("{number:0>400}")).collect();
        let wide: Vec<(&str, &str)> = wide.iter().map(|name| (name.as_str(), "")).collect();
        assert!(tags(&wide[..40]).is_ok());
        assert_eq!(tags(&wide), Err(TagFault::TooLarge));
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert!(tags(&many[..50]).is_ok());
        assert_eq!(tags(&many), Err(TagFault::TooMany));
    }
}
