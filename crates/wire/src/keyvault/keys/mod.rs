//! The operations that only keys have, and how keys are shown.

pub(super) mod route;
mod types;

use super::{
    error::KeyVaultError,
    objects::{self, Place, Shown},
    request::{Answer, Asked, Fault, body_of, json, read_body},
};
use access::{
    Action, CreateKey, Decrypt, Encrypt, GetKey, GetRandomBytes, GetRotationPolicy, ImportKey, ReleaseKey,
    RotateKey, SetRotationPolicy, Sign, UnwrapKey, UpdateKey, Verify, WrapKey,
};
use axum::body::Body;
use crypt::{
    encoding,
    keys::{Ciphertext, EncryptionAlgorithm, KeyOperationError, Plaintext, SignatureAlgorithm},
};
use domain::{ObjectName, ObjectVersion, limits};
use http::StatusCode;
use route::{KeyOperation, KeyUse};
use serde::Serialize;
use types::{
    Bytes, CreateBody, ImportBody, KeyBundle, KeyItem, RandomBytes, RandomBytesBody, ReleaseRequestBody,
    RotationBody, RotationShown, SecretBytes, UpdateBody, UseBody, UseResult, VerifyResult,
};
use vault::{KeyFault, Keys, Object, Permitted, RotationPolicy, Used, VaultError};

/// What the audit log calls an operation, its object, and the version that was asked for.
pub(super) fn names(operation: &KeyOperation) -> (&'static str, Option<&ObjectName>, Option<ObjectVersion>) {
    match operation {
        KeyOperation::Create { name } => (CreateKey::NAME, Some(name), None),
        KeyOperation::Import { name } => (ImportKey::NAME, Some(name), None),
        KeyOperation::Get { name, version } => (GetKey::NAME, Some(name), *version),
        KeyOperation::Update { name, version } => (UpdateKey::NAME, Some(name), *version),
        KeyOperation::Rotate { name } => (RotateKey::NAME, Some(name), None),
        KeyOperation::GetRotationPolicy { name } => (GetRotationPolicy::NAME, Some(name), None),
        KeyOperation::SetRotationPolicy { name } => (SetRotationPolicy::NAME, Some(name), None),
        KeyOperation::Use { name, version, operation } => {
            let action = match operation {
                KeyUse::Encrypt => Encrypt::NAME,
                KeyUse::Decrypt => Decrypt::NAME,
                KeyUse::Sign => Sign::NAME,
                KeyUse::Verify => Verify::NAME,
                KeyUse::WrapKey => WrapKey::NAME,
                KeyUse::UnwrapKey => UnwrapKey::NAME,
            };
            (action, Some(name), *version)
        }
        KeyOperation::Release { name, version } => (ReleaseKey::NAME, Some(name), *version),
        // Needs the same permit as seeing the key, and is another thing to have asked for.
        KeyOperation::GetAttestation { name, version } => ("key.get-attestation", Some(name), *version),
        KeyOperation::RandomBytes => (GetRandomBytes::NAME, None, None),
    }
}

