//! `/groups` and who is in them.

use super::{
    Answer, Asked, body,
    error::GraphError,
    no_content,
    route::{Key, named},
    types::{self, Object},
    users::GroupQuestion,
};
use access::{Group, Principal};
use axum::body::Body;
use directory::{DirectoryError, GroupChange, GroupError, graph::Right};
use domain::{GroupId, PrincipalId, limits};
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug)]
pub(super) enum GroupsOperation {
    List,
    Create,
    Get { key: Key },
    Update { key: Key },
    Delete { key: Key },
    Owners { key: Key },
    Members { key: Key },
    MemberRefs { key: Key },
    AddMember { key: Key },
    RemoveMember { key: Key, member: String },
    MemberOf { key: Key },
    GroupsOf { key: Key, what: GroupQuestion },
}

impl GroupsOperation {
    pub(super) fn route(method: &Method, key: Option<Key>, below: &[&str]) -> Result<Self, GraphError> {
        Ok(match (method, key, below) {
            (&Method::GET, None, []) => Self::List,
            (&Method::POST, None, []) => Self::Create,
            (_, None, []) => return Err(GraphError::wrong_method("GET, POST")),
            (&Method::GET, Some(key), []) => Self::Get { key },
            (&Method::PATCH, Some(key), []) => Self::Update { key },
            (&Method::DELETE, Some(key), []) => Self::Delete { key },
            (_, Some(_), []) => return Err(GraphError::wrong_method("GET, PATCH, DELETE")),
            (&Method::GET, Some(key), ["owners"]) => Self::Owners { key },
            (&Method::GET, Some(key), ["members" | "transitiveMembers"]) => Self::Members { key },
            (&Method::GET, Some(key), ["members", "$ref"]) => Self::MemberRefs { key },
            (&Method::POST, Some(key), ["members", "$ref"]) => Self::AddMember { key },
            (_, Some(_), ["members", "$ref"]) => return Err(GraphError::wrong_method("GET, POST")),
            (&Method::DELETE, Some(key), ["members", member, "$ref"]) => {
                Self::RemoveMember { key, member: (*member).to_owned() }
            }
            (_, Some(_), ["members", _, "$ref"]) => return Err(GraphError::wrong_method("DELETE")),
            (&Method::GET, Some(key), ["memberOf" | "transitiveMemberOf"]) => Self::MemberOf { key },
            (&Method::POST, Some(key), [question]) => match GroupQuestion::named(question) {
                Some(what) => Self::GroupsOf { key, what },
                None => return Err(GraphError::no_such_path()),
            },
            _ => return Err(GraphError::no_such_path()),
        })
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::List => ("graph.group.list", Right::ReadGroups),
            Self::Create => ("graph.group.create", Right::WriteGroups),
            Self::Get { .. } => ("graph.group.get", Right::ReadGroups),
            Self::Update { .. } => ("graph.group.update", Right::WriteGroups),
            Self::Delete { .. } => ("graph.group.delete", Right::WriteGroups),
            Self::Owners { .. } => ("graph.group.owners", Right::ReadGroups),
            Self::Members { .. } | Self::MemberRefs { .. } => ("graph.group.members", Right::ReadGroups),
            Self::AddMember { .. } => ("graph.group.member.add", Right::WriteMembers),
            Self::RemoveMember { .. } => ("graph.group.member.remove", Right::WriteMembers),
            Self::MemberOf { .. } | Self::GroupsOf { .. } => ("graph.group.groups", Right::ReadGroups),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List | Self::Create => "groups".to_owned(),
            Self::Get { key }
            | Self::Update { key }
            | Self::Delete { key }
            | Self::Owners { key }
            | Self::Members { key }
            | Self::MemberRefs { key }
            | Self::AddMember { key }
            | Self::RemoveMember { key, .. }
            | Self::MemberOf { key }
            | Self::GroupsOf { key, .. } => named("group", key.text()),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let now = asked.context.now;
        let about = |id: GroupId| format!("group {id}");
        match self {
            Self::List => {
                asked
                    .page("groups", |after| async move {
                        let (groups, next) = asked.state.directory.groups_after(after).await?;
                        Ok((groups.iter().map(|one| (one.id.uuid(), types::group(one))).collect(), next))
                    })
                    .await
            }
            Self::Create => {
                let (name, description, nickname) = read_new(body::read(body).await?)?;
                let made = asked.acting.create_group(name, description, nickname, now).await?.value;
                let response = asked.one(StatusCode::CREATED, "groups", types::group(&made));
                Ok(Answer { target: about(made.id), response })
            }
            Self::Get { key } => {
                let found = asked.group(&key).await?;
                let response = asked.one(StatusCode::OK, "groups", types::group(&found));
                Ok(Answer { target: about(found.id), response })
            }
            Self::Update { key } => {
                let id = asked.group(&key).await?.id;
                let mut members = body::read(body).await?;
                let change = GroupChange {
                    display_name: members.optional("displayName")?,
                    description: members.text("description")?,
                    mail_nickname: members.text("mailNickname")?,
                };
                only_security(&mut members)?;
                members.finish()?;
                asked.acting.update_group(id, &change).await?;
                Ok(Answer { target: about(id), response: no_content() })
            }
            Self::Delete { key } => {
                let id = asked.group(&key).await?.id;
                asked.acting.delete_group(id, now).await?;
                Ok(Answer { target: about(id), response: no_content() })
            }
            Self::Owners { key } | Self::MemberOf { key } => {
                // Nobody owns a group here, and groups are in no groups.
                let id = asked.group(&key).await?.id;
                Ok(Answer { target: about(id), ..asked.short("directoryObjects", Vec::new())? })
            }
            Self::GroupsOf { key, what } => {
                let id = asked.group(&key).await?.id;
                // Groups are in none, whatever is asked. What cannot be asked is refused as it is of others.
                let _which = asked_for(what, body).await?;
                Ok(Answer { target: about(id), response: asked.value("Collection(Edm.String)", json!([])) })
            }
            Self::Members { key } => {
                let id = asked.group(&key).await?.id;
                let (sees, mut objects) = (asked.sight().await?, Vec::new());
                for member in asked.state.directory.members(id).await? {
                    objects.extend(asked.member(&member.principal, &sees).await?);
                }
                Ok(Answer { target: about(id), ..asked.short("directoryObjects", objects)? })
            }
            Self::MemberRefs { key } => {
                let id = asked.group(&key).await?.id;
                let members = asked.state.directory.members(id).await?;
                let reference = |id: PrincipalId| {
                    let mut object = Object::new();
                    let place = format!("{}/v1.0/directoryObjects/{id}", asked.base);
                    object.insert("@odata.id".to_owned(), json!(place));
                    object.insert("id".to_owned(), json!(id));
                    object
                };
                let objects = members.iter().map(|member| reference(member.principal.id)).collect();
                Ok(Answer { target: about(id), ..asked.short("Collection($ref)", objects)? })
            }
            Self::AddMember { key } => {
                let id = asked.group(&key).await?.id;
                let mut members = body::read(body).await?;
                let member = reference(&members.required("@odata.id")?)?;
                members.finish()?;
                asked.acting.add_member(id, member, now).await?;
                Ok(Answer { target: format!("principal {member} in {}", about(id)), response: no_content() })
            }
            Self::RemoveMember { key, member } => {
                let id = asked.group(&key).await?.id;
                let member: PrincipalId = member.parse().map_err(|_| GraphError::not_found(&member))?;
                asked.acting.remove_member(id, member).await?;
                Ok(Answer { target: format!("principal {member} in {}", about(id)), response: no_content() })
            }
        }
    }
}

