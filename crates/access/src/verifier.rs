//! [`Verifier`]: from a bearer token to a [`Caller`] (RFC 6750, RFC 7519 section 4.1, RFC 8725).

use crate::{Caller, cache::VerifiedTokens, caller::Facts, claims::Claims};
use crypt::{JwsFault, LookupKey, PublicKey, jws};
use domain::{Entropy, SecretStr, TenantId, Timestamp, limits};
use std::sync::Arc;

/// Where the verifier finds public keys: the directory's key ring.
pub trait KeySource: Send + Sync {
    /// The published key of this id.
    fn public_key(&self, kid: &str) -> Option<Arc<PublicKey>>;

    /// Grows when a key is revoked: everything verified before is forgotten. Read on each request, so it must be cheap.
    fn epoch(&self) -> u64;
}

/// Which tokens are for us.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Accepted issuers, v1.0 and v2.0 forms.
    pub issuers: Vec<String>,
    /// Accepted audiences; see [`crate::vault_audiences`].
    pub audiences: Vec<String>,
    /// The only tenant.
    pub tenant: TenantId,
}

/// Why a token is refused. Its texts come from tokens that carry our own signature, or are key ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerFault {
    /// Not a token of the form that we issue.
    #[error("the token is malformed")]
    Malformed,
    /// Not signed by the one algorithm that we use.
    #[error("the token is not signed by RS256")]
    UnsupportedAlgorithm,
    /// Signed by a key that is not, or no longer, in the key ring.
    #[error("the token's signing key is not known")]
    UnknownKey {
        /// The key id that the token names.
        kid: String,
    },
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Issued by, or for, somebody else.
    #[error("the token's issuer {found} is not accepted")]
    WrongIssuer {
        /// The accepted ones.
        expected: Vec<String>,
        /// The token's.
        found: String,
    },
    /// Of another tenant.
    #[error("the token is of another tenant")]
    WrongTenant {
        /// The token's.
        found: TenantId,
    },
    /// Meant for somebody else.
    #[error("the token's audience {found} is not accepted")]
    WrongAudience {
        /// The accepted ones.
        expected: Vec<String>,
        /// The token's.
        found: String,
    },
    /// Its time has not come.
    #[error("the token is not valid before {from:?}")]
    NotYetValid {
        /// From when it is.
        from: Timestamp,
    },
    /// Its time is over.
    #[error("the token expired at {at:?}")]
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

impl From<JwsFault> for BearerFault {
    fn from(fault: JwsFault) -> Self {
        match fault {
            JwsFault::Malformed => Self::Malformed,
            JwsFault::UnsupportedAlgorithm => Self::UnsupportedAlgorithm,
            JwsFault::UnknownKey { kid } => Self::UnknownKey { kid },
            JwsFault::BadSignature => Self::BadSignature,
        }
    }
}

/// Verifies bearer tokens, and remembers those that it has verified.
pub struct Verifier {
    config: VerifierConfig,
    verified: VerifiedTokens,
    lookup: LookupKey,
}

impl Verifier {
    /// With nothing remembered, and a fresh key for what will be.
    pub fn new(config: VerifierConfig, entropy: &dyn Entropy) -> Self {
        Self { config, verified: VerifiedTokens::new(), lookup: LookupKey::random(entropy) }
    }

