//! Of whom a rule speaks: an app, a user-assigned identity, a principal, a client, a user or a group, exactly one of them; and what people are told of them.

use super::error::AdminError;
use crate::context::Services;
use access::Manager;
use directory::DirectoryError;
use domain::{AppName, ClientId, IdentityName, PrincipalId};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// As a request names them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whom {
    /// The managed identity of an app.
    #[serde(default)]
    pub(super) app: Option<AppName>,
    /// A user-assigned managed identity.
    #[serde(default)]
    pub(super) identity: Option<IdentityName>,
    /// A principal by its id.
    #[serde(default)]
    pub(super) principal: Option<PrincipalId>,
    /// A principal by its client id.
    #[serde(default)]
    pub(super) client_id: Option<ClientId>,
    /// A user by its name or id.
    #[serde(default)]
    pub(super) user: Option<String>,
    /// A group by its name or id.
    #[serde(default)]
    pub(super) group: Option<String>,
}

impl Whom {
    /// Is nobody named?
    pub(super) const fn is_nobody(&self) -> bool {
        self.app.is_none()
            && self.identity.is_none()
            && self.principal.is_none()
            && self.client_id.is_none()
            && self.user.is_none()
            && !self.is_group()
    }

    /// Is a group named?
    pub(super) const fn is_group(&self) -> bool {
        self.group.is_some()
    }

    /// The object id of the principal or group. Whether one that was named by its id is there, whoever is asked with it decides.
    pub(super) async fn find(self, state: &Services) -> Result<PrincipalId, AdminError> {
        match (self.app, self.identity, self.principal, self.client_id, self.user, self.group) {
            (Some(app), None, None, None, None, None) => {
                let view = state.host.app(Manager::Administrator, &app).await?;
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
            (None, Some(identity), None, None, None, None) => {
                Ok(state.host.identity_named(Manager::Administrator, &identity).await?.principal.id)
            }
            (None, None, Some(principal), None, None, None) => Ok(principal),
            (None, None, None, Some(client), None, None) => {
                let all = state.directory.principals().await?;
                let found = all.iter().find(|principal| principal.client == client);
                found.map(|principal| principal.id).ok_or_else(|| {
                    AdminError::not_found(format!(
                        "no principal has client id {client}: `keyless principal list` shows all"
                    ))
                })
            }
            (None, None, None, None, Some(user), None) => Ok(state.directory.user(&user).await?.user.id),
            (None, None, None, None, None, Some(group)) => {
                Ok(state.directory.group(&group).await?.id.subject())
            }
            _ => Err(AdminError::bad_request(
                "give exactly one of app, identity, principal, client_id, user and group",
            )),
        }
    }
}

/// What has become of a principal, or that it is a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// It may act.
    Enabled,
    /// It is refused everywhere.
    Disabled,
    /// There is none of this id any more: a rule for it allows nobody.
    Gone,
    /// It is a group: a rule for it is for its members.
    Group,
}

/// A principal's or group's name for people, and what has become of it.
pub(super) async fn known(
    state: &Services,
    principal: PrincipalId,
) -> Result<(Option<String>, Standing), AdminError> {
    match state.directory.principal(principal).await {
        Ok(principal) => {
            let standing = if principal.enabled { Standing::Enabled } else { Standing::Disabled };
            Ok((Some(principal.display_name.clone()), standing))
        }
        Err(DirectoryError::PrincipalNotFound { .. }) => {
            match state.directory.group(&principal.to_string()).await {
                Ok(group) => Ok((Some(group.display_name.clone()), Standing::Group)),
                Err(DirectoryError::Group(_)) => Ok((None, Standing::Gone)),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