impl Asked<'_> {
    /// The group that a path names.
    pub(super) async fn group(&self, key: &Key) -> Result<Arc<Group>, GraphError> {
        match key {
            Key::Id(text) if Uuid::try_parse(text).is_ok() => Ok(self.state.directory.group(text).await?),
            Key::Id(text) | Key::App(text) => Err(GraphError::not_found(text)),
        }
    }

    /// The groups that a principal is in, as far as they are there.
    pub(super) async fn groups_in(&self, principal: &Principal) -> Result<Vec<Arc<Group>>, GraphError> {
        let mut groups = Vec::with_capacity(principal.member_of.len());
        for id in &principal.member_of {
            match self.state.directory.group(&id.to_string()).await {
                Ok(group) => groups.push(group),
                Err(DirectoryError::Group(GroupError::NotFound { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(groups)
    }

    /// A page of the groups that a principal is in.
    pub(super) async fn groups_of(&self, principal: &Principal) -> Result<Answer, GraphError> {
        let groups = self.groups_in(principal).await?;
        let objects = groups.iter().map(|group| types::typed("group", types::group(group)));
        self.short("directoryObjects", objects.collect())
    }

    /// Answers one of the questions about somebody's groups.
    pub(super) async fn asks_groups(
        &self,
        principal: &Principal,
        what: GroupQuestion,
        body: Body,
    ) -> Result<Answer, GraphError> {
        let which = asked_for(what, body).await?;
        let mut ids: Vec<Uuid> =
            self.groups_in(principal).await?.iter().map(|group| group.id.uuid()).collect();
        if let Some(which) = which {
            ids.retain(|id| which.contains(id));
        }
        ids.sort_unstable();
        Ok(Answer { target: String::new(), response: self.value("Collection(Edm.String)", json!(ids)) })
    }
}

/// What a question about somebody's groups says: which of these, or all.
async fn asked_for(what: GroupQuestion, body: Body) -> Result<Option<Vec<Uuid>>, GraphError> {
    let mut members = body::read(body).await?;
    if what == GroupQuestion::All {
        // All groups here are security groups.
        let _only = members.flag("securityEnabledOnly")?;
        members.finish()?;
        return Ok(None);
    }
    let ids = members.texts("groupIds")?;
    let ids = if ids.is_some() { ids } else { members.texts("ids")? };
    members.finish()?;
    let ids =
        ids.ok_or_else(|| GraphError::bad("A value is required for property 'groupIds' of the body."))?;
    if ids.len() > limits::GRAPH_GROUPS_ASKED_MAX {
        let most = limits::GRAPH_GROUPS_ASKED_MAX;
        return Err(GraphError::bad(format!("At most {most} groups are asked about at a time.")));
    }
    let id = |text: &String| {
        Uuid::try_parse(text).map_err(|_| GraphError::bad("Invalid object identifier: a GUID is expected."))
    };
    ids.iter().map(id).collect::<Result<_, _>>().map(Some)
}

fn read_new(mut members: body::Members) -> Result<(String, Option<String>, Option<String>), GraphError> {
    let new = (
        members.required("displayName")?,
        members.optional("description")?,
        Some(members.required("mailNickname")?),
    );
    only_security(&mut members)?;
    members.finish()?;
    Ok(new)
}

/// Groups are for rules here: without mail, and as they are named.
fn only_security(members: &mut body::Members) -> Result<(), GraphError> {
    match (members.flag("mailEnabled")?, members.flag("securityEnabled")?) {
        (Some(true), _) => Err(GraphError::bad("Property 'mailEnabled' is false here.")),
        (_, Some(false)) => Err(GraphError::bad("Property 'securityEnabled' is true here.")),
        _ => Ok(()),
    }
}

/// The object that `@odata.id` names: the last part of a URL, whosever host it names.
fn reference(text: &str) -> Result<PrincipalId, GraphError> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let id = last.rsplit_once("('").and_then(|(_, id)| id.strip_suffix("')")).unwrap_or(last);
    id.parse().map_err(|_| GraphError::bad("The @odata.id names no object of the directory."))
}
