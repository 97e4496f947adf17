//! Audiences: from what a client asks for to the `aud` of its token.
//!
//! Known are the vaults (in the spellings of Key Vault's SDKs) and registrations (by identifier URI, `api://{client id}` or client
//! id). Anything else is refused: a token for nobody in particular is a token for anybody.

use crate::{
    DirectoryError, Registration, TokenVersion,
    graph::builtin::{self, Builtin},
    registration::{ClientIndex, Consenter, UriIndex},
    tenant::shown,
};
use access::audience::{KEY_VAULT_APPLICATION, KEY_VAULT_RESOURCE};
use domain::{ClientId, CredentialId, HostNames, limits};
use std::sync::Arc;
use store::{Halt, View};
use uuid::{Uuid, uuid};

/// A resource that exists, and the form of token that it wants.
#[derive(Clone, Debug)]
pub struct Audience {
    /// The `aud` claim.
    pub(crate) claim: String,
    /// As it was asked for.
    pub(crate) requested: String,
    /// Chosen by the resource, not by the endpoint.
    pub(crate) version: TokenVersion,
    /// Whose audience it is.
    pub resource: Resource,
}

/// A resource: who is called with the token.
#[derive(Clone, Debug)]
pub enum Resource {
    /// All vaults.
    Vaults,
    /// Our Microsoft Graph.
    Graph,
    /// The resource manager.
    Management,
    /// Deployments to apps (App Service's SCM).
    Deployment,
    /// An app registration.
    Registered(Arc<Registration>),
}

impl Audience {
    /// The `aud` claim of tokens for it.
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// As it was asked for: what answers echo.
    pub fn requested(&self) -> &str {
        &self.requested
    }

    /// The form of its tokens.
    pub const fn version(&self) -> TokenVersion {
        self.version
    }

    /// The vaults of this installation, by its own resource.
    pub fn vaults(names: &HostNames) -> Self {
        Self {
            claim: names.vault_resource(),
            requested: names.vault_resource(),
            version: TokenVersion::V1,
            resource: Resource::Vaults,
        }
    }

    /// The scopes that a client may be given there in a user's name.
    pub(crate) fn offered(&self) -> Vec<String> {
        match &self.resource {
            Resource::Vaults | Resource::Management | Resource::Deployment => {
                vec![USER_IMPERSONATION.to_owned()]
            }
            Resource::Graph => builtin::GRAPH_SCOPES.iter().map(|&(_, scope)| scope.to_owned()).collect(),
            Resource::Registered(registration) => registration
                .scopes
                .iter()
                .filter(|scope| scope.enabled)
                .map(|scope| scope.value.clone())
                .collect(),
        }
    }

    /// The client id by which an app registration lists it, if it has one.
    pub(crate) fn application(&self) -> Option<ClientId> {
        match &self.resource {
            Resource::Vaults => Some(Builtin::Vaults.client()),
            Resource::Graph => Some(Builtin::Graph.client()),
            Resource::Management => MANAGEMENT_APPLICATION.parse().ok(),
            Resource::Deployment => None,
            Resource::Registered(registration) => Some(registration.client),
        }
    }

    /// The scopes of it that an app registration lists. `None`: it does not list the resource.
    pub(crate) fn listed(&self, by: &Registration) -> Option<Vec<String>> {
        let application = self.application()?;
        let mut entries =
            by.required_access.iter().filter(|wanted| wanted.resource == application).peekable();
        entries.peek()?;
        Some(entries.flat_map(|wanted| &wanted.scopes).filter_map(|id| self.scope(*id)).collect())
    }

    /// The value of one of its scopes.
    fn scope(&self, id: CredentialId) -> Option<String> {
        let of_table = |table: &[(Uuid, &str)]| {
            table.iter().find(|(known, _)| *known == id.uuid()).map(|(_, value)| (*value).to_owned())
        };
        match &self.resource {
            Resource::Vaults => of_table(Builtin::Vaults.scopes()),
            Resource::Graph => of_table(Builtin::Graph.scopes()),
            Resource::Management => of_table(&[MANAGEMENT_SCOPE]),
            Resource::Deployment => None,
            Resource::Registered(registration) => {
                registration.scopes.iter().find(|known| known.id == id).map(|known| known.value.clone())
            }
        }
    }

    /// Who may agree to one of them.
    pub(crate) fn consenter(&self, scope: &str) -> Consenter {
        match &self.resource {
            Resource::Vaults | Resource::Management | Resource::Deployment => Consenter::User,
            Resource::Graph => builtin::consenter(scope),
            Resource::Registered(registration) => {
                let known = registration.scopes.iter().find(|known| known.enabled && known.value == scope);
                known.map_or(Consenter::Admin, |known| known.consenter)
            }
        }
    }

