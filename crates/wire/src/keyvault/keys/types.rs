//! Bodies of the Key Vault keys API. The one place where what a key decrypted is exposed to be answered.

use super::super::{
    error::KeyVaultError,
    objects::Place,
    types::{Attributes, Object, Seconds, Tags},
};
use crypt::{
    encoding,
    keys::{Curve, PrivateJwk, PublicJwk},
};
use domain::{ObjectName, Secret, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt};
use vault::{
    AttributesChange, ImportedKey, KeyChange, KeyKind, KeyOp, KeyTerms, Keys, LifetimeAction,
    LifetimeActionKind, NewKey, NewRotationPolicy, PublicHalf, ReleasePolicy, RotationPolicy, VersionChange,
};

/// What a release policy is written in unless it is said (Key Vault OpenAPI, `KeyReleasePolicy`).
const RELEASE_POLICY_TYPE: &str = "application/json; charset=utf-8";

/// Bytes in base64url. Padding is taken, as the service takes it: Go's `base64.URLEncoding` writes some, and so older HashiCorp Vaults.
pub(super) struct Bytes(pub(super) Vec<u8>);

/// The same, of what is secret: from here on it is one.
pub(super) struct SecretBytes(pub(super) Secret<Vec<u8>>);

struct Base64Url;

impl de::Visitor<'_> for Base64Url {
    type Value = Secret<Vec<u8>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64url text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret<Vec<u8>>, E> {
        let padded = text.strip_suffix("==").or_else(|| text.strip_suffix('='));
        let bare = padded.filter(|_| text.len().is_multiple_of(4)).unwrap_or(text);
        encoding::from_base64url(bare).map(Secret::new).map_err(|_| E::custom("not base64url"))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Url).map(|bytes| Self(bytes.expose().clone()))
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Url).map(Self)
    }
}

#[derive(Deserialize)]
struct AttributesBody {
    enabled: Option<bool>,
    nbf: Option<Seconds>,
    exp: Option<Seconds>,
    exportable: Option<bool>,
}

impl AttributesBody {
    fn change(body: Option<&Object<Self>>) -> AttributesChange {
        body.map_or_else(AttributesChange::default, |Object(body)| AttributesChange {
            enabled: body.enabled,
            not_before: body.nbf.as_ref().map(Seconds::time),
            expires: body.exp.as_ref().map(Seconds::time),
        })
    }
}

#[derive(Deserialize)]
struct ReleaseBody {
    #[serde(rename = "contentType")]
    content_type: Option<String>,
    data: Option<String>,
    immutable: Option<bool>,
}

impl ReleaseBody {
    fn policy(body: Option<Object<Self>>) -> Result<Option<ReleasePolicy>, KeyVaultError> {
        let Some(Object(body)) = body else { return Ok(None) };
        Ok(Some(ReleasePolicy {
            content_type: body.content_type.unwrap_or_else(|| RELEASE_POLICY_TYPE.to_owned()),
            data: body.data.ok_or_else(|| KeyVaultError::missing("release_policy.data"))?,
            immutable: body.immutable.unwrap_or_default(),
        }))
    }
}

fn operations(names: Option<Vec<String>>) -> Result<Option<Vec<KeyOp>>, KeyVaultError> {
    let of = |name: String| {
        name.parse().map_err(|error: domain::NameError| KeyVaultError::property("key_ops", error.rule))
    };
    names.map(|names| names.into_iter().map(of).collect()).transpose()
}

fn kind(kty: Option<String>) -> Result<KeyKind, KeyVaultError> {
    let kty = kty.ok_or_else(|| KeyVaultError::missing("kty"))?;
    kty.parse().map_err(|error: domain::NameError| KeyVaultError::property("kty", error.rule))
}

fn curve(crv: Option<&str>) -> Result<Option<Curve>, KeyVaultError> {
    let of = |name| {
        Curve::parse(name).ok_or_else(|| KeyVaultError::property("crv", "one of P-256, P-384, P-521, P-256K"))
    };
    crv.map(of).transpose()
}

/// `KeyCreateParameters`.
#[derive(Deserialize)]
pub(super) struct CreateBody {
    kty: Option<String>,
    key_size: Option<i64>,
    public_exponent: Option<i64>,
    crv: Option<String>,
    key_ops: Option<Vec<String>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
    release_policy: Option<Object<ReleaseBody>>,
}

impl CreateBody {
    pub(super) fn into_request(self) -> Result<NewKey, KeyVaultError> {
        Ok(NewKey {
            kind: kind(self.kty)?,
            size: self.key_size,
            curve: curve(self.crv.as_deref())?,
            public_exponent: self.public_exponent,
            terms: terms(self.key_ops, self.attributes.as_ref(), self.tags, self.release_policy)?,
        })
    }
}

