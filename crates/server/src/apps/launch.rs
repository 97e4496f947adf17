//! Starts one instance: its place, its endpoint, its environment, its process.
//!
//! Order: cgroup with limits, endpoint and record, then the program is born in the cgroup, under the app's account. Whatever fails takes
//! away what was made before it.

use super::{chain, files::AppFolder, log, references::Resolved};
use domain::{AppName, Secret, Timestamp, WorkloadId};
use host::{AppView, Desired, HostService, InstanceRecord, Place, Reach, StartRequest, workload::ProcessRecord};
use kernel::{
    Account, AppCgroup, KernelError, Limiter, Limits, Placement, Process, Program, Resources, Verdict,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// Open files of an instance, at most. Ours, as most distributions have it as the hard limit of services.
const FILES_MAX: u64 = 524_288;

/// What does not change while the server runs.
pub(crate) struct Launcher {
    /// Where cgroups are made.
    pub(crate) placement: Placement,
    /// The beginning of the names of our cgroups: those of other installations begin with something else.
    pub(crate) prefix: String,
    /// The file that programs see as `/etc/hosts`.
    pub(crate) hosts: PathBuf,
    /// Apps' domain in Landlock, where we are no root and the kernel has it.
    pub(crate) landlock: Option<kernel::Landlock>,
}

/// A started instance.
pub(crate) struct Launched {
    pub(crate) workload: WorkloadId,
    pub(crate) port: u16,
    pub(crate) process: Process,
    pub(crate) cgroup: Option<AppCgroup>,
    /// Its limits.
    pub(crate) limiter: Option<Limiter>,
    /// What is not enforced, and why.
    pub(crate) unenforced: Vec<String>,
    pub(crate) enforced: bool,
    /// What was overridden or removed in the environment.
    pub(crate) notices: Vec<String>,
}

/// Why an instance was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Host(#[from] host::HostError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("its files or its port: {0}")]
    File(#[from] std::io::Error),
    #[error("nothing is deployed, or there is no start command")]
    NoCommand,
}

impl Launcher {
    /// The account that an app's files and processes belong to.
    pub(crate) fn account(&self, desired: &Desired) -> Option<u32> {
        kernel::is_root().then_some(desired.account)
    }

    /// A cgroup of its own, if there can be one.
    fn place(&self, app: &AppName) -> (Place, Option<AppCgroup>) {
        let nowhere = |why: String, mend: String| (Place::Unenforced { why, mend }, None);
        let parent = match &self.placement {
            Placement::Root { parent } | Placement::Delegated { parent } => parent,
            Placement::NotDelegated { why, mend } => return nowhere(why.clone(), mend.clone()),
        };
        let random = u64::from_be_bytes(domain::world::random(&crypt::SystemEntropy));
        match AppCgroup::create(parent, &format!("{}{}-{random:016x}", self.prefix, app.folded())) {
            Ok(cgroup) => (Place::Cgroup(cgroup.path().to_owned()), Some(cgroup)),
            Err(error) => nowhere(chain(&error), "see `keyless doctor`".to_owned()),
        }
    }

    /// Starts an instance of what is desired.
    pub(crate) async fn launch(
        &self,
        host: &HostService,
        folder: &AppFolder,
        view: &AppView,
        desired: &Desired,
        resolved: &Resolved,
        now: Timestamp,
    ) -> Result<Launched, LaunchError> {
        let deployment = desired.deployment.as_ref().ok_or(LaunchError::NoCommand)?;
        let command = desired.start_command().ok_or(LaunchError::NoCommand)?;
        let directory = folder.deployment(deployment.id);
        let name = &view.app.name;
        let limits = Limits {
            memory_bytes: desired.limits.memory_mib.map(|mib| u64::from(mib) << 20),
            cpu_thousandths: desired.limits.cpu_thousandths,
            processes: desired.limits.processes,
        };
        let search: Vec<_> = deployment.path.iter().map(|own| directory.join(own)).collect();
        let (place, cgroup) = self.place(name);
        let limiter = cgroup.as_ref().map(|cgroup| Limiter::apply(&limits, cgroup));
        let unenforced = unenforced(&place, &limits, limiter.as_ref());
        let port = free_port()?;
        let mut environment = base(folder, &search);
        for (name, value) in &resolved.environment {
            environment.insert(name.clone(), Secret::new(value.expose().clone()));
        }
        let told = environment
            .iter()
            .map(|(name, value)| {
                let is_needed = host::inject::VALUES_NEEDED.contains(&name.as_str());
                (name.clone(), is_needed.then(|| value.expose().clone()))
            })
            .collect();
        let request = StartRequest {
            place,
            require_enforced: false,
            environment: told,
            instance: Some(InstanceRecord { revision: desired.revision, port, process: None }),
            reach: Reach::Ours,
            attached: None,
        };
        let started = match host.start(name, request, now).await {
            Ok(started) => started,
            Err(error) => {
                leave(cgroup);
                return Err(error.into());
            }
        };
        for gone in &started.injection.unset {
            environment.remove(gone);
        }
        for (name, value) in &started.injection.set {
            environment.insert(name.clone(), Secret::new(value.expose().clone()));
        }
        environment.insert("PORT".to_owned(), Secret::new(port.to_string()));
        environment.insert("WEBSITE_SITE_NAME".to_owned(), Secret::new(name.to_string()));
        environment.insert("WEBSITE_INSTANCE_ID".to_owned(), Secret::new(started.workload.to_string()));
        let spawned =
            self.spawn(folder, desired, command, &directory, &environment, cgroup.as_ref(), limiter.as_ref());
        let process = match spawned {
            Ok(process) => process,
            Err(error) => {
                let _gone = host.end(started.workload).await;
                leave(cgroup);
                return Err(error);
            }
        };
        let launched = Launched {
            workload: started.workload,
            port,
            process,
            cgroup,
            limiter,
            enforced: started.enforcement.is_enforced(),
            unenforced,
            notices: started.injection.notices.clone(),
        };
        let start_time = launched.process.start_time().unwrap_or_default();
        let process = Some(ProcessRecord { pid: launched.process.id(), start_time });
        let record = InstanceRecord { revision: desired.revision, port, process };
        if let Err(error) = host.keep_instance(launched.workload, &record).await {
            // Its app was deleted meanwhile, or nothing can be written: nobody would find it again.
            let Launched { workload, process, cgroup, .. } = launched;
            end_at_once(&process, cgroup.as_ref());
            let _gone = host.end(workload).await;
            leave(cgroup);
            return Err(error.into());
        }
        Ok(launched)
    }

    fn spawn(
        &self,
        folder: &AppFolder,
        desired: &Desired,
        command: &str,
        directory: &Path,
        environment: &BTreeMap<String, Secret<String>>,
        cgroup: Option<&AppCgroup>,
        limiter: Option<&Limiter>,
    ) -> Result<Process, LaunchError> {
        let output = log::open(folder)?;
        let mut program = Program {
            arguments: package::shell(command).map(OsString::from).into(),
            environment: environment
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value.expose())))
                .collect(),
            directory: Some(directory.to_owned()),
            hosts: self.hosts.exists().then(|| self.hosts.clone()),
            cgroup: cgroup.map(AppCgroup::directory),
            joins: limiter.map(Limiter::joins).unwrap_or_default(),
            network: None,
            account: self.account(desired).and_then(|account| Account::new(account, account)),
            output: Some(output.as_fd()),
            resources: Some(Resources { processes: None, files: Some(FILES_MAX) }),
            landlock: self.landlock.as_ref(),
        };
        let mut spawned = kernel::spawn(&program);
        if let Err(KernelError::Namespace(error)) = &spawned {
            tracing::warn!(%error, "an app gets no /etc/hosts of its own: the vaults' names must resolve otherwise");
            program.hosts = None;
            spawned = kernel::spawn(&program);
        }
        let scrubbed = std::mem::take(&mut program.environment);
        drop(program);
        scrub(scrubbed);
        Ok(spawned?)
    }
}