    /// By which consents to it are kept, whatever it is called.
    pub(crate) fn key(&self) -> String {
        match &self.resource {
            Resource::Vaults => "vaults".to_owned(),
            Resource::Graph => "graph".to_owned(),
            Resource::Management => "management".to_owned(),
            Resource::Deployment => "deployment".to_owned(),
            Resource::Registered(registration) => registration.client.to_string(),
        }
    }
}

/// Which resource does this text name? Pure.
///
/// # Errors
/// [`DirectoryError::ResourceUnknown`], or what must be loaded first.
pub fn resolve(view: &View, names: &HostNames, requested: &str) -> Result<Audience, Halt<DirectoryError>> {
    let own = |claim, resource| {
        Ok(Audience { claim, requested: requested.to_owned(), version: TokenVersion::V1, resource })
    };
    if let Some(claim) = vault_claim(names, requested) {
        return own(claim, Resource::Vaults);
    }
    if let Some(claim) = graph_claim(names, requested) {
        return own(claim, Resource::Graph);
    }
    if let Some(claim) = management_claim(names, requested) {
        return own(claim, Resource::Management);
    }
    if let Some(claim) = deployment_claim(names, requested) {
        return own(claim, Resource::Deployment);
    }
    match registered(view, requested)? {
        Some(registration) => {
            let claim = match registration.token_version {
                // v1.0: validators compare with what their clients ask for, so its spelling stays.
                TokenVersion::V1 => requested.to_owned(),
                TokenVersion::V2 => registration.client.to_string(),
            };
            let version = registration.token_version;
            let resource = Resource::Registered(registration);
            Ok(Audience { claim, requested: requested.to_owned(), version, resource })
        }
        None => Err(Halt::Refuse(DirectoryError::ResourceUnknown { resource: shown(requested) })),
    }
}

/// What a vault, the resource manager or a deployment lets a client do in a user's name: what the user may.
const USER_IMPERSONATION: &str = "user_impersonation";

/// Microsoft Graph's own resource and application id: the same everywhere.
pub const GRAPH_RESOURCE: &str = "https://graph.microsoft.com";
/// See [`GRAPH_RESOURCE`].
pub const GRAPH_APPLICATION: &str = "00000003-0000-0000-c000-000000000000";

/// Every audience by which a token is good for Microsoft Graph here. The first one is the installation's own.
#[must_use]
pub fn graph_audiences(names: &HostNames) -> Vec<String> {
    vec![names.graph_resource(), GRAPH_RESOURCE.to_owned(), GRAPH_APPLICATION.to_owned()]
}

/// The `aud` of tokens for our Graph, if that is what this names.
fn graph_claim(names: &HostNames, requested: &str) -> Option<String> {
    let text = requested.strip_suffix('/').unwrap_or(requested);
    let own = names.graph_resource();
    if text.eq_ignore_ascii_case(GRAPH_RESOURCE) || text.eq_ignore_ascii_case(GRAPH_APPLICATION) {
        return Some(text.to_ascii_lowercase());
    }
    text.eq_ignore_ascii_case(&own).then_some(own)
}

/// The resource manager's resources in the public cloud: what libraries ask for that were not told another one.
pub const MANAGEMENT_RESOURCES: [&str; 2] =
    ["https://management.azure.com/", "https://management.core.windows.net/"];
/// The resource manager's application id, which is an audience too.
pub const MANAGEMENT_APPLICATION: &str = "797f4846-ba00-4fd7-ba43-dac1f8f63013";

/// Its one scope (Azure Service Management's `user_impersonation`, the same everywhere).
const MANAGEMENT_SCOPE: (Uuid, &str) = (uuid!("41094075-9dad-400e-a0bd-54e686782033"), USER_IMPERSONATION);

/// Every audience by which a token is good for the resource manager here. The first one is the installation's own.
#[must_use]
pub fn management_audiences(names: &HostNames) -> Vec<String> {
    let [one, other] = MANAGEMENT_RESOURCES.map(str::to_owned);
    vec![names.management_resource(), one, other, MANAGEMENT_APPLICATION.to_owned()]
}

/// Every audience by which a token is good for deployments here.
#[must_use]
pub fn deployment_audiences(names: &HostNames) -> Vec<String> {
    vec![names.deployment_resource()]
}

