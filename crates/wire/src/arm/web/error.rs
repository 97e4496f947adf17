//! The host's errors in the resource manager's words.

use super::super::{error::ArmError, federated};
use crate::admin::HostingFault;
use host::HostError;
use http::StatusCode;

impl From<HostError> for ArmError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Unmanaged(unmanaged) => unmanaged.into(),
            HostError::Group(fault) => fault.into(),
            HostError::AppNotFound(name) => {
                let message = format!("The Resource 'Microsoft.Web/sites/{name}' was not found.");
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
            }
            HostError::IdentityNotFound(name) => {
                let message = format!(
                    "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/{name}' was not found."
                );
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
            }
            HostError::AppExists(name) => {
                Self::conflict(format!("Website with given name {name} already exists."))
            }
            HostError::IdentityExists(name) => {
                Self::conflict(format!("An identity with the name {name} already exists."))
            }
            HostError::TooManyIdentities { .. } => Self::conflict(format!("{error}.")),
            HostError::SettingInvalid { .. } | HostError::SettingReserved { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "BadRequest", format!("{error}."))
            }
            HostError::SettingNotFound { name } => Self::new(
                StatusCode::BAD_REQUEST,
                "BadRequest",
                format!("The app has no secret setting {name} that could keep its value."),
            ),
            HostError::FederatedNotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("{error}."))
            }
            HostError::Directory(ref refused) => {
                federated::refused(refused).unwrap_or_else(|| Self::internal(&error))
            }
            HostError::Store(error) => error.into(),
            HostError::WorkloadNotFound(_)
            | HostError::TooManyWorkloads { .. }
            | HostError::NotEnforced { .. }
            | HostError::CgroupShared { .. }
            | HostError::Cgroup(_)
            | HostError::NoShadow { .. }
            | HostError::CgroupEmpty
            | HostError::Network(_)
            | HostError::Endpoint(_)
            | HostError::SettingBroken
            | HostError::Accounts(_)
            | HostError::NoAccountLeft
            | HostError::Crypt(_) => Self::internal(&error),
        }
    }
}

impl From<HostingFault> for ArmError {
    fn from(fault: HostingFault) -> Self {
        match fault {
            HostingFault::Host(error) => error.into(),
            HostingFault::Unavailable(why) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why)
            }
            HostingFault::Package(why) | HostingFault::TooLarge(why) => Self::bad_content(why),
            HostingFault::Busy => Self::conflict(fault.to_string()),
            HostingFault::File { .. } => Self::internal(&fault),
        }
    }
}
