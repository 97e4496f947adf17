//! `/v1/vaults/{name}/explain`: who may do what in a vault, by which rule, and why not. The decision is the one of requests.

use super::{
    Admin,
    body::{Body, Segment, json},
    error::AdminError,
    roles,
    vaults::ShownNetwork,
    whom::{self, Standing, Whom},
};
use crate::context::{Services, State};
use access::{ACTIONS, ActionName, Lack, Manager, ObjectScope, Rule, Scope};
use axum::{Router, extract::State as Shared, response::Response, routing::post};
use directory::DirectoryError;
use domain::{AppName, ClientId, GroupId, IdentityName, ObjectKind, ObjectName, PrincipalId, VaultName};
use http::StatusCode;
use resource::roles::{Place, Which};
use serde::{Deserialize, Serialize};
use vault::AccessModel;

/// Nobody named means everybody whom a rule that counts in the vault names; no object, the whole vault; no action, all that can be asked there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    app: Option<AppName>,
    #[serde(default)]
    identity: Option<IdentityName>,
    #[serde(default)]
    principal: Option<PrincipalId>,
    #[serde(default)]
    client_id: Option<ClientId>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    secret: Option<ObjectName>,
    #[serde(default)]
    key: Option<ObjectName>,
    #[serde(default)]
    certificate: Option<ObjectName>,
    #[serde(default)]
    action: Option<String>,
}

#[derive(Serialize)]
struct Explained {
    vault: String,
    access: AccessModel,
    network: ShownNetwork,
    object: Option<ObjectScope>,
    principals: Vec<Somebody>,
}

#[derive(Serialize)]
struct Somebody {
    principal: String,
    display_name: Option<String>,
    state: Standing,
    actions: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    action: &'static str,
    allowed: bool,
    because: String,
    /// By a rule for this group, if for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// By which assignment, if by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Where the assignment is, as `role list` says it, if that is above the vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// What the assignment is narrowed down to, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectScope>,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/vaults/{name}/explain", post(explain))
}

async fn explain(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
    Body(question): Body<Question>,
) -> Result<Response, AdminError> {
    let Question { app, identity, principal, client_id, user, group, secret, key, certificate, action } =
        question;
    let vault = state.vault.show_vault(Manager::Administrator, &name).await?;
    let object = roles::object(secret, key, certificate)?;
    let actions = actions(object.as_ref().map(|object| object.kind), action.as_deref())?;
    let whom = Whom { app, identity, principal, client_id, user, group };
    let asked = if whom.is_nobody() { named(&state, &vault).await? } else { vec![whom.find(&state).await?] };
    let asked = one_by_one(&state, asked).await?;
    let mut principals = Vec::with_capacity(asked.len());
    for principal in asked {
        let (display_name, standing) = whom::known(&state, principal).await?;
        let object = object.as_ref().map(|object| &object.name);
        let decided = state.vault.explain(&name, principal, object, &actions).await?;
        let actions = decided.into_iter().map(|(action, decided)| answer(action, decided));
        let (principal, actions) = (principal.to_string(), actions.collect());
        principals.push(Somebody { principal, display_name, state: standing, actions });
    }
    let explained = Explained {
        vault: vault.name.to_string(),
        access: vault.access,
        network: ShownNetwork::of(&vault.network),
        object,
        principals,
    };
    Ok(json(StatusCode::OK, &explained))
}

fn answer(action: ActionName, decided: Result<Rule, Lack>) -> Answer {
    let (allowed, because) = match &decided {
        Ok(rule) => (true, rule.to_string()),
        Err(lack) => (false, lack.to_string()),
    };
    let (group, rule) = match decided {
        Ok(Rule::Group { name, rule, .. }) => (Some(name), Some(*rule)),
        Ok(rule) => (None, Some(rule)),
        Err(_) => (None, None),
    };
    let (role, assignment, scope, object) = match rule {
        Some(Rule::Role { role, assignment, scope, object }) => {
            (Some(role), Some(assignment.to_string()), above(scope), object)
        }
        Some(Rule::Policy(_) | Rule::Group { .. }) | None => (None, None, None, None),
    };
    Answer { action: action.name, allowed, because, group, assignment, role, scope, object }
}

/// Where a role is given, if that is above the vault in which it counts.
fn above(scope: Scope) -> Option<String> {
    match scope {
        Scope::Subscription => Some(roles::scope(&Place::Subscription)),
        Scope::Group(group) => Some(roles::scope(&Place::Group(group))),
        Scope::Vault(_) | Scope::App(_) | Scope::Identity(_) | Scope::Plan(_) => None,
    }
}

/// Whom the rules that count in a vault name, those above it, too, in the order of the rules.
async fn named(state: &Services, vault: &vault::Vault) -> Result<Vec<PrincipalId>, AdminError> {
    Ok(match vault.access {
        AccessModel::Policies => vault.policies.iter().map(|policy| policy.principal).collect(),
        AccessModel::Roles => {
            let at = Place::Vault(None, vault.name.clone(), None);
            let all = state.resource.assignments(Manager::Administrator, &at, Which::default()).await?;
            all.into_iter().map(|assigned| assigned.principal).collect()
        }
    })
}

/// Each once, and the members of a group in its place: a group does nothing by itself.
async fn one_by_one(state: &Services, named: Vec<PrincipalId>) -> Result<Vec<PrincipalId>, AdminError> {
    let mut once: Vec<PrincipalId> = Vec::with_capacity(named.len());
    for subject in named {
        let people = match state.directory.members(GroupId::from_uuid(subject.uuid())).await {
            Ok(members) => members.iter().map(|member| member.principal.id).collect(),
            Err(DirectoryError::Group(_)) => vec![subject],
            Err(error) => return Err(error.into()),
        };
        for principal in people {
            if !once.contains(&principal) {
                once.push(principal);
            }
        }
    }
    Ok(once)
}

/// The actions that are asked about: one by its name, or all that can be asked of the object, or in the vault.
fn actions(kind: Option<ObjectKind>, named: Option<&str>) -> Result<Vec<ActionName>, AdminError> {
    let is_asked = |action: &&ActionName| match kind {
        Some(kind) => action.verb.kind() == kind && !action.is_of_whole_vault(),
        None => true,
    };
    let Some(name) = named else { return Ok(ACTIONS.iter().filter(is_asked).copied().collect()) };
    let Some(action) = ActionName::named(name) else {
        let names: Vec<&str> = ACTIONS.iter().filter(is_asked).map(|action| action.name).collect();
        return Err(AdminError::bad_request(format!(
            "there is no action {name:?}: the actions are {}",
            names.join(", ")
        )));
    };
    match kind {
        Some(kind) if !is_asked(&&action) => Err(AdminError::bad_request(format!(
            "{name} is never asked of one {kind}: ask without naming one{}",
            if action.verb.kind() == kind { "" } else { ", or name an object of the other kind" }
        ))),
        _ => Ok(vec![action]),
    }
}
