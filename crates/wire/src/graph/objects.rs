//! `/directoryObjects`: objects of whichever kind.

use super::{
    Answer, Asked, body,
    error::GraphError,
    route::{Key, named},
    types::{self, Object},
    users::GroupQuestion,
};
use access::{Principal, PrincipalKind};
use axum::body::Body;
use directory::{DirectoryError, GroupError, UserError, graph::Right};
use domain::{PrincipalId, limits};
use http::{Method, StatusCode};
use uuid::Uuid;

#[derive(Debug)]
pub(super) enum ObjectsOperation {
    Get { key: Key },
    GetByIds,
    GroupsOf { key: Key, what: GroupQuestion },
}

impl ObjectsOperation {
    pub(super) fn route(method: &Method, key: Option<Key>, below: &[&str]) -> Result<Self, GraphError> {
        Ok(match (method, key, below) {
            (&Method::POST, Some(Key::Id(name)), []) if name == "getByIds" => Self::GetByIds,
            (&Method::GET, Some(key), []) => Self::Get { key },
            (_, Some(_), []) => return Err(GraphError::wrong_method("GET")),
            (&Method::POST, Some(key), [question]) => match GroupQuestion::named(question) {
                Some(what) => Self::GroupsOf { key, what },
                None => return Err(GraphError::no_such_path()),
            },
            _ => return Err(GraphError::no_such_path()),
        })
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::Get { .. } | Self::GetByIds => ("graph.object.get", Right::ReadDirectory),
            Self::GroupsOf { .. } => ("graph.object.groups", Right::ReadGroups),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::Get { key } | Self::GroupsOf { key, .. } => named("object", key.text()),
            Self::GetByIds => "objects".to_owned(),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        match self {
            Self::Get { key } => {
                let id = Uuid::try_parse(key.text()).map_err(|_| GraphError::not_found(key.text()))?;
                let found = asked.object(id).await?;
                let sees = asked.sight().await?;
                let object = found.filter(|(kind, _)| sees.kind(kind)).map(|(_, object)| object);
                let object = object.ok_or_else(|| GraphError::not_found(key.text()))?;
                let response = asked.one(StatusCode::OK, "directoryObjects", object);
                Ok(Answer { target: named("object", &id.to_string()), response })
            }
            Self::GetByIds => {
                let mut members = body::read(body).await?;
                let ids = members.texts("ids")?;
                let types = members.texts("types")?.unwrap_or_default();
                members.finish()?;
                let ids = ids
                    .ok_or_else(|| GraphError::bad("A value is required for property 'ids' of the body."))?;
                if ids.len() > limits::GRAPH_IDS_MAX {
                    return Err(GraphError::bad("At most 1,000 ids are asked for at a time."));
                }
                let is_wanted = |kind: &str| {
                    types.is_empty()
                        || types.iter().any(|wanted| {
                            wanted.eq_ignore_ascii_case(kind)
                                || wanted.eq_ignore_ascii_case("directoryObject")
                        })
                };
                let (sees, mut objects) = (asked.sight().await?, Vec::new());
                for id in &ids {
                    let id = Uuid::try_parse(id)
                        .map_err(|_| GraphError::bad("Invalid object identifier: a GUID is expected."))?;
                    objects.extend(
                        asked
                            .object(id)
                            .await?
                            .filter(|(kind, _)| is_wanted(kind) && sees.kind(kind))
                            .map(|(_, object)| object),
                    );
                }
                let mut page: Vec<serde_json::Value> = Vec::with_capacity(objects.len());
                page.extend(objects.into_iter().map(serde_json::Value::Object));
                let response = asked.value("directoryObjects", serde_json::Value::Array(page));
                Ok(Answer { target: format!("{} objects", ids.len()), response })
            }
            Self::GroupsOf { key, what } => {
                let id: PrincipalId = key.text().parse().map_err(|_| GraphError::not_found(key.text()))?;
                let found = asked.state.directory.principal(id).await?;
                Ok(Answer { target: format!("object {id}"), ..asked.asks_groups(&found, what, body).await? })
            }
        }
    }
}

/// Of which kinds of objects a caller sees more than their ids.
pub(super) struct Sight {
    users: bool,
    groups: bool,
    applications: bool,
}

impl Sight {
    pub(super) fn kind(&self, kind: &str) -> bool {
        match kind {
            "user" => self.users,
            "group" => self.groups,
            _ => self.applications,
        }
    }
}

impl Asked<'_> {
    /// Who may read some kind of objects does not read the others by way of it.
    pub(super) async fn sight(&self) -> Result<Sight, GraphError> {
        Ok(Sight {
            users: self.sees(Right::ReadUsers).await?,
            groups: self.sees(Right::ReadGroups).await?,
            applications: self.sees(Right::ReadApplications).await?,
        })
    }

    async fn sees(&self, right: Right) -> Result<bool, GraphError> {
        use directory::graph::GraphError as Refusal;
        match self.acting.may(right).await {
            Ok(_) => Ok(true),
            Err(DirectoryError::Graph(Refusal::Denied { .. } | Refusal::NotAdministrator)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A member of something: of a kind that the caller does not see only its id.
    pub(super) async fn member(
        &self,
        principal: &Principal,
        sees: &Sight,
    ) -> Result<Option<Object>, GraphError> {
        let kind = if principal.kind == PrincipalKind::User { "user" } else { "servicePrincipal" };
        let object = self.principal_object(principal).await?;
        Ok(object.map(|mut object| {
            if !sees.kind(kind) {
                object.retain(|name, _| name == "id" || name.starts_with('@'));
            }
            object
        }))
    }

    /// A principal as the kind of object that it is; `None` if it is gone.
    pub(super) async fn principal_object(&self, principal: &Principal) -> Result<Option<Object>, GraphError> {
        let id = principal.id.to_string();
        if principal.kind == PrincipalKind::User {
            return match self.state.directory.user(&id).await {
                Ok(person) => Ok(Some(types::typed("user", types::user(&person, self.sees_all())))),
                Err(DirectoryError::User(UserError::NotFound { .. })) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let found = self.service_principal(&Key::Id(id)).await.ok();
        Ok(found.map(|found| types::typed("servicePrincipal", self.shown(&found))))
    }

    /// An object of any kind, and which.
    async fn object(&self, id: Uuid) -> Result<Option<(&'static str, Object)>, GraphError> {
        match self.state.directory.principal(PrincipalId::from_uuid(id)).await {
            Ok(principal) => {
                let kind = if principal.kind == PrincipalKind::User { "user" } else { "servicePrincipal" };
                return Ok(self.principal_object(&principal).await?.map(|object| (kind, object)));
            }
            Err(DirectoryError::PrincipalNotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let text = id.to_string();
        match self.state.directory.group(&text).await {
            Ok(group) => return Ok(Some(("group", types::typed("group", types::group(&group))))),
            Err(DirectoryError::Group(GroupError::NotFound { .. })) => {}
            Err(error) => return Err(error.into()),
        }
        if let Ok(found) = self.service_principal(&Key::Id(text.clone())).await {
            return Ok(Some(("servicePrincipal", types::typed("servicePrincipal", self.shown(&found)))));
        }
        let found = self.application(&Key::Id(text)).await.ok();
        Ok(found.map(|found| {
            ("application", types::typed("application", types::application(&found, self.domain())))
        }))
    }
}
