//! An authenticator and a browser that answer as real ones do, with real signatures, and each of their lies.

use super::*;
use crypt::test_keys::{AuthenticatorPair, PairKind};
use serde_json::{Value as Json, json};

const CHALLENGE: &[u8] = &[7; 32];
const EXPECTED: Expected<'_> = Expected {
    rp_id: "keyless.localhost",
    origin: "https://login.keyless.localhost:8443",
    challenge: CHALLENGE,
};
const GOOD: u8 = USER_PRESENT | USER_VERIFIED;

struct Device {
    pair: AuthenticatorPair,
    rp_id: &'static str,
    flags: u8,
    counter: u32,
    id: Vec<u8>,
    after: Vec<u8>,
    format: &'static str,
}

impl Device {
    fn new(kind: PairKind) -> Self {
        Self {
            pair: AuthenticatorPair::fresh(kind),
            rp_id: EXPECTED.rp_id,
            flags: GOOD,
            counter: 0,
            id: vec![9; 16],
            after: Vec::new(),
            format: "none",
        }
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        [&sha256(self.rp_id).bytes()[..], &[self.flags | flags], &self.counter.to_be_bytes()].concat()
    }

    /// What `create()` answers.
    fn object(&self) -> Vec<u8> {
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = [
            self.data(HAS_CREDENTIAL),
            vec![0; 16],
            length.to_vec(),
            self.id.clone(),
            self.pair.cose(),
            self.after.clone(),
        ]
        .concat();
        let text = |text: &str| [&[0x60 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [
            vec![0xa3],
            text("fmt"),
            text(self.format),
            text("attStmt"),
            vec![0xa0],
            text("authData"),
            vec![0x59],
            length.to_vec(),
            data,
        ]
        .concat()
    }

    /// What `get()` answers: authenticator data and signature.
    fn sign(&self, client_data: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let data = [self.data(0), self.after.clone()].concat();
        let signature = self.pair.sign(&[&data[..], sha256(client_data).bytes()].concat());
        (data, signature)
    }

    fn registered(&self) -> Passkey {
        register(&EXPECTED, &browser("webauthn.create", json!({})), &self.object()).unwrap()
    }

    fn asserted(&self, passkey: &Passkey) -> Result<Passkey, PasskeyFault> {
        let client_data = browser("webauthn.get", json!({}));
        let (data, signature) = self.sign(&client_data);
        assert(&EXPECTED, passkey, &client_data, &data, &signature)
    }
}

/// Client data, some members changed.
fn browser(kind: &str, changed: Json) -> Vec<u8> {
    let mut data = json!({
        "type": kind, "challenge": encoding::base64url(CHALLENGE), "origin": EXPECTED.origin, "crossOrigin": false,
        "other_keys_can_be_added_here": "do not compare clientDataJSON against a template"
    });
    for (name, value) in changed.as_object().unwrap() {
        data[name] = value.clone();
    }
    data.to_string().into_bytes()
}

#[test]
fn a_passkey_of_each_kind_is_made_and_used() {
    for kind in [PairKind::Es256, PairKind::EdDsa, PairKind::Rs256] {
        let device = Device::new(kind);
        let passkey = device.registered();
        assert_eq!((passkey.id.as_str(), passkey.counter), (&*encoding::base64url(&[9; 16]), 0));
        let stored = serde_json::to_string(&passkey).unwrap();
        let passkey: Passkey = serde_json::from_str(&stored).unwrap();
        assert_eq!(device.asserted(&passkey), Ok(passkey.clone()), "{kind:?}");
        let other = Device::new(PairKind::Es256);
        assert_eq!(other.asserted(&passkey), Err(PasskeyFault::Signature), "{kind:?}");
    }
}

#[test]
fn lies_of_the_browser_are_refused() {
    let device = Device::new(PairKind::Es256);
    let passkey = device.registered();
    let other_challenge = encoding::base64url(&[8; 32]);
    for (changed, fault) in [
        (json!({"type": "webauthn.create"}), PasskeyFault::Other("ceremony")),
        (json!({"challenge": other_challenge}), PasskeyFault::Other("challenge")),
        (json!({"challenge": ""}), PasskeyFault::Other("challenge")),
        (json!({"challenge": "?"}), PasskeyFault::Malformed("client data")),
        (json!({"origin": "https://login.keyless.localhost"}), PasskeyFault::Other("origin")),
        (json!({"origin": "http://login.keyless.localhost:8443"}), PasskeyFault::Other("origin")),
        (
            json!({"origin": "https://login.keyless.localhost:8443.evil.example"}),
            PasskeyFault::Other("origin"),
        ),
        (json!({"crossOrigin": true}), PasskeyFault::Other("origin")),
        (json!({"crossOrigin": "no"}), PasskeyFault::Malformed("client data")),
        (json!({"origin": null}), PasskeyFault::Malformed("client data")),
        (json!({"more": "x".repeat(CLIENT_DATA_BYTES_MAX)}), PasskeyFault::Malformed("client data")),
    ] {
        let client_data = browser("webauthn.get", changed.clone());
        let (data, signature) = device.sign(&client_data);
        assert_eq!(assert(&EXPECTED, &passkey, &client_data, &data, &signature), Err(fault), "{changed:.99}");
    }
    let made = register(&EXPECTED, &browser("webauthn.get", json!({})), &device.object());
    assert_eq!(made, Err(PasskeyFault::Other("ceremony")));
    for malformed in [&b""[..], b"{}", b"null", b"\xff"] {
        let (data, signature) = device.sign(malformed);
        let refused = assert(&EXPECTED, &passkey, malformed, &data, &signature);
        assert_eq!(refused, Err(PasskeyFault::Malformed("client data")));
    }
    // Signed for one, sent with another.
    let (data, signature) = device.sign(&browser("webauthn.get", json!({"more": 1})));
    let refused = assert(&EXPECTED, &passkey, &browser("webauthn.get", json!({})), &data, &signature);
    assert_eq!(refused, Err(PasskeyFault::Signature));
}

#[test]
fn lies_of_the_authenticator_are_refused() {
    let passkey_of = |device: &Device| Device {
        flags: GOOD,
        rp_id: EXPECTED.rp_id,
        after: vec![],
        id: vec![9],
        pair: AuthenticatorPair::fresh(PairKind::EdDsa),
        ..*device
    };
    let change = |change: &dyn Fn(&mut Device)| {
        let mut device = passkey_of(&Device::new(PairKind::EdDsa));
        let passkey = device.registered();
        change(&mut device);
        (
            device.asserted(&passkey),
            register(&EXPECTED, &browser("webauthn.create", json!({})), &device.object()),
        )
    };
    let both = |asked: &dyn Fn(&mut Device), fault| {
        let (asserted, registered) = change(asked);
        assert_eq!((asserted.err(), registered.err()), (Some(fault), Some(fault)));
    };
    both(&|device| device.rp_id = "localhost", PasskeyFault::Other("site"));
    both(&|device| device.flags = USER_VERIFIED, PasskeyFault::NotVerified);
    both(&|device| device.flags = USER_PRESENT, PasskeyFault::NotVerified);
    both(&|device| device.flags = GOOD | BACKED_UP, PasskeyFault::Malformed("authenticator data"));
    both(&|device| device.after = vec![0xa0], PasskeyFault::Malformed("authenticator data"));
    both(&|device| device.flags = GOOD | HAS_EXTENSIONS, PasskeyFault::Malformed("authenticator data"));
    let (asserted, registered) = change(&|device| {
        device.flags = GOOD | HAS_EXTENSIONS;
        device.after = vec![0xa0];
    });
    assert!(asserted.is_ok() && registered.is_ok(), "extensions that nobody asked for");
    assert_eq!(
        change(&|device| device.flags |= HAS_CREDENTIAL).0,
        Err(PasskeyFault::Malformed("authenticator data"))
    );
    assert_eq!(
        change(&|device| device.flags |= BACKUP_ELIGIBLE).0,
        Err(PasskeyFault::Other("kind of passkey"))
    );
    assert_eq!(change(&|device| device.format = "packed").1, Err(PasskeyFault::Unsupported("attestation")));
    assert_eq!(change(&|device| device.id = vec![]).1, Err(PasskeyFault::Malformed("credential id")));
    assert_eq!(change(&|device| device.id = vec![1; 1_024]).1, Err(PasskeyFault::Malformed("credential id")));
}

#[test]
fn a_counter_only_grows() {
    let mut device = Device::new(PairKind::Es256);
    device.counter = 5;
    let passkey = device.registered();
    assert_eq!(device.asserted(&passkey), Err(PasskeyFault::Counter));
    device.counter = 6;
    let passkey = device.asserted(&passkey).unwrap();
    assert_eq!(passkey.counter, 6);
    for back in [6, 5, 0] {
        device.counter = back;
        assert_eq!(device.asserted(&passkey), Err(PasskeyFault::Counter), "{back}");
    }
}

#[test]
fn pieces_of_good_answers_are_refused() {
    let device = Device::new(PairKind::Es256);
    let (object, client_data) = (device.object(), browser("webauthn.create", json!({})));
    for length in 0..object.len() {
        assert!(register(&EXPECTED, &client_data, &object[..length]).is_err(), "{length}");
    }
    let more = [object, vec![0]].concat();
    assert!(register(&EXPECTED, &client_data, &more).is_err());
    assert!(register(&EXPECTED, &client_data, &vec![0xa0; ATTESTATION_BYTES_MAX + 1]).is_err());
    let passkey = device.registered();
    let client_data = browser("webauthn.get", json!({}));
    let (data, signature) = device.sign(&client_data);
    for length in 0..data.len() {
        assert!(assert(&EXPECTED, &passkey, &client_data, &data[..length], &signature).is_err(), "{length}");
    }
    assert!(assert(&EXPECTED, &passkey, &client_data, &data, &signature).is_ok());
}
