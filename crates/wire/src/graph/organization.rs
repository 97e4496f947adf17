//! `/organization` and `/domains`: the tenant, of which there is one.

use super::{Answer, Asked, error::GraphError, route::Key, types::Object};
use crate::time::date;
use axum::body::Body;
use directory::graph::Right;
use http::{Method, StatusCode};
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) enum OrganizationOperation {
    List { domains: bool },
    Get { domains: bool, id: String },
}

impl OrganizationOperation {
    pub(super) fn route(
        method: &Method,
        collection: &str,
        key: Option<Key>,
        below: &[&str],
    ) -> Result<Self, GraphError> {
        let domains = collection.eq_ignore_ascii_case("domains");
        match (method, key, below) {
            (&Method::GET, None, []) => Ok(Self::List { domains }),
            (&Method::GET, Some(key), []) => Ok(Self::Get { domains, id: key.text().to_owned() }),
            (_, _, []) => Err(GraphError::wrong_method("GET")),
            _ => Err(GraphError::no_such_path()),
        }
    }

    pub(super) fn facts(&self) -> (&'static str, Right) {
        ("graph.organization.get", Right::ReadDirectory)
    }

    pub(super) fn target(&self) -> String {
        "organization".to_owned()
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, _body: Body) -> Result<Answer, GraphError> {
        let all = |domains| {
            if domains { ("domains", asked.domains()) } else { ("organization", asked.organization()) }
        };
        match self {
            Self::List { domains } => {
                let (kind, object) = all(domains);
                asked.short(kind, vec![object])
            }
            Self::Get { domains, id } => {
                let (kind, object) = all(domains);
                let is_it =
                    object.get("id").and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(&id));
                if !is_it {
                    return Err(GraphError::not_found(&id));
                }
                Ok(Answer { target: kind.to_owned(), response: asked.one(StatusCode::OK, kind, object) })
            }
        }
    }
}

impl Asked<'_> {
    fn organization(&self) -> Object {
        let tenant = self.state.directory.tenant();
        members(json!({
            "id": tenant.id,
            "deletedDateTime": null,
            "businessPhones": [],
            "createdDateTime": date(tenant.created),
            "displayName": tenant.domain,
            "tenantType": "AAD",
            "verifiedDomains": [{
                "capabilities": "Email", "isDefault": true, "isInitial": true, "name": tenant.domain, "type": "Managed",
            }],
        }))
    }

    fn domains(&self) -> Object {
        members(json!({
            "id": self.domain(),
            "authenticationType": "Managed",
            "isAdminManaged": true,
            "isDefault": true,
            "isInitial": true,
            "isRoot": true,
            "isVerified": true,
            "supportedServices": [],
        }))
    }
}

fn members(value: Value) -> Object {
    match value {
        Value::Object(members) => members,
        _ => Object::new(),
    }
}
