//! Starts one instance: its place, its endpoint, its environment, its process.
//!
//! Order: cgroup with limits, endpoint and record, then the program is born in the cgroup, under the app's account. Whatever fails takes
//! away what was made before it.

use super::{
    arc,
    container::{self, Container, Podman},
    files::AppFolder,
    log,
    references::Resolved,
    token_files,
};
use crate::{hands::aside, listen::endpoints::Endpoints};
use domain::{AppName, DeploymentId, Secret, Timestamp, WorkloadId};
use host::{
    AppNetwork, AppView, Desired, HostService, IMDS_PORT, InstanceRecord, NetworkPlace, Place, StartRequest,
    Started, workload::ProcessRecord,
};
use kernel::{
    Account, AppCgroup, Bind, KernelError, Limiter, Limits, Namespace, Network, NetworkPorts, Placement,
    Process, Program, Resources, Verdict,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

/// Open files of an instance, at most. Ours, as most distributions have it as the hard limit of services.
const FILES_MAX: u64 = 524_288;

/// The first port that is for everybody, unless the kernel is told otherwise (`ip(7)`).
const PORT_ANY_MIN: u16 = 1_024;

/// What does not change while the server runs.
pub(crate) struct Launcher {
    /// Where cgroups are made.
    pub(crate) placement: Placement,
    /// The beginning of the names of our cgroups: those of other installations begin with something else.
    pub(crate) prefix: String,
    /// Where the endpoints in networks of their own are.
    pub(crate) endpoints: Arc<Endpoints>,
    /// The public port, which is found in networks of their own, too.
    pub(crate) public_port: u16,
    /// Do our names lead to 127.0.0.1, where our doors in networks of their own are?
    pub(crate) has_loopback: bool,
    /// The installation, as our containers are marked with it.
    pub(crate) tenant: String,
    /// Its data directory: a copy of that at another place is another installation.
    pub(crate) data: PathBuf,
    /// Beside the files that programs need to trust us: the file that programs see as `/etc/hosts`.
    pub(crate) hosts: PathBuf,
    /// Apps' domain in Landlock, where we are no root and the kernel has it.
    pub(crate) landlock: Option<kernel::Landlock>,
}

/// A started instance.
pub(crate) struct Launched {
    pub(crate) workload: WorkloadId,
    pub(crate) port: u16,
    /// Its first process; of a container podman's, outside of the cgroup.
    pub(crate) process: Process,
    pub(crate) cgroup: Option<Arc<AppCgroup>>,
    /// What it runs from.
    pub(crate) deployment: Option<DeploymentId>,
    /// What it got for the references in its settings.
    pub(crate) seen: BTreeMap<String, String>,
    pub(crate) is_container: bool,
    /// Is it in a network of its own? A container is in any case.
    pub(crate) has_own_network: bool,
    /// Its limits.
    pub(crate) limiter: Option<Limiter>,
    /// What is not enforced, and why.
    pub(crate) unenforced: Vec<String>,
    pub(crate) enforced: bool,
    /// What was overridden or removed in the environment.
    pub(crate) notices: Vec<String>,
}

impl fmt::Debug for Launched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Launched").field("workload", &self.workload).finish_non_exhaustive()
    }
}

/// What a process is born with.
struct Birth<'a> {
    folder: &'a AppFolder,
    desired: &'a Desired,
    directory: &'a Path,
    environment: &'a BTreeMap<String, Secret<String>>,
    cgroup: Option<&'a AppCgroup>,
    limiter: Option<&'a Limiter>,
    /// What it sees elsewhere, besides its `/etc/hosts`; without, it is not started.
    binds: Vec<Bind>,
}

