//! The signature of our own tokens: JWS compact serialization, RS256 and nothing else (RFC 7515, RFC 7518 section 3.3; ADR 0003).
//!
//! There are two kinds, and neither is ever taken for the other: tokens that something is shown ([`sign`], [`verify`]), and what a program's
//! token file holds ([`sign_workload`], [`verify_workload`]), which only our token endpoint takes. The signed header says which it is.
//!
//! Owns: header, signature, and the refusal of everything that we would not have signed. Owns not: what the claims mean, issuer, audience
//! and times (`access`), nor which keys are in the ring (`directory`).

use crate::{CryptError, PublicKey, SigningKey, encoding};
use domain::{Secret, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Characters of a `kid`. Ours are 27; what a stranger names is repeated in errors and logs, so it is short and plain.
const KID_CHARS_MAX: usize = 64;
/// Characters of an encoded header. Ours are 110.
const HEADER_CHARS_MAX: usize = 1_024;
/// The `typ` of what a program's token file holds: explicit typing, as RFC 8725 section 3.11 has it.
const WORKLOAD: &str = "keyless-workload+jwt";

/// Whether the header of a token names its key a second time as `x5t`: v1.0 access tokens do, v2.0 ones do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thumbprint {
    /// `typ`, `alg`, `x5t`, `kid`.
    Included,
    /// `typ`, `alg`, `kid`.
    Omitted,
}

/// Why a token is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsFault {
    /// Not a compact JWS with a header such as ours.
    #[error("the token is malformed")]
    Malformed,
    /// Signed by something other than RS256, or not at all.
    #[error("the token is not signed by RS256")]
    UnsupportedAlgorithm,
    /// Signed by a key that we do not know (any more).
    #[error("the token is signed by the unknown key {kid}")]
    UnknownKey {
        /// The key id that the token names: at most 64 characters of base64url.
        kid: String,
    },
    /// The signature does not fit the token.
    #[error("the token's signature is wrong")]
    BadSignature,
}

/// Signs claims as a token.
///
/// # Errors
/// [`CryptError::Unavailable`] if the claims do not become JSON or the library fails.
pub fn sign<C: Serialize>(
    key: &SigningKey,
    thumbprint: Thumbprint,
    claims: &C,
) -> Result<Secret<String>, CryptError> {
    let header = match thumbprint {
        Thumbprint::Included => &key.headers().with_thumbprint,
        Thumbprint::Omitted => &key.headers().plain,
    };
    sign_under(header, key, claims)
}

