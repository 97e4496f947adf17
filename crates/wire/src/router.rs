//! The public listener's one door: the `Host` header chooses the protocol, and a vault's requests go straight to their handler.
//!
//! A plain service rather than a router's layers: it is on the way of every request, and a boxed future for each layer was a fifth of what
//! reading a secret cost.

use crate::{
    arm,
    context::{self, Context, Door, State},
    graph, keyvault,
    oauth2::{self, token::exchange::AttestedPeer},
    proxy::{self, Proxy},
    scm,
};
use audit::SharedOrigin;
use axum::{
    Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use domain::{HostRole, limits};
use http::{Request, StatusCode, header, uri::Authority};
use identity::{Attested, Peer};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};
use tower::{Service, ServiceExt as _};

/// Everything that the public HTTPS listener serves.
///
/// A request without exactly one host is refused before any protocol sees it: two hosts are two opinions of which vault is meant.
#[derive(Clone)]
pub struct PublicService {
    state: State,
    directory: Router,
    proxy: Option<Arc<Proxy>>,
    origin: SharedOrigin,
    peer: Option<AttestedPeer>,
    door: Door,
}

impl PublicService {
    /// Over the services of one installation.
    pub fn new(state: State) -> Self {
        let directory = oauth2::router(state.clone());
        Self { directory, state, proxy: None, origin: SharedOrigin::default(), peer: None, door: Door::Own }
    }

    /// What the listener of a program in shadow mode serves: the same vaults and the same directory by the public cloud's names, and none by
    /// ours. Whether a token is needed, and for what, is asked as it is everywhere.
    #[must_use]
    pub fn as_azure(state: State) -> Self {
        let directory = oauth2::router_without_pages(state.clone());
        Self { directory, state, proxy: None, origin: SharedOrigin::default(), peer: None, door: Door::Azure }
    }

    /// The same with apps that are served. Without it there are none.
    #[must_use]
    pub fn proxying(self, proxy: Arc<Proxy>) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// The same for one connection, whose peer is known as far as `origin` says.
    #[must_use]
    pub fn for_connection(&self, origin: SharedOrigin) -> Self {
        Self { origin, ..self.clone() }
    }

    /// The same for one connection whose peer the kernel has attested.
    #[must_use]
    pub fn from_peer(self, peer: Option<Arc<Attested<Peer>>>) -> Self {
        Self { peer: peer.map(AttestedPeer), ..self }
    }

    /// Time within which this request must be answered, its body's arrival included; none for an app's, which `proxy` has its own times for. A
    /// package takes longer to arrive than other bodies.
    pub fn time_max<B>(&self, request: &Request<B>) -> Option<Duration> {
        let names = self.state.names_at(self.door);
        // Asked of every request, and read whole only for hosts that end like an app's.
        let below = host(request).filter(|host| names.is_below_apps(host)).map(|host| names.role(host));
        match below {
            Some(HostRole::App(_)) => None,
            Some(HostRole::Scm(_)) if scm::is_deployment(request.method(), request.uri().path()) => {
                Some(limits::PACKAGE_TIME_MAX)
            }
            _ => Some(limits::REQUEST_TIME_MAX),
        }
    }

    fn role<B>(&self, request: &Request<B>) -> Option<HostRole> {
        host(request).map(|host| self.state.names_at(self.door).role(host))
    }

    async fn answer(self, request: Request<Body>) -> Response {
        let role = self.role(&request);
        if let Some(HostRole::App(app)) = role {
            // As the app says it: nothing of ours is added, and nothing is recorded.
            let client = self.origin.address.map(|address| address.ip());
            return match &self.proxy {
                // In a box of its own, so that requests to vaults do not carry its size.
                Some(proxy) => Box::pin(proxy.handle(&app, client, request)).await,
                None => proxy::nothing_served(&request),
            };
        }
        let (context, client_request) =
            context::stamp_of(&self.state, request.headers(), self.origin, self.door);
        let mut response = match role {
            Some(HostRole::Login) => directory(self.directory, context.clone(), self.peer, request).await,
            Some(HostRole::Vault(vault)) => keyvault::handle(&self.state, &context, &vault, request).await,
            Some(HostRole::Graph) => graph::handle(&self.state, &context, request).await,
            // Boxed as the proxy is.
            Some(HostRole::Management) => Box::pin(arm::handle(&self.state, &context, request)).await,
            Some(HostRole::Scm(app)) => Box::pin(scm::handle(&self.state, &context, &app, request)).await,
            Some(HostRole::App(_) | HostRole::Unknown) => {
                refused(StatusCode::NOT_FOUND, "no such host here: see `keyless status` for the host names")
            }
            None => refused(
                StatusCode::BAD_REQUEST,
                "exactly one host is needed: one Host header, and no other in the target",
            ),
        };
        context::stamp_response(&self.state, &context, client_request, &mut response);
        response
    }
}

async fn directory(
    routes: Router,
    context: Context,
    peer: Option<AttestedPeer>,
    mut request: Request<Body>,
) -> Response {
    request.extensions_mut().insert(context);
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl<B> Service<Request<B>> for PublicService
where
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (service, request) = (self.clone(), request.map(Body::new));
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// The one host that a request is for: its header's, which a target that names one as well must repeat (RFC 9112 section 3.2.2 would
/// have us go by the target's; whoever looked at the header in front of us did not).
fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next()?.to_str().ok()?;
    let is_same = |authority: &Authority| authority.as_str().eq_ignore_ascii_case(first);
    (hosts.next().is_none() && request.uri().authority().is_none_or(is_same)).then_some(first)
}

fn refused(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({"error": {"code": "BadHost", "message": message}});
    (status, axum::Json(body)).into_response()
}