fn terms(
    key_ops: Option<Vec<String>>,
    attributes: Option<&Object<AttributesBody>>,
    tags: Option<Tags>,
    release: Option<Object<ReleaseBody>>,
) -> Result<KeyTerms, KeyVaultError> {
    Ok(KeyTerms {
        operations: operations(key_ops)?,
        attributes: AttributesBody::change(attributes),
        exportable: attributes.and_then(|Object(body)| body.exportable).unwrap_or_default(),
        release: ReleaseBody::policy(release)?,
        tags: tags.unwrap_or_default().0,
    })
}

/// `KeyImportParameters`.
#[derive(Deserialize)]
pub(super) struct ImportBody {
    #[serde(rename = "Hsm")]
    hsm: Option<bool>,
    key: Option<Object<JwkBody>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
    release_policy: Option<Object<ReleaseBody>>,
}

/// `JsonWebKey` with its private members.
#[derive(Deserialize)]
struct JwkBody {
    kty: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<Bytes>,
    y: Option<Bytes>,
    n: Option<Bytes>,
    e: Option<Bytes>,
    d: Option<SecretBytes>,
    p: Option<SecretBytes>,
    q: Option<SecretBytes>,
    dp: Option<SecretBytes>,
    dq: Option<SecretBytes>,
    qi: Option<SecretBytes>,
    k: Option<SecretBytes>,
    key_hsm: Option<de::IgnoredAny>,
}

impl ImportBody {
    pub(super) fn into_request(self) -> Result<ImportedKey, KeyVaultError> {
        let Object(key) = self.key.ok_or_else(|| KeyVaultError::missing("key"))?;
        if key.key_hsm.is_some() {
            return Err(KeyVaultError::property(
                "key_hsm",
                "none: there is no HSM for which a key could be wrapped",
            ));
        }
        let kind = kind(key.kty)?;
        let (public, secret) = (
            |bytes: Option<Bytes>| bytes.map(|Bytes(bytes)| bytes),
            |bytes: Option<SecretBytes>| bytes.map(|SecretBytes(bytes)| bytes),
        );
        let jwk = PrivateJwk {
            crv: curve(key.crv.as_deref())?,
            x: public(key.x),
            y: public(key.y),
            n: public(key.n),
            e: public(key.e),
            d: secret(key.d),
            p: secret(key.p),
            q: secret(key.q),
            dp: secret(key.dp),
            dq: secret(key.dq),
            qi: secret(key.qi),
            k: secret(key.k),
        };
        Ok(ImportedKey {
            kind: KeyKind { is_hsm: kind.is_hsm || self.hsm.unwrap_or_default(), ..kind },
            jwk,
            terms: terms(key.key_ops, self.attributes.as_ref(), self.tags, self.release_policy)?,
        })
    }
}

/// `KeyUpdateParameters`.
#[derive(Deserialize)]
pub(super) struct UpdateBody {
    key_ops: Option<Vec<String>>,
    attributes: Option<Object<AttributesBody>>,
    tags: Option<Tags>,
    release_policy: Option<Object<ReleaseBody>>,
}

impl UpdateBody {
    pub(super) fn into_change(self) -> Result<KeyChange, KeyVaultError> {
        Ok(KeyChange {
            operations: operations(self.key_ops)?,
            exportable: self.attributes.as_ref().and_then(|Object(body)| body.exportable),
            release: ReleaseBody::policy(self.release_policy)?,
            change: VersionChange {
                attributes: AttributesBody::change(self.attributes.as_ref()),
                tags: self.tags.map(|tags| tags.0),
            },
        })
    }
}

/// `KeyOperationsParameters` and `KeySignParameters`: the value may be a plaintext.
#[derive(Deserialize)]
pub(super) struct UseBody {
    pub(super) alg: Option<String>,
    pub(super) value: Option<SecretBytes>,
    pub(super) digest: Option<Bytes>,
    pub(super) iv: Option<Bytes>,
    pub(super) aad: Option<Bytes>,
    pub(super) tag: Option<Bytes>,
}

/// `KeyReleaseParameters`. What comes besides only matters to a release that happens.
#[derive(Deserialize)]
pub(super) struct ReleaseRequestBody {
    pub(super) target: Option<String>,
}

/// `GetRandomBytesRequest`.
#[derive(Deserialize)]
pub(super) struct RandomBytesBody {
    pub(super) count: Option<i64>,
}

