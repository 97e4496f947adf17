//! `/v1/apps/{name}/…` of hosted apps: deployments, what is desired, settings, restarts, logs.
//!
//! Owns: the routes and their JSON. Owns not: processes and files (`server` implements [`Hosting`]), what is desired (`host`).

use super::{
    Admin, audited,
    body::{Body, List, Parameters, Quiet, Segment, given, json},
    error::AdminError,
};
use crate::context::{Context, State};
use access::Manager;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Path, Request, State as Shared, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use domain::{AppId, AppName, DeploymentId, Secret, Timestamp};
use host::{AppNetwork, Change, Desired, DesiredState, Health, HostError, Publishable, Setting};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

/// An answer of [`Hosting`] that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, HostingFault>> + Send + 'a>>;

/// Starts, watches and ends what is desired; `server` implements it.
pub trait Hosting: Send + Sync {
    /// Takes a package (a zip) in, the tar of a root file system, or the name of an image. Unpacking, fetching, building and making it what is desired goes on after the answer.
    fn take<'a>(
        &'a self,
        app: &'a Publishable,
        brought: Brought,
        command: Option<String>,
    ) -> Answer<'a, DeploymentId>;

    /// How far a deployment is, if it is known: the last one of each app is.
    fn deployment(&self, app: AppId, deployment: DeploymentId) -> Option<ObservedDeployment>;

    /// The last deployment of an app since the server began, and how far it is.
    fn latest(&self, app: AppId) -> Option<(DeploymentId, ObservedDeployment)>;

    /// Can programs have a network of their own here?
    ///
    /// # Errors
    /// [`HostingFault::Unavailable`]: no, and why.
    fn own_networks(&self) -> Answer<'_, ()>;

    /// Can a program, or a container, be given keys as Azure Arc's clients look for them?
    ///
    /// # Errors
    /// [`HostingFault::Unavailable`]: no, and why.
    fn azure_arc(&self, is_container: bool) -> Answer<'_, ()>;

    /// Something about this app is another: what runs is to follow.
    fn changed(&self, app: &AppName);

    /// An app was deleted, and all that is left of it is to go.
    fn deleted(&self, name: &AppName, app: AppId);

    /// What runs of an app.
    fn observed(&self, app: AppId) -> ObservedApp;

    /// The log of an app: its last lines, and what is added from then on if it is to be followed.
    fn log<'a>(&'a self, app: AppId, lines: usize, follow: bool) -> Answer<'a, axum::body::Body>;
}

/// What is deployed.
pub enum Brought {
    /// A package, as it arrives.
    Package(axum::body::Body),
    /// A container image, by its name.
    Image(String),
    /// A root file system for a container as a tar, as it arrives.
    RootFiles(axum::body::Body),
}

