//! The resource manager's door: any method, path, query and body, by somebody who owns the subscription, who may do everything there is.
//!
//! Besides what holds for every answer ([`crate::answers`]): every request leaves a record, no value of a setting is repeated by a refusal or by
//! the audit log, and a filter takes away from a list and adds nothing.

use crate::{
    answers::Answer,
    request,
    world::{self, Server},
};
use domain::HostRole;
use http::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use std::fmt::Write as _;

/// What stands in seeds where the value of a setting would.
const CANARY: &str = "canary";

/// A request line; what comes after it is the body.
pub(crate) fn check_path(data: &[u8]) {
    check(data);
}

/// A request line and a body. The same as above: another corpus, whose bodies are what is changed.
pub(crate) fn check_body(data: &[u8]) {
    check(data);
}

fn check(data: &[u8]) {
    world::with(|server| {
        let Some(asked) = request::read(server, data) else { return };
        let role = server.world.state.names.role(&asked.host);
        let (method, target) = (asked.request.method().clone(), asked.request.uri().to_string());
        let has_canary = String::from_utf8_lossy(&asked.body).contains(CANARY) && !target.contains(CANARY);
        let before = server.world.audit.records().len();
        let answer = server.ask(asked.request);
        check_answer(&answer, &method, &role);
        let records = server.world.audit.records();
        if role == HostRole::Management && !is_public(&method, &target) {
            assert!(records.len() > before, "{method} {target} leaves no record");
        }
        if !has_canary {
            return;
        }
        if answer.status.is_client_error() {
            let body = String::from_utf8_lossy(&answer.body);
            assert!(!body.contains(CANARY), "a refusal repeats a value: {body}");
        }
        // A role's own name is no secret, and is told.
        if !target.to_ascii_lowercase().contains("roledefinitions") {
            for record in records.iter().skip(before) {
                let record = serde_json::to_string(record).unwrap();
                assert!(!record.contains(CANARY), "the audit log repeats a value: {record}");
            }
        }
    });
}

/// Who asks what clouds there are is nobody yet; whatever else is asked is by somebody.
fn is_public(method: &Method, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty()).map(percent_decode_str);
    let mut is_next = |word: &[u8]| {
        segments.next().is_some_and(|segment| segment.collect::<Vec<u8>>().eq_ignore_ascii_case(word))
    };
    method == Method::GET && is_next(b"metadata") && is_next(b"endpoints") && segments.next().is_none()
}

/// What holds for every answer. What was deleted, and what HEAD is answered with, has no body to look at; of clouds, clients of early versions
/// are told a list.
fn check_answer(answer: &Answer, method: &Method, role: &HostRole) {
    if answer.status.is_success() && answer.json()[0]["resourceManager"].is_string() {
        return;
    }
    if answer.body.is_empty() && (answer.status.is_success() || *method == Method::HEAD) {
        assert!(answer.headers.contains_key("x-ms-request-id"), "no request id: {}", answer.status);
        return;
    }
    answer.check(Some(role));
}

/// A `$filter`, at each of the lists that take one.
pub(crate) fn check_filter(data: &[u8]) {
    world::with(|server| {
        let mut filter = String::new();
        for byte in data {
            write!(filter, "%{byte:02X}").unwrap();
        }
        let subscription = server.world.name("/subscriptions/{subscription}");
        let authorization = format!("{subscription}/providers/Microsoft.Authorization");
        for (list, may_add) in [
            (format!("{subscription}/resources"), false),
            (format!("{authorization}/roleAssignments"), false),
            // `atScopeAndBelow()` asks for more.
            (format!("{authorization}/roleDefinitions"), true),
        ] {
            let all = values(&get(server, &format!("{list}?api-version=2022-04-01")));
            let some = get(server, &format!("{list}?api-version=2022-04-01&$filter={filter}"));
            some.check(Some(&HostRole::Management));
            assert!(matches!(some.status, StatusCode::OK | StatusCode::BAD_REQUEST), "{}", some.status);
            let told = values(&some);
            assert!(may_add || told.iter().all(|one| all.contains(one)), "{list} has more by a filter");
        }
    });
}

fn get(server: &Server, target: &str) -> Answer {
    let request = Request::builder()
        .uri(target)
        .header("host", server.world.state.names.management_host())
        .header("authorization", format!("Bearer {}", server.management));
    server.ask(request.body(axum::body::Body::empty()).unwrap())
}

fn values(answer: &Answer) -> Vec<serde_json::Value> {
    answer.json()["value"].as_array().cloned().unwrap_or_default()
}
