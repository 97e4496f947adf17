//! Bodies that are wrong in one place: each must be found, or the exercises prove nothing.

use super::{
    shape::{Check, Way},
    table::{Table, Version},
};
use serde_json::{Value, json};

const HOST: &str = "shop.vault.example:8443";
const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn faults(shape: &str, way: Way, version: Version, body: &Value) -> Vec<String> {
    let table = Table::read();
    let mut check = Check::new(&table.shapes, version, HOST, way);
    check.body("body", shape, body);
    check.faults
}

fn answer(shape: &str, body: &Value) -> Vec<String> {
    faults(shape, Way::Answer, Version::V7_5, body)
}

fn attributes() -> Value {
    json!({
        "enabled": true, "created": 1_800_000_000, "updated": 1_800_000_000, "recoveryLevel": "Recoverable",
        "recoverableDays": 90,
    })
}

fn secret() -> Value {
    let id = format!("https://{HOST}/secrets/db/{VERSION}");
    json!({"value": "v", "id": id, "attributes": attributes(), "tags": {"a": "b"}})
}

/// A body with one member replaced, or taken out.
fn with(mut body: Value, at: &str, value: Value) -> Value {
    let (parent, member) = at.rsplit_once('/').unwrap();
    let object = body.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
    match value {
        Value::Null => object.remove(member),
        value => object.insert(member.to_owned(), value),
    };
    body
}

#[test]
fn a_right_body_has_no_fault() {
    assert_eq!(answer("SecretBundle", &secret()), Vec::<String>::new());
    let item = json!({"id": format!("https://{HOST}/secrets/db"), "attributes": attributes(), "tags": {}});
    let next = format!("https://{HOST}/secrets?api-version=7.5&$skiptoken=ZGI&maxresults=1");
    for next in [Value::Null, json!(next)] {
        assert_eq!(
            answer("SecretListResult", &json!({"value": [item], "nextLink": next})),
            Vec::<String>::new()
        );
    }
}

#[test]
fn one_wrong_member_is_one_fault() {
    let id = |path: &str| json!(format!("https://{HOST}/{path}"));
    for (at, value) in [
        ("/unheard", json!("of")),
        ("/value", json!(7)),
        ("/tags", json!({"a": 1})),
        ("/tags", json!(["a"])),
        ("/tags", Value::Null),
        ("/id", Value::Null),
        ("/id", json!("https://other.vault.example/secrets/db")),
        ("/id", id("secrets/db")),
        ("/id", id("keys/db/0123456789abcdef0123456789abcdef")),
        ("/id", id("secrets/db/0123456789ABCDEF0123456789ABCDEF")),
        ("/id", id("secrets/d_b/0123456789abcdef0123456789abcdef")),
        ("/id", id("secrets//0123456789abcdef0123456789abcdef")),
        ("/managed", json!("true")),
        ("/attributes", json!([])),
        ("/attributes/enabled", json!(1)),
        ("/attributes/created", json!("2027-01-15")),
        ("/attributes/created", json!(1.5)),
        ("/attributes/exp", json!(-1)),
        ("/attributes/exp", json!(1_800_000_000_000_i64)),
        ("/attributes/recoverableDays", json!(5_000_000_000_i64)),
        ("/attributes/recoveryLevel", json!("Mostly")),
        ("/attributes/updated", Value::Null),
        // Not in this version yet.
        ("/previousVersion", json!("x")),
    ] {
        let wrong = with(secret(), at, value.clone());
        assert_eq!(answer("SecretBundle", &wrong).len(), 1, "{at}: {value}");
    }
    for (newer, count) in [(json!("x"), 0), (json!(1), 1)] {
        let newer = with(secret(), "/previousVersion", newer);
        assert_eq!(faults("SecretBundle", Way::Answer, Version::V2025_07_01, &newer).len(), count);
    }
}

#[test]
fn forms_of_text_are_told_apart() {
    for wrong in ["AA==", "A", "A+/A", "AB", " AA", "é"] {
        assert_eq!(answer("BackupSecretResult", &json!({"value": wrong})).len(), 1, "{wrong}");
    }
    assert!(answer("BackupSecretResult", &json!({"value": "A_-A"})).is_empty());
    for wrong in ["AA", "AB==", "A_-A", "AA=\n="] {
        let faults =
            faults("CertificateMergeParameters", Way::Request, Version::V7_5, &json!({"x5c": [wrong]}));
        assert_eq!(faults.len(), 1, "{wrong}");
    }
    for wrong in [json!(0), json!(100), json!("80")] {
        assert_eq!(answer("Trigger", &json!({"lifetime_percentage": wrong})).len(), 1, "{wrong}");
    }
}

#[test]
fn links_lead_to_the_same_vault_and_version() {
    for next in [
        json!(7),
        json!(""),
        json!(format!("https://{HOST}/secrets?api-version=7.4&$skiptoken=ZGI")),
        json!(format!("https://{HOST}/secrets?api-version=7.5&$skiptoken=")),
        json!(format!("https://{HOST}/secrets?api-version=7.5")),
        json!("https://evil.example/secrets?api-version=7.5&$skiptoken=ZGI"),
        json!(format!("https://{HOST}.evil.example/secrets?api-version=7.5&$skiptoken=ZGI")),
    ] {
        assert_eq!(answer("SecretListResult", &json!({"value": [], "nextLink": next})).len(), 1, "{next}");
    }
    assert_eq!(answer("SecretListResult", &json!({"value": []})).len(), 1, "the last page says null");
}

/// No answer holds a private half or a password, whatever the description would allow.
#[test]
fn what_is_never_answered_is_a_fault() {
    let kid = format!("https://{HOST}/keys/k/{VERSION}");
    let key = json!({"kid": kid, "kty": "oct", "key_ops": ["encrypt"]});
    assert!(answer("JsonWebKey", &key).is_empty());
    for member in ["d", "dp", "dq", "qi", "p", "q", "k", "key_hsm"] {
        let wrong = with(key.clone(), &format!("/{member}"), json!("AA"));
        assert_eq!(answer("JsonWebKey", &wrong).len(), 1, "{member}");
    }
    assert_eq!(answer("IssuerCredentials", &json!({"account_id": "me", "pwd": "x"})).len(), 1);
}

#[test]
fn requests_have_rules_of_their_own() {
    let request = |shape: &str, body: &Value| faults(shape, Way::Request, Version::V7_5, body);
    assert!(request("SecretSetParameters", &json!({"value": "v"})).is_empty());
    assert_eq!(request("SecretSetParameters", &json!({})).len(), 1, "the value is required");
    let read_only = json!({"value": "v", "attributes": {"created": 1}});
    assert_eq!(request("SecretSetParameters", &read_only).len(), 1);
    let newer = json!({"alg": "HS256", "value": "AA"});
    assert_eq!(request("KeySignParameters", &newer).len(), 1);
    assert!(faults("KeySignParameters", Way::Request, Version::V2025_07_01, &newer).is_empty());
}
