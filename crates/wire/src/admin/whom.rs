//! Of whom a rule speaks: an app, a principal, or a client, exactly one of them; and what people are told of principals.

use super::error::AdminError;
use crate::context::Services;
use directory::DirectoryError;
use domain::{AppName, ClientId, PrincipalId};
use http::StatusCode;
use serde::Serialize;

/// As a request names them.
pub(super) struct Whom {
    /// The managed identity of an app.
    pub(super) app: Option<AppName>,
    /// A principal by its id.
    pub(super) principal: Option<PrincipalId>,
    /// A principal by its client id.
    pub(super) client_id: Option<ClientId>,
}

impl Whom {
    /// Is nobody named?
    pub(super) const fn is_nobody(&self) -> bool {
        self.app.is_none() && self.principal.is_none() && self.client_id.is_none()
    }

    /// The principal's id. Whether a principal that was named by its id is there, whoever is asked with it decides.
    pub(super) async fn find(self, state: &Services) -> Result<PrincipalId, AdminError> {
        match self {
            Self { app: Some(app), principal: None, client_id: None } => {
                let view = state.host.app(&app).await?;
                view.app.identity.ok_or_else(|| {
                    AdminError::new(
                        StatusCode::CONFLICT,
                        "NoIdentity",
                        format!(
                            "app {app} has no identity: `keyless app identity assign {app}` gives it one"
                        ),
                    )
                })
            }
            Self { app: None, principal: Some(principal), client_id: None } => Ok(principal),
            Self { app: None, principal: None, client_id: Some(client) } => {
                let all = state.directory.principals().await?;
                let found = all.iter().find(|principal| principal.client == client);
                found.map(|principal| principal.id).ok_or_else(|| {
                    AdminError::not_found(format!(
                        "no principal has client id {client}: `keyless principal list` shows all"
                    ))
                })
            }
            Self { .. } => Err(AdminError::bad_request("give exactly one of app, principal and client_id")),
        }
    }
}

/// What has become of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// It may act.
    Enabled,
    /// It is refused everywhere.
    Disabled,
    /// There is none of this id any more: a rule for it allows nobody.
    Gone,
}

/// A principal's name for people, and what has become of it.
pub(super) async fn known(
    state: &Services,
    principal: PrincipalId,
) -> Result<(Option<String>, Standing), AdminError> {
    match state.directory.principal(principal).await {
        Ok(principal) => {
            let standing = if principal.enabled { Standing::Enabled } else { Standing::Disabled };
            Ok((Some(principal.display_name.clone()), standing))
        }
        Err(DirectoryError::PrincipalNotFound { .. }) => Ok((None, Standing::Gone)),
        Err(error) => Err(error.into()),
    }
}
