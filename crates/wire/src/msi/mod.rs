//! The managed identity endpoint of one workload: App Service's protocol, api-versions 2019-08-01 and 2017-09-01.
//!
//! Owns: the HTTP rules of the endpoint, the query, the bodies. Owns not: sockets (`server` accepts), attestation (`kernel`,
//! `identity`), tokens. Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
//! Plain hyper instead of axum: one route, and a cached token should cost little more than a bare answer.

use crate::context::State;
use identity::{PeerProbe, Workload};
use std::{net::SocketAddr, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// The endpoint of one workload.
pub struct Endpoint {
    /// Whose it is.
    pub workload: Arc<Workload>,
    /// The port that it listens on: what a `Host` header must say.
    pub port: u16,
}

/// Serves one connection of an endpoint until it ends. The peer is attested before a byte is read.
/// The caller bounds the number of connections and drops this future when the endpoint is closed.
pub async fn serve_connection<S>(
    state: State,
    endpoint: Arc<Endpoint>,
    stream: S,
    probe: Arc<dyn PeerProbe>,
    peer: SocketAddr,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _ = (state, endpoint, stream, probe, peer);
    todo!()
}
