//! The environment that a program is started with: a pure function of the endpoint, the trust files and what is there already.
//!
//! Follows what each SDK and runtime reads (docs/compatibility.md). What is overridden or removed is always said, never silently.
//!
//! `AZURE_TOKEN_CREDENTIALS` is not set: App Service does not set it, `DefaultAzureCredential` asks managed identity first anyway
//! once the variables of the environment credential are gone, and releases of the Python and JavaScript SDKs that know only `dev` and
//! `prod` refuse to start on another value. An inherited one is removed, since `dev` would leave managed identity out.

use domain::{ClientId, Secret, hosts};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

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

/// The caller's environment as far as it matters: each name, and the value only of those in [`VALUES_NEEDED`].
pub type Environment = BTreeMap<String, Option<String>>;

/// Variables whose value is extended or looked at, not replaced: the caller tells the values of these and only the names of the others,
/// so that nobody's secrets travel to the server for nothing.
pub const VALUES_NEEDED: [&str; 4] = ["AZURE_CLIENT_ID", "JAVA_TOOL_OPTIONS", "NO_PROXY", "no_proxy"];

/// What the endpoint of one start is.
#[derive(Clone, Copy, Debug)]
pub struct EndpointFacts<'a> {
    /// The port of the endpoint on 127.0.0.1.
    pub port: u16,
    /// The endpoint secret.
    pub secret: &'a Secret<String>,
    /// The app's name.
    pub app: &'a str,
    /// The installation's domain.
    pub domain: &'a str,
    /// Does the program know us by the public cloud's names (ADR 0021)?
    pub is_shadow: bool,
    /// Does its endpoint speak Azure Arc's protocol (ADR 0025)?
    pub is_arc: bool,
    /// The client ids of the app's user-assigned identities.
    pub user_assigned: &'a [ClientId],
}

/// What to do to the environment of a program.
#[derive(Debug)]
pub struct Injection {
    /// Variables to set, over what is there.
    pub set: Vec<(String, Secret<String>)>,
    /// Variables to remove.
    pub unset: Vec<String>,
    /// What was overridden or removed, in words for a person.
    pub notices: Vec<String>,
}

/// Variables that would make an SDK use something else than the app's identity, and what they would do.
const CONFLICTS: [(&str, &str); 18] = [
    ("AZURE_CLIENT_ID", "it would ask for a user-assigned identity that the app does not have"),
    ("AZURE_CLIENT_SECRET", "it would win over the app's identity"),
    ("AZURE_TENANT_ID", "it would win over the app's identity"),
    ("AZURE_CLIENT_CERTIFICATE_PATH", "it would win over the app's identity"),
    ("AZURE_CLIENT_CERTIFICATE_PASSWORD", "it would win over the app's identity"),
    ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "it would win over the app's identity"),
    ("AZURE_USERNAME", "it would win over the app's identity"),
    ("AZURE_PASSWORD", "it would win over the app's identity"),
    ("AZURE_FEDERATED_TOKEN_FILE", "it would win over the app's identity"),
    ("AZURE_AUTHORITY_HOST", "it would send token requests elsewhere"),
    ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "it would send token requests elsewhere"),
    (
        "AZURE_REGIONAL_AUTHORITY_NAME",
        "it would send token requests to a region's host, which is the real one",
    ),
    ("MSAL_FORCE_REGION", "it would send token requests to a region's host, which is the real one"),
    ("AZURE_TOKEN_CREDENTIALS", "it could leave the app's identity out"),
    ("DEFAULT_IDENTITY_CLIENT_ID", "it would ask for a user-assigned identity"),
    ("IDENTITY_SERVER_THUMBPRINT", "SDKs would speak Service Fabric's protocol"),
    ("IMDS_ENDPOINT", "SDKs would speak Azure Arc's protocol"),
    ("SSL_CERT_DIR", "it would be read instead of or besides the certificate bundle"),
];

