//! The phases of a token request, in the one order for every grant: parse -> authenticate the client -> the grant's proof -> audience
//! -> claims -> sign. Each takes what the one before made, so none can be skipped.
//!
//! Spec: RFC 6749 sections 2.3, 3.2, 4.4; Microsoft identity platform, client credentials flow (v2.0 and v1.0).

use crate::{
    Audience, DirectoryError, KeyRing, Tenant, TenantAlias, TokenVersion, audience,
    claims::{self, Claims, Facts, Proof},
    client::{self, ClientProof},
    grants::client_credentials,
    tenant::shown,
};
use access::Principal;
use crypt::jws::{self, Thumbprint};
use domain::{ClientId, Entropy, HostNames, PrincipalId, Secret, Timestamp, world::random};
use std::{sync::Arc, time::Duration};
use store::{Decision, Halt, View};

/// Which of the two endpoints was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/oauth2/token`: takes a resource.
    V1,
    /// `/oauth2/v2.0/token`: takes scopes.
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
#[derive(Debug)]
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
    /// Whose it is, by client id.
    pub client: ClientId,
    /// How that was proven.
    pub proof: Proof,
    /// Its own id (`uti`), for the audit log.
    pub token: String,
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
    pub(crate) client: ClientId,
    pub(crate) proof: ClientProof,
    resource: String,
    grant: Grant,
}

/// What is asked for, with what proves that it may be had. The client's proof of itself is another matter.
#[derive(Debug)]
enum Grant {
    ClientCredentials,
}

/// A principal that may have a token for an audience. Made by [`decide`] and by the service for identities of its own.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) principal: Arc<Principal>,
    pub(crate) audience: Audience,
    pub(crate) proof: Proof,
}

/// First phase. Nothing is asked of the store for a request that cannot succeed.
pub(crate) fn parse(
    tenant: &Tenant,
    names: &HostNames,
    mut request: TokenRequest,
) -> Result<Parsed, DirectoryError> {
    let alias = tenant.alias(&request.tenant)?;
    let grant_type = given("grant_type", request.grant_type.take())?;
    if grant_type != "client_credentials" {
        return Err(DirectoryError::UnsupportedGrant { grant: shown(&grant_type) });
    }
    let (client, proof) = client::take(&mut request, names, tenant)?;
    let client = given("client_id", client)?;
    let client = client.parse().map_err(|_| DirectoryError::ClientMalformed { client: shown(&client) })?;
    if alias == TenantAlias::Any {
        return Err(DirectoryError::TenantUnspecified);
    }
    let resource = match request.endpoint {
        Endpoint::V1 => given("resource", request.resource)?,
        Endpoint::V2 if request.resource.is_some() => return Err(DirectoryError::ResourceNotAllowed),
        Endpoint::V2 => client_credentials::resource_of_scope(&given("scope", request.scope)?)?,
    };
    if matches!(proof, ClientProof::None) {
        return Err(DirectoryError::ClientProofMissing);
    }
    Ok(Parsed { client, proof, resource, grant: Grant::ClientCredentials })
}

/// The phases that look at the store, all in one view: the client's proof, the grant's and the audience are of one moment.
pub(crate) fn decide(
    view: &View,
    names: &HostNames,
    parsed: &Parsed,
    now: Timestamp,
) -> Result<Decision<Granted>, Halt<DirectoryError>> {
    let client = client::authenticate(view, parsed.client, &parsed.proof, now)?;
    let principal = match &parsed.grant {
        Grant::ClientCredentials => client_credentials::grant(&client)?,
    };
    let audience = audience::resolve(view, names, &parsed.resource)?;
    Ok(Decision::of(Granted { principal, audience, proof: client.by }, client.writes))
}

/// The last phases: claims, and the one signature.
pub(crate) fn issue(
    granted: &Granted,
    names: &HostNames,
    ring: &KeyRing,
    entropy: &dyn Entropy,
    lifetime: Duration,
    now: Timestamp,
) -> Result<IssuedToken, DirectoryError> {
    let Granted { principal, audience, proof } = granted;
    let token = crypt::encoding::base64url(&random::<16>(entropy));
    let expires = now.plus(lifetime);
    let claims: Claims = claims::claims(Facts {
        principal,
        audience,
        proof: *proof,
        names,
        issued: now,
        expires,
        token: token.clone(),
    });
    let thumbprint = match audience.version {
        TokenVersion::V1 => Thumbprint::Included,
        TokenVersion::V2 => Thumbprint::Omitted,
    };
    Ok(IssuedToken {
        access_token: jws::sign(ring.current(), thumbprint, &claims)?,
        issued: now,
        expires_on: expires,
        resource: audience.requested.clone(),
        principal: principal.id,
        client: principal.client,
        proof: *proof,
        token,
    })
}

