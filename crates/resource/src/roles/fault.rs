//! Why a role is not given, taken away, defined or shown.

use domain::{AssignmentId, PrincipalId, ResourceGroupName};

/// A request about roles that came to nothing, other than that who asks may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleFault {
    /// There is no such thing to give a role at.
    #[error("there is no {kind} {name}{}", group.as_ref().map(|group| format!(" in resource group {group}")).unwrap_or_default())]
    NoSuchPlace {
        /// `vault` or the like.
        kind: &'static str,
        /// Its name.
        name: String,
        /// In which group it was looked for.
        group: Option<ResourceGroupName>,
    },
    /// There is nobody of this object id.
    #[error("there is no principal {0}")]
    PrincipalNotFound(PrincipalId),
    /// Somebody is of another kind than was said.
    #[error("principal {id} is of type {is}, not {said}")]
    PrincipalOther {
        /// Who.
        id: PrincipalId,
        /// What it is.
        is: &'static str,
        /// What was said.
        said: &'static str,
    },
    /// There is no such role.
    #[error("there is no role {0}")]
    RoleNotFound(String),
    /// The role may be assigned elsewhere only.
    #[error("role \"{0}\" cannot be assigned there: its assignable scopes say where")]
    NotAssignable(String),
    /// The same role is given to the same principal there, under another name.
    #[error("the role is assigned already, by {0}")]
    AssignmentExists(AssignmentId),
    /// An assignment of this name gives another role, to somebody else, or elsewhere.
    #[error("role assignment {0} is another one, and stays as it is")]
    AssignmentOther(AssignmentId),
    /// There is none of this name there.
    #[error("there is no role assignment {0} there")]
    AssignmentNotFound(AssignmentId),
    /// Another role has the name.
    #[error("there is a role \"{0}\" already")]
    RoleNameTaken(String),
    /// The built-in ones stay as they are.
    #[error("role \"{0}\" is a built-in one, and stays as it is")]
    RoleBuiltIn(&'static str),
    /// A role that is assigned stays.
    #[error("the role is assigned {0} times: take it away from everybody first")]
    RoleInUse(usize),
    /// A part of a role is not as it may be.
    #[error("{what} {rule}")]
    RoleInvalid {
        /// Which part.
        what: &'static str,
        /// What it may be.
        rule: &'static str,
    },
    /// There are more assignments than fit.
    #[error("{what} is over its limit of {limit}")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// There is more of what people made of roles than fits: there are too many, or one is too long.
    #[error("{what} is over its limit of {limit}")]
    TooMuchDefined {
        /// What.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
