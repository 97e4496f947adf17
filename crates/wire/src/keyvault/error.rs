//! Our errors in Key Vault's words: `{"error":{"code","message","innererror"}}` (Key Vault REST error codes). 5xx say nothing else.

use super::route::RouteFault;
use crate::{bearer::Unauthenticated, context::AuditUnavailable};
use access::{BearerFault, Caller, Denied, Lack};
use axum::response::Response;
use crypt::{
    certificate::CertificateError,
    keys::{KeyOperationError, KeyType},
};
use domain::{ObjectKind, ObjectName};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use vault::{CertificateFault, KeyFault, KeyOp, VaultError};

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct KeyVaultError {
    status: StatusCode,
    code: &'static str,
    message: String,
    inner: Option<&'static str>,
    allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    innererror: Option<InnerError>,
}

#[derive(Serialize)]
struct InnerError {
    code: &'static str,
}

impl KeyVaultError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), inner: None, allow: None }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadParameter", message)
    }

    fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    fn forbidden(inner: &'static str, message: impl Into<String>) -> Self {
        Self { inner: Some(inner), ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message) }
    }

    fn conflict(inner: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { inner, ..Self::new(StatusCode::CONFLICT, "Conflict", message) }
    }

    fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "The service is unavailable. Try again.",
        )
    }

    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "An unexpected error occurred.")
    }

    /// There is no token.
    pub(super) fn no_token() -> Self {
        Self::unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
    }

    /// The body is longer than any request needs.
    pub(super) fn body_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", "The request body is too large.")
    }

    /// The connection ended within the body.
    pub(super) fn body_incomplete() -> Self {
        Self::bad("The request body is not complete.")
    }

    /// The body is not what the operation takes. Where it is wrong, never what stands there.
    pub(super) fn body_malformed(error: &serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "has a member of a wrong type or value, or one twice",
            _ => "is not JSON",
        };
        Self::bad(format!("The request body {kind}, at line {} column {}.", error.line(), error.column()))
    }

    /// Something in the body that is not as it may be.
    pub(super) fn bad_member(what: &str, rule: &str) -> Self {
        Self::bad(format!("{what} {rule}."))
    }

    /// A body without a value.
    pub(super) fn value_missing() -> Self {
        Self::bad("Property value has invalid value")
    }

    /// A member of the body that is not what it may be.
    pub(super) fn property(name: &'static str, expected: &'static str) -> Self {
        Self::bad(format!("Property {name} has invalid value: expected {expected}"))
    }

    /// A member of the body that must be there.
    pub(super) fn missing(name: &'static str) -> Self {
        Self::bad(format!("Property {name} is missing"))
    }

    /// What was said.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Is it ours rather than the caller's?
    pub(super) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The status.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer. A 401 needs its challenge: clients take the tenant and resource from it.
    pub(super) fn respond(&self, challenge: Option<HeaderValue>) -> Response {
        let error = ErrorBody {
            code: self.code,
            message: &self.message,
            innererror: self.inner.map(|code| InnerError { code }),
        };
        let mut response = super::request::json(self.status, &Body { error });
        let headers = response.headers_mut();
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<AuditUnavailable> for KeyVaultError {
    fn from(_: AuditUnavailable) -> Self {
        Self::unavailable()
    }
}

/// Numbers 10000, 10022, 10032 and 10046 are Key Vault's own, as seen in its users' traces; for what no trace shows we took free ones.
impl From<Unauthenticated> for KeyVaultError {
    fn from(unauthenticated: Unauthenticated) -> Self {
        match unauthenticated {
            Unauthenticated::NoToken => Self::no_token(),
            Unauthenticated::HeaderMalformed => {
                Self::unauthorized("AKV10001: The Authorization header is not one Bearer token.")
            }
            Unauthenticated::Fault(fault) => Self::unauthorized(match fault {
                BearerFault::Malformed => "AKV10001: The token is malformed.".to_owned(),
                BearerFault::UnsupportedAlgorithm => "AKV10046: The token is not signed by RS256.".to_owned(),
                BearerFault::UnknownKey { .. } => {
                    "AKV10046: Unable to resolve the key used for signature validation.".to_owned()
                }
                BearerFault::BadSignature => "AKV10046: The token's signature does not hold.".to_owned(),
                BearerFault::WrongIssuer { expected, found } => {
                    format!(
                        "AKV10032: Invalid issuer. Expected one of {}, found {}.",
                        expected.join(", "),
                        short(&found)
                    )
                }
                BearerFault::WrongTenant { found } => {
                    format!("AKV10032: Invalid issuer. The token is of tenant {found}.")
                }
                BearerFault::WrongAudience { expected, found } => {
                    format!(
                        "AKV10022: Invalid audience. Expected {}, found: {}.",
                        expected.join(" or "),
                        short(&found)
                    )
                }
                BearerFault::NotYetValid { .. } => "AKV10023: The token is not yet valid.".to_owned(),
                BearerFault::Expired { .. } => "AKV10021: The token has expired.".to_owned(),
            }),
        }
    }
}

/// A claim of a token whose signature held, in case it is very long.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

impl From<RouteFault> for KeyVaultError {
    fn from(fault: RouteFault) -> Self {
        match fault {
            RouteFault::ApiVersionMissing => {
                Self::bad("AKV10013: The request is missing the api-version parameter.")
            }
            RouteFault::ApiVersionMalformed => {
                Self::bad("The api-version parameter is no version: expected one such as 7.4 or 2025-07-01.")
            }
            RouteFault::BadParameter { name, rule } => Self::bad(format!("The parameter {name} {rule}.")),
            RouteFault::UriMalformed => Self::bad("The request URI is malformed."),
            RouteFault::BadName { text } => {
                Self::bad(format!("The request URI contains an invalid name: {text}"))
            }
            RouteFault::BadVersion { text } => {
                Self::bad(format!("The request URI contains an invalid version: {text}"))
            }
            RouteFault::MethodNotAllowed { method, allowed } => {
                let message = format!("HTTP {} not allowed", short(method.as_str()));
                Self {
                    allow: Some(allowed),
                    ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
                }
            }
            RouteFault::NoSuchPath => Self::new(
                StatusCode::NOT_FOUND,
                "NotFound",
                "Path not found: there is no such path in Key Vault.",
            ),
        }
    }
}

impl From<&VaultError> for KeyVaultError {
    fn from(error: &VaultError) -> Self {
        match error {
            VaultError::VaultNotFound { name } => {
                Self::new(StatusCode::NOT_FOUND, "VaultNotFound", format!("Vault not found: there is no {name} here."))
            }
            VaultError::Denied(denied) => Self::from(denied),
            VaultError::ObjectNotFound { kind, name, version } => {
                let version = version.map(|version| format!("/{version}")).unwrap_or_default();
                Self::new(StatusCode::NOT_FOUND, not_found_code(*kind), not_found(*kind, name, &version))
            }
            VaultError::DeletedObjectNotFound { kind, name } => {
                let message = format!("Deleted {} not found: {name}", capital(*kind));
                Self::new(StatusCode::NOT_FOUND, not_found_code(*kind), message)
            }
            VaultError::ObjectIsDeleted { kind, name } => {
                let message = format!(
                    "{} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the {kind} can only be recovered or purged.",
                    capital(*kind)
                );
                Self::conflict(Some("ObjectIsDeletedButRecoverable"), message)
            }
            VaultError::NameTaken { kind, name } => {
                Self::conflict(None, format!("A {kind} with the name {name} already exists in this key vault."))
            }
            VaultError::ManagedByCertificate { kind, operation, .. } => {
                let inner = match kind {
                    ObjectKind::Key => "KeyManagedByKeyVault",
                    ObjectKind::Secret | ObjectKind::Certificate => "SecretManagedByKeyVault",
                };
                let message = format!(
                    "Operation \"{operation}\" is not allowed as this object's lifetime is managed by Key Vault: it belongs to a certificate."
                );
                Self::forbidden(inner, message)
            }
            VaultError::PurgeProtected { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "Forbidden",
                "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service will automatically purge it after the retention period has passed.",
            ),
            VaultError::BackupRejected => Self::bad("Cannot decrypt backup blob: it is of another installation, tenant or kind of object, or was changed."),
            VaultError::SecretDisabled { .. } => {
                Self::forbidden("SecretDisabled", "Operation get is not allowed on a disabled secret.")
            }
            VaultError::Key(fault) => Self::from(fault),
            VaultError::Certificate(fault) => Self::from(fault),
            VaultError::TooLarge { what, limit } => Self::bad(format!("Over the limit: {what} may be at most {limit}.")),
            VaultError::Contended { .. } => {
                Self::conflict(None, format!("The operation conflicts with others: {error}. Try again."))
            }
            VaultError::PageTokenMalformed => Self::bad("The parameter $skiptoken is malformed."),
            VaultError::Store(error) if error.is_temporary() => Self::unavailable(),
            VaultError::Store(_)
            | VaultError::Crypt(_)
            // These belong to the administrator's operations and never come from a data plane one.
            | VaultError::Unmanaged(_)
            | VaultError::Group(_)
            | VaultError::VaultExists { .. }
            | VaultError::VaultIsDeleted { .. }
            | VaultError::DeletedVaultNotFound { .. }
            | VaultError::Immutable { .. }
            | VaultError::SettingInvalid { .. }
            | VaultError::OtherAccessModel { .. }
            | VaultError::PrincipalNotFound { .. } => Self::internal(),
        }
    }
}

/// The inner codes of a key outside of its time are ours: no trace of Key Vault's shows them.
impl From<&KeyFault> for KeyVaultError {
    fn from(fault: &KeyFault) -> Self {
        match fault {
            KeyFault::Disabled { operation, .. } => Self::forbidden(
                "KeyDisabled",
                format!("Operation {operation} is not allowed on a disabled key."),
            ),
            KeyFault::NotYetValid { operation, from, .. } => {
                let from = from.seconds();
                let message =
                    format!("Operation {operation} is not allowed on a key before its nbf, which is {from}.");
                Self::forbidden("KeyNotYetValid", message)
            }
            KeyFault::Expired { operation, since, .. } => {
                let since = since.seconds();
                let message =
                    format!("Operation {operation} is not allowed on a key after its exp, which is {since}.");
                Self::forbidden("KeyExpired", message)
            }
            KeyFault::OperationForbidden { operation } => Self::forbidden(
                "KeyOperationForbidden",
                format!("Operation {operation} is not permitted on this key."),
            ),
            KeyFault::Operation { operation, error } => Self::from_operation(*operation, error),
            KeyFault::Size { key_type, bits } => {
                let sizes = match key_type {
                    KeyType::Rsa => "2048, 3072, 4096",
                    KeyType::Ec => "256, 384, 521",
                    KeyType::Oct => "128, 192, 256",
                };
                Self::bad(format!("Unsupported key size ({bits}). Supported sizes are [{sizes}]"))
            }
            KeyFault::SizeOfCurve { bits } => {
                Self::bad(format!("The key size ({bits}) is not that of the curve crv."))
            }
            KeyFault::PublicExponent => Self::bad("Unsupported public exponent. The supported one is 65537."),
            KeyFault::Import(fault) => Self::bad(format!("The key cannot be imported: {fault}.")),
            KeyFault::ReleasePolicyMissing => Self::bad("An exportable key must have a release_policy."),
            KeyFault::ReleasePolicyUnused => Self::bad("A key with a release_policy must be exportable."),
            KeyFault::ReleasePolicyInvalid { rule } => Self::bad(format!("The release_policy {rule}.")),
            KeyFault::ReleasePolicyImmutable => {
                Self::forbidden("ReleasePolicyImmutable", "The release_policy of this key is immutable.")
            }
            KeyFault::ExportableFixed => Self::bad("The attribute exportable of a key cannot be changed."),
            KeyFault::NotExportable { .. } => Self::forbidden(
                "KeyNotExportable",
                "Operation release is not allowed on a key that is not exportable.",
            ),
            KeyFault::AttestationMalformed => Self::bad("Property target is not a JSON Web Token."),
            KeyFault::NoAttestationAuthority { authorities } => {
                let authorities =
                    authorities.iter().map(|authority| short(authority)).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "The key is not released: this vault trusts no attestation authority, so that none that the release policy names can vouch for the environment: {authorities}."
                );
                Self::forbidden("AttestationAuthorityNotTrusted", message)
            }
            KeyFault::NoAttestation => {
                Self::bad("Only a key that was made in an HSM has an attestation. This is a software key.")
            }
            KeyFault::RotationPolicy { rule } => {
                Self::bad(format!("The rotation policy is invalid: {rule}."))
            }
            KeyFault::RandomBytes { .. } => Self::bad("Property count must be a whole number from 1 to 128."),
        }
    }
}

