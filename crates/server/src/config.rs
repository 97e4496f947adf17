//! The one typed configuration: defaults, then a TOML file, then `KEYLESS_*` variables, then flags; the last word wins.
//!
//! Owns: which settings there are, where each came from, what is said of a wrong one. Owns not: what a setting does.
//! A secret is never a setting, only the path of a file that holds it.

use crate::units::{Bytes, Span};
use audit::SyncPolicy;
use domain::{DomainName, HostNames, limits};
use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Serialized, Toml},
    value::{Dict, Map, Value},
};
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// The prefix of variables that are settings.
const PREFIX: &str = "KEYLESS_";
/// Variables with our prefix that are no settings: the choice of the file, what `keyless run` tells an app and itself, and what
/// tests tell each other.
const NOT_SETTINGS: [&str; 5] =
    ["KEYLESS_CONFIG", "KEYLESS_APP", "KEYLESS_SCOPE", "KEYLESS_TEST_", "KEYLESS_E2E_"];

/// How logs look on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// All settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept. Default: `/var/lib/keyless` for root, else `$XDG_DATA_HOME/keyless` or `~/.local/share/keyless`.
    pub data_dir: PathBuf,
    /// Where the files of hosted apps are. Default: `apps` in the data directory; for root, whose data directory is closed to apps, beside it.
    pub apps_dir: Option<PathBuf>,
    /// The domain below which the directory and the vaults have their host names.
    pub domain: DomainName,
    /// The public port (HTTPS).
    pub port: u16,
    /// The addresses that the public port is opened on.
    #[serde(deserialize_with = "addresses")]
    pub listen: Vec<IpAddr>,
    /// A file whose first line is the passphrase that opens the root key, instead of the key file `root.key`.
    pub passphrase_file: Option<PathBuf>,
    /// Refuse to start where the kernel cannot attest.
    pub require_enforced: bool,
    /// Keep everybody but an app from even connecting to the app's endpoint, by a BPF program. For root; refuse to start without.
    pub connect_gate: bool,
    /// A clock that an administrator can move forward, for tests of what only time does. Only on a data directory of its own.
    pub test_clock: bool,
    /// When audit records are synced to disk: `every-second`, or `each-record` (before each answer).
    pub audit_sync: SyncPolicy,
    /// For how long audit records are kept, a day or more; nothing: for ever.
    pub audit_keep: Span,
    /// Lifetime of access tokens, 10 minutes to 24 hours.
    pub access_token_lifetime: Span,
    /// Let clients ask for tokens with a user's password (the password grant). For tests only: it shows the password to the client and knows
    /// no second factor.
    pub allow_password_grant: bool,
    /// How long a signing key signs before another one does, 2 days or more; `0d`: until somebody asks for it.
    pub signing_key_lifetime: Span,
    /// Certificates (PEM) that are trusted, besides the system's, where the keys of outside issuers are fetched.
    pub issuer_ca_file: Option<PathBuf>,
    /// Whether outside issuers may be on this machine, and without TLS. For tests only.
    pub issuer_loopback: bool,
    /// Memory that the store may use for caching: half of it for pages of the file, half for records that are read often.
    pub store_cache: Bytes,
    /// How logs look: `human` or `json`.
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `warn,wire=debug`.
    pub log_filter: String,
    /// Where each setting was said, if it was: for who finds out later that one is wrong, or asks whether it is a default.
    #[serde(skip)]
    origins: BTreeMap<&'static str, String>,
}

/// Why there is no configuration. Names the key and where its value came from.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value does not fit its key.
    #[error("setting {key}: {what} (in {origin})")]
    Value {
        /// Which setting.
        key: String,
        /// What is wrong.
        what: String,
        /// Where the value came from.
        origin: String,
    },
    /// There is no such setting.
    #[error("there is no setting {key} (in {origin}); the settings are {}", KEYS.join(", "))]
    Unknown {
        /// What was named.
        key: String,
        /// Where.
        origin: String,
    },
    /// The file cannot be read as TOML.
    #[error("the configuration file {} cannot be used: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why, with the line.
        what: String,
    },
    /// No home and not root: nowhere to put the data.
    #[error("no data directory: neither XDG_DATA_HOME nor HOME is set; give --data-dir DIR")]
    NoDataDir,
}

