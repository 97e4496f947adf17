//! From a method and a path to an operation. Pure.
//!
//! An object is named by its id or, in parentheses, by another key: `applications(appId='…')`. Each collection reads what is below it.

use super::{
    Answer, Asked,
    applications::ApplicationsOperation,
    consents::ConsentsOperation,
    credentials::CredentialsOperation,
    deleted::DeletedOperation,
    error::GraphError,
    groups::GroupsOperation,
    objects::ObjectsOperation,
    organization::OrganizationOperation,
    roles::RolesOperation,
    service_principals::ServicePrincipalsOperation,
    users::{OpenIdOperation, UsersOperation},
};
use crate::context::State;
use axum::body::Body;
use directory::graph::Right;
use domain::PrincipalId;
use http::Method;
use percent_encoding::percent_decode_str;

/// What is asked for.
#[derive(Debug)]
pub(super) enum Operation {
    Applications(ApplicationsOperation),
    Credentials(CredentialsOperation),
    ServicePrincipals(ServicePrincipalsOperation),
    Roles(RolesOperation),
    Users(UsersOperation),
    Groups(GroupsOperation),
    Objects(ObjectsOperation),
    Deleted(DeletedOperation),
    Consents(ConsentsOperation),
    Organization(OrganizationOperation),
    OpenId(OpenIdOperation),
}

/// How a path names an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// By its id.
    Id(String),
    /// By the client id that it has or belongs to.
    App(String),
}

impl Key {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::App(text) => text,
        }
    }
}

/// The audit log must not tell what somebody pasted in the wrong place: an id is named, anything else is not.
pub(super) fn named(kind: &str, key: &str) -> String {
    match uuid::Uuid::try_parse(key) {
        Ok(id) => format!("{kind} {id}"),
        Err(_) => kind.to_owned(),
    }
}

/// Does one of all operations with the arguments of its kind.
macro_rules! each {
    ($self:expr, $operation:ident => $do:expr) => {
        match $self {
            Operation::Applications($operation) => $do,
            Operation::Credentials($operation) => $do,
            Operation::ServicePrincipals($operation) => $do,
            Operation::Roles($operation) => $do,
            Operation::Users($operation) => $do,
            Operation::Groups($operation) => $do,
            Operation::Objects($operation) => $do,
            Operation::Deleted($operation) => $do,
            Operation::Consents($operation) => $do,
            Operation::Organization($operation) => $do,
            Operation::OpenId($operation) => $do,
        }
    };
}

impl Operation {
    /// The same of whoever calls, where the path names just them.
    pub(super) async fn of_self(&self, state: &State, caller: PrincipalId) -> Option<Self> {
        match self {
            Self::Users(operation) => operation.of_self(state, caller).await.map(Self::Users),
            _ => None,
        }
    }

    /// What the audit log calls it, and which right it takes.
    fn facts(&self) -> (&'static str, Right) {
        each!(self, operation => operation.facts())
    }

    /// What the audit log calls it.
    pub(super) fn action(&self) -> &'static str {
        self.facts().0
    }

    /// Which right it takes.
    pub(super) fn right(&self) -> Right {
        self.facts().1
    }

    /// What it is about, for the audit log.
    pub(super) fn target(&self) -> String {
        each!(self, operation => operation.target())
    }

    /// Does it.
    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, GraphError> {
        each!(self, operation => operation.operate(asked, body).await)
    }
}

