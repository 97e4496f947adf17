//! Apps that are served: a request for `{app}.apps.{domain}` goes to one of the app's instances, and its answer comes back as it is.
//!
//! Owns: which headers go on and come back, connections to instances, what is tried again, what a client is told when there is no answer.
//! Owns not: which instances there are (`host::Routes`), TLS, tasks ([`Tasks`] runs them). Spec: RFC 9110 section 7, RFC 9112.
//!
//! Nothing here is written to the audit log: these requests are to the app, which asks for no token of ours. The app's own requests for
//! tokens and secrets are there as ever. Bodies are passed on piece by piece, as fast as the other side takes them; none is kept whole.
//! Answers of 103 are not passed on; 100 is answered here, once the app takes the body.

mod body;
mod connection;
mod error;
mod forward;
mod headers;
mod pulse;
mod upgrade;

use crate::proxy::error::Form;
use axum::{body::Body, response::Response};
use domain::{AppName, limits};
use host::Routes;
use http::Request;
use std::{any::Any, future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

/// Runs what goes on beside requests: connections to apps.
pub trait Tasks: Send + Sync {
    /// Runs it to its end, or until the server's.
    fn run(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// What a client's connection holds as long as it is there, such as its place among all. A connection that has changed its protocol goes on
/// here, so the listener puts this among the extensions of a request that asks for that.
#[derive(Clone)]
pub struct Kept(pub Arc<dyn Any + Send + Sync>);

/// How many and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections to one instance.
    pub connections: usize,
    /// Those of them that wait for another request.
    pub idle_connections: usize,
    /// Time until a connection is there.
    pub connect_time: Duration,
    /// Time until an answer begins, from the last piece of the request that the app took; also how long a client may keep the app waiting for
    /// the next piece.
    pub answer_time: Duration,
    /// Time for which an upgraded connection may be silent.
    pub upgrade_idle_time: Duration,
    /// Bytes of the head of an answer.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::PROXY_CONNECTIONS_MAX,
            idle_connections: limits::PROXY_IDLE_CONNECTIONS_MAX,
            connect_time: limits::PROXY_CONNECT_TIME_MAX,
            answer_time: limits::PROXY_ANSWER_TIME_MAX,
            upgrade_idle_time: limits::PROXY_UPGRADE_IDLE_TIME_MAX,
            head_bytes: limits::PROXY_HEAD_BYTES_MAX,
        }
    }
}

/// The way to all apps.
pub struct Proxy {
    routes: Arc<Routes>,
    tasks: Arc<dyn Tasks>,
    limits: Limits,
}

impl Proxy {
    /// To the instances of this table.
    pub fn new(routes: Arc<Routes>, tasks: Arc<dyn Tasks>, limits: Limits) -> Self {
        Self { routes, tasks, limits }
    }

    /// Answers a request by the app's answer, or by why there is none. `client` is the address that the request came from.
    pub(crate) async fn handle(
        &self,
        app: &AppName,
        client: Option<IpAddr>,
        request: Request<Body>,
    ) -> Response {
        let form = Form::wanted(request.headers());
        match self.forward(app, client, request).await {
            Ok(response) => response,
            Err(fault) => fault.answer(form),
        }
    }
}

/// The answer where no app is served.
pub(crate) fn nothing_served(request: &Request<Body>) -> Response {
    error::Fault::Unroutable(host::Unroutable::NotFound).answer(Form::wanted(request.headers()))
}
