//! The file of a declarative set-up: its shape, and what is wrong with one, by line and column.
//!
//! No value of a secret stands in it: only the names of files that hold one. An error quotes names of members, and no values: one may be a
//! secret in the wrong place.

use super::{
    Access,
    rules::{Policy, Role, Whom},
};
use domain::{AppName, IdentityName, ObjectName, VaultName, limits};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_saphyr::Error;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

/// What is to be there.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Stack {
    /// The domain of the server that it is meant for.
    pub(super) tenant: Option<String>,
    pub(super) registrations: Vec<Registration>,
    pub(super) identities: Vec<Identity>,
    pub(super) apps: Vec<App>,
    pub(super) groups: Vec<Group>,
    pub(super) vaults: Vec<Vault>,
}

/// An app registration; what is not said of one that is there stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    pub(super) name: String,
    pub(super) identifier_uris: Option<Vec<String>>,
    /// As `web=https://shop.example/signed-in`.
    pub(super) redirect_uris: Option<Vec<Redirect>>,
    pub(super) public: Option<bool>,
    #[serde(default)]
    pub(super) federated: Vec<Federated>,
}

/// Where codes of sign-ins may be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Redirect {
    pub(super) uri: String,
    pub(super) platform: String,
}

impl std::fmt::Display for Redirect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}={}", self.platform, self.uri)
    }
}

impl<'de> Deserialize<'de> for Redirect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once('=') {
            Some((platform @ ("web" | "spa" | "publicClient"), uri)) => {
                Ok(Self { uri: uri.to_owned(), platform: platform.to_owned() })
            }
            _ => Err(D::Error::custom(
                "a redirect URI is web=, spa= or publicClient= and the address, such as web=https://shop.example/signed-in",
            )),
        }
    }
}

/// An outside issuer whose word is taken for a registration.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Federated {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    #[serde(default = "exchange", rename(serialize = "audiences"), serialize_with = "alone")]
    pub(super) audience: String,
    #[serde(default)]
    pub(super) description: String,
}

/// What Azure's documents ask for in tokens that are exchanged.
fn exchange() -> String {
    "api://AzureADTokenExchange".to_owned()
}

fn alone<S: serde::Serializer>(audience: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq([audience])
}

/// A user-assigned managed identity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) name: IdentityName,
}

/// An app.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    pub(super) name: AppName,
    /// Has it an identity of its own?
    #[serde(default = "yes")]
    pub(super) identity: bool,
    #[serde(default)]
    pub(super) user_assigned: Vec<IdentityName>,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, Setting>,
}

const fn yes() -> bool {
    true
}

/// What a setting holds.
#[derive(Debug)]
pub(super) enum Setting {
    /// This text.
    Text(String),
    /// What is in a file.
    File { path: PathBuf, is_secret: bool },
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct InFile {
            from_file: PathBuf,
            #[serde(default = "yes")]
            secret: bool,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Setting;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("a text (a number or true goes into quotes), or from_file with a file's path")
            }

            fn visit_str<E>(self, text: &str) -> Result<Setting, E> {
                Ok(Setting::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Setting, A::Error> {
                let InFile { from_file, secret } = InFile::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Setting::File { path: from_file, is_secret: secret })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A group; who else is in it stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) members: Vec<Whom>,
}

/// A vault; what is not said of one that is there stays.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vault {
    pub(super) name: VaultName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access: Option<Access>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retention_days: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purge_protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow_ip: Option<Vec<String>>,
    #[serde(default, skip_serializing)]
    pub(super) policies: Vec<Policy>,
    #[serde(default, skip_serializing)]
    pub(super) roles: Vec<Role>,
    #[serde(default, skip_serializing)]
    pub(super) secrets: Vec<Secret>,
}

/// A secret; its value is a file's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) name: ObjectName,
    pub(super) from_file: PathBuf,
    pub(super) content_type: Option<String>,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

