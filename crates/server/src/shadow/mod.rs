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
    listen::public::{Public as Door, listen},
    origin::Observer,
    run::tls,
    trust::{self, Hosts, Public},
};
use crypt::{Authority, Key256};
use domain::{Clock, Entropy, WorkloadId, limits};
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
    pub(crate) runtime: Handle,
}

/// The doors of all programs in shadow mode.
pub(crate) struct Shadows {
    settings: ShadowSettings,
    /// Set once all services are there; they hold us, so we hold them weakly.
    services: OnceLock<Weak<Services>>,
    open: Mutex<HashMap<WorkloadId, Open>>,
}

struct Open {
    /// Ends the listener and its connections, also when it is dropped.
    stop: watch::Sender<bool>,
    hosts: Hosts,
}

impl Open {
    fn close(self) {
        let _nobody_listens = self.stop.send(true);
    }
}

impl Shadows {
    pub(crate) fn new(settings: ShadowSettings) -> Self {
        Self { settings, services: OnceLock::new(), open: Mutex::default() }
    }

    /// Tells which services answer. Once, before anything is opened.
    pub(crate) fn serve_with(&self, services: &Arc<Services>) {
        let _only_once = self.services.set(Arc::downgrade(services));
    }

    /// Every hosts file has these names of vaults and apps and no others.
    pub(crate) fn set_names(&self, names: Vec<String>) -> io::Result<()> {
        // Held all the time: a file that is made meanwhile starts from the installation's.
        let open = self.open();
        open.values().try_for_each(|door| door.hosts.set_names(names.iter().cloned()))?;
        self.settings.files.hosts().set_names(names)
    }

    /// Stops listening everywhere. Files stay: programs that run on find us again by them.
    pub(crate) fn close_all(&self) {
        self.open().drain().for_each(|(_, door)| door.close());
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
        let (listener, address) = find(workload, address, PORT)?;
        let settings = &self.settings;
        // By the real time, whatever a test clock says: clients look at their own.
        let now = SystemClock.now();
        let authority = authority::load(&*settings.store, &*settings.entropy, &settings.root, now).await;
        let authority = authority.map_err(broken)?;
        let config = authority::certificate(&authority, now).and_then(|one| tls(Arc::new(one)));
        let tls = TlsAcceptor::from(Arc::new(config.map_err(broken)?));
        let trust = self.write_trust(&authority).await.map_err(broken)?;

        let (stop, stopping) = watch::channel(false);
        let service = PublicService::as_azure(services);
        let places = limits::ENDPOINT_CONNECTIONS_MAX;
        let door = Door::with_places(places, tls, service, settings.observer.clone(), stopping);
        let mut open = self.open();
        let hosts = self.hosts_file(workload, address).map_err(broken)?;
        let path = hosts.path().to_owned();
        open.insert(workload, Open { stop, hosts });
        drop(settings.runtime.spawn(door.accept(listener)));
        Ok(ShadowDoor { address, hosts: path, trust })
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
            door.close();
        }
    }
}

/// A listener for a workload: at this address, or at one of those that its id names.
fn find(
    workload: WorkloadId,
    address: Option<Ipv4Addr>,
    port: u16,
) -> Result<(TcpListener, Ipv4Addr), ShadowFault> {
    let [first, second] = NETWORK;
    let uuid = workload.uuid();
    let named = uuid.as_bytes().chunks_exact(2).filter_map(|pair| match pair {
        [third, fourth] => Some(Ipv4Addr::new(first, second, *third, *fourth)),
        _ => None,
    });
    let candidates: Vec<_> = address.map_or_else(|| named.collect(), |address| vec![address]);
    let mut fault = broken("there is no address to listen on");
    for address in candidates {
        match listen(SocketAddr::from((address, port))) {
            Ok(listener) => return Ok((listener, address)),
            Err(error) => fault = refused(&error, port),
        }
    }
    Err(fault)
}

/// Why nobody can listen there, and what to do about it.
fn refused(error: &io::Error, port: u16) -> ShadowFault {
    let (why, mend) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            format!("its door must listen on port {port}, which the server's user may not open"),
            format!(
                "run the server as root, or let every user open it: sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
            ),
        ),
        io::ErrorKind::AddrInUse => (
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
mod tests {
    use super::*;
    use crypt::SystemEntropy;

    #[tokio::test]
    async fn each_workload_has_an_address_of_its_own_and_finds_it_again() {
        let [one, other] = [(); 2].map(|()| WorkloadId::random(&SystemEntropy));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let (first, address) = find(one, None, port).unwrap();
        assert_eq!(address.octets()[..2], NETWORK);
        let (_second, another) = find(other, None, port).unwrap();
        assert_ne!(address, another);
        let fault = find(one, Some(address), port).unwrap_err();
        assert!(fault.why.contains("another program has"), "{fault:?}");
        let (_same, next) = find(one, None, port).unwrap();
        assert_ne!(address, next, "what is taken is passed over");
        drop(first);
        assert_eq!(find(one, Some(address), port).unwrap().1, address);
    }

    #[tokio::test]
    async fn what_keeps_the_port_from_us_is_said() {
        let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let fault = find(WorkloadId::random(&SystemEntropy), None, port).unwrap_err();
        assert!(fault.why.contains("on all addresses") && fault.mend.contains("ss -ltnp"), "{fault:?}");
        let fault = refused(&io::ErrorKind::PermissionDenied.into(), PORT);
        assert!(fault.mend.contains("net.ipv4.ip_unprivileged_port_start=443"), "{fault:?}");
    }
}