/// How long a program may take to begin. Ours: it takes milliseconds, and a disk that is slow some seconds.
pub(super) const BIRTH_TIME_MAX: Duration = Duration::from_secs(30);

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
    /// The data directory was copied, or was away so long that its block is another's.
    #[error(
        "its account is not one of this installation's on this machine: deploy it again, and it gets a new one"
    )]
    Account,
    /// Its files are below a folder that its account cannot pass.
    #[error("{0}")]
    Closed(String),
    #[error("a container: {0}")]
    Container(String),
    #[error("a network of its own: {0}")]
    Network(String),
    #[error("Azure Arc's protocol: {0}")]
    Arc(String),
    /// It runs, and cannot be kept: it is to be ended.
    #[error("it was started and cannot be kept")]
    Unkept(#[source] host::HostError, Box<Launched>),
}

/// A network for a program that this server starts. Blocks.
fn own_network(ports: &NetworkPorts) -> Result<Network, KernelError> {
    if kernel::is_root() { Network::create(ports) } else { Network::create_own(ports) }
}

fn no_network(why: impl fmt::Display) -> LaunchError {
    LaunchError::Network(why.to_string())
}

impl Launcher {
    /// How the names of cgroups begin in which packages are built.
    pub(super) fn build_prefix(&self) -> String {
        format!("{}build-", self.prefix)
    }

    /// The account that an app's files and processes belong to.
    pub(crate) fn account(&self, desired: &Desired) -> Option<u32> {
        kernel::is_root().then_some(desired.account)
    }

    /// A cgroup of its own, where there can be any. Where there can, and this one cannot be made, nothing is started.
    fn place(&self, app: &AppName) -> Result<(Place, Option<AppCgroup>), KernelError> {
        let parent = match &self.placement {
            Placement::Root { parent } | Placement::Delegated { parent } => parent,
            Placement::NotDelegated { why, mend } => {
                return Ok((Place::Unenforced { why: why.clone(), mend: mend.clone() }, None));
            }
        };
        let random = u64::from_be_bytes(domain::world::random(&crypt::SystemEntropy));
        let cgroup = AppCgroup::create(parent, &format!("{}{}-{random:016x}", self.prefix, app.folded()))?;
        Ok((Place::Cgroup(cgroup.path().to_owned()), Some(cgroup)))
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
        let image = deployment.image.as_ref();
        if image.is_none() && desired.start_command().is_none() {
            return Err(LaunchError::NoCommand);
        }
        if kernel::is_root() && !host.has_account(desired)? {
            return Err(LaunchError::Account);
        }
        if let (None, Some(_), Some(why)) = (image, self.account(desired), folder.closed()) {
            return Err(LaunchError::Closed(why));
        }
        let podman = match image {
            Some(_) => Some(self.podman().await.map_err(LaunchError::Container)?),
            None => None,
        };
        let directory = folder.deployment(deployment.id);
        let name = &view.app.name;
        let limits = limits(desired);
        let search: Vec<_> = deployment.path.iter().map(|own| directory.join(own)).collect();
        let mut environment = match image {
            None => base(folder, &search),
            // What else is in its environment is the image's own.
            Some(_) => BTreeMap::new(),
        };
        let own = desired.has_own_network();
        let (port, network) = if own {
            if desired.network == AppNetwork::Own {
                self.has_names_inside().map_err(LaunchError::Network)?;
            }
            let port = container::port(&resolved.environment, self.public_port)?;
            let ports = ports(self.public_port, has_imds(port, desired.arc));
            (port, NetworkPlace::Made(self.network(podman.clone(), ports).await?))
        } else {
            (free_port()?, NetworkPlace::Ours)
        };
        if desired.arc {
            self.azure_arc(image.is_some()).map_err(LaunchError::Arc)?;
        }
        let (place, cgroup) = self.place(name)?;
        let limiter = cgroup.as_ref().map(|cgroup| Limiter::apply(&limits, cgroup));
        let unenforced = unenforced(matches!(place, Place::Cgroup(_)), &limits, limiter.as_ref());
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
            of: Some(view.app.id),
            place,
            // It was asked for what only the kernel gives: never silently without.
            require_enforced: desired.network == AppNetwork::Own,
            environment: told,
            instance: Some(self.record(desired, resolved, port, None)),
            as_azure: false,
            network,
            attached: None,
            arc: desired.arc,
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
        let mut notices = started.injection.notices.clone();
        if desired.token_file {
            match self.token_file(host, folder, view, desired, &started, &environment, now) {
                Ok(variables) => environment.extend(variables),
                Err(why) => notices.push(format!("no token file: {why}")),
            }
        }
        let account = self.account(desired);
        let binds = match arc::give(desired.arc, folder, started.workload, account, image.is_some()) {
            Ok(binds) => binds,
            Err(error) => {
                // What is there of it for its program goes with the next sweep.
                let _gone = host.end(started.workload).await;
                leave(cgroup);
                return Err(LaunchError::Arc(error));
            }
        };
        let birth = Birth {
            folder,
            desired,
            directory: &directory,
            environment: &environment,
            cgroup: cgroup.as_ref(),
            limiter: limiter.as_ref(),
            binds,
        };
        let spawned = match &podman {
            Some(podman) => self.run(podman, started.workload, &birth),
            None => self.spawn(&birth, started.workload),
        };
        let process = match spawned {
            Ok(process) => process,
            Err(error) => {
                // What is there of it for its program goes with the next sweep.
                let _gone = host.end(started.workload).await;
                leave(cgroup);
                return Err(error);
            }
        };
        let launched = Launched {
            workload: started.workload,
            port,
            process,
            cgroup: cgroup.map(Arc::new),
            deployment: Some(deployment.id),
            seen: resolved.seen.clone(),
            is_container: image.is_some(),
            has_own_network: own,
            limiter,
            enforced: started.enforcement.is_enforced(),
            unenforced,
            notices: self::notices(&notices, own, port, desired.arc, kernel::has_all_ports()),
        };
        let start_time = launched.process.start_time().unwrap_or_default();
        let process = Some(ProcessRecord { pid: launched.process.id(), start_time });
        let record = self.record(desired, resolved, port, process);
        if let Err(error) = host.keep_instance(launched.workload, &record).await {
            // Its app was deleted meanwhile, or nothing can be written: nobody would find it again.
            return Err(LaunchError::Unkept(error, Box::new(launched)));
        }
        Ok(launched)
    }

