//! Bodies of the token endpoint's answers. The two endpoints differ in their types: v2.0 answers numbers, v1.0 strings, and clients
//! of each break on the other's.

use directory::IssuedToken;
use serde::Serialize;

/// The answer of the v2.0 endpoint.
#[derive(Serialize)]
pub(super) struct TokenV2<'a> {
    token_type: &'static str,
    expires_in: i64,
    ext_expires_in: i64,
    access_token: &'a str,
}

impl<'a> From<&'a IssuedToken> for TokenV2<'a> {
    fn from(issued: &'a IssuedToken) -> Self {
        let seconds = issued.expires_in_seconds();
        Self {
            token_type: "Bearer",
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
    expires_in: String,
    ext_expires_in: String,
    expires_on: String,
    not_before: String,
    resource: &'a str,
    access_token: &'a str,
}

impl<'a> From<&'a IssuedToken> for TokenV1<'a> {
    fn from(issued: &'a IssuedToken) -> Self {
        let seconds = issued.expires_in_seconds().to_string();
        Self {
            token_type: "Bearer",
            expires_in: seconds.clone(),
            ext_expires_in: seconds,
            expires_on: issued.expires_on.seconds().to_string(),
            not_before: issued.issued.seconds().to_string(),
            resource: &issued.resource,
            access_token: issued.access_token.expose(),
        }
    }
}