/// `KeyRotationPolicy` as it is sent. What the service writes into it is read over.
#[derive(Deserialize)]
pub(super) struct RotationBody {
    #[serde(rename = "lifetimeActions")]
    actions: Option<Vec<Object<LifetimeActionBody>>>,
    attributes: Option<Object<RotationAttributesBody>>,
}

#[derive(Deserialize)]
struct RotationAttributesBody {
    #[serde(rename = "expiryTime")]
    expiry: Option<String>,
}

#[derive(Deserialize)]
struct LifetimeActionBody {
    trigger: Option<Object<TriggerBody>>,
    action: Option<Object<ActionBody>>,
}

#[derive(Deserialize)]
struct TriggerBody {
    #[serde(rename = "timeAfterCreate")]
    after_create: Option<String>,
    #[serde(rename = "timeBeforeExpiry")]
    before_expiry: Option<String>,
}

#[derive(Deserialize)]
struct ActionBody {
    r#type: Option<String>,
}

impl RotationBody {
    pub(super) fn into_request(self) -> Result<NewRotationPolicy, KeyVaultError> {
        let period = |property: &'static str, text: Option<String>| {
            let parse = |text: String| {
                text.parse().map_err(|error: domain::NameError| KeyVaultError::property(property, error.rule))
            };
            text.map(parse).transpose()
        };
        let action = |Object(body): Object<LifetimeActionBody>| {
            let name = body.action.and_then(|Object(action)| action.r#type).unwrap_or_default();
            let action = match name.to_ascii_lowercase().as_str() {
                "rotate" => LifetimeActionKind::Rotate,
                "notify" => LifetimeActionKind::Notify,
                _ => return Err(KeyVaultError::property("action.type", "one of Rotate, Notify")),
            };
            let (after_create, before_expiry) = body
                .trigger
                .map_or((None, None), |Object(trigger)| (trigger.after_create, trigger.before_expiry));
            Ok(LifetimeAction {
                action,
                after_create: period("timeAfterCreate", after_create)?,
                before_expiry: period("timeBeforeExpiry", before_expiry)?,
            })
        };
        Ok(NewRotationPolicy {
            actions: self.actions.unwrap_or_default().into_iter().map(action).collect::<Result<_, _>>()?,
            expiry: period("expiryTime", self.attributes.and_then(|Object(attributes)| attributes.expiry))?,
        })
    }
}

/// `KeyBundle`.
#[derive(Serialize)]
pub(in super::super) struct KeyBundle<'a> {
    key: Jwk<'a>,
    attributes: KeyAttributes,
    tags: &'a BTreeMap<String, String>,
    /// True or absent, never false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_policy: Option<ReleasePolicyShown<'a>>,
}

/// `KeyItem`.
#[derive(Serialize)]
pub(in super::super) struct KeyItem<'a> {
    kid: String,
    attributes: KeyAttributes,
    tags: &'a BTreeMap<String, String>,
    /// True or absent, never false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    managed: bool,
}

/// `JsonWebKey`, the public half.
#[derive(Serialize)]
struct Jwk<'a> {
    kid: String,
    kty: KeyKind,
    key_ops: &'a [KeyOp],
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

/// `KeyAttributes`.
#[derive(Serialize)]
struct KeyAttributes {
    #[serde(flatten)]
    attributes: Attributes,
    exportable: bool,
    /// Software, whatever the type is called.
    #[serde(rename = "hsmPlatform")]
    hsm_platform: &'static str,
}

#[derive(Serialize)]
struct ReleasePolicyShown<'a> {
    #[serde(rename = "contentType")]
    content_type: &'a str,
    immutable: bool,
    data: &'a str,
}

impl<'a> KeyBundle<'a> {
    pub(super) fn of(at: &Place<'_>, kid: String, object: &'a vault::Object<Keys>) -> Self {
        let content = &object.version.content;
        let text = |bytes: &[u8]| Some(encoding::base64url(bytes));
        let (n, e, crv, x, y) = match &content.public {
            PublicHalf::Jwk(PublicJwk::Rsa { n, e }) => (text(n), text(e), None, None, None),
            PublicHalf::Jwk(PublicJwk::Ec { crv, x, y }) => (None, None, Some(crv.name()), text(x), text(y)),
            PublicHalf::Symmetric { .. } => (None, None, None, None, None),
        };
        let release = content.release.as_ref();
        Self {
            key: Jwk { kid, kty: content.kind, key_ops: &content.operations, n, e, crv, x, y },
            attributes: KeyAttributes::of(at, object),
            tags: &object.version.tags,
            managed: object.head.managed,
            release_policy: release.map(|policy| ReleasePolicyShown {
                content_type: &policy.content_type,
                immutable: policy.immutable,
                data: &policy.data,
            }),
        }
    }
}

