//! The identity endpoints: one listener on 127.0.0.1 for each workload, whose connections are attested before a byte is read.
//!
//! A workload that has a network of its own has its endpoint there, and beside it a public listener: it needs no way out to reach its
//! vaults, and has none to other apps, which are not served there. IMDS is there, too, if the kernel confines the workload, and in no
//! other network. Owns: sockets, their bounds, and the question to the kernel about each. Owns not: the answer's meaning (`identity`),
//! HTTP (`wire::msi`). Listeners are bound to the loopback device where the kernel permits, so that no route leads here from outside.

use super::{ACCEPT_PAUSE, public::Public};
use crate::{
    hands::Hands,
    origin::{Ends, Observer},
    tasks::boxed,
};
use domain::{WorkloadId, limits};
use host::EndpointListeners;
use identity::{PeerProbe, Workload};
use kernel::{AttestFault, Attested, Attestor, ConnectGate, Gated, Namespace, Network, Peer, ProcessFacts};
use std::{
    collections::HashMap,
    io,
    net::TcpListener as StdListener,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use wire::{PublicService, Services, msi};

/// Opens and closes the endpoints of workloads.
pub(crate) struct Endpoints {
    attestor: Option<Arc<Attestor>>,
    observer: Arc<Observer>,
    runtime: Handle,
    hands: Hands,
    gate: Option<ConnectGate>,
    /// Set once all services are there; they hold us, so we hold them weakly.
    services: OnceLock<Weak<Services>>,
    /// Of the public listener.
    tls: OnceLock<TlsAcceptor>,
    open: Mutex<HashMap<WorkloadId, Open>>,
}

/// An open endpoint; closed when this is dropped.
struct Open {
    tasks: Vec<AbortHandle>,
    /// Dropped after the tasks are told to end, and before the ports can be another's.
    gated: Vec<Gated>,
    inside: Option<Arc<Inside>>,
    /// Ends the public listener in its network with its connections, also when it is dropped.
    public: Option<watch::Sender<bool>>,
}

/// A network that is not ours, for connections into it.
pub(crate) struct Inside {
    /// None while this is dropped.
    namespace: Option<Namespace>,
    pub(crate) attestor: Arc<Attestor>,
    /// The way there is not open to everybody.
    pub(crate) hands: Hands,
}

impl Inside {
    /// # Errors
    /// None but while it ends, when nobody asks.
    pub(crate) fn namespace(&self) -> io::Result<&Namespace> {
        self.namespace.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A process may keep it for us, and the last who needs it may be a request: that ends no process.
        if let Some(namespace) = self.namespace.take().filter(|_| kernel::sandbox::is_confined()) {
            self.hands.hand_over(move || drop(namespace));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Connections to an endpoint belong to these tasks and end with them.
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Endpoints {
    /// With nothing open. Without an attestor no workload is enforced.
    pub(crate) fn new(
        attestor: Option<Arc<Attestor>>,
        observer: Arc<Observer>,
        (runtime, hands, gate): (Handle, Hands, Option<ConnectGate>),
    ) -> Self {
        Self {
            attestor,
            observer,
            runtime,
            hands,
            gate,
            services: OnceLock::new(),
            tls: OnceLock::new(),
            open: Mutex::default(),
        }
    }

    /// Is nobody but the app even connected to an endpoint of one that the kernel confines?
    pub(crate) const fn has_gate(&self) -> bool {
        self.gate.is_some()
    }

    /// Puts the gate before a listener, where there is one. A workload that the kernel does not confine is nobody to tell from others.
    fn guard(&self, listener: &StdListener, workload: &Workload) -> io::Result<Option<Gated>> {
        let Some((gate, confinement)) = self.gate.as_ref().zip(workload.confinement()) else {
            return Ok(None);
        };
        let lineage = confinement.lineage().map_err(io::Error::other)?;
        gate.guard(listener, &lineage).map(Some)
    }

    /// Tells which services answer, and with which certificates. Once, before anything is opened.
    pub(crate) fn serve_with(&self, services: &Arc<Services>, tls: TlsAcceptor) {
        let _only_once = (self.services.set(Arc::downgrade(services)), self.tls.set(tls));
    }

    /// Closes all endpoints. Answers what is told when the last connection to a public listener in another network has ended
    /// ([`watch::Sender::closed`]): open requests are still answered there.
    pub(crate) fn close_all(&self) -> Vec<watch::Sender<bool>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let stops: Vec<_> = open.drain().filter_map(|(_, mut open)| open.public.take()).collect();
        for stop in &stops {
            stop.send_replace(true);
        }
        stops
    }

    /// The network of a workload that has one of its own.
    pub(crate) fn inside(&self, workload: WorkloadId) -> Option<Arc<Inside>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&workload)?.inside.clone()
    }

    /// A public listener in another network. Who connects there is named by that network's attestor. It leads to vaults and the directory
    /// only, not to hosted apps, and a crowd there takes no places of others.
    fn serve_public(
        &self,
        listener: StdListener,
        services: Arc<Services>,
        attestor: Arc<Attestor>,
    ) -> io::Result<watch::Sender<bool>> {
        let listener = TcpListener::from_std(listener)?;
        let tls = self.tls.get().cloned().ok_or_else(not_up)?;
        let (stop, stopping) = watch::channel(false);
        let (service, observer) = (PublicService::new(services), Arc::new(self.observer.asking(attestor)));
        let public = Public::with_places(limits::ENDPOINT_CONNECTIONS_MAX, tls, service, observer, stopping);
        drop(self.runtime.spawn(boxed(public.accept(listener))));
        Ok(stop)
    }
}

impl EndpointListeners for Endpoints {
    fn open(&self, workload: Arc<Workload>, port: Option<u16>, network: Option<Network>) -> io::Result<u16> {
        let services = self.services.get().and_then(Weak::upgrade).ok_or_else(not_up)?;
        let _runtime = self.runtime.enter();
        let mut open = Open { tasks: Vec::new(), gated: Vec::new(), inside: None, public: None };
        let (listener, attestor, observer) = match network {
            None => {
                let listener = kernel::listen_loopback(port.unwrap_or(0))?;
                (listener, self.attestor.clone(), self.observer.clone())
            }
            Some(Network { namespace, listeners, attestor }) => {
                let attestor = Arc::new(attestor);
                let mut listeners = listeners.into_iter();
                let listener = listeners.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
                if let Some(listener) = listeners.next() {
                    open.public = Some(self.serve_public(listener, services.clone(), attestor.clone())?);
                }
                open.inside = Some(Arc::new(Inside {
                    namespace: Some(namespace),
                    attestor: attestor.clone(),
                    hands: self.hands.clone(),
                }));
                let observer = Arc::new(self.observer.asking(attestor.clone()));
                // It wants no key: there is none for who is to bring one.
                let endpoint =
                    msi::Endpoint::imds(workload.clone()).filter(|_| workload.challenges().is_none());
                let imds = listeners.next().zip(endpoint);
                if let Some((listener, endpoint)) = imds {
                    open.gated.extend(self.guard(&listener, &workload)?);
                    let listener = TcpListener::from_std(listener)?;
                    let (services, attestor) = (services.clone(), Some(attestor.clone()));
                    let accepting = accept(listener, endpoint, services, attestor, observer.clone());
                    open.tasks.push(self.runtime.spawn(boxed(accepting)).abort_handle());
                }
                (listener, Some(attestor), observer)
            }
        };
        open.gated.extend(self.guard(&listener, &workload)?);
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        let id = workload.id();
        let endpoint = match workload.challenges() {
            None => msi::Endpoint::app_service(workload, port),
            Some(_) => msi::Endpoint::arc(workload, port).ok_or_else(not_confined)?,
        };
        let accepting = self.runtime.spawn(boxed(accept(listener, endpoint, services, attestor, observer)));
        open.tasks.push(accepting.abort_handle());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, open);
        Ok(port)
    }

    fn close(&self, workload: WorkloadId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&workload);
    }
}

