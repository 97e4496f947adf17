//! `/subscriptions/{id}/providers`: what types of resources there are. All are registered, always.

use super::{Answer, Asked, answer, error::ArmError, list, path::is};
use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// A resource provider, with its types.
struct Provider {
    namespace: &'static str,
    types: &'static [&'static str],
}

/// A version that clients may say; they may say any other as well (ADR 0005).
const VERSION: &str = "2024-11-01";

const PROVIDERS: [Provider; 5] = [
    Provider { namespace: "Microsoft.Authorization", types: &["roleAssignments", "roleDefinitions"] },
    Provider {
        namespace: "Microsoft.KeyVault",
        types: &["vaults", "deletedVaults", "checkNameAvailability"],
    },
    Provider {
        namespace: "Microsoft.ManagedIdentity",
        types: &["userAssignedIdentities", "userAssignedIdentities/federatedIdentityCredentials"],
    },
    Provider { namespace: "Microsoft.Resources", types: &["subscriptions", "resourceGroups", "resources"] },
    Provider {
        namespace: "Microsoft.Web",
        types: &["serverfarms", "sites", "sites/config", "checkNameAvailability"],
    },
];

/// What is asked for.
#[derive(Debug)]
pub(super) enum ProvidersOperation {
    List,
    Get(String),
    Register(String),
}

impl ProvidersOperation {
    /// Below `…/providers`. None: it is of one of them.
    pub(super) fn route(method: &Method, rest: &[&str]) -> Result<Option<Self>, ArmError> {
        Ok(Some(match (rest, method) {
            ([], &Method::GET) => Self::List,
            ([namespace], &Method::GET) => Self::Get((*namespace).to_owned()),
            ([namespace, one], &Method::POST) if is(one, "register") => {
                Self::Register((*namespace).to_owned())
            }
            ([_, one], _) if is(one, "register") => return Err(ArmError::wrong_method("POST")),
            ([_], _) | ([], _) => return Err(ArmError::wrong_method("GET")),
            _ => return Ok(None),
        }))
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::List | Self::Get(_) => "provider.get",
            Self::Register(_) => "provider.register",
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List => "resource providers".to_owned(),
            Self::Get(namespace) | Self::Register(namespace) => known(namespace)
                .map_or_else(|| "a resource provider".to_owned(), |known| known.namespace.to_owned()),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, _body: Body) -> Result<Answer, ArmError> {
        const READ: &str = "Microsoft.Resources/subscriptions/providers/read";
        let target = self.target();
        if !asked.state.resource.has_any_role(asked.by()).await? {
            return Err(ArmError::not_authorized(READ));
        }
        let response = match self {
            Self::List => list(asked, PROVIDERS.iter().map(|provider| shown(asked, provider)).collect())?,
            Self::Get(namespace) | Self::Register(namespace) => {
                let found = known(&namespace).ok_or_else(|| ArmError::no_such_provider(&namespace))?;
                answer(StatusCode::OK, &shown(asked, found))
            }
        };
        Ok(Answer { target, response })
    }
}

fn known(namespace: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.namespace.eq_ignore_ascii_case(namespace))
}

fn shown(asked: &Asked<'_>, provider: &Provider) -> Value {
    let types = provider.types.iter().map(|kind| {
        json!({
            "resourceType": kind,
            "locations": [domain::Location::default()],
            "apiVersions": [VERSION],
            "capabilities": "SupportsTags, SupportsLocation",
        })
    });
    json!({
        "id": format!("{}/providers/{}", asked.subscription_path(), provider.namespace),
        "namespace": provider.namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationFree",
        "resourceTypes": types.collect::<Vec<_>>(),
    })
}