fn given(name: &'static str, value: Option<String>) -> Result<String, DirectoryError> {
    value.filter(|value| !value.trim().is_empty()).ok_or(DirectoryError::MissingParameter { name })
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
            basic: None,
            assertion: None,
            assertion_type: None,
            scope: Some("https://vault.azure.net/.default".to_owned()),
            resource: None,
        }
    }

    fn refused(request: TokenRequest) -> DirectoryError {
        parse(&tenant(), &fixtures::names(), request).unwrap_err()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_whole_request_is_understood() {
        let parsed = parse(&tenant(), &fixtures::names(), request()).unwrap();
        assert_eq!((parsed.client, &*parsed.resource), (registration(1).0.client, "https://vault.azure.net"));
        let v1 = TokenRequest {
            endpoint: Endpoint::V1,
            scope: some("ignored"),
            resource: some("https://x/"),
            ..request()
        };
        assert_eq!(parse(&tenant(), &fixtures::names(), v1).unwrap().resource, "https://x/");
        let basic = ClientSecret { client: registration(1).0.client.to_string(), secret: secret("s") };
        let by_header = TokenRequest { basic: Some(basic), secret: None, client: None, ..request() };
        assert_eq!(parse(&tenant(), &fixtures::names(), by_header).unwrap().client, registration(1).0.client);
    }

    #[test]
    fn each_missing_part_is_named() {
        for empty in [None, some(""), some("  ")] {
            let missing = |request| match refused(request) {
                DirectoryError::MissingParameter { name } => name,
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
                DirectoryError::ClientProofMissing
            ));
        }
    }

    #[test]
    fn what_cannot_be_granted_is_refused_before_the_store_is_asked() {
        for grant in ["password", "authorization_code", "CLIENT_CREDENTIALS", "client_credentials "] {
            let request = TokenRequest { grant_type: some(grant), ..request() };
            assert!(
                matches!(refused(request), DirectoryError::UnsupportedGrant { grant: shown } if shown == grant)
            );
        }
        for alias in ["common", "organizations"] {
            assert!(matches!(
                refused(TokenRequest { tenant: alias.to_owned(), ..request() }),
                DirectoryError::TenantUnspecified
            ));
        }
        assert!(matches!(
            refused(TokenRequest { tenant: "x.example".to_owned(), ..request() }),
            DirectoryError::TenantNotFound { .. }
        ));
        assert!(matches!(
            refused(TokenRequest { client: some("orders"), ..request() }),
            DirectoryError::ClientMalformed { .. }
        ));
        assert!(matches!(
            refused(TokenRequest { resource: some("https://x"), ..request() }),
            DirectoryError::ResourceNotAllowed
        ));
    }

    #[test]
    fn a_client_authenticates_in_one_way() {
        let basic =
            || Some(ClientSecret { client: registration(1).0.client.to_string(), secret: secret("s") });
        let both = TokenRequest { basic: basic(), ..request() };
        let two_names = TokenRequest { basic: basic(), secret: None, client: some("other"), ..request() };
        for request in [both, two_names] {
            assert!(matches!(refused(request), DirectoryError::ClientAuthenticationAmbiguous));
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
        assert!(matches!(refused(asked(jwt)), DirectoryError::Assertion(AssertionRefusal::Form(_))));
        for (kind, is_missing) in [(None, true), (Some(""), true), (Some("urn:x:saml2-bearer"), false)] {
            match refused(asked(kind)) {
                DirectoryError::MissingParameter { name: "client_assertion_type" } => assert!(is_missing),
                DirectoryError::AssertionTypeUnsupported => assert!(!is_missing),
                other => panic!("{other}"),
            }
        }
        let both = TokenRequest { secret: Some(secret("s")), ..asked(jwt) };
        assert!(matches!(refused(both), DirectoryError::ClientAuthenticationAmbiguous));
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
            let parsed = parse(&tenant(), &fixtures::names(), request).unwrap();
            match decide(&view, &fixtures::names(), &parsed, fixtures::NOW) {
                Err(Halt::Refuse(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        assert!(
            matches!(asked("s"), DirectoryError::ResourceUnknown { resource } if resource == "https://nowhere")
        );
        assert!(matches!(asked("wrong"), DirectoryError::ClientSecretWrong { .. }));
    }
}
