//! What all kinds of objects have: lists, deletion, recovery, purge, backup and restore. Each kind says how it is shown ([`Shown`]).

use super::{
    request::{Answer, Asked, Fault, Named, body_of, json, no_content},
    route::ObjectsOperation,
    types::{Backup, Deleted, List, RestoreBody, value_of},
};
use access::Action;
use axum::body::Body;
use domain::{ObjectName, ObjectVersion, limits};
use http::StatusCode;
use serde::Serialize;
use vault::{DeletedObject, Kind, Object, Page, Permitted, Recovery};

/// How a kind of object is shown.
pub(super) trait Shown: Kind {
    /// A version without what is secret of it (Key Vault: the bundle).
    type Bundle<'a>: Serialize;
    /// An item of a list.
    type Item<'a>: Serialize;

    /// A version, by its versioned identifier.
    fn bundle<'a>(at: &Place<'_>, object: &'a Object<Self>) -> Self::Bundle<'a>;

    /// An item of a list of objects, by the identifier of the object itself.
    fn item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> Self::Item<'a>;

    /// An item of a list of versions, by its versioned identifier.
    fn version_item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> Self::Item<'a>;
}

/// Where an object is, for identifiers, and what its vault says of recovery.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The vault's host, with the port by which the client came.
    pub(super) host: &'a str,
    /// What the vault says of recovery.
    pub(super) recovery: Recovery,
}

impl Place<'_> {
    /// `https://{host}/{collection}/{name}`.
    pub(super) fn id(&self, collection: &str, name: &ObjectName) -> String {
        ["https://", self.host, "/", collection, "/", name.as_str()].concat()
    }

    /// `https://{host}/{collection}/{name}/{version}`.
    pub(super) fn versioned(&self, collection: &str, name: &ObjectName, version: ObjectVersion) -> String {
        let version = version.text();
        // Hex digits are text.
        let version = std::str::from_utf8(&version).unwrap_or_default();
        ["https://", self.host, "/", collection, "/", name.as_str(), "/", version].concat()
    }
}

/// What the audit log calls an operation, and the object that it is asked of.
pub(super) fn names<K: Kind>(operation: &ObjectsOperation) -> (&'static str, Option<&ObjectName>) {
    match operation {
        ObjectsOperation::List { .. } => (K::List::NAME, None),
        ObjectsOperation::ListVersions { name, .. } => (list_versions::<K>(), Some(name)),
        ObjectsOperation::Delete { name } => (K::Delete::NAME, Some(name)),
        ObjectsOperation::ListDeleted { .. } => (K::ListDeleted::NAME, None),
        ObjectsOperation::GetDeleted { name } => (K::GetDeleted::NAME, Some(name)),
        ObjectsOperation::Recover { name } => (K::Recover::NAME, Some(name)),
        ObjectsOperation::Purge { name } => (K::Purge::NAME, Some(name)),
        ObjectsOperation::Backup { name } => (K::Backup::NAME, Some(name)),
        ObjectsOperation::Restore => (K::Restore::NAME, None),
    }
}

/// Needs the same permit as a list of objects, and is another thing to have done.
const fn list_versions<K: Kind>() -> &'static str {
    match K::KIND {
        domain::ObjectKind::Secret => "secret.list-versions",
        domain::ObjectKind::Key => "key.list-versions",
        domain::ObjectKind::Certificate => "certificate.list-versions",
    }
}

