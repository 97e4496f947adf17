//! From a method, a path and a query to an operation. Pure.

use super::{
    certificates::{self, CertificateOperation, Found},
    keys::route::KeyOperation,
};
use crate::query;
use domain::{ObjectKind, ObjectName, ObjectVersion, limits};
use http::Method;
use std::{borrow::Cow, num::NonZeroU16};
use vault::{PageRequest, certificates::ContentType};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Operation {
    /// What all kinds of objects have.
    Objects(ObjectKind, ObjectsOperation),
    /// What only secrets have.
    Secret(SecretOperation),
    /// What only keys have.
    Key(KeyOperation),
    /// What only certificates have.
    Certificate(CertificateOperation),
}

/// What all kinds of objects have.
#[derive(Debug)]
pub(super) enum ObjectsOperation {
    List { page: PageRequest },
    ListVersions { name: ObjectName, page: PageRequest },
    Delete { name: ObjectName },
    ListDeleted { page: PageRequest },
    GetDeleted { name: ObjectName },
    Recover { name: ObjectName },
    Purge { name: ObjectName },
    Backup { name: ObjectName },
    Restore,
}

/// What only secrets have.
#[derive(Debug)]
pub(super) enum SecretOperation {
    Set { name: ObjectName },
    Get { name: ObjectName, version: Option<ObjectVersion>, form: Option<ContentType> },
    Update { name: ObjectName, version: Option<ObjectVersion> },
}

/// An operation and the version of the API that it was asked in.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) api_version: String,
}

/// Why a request names no operation. As text it is for the audit log, and says nothing of what stood there: it may be a secret that
/// was pasted in the wrong place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RouteFault {
    /// `api-version` is missing.
    #[error("the parameter api-version is missing")]
    ApiVersionMissing,
    /// `api-version` cannot be one.
    #[error("the parameter api-version is no version")]
    ApiVersionMalformed,
    /// A parameter of the query is not what it must be.
    #[error("the parameter {name} {rule}")]
    BadParameter { name: &'static str, rule: &'static str },
    /// The path or the query is not decodable.
    #[error("the path is not decodable")]
    UriMalformed,
    /// No name, or one that no object can have.
    #[error("the path holds no name of an object")]
    BadName { text: String },
    /// No version, or one that no object can have.
    #[error("the path holds no version of an object")]
    BadVersion { text: String },
    /// The path is one of ours, the method is not.
    #[error("the method is none of {allowed}")]
    MethodNotAllowed { method: Method, allowed: &'static str },
    /// Nobody has this.
    #[error("there is no such path")]
    NoSuchPath,
}

/// Reads a request's target.
pub(super) fn route(method: &Method, path: &str, query: Option<&str>) -> Result<Route, RouteFault> {
    let query = Query::parse(query.unwrap_or_default())?;
    let decoded = path.contains('%').then(|| segments(path)).transpose()?;
    let mut segments: Vec<&str> = match &decoded {
        Some(decoded) => decoded.iter().map(|segment| &**segment).collect(),
        None => split(path).collect(),
    };
    // An empty last segment is "the latest" where a version may stand, and nothing elsewhere.
    if segments.len() > 1 && segments.last() == Some(&"") {
        segments.pop();
    }
    let asked = Asked { method, query: &query };
    let operation = match segments.as_slice() {
        ["secrets", rest @ ..] => match asked.of_all(rest)? {
            Some(operation) => Operation::Objects(ObjectKind::Secret, operation),
            None => Operation::Secret(asked.of_secrets(rest)?),
        },
        ["deletedsecrets", rest @ ..] => Operation::Objects(ObjectKind::Secret, asked.of_deleted(rest)?),
        ["keys", rest @ ..] => match asked.of_all(rest)? {
            Some(operation) => Operation::Objects(ObjectKind::Key, operation),
            None => Operation::Key(asked.of_keys(rest)?),
        },
        ["deletedkeys", rest @ ..] => Operation::Objects(ObjectKind::Key, asked.of_deleted(rest)?),
        ["rng"] if *method == Method::POST => Operation::Key(KeyOperation::RandomBytes),
        ["rng"] => return Err(wrong_method(method, "POST")),
        ["certificates", rest @ ..] => match certificates::route(asked, rest)? {
            Found::Own(operation) => Operation::Certificate(operation),
            Found::OfAll(operation) => Operation::Objects(ObjectKind::Certificate, operation),
        },
        ["deletedcertificates", rest @ ..] => match certificates::route_deleted(asked, rest)? {
            Found::Own(operation) => Operation::Certificate(operation),
            Found::OfAll(operation) => Operation::Objects(ObjectKind::Certificate, operation),
        },
        _ => return Err(RouteFault::NoSuchPath),
    };
    Ok(Route { operation, api_version: query.api_version? })
}

