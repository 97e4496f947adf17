//! `/applications`: app registrations. Managed identities have none.

use super::{
    Answer, Asked,
    body::{self, Members},
    error::GraphError,
    no_content,
    route::{Key, named},
    types,
};
use axum::body::Body;
use directory::{
    AppRole, DirectoryError, NewRegistration, Registration, RegistrationChange, TokenVersion,
    graph::{KeyChange, Right},
    redirect::Platform,
    registration::{Consenter, ExposedScope, RequiredAccess},
};
use domain::{ClientId, CredentialId};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug)]
pub(super) enum ApplicationsOperation {
    List,
    Create,
    Get { key: Key },
    Update { key: Key },
    Delete { key: Key },
    Owners { key: Key },
}

impl ApplicationsOperation {
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
            Self::List => ("graph.application.list", Right::ReadApplications),
            Self::Create => ("graph.application.create", Right::WriteApplications),
            Self::Get { .. } => ("graph.application.get", Right::ReadApplications),
            Self::Update { .. } => ("graph.application.update", Right::WriteApplications),
            Self::Delete { .. } => ("graph.application.delete", Right::WriteApplications),
            Self::Owners { .. } => ("graph.application.owners", Right::ReadApplications),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List | Self::Create => "applications".to_owned(),
            Self::Get { key } | Self::Update { key } | Self::Delete { key } | Self::Owners { key } => {
                named("application", key.text())
            }
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        let now = asked.context.now;
        let shown = |registration: &Registration| types::application(registration, asked.domain());
        match self {
            Self::List => asked.applications().await,
            Self::Create => {
                let (change, keys) = read(body::read(body).await?, true)?;
                let new = NewRegistration::default();
                let made =
                    asked.acting.create_application(new, &change, keys.unwrap_or_default(), now).await?;
                let target = format!("application {} ({})", made.value.id, made.value.client);
                let response = asked.one(StatusCode::CREATED, "applications", shown(&made.value));
                Ok(Answer { target, response })
            }
            Self::Get { key } => {
                let found = asked.application(&key).await?;
                let target = named("application", &found.id.to_string());
                Ok(Answer { target, response: asked.one(StatusCode::OK, "applications", shown(&found)) })
            }
            Self::Update { key } => {
                let id = asked.application(&key).await?.id.to_string();
                let (change, keys) = read(body::read(body).await?, false)?;
                asked.acting.update_application(&id, &change, keys, now).await?;
                Ok(Answer { target: named("application", &id), response: no_content() })
            }
            Self::Delete { key } => {
                let id = asked.application(&key).await?.id.to_string();
                asked.acting.delete_application(&id, now).await?;
                Ok(Answer { target: named("application", &id), response: no_content() })
            }
            Self::Owners { key } => {
                // Here nobody owns an application: administrators and app roles say who may change it.
                let target = named("application", &asked.application(&key).await?.id.to_string());
                let answer = asked.short("directoryObjects", Vec::new())?;
                Ok(Answer { target, ..answer })
            }
        }
    }
}

