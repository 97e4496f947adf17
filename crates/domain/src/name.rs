//! Names, parsed once and valid ever after. Case-insensitive ones compare and key by their folded form and keep their spelling.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, hash::Hash, str::FromStr};

/// Why a text is no name. Carries the rule, never the text: a caller may have pasted a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} name: {rule}")]
pub struct NameError {
    /// What was to be named.
    pub what: &'static str,
    /// The rule that the text breaks.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Box<str>);

        impl $name {
            /// The rule in words, for messages and help.
            pub const RULE: &'static str = $rule;

            /// Parses a name.
            ///
            /// # Errors
            /// [`NameError`] with the rule.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(NameError { what: $what, rule: $rule }) }
            }

            /// As it was first spelled.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// In lower case: the form that is compared, stored and put into host names.
            pub fn folded(&self) -> String {
                self.0.to_ascii_lowercase()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }
        impl Eq for $name {}
        impl Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.folded().hash(state);
            }
        }
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.folded().cmp(&other.folded())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::deserialize(deserializer, Self::parse)
            }
        }
    };
}

name! {
    /// The name of a secret, key or certificate, case-insensitive (Key Vault: `^[0-9a-zA-Z-]+$`, 1 to 127 characters).
    ObjectName, "object", "1 to 127 letters, digits and dashes",
    |text| (1..=crate::limits::OBJECT_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_name_byte)
}

name! {
    /// A vault's name, case-insensitive; a label of its host name (Key Vault: 3 to 24 characters, starts with a letter,
    /// ends with a letter or digit, no two dashes in a row).
    VaultName, "vault", "3 to 24 letters, digits and single dashes, a letter first, a letter or digit last",
    |text| (3..=24).contains(&text.len()) && is_label(text) && text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains("--")
}

name! {
    /// An app's name, case-insensitive; a label of its host name (App Service: 2 to 60 characters).
    AppName, "app", "2 to 60 letters, digits and dashes, a letter or digit first and last",
    |text| (2..=60).contains(&text.len()) && is_label(text)
}