impl Stack {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, with the line and column where they are known.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        let stack: Option<Self> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| on_a_line(&told(&error)))?;
        let stack = stack.unwrap_or_default();
        stack.check().map_err(|fault| on_a_line(&fault))?;
        Ok(stack)
    }

    /// How many things it names.
    pub(super) fn entries(&self) -> usize {
        let registrations = self.registrations.iter().map(|one| 1 + one.federated.len());
        let apps = self.apps.iter().map(|app| 1 + app.user_assigned.len() + app.settings.len());
        let groups = self.groups.iter().map(|group| 1 + group.members.len());
        let vaults = self
            .vaults
            .iter()
            .map(|vault| 1 + vault.policies.len() + vault.roles.len() + vault.secrets.len());
        self.identities.len() + registrations.chain(apps).chain(groups).chain(vaults).sum::<usize>()
    }

    /// What the shape alone does not say: each thing is there once, and there are not too many.
    fn check(&self) -> Result<(), String> {
        if self.entries() > limits::STACK_ENTRIES_MAX {
            return Err(format!("at most {} things are named in one file", limits::STACK_ENTRIES_MAX));
        }
        let mut names = BTreeSet::new();
        let mut once = |what: String| match names.insert(what.to_ascii_lowercase()) {
            true => Ok(()),
            false => Err(format!("{what} is there twice")),
        };
        for one in &self.registrations {
            if one.public == Some(true) && !one.federated.is_empty() {
                return Err(format!("registration {}: a public one has no credentials", one.name));
            }
            once(format!("registration {}", one.name))?;
            for federated in &one.federated {
                once(format!("federated credential {} of registration {}", federated.name, one.name))?;
            }
        }
        self.identities.iter().try_for_each(|one| once(format!("identity {}", one.name)))?;
        for app in &self.apps {
            once(format!("app {}", app.name))?;
        }
        for group in &self.groups {
            once(format!("group {}", group.name))?;
        }
        for vault in &self.vaults {
            let name = &vault.name;
            once(format!("vault {name}"))?;
            let days = limits::RECOVERABLE_DAYS_MIN..=limits::RECOVERABLE_DAYS;
            if vault.retention_days.is_some_and(|asked| !days.contains(&asked)) {
                let (least, most) = (days.start(), days.end());
                return Err(format!("vault {name}: retention_days is {least} to {most}"));
            }
            for policy in &vault.policies {
                once(format!("the policy of {} in vault {name}", policy.whom))?;
            }
            for secret in &vault.secrets {
                once(format!("secret {} in vault {name}", secret.name))?;
            }
        }
        Ok(())
    }
}

/// A text for a terminal, which would act on control characters of a name.
fn on_a_line(text: &str) -> String {
    let plain = |letter: char| {
        if letter.is_control() { letter.escape_default().collect() } else { String::from(letter) }
    };
    text.chars().map(plain).collect()
}