impl Asked<'_> {
    /// The application that a path names.
    pub(super) async fn application(&self, key: &Key) -> Result<Arc<Registration>, GraphError> {
        let text = key.text();
        let id = uuid::Uuid::try_parse(text).map_err(|_| GraphError::not_found(text))?;
        let is_it = |found: &Registration| match key {
            Key::Id(_) => found.id.uuid() == id,
            Key::App(_) => found.client.uuid() == id,
        };
        // The directory takes an application's other names as well; a path has one.
        match self.state.directory.registration(&id.to_string()).await {
            Ok(found) if is_it(&found) => Ok(found),
            Ok(_) | Err(DirectoryError::RegistrationNotFound { .. }) => {
                Err(GraphError::not_found(key.text()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The client id of the one that a filter can mean at most, by it or by a name; `names` is where its names are.
    pub(super) async fn meant_client(&self, names: &str) -> Option<ClientId> {
        let filter = self.query.filter.as_ref()?;
        let name = filter.must_be("appId").or_else(|| filter.must_be(names))?;
        match name.parse() {
            Ok(client) => Some(client),
            // Of another case it is looked for among all.
            Err(_) => self.state.directory.registration(name).await.ok().map(|found| found.client),
        }
    }

    async fn applications(&self) -> Result<Answer, GraphError> {
        let domain = self.domain();
        if let Some(client) = self.meant_client("identifierUris").await {
            let found = self.application(&Key::App(client.to_string())).await.ok();
            let objects = found.iter().map(|found| types::application(found, domain)).collect();
            return self.short("applications", objects);
        }
        self.page("applications", |after| async move {
            let (items, next) = self.state.directory.registrations_after(after).await?;
            let objects = items.iter().map(|one| (one.id.uuid(), types::application(one, domain)));
            Ok((objects.collect(), next))
        })
        .await
    }
}

/// What a body says of an application.
fn read(
    mut members: Members,
    is_new: bool,
) -> Result<(RegistrationChange, Option<Vec<KeyChange>>), GraphError> {
    let mut change = RegistrationChange {
        display_name: match is_new {
            true => Some(members.required("displayName")?),
            false => members.optional("displayName")?,
        },
        identifier_uris: members.texts("identifierUris")?,
        is_public: members.flag("isFallbackPublicClient")?,
        ..RegistrationChange::default()
    };
    if let Some(audience) = members.optional("signInAudience")?
        && audience != "AzureADMyOrg"
    {
        return Err(GraphError::bad("Property 'signInAudience' is AzureADMyOrg here: there is one tenant."));
    }
    for (name, platform) in
        [("web", Platform::Web), ("spa", Platform::Spa), ("publicClient", Platform::PublicClient)]
    {
        let Some(mut at) = members.object(name)? else { continue };
        change.redirect_uris_at.extend(at.texts("redirectUris")?.map(|uris| (platform, uris)));
        // The same addresses once more, with an order that nobody asks for.
        at.take("redirectUriSettings");
        at.finish()?;
    }
    if let Some(mut api) = members.object("api")? {
        change.token_version = match api.take("requestedAccessTokenVersion") {
            None => None,
            // None is said is the first one, in Graph's own words.
            Some(Value::Null) => Some(TokenVersion::V1),
            Some(version) if version == json!(1) => Some(TokenVersion::V1),
            Some(version) if version == json!(2) => Some(TokenVersion::V2),
            Some(_) => return Err(GraphError::bad("Property 'requestedAccessTokenVersion' is 1 or 2.")),
        };
        if let Some(scopes) = api.objects("oauth2PermissionScopes")? {
            change.scopes = Some(scopes.into_iter().map(scope).collect::<Result<_, _>>()?);
        }
        api.finish()?;
    }
    if let Some(roles) = members.objects("appRoles")? {
        change.app_roles = Some(roles.into_iter().map(app_role).collect::<Result<_, _>>()?);
    }
    if let Some(wanted) = members.objects("requiredResourceAccess")? {
        change.required_access = Some(wanted.into_iter().map(required_access).collect::<Result<_, _>>()?);
    }
    let keys = match members.objects("keyCredentials")? {
        Some(keys) => Some(keys.into_iter().map(key).collect::<Result<_, _>>()?),
        None => None,
    };
    // Of a secret that is to go, somebody would believe that it is gone.
    if !is_new && members.objects("passwordCredentials")?.is_some() {
        let why = "Property 'passwordCredentials' is changed by addPassword and removePassword only.";
        return Err(GraphError::bad(why));
    }
    members.finish()?;
    Ok((change, keys))
}

fn scope(mut scope: Members) -> Result<ExposedScope, GraphError> {
    let names = [
        "adminConsentDisplayName",
        "adminConsentDescription",
        "userConsentDisplayName",
        "userConsentDescription",
    ];
    let mut description = None;
    for name in names {
        let text = scope.optional(name)?;
        description = description.or(text.filter(|text| !text.is_empty()));
    }
    let read = ExposedScope {
        id: scope.id("id")?,
        value: scope.required("value")?,
        description: description.unwrap_or_default(),
        enabled: scope.flag("isEnabled")?.unwrap_or(true),
        consenter: match scope.optional("type")?.as_deref() {
            None | Some("User") => Consenter::User,
            Some("Admin") => Consenter::Admin,
            Some(_) => return Err(GraphError::bad("The type of a permission scope is User or Admin.")),
        },
    };
    scope.take("origin");
    scope.finish()?;
    Ok(read)
}

fn app_role(mut role: Members) -> Result<AppRole, GraphError> {
    let kinds = role.texts("allowedMemberTypes")?.unwrap_or_default();
    if let Some(other) = kinds.iter().find(|kind| !matches!(kind.as_str(), "User" | "Application")) {
        let other: String = other.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        return Err(GraphError::bad(format!("allowedMemberTypes is of User and Application, not {other}.")));
    }
    let read = AppRole {
        id: role.id("id")?,
        value: role.optional("value")?.filter(|value| !value.is_empty()),
        display_name: role.required("displayName")?,
        description: role.optional("description")?.unwrap_or_default(),
        for_users: kinds.iter().any(|kind| kind == "User"),
        for_applications: kinds.iter().any(|kind| kind == "Application"),
        enabled: role.flag("isEnabled")?.unwrap_or(true),
    };
    role.take("origin");
    role.finish()?;
    Ok(read)
}

fn required_access(mut wanted: Members) -> Result<RequiredAccess, GraphError> {
    let mut read =
        RequiredAccess { resource: wanted.id("resourceAppId")?, scopes: Vec::new(), roles: Vec::new() };
    for mut access in wanted.objects("resourceAccess")?.unwrap_or_default() {
        let id: CredentialId = access.id("id")?;
        match &*access.required("type")? {
            "Scope" => read.scopes.push(id),
            "Role" => read.roles.push(id),
            _ => return Err(GraphError::bad("The type of resourceAccess is Scope or Role.")),
        }
        access.finish()?;
    }
    wanted.finish()?;
    Ok(read)
}

/// A certificate: one that is there already, by its id, or a new one, DER in base64.
fn key(mut key: Members) -> Result<KeyChange, GraphError> {
    let id = key.optional("keyId")?;
    let bytes = key.optional("key")?.filter(|text| !text.is_empty());
    let name = key.optional("displayName")?.filter(|name| !name.is_empty());
    check_key_kind(&mut key)?;
    match (bytes, id) {
        (Some(bytes), _) => {
            Ok(KeyChange::Added(name.unwrap_or_else(|| "certificate".to_owned()), certificate(&bytes)?))
        }
        (None, Some(id)) => {
            let id = id.parse().map_err(|_| GraphError::bad("The keyId of a key credential is a GUID."))?;
            Ok(KeyChange::Kept(id))
        }
        (None, None) => {
            Err(GraphError::bad("A key credential has a key, or the keyId of one that is there."))
        }
    }
}

/// Only certificates by which signatures are verified are had here. How long they are good, they say themselves.
pub(super) fn check_key_kind(key: &mut Members) -> Result<(), GraphError> {
    let kind = key.optional("type")?;
    let usage = key.optional("usage")?;
    for told in ["customKeyIdentifier", "startDateTime", "endDateTime"] {
        key.take(told);
    }
    let is_fit =
        kind.is_none_or(|kind| kind == "AsymmetricX509Cert") && usage.is_none_or(|usage| usage == "Verify");
    if is_fit { Ok(()) } else { Err(GraphError::bad("A key credential is AsymmetricX509Cert, for Verify.")) }
}

/// The bytes of a certificate. Some clients leave line breaks in, and some send PEM in base64.
pub(super) fn certificate(text: &str) -> Result<Vec<u8>, GraphError> {
    let joined: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    crypt::encoding::from_base64(joined).map_err(|_| GraphError::bad("The key is not in base64."))
}
