//! Shadow mode (ADR 0021): for one program's process tree, and for nothing else, the public cloud's names lead here.
//!
//! Owns: one listener for each such program, on port 443 of a loopback address of its own; what its tree needs to find and to trust it: a
//! hosts file, and trust files that have the shadow authority in them. Owns not: which names are ours at which door (`domain::HostNames`),
//! what is answered there (`wire::PublicService::as_azure`).
//!
//! Whoever else connects to such an address gets what the public door gives: nothing without a token. It is no secret, and no boundary.

mod authority;

use crate::{
    clock::SystemClock,
    error::StartError,
    listen::{
        moved,
        public::{Public as Door, listen},
    },
    origin::Observer,
    run::tls,
    tasks::boxed,
    trust::{self, Hosts, NamesChange, Public},
};
use crypt::{Authority, Key256};
use domain::{Clock, Entropy, Timestamp, WorkloadId, limits};
use host::{ShadowDoor, ShadowDoors, ShadowFault, TrustFiles, shadow::Opening};
use std::{
    collections::HashMap,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};
use store::Store;
use tokio::{net::TcpListener, runtime::Handle, sync::watch};
use tokio_rustls::TlsAcceptor;
use wire::{PublicService, Services};

/// What clients of the public cloud connect to, and no other: its names have no port in them.
const PORT: u16 = 443;
/// Addresses are looked for in 127.75.0.0/16: far from those that systems use for themselves (127.0.0.1, 127.0.1.1, 127.0.0.53).
const NETWORK: [u8; 2] = [127, 75];
/// How hosts files of programs are named.
const HOSTS: &str = "hosts-";

/// What does not change while the server runs.
pub(crate) struct ShadowSettings {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) root: Arc<Key256>,
    pub(crate) files: Arc<Public>,
    /// The certificate of the installation's own authority: it stays trusted in shadow mode, too.
    pub(crate) authority_pem: String,
    pub(crate) observer: Arc<Observer>,
    /// Where the server's own public listener is.
    pub(crate) public: Vec<SocketAddr>,
    pub(crate) runtime: Handle,
}

/// The doors of all programs in shadow mode.
pub(crate) struct Shadows {
    settings: ShadowSettings,
    /// Set once all services are there; they hold us, so we hold them weakly.
    services: OnceLock<Weak<Services>>,
    open: Mutex<HashMap<WorkloadId, Open>>,
    /// Of doors that were closed all at once: until nobody listens to it there are connections.
    closed: Mutex<Vec<watch::Sender<bool>>>,
    /// Held while the authority is loaded and what trusts it is written: two that begin at the same time would both make files of one name.
    trusting: tokio::sync::Mutex<()>,
}

struct Open {
    /// Ends the listener and its connections, also when it is dropped.
    stop: watch::Sender<bool>,
    hosts: Hosts,
}

impl Open {
    fn close(self) -> watch::Sender<bool> {
        let _nobody_listens = self.stop.send(true);
        self.stop
    }
}

impl Shadows {
    pub(crate) fn new(settings: ShadowSettings) -> Self {
        Self {
            settings,
            services: OnceLock::new(),
            open: Mutex::default(),
            closed: Mutex::default(),
            trusting: tokio::sync::Mutex::default(),
        }
    }

    /// The installation's public files.
    pub(crate) fn files(&self) -> &Public {
        &self.settings.files
    }

    /// Tells which services answer. Once, before anything is opened.
    pub(crate) fn serve_with(&self, services: &Arc<Services>) {
        let _only_once = self.services.set(Arc::downgrade(services));
    }

    /// Every hosts file has these names of vaults and apps: the installation's, and the one of each program. One that cannot be changed keeps
    /// none of the others from it.
    ///
    /// # Errors
    /// Of the first file that cannot be changed.
    pub(crate) fn set_names(&self, change: &NamesChange) -> io::Result<()> {
        // Held all the time: a file that is made meanwhile starts from the installation's.
        let open = self.open();
        let all = std::iter::once(self.files().hosts()).chain(open.values().map(|door| &door.hosts));
        all.map(|hosts| hosts.set_names(change)).fold(Ok(()), Result::and)
    }

