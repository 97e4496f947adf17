//! The token endpoint: a line `v1|v2 CONTENT-TYPE`, and the form. No token without the client's secret, which no mutation can guess.

use crate::{request, world};
use axum::body::Body;
use domain::HostRole;
use http::{HeaderValue, Request};

/// One token request.
pub(crate) fn check(data: &[u8]) {
    world::with(|server| {
        let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
        let mut words = data[..end].splitn(2, |byte| *byte == b' ');
        let version = words.next().unwrap_or_default();
        let Ok(kind) = HeaderValue::from_bytes(words.next().unwrap_or_default()) else { return };
        let body = data.get(end + 1..).unwrap_or_default();
        let has_secret = String::from_utf8_lossy(body).contains("{secret}");
        let tenant = server.world.state.directory.tenant().id;
        let path = if version == b"v1" { "oauth2/token" } else { "oauth2/v2.0/token" };
        let request = Request::builder()
            .method("POST")
            .uri(format!("/{tenant}/{path}"))
            .header("host", server.world.state.names.login_host())
            .header("content-type", kind)
            .body(Body::from(request::named(server, body)))
            .unwrap();
        let answer = server.ask(request);
        answer.check(Some(&HostRole::Login));
        let is_issued = answer.json().get("access_token").is_some();
        assert_eq!(answer.status.is_success(), is_issued);
        assert!(!is_issued || has_secret, "a token without the secret");
    });
}