/// Signs what a program's token file holds.
///
/// # Errors
/// As [`sign`].
pub fn sign_workload<C: Serialize>(key: &SigningKey, claims: &C) -> Result<Secret<String>, CryptError> {
    // A `kid` of ours is plain, see `Header::parse`.
    let header = format!(r#"{{"typ":"{WORKLOAD}","alg":"RS256","kid":"{}"}}"#, key.kid());
    sign_under(&encoding::base64url(header.as_bytes()), key, claims)
}

fn sign_under<C: Serialize>(
    header: &str,
    key: &SigningKey,
    claims: &C,
) -> Result<Secret<String>, CryptError> {
    let claims =
        serde_json::to_vec(claims).map_err(|_| CryptError::Unavailable { what: "encoding claims" })?;
    // Big enough for all of it, so that growing leaves no half of a token behind in freed memory.
    let mut token = Zeroizing::new(String::with_capacity(header.len() + claims.len() * 4 / 3 + 1_024));
    token.push_str(header);
    token.push('.');
    encoding::base64url_append(&claims, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    encoding::base64url_append(&signature, &mut token);
    Ok(Secret::new(std::mem::take(&mut *token)))
}

/// Verifies that a token was signed by a key that `find_key` knows; returns its claims as JSON. Their meaning is the caller's to check.
///
/// # Errors
/// [`JwsFault`].
pub fn verify(token: &str, find_key: impl Fn(&str) -> Option<Arc<PublicKey>>) -> Result<Vec<u8>, JwsFault> {
    let parsed = Parsed::of(token)?;
    let Some(key) = find_key(parsed.kid()) else {
        return Err(JwsFault::UnknownKey { kid: parsed.header.kid });
    };
    parsed.verify(&key)
}

/// Does this text say of itself that it is what a program's token file holds? Nothing of it is true before [`verify_workload`].
#[must_use]
pub fn is_workload(token: &str) -> bool {
    Parsed::of_kind(token, Kind::Workload).is_ok()
}

/// [`verify`] for what a program's token file holds, and for nothing else.
///
/// # Errors
/// [`JwsFault`].
pub fn verify_workload(
    token: &str,
    find_key: impl Fn(&str) -> Option<Arc<PublicKey>>,
) -> Result<Vec<u8>, JwsFault> {
    let parsed = Parsed::of_kind(token, Kind::Workload)?;
    let Some(key) = find_key(parsed.kid()) else {
        return Err(JwsFault::UnknownKey { kid: parsed.header.kid });
    };
    parsed.verify(&key)
}

/// A token whose form and header are in order, and whose signature is still to be verified. Gives no claims before that.
#[derive(Debug)]
pub struct Parsed<'a> {
    header: Header,
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parsed<'a> {
    /// Reads the form of a token.
    ///
    /// # Errors
    /// [`JwsFault::Malformed`], [`JwsFault::UnsupportedAlgorithm`].
    pub fn of(token: &'a str) -> Result<Self, JwsFault> {
        Self::of_kind(token, Kind::Jwt)
    }

    fn of_kind(token: &'a str, kind: Kind) -> Result<Self, JwsFault> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(JwsFault::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsFault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwsFault::Malformed)?;
        if header.len() > HEADER_CHARS_MAX || claims.contains('.') {
            return Err(JwsFault::Malformed);
        }
        let header = Header::parse(&decode(header)?)?;
        // Without a word of it, it is one of the kind that everybody's are.
        if header.kind.unwrap_or(Kind::Jwt) != kind {
            return Err(JwsFault::Malformed);
        }
        Ok(Self { header, signed, claims, signature: decode(signature)? })
    }

    /// The id of the key that the token says it was signed by.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    /// Verifies the signature; returns the claims as JSON.
    ///
    /// # Errors
    /// [`JwsFault::BadSignature`]; [`JwsFault::Malformed`] if what was signed is not base64url.
    pub fn verify(self, key: &PublicKey) -> Result<Vec<u8>, JwsFault> {
        key.verify(self.signed.as_bytes(), &self.signature).map_err(|_| JwsFault::BadSignature)?;
        decode(self.claims)
    }
}

/// The header that we sign, and no other: an unknown member, `crit` among them, is refused, and so is one that comes twice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(rename = "alg")]
    _algorithm: Algorithm,
    kid: String,
    #[serde(default, rename = "typ")]
    kind: Option<Kind>,
    #[serde(default)]
    x5t: Option<String>,
}

