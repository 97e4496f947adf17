//! `/tenants`, `/subscriptions` and what is right below: the one there is, and where things can be said to be.

use super::{Answer, Asked, answer, error::ArmError, list, path::is};
use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// What is asked for.
#[derive(Debug)]
pub(super) enum SubscriptionsOperation {
    Tenants,
    List,
    Get,
    Locations,
    Resources,
}

impl SubscriptionsOperation {
    pub(super) fn route_tenants(method: &Method, rest: &[&str]) -> Result<Self, ArmError> {
        match rest {
            [] => only_get(method).map(|()| Self::Tenants),
            _ => Err(ArmError::no_such_path()),
        }
    }

    pub(super) fn all(method: &Method) -> Result<Self, ArmError> {
        only_get(method).map(|()| Self::List)
    }

    /// Below `/subscriptions/{id}`.
    pub(super) fn route(method: &Method, rest: &[&str]) -> Result<Self, ArmError> {
        let operation = match rest {
            [] => Self::Get,
            [one] if is(one, "locations") => Self::Locations,
            [one] if is(one, "resources") => Self::Resources,
            _ => return Err(ArmError::no_such_path()),
        };
        only_get(method).map(|()| operation)
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Tenants => "tenant.list",
            Self::List => "subscription.list",
            Self::Get => "subscription.get",
            Self::Locations => "location.list",
            Self::Resources => "resource.list",
        }
    }

    pub(super) fn target(&self) -> String {
        "subscription".to_owned()
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, _body: Body) -> Result<Answer, ArmError> {
        let (resource, target) = (&asked.state.resource, self.target());
        let is_seen = match self {
            // It has given out the token, and is told to whoever is somebody still.
            Self::Tenants => resource.is_somebody(asked.by()).await.map(|()| true)?,
            _ => resource.has_any_role(asked.by()).await?,
        };
        let response = match self {
            Self::Tenants => list(asked, vec![tenant(asked)])?,
            Self::List => list(asked, if is_seen { vec![subscription(asked)] } else { Vec::new() })?,
            _ if !is_seen => return Err(ArmError::not_authorized("Microsoft.Resources/subscriptions/read")),
            Self::Get => answer(StatusCode::OK, &subscription(asked)),
            Self::Locations => list(asked, vec![location(asked)])?,
            Self::Resources => super::resources::list(asked).await?,
        };
        Ok(Answer { target, response })
    }
}

fn only_get(method: &Method) -> Result<(), ArmError> {
    if *method == Method::GET { Ok(()) } else { Err(ArmError::wrong_method("GET")) }
}

fn tenant(asked: &Asked<'_>) -> Value {
    let tenant = asked.state.directory.tenant();
    json!({
        "id": format!("/tenants/{}", tenant.id),
        "tenantId": tenant.id,
        "displayName": tenant.domain,
        "defaultDomain": tenant.domain,
        "domains": [tenant.domain],
        "tenantCategory": "Home",
        "tenantType": "AAD",
    })
}

fn subscription(asked: &Asked<'_>) -> Value {
    let subscription = asked.state.resource.subscription();
    json!({
        "id": asked.subscription_path(),
        "subscriptionId": subscription.id,
        "tenantId": asked.state.directory.tenant().id,
        "displayName": subscription.name,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "subscriptionPolicies": {"locationPlacementId": "Internal", "quotaId": "Internal", "spendingLimit": "Off"},
        "managedByTenants": [],
    })
}

/// Things are said to be wherever their makers want; here is where they are.
fn location(asked: &Asked<'_>) -> Value {
    let name = domain::Location::default();
    json!({
        "id": format!("{}/locations/{name}", asked.subscription_path()),
        "name": name,
        "type": "Region",
        "displayName": "Local",
        "regionalDisplayName": "Local",
        "metadata": {
            "regionType": "Physical",
            "regionCategory": "Recommended",
            "geography": "Local",
            "geographyGroup": "Local",
            "longitude": "0",
            "latitude": "0",
            "physicalLocation": "Local",
            "pairedRegion": [],
        },
    })
}
