//! What an authenticator answers when a passkey is made, by a browser that tells the truth. A passkey that is taken is read as it is written,
//! and nothing that nobody signed is taken as signed by it.

use directory::passkey::{self, Expected, Passkey};

/// What was asked for.
pub(crate) const EXPECTED: Expected<'_> = Expected {
    rp_id: "keyless.localhost",
    origin: "https://login.keyless.localhost:8443",
    challenge: b"0123456789abcdef",
};

/// One attestation object.
pub(crate) fn check(data: &[u8]) {
    let Ok(made) = passkey::register(&EXPECTED, &client_data("webauthn.create"), data) else { return };
    let written = serde_json::to_vec(&made).unwrap();
    assert_eq!(serde_json::from_slice::<Passkey>(&written).unwrap(), made, "it is read as it is written");
    for (authenticator_data, signature) in [(data, data), (&data[data.len() / 2..], &[][..])] {
        let asserted =
            passkey::assert(&EXPECTED, &made, &client_data("webauthn.get"), authenticator_data, signature);
        assert!(asserted.is_err(), "nobody has signed this");
    }
}

fn client_data(kind: &str) -> Vec<u8> {
    let challenge = crypt::encoding::base64url(EXPECTED.challenge);
    let data = serde_json::json!({"type": kind, "challenge": challenge, "origin": EXPECTED.origin});
    data.to_string().into_bytes()
}
