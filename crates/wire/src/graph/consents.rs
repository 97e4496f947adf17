//! `/oauth2PermissionGrants`: what clients may do in users' names.

use super::{
    Answer, Asked, body,
    error::GraphError,
    no_content,
    route::Key,
    types::{self, Object},
};
use axum::body::Body;
use directory::graph::{PermissionGrant, Right};
use domain::{ClientId, PrincipalId};
use http::{Method, StatusCode};

#[derive(Debug)]
pub(super) enum ConsentsOperation {
    List,
    Create,
    Get { id: String },
    Update { id: String },
    Delete { id: String },
}

impl ConsentsOperation {
    pub(super) fn route(method: &Method, key: Option<Key>, below: &[&str]) -> Result<Self, GraphError> {
        let id = key.map(|key| key.text().to_owned());
        Ok(match (method, id, below) {
            (&Method::GET, None, []) => Self::List,
            (&Method::POST, None, []) => Self::Create,
            (_, None, []) => return Err(GraphError::wrong_method("GET, POST")),
            (&Method::GET, Some(id), []) => Self::Get { id },
            (&Method::PATCH, Some(id), []) => Self::Update { id },
            (&Method::DELETE, Some(id), []) => Self::Delete { id },
            (_, Some(_), []) => return Err(GraphError::wrong_method("GET, PATCH, DELETE")),
            _ => return Err(GraphError::no_such_path()),
        })
    }

    /// Who has agreed to what is for those who may change it.
    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::List | Self::Get { .. } => ("graph.consent.list", Right::WriteConsents),
            Self::Create => ("graph.consent.give", Right::WriteConsents),
            Self::Update { .. } => ("graph.consent.update", Right::WriteConsents),
            Self::Delete { .. } => ("graph.consent.take", Right::WriteConsents),
        }
    }

    pub(super) fn target(&self) -> String {
        "consents".to_owned()
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let kind = "oauth2PermissionGrants";
        match self {
            Self::List => {
                let mut objects = Vec::new();
                for grant in asked.state.directory.permission_grants().await? {
                    objects.extend(asked.consent(&grant).await);
                }
                asked.short(kind, objects)
            }
            Self::Create => {
                let mut members = body::read(body).await?;
                let client = asked.client_of(members.id("clientId")?).await?;
                let resource = asked.client_of(members.id("resourceId")?).await?;
                let user = match &*members.required("consentType")? {
                    "AllPrincipals" => {
                        members.take("principalId");
                        None
                    }
                    "Principal" => Some(members.id("principalId")?),
                    _ => return Err(GraphError::bad("The consentType is AllPrincipals or Principal.")),
                };
                let scopes = scopes(&members.required("scope")?)?;
                for told in ["startTime", "expiryTime"] {
                    members.take(told);
                }
                members.finish()?;
                let made = asked.acting.set_consent(client, resource, user, &scopes, true).await?.value;
                let object = asked.consent(&made).await.unwrap_or_default();
                Ok(Answer { target: about(&made), response: asked.one(StatusCode::CREATED, kind, object) })
            }
            Self::Get { id } => {
                let found = asked.grant(&id).await?;
                let object = asked.consent(&found).await.ok_or_else(|| GraphError::not_found(&id))?;
                Ok(Answer { target: about(&found), response: asked.one(StatusCode::OK, kind, object) })
            }
            Self::Update { id } => {
                let found = asked.grant(&id).await?;
                let mut members = body::read(body).await?;
                let scopes = scopes(&members.required("scope")?)?;
                members.finish()?;
                let PermissionGrant { client, resource, user, .. } = found;
                asked.acting.set_consent(client, resource, user, &scopes, false).await?;
                Ok(Answer { target: about(&found), response: no_content() })
            }
            Self::Delete { id } => {
                let found = asked.grant(&id).await?;
                let PermissionGrant { client, resource, user, .. } = found;
                asked.acting.set_consent(client, resource, user, &[], false).await?;
                Ok(Answer { target: about(&found), response: no_content() })
            }
        }
    }
}

fn about(grant: &PermissionGrant) -> String {
    let whose = grant.user.map_or_else(|| "everybody".to_owned(), |user| format!("user {user}"));
    format!("consent of {whose} to {} at {}: {}", grant.client, grant.resource, grant.scopes.join(" "))
}

fn scopes(text: &str) -> Result<Vec<String>, GraphError> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split_ascii_whitespace() {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    match scopes.len() {
        0 => Err(GraphError::bad("The scope of a grant names at least one.")),
        1..=domain::limits::SCOPES_MAX => Ok(scopes),
        _ => Err(GraphError::bad("The scope of a grant names at most 64.")),
    }
}

impl Asked<'_> {
    /// The client id of a service principal.
    async fn client_of(&self, id: PrincipalId) -> Result<ClientId, GraphError> {
        Ok(self.service_principal(&Key::Id(id.to_string())).await?.client())
    }

    async fn grant(&self, id: &str) -> Result<PermissionGrant, GraphError> {
        let all = self.state.directory.permission_grants().await?;
        all.into_iter().find(|grant| grant.id == id).ok_or_else(|| GraphError::not_found(id))
    }

    /// As Graph shows it; `None` if its client or resource has no service principal.
    async fn consent(&self, grant: &PermissionGrant) -> Option<Object> {
        let client = self.service_principal(&Key::App(grant.client.to_string())).await.ok()?;
        let resource = self.service_principal(&Key::App(grant.resource.to_string())).await.ok()?;
        let (client, resource) = (client.id(self.tenant()).uuid(), resource.id(self.tenant()).uuid());
        Some(types::grant(grant, client, resource))
    }
}