impl<'a> KeyItem<'a> {
    pub(super) fn of(at: &Place<'_>, kid: String, object: &'a vault::Object<Keys>) -> Self {
        let attributes = KeyAttributes::of(at, object);
        Self { kid, attributes, tags: &object.version.tags, managed: object.head.managed }
    }
}

impl KeyAttributes {
    fn of(at: &Place<'_>, object: &vault::Object<Keys>) -> Self {
        let attributes = Attributes::of(&object.version.attributes, at.recovery);
        Self { attributes, exportable: object.version.content.exportable, hsm_platform: "0" }
    }
}

/// `KeyOperationResult`.
#[derive(Serialize)]
pub(super) struct UseResult {
    pub(super) kid: String,
    pub(super) value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aad: Option<String>,
}

impl UseResult {
    /// A value and nothing else.
    pub(super) fn of(kid: String, value: &[u8]) -> Self {
        Self { kid, value: encoding::base64url(value), iv: None, tag: None, aad: None }
    }

    /// What was decrypted.
    pub(super) fn opened(kid: String, value: &Secret<Vec<u8>>) -> Self {
        Self::of(kid, value.expose())
    }
}

/// `KeyVerifyResult`.
#[derive(Serialize)]
pub(super) struct VerifyResult {
    pub(super) value: bool,
}

/// `RandomBytes`.
#[derive(Serialize)]
pub(super) struct RandomBytes {
    value: String,
}

impl RandomBytes {
    pub(super) fn of(bytes: &Secret<Vec<u8>>) -> Self {
        Self { value: encoding::base64url(bytes.expose()) }
    }
}

/// `KeyRotationPolicy`.
#[derive(Serialize)]
pub(super) struct RotationShown<'a> {
    id: String,
    #[serde(rename = "lifetimeActions")]
    actions: Vec<LifetimeActionShown<'a>>,
    attributes: RotationAttributesShown<'a>,
}

#[derive(Serialize)]
struct LifetimeActionShown<'a> {
    trigger: TriggerShown<'a>,
    action: ActionShown,
}

#[derive(Serialize)]
struct TriggerShown<'a> {
    #[serde(rename = "timeAfterCreate", skip_serializing_if = "Option::is_none")]
    after_create: Option<&'a str>,
    #[serde(rename = "timeBeforeExpiry", skip_serializing_if = "Option::is_none")]
    before_expiry: Option<&'a str>,
}

#[derive(Serialize)]
struct ActionShown {
    r#type: &'static str,
}

#[derive(Serialize)]
struct RotationAttributesShown<'a> {
    #[serde(rename = "expiryTime", skip_serializing_if = "Option::is_none")]
    expiry: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<i64>,
}

impl<'a> RotationShown<'a> {
    pub(super) fn of(at: &Place<'_>, name: &ObjectName, policy: &'a RotationPolicy) -> Self {
        let action = |action: &'a LifetimeAction| LifetimeActionShown {
            trigger: TriggerShown {
                after_create: action.after_create.as_ref().map(vault::Period::as_str),
                before_expiry: action.before_expiry.as_ref().map(vault::Period::as_str),
            },
            action: ActionShown {
                r#type: match action.action {
                    LifetimeActionKind::Rotate => "Rotate",
                    LifetimeActionKind::Notify => "Notify",
                },
            },
        };
        Self {
            id: format!("{}/rotationpolicy", at.id("keys", name)),
            actions: policy.actions.iter().map(action).collect(),
            attributes: RotationAttributesShown {
                expiry: policy.expiry.as_ref().map(vault::Period::as_str),
                created: policy.created.map(Timestamp::seconds),
                updated: policy.updated.map(Timestamp::seconds),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_taken_where_it_belongs() {
        let read = |text: &str| serde_json::from_value::<Bytes>(serde_json::json!(text)).map(|read| read.0);
        for (text, bytes) in
            [("", &b""[..]), ("YQ", b"a"), ("YQ==", b"a"), ("YWI=", b"ab"), ("-_-_", b"\xfb\xff\xbf")]
        {
            assert_eq!(read(text).unwrap(), bytes, "{text}");
        }
        for wrong in ["=", "==", "YQ=", "YWI==", "YWJj=", "YWJj==", "Y", "YQ===", "+/+/", "YQ= =", "Y=Q="] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let secret = serde_json::from_value::<SecretBytes>(serde_json::json!("YWI=")).unwrap();
        assert_eq!(secret.0.expose(), b"ab");
    }
}
