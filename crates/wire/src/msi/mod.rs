//! The managed identity endpoint of one workload: App Service's protocol, api-versions 2019-08-01 and 2017-09-01, or Azure Arc's; and that of
//! the instance metadata service (IMDS) for clients that know nothing else.
//!
//! Owns: the HTTP rules of the endpoint, the query, the bodies, and that a peer is attested before a byte of it is read. Owns not:
//! sockets and tasks (`server`), how attestation works (`kernel`, `identity`), tokens (`directory`).
//! Plain hyper instead of axum: there is one route, and a cached token should cost little more than a bare answer.
//! Spec: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>.

mod endpoint;
pub mod error;
pub mod query;
pub mod rules;
pub mod token;

pub use endpoint::{Endpoint, Protocol};
pub use token::answer;

use crate::{
    context::{Context, Door, Services, State},
    patience::Patience,
};
use audit::{Actor, Origin, Outcome, SharedOrigin};
use domain::{RequestId, limits};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use identity::{AttestedConnection, PeerProbe, ProcessFacts, Refusal};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a refused peer may go on sending before the connection is dropped: enough to read its answer, no longer.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection of an endpoint until it ends. The peer is attested before a byte is read.
///
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
    let connection = match accept(&state, &endpoint, probe, peer) {
        Ok(accepted) => Arc::new(accepted),
        Err(Some(Forbidden)) => return refuse(stream, endpoint.protocol()).await,
        Err(None) => return,
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, endpoint, connection) = (state.clone(), endpoint.clone(), connection.clone());
        async move {
            // A body is refused by its headers and never read.
            let (head, _) = request.into_parts();
            Ok::<_, Infallible>(
                answer(&state, &endpoint, &connection.attested, &connection.origin, &head).await,
            )
        }
    });
    let served = http1::Builder::new()
        .timer(Patience::default())
        .header_read_timeout(limits::REQUEST_READ_TIME_MAX)
        .max_buf_size(limits::ENDPOINT_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of an identity endpoint ended");
    }
}

/// A connection whose requests are answered.
pub struct Accepted {
    /// The proof.
    pub attested: AttestedConnection,
    /// The calling process, for the audit log.
    pub origin: SharedOrigin,
}

/// Says that the constant refusal is to be answered: it has been audited.
#[derive(Debug)]
pub struct Forbidden;

/// Has the peer attested, and audits it if it is refused.
///
/// # Errors
/// `Some(Forbidden)`: answer the constant refusal; `None`: not even that, since it could not be audited.
pub fn accept(
    state: &Services,
    endpoint: &Endpoint,
    probe: Arc<dyn PeerProbe>,
    peer: SocketAddr,
) -> Result<Accepted, Option<Forbidden>> {
    match state.identity.accept(endpoint.workload(), probe.clone()) {
        Ok(attested) => {
            let origin = origin(peer, attested.facts());
            Ok(Accepted { attested, origin })
        }
        Err(refusal) => {
            Err(audit_refusal(state, endpoint, &refusal, origin(peer, probe.describe().as_ref())))
        }
    }
}

fn audit_refusal(
    state: &Services,
    endpoint: &Endpoint,
    refusal: &Refusal,
    origin: SharedOrigin,
) -> Option<Forbidden> {
    let context = Context {
        request: RequestId::random(&*state.entropy),
        now: state.clock.now(),
        origin,
        door: Door::Own,
    };
    let target = endpoint.described();
    // Nobody of the workload: to name it as the actor would be to say what the thief wants said.
    let recorded = context.record(
        &*state.audit,
        Actor::Anonymous,
        "endpoint.connect",
        target,
        Outcome::Refused,
        refusal.to_string(),
    );
    recorded.is_ok().then_some(Forbidden)
}

fn origin(peer: SocketAddr, facts: Option<&ProcessFacts>) -> SharedOrigin {
    let origin = Origin {
        address: Some(peer),
        uid: facts.map(|facts| facts.uid),
        pid: facts.and_then(|facts| facts.pid),
        cgroup: facts.map(|facts| facts.cgroup.clone()),
        executable: facts.and_then(|facts| facts.executable.clone()),
    };
    origin.into()
}

/// Answers the constant refusal to whatever comes. What the peer sends is thrown away unparsed: closing with unread bytes would
/// reset the connection before the answer is read.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, protocol: Protocol) {
    let body = error::forbidden_body(protocol);
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let conversation = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut thrown_away = [0; 1_024];
        let mut left = limits::ENDPOINT_HEAD_BYTES_MAX;
        while left > 0 {
            match stream.read(&mut thrown_away).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever goes wrong here goes wrong for a stranger.
    drop(tokio::time::timeout(LINGER, conversation).await);
}
