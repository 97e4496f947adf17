//! What holds for every answer, whatever was asked: no failure of ours, and a refusal in the words of the protocol.
//!
//! 503 is documented for a store or an audit log that cannot be written, and is no answer here: both are in memory.

use domain::HostRole;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body, or null.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Checks what holds for every answer of the listener.
    pub(crate) fn check(&self, role: Option<&HostRole>) {
        let (status, body) = (self.status, String::from_utf8_lossy(&self.body));
        assert!(!status.is_server_error(), "{status}: {body}");
        if matches!(role, Some(HostRole::App(_))) {
            // No app is served in this world.
            assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
            return;
        }
        assert!(self.headers.contains_key("x-ms-request-id"), "no request id: {status}");
        if status == StatusCode::NO_CONTENT {
            assert!(self.body.is_empty(), "{body}");
            return;
        }
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
        if is_page && matches!(role, Some(HostRole::Login)) {
            // A page for a person, which runs nothing that a stranger has written.
            assert!(self.headers.contains_key(header::CONTENT_SECURITY_POLICY), "{status}: {body}");
            return;
        }
        assert!(kind.is_some_and(|kind| kind.starts_with("application/json")), "{status} {kind:?}: {body}");
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        assert!(json.is_object(), "{body}");
        let is_refused = status.is_client_error();
        assert!(is_refused || status.is_success(), "{status}: {body}");
        assert_eq!(is_refused, json.get("error").is_some(), "{status}: {body}");
        if !is_refused {
            return;
        }
        match role {
            Some(HostRole::Login) => check_oauth2(&json),
            Some(HostRole::Vault(_) | HostRole::Graph | HostRole::Management | HostRole::Scm(_)) => {
                check_keyvault(&json);
                let challenged = self.headers.contains_key(header::WWW_AUTHENTICATE);
                assert_eq!(status == StatusCode::UNAUTHORIZED, challenged, "{body}");
            }
            Some(HostRole::App(_) | HostRole::Unknown) | None => check_keyvault(&json),
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(self.headers.contains_key(header::ALLOW), "which methods are: {body}");
        }
    }
}

/// `{"error":{"code","message"}}`.
fn check_keyvault(json: &Value) {
    assert!(json["error"]["code"].is_string() && json["error"]["message"].is_string(), "{json}");
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(1), "{json}");
}

/// `error`, `error_description` and numbers; a client exists that reads no escapes.
fn check_oauth2(json: &Value) {
    let text = json["error_description"].as_str().unwrap_or_else(|| panic!("{json}"));
    assert!(json["error"].is_string() && json["error_codes"].is_array(), "{json}");
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
    assert!(text.chars().all(is_plain), "{json}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::VaultName;

    /// Whether the checks let an answer of a vault through.
    fn holds(status: u16, kind: &str, body: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-request-id", "1".parse().unwrap());
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, body: body.as_bytes().to_vec() };
        let vault = HostRole::Vault(VaultName::parse("shop").unwrap());
        std::panic::catch_unwind(|| answer.check(Some(&vault))).is_ok()
    }

    #[test]
    fn what_no_vault_may_answer_is_seen() {
        let (json, refusal) = ("application/json", r#"{"error":{"code":"a","message":"b"}}"#);
        assert!(holds(200, json, "{}") && holds(404, json, refusal));
        for (status, kind, body) in [
            (500, json, refusal),
            (404, json, "{}"),
            (404, json, r#"{"error":"b"}"#),
            (404, "text/plain", refusal),
            (200, json, refusal),
            (200, json, "{"),
            (401, json, refusal),
            (405, json, refusal),
            (204, json, "{}"),
        ] {
            assert!(!holds(status, kind, body), "{status} {kind} {body}");
        }
    }
}
