//! `/servicePrincipals`: who acts in the tenant without being a person: of applications and of managed identities, and the two resources
//! that every tenant has.

use super::{
    Answer, Asked, body,
    error::GraphError,
    no_content,
    route::{Key, named},
    types::{self, Object},
};
use access::{Principal, PrincipalKind};
use axum::body::Body;
use directory::{
    DirectoryError, Registration,
    graph::{Builtin, Right},
};
use domain::{ClientId, PrincipalId};
use http::{Method, StatusCode};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug)]
pub(super) enum ServicePrincipalsOperation {
    List,
    Create,
    Get { key: Key },
    Update { key: Key },
    Delete { key: Key },
    Owners { key: Key },
}

/// A service principal, and what it is of.
pub(super) struct ServicePrincipal {
    /// Its record. `None`: every tenant has this one.
    pub(super) principal: Option<Arc<Principal>>,
    pub(super) registration: Option<Arc<Registration>>,
    builtin: Option<Builtin>,
}

impl ServicePrincipalsOperation {
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
            (_, Some(_), ["owners"]) => return Err(GraphError::wrong_method("GET")),
            _ => return Err(GraphError::no_such_path()),
        })
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        match self {
            Self::List => ("graph.servicePrincipal.list", Right::ReadApplications),
            Self::Create => ("graph.servicePrincipal.create", Right::WriteApplications),
            Self::Get { .. } => ("graph.servicePrincipal.get", Right::ReadApplications),
            Self::Update { .. } => ("graph.servicePrincipal.update", Right::WriteApplications),
            Self::Delete { .. } => ("graph.servicePrincipal.delete", Right::WriteApplications),
            Self::Owners { .. } => ("graph.servicePrincipal.owners", Right::ReadApplications),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List | Self::Create => "service principals".to_owned(),
            Self::Get { key } | Self::Update { key } | Self::Delete { key } | Self::Owners { key } => {
                named("service principal", key.text())
            }
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let about = |id: &dyn std::fmt::Display| named("service principal", &id.to_string());
        match self {
            Self::List => asked.service_principals().await,
            Self::Create => {
                let mut members = body::read(body).await?;
                let client: ClientId = members.id("appId")?;
                let enabled = members.flag("accountEnabled")?.unwrap_or(true);
                // Tools mark what they have made by it.
                members.take("tags");
                members.finish()?;
                let made =
                    asked.acting.create_service_principal(client, enabled, asked.context.now).await?.value;
                let found = asked.service_principal(&Key::Id(made.id.to_string())).await?;
                let response = asked.one(StatusCode::CREATED, "servicePrincipals", asked.shown(&found));
                Ok(Answer { target: about(&made.id), response })
            }
            Self::Get { key } => {
                let found = asked.service_principal(&key).await?;
                let target = about(&found.id(asked.tenant()));
                Ok(Answer {
                    target,
                    response: asked.one(StatusCode::OK, "servicePrincipals", asked.shown(&found)),
                })
            }
            Self::Update { key } => {
                let id = asked.service_principal(&key).await?.id(asked.tenant());
                let mut members = body::read(body).await?;
                let enabled = members.flag("accountEnabled")?;
                let required = members.flag("appRoleAssignmentRequired")?;
                members.take("tags");
                members.finish()?;
                asked.acting.update_service_principal(id, enabled, required).await?;
                Ok(Answer { target: about(&id), response: no_content() })
            }
            Self::Delete { key } => {
                let id = asked.service_principal(&key).await?.id(asked.tenant());
                asked.acting.delete_service_principal(id).await?;
                Ok(Answer { target: about(&id), response: no_content() })
            }
            Self::Owners { key } => {
                let target = about(&asked.service_principal(&key).await?.id(asked.tenant()));
                let answer = asked.short("directoryObjects", Vec::new())?;
                Ok(Answer { target, ..answer })
            }
        }
    }
}

impl ServicePrincipal {
    /// One that every tenant has.
    const fn builtin(one: Builtin) -> Self {
        Self { principal: None, registration: None, builtin: Some(one) }
    }

    /// Its object id.
    pub(super) fn id(&self, tenant: domain::TenantId) -> PrincipalId {
        let builtin = || self.builtin.map(|one| one.object(tenant));
        self.principal
            .as_ref()
            .map(|principal| principal.id)
            .or_else(builtin)
            .unwrap_or(PrincipalId::from_uuid(Uuid::nil()))
    }

