//! `/users`, `/me`, and OpenID Connect's userinfo.

use super::{
    Answer, Asked, answer,
    body::{self, Members},
    error::GraphError,
    no_content,
    route::{Key, named},
    types::{self, Object},
};
use crate::context::State;
use axum::body::Body;
use directory::{
    NewUser, Person, UserChange,
    graph::{Acting, Right, UserPatch},
};
use domain::{PrincipalId, Secret};
use http::{Method, StatusCode};
use serde_json::json;

#[derive(Debug)]
pub(super) enum UsersOperation {
    List,
    Create,
    Get { key: Key },
    Update { key: Key },
    Delete { key: Key },
    MemberOf { key: Key },
    RevokeSignIns { key: Key },
    Me,
    MyGroups,
    ChangePassword,
    RevokeMySignIns,
    GroupsOf { key: Key, what: GroupQuestion },
    MyGroupsOf { what: GroupQuestion },
}

/// The four questions about somebody's groups: all, or which of some; by groups' ids only, or by all objects'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupQuestion {
    All,
    Which,
}

impl GroupQuestion {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "getMemberGroups" | "getMemberObjects" => Some(Self::All),
            "checkMemberGroups" | "checkMemberObjects" => Some(Self::Which),
            _ => None,
        }
    }
}

/// What is of no version of Graph.
#[derive(Debug)]
pub(super) enum OpenIdOperation {
    UserInfo,
}

impl UsersOperation {
    pub(super) fn route(method: &Method, key: Option<Key>, below: &[&str]) -> Result<Self, GraphError> {
        Ok(match (method, key, below) {
            (&Method::GET, None, []) => Self::List,
            (&Method::POST, None, []) => Self::Create,
            (_, None, []) => return Err(GraphError::wrong_method("GET, POST")),
            (&Method::GET, Some(key), []) => Self::Get { key },
            (&Method::PATCH, Some(key), []) => Self::Update { key },
            (&Method::DELETE, Some(key), []) => Self::Delete { key },
            (_, Some(_), []) => return Err(GraphError::wrong_method("GET, PATCH, DELETE")),
            (&Method::GET, Some(key), ["memberOf" | "transitiveMemberOf"]) => Self::MemberOf { key },
            (&Method::POST, Some(key), ["revokeSignInSessions"]) => Self::RevokeSignIns { key },
            (&Method::POST, Some(key), [question]) => match GroupQuestion::named(question) {
                Some(what) => Self::GroupsOf { key, what },
                None => return Err(GraphError::no_such_path()),
            },
            _ => return Err(GraphError::no_such_path()),
        })
    }

    pub(super) fn route_me(method: &Method, below: &[&str]) -> Result<Self, GraphError> {
        Ok(match (method, below) {
            (&Method::GET, []) => Self::Me,
            (_, []) => return Err(GraphError::wrong_method("GET")),
            (&Method::GET, ["memberOf" | "transitiveMemberOf"]) => Self::MyGroups,
            (&Method::POST, ["changePassword"]) => Self::ChangePassword,
            (&Method::POST, ["revokeSignInSessions"]) => Self::RevokeMySignIns,
            (&Method::POST, [question]) => match GroupQuestion::named(question) {
                Some(what) => Self::MyGroupsOf { what },
                None => return Err(GraphError::no_such_path()),
            },
            _ => return Err(GraphError::no_such_path()),
        })
    }

