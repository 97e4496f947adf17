//! Our errors in the words of the Microsoft identity platform: an OAuth 2.0 error (RFC 6749 section 5.2) with AADSTS numbers.
//!
//! Numbers and their meaning: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
//! Every description is printable ASCII without `"` and `\`: a client exists that cannot read one with an escape in it. Every number
//! fits an `i32`, for the same client.

use crate::context::{AuditUnavailable, Context};
use axum::response::Response;
use crypt::AssertionFault;
use directory::{AppRoleError, AssertionRefusal, DirectoryError, GrantError, RequestError, UserError};
use domain::{HostNames, Timestamp};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use uuid::Uuid;

/// What is wrong with a request before the directory sees it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestFault {
    /// Another method than the one that is answered.
    #[error("the method is not {allowed}")]
    WrongMethod { method: Method, allowed: &'static str },
    /// The body is no form.
    #[error("the body is no form")]
    WrongContentType,
    /// The body is longer than any request needs.
    #[error("the body is too large")]
    TooLarge,
    /// The form or the `Authorization` header cannot be understood.
    #[error("the request cannot be understood")]
    Malformed,
    /// A parameter of a query is missing.
    #[error("the parameter {name} is missing")]
    MissingParameter { name: &'static str },
    /// Instance discovery for somebody else's authority.
    #[error("the authority is not ours")]
    UnknownInstance,
    /// There is nothing at this path.
    #[error("there is no such endpoint")]
    NoSuchEndpoint,
}

/// An answer that is no token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    code: i32,
    text: String,
    allow: Option<&'static str>,
    /// What kind of `invalid_grant` it is.
    suberror: Option<&'static str>,
    /// After how many seconds it is worth asking again.
    retry_after: Option<u64>,
}

impl OAuthError {
    fn new(status: u16, error: &'static str, code: i32, text: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, error, code, text: text.into(), allow: None, suberror: None, retry_after: None }
    }

    /// No app registration has this client id.
    fn client_unknown(id: &dyn std::fmt::Display) -> Self {
        let text = format!(
            "Application with identifier '{id}' was not found in the directory. This can happen if the application has not been registered, or was deleted, or if the request was sent to the wrong tenant."
        );
        Self::new(400, "unauthorized_client", 700_016, text)
    }

    /// 5xx bodies say nothing of the cause: that is in the log.
    fn internal() -> Self {
        Self::new(500, "server_error", 50000, "There was an error issuing a token.")
    }

    fn unavailable() -> Self {
        let text = "A transient error has occurred. Please try again.";
        Self { retry_after: Some(1), ..Self::new(503, "temporarily_unavailable", 90033, text) }
    }

    /// The same error as the discovery documents spell it.
    pub(super) fn of_discovery(mut self) -> Self {
        if self.code == 90002 {
            self.error = "invalid_tenant";
        }
        self
    }

    /// The same error as an authorization response spells it (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6).
    pub(crate) fn of_authorization(mut self) -> Self {
        self.error = match (self.code, self.error) {
            (65001, _) => "consent_required",
            // Signing in again would come to the same.
            (50105, _) => "access_denied",
            (500_011 | 50001 | 650_057, _) => "invalid_scope",
            (_, "invalid_grant" | "interaction_required") => "login_required",
            (_, error) => error,
        };
        self
    }

    /// `error` and `error_description`, for an answer that is no JSON.
    pub(crate) fn told(&self, context: &Context) -> (&'static str, String) {
        (self.error, format!("AADSTS{}: {} Trace ID: {}", self.code, self.text, context.request))
    }

    /// The status.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What is said of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Is it our fault rather than the caller's?
    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_server_error()
    }

    /// The answer.
    pub(super) fn respond(self, names: &HostNames, context: &Context, correlation: Uuid) -> Response {
        let timestamp = timestamp(context.now);
        let code = self.code;
        let body = Body {
            error: self.error,
            suberror: self.suberror,
            error_description: format!(
                "AADSTS{code}: {} Trace ID: {} Correlation ID: {correlation} Timestamp: {timestamp}",
                self.text, context.request
            ),
            error_codes: [code],
            timestamp,
            trace_id: context.request.uuid(),
            correlation_id: correlation,
            error_uri: format!("{}/error?code={code}", names.login_base()),
        };
        let mut response = super::json(self.status, NO_STORE, &body);
        let headers = response.headers_mut();
        headers.insert(header::PRAGMA, NO_CACHE);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store, no-cache");
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(Serialize)]
struct Body {
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suberror: Option<&'static str>,
    error_description: String,
    error_codes: [i32; 1],
    timestamp: String,
    trace_id: Uuid,
    correlation_id: Uuid,
    error_uri: String,
}

