//! Host names and URLs of one installation, all made from its domain and port in one place.
//!
//! Shapes follow what unmodified SDKs accept: a vault is `https://{vault}.vault.{domain}[:port]`, its resource the parent of that
//! host with the same port text (Key Vault SDKs' challenge resource verification). An app that is served is `https://{app}.apps.{domain}[:port]`.
//!
//! The same things have Azure's own names in shadow mode (ADR 0021): [`HostNames::azure`]. Which of the two hold is a property of the
//! connection by which a request came.

use crate::{AppName, DomainName, TenantId, VaultName};
use std::sync::LazyLock;

const VAULT_LABEL: &str = ".vault.";

/// The hosts of the public cloud's directory, the one that documents name first: clients take them for the same authority.
pub const AZURE_LOGIN_HOSTS: [&str; 4] =
    ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"];
/// The host of the public cloud's Microsoft Graph.
pub const AZURE_GRAPH_HOST: &str = "graph.microsoft.com";
/// The parent of all vaults' hosts in the public cloud.
pub const AZURE_VAULT_PARENT_HOST: &str = "vault.azure.net";
/// Of the public cloud's v1.0 issuer.
const AZURE_ISSUER_V1_HOST: &str = "sts.windows.net";
/// In the place of a tenant that is not known yet.
const ANY_TENANT: &str = "{tenantid}";

static AZURE: LazyLock<HostNames> = LazyLock::new(|| {
    let [login, ..] = AZURE_LOGIN_HOSTS;
    let domain = login.strip_prefix("login.").unwrap_or(login).to_owned();
    HostNames { domain, port: 443, is_azure: true }
});

/// The names of one installation's hosts: made of its domain and public port, or the public cloud's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNames {
    /// In lower case: Go compares host names case-sensitively.
    domain: String,
    port: u16,
    is_azure: bool,
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
    /// The resource manager: `management.{domain}`.
    Management,
    /// Where an app is deployed to: `{app}.scm.apps.{domain}`. It need not exist.
    Scm(AppName),
    /// Nothing of ours.
    Unknown,
}

impl HostNames {
    /// From the domain and the port that clients use.
    pub fn new(domain: &DomainName, port: u16) -> Self {
        Self { domain: domain.folded(), port, is_azure: false }
    }

    /// The public cloud's names, by which programs in shadow mode know an installation: the same for each.
    pub fn azure() -> &'static Self {
        &AZURE
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

    /// By which other names the directory is known, besides [`Self::login_host`].
    pub fn login_aliases(&self) -> &'static [&'static str] {
        let [_, aliases @ ..] = &AZURE_LOGIN_HOSTS;
        if self.is_azure { aliases } else { &[] }
    }

    /// `vault.{domain}`, no port: the parent of all vaults' hosts.
    pub fn vault_parent_host(&self) -> String {
        if self.is_azure { AZURE_VAULT_PARENT_HOST.to_owned() } else { format!("vault.{}", self.domain) }
    }

    /// `{vault}.vault.{domain}`, no port.
    pub fn vault_host(&self, vault: &VaultName) -> String {
        let (label, parent) =
            if self.is_azure { (".", AZURE_VAULT_PARENT_HOST) } else { (VAULT_LABEL, &*self.domain) };
        // Room for a port, which most hosts get.
        let mut host =
            String::with_capacity(vault.as_str().len() + label.len() + parent.len() + ":65535".len());
        host.push_str(vault.as_str());
        host.make_ascii_lowercase();
        host.push_str(label);
        host.push_str(parent);
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
        if self.is_azure { AZURE_GRAPH_HOST.to_owned() } else { format!("graph.{}", self.domain) }
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

    /// `management.{domain}`, no port.
    pub fn management_host(&self) -> String {
        format!("management.{}", self.domain)
    }

    /// `https://management.{domain}[:port]/`: where the resource manager is, and its resource (audience). With its slash, as the public cloud's:
    /// clients glue paths to it (Azure CLI, cloud endpoints).
    pub fn management_resource(&self) -> String {
        format!("{}/", self.url(&self.management_host()))
    }

    /// `https://appservice.{domain}[:port]`: the resource (audience) of all deployments. Nothing is there itself.
    pub fn deployment_resource(&self) -> String {
        self.url(&format!("appservice.{}", self.domain))
    }

    /// `{app}.scm.apps.{domain}`, no port.
    pub fn scm_host(&self, app: &AppName) -> String {
        format!("{}.{}", app.folded(), self.scm_parent_host())
    }

    /// `https://{app}.scm.apps.{domain}[:port]`, without a trailing slash.
    pub fn scm_url(&self, app: &AppName) -> String {
        self.url(&self.scm_host(app))
    }

    /// `scm.apps.{domain}`, no port. Nothing is there itself.
    pub fn scm_parent_host(&self) -> String {
        format!("scm.{}", self.apps_parent_host())
    }

    /// Issuer of v1.0 tokens: `{login_base}/{tenant}/`; the public cloud's is at another host.
    pub fn issuer_v1(&self, tenant: TenantId) -> String {
        self.issuer_v1_of(&tenant.to_string())
    }

    /// Issuer of v2.0 tokens: `{login_base}/{tenant}/v2.0`.
    pub fn issuer_v2(&self, tenant: TenantId) -> String {
        self.issuer_v2_of(&tenant.to_string())
    }

    /// What documents for any tenant say instead of [`Self::issuer_v1`]: whose it will be is not known yet, so a pattern with literal braces.
    pub fn issuer_v1_of_any(&self) -> String {
        self.issuer_v1_of(ANY_TENANT)
    }

    /// The same for [`Self::issuer_v2`].
    pub fn issuer_v2_of_any(&self) -> String {
        self.issuer_v2_of(ANY_TENANT)
    }

    fn issuer_v1_of(&self, tenant: &str) -> String {
        let base = if self.is_azure { self.url(AZURE_ISSUER_V1_HOST) } else { self.login_base() };
        format!("{base}/{tenant}/")
    }

    fn issuer_v2_of(&self, tenant: &str) -> String {
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
        if self.is_azure {
            return Self::azure_role(&host);
        }
        let Some(label) = host.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.')) else {
            return HostRole::Unknown;
        };
        if label == "login" {
            return HostRole::Login;
        }
        if label == "graph" {
            return HostRole::Graph;
        }
        if label == "management" {
            return HostRole::Management;
        }
        if let Some(name) = label.strip_suffix(".scm.apps") {
            return AppName::parse(name).map_or(HostRole::Unknown, HostRole::Scm);
        }
        if let Some(name) = label.strip_suffix(".apps") {
            return AppName::parse(name).map_or(HostRole::Unknown, HostRole::App);
        }
        label
            .strip_suffix(".vault")
            .and_then(|name| VaultName::parse(name).ok())
            .map_or(HostRole::Unknown, HostRole::Vault)
    }

    /// Does a `Host` header end as those of apps do? Only then [`Self::role`] can say that it is one; this copies nothing.
    pub fn is_below_apps(&self, host_header: &str) -> bool {
        let host = host_header.rsplit_once(':').map_or(host_header, |(host, _)| host);
        !self.is_azure
            && without_end(host, &self.domain).and_then(|host| without_end(host, ".apps.")).is_some()
    }

    fn azure_role(host: &str) -> HostRole {
        if AZURE_LOGIN_HOSTS.contains(&host) {
            return HostRole::Login;
        }
        if host == AZURE_GRAPH_HOST {
            return HostRole::Graph;
        }
        host.strip_suffix(AZURE_VAULT_PARENT_HOST)
            .and_then(|rest| VaultName::parse(rest.strip_suffix('.')?).ok())
            .map_or(HostRole::Unknown, HostRole::Vault)
    }

    fn url(&self, host: &str) -> String {
        if self.port == 443 { format!("https://{host}") } else { format!("https://{host}:{}", self.port) }
    }
}

