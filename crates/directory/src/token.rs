//! The phases of a token request, in the one order for every grant: parse -> authenticate the client -> the grant's proof -> audience
//! -> claims -> sign. Each takes what the one before made, so none can be skipped.
//!
//! Spec: RFC 6749 sections 2.3, 3.2, 4.4; Microsoft identity platform, client credentials flow (v2.0 and v1.0).

use crate::{
    Audience, DirectoryError, Hosting, RequestError, Tenant, TenantAlias, app_role, audience,
    claims::Proof,
    client::{self, Acting, ClientProof},
    grants::{
        authorization_code::{self, Redeem},
        client_credentials,
        delegated::{Delegated, Setting},
        device_code,
        on_behalf_of::{self, UserToken},
        password, refresh_token,
    },
    scope::Scopes,
    session::Session,
    tenant::shown,
};
use access::Principal;
use domain::{ClientId, HostNames, PrincipalId, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};
use store::{Decision, Halt, View};

/// Which of the two endpoints was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// `/oauth2/token`: takes a resource.
    V1,
    /// `/oauth2/v2.0/token`: takes scopes.
    #[default]
    V2,
}

/// A client's id and secret, as it sent them.
#[derive(Debug)]
pub struct ClientSecret {
    /// The client id.
    pub client: String,
    /// The secret.
    pub secret: Secret<String>,
}

/// A token request as it came, form decoded. Empty parameters are missing ones.
#[derive(Debug, Default)]
pub struct TokenRequest {
    /// The tenant of the URL.
    pub tenant: String,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `grant_type`.
    pub grant_type: Option<String>,
    /// `client_id`.
    pub client: Option<String>,
    /// `client_secret`.
    pub secret: Option<Secret<String>>,
    /// From an `Authorization: Basic` header.
    pub basic: Option<ClientSecret>,
    /// `client_assertion`.
    pub assertion: Option<Secret<String>>,
    /// `client_assertion_type`.
    pub assertion_type: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `resource`.
    pub resource: Option<String>,
    /// `code`.
    pub code: Option<Secret<String>>,
    /// `redirect_uri`.
    pub redirect_uri: Option<String>,
    /// `code_verifier`.
    pub code_verifier: Option<Secret<String>>,
    /// `refresh_token`.
    pub refresh_token: Option<Secret<String>>,
    /// `device_code`.
    pub device_code: Option<Secret<String>>,
    /// `assertion`: the user's token, on behalf of whom the client acts.
    pub user_assertion: Option<Secret<String>>,
    /// `requested_token_use`.
    pub requested_token_use: Option<String>,
    /// `username`.
    pub user_name: Option<String>,
    /// `password`.
    pub password: Option<Secret<String>>,
    /// `claims`, in JSON.
    pub claims: Option<String>,
    /// Where the request came from, as far as known.
    pub address: Option<IpAddr>,
    /// Does a page of another origin ask, as its browser says (`Origin`)?
    pub is_from_page: bool,
    /// By which names it was asked, if not by our own (ADR 0021): the answer's issuer is the one that documents tell by those.
    pub asked_by: Option<&'static HostNames>,
}

/// A signed token and what answers say of it.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub access_token: Secret<String>,
    /// When it was issued, which is also from when it is valid.
    pub issued: Timestamp,
    /// From when it is worth nothing.
    pub expires_on: Timestamp,
    /// The resource as it was asked for.
    pub resource: String,
    /// Whose it is.
    pub principal: PrincipalId,
    /// Which client has it.
    pub client: ClientId,
    /// How the client has proven itself.
    pub proof: Proof,
    /// Its own id (`uti`), for the audit log.
    pub token: String,
    /// What comes with it, if it is a user's.
    pub user: Option<IssuedToUser>,
}

/// What comes with a user's access token.
#[derive(Debug)]
pub struct IssuedToUser {
    /// The scopes that were granted, as they would be asked for.
    pub scope: String,
    /// Who has signed in, if that was asked for.
    pub id_token: Option<Secret<String>>,
    /// By which another access token can be had, if that was asked for.
    pub refresh_token: Option<Secret<String>>,
    /// The user's ids, as MSAL wants them: base64url of JSON.
    pub client_info: String,
}

impl IssuedToken {
    /// Seconds until it expires.
    pub fn expires_in_seconds(&self) -> i64 {
        self.expires_on.seconds_since(self.issued)
    }
}

