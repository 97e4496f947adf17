//! Any method, path, query, host and body, through the door of the public listener, by somebody who may do everything in the vault.
//!
//! Besides what holds for every answer ([`crate::answers`]): every request of a known caller leaves one audit record, no refusal repeats a
//! value, and the audit log never does.

use crate::{request, world};
use domain::HostRole;

/// The word that stands in seeds where a secret value would.
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
        let is_secret_set =
            asked.request.uri().path().starts_with("/secrets/") && asked.request.method() == "PUT";
        let says_canary = String::from_utf8_lossy(&asked.body).contains("\"value\":\"canary");
        let target = asked.request.uri().to_string();
        let before = server.world.audit.records().len();
        let answer = server.ask(asked.request);
        answer.check(Some(&role));
        let records = server.world.audit.records();
        if let HostRole::Vault(_) = role {
            assert_eq!(records.len(), before + 1, "{target} leaves one record");
        }
        if is_secret_set && says_canary && !target.contains(CANARY) {
            if answer.status.is_client_error() {
                let body = String::from_utf8_lossy(&answer.body);
                assert!(!body.contains(CANARY), "a refusal repeats a value: {body}");
            }
            let record = serde_json::to_string(records.last().unwrap()).unwrap();
            assert!(!record.contains(CANARY), "the audit log repeats a value: {record}");
        }
    });
}
