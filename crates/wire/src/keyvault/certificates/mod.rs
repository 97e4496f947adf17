//! The operations that only certificates, issuers and contacts have, and how certificates are shown. Spec: Key Vault certificates API.

mod route;
mod types;

pub(super) use route::{CertificateOperation, Found, route, route_deleted};

use super::{
    error::KeyVaultError,
    objects::{self, Place, Shown, answer_bundle},
    request::{Answer, Asked, Fault, body_of, json, read_body},
    route::ObjectsOperation,
    types::{Attributes, Backup, Deleted, RestoreBody},
};
use access::{
    Action, BackupCertificate, CreateCertificate, DeleteIssuer, GetCertificate, GetContacts, GetIssuer,
    ImportCertificate, ListCertificates, ListDeletedCertificates, ListIssuers, ManageContacts,
    RestoreCertificate, SetIssuer, UpdateCertificate,
};
use axum::body::Body;
use crypt::encoding;
use domain::{ObjectName, ObjectVersion, limits};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use types::{
    CertificateBundle, CertificateItem, ComingBundle, ContactsBody, CreateBody, ImportBody, IssuerBundle,
    IssuerChangeBody, IssuerItem, ItemAttributes, MergeBody, OperationShown, PendingBody, PolicyBody,
    PolicyShown, Reference, UpdateBody, attributes_of_coming,
};
use vault::{
    Certificates, Object, Permitted, PolicyOf,
    certificates::{Contacts, DeletedEarly, Issuer, Listed, ListedDeleted, Pending},
};

const COLLECTION: &str = "certificates";
const COLLECTION_DELETED: &str = "deletedcertificates";

/// What the audit log calls an operation, what it is asked of, and the version that was asked for. Operations that need the permit of
/// another have a name of their own: they are other things to have done.
pub(super) fn names(
    operation: &CertificateOperation,
) -> (&'static str, Option<&ObjectName>, Option<ObjectVersion>) {
    use CertificateOperation as Of;
    match operation {
        Of::List { .. } => (ListCertificates::NAME, None, None),
        Of::Get { name, version } => (GetCertificate::NAME, Some(name), *version),
        Of::Update { name, version } => (UpdateCertificate::NAME, Some(name), *version),
        Of::Create { name } => (CreateCertificate::NAME, Some(name), None),
        Of::Import { name } => (ImportCertificate::NAME, Some(name), None),
        Of::Merge { name } => ("certificate.merge", Some(name), None),
        Of::GetPolicy { name } => ("certificate.policy.get", Some(name), None),
        Of::UpdatePolicy { name } => ("certificate.policy.update", Some(name), None),
        Of::GetPending { name } => ("certificate.pending.get", Some(name), None),
        Of::UpdatePending { name } => ("certificate.pending.update", Some(name), None),
        Of::DeletePending { name } => ("certificate.pending.delete", Some(name), None),
        Of::ListDeleted { .. } => (ListDeletedCertificates::NAME, None, None),
        Of::Backup { name } => (BackupCertificate::NAME, Some(name), None),
        Of::Restore => (RestoreCertificate::NAME, None, None),
        Of::GetContacts => (GetContacts::NAME, None, None),
        Of::SetContacts => (ManageContacts::NAME, None, None),
        Of::DeleteContacts => ("certificate.contacts.delete", None, None),
        Of::ListIssuers { .. } => (ListIssuers::NAME, None, None),
        Of::GetIssuer { name } => (GetIssuer::NAME, Some(name), None),
        Of::SetIssuer { name } => (SetIssuer::NAME, Some(name), None),
        Of::UpdateIssuer { name } => ("certificate.issuer.update", Some(name), None),
        Of::DeleteIssuer { name } => (DeleteIssuer::NAME, Some(name), None),
    }
}