#[derive(Debug, Deserialize)]
enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    #[serde(rename = "JWT", alias = "jwt")]
    Jwt,
    /// As [`WORKLOAD`].
    #[serde(rename = "keyless-workload+jwt")]
    Workload,
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, JwsFault> {
        /// Only to tell a foreign algorithm from a broken header.
        #[derive(Deserialize)]
        struct AnyAlgorithm<'a> {
            #[serde(borrow)]
            alg: std::borrow::Cow<'a, str>,
        }
        // The library would read a list of the members' values as well.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(JwsFault::Malformed);
        }
        let header: Self = match serde_json::from_slice(json) {
            Ok(header) => header,
            Err(_) => {
                let is_foreign =
                    serde_json::from_slice::<AnyAlgorithm<'_>>(json).is_ok_and(|any| any.alg != "RS256");
                return Err(if is_foreign { JwsFault::UnsupportedAlgorithm } else { JwsFault::Malformed });
            }
        };
        let is_plain = |text: &str| {
            (1..=KID_CHARS_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let is_ours = is_plain(&header.kid) && header.x5t.as_ref().is_none_or(|x5t| *x5t == header.kid);
        if is_ours { Ok(header) } else { Err(JwsFault::Malformed) }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwsFault> {
    encoding::from_base64url(part).map_err(|_| JwsFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_keys;
    use jsonwebtoken::{DecodingKey, EncodingKey, Validation};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn find(key: &SigningKey) -> impl Fn(&str) -> Option<Arc<PublicKey>> {
        let public = key.public().clone();
        move |kid| (kid == public.kid()).then(|| public.clone())
    }

    /// A token with this header, signed as it stands.
    fn with_header(key: &SigningKey, header: &str) -> String {
        let signed = format!("{}.{}", encoding::base64url(header.as_bytes()), encoding::base64url(b"{}"));
        format!("{signed}.{}", encoding::base64url(&key.sign(signed.as_bytes()).unwrap()))
    }

    #[test]
    fn tokens_come_back_and_name_their_key() {
        let key = test_keys::signing_key();
        for thumbprint in [Thumbprint::Included, Thumbprint::Omitted] {
            let token = sign(&key, thumbprint, &json!({"sub": "é", "exp": 1})).unwrap();
            let claims = verify(token.expose(), find(&key)).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap(), json!({"sub": "é", "exp": 1}));
            let header = token.expose().split('.').next().unwrap();
            let header: Value = serde_json::from_slice(&encoding::from_base64url(header).unwrap()).unwrap();
            assert_eq!(
                (&header["typ"], &header["alg"], &header["kid"]),
                (&json!("JWT"), &json!("RS256"), &json!(key.kid()))
            );
            assert_eq!(header.get("x5t").is_some(), thumbprint == Thumbprint::Included);
        }
    }

    #[test]
    fn a_token_files_content_and_a_token_are_never_taken_for_each_other() {
        let key = test_keys::signing_key();
        let claims = json!({"sub": "a"});
        let workload = sign_workload(&key, &claims).unwrap();
        let read = verify_workload(workload.expose(), find(&key)).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&read).unwrap(), claims);
        assert!(is_workload(workload.expose()));
        assert_eq!(verify(workload.expose(), find(&key)), Err(JwsFault::Malformed));
        for thumbprint in [Thumbprint::Included, Thumbprint::Omitted] {
            let token = sign(&key, thumbprint, &claims).unwrap();
            assert!(!is_workload(token.expose()));
            assert_eq!(verify_workload(token.expose(), find(&key)), Err(JwsFault::Malformed));
        }
        let untyped = with_header(&key, &format!(r#"{{"alg":"RS256","kid":"{}"}}"#, key.kid()));
        assert!(!is_workload(&untyped) && verify(&untyped, find(&key)).is_ok());
        // What says so by itself is not signed so.
        let (_, rest) = workload.expose().split_once('.').unwrap();
        let header = format!(r#"{{"typ":"JWT","alg":"RS256","kid":"{}"}}"#, key.kid());
        let renamed = format!("{}.{rest}", encoding::base64url(header.as_bytes()));
        assert_eq!(verify(&renamed, find(&key)), Err(JwsFault::BadSignature));
        let stranger = test_keys::other_signing_key();
        let theirs = sign_workload(&stranger, &claims).unwrap();
        assert!(matches!(verify_workload(theirs.expose(), find(&key)), Err(JwsFault::UnknownKey { .. })));
    }

    /// RFC 7515 section A.2. Its header has no `kid`, which ours must have, so the signature is what is held against it.
    #[test]
    fn rs256_agrees_with_rfc_7515() {
        let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let key: PublicKey = serde_json::from_value(json!({"kid": "a", "n": n, "e": "AQAB"})).unwrap();
        let signature = encoding::from_base64url(signature).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
        assert!(
            key.verify(signed.replace("joe", "eve").trim_end_matches('Q').as_bytes(), &signature).is_err()
        );
        assert_eq!(
            verify(&format!("{signed}.{}", encoding::base64url(&signature)), |_| None),
            Err(JwsFault::Malformed)
        );
    }

    #[test]
    fn jsonwebtoken_accepts_ours() {
        let key = test_keys::signing_key();
        let token = sign(&key, Thumbprint::Included, &json!({"aud": "a", "exp": 4_000_000_000_u64})).unwrap();
        let decoding = DecodingKey::from_rsa_components(key.public().n(), key.public().e()).unwrap();
        let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.set_audience(&["a"]);
        let read = jsonwebtoken::decode::<Value>(token.expose(), &decoding, &validation).unwrap();
        assert_eq!(
            (read.header.kid.as_deref(), read.header.x5t.as_deref()),
            (Some(key.kid()), Some(key.kid()))
        );
        let other = test_keys::other_signing_key();
        let decoding = DecodingKey::from_rsa_components(other.public().n(), other.public().e()).unwrap();
        assert!(jsonwebtoken::decode::<Value>(token.expose(), &decoding, &validation).is_err());
    }

    #[test]
    fn we_accept_those_of_jsonwebtoken() {
        let key = test_keys::signing_key();
        let pem = include_str!("../testdata/public-test-key-1.pem");
        let pem = &pem[pem.find("-----BEGIN").unwrap()..];
        let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.kid = Some(key.kid().to_owned());
        let token = jsonwebtoken::encode(&header, &json!({"a": 1}), &encoding).unwrap();
        assert_eq!(verify(&token, find(&key)).unwrap(), br#"{"a":1}"#);
        header.alg = jsonwebtoken::Algorithm::RS512;
        let token = jsonwebtoken::encode(&header, &json!({"a": 1}), &encoding).unwrap();
        assert_eq!(verify(&token, find(&key)), Err(JwsFault::UnsupportedAlgorithm));
    }

    #[test]
    fn strangers_are_told_apart() {
        let (key, other) = (test_keys::signing_key(), test_keys::other_signing_key());
        let token = sign(&other, Thumbprint::Omitted, &json!({})).unwrap();
        let unknown = JwsFault::UnknownKey { kid: other.kid().to_owned() };
        assert_eq!(verify(token.expose(), find(&key)), Err(unknown));
        let forged = with_header(&other, &format!(r#"{{"alg":"RS256","kid":"{}"}}"#, key.kid()));
        assert_eq!(verify(&forged, find(&key)), Err(JwsFault::BadSignature));
        let token = sign(&key, Thumbprint::Omitted, &json!({"a": 1})).unwrap();
        let changed = token.expose().replacen(
            &encoding::base64url(br#"{"a":1}"#),
            &encoding::base64url(br#"{"a":2}"#),
            1,
        );
        assert_eq!(verify(&changed, find(&key)), Err(JwsFault::BadSignature));
    }

    #[test]
    fn headers_that_we_would_not_sign_are_refused() {
        let key = test_keys::signing_key();
        let kid = key.kid();
        assert!(
            verify(&with_header(&key, &format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#)), find(&key)).is_ok()
        );
        let malformed = [
            "{}".to_owned(),
            "[]".to_owned(),
            format!(r#"["RS256","{kid}"]"#),
            format!(r#"["RS256","{kid}","JWT","{kid}"]"#),
            r#"{"alg":"RS256"}"#.to_owned(),
            r#"{"alg":"RS256","kid":""}"#.to_owned(),
            r#"{"alg":"RS256","kid":"a\nb"}"#.to_owned(),
            r#"{"alg":"RS256","kid":7}"#.to_owned(),
            format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(65)),
            format!(r#"{{"alg":"RS256","kid":"{kid}","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"RS256","alg":"RS256","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"RS256","kid":"{kid}","crit":["exp"]}}"#),
            format!(r#"{{"alg":"RS256","kid":"{kid}","jwk":{{}}}}"#),
            format!(r#"{{"alg":"RS256","kid":"{kid}","x5t":"other"}}"#),
            format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"JWE"}}"#),
            format!(r#"{{"alg":"RS256","kid":"{kid}"}} "#) + "x",
        ];
        for header in malformed {
            assert_eq!(verify(&with_header(&key, &header), find(&key)), Err(JwsFault::Malformed), "{header}");
        }
        for algorithm in ["none", "None", "HS256", "RS512", "PS256", "rs256", ""] {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
            assert_eq!(
                verify(&with_header(&key, &header), find(&key)),
                Err(JwsFault::UnsupportedAlgorithm),
                "{header}"
            );
        }
    }

    #[test]
    fn forms_that_are_no_token_are_refused() {
        let key = test_keys::signing_key();
        let token = sign(&key, Thumbprint::Omitted, &json!({})).unwrap();
        let token = token.expose();
        let (front, _) = token.rsplit_once('.').unwrap();
        let long = format!("{token}{}", "A".repeat(limits::TOKEN_BYTES_MAX));
        let bad = [
            "",
            ".",
            "..",
            "a.b.c",
            front,
            &long,
            &format!("{token}="),
            &format!(" {token}"),
            &format!("{token}.e30"),
        ];
        for bad in bad {
            assert_eq!(verify(bad, find(&key)), Err(JwsFault::Malformed), "{bad:.80}");
        }
        assert_eq!(verify(&format!("{front}."), find(&key)), Err(JwsFault::BadSignature));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
            prop_assert!(verify(&text, |_| None).is_err());
        }

        #[test]
        fn arbitrary_headers_never_panic(header in proptest::collection::vec(any::<u8>(), 0..120)) {
            let token = format!("{}.e30.AAAA", encoding::base64url(&header));
            prop_assert!(verify(&token, |_| None).is_err());
        }
    }
}
