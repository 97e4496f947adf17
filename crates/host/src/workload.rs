//! What is kept of a running workload so that its endpoint comes back after a restart of the server, and when it is over.

use crypt::HashedSecret;
use domain::{AppId, AppName, DeploymentId, Timestamp, WorkloadId};
use identity::{App, Confinement};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf};
use store::{Decision, Halt, Key, Record, View, refuse};

use crate::HostError;

/// Seconds after a start within which an empty cgroup is not yet over: the program is being started. Ours: `keyless run` needs
/// milliseconds.
const START_SECONDS_MAX: i64 = 60;

/// The port of IMDS. An app that listens on it listens on all addresses, as most do, which nobody else can beside it.
pub const IMDS_PORT: u16 = 80;

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
    /// What it runs in.
    pub place: PlaceRecord,
    /// Which boot of the machine it was started in: cgroup ids and ports mean nothing in another.
    pub boot: String,
    /// When it was started.
    pub started: Timestamp,
    /// What it is as an instance of a hosted app; `keyless run` starts others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceRecord>,
    /// Where its door is, if it is in shadow mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Ipv4Addr>,
    /// The number of the network namespace that its endpoint is in; none: ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<u64>,
    /// What it is in words, if somebody else started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<String>,
    /// Does its endpoint speak Azure Arc's protocol?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub arc: bool,
}

/// An instance of a hosted app, as far as a later run of the server must know to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// What was desired when it was started.
    pub revision: u64,
    /// The port that its program was told to listen on.
    pub port: u16,
    /// The deployment that it runs from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// What it got for each reference in its settings that was resolved: a keyed hash, by which another value is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, String>,
    /// The data directory of the server that has started it; of before, nothing.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Is it a container? Others may be in a network of their own, too.
    #[serde(default)]
    pub is_container: bool,
    /// Its first process; none before it was started.
    pub process: Option<ProcessRecord>,
}

/// A process, told apart from later ones of the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its id.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since the boot.
    pub start_time: u64,
}

/// What a workload runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceRecord {
    /// A cgroup by path and id: a removed and re-created one has another id.
    Cgroup {
        /// Its directory.
        path: PathBuf,
        /// The id that the kernel gave it.
        id: u64,
    },
    /// None: it is not enforced.
    Unenforced {
        /// What is missing.
        why: String,
        /// What to do about it.
        mend: String,
    },
}

impl Record for WorkloadRecord {
    type Id = WorkloadId;

    fn key(id: &WorkloadId) -> Key {
        Key::new(format!("workload/{id}"))
    }
}

impl WorkloadRecord {
    /// Is IMDS in its network? It is in those that were made for an app, unless the app wants its port for itself, or is to have tokens only by
    /// keys that it is left: IMDS wants none.
    pub fn has_imds(&self) -> bool {
        let takes_it = self.instance.as_ref().is_some_and(|instance| instance.port == IMDS_PORT);
        self.network.is_some() && self.attached.is_none() && !takes_it && !self.arc
    }

    /// The prefix of all workloads' keys.
    pub fn prefix() -> Key {
        Key::new("workload/")
    }
}

/// Keeps a workload, if its app is there: an app that is deleted meanwhile makes this start fail.
pub(crate) fn begin(view: &View, record: &WorkloadRecord) -> Result<Decision<()>, Halt<HostError>> {
    match view.get::<App>(&record.name)? {
        Some(app) if app.id == record.app => Ok(Decision::of((), vec![store::put(&record.id, record)])),
        _ => refuse(HostError::AppNotFound(record.name.clone())),
    }
}

/// Keeps what a workload is as an instance.
pub(crate) fn keep_instance(
    view: &View,
    id: WorkloadId,
    instance: &InstanceRecord,
) -> Result<Decision<()>, Halt<HostError>> {
    let Some(record) = view.get::<WorkloadRecord>(&id)? else {
        return refuse(HostError::WorkloadNotFound(id));
    };
    let record = WorkloadRecord { instance: Some(instance.clone()), ..WorkloadRecord::clone(&record) };
    Ok(Decision::of((), vec![store::put(&id, &record)]))
}

/// Forgets a workload. Says whether there was one.
pub(crate) fn forget(view: &View, id: WorkloadId) -> Result<Decision<bool>, Halt<HostError>> {
    let exists = view.get::<WorkloadRecord>(&id)?.is_some();
    let writes = if exists { vec![store::delete::<WorkloadRecord>(&id)] } else { Vec::new() };
    Ok(Decision::of(exists, writes))
}

/// Is a workload with this cgroup over? An empty cgroup is, unless its program may still be on its way.
pub(crate) fn is_over(
    confinement: &dyn Confinement,
    started: Timestamp,
    has_been_populated: bool,
    now: Timestamp,
) -> bool {
    let is_starting = !has_been_populated && now.seconds_since(started) < START_SECONDS_MAX;
    !is_starting && !confinement.is_populated()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::id;
    use domain::Secret;

    fn record(network: Option<u64>, attached: Option<&str>, port: Option<u16>) -> WorkloadRecord {
        let instance = port.map(|port| InstanceRecord {
            revision: 1,
            port,
            deployment: None,
            seen: BTreeMap::new(),
            data: None,
            is_container: false,
            process: None,
        });
        WorkloadRecord {
            id: id(1),
            app: id(2),
            name: AppName::parse("web").unwrap(),
            secret: HashedSecret::of(&Secret::new("secret".to_owned())),
            port: 4141,
            place: PlaceRecord::Cgroup { path: "/web".into(), id: 3 },
            boot: "boot".to_owned(),
            started: Timestamp::from_seconds(0),
            instance,
            shadow: None,
            network,
            attached: attached.map(str::to_owned),
            arc: false,
        }
    }

    #[test]
    fn imds_comes_back_where_it_was_and_nowhere_else() {
        assert!(record(Some(7), None, Some(8_080)).has_imds());
        assert!(!record(Some(7), None, Some(IMDS_PORT)).has_imds(), "the app listens there");
        assert!(!record(None, None, Some(8_080)).has_imds(), "the host's network");
        assert!(!record(Some(7), Some("unit web.service"), None).has_imds(), "somebody else's network");
        let with_keys = WorkloadRecord { arc: true, ..record(Some(7), None, Some(8_080)) };
        assert!(!with_keys.has_imds(), "it wants no key");
    }

    /// What releases of before have kept of an instance.
    #[test]
    fn an_instance_of_before_is_read() {
        let old = r#"{"revision":3,"port":8080,"process":{"pid":7,"start_time":9}}"#;
        assert!(!serde_json::from_str::<InstanceRecord>(old).unwrap().is_container);
    }
}
