//! Bodies of the token and device endpoints' answers. The two generations of the token endpoint differ in their types: v2.0 answers numbers, v1.0
//! strings, and clients of each break on the other's.

use directory::IssuedToken;
use serde::Serialize;

/// What comes with a user's token, alike in both.
#[derive(Serialize)]
struct OfUser<'a> {
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_info: Option<&'a str>,
}

impl<'a> OfUser<'a> {
    fn of(issued: &'a IssuedToken, wants_client_info: bool) -> Option<Self> {
        let user = issued.user.as_ref()?;
        Some(Self {
            scope: &user.scope,
            refresh_token: user.refresh_token.as_ref().map(|token| token.expose().as_str()),
            id_token: user.id_token.as_ref().map(|token| token.expose().as_str()),
            client_info: wants_client_info.then_some(&*user.client_info),
        })
    }
}

/// The answer of the v2.0 endpoint.
#[derive(Serialize)]
pub(super) struct TokenV2<'a> {
    token_type: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    user: Option<OfUser<'a>>,
    expires_in: i64,
    ext_expires_in: i64,
    access_token: &'a str,
}

impl<'a> TokenV2<'a> {
    pub(super) fn of(issued: &'a IssuedToken, wants_client_info: bool) -> Self {
        let seconds = issued.expires_in_seconds();
        Self {
            token_type: "Bearer",
            user: OfUser::of(issued, wants_client_info),
            expires_in: seconds,
            ext_expires_in: seconds,
            access_token: issued.access_token.expose(),
        }
    }
}

/// The answer of the v1.0 endpoint.
#[derive(Serialize)]
pub(super) struct TokenV1<'a> {
    token_type: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    user: Option<OfUser<'a>>,
    expires_in: String,
    ext_expires_in: String,
    expires_on: String,
    not_before: String,
    resource: &'a str,
    access_token: &'a str,
}

impl<'a> TokenV1<'a> {
    pub(super) fn of(issued: &'a IssuedToken, wants_client_info: bool) -> Self {
        let seconds = issued.expires_in_seconds().to_string();
        Self {
            token_type: "Bearer",
            user: OfUser::of(issued, wants_client_info),
            expires_in: seconds.clone(),
            ext_expires_in: seconds,
            expires_on: issued.expires_on.seconds().to_string(),
            not_before: issued.issued.seconds().to_string(),
            resource: &issued.resource,
            access_token: issued.access_token.expose(),
        }
    }
}

/// The answer of the device endpoint (RFC 8628 section 3.2).
#[derive(Serialize)]
pub(super) struct DeviceStart<'a> {
    pub(super) user_code: &'a str,
    pub(super) device_code: &'a str,
    pub(super) verification_uri: String,
    pub(super) expires_in: u64,
    pub(super) interval: u64,
    /// What tools print as it is.
    pub(super) message: String,
}