/// Does it.
pub(super) async fn operate(
    asked: &Asked<'_>,
    operation: CertificateOperation,
    api_version: &str,
    body: Body,
) -> Result<Answer, Fault> {
    use CertificateOperation as Of;
    let Asked { state, context, asker, vault, .. } = asked;
    let (service, now) = (&state.vault, context.now);
    match operation {
        Of::List { page, include_pending } => {
            let listed = service.list_certificates(asker, vault, &page, include_pending).await?;
            let paging = (page.items.get(), options(include_pending));
            Ok(objects::answer_page_with(asked, &listed, COLLECTION, api_version, paging, item))
        }
        Of::Get { name, version } => {
            let found = service.get_certificate(asker, vault, &name, version).await?;
            Ok(answer_listed(asked, found))
        }
        Of::Update { name, version } => {
            let read = UpdateBody::into_change;
            let change = read_body::<UpdateCertificate, _, _>(asked, Some(&name), body, read).await?;
            let updated = service.update_certificate(asker, vault, &name, version, &change, now).await?;
            Ok(answer_listed(asked, updated))
        }
        Of::Create { name } => {
            let read = CreateBody::into_request;
            let new = read_body::<CreateCertificate, _, _>(asked, Some(&name), body, read).await?;
            let created = service.create_certificate(asker, vault, &name, &new, now).await?;
            Ok(answer_created(asked, api_version, &created))
        }
        Of::Import { name } => {
            let read = ImportBody::into_request;
            let new = read_body::<ImportCertificate, _, _>(asked, Some(&name), body, read).await?;
            let imported = service.import_certificate(asker, vault, &name, &new, now).await?;
            Ok(answer_bundle(asked, StatusCode::OK, &imported))
        }
        Of::Merge { name } => {
            let read = MergeBody::into_request;
            let signed = read_body::<CreateCertificate, _, _>(asked, Some(&name), body, read).await?;
            let merged = service.merge_certificate(asker, vault, &name, &signed, now).await?;
            Ok(answer_bundle(asked, StatusCode::CREATED, &merged))
        }
        Of::GetPolicy { name } => {
            Ok(answer_policy(asked, &service.get_certificate_policy(asker, vault, &name).await?))
        }
        Of::UpdatePolicy { name } => {
            let read = PolicyBody::into_asked;
            let change = read_body::<UpdateCertificate, _, _>(asked, Some(&name), body, read).await?;
            let updated = service.update_certificate_policy(asker, vault, &name, &change, now).await?;
            Ok(answer_policy(asked, &updated))
        }
        Of::GetPending { name } => {
            let found = service.get_pending_certificate(asker, vault, &name).await?;
            Ok(answer_pending(asked, &found))
        }
        Of::UpdatePending { name } => {
            let read = |body: PendingBody| match body.cancellation_requested {
                Some(true) => Ok(()),
                _ => Err(KeyVaultError::bad_member(
                    "Property cancellation_requested",
                    "must be true: it is all that can be changed of an operation",
                )),
            };
            read_body::<UpdateCertificate, _, _>(asked, Some(&name), body, read).await?;
            let cancelled = service.cancel_pending_certificate(asker, vault, &name, now).await?;
            Ok(answer_pending(asked, &cancelled))
        }
        Of::DeletePending { name } => {
            let deleted = service.delete_pending_certificate(asker, vault, &name).await?;
            Ok(answer_pending(asked, &deleted))
        }
        Of::ListDeleted { page, include_pending } => {
            let listed = service.list_deleted_certificates(asker, vault, &page, include_pending).await?;
            let (path, paging) = (COLLECTION_DELETED, (page.items.get(), options(include_pending)));
            Ok(objects::answer_page_with(asked, &listed, path, api_version, paging, |place, listed| {
                match listed {
                    ListedDeleted::Certificate(of) => objects::deleted_item(place, of),
                    ListedDeleted::Pending(pending, deleted) => {
                        deleted_early(place, pending, deleted, coming_item(place, pending))
                    }
                }
            }))
        }
        Of::Backup { name } => {
            let backup = service.backup_certificate(asker, vault, &name).await?;
            let response = json(StatusCode::OK, &Backup { value: &backup.value });
            Ok(Answer { because: backup.because, version: None, response })
        }
        Of::Restore => {
            // Who may not gets nobody to read megabytes.
            service.may::<RestoreCertificate>(asker, vault, None).await?;
            let RestoreBody { value } = body_of(body, limits::BACKUP_BYTES_MAX).await?;
            let restored = service.restore_certificate(asker, vault, &value, now).await?;
            Ok(answer_bundle(asked, StatusCode::OK, &restored))
        }
        Of::GetContacts => Ok(answer_contacts(asked, &service.get_contacts(asker, vault).await?)),
        Of::SetContacts => {
            let read = |body: ContactsBody| Ok(body.into_contacts());
            let contacts = read_body::<ManageContacts, _, _>(asked, None, body, read).await?;
            Ok(answer_contacts(asked, &service.set_contacts(asker, vault, &contacts).await?))
        }
        Of::DeleteContacts => Ok(answer_contacts(asked, &service.delete_contacts(asker, vault).await?)),
        Of::ListIssuers { page } => {
            let listed = service.list_issuers(asker, vault, &page).await?;
            let show = |place: &Place<'_>, issuer: &std::sync::Arc<Issuer>| IssuerItem {
                id: place.id("certificates/issuers", &issuer.name),
                provider: issuer.provider.clone(),
            };
            let path = "certificates/issuers";
            Ok(objects::answer_page_with(asked, &listed, path, api_version, (page.items.get(), ""), show))
        }
        Of::GetIssuer { name } => Ok(answer_issuer(asked, &service.get_issuer(asker, vault, &name).await?)),
        Of::SetIssuer { name } => {
            let read = |body: IssuerChangeBody| Ok(body.into_change());
            let new = read_body::<SetIssuer, _, _>(asked, None, body, read).await?;
            Ok(answer_issuer(asked, &service.set_issuer(asker, vault, &name, &new, now).await?))
        }
        Of::UpdateIssuer { name } => {
            let read = |body: IssuerChangeBody| Ok(body.into_change());
            let change = read_body::<SetIssuer, _, _>(asked, None, body, read).await?;
            Ok(answer_issuer(asked, &service.update_issuer(asker, vault, &name, &change, now).await?))
        }
        Of::DeleteIssuer { name } => {
            Ok(answer_issuer(asked, &service.delete_issuer(asker, vault, &name).await?))
        }
    }
}

