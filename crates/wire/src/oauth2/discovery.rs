//! The documents by which clients find everything else: openid-configuration in both versions (OpenID Connect Discovery 1.0), and
//! instance discovery for our own authority.
//!
//! The field set and its order are those of the Microsoft identity platform; clients fail on fields that are missing, so what is not served
//! here is named too where nobody is misled by it. What tells a client what to send says only what we take.
//!
//! All is told in the names by which the client asked, but for the pages: a browser is no part of a program in shadow mode (ADR 0021).

use super::{
    TenantPart,
    error::{OAuthError, RequestFault},
    form::Form,
    json, token,
};
use crate::context::{Context, State};
use axum::{Extension, extract::Request, response::Response};
use directory::{DirectoryError, TenantAlias};
use domain::HostNames;
use http::{HeaderValue, StatusCode, Uri};
use serde::Serialize;

/// Documents change when a key is added, which is announced longer before it signs than they are kept
/// ([`domain::limits::DOCUMENTS_CACHED`]).
pub(super) const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A tenant as URLs and issuers spell it.
pub(super) struct TenantText {
    /// In paths: its id, or the alias.
    path: String,
    /// Is it named, rather than whichever the user is of?
    is_named: bool,
    pub(super) issuer_v1: String,
    pub(super) issuer_v2: String,
}

/// The tenant of a URL.
pub(super) fn tenant(state: &State, context: &Context, text: &str) -> Result<TenantText, DirectoryError> {
    let (tenant, names) = (state.directory.tenant(), context.names(state));
    Ok(match tenant.alias(text)? {
        TenantAlias::Named => TenantText {
            path: tenant.id.to_string(),
            is_named: true,
            issuer_v1: names.issuer_v1(tenant.id),
            issuer_v2: names.issuer_v2(tenant.id),
        },
        TenantAlias::Any => TenantText {
            path: text.to_owned(),
            is_named: false,
            issuer_v1: names.issuer_v1_of_any(),
            issuer_v2: names.issuer_v2_of_any(),
        },
    })
}

/// The answer to a document of a tenant that is not here.
pub(super) fn refused(
    error: DirectoryError,
    state: &State,
    context: &Context,
    request: &Request,
) -> Response {
    let correlation =
        token::correlation(request.headers(), request.uri()).unwrap_or_else(|| context.request.uuid());
    OAuthError::from(&error).of_discovery().respond(context.names(state), context, correlation)
}

#[derive(Serialize)]
struct Configuration {
    token_endpoint: String,
    token_endpoint_auth_methods_supported: &'static [&'static str],
    jwks_uri: String,
    response_modes_supported: &'static [&'static str],
    subject_types_supported: &'static [&'static str],
    id_token_signing_alg_values_supported: &'static [&'static str],
    response_types_supported: &'static [&'static str],
    grant_types_supported: &'static [&'static str],
    code_challenge_methods_supported: &'static [&'static str],
    prompt_values_supported: &'static [&'static str],
    /// RFC 9207. Not of a document for any tenant: its issuer is a pattern, which no `iss` equals; nor of one in other names than the pages'
    /// own, which answer with the issuer of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_response_iss_parameter_supported: Option<bool>,
    scopes_supported: &'static [&'static str],
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    microsoft_multi_refresh_token: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_uri_parameter_supported: Option<bool>,
    userinfo_endpoint: String,
    authorization_endpoint: String,
    device_authorization_endpoint: String,
    /// RFC 7009: which clients of others look for.
    revocation_endpoint: String,
    http_logout_supported: bool,
    frontchannel_logout_supported: bool,
    end_session_endpoint: String,
    claims_supported: &'static [&'static str],
    tenant_region_scope: Option<&'static str>,
    cloud_instance_name: String,
    cloud_graph_host_name: String,
    msgraph_host: String,
    rbac_url: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// `pages` are the names of where people sign in.