    /// What is kept of an instance of what is desired.
    fn record(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        port: u16,
        process: Option<ProcessRecord>,
    ) -> InstanceRecord {
        let deployment = desired.deployment.as_ref();
        InstanceRecord {
            revision: desired.revision,
            port,
            deployment: deployment.map(|deployment| deployment.id),
            seen: resolved.seen.clone(),
            data: Some(self.data.clone()),
            is_container: deployment.is_some_and(|deployment| deployment.image.is_some()),
            process,
        }
    }

    /// Did this installation start it, and not one of which this is a copy? One that was moved is the same.
    pub(super) fn has_started(&self, instance: &InstanceRecord) -> bool {
        instance.data.as_ref().is_none_or(|data| *data == self.data || !data.exists())
    }

    /// What an instance that is to have a token file is told of it.
    #[expect(clippy::too_many_arguments, reason = "all that a start has come to")]
    fn token_file(
        &self,
        host: &HostService,
        folder: &AppFolder,
        view: &AppView,
        desired: &Desired,
        started: &Started,
        environment: &BTreeMap<String, Secret<String>>,
        now: Timestamp,
    ) -> Result<Vec<(String, Secret<String>)>, String> {
        if desired.deployment.as_ref().is_some_and(|deployment| deployment.image.is_some()) {
            return Err(
                "it is not put into containers, whose users are their own: they have the endpoint".to_owned()
            );
        }
        let account = self.account(desired);
        let given = token_files::give(host, folder, view, started, environment, account, now)?;
        Ok(given.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect())
    }

    /// Can programs have a network of their own here?
    ///
    /// # Errors
    /// No, and why.
    pub(super) fn own_networks(&self) -> Result<(), String> {
        self.has_names_inside()?;
        self.keeps_apart()?;
        if kernel::is_root() {
            return Ok(());
        }
        // Whether this user may make user namespaces is known to who has tried.
        let tried = own_network(&NetworkPorts { loopback: Vec::new(), metadata: false });
        tried.map(drop).map_err(|error| {
            format!(
                "is not to be had: {} (an ordinary user needs user namespaces; root does not)",
                domain::chain(&error)
            )
        })
    }