    /// Its client id.
    pub(super) fn client(&self) -> ClientId {
        let builtin = || self.builtin.map(Builtin::client);
        self.principal
            .as_ref()
            .map(|principal| principal.client)
            .or_else(builtin)
            .unwrap_or(ClientId::from_uuid(Uuid::nil()))
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        match (&self.principal, self.builtin) {
            (Some(principal), _) => &principal.display_name,
            (None, Some(builtin)) => builtin.name(),
            (None, None) => "",
        }
    }
}

impl Asked<'_> {
    /// The service principal that a path names.
    pub(super) async fn service_principal(&self, key: &Key) -> Result<ServicePrincipal, GraphError> {
        let text = key.text();
        let uuid = Uuid::try_parse(text).map_err(|_| GraphError::not_found(text))?;
        let is_client = matches!(key, Key::App(_));
        let builtin = Builtin::named(uuid, self.tenant());
        if let Some(builtin) = builtin.filter(|one| is_client == (one.client().uuid() == uuid)) {
            return Ok(ServicePrincipal::builtin(builtin));
        }
        let found = match is_client {
            true => self.state.directory.principal_of_client(ClientId::from_uuid(uuid)).await?,
            false => match self.state.directory.principal(PrincipalId::from_uuid(uuid)).await {
                Ok(found) => Some(found),
                Err(DirectoryError::PrincipalNotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        match found.filter(|principal| principal.kind != PrincipalKind::User) {
            Some(principal) => self.with_registration(principal).await,
            None => Err(GraphError::not_found(text)),
        }
    }

    async fn with_registration(&self, principal: Arc<Principal>) -> Result<ServicePrincipal, GraphError> {
        let registration = match principal.kind {
            PrincipalKind::Application { registration } => {
                match self.state.directory.registration(&registration.to_string()).await {
                    Ok(found) => Some(found),
                    // Deleted since.
                    Err(DirectoryError::RegistrationNotFound { .. }) => None,
                    Err(error) => return Err(error.into()),
                }
            }
            PrincipalKind::ManagedIdentity { .. }
            | PrincipalKind::UserAssignedIdentity
            | PrincipalKind::User => None,
        };
        Ok(ServicePrincipal { principal: Some(principal), registration, builtin: None })
    }

    /// As Graph shows it.
    pub(super) fn shown(&self, found: &ServicePrincipal) -> Object {
        match (&found.principal, found.builtin) {
            (Some(principal), _) => {
                let tenant = self.state.directory.tenant();
                types::service_principal(principal, found.registration.as_deref(), tenant)
            }
            (None, Some(builtin)) => {
                let names = self.context.names(self.state);
                let own = match builtin {
                    Builtin::Graph => names.graph_resource(),
                    Builtin::Vaults => names.vault_resource(),
                };
                types::builtin_principal(builtin, &own, self.tenant())
            }
            (None, None) => Object::new(),
        }
    }

    async fn service_principals(&self) -> Result<Answer, GraphError> {
        const NAMES: &str = "servicePrincipalNames";
        if let Some(client) = self.meant_client(NAMES).await {
            let found = self.service_principal(&Key::App(client.to_string())).await.ok();
            return self.short("servicePrincipals", found.iter().map(|found| self.shown(found)).collect());
        }
        if self.query.filter.as_ref().is_some_and(|filter| filter.must_be(NAMES).is_some()) {
            let mut builtin = Builtin::ALL.map(|one| self.shown(&ServicePrincipal::builtin(one))).to_vec();
            builtin.retain(|object| self.is_meant(object).unwrap_or_default());
            if !builtin.is_empty() {
                return self.short("servicePrincipals", builtin);
            }
        }
        self.page("servicePrincipals", |after| async move {
            let (items, next) = self.state.directory.principals_after(after).await?;
            let mut objects = Vec::with_capacity(items.len());
            for principal in items.into_iter().filter(|principal| principal.kind != PrincipalKind::User) {
                let id = principal.id.uuid();
                objects.push((id, self.shown(&self.with_registration(principal).await?)));
            }
            // Those that every tenant has stand where their ids belong.
            let is_here =
                |id: Uuid| after.is_none_or(|after| id > after) && next.is_none_or(|next| id <= next);
            for builtin in Builtin::ALL {
                let id = builtin.object(self.tenant()).uuid();
                if is_here(id) {
                    objects.push((id, self.shown(&ServicePrincipal::builtin(builtin))));
                }
            }
            objects.sort_by_key(|(id, _)| *id);
            Ok((objects, next))
        })
        .await
    }
}