    /// Who is calling? On a token seen before this is one tag and one look-up; the times are checked each time.
    ///
    /// # Errors
    /// [`BearerFault`].
    pub fn verify<'a>(
        &self,
        token: impl Into<SecretStr<'a>>,
        keys: &dyn KeySource,
        now: Timestamp,
    ) -> Result<Caller, BearerFault> {
        let token: SecretStr<'a> = token.into();
        if token.expose().len() > limits::TOKEN_BYTES_MAX {
            return Err(BearerFault::Malformed);
        }
        // Read before the verification: a key revoked meanwhile makes what we remember an entry of the old epoch.
        let epoch = keys.epoch();
        let tag = self.lookup.tag(token.expose());
        if let Some(caller) = self.verified.get(&tag, epoch) {
            return match check_times(caller.not_before(), caller.expires(), now) {
                Ok(()) => Ok(caller),
                Err(fault) => {
                    if matches!(fault, BearerFault::Expired { .. }) {
                        self.verified.remove(&tag);
                    }
                    Err(fault)
                }
            };
        }
        let claims = jws::verify(token.expose(), |kid| keys.public_key(kid))?;
        let claims = Claims::parse(&claims).ok_or(BearerFault::Malformed)?;
        let caller = self.check(claims, now)?;
        self.verified.put(tag, caller.clone(), epoch, now);
        Ok(caller)
    }

    fn check(&self, claims: Claims, now: Timestamp) -> Result<Caller, BearerFault> {
        let client = claims.appid.or(claims.azp).ok_or(BearerFault::Malformed)?;
        if !self.config.issuers.contains(&claims.iss) {
            return Err(BearerFault::WrongIssuer {
                expected: self.config.issuers.clone(),
                found: claims.iss,
            });
        }
        if claims.tid != self.config.tenant {
            return Err(BearerFault::WrongTenant { found: claims.tid });
        }
        if !self.config.audiences.contains(&claims.aud) {
            return Err(BearerFault::WrongAudience {
                expected: self.config.audiences.clone(),
                found: claims.aud,
            });
        }
        let [issued, not_before, expires] = [claims.iat, claims.nbf, claims.exp].map(Timestamp::from_seconds);
        check_times(not_before, expires, now)?;
        Ok(Caller::new(Facts {
            principal: claims.oid,
            client,
            tenant: claims.tid,
            issuer: claims.iss,
            audience: claims.aud,
            issued,
            not_before,
            expires,
            scopes: claims.scp,
            stands_on: [claims.sid, claims.grant, claims.credential, claims.attachment]
                .into_iter()
                .flatten()
                .collect(),
        }))
    }
}

