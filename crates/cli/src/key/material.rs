//! A private key from a file, as it is sent to be imported: PKCS#8 in PEM (RFC 7468, RFC 5958), or a JSON Web Key (RFC 7517).

use crate::{attributes::Properties, failure::Failure, files};
use crypt::{
    encoding::base64url,
    keys::{KeyImportFault, KeyType, PrivateKey},
};
use domain::Secret;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Bytes of a file: keys of the largest size are a tenth of it. Ours.
const BYTES_MAX: usize = 64 * 1024;

/// A JWK with its private members, each as the base64url text that is sent.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Secret<String>>,
    p: Option<Secret<String>>,
    q: Option<Secret<String>>,
    dp: Option<Secret<String>>,
    dq: Option<Secret<String>>,
    qi: Option<Secret<String>>,
    k: Option<Secret<String>>,
    key_ops: Option<Vec<String>>,
}

/// `KeyImportParameters`, borrowed: written straight into the body.
#[derive(Serialize)]
struct Body<'a> {
    key: Sent<'a>,
    #[serde(flatten)]
    properties: &'a Properties,
}

#[derive(Serialize)]
struct Sent<'a> {
    kty: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_ops: Option<&'a [String]>,
    #[serde(flatten)]
    members: std::collections::BTreeMap<&'static str, &'a str>,
}

impl Jwk {
    /// As it is sent; the operations that are given count before those of the file.
    pub(super) fn body(&self, ops: &[String], properties: &Properties) -> Result<Secret<Vec<u8>>, Failure> {
        let public = [("crv", &self.crv), ("x", &self.x), ("y", &self.y), ("n", &self.n), ("e", &self.e)];
        let private = [
            ("d", &self.d),
            ("p", &self.p),
            ("q", &self.q),
            ("dp", &self.dp),
            ("dq", &self.dq),
            ("qi", &self.qi),
            ("k", &self.k),
        ];
        let public = public.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        let private =
            private.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?.expose().as_str())));
        let key_ops = if ops.is_empty() { self.key_ops.as_deref() } else { Some(ops) };
        let key = Sent { kty: &self.kty, key_ops, members: public.chain(private).collect() };
        // Large enough from the start.
        let mut body = Vec::with_capacity(BYTES_MAX + 64 * 1024);
        let written = serde_json::to_writer(&mut body, &Body { key, properties });
        let body = Secret::new(body);
        written.map_err(|error| Failure::new(error.to_string()))?;
        Ok(body)
    }

    fn is_private(&self) -> bool {
        self.d.is_some() || self.k.is_some()
    }
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Jwk, Failure> {
    files::warn_if_readable_by_others(path);
    parse(files::read(path, BYTES_MAX, "a private key")?.expose())
}

fn parse(file: &[u8]) -> Result<Jwk, Failure> {
    if file.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        // What a parser's message repeats may be the key.
        let jwk: Jwk = serde_json::from_slice(file).map_err(|error| {
            Failure::new(format!(
                "the file is no JSON Web Key: line {} column {}",
                error.line(),
                error.column()
            ))
        })?;
        return match jwk.is_private() {
            true => Ok(jwk),
            false => {
                Err(Failure::new("the file holds a public key only").next("An import needs the private one."))
            }
        };
    }
    let has = |label: &str| {
        let label = format!("-----BEGIN {label}-----");
        file.windows(label.len()).any(|window| window == label.as_bytes())
    };
    if has("ENCRYPTED PRIVATE KEY") {
        return Err(Failure::new("the private key is encrypted by a passphrase")
            .next("Send it in clear: openssl pkcs8 -in FILE | keyless key import VAULT NAME -"));
    }
    if has("RSA PRIVATE KEY") || has("EC PRIVATE KEY") {
        return Err(Failure::new("the private key is in an older form than PKCS#8")
            .next("Convert it: openssl pkcs8 -topk8 -nocrypt -in FILE | keyless key import VAULT NAME -"));
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(file)
        .map(|der| Secret::new(der.secret_pkcs8_der().to_vec()))
        .map_err(|_| {
            Failure::new("the file holds no private key, neither PEM (PKCS#8) nor a JSON Web Key")
        })?;
    let of = |fault: KeyImportFault| Failure::new(format!("the private key cannot be imported: {fault}"));
    let (key_type, jwk) = PrivateKey::import_pkcs8(&der)
        .map_err(of)?
        .to_private_jwk()
        .map_err(|error| Failure::new(error.to_string()))?;
    let public = |bytes: Option<Vec<u8>>| bytes.map(|bytes| base64url(&bytes));
    let private = |bytes: Option<Secret<Vec<u8>>>| bytes.map(|bytes| Secret::new(base64url(bytes.expose())));
    Ok(Jwk {
        kty: match key_type {
            KeyType::Rsa => "RSA",
            KeyType::Ec => "EC",
            KeyType::Oct => "oct",
        }
        .to_owned(),
        crv: jwk.crv.map(|curve| curve.name().to_owned()),
        x: public(jwk.x),
        y: public(jwk.y),
        n: public(jwk.n),
        e: public(jwk.e),
        d: private(jwk.d),
        p: private(jwk.p),
        q: private(jwk.q),
        dp: private(jwk.dp),
        dq: private(jwk.dq),
        qi: private(jwk.qi),
        k: None,
        key_ops: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Of `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, made for this test.
    const PEM: &str = include_str!("ec-p256.pem");

    fn sent(file: &[u8], ops: &[String]) -> Value {
        let body = parse(file).map_err(|failure| failure.to_string()).unwrap();
        serde_json::from_slice(body.body(ops, &Properties::default()).unwrap().expose()).unwrap()
    }

    #[test]
    fn a_pem_is_sent_as_the_jwk_that_it_is() {
        let key = sent(PEM.as_bytes(), &["sign".to_owned()]);
        let length = |member: &str| key["key"][member].as_str().map(str::len);
        assert_eq!((&key["key"]["kty"], &key["key"]["crv"]), (&"EC".into(), &"P-256".into()));
        assert_eq!(
            [length("x"), length("y"), length("d"), length("n")],
            [Some(43), Some(43), Some(43), None]
        );
        assert_eq!(key["key"]["key_ops"], serde_json::json!(["sign"]));
        // And as a JWK it is sent as it is.
        let jwk = serde_json::to_vec(&key["key"]).unwrap();
        assert_eq!(sent(&jwk, &[]), key);
    }

    #[test]
    fn what_is_no_private_key_is_refused_with_what_to_do() {
        for (file, says) in [
            (PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "openssl pkcs8 -in"),
            (PEM.replace("PRIVATE KEY", "RSA PRIVATE KEY"), "-topk8"),
            (PEM.replace("PRIVATE KEY", "EC PRIVATE KEY"), "-topk8"),
            (PEM.replace("PRIVATE KEY", "PUBLIC KEY"), "no private key"),
            (String::new(), "no private key"),
            (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.into(), "public key only"),
            (r#"{"kty":"EC","d":7777}"#.into(), "line 1 column"),
            (r#"{"d":"7777"}"#.into(), "no JSON Web Key"),
        ] {
            let said = parse(file.as_bytes()).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains(says) && !said.contains("7777"), "{says}: {said}");
        }
    }
}