/// What of a request tells operations of one collection apart, besides the rest of the path.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) query: &'a Query,
}

impl Asked<'_> {
    /// What all kinds of objects have below their collection; `None`: something of their own, if anything.
    pub(super) fn of_all(self, rest: &[&str]) -> Result<Option<ObjectsOperation>, RouteFault> {
        let Asked { method, query } = self;
        Ok(Some(match (method, rest) {
            (&Method::GET, []) => ObjectsOperation::List { page: query.page()? },
            (method, []) => return Err(wrong_method(method, "GET")),
            (&Method::GET, [name, "versions"]) => {
                ObjectsOperation::ListVersions { name: object_name(name)?, page: query.page()? }
            }
            (method, [_, "versions"]) => return Err(wrong_method(method, "GET")),
            // An object may be called so: only the method tells.
            (&Method::POST, ["restore"]) => ObjectsOperation::Restore,
            (&Method::POST, [name, "backup"]) => ObjectsOperation::Backup { name: object_name(name)? },
            (&Method::DELETE, [name]) => ObjectsOperation::Delete { name: object_name(name)? },
            _ => return Ok(None),
        }))
    }

    /// Deleted objects.
    pub(super) fn of_deleted(self, rest: &[&str]) -> Result<ObjectsOperation, RouteFault> {
        let Asked { method, query } = self;
        Ok(match (method, rest) {
            (&Method::GET, []) => ObjectsOperation::ListDeleted { page: query.page()? },
            (method, []) => return Err(wrong_method(method, "GET")),
            (&Method::GET, [name]) => ObjectsOperation::GetDeleted { name: object_name(name)? },
            (&Method::DELETE, [name]) => ObjectsOperation::Purge { name: object_name(name)? },
            (method, [_]) => return Err(wrong_method(method, "DELETE, GET")),
            (&Method::POST, [name, "recover"]) => ObjectsOperation::Recover { name: object_name(name)? },
            (method, [_, "recover"]) => return Err(wrong_method(method, "POST")),
            _ => return Err(RouteFault::NoSuchPath),
        })
    }

    /// What only secrets have.
    fn of_secrets(self, rest: &[&str]) -> Result<SecretOperation, RouteFault> {
        match (self.method, rest) {
            (&Method::GET, [name]) => {
                Ok(SecretOperation::Get { name: object_name(name)?, version: None, form: self.query.form()? })
            }
            (&Method::PATCH, [name]) => {
                Ok(SecretOperation::Update { name: object_name(name)?, version: None })
            }
            (&Method::PUT, [name]) => Ok(SecretOperation::Set { name: object_name(name)? }),
            (method, [name]) => {
                object_name(name)?;
                Err(wrong_method(method, "DELETE, GET, PATCH, PUT"))
            }
            // No version is called so: what is wrong is the method.
            (method, [_, "backup"]) => Err(wrong_method(method, "POST")),
            (&Method::GET, [name, version]) => {
                let version = Some(object_version(version)?);
                Ok(SecretOperation::Get { name: object_name(name)?, version, form: self.query.form()? })
            }
            (&Method::PATCH, [name, version]) => Ok(SecretOperation::Update {
                name: object_name(name)?,
                version: Some(object_version(version)?),
            }),
            (method, [name, version]) => {
                object_name(name)?;
                object_version(version)?;
                Err(wrong_method(method, "GET, PATCH"))
            }
            _ => Err(RouteFault::NoSuchPath),
        }
    }
}

