//! Authorization requests: what a client asks a browser to ask us (RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core section 3.1.2,
//! RFC 9700 section 2.1).
//!
//! Owns: which requests are understood, and where a refusal may be told. A request whose client or redirect URI is not known is told of to
//! the user and to nobody else: sending anything there is what an attacker wants. Owns not: the pages, and who signs in.

use crate::{
    Audience, DirectoryError, GrantError, RequestError, Tenant, application::Application, redirect::Platform,
    scope::Scopes, tenant::shown, token::Endpoint,
};
use domain::{ClientId, HostNames, limits};
use store::{Halt, View};

/// An authorization request as it came. Empty parameters are missing ones.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest {
    /// The tenant of the URL.
    pub tenant: String,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `client_id`.
    pub client: Option<String>,
    /// `redirect_uri`.
    pub redirect_uri: Option<String>,
    /// `response_type`.
    pub response_type: Option<String>,
    /// `response_mode`.
    pub response_mode: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `resource`, of the v1.0 endpoint.
    pub resource: Option<String>,
    /// `state`.
    pub state: Option<String>,
    /// `nonce`.
    pub nonce: Option<String>,
    /// `code_challenge`.
    pub code_challenge: Option<String>,
    /// `code_challenge_method`.
    pub code_challenge_method: Option<String>,
    /// `prompt`.
    pub prompt: Option<String>,
    /// `login_hint`.
    pub login_hint: Option<String>,
    /// `max_age`, in seconds.
    pub max_age: Option<String>,
}

/// How the answer comes to the client (OAuth 2.0 Multiple Response Types, Form Post Response Mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In its fragment.
    Fragment,
    /// In a form that the browser posts to it.
    FormPost,
}

/// What the user must be asked, whoever is signed in already (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// What is needed.
    AsNeeded,
    /// Nothing: if something is needed, the request fails.
    None,
    /// To sign in again.
    Login,
    /// To agree again.
    Consent,
    /// Which account.
    SelectAccount,
}

/// Where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The redirect URI, which is one of the client's.
    pub redirect_uri: String,
    /// How.
    pub mode: ResponseMode,
    /// `state`, which goes back as it came.
    pub state: Option<String>,
}

/// An authorization request that may be answered.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Who asks.
    pub application: Application,
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// What the user must be asked.
    pub prompt: Prompt,
    /// Who will probably sign in.
    pub login_hint: Option<String>,
    /// How old the sign-in may be, in seconds.
    pub max_age: Option<u32>,
    /// For what.
    pub audience: Audience,
    pub(crate) platform: Platform,
    pub(crate) scopes: Scopes,
    /// What the user is asked to agree to beside, at other resources: the code is for the first.
    pub(crate) also: Vec<(Audience, Scopes)>,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<String>,
}

impl Authorization {
    /// All resources that are asked for, the one first that the code is for.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&Audience, &Scopes)> {
        let also = self.also.iter().map(|(audience, scopes)| (audience, scopes));
        std::iter::once((&self.audience, &self.scopes)).chain(also)
    }
}

/// Why an authorization request is refused, and who is told.
#[derive(Debug)]
pub enum AuthorizeRefusal {
    /// The user, on a page of ours: nothing may be sent anywhere.
    OnPage(DirectoryError),
    /// The client, at its redirect URI.
    ToClient(ReplyTo, DirectoryError),
}

impl From<DirectoryError> for AuthorizeRefusal {
    fn from(error: DirectoryError) -> Self {
        Self::OnPage(error)
    }
}

impl From<store::StoreError> for AuthorizeRefusal {
    fn from(error: store::StoreError) -> Self {
        Self::OnPage(error.into())
    }
}

