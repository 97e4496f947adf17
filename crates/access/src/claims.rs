//! The claims of an access token as far as we look at them (RFC 7519; v1.0 and v2.0 access tokens).

use domain::{ClientId, PrincipalId, TenantId};
use serde::Deserialize;
use uuid::Uuid;

/// Claims of a token whose signature is ours. Others are ignored; one of these twice is malformed.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: String,
    pub(crate) iss: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) oid: PrincipalId,
    pub(crate) tid: TenantId,
    /// v1.0 tokens.
    pub(crate) appid: Option<ClientId>,
    /// v2.0 tokens.
    pub(crate) azp: Option<ClientId>,
    /// What the client may do in a user's name, words with spaces between. Applications' own tokens have none.
    pub(crate) scp: Option<String>,
    /// The session of a signed-in user.
    pub(crate) sid: Option<Uuid>,
    /// The grant that a user's tokens come from, one after the other: a claim of our own.
    #[serde(rename = "keyless_grant")]
    pub(crate) grant: Option<Uuid>,
    /// The credential by which a client has proven itself: a claim of our own.
    #[serde(rename = "keyless_credential")]
    pub(crate) credential: Option<Uuid>,
    /// The assignment of a user-assigned identity to the app that got the token: a claim of our own.
    #[serde(rename = "keyless_attachment")]
    pub(crate) attachment: Option<Uuid>,
}

impl Claims {
    /// From JSON, which must be an object: the library would read a list of the members' values as well.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let is_object = json.trim_ascii_start().first() == Some(&b'{');
        serde_json::from_slice(json).ok().filter(|_| is_object)
    }
}