/// What comes before an end, in whichever case that is written.
fn without_end<'t>(text: &'t str, end: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
    rest.eq_ignore_ascii_case(end).then_some(start)
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
            ("web-1.APPS.Keyless.LOCALHOST", HostRole::App(AppName::parse("web-1").unwrap())),
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
            let is_app = matches!(role, HostRole::App(_));
            assert!(names().is_below_apps(host) || !is_app, "{host}");
        }
        for host in ["login.keyless.localhost", "apps.keyless.localhost", "xapps.keyless.localhost", "é", ""]
        {
            assert!(!names().is_below_apps(host) && !HostNames::azure().is_below_apps(host), "{host}");
        }
    }

    #[test]
    fn azures_names_are_no_names_of_ours_and_ours_none_of_azures() {
        let azure = HostNames::azure();
        let (shop, tenant): (_, TenantId) =
            (VaultName::parse("Shop").unwrap(), "11111111-2222-4333-8444-555555555555".parse().unwrap());
        assert_eq!(azure.vault_url(&shop), "https://shop.vault.azure.net");
        assert_eq!(azure.vault_resource(), "https://vault.azure.net");
        assert_eq!(azure.login_base(), "https://login.microsoftonline.com");
        assert_eq!(azure.graph_resource(), "https://graph.microsoft.com");
        assert_eq!(azure.issuer_v1(tenant), format!("https://sts.windows.net/{tenant}/"));
        assert_eq!(azure.issuer_v2(tenant), format!("https://login.microsoftonline.com/{tenant}/v2.0"));
        for (host, role) in [
            ("login.microsoftonline.com", HostRole::Login),
            ("LOGIN.windows.net:443", HostRole::Login),
            ("login.microsoft.com", HostRole::Login),
            ("sts.windows.net", HostRole::Login),
            ("graph.microsoft.com", HostRole::Graph),
            ("SHOP.vault.azure.net", HostRole::Vault(shop)),
            ("vault.azure.net", HostRole::Unknown),
            ("a.b.vault.azure.net", HostRole::Unknown),
            ("shop.vault.azure.net.evil.example", HostRole::Unknown),
            ("xvault.azure.net", HostRole::Unknown),
            ("microsoftonline.com", HostRole::Unknown),
            ("graph.microsoftonline.com", HostRole::Unknown),
            ("management.azure.com", HostRole::Unknown),
            ("login.keyless.localhost", HostRole::Unknown),
            ("shop.vault.keyless.localhost:8443", HostRole::Unknown),
            ("shop.vault.azure.net:x", HostRole::Unknown),
        ] {
            assert_eq!(azure.role(host), role, "{host}");
            let is_known_by_both = role != HostRole::Unknown && names().role(host) != HostRole::Unknown;
            assert!(!is_known_by_both, "{host}");
        }
        assert!(azure.login_aliases().contains(&"sts.windows.net") && names().login_aliases().is_empty());
    }
}
