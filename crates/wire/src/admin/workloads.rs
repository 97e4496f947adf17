//! `/v1/apps/{name}/workloads` and `/v1/workloads/{id}`: starts and ends of apps. The answer to a start holds the endpoint secret:
//! this is the only time that it is told.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
};
use crate::context::{Context, State};
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use domain::{AppName, WorkloadId};
use host::{
    Enforcement, Environment, NetworkId, NetworkPlace, Place, PlaceRecord, StartRequest, WorkloadRecord,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// `cgroup` is where the program will be born; without it `why` and `mend` say what is missing for one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    cgroup: Option<PathBuf>,
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    mend: Option<String>,
    #[serde(default)]
    require_enforced: bool,
    /// Shadow mode: Azure's names lead to us in the program's `/etc/hosts`, which is `hosts` of the answer.
    #[serde(default)]
    as_azure: bool,
    /// What it is in words, if it runs in the cgroup already and somebody else started it.
    #[serde(default)]
    attached: Option<String>,
    /// The number of the network namespace that it has, if it is not ours.
    #[serde(default)]
    network: Option<u64>,
    /// Each name of the caller's environment; the value only where [`host::inject::VALUES_NEEDED`] says so, else null.
    #[serde(default)]
    environment: Environment,
}

#[derive(Serialize)]
struct Started<'s> {
    workload: String,
    port: u16,
    env: Vec<(&'s str, &'s str)>,
    unset: &'s [String],
    notices: &'s [String],
    enforcement: Enforced,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Shadow<'s>>,
}

#[derive(Serialize)]
struct Shadow<'s> {
    address: Ipv4Addr,
    hosts: &'s Path,
}

#[derive(Serialize)]
struct Enforced {
    enforced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Serialize)]
struct Running {
    id: String,
    app: String,
    port: u16,
    started: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached: Option<String>,
    enforcement: Enforced,
    /// Where its door is, if it runs as if it were in Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_azure: Option<Ipv4Addr>,
}

/// How long the words may be for what is attached. Ours: a kind and a name of it.
const ATTACHED_BYTES_MAX: usize = 300;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/apps/{name}/workloads", get(list).post(start))
        .route("/v1/workloads", get(list_all))
        .route("/v1/workloads/{id}", delete(end))
}

async fn start(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<AppName>,
    Body(body): Body<Start>,
) -> Result<Response, AdminError> {
    let place = match body.cgroup {
        Some(path) => Place::Cgroup(path),
        None => Place::Unenforced {
            why: body.why.unwrap_or_else(|| "the program was not started in a cgroup of its own".to_owned()),
            mend: body.mend.unwrap_or_else(|| {
                "start it by `keyless run`; `keyless doctor` says what else is missing".to_owned()
            }),
        },
    };
    let attached = body.attached;
    let is_wordy = |what: &String| what.is_empty() || what.len() > ATTACHED_BYTES_MAX;
    let fault = if body.as_azure && (attached.is_some() || body.network.is_some()) {
        Some(AdminError::bad_request(
            "as_azure is for a program that is being started, in our network: it goes with neither attached nor network",
        ))
    } else if attached.as_ref().is_some_and(is_wordy) {
        Some(AdminError::bad_request(format!("attached: 1 to {ATTACHED_BYTES_MAX} bytes")))
    } else {
        None
    };
    if let Some(fault) = fault {
        let action = if attached.is_some() { "workload.attach" } else { "workload.start" };
        return audited::<Response>(&state, &context, action, format!("app {name}"), Err(fault));
    }
    let is_attached = attached.is_some();
    let (action, mut target) = match (&attached, &place) {
        (Some(what), Place::Cgroup(path)) => {
            ("workload.attach", format!("app {name}, {what}, cgroup {}", path.display()))
        }
        (Some(what), Place::Unenforced { .. }) => ("workload.attach", format!("app {name}, {what}")),
        (None, _) if body.as_azure => ("workload.start", format!("app {name}, as if in Azure")),
        (None, _) => ("workload.start", format!("app {name}")),
    };
    let request = StartRequest {
        of: None,
        place,
        require_enforced: body.require_enforced,
        environment: body.environment,
        instance: None,
        as_azure: body.as_azure,
        network: body.network.map_or(NetworkPlace::Ours, |id| NetworkPlace::Theirs(NetworkId::new(id))),
        attached,
        arc: false,
    };
    let started = state.host.start(&name, request, context.now).await;
    if let (true, Ok(started)) = (is_attached, &started)
        && let Some(id) = cgroup_of(&state, &name, started.workload).await
    {
        // The words are the caller's, and a path may be another cgroup's by tomorrow: this is which one it was.
        target.push_str(&format!(" (id {id})"));
    }
    let started = audited(&state, &context, action, target, started)?;
    let answer = Started {
        workload: started.workload.to_string(),
        port: started.port,
        env: started
            .injection
            .set
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect(),
        unset: &started.injection.unset,
        notices: &started.injection.notices,
        enforcement: enforced(started.enforcement),
        shadow: started.shadow.as_ref().map(|door| Shadow { address: door.address, hosts: &door.hosts }),
    };
    Ok(json(StatusCode::CREATED, &answer))
}

/// The id that the kernel gave the cgroup of a workload.
async fn cgroup_of(state: &State, app: &AppName, workload: WorkloadId) -> Option<u64> {
    let running = state.host.workloads(Some(app)).await.ok()?;
    match running.iter().find(|record| record.id == workload)?.place {
        PlaceRecord::Cgroup { id, .. } => Some(id),
        PlaceRecord::Unenforced { .. } => None,
    }
}

async fn list(Shared(state): Shared<State>, Segment(name): Segment<AppName>) -> Result<Response, AdminError> {
    let value = state.host.workloads(Some(&name)).await?.iter().map(|record| running(record)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn list_all(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let value = state.host.workloads(None).await?.iter().map(|record| running(record)).collect();
    Ok(json(StatusCode::OK, &List { value }))
}

async fn end(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(id): Segment<WorkloadId>,
) -> Result<Response, AdminError> {
    audited(&state, &context, "workload.end", format!("workload {id}"), state.host.end(id).await)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn running(record: &WorkloadRecord) -> Running {
    let (cgroup, enforcement) = match &record.place {
        PlaceRecord::Cgroup { path, .. } => (Some(path.clone()), Enforcement::Enforced),
        PlaceRecord::Unenforced { why, mend } => {
            (None, Enforcement::Unenforced { why: why.clone(), mend: mend.clone() })
        }
    };
    Running {
        id: record.id.to_string(),
        app: record.name.to_string(),
        port: record.port,
        started: record.started.seconds(),
        cgroup,
        attached: record.attached.clone(),
        enforcement: enforced(enforcement),
        as_azure: record.shadow,
    }
}

fn enforced(enforcement: Enforcement) -> Enforced {
    match enforcement {
        Enforcement::Enforced => Enforced { enforced: true, why: None, mend: None },
        Enforcement::Unenforced { why, mend } => {
            Enforced { enforced: false, why: Some(why), mend: Some(mend) }
        }
    }
}