/// Reads a request's target.
pub(super) fn route(method: &Method, path: &str) -> Result<Operation, GraphError> {
    let mut segments = Vec::new();
    for segment in path.split('/').skip(1) {
        let segment = percent_decode_str(segment).decode_utf8().map_err(|_| GraphError::no_such_path())?;
        match split_key(&segment) {
            Some((name, key)) => segments.extend([Segment::Name(name.to_owned()), Segment::Key(key)]),
            None => segments.push(Segment::Name(segment.into_owned())),
        }
    }
    if matches!(segments.last(), Some(Segment::Name(name)) if name.is_empty()) {
        segments.pop();
    }
    let mut segments = segments.into_iter();
    match segments.next() {
        Some(Segment::Name(version)) if version == "v1.0" => {}
        Some(Segment::Name(first)) if first == "oidc" => {
            return match (segments.next(), segments.next()) {
                (Some(Segment::Name(name)), None) if name == "userinfo" => match *method {
                    Method::GET | Method::POST => Ok(Operation::OpenId(OpenIdOperation::UserInfo)),
                    _ => Err(GraphError::wrong_method("GET, POST")),
                },
                _ => Err(GraphError::no_such_path()),
            };
        }
        _ => return Err(GraphError::no_such_version()),
    }
    let Some(Segment::Name(collection)) = segments.next() else { return Err(GraphError::no_such_path()) };
    let rest: Vec<_> = segments.collect();
    // The object, if one is named, and what is below it.
    let (key, rest) = match rest.split_first() {
        Some((Segment::Key(key), rest)) => (Some(key.clone()), rest),
        Some((Segment::Name(id), rest)) => (Some(Key::Id(id.clone())), rest),
        None => (None, &[][..]),
    };
    let below: Option<Vec<&str>> = rest
        .iter()
        .map(|segment| match segment {
            Segment::Name(name) => Some(&**name),
            Segment::Key(_) => None,
        })
        .collect();
    let below = below.ok_or_else(GraphError::no_such_path)?;
    let below = below.as_slice();
    match &*collection.to_ascii_lowercase() {
        "applications" => match CredentialsOperation::route(method, key.as_ref(), below, false)? {
            Some(operation) => Ok(Operation::Credentials(operation)),
            None => ApplicationsOperation::route(method, key, below).map(Operation::Applications),
        },
        "serviceprincipals" => {
            if let Some(operation) = CredentialsOperation::route(method, key.as_ref(), below, true)? {
                return Ok(Operation::Credentials(operation));
            }
            match RolesOperation::route(method, key.as_ref(), below, "servicePrincipals")? {
                Some(operation) => Ok(Operation::Roles(operation)),
                None => {
                    ServicePrincipalsOperation::route(method, key, below).map(Operation::ServicePrincipals)
                }
            }
        }
        "me" => {
            // `/me` has no key: what comes after it is below.
            let below: Vec<&str> = key.iter().map(Key::text).chain(below.iter().copied()).collect();
            UsersOperation::route_me(method, &below).map(Operation::Users)
        }
        "users" => match RolesOperation::route(method, key.as_ref(), below, "users")? {
            Some(operation) => Ok(Operation::Roles(operation)),
            None => UsersOperation::route(method, key, below).map(Operation::Users),
        },
        "groups" => match RolesOperation::route(method, key.as_ref(), below, "groups")? {
            Some(operation) => Ok(Operation::Roles(operation)),
            None => GroupsOperation::route(method, key, below).map(Operation::Groups),
        },
        "directoryobjects" => ObjectsOperation::route(method, key, below).map(Operation::Objects),
        "directory" => {
            let below: Vec<&str> = key.iter().map(Key::text).chain(below.iter().copied()).collect();
            DeletedOperation::route(method, &below).map(Operation::Deleted)
        }
        "oauth2permissiongrants" => ConsentsOperation::route(method, key, below).map(Operation::Consents),
        "organization" | "domains" => {
            OrganizationOperation::route(method, &collection, key, below).map(Operation::Organization)
        }
        _ => Err(GraphError::no_such_path()),
    }
}

#[derive(Clone, Debug)]
enum Segment {
    Name(String),
    Key(Key),
}

/// `applications(appId='x')` or `users('x')`.
fn split_key(segment: &str) -> Option<(&str, Key)> {
    let (name, key) = segment.strip_suffix(')')?.split_once('(')?;
    let (of, value) = key.split_once('=').map_or(("id", key), |(of, value)| (of.trim(), value));
    let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'");
    match &*of.to_ascii_lowercase() {
        "id" => Some((name, Key::Id(value))),
        "appid" => Some((name, Key::App(value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_in_several_ways() {
        let key = |path: &str| match route(&Method::GET, path) {
            Ok(Operation::Applications(ApplicationsOperation::Get { key })) => key,
            other => panic!("{path}: {other:?}"),
        };
        let (id, app) = (Key::Id("x".to_owned()), Key::App("x".to_owned()));
        assert_eq!(key("/v1.0/applications/x"), id);
        assert_eq!(key("/v1.0/applications/x/"), id);
        assert_eq!(key("/v1.0/applications('x')"), id);
        assert_eq!(key("/v1.0/applications(appId='x')"), app);
        assert_eq!(key("/v1.0/applications(appId=%27x%27)"), app);
        for path in [
            "/",
            "/v1.0",
            "/v1.0/",
            "/beta/applications",
            "/v1.0/nothing",
            "/v1.0/applications/x/y/z",
            "/v1.0/applications(name='x')",
            "/v1.0/applications(appId='x",
            "/v1.0/applications/x/owners(appId='y')",
            "/v1.0/%ff",
            "/oidc/x",
            "/v1.0/me/x/y",
        ] {
            assert!(route(&Method::GET, path).is_err(), "{path}");
        }
    }
}
