//! Release of exportable keys: the grammar of release policies, and the refusal that every release ends in.
//!
//! A key is released to an environment for which an attestation authority vouches that the policy names (Key Vault: Release Key; "Secure
//! key release policy grammar"). No authority can be trusted here yet, since there is no way to say which: so all that can be checked is
//! checked, and then the key stays. Source of the grammar: Key Vault documents, `key-management-policy-grammar`.

use super::{KeyFault, Keys, ReleasePolicy};
use crate::{VaultError, object};
use access::{GetKey, Permit, ReleaseKey};
use crypt::encoding;
use domain::{ObjectName, ObjectVersion};
use serde_json::{Map, Value};
use std::convert::Infallible;
use store::{Halt, View, refuse};

/// Bytes of a policy. Ours, so that it fits a version's record beside tags.
const POLICY_BYTES_MAX: usize = 16 * 1024;
/// How claims are compared.
const COMPARISONS: [&str; 7] =
    ["equals", "notEquals", "less", "lessOrEquals", "greater", "greaterOrEquals", "exists"];

/// Whom a policy lets vouch, if it is one.
pub(super) fn authorities(policy: &ReleasePolicy) -> Result<Vec<String>, KeyFault> {
    let fault = |rule| KeyFault::ReleasePolicyInvalid { rule };
    if policy.data.len() > POLICY_BYTES_MAX {
        return Err(fault("may have 16384 characters at most"));
    }
    let bytes =
        encoding::from_base64url(&policy.data).map_err(|_| fault("must have its data in base64url"))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| fault("must be JSON"))?;
    let policy = value.as_object().ok_or(fault("must be a JSON object"))?;
    if !policy.get("version").is_some_and(Value::is_string) {
        return Err(fault("must have a version"));
    }
    let mut names = Vec::new();
    for condition in conditions(policy)? {
        let condition = condition.as_object().ok_or(fault("must have objects in anyOf and allOf"))?;
        let authority = condition.get("authority").and_then(Value::as_str).filter(|text| !text.is_empty());
        names.push(authority.ok_or(fault("must have an authority in each of its conditions"))?.to_owned());
        for claim in conditions(condition)? {
            check_claim(claim)?;
        }
    }
    Ok(names)
}

/// What is in `anyOf` or `allOf`, of which there is one.
fn conditions(object: &Map<String, Value>) -> Result<&[Value], KeyFault> {
    let fault =
        KeyFault::ReleasePolicyInvalid { rule: "must have either anyOf or allOf, with something in it" };
    match (object.get("anyOf"), object.get("allOf")) {
        (Some(Value::Array(all)), None) | (None, Some(Value::Array(all))) if !all.is_empty() => Ok(all),
        _ => Err(fault),
    }
}

/// A condition on one claim, or again some of which any or all must hold. Its depth is bounded by the JSON parser's.
fn check_claim(claim: &Value) -> Result<(), KeyFault> {
    let fault = |rule| Err(KeyFault::ReleasePolicyInvalid { rule });
    let Some(claim) = claim.as_object() else { return fault("must have objects in anyOf and allOf") };
    if claim.contains_key("anyOf") || claim.contains_key("allOf") {
        return conditions(claim)?.iter().try_for_each(check_claim);
    }
    if !claim.get("claim").is_some_and(Value::is_string) {
        return fault("must name a claim in each condition on one");
    }
    match COMPARISONS.iter().filter(|comparison| claim.contains_key(**comparison)).count() {
        1 => Ok(()),
        _ => fault(
            "must compare each claim by one of equals, notEquals, less, lessOrEquals, greater, greaterOrEquals, exists",
        ),
    }
}

/// Releases a key: never, and this says why.
pub(crate) fn release(
    permit: &Permit<ReleaseKey>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    attestation: &str,
) -> Result<Infallible, Halt<VaultError>> {
    let found = object::find::<Keys>(view, permit.vault(), name, version)?;
    let (content, name) = (&found.version.content, &found.head.name);
    if !found.version.attributes.enabled {
        return refuse(KeyFault::Disabled { name: name.clone(), operation: "release" }.into());
    }
    let (true, Some(policy)) = (content.exportable, &content.release) else {
        return refuse(KeyFault::NotExportable { name: name.clone() }.into());
    };
    if !is_token(attestation) {
        return refuse(KeyFault::AttestationMalformed.into());
    }
    let authorities = authorities(policy).map_err(|fault| Halt::Refuse(fault.into()))?;
    refuse(KeyFault::NoAttestationAuthority { authorities }.into())
}