/// A request that is complete and well formed.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) endpoint: Endpoint,
    pub(crate) client: ClientId,
    pub(crate) proof: ClientProof,
    pub(crate) grant: Grant,
    pub(crate) can_be_challenged: bool,
    pub(crate) is_from_page: bool,
}

/// What is asked for, with what proves that it may be had. The client's proof of itself is another matter.
#[derive(Debug)]
pub(crate) enum Grant {
    ClientCredentials { resource: String },
    AuthorizationCode(Redeem),
    RefreshToken { token: Secret<String>, scopes: Option<Scopes> },
    DeviceCode { device_code: Secret<String> },
    OnBehalfOf { user_token: Secret<String>, scopes: Scopes },
    Password { user_name: String, password: Secret<String>, scopes: Scopes },
}

impl Grant {
    /// In whose name the client asks.
    pub(crate) const fn acting(&self) -> Acting {
        match self {
            Self::ClientCredentials { .. } => Acting::ForItself,
            Self::AuthorizationCode(_)
            | Self::RefreshToken { .. }
            | Self::DeviceCode { .. }
            | Self::OnBehalfOf { .. }
            | Self::Password { .. } => Acting::ForUsers,
        }
    }
}

/// What had to be found out before the decision, since it takes long or needs none of the store.
#[derive(Debug)]
pub(crate) enum Evidence {
    /// Nothing.
    None,
    /// A user's token, whose signature is ours.
    UserToken(UserToken),
    /// The password was right; this session may begin.
    Password(Session),
}

/// A refusal that leaves something written.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) DirectoryError);

/// A principal that may have a token for an audience. Made by [`decide`] and by the service for identities of its own.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) endpoint: Endpoint,
    pub(crate) principal: Arc<Principal>,
    /// Which client gets the token.
    pub(crate) client: ClientId,
    pub(crate) audience: Audience,
    pub(crate) proof: Proof,
    /// In whose name the client acts, if it does in a user's.
    pub(crate) user: Option<Delegated>,
    /// Does the client understand a challenge for more claims?
    pub(crate) can_be_challenged: bool,
    /// Which app acts under a user-assigned identity.
    pub(crate) hosting: Option<Hosting>,
    /// The app roles that the principal has there.
    pub(crate) roles: Vec<String>,
    /// The app roles that a user has at the client, for an id token.
    pub(crate) roles_at_client: Vec<String>,
}

impl Granted {
    /// To a principal that acts for itself.
    pub(crate) fn to_itself(principal: Arc<Principal>, audience: Audience, proof: Proof) -> Self {
        let client = principal.client;
        let endpoint = Endpoint::V2;
        Self {
            endpoint,
            principal,
            client,
            audience,
            proof,
            user: None,
            can_be_challenged: false,
            hosting: None,
            roles: Vec::new(),
            roles_at_client: Vec::new(),
        }
    }
}

/// First phase. Nothing is asked of the store for a request that cannot succeed.
pub(crate) fn parse(
    tenant: &Tenant,
    names: &HostNames,
    mut request: TokenRequest,
) -> Result<Parsed, DirectoryError> {
    let alias = tenant.alias(&request.tenant)?;
    let grant_type = given("grant_type", request.grant_type.take())?;
    let kind = Kind::of(&grant_type).ok_or_else(|| {
        DirectoryError::Request(RequestError::UnsupportedGrant { grant: shown(&grant_type) })
    })?;
    let is_from_page = request.is_from_page;
    if is_from_page && !matches!(kind, Kind::AuthorizationCode | Kind::RefreshToken) {
        return Err(DirectoryError::Request(RequestError::FromPage));
    }
    let (client, proof) = client::named(&mut request, names, tenant)?;
    // Whoever acts for itself must say where; a user is of one tenant, which is ours.
    if alias == TenantAlias::Any && matches!(kind, Kind::ClientCredentials | Kind::OnBehalfOf) {
        return Err(DirectoryError::Request(RequestError::TenantUnspecified));
    }
    if request.endpoint == Endpoint::V2 && request.resource.is_some() {
        return Err(DirectoryError::Request(RequestError::ResourceNotAllowed));
    }
    let can_be_challenged = request.claims.as_deref().is_some_and(names_cp1);
    let endpoint = request.endpoint;
    let grant = grant(kind, names, request)?;
    let needs_proof = matches!(kind, Kind::ClientCredentials | Kind::OnBehalfOf);
    if needs_proof && matches!(proof, ClientProof::None) {
        return Err(DirectoryError::Request(RequestError::ClientProofMissing));
    }
    Ok(Parsed { endpoint, client, proof, grant, can_be_challenged, is_from_page })
}

