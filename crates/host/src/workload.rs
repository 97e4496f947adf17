//! What is kept of a running workload so that its endpoint comes back after a restart of the server.

use crypt::HashedSecret;
use domain::{AppId, AppName, Timestamp, WorkloadId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use store::{Key, Record};

/// A running workload as it is kept. The endpoint secret is not: only its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// Its id.
    pub id: WorkloadId,
    /// The app's id.
    pub app: AppId,
    /// The app's name.
    pub name: AppName,
    /// The hash of its endpoint secret.
    pub secret: HashedSecret,
    /// The port of its endpoint on 127.0.0.1.
    pub port: u16,
    /// Its cgroup, if it is enforced.
    pub cgroup: Option<CgroupRecord>,
    /// Which boot of the machine it was started in (cgroup ids and ports mean nothing in another).
    pub boot: String,
    /// When it was started.
    pub started: Timestamp,
    /// Why it is not enforced, and how to mend it.
    #[serde(default)]
    pub unenforced: Option<(String, String)>,
}

/// A cgroup by path and id: a removed and re-created one has another id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    /// Its directory.
    pub path: PathBuf,
    /// The id that the kernel gave it.
    pub id: u64,
}

impl Record for WorkloadRecord {
    type Id = WorkloadId;

    fn key(id: &WorkloadId) -> Key {
        Key::new(format!("workload/{id}"))
    }
}