    /// Stops listening everywhere. Files stay: programs that run on find us again by them.
    pub(crate) fn close_all(&self) {
        let closed = self.open().drain().map(|(_, door)| door.close()).collect::<Vec<_>>();
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).extend(closed);
    }

    /// Waits until all connections have ended that there were when all doors were closed.
    pub(crate) async fn drained(&self) {
        let closed = std::mem::take(&mut *self.closed.lock().unwrap_or_else(PoisonError::into_inner));
        for door in closed {
            door.closed().await;
        }
    }

    /// Removes the files of programs that ended while no server ran.
    pub(crate) fn forget_others(&self) {
        let open = self.open();
        for entry in fs::read_dir(self.folder()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let of = name.to_str().and_then(|name| name.strip_prefix(HOSTS)?.parse::<WorkloadId>().ok());
            if of.is_some_and(|of| !open.contains_key(&of)) {
                let _best_effort = fs::remove_file(entry.path());
            }
        }
    }

    async fn open_door(
        &self,
        workload: WorkloadId,
        address: Option<Ipv4Addr>,
    ) -> Result<ShadowDoor, ShadowFault> {
        let services = self.services.get().and_then(Weak::upgrade);
        let services = services.ok_or_else(|| broken("the server is not up"))?;
        let (listener, address) = find(workload, address, PORT, &self.settings.public)?;
        let listener = moved(listener, &self.settings.runtime).map_err(broken)?;
        let settings = &self.settings;
        // By the real time, whatever a test clock says: clients look at their own.
        let now = SystemClock.now();
        let (authority, trust) = self.trusted(now).await.map_err(broken)?;
        let config = authority::certificate(&authority, now).and_then(|one| tls(Arc::new(one)));
        let tls = TlsAcceptor::from(Arc::new(config.map_err(broken)?));

        let (stop, stopping) = watch::channel(false);
        let service = PublicService::as_azure(services);
        let places = limits::ENDPOINT_CONNECTIONS_MAX;
        let door = Door::with_places(places, tls, service, settings.observer.clone(), stopping);
        let mut open = self.open();
        let hosts = self.hosts_file(workload, address).map_err(broken)?;
        let path = hosts.path().to_owned();
        open.insert(workload, Open { stop, hosts });
        drop(settings.runtime.spawn(boxed(door.accept(listener))));
        Ok(ShadowDoor { address, hosts: path, trust })
    }

    /// The shadow authority, and the files by which a tree trusts it.
    async fn trusted(&self, now: Timestamp) -> Result<(Authority, TrustFiles), StartError> {
        let settings = &self.settings;
        let _one_at_a_time = self.trusting.lock().await;
        let authority = authority::load(&*settings.store, &*settings.entropy, &settings.root, now).await?;
        let trust = self.write_trust(&authority).await?;
        Ok((authority, trust))
    }

    /// What the tree trusts: what others trust, and the shadow authority.
    async fn write_trust(&self, authority: &Authority) -> Result<TrustFiles, StartError> {
        let folder = self.folder();
        let roots = format!("{}{}", self.settings.authority_pem, authority.certificate_pem());
        let written = tokio::task::spawn_blocking(move || {
            trust::ours(&folder).map_err(|source| StartError::File { path: folder.clone(), source })?;
            trust::write_trust(&folder, &roots)?;
            Ok(trust::trust_files(&folder))
        });
        let fail = |source| StartError::File { path: self.folder(), source: io::Error::other(source) };
        written.await.map_err(fail)?
    }

    /// The installation's hosts file, and the public cloud's names at this address.
    fn hosts_file(&self, workload: WorkloadId, address: Ipv4Addr) -> Result<Hosts, StartError> {
        self.settings.files.hosts().shadowed(self.folder().join(format!("{HOSTS}{workload}")), address)
    }

    fn folder(&self) -> PathBuf {
        self.settings.files.folder().join("azure")
    }

    fn open(&self) -> MutexGuard<'_, HashMap<WorkloadId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShadowDoors for Shadows {
    fn open(&self, workload: WorkloadId, address: Option<Ipv4Addr>) -> Opening<'_> {
        Box::pin(self.open_door(workload, address))
    }

    fn close(&self, workload: WorkloadId) {
        if let Some(door) = self.open().remove(&workload) {
            // Nobody sees it any more but who still has it bound over theirs.
            let _best_effort = fs::remove_file(door.hosts.path());
            drop(door.close());
        }
    }
}

/// A listener for a workload: at this address, or at one of those that its id names.
fn find(
    workload: WorkloadId,
    address: Option<Ipv4Addr>,
    port: u16,
    public: &[SocketAddr],
) -> Result<(TcpListener, Ipv4Addr), ShadowFault> {
    let [first, second] = NETWORK;
    let uuid = workload.uuid();
    let named = uuid.as_bytes().chunks_exact(2).filter_map(|pair| match pair {
        [third, fourth] => Some(Ipv4Addr::new(first, second, *third, *fourth)),
        _ => None,
    });
    let candidates: Vec<_> = address.map_or_else(|| named.collect(), |address| vec![address]);
    let mut fault = broken("there is no address to listen on");
    for address in &candidates {
        match listen(SocketAddr::from((*address, port))) {
            Ok(listener) => return Ok((listener, *address)),
            Err(error) => fault = refused(&error, port, &candidates, public),
        }
    }
    Err(fault)
}

/// Why nobody can listen at any of these addresses, and what to do about it.
fn refused(error: &io::Error, port: u16, tried: &[Ipv4Addr], public: &[SocketAddr]) -> ShadowFault {
    let is_ours = public.iter().any(|address| address.port() == port && address.ip().is_unspecified());
    let (why, mend) = match (error.kind(), tried) {
        (io::ErrorKind::PermissionDenied, _) => (
            format!("its door must listen on port {port}, which the server's user may not open"),
            format!(
                "run the server as root, or let every user open it: sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
            ),
        ),
        (io::ErrorKind::AddrInUse, _) if is_ours => (
            format!(
                "its door must listen on port {port}, which this server's own public listener has on all addresses of this machine"
            ),
            "name the addresses that the server shall listen on (the setting `listen`), or give it another port (`port`)"
                .to_owned(),
        ),
        (io::ErrorKind::AddrInUse, [address]) => (
            format!("its door must listen on {address}:{port}, which another program has"),
            format!("`ss -ltnp sport = :{port}` shows which: stop it"),
        ),
        (io::ErrorKind::AddrInUse, _) => (
            format!(
                "its door must listen on port {port}, which another program has on all addresses of this machine"
            ),
            format!("`ss -ltnp sport = :{port}` shows which: stop it, or have it listen on one address only"),
        ),
        _ => (format!("its door cannot listen on port {port}: {error}"), "see the server's log".to_owned()),
    };
    ShadowFault { why, mend }
}

fn broken(error: impl ToString) -> ShadowFault {
    ShadowFault { why: error.to_string(), mend: "see the server's log".to_owned() }
}

#[cfg(test)]
mod tests;
