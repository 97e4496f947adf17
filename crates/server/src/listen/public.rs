//! The public listener: TLS on each address, at most `limits::CONNECTIONS_MAX` connections, each caller observed once.

use super::{ACCEPT_PAUSE, Stop, serve, stopped, taken::Taken};
use crate::{
    error::StartError,
    origin::{Ends, Observer},
    systemd,
    tasks::boxed,
};
use audit::SharedOrigin;
use domain::limits;
use http::header;
use kernel::{Attested, Peer};
use std::{io, net::SocketAddr, os::fd::AsFd, sync::Arc};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use wire::{PublicService, Sparing, proxy::Kept};

/// Connections that wait in the kernel until they are accepted. Its usual 128 are full when a crowd comes at once, and whoever comes then
/// tries again only after seconds.
const WAITING_MAX: u32 = 1_024;

/// Without a descriptor left it is tried again and again, however long that lasts.
static NOT_ACCEPTED: Sparing = Sparing::new();

/// Newcomers that are observed at a time.
const OBSERVED_MAX: usize = 2;

/// All addresses bound, but for those of which systemd passed us a socket. An IPv6 loopback that the machine does not have is left out, with a
/// word; all else is an error.
///
/// # Errors
/// [`StartError::Listen`], [`StartError::PassedSocket`], [`StartError::PassedElsewhere`].
pub(crate) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let passed = systemd::listeners().map_err(StartError::PassedSocket)?;
    bind_rest(addresses, passed)
}

/// What is passed is not to override the configuration, which also says what is certified and told to programs.
fn bind_rest(
    addresses: &[SocketAddr],
    passed: Vec<std::net::TcpListener>,
) -> Result<Vec<TcpListener>, StartError> {
    let (mut listeners, mut have) = (Vec::new(), Vec::new());
    for listener in passed {
        let address = listener.local_addr().map_err(StartError::PassedSocket)?;
        if !addresses.contains(&address) {
            return Err(StartError::PassedElsewhere { passed: address, configured: addresses.to_vec() });
        }
        have.push(address);
        listeners.push(TcpListener::from_std(listener).map_err(StartError::PassedSocket)?);
    }
    for address in addresses.iter().filter(|address| !have.contains(address)) {
        match listen(*address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_no_ipv6(&error, address) => {
                tracing::warn!(%address, "this machine has no IPv6 loopback")
            }
            Err(cause) => return Err(StartError::Listen { address: *address, cause }),
        }
    }
    match (listeners.is_empty(), addresses.first()) {
        (true, Some(address)) => {
            Err(StartError::Listen { address: *address, cause: io::ErrorKind::AddrNotAvailable.into() })
        }
        _ => Ok(listeners),
    }
}

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // As the standard library does: a server that is started again finds its port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_MAX)
}

fn is_no_ipv6(error: &io::Error, address: &SocketAddr) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    let is_missing =
        error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT);
    is_missing && address.is_ipv6() && address.ip().is_loopback()
}

/// A connection, its peer where the kernel names it for certain, and who it seems to be.
type Observed = (TcpStream, Option<Arc<Attested<Peer>>>, SharedOrigin);

/// The public listener's doors.
#[derive(Clone)]
pub(crate) struct Public {
    pub(crate) tls: TlsAcceptor,
    pub(crate) service: PublicService,
    pub(crate) observer: Arc<Observer>,
    pub(crate) stop: Stop,
    places: Arc<Semaphore>,
    /// As many as it was made with.
    places_max: u32,
    /// To be observed.
    turns: Arc<Semaphore>,
}

impl Public {
    pub(crate) fn new(tls: TlsAcceptor, service: PublicService, observer: Arc<Observer>, stop: Stop) -> Self {
        Self::with_places(limits::CONNECTIONS_MAX, tls, service, observer, stop)
    }

    /// With at most so many connections.
    pub(crate) fn with_places(
        places: usize,
        tls: TlsAcceptor,
        service: PublicService,
        observer: Arc<Observer>,
        stop: Stop,
    ) -> Self {
        let places_max = u32::try_from(places).unwrap_or(u32::MAX);
        let (places, turns) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(OBSERVED_MAX)));
        Self { tls, service, observer, stop, places, places_max, turns }
    }

    /// Accepts until the server stops.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            // A place first: connections beyond the bound wait in the kernel's queue, not in our memory.
            let place = tokio::select! {
                place = self.places.clone().acquire_owned() => place,
                () = stopped(&mut stop) => return,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => return,
            };
            match accepted {
                Ok((stream, peer)) => drop(tokio::spawn(boxed(self.clone().connection(stream, peer, place)))),
                Err(error) => {
                    if let Some(left_out) = NOT_ACCEPTED.due() {
                        tracing::warn!(%error, left_out, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let place = Kept(Arc::new(place));
        let _slower = stream.set_nodelay(true);
        // Before the handshake: who hangs up later has been seen, and the kernel still knows the socket.
        let Some((stream, attested, origin)) = self.observe(stream, peer).await else { return };
        let stream = Taken::within(limits::ANSWER_WAIT_TIME_MAX, stream);
        // Not cut off by a stop: who was accepted is answered, as far as the server waits for its connections. Who comes later waits in the
        // kernel, for the next server where systemd holds the socket.
        match tokio::time::timeout(limits::HANDSHAKE_TIME_MAX, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let service = self.service.for_connection(origin).from_peer(attested);
                let timed = service.clone();
                serve(stream, service, self.stop, |request| {
                    if request.headers().contains_key(header::UPGRADE) {
                        request.extensions_mut().insert(place.clone());
                    }
                    timed.time_max(request)
                })
                .await;
            }
            Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS handshake"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        }
    }

    /// Asks the kernel who is there. That reads files of other processes, for milliseconds if they have many open: elsewhere than where
    /// requests are answered, and few at a time, so that a crowd of newcomers waits for itself and nobody else.
    async fn observe(&self, stream: TcpStream, peer: SocketAddr) -> Option<Observed> {
        let ends = Ends::of(&stream, peer).ok()?;
        if !ends.are_here() {
            // Of another machine nothing is known here.
            let (attested, origin) = self.observer.attested(stream.as_fd(), ends);
            return Some((stream, attested.map(Arc::new), SharedOrigin::from(origin)));
        }
        let _turn = self.turns.acquire().await.ok()?;
        let observer = self.observer.clone();
        let observed = self.observer.hands().run(move || {
            let (attested, origin) = observer.attested(stream.as_fd(), ends);
            (stream, attested.map(Arc::new), SharedOrigin::from(origin))
        });
        observed.await.ok()
    }

    /// Waits until all connections have ended.
    pub(crate) async fn drained(&self) {
        drop(self.places.acquire_many(self.places_max).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(address: &str) -> (std::net::TcpListener, SocketAddr) {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn a_socket_that_is_passed_is_one_of_those_that_are_configured() {
        let (listener, one) = passed("127.0.0.1:0");
        let other = passed("127.0.0.1:0").1;
        let refused = bind_rest(&[other], vec![listener]).unwrap_err().to_string();
        assert!(refused.contains(&one.to_string()) && refused.contains(&other.to_string()), "{refused}");

        let (listener, one) = passed("127.0.0.1:0");
        let bound = bind_rest(&[other, one], vec![listener]).unwrap();
        let mut bound: Vec<_> = bound.iter().map(|listener| listener.local_addr().unwrap()).collect();
        bound.sort_unstable();
        let mut expected = [one, other];
        expected.sort_unstable();
        assert_eq!(bound, expected, "what is not passed is bound");
    }
}