#[derive(Clone, Copy)]
enum Kind {
    ClientCredentials,
    AuthorizationCode,
    RefreshToken,
    DeviceCode,
    OnBehalfOf,
    Password,
}

impl Kind {
    fn of(grant_type: &str) -> Option<Self> {
        Some(match grant_type {
            "client_credentials" => Self::ClientCredentials,
            "authorization_code" => Self::AuthorizationCode,
            "refresh_token" => Self::RefreshToken,
            // MSAL for JavaScript sends the short form.
            "urn:ietf:params:oauth:grant-type:device_code" | "device_code" => Self::DeviceCode,
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => Self::OnBehalfOf,
            "password" => Self::Password,
            _ => return None,
        })
    }
}

fn grant(kind: Kind, names: &HostNames, request: TokenRequest) -> Result<Grant, DirectoryError> {
    let v1 = request.endpoint == Endpoint::V1;
    let scopes = |request: &TokenRequest| -> Result<Option<Scopes>, DirectoryError> {
        let asked = if v1 { &request.resource } else { &request.scope };
        match asked.as_deref().filter(|asked| !asked.trim().is_empty()) {
            None => Ok(None),
            Some(resource) if v1 => Ok(Some(Scopes::of_resource(resource.to_owned()))),
            Some(scope) => Scopes::parse(scope, names).map(Some),
        }
    };
    let must_ask = |scopes: Option<Scopes>| {
        scopes.ok_or(DirectoryError::Request(RequestError::MissingParameter {
            name: if v1 { "resource" } else { "scope" },
        }))
    };
    let asked = |request: &TokenRequest| must_ask(scopes(request)?);
    Ok(match kind {
        Kind::ClientCredentials => Grant::ClientCredentials {
            resource: match request.endpoint {
                Endpoint::V1 => given("resource", request.resource)?,
                Endpoint::V2 => client_credentials::resource_of_scope(&given("scope", request.scope)?)?,
            },
        },
        Kind::AuthorizationCode => Grant::AuthorizationCode(Redeem {
            scopes: scopes(&request)?,
            code: secret("code", request.code)?,
            redirect_uri: request.redirect_uri,
            verifier: request.code_verifier,
        }),
        Kind::RefreshToken => Grant::RefreshToken {
            scopes: scopes(&request)?,
            token: secret("refresh_token", request.refresh_token)?,
        },
        // The clients of the v1.0 endpoint call it `code`.
        Kind::DeviceCode => {
            Grant::DeviceCode { device_code: secret("device_code", request.device_code.or(request.code))? }
        }
        Kind::OnBehalfOf => {
            let scopes = asked(&request)?;
            if given("requested_token_use", request.requested_token_use)? != "on_behalf_of" {
                return Err(DirectoryError::Request(RequestError::ParameterInvalid {
                    name: "requested_token_use",
                }));
            }
            Grant::OnBehalfOf { user_token: secret("assertion", request.user_assertion)?, scopes }
        }
        Kind::Password => {
            let scopes = asked(&request)?;
            let user_name = given("username", request.user_name)?;
            Grant::Password { user_name, password: secret("password", request.password)?, scopes }
        }
    })
}