/// The `aud` of tokens for the resource manager, if that is what this names. Always with the slash; clients ask with none to two.
fn management_claim(names: &HostNames, requested: &str) -> Option<String> {
    if requested.eq_ignore_ascii_case(MANAGEMENT_APPLICATION) {
        return Some(MANAGEMENT_APPLICATION.to_owned());
    }
    let text = requested.strip_suffix('/').unwrap_or(requested);
    let text = text.strip_suffix('/').unwrap_or(text);
    let [one, other] = MANAGEMENT_RESOURCES.map(str::to_owned);
    let is_it =
        |known: &String| known.strip_suffix('/').is_some_and(|known| text.eq_ignore_ascii_case(known));
    [names.management_resource(), one, other].into_iter().find(is_it)
}

/// The `aud` of tokens for deployments, if that is what this names.
fn deployment_claim(names: &HostNames, requested: &str) -> Option<String> {
    let text = requested.strip_suffix('/').unwrap_or(requested);
    let own = names.deployment_resource();
    text.eq_ignore_ascii_case(&own).then_some(own)
}

/// The canonical form of a spelling of "the vaults": no trailing slash, our own port. A client that comes through a forwarder asks
/// for the forwarder's port; the vault that it reaches is ours all the same.
fn vault_claim(names: &HostNames, requested: &str) -> Option<String> {
    let text = requested.strip_suffix('/').unwrap_or(requested);
    for known in [KEY_VAULT_RESOURCE, KEY_VAULT_APPLICATION] {
        if text.eq_ignore_ascii_case(known) {
            return Some(known.to_owned());
        }
    }
    let own = format!("https://{}", names.vault_parent_host());
    let (start, port) = text.split_at_checked(own.len())?;
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    (start.eq_ignore_ascii_case(&own) && is_port).then(|| names.vault_resource())
}

fn registered(view: &View, requested: &str) -> Result<Option<Arc<Registration>>, Halt<DirectoryError>> {
    let client = requested.strip_prefix("api://").unwrap_or(requested).parse::<ClientId>();
    if let Ok(client) = client
        && let Some(index) = view.get::<ClientIndex>(&client)?
    {
        return Ok(view.get::<Registration>(&index.registration)?);
    }
    for uri in [requested, requested.strip_suffix('/').unwrap_or(requested)] {
        if is_uri(uri)
            && let Some(index) = view.get::<UriIndex>(uri)?
        {
            return Ok(view.get::<Registration>(&index.registration)?);
        }
    }
    Ok(None)
}

/// Is this an absolute URI that could be registered? The store's keys are made of it, so the characters and the length are bounded.
pub(crate) fn is_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    let is_rest = |rest: &str| {
        !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>'))
    };
    text.len() <= limits::IDENTIFIER_URI_CHARS_MAX
        && text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && is_rest(rest))
}

