//! Requests as text: `METHOD TARGET [HOST]`, a line feed, and the body. `{token}`, `{tenant}` and the other names of the world stand for
//! their values, so that a seed outlives a change of what the world draws.

use crate::world::Server;
use axum::body::Body;
use domain::HostRole;
use http::{Method, Request, Uri};

/// A request that HTTP could carry, as it came and to whom it goes.
pub(crate) struct Asked {
    pub(crate) request: Request<Body>,
    pub(crate) host: String,
    pub(crate) body: Vec<u8>,
}

/// Reads one; `None`: hyper would not let it through.
pub(crate) fn read(server: &Server, data: &[u8]) -> Option<Asked> {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let line = server.world.name(std::str::from_utf8(&data[..end]).ok()?);
    let body = named(server, data.get(end + 1..).unwrap_or_default());
    let mut words = line.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let target: Uri = words.next().filter(|target| target.starts_with('/'))?.parse().ok()?;
    let host = match words.next() {
        Some("login") => server.world.state.names.login_host(),
        Some("management") => server.world.state.names.management_host(),
        Some(host) if !host.is_empty() => host.to_owned(),
        _ => server.vault_host("shop"),
    };
    let token = match server.world.state.names.role(&host) {
        HostRole::Management => &server.management,
        _ => &server.token,
    };
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", &host)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.clone()))
        .ok()?;
    Some(Asked { request, host, body })
}

/// Names in text to values; bytes that are no text have none.
pub(crate) fn named(server: &Server, bytes: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('{') => server.world.name(text).into_bytes(),
        _ => bytes.to_vec(),
    }
}
