//! `/v1/status`: what is running, what the kernel enforces and what not, what should be mended. `/v1/status/hosting`: the same of what
//! hosted apps can be given.

use super::{
    Admin,
    body::json,
    clock::{Later, TestClock},
    error::AdminError,
    signing_keys,
};
use crate::outside::Named;
use access::Manager;
use axum::{Router, extract::State, response::Response, routing::get};
use domain::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the server knows of itself; `server` implements it.
pub trait Installation: Send + Sync {
    /// Facts of the moment.
    fn facts(&self) -> InstallationFacts;

    /// What hosted apps can be given, tried now by a program that the server starts: it depends on the server's user, cgroup and
    /// restrictions, so nobody else can tell.
    ///
    /// # Errors
    /// It could not be tried, and why.
    fn hosting_facts(&self) -> Later<'_, Result<HostingFacts, String>>;

    /// A vault or an app came to be, or is no more: names that apps must resolve have changed.
    fn names_changed(&self, of: Named);

    /// What is wrong with the installation just now, the worst first.
    fn alarms(&self) -> Vec<Alarm> {
        Vec::new()
    }

    /// The clock, if it is one that may be moved. The usual clock is not.
    fn test_clock(&self) -> Option<Arc<dyn TestClock>> {
        None
    }
}

/// See [`Installation`].
#[derive(Clone, Debug, Serialize)]
pub struct InstallationFacts {
    /// The version of the binary.
    pub version: String,
    /// Since when the server runs.
    pub started: Timestamp,
    /// The addresses of the public listener.
    pub listen: Vec<String>,
    /// The data directory.
    pub data: String,
    /// The file that programs under `keyless run` see as `/etc/hosts`.
    pub hosts_file: String,
    /// What the kernel enforces and what not.
    pub capabilities: Vec<Capability>,
    /// What should be done about the installation, such as a root key in a plain file.
    pub warnings: Vec<String>,
}

/// Something that is wrong, and that somebody must see to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// For programs: `store-stopped`, `store-full`, `audit-cut`.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// What hosted apps can be given. None of it is needed for the rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostingFacts {
    /// What the server uses where it is there.
    pub capabilities: Vec<Capability>,
    /// What it uses where that is asked for.
    pub connect_gate: Capability,
}

/// One thing that the kernel should do for us.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capability {
    /// What: `attestation`, `cgroup`, `private names`, `sandbox`.
    pub name: String,
    /// Does it?
    pub enforced: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    installation: InstallationFacts,
    now: Timestamp,
    /// By how many seconds the clock is ahead, if it is a test clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    test_clock_ahead_seconds: Option<u64>,
    domain: String,
    port: u16,
    tenant: String,
    login: String,
    counts: Counts,
    signing_key: Option<signing_keys::Current>,
    audit_failing: bool,
    alarms: Vec<Alarm>,
}

#[derive(Serialize)]
struct Counts {
    apps: usize,
    workloads: usize,
    workloads_unenforced: usize,
    vaults: usize,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/status", get(show)).route("/v1/status/hosting", get(hosting))
}

async fn hosting(State(Admin { installation, .. }): State<Admin>) -> Result<Response, AdminError> {
    let unavailable = |why| AdminError::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", why);
    Ok(json(StatusCode::OK, &installation.hosting_facts().await.map_err(unavailable)?))
}

async fn show(State(Admin { state, installation, .. }): State<Admin>) -> Result<Response, AdminError> {
    let workloads = state.identity.workloads();
    let counts = Counts {
        apps: state.host.apps(Manager::Administrator).await?.len(),
        workloads: workloads.len(),
        workloads_unenforced: workloads.iter().filter(|workload| workload.confinement().is_none()).count(),
        vaults: state.vault.list_vaults(access::Manager::Administrator).await?.len(),
    };
    let status = Status {
        alarms: installation.alarms(),
        installation: installation.facts(),
        now: state.clock.now(),
        test_clock_ahead_seconds: state.clock.ahead().map(|ahead| ahead.as_secs()),
        domain: state.names.domain().to_owned(),
        port: state.names.port(),
        tenant: state.directory.tenant().id.to_string(),
        login: state.names.login_base(),
        counts,
        signing_key: signing_keys::current(&state),
        audit_failing: state.audit.is_failed(),
    };
    Ok(json(StatusCode::OK, &status))
}