/// What all kinds of objects have, of certificates: one may be deleted, recovered and purged before its first version has come.
pub(super) async fn operate_as_object(
    asked: &Asked<'_>,
    operation: ObjectsOperation,
    api_version: &str,
    body: Body,
) -> Result<Answer, Fault> {
    let Asked { state, context, asker, vault, .. } = asked;
    let (service, now) = (&state.vault, context.now);
    match operation {
        ObjectsOperation::Delete { name } => {
            Ok(answer_deleted(asked, service.delete_certificate(asker, vault, &name, now).await?))
        }
        ObjectsOperation::GetDeleted { name } => {
            Ok(answer_deleted(asked, service.get_deleted_certificate(asker, vault, &name).await?))
        }
        ObjectsOperation::Recover { name } => {
            Ok(answer_listed(asked, service.recover_certificate(asker, vault, &name).await?))
        }
        ObjectsOperation::Purge { name } => {
            Ok(objects::answer_purged(service.purge_certificate(asker, vault, &name, now).await?))
        }
        operation => objects::operate::<Certificates>(asked, operation, api_version, body).await,
    }
}

const fn options(include_pending: bool) -> &'static str {
    if include_pending { "&includePending=true" } else { "" }
}

fn answer_listed(asked: &Asked<'_>, of: Permitted<Listed>) -> Answer {
    let Permitted { value, because, recovery } = of;
    match value {
        Listed::Certificate(value) => {
            answer_bundle(asked, StatusCode::OK, &Permitted { value, because, recovery })
        }
        Listed::Pending(pending) => {
            let at = asked.place(recovery);
            let response = json(StatusCode::OK, &coming(&at, &pending));
            Answer { because, version: Some(pending.version), response }
        }
    }
}

fn answer_deleted(asked: &Asked<'_>, of: Permitted<ListedDeleted>) -> Answer {
    let Permitted { value, because, recovery } = of;
    match value {
        ListedDeleted::Certificate(value) => {
            objects::answer_deleted(asked, &Permitted { value, because, recovery })
        }
        ListedDeleted::Pending(pending, deleted) => {
            let at = asked.place(recovery);
            let shown = deleted_early(&at, &pending, &deleted, coming(&at, &pending));
            Answer { because, version: Some(pending.version), response: json(StatusCode::OK, &shown) }
        }
    }
}

/// A certificate without a version: what there is of it.
fn coming<'a>(at: &Place<'_>, pending: &'a Pending) -> ComingBundle<'a> {
    let id = at.id(COLLECTION, &pending.name);
    ComingBundle {
        id: at.versioned(COLLECTION, &pending.name, pending.version),
        attributes: Attributes::of(&attributes_of_coming(pending), at.recovery),
        tags: &pending.tags,
        policy: PolicyShown::of(format!("{id}/policy"), pending.policy_of_next()),
        pending: Reference { id: format!("{id}/pending") },
    }
}

fn coming_item<'a>(at: &Place<'_>, pending: &'a Pending) -> CertificateItem<'a> {
    CertificateItem {
        id: at.id(COLLECTION, &pending.name),
        x5t: String::new(),
        attributes: ItemAttributes::of(&attributes_of_coming(pending)),
        tags: &pending.tags,
    }
}