/// The environment held every secret of the app in clear.
pub(super) fn scrub(environment: Vec<(OsString, OsString)>) {
    for (_, value) in environment {
        drop(Secret::new(std::os::unix::ffi::OsStringExt::into_vec(value)));
    }
}

/// What of the limits nobody enforces, and why.
pub(super) fn unenforced(place: &Place, limits: &Limits, limiter: Option<&Limiter>) -> Vec<String> {
    let Some(limiter) = limiter else {
        let why = match place {
            Place::Unenforced { why, .. } => why,
            Place::Cgroup(_) => return Vec::new(),
        };
        return if *limits == Limits::default() { Vec::new() } else { vec![format!("limits: {why}")] };
    };
    let applied = limiter.applied();
    [&applied.memory, &applied.cpu, &applied.processes]
        .into_iter()
        .filter_map(|verdict| match verdict {
            Verdict::Enforced => None,
            Verdict::Unenforced { why, .. } => Some(why.clone()),
        })
        .collect()
}

/// Ends what was started, and all that it has started.
pub(crate) fn end_at_once(process: &Process, cgroup: Option<&AppCgroup>) {
    let killed = cgroup.map(AppCgroup::kill);
    if !matches!(killed, Some(Ok(()))) {
        let _ended = process.signal(SIGKILL);
    }
}

/// The same number on every Linux.
const SIGKILL: i32 = 9;

fn leave(cgroup: Option<AppCgroup>) {
    if let Some(cgroup) = cgroup {
        let _best_effort = cgroup.remove();
    }
}

/// A port of 127.0.0.1 that is free at this moment. Whoever takes it before the app does is found out: requests go only to sockets of the
/// app's own cgroup.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// What every program gets, before settings.
pub(super) fn base(folder: &AppFolder, search: &[PathBuf]) -> BTreeMap<String, Secret<String>> {
    let mut path = String::new();
    for own in search {
        path.push_str(&own.to_string_lossy());
        path.push(':');
    }
    path.push_str("/usr/local/bin:/usr/bin:/bin");
    [
        ("PATH", path),
        ("HOME", folder.home().to_string_lossy().into_owned()),
        ("TMPDIR", folder.temporary().to_string_lossy().into_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), Secret::new(value)))
    .into()
}