name! {
    /// The name of a user-assigned managed identity, case-insensitive (Azure Resource Manager: 3 to 128 characters).
    IdentityName, "identity", "3 to 128 letters, digits, dashes and underscores, a letter or digit first",
    |text| (3..=128).contains(&text.len())
        && text.bytes().all(|byte| is_name_byte(byte) || byte == b'_')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

name! {
    /// A resource group's name, case-insensitive (Azure Resource Manager: 1 to 90 characters).
    ResourceGroupName, "resource group", "1 to 90 letters, digits and any of ._()- with no dot last",
    |text| (1..=90).contains(&text.len())
        && text.bytes().all(|byte| is_name_byte(byte) || b"._()".contains(&byte))
        && !text.ends_with('.')
}

name! {
    /// The name of an App Service plan, case-insensitive (Azure Resource Manager: 1 to 60 characters). `az webapp up` calls its own
    /// `user_asp_0000`, with underscores, which Azure's list of rules does not name and its service takes.
    PlanName, "plan", "1 to 60 letters, digits, dashes and underscores",
    |text| (1..=60).contains(&text.len()) && text.bytes().all(|byte| is_name_byte(byte) || byte == b'_')
}

name! {
    /// Where a resource is said to be, such as `westeurope`: a word that clients choose and are told again. Nothing is anywhere else for it.
    Location, "location", "1 to 40 letters and digits",
    |text| (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What the group is called that holds what was made without one. It is always there.
impl Default for ResourceGroupName {
    fn default() -> Self {
        Self("keyless".into())
    }
}

/// What the plan is called that apps are in that were made without one. It is always there.
impl Default for PlanName {
    fn default() -> Self {
        Self("keyless".into())
    }
}

/// Of what nobody placed.
impl Default for Location {
    fn default() -> Self {
        Self("local".into())
    }
}

impl Location {
    /// As people write it, such as `West Europe`: spaces and case do not count (Azure Resource Manager, locations).
    ///
    /// # Errors
    /// [`NameError`] with the rule.
    pub fn of_display(text: &str) -> Result<Self, NameError> {
        Self::parse(&text.replace(' ', "").to_ascii_lowercase())
    }
}

name! {
    /// The domain below which the directory and the vaults have their host names, such as `keyless.localhost`.
    DomainName, "domain", "dot-separated labels of letters, digits and dashes, at most 200 characters",
    |text| text.len() <= 200 && text.split('.').all(|label| label.len() <= 63 && is_label(label))
}

name! {
    /// A user's name for signing in, case-insensitive, such as `alice@keyless.localhost` (Entra: `userPrincipalName`).
    UserName, "user",
    "1 to 64 letters, digits and any of '.-_!#^~ with no dot first or last, then @ and a domain",
    |text| text.split_once('@').is_some_and(|(local, domain)| is_local_part(local) && DomainName::parse(domain).is_ok())
}

fn is_local_part(text: &str) -> bool {
    (1..=crate::limits::USER_NAME_LOCAL_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'.-_!#^~".contains(&byte))
        && !text.starts_with('.')
        && !text.ends_with('.')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_name_byte) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_at_their_edges() {
        let ok = |result: Result<(), NameError>| result.is_ok();
        let secret = |text: &str| ok(ObjectName::parse(text).map(drop));
        let vault = |text: &str| ok(VaultName::parse(text).map(drop));
        let app = |text: &str| ok(AppName::parse(text).map(drop));
        assert!(secret("a") && secret("-9") && secret(&"x".repeat(127)));
        assert!(!secret("") && !secret("a_b") && !secret("a/b") && !secret("é") && !secret(&"x".repeat(128)));
        assert!(vault("abc") && vault("a-b-c") && vault(&"a".repeat(24)));
        assert!(!vault("ab") && !vault("1bc") && !vault("a--b") && !vault("ab-") && !vault(&"a".repeat(25)));
        assert!(app("ab") && app("9-a") && !app("a") && !app("-ab") && !app("a.b"));
        let identity = |text: &str| ok(IdentityName::parse(text).map(drop));
        assert!(identity("a_-") && identity("9ab") && identity(&"x".repeat(128)));
        for bad in ["ab", "_ab", "-ab", "a.b", "a/b", "aé", "a b", &"x".repeat(129)] {
            assert!(!identity(bad), "{bad}");
        }
        let plan = |text: &str| ok(PlanName::parse(text).map(drop));
        assert!(plan("ada_asp_1234") && plan("_") && plan("-9") && plan(&"x".repeat(60)));
        for bad in ["", "a.b", "a/b", "a b", "a%b", "é", "a\n", &"x".repeat(61)] {
            assert!(!plan(bad), "{bad}");
        }
        let user = |text: &str| ok(UserName::parse(text).map(drop));
        let longest = "x".repeat(64);
        assert!(user("a@b") && user("O'Hara.x_1@keyless.localhost") && user(&format!("{longest}@b")));
        for bad in ["", "a", "@b", "a@", "a@b@c", ".a@b", "a.@b", "a b@c", "é@b", "a/b@c", "a@b..c"] {
            assert!(!user(bad), "{bad}");
        }
        assert!(!user(&format!("{longest}x@b")) && !user(&format!("a@{}", "x.".repeat(101))));
        assert!(DomainName::parse("keyless.localhost").is_ok() && DomainName::parse("a..b").is_err());
    }

    #[test]
    fn names_fold_case_and_keep_it() {
        let (lower, upper) = (ObjectName::parse("db").unwrap(), ObjectName::parse("DB").unwrap());
        assert_eq!(lower, upper);
        assert_eq!(upper.as_str(), "DB");
        assert_eq!(upper.folded(), "db");
    }
}