    fn has_names_inside(&self) -> Result<(), String> {
        if self.has_loopback {
            return Ok(());
        }
        Err("needs a server that listens at 127.0.0.1: its setting `listen` has the vaults' names lead to other addresses, which are not in such a network".to_owned())
    }

    /// Can programs be given keys as Azure Arc's clients look for them?
    ///
    /// # Errors
    /// No, and why.
    pub(super) fn azure_arc(&self, is_container: bool) -> Result<(), String> {
        self.keeps_apart()?;
        if is_container {
            // Podman mounts there, whatever is on this machine.
            return Ok(());
        }
        arc::place().map(drop)
    }

    /// The same for who asks before any start, of which it would be found then.
    pub(super) fn may_have_azure_arc(&self, is_container: bool) -> Result<(), String> {
        self.azure_arc(is_container)?;
        if is_container || kernel::is_root() {
            return Ok(());
        }
        // Whether this user may make user namespaces is known to who has tried.
        let line = within(&self.hosts, &[], false, vec!["/bin/true".into()]);
        let mut command = std::process::Command::new("/proc/self/exe");
        command.args(line.iter().skip(1)).stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
        let tried = command.output().map_err(|error| error.to_string())?;
        let why = || String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        if tried.status.success() { Ok(()) } else { Err(format!("needs user namespaces: {}", why())) }
    }

    /// Does the kernel keep apps apart here? What is given to whom it names, and to nobody else, is not given without.
    fn keeps_apart(&self) -> Result<(), String> {
        match &self.placement {
            Placement::Root { .. } | Placement::Delegated { .. } => Ok(()),
            Placement::NotDelegated { why, mend } => {
                Err(format!("is for apps that the kernel keeps apart, and here it does not: {why} ({mend})"))
            }
        }
    }

    /// The container engine, asked for each time: it may be installed while we run.
    pub(super) async fn podman(&self) -> Result<Arc<Podman>, String> {
        let (placement, tenant) = (self.placement.clone(), self.tenant.clone());
        let found = tokio::task::spawn_blocking(move || Podman::find(&placement, &tenant));
        found.await.unwrap_or_else(|error| Err(error.to_string())).map(Arc::new)
    }