/// A clock that runs ahead of ours must not cost its tokens their first minutes; nothing lengthens a token's life.
fn check_times(not_before: Timestamp, expires: Timestamp, now: Timestamp) -> Result<(), BearerFault> {
    if now >= expires {
        return Err(BearerFault::Expired { at: expires });
    }
    if now.plus(limits::CLOCK_SKEW) < not_before {
        return Err(BearerFault::NotYetValid { from: not_before });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypt::{SigningKey, jws::Thumbprint, test_keys};
    use domain::Secret;
    use serde_json::{Value, json};
    use std::sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    };

    const TENANT: &str = "11111111-1111-4111-8111-111111111111";
    const OTHER: &str = "22222222-2222-4222-8222-222222222222";
    const NOW: i64 = 1_800_000_000;

    static KEY: LazyLock<SigningKey> = LazyLock::new(test_keys::signing_key);
    static STRANGER: LazyLock<SigningKey> = LazyLock::new(test_keys::other_signing_key);

    /// A ring that counts how often it is asked for a key: once for each signature that is verified.
    struct Ring {
        keys: Mutex<Vec<Arc<PublicKey>>>,
        epoch: AtomicU64,
        asked: AtomicUsize,
    }

    impl Ring {
        fn new() -> Self {
            let keys = Mutex::new(vec![KEY.public().clone()]);
            Self { keys, epoch: AtomicU64::new(0), asked: AtomicUsize::new(0) }
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl KeySource for Ring {
        fn public_key(&self, kid: &str) -> Option<Arc<PublicKey>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.keys.lock().unwrap().iter().find(|key| key.kid() == kid).cloned()
        }

        fn epoch(&self) -> u64 {
            self.epoch.load(Ordering::SeqCst)
        }
    }

    fn verifier() -> Verifier {
        let config = VerifierConfig {
            issuers: vec![
                format!("https://login.test/{TENANT}/"),
                format!("https://login.test/{TENANT}/v2.0"),
            ],
            audiences: crate::vault_audiences("https://vault.test:8443"),
            tenant: TENANT.parse().unwrap(),
        };
        Verifier::new(config, &crypt::SystemEntropy)
    }

    fn claims() -> Value {
        json!({
            "aud": "https://vault.test:8443", "iss": format!("https://login.test/{TENANT}/"), "iat": NOW, "nbf": NOW,
            "exp": NOW + 3600, "appid": OTHER, "oid": TENANT, "sub": TENANT, "tid": TENANT, "ver": "1.0", "uti": "x",
        })
    }

    fn with(member: &str, value: Value) -> Value {
        let mut claims = claims();
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(member),
            value => claims.as_object_mut().unwrap().insert(member.to_owned(), value),
        };
        claims
    }

    fn token(claims: &Value) -> Secret<String> {
        crypt::jws::sign(&KEY, Thumbprint::Included, claims).unwrap()
    }

    fn verify(claims: &Value, at: i64) -> Result<Caller, BearerFault> {
        verifier().verify(&token(claims), &Ring::new(), Timestamp::from_seconds(at))
    }

    #[test]
    fn a_token_of_ours_names_its_caller() {
        let caller = verify(&claims(), NOW).unwrap();
        assert_eq!(caller.principal().to_string(), TENANT);
        assert_eq!(caller.client().to_string(), OTHER);
        assert_eq!(caller.tenant().to_string(), TENANT);
        assert_eq!(
            (caller.issuer(), caller.audience()),
            (&*format!("https://login.test/{TENANT}/"), "https://vault.test:8443")
        );
        assert_eq!(caller.expires().seconds() - caller.issued().seconds(), 3600);
    }

    #[test]
    fn both_issuer_forms_and_each_audience_are_accepted() {
        let mut v2 = with("iss", json!(format!("https://login.test/{TENANT}/v2.0")));
        v2.as_object_mut().unwrap().remove("appid");
        v2["azp"] = json!(OTHER);
        assert!(verify(&v2, NOW).is_ok());
        for audience in [
            "https://vault.test:8443",
            "https://vault.test:8443/",
            "https://vault.azure.net",
            "https://vault.azure.net/",
            "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
        ] {
            assert!(verify(&with("aud", json!(audience)), NOW).is_ok(), "{audience}");
        }
    }

    #[test]
    fn strangers_are_refused_each_with_its_reason() {
        for audience in [
            "https://graph.microsoft.com",
            "https://vault.test",
            "https://vault.azure.net//",
            "HTTPS://VAULT.AZURE.NET",
            "",
        ] {
            let fault = verify(&with("aud", json!(audience)), NOW).unwrap_err();
            assert!(
                matches!(fault, BearerFault::WrongAudience { found, .. } if found == audience),
                "{audience}"
            );
        }
        for issuer in [&format!("https://login.test/{OTHER}/"), &format!("https://login.test/{TENANT}"), ""] {
            let fault = verify(&with("iss", json!(issuer)), NOW).unwrap_err();
            assert!(matches!(fault, BearerFault::WrongIssuer { found, .. } if found == issuer), "{issuer}");
        }
        assert_eq!(
            verify(&with("tid", json!(OTHER)), NOW).unwrap_err(),
            BearerFault::WrongTenant { found: OTHER.parse().unwrap() }
        );
    }

    #[test]
    fn incomplete_or_strange_claims_are_malformed() {
        for member in ["aud", "iss", "iat", "nbf", "exp", "oid", "tid", "appid"] {
            assert_eq!(
                verify(&with(member, Value::Null), NOW).unwrap_err(),
                BearerFault::Malformed,
                "{member}"
            );
            assert_eq!(
                verify(&with(member, json!([1.5])), NOW).unwrap_err(),
                BearerFault::Malformed,
                "{member}"
            );
        }
        assert_eq!(
            verify(&with("aud", json!(["https://vault.azure.net"])), NOW).unwrap_err(),
            BearerFault::Malformed
        );
        assert_eq!(verify(&json!("text"), NOW).unwrap_err(), BearerFault::Malformed);
        let values: Value = ["aud", "iss", "iat", "nbf", "exp", "oid", "tid", "appid", "azp"]
            .iter()
            .map(|claim| claims()[claim].clone())
            .collect();
        assert_eq!(verify(&values, NOW).unwrap_err(), BearerFault::Malformed, "values without names");
    }

    #[test]
    fn times_hold_to_the_second() {
        assert!(verify(&claims(), NOW + 3599).is_ok());
        for late in [NOW + 3600, NOW + 3601, i64::MAX] {
            assert_eq!(
                verify(&claims(), late).unwrap_err(),
                BearerFault::Expired { at: Timestamp::from_seconds(NOW + 3600) }
            );
        }
        assert!(verify(&claims(), NOW - 300).is_ok(), "within the clock skew");
        assert_eq!(
            verify(&claims(), NOW - 301).unwrap_err(),
            BearerFault::NotYetValid { from: Timestamp::from_seconds(NOW) }
        );
    }

    #[test]
    fn signatures_hold() {
        let verify = |token: &str| {
            verifier().verify(SecretStr::new(token), &Ring::new(), Timestamp::from_seconds(NOW))
        };
        let stranger = crypt::jws::sign(&STRANGER, Thumbprint::Included, &claims()).unwrap();
        assert_eq!(
            verify(stranger.expose()).unwrap_err(),
            BearerFault::UnknownKey { kid: STRANGER.kid().to_owned() }
        );
        let good = token(&claims()).expose().clone();
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = crypt::encoding::base64url(&serde_json::to_vec(&with("oid", json!(OTHER))).unwrap());
        assert_eq!(verify(&format!("{header}.{forged}.{signature}")).unwrap_err(), BearerFault::BadSignature);
        let none = crypt::encoding::base64url(br#"{"alg":"none","typ":"JWT"}"#);
        let (_, body) = signed.split_once('.').unwrap();
        assert!(verify(&format!("{none}.{body}.")).is_err());
        for bad in
            ["", ".", "..", "a.b.c", "é", &good.replace('.', ""), &format!("{good}.x"), &format!(" {good}")]
        {
            assert!(verify(bad).is_err(), "{bad}");
        }
        let huge = "a".repeat(limits::TOKEN_BYTES_MAX + 1);
        assert_eq!(verify(&huge).unwrap_err(), BearerFault::Malformed);
    }

    #[test]
    fn a_token_is_verified_once_and_judged_each_time() {
        let (verifier, ring, token) = (verifier(), Ring::new(), token(&claims()));
        let at = |seconds| verifier.verify(&token, &ring, Timestamp::from_seconds(seconds));
        for _ in 0..3 {
            assert!(at(NOW).is_ok());
        }
        assert_eq!(ring.asked(), 1, "one signature for three requests");
        assert!(matches!(at(NOW - 301), Err(BearerFault::NotYetValid { .. })));
        assert!(matches!(at(NOW + 3600), Err(BearerFault::Expired { .. })));
        assert_eq!(ring.asked(), 1);
        // Forgotten at expiry: verified again, and still refused.
        assert!(matches!(at(NOW + 3600), Err(BearerFault::Expired { .. })));
        assert_eq!(ring.asked(), 2);
    }

    #[test]
    fn what_was_remembered_falls_with_its_key() {
        let (verifier, ring, token) = (verifier(), Ring::new(), token(&claims()));
        assert!(verifier.verify(&token, &ring, Timestamp::from_seconds(NOW)).is_ok());
        ring.keys.lock().unwrap().clear();
        ring.epoch.fetch_add(1, Ordering::SeqCst);
        let fault = verifier.verify(&token, &ring, Timestamp::from_seconds(NOW)).unwrap_err();
        assert!(matches!(fault, BearerFault::UnknownKey { .. }));
    }
}