/// An error of the parser in words: where, and what. It quotes names of members and no values.
fn told(error: &Error) -> String {
    let what = match error {
        Error::SerdeUnknownField { field, .. } if field == "value" => {
            "`value`: no value stands in this file, which is copied and kept where secrets are not: put it into a file for its owner only \
             and name that by `from_file`"
                .to_owned()
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            let known: Vec<_> = expected.iter().map(|name| format!("`{name}`")).collect();
            format!("`{field}` is not known here; it can be {}", known.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` is there twice"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::SerdeUnknownVariant { expected, .. } => format!("expected one of {}", expected.join(", ")),
        Error::Unexpected { expected: "mapping start", .. } => "expected members, such as `name: shop`".to_owned(),
        Error::Unexpected { expected: "sequence start", .. } => "expected a list".to_owned(),
        Error::InvalidBooleanStrict { .. } => "expected true or false".to_owned(),
        Error::Message { msg, .. } => msg.clone(),
        Error::AliasError { error, .. } => return told(error),
        other => {
            // The place is said below.
            let whole = other.to_string();
            whole.split([' ', '\n']).take_while(|word| *word != "at").collect::<Vec<_>>().join(" ")
        }
    };
    match error.location().filter(|location| location.line() > 0) {
        Some(location) => format!("line {}, column {}: {what}", location.line(), location.column()),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_everything_is_read() {
        let stack = Stack::parse(include_str!("everything.yaml")).unwrap();
        assert_eq!(stack.tenant.as_deref(), Some("keyless.localhost"));
        let web = stack.apps.first().unwrap();
        assert!(web.identity && web.user_assigned.len() == 1);
        assert!(matches!(web.settings.get("MODE"), Some(Setting::Text(text)) if text == "8080"));
        let secret = web.settings.get("API_KEY");
        assert!(
            matches!(secret, Some(Setting::File { is_secret: true, .. })),
            "unless it is said: {secret:?}"
        );
        let shop = stack.vaults.first().unwrap();
        assert_eq!(shop.policies.len(), 3);
        assert_eq!(
            serde_json::to_string(shop).unwrap(),
            r#"{"name":"shop","access":"policies","retention_days":30,"purge_protection":false,"allow_ip":["127.0.0.0/8","::1"]}"#
        );
        assert_eq!(stack.vaults.get(1).unwrap().roles.len(), 2);
        assert_eq!(stack.entries(), 18);
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let page = include_str!("../../../../docs/operate/README.md");
        let (_, rest) = page.split_once("## Declarative set-up").unwrap();
        let example = rest.split("```").nth(1).unwrap().strip_prefix("yaml\n").unwrap();
        assert_eq!(Stack::parse(example).unwrap().vaults.len(), 2);
    }

    #[test]
    fn nothing_is_a_stack_too() {
        for nothing in ["", "# a comment\n", "apps: []\n"] {
            assert_eq!(Stack::parse(nothing).unwrap().entries(), 0, "{nothing:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_values() {
        for (text, says) in [
            (
                "vaults:\n- name: shop\n  retention: 7\n",
                "line 3, column 3: `retention` is not known here; it can be `name`",
            ),
            ("vault: []\n", "line 1, column 1: `vault` is not known here"),
            (
                "vaults:\n- name: shop\n  secrets:\n  - name: db\n    value: Ti3f\n",
                "line 5, column 5: `value`: no value stands in this file",
            ),
            (
                "apps:\n- name: web\n  settings:\n    KEY: {value: Ti3f}\n",
                "`value`: no value stands in this file",
            ),
            (
                "apps:\n- name: web\n  settings:\n    KEY: 8080\n",
                "line 4, column 5: expected a text (a number or true goes into quotes)",
            ),
            ("apps:\n- name: web\n  settings: Ti3f\n", "line 3, column 13: expected members"),
            ("apps:\n- name: web\n  identity: yes\n", "line 3, column 13: expected true or false"),
            ("vaults:\n- name: shop\n  secrets: Ti3f\n", "line 3, column 12: expected a list"),
            ("vaults:\n- name: shop\n  secrets:\n  - name: db\n", "`from_file` is missing"),
            ("vaults:\n- name: shop\n  access: Ti3f\n", "line 3, column 11: expected one of policies, roles"),
            ("vaults:\n- name: a_b\n", "line 2"),
            ("vaults:\n- name: shop\n  policies:\n  - secrets: [get]\n", "exactly one of app, identity"),
            (
                "vaults:\n- name: shop\n  policies:\n  - {app: web, user: ada, secrets: [get]}\n",
                "exactly one of app, identity",
            ),
            ("vaults:\n- name: shop\n  policies:\n  - app: web\n", "a policy allows something"),
            (
                "vaults:\n- name: shop\n  policies:\n  - {app: web, secrets: [Ti3f]}\n",
                "one of get, list, set",
            ),
            (
                "vaults:\n- name: shop\n  roles:\n  - {app: web, role: Reader, secret: a, key: b}\n",
                "at most one of secret",
            ),
            ("vaults:\n- name: shop\n- name: Shop\n", "vault Shop is there twice"),
            ("apps:\n- name: web\n  settings: {A: a, A: Ti3f}\n", "`A` is there twice"),
            ("registrations:\n- name: spa\n  redirect_uris: [https://x/]\n", "a redirect URI is web="),
            ("groups:\n- name: g\n  members: [{group: h}]\n", "`group` is not known here"),
            (
                "registrations:\n- {name: a, public: true, federated: [{name: b, issuer: c, subject: d}]}\n",
                "no credentials",
            ),
            ("vaults:\n- {name: shop, retention_days: 91}\n", "7 to 90"),
            ("apps: [\n", "line 1, column 7: unclosed bracket '['"),
            ("Ti3f", "line 1, column 1: expected members"),
            ("\"a\\e[2J\\nb\": 1\n", r"`a\u{1b}[2J\nb` is not known here"),
            ("groups:\n- name: \"a\\e[2J\"\n- name: \"a\\e[2J\"\n", r"group a\u{1b}[2J is there twice"),
        ] {
            let said = Stack::parse(text).unwrap_err();
            assert!(said.contains(says) && !said.contains("Ti3f"), "{text}\n{said}");
        }
    }

    #[test]
    fn there_are_not_too_many_and_an_alias_does_not_make_more() {
        let many: String = (0..=limits::STACK_ENTRIES_MAX).map(|one| format!("- name: id-{one}\n")).collect();
        assert!(Stack::parse(&format!("identities:\n{many}")).unwrap_err().contains("5000"));
        let bomb = "groups:\n- &a {name: a}\n- &b [*a,*a,*a,*a,*a,*a,*a,*a]\n- [*b,*b,*b,*b,*b,*b,*b,*b]\n";
        assert!(Stack::parse(bomb).is_err());
    }
}
