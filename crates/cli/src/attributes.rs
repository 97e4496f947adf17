//! What can be said of an object besides its value: validity, tags, whether it is enabled. Dates as people write them.

use crate::{failure::Failure, time, vault::misuse};
use clap::Args;
use domain::{Clock, limits};
use jiff::Span;
use serde::Serialize;
use std::{collections::BTreeMap, str::FromStr};

/// When an object is valid, and its tags.
#[derive(Debug, Args)]
pub(crate) struct Described {
    /// From when it should not be used: 2027-01-31, 2027-01-31T12:00:00Z, or from now: 90d, 1y, 12h
    #[arg(long, value_name = "TIME")]
    expires: Option<When>,
    /// Before when it should not be used; as --expires
    #[arg(long, value_name = "TIME")]
    not_before: Option<When>,
    /// A tag; may be given more than once
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
}

/// What is to be changed of an object.
#[derive(Debug, Args)]
pub(crate) struct Changed {
    #[command(flatten)]
    described: Described,
    /// Take all tags away (--tag replaces all of them, too)
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Serve it
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// Do not serve it until it is enabled again
    #[arg(long)]
    disabled: bool,
}

/// `Attributes` as they are sent: what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<i64>,
}

/// Attributes and tags, as they are sent.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Properties {
    pub(crate) attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
}

/// A moment as a person says it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// At this second.
    At(i64),
    /// So long from now.
    In(Span),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(seconds) = time::parse(text) {
            return Ok(Self::At(seconds));
        }
        match text.parse::<Span>() {
            Ok(span) if span.is_positive() => Ok(Self::In(span)),
            _ => Err("a time is 2027-01-31 (UTC), 2027-01-31T12:00:00Z, or from now such as 90d, 1y or 12h"
                .to_owned()),
        }
    }
}

impl When {
    /// In seconds since 1970.
    pub(crate) fn seconds(self, now: domain::Timestamp) -> Result<i64, Failure> {
        let seconds = match self {
            Self::At(seconds) => Some(seconds),
            // A year is one of the calendar's, and a day has 24 hours: UTC knows no other.
            Self::In(span) => {
                time::civil(now.seconds()).and_then(|now| now.checked_add(span).ok()).map(time::seconds)
            }
        };
        seconds
            .filter(|seconds| (0..=limits::SECRET_TIME_SECONDS_MAX).contains(seconds))
            .ok_or_else(|| misuse("a time is within the years 1970 to 9999"))
    }
}

/// A tag as an argument.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("a tag is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Tags, each name once.
pub(crate) fn tags(given: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let mut tags = BTreeMap::new();
    for (name, value) in given {
        if let Some(_other) = tags.insert(name.clone(), value) {
            return Err(misuse(format!("the tag {name} is given twice")));
        }
    }
    Ok(tags)
}

impl Described {
    /// As it is sent with a new object.
    pub(crate) fn properties(self, enabled: Option<bool>) -> Result<Properties, Failure> {
        let now = server::SystemClock.now();
        let seconds = |when: Option<When>| when.map(|when| when.seconds(now)).transpose();
        let attributes = Attributes { enabled, nbf: seconds(self.not_before)?, exp: seconds(self.expires)? };
        let tags = tags(self.tags)?;
        Ok(Properties { attributes, tags: (!tags.is_empty()).then_some(tags) })
    }
}

impl Changed {
    /// As it is sent; nothing at all is a misuse, unless something else `is_changed`.
    pub(crate) fn properties(self, is_changed: bool) -> Result<Properties, Failure> {
        let enabled = (self.enabled || self.disabled).then_some(self.enabled);
        let mut properties = self.described.properties(enabled)?;
        if self.no_tags {
            properties.tags = Some(BTreeMap::new());
        }
        if properties == Properties::default() && !is_changed {
            return Err(misuse("nothing to change is given").next("--help says what can be."));
        }
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: domain::Timestamp = domain::Timestamp::from_seconds(1_795_530_813);

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("2027-01-31", 1_801_353_600),
            ("2027-01-31T12:00:00Z", 1_801_396_800),
            ("2027-01-31T12:00:00+02:00", 1_801_389_600),
            ("2027-01-31 12:00:00Z", 1_801_396_800),
            ("90d", 1_795_530_813 + 90 * 86_400),
            ("12h", 1_795_530_813 + 12 * 3_600),
            ("1y", 1_795_530_813 + 365 * 86_400),
            ("P90D", 1_795_530_813 + 90 * 86_400),
            ("1970-01-01", 0),
        ] {
            assert_eq!(text.parse::<When>().unwrap().seconds(NOW).unwrap(), seconds, "{text}");
        }
        for bad in [
            "",
            "tomorrow",
            "1795530813",
            "90",
            "-90d",
            "90d ago",
            "0d",
            "2027-02-30",
            "2027-01-31T12:00:00",
            "31.01.2027",
        ] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
        for out in ["1969-12-31", "9000y"] {
            assert!(out.parse::<When>().unwrap().seconds(NOW).is_err(), "{out}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_sent() {
        let said =
            |changed: Changed| changed.properties(false).map(|said| serde_json::to_string(&said).unwrap());
        let none = || Described { expires: None, not_before: None, tags: Vec::new() };
        let nothing = Changed { described: none(), no_tags: false, enabled: false, disabled: false };
        assert_eq!(said(nothing).unwrap_err().exit_code(), crate::failure::USAGE);
        let disabled = Changed { described: none(), no_tags: true, enabled: false, disabled: true };
        assert_eq!(said(disabled).unwrap(), r#"{"attributes":{"enabled":false},"tags":{}}"#);
        let twice = Described { tags: vec![("a".into(), "b".into()), ("a".into(), "c".into())], ..none() };
        assert!(twice.properties(None).unwrap_err().to_string().contains("twice"));
    }
}