/// The phases that look at the store, all in one view: the client's proof, the grant's and the audience are of one moment.
pub(crate) fn decide(
    view: &View,
    setting: Setting<'_>,
    parsed: &Parsed,
    evidence: &Evidence,
) -> Result<Decision<Result<Granted, Refused>>, Halt<DirectoryError>> {
    let acting = parsed.grant.acting();
    let client = client::authenticate(view, parsed.client, acting, &parsed.proof, setting.now)?;
    let (endpoint, proof, can_be_challenged) = (parsed.endpoint, client.by, parsed.can_be_challenged);
    let delegated = |(delegated, audience): (Delegated, Audience), roles, roles_at_client| Granted {
        endpoint,
        principal: delegated.signed_in.principal.clone(),
        client: parsed.client,
        audience,
        proof,
        user: Some(delegated),
        can_be_challenged,
        hosting: None,
        roles,
        roles_at_client,
    };
    let decided = match (&parsed.grant, evidence) {
        (Grant::ClientCredentials { resource }, _) => {
            let principal = client_credentials::grant(&client)?;
            let audience = audience::resolve(view, setting.names, resource)?;
            let roles = app_role::claimed(view, &principal, &audience.resource)?;
            let granted =
                Granted { can_be_challenged, roles, ..Granted::to_itself(principal, audience, proof) };
            return Ok(Decision::of(Ok(granted), client.writes));
        }
        (Grant::AuthorizationCode(redeem), _) => authorization_code::redeem(view, setting, &client, redeem)?,
        (Grant::RefreshToken { token, scopes }, _) => {
            refresh_token::redeem(view, setting, &client, token, scopes.as_ref())?
        }
        (Grant::DeviceCode { device_code }, _) => device_code::redeem(view, setting, &client, device_code)?,
        (Grant::OnBehalfOf { scopes, .. }, Evidence::UserToken(token)) => {
            on_behalf_of::grant(view, setting, &client, token, scopes)?
        }
        (Grant::Password { scopes, .. }, Evidence::Password(session)) => {
            password::grant(view, setting, &client, session, scopes)?
        }
        (Grant::OnBehalfOf { .. } | Grant::Password { .. }, _) => {
            return Err(Halt::Refuse(DirectoryError::Broken { what: "a grant without its evidence" }));
        }
    };
    let value = match decided.value {
        Ok(granted) => {
            let (user, audience) = &granted;
            let principal = &user.signed_in.principal;
            let roles = app_role::claimed(view, principal, &audience.resource)?;
            let roles_at_client = match user.scopes.openid.id_token {
                true => app_role::told(view, principal, client.application()?)?,
                false => Vec::new(),
            };
            Ok(delegated(granted, roles, roles_at_client))
        }
        Err(refused) => Err(refused),
    };
    let writes = client.writes.into_iter().chain(decided.writes).collect();
    Ok(Decision { writes, value })
}

/// Does the `claims` parameter say that the client understands challenges (`access_token.xms_cc` holds `cp1`)? Clients differ in its case.
/// What cannot be read asks for nothing: it is a wish, not a proof.
fn names_cp1(claims: &str) -> bool {
    let Ok(claims) = serde_json::from_str::<serde_json::Value>(claims) else { return false };
    let values = claims.pointer("/access_token/xms_cc/values").and_then(serde_json::Value::as_array);
    values.is_some_and(|values| {
        values.iter().filter_map(serde_json::Value::as_str).any(|value| value.eq_ignore_ascii_case("cp1"))
    })
}

fn given(name: &'static str, value: Option<String>) -> Result<String, DirectoryError> {
    value
        .filter(|value| !value.trim().is_empty())
        .ok_or(DirectoryError::Request(RequestError::MissingParameter { name }))
}

