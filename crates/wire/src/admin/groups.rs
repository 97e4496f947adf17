//! `/v1/groups`: groups and who is in them. A group is named by its object id, or by a name that no other has.

use super::{
    Admin, audited,
    body::{self, Body, List, Segment, json},
    error::AdminError,
    whom::Whom,
};
use crate::context::{Context, State};
use access::{Group, Principal, PrincipalKind};
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::get,
};
use directory::{GroupChange, Member};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    display_name: String,
    #[serde(default)]
    description: Option<String>,
}

/// What is not named stays; `null` as description takes it away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "body::given")]
    description: Option<Option<String>>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    display_name: String,
    description: Option<String>,
    created: i64,
}

#[derive(Serialize)]
struct ShownMember {
    principal: String,
    display_name: String,
    kind: PrincipalKind,
    enabled: bool,
    since: i64,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/groups", get(list).post(create))
        .route("/v1/groups/{group}", get(show).patch(update).delete(remove))
        .route("/v1/groups/{group}/members", get(members).post(add).delete(take))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let value = state.directory.groups().await?.iter().map(|group| shown(group)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn create(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Body(New { display_name, description }): Body<New>,
) -> Result<Response, AdminError> {
    let created = state.directory.create_group(&display_name, description, context.now).await;
    let target = created.as_ref().map_or_else(|_| "group".to_owned(), target);
    let group = audited(&state, &context, "group.create", target, created)?;
    Ok(json(StatusCode::CREATED, &shown(&group)))
}

async fn show(Shared(state): Shared<State>, Segment(named): Segment<String>) -> Result<Response, AdminError> {
    Ok(json(StatusCode::OK, &shown(&*state.directory.group(&named).await?)))
}

async fn update(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(Change { display_name, description }): Body<Change>,
) -> Result<Response, AdminError> {
    let found = state.directory.group(&named).await;
    let target = target_of(&found);
    let changed = match found {
        Ok(group) => {
            let change = GroupChange { display_name, description, ..GroupChange::default() };
            state.directory.update_group(group.id, &change).await
        }
        Err(error) => Err(error),
    };
    let group = audited(&state, &context, "group.update", target, changed)?;
    Ok(json(StatusCode::OK, &shown(&group)))
}

async fn remove(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
) -> Result<Response, AdminError> {
    let found = state.directory.group(&named).await;
    let target = target_of(&found);
    let deleted = match found {
        Ok(group) => state.directory.delete_group(group.id).await,
        Err(error) => Err(error),
    };
    audited(&state, &context, "group.delete", target, deleted)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn members(
    Shared(state): Shared<State>,
    Segment(named): Segment<String>,
) -> Result<Response, AdminError> {
    let group = state.directory.group(&named).await?;
    let value = state.directory.members(group.id).await?.iter().map(member).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn add(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(whom): Body<Whom>,
) -> Result<Response, AdminError> {
    change_members(&state, &context, &named, whom, true).await
}

async fn take(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(named): Segment<String>,
    Body(whom): Body<Whom>,
) -> Result<Response, AdminError> {
    change_members(&state, &context, &named, whom, false).await
}

async fn change_members(
    state: &State,
    context: &Context,
    named: &str,
    whom: Whom,
    is_addition: bool,
) -> Result<Response, AdminError> {
    let action = if is_addition { "group.member.add" } else { "group.member.remove" };
    let found = state.directory.group(named).await;
    let mut target = target_of(&found);
    let changed: Result<(Arc<Group>, Arc<Principal>), AdminError> = async {
        let group = found?;
        if whom.is_group() {
            return Err(AdminError::bad_request("groups are in no groups: name each member"));
        }
        let principal = whom.find(state).await?;
        target = format!("{target}: principal {principal}");
        let changed = match is_addition {
            true => state.directory.add_member(group.id, principal, context.now).await,
            false => state.directory.remove_member(group.id, principal).await,
        };
        Ok((group, changed?))
    }
    .await;
    let (group, principal) = audited(state, context, action, target, changed)?;
    if !is_addition {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let members = state.directory.members(group.id).await?;
    let since = members
        .iter()
        .find(|member| member.principal.id == principal.id)
        .map_or(context.now, |one| one.since);
    Ok(json(StatusCode::OK, &member(&Member { principal, since })))
}

fn target(group: &Group) -> String {
    format!("group \"{}\" ({})", group.display_name, group.id)
}

fn target_of<E>(found: &Result<Arc<Group>, E>) -> String {
    found.as_ref().map_or_else(|_| "group".to_owned(), |group| target(group))
}

fn shown(group: &Group) -> Shown {
    Shown {
        id: group.id.to_string(),
        display_name: group.display_name.clone(),
        description: group.description.clone(),
        created: group.created.seconds(),
    }
}

fn member(Member { principal, since }: &Member) -> ShownMember {
    ShownMember {
        principal: principal.id.to_string(),
        display_name: principal.display_name.clone(),
        kind: principal.kind,
        enabled: principal.enabled,
        since: since.seconds(),
    }
}