/// What is not found says so in these words: clients' own tests look for them.
impl From<&CertificateFault> for KeyVaultError {
    fn from(fault: &CertificateFault) -> Self {
        let not_found = |code, message: String| Self::new(StatusCode::NOT_FOUND, code, message);
        match fault {
            CertificateFault::PendingNotFound { name } => {
                not_found("PendingCertificateNotFound", format!("Pending certificate not found: {name}"))
            }
            CertificateFault::ContactsNotFound => {
                not_found("ContactsNotFound", "Certificate contacts not found.".to_owned())
            }
            CertificateFault::IssuerNotFound { name } => {
                not_found("CertificateIssuerNotFound", format!("Certificate issuer not found: {name}"))
            }
            CertificateFault::PendingInProgress { .. } => Self::conflict(
                None,
                "A new key vault certificate can not be created or imported while a pending key vault certificate's status is inProgress.",
            ),
            // As Key Vault's, whose users' traces show it.
            CertificateFault::PendingOver { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "Forbidden",
                "Pending status must be in progress to allow update.",
            ),
            CertificateFault::IssuerReserved { name } => Self::bad(format!(
                "An issuer cannot be called {name}: there is one of this name that needs no object."
            )),
            CertificateFault::PolicyMissing => {
                Self::bad("Property policy is required for the first version of a certificate.")
            }
            CertificateFault::Invalid { what, rule } => Self::bad(format!("Invalid value: {what} {rule}.")),
            CertificateFault::Malformed { what } => {
                Self::bad(format!("The specified certificate content can not be read: {what} is malformed."))
            }
            CertificateFault::NoSuchForm { why } => {
                Self::bad(format!("The secret has no form of this outContentType: {why}."))
            }
            CertificateFault::Refused(
                CertificateError::Unavailable { .. } | CertificateError::Authority { .. },
            ) => Self::internal(),
            CertificateFault::Refused(error) => Self::bad(format!("The certificate is refused: {error}.")),
            CertificateFault::Key(fault) => Self::bad(format!("The certificate's key is refused: {fault}.")),
        }
    }
}