/// Does it.
pub(super) async fn operate<K: Shown>(
    asked: &Asked<'_>,
    operation: ObjectsOperation,
    api_version: &str,
    body: Body,
) -> Result<Answer, Fault> {
    let (service, asker, vault, now) = (&asked.state.vault, &asked.asker, asked.vault, asked.context.now);
    let collection = K::KIND.plural();
    match operation {
        ObjectsOperation::List { page } => {
            let listed = service.list::<K>(asker, vault, &page).await?;
            Ok(answer_page(asked, &listed, collection, api_version, page.items.get(), K::item))
        }
        ObjectsOperation::ListVersions { name, page } => {
            let listed = service.list_versions::<K>(asker, vault, &name, &page).await?;
            let path = format!("{collection}/{name}/versions");
            Ok(answer_page(asked, &listed, &path, api_version, page.items.get(), K::version_item))
        }
        ObjectsOperation::Delete { name } => {
            let deleted = service.delete::<K>(asker, vault, &name, now).await?;
            Ok(answer_deleted(asked, &deleted))
        }
        ObjectsOperation::ListDeleted { page } => {
            let listed = service.list_deleted::<K>(asker, vault, &page).await?;
            let path = format!("deleted{collection}");
            Ok(answer_page(asked, &listed, &path, api_version, page.items.get(), deleted_item))
        }
        ObjectsOperation::GetDeleted { name } => {
            let found = service.get_deleted::<K>(asker, vault, &name).await?;
            Ok(answer_deleted(asked, &found))
        }
        ObjectsOperation::Recover { name } => {
            let recovered = service.recover::<K>(asker, vault, &name).await?;
            Ok(answer_bundle(asked, StatusCode::OK, &recovered))
        }
        ObjectsOperation::Purge { name } => {
            Ok(answer_purged(service.purge::<K>(asker, vault, &name, now).await?))
        }
        ObjectsOperation::Backup { name } => {
            let backup = service.backup::<K>(asker, vault, &name).await?;
            let response = json(StatusCode::OK, &Backup { value: &backup.value });
            Ok(Answer { because: backup.because, version: None, response })
        }
        ObjectsOperation::Restore => {
            // Who may not gets nobody to read megabytes.
            service.may::<K::Restore>(asker, vault, None).await?;
            let RestoreBody { value } = body_of(body, limits::BACKUP_BYTES_MAX).await?;
            let restored = service.restore::<K>(asker, vault, &value, now).await?;
            let mut answer = answer_bundle(asked, StatusCode::OK, &restored);
            // The request named no object: only the backup did.
            answer.response.extensions_mut().insert(Named(restored.value.head.name.clone()));
            Ok(answer)
        }
    }
}

/// A version as an answer.
pub(super) fn answer_bundle<K: Shown>(
    asked: &Asked<'_>,
    status: StatusCode,
    of: &Permitted<Object<K>>,
) -> Answer {
    let bundle = K::bundle(&asked.place(of.recovery), &of.value);
    let version = Some(of.value.version.version);
    Answer { because: of.because.clone(), version, response: json(status, &bundle) }
}

/// A deleted object as an answer.
pub(super) fn answer_deleted<K: Shown>(asked: &Asked<'_>, of: &Permitted<DeletedObject<K>>) -> Answer {
    let at = asked.place(of.recovery);
    let shown = deleted(&at, &of.value, |object| value_of(K::bundle(&at, object)));
    let version = Some(of.value.version.version);
    Answer { because: of.because.clone(), version, response: json(StatusCode::OK, &shown) }
}

/// A deleted object as an item of a list.
pub(super) fn deleted_item<K: Shown>(at: &Place<'_>, of: &DeletedObject<K>) -> Deleted {
    deleted(at, of, |object| value_of(K::item(at, object)))
}

/// That an object was deleted for good.
pub(super) fn answer_purged(of: Permitted<()>) -> Answer {
    Answer { because: of.because, version: None, response: no_content() }
}

fn deleted<K: Shown>(
    at: &Place<'_>,
    of: &DeletedObject<K>,
    show: impl Fn(&Object<K>) -> serde_json::Value,
) -> Deleted {
    let head = std::sync::Arc::new(of.deleted.head.clone());
    let object = Object { head, version: of.version.clone() };
    let id = at.id(&format!("deleted{}", K::KIND.plural()), &object.head.name);
    Deleted::of(id, (of.deleted.deleted, of.deleted.purge_at), show(&object))
}

fn answer_page<'a, T, S: Serialize>(
    asked: &Asked<'_>,
    page: &'a Permitted<Page<T>>,
    path: &str,
    api_version: &str,
    items: u16,
    show: impl Fn(&Place<'_>, &'a T) -> S,
) -> Answer {
    answer_page_with(asked, page, path, api_version, (items, ""), show)
}

/// A page, with the link to the next one, which asks in the same way. Token and version are made of characters that need no encoding.
pub(super) fn answer_page_with<'a, T, S: Serialize>(
    asked: &Asked<'_>,
    page: &'a Permitted<Page<T>>,
    path: &str,
    api_version: &str,
    (items, options): (u16, &str),
    show: impl Fn(&Place<'_>, &'a T) -> S,
) -> Answer {
    let place = asked.place(page.recovery);
    let host = place.host;
    let next_link = page.value.next.as_deref().map(|token| {
        format!(
            "https://{host}/{path}?api-version={api_version}&$skiptoken={token}&maxresults={items}{options}"
        )
    });
    let list = List { value: page.value.items.iter().map(|item| show(&place, item)).collect(), next_link };
    Answer { because: page.because.clone(), version: None, response: json(StatusCode::OK, &list) }
}
