//! Paths below `/certificates`. A name may be a word of the protocol's, so method and number of segments tell them apart; only `contacts`
//! and `issuers` are no certificates' (Key Vault OpenAPI, certificates.json).

use super::super::route::{Asked, ObjectsOperation, RouteFault, object_name, object_version, wrong_method};
use domain::{ObjectName, ObjectVersion};
use http::Method;
use vault::PageRequest;

/// What certificates have, besides what all kinds of objects have.
#[derive(Debug)]
pub(in super::super) enum CertificateOperation {
    List { page: PageRequest, include_pending: bool },
    Get { name: ObjectName, version: Option<ObjectVersion> },
    Update { name: ObjectName, version: Option<ObjectVersion> },
    Create { name: ObjectName },
    Import { name: ObjectName },
    Merge { name: ObjectName },
    GetPolicy { name: ObjectName },
    UpdatePolicy { name: ObjectName },
    GetPending { name: ObjectName },
    UpdatePending { name: ObjectName },
    DeletePending { name: ObjectName },
    ListDeleted { page: PageRequest, include_pending: bool },
    Backup { name: ObjectName },
    Restore,
    GetContacts,
    SetContacts,
    DeleteContacts,
    ListIssuers { page: PageRequest },
    GetIssuer { name: ObjectName },
    SetIssuer { name: ObjectName },
    UpdateIssuer { name: ObjectName },
    DeleteIssuer { name: ObjectName },
}

/// One of the two kinds of operations on certificates.
pub(in super::super) enum Found {
    Own(CertificateOperation),
    OfAll(ObjectsOperation),
}

/// Reads what comes after `/certificates/`.
pub(in super::super) fn route(asked: Asked<'_>, rest: &[&str]) -> Result<Found, RouteFault> {
    use CertificateOperation as Own;
    let name = |text: &str| object_name(text);
    Ok(Found::Own(match (asked.method, rest) {
        (&Method::GET, []) => {
            Own::List { page: asked.query.page()?, include_pending: asked.query.include_pending()? }
        }
        (&Method::GET, ["contacts"]) => Own::GetContacts,
        (&Method::PUT, ["contacts"]) => Own::SetContacts,
        (&Method::DELETE, ["contacts"]) => Own::DeleteContacts,
        (&Method::GET, ["issuers"]) => Own::ListIssuers { page: asked.query.page()? },
        (&Method::GET, ["issuers", issuer]) => Own::GetIssuer { name: name(issuer)? },
        (&Method::PUT, ["issuers", issuer]) => Own::SetIssuer { name: name(issuer)? },
        (&Method::PATCH, ["issuers", issuer]) => Own::UpdateIssuer { name: name(issuer)? },
        (&Method::DELETE, ["issuers", issuer]) => Own::DeleteIssuer { name: name(issuer)? },
        (&Method::POST, ["restore"]) => Own::Restore,
        (&Method::POST, [of, "create"]) => Own::Create { name: name(of)? },
        (&Method::POST, [of, "import"]) => Own::Import { name: name(of)? },
        (&Method::POST, [of, "backup"]) => Own::Backup { name: name(of)? },
        (method, [_, "create" | "import" | "backup"]) => return Err(wrong_method(method, "POST")),
        (&Method::GET, [of, "policy"]) => Own::GetPolicy { name: name(of)? },
        (&Method::PATCH, [of, "policy"]) => Own::UpdatePolicy { name: name(of)? },
        (method, [_, "policy"]) => return Err(wrong_method(method, "GET, PATCH")),
        (&Method::GET, [of, "pending"]) => Own::GetPending { name: name(of)? },
        (&Method::PATCH, [of, "pending"]) => Own::UpdatePending { name: name(of)? },
        (&Method::DELETE, [of, "pending"]) => Own::DeletePending { name: name(of)? },
        (method, [_, "pending"]) => return Err(wrong_method(method, "DELETE, GET, PATCH")),
        (&Method::POST, [of, "pending", "merge"]) => Own::Merge { name: name(of)? },
        (method, [_, "pending", "merge"]) => return Err(wrong_method(method, "POST")),
        _ => {
            if let Some(operation) = asked.of_all(rest)? {
                return Ok(Found::OfAll(operation));
            }
            of_versions(asked.method, rest)?
        }
    }))
}

/// Reads what comes after `/deletedcertificates/`.
pub(in super::super) fn route_deleted(asked: Asked<'_>, rest: &[&str]) -> Result<Found, RouteFault> {
    Ok(match asked.of_deleted(rest)? {
        ObjectsOperation::ListDeleted { page } => Found::Own(CertificateOperation::ListDeleted {
            page,
            include_pending: asked.query.include_pending()?,
        }),
        operation => Found::OfAll(operation),
    })
}

fn of_versions(method: &Method, rest: &[&str]) -> Result<CertificateOperation, RouteFault> {
    let (name, version) = match rest {
        [name] => (object_name(name)?, None),
        [name, version] => (object_name(name)?, Some(object_version(version)?)),
        _ => return Err(RouteFault::NoSuchPath),
    };
    match *method {
        Method::GET => Ok(CertificateOperation::Get { name, version }),
        Method::PATCH => Ok(CertificateOperation::Update { name, version }),
        _ if version.is_none() => Err(wrong_method(method, "DELETE, GET, PATCH")),
        _ => Err(wrong_method(method, "GET, PATCH")),
    }
}