fn timestamp(now: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(now.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

impl From<AuditUnavailable> for OAuthError {
    fn from(_: AuditUnavailable) -> Self {
        Self::unavailable()
    }
}

impl From<&RequestFault> for OAuthError {
    fn from(fault: &RequestFault) -> Self {
        let invalid = |code, text: &str| Self::new(400, "invalid_request", code, text);
        match fault {
            RequestFault::WrongMethod { method, allowed } => {
                let received = [
                    Method::GET,
                    Method::HEAD,
                    Method::POST,
                    Method::PUT,
                    Method::DELETE,
                    Method::PATCH,
                    Method::OPTIONS,
                ]
                .into_iter()
                .find(|known| known == method);
                let received = received.as_ref().map_or("strange", Method::as_str);
                let text =
                    format!("The endpoint only accepts {allowed} requests. Received a {received} request.");
                Self { allow: Some(*allowed), ..Self::new(405, "invalid_request", 900_561, text) }
            }
            RequestFault::WrongContentType => {
                invalid(9_002_313, "Invalid request. The body must be application/x-www-form-urlencoded.")
            }
            RequestFault::TooLarge => invalid(9_002_313, "Invalid request. The body is too large."),
            RequestFault::Malformed => {
                invalid(9_002_313, "Invalid request. Request is malformed or invalid.")
            }
            RequestFault::MissingParameter { name } => {
                invalid(900_144, &format!("The request must contain the following parameter: '{name}'."))
            }
            RequestFault::UnknownInstance => Self::new(
                400,
                "invalid_instance",
                50049,
                "Unknown or invalid instance. This directory answers for its own authority only.",
            ),
            RequestFault::NoSuchEndpoint => Self::new(
                404,
                "invalid_request",
                9_002_313,
                "Invalid request. There is no such endpoint here.",
            ),
        }
    }
}

impl From<&RequestError> for OAuthError {
    fn from(error: &RequestError) -> Self {
        let request = |code, text: String| Self::new(400, "invalid_request", code, text);
        let scope = |code, text: String| Self::new(400, "invalid_scope", code, text);
        let client = |code, text: String| Self::new(401, "invalid_client", code, text);
        match error {
            RequestError::MissingParameter { name } => {
                request(900_144, format!("The request body must contain the following parameter: '{name}'."))
            }
            RequestError::UnsupportedGrant { grant } => Self::new(
                400,
                "unsupported_grant_type",
                70003,
                format!("The app requested an unsupported grant type '{grant}'."),
            ),
            RequestError::TenantMalformed { tenant } => request(
                900_023,
                format!("Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."),
            ),
            RequestError::TenantNotFound { tenant } => request(
                90002,
                format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."),
            ),
            RequestError::TenantUnspecified => request(
                50059,
                "No tenant-identifying information found in either the request or implied by any provided credentials.".to_owned(),
            ),
            RequestError::ClientMalformed { client } => Self::client_unknown(client),
            RequestError::ClientProofMissing => client(
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.".to_owned(),
            ),
            RequestError::FromPage => request(
                9_002_326,
                "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type.".to_owned(),
            ),
            RequestError::NotFromPage => request(
                9_002_327,
                "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.".to_owned(),
            ),
            RequestError::AssertionTypeUnsupported => {
                request(9_002_313, "Invalid request. The parameter 'client_assertion_type' must be 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'.".to_owned())
            }
            RequestError::Assertion(refusal) => refusal.into(),
            RequestError::ClientSecretWrong { client: id } => client(
                7_000_215,
                format!("Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{id}'."),
            ),
            RequestError::ClientSecretExpired { client: id } => {
                client(7_000_222, format!("The provided client secret keys for app '{id}' are expired. Create new keys for your app."))
            }
            RequestError::ClientAuthenticationAmbiguous => {
                request(9_002_313, "Invalid request. The client authenticates in more than one way.".to_owned())
            }
            RequestError::ClientDisabled { client: id } => {
                Self::new(400, "unauthorized_client", 7_000_112, format!("Application '{id}' is disabled."))
            }
            RequestError::ResourceNotAllowed => request(
                901_002,
                "The 'resource' request parameter is not supported. Use 'scope' at the v2.0 endpoint.".to_owned(),
            ),
            RequestError::ScopeNotDefault { scope: asked } => scope(
                1_002_012,
                format!("The provided value for scope {asked} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."),
            ),
            RequestError::RedirectUriUnknown { client: id, redirect_uri } => request(
                50011,
                format!("The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured for the application '{id}'."),
            ),
            RequestError::ParameterTooLong { name } => {
                request(9_002_313, format!("Invalid request. The parameter '{name}' is too long."))
            }
            RequestError::ParameterInvalid { name } => {
                request(9_002_313, format!("Invalid request. The value of the parameter '{name}' is not supported."))
            }
        }
    }
}

impl From<&DirectoryError> for OAuthError {
    fn from(error: &DirectoryError) -> Self {
        let scope = |code, text: String| Self::new(400, "invalid_scope", code, text);
        let client = |code, text: String| Self::new(401, "invalid_client", code, text);
        let grant = |code, text: &str| Self::new(400, "invalid_grant", code, text);
        let because = |suberror, answer: Self| Self { suberror: Some(suberror), ..answer };
        match error {
            DirectoryError::Request(error) => error.into(),
            DirectoryError::ClientUnknown { client } => Self::client_unknown(client),
            DirectoryError::ClientIsPublic { client: id } => client(
                700_025,
                format!("Client is public so neither 'client_assertion' nor 'client_secret' should be presented by app '{id}'."),
            ),
            DirectoryError::ResourceUnknown { resource } => Self::new(
                400,
                "invalid_resource",
                500_011,
                format!("The resource principal named {resource} was not found in the tenant. This can happen if the application has not been registered in the tenant, or if the request was sent to the wrong tenant."),
            ),
            DirectoryError::ScopeMalformed { scope: asked } => scope(
                70011,
                format!("The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {asked} is not valid."),
            ),
            DirectoryError::ScopesOfTwoResources => {
                scope(700_022, "Invalid multiple resources scope. The provided value for the input parameter scope contains more than one resource.".to_owned())
            }
            DirectoryError::ScopeUnknown { scope: asked } => scope(
                70011,
                format!("The provided value for the input parameter 'scope' is not valid. The scope {asked} does not exist at the resource."),
            ),
            DirectoryError::Grant(GrantError::ResponseTypeUnsupported { response_type }) => Self::new(
                400,
                "unsupported_response_type",
                700_054,
                format!("response_type '{response_type}' is not enabled. Use 'code'."),
            ),
            DirectoryError::Grant(GrantError::SignInRequired) => Self::new(
                400,
                "login_required",
                50058,
                "A silent sign-in request was sent but no user is signed in.",
            ),
            DirectoryError::Grant(GrantError::ConsentRequired { client: id }) => because(
                "consent_required",
                grant(65001, &format!("The user or administrator has not consented to use the application with ID '{id}'. Send an interactive authorization request for this user and resource.")),
            ),
            DirectoryError::Grant(GrantError::AdministratorMustAgree { client: id }) => Self::new(
                400,
                "access_denied",
                90094,
                format!("The grant requires admin permission. Ask an administrator to agree to what the application with ID '{id}' asks for."),
            ),
            DirectoryError::Grant(GrantError::ResourceNotListed { client: id, resource }) => Self::new(
                400,
                "invalid_resource",
                650_057,
                format!("Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration. Client app ID: {id}. Resource value from request: {resource}."),
            ),
            DirectoryError::Grant(GrantError::ConsentDeclined) => {
                Self::new(400, "access_denied", 65004, "User declined to consent to access the app.")
            }
            DirectoryError::Grant(GrantError::CodeInvalid) => {
                grant(70008, "The provided authorization code or refresh token has expired or is not valid. Send a new interactive authorization request for this user and resource.")
            }
            DirectoryError::Grant(GrantError::CodeOfAnother) => {
                grant(70000, "The provided grant is invalid or malformed. The authorization code was issued to another client.")
            }
            DirectoryError::Grant(GrantError::CodeRedeemed) => {
                grant(54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token. What the code had brought has been revoked.")
            }
            DirectoryError::Grant(GrantError::RedirectUriChanged) => {
                grant(500_112, "The reply address does not match the reply address provided when requesting the authorization code.")
            }
            DirectoryError::Grant(GrantError::VerifierWrong) => {
                grant(50148, "The code_verifier does not match the code_challenge supplied in the authorization request.")
            }
            DirectoryError::Grant(GrantError::RefreshTokenInvalid) => {
                because("bad_token", grant(70000, "The provided grant is invalid or malformed. The refresh token is not valid."))
            }
            DirectoryError::Grant(GrantError::RefreshTokenExpired) => {
                because("token_expired", grant(700_082, "The refresh token has expired due to inactivity."))
            }
            DirectoryError::Grant(GrantError::RefreshTokenOver) => because(
                "token_expired",
                grant(700_084, "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime, which can not be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page."),
            ),
            DirectoryError::Grant(GrantError::RefreshTokenReused) => because(
                "bad_token",
                grant(70000, "The provided grant is invalid or malformed. The refresh token was used before, so all that came from it has been revoked."),
            ),
            DirectoryError::Grant(GrantError::SessionEnded) => {
                grant(50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have signed out, changed or reset their password, or was disabled.")
            }
            DirectoryError::Grant(GrantError::UserTokenInvalid { why: "it has expired" }) => {
                grant(500_133, "Assertion is not within its valid time range. The user's token has expired.")
            }
            DirectoryError::Grant(GrantError::UserTokenInvalid { why }) => {
                grant(50013, &format!("Assertion failed validation: {why}."))
            }
            DirectoryError::Grant(GrantError::DevicePending) => Self::new(
                400,
                "authorization_pending",
                70016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
            ),
            DirectoryError::Grant(GrantError::DeviceDeclined) => Self::new(
                400,
                "authorization_declined",
                65004,
                "User declined to consent to access the app.",
            ),
            DirectoryError::Grant(GrantError::DeviceCodeInvalid) => Self::new(
                400,
                "bad_verification_code",
                70018,
                "Invalid verification code. The device code is unknown, was used, or is another client's.",
            ),
            DirectoryError::Grant(GrantError::DeviceCodeExpired) => Self::new(
                400,
                "expired_token",
                70019,
                "Verification code expired. Have the user retry the sign-in.",
            ),
            DirectoryError::Grant(GrantError::UserCodeUnknown) => Self::new(
                400,
                "bad_verification_code",
                70018,
                "Invalid verification code due to user typing in wrong user code for device code flow.",
            ),
            DirectoryError::Grant(GrantError::PasswordGrantDisabled) => Self::new(
                400,
                "unsupported_grant_type",
                70003,
                "The app requested an unsupported grant type 'password'. It is not enabled here.",
            ),
            DirectoryError::Grant(GrantError::PasswordMustChange) => {
                because("user_password_expired", grant(50055, "The password is expired: the user must set another one by signing in at a page."))
            }
            DirectoryError::Grant(GrantError::SecondFactorNeeded) => Self {
                suberror: Some("basic_action"),
                ..Self::new(400, "interaction_required", 50076, "You must use multi-factor authentication to access the resource.")
            },
            DirectoryError::AppRole(AppRoleError::NotAssigned { principal, resource, is_user: false }) => grant(
                501_051,
                &format!("Application '{principal}' is not assigned to a role for the application '{resource}'."),
            ),
            DirectoryError::AppRole(AppRoleError::NotAssigned { principal, resource, is_user: true }) => grant(
                50105,
                &format!("The signed in user '{principal}' is not assigned to a role for the application '{resource}'."),
            ),
            DirectoryError::User(error) => error.into(),
            DirectoryError::Store(error) if error.is_temporary() => Self::unavailable(),
            // Broken records and keys; and what an operator's requests run into, which no token request does.
            DirectoryError::Store(_)
            | DirectoryError::Crypt(_)
            | DirectoryError::Broken { .. }
            | DirectoryError::RegistrationNotFound { .. }
            | DirectoryError::ClientHasCredentials { .. }
            | DirectoryError::CredentialNotFound { .. }
            | DirectoryError::CertificateInvalid(_)
            | DirectoryError::CertificateOver
            | DirectoryError::CertificateTaken
            | DirectoryError::FederatedInvalid { .. }
            | DirectoryError::FederatedTaken { .. }
            | DirectoryError::PrincipalNotFound { .. }
            | DirectoryError::AdministratorNeeded
            | DirectoryError::IdentifierUriTaken { .. }
            | DirectoryError::IdentifierUriInvalid { .. }
            | DirectoryError::RedirectUriInvalid { .. }
            | DirectoryError::DisplayNameInvalid
            | DirectoryError::LifetimeInvalid
            | DirectoryError::Group(_)
            | DirectoryError::AppRole(_)
            | DirectoryError::Graph(_)
            | DirectoryError::SigningKeyNotFound { .. }
            | DirectoryError::TooMany { .. } => Self::internal(),
        }
    }
}

/// What is wrong with an assertion. Numbers as clients and their guides know them; those of federated credentials end in 21x.
impl From<&AssertionRefusal> for OAuthError {
    fn from(refusal: &AssertionRefusal) -> Self {
        let client = |code, text: String| Self::new(401, "invalid_client", code, text);
        let reason = |why: &str| {
            client(700_027, format!("Client assertion failed signature validation. Reason: {why}."))
        };
        match refusal {
            AssertionRefusal::Form(AssertionFault::TooLarge) => {
                client(50027, "JWT token is invalid or malformed: it is too large.".to_owned())
            }
            AssertionRefusal::Form(AssertionFault::Malformed { what }) => {
                client(50027, format!("JWT token is invalid or malformed: {what}."))
            }
            AssertionRefusal::Form(AssertionFault::Critical) => {
                client(50027, "JWT token is invalid or malformed: it has a critical header.".to_owned())
            }
            AssertionRefusal::Form(AssertionFault::UnsupportedAlgorithm) => {
                reason("the algorithm is not supported, use PS256 or RS256")
            }
            AssertionRefusal::Form(AssertionFault::BadSignature) => reason("the key did not make this signature"),
            AssertionRefusal::KeyUnknown { thumbprint: Some(thumbprint) } => reason(&format!(
                "the key was not found, thumbprint of key used by client: '{}'",
                thumbprint.to_ascii_uppercase()
            )),
            AssertionRefusal::KeyUnknown { thumbprint: None } | AssertionRefusal::IssuerKeyUnknown => {
                reason("the key was not found")
            }
            AssertionRefusal::KeyOver { thumbprint } => reason(&format!(
                "the certificate is not within its validity, thumbprint of key used by client: '{}'",
                thumbprint.to_ascii_uppercase()
            )),
            AssertionRefusal::Used => reason("the assertion has no new 'jti'"),
            AssertionRefusal::OfAnother => client(
                700_021,
                "Client assertion application identifier doesn't match 'client_id' parameter. Both 'iss' and 'sub' must be it.".to_owned(),
            ),
            AssertionRefusal::Audience => client(
                700_023,
                "Client assertion audience claim does not match Realm issuer. Use the token endpoint.".to_owned(),
            ),
            AssertionRefusal::Time { why } => {
                client(700_024, format!("Client assertion is not within its valid time range: {why}."))
            }
            AssertionRefusal::OwnToken => client(
                700_229,
                "Tokens of this directory cannot be used as federated identity credentials.".to_owned(),
            ),
            AssertionRefusal::NotItsProgram => client(
                700_213,
                "No matching federated identity record found for presented assertion. A token file is good for its own program only, while that runs, and for identities that its app has.".to_owned(),
            ),
            AssertionRefusal::IssuerUnknown { issuer } => client(
                700_211,
                format!("No matching federated identity record found for presented assertion issuer '{issuer}'."),
            ),
            AssertionRefusal::SubjectUnknown { subject } => client(
                700_213,
                format!("No matching federated identity record found for presented assertion subject '{subject}'. The comparison is case-sensitive."),
            ),
            AssertionRefusal::AudienceUnknown { audience } => client(
                700_212,
                format!("No matching federated identity record found for presented assertion audience '{audience}'."),
            ),
            AssertionRefusal::IssuerUnavailable { issuer, .. } => {
                client(50166, format!("Request to External OIDC endpoint failed: the keys of '{issuer}' cannot be had."))
            }
        }
    }
}

/// Of the password grant; pages say these in their own words.
impl From<&UserError> for OAuthError {
    fn from(error: &UserError) -> Self {
        let grant = |code, text: &str| Self::new(400, "invalid_grant", code, text);
        match error {
            UserError::SignInRefused => {
                grant(50126, "Error validating credentials due to invalid username or password.")
            }
            UserError::Disabled { .. } => grant(50057, "The user account is disabled."),
            UserError::TooManyTries { seconds } => Self {
                retry_after: Some(*seconds),
                ..Self::new(
                    429,
                    "invalid_grant",
                    50053,
                    format!(
                        "Too many sign-in attempts with an incorrect user ID or password. Try again in {seconds} seconds."
                    ),
                )
            },
            UserError::Busy => Self::unavailable(),
            // Of what administrators do, and of pages.
            UserError::NotFound { .. }
            | UserError::NameTaken { .. }
            | UserError::NameInvalid(_)
            | UserError::DomainForeign { .. }
            | UserError::MailInvalid
            | UserError::PasswordUnfit { .. }
            | UserError::CodeWrong
            | UserError::PasskeyRefused { .. }
            | UserError::NoAuthenticator { .. }
            | UserError::AuthenticatorExists { .. } => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests;
