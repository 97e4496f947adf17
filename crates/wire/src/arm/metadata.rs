//! `/metadata/endpoints`: by which `az cloud register`, Terraform and Azure PowerShell learn everything else. Nobody needs a token for it.

use super::{
    answer,
    path::{is, segments},
};
use crate::query::pairs;
use axum::{extract::Request, response::Response};
use domain::HostNames;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// Not `AzureCloud`: clients take that for the public one.
const CLOUD: &str = "Keyless";
/// From this version on one object is answered; before, a list of clouds.
const ONE_SINCE: &str = "2022-01-01";

/// The answer, if the request is for this.
pub(super) fn answer_of(names: &HostNames, request: &Request) -> Option<Response> {
    let segments = segments(request.uri().path()).ok()?;
    let is_it = matches!(segments.as_slice(), [one, other] if is(one, "metadata") && is(other, "endpoints"));
    if !is_it || request.method() != Method::GET {
        return None;
    }
    let version = pairs(request.uri().query().unwrap_or_default())
        .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value.into_owned());
    let is_one = version.is_some_and(|version| version.as_str() >= ONE_SINCE);
    let cloud = cloud(names);
    Some(if is_one { answer(StatusCode::OK, &cloud) } else { answer(StatusCode::OK, &json!([cloud])) })
}

/// With its slash where clients glue paths to it, and without where they add one.
fn cloud(names: &HostNames) -> Value {
    let management = names.management_resource();
    let vaults = names.vault_resource();
    json!({
        "name": CLOUD,
        "resourceManager": management,
        "portal": names.login_base(),
        "authentication": {
            "loginEndpoint": names.login_base(),
            "audiences": [management],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graphAudience": format!("{}/", names.graph_resource()),
        "microsoftGraphResourceId": format!("{}/", names.graph_resource()),
        "appServiceResourceId": names.deployment_resource(),
        "suffixes": {"keyVaultDns": vaults.strip_prefix("https://").unwrap_or(&vaults)},
    })
}