pub(super) fn wrong_method(method: &Method, allowed: &'static str) -> RouteFault {
    RouteFault::MethodNotAllowed { method: method.clone(), allowed }
}

pub(super) fn object_name(text: &str) -> Result<ObjectName, RouteFault> {
    ObjectName::parse(text).map_err(|_| RouteFault::BadName { text: shown(text) })
}

pub(super) fn object_version(text: &str) -> Result<ObjectVersion, RouteFault> {
    text.parse().map_err(|_| RouteFault::BadVersion { text: shown(text) })
}

/// What of a strange text may stand in an answer: short, and nothing that a terminal or a page would act on.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() && !"<>\"'&\\".contains(*c)).take(127).collect()
}

/// The segments of a path. A leading double slash is what a vault URL with a slash at its end makes.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('/').split('/')
}

/// The decoded segments of a path.
fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, RouteFault> {
    let decode = |segment| {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        decoded.map_err(|_| RouteFault::UriMalformed)
    };
    split(path).map(decode).collect()
}

/// The parameters that are known, however their names are encoded.
pub(super) struct Query {
    api_version: Result<String, RouteFault>,
    items: Option<String>,
    token: Option<String>,
    form: Option<String>,
    include_pending: Option<String>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, RouteFault> {
        let mut parsed = Self {
            api_version: Err(RouteFault::ApiVersionMissing),
            items: None,
            token: None,
            form: None,
            include_pending: None,
        };
        for (name, value) in query::pairs(query) {
            match &*name {
                "api-version" if parsed.api_version.is_ok() => {
                    return Err(RouteFault::BadParameter { name: "api-version", rule: "must be given once" });
                }
                "api-version" if is_api_version(&value) => parsed.api_version = Ok(value.into_owned()),
                "api-version" => return Err(RouteFault::ApiVersionMalformed),
                "maxresults" => parsed.items = Some(value.into_owned()),
                "outContentType" => parsed.form = Some(value.into_owned()),
                "includePending" => parsed.include_pending = Some(value.into_owned()),
                "$skiptoken" => parsed.token = Some(value.into_owned()),
                // Unknown ones are for others: clients add their own.
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// In which form a certificate's secret is asked for.
    fn form(&self) -> Result<Option<ContentType>, RouteFault> {
        let rule = "must be application/x-pkcs12 or application/x-pem-file";
        let fault = RouteFault::BadParameter { name: "outContentType", rule };
        self.form.as_deref().map(|text| ContentType::parse(text).ok_or(fault)).transpose()
    }

    /// Are certificates asked for that have no version yet?
    pub(super) fn include_pending(&self) -> Result<bool, RouteFault> {
        match self.include_pending.as_deref() {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => {
                Err(RouteFault::BadParameter { name: "includePending", rule: "must be true or false" })
            }
        }
    }

    pub(super) fn page(&self) -> Result<PageRequest, RouteFault> {
        let fault =
            RouteFault::BadParameter { name: "maxresults", rule: "must be a whole number from 1 to 25" };
        let items = match &self.items {
            None => limits::PAGE_ITEMS_MAX,
            Some(text) => text.parse().ok().filter(|items| *items <= limits::PAGE_ITEMS_MAX).ok_or(fault)?,
        };
        let fault =
            RouteFault::BadParameter { name: "maxresults", rule: "must be a whole number from 1 to 25" };
        Ok(PageRequest { items: NonZeroU16::new(items).ok_or(fault)?, token: self.token.clone() })
    }
}

/// `7.4`, `2016-10-01`, or either with a preview suffix such as `-preview.1`.
fn is_api_version(text: &str) -> bool {
    // What all clients of today ask for is seen at once.
    let is_plain_date = |(place, byte): (usize, u8)| {
        if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
    };
    if text.len() == "2016-10-01".len() && text.bytes().enumerate().all(is_plain_date) {
        return true;
    }
    let (version, suffix) =
        text.split_once("-preview").map_or((text, None), |(version, suffix)| (version, Some(suffix)));
    let digits = |text: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_number =
        version.split_once('.').is_some_and(|(major, minor)| digits(major, 1..=3) && digits(minor, 1..=3));
    let is_date = matches!(*version.split('-').collect::<Vec<_>>(), [year, month, day]
        if digits(year, 4..=4) && digits(month, 2..=2) && digits(day, 2..=2));
    let is_suffix = suffix.is_none_or(|suffix| {
        suffix.is_empty() || suffix.strip_prefix('.').is_some_and(|number| digits(number, 1..=3))
    });
    (is_number || is_date) && is_suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, target: &str) -> Result<Operation, RouteFault> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        route(&method, path, query).map(|route| route.operation)
    }

    #[test]
    fn what_real_clients_send_is_understood() {
        let version = "0123456789abcdef0123456789ABCDEF";
        let v = "api-version=2025-07-01";
        assert!(matches!(
            ask(Method::GET, &format!("/secrets/db/?{v}")),
            Ok(Operation::Secret(SecretOperation::Get { version: None, .. }))
        ));
        assert!(matches!(
            ask(Method::GET, &format!("/secrets/db?{v}")),
            Ok(Operation::Secret(SecretOperation::Get { version: None, .. }))
        ));
        assert!(matches!(
            ask(Method::GET, "/secrets/db/?api%2Dversion=2025-07-01"),
            Ok(Operation::Secret(SecretOperation::Get { .. }))
        ));
        assert!(matches!(
            ask(Method::GET, &format!("//secrets/db/{version}?{v}")),
            Ok(Operation::Secret(SecretOperation::Get { version: Some(_), .. }))
        ));
        assert!(matches!(
            ask(Method::PATCH, &format!("/secrets/db/?{v}")),
            Ok(Operation::Secret(SecretOperation::Update { version: None, .. }))
        ));
        assert!(matches!(
            ask(Method::PUT, &format!("/secrets/restore?{v}")),
            Ok(Operation::Secret(SecretOperation::Set { .. }))
        ));
        let Ok(Operation::Objects(ObjectKind::Secret, ObjectsOperation::List { page })) =
            ask(Method::GET, &format!("/secrets?%24skiptoken=ZGI&maxresults=2&{v}"))
        else {
            panic!("a page")
        };
        assert_eq!((page.items.get(), page.token.as_deref()), (2, Some("ZGI")));
        assert!(matches!(
            ask(Method::GET, &format!("/secrets/db/versions?{v}")),
            Ok(Operation::Objects(_, ObjectsOperation::ListVersions { .. }))
        ));
    }

    #[test]
    fn what_all_kinds_have_is_told_by_method_and_path() {
        let v = "api-version=7.4";
        let of = |method, target: &str| match ask(method, &format!("{target}?{v}")) {
            Ok(Operation::Objects(ObjectKind::Secret, operation)) => operation,
            other => panic!("{other:?}"),
        };
        assert!(matches!(of(Method::DELETE, "/secrets/db"), ObjectsOperation::Delete { .. }));
        assert!(matches!(of(Method::POST, "/secrets/db/backup"), ObjectsOperation::Backup { .. }));
        assert!(matches!(of(Method::POST, "/secrets/restore"), ObjectsOperation::Restore));
        assert!(matches!(of(Method::DELETE, "/secrets/restore"), ObjectsOperation::Delete { .. }));
        assert!(matches!(of(Method::GET, "/deletedsecrets"), ObjectsOperation::ListDeleted { .. }));
        assert!(matches!(of(Method::GET, "/deletedsecrets/db"), ObjectsOperation::GetDeleted { .. }));
        assert!(matches!(of(Method::DELETE, "/deletedsecrets/db"), ObjectsOperation::Purge { .. }));
        assert!(matches!(of(Method::POST, "/deletedsecrets/db/recover"), ObjectsOperation::Recover { .. }));
    }

    #[test]
    fn what_nobody_sends_gets_its_own_refusal() {
        let v = "api-version=7.4";
        let fault = |method, target: &str| ask(method, target).unwrap_err();
        assert_eq!(fault(Method::GET, "/secrets"), RouteFault::ApiVersionMissing);
        for strange in
            ["", "latest", "7", "7.4.1", "2025-7-1", "7.4-beta", "7.4-preview.", "2025-07-01; drop", "７.４"]
        {
            assert_eq!(
                fault(Method::GET, &format!("/secrets?api-version={strange}")),
                RouteFault::ApiVersionMalformed,
                "{strange}"
            );
        }
        for items in ["0", "26", "-1", "x", "", "99999999999"] {
            let fault = fault(Method::GET, &format!("/secrets?{v}&maxresults={items}"));
            assert!(matches!(fault, RouteFault::BadParameter { name: "maxresults", .. }), "{items}");
        }
        assert!(matches!(fault(Method::GET, &format!("/secrets/a_b/?{v}")), RouteFault::BadName { .. }));
        assert!(matches!(fault(Method::GET, &format!("/secrets/a%2Fb/?{v}")), RouteFault::BadName { .. }));
        assert!(matches!(
            fault(Method::GET, &format!("/secrets/db/latest?{v}")),
            RouteFault::BadVersion { .. }
        ));
        assert!(matches!(fault(Method::GET, "/secrets/%ff/?api-version=7.4"), RouteFault::UriMalformed));
        for target in ["/secrets/db", "/secrets/db/backup"] {
            let method = if target.ends_with("backup") { Method::GET } else { Method::POST };
            let fault = fault(method, &format!("{target}?{v}"));
            assert!(matches!(fault, RouteFault::MethodNotAllowed { .. }), "{target}");
        }
        assert_eq!(fault(Method::GET, &format!("/?{v}")), RouteFault::NoSuchPath);
        assert_eq!(fault(Method::GET, &format!("/secrets/a/b/c/d?{v}")), RouteFault::NoSuchPath);
    }

    proptest::proptest! {
        /// Also what no HTTP library would let through. What is understood is what was written.
        #[test]
        fn no_text_makes_it_panic(path in ".*", query in ".*", name in "[A-Za-z0-9-]{1,127}", token in ".{0,40}") {
            let _any = route(&Method::GET, &path, Some(&query));
            let _any = route(&Method::GET, &format!("/secrets/{path}"), Some(&format!("api-version=7.4&{query}")));
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for spelled in [&name, &encoded] {
                let operation = ask(Method::GET, &format!("/secrets/{spelled}/?api-version=7.4")).unwrap();
                let Operation::Secret(SecretOperation::Get { name: found, version: None, .. }) = operation else { panic!("{operation:?}") };
                assert_eq!(found.as_str(), name);
            }
            let query: String =
                form_urlencoded::Serializer::new(String::new()).append_pair("$skiptoken", &token).finish();
            let operation = ask(Method::GET, &format!("/secrets?{query}&api-version=7.4")).unwrap();
            let Operation::Objects(_, ObjectsOperation::List { page }) = operation else { panic!("{operation:?}") };
            assert_eq!(page.token.as_deref(), Some(&*token));
        }
    }

    #[test]
    fn every_version_that_was_ever_there_is_plausible() {
        let known = [
            "2015-06-01",
            "2016-10-01",
            "7.0",
            "7.5",
            "7.6-preview.2",
            "2025-07-01",
            "2026-04-01",
            "2026-07-01-preview",
        ];
        assert!(known.into_iter().all(is_api_version));
    }
}