fn secret(name: &'static str, value: Option<Secret<String>>) -> Result<Secret<String>, DirectoryError> {
    value
        .filter(|value| !value.expose().is_empty())
        .ok_or(DirectoryError::Request(RequestError::MissingParameter { name }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AssertionRefusal;
    use crate::fixtures::{self, registration, secret, tenant};

    fn request() -> TokenRequest {
        TokenRequest {
            tenant: tenant().id.to_string(),
            endpoint: Endpoint::V2,
            grant_type: Some("client_credentials".to_owned()),
            client: Some(registration(1).0.client.to_string()),
            secret: Some(secret("s")),
            scope: Some("https://vault.azure.net/.default".to_owned()),
            ..TokenRequest::default()
        }
    }

    fn refused(request: TokenRequest) -> DirectoryError {
        read(request).unwrap_err()
    }

    fn read(request: TokenRequest) -> Result<Parsed, DirectoryError> {
        parse(&tenant(), &fixtures::names(), request)
    }

    fn resource(parsed: &Parsed) -> &str {
        match &parsed.grant {
            Grant::ClientCredentials { resource } => resource,
            other => panic!("{other:?}"),
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_whole_request_is_understood() {
        let parsed = read(request()).unwrap();
        assert_eq!((parsed.client, resource(&parsed)), (registration(1).0.client, "https://vault.azure.net"));
        let v1 = TokenRequest {
            endpoint: Endpoint::V1,
            scope: some("ignored"),
            resource: some("https://x/"),
            ..request()
        };
        assert_eq!(resource(&read(v1).unwrap()), "https://x/");
        let basic = ClientSecret { client: registration(1).0.client.to_string(), secret: secret("s") };
        let by_header = TokenRequest { basic: Some(basic), secret: None, client: None, ..request() };
        assert_eq!(read(by_header).unwrap().client, registration(1).0.client);
    }

    #[test]
    fn each_missing_part_is_named() {
        for empty in [None, some(""), some("  ")] {
            let missing = |request| match refused(request) {
                DirectoryError::Request(RequestError::MissingParameter { name }) => name,
                other => panic!("{other}"),
            };
            assert_eq!(missing(TokenRequest { grant_type: empty.clone(), ..request() }), "grant_type");
            assert_eq!(missing(TokenRequest { client: empty.clone(), ..request() }), "client_id");
            assert_eq!(missing(TokenRequest { scope: empty.clone(), ..request() }), "scope");
            assert_eq!(
                missing(TokenRequest { endpoint: Endpoint::V1, resource: empty, ..request() }),
                "resource"
            );
        }
        for secret in [None, Some(secret(""))] {
            assert!(matches!(
                refused(TokenRequest { secret, ..request() }),
                DirectoryError::Request(RequestError::ClientProofMissing)
            ));
        }
    }

    #[test]
    fn what_cannot_be_granted_is_refused_before_the_store_is_asked() {
        for grant in
            ["implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "CLIENT_CREDENTIALS", "password "]
        {
            let request = TokenRequest { grant_type: some(grant), ..request() };
            assert!(
                matches!(refused(request), DirectoryError::Request(RequestError::UnsupportedGrant { grant: shown }) if shown == grant)
            );
        }
        for alias in ["common", "organizations"] {
            assert!(matches!(
                refused(TokenRequest { tenant: alias.to_owned(), ..request() }),
                DirectoryError::Request(RequestError::TenantUnspecified)
            ));
        }
        assert!(matches!(
            refused(TokenRequest { tenant: "x.example".to_owned(), ..request() }),
            DirectoryError::Request(RequestError::TenantNotFound { .. })
        ));
        assert!(matches!(
            refused(TokenRequest { client: some("orders"), ..request() }),
            DirectoryError::Request(RequestError::ClientMalformed { .. })
        ));
        assert!(matches!(
            refused(TokenRequest { resource: some("https://x"), ..request() }),
            DirectoryError::Request(RequestError::ResourceNotAllowed)
        ));
    }

    #[test]
    fn a_client_authenticates_in_one_way() {
        let basic =
            || Some(ClientSecret { client: registration(1).0.client.to_string(), secret: secret("s") });
        let both = TokenRequest { basic: basic(), ..request() };
        let two_names = TokenRequest { basic: basic(), secret: None, client: some("other"), ..request() };
        for request in [both, two_names] {
            assert!(matches!(
                refused(request),
                DirectoryError::Request(RequestError::ClientAuthenticationAmbiguous)
            ));
        }
    }

    #[test]
    fn an_assertion_is_of_the_one_type() {
        let asked = |kind: Option<&str>| TokenRequest {
            secret: None,
            assertion: Some(secret(" a.b.c\n")),
            assertion_type: kind.map(str::to_owned),
            ..request()
        };
        let jwt = Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert!(matches!(
            refused(asked(jwt)),
            DirectoryError::Request(RequestError::Assertion(AssertionRefusal::Form(_)))
        ));
        for (kind, is_missing) in [(None, true), (Some(""), true), (Some("urn:x:saml2-bearer"), false)] {
            match refused(asked(kind)) {
                DirectoryError::Request(RequestError::MissingParameter { name: "client_assertion_type" }) => {
                    assert!(is_missing)
                }
                DirectoryError::Request(RequestError::AssertionTypeUnsupported) => assert!(!is_missing),
                other => panic!("{other}"),
            }
        }
        let both = TokenRequest { secret: Some(secret("s")), ..asked(jwt) };
        assert!(matches!(
            refused(both),
            DirectoryError::Request(RequestError::ClientAuthenticationAmbiguous)
        ));
    }

    #[test]
    fn the_client_is_judged_before_the_audience() {
        let (mut registration, principal) = registration(1);
        registration.credentials.push(fixtures::credential("s", -1, 1));
        let view = fixtures::view(&registration, &principal);
        let asked = |secret: &str| {
            let request = TokenRequest {
                secret: Some(fixtures::secret(secret)),
                scope: some("https://nowhere/.default"),
                ..request()
            };
            let parsed = read(request).unwrap();
            let (names, key) = (fixtures::names(), crypt::MacKey::new(&[9; 32]));
            let setting = fixtures::setting(&names, &key);
            match decide(&view, setting, &parsed, &Evidence::None) {
                Err(Halt::Refuse(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        assert!(
            matches!(asked("s"), DirectoryError::ResourceUnknown { resource } if resource == "https://nowhere")
        );
        assert!(matches!(asked("wrong"), DirectoryError::Request(RequestError::ClientSecretWrong { .. })));
    }
}
