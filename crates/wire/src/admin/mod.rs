//! The administrator's API: HTTP and JSON on a unix socket that only the server's user and root may open.
//!
//! Owns: routes, bodies, errors of `/v1/…`. Owns not: the socket and who may connect (`server` checks the peer's credentials and
//! puts an [`AdminPeer`] among the request's extensions), secrets (the administrator reads them like any client, by a token).

use crate::context::State;
use axum::Router;
use std::sync::Arc;

/// Who is at the other end of the socket: the kernel's word.
#[derive(Clone, Debug)]
pub struct AdminPeer {
    /// The user.
    pub uid: u32,
    /// The process, if the kernel names it.
    pub pid: Option<u32>,
    /// Its executable, if it can be read.
    pub executable: Option<String>,
}

/// What the server knows of itself and `/v1/status` tells.
pub trait Installation: Send + Sync {
    /// Facts of the moment.
    fn facts(&self) -> InstallationFacts;
    /// A vault came to be: names that apps must resolve have changed.
    fn names_changed(&self);
}

/// See [`Installation`].
#[derive(Clone, Debug, serde::Serialize)]
pub struct InstallationFacts {
    /// The version of the binary.
    pub version: String,
    /// Since when the server runs.
    pub started: domain::Timestamp,
    /// The addresses of the public listener.
    pub listen: Vec<String>,
    /// The data directory.
    pub data: String,
    /// What the kernel enforces and what not.
    pub capabilities: Vec<Capability>,
    /// What should be done about the installation, such as a root key in a plain file.
    pub warnings: Vec<String>,
}

/// One thing that the kernel should do for us.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Capability {
    /// What: `attestation`, `cgroup`, `private names`.
    pub name: String,
    /// Does it?
    pub enforced: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// The routes of this protocol.
pub fn router(state: State, installation: Arc<dyn Installation>) -> Router {
    let _ = (state, installation);
    todo!()
}
