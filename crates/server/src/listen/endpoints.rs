//! The identity endpoints: one listener on 127.0.0.1 for each workload, whose connections are attested before a byte is read.
//!
//! Owns: sockets, their bounds, and the question to the kernel about each. Owns not: the answer's meaning (`identity`), HTTP
//! (`wire::msi`). The listener is bound to the loopback device where the kernel permits, so that no route leads here from outside.

use super::ACCEPT_PAUSE;
use crate::origin::Observer;
use domain::{WorkloadId, limits};
use host::EndpointListeners;
use identity::{PeerProbe, Workload};
use kernel::{AttestFault, Attested, Attestor, Peer, ProcessFacts};
use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::{AbortHandle, JoinSet},
};
use wire::{Services, msi};

/// Opens and closes the endpoints of workloads.
pub(crate) struct Endpoints {
    attestor: Option<Arc<Attestor>>,
    observer: Arc<Observer>,
    runtime: Handle,
    /// Set once all services are there; they hold us, so we hold them weakly.
    services: OnceLock<Weak<Services>>,
    open: Mutex<HashMap<WorkloadId, AbortHandle>>,
}

impl Endpoints {
    /// With nothing open. Without an attestor no workload is enforced.
    pub(crate) fn new(attestor: Option<Arc<Attestor>>, observer: Arc<Observer>, runtime: Handle) -> Self {
        Self { attestor, observer, runtime, services: OnceLock::new(), open: Mutex::default() }
    }

    /// Tells which services answer. Once, before anything is opened.
    pub(crate) fn serve_with(&self, services: &Arc<Services>) {
        let _only_once = self.services.set(Arc::downgrade(services));
    }

    /// Closes all endpoints.
    pub(crate) fn close_all(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).drain().for_each(|(_, task)| task.abort());
    }
}

impl EndpointListeners for Endpoints {
    fn open(&self, workload: Arc<Workload>, port: Option<u16>) -> io::Result<u16> {
        let services = self
            .services
            .get()
            .and_then(Weak::upgrade)
            .ok_or_else(|| io::Error::other("the server is not up"))?;
        let listener = kernel::listen_loopback(port.unwrap_or(0))?;
        let _runtime = self.runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        let (id, attestor, observer) = (workload.id(), self.attestor.clone(), self.observer.clone());
        let endpoint = Arc::new(msi::Endpoint { workload, port });
        let accepting = self.runtime.spawn(accept(listener, endpoint, services, attestor, observer));
        let before =
            self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, accepting.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
        Ok(port)
    }

    fn close(&self, workload: WorkloadId) {
        if let Some(task) = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&workload) {
            // Its connections belong to it and end with it.
            task.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    endpoint: Arc<msi::Endpoint>,
    services: Arc<Services>,
    attestor: Option<Arc<Attestor>>,
    observer: Arc<Observer>,
) {
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
        // Anything else came by a route that should not exist; it is not worth an answer.
        if peer.ip() != Ipv4Addr::LOCALHOST && !peer.ip().is_loopback() {
            continue;
        }
        let _slower = stream.set_nodelay(true);
        match Probe::of(&stream, peer, attestor.clone(), observer.clone()) {
            Ok(probe) => {
                let (services, endpoint) = (services.clone(), endpoint.clone());
                connections.spawn(msi::serve_connection(services, endpoint, stream, Arc::new(probe), peer));
            }
            Err(error) => tracing::warn!(%error, "cannot ask the kernel about a connection"),
        }
    }
}

/// One accepted connection, for questions to the kernel: a second descriptor of its socket.
struct Probe {
    socket: OwnedFd,
    peer: SocketAddr,
    attestor: Option<Arc<Attestor>>,
    observer: Arc<Observer>,
}

impl Probe {
    fn of(
        stream: &TcpStream,
        peer: SocketAddr,
        attestor: Option<Arc<Attestor>>,
        observer: Arc<Observer>,
    ) -> io::Result<Self> {
        Ok(Self { socket: stream.as_fd().try_clone_to_owned()?, peer, attestor, observer })
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
        self.observer.facts(self.socket.as_fd(), self.peer)
    }
}
