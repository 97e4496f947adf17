//! App registrations: the definition of an app that authenticates by credentials of its own, and their records.

use crate::redirect::RedirectUri;
use crypt::HashedSecret;
use domain::{ClientId, CredentialId, PrincipalId, RegistrationId, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Key, Record};

/// An app registration. Its object id, its client id and its principal's id are three different ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The object id.
    pub id: RegistrationId,
    /// The client id (`appid`).
    pub client: ClientId,
    /// Its principal in the tenant.
    pub principal: PrincipalId,
    /// A name for people.
    pub display_name: String,
    /// By which others ask for tokens to it.
    #[serde(default)]
    pub identifier_uris: Vec<String>,
    /// Which tokens it wants to be sent.
    #[serde(default)]
    pub token_version: TokenVersion,
    /// By which it proves itself.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    /// Where codes of its sign-ins may be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<RedirectUri>,
    /// May it be a public client: one that runs where no secret can be kept (Graph: `isFallbackPublicClient`)?
    #[serde(default)]
    pub is_public: bool,
    /// What users may let others do with it in their name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<ExposedScope>,
    /// When it was made.
    pub created: Timestamp,
}

/// A scope that a resource offers (Graph: `api.oauth2PermissionScopes`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposedScope {
    /// Its id.
    pub id: CredentialId,
    /// What clients ask for and `scp` says, such as `Orders.Read`.
    pub value: String,
    /// What the consent page says.
    pub description: String,
    /// Can it be asked for?
    pub enabled: bool,
}

/// A client secret of a registration. The secret itself is not kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// The key id.
    pub id: CredentialId,
    /// The hash of the secret.
    pub hash: HashedSecret,
    /// The secret's first three characters, by which people tell them apart.
    pub hint: String,
    /// A name for people.
    pub display_name: String,
    /// From when it is valid.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
}

/// The form of the access tokens that a resource wants (Graph: `requestedAccessTokenVersion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenVersion {
    /// v1.0: what Key Vault takes, and the default.
    #[default]
    #[serde(rename = "1.0")]
    V1,
    /// v2.0.
    #[serde(rename = "2.0")]
    V2,
}

/// What a new registration should be.
#[derive(Clone, Debug, Default)]
pub struct NewRegistration {
    /// A name for people.
    pub display_name: String,
    /// By which others ask for tokens to it.
    pub identifier_uris: Vec<String>,
    /// Which tokens it wants to be sent.
    pub token_version: TokenVersion,
    /// Where codes of its sign-ins may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// May it be a public client?
    pub is_public: bool,
}

/// A credential that was just made. The only time that its secret is seen.
#[derive(Debug)]
pub struct NewCredential {
    /// The key id.
    pub id: CredentialId,
    /// The secret.
    pub secret: Secret<String>,
    /// Until when it is valid.
    pub end: Timestamp,
}

/// The shortest and the longest life of a credential. Ours: longer than 100 years is a mistake in the unit.
pub(crate) const LIFETIMES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(100 * 365 * 86_400);

impl Record for Registration {
    type Id = RegistrationId;

    fn key(id: &RegistrationId) -> Key {
        Key::new(format!("registration/{id}"))
    }
}

/// From a client id to its registration. Unique by its key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct ClientIndex {
    pub(crate) registration: RegistrationId,
}

impl Record for ClientIndex {
    type Id = ClientId;

    fn key(id: &ClientId) -> Key {
        Key::new(format!("registration-client/{id}"))
    }
}

/// From an identifier URI in lower case to the registration that has it. Unique by its key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct UriIndex {
    pub(crate) registration: RegistrationId,
}

impl Record for UriIndex {
    type Id = str;

    fn key(id: &str) -> Key {
        Key::new(format!("registration-uri/{}", id.to_ascii_lowercase()))
    }
}
