//! `Microsoft.Authorization`: who has which role where, and what roles allow. It is below everything: the subscription, groups, resources
//! and the objects of vaults.

mod assignments;
mod definitions;
mod fault;
mod filter;
mod scope;

use super::{Answer, Asked, answer, empty, error::ArmError, object, page::filtered, path::is};
use access::RoleRef;
use axum::body::Body;
use domain::{AssignmentId, SubscriptionId};
use filter::Filter;
use http::{Method, StatusCode};
use resource::roles::Place;
use serde_json::{Map, Value};

/// What is asked for.
#[derive(Debug)]
pub(super) enum AuthorizationOperation {
    Assignments(Place),
    Assignment(Place, AssignmentId),
    Assign(Place, AssignmentId),
    Unassign(Place, AssignmentId),
    Roles(Place),
    Role(Place, RoleRef),
    PutRole(RoleRef),
    DeleteRole(Place, RoleRef),
}

impl AuthorizationOperation {
    /// Of a whole path, if it is of this provider's.
    pub(super) fn route(
        method: &Method,
        path: &[&str],
        subscription: SubscriptionId,
    ) -> Result<Option<Self>, ArmError> {
        let of_ours = |pair: &[&str]| matches!(pair, [one, two] if is(one, "providers") && is(two, "Microsoft.Authorization"));
        let Some(at) = path.windows(2).rposition(of_ours) else { return Ok(None) };
        let (scope, rest) = path.split_at(at);
        let rest = rest.get(2..).unwrap_or_default();
        let place = scope::read(scope, subscription)?;
        Ok(Some(match (rest, method) {
            ([one], &Method::GET) if is(one, "roleAssignments") => Self::Assignments(place),
            ([one], &Method::GET) if is(one, "roleDefinitions") => Self::Roles(place),
            ([one, id], method) if is(one, "roleAssignments") => {
                let id = id.parse().map_err(|_| {
                    ArmError::bad_named("InvalidRoleAssignmentId", "The role assignment ID must be a GUID.")
                })?;
                match *method {
                    Method::GET => Self::Assignment(place, id),
                    Method::PUT => Self::Assign(place, id),
                    Method::DELETE => Self::Unassign(place, id),
                    _ => return Err(ArmError::wrong_method("GET, PUT, DELETE")),
                }
            }
            ([one, id], method) if is(one, "roleDefinitions") => {
                let role = role(id)?;
                match *method {
                    Method::GET => Self::Role(place, role),
                    Method::PUT => Self::PutRole(role),
                    Method::DELETE => Self::DeleteRole(place, role),
                    _ => return Err(ArmError::wrong_method("GET, PUT, DELETE")),
                }
            }
            ([one], _) if is(one, "roleAssignments") || is(one, "roleDefinitions") => {
                return Err(ArmError::wrong_method("GET"));
            }
            _ => return Err(ArmError::no_such_path()),
        }))
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Assignments(_) => "role.assignment.list",
            Self::Assignment(..) => "role.assignment.get",
            Self::Assign(..) => "role.assign",
            Self::Unassign(..) => "role.remove",
            Self::Roles(_) => "role.definition.list",
            Self::Role(..) => "role.definition.get",
            Self::PutRole(_) => "role.definition.put",
            Self::DeleteRole(..) => "role.definition.delete",
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::Assignments(place) => format!("role assignments at {place}"),
            Self::Assignment(place, id) | Self::Assign(place, id) | Self::Unassign(place, id) => {
                format!("role assignment {id} at {place}")
            }
            Self::Roles(_) => "roles".to_owned(),
            Self::Role(_, role) | Self::PutRole(role) | Self::DeleteRole(_, role) => {
                format!("role {}", role.told())
            }
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        let (roles, by, now) = (&asked.state.resource, asked.by(), asked.context.now);
        let mut target = self.target();
        let filter = asked.query.filter.as_deref().map(Filter::parse).transpose()?.unwrap_or_default();
        let response = match self {
            Self::Assignments(place) => {
                let all = roles.assignments(by, &place, filter.which()?).await?;
                filtered(asked, all.iter().map(|one| assignments::shown(asked, one)).collect())?
            }
            Self::Assignment(place, id) => {
                let one = roles.assignment(by, &place, id).await?;
                answer(StatusCode::OK, &assignments::shown(asked, &one))
            }
            Self::Assign(place, id) => {
                let new = assignments::read(&object(body).await?, id)?;
                target = format!("{target}: {} for principal {}", new.role.told(), new.principal);
                let (made, is_new) = roles.assign(by, &place, &new, now).await?;
                let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
                answer(status, &assignments::shown(asked, &made))
            }
            Self::Unassign(place, id) => match roles.unassign(by, &place, id).await? {
                Some(gone) => {
                    target = format!("{target}: {} for principal {}", gone.role.told(), gone.principal);
                    answer(StatusCode::OK, &assignments::shown(asked, &gone))
                }
                None => empty(StatusCode::NO_CONTENT),
            },
            Self::Roles(place) => {
                let all = roles.roles(by, &place, filter.below).await?;
                let all = all.iter().filter(|role| filter.takes(role));
                filtered(asked, all.map(|role| definitions::shown(asked, role)).collect())?
            }
            Self::Role(place, role) => {
                answer(StatusCode::OK, &definitions::shown(asked, &roles.role(by, &place, role).await?))
            }
            Self::PutRole(role) => {
                let new = definitions::read(asked, &object(body).await?)?;
                target = format!("{target}: {:?}", new.name);
                let made = roles.put_role(by, role, &new, now).await?;
                let made = access::Definition::Custom(Box::new(made));
                answer(StatusCode::CREATED, &definitions::shown(asked, &made))
            }
            Self::DeleteRole(place, role) => match roles.delete_role(by, &place, role).await? {
                Some(gone) => {
                    let gone = access::Definition::Custom(Box::new(gone));
                    answer(StatusCode::OK, &definitions::shown(asked, &gone))
                }
                None => empty(StatusCode::NO_CONTENT),
            },
        };
        Ok(Answer { target, response })
    }
}

/// A text of a body, if it is said.
fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, ArmError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ArmError::bad_content(format!("The property \"{name}\" is no string."))),
    }
}

/// A role by its identifier; names are none in a path.
fn role(id: &str) -> Result<RoleRef, ArmError> {
    let invalid = || ArmError::bad_named("InvalidRoleDefinitionId", "The role definition ID must be a GUID.");
    id.parse::<domain::RoleId>().map_err(|_| invalid())?;
    id.parse().map_err(|_| invalid())
}