impl KeyVaultError {
    /// An operation that cannot be done as it was asked. Lengths are said as Key Vault says them.
    fn from_operation(operation: KeyOp, error: &KeyOperationError) -> Self {
        let length = |member: &str, found: usize, algorithm: &str, expected: &dyn std::fmt::Display| {
            Self::bad(format!(
                "Invalid length of '{member}': {found} bytes. {algorithm} requires {expected}, encoded with base64url."
            ))
        };
        match error {
            KeyOperationError::AlgorithmUnknown => {
                Self::bad("Property alg has invalid value: there is no such algorithm")
            }
            KeyOperationError::AlgorithmNotForKey { .. }
            | KeyOperationError::AlgorithmNotForOperation { .. }
            | KeyOperationError::ParameterNotAllowed { .. }
            | KeyOperationError::DigestInfo => Self::bad(format!("Key and algorithm do not match: {error}.")),
            KeyOperationError::DigestLength { algorithm, expected, found } => {
                let member = if operation == KeyOp::Verify { "digest" } else { "value" };
                length(member, *found, algorithm, &format!("{expected} bytes"))
            }
            KeyOperationError::ValueLength { algorithm, expected, found } => {
                length("value", *found, algorithm, expected)
            }
            KeyOperationError::IvLength { algorithm, expected, found } => {
                length("iv", *found, algorithm, &format!("{expected} bytes"))
            }
            KeyOperationError::TagLength { algorithm, expected, found } => {
                length("tag", *found, algorithm, &format!("{expected} bytes"))
            }
            KeyOperationError::Rejected { algorithm } => Self::bad(format!(
                "The parameter is incorrect: the value is none that this key encrypted with {algorithm}."
            )),
            KeyOperationError::Unavailable { .. } => Self::internal(),
        }
    }
}

