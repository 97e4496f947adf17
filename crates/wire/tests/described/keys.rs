//! What can be done with keys.

use super::{
    exercise::{Exercise, last},
    secrets::pages,
};
use crypt::{
    encoding::base64url,
    keys::{KeyType, PrivateJwk, PrivateKey},
};
use domain::Secret;
use serde_json::{Value, json};

/// Every operation on keys at least once, and each property of what it takes and answers.
pub(super) async fn all(on: &mut Exercise) {
    made(on).await;
    used(on).await;
    rotated(on).await;
    refused(on).await;
    let random = on.does("GetRandomBytes", "", json!({"count": 32})).await;
    assert_eq!(random["value"].as_str().map(str::len), Some(43));

    let backup = on.does("BackupKey", "ec", Value::Null).await;
    on.does("DeleteKey", "ec", Value::Null).await;
    on.does("GetDeletedKey", "ec", Value::Null).await;
    on.does("DeleteKey", "rsa", Value::Null).await;
    pages(on, "GetDeletedKeys", "", "").await;
    on.does("RecoverDeletedKey", "ec", Value::Null).await;
    on.does("DeleteKey", "ec", Value::Null).await;
    on.does("PurgeDeletedKey", "ec", Value::Null).await;
    on.does("RestoreKey", "", json!({"value": backup["value"]})).await;
}

async fn made(on: &mut Exercise) {
    let policy = base64url(br#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"a","equals":"b"}]}]}"#);
    let release =
        json!({"contentType": "application/json; charset=utf-8", "immutable": false, "data": policy});
    let attributes =
        json!({"enabled": true, "nbf": 1_700_000_000, "exp": 1_900_000_000, "exportable": false});
    let ec = json!({
        "kty": "EC", "crv": "P-256", "key_size": 256, "key_ops": ["sign", "verify"], "tags": {"a": "b"}, "attributes": attributes,
    });
    let first = on.does("CreateKey", "ec", ec).await;
    on.does("CreateKey", "ec", json!({"kty": "EC-HSM"})).await;
    let rsa = json!({"kty": "RSA", "key_size": 2048, "public_exponent": 65_537});
    on.does("CreateKey", "rsa", rsa).await;
    let exportable = json!({"kty": "EC-HSM", "attributes": {"exportable": true}, "release_policy": release});
    on.does("CreateKey", "exportable", exportable).await;

    let oct = json!({"key": {"kty": "oct-HSM", "k": base64url(&[7; 32]), "key_ops": ["encrypt", "decrypt", "wrapKey", "unwrapKey"], "kid": "mine"}, "Hsm": true, "tags": {}, "attributes": {"enabled": true}});
    on.does("ImportKey", "oct", oct).await;
    let (_, jwk) = parts(include_str!("../../../crypt/testdata/public-test-key-1.pem"));
    let exportable = json!({"key": jwk, "attributes": {"exportable": true}, "release_policy": release});
    on.does("ImportKey", "imported", exportable).await;
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    on.does("ImportKey", "point", json!({"key": jwk})).await;

    let version = last(&first["key"]["kid"]);
    let change = json!({"key_ops": ["sign"], "attributes": {"enabled": true}, "tags": {"c": "d"}});
    on.does("UpdateKey", &format!("ec/{version}"), change).await;
    on.does("UpdateKey", "exportable/", json!({"release_policy": release})).await;
    on.does("GetKey", &format!("ec/{version}"), Value::Null).await;
    on.does("GetKey", "rsa/", Value::Null).await;
    pages(on, "GetKeys", "", "").await;
    pages(on, "GetKeyVersions", "ec", "").await;
}

/// An RSA key of a PEM file as a client sends it.
fn parts(pem: &str) -> (KeyType, Value) {
    let der: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .filter(|line| !line.starts_with('-'))
        .collect();
    let pkcs8 = Secret::new(crypt::encoding::from_base64(der).unwrap());
    let (key_type, jwk) = PrivateKey::import_pkcs8(&pkcs8).unwrap().to_private_jwk().unwrap();
    let PrivateJwk { n, e, d, p, q, dp, dq, qi, .. } = jwk;
    let open = |part: Option<Vec<u8>>| base64url(&part.unwrap());
    let secret = |part: Option<Secret<Vec<u8>>>| base64url(part.unwrap().expose());
    let jwk = json!({
        "kty": "RSA", "n": open(n), "e": open(e), "d": secret(d), "p": secret(p), "q": secret(q), "dp": secret(dp),
        "dq": secret(dq), "qi": secret(qi),
    });
    (key_type, jwk)
}

async fn used(on: &mut Exercise) {
    let digest = base64url(&[3; 32]);
    let signed = on.does("sign", "ec/", json!({"alg": "ES256", "value": digest})).await;
    let verify = json!({"alg": "ES256", "digest": digest, "value": signed["value"]});
    assert_eq!(on.does("verify", "ec/", verify).await["value"], true);
    let wrong = json!({"alg": "ES256", "digest": base64url(&[4; 32]), "value": signed["value"]});
    assert_eq!(on.does("verify", "ec/", wrong).await["value"], false);

    let plain = json!({"alg": "A256GCM", "value": "cGxhaW4", "aad": "YWFk"});
    let sealed = on.does("encrypt", "oct/", plain).await;
    let sealed = json!({
        "alg": "A256GCM", "value": sealed["value"], "iv": sealed["iv"], "tag": sealed["tag"], "aad": sealed["aad"],
    });
    assert_eq!(on.does("decrypt", "oct/", sealed).await["value"], "cGxhaW4");
    let mut algorithms = vec![("rsa", "RSA-OAEP-256"), ("oct", "A256KW")];
    if on.is_newer() {
        algorithms.push(("oct", "CKM_AES_KEY_WRAP_PAD"));
    }
    for (key, algorithm) in algorithms {
        let key = format!("{key}/");
        let wrapped = on.does("wrapKey", &key, json!({"alg": algorithm, "value": digest})).await;
        let unwrapped =
            on.does("unwrapKey", &key, json!({"alg": algorithm, "value": wrapped["value"]})).await;
        assert_eq!(unwrapped["value"], digest, "{algorithm}");
    }
}

async fn rotated(on: &mut Exercise) {
    on.does("GetKeyRotationPolicy", "rsa", Value::Null).await;
    let policy = json!({
        "lifetimeActions": [
            {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}},
            {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}},
        ],
        "attributes": {"expiryTime": "P1Y"},
    });
    on.does("UpdateKeyRotationPolicy", "rsa", policy).await;
    on.does("GetKeyRotationPolicy", "rsa", Value::Null).await;
    on.does("RotateKey", "rsa", Value::Null).await;
}

/// What only an HSM has is refused as the list says.
async fn refused(on: &mut Exercise) {
    let wrapped = json!({"key": {"kty": "RSA-HSM", "key_hsm": "AAAA"}, "Hsm": true});
    on.is_refused("ImportKey", "wrapped", wrapped, (400, "BadParameter", None)).await;
    let target = format!("{}.{}.AA", base64url(br#"{"alg":"RS256"}"#), base64url(b"{}"));
    for (operation, body) in [
        ("release", json!({"target": target, "nonce": "n", "enc": "RSA_AES_KEY_WRAP_256"})),
        ("GetKeyAttestation", Value::Null),
    ] {
        let (status, code, inner) = on.table.operation(operation).refused.unwrap();
        on.is_refused(operation, "exportable/", body, (status, &code, inner.as_deref())).await;
    }
}
