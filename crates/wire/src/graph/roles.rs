//! `appRoleAssignments` of service principals, users and groups, and `appRoleAssignedTo` of resources.

use super::{
    Answer, Asked, body,
    error::GraphError,
    no_content,
    route::{Key, named},
    service_principals::ServicePrincipal,
    types::{self, Object},
};
use access::PrincipalKind;
use axum::body::Body;
use directory::{DirectoryError, RoleAssignment, graph::Right};
use domain::{CredentialId, GroupId, PrincipalId};
use http::{Method, StatusCode};

#[derive(Debug)]
pub(super) enum RolesOperation {
    /// What somebody has.
    List {
        whose: Whose,
    },
    Assign {
        whose: Whose,
    },
    Get {
        whose: Whose,
        id: String,
    },
    Remove {
        whose: Whose,
        id: String,
    },
}

/// On which side the assignments are looked at.
#[derive(Debug)]
pub(super) struct Whose {
    key: Key,
    collection: &'static str,
    /// Those of the others at this resource.
    is_resource: bool,
}

impl RolesOperation {
    pub(super) fn route(
        method: &Method,
        key: Option<&Key>,
        below: &[&str],
        collection: &'static str,
    ) -> Result<Option<Self>, GraphError> {
        let (Some(key), [first, rest @ ..]) = (key, below) else { return Ok(None) };
        let is_resource = match *first {
            "appRoleAssignments" => false,
            "appRoleAssignedTo" if collection == "servicePrincipals" => true,
            _ => return Ok(None),
        };
        let whose = Whose { key: key.clone(), collection, is_resource };
        Ok(Some(match (method, rest) {
            (&Method::GET, []) => Self::List { whose },
            (&Method::POST, []) => Self::Assign { whose },
            (_, []) => return Err(GraphError::wrong_method("GET, POST")),
            (&Method::GET, [id]) => Self::Get { whose, id: (*id).to_owned() },
            (&Method::DELETE, [id]) => Self::Remove { whose, id: (*id).to_owned() },
            (_, [_]) => return Err(GraphError::wrong_method("GET, DELETE")),
            _ => return Err(GraphError::no_such_path()),
        }))
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::List { .. } | Self::Get { .. } => ("graph.appRole.list", Right::ReadApplications),
            Self::Assign { .. } => ("graph.appRole.assign", Right::AssignRoles),
            Self::Remove { .. } => ("graph.appRole.remove", Right::AssignRoles),
        }
    }

    const fn whose(&self) -> &Whose {
        match self {
            Self::List { whose }
            | Self::Assign { whose }
            | Self::Get { whose, .. }
            | Self::Remove { whose, .. } => whose,
        }
    }

    pub(super) fn target(&self) -> String {
        named("app roles of", self.whose().key.text())
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let side = asked.side(self.whose()).await?;
        let kind = "appRoleAssignments";
        let about = |assigned: &RoleAssignment| {
            format!("app role {} of {} at {}", assigned.role, assigned.subject, assigned.resource)
        };
        match self {
            Self::List { .. } => {
                let mut objects = Vec::new();
                for assignment in asked.assignments(&side).await? {
                    objects.extend(asked.assignment(&assignment).await?);
                }
                let target = format!("app roles of {}", side.id(asked));
                Ok(Answer { target, ..asked.short(kind, objects)? })
            }
            Self::Get { id, .. } => {
                let found = asked.assignment_of(&side, &id).await?;
                let object = asked.assignment(&found).await?.ok_or_else(|| GraphError::not_found(&id))?;
                Ok(Answer { target: about(&found), response: asked.one(StatusCode::OK, kind, object) })
            }
            Self::Assign { .. } => {
                let mut members = body::read(body).await?;
                let subject: PrincipalId = members.id("principalId")?;
                let resource: PrincipalId = members.id("resourceId")?;
                let role: CredentialId = members.id("appRoleId")?;
                members.finish()?;
                let said = if matches!(side, Side::Resource(_)) { resource } else { subject };
                if said != side.id(asked) {
                    return Err(GraphError::bad("The path and the body name two objects."));
                }
                let resource = asked.service_principal(&Key::Id(resource.to_string())).await?.client();
                let made = asked.acting.assign_role(resource, subject, role, asked.context.now).await?.value;
                let object = asked.assignment(&made).await?.unwrap_or_default();
                Ok(Answer { target: about(&made), response: asked.one(StatusCode::CREATED, kind, object) })
            }
            Self::Remove { id, .. } => {
                let found = asked.assignment_of(&side, &id).await?;
                asked.acting.unassign_role(&found).await?;
                Ok(Answer { target: about(&found), response: no_content() })
            }
        }
    }
}

enum Side {
    Resource(ServicePrincipal),
    Subject(PrincipalId),
}

impl Side {
    fn id(&self, asked: &Asked<'_>) -> PrincipalId {
        match self {
            Self::Resource(resource) => resource.id(asked.tenant()),
            Self::Subject(subject) => *subject,
        }
    }
}

impl Asked<'_> {
    async fn side(&self, whose: &Whose) -> Result<Side, GraphError> {
        Ok(match whose.collection {
            "users" => Side::Subject(self.user(&whose.key).await?.user.id),
            "groups" => Side::Subject(self.group(&whose.key).await?.id.subject()),
            _ => {
                let found = self.service_principal(&whose.key).await?;
                match whose.is_resource {
                    true => Side::Resource(found),
                    false => Side::Subject(found.id(self.tenant())),
                }
            }
        })
    }

    async fn assignments(&self, side: &Side) -> Result<Vec<RoleAssignment>, GraphError> {
        Ok(match side {
            Side::Resource(resource) => self.state.directory.assigned_to(resource.client()).await?,
            Side::Subject(subject) => self.state.directory.assignments_of(*subject).await?,
        })
    }

    async fn assignment_of(&self, side: &Side, id: &str) -> Result<RoleAssignment, GraphError> {
        let all = self.assignments(side).await?;
        all.into_iter().find(|one| one.id == id).ok_or_else(|| GraphError::not_found(id))
    }

    /// As Graph shows it; `None` if the resource or who has the role is gone.
    async fn assignment(&self, assignment: &RoleAssignment) -> Result<Option<Object>, GraphError> {
        let Ok(resource) = self.service_principal(&Key::App(assignment.resource.to_string())).await else {
            return Ok(None);
        };
        let subject = assignment.subject;
        let subject = match self.state.directory.principal(subject).await {
            Ok(found) => {
                let kind = if found.kind == PrincipalKind::User { "User" } else { "ServicePrincipal" };
                (kind, found.display_name.clone())
            }
            Err(DirectoryError::PrincipalNotFound { .. }) => {
                match self.state.directory.group(&GroupId::from_uuid(subject.uuid()).to_string()).await {
                    Ok(group) => ("Group", group.display_name.clone()),
                    Err(_) => return Ok(None),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let resource = (resource.id(self.tenant()), resource.name());
        Ok(Some(types::assignment(assignment, resource, (subject.0, &subject.1))))
    }
}