    /// The same, once it is certain that there can be containers: asked before a deployment, as it takes podman a moment.
    pub(super) async fn proven_podman(&self) -> Result<Arc<Podman>, String> {
        let podman = self.podman().await?;
        let proven = tokio::task::spawn_blocking(move || podman.prove().map(|()| podman)).await;
        proven.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// A network for an instance that listens on this port: no way out, and our doors in it.
    async fn network(
        &self,
        podman: Option<Arc<Podman>>,
        ports: NetworkPorts,
    ) -> Result<Network, LaunchError> {
        let Some(podman) = podman else {
            let made = tokio::task::spawn_blocking(move || own_network(&ports)).await;
            return Ok(made.map_err(no_network)??);
        };
        let made = tokio::task::spawn_blocking(move || podman.network(&ports)).await;
        made.unwrap_or_else(|error| Err(error.to_string())).map_err(LaunchError::Container)
    }

    fn run(&self, podman: &Podman, workload: WorkloadId, birth: &Birth<'_>) -> Result<Process, LaunchError> {
        let Birth { folder, desired, environment, cgroup, limiter, ref binds, .. } = *birth;
        let cgroup = cgroup.ok_or_else(|| LaunchError::Container("there is no cgroup for it".to_owned()))?;
        let image = desired.deployment.as_ref().and_then(|deployment| deployment.image.as_ref());
        let image = &image.ok_or(LaunchError::NoCommand)?.id;
        let inside = self.endpoints.inside(workload);
        let inside = inside.ok_or_else(|| LaunchError::Container("there is no network for it".to_owned()))?;
        let container = Container {
            name: container::name(workload),
            image,
            command: desired.start_command(),
            environment,
            cgroup,
            joins: limiter.map(Limiter::joins).unwrap_or_default(),
            network: &inside.namespace().map_err(no_network)?.path(),
            trust: self.hosts.parent().unwrap_or(&self.hosts),
            hosts: &self.hosts,
            keys: binds.first().map(|bind| &*bind.source),
            output: &log::open(folder)?,
        };
        Ok(podman.run(&container)?)
    }

    /// A program that sees our names: by itself, or where we are no root by a command that makes that so and becomes the program.
    fn named(&self, arguments: Vec<OsString>, binds: &[Bind]) -> (Vec<OsString>, Option<PathBuf>, Vec<Bind>) {
        if kernel::is_root() {
            return (arguments, self.hosts.exists().then(|| self.hosts.clone()), binds.to_vec());
        }
        (within(&self.hosts, binds, self.landlock.is_some(), arguments), None, Vec::new())
    }

    fn spawn(&self, birth: &Birth<'_>, workload: WorkloadId) -> Result<Process, LaunchError> {
        let Birth { folder, desired, directory, environment, cgroup, limiter, ref binds } = *birth;
        let inside = self.endpoints.inside(workload);
        if inside.is_none() && desired.has_own_network() {
            return Err(no_network("it is gone"));
        }
        let network = inside.as_ref().map(|inside| inside.namespace()).transpose().map_err(no_network)?;
        let command = desired.start_command().ok_or(LaunchError::NoCommand)?;
        let output = log::open(folder)?;
        let arguments = package::shell(command).map(OsString::from);
        let (arguments, hosts, binds) = self.named(arguments.into(), binds);
        let mut program = Program {
            arguments,
            environment: environment
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value.expose())))
                .collect(),
            directory: Some(directory.to_owned()),
            hosts,
            binds,
            cgroup: cgroup.map(AppCgroup::directory),
            joins: limiter.map(Limiter::joins).unwrap_or_default(),
            users: network.and_then(Namespace::users),
            network: network.map(AsFd::as_fd),
            account: self.account(desired).and_then(|account| Account::new(account, account)),
            output: Some(output.as_fd()),
            input: None,
            resources: Some(Resources { processes: None, files: Some(FILES_MAX) }),
            // By `keyless within` otherwise: behind it nobody mounts anything.
            landlock: None,
        };
        let mut spawned = born(&program, cgroup, BIRTH_TIME_MAX);
        if let (Err(KernelError::Namespace(error)), true) = (&spawned, program.binds.is_empty()) {
            tracing::warn!(%error, "an app gets no /etc/hosts of its own: the vaults' names must resolve otherwise");
            program.hosts = None;
            spawned = born(&program, cgroup, BIRTH_TIME_MAX);
        }
        let scrubbed = std::mem::take(&mut program.environment);
        drop(program);
        scrub(scrubbed);
        Ok(spawned?)
    }
}

/// Our own command that makes `/etc/hosts` and the Landlock domain, and becomes the program. A domain that we say there is it must have.
fn within(hosts: &Path, binds: &[Bind], has_domain: bool, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut whole: Vec<OsString> = ["/proc/self/exe", "within", "--hosts"].map(OsString::from).into();
    whole.push(hosts.into());
    for Bind { source, target } in binds {
        whole.extend(["--bind".into(), source.into(), target.into()]);
    }
    whole.extend(has_domain.then(|| "--landlock".into()));
    whole.push("--".into());
    whole.extend(arguments);
    whole
}

/// Starts a program while others go on. One that has become another user may be stopped by that user's other programs before it begins, and
/// whoever started it waits: then it is ended, with all of its cgroup.
pub(super) fn born(
    program: &Program<'_>,
    cgroup: Option<&AppCgroup>,
    time: Duration,
) -> Result<Process, KernelError> {
    let cgroup = cgroup.and_then(|cgroup| AppCgroup::open(cgroup.path()).ok());
    let late = cgroup.map(|cgroup| {
        let ending = async move {
            tokio::time::sleep(time).await;
            let _killed = tokio::task::spawn_blocking(move || cgroup.kill()).await;
        };
        tokio::spawn(ending).abort_handle()
    });
    let born = aside(|| kernel::spawn(program));
    if let Some(late) = late {
        late.abort();
    }
    born
}