/// Is this text one of the spellings that are not for sale: the vaults', or another client's `api://{client id}`?
pub(crate) fn is_reserved(names: &HostNames, uri: &str, own: ClientId) -> bool {
    let is_others = uri
        .get(..6)
        .filter(|scheme| scheme.eq_ignore_ascii_case("api://"))
        .and_then(|_| uri.get(6..42))
        .and_then(|id| id.parse::<ClientId>().ok())
        .is_some_and(|client| client != own);
    is_others
        || [vault_claim, graph_claim, management_claim, deployment_claim]
            .into_iter()
            .any(|claim| claim(names, uri).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{names, registration, view};

    fn resolved(view: &View, requested: &str) -> Result<Audience, String> {
        match resolve(view, &names(), requested) {
            Ok(audience) => Ok(audience),
            Err(Halt::Refuse(DirectoryError::ResourceUnknown { resource })) => Err(resource),
            Err(halt) => panic!("{halt:?}"),
        }
    }

    #[test]
    fn the_vaults_have_many_spellings_and_few_audiences() {
        for (requested, claim) in [
            ("https://vault.azure.net", "https://vault.azure.net"),
            ("https://vault.azure.net/", "https://vault.azure.net"),
            ("HTTPS://Vault.Azure.NET", "https://vault.azure.net"),
            ("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"),
            ("https://vault.keyless.localhost:8443", "https://vault.keyless.localhost:8443"),
            ("https://vault.keyless.localhost:8443/", "https://vault.keyless.localhost:8443"),
            ("https://VAULT.keyless.localhost:8443", "https://vault.keyless.localhost:8443"),
            ("https://vault.keyless.localhost", "https://vault.keyless.localhost:8443"),
            ("https://vault.keyless.localhost:443/", "https://vault.keyless.localhost:8443"),
        ] {
            let audience = resolved(&View::fixture(), requested).unwrap();
            assert_eq!(
                (audience.claim(), audience.requested(), audience.version()),
                (claim, requested, TokenVersion::V1)
            );
        }
    }

    #[test]
    fn graph_is_known_by_its_names() {
        for (requested, claim) in [
            ("https://graph.microsoft.com", "https://graph.microsoft.com"),
            ("https://graph.microsoft.com/", "https://graph.microsoft.com"),
            ("00000003-0000-0000-c000-000000000000", "00000003-0000-0000-c000-000000000000"),
            ("https://graph.keyless.localhost:8443/", "https://graph.keyless.localhost:8443"),
        ] {
            let audience = resolved(&View::fixture(), requested).unwrap();
            assert_eq!((audience.claim(), &*audience.key()), (claim, "graph"));
            assert!(audience.offered().iter().any(|scope| scope == "User.Read"));
        }
    }

    #[test]
    fn the_resource_manager_is_known_with_none_to_two_slashes_and_told_with_one() {
        let own = "https://management.keyless.localhost:8443/";
        for (requested, claim) in [
            ("https://management.keyless.localhost:8443", own),
            (own, own),
            ("https://Management.keyless.localhost:8443//", own),
            ("https://management.azure.com", "https://management.azure.com/"),
            ("https://management.core.windows.net//", "https://management.core.windows.net/"),
            (MANAGEMENT_APPLICATION, MANAGEMENT_APPLICATION),
        ] {
            let audience = resolved(&View::fixture(), requested).unwrap();
            assert_eq!((audience.claim(), &*audience.key()), (claim, "management"), "{requested}");
            assert!(management_audiences(&names()).iter().any(|known| known == claim));
        }
        let audience = resolved(&View::fixture(), "https://appservice.keyless.localhost:8443").unwrap();
        assert_eq!((audience.claim(), &*audience.key()), (&*deployment_audiences(&names())[0], "deployment"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let (registration, principal) = registration(1);
        let view = view(&registration, &principal);
        for requested in [
            "",
            "/",
            "https://vault.azure.net//",
            "http://vault.azure.net",
            "https://vault.azure.net.evil.example",
            "https://vault.keyless.localhost:8443.evil.example",
            "https://vault.keyless.localhost.evil.example",
            "https://vault.keyless.localhost:99999",
            "https://vault.keyless.localhost:8443/secrets",
            "https://shop.vault.keyless.localhost:8443",
            "https://graph.microsoft.com/v1.0",
            "https://management.keyless.localhost:8443///",
            "https://management.keyless.localhost:8444/",
            "https://management.azure.com/subscriptions",
            "https://orders.example/2",
            "api://99999999-9999-4999-8999-999999999999",
            "99999999-9999-4999-8999-999999999999",
            "api://",
            "a b",
            "é",
        ] {
            assert_eq!(resolved(&view, requested).unwrap_err(), shown(requested), "{requested}");
        }
        assert!(resolved(&view, &format!("https://orders.example/{}", "x".repeat(9_000))).is_err());
    }

    #[test]
    fn a_registration_chooses_the_form_of_its_tokens() {
        let (mut registration, principal) = registration(1);
        let client = registration.client.to_string();
        for requested in
            ["https://orders.example/1", "https://Orders.example/1/", &format!("api://{client}"), &client]
        {
            let audience = resolved(&view(&registration, &principal), requested).unwrap();
            assert_eq!((audience.claim(), audience.version()), (requested, TokenVersion::V1));
            registration.token_version = TokenVersion::V2;
            let audience = resolved(&view(&registration, &principal), requested).unwrap();
            assert_eq!((audience.claim(), audience.version()), (&*client, TokenVersion::V2));
            assert_eq!(audience.requested(), requested);
            registration.token_version = TokenVersion::V1;
        }
    }

    #[test]
    fn some_uris_are_not_for_sale() {
        let (own, other) = (registration(1).0.client, registration(5).0.client);
        for uri in [
            "https://vault.azure.net",
            "https://vault.azure.net/",
            "https://vault.keyless.localhost:1",
            "https://management.azure.com",
            "https://appservice.keyless.localhost:8443/",
            &format!("API://{other}"),
            &format!("api://{other}/x"),
        ] {
            assert!(is_reserved(&names(), uri, own), "{uri}");
        }
        for uri in ["https://orders.example", &format!("api://{own}"), "api://orders", "urn:x"] {
            assert!(!is_reserved(&names(), uri, own) && is_uri(uri), "{uri}");
        }
        for uri in [
            "",
            "orders",
            ":x",
            "1:x",
            "a:",
            "a b:c",
            "a:b c",
            "a:\"",
            "a:é",
            &format!("a:{}", "x".repeat(254)),
        ] {
            assert!(!is_uri(uri), "{uri}");
        }
    }
}
