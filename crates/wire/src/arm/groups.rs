//! `/subscriptions/{id}/resourceGroups`: groups. Deleting one deletes what is in it by whoever owns that.

use super::{
    Answer, Asked, answer, empty,
    error::ArmError,
    location, object,
    odata::Filter,
    page::filtered,
    path::{is, name},
    tags,
};
use access::{Around, Manager, ResourceGroup};
use axum::body::Body;
use domain::ResourceGroupName;
use http::{Method, StatusCode};
use resource::group::GroupChange;
use serde_json::{Value, json};

/// What is asked for.
#[derive(Debug)]
pub(super) enum GroupsOperation {
    List,
    Put(ResourceGroupName),
    Update(ResourceGroupName),
    Get(ResourceGroupName),
    Exists(ResourceGroupName),
    Delete(ResourceGroupName),
    Resources(ResourceGroupName),
}

/// Before all of a kind in a group are listed: whoever may `read` them all is told if there is no such group. Who may not sees an empty list.
pub(super) async fn there(
    asked: &Asked<'_>,
    read: &'static str,
    group: Option<&ResourceGroupName>,
) -> Result<(), ArmError> {
    let Some(group) = group else { return Ok(()) };
    let resource = &asked.state.resource;
    if resource.may(asked.by(), read, &Around::group(group)).await.is_ok() {
        let _there = resource.group(Manager::Administrator, group).await?;
    }
    Ok(())
}

impl GroupsOperation {
    /// Below `…/resourceGroups`.
    pub(super) fn route(method: &Method, rest: &[&str]) -> Result<Self, ArmError> {
        match rest {
            [] if *method == Method::GET => Ok(Self::List),
            [] => Err(ArmError::wrong_method("GET")),
            [group] => {
                let group = name(group, ResourceGroupName::parse)?;
                match *method {
                    Method::PUT => Ok(Self::Put(group)),
                    Method::PATCH => Ok(Self::Update(group)),
                    Method::GET => Ok(Self::Get(group)),
                    Method::HEAD => Ok(Self::Exists(group)),
                    Method::DELETE => Ok(Self::Delete(group)),
                    _ => Err(ArmError::wrong_method("GET, HEAD, PUT, PATCH, DELETE")),
                }
            }
            [group, one] if is(one, "resources") && *method == Method::GET => {
                Ok(Self::Resources(name(group, ResourceGroupName::parse)?))
            }
            _ => Err(ArmError::no_such_path()),
        }
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::List => "group.list",
            Self::Put(_) | Self::Update(_) => "group.put",
            Self::Get(_) | Self::Exists(_) => "group.get",
            Self::Delete(_) => "group.delete",
            Self::Resources(_) => "resource.list",
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List => "resource groups".to_owned(),
            Self::Put(name)
            | Self::Update(name)
            | Self::Get(name)
            | Self::Exists(name)
            | Self::Delete(name)
            | Self::Resources(name) => format!("resource group {name}"),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        let target = self.target();
        let resource = &asked.state.resource;
        let response = match self {
            Self::List => {
                let filter = Filter::parse(asked.query.filter.as_deref().unwrap_or_default(), &[])?;
                let groups = resource.groups(asked.by()).await?;
                let meant = groups.iter().filter(|group| filter.takes(&group.tags, |_| None));
                filtered(asked, meant.map(|group| shown(asked, group)).collect())?
            }
            Self::Put(group) => put(asked, &group, body, true).await?,
            Self::Update(group) => put(asked, &group, body, false).await?,
            Self::Get(group) => {
                answer(StatusCode::OK, &shown(asked, &*resource.group(asked.by(), &group).await?))
            }
            Self::Exists(group) => match resource.group(asked.by(), &group).await {
                Ok(_) => empty(StatusCode::NO_CONTENT),
                Err(resource::ResourceError::Group(_)) => empty(StatusCode::NOT_FOUND),
                Err(error) => return Err(error.into()),
            },
            Self::Delete(group) => delete(asked, &group).await?,
            Self::Resources(group) => {
                let group = resource.group(asked.by(), &group).await?;
                super::resources::list_in(asked, Some(&group.name)).await?
            }
        };
        Ok(Answer { target, response })
    }
}

async fn put(
    asked: &Asked<'_>,
    name: &ResourceGroupName,
    body: Body,
    is_whole: bool,
) -> Result<axum::response::Response, ArmError> {
    let members = object(body).await?;
    let location = location(&members)?;
    if is_whole && location.is_none() {
        return Err(ArmError::no_location());
    }
    let change = GroupChange { location, tags: tags(&members)? };
    let (resource, by, now) = (&asked.state.resource, asked.by(), asked.context.now);
    let (group, is_new) = match is_whole {
        true => resource.put_group(by, name, &change, now).await?,
        false => (resource.change_group(by, name, &change, now).await?, false),
    };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer(status, &shown(asked, &group)))
}

async fn delete(asked: &Asked<'_>, name: &ResourceGroupName) -> Result<axum::response::Response, ArmError> {
    let group = asked.state.resource.begin_deleting(asked.by(), name).await?;
    super::resources::delete_all_in(asked, &group).await?;
    asked.state.resource.finish_deleting(&group).await?;
    Ok(empty(StatusCode::OK))
}

fn shown(asked: &Asked<'_>, group: &ResourceGroup) -> Value {
    let state = if group.is_going { "Deleting" } else { "Succeeded" };
    json!({
        "id": format!("{}/resourceGroups/{}", asked.subscription_path(), group.name),
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": group.tags,
        "properties": {"provisioningState": state},
    })
}
