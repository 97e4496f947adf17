//! Our errors as the administrator's API tells them: `{"error": {"code", "message"}}`, with what to do next.

use super::hosting::HostingFault;
use crate::context::AuditUnavailable;
use access::GroupFault;
use axum::response::{IntoResponse, Response};
use directory::{AppRoleError, DirectoryError, GroupError, UserError};
use host::HostError;
use http::StatusCode;
use resource::{ResourceError, roles::RoleFault};
use store::StoreError;
use vault::{AccessModel, VaultError};

/// An answer that is an error.
#[derive(Debug)]
pub struct AdminError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl AdminError {
    /// Any.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The request is not well formed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// What is asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// It is ours, not the caller's.
    pub fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Is the request not well formed?
    pub fn is_bad_request(&self) -> bool {
        self.code == "BadRequest"
    }

    /// For the audit log.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = domain::chain(error), "a request of the administrator failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "something is wrong with the server: see its log",
        )
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"error": {"code": self.code, "message": self.message}});
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<AuditUnavailable> for AdminError {
    fn from(AuditUnavailable: AuditUnavailable) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "AuditUnavailable",
            "the audit log cannot be written, so that nothing is answered: is the disk full? See the server's log",
        )
    }
}

impl From<HostingFault> for AdminError {
    fn from(fault: HostingFault) -> Self {
        match fault {
            HostingFault::Package(why) => Self::new(StatusCode::BAD_REQUEST, "NotDeployed", why),
            HostingFault::TooLarge(why) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", why),
            HostingFault::Busy => Self::conflict(format!("{fault}: wait until it has ended")),
            HostingFault::Unavailable(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", why),
            HostingFault::Host(error) => error.into(),
            HostingFault::File { .. } => {
                tracing::error!(error = domain::chain(&fault), "an app's files cannot be written");
                let status = match fault.is_for_room() {
                    true => StatusCode::INSUFFICIENT_STORAGE,
                    false => StatusCode::INTERNAL_SERVER_ERROR,
                };
                Self::new(status, "NotKept", domain::chain(&fault))
            }
        }
    }
}

impl From<HostError> for AdminError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::AppNotFound(app) => Self::not_found(format!(
                "app {app} does not exist: `keyless app create {app}` makes it, `keyless app list` shows all"
            )),
            HostError::AppExists(app) => {
                Self::conflict(format!("app {app} exists already: `keyless app show {app}` shows it"))
            }
            HostError::IdentityNotFound(name) => Self::not_found(format!(
                "identity {name} does not exist: `keyless identity create {name}` makes it, `keyless identity list` shows all"
            )),
            HostError::IdentityExists(name) => Self::conflict(format!(
                "identity {name} exists already: `keyless identity show {name}` shows it"
            )),
            HostError::FederatedNotFound(name) => Self::not_found(format!(
                "identity {name} has no such federated credential: `keyless identity federated list {name}` shows all"
            )),
            HostError::TooManyIdentities { .. } => Self::conflict(format!("{error}: take one away first")),
            HostError::WorkloadNotFound(id) => Self::not_found(format!("workload {id} is not running")),
            HostError::TooManyWorkloads { .. } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyWorkloads",
                format!("{error}: end some first"),
            ),
            HostError::NotEnforced { why, mend } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "NotEnforced",
                format!("the app is not started, as you asked: {why}; {mend}"),
            ),
            HostError::CgroupShared { .. } => Self::conflict(format!(
                "{error}: start the program in a cgroup of its own, as `keyless run` does"
            )),
            HostError::Cgroup(ref cause) => {
                Self::bad_request(format!("the cgroup cannot be used: {}", domain::chain(cause)))
            }
            HostError::Network(ref cause) => Self::bad_request(format!("{error}: {}", domain::chain(cause))),
            HostError::CgroupEmpty => Self::conflict(error.to_string()),
            HostError::SettingInvalid { .. } | HostError::SettingReserved { .. } => {
                Self::bad_request(error.to_string())
            }
            // Whose settings they are, is said by who asks for them (`hosting`).
            HostError::SettingNotFound { .. } => Self::not_found(error.to_string()),
            HostError::Accounts(ref cause) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "NoAccounts",
                format!("{error}: {cause}; see /var/lib/keyless-accounts"),
            ),
            HostError::NoAccountLeft | HostError::SettingBroken | HostError::Crypt(_) => {
                Self::internal(&error)
            }
            HostError::NoShadow { why, mend } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "NoShadow",
                format!("the program is not started as if it were in Azure: {why}; {mend}"),
            ),
            HostError::Endpoint(ref cause) => {
                tracing::error!(error = domain::chain(cause), "an identity endpoint cannot be opened");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "NoEndpoint",
                    format!("the identity endpoint cannot be opened: {cause}"),
                )
            }
            HostError::Group(ref fault @ access::GroupFault::Going(_)) => Self::conflict(fault.to_string()),
            HostError::Group(ref fault) => Self::not_found(fault.to_string()),
            // The administrator may do anything.
            HostError::Unmanaged(_) => Self::internal(&error),
            HostError::Directory(error) => error.into(),
            HostError::Store(error) => error.into(),
        }
    }
}