fn deleted_early(
    at: &Place<'_>,
    pending: &Pending,
    deleted: &DeletedEarly,
    shown: impl Serialize,
) -> Deleted {
    Deleted::of(at.id(COLLECTION_DELETED, &pending.name), (deleted.deleted, deleted.purge_at), shown)
}

fn answer_created(asked: &Asked<'_>, api_version: &str, of: &Permitted<Pending>) -> Answer {
    let pending = &of.value;
    let id = format!("{}/pending", asked.place(of.recovery).id(COLLECTION, &pending.name));
    let at = format!("{id}?api-version={api_version}&request_id={}", pending.request);
    let mut response = json(StatusCode::ACCEPTED, &OperationShown::accepted(id, pending));
    if let Ok(at) = HeaderValue::from_str(&at) {
        response.headers_mut().insert(header::LOCATION, at);
    }
    Answer { because: of.because.clone(), version: Some(pending.version), response }
}

fn answer_pending<P: AsRef<Pending>>(asked: &Asked<'_>, of: &Permitted<P>) -> Answer {
    let pending = of.value.as_ref();
    let target = asked.place(of.recovery).id(COLLECTION, &pending.name);
    let shown = OperationShown::of(format!("{target}/pending"), target, pending);
    Answer {
        because: of.because.clone(),
        version: Some(pending.version),
        response: json(StatusCode::OK, &shown),
    }
}

fn answer_policy(asked: &Asked<'_>, of: &Permitted<PolicyOf>) -> Answer {
    let shown = PolicyShown::of(policy_id(&asked.place(of.recovery), &of.value.name), &of.value.policy);
    Answer { because: of.because.clone(), version: None, response: json(StatusCode::OK, &shown) }
}

fn answer_contacts<C: AsRef<Contacts>>(asked: &Asked<'_>, of: &Permitted<C>) -> Answer {
    let shown = ContactsBody::of(format!("https://{}/certificates/contacts", asked.host), of.value.as_ref());
    Answer { because: of.because.clone(), version: None, response: json(StatusCode::OK, &shown) }
}

fn answer_issuer<I: AsRef<Issuer>>(asked: &Asked<'_>, of: &Permitted<I>) -> Answer {
    let issuer = of.value.as_ref();
    let id = asked.place(of.recovery).id("certificates/issuers", &issuer.name);
    let response = json(StatusCode::OK, &IssuerBundle::of(id, issuer));
    Answer { because: of.because.clone(), version: None, response }
}

fn policy_id(at: &Place<'_>, name: &ObjectName) -> String {
    format!("{}/policy", at.id(COLLECTION, name))
}

impl Shown for Certificates {
    type Bundle<'a> = CertificateBundle<'a>;
    type Item<'a> = CertificateItem<'a>;

    fn bundle<'a>(at: &Place<'_>, object: &'a Object<Self>) -> CertificateBundle<'a> {
        let (name, version) = (&object.head.name, object.version.version);
        CertificateBundle {
            id: at.versioned(COLLECTION, name, version),
            kid: at.versioned("keys", name, version),
            sid: at.versioned("secrets", name, version),
            x5t: encoding::base64url(&object.version.content.thumbprint.0),
            cer: &object.version.content.leaf,
            attributes: Attributes::of(&object.version.attributes, at.recovery),
            tags: &object.version.tags,
            policy: PolicyShown::of(policy_id(at, name), &object.head.about.policy),
            preserve_order: object.head.about.preserve_order,
        }
    }

    fn item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> CertificateItem<'a> {
        shown(at.id(COLLECTION, &object.head.name), object)
    }

    fn version_item<'a>(at: &Place<'_>, object: &'a Object<Self>) -> CertificateItem<'a> {
        shown(at.versioned(COLLECTION, &object.head.name, object.version.version), object)
    }
}

fn shown(id: String, object: &Object<Certificates>) -> CertificateItem<'_> {
    CertificateItem {
        id,
        x5t: encoding::base64url(&object.version.content.thumbprint.0),
        attributes: ItemAttributes::of(&object.version.attributes),
        tags: &object.version.tags,
    }
}

fn item<'a>(at: &Place<'_>, listed: &'a Listed) -> CertificateItem<'a> {
    match listed {
        Listed::Certificate(object) => Certificates::item(at, object),
        Listed::Pending(pending) => coming_item(at, pending),
    }
}
