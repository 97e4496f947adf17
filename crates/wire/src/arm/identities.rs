//! `Microsoft.ManagedIdentity/userAssignedIdentities`: identities that apps are given.

use super::{
    Answer, Asked, answer, empty,
    error::ArmError,
    groups, list, location, object,
    path::{Level, is, name},
    tags,
};
use access::Gone;
use axum::{body::Body, response::Response};
use domain::{IdentityName, Location, Placement, ResourceGroupName};
use host::{HostError, IdentityView, UserAssigned};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The type, as ids say it.
pub(super) const IDENTITIES: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
const READ: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/read";

/// What is asked for.
#[derive(Debug)]
pub(super) enum IdentitiesOperation {
    List(Option<ResourceGroupName>),
    Put(ResourceGroupName, IdentityName),
    Update(ResourceGroupName, IdentityName),
    Get(ResourceGroupName, IdentityName),
    Delete(ResourceGroupName, IdentityName),
}

impl IdentitiesOperation {
    /// Below `…/providers/Microsoft.ManagedIdentity`.
    pub(super) fn route(method: &Method, level: &Level, rest: &[&str]) -> Result<Self, ArmError> {
        match (rest, level) {
            ([kind], Level::Subscription | Level::Group(_)) if is(kind, "userAssignedIdentities") => {
                let group = match level {
                    Level::Group(group) => Some(group.clone()),
                    Level::Subscription | Level::Tenant => None,
                };
                if *method == Method::GET {
                    Ok(Self::List(group))
                } else {
                    Err(ArmError::wrong_method("GET"))
                }
            }
            ([kind, identity], Level::Group(group)) if is(kind, "userAssignedIdentities") => {
                let (group, identity) = (group.clone(), name(identity, IdentityName::parse)?);
                match *method {
                    Method::PUT => Ok(Self::Put(group, identity)),
                    Method::PATCH => Ok(Self::Update(group, identity)),
                    Method::GET => Ok(Self::Get(group, identity)),
                    Method::DELETE => Ok(Self::Delete(group, identity)),
                    _ => Err(ArmError::wrong_method("GET, PUT, PATCH, DELETE")),
                }
            }
            _ => Err(ArmError::no_such_type("Microsoft.ManagedIdentity", level)),
        }
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::List(_) => "identity.list",
            Self::Put(..) => "identity.create",
            Self::Update(..) => "identity.update",
            Self::Get(..) => "identity.get",
            Self::Delete(..) => "identity.delete",
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List(_) => "identities".to_owned(),
            Self::Put(_, name) | Self::Update(_, name) | Self::Get(_, name) | Self::Delete(_, name) => {
                format!("identity {name}")
            }
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        let target = self.target();
        let response = match self {
            Self::List(group) => {
                groups::there(asked, READ, group.as_ref()).await?;
                let all = asked.state.host.identities(asked.by()).await?;
                let is_there = |view: &&IdentityView| {
                    group.as_ref().is_none_or(|group| view.identity.placement.group == *group)
                };
                list(asked, all.iter().filter(is_there).map(|view| shown(asked, view)).collect())?
            }
            Self::Put(group, name) => put(asked, group, &name, body).await?,
            Self::Update(group, name) => {
                let members = object(body).await?;
                let (location, tags) = (location(&members)?, tags(&members)?);
                let there = found(asked, &group, &name).await?;
                if let Some(location) = &location {
                    stays(&there, location)?;
                }
                let view = asked.state.host.tag_identity(asked.by(), &name, tags.as_ref()).await?;
                answer(StatusCode::OK, &shown(asked, &view))
            }
            Self::Get(group, name) => {
                answer(StatusCode::OK, &shown(asked, &found(asked, &group, &name).await?))
            }
            Self::Delete(group, name) => match found(asked, &group, &name).await {
                Ok(_) => {
                    let gone = asked.state.host.delete_identity(asked.by(), &name).await?;
                    asked.state.forget_soon(&[Gone::Identity(gone)]).await;
                    empty(StatusCode::OK)
                }
                Err(error) if error.is_not_found() => empty(StatusCode::NO_CONTENT),
                Err(error) => return Err(error),
            },
        };
        Ok(Answer { target, response })
    }
}

async fn put(
    asked: &Asked<'_>,
    group: ResourceGroupName,
    name: &IdentityName,
    body: Body,
) -> Result<Response, ArmError> {
    let members = object(body).await?;
    let location = location(&members)?.ok_or_else(ArmError::no_location)?;
    let tags = tags(&members)?;
    let placement = Placement {
        group: group.clone(),
        location: location.clone(),
        tags: tags.clone().unwrap_or_default(),
    };
    match asked.state.host.create_identity(asked.by(), name, &placement, asked.context.now).await {
        Ok(view) => Ok(answer(StatusCode::CREATED, &shown(asked, &view))),
        Err(HostError::IdentityExists(_)) => {
            let there = found(asked, &group, name).await.map_err(|error| match error.is_not_found() {
                true => {
                    ArmError::conflict(format!("The name '{name}' is taken by an identity of another group."))
                }
                false => error,
            })?;
            stays(&there, &location)?;
            let view = asked.state.host.tag_identity(asked.by(), name, tags.as_ref()).await?;
            Ok(answer(StatusCode::OK, &shown(asked, &view)))
        }
        Err(error) => Err(error.into()),
    }
}

/// What is there stays where it is.
fn stays(there: &IdentityView, said: &Location) -> Result<(), ArmError> {
    let UserAssigned { name, placement, .. } = &*there.identity;
    if *said == placement.location { Ok(()) } else { Err(ArmError::elsewhere(name.as_str(), placement)) }
}

/// An identity that is in this group.
pub(super) async fn found(
    asked: &Asked<'_>,
    group: &ResourceGroupName,
    name: &IdentityName,
) -> Result<IdentityView, ArmError> {
    let missing = || ArmError::no_such_resource(IDENTITIES, name.as_str(), group.as_str());
    match asked.state.host.identity_named(asked.by(), name).await {
        Ok(view) if view.identity.placement.group == *group => Ok(view),
        Ok(_) => Err(missing()),
        Err(HostError::IdentityNotFound(_)) => {
            // Who may not see what is in the group is not told what is not.
            let around = access::Around::group(group);
            asked.state.resource.may(asked.by(), READ, &around).await?;
            Err(missing())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn id(asked: &Asked<'_>, identity: &UserAssigned) -> String {
    format!(
        "{}/resourcegroups/{}/providers/{IDENTITIES}/{}",
        asked.subscription_path(),
        identity.placement.group,
        identity.name
    )
}

fn shown(asked: &Asked<'_>, view: &IdentityView) -> Value {
    let IdentityView { identity, principal } = view;
    json!({
        "id": id(asked, identity),
        "name": identity.name,
        "type": IDENTITIES,
        "location": identity.placement.location,
        "tags": identity.placement.tags,
        "properties": {
            "tenantId": principal.tenant,
            "principalId": principal.id,
            "clientId": principal.client,
        },
    })
}