/// The path of an endpoint that speaks Azure Arc's protocol. Source:
/// <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>.
pub const ARC_PATH: &str = "/metadata/identity/oauth2/token";

/// What a program signs in by. In shadow mode it comes to nobody but us, so it is the program's own choice.
const CREDENTIALS: [&str; 10] = [
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
];

/// Of those, what makes a client id one of a credential, rather than the choice of an identity of the app.
const PROOFS: [&str; 4] =
    ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "AZURE_FEDERATED_TOKEN_FILE"];

/// Any of these means that a proxy would be asked for our names, too.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What a start gives to a program.
pub fn inject(endpoint: EndpointFacts<'_>, trust: &TrustFiles, environment: &Environment) -> Injection {
    let mut injection = Injection { set: Vec::new(), unset: Vec::new(), notices: Vec::new() };
    let mut kept = Vec::new();
    for (name, why) in CONFLICTS {
        let is_ours = endpoint.is_arc && name == "IMDS_ENDPOINT";
        if environment.contains_key(name) && !is_ours && !is_chosen(name, &endpoint, environment) {
            if endpoint.is_shadow && is_credential(name, environment) {
                kept.push(name);
                continue;
            }
            injection.unset.push(name.to_owned());
            injection.notices.push(format!("{name} is removed from the program's environment: {why}"));
        }
    }
    if !kept.is_empty() {
        injection.notices.push(format!(
            "{} stay as they are: what the program signs in by is looked for in the directory of Keyless",
            kept.join(", ")
        ));
    }
    injection.identity(endpoint, environment);
    injection.certificates(trust, environment);
    injection.java(trust, environment);
    let mut direct = vec![format!(".{}", endpoint.domain)];
    if endpoint.is_shadow {
        direct.extend(hosts::AZURE_LOGIN_HOSTS.map(str::to_owned));
        direct.push(hosts::AZURE_GRAPH_HOST.to_owned());
        direct.push(format!(".{}", hosts::AZURE_VAULT_PARENT_HOST));
    }
    injection.proxies(&direct, environment);
    injection
}

/// Is this something that a program signs in by?
fn is_credential(name: &str, environment: &Environment) -> bool {
    CREDENTIALS.contains(&name)
        && (name != "AZURE_CLIENT_ID" || PROOFS.iter().any(|proof| environment.contains_key(*proof)))
}

/// Does the caller say by `AZURE_CLIENT_ID` which of the app's user-assigned identities SDKs shall ask for, as settings of App Service do?
fn is_chosen(name: &str, endpoint: &EndpointFacts<'_>, environment: &Environment) -> bool {
    let value = environment.get(name).and_then(Option::as_deref).unwrap_or_default();
    name == "AZURE_CLIENT_ID"
        && value.parse::<ClientId>().is_ok_and(|client| endpoint.user_assigned.contains(&client))
}

