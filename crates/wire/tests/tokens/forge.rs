//! Makes tokens of any header and claims, signed by any key, or by none.

use crate::support::{NOW, World};
use crypt::{
    MacKey, MessageDigest, SigningKey,
    encoding::{self, base64url},
    keys::{PrivateKey, SignatureAlgorithm},
    test_keys,
};
use domain::Secret;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};

/// What is presented, and how the refusal begins.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) says: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) query: String,
}

impl Case {
    /// One `Authorization` header.
    pub(super) fn of(name: &str, says: &'static str, authorization: &str) -> Self {
        Self::bytes(name, says, authorization.as_bytes())
    }

    /// The same, of bytes that need not be text.
    pub(super) fn bytes(name: &str, says: &'static str, authorization: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(authorization).unwrap();
        let headers = vec![(header::AUTHORIZATION, value)];
        Self { name: name.to_owned(), says, headers, query: String::new() }
    }

    /// What must not be found in a record: the parts of what was presented.
    pub(super) fn pieces(&self) -> Vec<String> {
        let texts =
            self.headers.iter().map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let split = |text: String| text.split(['.', ' ', ',', '"']).map(str::to_owned).collect::<Vec<_>>();
        texts.flat_map(split).filter(|piece| piece.len() > 8).collect()
    }
}

/// The right claims, the right key and a wrong one.
pub(super) struct Forge {
    pub(super) claims: Value,
    pub(super) tenant: String,
    pub(super) key: SigningKey,
    pub(super) attacker: SigningKey,
    /// The two keys as such that sign with any algorithm.
    pub(super) right: PrivateKey,
    wrong: PrivateKey,
    pub(super) now: i64,
    /// A token that is right in all.
    pub(super) good: String,
}

impl Forge {
    pub(super) fn of(world: &World) -> Self {
        let good = world.name("{token}");
        let claims = encoding::from_base64url(good.split('.').nth(1).unwrap()).unwrap();
        let mut claims: Value = serde_json::from_slice(&claims).unwrap();
        claims["uti"] = json!("canary-uti");
        let tenant = world.name("{tenant}");
        let (key, attacker) = (test_keys::signing_key(), test_keys::other_signing_key());
        let right = private(include_str!("../../../crypt/testdata/public-test-key-1.pem"));
        let wrong = private(include_str!("../../../crypt/testdata/public-test-key-2.pem"));
        Self { claims, tenant, key, attacker, right, wrong, now: NOW.seconds(), good }
    }

    /// The header that our tokens have.
    pub(super) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": "RS256", "kid": self.key.kid()})
    }

    /// That header with a member replaced, or without it.
    pub(super) fn header_with(&self, member: &str, value: Value) -> Value {
        with(self.header(), member, value)
    }

    /// The right claims with one replaced, or without it.
    pub(super) fn claims_with(&self, member: &str, value: Value) -> Value {
        with(self.claims.clone(), member, value)
    }

    /// A token of these texts, signed by the right key with RS256 whatever the header says.
    pub(super) fn signed(&self, header: &str, claims: &str) -> String {
        Self::token(header, claims, |signed| sign(&self.right, "RS256", 32, signed))
    }

    /// A token whose header and claims are spelled so, signed by the right key.
    pub(super) fn signed_as_it_stands(&self, text: &str) -> String {
        format!("{text}.{}", base64url(&sign(&self.right, "RS256", 32, text.as_bytes())))
    }

    /// A token of these texts with a signature of any kind.
    pub(super) fn token(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = sign(signed.as_bytes());
        format!("{signed}.{}", base64url(&signature))
    }

    /// The right claims under this header, signed by the right key.
    pub(super) fn under(&self, header: &Value) -> String {
        self.signed(&header.to_string(), &self.claims.to_string())
    }

    /// The right claims under this header, signed by the attacker's key.
    pub(super) fn attackers(&self, header: &Value) -> String {
        Self::token(&header.to_string(), &self.claims.to_string(), |signed| {
            sign(&self.wrong, "RS256", 32, signed)
        })
    }

    /// These claims under the right header, signed by the right key.
    pub(super) fn saying(&self, claims: &str) -> String {
        self.signed(&self.header().to_string(), claims)
    }

    /// The right claims under a header that names this algorithm, signed with it by a key.
    pub(super) fn by_algorithm(&self, algorithm: &str, key: &PrivateKey, digest_bytes: usize) -> String {
        let header = self.header_with("alg", json!(algorithm)).to_string();
        Self::token(&header, &self.claims.to_string(), |signed| sign(key, algorithm, digest_bytes, signed))
    }

    /// The right claims under a header that says HS256, with an HMAC whose key is this.
    pub(super) fn by_hmac(&self, key: &[u8]) -> String {
        let header = self.header_with("alg", json!("HS256")).to_string();
        Self::token(&header, &self.claims.to_string(), |signed| MacKey::new(key).mac(&[signed]).to_vec())
    }
}

fn private(pem: &str) -> PrivateKey {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN"));
    let der: String = lines.filter(|line| !line.starts_with('-')).collect();
    PrivateKey::import_pkcs8(&Secret::new(encoding::from_base64(der).unwrap())).unwrap()
}

fn sign(key: &PrivateKey, algorithm: &str, digest_bytes: usize, signed: &[u8]) -> Vec<u8> {
    let mut digest = MessageDigest::of_bytes(digest_bytes).unwrap();
    digest.update(signed);
    key.sign(SignatureAlgorithm::parse(algorithm).unwrap(), &digest.finish()).unwrap()
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(member),
        value => members.insert(member.to_owned(), value),
    };
    object
}