fn not_confined() -> io::Error {
    io::Error::other("the kernel does not confine who speaks Azure Arc's protocol")
}

fn not_up() -> io::Error {
    io::Error::other("the server is not up")
}

async fn accept(
    listener: TcpListener,
    endpoint: msi::Endpoint,
    services: Arc<Services>,
    attestor: Option<Arc<Attestor>>,
    observer: Arc<Observer>,
) {
    let endpoint = Arc::new(endpoint);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < limits::ENDPOINT_CONNECTIONS_MAX => accepted,
            Some(_ended) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to an endpoint");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(ends) = Ends::of(&stream, peer) else { continue };
        // Anything else came by a route that should not exist; it is not worth an answer.
        if !ends.are_here() {
            continue;
        }
        let _slower = stream.set_nodelay(true);
        match Probe::of(&stream, ends, attestor.clone(), observer.clone()) {
            Ok(probe) => {
                let (services, endpoint) = (services.clone(), endpoint.clone());
                let serving = msi::serve_connection(services, endpoint, stream, Arc::new(probe), peer);
                connections.spawn(boxed(serving));
            }
            Err(error) => tracing::warn!(%error, "cannot ask the kernel about a connection"),
        }
    }
}

/// One accepted connection, for questions to the kernel: a second descriptor of its socket.
struct Probe {
    socket: OwnedFd,
    ends: Ends,
    attestor: Option<Arc<Attestor>>,
    observer: Arc<Observer>,
}

impl Probe {
    fn of(
        stream: &TcpStream,
        ends: Ends,
        attestor: Option<Arc<Attestor>>,
        observer: Arc<Observer>,
    ) -> io::Result<Self> {
        Ok(Self { socket: stream.as_fd().try_clone_to_owned()?, ends, attestor, observer })
    }
}

impl PeerProbe for Probe {
    fn attest(&self) -> Result<Attested<Peer>, AttestFault> {
        self.attestor.as_ref().ok_or(AttestFault::Unavailable)?.attest(self.socket.as_fd())
    }

    fn attest_again(&self, earlier: &Attested<Peer>) -> Result<(), AttestFault> {
        self.attestor.as_ref().ok_or(AttestFault::Unavailable)?.attest_again(self.socket.as_fd(), earlier)
    }

    fn describe(&self) -> Option<ProcessFacts> {
        self.observer.facts(self.socket.as_fd(), self.ends)
    }
}
