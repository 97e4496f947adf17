//! The operations that only secrets have, and how secrets are shown.

use super::{
    error::KeyVaultError,
    objects::{self, Place, Shown},
    request::{Answer, Asked, Fault, read_body, written_json},
    route::SecretOperation,
    types::{Attributes, SecretBundle, SetBody, UpdateBody},
};
use access::{Action, GetSecret, SetSecret, UpdateSecret};
use axum::body::Body;
use domain::{ObjectName, ObjectVersion};
use http::StatusCode;
use vault::{Object, Permitted, SecretWithValue, Secrets};

/// What the audit log calls an operation, its object, and the version that was asked for.
pub(super) fn names(
    operation: &SecretOperation,
) -> (&'static str, Option<&ObjectName>, Option<ObjectVersion>) {
    match operation {
        SecretOperation::Set { name } => (SetSecret::NAME, Some(name), None),
        SecretOperation::Get { name, version, .. } => (GetSecret::NAME, Some(name), *version),
        SecretOperation::Update { name, version } => (UpdateSecret::NAME, Some(name), *version),
    }
}

/// Reads one as it is.
pub(super) async fn get(
    asked: &Asked<'_>,
    name: &ObjectName,
    version: Option<ObjectVersion>,
) -> Result<Answer, Fault> {
    let read = asked.state.vault.get_secret(&asked.asker, asked.vault, name, version).await?;
    Ok(answer_value(asked, &read))
}

/// Does it.
pub(super) async fn operate(
    asked: &Asked<'_>,
    operation: SecretOperation,
    body: Body,
) -> Result<Answer, Fault> {
    let Asked { state, context, asker, vault, .. } = asked;
    let service = &state.vault;
    match operation {
        SecretOperation::Get { name, version, form } => {
            let Some(form) = form else { return get(asked, &name, version).await };
            Ok(answer_value(asked, &service.get_secret_as(asker, vault, &name, version, form).await?))
        }
        SecretOperation::Set { name } => {
            let read = |body: SetBody| body.into_request().ok_or_else(KeyVaultError::value_missing);
            let new = read_body::<SetSecret, _, _>(asked, Some(&name), body, read).await?;
            let set = service.set_secret(asker, vault, &name, new, context.now).await?;
            Ok(answer_value(asked, &set))
        }
        SecretOperation::Update { name, version } => {
            let read = |body: UpdateBody| Ok(body.into_change());
            let change = read_body::<UpdateSecret, _, _>(asked, Some(&name), body, read).await?;
            let updated = service.update_secret(asker, vault, &name, version, &change, context.now).await?;
            Ok(objects::answer_bundle(asked, StatusCode::OK, &updated))
        }
    }
}

fn answer_value(asked: &Asked<'_>, of: &Permitted<SecretWithValue>) -> Answer {
    let bundle = Secrets::bundle(&asked.place(of.recovery), &of.value.secret);
    let response = written_json(StatusCode::OK, bundle.with_value(&of.value.value).json());
    Answer { because: of.because.clone(), version: Some(of.value.secret.version.version), response }
}

impl Shown for Secrets {
    type Bundle<'a> = SecretBundle<'a>;
    type Item<'a> = SecretBundle<'a>;

    fn bundle<'a>(at: &Place<'_>, object: &'a Object<Self>) -> SecretBundle<'a> {
        let (name, version) = (&object.head.name, object.version.version);
        let kid = object.head.managed.then(|| at.versioned("keys", name, version));
        SecretBundle { kid, ..Self::version_item(at, object) }
    }

    fn item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> SecretBundle<'a> {
        shown(at.id("secrets", &object.head.name), at, object)
    }

    fn version_item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> SecretBundle<'a> {
        shown(at.versioned("secrets", &object.head.name, object.version.version), at, object)
    }
}

fn shown<'a>(id: String, at: &Place<'_>, object: &'a Object<Secrets>) -> SecretBundle<'a> {
    SecretBundle {
        value: None,
        content_type: object.version.content.content_type.as_deref(),
        id,
        attributes: Attributes::of(&object.version.attributes, at.recovery),
        tags: &object.version.tags,
        kid: None,
        previous: object.version.content.previous,
        managed: object.head.managed,
    }
}
