//! What can go wrong in the directory, in our words. `wire/oauth2/error.rs` gives them their AADSTS numbers.

use crate::{AssertionRefusal, GrantError, GroupError, UserError, app_role::AppRoleError, graph::GraphError};
use crypt::{ClientCertificateFault, CryptError};
use domain::{ClientId, CredentialId, PrincipalId, RegistrationId};
use store::StoreError;

/// An error of the directory. Texts are the caller's own, cut to a length and never a secret.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// No app registration has this client id.
    #[error("client {client} is not registered here")]
    ClientUnknown {
        /// As asked for.
        client: ClientId,
    },
    /// A public client presents a credential, or is to be given one.
    #[error("client {client} is public: it has no credentials")]
    ClientIsPublic {
        /// Which one.
        client: ClientId,
    },
    /// A client that has credentials is to be public.
    #[error("client {client} has credentials, and a public client has none")]
    ClientHasCredentials {
        /// Which one.
        client: ClientId,
    },
    /// A redirect URI that cannot be registered.
    #[error("the redirect URI is not valid: {rule}")]
    RedirectUriInvalid {
        /// The rule.
        rule: &'static str,
    },
    /// The resource offers no such scope.
    #[error("the resource has no such scope")]
    ScopeUnknown {
        /// As asked for.
        scope: String,
    },
    /// The requested resource is not known.
    #[error("the resource is not known here")]
    ResourceUnknown {
        /// As asked for.
        resource: String,
    },
    /// The scope is not of a scope's form.
    #[error("the scope is malformed")]
    ScopeMalformed {
        /// As asked for.
        scope: String,
    },
    /// Scopes of two resources in one request.
    #[error("the scopes are of more than one resource")]
    ScopesOfTwoResources,
    /// There is no such app registration.
    #[error("the app registration {named} was not found")]
    RegistrationNotFound {
        /// As asked for.
        named: String,
    },
    /// There is no such credential.
    #[error("credential {credential} of registration {registration} was not found")]
    CredentialNotFound {
        /// Of which registration.
        registration: RegistrationId,
        /// Which one.
        credential: CredentialId,
    },
    /// What is to be a client's certificate is none that can be one.
    #[error("the certificate cannot be used: {0}")]
    CertificateInvalid(ClientCertificateFault),
    /// A certificate that nothing can be signed with any more.
    #[error("the certificate cannot be used: its time is over")]
    CertificateOver,
    /// The registration has this certificate.
    #[error("the registration has this certificate already")]
    CertificateTaken,
    /// A federated credential that says something it may not.
    #[error("the federated credential is not valid: {rule}")]
    FederatedInvalid {
        /// The rule.
        rule: &'static str,
    },
    /// The registration has another federated credential of this kind.
    #[error("the registration has a federated credential of this {what} already")]
    FederatedTaken {
        /// What must be of one only.
        what: &'static str,
    },
    /// There is no such principal.
    #[error("principal {principal} was not found")]
    PrincipalNotFound {
        /// Which one.
        principal: PrincipalId,
    },
    /// The administrator cannot be disabled or deleted: nobody could bring it back.
    #[error("the administrator cannot be disabled or deleted")]
    AdministratorNeeded,
    /// Another registration has this identifier URI.
    #[error("the identifier URI {uri} is another registration's")]
    IdentifierUriTaken {
        /// Which one.
        uri: String,
    },
    /// An identifier URI that is none, or one that is ours.
    #[error("the identifier URI is not valid: {rule}")]
    IdentifierUriInvalid {
        /// The rule.
        rule: &'static str,
    },
    /// A display name that is empty, too long, or not printable.
    #[error(
        "the display name is not valid: 1 to {} characters without control characters",
        domain::limits::DISPLAY_NAME_CHARS_MAX
    )]
    DisplayNameInvalid,
    /// A lifetime that ends before it begins, or never.
    #[error("the lifetime is not valid: 1 second to 100 years")]
    LifetimeInvalid,
    /// There is no such signing key, or no more.
    #[error("signing key {kid} was not found")]
    SigningKeyNotFound {
        /// As asked for.
        kid: String,
    },
    /// More of something than there may be.
    #[error("over the limit of {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Of app roles.
    #[error(transparent)]
    AppRole(#[from] AppRoleError),
    /// Of who may change the directory by Graph, and of what only Graph does.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Of groups.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Of users and their sign-ins.
    #[error(transparent)]
    User(#[from] UserError),
    /// The directory's own records do not fit each other.
    #[error("the directory's records are broken: {what}")]
    Broken {
        /// What does not fit.
        what: &'static str,
    },
    /// Cryptography failed: a signing key does not open, or a signature cannot be made.
    #[error("the directory's cryptography failed")]
    Crypt(#[from] CryptError),
    /// A client's request cannot be granted as it is.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A grant by which a client would act in a user's name does not hold.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The store did not answer.
    #[error("the directory's store failed")]
    Store(#[from] StoreError),
}

/// What is wrong with a client's request, or with what proves the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A parameter of a token request is missing or empty.
    #[error("the parameter {name} is missing")]
    MissingParameter {
        /// Which one.
        name: &'static str,
    },
    /// The grant is not one of ours.
    #[error("the grant type is not supported")]
    UnsupportedGrant {
        /// As asked for.
        grant: String,
    },
    /// The tenant is neither an id nor a domain name.
    #[error("the tenant is neither an id nor a domain name")]
    TenantMalformed {
        /// As asked for.
        tenant: String,
    },
    /// There is no such tenant here.
    #[error("tenant {tenant} is not here")]
    TenantNotFound {
        /// As asked for.
        tenant: String,
    },
    /// `common` and the like say nothing about which tenant's principal should act.
    #[error("the request names no tenant")]
    TenantUnspecified,
    /// A client id that is no id.
    #[error("the client id is not a valid identifier")]
    ClientMalformed {
        /// As asked for.
        client: String,
    },
    /// The client has presented no proof of itself.
    #[error("the client has presented no credential")]
    ClientProofMissing,
    /// A page of another origin asks for what no page may have.
    #[error("a page of another origin asks, and the grant is not a single-page application's")]
    FromPage,
    /// A single-page application's grant is redeemed by who is no page.
    #[error("a single-page application's grant, and no page asks")]
    NotFromPage,
    /// The client's assertion is of another type than a JWT (RFC 7523 section 2.2).
    #[error("the client assertion is of another type than a JWT")]
    AssertionTypeUnsupported,
    /// No credential of the client has this secret.
    #[error("the secret of client {client} is wrong")]
    ClientSecretWrong {
        /// Whose.
        client: ClientId,
    },
    /// The credential with this secret is over.
    #[error("the secret of client {client} has expired")]
    ClientSecretExpired {
        /// Whose.
        client: ClientId,
    },
    /// The client authenticates in two ways at once (RFC 6749 section 2.3 forbids it).
    #[error("the client authenticates in two ways at once")]
    ClientAuthenticationAmbiguous,
    /// The principal of a client is disabled.
    #[error("the principal of client {client} is disabled")]
    ClientDisabled {
        /// Whose.
        client: ClientId,
    },
    /// The redirect URI is none of the client's.
    #[error("the redirect URI is not registered for client {client}")]
    RedirectUriUnknown {
        /// Whose.
        client: ClientId,
        /// As asked for.
        redirect_uri: String,
    },
    /// A parameter that is longer than any needs to be.
    #[error("the parameter {name} is too long")]
    ParameterTooLong {
        /// Which one.
        name: &'static str,
    },
    /// A parameter with a value that means nothing here.
    #[error("the parameter {name} has a value that is not supported")]
    ParameterInvalid {
        /// Which one.
        name: &'static str,
    },
    /// `resource` was sent to the endpoint that takes scopes.
    #[error("the v2.0 endpoint takes a scope, not a resource")]
    ResourceNotAllowed,
    /// A client that acts for itself asks for something else than `/.default`.
    #[error("the scope must end in /.default")]
    ScopeNotDefault {
        /// As asked for.
        scope: String,
    },
    /// The client's assertion does not prove it.
    #[error(transparent)]
    Assertion(#[from] AssertionRefusal),
}

impl From<AssertionRefusal> for DirectoryError {
    fn from(refusal: AssertionRefusal) -> Self {
        RequestError::from(refusal).into()
    }
}