impl From<DirectoryError> for AdminError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::RegistrationNotFound { .. } => {
                Self::not_found(format!("{error}: `keyless app-registration list` shows all"))
            }
            DirectoryError::SigningKeyNotFound { .. } => {
                Self::not_found(format!("{error}: `keyless signing-key list` shows all"))
            }
            DirectoryError::CredentialNotFound { .. } | DirectoryError::PrincipalNotFound { .. } => {
                Self::not_found(error.to_string())
            }
            DirectoryError::ClientIsPublic { .. } => {
                Self::conflict(format!("{error}: make another registration for what can keep a secret"))
            }
            DirectoryError::ClientHasCredentials { client } => Self::conflict(format!(
                "{error}: remove them first, `keyless app-registration show {client}` says which there are"
            )),
            DirectoryError::AdministratorNeeded
            | DirectoryError::IdentifierUriTaken { .. }
            | DirectoryError::CertificateTaken
            | DirectoryError::FederatedTaken { .. } => Self::conflict(error.to_string()),
            DirectoryError::IdentifierUriInvalid { .. }
            | DirectoryError::RedirectUriInvalid { .. }
            | DirectoryError::ScopeMalformed { .. }
            | DirectoryError::ScopesOfTwoResources
            | DirectoryError::ScopeUnknown { .. }
            | DirectoryError::ClientUnknown { .. }
            | DirectoryError::DisplayNameInvalid
            | DirectoryError::LifetimeInvalid
            | DirectoryError::CertificateInvalid(_)
            | DirectoryError::CertificateOver
            | DirectoryError::FederatedInvalid { .. }
            | DirectoryError::TooMany { .. }
            | DirectoryError::ResourceUnknown { .. } => Self::bad_request(error.to_string()),
            DirectoryError::AppRole(AppRoleError::Taken) => Self::conflict(error.to_string()),
            DirectoryError::AppRole(AppRoleError::AssignmentNotFound) => Self::not_found(error.to_string()),
            DirectoryError::AppRole(AppRoleError::RoleUnknown { .. } | AppRoleError::Invalid { .. }) => {
                Self::bad_request(error.to_string())
            }
            DirectoryError::User(error) => error.into(),
            DirectoryError::Group(error) => error.into(),
            DirectoryError::Store(error) => error.into(),
            DirectoryError::Broken { .. } | DirectoryError::Crypt(_) => Self::internal(&error),
            // Of token requests, which are not made here.
            DirectoryError::Request(_)
            | DirectoryError::Grant(_)
            // Of Graph's callers.
            | DirectoryError::Graph(_)
            | DirectoryError::AppRole(AppRoleError::NotAssigned { .. }) => Self::internal(&error),
        }
    }
}

