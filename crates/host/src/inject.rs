//! The environment that a program is started with: a pure function of the endpoint, the trust files and what is there already.

use domain::Secret;
use std::path::PathBuf;
use std::collections::BTreeMap;

/// The files by which runtimes come to trust our certificates. Written by `server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFiles {
    /// The system's roots and ours, PEM.
    pub bundle: PathBuf,
    /// Our root alone, PEM.
    pub root: PathBuf,
    /// The system's roots and ours as a PKCS #12 truststore for JVMs.
    pub truststore: PathBuf,
    /// The truststore's password (it protects nothing; Java wants one).
    pub truststore_password: String,
}

/// What to do to the environment of a program.
#[derive(Debug)]
pub struct Injection {
    /// Variables to set, over what is there.
    pub set: Vec<(String, Secret<String>)>,
    /// Variables to remove.
    pub unset: Vec<String>,
    /// What was overridden or removed, in words for a person. Never silently.
    pub notices: Vec<String>,
}

/// The caller's environment as far as it matters: each name, and the value only of those in [`VALUES_NEEDED`].
pub type Environment = BTreeMap<String, Option<String>>;

/// Variables whose value is extended, not replaced: the caller tells the values of these and only the names of the others.
pub const VALUES_NEEDED: [&str; 3] = ["JAVA_TOOL_OPTIONS", "NO_PROXY", "no_proxy"];

/// What a start gives to a program.
pub fn inject(port: u16, secret: &Secret<String>, app: &str, domain: &str, trust: &TrustFiles, environment: &Environment) -> Injection {
    let _ = (port, secret, app, domain, trust, environment);
    todo!()
}
