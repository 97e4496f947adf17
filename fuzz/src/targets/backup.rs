//! Backups. The first byte says of which kind, and what the rest is: the blob's text (0), changes of a genuine blob (1), changes of what
//! is in a genuine one, sealed again (2), or the whole of what is in one (3).
//!
//! A blob that is not the genuine one is refused as one that does not open. What is in one is of our own making, since it is sealed; whatever
//! stands there, the vault must not fail, nor afterwards.

use crate::{edits, world};
use domain::ObjectKind;
use http::StatusCode;
use serde_json::json;

/// One backup to be restored.
pub(crate) fn check(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    world::with(|server| {
        let backup = &server.backups[usize::from(first / 4) % server.backups.len()];
        let (kind, genuine) = (backup.kind, backup.blob.as_bytes());
        let blob = match first % 4 {
            0 => rest.to_vec(),
            1 => edits::apply(genuine, rest),
            2 => server.seal(kind, &edits::apply(&backup.plain, rest)).into_bytes(),
            _ => server.seal(kind, rest).into_bytes(),
        };
        let is_forged = first % 4 < 2 && blob != genuine;
        let Ok(blob) = String::from_utf8(blob) else { return };
        let collection = kind.plural();
        let answer = server.call("POST", &format!("/{collection}/restore"), &json!({"value": blob}));
        if is_forged {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "a forged backup: {}", answer.json());
        }
        if blob.as_bytes() == genuine {
            assert_eq!(answer.status, StatusCode::CONFLICT, "its object is still there: {}", answer.json());
        }
        if answer.status.is_success() {
            let id = if kind == ObjectKind::Key {
                answer.json()["key"]["kid"].clone()
            } else {
                answer.json()["id"].clone()
            };
            let name = id.as_str().and_then(|id| id.rsplit('/').nth(1)).map(str::to_owned).unwrap();
            for path in [
                format!("/{collection}/{name}"),
                format!("/{collection}/{name}/versions"),
                format!("/{collection}"),
            ] {
                server.call("GET", &path, &json!(null));
            }
            server.call("DELETE", &format!("/{collection}/{name}"), &json!(null));
        }
    });
}