/// Reads an authorization request. Pure.
///
/// # Errors
/// [`AuthorizeRefusal`], or what must be loaded first.
pub(crate) fn read(
    view: &View,
    tenant: &Tenant,
    names: &HostNames,
    request: &AuthorizeRequest,
) -> Result<Authorization, Halt<AuthorizeRefusal>> {
    let on_page = |error: DirectoryError| Halt::Refuse(AuthorizeRefusal::OnPage(error));
    tenant.alias(&request.tenant).map_err(on_page)?;
    let client = given("client_id", request.client.as_deref()).map_err(on_page)?;
    let client: ClientId = client.parse().map_err(|_| {
        on_page(DirectoryError::Request(RequestError::ClientMalformed { client: shown(client) }))
    })?;
    let application =
        Application::find(view, client)?.ok_or_else(|| on_page(DirectoryError::ClientUnknown { client }))?;
    let redirect_uri = given("redirect_uri", request.redirect_uri.as_deref()).map_err(on_page)?;
    let platform = application.platform_at(redirect_uri).ok_or_else(|| {
        on_page(DirectoryError::Request(RequestError::RedirectUriUnknown {
            client,
            redirect_uri: shown(redirect_uri),
        }))
    })?;
    let state = request.state.clone().filter(|state| !state.is_empty());
    if state.as_ref().is_some_and(|state| state.len() > limits::STATE_CHARS_MAX) {
        return Err(on_page(DirectoryError::Request(RequestError::ParameterTooLong { name: "state" })));
    }
    let (mode, mode_fault) = mode(request.response_mode.as_deref());
    let reply_to = ReplyTo { redirect_uri: redirect_uri.to_owned(), mode, state };
    // From here on the client may hear of it.
    let to_client = |error| Halt::Refuse(AuthorizeRefusal::ToClient(reply_to.clone(), error));
    mode_fault.map_or(Ok(()), |fault| Err(to_client(fault)))?;
    let asked = (|| {
        response_type(request.response_type.as_deref())?;
        let nonce = request.nonce.clone().filter(|nonce| !nonce.is_empty());
        if nonce.as_ref().is_some_and(|nonce| nonce.len() > limits::STATE_CHARS_MAX) {
            return Err(DirectoryError::Request(RequestError::ParameterTooLong { name: "nonce" }));
        }
        let challenge = challenge(request, platform)?;
        let scopes = match request.endpoint {
            Endpoint::V2 => Scopes::parse(given("scope", request.scope.as_deref())?, names)?,
            Endpoint::V1 => Scopes::of_resource(match request.resource.as_deref() {
                Some(resource) if !resource.is_empty() => resource.to_owned(),
                _ => names.graph_resource(),
            }),
        };
        Ok((
            nonce,
            challenge,
            scopes,
            prompt(request.prompt.as_deref())?,
            max_age(request.max_age.as_deref())?,
        ))
    })();
    let (nonce, challenge, scopes, prompt, max_age) = asked.map_err(to_client)?;
    let ((audience, scopes), also) = scopes.by_resource(view, names).map_err(|halt| match halt {
        Halt::Load(load) => Halt::Load(load),
        Halt::Refuse(error) => to_client(error),
    })?;
    Ok(Authorization {
        application,
        reply_to: reply_to.clone(),
        prompt,
        login_hint: request.login_hint.clone().filter(|hint| hint.len() <= limits::DISPLAY_NAME_CHARS_MAX),
        max_age,
        audience,
        platform,
        scopes,
        also,
        nonce,
        challenge,
    })
}

/// The code flow, and nothing else: tokens in a redirect are for whoever sees the URL (RFC 9700 section 2.1.2).
fn response_type(text: Option<&str>) -> Result<(), DirectoryError> {
    match given("response_type", text)? {
        "code" => Ok(()),
        other => {
            Err(DirectoryError::Grant(GrantError::ResponseTypeUnsupported { response_type: shown(other) }))
        }
    }
}

/// One that is not known is told by query, as if none had been asked for.
fn mode(text: Option<&str>) -> (ResponseMode, Option<DirectoryError>) {
    match text.filter(|text| !text.is_empty()) {
        None | Some("query") => (ResponseMode::Query, None),
        Some("fragment") => (ResponseMode::Fragment, None),
        Some("form_post") => (ResponseMode::FormPost, None),
        Some(_) => (
            ResponseMode::Query,
            Some(DirectoryError::Request(RequestError::ParameterInvalid { name: "response_mode" })),
        ),
    }
}

