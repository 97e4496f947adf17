//! Connections to one instance: so many at a time, some of them kept for the next request.

use super::{Limits, Tasks};
use axum::body::Body;
use host::Reach;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// Why there is no connection. Nothing was sent to the instance in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoConnection {
    /// The instance has as many as it may have, and none became free in time.
    Busy,
    /// It does not take connections.
    Refused,
}

/// All connections to one instance. Goes when the instance takes no more requests and has answered those that it had.
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
    idle_max: usize,
}

/// A connection that takes one request at a time.
pub(super) struct Connection {
    pub(super) requests: SendRequest<Body>,
    /// Has it had a request before? Then the app may be closing it at this moment.
    pub(super) is_used: bool,
    /// Its task has it, too: the app has the connection until that ends.
    _place: Arc<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(limits: &Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections));
        Self { idle: Mutex::default(), places, idle_max: limits.idle_connections }
    }

    /// One that is kept, if one is free.
    pub(super) fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.requests.is_closed());
        // One may still be sending a body whose answer has come early. The last that was used has most time left.
        let place = idle.iter().rposition(|connection| connection.requests.is_ready())?;
        Some(idle.remove(place))
    }

    /// Keeps one for the next request, unless there are enough.
    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits for a place gets this one's.
        let is_awaited = self.places.available_permits() == 0;
        if idle.len() < self.idle_max && !is_awaited && !connection.requests.is_closed() {
            idle.push(Connection { is_used: true, ..connection });
        }
    }

    /// A new one.
    pub(super) async fn open(
        &self,
        reach: &Reach,
        tasks: &dyn Tasks,
        limits: &Limits,
    ) -> Result<Connection, NoConnection> {
        let until = Instant::now() + limits.connect_time;
        if self.places.available_permits() == 0 {
            // One that nobody uses must not hold up who needs a new one.
            drop(self.kept());
        }
        let place = timeout_at(until, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(NoConnection::Busy) };
        let opened = timeout_at(until, dial(reach)).await.map_err(|_| NoConnection::Refused)?;
        let stream = opened.map_err(|error| {
            tracing::debug!(%error, ?reach, "an app's instance takes no connection");
            NoConnection::Refused
        })?;
        let mut http = http1::Builder::new();
        http.max_buf_size(limits.head_bytes).max_header_size(limits.head_bytes);
        let (requests, connection) =
            http.handshake(TokioIo::new(stream)).await.map_err(|_| NoConnection::Refused)?;
        let place = Arc::new(place);
        let held = place.clone();
        tasks.run(Box::pin(async move {
            // What ends it is told to the request that was under way.
            drop(connection.with_upgrades().await);
            drop(held);
        }));
        Ok(Connection { requests, is_used: false, _place: place })
    }
}

async fn dial(reach: &Reach) -> io::Result<TcpStream> {
    let stream = match reach {
        Reach::At(address) => TcpStream::connect(address).await?,
        Reach::By(way) => TcpStream::from_std(way.connect().await?)?,
    };
    let _slower = stream.set_nodelay(true);
    Ok(stream)
}