/// Has it the form of a signed token (RFC 7515 section 7.1)?
fn is_token(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').map(encoding::from_base64url).collect();
    let is_object = |part: &Result<Vec<u8>, _>| {
        part.as_ref().is_ok_and(|bytes| serde_json::from_slice::<Map<String, Value>>(bytes).is_ok())
    };
    matches!(&*parts, [header, claims, Ok(signature)] if is_object(header) && is_object(claims) && !signature.is_empty())
}

/// What an HSM says of a key that was made in it: nothing here, since there is none.
pub(crate) fn attestation(
    permit: &Permit<GetKey>,
    view: &View,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Infallible, Halt<VaultError>> {
    object::see::<Keys>(permit, view, name, version)?;
    refuse(KeyFault::NoAttestation.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(data: &Value) -> ReleasePolicy {
        let data = encoding::base64url(data.to_string().as_bytes());
        ReleasePolicy { content_type: "application/json".to_owned(), data, immutable: false }
    }

    fn rule(policy: &ReleasePolicy) -> &'static str {
        match authorities(policy) {
            Err(KeyFault::ReleasePolicyInvalid { rule }) => rule,
            other => panic!("{other:?}"),
        }
    }

    /// The first is that of Azure's own tests.
    #[test]
    fn what_is_a_policy_names_its_authorities() {
        let sdk = json!({"anyOf": [{"anyOf": [{"claim": "sdk-test", "equals": true}], "authority": "https://a.example/"}], "version": "1.0.0"});
        assert_eq!(authorities(&policy(&sdk)), Ok(vec!["https://a.example/".to_owned()]));
        let nested = json!({"version": "1.0.0", "allOf": [
            {"authority": "https://a", "allOf": [{"anyOf": [{"claim": "x", "greater": 1}, {"claim": "y", "exists": true}]}]},
            {"authority": "https://b", "anyOf": [{"claim": "z", "notEquals": "q"}]},
        ]});
        assert_eq!(authorities(&policy(&nested)).unwrap().len(), 2);
    }

    #[test]
    fn what_is_none_is_refused_by_its_rule() {
        let claim = json!({"claim": "c", "equals": 1});
        for (data, said) in [
            (json!([]), "must be a JSON object"),
            (json!({"anyOf": []}), "must have a version"),
            (json!({"version": "1.0.0"}), "must have either anyOf or allOf, with something in it"),
            (
                json!({"version": "1.0.0", "anyOf": [], }),
                "must have either anyOf or allOf, with something in it",
            ),
            (
                json!({"version": "1.0.0", "anyOf": [claim], "allOf": [claim]}),
                "must have either anyOf or allOf, with something in it",
            ),
            (json!({"version": "1.0.0", "anyOf": ["x"]}), "must have objects in anyOf and allOf"),
            (
                json!({"version": "1.0.0", "anyOf": [{"anyOf": [claim]}]}),
                "must have an authority in each of its conditions",
            ),
            (
                json!({"version": "1.0.0", "anyOf": [{"authority": "a", "anyOf": [{"equals": 1}]}]}),
                "must name a claim in each condition on one",
            ),
        ] {
            assert_eq!(rule(&policy(&data)), said, "{data}");
        }
        let many = json!({"version": "1.0.0", "anyOf": [{"authority": "a", "anyOf": [{"claim": "c", "equals": 1, "less": 2}]}]});
        assert!(rule(&policy(&many)).starts_with("must compare"));
        let raw = |data: &str| ReleasePolicy { data: data.to_owned(), ..policy(&json!({})) };
        assert_eq!(rule(&raw("e30=")), "must have its data in base64url");
        assert_eq!(rule(&raw("eyI")), "must be JSON");
        assert_eq!(rule(&raw(&"A".repeat(POLICY_BYTES_MAX + 1))), "may have 16384 characters at most");
    }

    #[test]
    fn tokens_have_three_parts_of_which_two_are_objects() {
        let part = |text: &str| encoding::base64url(text.as_bytes());
        assert!(is_token(&format!("{}.{}.{}", part("{}"), part("{}"), part("s"))));
        for strange in
            ["", "..", "a.b.c", "e30.e30", "e30.e30.", "e30.W10.c2ln", "e30.e30.c2ln.c2ln", "e30.e30.c2ln="]
        {
            assert!(!is_token(strange), "{strange}");
        }
    }
}
