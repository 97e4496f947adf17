//! What clients and outside issuers prove themselves by. A first byte says what the rest is: an assertion, a key set, a certificate. None
//! that was not signed verifies; keys that are read are written and read again the same.

use crate::support::NOW;
use crypt::{Assertion, ClientCertificate, IssuerKey, assertion::ISSUER_ALGORITHMS, test_keys::TestSigner};
use std::sync::OnceLock;

/// One of them.
pub(crate) fn check(data: &[u8]) {
    static KEY: OnceLock<crypt::keys::PublicJwk> = OnceLock::new();
    let Some((which, rest)) = data.split_first() else { return };
    match which % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            let Ok(assertion) = Assertion::parse(text) else { return };
            let key = KEY.get_or_init(|| TestSigner::one(NOW).jwk());
            // The one that the seeds have is genuine.
            let is_genuine = text == crate::seeds::assertion();
            assert_eq!(assertion.verify(key, ISSUER_ALGORITHMS).is_ok(), is_genuine, "{text}");
        }
        1 => {
            let Ok(keys) = IssuerKey::of_set(rest) else { return };
            let written = serde_json::to_vec(&keys).unwrap();
            assert_eq!(serde_json::from_slice::<Vec<IssuerKey>>(&written).unwrap(), keys);
        }
        _ => {
            if let Ok(read) = ClientCertificate::read(rest) {
                assert!(crypt::keys::PublicKey::from_jwk(&read.key).is_ok());
            }
        }
    }
}