const KEYS: [&str; 19] = [
    "data_dir",
    "apps_dir",
    "domain",
    "port",
    "listen",
    "passphrase_file",
    "require_enforced",
    "connect_gate",
    "test_clock",
    "audit_sync",
    "audit_keep",
    "access_token_lifetime",
    "allow_password_grant",
    "signing_key_lifetime",
    "issuer_ca_file",
    "issuer_loopback",
    "store_cache",
    "log_format",
    "log_filter",
];

/// Where settings come from besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The process's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// A file that was named; it must exist.
    pub file: Option<PathBuf>,
    /// Flags of the command line: key and value.
    pub flags: Vec<(&'static str, String)>,
    /// Whether we are root, whose directories are the system's.
    pub is_root: bool,
}

impl Sources {
    /// What this process was given.
    pub fn of_this_process(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        Self { environment: std::env::vars_os().collect(), file, flags, is_root: kernel::is_root() }
    }

    fn variable(&self, name: &str) -> Option<&OsString> {
        self.environment.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// Was the data directory said for this very process: by a flag, by its variable, or in a file that was named? That of the usual file is
    /// what the user has everywhere.
    pub fn names_data_dir(&self) -> bool {
        let named = self.file.clone().or_else(|| self.variable("KEYLESS_CONFIG").map(PathBuf::from));
        let says = |path: PathBuf| {
            let data = Toml::file_exact(path).data();
            data.is_ok_and(|data| data.values().any(|dict| dict.contains_key("data_dir")))
        };
        self.flags.iter().any(|(key, _)| *key == "data_dir")
            || self.variable("KEYLESS_DATA_DIR").is_some()
            || named.is_some_and(says)
    }

    /// A directory of the user's by the XDG rules: the variable if it is absolute, else a place in the home.
    fn user_directory(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let named = self.variable(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        named
            .or_else(|| self.variable("HOME").map(|home| Path::new(home).join(in_home)))
            .map(|path| path.join("keyless"))
    }

    /// The named file, or the usual one if it is there.
    fn file(&self) -> Option<PathBuf> {
        let usual = || {
            let folder = if self.is_root {
                Some("/etc/keyless".into())
            } else {
                self.user_directory("XDG_CONFIG_HOME", ".config")
            };
            folder.map(|folder: PathBuf| folder.join("keyless.toml")).filter(|path| path.exists())
        };
        self.file.clone().or_else(|| self.variable("KEYLESS_CONFIG").map(PathBuf::from)).or_else(usual)
    }

    fn variables(&self) -> Result<Named, ConfigError> {
        let mut values = Vec::new();
        for (name, value) in &self.environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let key = name.trim_start_matches(PREFIX).to_ascii_lowercase();
            let is_other = |other: &str| name == other || (other.ends_with('_') && name.starts_with(other));
            // KEYLESS_TEST_CLOCK is one, though it begins like those of tests.
            if NOT_SETTINGS.into_iter().any(is_other) && !KEYS.contains(&key.as_str()) {
                continue;
            }
            let origin = format!("environment variable {name}");
            if !KEYS.contains(&key.as_str()) {
                return Err(ConfigError::Unknown { key, origin });
            }
            let Some(value) = value.to_str() else {
                return Err(ConfigError::Value { key, what: "not valid UTF-8".into(), origin });
            };
            values.push((key, value.to_owned()));
        }
        Ok(Named { kind: "environment variable", values })
    }
}

/// Values that were given one by one, each under its own name: variables, flags.
struct Named {
    kind: &'static str,
    values: Vec<(String, String)>,
}

impl Provider for Named {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.kind)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = |key: &str, text: &str| match key {
            // Only these are not texts; a path that looks like a number stays a path.
            "port"
            | "require_enforced"
            | "connect_gate"
            | "test_clock"
            | "allow_password_grant"
            | "issuer_loopback"
            | "listen" => text.parse::<Value>().unwrap_or_else(|_| Value::from(text)),
            _ => Value::from(text),
        };
        let values = self.values.iter().map(|(key, text)| (key.clone(), value(key, text))).collect();
        Ok(Profile::Default.collect(values))
    }
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let file = sources.file();
        let mut figment = Figment::from(Serialized::defaults(Self::defaults(sources)));
        if let Some(path) = &file {
            let provider = Toml::file_exact(path);
            known_keys(&provider, path)?;
            figment = figment.merge(provider);
        }
        figment = figment.merge(sources.variables()?);
        let flags = sources.flags.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        figment = figment.merge(Named { kind: "flag", values: flags });
        figment.extract::<Self>().map_err(explain)?.check(&figment)
    }

    fn defaults(sources: &Sources) -> Self {
        let data_dir = match sources.is_root {
            true => Some("/var/lib/keyless".into()),
            false => sources.user_directory("XDG_DATA_HOME", ".local/share"),
        };
        Self {
            data_dir: data_dir.unwrap_or_default(),
            #[expect(clippy::expect_used, reason = "a literal that a test parses")]
            domain: DomainName::parse("keyless.localhost").expect("a valid name"),
            port: 8443,
            listen: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            apps_dir: None,
            passphrase_file: None,
            require_enforced: false,
            connect_gate: false,
            test_clock: false,
            audit_sync: SyncPolicy::EverySecond,
            audit_keep: Span(Duration::ZERO),
            access_token_lifetime: Span(limits::ACCESS_TOKEN_LIFETIME),
            allow_password_grant: false,
            signing_key_lifetime: Span(limits::SIGNING_KEY_LIFETIME),
            issuer_ca_file: None,
            issuer_loopback: false,
            store_cache: Bytes(24 << 20),
            log_format: LogFormat::Human,
            log_filter: "info".into(),
            origins: BTreeMap::new(),
        }
    }

    /// Where a setting was said; `None`: nowhere, so that it has its default.
    pub(crate) fn said(&self, key: &str) -> Option<&str> {
        self.origins.get(key).map(String::as_str)
    }

    /// A setting of a right form that turned out to be wrong.
    pub(crate) fn fault(&self, key: &'static str, what: impl Into<String>) -> ConfigError {
        let origin = self.said(key).unwrap_or("the configuration").to_owned();
        ConfigError::Value { key: key.to_owned(), what: what.into(), origin }
    }

    /// What types cannot say.
    fn check(mut self, figment: &Figment) -> Result<Self, ConfigError> {
        self.origins = KEYS
            .into_iter()
            .filter_map(|key| Some((key, figment.find_metadata(key).filter(|metadata| is_said(metadata))?)))
            .map(|(key, metadata)| (key, origin(metadata, key)))
            .collect();
        let fault = |key: &str, what: &str| {
            let origin =
                figment.find_metadata(key).map_or_else(|| "a flag".into(), |metadata| origin(metadata, key));
            Err(ConfigError::Value { key: key.into(), what: what.into(), origin })
        };
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::NoDataDir);
        }
        if !self.data_dir.is_absolute() {
            return fault("data_dir", "must be an absolute path");
        }
        if self.port == 0 {
            return fault("port", "must be 1 to 65535: clients are told it");
        }
        if self.listen.is_empty() {
            return fault("listen", "must be at least one address");
        }
        let lifetime = self.access_token_lifetime.0.as_secs();
        if !(600..=86_400).contains(&lifetime) {
            return fault("access_token_lifetime", "must be 10m to 24h");
        }
        if self.audit_kept_for().is_some_and(|keep| keep < limits::AUDIT_KEPT_MIN) {
            return fault("audit_keep", "must be 1d or more, or 0d for records that are kept for ever");
        }
        if self.rolls_keys_after().is_some_and(|lifetime| lifetime < 2 * limits::SIGNING_KEY_ANNOUNCED) {
            return fault(
                "signing_key_lifetime",
                "must be 2d or more, or 0d for keys that roll on command only",
            );
        }
        Ok(self)
    }

    /// The host names of this installation.
    pub fn names(&self) -> HostNames {
        HostNames::new(&self.domain, self.port)
    }

    /// For how long audit records are kept; `None`: for ever.
    pub fn audit_kept_for(&self) -> Option<Duration> {
        Some(self.audit_keep.0).filter(|keep| !keep.is_zero())
    }

    /// After how long another signing key signs; `None`: only when somebody asks for it.
    pub fn rolls_keys_after(&self) -> Option<Duration> {
        Some(self.signing_key_lifetime.0).filter(|lifetime| !lifetime.is_zero())
    }

    /// The addresses of the public listener.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.iter().map(|address| SocketAddr::new(*address, self.port)).collect()
    }
}