const fn not_found_code(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Secret => "SecretNotFound",
        ObjectKind::Key => "KeyNotFound",
        ObjectKind::Certificate => "CertificateNotFound",
    }
}

/// At the beginning of a sentence.
const fn capital(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Secret => "Secret",
        ObjectKind::Key => "Key",
        ObjectKind::Certificate => "Certificate",
    }
}

fn not_found(kind: ObjectKind, name: &ObjectName, version: &str) -> String {
    format!(
        "A {kind} with (name/id) {name}{version} was not found in this key vault. If you recently deleted this {kind} you may be able to recover it using the correct recovery command."
    )
}

impl From<&Denied> for KeyVaultError {
    fn from(denied: &Denied) -> Self {
        let (why, caller, vault, object) = match denied {
            Denied::Address { address, vault, .. } => {
                let address = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
                return Self::forbidden(
                    "ForbiddenByFirewall",
                    format!(
                        "Client address is not authorized and caller is not a trusted service. Client address: {address} Vault: {vault}"
                    ),
                );
            }
            Denied::Lacking { why, caller, vault, object } => (why, caller, vault, object),
        };
        match why {
            // A token of somebody who is no longer there is no token: a client asks for another and hears why there is none.
            Lack::PrincipalGone => Self::unauthorized(format!(
                "The principal of the token no longer exists. Caller: {}",
                who(caller)
            )),
            Lack::PrincipalDisabled => {
                Self::unauthorized(format!("The principal of the token is disabled. Caller: {}", who(caller)))
            }
            Lack::TokenRevoked => Self::unauthorized(format!(
                "The token has been revoked: its session has ended or its credential was removed. Caller: {}",
                who(caller)
            )),
            Lack::NoPolicy => Self::forbidden(
                "AccessDenied",
                format!(
                    "Access denied. Caller was not found on any access policy. Caller: {} Vault: {vault}",
                    who(caller)
                ),
            ),
            Lack::VerbMissing(verb) => Self::forbidden(
                "AccessDenied",
                format!(
                    "The user, group or application '{}' does not have {verb} permission on key vault '{vault}'.",
                    who(caller)
                ),
            ),
            Lack::NoRole(action) => {
                let kind = action.verb.kind().plural();
                let object = object.as_ref().map(|name| format!("/{kind}/{name}")).unwrap_or_default();
                Self::forbidden(
                    "ForbiddenByRbac",
                    format!(
                        "Caller is not authorized to perform action on resource. Caller: {} Action: '{}{}' Resource: '{}{object}' Assignment: (not found) DecisionReason: 'DeniedWithNoValidRBAC' Vault: {vault}",
                        who(caller),
                        access::role::DATA_ACTION_PREFIX,
                        action.data_action,
                        vault.folded(),
                    ),
                )
            }
        }
    }
}

