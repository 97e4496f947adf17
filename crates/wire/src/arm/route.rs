//! From a method and a path to an operation. Pure. Each resource type reads what is below its provider's name.

use super::{
    Answer, Asked,
    authorization::AuthorizationOperation,
    error::ArmError,
    federated::FederatedOperation,
    groups::GroupsOperation,
    identities::IdentitiesOperation,
    key_vault::KeyVaultOperation,
    path::{Level, is, name, segments},
    providers::ProvidersOperation,
    subscriptions::SubscriptionsOperation,
    web::WebOperation,
};
use axum::body::Body;
use domain::{ResourceGroupName, SubscriptionId};
use http::Method;

/// What is asked for.
#[derive(Debug)]
pub(super) enum Operation {
    Subscriptions(SubscriptionsOperation),
    Groups(GroupsOperation),
    Identities(IdentitiesOperation),
    Federated(FederatedOperation),
    Providers(ProvidersOperation),
    Authorization(AuthorizationOperation),
    KeyVault(KeyVaultOperation),
    Web(WebOperation),
}

/// Does one of all operations with the arguments of its kind.
macro_rules! each {
    ($self:expr, $operation:ident => $do:expr) => {
        match $self {
            Operation::Subscriptions($operation) => $do,
            Operation::Groups($operation) => $do,
            Operation::Identities($operation) => $do,
            Operation::Federated($operation) => $do,
            Operation::Providers($operation) => $do,
            Operation::Authorization($operation) => $do,
            Operation::KeyVault($operation) => $do,
            Operation::Web($operation) => $do,
        }
    };
}

impl Operation {
    /// What the audit log calls it.
    pub(super) fn action(&self) -> &'static str {
        each!(self, operation => operation.action())
    }

    /// What it is about, for the audit log.
    pub(super) fn target(&self) -> String {
        each!(self, operation => operation.target())
    }

    /// Does it.
    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        each!(self, operation => operation.operate(asked, body).await)
    }
}

/// Reads a request's target.
pub(super) fn route(
    method: &Method,
    path: &str,
    subscription: SubscriptionId,
) -> Result<Operation, ArmError> {
    let segments = segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    // Roles are given below everything.
    if let Some(operation) = AuthorizationOperation::route(method, &segments, subscription)? {
        return Ok(Operation::Authorization(operation));
    }
    match segments.as_slice() {
        [one, rest @ ..] if is(one, "tenants") => {
            SubscriptionsOperation::route_tenants(method, rest).map(Operation::Subscriptions)
        }
        [one, rest @ ..] if is(one, "providers") => provider(method, &Level::Tenant, rest),
        [one] if is(one, "subscriptions") => {
            SubscriptionsOperation::all(method).map(Operation::Subscriptions)
        }
        [one, id, rest @ ..] if is(one, "subscriptions") => {
            if id.parse() != Ok(subscription) {
                return Err(ArmError::no_such_subscription(id));
            }
            within(method, rest)
        }
        _ => Err(ArmError::no_such_path()),
    }
}

/// What is below the subscription.
fn within(method: &Method, rest: &[&str]) -> Result<Operation, ArmError> {
    match rest {
        [one, rest @ ..] if is(one, "resourceGroups") => match rest {
            [group, providers, rest @ ..] if is(providers, "providers") => {
                provider(method, &Level::Group(name(group, ResourceGroupName::parse)?), rest)
            }
            rest => GroupsOperation::route(method, rest).map(Operation::Groups),
        },
        [one, rest @ ..] if is(one, "providers") => {
            if let Some(operation) = ProvidersOperation::route(method, rest)? {
                return Ok(Operation::Providers(operation));
            }
            provider(method, &Level::Subscription, rest)
        }
        rest => SubscriptionsOperation::route(method, rest).map(Operation::Subscriptions),
    }
}

/// What is below `…/providers/`.
fn provider(method: &Method, level: &Level, rest: &[&str]) -> Result<Operation, ArmError> {
    match rest {
        [namespace, rest @ ..] if is(namespace, "Microsoft.ManagedIdentity") => {
            if let Level::Group(group) = level
                && let Some(operation) = FederatedOperation::route(method, group, rest)?
            {
                return Ok(Operation::Federated(operation));
            }
            IdentitiesOperation::route(method, level, rest).map(Operation::Identities)
        }
        [namespace, rest @ ..] if is(namespace, "Microsoft.KeyVault") => {
            KeyVaultOperation::route(method, level, rest).map(Operation::KeyVault)
        }
        [namespace, rest @ ..] if is(namespace, "Microsoft.Web") => {
            WebOperation::route(method, level, rest).map(Operation::Web)
        }
        [namespace, ..] => Err(ArmError::no_such_type(namespace, level)),
        [] => Err(ArmError::no_such_path()),
    }
}