impl Injection {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.set.push((name.to_owned(), Secret::new(value.into())));
    }

    /// Both pairs: SDKs prefer `IDENTITY_*`; the real platform sets `MSI_*` to the same values, which old clients read.
    fn identity(&mut self, endpoint: EndpointFacts<'_>, environment: &Environment) {
        if endpoint.is_arc {
            return self.arc(endpoint, environment);
        }
        if ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"]
            .iter()
            .any(|name| environment.contains_key(*name))
        {
            self.notices.push(
                "IDENTITY_* and MSI_* are replaced: the environment already had those of another identity"
                    .to_owned(),
            );
        }
        let url = format!("http://127.0.0.1:{}/msi/token", endpoint.port);
        self.set("IDENTITY_ENDPOINT", url.clone());
        self.set.push(("IDENTITY_HEADER".to_owned(), endpoint.secret.duplicate()));
        self.set("MSI_ENDPOINT", url);
        self.set.push(("MSI_SECRET".to_owned(), endpoint.secret.duplicate()));
        self.set("KEYLESS_APP", endpoint.app);
    }

    /// As an agent of Azure Arc has it. None of the others: with them SDKs would speak App Service's protocol, or Azure ML's.
    fn arc(&mut self, endpoint: EndpointFacts<'_>, environment: &Environment) {
        for name in ["IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET"] {
            if environment.contains_key(name) {
                self.unset.push(name.to_owned());
                self.notices.push(format!(
                    "{name} is removed from the program's environment: SDKs would not speak Azure Arc's protocol"
                ));
            }
        }
        let base = format!("http://127.0.0.1:{}", endpoint.port);
        self.set("IDENTITY_ENDPOINT", format!("{base}{ARC_PATH}"));
        self.set("IMDS_ENDPOINT", base);
        self.set("KEYLESS_APP", endpoint.app);
    }

    /// Four variables, since no runtime reads them all: OpenSSL, Go, Rust, .NET and aiohttp read the first; requests the second and
    /// third; curl the third and first; Node the fourth, which adds to its own roots.
    fn certificates(&mut self, trust: &TrustFiles, environment: &Environment) {
        for (name, file) in [
            ("SSL_CERT_FILE", &trust.bundle),
            ("REQUESTS_CA_BUNDLE", &trust.bundle),
            ("CURL_CA_BUNDLE", &trust.bundle),
            ("NODE_EXTRA_CA_CERTS", &trust.root),
        ] {
            if environment.contains_key(name) {
                self.notices.push(format!("{name} is replaced: certificates that only its old file has are not trusted by the program"));
            }
            self.set(name, file.to_string_lossy());
        }
    }

    /// JVMs read no variable but this one; they say "Picked up JAVA_TOOL_OPTIONS" on stderr. Of an option given twice the last wins.
    fn java(&mut self, trust: &TrustFiles, environment: &Environment) {
        const NAME: &str = "JAVA_TOOL_OPTIONS";
        let ours = format!(
            "-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword={}",
            quoted(&trust.truststore),
            trust.truststore_password
        );
        let value = match environment.get(NAME) {
            None => ours,
            Some(None) => {
                self.notices.push(format!("{NAME} is replaced: its old value is not known"));
                ours
            }
            Some(Some(old)) => {
                if old.contains("-Djavax.net.ssl.trustStore=") && !old.contains(&ours) {
                    self.notices.push(format!("the trust store in {NAME} is overridden"));
                }
                if old.contains(&ours) {
                    old.clone()
                } else {
                    format!("{old} {ours}").trim_start().to_owned()
                }
            }
        };
        self.set(NAME, value);
    }

    /// A proxy cannot reach our loopback names. Both spellings, since curl and Python prefer the lower, Go the upper case.
    fn proxies(&mut self, direct: &[String], environment: &Environment) {
        if !PROXIES.iter().any(|name| environment.contains_key(*name)) {
            return;
        }
        let known = |name: &str| environment.get(name).and_then(Option::as_deref);
        for (name, other) in [("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")] {
            if environment.get(name) == Some(&None) {
                self.notices.push(format!("{name} is replaced: its old value is not known"));
            }
            let mut hosts: Vec<&str> =
                known(name).or_else(|| known(other)).unwrap_or_default().split(',').map(str::trim).collect();
            for host in ["127.0.0.1", "localhost"].into_iter().chain(direct.iter().map(String::as_str)) {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            hosts.retain(|host| !host.is_empty());
            let hosts = hosts.join(",");
            self.set(name, hosts);
        }
    }
}