impl From<GroupError> for AdminError {
    fn from(error: GroupError) -> Self {
        let text = error.to_string();
        match error {
            GroupError::NotFound { .. } => Self::not_found(format!("{text}: `keyless group list` shows all")),
            GroupError::Ambiguous { .. } => {
                Self::conflict(format!("{text}: give the id, `keyless group list` shows it"))
            }
            GroupError::NotMember { group, .. } => {
                Self::not_found(format!("{text}: `keyless group member list {group}` shows who is"))
            }
            GroupError::DescriptionInvalid | GroupError::MailNicknameInvalid => Self::bad_request(text),
        }
    }
}

impl From<UserError> for AdminError {
    fn from(error: UserError) -> Self {
        let text = error.to_string();
        match error {
            UserError::NotFound { .. } => Self::not_found(format!("{text}: `keyless user list` shows all")),
            UserError::NameTaken { ref name } => {
                Self::conflict(format!("{text}: `keyless user show {name}` shows who has it"))
            }
            UserError::NoAuthenticator { user } => {
                Self::conflict(format!("{text}: `keyless user totp add {user}` begins with one"))
            }
            UserError::AuthenticatorExists { user } => Self::conflict(format!(
                "{text}: `keyless user totp remove {user}` takes it away, so that another can be added"
            )),
            UserError::PasskeyRefused { .. } | UserError::PasswordUnfit { .. } => {
                Self::bad_request(format!("{text}: choose another, or leave it out and one is made up"))
            }
            UserError::CodeWrong => Self::bad_request(format!(
                "{text}: type the one that the app shows now, and see that the clocks of both are right"
            )),
            UserError::NameInvalid(_) | UserError::DomainForeign { .. } | UserError::MailInvalid => {
                Self::bad_request(text)
            }
            UserError::TooManyTries { .. } | UserError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", text)
            }
            // Of sign-ins, which are not made here.
            UserError::SignInRefused | UserError::Disabled { .. } => {
                Self::new(StatusCode::FORBIDDEN, "Forbidden", text)
            }
        }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed a request of the administrator");
        match error {
            StoreError::Unavailable(_) if error.is_stopped() => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "StoreStopped",
                "the store has stopped writing after an error of its disk: see the server's log, and start the server again",
            ),
            StoreError::Conflict { .. } | StoreError::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "StoreUnavailable",
                "the store did not answer: try again",
            ),
            StoreError::Unknown(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "OutcomeUnknown",
                "the store did not say whether the change was made: look before you try again",
            ),
            StoreError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "StoreFull",
                "the store is full: free some disk space, then try again",
            ),
            StoreError::TooLarge { .. } => Self::bad_request(error.to_string()),
            StoreError::Compacted | StoreError::Invalid(_) | StoreError::Broken(_) => Self::internal(&error),
        }
    }
}

impl From<ResourceError> for AdminError {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Role(fault) => fault.into(),
            ResourceError::Store(error) => error.into(),
            ResourceError::Group(GroupFault::NotFound(name)) => Self::not_found(format!(
                "there is no resource group {name}: `keyless az -- group create -n {name} -l local` makes it, `keyless az -- group list` shows all, after `keyless az -- login`"
            )),
            error => Self::conflict(error.to_string()),
        }
    }
}

