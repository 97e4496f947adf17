//! One request to an instance and its answer back.
//!
//! A request is sent a second time, to another instance if there is one, in three cases and no other:
//! - there was no connection, so nothing of it was sent: any request;
//! - a connection that was kept turned out to be closed before anything of it was sent: any request;
//! - a connection that was kept was closed before the head of an answer was there: a request without a body by a method that does the same
//!   when it is done twice (RFC 9110 section 9.2.2).
//!
//! All other requests get a connection of their own, so that none is lost to an app that closes a kept one at that moment.

use super::{
    Kept, Proxy,
    body::{Answered, Held, Sent},
    connection::{NoConnection, Pool},
    error::Fault,
    headers,
    pulse::Pulse,
    upgrade,
};
use axum::{
    body::{Body, HttpBody as _},
    response::Response,
};
use domain::AppName;
use host::{InstanceKey, Lease};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// A request as it goes to an app.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Taken by the first attempt.
    body: Body,
    /// The protocol that the client asks to change to.
    upgrade: Option<Asked>,
    pulse: Arc<Pulse>,
}

/// A protocol that a client asks to change to.
struct Asked {
    protocol: HeaderValue,
    /// The client's connection, once it changes.
    client: OnUpgrade,
    /// What that connection holds as long as it is there.
    kept: Option<Kept>,
}

/// How an attempt failed.
enum Failed {
    /// The request is as it was, and may be sent again.
    Unsent(Fault, Box<Outgoing>),
    /// It is over.
    For(Fault),
}

impl Proxy {
    pub(super) async fn forward(
        &self,
        app: &AppName,
        client: Option<IpAddr>,
        request: Request<Body>,
    ) -> Result<Response, Fault> {
        let lease = self.routes.lease(app)?;
        let outgoing = Outgoing::of(request, client)?;
        let failed_at = lease.key();
        let (fault, outgoing) = match self.attempt(lease, outgoing, None).await {
            Ok(response) => return Ok(response),
            Err(Failed::For(fault)) => return Err(fault),
            Err(Failed::Unsent(fault, outgoing)) => (fault, outgoing),
        };
        // The instance may have been the last one, and gone by now.
        let Ok(lease) = self.routes.lease_besides(app, Some(failed_at)) else { return Err(fault) };
        match self.attempt(lease, *outgoing, Some(failed_at)).await {
            Ok(response) => Ok(response),
            Err(Failed::For(fault) | Failed::Unsent(fault, _)) => Err(fault),
        }
    }

    async fn attempt(
        &self,
        lease: Lease,
        mut outgoing: Outgoing,
        failed_at: Option<InstanceKey>,
    ) -> Result<Response, Failed> {
        let pool = lease.keep(|| Pool::new(&self.limits));
        let may_be_kept = failed_at.is_none() && outgoing.is_repeatable();
        let kept = if may_be_kept { pool.kept() } else { None };
        let mut connection = match kept {
            Some(connection) => connection,
            None => match pool.open(lease.reach(), &*self.tasks, &self.limits).await {
                Ok(connection) => connection,
                Err(NoConnection::Busy) => return Err(Failed::For(Fault::Busy)),
                Err(NoConnection::Refused) => {
                    return Err(Failed::Unsent(Fault::BrokenOff, Box::new(outgoing)));
                }
            },
        };
        // One that was kept has a request that may be sent again.
        let again = connection.is_used.then(|| outgoing.again());
        let request = outgoing.request(self.limits.answer_time);
        outgoing.pulse.beat();
        let answering = connection.requests.try_send_request(request);
        let answered = tokio::select! {
            answered = answering => answered,
            () = outgoing.pulse.still_for(self.limits.answer_time) => return Err(Failed::For(Fault::TooLate)),
        };
        match answered {
            Ok(response) => {
                let held = Held { connection, pool, lease };
                self.answer(response, held, outgoing.upgrade).map_err(Failed::For)
            }
            Err(mut error) => {
                tracing::debug!(error = %error.error(), "an app broke off");
                let unsent = error.take_message().map(|request| outgoing.with(request));
                match unsent.or(again) {
                    Some(outgoing) => Err(Failed::Unsent(Fault::BrokenOff, Box::new(outgoing))),
                    None => Err(Failed::For(Fault::BrokenOff)),
                }
            }
        }
    }

    /// The app's answer, for the client.
    fn answer(
        &self,
        mut response: hyper::Response<Incoming>,
        held: Held,
        asked: Option<Asked>,
    ) -> Result<Response, Fault> {
        // The version is that of whoever sends it, and to the client we do.
        *response.version_mut() = Version::HTTP_11;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::to_client(response.headers_mut());
            return Ok(response.map(|body| Body::new(Answered::new(body, held))));
        }
        let protocol = response.headers().get(header::UPGRADE).cloned();
        // An app that changes to what nobody asked for speaks of something that we would not understand.
        let (Some(Asked { protocol: asked, client, kept }), Some(protocol)) = (asked, protocol) else {
            return Err(Fault::BrokenOff);
        };
        if !headers::is_asked_for(&protocol, &asked) {
            return Err(Fault::BrokenOff);
        }
        let app = hyper::upgrade::on(&mut response);
        let Held { connection, lease, .. } = held;
        let idle_time = self.limits.upgrade_idle_time;
        let held = (lease, connection, kept);
        self.tasks.run(Box::pin(async move {
            upgrade::tunnel(client, app, idle_time).await;
            drop(held);
        }));
        headers::to_client(response.headers_mut());
        headers::change_to(response.headers_mut(), protocol);
        Ok(response.map(|_| Body::empty()))
    }
}

impl Outgoing {
    fn of(mut request: Request<Body>, client: Option<IpAddr>) -> Result<Self, Fault> {
        if request.method() == Method::CONNECT {
            return Err(Fault::Method);
        }
        let protocol = headers::upgrade(request.headers());
        let kept = request.extensions_mut().remove::<Kept>();
        let upgrade = protocol.map(|protocol| {
            let client = hyper::upgrade::on(&mut request);
            Asked { protocol, client, kept }
        });
        let (mut head, body) = request.into_parts();
        headers::to_app(&mut head.headers, client, upgrade.as_ref().map(|asked| &asked.protocol));
        // The path and query alone, whatever form of target the client has used.
        let path = head.uri.path_and_query().cloned().map(Uri::from);
        let uri = path.unwrap_or_else(|| Uri::from_static("/"));
        let pulse = Arc::new(Pulse::new());
        Ok(Self { method: head.method, uri, headers: head.headers, body, upgrade, pulse })
    }

    /// Does it do the same when it is done twice, and is there nothing of it that can be sent only once?
    fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() && self.upgrade.is_none() && self.body.is_end_stream()
    }

    /// The same again, which has no body.
    fn again(&self) -> Self {
        Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: Body::empty(),
            upgrade: None,
            pulse: self.pulse.clone(),
        }
    }

    /// For a connection; leaves what is needed to know what came of it.
    fn request(&mut self, stall_time: Duration) -> Request<Body> {
        let body = std::mem::take(&mut self.body);
        let body = match body.is_end_stream() {
            true => body,
            false => Body::new(Sent::new(body, self.pulse.clone(), stall_time)),
        };
        let mut request = Request::new(body);
        *request.version_mut() = Version::HTTP_11;
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = std::mem::take(&mut self.headers);
        request
    }

    /// A request that was not sent, as it was.
    fn with(&mut self, request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            upgrade: self.upgrade.take(),
            pulse: self.pulse.clone(),
        }
    }
}