    /// The same of whoever calls, where the path names just them: what everybody may read of oneself needs no more by one's own name.
    pub(super) async fn of_self(&self, state: &State, caller: PrincipalId) -> Option<Self> {
        let (key, own) = match self {
            Self::Get { key } => (key, Self::Me),
            Self::MemberOf { key } => (key, Self::MyGroups),
            Self::GroupsOf { key, what } => (key, Self::MyGroupsOf { what: *what }),
            _ => return None,
        };
        let found = user(state, key).await.ok()?;
        (found.user.id == caller).then_some(own)
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::List => ("graph.user.list", Right::ReadUsers),
            Self::Create => ("graph.user.create", Right::WriteUsers),
            Self::Get { .. } => ("graph.user.get", Right::ReadUsers),
            Self::Update { .. } => ("graph.user.update", Right::WriteUsers),
            Self::Delete { .. } => ("graph.user.delete", Right::WriteUsers),
            Self::MemberOf { .. } | Self::GroupsOf { .. } => ("graph.user.groups", Right::ReadGroups),
            Self::RevokeSignIns { .. } => ("graph.user.revokeSignIns", Right::WriteUsers),
            Self::Me => ("graph.me.get", Right::ReadSelf),
            Self::MyGroups | Self::MyGroupsOf { .. } => ("graph.me.groups", Right::ReadSelf),
            Self::ChangePassword => ("graph.me.changePassword", Right::ChangeSelf),
            Self::RevokeMySignIns => ("graph.me.revokeSignIns", Right::ChangeSelf),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List | Self::Create => "users".to_owned(),
            Self::Get { key }
            | Self::Update { key }
            | Self::Delete { key }
            | Self::MemberOf { key }
            | Self::GroupsOf { key, .. }
            | Self::RevokeSignIns { key } => named("user", key.text()),
            Self::Me
            | Self::MyGroups
            | Self::MyGroupsOf { .. }
            | Self::ChangePassword
            | Self::RevokeMySignIns => "user itself".to_owned(),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let now = asked.context.now;
        let about = |person: &Person| format!("user {person}");
        match self {
            Self::List => {
                let all = asked.sees_all();
                asked
                    .page("users", |after| async move {
                        let (people, next) = asked.state.directory.users_after(after).await?;
                        let people = people.iter();
                        Ok((people.map(|one| (one.user.id.uuid(), types::user(one, all))).collect(), next))
                    })
                    .await
            }
            Self::Create => {
                let new = read_new(asked, body::read(body).await?)?;
                let made = asked.acting.create_user(new, now).await?.value;
                let response = asked.one(StatusCode::CREATED, "users", types::user(&made, asked.sees_all()));
                Ok(Answer { target: about(&made), response })
            }
            Self::Get { key } => {
                let found = asked.user(&key).await?;
                let response = asked.one(StatusCode::OK, "users", types::user(&found, asked.sees_all()));
                Ok(Answer { target: about(&found), response })
            }
            Self::Me => {
                let own = asked.own().await?;
                Ok(Answer {
                    target: about(&own),
                    response: asked.one(StatusCode::OK, "users", types::user(&own, true)),
                })
            }
            Self::Update { key } => {
                let found = asked.user(&key).await?;
                let patch = read_patch(asked, body::read(body).await?)?;
                asked.acting.update_user(&found.user.id.to_string(), &patch, now).await?;
                Ok(Answer { target: about(&found), response: no_content() })
            }
            Self::Delete { key } => {
                let found = asked.user(&key).await?;
                asked.acting.delete_user(&found.user.id.to_string(), now).await?;
                Ok(Answer { target: about(&found), response: no_content() })
            }
            Self::RevokeSignIns { key } => {
                let found = asked.user(&key).await?;
                asked.acting.revoke_sign_ins(&found.user.id.to_string(), now).await?;
                Ok(Answer { target: about(&found), response: asked.value("Edm.Boolean", json!(true)) })
            }
            Self::RevokeMySignIns => {
                let own = asked.own().await?;
                asked.acting.revoke_sign_ins(&own.user.id.to_string(), now).await?;
                Ok(Answer { target: about(&own), response: asked.value("Edm.Boolean", json!(true)) })
            }
            Self::ChangePassword => {
                let mut members = body::read(body).await?;
                let (current, new) = (members.secret("currentPassword")?, members.secret("newPassword")?);
                members.finish()?;
                let address = asked.context.origin.address.map(|address| address.ip());
                let done = asked.acting.change_own_password(&current, &new, address, now).await?;
                Ok(Answer { target: about(&done.value), response: no_content() })
            }
            Self::MemberOf { key } => {
                let found = asked.user(&key).await?;
                Ok(Answer { target: about(&found), ..asked.groups_of(&found.principal).await? })
            }
            Self::MyGroups => {
                let own = asked.own().await?;
                Ok(Answer { target: about(&own), ..asked.groups_of(&own.principal).await? })
            }
            Self::GroupsOf { key, what } => {
                let found = asked.user(&key).await?;
                Ok(Answer { target: about(&found), ..asked.asks_groups(&found.principal, what, body).await? })
            }
            Self::MyGroupsOf { what } => {
                let own = asked.own().await?;
                Ok(Answer { target: about(&own), ..asked.asks_groups(&own.principal, what, body).await? })
            }
        }
    }
}

