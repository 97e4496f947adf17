//! `/directory/deletedItems`: what was deleted and can be brought back.

use super::{
    Answer, Asked,
    error::GraphError,
    no_content,
    route::named,
    types::{self, Object},
};
use axum::body::Body;
use directory::{Deleted, deleted::What, graph::Right};
use http::{Method, StatusCode};
use uuid::Uuid;

#[derive(Debug)]
pub(super) enum DeletedOperation {
    List { kind: &'static str },
    Get { id: String },
    Restore { id: String },
    Purge { id: String },
}

impl DeletedOperation {
    pub(super) fn route(method: &Method, below: &[&str]) -> Result<Self, GraphError> {
        let ["deletedItems", rest @ ..] = below else { return Err(GraphError::no_such_path()) };
        Ok(match (method, rest) {
            (&Method::GET, [kind]) if kind.starts_with("microsoft.graph.") => {
                let kind = kind.trim_start_matches("microsoft.graph.");
                let known = ["application", "user", "group", "servicePrincipal"];
                let kind = known.into_iter().find(|known| known.eq_ignore_ascii_case(kind));
                Self::List { kind: kind.ok_or_else(GraphError::no_such_path)? }
            }
            (&Method::GET, [id]) => Self::Get { id: (*id).to_owned() },
            (&Method::DELETE, [id]) => Self::Purge { id: (*id).to_owned() },
            (_, [_]) => return Err(GraphError::wrong_method("GET, DELETE")),
            (&Method::POST, [id, "restore"]) => Self::Restore { id: (*id).to_owned() },
            (_, [_, "restore"]) => return Err(GraphError::wrong_method("POST")),
            _ => return Err(GraphError::no_such_path()),
        })
    }

    /// To bring back or purge a thing takes the right to change such things besides: the directory asks for it.
    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::List { kind: "user" } => ("graph.deleted.list", Right::WriteUsers),
            Self::List { kind: "group" } => ("graph.deleted.list", Right::ReadGroups),
            Self::List { .. } => ("graph.deleted.list", Right::ReadApplications),
            Self::Get { .. } => ("graph.deleted.get", Right::ReadDirectory),
            Self::Restore { .. } => ("graph.deleted.restore", Right::ReadDirectory),
            Self::Purge { .. } => ("graph.deleted.purge", Right::ReadDirectory),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List { .. } => "deleted items".to_owned(),
            Self::Get { id } | Self::Restore { id } | Self::Purge { id } => named("deleted item", id),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, _body: Body) -> Result<Answer, GraphError> {
        let parse = |id: &str| Uuid::try_parse(id).map_err(|_| GraphError::not_found(id));
        let now = asked.context.now;
        match self {
            Self::List { kind } => {
                asked
                    .page("directoryObjects", |after| async move {
                        let (items, next) = asked.state.directory.deleted_after(after).await?;
                        let mut objects = Vec::new();
                        for item in items.iter().filter(|item| item.ends() > now && is_of(item, kind)) {
                            objects.push((item.id, asked.deleted(item).await?));
                        }
                        Ok((objects, next))
                    })
                    .await
            }
            Self::Get { id } => {
                let id = parse(&id)?;
                let (mut after, mut found) = (None, None);
                loop {
                    let (items, next) = asked.state.directory.deleted_after(after).await?;
                    found =
                        found.or_else(|| items.into_iter().find(|item| item.id == id && item.ends() > now));
                    match next {
                        Some(next) if found.is_none() => after = Some(next),
                        _ => break,
                    }
                }
                let found = found.ok_or_else(|| GraphError::not_found(&id.to_string()))?;
                asked.acting.may(read_right(&found)).await?;
                let response = asked.one(StatusCode::OK, "directoryObjects", asked.deleted(&found).await?);
                Ok(Answer { target: format!("deleted item {id}"), response })
            }
            Self::Restore { id } => {
                let id = parse(&id)?;
                let back = asked.acting.restore(id, now).await?.value;
                let object = match &back.what {
                    What::Registration => {
                        let found = asked.application(&super::route::Key::Id(id.to_string())).await?;
                        types::typed("application", types::application(&found, asked.domain()))
                    }
                    What::User(_) => {
                        let person = asked.state.directory.user(&id.to_string()).await?;
                        types::typed("user", types::user(&person, true))
                    }
                    What::Group(group) => types::typed("group", types::group(group)),
                };
                let response = asked.one(StatusCode::OK, "directoryObjects", object);
                Ok(Answer { target: format!("deleted item {id}"), response })
            }
            Self::Purge { id } => {
                let id = parse(&id)?;
                asked.acting.purge(id, now).await?;
                Ok(Answer { target: format!("deleted item {id}"), response: no_content() })
            }
        }
    }
}

/// Who may list deleted things of a kind may read one.
const fn read_right(deleted: &Deleted) -> Right {
    match deleted.what {
        What::Registration => Right::ReadApplications,
        What::User(_) => Right::WriteUsers,
        What::Group(_) => Right::ReadGroups,
    }
}

fn is_of(deleted: &Deleted, kind: &str) -> bool {
    match deleted.what {
        What::Registration => kind == "application",
        What::User(_) => kind == "user",
        What::Group(_) => kind == "group",
    }
}

impl Asked<'_> {
    async fn deleted(&self, deleted: &Deleted) -> Result<Object, GraphError> {
        let registration = match deleted.what {
            What::Registration => self.state.directory.deleted_registration(deleted.id).await.ok(),
            What::User(_) | What::Group(_) => None,
        };
        Ok(types::deleted(deleted, registration.as_ref(), self.domain()))
    }
}