/// The environment held every secret of the app in clear.
pub(super) fn scrub(environment: Vec<(OsString, OsString)>) {
    for (_, value) in environment {
        drop(Secret::new(std::os::unix::ffi::OsStringExt::into_vec(value)));
    }
}

/// Where we listen in the network of an instance that listens on a port.
fn ports(public: u16, has_imds: bool) -> NetworkPorts {
    NetworkPorts { loopback: vec![0, public], metadata: has_imds }
}

/// Not where the app wants its port, nor where tokens are for who brings a key: IMDS wants none.
const fn has_imds(port: u16, is_arc: bool) -> bool {
    port != IMDS_PORT && !is_arc
}

/// What a start tells: of the environment, and of what is not in its network.
fn notices(
    injected: &[String],
    has_own_network: bool,
    port: u16,
    is_arc: bool,
    has_all_ports: bool,
) -> Vec<String> {
    let no_imds = has_own_network && !has_imds(port, is_arc);
    let why = match is_arc {
        true => "it wants no key, as Azure Arc's protocol does, which is switched on",
        false => "the app listens on its port, 80 (setting WEBSITES_PORT)",
    };
    let told = no_imds.then(|| format!("IMDS is not at 169.254.169.254: {why}"));
    let is_low = has_own_network && port < PORT_ANY_MIN && !has_all_ports;
    let low = is_low.then(|| {
        format!("port {port} cannot be listened on: /proc/sys is read-only here, so that those below {PORT_ANY_MIN} are root's; choose another by the setting WEBSITES_PORT")
    });
    injected.iter().cloned().chain(told).chain(low).collect()
}

/// What an instance may use.
pub(super) fn limits(desired: &Desired) -> Limits {
    Limits {
        memory_bytes: desired.limits.memory_mib.map(|mib| u64::from(mib) << 20),
        cpu_thousandths: desired.limits.cpu_thousandths,
        processes: desired.limits.processes,
    }
}

