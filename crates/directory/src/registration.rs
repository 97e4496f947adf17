//! App registrations: the definition of an app that authenticates by credentials of its own, and their records.

use crate::{app_role::AppRole, claims::Proof, redirect::RedirectUri};
use crypt::{HashedSecret, IssuerKey, keys::PublicJwk};
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
    /// Whether it is software that cannot keep a secret: it has no credentials, and may present none.
    #[serde(default)]
    pub is_public: bool,
    /// Whether each of its own assertions is good once. Not unless asked for: Python's client presents one for nine minutes.
    #[serde(default)]
    pub single_use_assertions: bool,
    /// Secrets by which it proves itself.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    /// Where codes of its sign-ins may be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<RedirectUri>,
    /// What users may let others do with it in their name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<ExposedScope>,
    /// What principals may do in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_roles: Vec<AppRole>,
    /// Are there tokens for it only for those who have a role in it?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assignment_required: bool,
    /// What it wants to be allowed elsewhere, for whoever agrees to it: allows nothing by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_access: Vec<RequiredAccess>,
    /// Certificates whose keys sign its assertions.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Issuers whose word for it is taken, records of their own: [`FederatedCredential`].
    #[serde(default)]
    pub federated: Vec<CredentialId>,
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
    /// Who may agree to it. Records of before have none: everybody might.
    #[serde(default, skip_serializing_if = "Consenter::is_user")]
    pub consenter: Consenter,
}

/// Who may agree that a client has a scope (Graph: `oauth2PermissionScopes`' `type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consenter {
    /// Every user for itself, and an administrator.
    #[default]
    User,
    /// An administrator only.
    Admin,
}

impl Consenter {
    /// Not written where it says nothing that records of before did not mean.
    fn is_user(&self) -> bool {
        *self == Self::User
    }
}

/// What a registration wants to be allowed at one resource (Graph: `requiredResourceAccess`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredAccess {
    /// The resource, by its client id.
    pub resource: ClientId,
    /// Ids of its scopes.
    pub scopes: Vec<CredentialId>,
    /// Ids of its app roles.
    pub roles: Vec<CredentialId>,
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

/// A certificate of a registration. What is not needed to know its signatures is not kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The key id.
    pub id: CredentialId,
    /// SHA-1 of the certificate's DER, lower-case hex: what tools show and clients name. Proves nothing.
    pub sha1: String,
    /// SHA-256 of the same.
    pub sha256: String,
    /// Its public key.
    pub key: PublicJwk,
    /// Whom it is about, as it says itself.
    pub subject: String,
    /// A name for people.
    pub display_name: String,
    /// From when it is valid: as it says itself.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
}

/// An outside issuer's word for one of its subjects, which a registration, or a managed identity, takes as its own proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederatedCredential {
    /// The id.
    pub id: CredentialId,
    /// Its name, unique among those of whoever has it.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `sub`, exactly.
    pub subject: String,
    /// `aud`, exactly.
    pub audience: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The issuer's keys, if they were given; else they are fetched from where the issuer publishes them.
    #[serde(default)]
    pub keys: Vec<IssuerKey>,
    /// What tokens stand on that were got by it since it was changed: those of before are worth nothing, and its id stays. None: on its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<CredentialId>,
    /// When it was made.
    pub created: Timestamp,
}

impl FederatedCredential {
    /// What tokens stand on that are got by it now.
    pub fn standing(&self) -> CredentialId {
        self.standing.unwrap_or(self.id)
    }

    /// How a client has proven itself by it.
    pub(crate) fn proof(&self) -> Proof {
        Proof::Federated { id: self.id, standing: self.standing() }
    }
}

/// What a new federated credential should be.
#[derive(Clone, Debug, Default)]
pub struct NewFederatedCredential {
    /// Its name.
    pub name: String,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`; [`DEFAULT_AUDIENCE`] if not said.
    pub audience: Option<String>,
    /// For people.
    pub description: String,
    /// A key set (JWKS) to verify by instead of what the issuer publishes.
    pub key_set: Option<Vec<u8>>,
}

/// Which audience the assertions of an outside issuer have, unless told otherwise. Source: Microsoft Graph.
pub const DEFAULT_AUDIENCE: &str = "api://AzureADTokenExchange";

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
    /// Whether it is software that cannot keep a secret.
    pub is_public: bool,
    /// Whether each of its own assertions is good once.
    pub single_use_assertions: bool,
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

impl Record for FederatedCredential {
    type Id = CredentialId;

    fn key(id: &CredentialId) -> Key {
        Key::new(format!("registration-federated/{id}"))
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
