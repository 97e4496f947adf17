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
    body::Body,
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
pub struct PublicService(Arc<Served>);

/// What all requests of a connection share.
#[derive(Clone)]
struct Served {
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
        Self::of(oauth2::router(state.clone()), state, Door::Own)
    }

    /// What the listener of a program in shadow mode serves: the same vaults and the same directory by the public cloud's names, and none by
    /// ours. Whether a token is needed, and for what, is asked as it is everywhere.
    #[must_use]
    pub fn as_azure(state: State) -> Self {
        Self::of(oauth2::router_without_pages(state.clone()), state, Door::Azure)
    }

    fn of(directory: Router, state: State, door: Door) -> Self {
        let origin = SharedOrigin::default();
        Self(Arc::new(Served { directory, state, proxy: None, origin, peer: None, door }))
    }

    fn with(self, change: impl FnOnce(&mut Served)) -> Self {
        let mut served = Arc::unwrap_or_clone(self.0);
        change(&mut served);
        Self(Arc::new(served))
    }

    /// The same with apps that are served. Without it there are none.
    #[must_use]
    pub fn proxying(self, proxy: Arc<Proxy>) -> Self {
        self.with(|served| served.proxy = Some(proxy))
    }

    /// The same for one connection, whose peer is known as far as `origin` says.
    #[must_use]
    pub fn for_connection(&self, origin: SharedOrigin) -> Self {
        self.clone().with(|served| served.origin = origin)
    }

    /// The same for one connection whose peer the kernel has attested.
    #[must_use]
    pub fn from_peer(self, peer: Option<Arc<Attested<Peer>>>) -> Self {
        self.with(|served| served.peer = peer.map(AttestedPeer))
    }

    /// Time within which this request must be answered, its body's arrival included; none for an app's, which `proxy` has its own times for. A
    /// package takes longer to arrive than other bodies.
    pub fn time_max<B>(&self, request: &Request<B>) -> Option<Duration> {
        let names = self.0.state.names_at(self.0.door);
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
}

impl Served {
    fn role<B>(&self, request: &Request<B>) -> Option<HostRole> {
        host(request).map(|host| self.state.names_at(self.door).role(host))
    }

    /// What only some requests need is boxed, so that those for secrets do not carry its size: the whole of this is moved for each.
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Result<Response, Infallible> {
        let role = self.role(&request);
        if let Some(HostRole::App(app)) = role {
            // As the app says it: nothing of ours is added, and nothing is recorded.
            let client = self.origin.address.map(|address| address.ip());
            return Ok(match &self.proxy {
                Some(proxy) => Box::pin(proxy.handle(&app, client, request)).await,
                None => proxy::nothing_served(&request),
            });
        }
        let (context, client_request) =
            context::stamp_of(&self.state, request.headers(), self.origin.clone(), self.door);
        let mut response = match role {
            Some(HostRole::Login) => Box::pin(self.directory(context.clone(), request)).await,
            Some(HostRole::Vault(vault)) => keyvault::handle(&self.state, &context, &vault, request).await,
            Some(HostRole::Graph) => Box::pin(graph::handle(&self.state, &context, request)).await,
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
        Ok(response)
    }

    async fn directory(&self, context: Context, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(context);
        if let Some(peer) = self.peer.clone() {
            request.extensions_mut().insert(peer);
        }
        match self.directory.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Of one body's type, and behind a pointer: all that answers a request is compiled here, once, and not again in each crate that serves.
impl Service<Request<Body>> for PublicService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.clone().answer(request))
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
