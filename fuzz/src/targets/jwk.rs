//! JSON Web Keys that are imported. A key that is taken is shown with the same public half, and what it signs it verifies.

use crate::world;
use crypt::keys::{PublicJwk, PublicKey};
use serde_json::{Value, json};

/// One key.
pub(crate) fn check(data: &[u8]) {
    if let Ok(jwk) = serde_json::from_slice::<PublicJwk>(data) {
        let text = serde_json::to_vec(&jwk).unwrap();
        assert_eq!(
            serde_json::from_slice::<PublicJwk>(&text).ok().as_ref(),
            Some(&jwk),
            "it is read as it is written"
        );
        if let Ok(key) = PublicKey::from_jwk(&jwk) {
            assert!(PublicKey::from_jwk(&key.to_jwk()).is_ok());
        }
    }
    let Ok(key) = serde_json::from_slice::<Value>(data) else { return };
    world::with(|server| {
        let answer = server.call("PUT", "/keys/fuzz", &json!({"key": key}));
        if !answer.status.is_success() {
            return;
        }
        let taken = answer.json();
        assert_eq!(server.call("GET", "/keys/fuzz/", &json!(null)).json(), taken);
        for secret in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(taken["key"].get(secret).is_none(), "{secret} is shown");
        }
        let Some(algorithm) = algorithm(&taken["key"]) else { return };
        let digest = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let sign = json!({"alg": algorithm, "value": digest});
        let signed = server.call("POST", "/keys/fuzz//sign", &sign);
        if signed.status.is_success() {
            let verify = json!({"alg": algorithm, "digest": digest, "value": signed.json()["value"]});
            let verified = server.call("POST", "/keys/fuzz//verify", &verify);
            assert!(!verified.status.is_success() || verified.json()["value"] == true, "{}", verified.json());
        }
    });
}

/// One that signs a SHA-256 digest.
fn algorithm(key: &Value) -> Option<&'static str> {
    match (key["kty"].as_str()?, key["crv"].as_str()) {
        ("RSA" | "RSA-HSM", _) => Some("RS256"),
        (_, Some("P-256")) => Some("ES256"),
        (_, Some("P-256K")) => Some("ES256K"),
        _ => None,
    }
}