/// The challenge of PKCE, which a client without a credential cannot do without (RFC 9700 section 2.1.1).
fn challenge(request: &AuthorizeRequest, platform: Platform) -> Result<Option<String>, DirectoryError> {
    /// Of SHA-256 in base64url (RFC 7636 section 4.2).
    const CHALLENGE_CHARS: usize = 43;
    let challenge = request.code_challenge.as_deref().filter(|challenge| !challenge.is_empty());
    let Some(challenge) = challenge else {
        return match platform.is_public() {
            true => Err(DirectoryError::Request(RequestError::MissingParameter { name: "code_challenge" })),
            false => Ok(None),
        };
    };
    // `plain`, which is also meant by naming none, shows the verifier to whoever sees the request.
    if request.code_challenge_method.as_deref() != Some("S256") {
        return Err(DirectoryError::Request(RequestError::ParameterInvalid {
            name: "code_challenge_method",
        }));
    }
    let is_hash = challenge.len() == CHALLENGE_CHARS
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_hash {
        return Err(DirectoryError::Request(RequestError::ParameterInvalid { name: "code_challenge" }));
    }
    Ok(Some(challenge.to_owned()))
}

fn prompt(text: Option<&str>) -> Result<Prompt, DirectoryError> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(Prompt::AsNeeded),
        Some("none") => Ok(Prompt::None),
        Some("login") => Ok(Prompt::Login),
        Some("consent") => Ok(Prompt::Consent),
        Some("select_account") => Ok(Prompt::SelectAccount),
        Some(_) => Err(DirectoryError::Request(RequestError::ParameterInvalid { name: "prompt" })),
    }
}

fn max_age(text: Option<&str>) -> Result<Option<u32>, DirectoryError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|_| DirectoryError::Request(RequestError::ParameterInvalid { name: "max_age" }))
}