/// The addresses as a list, or as text with commas: a variable has no lists.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    let texts = match Either::deserialize(deserializer)? {
        Either::List(texts) => texts,
        Either::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            serde::de::Error::custom(format_args!("{text:?} is no IP address, such as \"127.0.0.1\""))
        })
    };
    texts.iter().map(parse).collect()
}

/// Serde names an unknown key of the merged whole; only a look at the file itself says that the file is to blame.
fn known_keys(provider: &impl Provider, path: &Path) -> Result<(), ConfigError> {
    let data = provider
        .data()
        .map_err(|error| ConfigError::File { path: path.to_owned(), what: error.kind.to_string() })?;
    let unknown = data.values().flat_map(|dict| dict.keys()).find(|key| !KEYS.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| {
        Err(ConfigError::Unknown { key: key.clone(), origin: format!("file {}", path.display()) })
    })
}

fn explain(error: figment::Error) -> ConfigError {
    let key = error.path.join(".");
    let origin =
        error.metadata.as_ref().map_or_else(|| "an unknown place".into(), |metadata| origin(metadata, &key));
    ConfigError::Value { what: error.kind.to_string(), key, origin }
}

/// Did somebody say it, or is it a default?
fn is_said(metadata: &Metadata) -> bool {
    matches!(&*metadata.name, "flag" | "environment variable")
        || matches!(metadata.source, Some(figment::Source::File(_)))
}