/// Does it.
pub(super) async fn operate(asked: &Asked<'_>, operation: KeyOperation, body: Body) -> Result<Answer, Fault> {
    let Asked { state, context, asker, vault, .. } = asked;
    let (service, now) = (&state.vault, context.now);
    match operation {
        KeyOperation::Get { name, version } => {
            let found = service.see::<Keys>(asker, vault, &name, version).await?;
            Ok(objects::answer_bundle(asked, StatusCode::OK, &found))
        }
        KeyOperation::Create { name } => {
            let new =
                read_body::<CreateKey, _, _>(asked, Some(&name), body, CreateBody::into_request).await?;
            let made = service.create_key(asker, vault, &name, &new, now).await?;
            Ok(objects::answer_bundle(asked, StatusCode::OK, &made))
        }
        KeyOperation::Import { name } => {
            let read = ImportBody::into_request;
            let imported = read_body::<ImportKey, _, _>(asked, Some(&name), body, read).await?;
            let taken = service.import_key(asker, vault, &name, &imported, now).await?;
            Ok(objects::answer_bundle(asked, StatusCode::OK, &taken))
        }
        KeyOperation::Update { name, version } => {
            let change =
                read_body::<UpdateKey, _, _>(asked, Some(&name), body, UpdateBody::into_change).await?;
            let updated = service.update_key(asker, vault, &name, version, &change, now).await?;
            Ok(objects::answer_bundle(asked, StatusCode::OK, &updated))
        }
        KeyOperation::Rotate { name } => {
            let rotated = service.rotate_key(asker, vault, &name, now).await?;
            Ok(objects::answer_bundle(asked, StatusCode::OK, &rotated))
        }
        KeyOperation::GetRotationPolicy { name } => {
            let policy = service.get_rotation_policy(asker, vault, &name).await?;
            Ok(answer_policy(asked, &policy))
        }
        KeyOperation::SetRotationPolicy { name } => {
            let read = RotationBody::into_request;
            let new = read_body::<SetRotationPolicy, _, _>(asked, Some(&name), body, read).await?;
            let policy = service.set_rotation_policy(asker, vault, &name, &new, now).await?;
            Ok(answer_policy(asked, &policy))
        }
        KeyOperation::Use { name, version, operation } => {
            let used = match body_of::<UseBody>(body, limits::REQUEST_BODY_BYTES_MAX).await {
                Ok(body) => use_key(asked, &name, version, operation, &body).await,
                Err(fault) => Err(fault.into()),
            };
            if used.is_err() {
                // What is wrong is told only to who may use it.
                may_use(asked, &name, operation).await?;
            }
            used
        }
        KeyOperation::Release { name, version } => {
            let read = |body: ReleaseRequestBody| body.target.ok_or_else(|| KeyVaultError::missing("target"));
            let target = read_body::<ReleaseKey, _, _>(asked, Some(&name), body, read).await?;
            match service.release_key(asker, vault, &name, version, &target).await?.value {}
        }
        KeyOperation::GetAttestation { name, version } => {
            match service.get_key_attestation(asker, vault, &name, version).await?.value {}
        }
        KeyOperation::RandomBytes => {
            let read = |body: RandomBytesBody| body.count.ok_or_else(|| KeyVaultError::missing("count"));
            let count = read_body::<GetRandomBytes, _, _>(asked, None, body, read).await?;
            let drawn = service.random_bytes(asker, vault, count).await?;
            let response = json(StatusCode::OK, &RandomBytes::of(&drawn.value));
            Ok(Answer { because: drawn.because, version: None, response })
        }
    }
}