impl From<RoleFault> for AdminError {
    fn from(fault: RoleFault) -> Self {
        let text = fault.to_string();
        match fault {
            RoleFault::NoSuchPlace { kind, .. } => {
                // Our own command line has no words for some.
                let list = match kind {
                    "plan" => "az -- appservice plan list",
                    "resource group" => "az -- group list",
                    kind => return Self::not_found(format!("{text}: `keyless {kind} list` shows all")),
                };
                Self::not_found(format!("{text}: `keyless {list}` shows all, after `keyless az -- login`"))
            }
            RoleFault::PrincipalNotFound(_) => {
                Self::not_found(format!("{text}: `keyless principal list` shows all"))
            }
            RoleFault::RoleNotFound(_) => {
                Self::not_found(format!("{text}: `keyless role definition list` shows all"))
            }
            RoleFault::AssignmentNotFound(_) => {
                Self::not_found(format!("{text}: `keyless role list` shows all"))
            }
            RoleFault::AssignmentExists(_)
            | RoleFault::AssignmentOther(_)
            | RoleFault::RoleNameTaken(_)
            | RoleFault::RoleInUse(_) => Self::conflict(text),
            RoleFault::PrincipalOther { .. }
            | RoleFault::NotAssignable(_)
            | RoleFault::RoleBuiltIn(_)
            | RoleFault::RoleInvalid { .. }
            | RoleFault::TooMany { .. }
            | RoleFault::TooMuchDefined { .. } => Self::bad_request(text),
        }
    }
}

impl From<VaultError> for AdminError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Contended { .. } => Self::conflict(format!("{error}: try again")),
            VaultError::VaultNotFound { .. } => {
                Self::not_found(format!("{error}: `keyless vault list` shows all"))
            }
            VaultError::VaultExists { ref name } => {
                Self::conflict(format!("{error}: `keyless vault show {name}` shows it"))
            }
            VaultError::VaultIsDeleted { ref name } => {
                let text = format!(
                    "{error}: `keyless vault recover {name}` brings it back, `keyless vault purge {name}` frees its name"
                );
                Self::conflict(text)
            }
            VaultError::DeletedVaultNotFound { .. } => {
                Self::not_found(format!("{error}: `keyless vault list --deleted` shows all"))
            }
            VaultError::PurgeProtected { .. } => Self::conflict(format!(
                "{error}: it purges itself then, `keyless vault list --deleted` says when"
            )),
            VaultError::Immutable { .. } => {
                Self::conflict(format!("{error}: it is set once, for the life of the vault"))
            }
            VaultError::OtherAccessModel { ref vault, counts } => {
                let mend = match counts {
                    AccessModel::Policies => format!(
                        "use `keyless vault policy set {vault}`, or change it by `keyless vault update {vault} --access roles`"
                    ),
                    AccessModel::Roles => format!(
                        "use `keyless vault role assign {vault}`, or change it by `keyless vault update {vault} --access policies`"
                    ),
                };
                Self::conflict(format!("{error}: {mend}"))
            }
            VaultError::PrincipalNotFound { .. } => {
                Self::not_found(format!("{error}: `keyless principal list` shows all"))
            }
            VaultError::TooLarge { .. } | VaultError::SettingInvalid { .. } => {
                Self::bad_request(error.to_string())
            }
            VaultError::Store(error) => error.into(),
            VaultError::Group(GroupFault::NotFound(_)) => Self::not_found(error.to_string()),
            VaultError::Group(GroupFault::Going(_)) => Self::conflict(error.to_string()),
            VaultError::Crypt(_)
            // The administrator may.
            | VaultError::Unmanaged(_)
            // Of objects, which are not here.
            | VaultError::Denied(_)
            | VaultError::ObjectNotFound { .. }
            | VaultError::DeletedObjectNotFound { .. }
            | VaultError::ObjectIsDeleted { .. }
            | VaultError::NameTaken { .. }
            | VaultError::ManagedByCertificate { .. }
            | VaultError::SecretDisabled { .. }
            | VaultError::Key(_)
            | VaultError::Certificate(_)
            | VaultError::BackupRejected
            | VaultError::PageTokenMalformed => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_administers_a_store_that_has_stopped_is_not_told_to_try_again() {
        let told = |why: &str| AdminError::from(StoreError::Unavailable(why.to_owned())).message;
        let stopped = told(store::contract::STOPPED);
        assert!(stopped.contains("start the server again") && !stopped.contains("try again"), "{stopped}");
        assert!(told("the engine is away").contains("try again"));
    }
}