async fn user(state: &State, key: &Key) -> Result<Person, GraphError> {
    match key {
        Key::Id(text) if text.contains('@') || uuid::Uuid::try_parse(text).is_ok() => {
            Ok(state.directory.user(text).await?)
        }
        Key::Id(text) | Key::App(text) => Err(GraphError::not_found(text)),
    }
}

impl Asked<'_> {
    /// Ordinary users see of others what a colleague may.
    pub(super) fn sees_all(&self) -> bool {
        self.permit.is_administrators() || self.permit.principal().kind != access::PrincipalKind::User
    }

    /// The user that a path names: by its id or its whole user name.
    pub(super) async fn user(&self, key: &Key) -> Result<Person, GraphError> {
        user(self.state, key).await
    }

    /// Who is calling.
    async fn own(&self) -> Result<Person, GraphError> {
        Ok(self.state.directory.user(&self.permit.principal().id.to_string()).await?)
    }
}

/// A new user: with a password, which somebody else has chosen.
fn read_new(asked: &Asked<'_>, mut members: Members) -> Result<NewUser, GraphError> {
    let Some((password, must_change_password)) = password_profile(&mut members)? else {
        return Err(GraphError::bad("A value is required for property 'passwordProfile' of the body."));
    };
    let user_name = asked.state.directory.user_name(&members.required("userPrincipalName")?)?;
    let new = NewUser {
        user_name,
        display_name: members.required("displayName")?,
        mail: members.optional("mail")?,
        enabled: members.flag("accountEnabled")?.ok_or_else(|| {
            GraphError::bad("A value is required for property 'accountEnabled' of the body.")
        })?,
        password: Some(password),
        must_change_password,
    };
    nickname(&mut members, new.user_name.as_str())?;
    members.finish()?;
    Ok(new)
}

/// A user's nickname is what stands before the @ of its name.
fn nickname(members: &mut Members, user_name: &str) -> Result<(), GraphError> {
    let local = user_name.split('@').next().unwrap_or_default();
    match members.optional("mailNickname")? {
        Some(nickname) if !nickname.eq_ignore_ascii_case(local) => {
            Err(GraphError::bad("Property 'mailNickname' is the first part of userPrincipalName here."))
        }
        _ => Ok(()),
    }
}

fn read_patch(asked: &Asked<'_>, mut members: Members) -> Result<UserPatch, GraphError> {
    let user_name = members.optional("userPrincipalName")?;
    let user_name = user_name.map(|name| asked.state.directory.user_name(&name)).transpose()?;
    let change = UserChange {
        user_name,
        display_name: members.optional("displayName")?,
        mail: members.text("mail")?,
        enabled: members.flag("accountEnabled")?,
        is_administrator: None,
    };
    let password = password_profile(&mut members)?;
    members.finish()?;
    Ok(UserPatch { change, password })
}

fn password_profile(members: &mut Members) -> Result<Option<(Secret<String>, bool)>, GraphError> {
    let Some(mut profile) = members.object("passwordProfile")? else { return Ok(None) };
    let password = profile.secret("password")?;
    let must_change = profile.flag("forceChangePasswordNextSignIn")?.unwrap_or(true);
    profile.finish()?;
    Ok(Some((password, must_change)))
}

impl OpenIdOperation {
    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::UserInfo => ("graph.userinfo", Right::ReadSelf),
        }
    }

    pub(super) fn target(&self) -> String {
        "user itself".to_owned()
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, _body: Body) -> Result<Answer, GraphError> {
        Ok(user_info(asked.acting).await?.0)
    }
}

/// `GET` and `POST /oidc/userinfo`: who has signed in (OpenID Connect Core section 5.3). Any token for Graph that is a user's will do; what is told
/// is what its scopes say.
pub(super) async fn user_info(acting: Acting<'_>) -> Result<(Answer, String), GraphError> {
    let (info, id) = acting.user_info().await?;
    let mut shown = Object::new();
    shown.insert("sub".to_owned(), json!(info.subject));
    if let Some(names) = &info.names {
        shown.insert("name".to_owned(), json!(names.display_name));
        shown.insert("preferred_username".to_owned(), json!(names.user_name.as_str()));
    }
    if let Some(mail) = &info.mail {
        shown.insert("email".to_owned(), json!(mail));
    }
    let response = answer(StatusCode::OK, &shown);
    Ok((Answer { target: format!("user {id}"), response }, "users may read this of themselves".to_owned()))
}
