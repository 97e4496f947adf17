//! Deployment to an app: a request line, header lines, an empty line, and the body, as `az webapp deploy` sends a package. Names as in
//! [`crate::request`]; `{deployment}` is the token of somebody who may deploy.
//!
//! Nothing is taken in without that token, nor by a path that is not for packages; what is taken in is the body and nothing else; and each
//! request leaves one record.

use crate::{request, world};
use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

/// One request.
pub(crate) fn check(data: &[u8]) {
    world::with(|server| {
        let Some((request, body)) = read(server, data) else { return };
        let is_known = request
            .headers()
            .get(header::AUTHORIZATION)
            .is_some_and(|said| said.as_bytes() == format!("Bearer {}", server.deployment).as_bytes());
        let (method, target) = (request.method().clone(), request.uri().clone());
        let (records, packages) = (server.world.audit.records().len(), server.packages().len());
        let answer = server.ask(request);
        let is_success = answer.status.is_success();
        if is_success {
            assert!(answer.headers.contains_key("x-ms-request-id") && !answer.body.is_empty(), "{target}");
        } else {
            assert!(answer.status.is_client_error(), "{}: {target}", answer.status);
            let told = answer.json();
            assert!(told["Message"].is_string() && told["error"]["message"] == told["Message"], "{told}");
            let is_challenged = answer.headers.contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(answer.status == StatusCode::UNAUTHORIZED, is_challenged, "{told}");
            let is_wrong_method = answer.status == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(
                is_wrong_method,
                answer.headers.contains_key(header::ALLOW),
                "which methods are: {told}"
            );
        }
        assert_eq!(server.world.audit.records().len(), records + 1, "{method} {target} leaves one record");
        assert!(is_known || !is_success, "{method} {target} without the token");
        let taken: Vec<_> = server.packages().split_off(packages);
        if taken.is_empty() {
            return;
        }
        let path = target.path().trim_matches('/').to_ascii_lowercase();
        assert!(is_known && ["api/zipdeploy", "api/publish"].contains(&&*path), "{method} {target}");
        assert_eq!(taken, [body], "{method} {target}");
    });
}

fn read(server: &world::Server, data: &[u8]) -> Option<(Request<Body>, Vec<u8>)> {
    let head = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let body = data.get(head + 2..).unwrap_or_default().to_vec();
    let head = request::named(server, data.get(..head)?);
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target: Uri = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    // Without this hyper would not ask us.
    target.path().starts_with('/').then_some(())?;
    let mut request = Request::new(Body::from(body.clone()));
    (*request.method_mut(), *request.uri_mut()) = (method, target);
    for line in lines {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        let name = HeaderName::from_bytes(name).ok().filter(|name| *name != header::HOST)?;
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let host = server.scm_host();
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(&host).ok()?);
    Some((request, body))
}
