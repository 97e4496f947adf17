//! What can go wrong with roles, in the words of Azure RBAC.

use super::super::error::ArmError;
use http::StatusCode;
use resource::roles::RoleFault;

impl From<RoleFault> for ArmError {
    fn from(fault: RoleFault) -> Self {
        let status = match &fault {
            RoleFault::NoSuchPlace { .. } | RoleFault::RoleNotFound(_) | RoleFault::AssignmentNotFound(_) => {
                StatusCode::NOT_FOUND
            }
            RoleFault::AssignmentExists(_) | RoleFault::RoleNameTaken(_) => StatusCode::CONFLICT,
            RoleFault::PrincipalNotFound(_)
            | RoleFault::PrincipalOther { .. }
            | RoleFault::NotAssignable(_)
            | RoleFault::AssignmentOther(_)
            | RoleFault::RoleBuiltIn(_)
            | RoleFault::RoleInUse(_)
            | RoleFault::RoleInvalid { .. }
            | RoleFault::TooMany { .. }
            | RoleFault::TooMuchDefined { .. } => StatusCode::BAD_REQUEST,
        };
        let code = match &fault {
            RoleFault::NoSuchPlace { .. } => "ResourceNotFound",
            RoleFault::RoleNotFound(_) => "RoleDefinitionDoesNotExist",
            RoleFault::AssignmentNotFound(_) => "RoleAssignmentNotFound",
            RoleFault::AssignmentExists(_) => "RoleAssignmentExists",
            RoleFault::RoleNameTaken(_) => "RoleDefinitionWithSameNameExists",
            RoleFault::PrincipalNotFound(_) => "PrincipalNotFound",
            RoleFault::PrincipalOther { .. } => "UnmatchedPrincipalType",
            RoleFault::AssignmentOther(_) => "RoleAssignmentUpdateNotPermitted",
            RoleFault::RoleInUse(_) => "RoleDefinitionHasAssignments",
            RoleFault::TooMany { .. } => "RoleAssignmentLimitExceeded",
            RoleFault::TooMuchDefined { .. } => "RoleDefinitionLimitExceeded",
            RoleFault::NotAssignable(_) | RoleFault::RoleBuiltIn(_) | RoleFault::RoleInvalid { .. } => {
                "BadRequest"
            }
        };
        let message = match &fault {
            RoleFault::AssignmentExists(id) => format!(
                "The role assignment already exists. The ID of the existing role assignment is {}.",
                id.uuid().as_simple()
            ),
            fault => format!("{}.", capital(&fault.to_string())),
        };
        Self::new(status, code, message)
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