fn given<'a>(name: &'static str, value: Option<&'a str>) -> Result<&'a str, DirectoryError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or(DirectoryError::Request(RequestError::MissingParameter { name }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{self, names, tenant},
        redirect::RedirectUri,
    };

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn request() -> AuthorizeRequest {
        AuthorizeRequest {
            tenant: "common".to_owned(),
            endpoint: Endpoint::V2,
            client: Some(fixtures::registration(1).0.client.to_string()),
            redirect_uri: some("https://shop.example/cb"),
            response_type: some("code"),
            response_mode: None,
            scope: some("openid https://vault.azure.net/.default"),
            resource: None,
            state: some("s"),
            nonce: some("n"),
            code_challenge: some(CHALLENGE),
            code_challenge_method: some("S256"),
            prompt: None,
            login_hint: None,
            max_age: None,
        }
    }

    fn ask(request: &AuthorizeRequest) -> Result<Authorization, AuthorizeRefusal> {
        let (mut registration, principal) = fixtures::registration(1);
        registration.redirect_uris = vec![
            RedirectUri { uri: "https://shop.example/cb".to_owned(), platform: Platform::Web },
            RedirectUri { uri: "https://page.example/cb".to_owned(), platform: Platform::Spa },
        ];
        match read(&fixtures::view(&registration, &principal), &tenant(), &names(), request) {
            Ok(authorization) => Ok(authorization),
            Err(Halt::Refuse(refusal)) => Err(refusal),
            Err(Halt::Load(load)) => panic!("{load:?}"),
        }
    }

    fn on_page(request: AuthorizeRequest) -> DirectoryError {
        match ask(&request) {
            Err(AuthorizeRefusal::OnPage(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn to_client(request: AuthorizeRequest) -> DirectoryError {
        match ask(&request) {
            Err(AuthorizeRefusal::ToClient(reply_to, error)) => {
                assert!(reply_to.redirect_uri.ends_with(".example/cb"));
                assert_eq!(reply_to.state.as_deref(), Some("s"));
                error
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_request_is_understood() {
        let authorization = ask(&request()).unwrap();
        assert_eq!(authorization.application.name(), "orders");
        assert_eq!(
            (authorization.prompt, authorization.reply_to.mode),
            (Prompt::AsNeeded, ResponseMode::Query)
        );
        assert_eq!(authorization.audience.claim(), "https://vault.azure.net");
        assert_eq!(authorization.challenge.as_deref(), Some(CHALLENGE));
        for (mode, read) in [
            ("query", ResponseMode::Query),
            ("fragment", ResponseMode::Fragment),
            ("form_post", ResponseMode::FormPost),
        ] {
            let request = AuthorizeRequest { response_mode: some(mode), ..request() };
            assert_eq!(ask(&request).unwrap().reply_to.mode, read);
        }
        // A client with a credential may do without PKCE.
        let plain = AuthorizeRequest { code_challenge: None, code_challenge_method: None, ..request() };
        assert_eq!(ask(&plain).unwrap().challenge, None);
        let v1 = AuthorizeRequest { endpoint: Endpoint::V1, scope: None, ..request() };
        assert_eq!(ask(&v1).unwrap().audience.claim(), "https://graph.keyless.localhost:8443");
    }

    #[test]
    fn nothing_is_sent_where_the_client_has_not_said() {
        for redirect_uri in [
            "https://evil.example/cb",
            "https://shop.example/cb/",
            "https://shop.example/cb?x=1",
            "https://shop.example/CB",
            "https://shop.example/cb#x",
            "http://localhost:8400",
        ] {
            let request = AuthorizeRequest { redirect_uri: some(redirect_uri), ..request() };
            assert!(
                matches!(on_page(request), DirectoryError::Request(RequestError::RedirectUriUnknown { .. })),
                "{redirect_uri}"
            );
        }
        let nobody = some("99999999-9999-4999-8999-999999999999");
        assert!(matches!(
            on_page(AuthorizeRequest { client: nobody, ..request() }),
            DirectoryError::ClientUnknown { .. }
        ));
        assert!(matches!(
            on_page(AuthorizeRequest { client: some("x"), ..request() }),
            DirectoryError::Request(RequestError::ClientMalformed { .. })
        ));
        assert!(matches!(
            on_page(AuthorizeRequest { tenant: "other.example".to_owned(), ..request() }),
            DirectoryError::Request(RequestError::TenantNotFound { .. })
        ));
        for (missing, request) in [
            ("client_id", AuthorizeRequest { client: None, ..request() }),
            ("redirect_uri", AuthorizeRequest { redirect_uri: some(""), ..request() }),
        ] {
            assert!(
                matches!(on_page(request), DirectoryError::Request(RequestError::MissingParameter { name }) if name == missing)
            );
        }
        let long = AuthorizeRequest { state: some(&"s".repeat(limits::STATE_CHARS_MAX + 1)), ..request() };
        assert!(matches!(
            on_page(long),
            DirectoryError::Request(RequestError::ParameterTooLong { name: "state" })
        ));
    }

    #[test]
    fn the_client_hears_of_what_else_is_wrong() {
        for other in ["token", "id_token", "code id_token", "CODE", "none"] {
            let request = AuthorizeRequest { response_type: some(other), ..request() };
            assert!(
                matches!(
                    to_client(request),
                    DirectoryError::Grant(GrantError::ResponseTypeUnsupported { .. })
                ),
                "{other}"
            );
        }
        for (name, request) in [
            ("response_mode", AuthorizeRequest { response_mode: some("web_message"), ..request() }),
            ("prompt", AuthorizeRequest { prompt: some("none login"), ..request() }),
            ("max_age", AuthorizeRequest { max_age: some("-1"), ..request() }),
            ("code_challenge_method", AuthorizeRequest { code_challenge_method: some("plain"), ..request() }),
            ("code_challenge_method", AuthorizeRequest { code_challenge_method: None, ..request() }),
            ("code_challenge", AuthorizeRequest { code_challenge: some("short"), ..request() }),
        ] {
            assert!(
                matches!(to_client(request), DirectoryError::Request(RequestError::ParameterInvalid { name: found }) if found == name)
            );
        }
        // A page has nothing else than PKCE.
        let page = AuthorizeRequest {
            redirect_uri: some("https://page.example/cb"),
            code_challenge: None,
            ..request()
        };
        assert!(matches!(
            to_client(page),
            DirectoryError::Request(RequestError::MissingParameter { name: "code_challenge" })
        ));
        assert!(matches!(
            to_client(AuthorizeRequest { scope: some("https://nowhere/.default"), ..request() }),
            DirectoryError::ResourceUnknown { .. }
        ));
        assert!(matches!(
            to_client(AuthorizeRequest { scope: some("User.Read y/b"), ..request() }),
            DirectoryError::ResourceUnknown { .. }
        ));
        assert!(matches!(
            to_client(AuthorizeRequest { scope: None, ..request() }),
            DirectoryError::Request(RequestError::MissingParameter { name: "scope" })
        ));
    }
}