/// What of the limits nobody enforces, and why.
pub(super) fn unenforced(has_cgroup: bool, limits: &Limits, limiter: Option<&Limiter>) -> Vec<String> {
    let Some(limiter) = limiter else {
        let is_missed = !has_cgroup && *limits != Limits::default();
        return is_missed.then(|| "limits: it has no cgroup of its own".to_owned()).into_iter().collect();
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

/// Ends what was started, and all that it has started. A container's podman ends by itself after it, and cleans up; one that has come to
/// no container yet is ended.
pub(crate) fn end_at_once(process: &Process, cgroup: Option<&AppCgroup>, is_container: bool) {
    if is_container && cgroup.is_some_and(|cgroup| cgroup.is_populated() && cgroup.kill().is_ok()) {
        return;
    }
    let killed = cgroup.map(AppCgroup::kill);
    if is_container {
        let _ended = process.signal(SIGKILL);
    } else if !matches!(killed, Some(Ok(()))) {
        signal_group(process, SIGKILL);
    }
}

/// For where there is no cgroup: what an app has started ends with it, as far as it has stayed in its group. It alone where the kernel cannot
/// tell whose group that is: before Linux 6.9, of an instance that an earlier life of ours started.
pub(super) fn signal_group(process: &Process, number: i32) {
    if process.signal_group(number).is_err() {
        let _may_have_ended = process.signal(number);
    }
}

/// The same number on every Linux.
pub(super) const SIGKILL: i32 = 9;

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn an_app_that_listens_on_port_80_or_is_to_bring_a_key_has_no_imds_and_is_told_so() {
        assert_eq!(ports(8_443, true), NetworkPorts { loopback: vec![0, 8_443], metadata: true });
        assert!(has_imds(8_080, false) && !has_imds(80, false) && !has_imds(8_080, true));
        let injected = ["A is removed".to_owned()];
        assert_eq!(notices(&injected, true, 8_080, false, false), injected);
        assert_eq!(notices(&injected, false, 80, true, false), injected);
        let low = notices(&injected, true, 81, false, false);
        assert!(low.len() == 2 && low[1].contains("port 81") && low[1].contains("WEBSITES_PORT"), "{low:?}");
        for (port, is_arc, why) in [(80, false, "WEBSITES_PORT"), (8_080, true, "Azure Arc")] {
            let told = notices(&injected, true, port, is_arc, true);
            assert!(
                told.len() == 2 && told[1].contains("169.254.169.254") && told[1].contains(why),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_program_is_not_started_without_the_domain_that_is_told_of_it() {
        let whole = |has_domain| {
            within(Path::new("/h"), &[], has_domain, ["app", "--landlock"].map(OsString::from).into())
        };
        assert_eq!(
            whole(true),
            ["/proc/self/exe", "within", "--hosts", "/h", "--landlock", "--", "app", "--landlock"]
        );
        assert_eq!(whole(false), ["/proc/self/exe", "within", "--hosts", "/h", "--", "app", "--landlock"]);
        let bind = Bind { source: "/keys".into(), target: "/var/opt".into() };
        let whole = within(Path::new("/h"), &[bind], false, vec!["app".into()]);
        let expected =
            ["/proc/self/exe", "within", "--hosts", "/h", "--bind", "/keys", "/var/opt", "--", "app"];
        assert_eq!(whole, expected);
    }

    /// As one that another program of its user has stopped before it begins: here it waits to write into a pipe that is full.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn one_that_does_not_begin_is_ended_and_holds_nobody_up_meanwhile() {
        if !kernel::is_root() {
            eprintln!("skipped: a cgroup to end something by needs root");
            return;
        }
        let parent = kernel::Hierarchy::discover().unwrap().own;
        let cgroup = AppCgroup::create(&parent, &format!("keyless-unborn-{}", std::process::id())).unwrap();
        // As much as goes into one of root's (pipe(7)).
        let (_read, mut write) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut write, &[0; 65_536]).unwrap();
        let program = Program {
            arguments: vec!["/bin/true".into()],
            cgroup: Some(cgroup.directory()),
            joins: vec![write.as_fd()],
            ..Program::default()
        };
        let others = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            std::time::Instant::now()
        });
        let time = Duration::from_millis(500);
        let began = std::time::Instant::now();
        // Nobody says why a program that was killed did not begin.
        let ended = born(&program, Some(&cgroup), time).unwrap();
        assert_eq!(ended.wait().unwrap(), kernel::Ended::Killed(9));
        assert!(began.elapsed() >= time);
        assert!(others.await.unwrap() < began + time, "others go on");
        cgroup.remove().unwrap();
    }

    /// A process that has started another one, and the end of what both of them may write to.
    pub(in crate::apps) fn with_a_child() -> (Process, std::io::PipeReader) {
        let (mut read, write) = std::io::pipe().unwrap();
        let program = Program {
            arguments: ["/bin/sh", "-c", "sleep 60 & echo; wait"].map(OsString::from).into(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            output: Some(write.as_fd()),
            ..Program::default()
        };
        let process = kernel::spawn(&program).unwrap();
        std::io::Read::read_exact(&mut read, &mut [0]).unwrap();
        (process, read)
    }

    /// Nobody who held the other end is there any more.
    pub(in crate::apps) fn are_gone(read: std::io::PipeReader) {
        let (said, gone) = std::sync::mpsc::channel();
        std::thread::spawn(move || said.send(std::io::read_to_string(read)));
        gone.recv_timeout(std::time::Duration::from_secs(10)).unwrap().unwrap();
    }

    #[test]
    fn without_a_cgroup_what_an_app_has_started_ends_with_it() {
        let (process, read) = with_a_child();
        end_at_once(&process, None, false);
        process.wait().unwrap();
        are_gone(read);
    }
}