/// As the JVM splits the variable: at white space, unless quoted.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    if path.contains(char::is_whitespace) { format!("\"{path}\"") } else { path.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust() -> TrustFiles {
        TrustFiles {
            bundle: "/d/bundle.pem".into(),
            root: "/d/root.pem".into(),
            truststore: "/d/trust.p12".into(),
            truststore_password: "changeit".to_owned(),
        }
    }

    const READERS: &str = "aaaaaaaa-0000-4000-8000-00000000000a";

    fn injected(environment: &[(&str, Option<&str>)]) -> (BTreeMap<String, String>, Injection) {
        injected_in(false, environment)
    }

    fn injected_in(
        is_shadow: bool,
        environment: &[(&str, Option<&str>)],
    ) -> (BTreeMap<String, String>, Injection) {
        injected_as(is_shadow, false, environment)
    }

    fn injected_as(
        is_shadow: bool,
        is_arc: bool,
        environment: &[(&str, Option<&str>)],
    ) -> (BTreeMap<String, String>, Injection) {
        let secret = Secret::new("s3cr3t".to_owned());
        let user_assigned = [READERS.parse().unwrap()];
        let endpoint = EndpointFacts {
            port: 4141,
            secret: &secret,
            app: "shop",
            domain: "keyless.localhost",
            is_shadow,
            is_arc,
            user_assigned: &user_assigned,
        };
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        let injection = inject(endpoint, &trust(), &environment);
        let set = injection.set.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect();
        (set, injection)
    }

    #[test]
    fn an_empty_environment_gets_both_pairs_and_all_trust_and_no_notice() {
        let (set, injection) = injected(&[]);
        for (name, value) in [
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:4141/msi/token"),
            ("IDENTITY_HEADER", "s3cr3t"),
            ("MSI_ENDPOINT", "http://127.0.0.1:4141/msi/token"),
            ("MSI_SECRET", "s3cr3t"),
            ("KEYLESS_APP", "shop"),
            ("SSL_CERT_FILE", "/d/bundle.pem"),
            ("REQUESTS_CA_BUNDLE", "/d/bundle.pem"),
            ("CURL_CA_BUNDLE", "/d/bundle.pem"),
            ("NODE_EXTRA_CA_CERTS", "/d/root.pem"),
        ] {
            assert_eq!(set.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(set["JAVA_TOOL_OPTIONS"].starts_with("-Djavax.net.ssl.trustStore=/d/trust.p12 "));
        assert!(!set.contains_key("NO_PROXY") && !set.contains_key("AZURE_TOKEN_CREDENTIALS"));
        // These would switch SDKs to other protocols.
        assert!(!set.contains_key("IDENTITY_SERVER_THUMBPRINT") && !set.contains_key("IMDS_ENDPOINT"));
        assert!(injection.unset.is_empty() && injection.notices.is_empty());
        assert!(!format!("{injection:?}").contains("s3cr3t"));
    }

    #[test]
    fn an_agent_of_azure_arc_is_known_by_its_two_variables_and_none_besides() {
        let others = ["IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_SERVER_THUMBPRINT"];
        let there: Vec<_> = others.iter().map(|name| (*name, None)).collect();
        for (there, count) in [(&there[..], others.len()), (&[], 0)] {
            let (set, injection) = injected_as(false, true, there);
            assert_eq!(set["IDENTITY_ENDPOINT"], "http://127.0.0.1:4141/metadata/identity/oauth2/token");
            assert_eq!(set["IMDS_ENDPOINT"], "http://127.0.0.1:4141");
            assert!(others.iter().all(|name| !set.contains_key(*name)), "{set:?}");
            assert_eq!((injection.unset.len(), injection.notices.len()), (count, count), "{injection:?}");
            assert!(!set.values().any(|value| value.contains("s3cr3t")), "nobody is told the secret");
        }
        // What another identity has left is replaced.
        let (set, _) = injected_as(false, true, &[("IMDS_ENDPOINT", None)]);
        assert_eq!(set["IMDS_ENDPOINT"], "http://127.0.0.1:4141");
    }

    #[test]
    fn what_would_override_the_identity_is_removed_and_said() {
        for (name, _) in CONFLICTS {
            let (set, injection) = injected(&[(name, None)]);
            assert_eq!(injection.unset, [name]);
            assert_eq!(injection.notices.len(), 1, "{name}");
            assert!(!set.contains_key(name));
        }
    }

    #[test]
    fn in_shadow_mode_a_program_keeps_what_it_signs_in_by_and_nothing_that_leads_elsewhere() {
        let of_a_registration =
            [("AZURE_CLIENT_ID", Some(READERS)), ("AZURE_CLIENT_SECRET", None), ("AZURE_TENANT_ID", None)];
        let (_, injection) = injected_in(true, &of_a_registration);
        assert!(injection.unset.is_empty() && injection.notices.len() == 1, "{injection:?}");
        let (_, injection) = injected_in(true, &[("AZURE_CLIENT_ID", Some("another"))]);
        assert_eq!(injection.unset, ["AZURE_CLIENT_ID"], "alone it chooses an identity of the app");
        for name in [
            "AZURE_AUTHORITY_HOST",
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            "AZURE_REGIONAL_AUTHORITY_NAME",
            "MSAL_FORCE_REGION",
            "IMDS_ENDPOINT",
            "SSL_CERT_DIR",
        ] {
            assert_eq!(injected_in(true, &[(name, None)]).1.unset, [name]);
        }
        let (set, _) = injected_in(true, &[("HTTPS_PROXY", None)]);
        for host in
            ["login.microsoftonline.com", "graph.microsoft.com", ".vault.azure.net", ".keyless.localhost"]
        {
            assert!(set["NO_PROXY"].split(',').any(|direct| direct == host), "{host}: {}", set["NO_PROXY"]);
        }
        assert!(!injected(&[("HTTPS_PROXY", None)]).0["NO_PROXY"].contains("azure"));
    }

    #[test]
    fn a_user_assigned_identity_of_the_app_may_be_chosen() {
        for value in [READERS.to_owned(), READERS.to_uppercase()] {
            let (set, injection) = injected(&[("AZURE_CLIENT_ID", Some(&value))]);
            assert!(injection.unset.is_empty() && injection.notices.is_empty());
            assert!(!set.contains_key("AZURE_CLIENT_ID"), "it stays as it is");
        }
        let other = READERS.replace('a', "b");
        for (name, value) in
            [("AZURE_CLIENT_ID", &*other), ("AZURE_CLIENT_ID", ""), ("DEFAULT_IDENTITY_CLIENT_ID", READERS)]
        {
            assert_eq!(injected(&[(name, Some(value))]).1.unset, [name], "{value}");
        }
    }

    #[test]
    fn what_is_replaced_is_said() {
        for name in [
            "IDENTITY_HEADER",
            "MSI_SECRET",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
        ] {
            let (_, injection) = injected(&[(name, None)]);
            assert_eq!(injection.notices.len(), 1, "{name}");
        }
    }

    #[test]
    fn java_options_are_kept_and_extended_once() {
        let (set, injection) = injected(&[("JAVA_TOOL_OPTIONS", Some("-Xmx1g"))]);
        let once = set["JAVA_TOOL_OPTIONS"].clone();
        assert!(once.starts_with("-Xmx1g -Djavax.net.ssl.trustStore=") && injection.notices.is_empty());
        let (again, injection) = injected(&[("JAVA_TOOL_OPTIONS", Some(&once))]);
        assert_eq!(again["JAVA_TOOL_OPTIONS"], once);
        assert!(injection.notices.is_empty());
        let (_, injection) = injected(&[("JAVA_TOOL_OPTIONS", Some("-Djavax.net.ssl.trustStore=/mine"))]);
        assert_eq!(injection.notices.len(), 1);
        assert_eq!(quoted(Path::new("/a b/c")), "\"/a b/c\"");
    }

    #[test]
    fn proxies_are_told_to_leave_our_names_alone() {
        let (set, injection) = injected(&[("HTTPS_PROXY", None), ("no_proxy", Some("intern, localhost"))]);
        assert_eq!(set["no_proxy"], "intern,localhost,127.0.0.1,.keyless.localhost");
        assert_eq!(set["NO_PROXY"], set["no_proxy"]);
        assert!(injection.notices.is_empty());
        let (set, _) = injected(&[("no_proxy", Some("intern"))]);
        assert!(!set.contains_key("no_proxy"));
    }
}
