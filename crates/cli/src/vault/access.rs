//! [`Access`]: how a vault says who may what. As arguments say it is [`super`]'s; a stack file says it, too.

use serde::{Deserialize, Serialize};

/// How a vault says who may what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    /// By its access policies.
    Policies,
    /// By role assignments.
    Roles,
}

impl Access {
    /// In words.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Policies => "access policies",
            Self::Roles => "role assignments",
        }
    }
}