/// Uses a key. The members of the body that an operation does not have are read over, as Key Vault does.
async fn use_key(
    asked: &Asked<'_>,
    name: &ObjectName,
    version: Option<ObjectVersion>,
    operation: KeyUse,
    body: &UseBody,
) -> Result<Answer, Fault> {
    let Asked { state, context, asker, vault, .. } = asked;
    let (service, now) = (&state.vault, context.now);
    let algorithm = body.alg.as_deref().ok_or_else(|| KeyVaultError::missing("alg"))?;
    let SecretBytes(value) = body.value.as_ref().ok_or_else(KeyVaultError::value_missing)?;
    let value = value.expose().as_slice();
    let unknown =
        |error: KeyOperationError| VaultError::from(KeyFault::Operation { operation: operation.op(), error });
    let signature = || SignatureAlgorithm::parse(algorithm).map_err(unknown);
    let encryption = || EncryptionAlgorithm::parse(algorithm).map_err(unknown);
    let bytes = |bytes: &'_ Option<Bytes>| bytes.as_ref().map(|Bytes(bytes)| bytes.clone());
    let (iv, aad, tag) = (bytes(&body.iv), bytes(&body.aad), bytes(&body.tag));
    let plaintext = Plaintext { value, iv: iv.as_deref(), aad: aad.as_deref() };
    let ciphertext = Ciphertext { value, iv: iv.as_deref(), aad: aad.as_deref(), tag: tag.as_deref() };
    match operation {
        KeyUse::Sign => {
            let signed = service.sign(asker, vault, name, version, (signature()?, value), now).await?;
            Ok(answer_used(asked, &signed, |kid, signature| UseResult::of(kid, signature)))
        }
        KeyUse::Verify => {
            let Bytes(digest) = body.digest.as_ref().ok_or_else(|| KeyVaultError::missing("digest"))?;
            let of = (signature()?, digest.as_slice(), value);
            let verified = service.verify(asker, vault, name, version, of, now).await?;
            Ok(answer_used(asked, &verified, |_kid, value| VerifyResult { value: *value }))
        }
        KeyUse::Encrypt | KeyUse::WrapKey => {
            let of = (encryption()?, &plaintext);
            let encrypted = match operation {
                KeyUse::Encrypt => service.encrypt(asker, vault, name, version, of, now).await?,
                _ => service.wrap_key(asker, vault, name, version, of, now).await?,
            };
            let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(encoding::base64url);
            Ok(answer_used(asked, &encrypted, |kid, encrypted| UseResult {
                iv: text(&encrypted.iv),
                tag: text(&encrypted.tag),
                aad: text(&aad),
                ..UseResult::of(kid, &encrypted.value)
            }))
        }
        KeyUse::Decrypt | KeyUse::UnwrapKey => {
            let of = (encryption()?, &ciphertext);
            let decrypted = match operation {
                KeyUse::Decrypt => service.decrypt(asker, vault, name, version, of, now).await?,
                _ => service.unwrap_key(asker, vault, name, version, of, now).await?,
            };
            Ok(answer_used(asked, &decrypted, UseResult::opened))
        }
    }
}

/// May the key be used so, as far as can be said without looking at it?
async fn may_use(asked: &Asked<'_>, name: &ObjectName, operation: KeyUse) -> Result<(), VaultError> {
    let (service, asker, vault, name) = (&asked.state.vault, &asked.asker, asked.vault, Some(name));
    match operation {
        KeyUse::Encrypt => service.may_use_public::<Encrypt>(asker, vault, name).await,
        KeyUse::Verify => service.may_use_public::<Verify>(asker, vault, name).await,
        KeyUse::WrapKey => service.may_use_public::<WrapKey>(asker, vault, name).await,
        KeyUse::Decrypt => service.may::<Decrypt>(asker, vault, name).await,
        KeyUse::Sign => service.may::<Sign>(asker, vault, name).await,
        KeyUse::UnwrapKey => service.may::<UnwrapKey>(asker, vault, name).await,
    }
}

/// What a key came to, by the identifier of the version that was used.
fn answer_used<T, S: Serialize>(
    asked: &Asked<'_>,
    of: &Permitted<Used<T>>,
    show: impl FnOnce(String, &T) -> S,
) -> Answer {
    let (head, version) = (&of.value.key.head, of.value.key.version.version);
    let kid = asked.place(of.recovery).versioned("keys", &head.name, version);
    let response = json(StatusCode::OK, &show(kid, &of.value.value));
    Answer { because: of.because.clone(), version: Some(version), response }
}

fn answer_policy(asked: &Asked<'_>, of: &Permitted<(ObjectName, RotationPolicy)>) -> Answer {
    let (name, policy) = &of.value;
    let response = json(StatusCode::OK, &RotationShown::of(&asked.place(of.recovery), name, policy));
    Answer { because: of.because.clone(), version: None, response }
}

impl Shown for Keys {
    type Bundle<'a> = KeyBundle<'a>;
    type Item<'a> = KeyItem<'a>;

    fn bundle<'a>(at: &Place<'_>, object: &'a Object<Self>) -> KeyBundle<'a> {
        KeyBundle::of(at, at.versioned("keys", &object.head.name, object.version.version), object)
    }

    fn item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> KeyItem<'a> {
        KeyItem::of(at, at.id("keys", &object.head.name), object)
    }

    fn version_item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> KeyItem<'a> {
        KeyItem::of(at, at.versioned("keys", &object.head.name, object.version.version), object)
    }
}
