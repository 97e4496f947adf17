//! Host names and URLs of one installation, all made from its domain and port in one place.
//!
//! Shapes follow what unmodified SDKs accept: a vault is `https://{vault}.vault.{domain}[:port]`, its resource the parent of that
//! host with the same port text (Key Vault SDKs' challenge resource verification). An app that is served is `https://{app}.apps.{domain}[:port]`.

use crate::{AppName, DomainName, TenantId, VaultName};

const VAULT_LABEL: &str = ".vault.";

/// The domain and public port of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNames {
    /// In lower case: Go compares host names case-sensitively.
    domain: String,
    port: u16,
}

/// What a `Host` header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRole {
    /// The directory: `login.{domain}`.
    Login,
    /// The directory's Microsoft Graph: `graph.{domain}`.
    Graph,
    /// A vault: `{vault}.vault.{domain}`. It need not exist.
    Vault(VaultName),
    /// An app that is served: `{app}.apps.{domain}`. It need not exist.
    App(AppName),
    /// Nothing of ours.
    Unknown,
}

impl HostNames {
    /// From the domain and the port that clients use.
    pub fn new(domain: &DomainName, port: u16) -> Self {
        Self { domain: domain.folded(), port }
    }

    /// The domain in lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The public port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `login.{domain}`, no port.
    pub fn login_host(&self) -> String {
        format!("login.{}", self.domain)
    }

    /// `vault.{domain}`, no port: the parent of all vaults' hosts.
    pub fn vault_parent_host(&self) -> String {
        format!("vault.{}", self.domain)
    }

    /// `{vault}.vault.{domain}`, no port.
    pub fn vault_host(&self, vault: &VaultName) -> String {
        // Room for a port, which most hosts get.
        let mut host = String::with_capacity(
            vault.as_str().len() + VAULT_LABEL.len() + self.domain.len() + ":65535".len(),
        );
        host.push_str(vault.as_str());
        host.make_ascii_lowercase();
        host.push_str(VAULT_LABEL);
        host.push_str(&self.domain);
        host
    }

    /// `https://login.{domain}[:port]`: the authority's base, without a trailing slash.
    pub fn login_base(&self) -> String {
        self.url(&self.login_host())
    }

    /// `https://vault.{domain}[:port]`: the resource (audience) of all vaults, without a trailing slash.
    pub fn vault_resource(&self) -> String {
        self.url(&self.vault_parent_host())
    }

    /// `graph.{domain}`, no port.
    pub fn graph_host(&self) -> String {
        format!("graph.{}", self.domain)
    }

    /// `https://graph.{domain}[:port]`: the resource (audience) of our Microsoft Graph, without a trailing slash.
    pub fn graph_resource(&self) -> String {
        self.url(&self.graph_host())
    }

    /// `https://{vault}.vault.{domain}[:port]`, without a trailing slash.
    pub fn vault_url(&self, vault: &VaultName) -> String {
        self.url(&self.vault_host(vault))
    }

    /// `apps.{domain}`, no port: the parent of all apps' hosts. Nothing is there itself.
    pub fn apps_parent_host(&self) -> String {
        format!("apps.{}", self.domain)
    }

    /// `{app}.apps.{domain}`, no port.
    pub fn app_host(&self, app: &AppName) -> String {
        format!("{}.{}", app.folded(), self.apps_parent_host())
    }

    /// `https://{app}.apps.{domain}[:port]`, without a trailing slash.
    pub fn app_url(&self, app: &AppName) -> String {
        self.url(&self.app_host(app))
    }

    /// Issuer of v1.0 tokens: `{login_base}/{tenant}/`.
    pub fn issuer_v1(&self, tenant: TenantId) -> String {
        format!("{}/{tenant}/", self.login_base())
    }

    /// Issuer of v2.0 tokens: `{login_base}/{tenant}/v2.0`.
    pub fn issuer_v2(&self, tenant: TenantId) -> String {
        format!("{}/{tenant}/v2.0", self.login_base())
    }

    /// What a `Host` header (with or without a port) names. The port is not compared: a forwarder may have changed it. It must be
    /// one, though: challenges and identifiers repeat it.
    pub fn role(&self, host_header: &str) -> HostRole {
        let (host, port) = host_header.rsplit_once(':').unwrap_or((host_header, ""));
        if !port.bytes().all(|byte| byte.is_ascii_digit())
            || (!port.is_empty() && port.parse::<u16>().is_err())
        {
            return HostRole::Unknown;
        }
        let host = host.to_ascii_lowercase();
        let Some(label) = host.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.')) else {
            return HostRole::Unknown;
        };
        if label == "login" {
            return HostRole::Login;
        }
        if label == "graph" {
            return HostRole::Graph;
        }
        if let Some(name) = label.strip_suffix(".apps") {
            return AppName::parse(name).map_or(HostRole::Unknown, HostRole::App);
        }
        label
            .strip_suffix(".vault")
            .and_then(|name| VaultName::parse(name).ok())
            .map_or(HostRole::Unknown, HostRole::Vault)
    }

    fn url(&self, host: &str) -> String {
        if self.port == 443 { format!("https://{host}") } else { format!("https://{host}:{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> HostNames {
        HostNames::new(&DomainName::parse("Keyless.localhost").unwrap(), 8443)
    }

    #[test]
    fn urls_carry_the_port_unless_it_is_443() {
        let shop = VaultName::parse("Shop").unwrap();
        assert_eq!(names().vault_url(&shop), "https://shop.vault.keyless.localhost:8443");
        let web = AppName::parse("Web-1").unwrap();
        assert_eq!(names().app_url(&web), "https://web-1.apps.keyless.localhost:8443");
        assert_eq!(names().vault_resource(), "https://vault.keyless.localhost:8443");
        assert_eq!(HostNames { port: 443, ..names() }.login_base(), "https://login.keyless.localhost");
    }

    #[test]
    fn hosts_have_roles() {
        let shop = HostRole::Vault(VaultName::parse("shop").unwrap());
        for (host, role) in [
            ("login.keyless.localhost:8443", HostRole::Login),
            ("Graph.keyless.localhost", HostRole::Graph),
            ("x.graph.keyless.localhost", HostRole::Unknown),
            ("SHOP.vault.keyless.localhost", shop),
            ("Web-1.apps.keyless.localhost:8443", HostRole::App(AppName::parse("web-1").unwrap())),
            ("apps.keyless.localhost", HostRole::Unknown),
            ("a.b.apps.keyless.localhost", HostRole::Unknown),
            ("x.apps.keyless.localhost", HostRole::Unknown),
            ("-x.apps.keyless.localhost", HostRole::Unknown),
            ("vault.keyless.localhost", HostRole::Unknown),
            ("a.b.vault.keyless.localhost", HostRole::Unknown),
            ("login.keyless.localhost.evil.example", HostRole::Unknown),
            ("xlogin.keyless.localhost", HostRole::Unknown),
            ("keyless.localhost", HostRole::Unknown),
            ("login.keyless.localhost:99999", HostRole::Unknown),
            ("login.keyless.localhost:+443", HostRole::Unknown),
            ("login.keyless.localhost:8443@evil.example", HostRole::Unknown),
            ("", HostRole::Unknown),
        ] {
            assert_eq!(names().role(host), role, "{host}");
        }
    }
}
