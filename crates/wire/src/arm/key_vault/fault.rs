//! What can go wrong with a vault itself, in the words of Key Vault's resource provider.

use super::super::error::ArmError;
use http::StatusCode;
use vault::VaultError;

impl From<VaultError> for ArmError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::VaultNotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("{error}."))
            }
            VaultError::VaultExists { name } => Self::new(
                StatusCode::CONFLICT,
                "VaultAlreadyExists",
                format!(
                    "The vault name '{name}' is already in use. Vault names are unique in the whole installation, in whichever resource group they are."
                ),
            ),
            VaultError::VaultIsDeleted { name } => Self::new(
                StatusCode::CONFLICT,
                "ConflictError",
                format!(
                    "A vault with the same name '{name}' already exists in deleted state. You need to either recover or purge existing key vault."
                ),
            ),
            VaultError::DeletedVaultNotFound { name } => Self::new(
                StatusCode::NOT_FOUND,
                "DeletedVaultNotFound",
                format!("The specified deleted vault '{name}' does not exist."),
            ),
            VaultError::PurgeProtected { .. } => Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                format!("Operation 'DeletedVaultPurge' is not allowed: {error}."),
            ),
            VaultError::Immutable { .. }
            | VaultError::SettingInvalid { .. }
            | VaultError::TooLarge { .. }
            | VaultError::PrincipalNotFound { .. }
            | VaultError::OtherAccessModel { .. } => Self::bad(format!("{error}.")),
            VaultError::Unmanaged(unmanaged) => unmanaged.into(),
            VaultError::Group(fault) => fault.into(),
            VaultError::Store(error) => error.into(),
            VaultError::Crypt(_)
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
            | VaultError::Contended { .. }
            | VaultError::PageTokenMalformed => Self::internal(&error),
        }
    }
}