/// Why [`Hosting`] did not do something.
#[derive(Debug, thiserror::Error)]
pub enum HostingFault {
    /// The package cannot be deployed; the text says why and what to do.
    #[error("{0}")]
    Package(String),
    /// It is larger than a package may be.
    #[error("{0}")]
    TooLarge(String),
    /// Another deployment of this app is under way.
    #[error("another deployment of this app is under way")]
    Busy,
    /// Apps cannot be hosted here.
    #[error("{0}")]
    Unavailable(String),
    /// The file system did not do it.
    #[error("{what}")]
    File {
        /// What could not be done.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The host refused.
    #[error(transparent)]
    Host(#[from] host::HostError),
}

impl HostingFault {
    /// Is it that a disk is full, or that somebody has had their share of it?
    pub(crate) fn is_for_room(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::File { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

/// What runs of an app, as far as the server knows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ObservedApp {
    /// Its instances.
    pub instances: Vec<ObservedInstance>,
    /// How the kernel keeps them apart from others, in words.
    pub isolation: Option<String>,
    /// Whether nobody else can get its tokens.
    pub enforced: Option<bool>,
    /// What is not enforced, and why.
    pub unenforced: Vec<String>,
    /// Instances in a row that failed.
    pub failures: u32,
    /// How the last one failed.
    pub last_failure: Option<String>,
    /// References in settings, and what they came to at the last start.
    pub references: Vec<ObservedReference>,
    /// What a start overrode or removed in the environment.
    pub notices: Vec<String>,
}

/// How far a deployment is.
#[derive(Clone, Debug, Serialize)]
pub struct ObservedDeployment {
    /// `receiving`, `unpacking`, `building`, `looking for the image`, `fetching the image`, `deployed` or `failed`.
    pub state: &'static str,
    /// Why it failed, or what is being done.
    pub text: String,
    /// When it came in, if that is known.
    #[serde(skip)]
    pub begun: Option<Timestamp>,
}

/// One instance.
#[derive(Clone, Debug, Serialize)]
pub struct ObservedInstance {
    /// Its workload.
    pub id: String,
    /// `starting`, `ready`, `draining`, `stopping`, `killing` or `ended`.
    pub state: &'static str,
    /// The revision that it was started for.
    pub revision: u64,
    /// The port on which it listens.
    pub port: u16,
    /// Its first process.
    pub process: Option<u32>,
    /// For how many seconds it has been in this state.
    pub seconds: u64,
    /// What its last health check has found, unless it is well.
    pub unwell: Option<String>,
}

/// What became of a reference.
#[derive(Clone, Debug, Serialize)]
pub struct ObservedReference {
    /// The setting.
    pub setting: String,
    /// App Service's word for it.
    pub status: &'static str,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// A hosted app as it is told.
#[derive(Serialize)]
pub(super) struct Hosted {
    url: String,
    state: &'static str,
    wanted: u16,
    revision: u64,
    command: Option<String>,
    health: String,
    memory_mib: Option<u32>,
    cpu_thousandths: Option<u32>,
    processes: Option<u32>,
    /// Whose network it is in; a container's is its own.
    network: AppNetwork,
    runtime: Option<String>,
    image: Option<String>,
    deployment: Option<String>,
    deployed: Option<i64>,
    /// How far a deployment is that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    deploying: Option<&'static str>,
    /// Why nothing came of the last deployment, if nothing did: what was there before serves on. Forgotten when the server ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_failed: Option<String>,
    token_file: bool,
    arc: bool,
    #[serde(flatten)]
    observed: ObservedApp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    state: Option<DesiredState>,
    #[serde(default)]
    token_file: Option<bool>,
    #[serde(default)]
    arc: Option<bool>,
    #[serde(default)]
    instances: Option<u16>,
    #[serde(default, deserialize_with = "given")]
    command: Option<Option<String>>,
    #[serde(default)]
    health: Option<String>,
    #[serde(default, deserialize_with = "given")]
    memory_mib: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    cpu_thousandths: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    processes: Option<Option<u32>>,
    #[serde(default)]
    network: Option<AppNetwork>,
    #[serde(default)]
    restart: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSettings {
    #[serde(default)]
    set: BTreeMap<String, NewSetting>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSetting {
    value: Secret<String>,
    #[serde(default)]
    secret: bool,
}

#[derive(Serialize)]
struct ToldSetting<'s> {
    name: &'s str,
    /// Not of a secret one.
    value: Option<&'s str>,
    secret: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeployQuery {
    /// A container image, instead of a package in the body.
    #[serde(default)]
    image: Option<String>,
    /// Is the body a root file system, and not a package?
    #[serde(default)]
    rootfs: bool,
    #[serde(default)]
    command: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    #[serde(default)]
    lines: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// Lines of a log that are told unless asked otherwise, and at most.
const LOG_LINES: usize = 100;
const LOG_LINES_MAX: usize = 10_000;

pub(super) fn routes() -> Router<Admin> {
    // A package is as large as it is: `Hosting` counts while it takes it in.
    let deploy = post(deploy).layer(DefaultBodyLimit::disable());
    Router::new()
        .route("/v1/apps/{name}/desired", patch(change))
        .route("/v1/apps/{name}/settings", get(settings).patch(change_settings))
        .route("/v1/apps/{name}/deployments", deploy)
        .route("/v1/apps/{name}/deployments/{id}", get(deployment))
        .route("/v1/apps/{name}/log", get(log))
}

async fn change(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
    Body(wanted): Body<Wanted>,
) -> Result<Response, AdminError> {
    let change = Change {
        state: wanted.state,
        token_file: wanted.token_file,
        arc: wanted.arc,
        instances: wanted.instances,
        command: wanted.command,
        health: wanted.health.map(health),
        memory_mib: wanted.memory_mib,
        cpu_thousandths: wanted.cpu_thousandths,
        processes: wanted.processes,
        network: wanted.network,
        restart: wanted.restart,
        ..Change::default()
    };
    let changing = async {
        if change.network == Some(AppNetwork::Own) {
            hosting.own_networks().await?;
        }
        if change.arc == Some(true) {
            let desired = state.host.desired(&name).await?;
            let deployment = desired.as_ref().and_then(|desired| desired.deployment.as_ref());
            hosting.azure_arc(deployment.is_some_and(|deployment| deployment.image.is_some())).await?;
        }
        Ok::<_, HostingFault>(
            state.host.change_desired(Manager::Administrator, &name, &change, context.now).await?,
        )
    };
    let changed = changing.await;
    // Before it is recorded: what is done is done, also if that fails.
    hosting.changed(&name);
    let desired = audited(&state, &context, "app.configure", target(&name), changed)?;
    Ok(json(StatusCode::OK, &hosted(&state, &*hosting, &name, &desired)))
}

async fn deploy(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
    Parameters(query): Parameters<DeployQuery>,
    request: Request,
) -> Result<Response, AdminError> {
    let brought = match query.image {
        Some(_) if query.rootfs => Err("an image, or a root file system: not both"),
        None if query.rootfs => Ok(Brought::RootFiles(request.into_body())),
        None => Ok(Brought::Package(request.into_body())),
        Some(image) if is_image(&image) => Ok(Brought::Image(image)),
        Some(_) => Err("image: a name as podman takes it, of at most 255 bytes"),
    };
    let taken = async {
        let brought = brought.map_err(AdminError::bad_request)?;
        let app = state.host.publishable(Manager::Administrator, &name).await?;
        Ok::<_, AdminError>(hosting.take(&app, brought, query.command).await?)
    };
    let id = audited(&state, &context, "app.deploy", target(&name), taken.await)?;
    Ok(json(StatusCode::ACCEPTED, &serde_json::json!({"id": id.to_string()})))
}

async fn deployment(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
    path: Result<Path<(AppName, String)>, PathRejection>,
) -> Result<Response, AdminError> {
    let Path((name, id)) = path.map_err(|rejection| AdminError::bad_request(rejection.body_text()))?;
    let app = state.host.app(Manager::Administrator, &name).await?.app.id;
    let known = id.parse().ok().and_then(|id| hosting.deployment(app, id));
    let known = known.ok_or_else(|| AdminError::not_found("the server knows nothing of this deployment"))?;
    Ok(json(StatusCode::OK, &known))
}

async fn settings(
    Shared(state): Shared<State>,
    Segment(name): Segment<AppName>,
) -> Result<Response, AdminError> {
    let settings = state.host.settings(Manager::Administrator, &name).await?;
    let mut value = Vec::with_capacity(settings.len());
    for Setting { name, value: text, is_secret } in &settings {
        let told = (!is_secret).then(|| text.expose().as_str());
        value.push(ToldSetting { name, value: told, secret: *is_secret });
    }
    Ok(json(StatusCode::OK, &List { value }))
}

async fn change_settings(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
    Quiet(NewSettings { set, remove }): Quiet<NewSettings>,
) -> Result<Response, AdminError> {
    let names = set.keys().map(|name| format!("+{name}")).chain(remove.iter().map(|name| format!("-{name}")));
    let told = format!("{} {}", target(&name), names.collect::<Vec<_>>().join(" "));
    let set: Vec<_> = set
        .into_iter()
        .map(|(name, new)| Setting { name, value: new.value, is_secret: new.secret })
        .collect();
    let changed = state.host.change_settings(Manager::Administrator, &name, &set, &remove, context.now).await;
    let changed = changed.map_err(|error| match error {
        HostError::SettingNotFound { .. } => {
            AdminError::not_found(format!("{error}: `keyless app settings list {name}` shows all"))
        }
        error => error.into(),
    });
    hosting.changed(&name);
    audited(&state, &context, "app.settings", told, changed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn log(
    Shared(state): Shared<State>,
    Shared(hosting): Shared<Arc<dyn Hosting>>,
    Segment(name): Segment<AppName>,
    Parameters(query): Parameters<LogQuery>,
) -> Result<Response, AdminError> {
    let app = state.host.app(Manager::Administrator, &name).await?.app.id;
    let lines = query.lines.unwrap_or(LOG_LINES).min(LOG_LINES_MAX);
    let body = hosting.log(app, lines, query.follow).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// The name of an image, and nothing that podman could take for something else.
fn is_image(name: &str) -> bool {
    const BYTES_MAX: usize = 255;
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    begins_well && name.len() <= BYTES_MAX && name.bytes().all(is_plain)
}

fn target(name: &AppName) -> String {
    format!("app {name}")
}

fn health(text: String) -> Health {
    match text.as_str() {
        "port" => Health::Port,
        "process" => Health::Process,
        _ => Health::Path(text),
    }
}

/// A hosted app, desired and observed.
pub(super) fn hosted(state: &State, hosting: &dyn Hosting, name: &AppName, desired: &Desired) -> Hosted {
    let deployment = desired.deployment.as_ref();
    let (deploying, deployment_failed) = match hosting.latest(desired.app) {
        Some((_, ObservedDeployment { state: "failed", text, .. })) => (None, Some(text)),
        Some((_, ObservedDeployment { state: "deployed", .. })) | None => (None, None),
        Some((_, told)) => (Some(told.state), None),
    };
    Hosted {
        url: state.names.app_url(name),
        state: match desired.state {
            DesiredState::Running => "running",
            DesiredState::Stopped => "stopped",
        },
        wanted: desired.instances,
        revision: desired.revision,
        command: desired.start_command().map(str::to_owned),
        health: match &desired.health {
            Health::Port => "port".to_owned(),
            Health::Process => "process".to_owned(),
            Health::Path(path) => path.clone(),
        },
        memory_mib: desired.limits.memory_mib,
        cpu_thousandths: desired.limits.cpu_thousandths,
        processes: desired.limits.processes,
        network: if desired.has_own_network() { AppNetwork::Own } else { AppNetwork::Host },
        runtime: deployment.map(|deployment| deployment.runtime.clone()),
        image: deployment.and_then(|deployment| Some(deployment.image.as_ref()?.name.clone())),
        deployment: deployment.map(|deployment| deployment.id.to_string()),
        deployed: deployment.map(|deployment| deployment.created.seconds()),
        deploying,
        deployment_failed,
        token_file: desired.token_file,
        arc: desired.arc,
        observed: hosting.observed(desired.app),
    }
}
