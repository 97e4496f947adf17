//! The shapes of bodies, and whether a body is of its shape.

use super::table::Version;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a property may hold.
#[derive(Clone, Debug)]
enum Type {
    Text,
    Boolean,
    Integer(Option<i64>, Option<i64>),
    UnixTime,
    Base64Url,
    Base64,
    OneOf(Vec<(String, Version)>),
    List(Box<Type>),
    Texts,
    /// The path of an object's URL.
    Link(String),
    NextLink,
    Shape(String),
}

impl Type {
    fn parse(text: &str) -> Self {
        let within = |open, close| text.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
        if let Some(words) = within("(", ")") {
            return Self::OneOf(words.split('|').map(Version::since).collect());
        }
        if let Some(item) = within("[", "]") {
            return Self::List(Box::new(Self::parse(item)));
        }
        if let Some(path) = within("<", ">") {
            return Self::Link(path.to_owned());
        }
        if let Some((least, most)) = text.strip_prefix("integer:").and_then(|range| range.split_once("..")) {
            return Self::Integer(least.parse().ok(), most.parse().ok());
        }
        match text {
            "text" => Self::Text,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer(None, None),
            "unixtime" => Self::UnixTime,
            "base64url" => Self::Base64Url,
            "base64" => Self::Base64,
            "{text}" => Self::Texts,
            "next" => Self::NextLink,
            name if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
                Self::Shape(name.to_owned())
            }
            other => panic!("no such type: {other}"),
        }
    }

    fn shape(&self) -> Option<&str> {
        match self {
            Self::Shape(name) => Some(name),
            Self::List(item) => item.shape(),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Property {
    name: String,
    holds: Type,
    since: Version,
    is_required: bool,
    is_read_only: bool,
    is_always: bool,
    is_never: bool,
}

impl Property {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, holds, marks @ ..] = &*words else { panic!("name, type, marks: {line}") };
        let known = ["required", "read-only", "always", "never", "beside"];
        assert!(marks.iter().all(|mark| known.contains(mark)), "marks: {line}");
        let (name, since) = Version::since(name);
        let is = |mark| marks.contains(&mark);
        Self {
            name,
            holds: Type::parse(holds),
            since,
            is_required: is("required"),
            is_read_only: is("read-only"),
            is_always: is("always"),
            is_never: is("never"),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Shape {
    base: Option<String>,
    properties: Vec<Property>,
}

/// All shapes, by name.
#[derive(Clone)]
pub(super) struct Shapes(BTreeMap<String, Shape>);

impl Shapes {
    pub(super) fn parse(text: &str) -> Self {
        let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with(' ') {
                let properties = &mut shapes.get_mut(&current).unwrap().properties;
                properties.push(Property::parse(line));
            } else {
                let (name, base) =
                    line.split_once(" : ").map_or((line, None), |(name, base)| (name, Some(base)));
                current = name.to_owned();
                let shape = Shape { base: base.map(str::to_owned), properties: Vec::new() };
                assert!(shapes.insert(current.clone(), shape).is_none(), "{name} twice");
            }
        }
        Self(shapes)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every shape that one speaks of is there.
    pub(super) fn are_closed(&self) {
        for (name, shape) in &self.0 {
            let parts = shape.properties.iter().filter_map(|property| property.holds.shape());
            for part in parts.chain(shape.base.as_deref()) {
                assert!(self.contains(part), "{name} speaks of {part}");
            }
        }
    }

    /// The properties of a shape in a version, with those of what it extends, each with the shape that owns it.
    fn properties<'a>(&'a self, name: &'a str, version: Version) -> Vec<(&'a str, &'a Property)> {
        let shape = self.0.get(name).unwrap_or_else(|| panic!("no such shape: {name}"));
        let own = shape.properties.iter().map(|property| (name, property));
        let base = shape.base.as_deref().map(|base| self.properties(base, version)).unwrap_or_default();
        own.chain(base).filter(|(_, property)| property.since <= version).collect()
    }

    /// What answers of this shape hold somewhere, as `Shape.property`, except what is never answered.
    pub(super) fn answered(&self, name: &str, version: Version, into: &mut BTreeSet<String>) {
        for (owner, property) in self.properties(name, version) {
            if !property.is_never && into.insert(format!("{owner}.{}", property.name)) {
                property.holds.shape().into_iter().for_each(|part| self.answered(part, version, into));
            }
        }
    }

    /// What requests of this shape may hold somewhere, as `Shape.property`.
    pub(super) fn sent(&self, name: &str, version: Version, into: &mut BTreeSet<String>) {
        for (owner, property) in self.properties(name, version) {
            if !property.is_read_only && into.insert(format!("{owner}.{}", property.name)) {
                property.holds.shape().into_iter().for_each(|part| self.sent(part, version, into));
            }
        }
    }
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Answer,
}

/// Holds bodies against their shapes; gathers what is wrong, and which properties there were.
pub(super) struct Check<'a> {
    pub(super) shapes: &'a Shapes,
    pub(super) version: Version,
    /// The vault's host, as it stands in identifiers.
    pub(super) host: &'a str,
    pub(super) way: Way,
    pub(super) faults: Vec<String>,
    pub(super) seen: BTreeSet<String>,
}

impl<'a> Check<'a> {
    pub(super) const fn new(shapes: &'a Shapes, version: Version, host: &'a str, way: Way) -> Self {
        Self { shapes, version, host, way, faults: Vec::new(), seen: BTreeSet::new() }
    }

    fn fault(&mut self, at: &str, what: &str) {
        self.faults.push(format!("{at} {what}"));
    }

    /// Is this a body of the shape?
    pub(super) fn body(&mut self, at: &str, name: &str, body: &Value) {
        let Some(members) = body.as_object() else { return self.fault(at, "is no object") };
        let shapes = self.shapes;
        let properties = shapes.properties(name, self.version);
        for (member, value) in members {
            let at = format!("{at}.{member}");
            let Some((owner, property)) = properties.iter().find(|(_, property)| property.name == *member)
            else {
                self.fault(&at, "is not described");
                continue;
            };
            self.seen.insert(format!("{owner}.{member}"));
            match self.way {
                Way::Answer if property.is_never => self.fault(&at, "is never answered"),
                Way::Request if property.is_read_only => self.fault(&at, "is read-only"),
                _ => {}
            }
            self.value(&at, &property.holds, value);
        }
        for (_, property) in properties {
            let is_needed = if self.way == Way::Answer { property.is_always } else { property.is_required };
            if is_needed && !members.contains_key(&property.name) {
                self.fault(&format!("{at}.{}", property.name), "is missing");
            }
        }
    }

    fn value(&mut self, at: &str, holds: &Type, value: &Value) {
        let text = value.as_str();
        match holds {
            Type::Shape(name) => return self.body(at, name, value),
            Type::List(item) => {
                let Some(items) = value.as_array() else { return self.fault(at, "is no list") };
                for (number, value) in items.iter().enumerate() {
                    self.value(&format!("{at}[{number}]"), item, value);
                }
                return;
            }
            _ => {}
        }
        let is_right = match holds {
            Type::Shape(_) | Type::List(_) => true,
            Type::Text => text.is_some(),
            Type::Boolean => value.is_boolean(),
            Type::Integer(least, most) => value.as_i64().is_some_and(|number| {
                i32::try_from(number).is_ok()
                    && least.is_none_or(|least| least <= number)
                    && most.is_none_or(|most| number <= most)
            }),
            Type::UnixTime => value.as_i64().is_some_and(|seconds| (0..=253_402_300_799).contains(&seconds)),
            Type::Base64Url => text.is_some_and(|text| crypt::encoding::from_base64url(text).is_ok()),
            Type::Base64 => text.is_some_and(|text| crypt::encoding::from_base64(text).is_ok()),
            Type::OneOf(words) => {
                words.iter().any(|(word, since)| Some(&**word) == text && *since <= self.version)
            }
            Type::Texts => value.as_object().is_some_and(|texts| texts.values().all(Value::is_string)),
            // What a client calls its own things is no identifier of ours.
            Type::Link(_) if self.way == Way::Request => text.is_some(),
            Type::Link(path) => text.is_some_and(|text| self.is_link(path, text)),
            Type::NextLink => value.is_null() || text.is_some_and(|text| self.is_next_link(text)),
        };
        if !is_right {
            self.fault(at, &format!("is not {holds:?}: {value}"));
        }
    }

    fn is_link(&self, pattern: &str, text: &str) -> bool {
        let Some(path) = text.strip_prefix(&format!("https://{}/", self.host)) else { return false };
        let (whole, short) = match pattern.split_once('[') {
            Some((short, rest)) => (format!("{short}{}", rest.trim_end_matches(']')), Some(short.to_owned())),
            None => (pattern.to_owned(), None),
        };
        let fits = |pattern: &str| {
            let (wanted, given): (Vec<_>, Vec<_>) =
                (pattern.trim_start_matches('/').split('/').collect(), path.split('/').collect());
            wanted.len() == given.len()
                && wanted.iter().zip(given).all(|(wanted, given)| match *wanted {
                    "{name}" => {
                        (1..=127).contains(&given.len())
                            && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                    }
                    "{version}" => {
                        given.len() == 32
                            && given.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    }
                    exactly => exactly == given,
                })
        };
        fits(&whole) || short.is_some_and(|short| fits(&short))
    }

    /// Leads to the same vault, in the same version, to a page that is named.
    fn is_next_link(&self, text: &str) -> bool {
        let Some((_, query)) =
            text.strip_prefix(&format!("https://{}/", self.host)).and_then(|rest| rest.split_once('?'))
        else {
            return false;
        };
        let pairs: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        pairs.contains(&("api-version", self.version.as_str()))
            && pairs.iter().any(|(name, value)| *name == "$skiptoken" && !value.is_empty())
    }
}