fn configuration(
    names: &HostNames,
    pages: &HostNames,
    tenant: TenantText,
    version: Version,
) -> Configuration {
    let answers_as_told = names == pages;
    let (base, pages) = (names.login_base(), pages.login_base());
    let TenantText { path, is_named, issuer_v1, issuer_v2 } = tenant;
    let (infix, issuer) = match version {
        Version::V1 => ("oauth2", issuer_v1),
        Version::V2 => ("oauth2/v2.0", issuer_v2),
    };
    let is_v1 = version == Version::V1;
    let graph = without_scheme(names.graph_resource());
    Configuration {
        token_endpoint: format!("{base}/{path}/{infix}/token"),
        token_endpoint_auth_methods_supported: &[
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        jwks_uri: match version {
            Version::V1 => format!("{base}/common/discovery/keys"),
            Version::V2 => format!("{base}/{path}/discovery/v2.0/keys"),
        },
        response_modes_supported: &["query", "fragment", "form_post"],
        subject_types_supported: &["pairwise"],
        id_token_signing_alg_values_supported: &["RS256"],
        response_types_supported: &["code"],
        grant_types_supported: &[
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
        ],
        code_challenge_methods_supported: &["S256"],
        prompt_values_supported: &["none", "login", "consent", "select_account"],
        authorization_response_iss_parameter_supported: (is_named && answers_as_told).then_some(true),
        scopes_supported: if is_v1 { &["openid"] } else { &["openid", "profile", "email", "offline_access"] },
        issuer,
        microsoft_multi_refresh_token: is_v1.then_some(true),
        request_uri_parameter_supported: (!is_v1).then_some(false),
        userinfo_endpoint: format!("{}/oidc/userinfo", names.graph_resource()),
        authorization_endpoint: format!("{pages}/{path}/{infix}/authorize"),
        device_authorization_endpoint: format!("{base}/{path}/{infix}/devicecode"),
        revocation_endpoint: format!("{base}/{path}/oauth2/v2.0/revoke"),
        http_logout_supported: true,
        frontchannel_logout_supported: false,
        end_session_endpoint: format!("{pages}/{path}/{infix}/logout"),
        claims_supported: &[
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "nbf",
            "auth_time",
            "amr",
            "nonce",
            "sid",
            "name",
            "preferred_username",
            "email",
            "oid",
            "tid",
            "ver",
        ],
        tenant_region_scope: None,
        cloud_instance_name: authority(names).to_owned(),
        cloud_graph_host_name: graph.clone(),
        msgraph_host: graph,
        rbac_url: format!("https://rbac.{}", names.domain()),
    }
}

fn answer(
    state: &State,
    tenant_text: &str,
    context: &Context,
    request: &Request,
    version: Version,
) -> Response {
    match tenant(state, context, tenant_text) {
        Ok(tenant) => {
            let document = configuration(context.names(state), &state.names, tenant, version);
            json(StatusCode::OK, CACHED, &document)
        }
        Err(error) => refused(error, state, context, request),
    }
}

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
pub(super) async fn v2(
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    answer(&state, &tenant, &context, &request, Version::V2)
}

/// `GET /{tenant}/.well-known/openid-configuration`.
pub(super) async fn v1(
    axum::extract::State(state): axum::extract::State<State>,
    TenantPart(tenant): TenantPart,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    answer(&state, &tenant, &context, &request, Version::V1)
}

#[derive(Serialize)]
struct Instance {
    tenant_discovery_endpoint: String,
    #[serde(rename = "api-version")]
    api_version: &'static str,
    metadata: [Metadata; 1],
}

#[derive(Serialize)]
struct Metadata {
    preferred_network: String,
    preferred_cache: String,
    aliases: Vec<String>,
}

/// `GET /common/discovery/instance`: is this authority known? Ours is; clients ask with and without its port.
pub(super) async fn instance(
    axum::extract::State(state): axum::extract::State<State>,
    Extension(context): Extension<Context>,
    request: Request,
) -> Response {
    match instance_of(&state, &context, request.uri()) {
        Ok(body) => json(StatusCode::OK, CACHED, &body),
        Err(error) => {
            let correlation = token::correlation(request.headers(), request.uri());
            error.respond(
                context.names(&state),
                &context,
                correlation.unwrap_or_else(|| context.request.uuid()),
            )
        }
    }
}

fn instance_of(state: &State, context: &Context, uri: &Uri) -> Result<Instance, OAuthError> {
    let asked = authorization_endpoint(uri).map_err(|fault| OAuthError::from(&fault))?;
    let unknown = || OAuthError::from(&RequestFault::UnknownInstance);
    let rest = asked.strip_prefix("https://").ok_or_else(unknown)?;
    let (host, path) = rest.split_once('/').ok_or_else(unknown)?;
    let names = context.names(state);
    let (authority, login) = (authority(names), names.login_host());
    let aliases = names.login_aliases().iter().copied();
    if !aliases.clone().chain([&*authority, &*login]).any(|known| host.eq_ignore_ascii_case(known)) {
        return Err(unknown());
    }
    let tenant = tenant(state, context, path.split('/').next().unwrap_or_default())
        .map_err(|error| OAuthError::from(&error).of_discovery())?;
    Ok(Instance {
        tenant_discovery_endpoint: format!(
            "{}/{}/v2.0/.well-known/openid-configuration",
            names.login_base(),
            tenant.path
        ),
        api_version: "1.1",
        metadata: [Metadata {
            preferred_network: authority.clone(),
            preferred_cache: authority.clone(),
            aliases: std::iter::once(authority).chain(aliases.map(str::to_owned)).collect(),
        }],
    })
}

fn authorization_endpoint(uri: &Uri) -> Result<String, RequestFault> {
    const PARAMETER: &str = "authorization_endpoint";
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut query = Form::parse(query, &[PARAMETER]).map_err(|_| RequestFault::Malformed)?;
    query.take(PARAMETER).ok_or(RequestFault::MissingParameter { name: PARAMETER })
}

/// Our authority's host with its port.
fn authority(names: &HostNames) -> String {
    without_scheme(names.login_base())
}

fn without_scheme(url: String) -> String {
    url.strip_prefix("https://").map_or_else(|| url.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::limits;

    #[test]
    fn documents_are_kept_no_longer_than_keys_are_announced() {
        assert_eq!(CACHED, format!("public, max-age={}", limits::DOCUMENTS_CACHED.as_secs()));
        assert!(limits::SIGNING_KEY_ANNOUNCED_MIN > limits::DOCUMENTS_CACHED);
    }
}