fn who(caller: &Caller) -> String {
    format!("appid={};oid={};iss={}", caller.client(), caller.principal(), caller.issuer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use crypt::CryptError;
    use domain::VaultName;
    use store::StoreError;

    async fn answer(error: KeyVaultError) -> (u16, Option<HeaderValue>, String) {
        let response = error.respond(None);
        let (status, retry) =
            (response.status().as_u16(), response.headers().get(header::RETRY_AFTER).cloned());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, retry, String::from_utf8(body.to_vec()).unwrap())
    }

    /// What is ours says what to do, and nothing of what happened.
    #[tokio::test]
    async fn failures_of_ours_say_nothing_else() {
        let detail = || "detail".to_owned();
        for error in [
            StoreError::Unavailable(detail()),
            StoreError::Unknown(store::CommitId(7)),
            StoreError::Full(detail()),
            StoreError::Conflict { keys: Vec::new() },
        ] {
            let (status, retry, body) = answer(KeyVaultError::from(&VaultError::Store(error))).await;
            assert_eq!((status, retry), (503, Some(HeaderValue::from_static("1"))));
            let said = r#"{"error":{"code":"ServiceUnavailable","message":"The service is unavailable. Try again."}}"#;
            assert_eq!(body, said);
        }
        let name = VaultName::parse("shop").unwrap();
        for error in [
            VaultError::Store(StoreError::Broken(detail())),
            VaultError::Store(StoreError::Invalid("detail")),
            VaultError::Store(StoreError::Compacted),
            VaultError::Store(StoreError::TooLarge { what: "detail", limit: 1 }),
            VaultError::Crypt(CryptError::Rejected { what: "detail" }),
            VaultError::VaultExists { name },
        ] {
            let error = KeyVaultError::from(&error);
            assert!(error.is_ours());
            let (status, retry, body) = answer(error).await;
            assert_eq!((status, retry), (500, None));
            let said =
                r#"{"error":{"code":"InternalServerError","message":"An unexpected error occurred."}}"#;
            assert_eq!(body, said);
        }
    }

    /// Python tries again whatever it is when told after how long.
    #[tokio::test]
    async fn only_what_may_pass_is_to_be_tried_again() {
        let name = ObjectName::parse("db").unwrap();
        for error in [
            KeyVaultError::no_token(),
            KeyVaultError::body_too_large(),
            KeyVaultError::body_incomplete(),
            KeyVaultError::value_missing(),
            KeyVaultError::from(&VaultError::SecretDisabled { name: name.clone() }),
            KeyVaultError::from(&VaultError::ObjectNotFound {
                kind: ObjectKind::Secret,
                name,
                version: None,
            }),
            KeyVaultError::from(&VaultError::PageTokenMalformed),
        ] {
            let (status, retry, _) = answer(error).await;
            assert!((400..500).contains(&status) && retry.is_none(), "{status}");
        }
    }
}