fn origin(metadata: &Metadata, key: &str) -> String {
    match (&*metadata.name, &metadata.source) {
        ("flag", _) => format!("flag --{}", key.replace('_', "-")),
        ("environment variable", _) => format!("environment variable {PREFIX}{}", key.to_ascii_uppercase()),
        (_, Some(figment::Source::File(path))) => format!("file {}", path.display()),
        (name, _) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Sources {
        let environment = environment.iter().map(|(key, value)| (key.into(), value.into())).collect();
        let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Sources { environment, file: None, flags, is_root: false }
    }

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("keyless-config-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A filter that is none was said to be "in the configuration", which has three places.
    #[test]
    fn what_turns_out_to_be_wrong_says_where_it_is_from() {
        let file = file("filter", "log_filter = 'wire=loud'");
        let named = Sources { file: Some(file.clone()), ..sources(&[("HOME", "/home/ada")], &[]) };
        let told = Config::load(&named).unwrap().fault("log_filter", "no").to_string();
        assert_eq!(told, format!("setting log_filter: no (in file {})", file.display()));
        let flag = sources(&[("HOME", "/home/ada")], &[("log_filter", "wire=loud")]);
        let told = crate::telemetry::begin(&Config::load(&flag).unwrap()).unwrap_err().to_string();
        assert!(told.ends_with("(in flag --log-filter)"), "{told}");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn the_page_for_operators_names_each_setting_with_its_default() {
        let page = include_str!("../../../docs/operate/README.md");
        let defaults = Config::load(&sources(&[("HOME", "/home/ada")], &[])).unwrap();
        let defaults = serde_json::to_value(defaults).unwrap();
        assert_eq!(defaults.as_object().unwrap().len(), KEYS.len());
        for key in KEYS {
            let default = match &defaults[key] {
                // Of the user who starts it.
                _ if key == "data_dir" => "as above".to_owned(),
                serde_json::Value::Null if key == "apps_dir" => "`apps` in".to_owned(),
                serde_json::Value::Null => "none |".to_owned(),
                serde_json::Value::String(text) => format!("`{text}` |"),
                serde_json::Value::Array(addresses) => {
                    let addresses: Vec<_> = addresses.iter().filter_map(serde_json::Value::as_str).collect();
                    format!("`{}` |", addresses.join(","))
                }
                other => format!("`{other}` |"),
            };
            let row = format!("\n| `{key}` | {default}");
            assert!(page.contains(&row), "docs/operate/README.md has no row that begins{row}");
        }
    }

    #[test]
    fn defaults_need_no_file() {
        let config = Config::load(&sources(&[("HOME", "/home/ada")], &[])).unwrap();
        assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/keyless"));
        assert_eq!((config.domain.as_str(), config.port), ("keyless.localhost", 8443));
        assert_eq!(config.addresses(), ["127.0.0.1:8443".parse().unwrap(), "[::1]:8443".parse().unwrap()]);
        let xdg = Config::load(&sources(&[("HOME", "/home/ada"), ("XDG_DATA_HOME", "/data")], &[])).unwrap();
        assert_eq!(xdg.data_dir, Path::new("/data/keyless"));
        let root = Config::load(&Sources { is_root: true, ..sources(&[], &[]) }).unwrap();
        assert_eq!(root.data_dir, Path::new("/var/lib/keyless"));
        assert!(matches!(Config::load(&sources(&[], &[])), Err(ConfigError::NoDataDir)));
    }

    #[test]
    fn the_last_word_wins() {
        let path = file(
            "order",
            "port = 1\ndomain = \"file.example\"\naccess_token_lifetime = \"2h\"\nlisten = [\"10.0.0.1\"]\n",
        );
        let mut sources =
            sources(&[("KEYLESS_PORT", "2"), ("KEYLESS_LISTEN", "::1, 127.0.0.1")], &[("port", "3")]);
        sources.environment.push(("KEYLESS_DATA_DIR".into(), "/1".into()));
        sources.file = Some(path.clone());
        let config = Config::load(&sources).unwrap();
        assert_eq!((config.port, config.domain.as_str(), config.listen.len()), (3, "file.example", 2));
        assert_eq!(config.access_token_lifetime.0.as_secs(), 7_200);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_data_directory_of_the_usual_file_is_not_said_for_this_process() {
        let home = ("HOME", "/home/ada");
        assert!(!sources(&[home], &[("port", "1")]).names_data_dir());
        assert!(
            !sources(&[home, ("KEYLESS_DATA_DIR", ""), ("KEYLESS_CONFIG", "/nowhere")], &[]).names_data_dir()
        );
        assert!(sources(&[home], &[("data_dir", "/data")]).names_data_dir());
        assert!(sources(&[home, ("KEYLESS_DATA_DIR", "/data")], &[]).names_data_dir());
        for (name, text, says) in [("said", "data_dir = \"/data\"\n", true), ("unsaid", "port = 1\n", false)]
        {
            let path = file(name, text);
            let named = Sources { file: Some(path.clone()), ..sources(&[home], &[]) };
            assert_eq!(named.names_data_dir(), says, "{name}");
            let by_variable = sources(&[home, ("KEYLESS_CONFIG", path.to_str().unwrap())], &[]);
            assert_eq!(by_variable.names_data_dir(), says, "{name}");
            std::fs::remove_file(path).unwrap();
        }
        let usual = std::env::temp_dir().join(format!("keyless-config-{}-usual", std::process::id()));
        std::fs::create_dir_all(usual.join("keyless")).unwrap();
        std::fs::write(usual.join("keyless/keyless.toml"), "data_dir = \"/data\"\n").unwrap();
        let usual_file = sources(&[home, ("XDG_CONFIG_HOME", usual.to_str().unwrap())], &[]);
        assert_eq!(Config::load(&usual_file).unwrap().data_dir, Path::new("/data"));
        assert!(!usual_file.names_data_dir());
        std::fs::remove_dir_all(usual).unwrap();
    }

    fn refused(sources: &Sources) -> String {
        Config::load(sources).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_key_and_origin() {
        let home = ("HOME", "/home/ada");
        for (variable, value, words) in [
            ("KEYLESS_PORT", "high", "setting port: "),
            ("KEYLESS_PORT", "0", "setting port: must be 1 to 65535"),
            ("KEYLESS_PORT", "70000", "setting port: "),
            ("KEYLESS_DOMAIN", "a..b", "setting domain: "),
            ("KEYLESS_LISTEN", "localhost", "setting listen: \"localhost\" is no IP address"),
            (
                "KEYLESS_ACCESS_TOKEN_LIFETIME",
                "3600",
                "setting access_token_lifetime: expected a duration with a unit",
            ),
            ("KEYLESS_ACCESS_TOKEN_LIFETIME", "1s", "setting access_token_lifetime: must be 10m to 24h"),
            ("KEYLESS_SIGNING_KEY_LIFETIME", "1d", "setting signing_key_lifetime: must be 2d or more"),
            ("KEYLESS_AUDIT_KEEP", "23h", "setting audit_keep: must be 1d or more, or 0d"),
            ("KEYLESS_STORE_CACHE", "lots", "setting store_cache: expected a size"),
            ("KEYLESS_AUDIT_SYNC", "never", "setting audit_sync: "),
            ("KEYLESS_DATA_DIR", "data", "setting data_dir: must be an absolute path"),
            ("KEYLESS_DATA", "/data", "there is no setting data "),
        ] {
            let said = refused(&sources(&[home, (variable, value)], &[]));
            assert!(
                said.starts_with(words) && said.contains(&format!("environment variable {variable}")),
                "{said}"
            );
        }
        let said = refused(&sources(&[home], &[("port", "x")]));
        assert!(said.contains("flag --port"), "{said}");
    }

    #[test]
    fn a_wrong_file_is_named() {
        for (name, text, words) in [
            ("unknown", "prot = 1\n", "there is no setting prot"),
            ("type", "port = \"x\"\n", "setting port: "),
            ("syntax", "port = \n", "line 1"),
        ] {
            let path = file(name, text);
            let said = refused(&Sources { file: Some(path.clone()), ..sources(&[("HOME", "/h")], &[]) });
            assert!(said.contains(words) && said.contains(&path.display().to_string()), "{said}");
            std::fs::remove_file(path).unwrap();
        }
        let said = refused(&Sources {
            file: Some("/nowhere/keyless.toml".into()),
            ..sources(&[("HOME", "/h")], &[])
        });
        assert!(said.contains("/nowhere/keyless.toml"), "{said}");
    }

    #[test]
    fn a_domain_that_was_said_is_told_from_the_default() {
        let home = ("HOME", "/home/ada");
        let origin = |sources: &Sources| Config::load(sources).unwrap().said("domain").map(str::to_owned);
        assert_eq!(origin(&sources(&[home, ("KEYLESS_PORT", "1")], &[])), None);
        let variable = sources(&[home, ("KEYLESS_DOMAIN", "keyless.localhost")], &[]);
        assert_eq!(origin(&variable).unwrap(), "environment variable KEYLESS_DOMAIN");
        assert_eq!(origin(&sources(&[home], &[("domain", "a.example")])).unwrap(), "flag --domain");
        let path = file("domain", "domain = \"a.example\"\n");
        let named = Sources { file: Some(path.clone()), ..sources(&[home], &[]) };
        assert_eq!(origin(&named).unwrap(), format!("file {}", path.display()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_test_clock_is_only_ever_asked_for() {
        let home = ("HOME", "/home/ada");
        assert!(!Config::load(&sources(&[home, ("KEYLESS_TEST_ETCD", "x")], &[])).unwrap().test_clock);
        assert!(Config::load(&sources(&[home, ("KEYLESS_TEST_CLOCK", "true")], &[])).unwrap().test_clock);
        assert!(Config::load(&sources(&[home], &[("test_clock", "true")])).unwrap().test_clock);
        let said = refused(&sources(&[home, ("KEYLESS_TEST_CLOCK", "tomorrow")], &[]));
        assert!(said.starts_with("setting test_clock: "), "{said}");
    }

    #[test]
    fn the_password_grant_is_allowed_by_each_source_alike() {
        let home = ("HOME", "/home/ada");
        let allowed = |given: &str| {
            let given = [home, ("KEYLESS_ALLOW_PASSWORD_GRANT", given)];
            Config::load(&sources(&given, &[])).map(|config| config.allow_password_grant)
        };
        assert!(allowed("true").unwrap() && !allowed("false").unwrap());
        assert!(allowed("yes").is_err());
        let flag = Config::load(&sources(&[home], &[("allow_password_grant", "true")])).unwrap();
        assert!(flag.allow_password_grant);
    }

    #[test]
    fn variables_of_others_are_no_settings() {
        let config =
            Config::load(&sources(&[("HOME", "/h"), ("KEYLESS_APP", "web"), ("KEYLESS_E2E_X", "1")], &[]));
        assert!(config.is_ok());
    }
}
