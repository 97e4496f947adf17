//! `/v1/vaults/{name}/policies`: the access policies of a vault.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
    vaults::{self, target},
    whom::{self, Standing, Whom},
};
use crate::context::{Context, Services, State};
use access::Manager;
use axum::{Extension, Router, extract::State as Shared, response::Response, routing::get};
use domain::{
    AppName, CertificatePermissions, ClientId, IdentityName, KeyPermissions, Permissions, PrincipalId,
    SecretPermissions, VaultName,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use vault::Vault;

/// Exactly one of the first six says to whom; no verbs take the policy away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(default)]
    app: Option<AppName>,
    #[serde(default)]
    identity: Option<IdentityName>,
    #[serde(default)]
    principal: Option<PrincipalId>,
    #[serde(default)]
    client_id: Option<ClientId>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    secrets: SecretPermissions,
    #[serde(default)]
    keys: KeyPermissions,
    #[serde(default)]
    certificates: CertificatePermissions,
}

#[derive(Serialize)]
pub(super) struct ShownPolicy {
    principal: String,
    /// `None`: the principal is gone, so that the policy allows nobody.
    display_name: Option<String>,
    state: Standing,
    secrets: SecretPermissions,
    keys: KeyPermissions,
    certificates: CertificatePermissions,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/v1/vaults/{name}/policies", get(list).put(set))
}

async fn list(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let vault = state.vault.show_vault(Manager::Administrator, &name).await?;
    Ok(json(StatusCode::OK, &List { value: shown(&state, &vault).await? }))
}

async fn set(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(policy): Body<Policy>,
) -> Result<Response, AdminError> {
    let Policy { app, identity, principal, client_id, user, group, secrets, keys, certificates } = policy;
    let permissions = Permissions { secrets, keys, certificates };
    let found = Whom { app, identity, principal, client_id, user, group }.find(&state).await;
    let target = match &found {
        Ok(principal) => format!("{} for principal {principal}: {}", target(&name), verbs(&permissions)),
        Err(_) => target(&name),
    };
    let changed = match found {
        Ok(principal) => state
            .vault
            .set_policy(Manager::Administrator, &name, principal, permissions)
            .await
            .map_err(AdminError::from),
        Err(error) => Err(error),
    };
    let changed = audited(&state, &context, "vault.policy.set", target, changed)?;
    Ok(json(StatusCode::OK, &vaults::shown(&state, &changed, None).await?))
}

/// The policies of a vault as people are told them.
pub(super) async fn shown(state: &Services, vault: &Vault) -> Result<Vec<ShownPolicy>, AdminError> {
    let mut policies = Vec::with_capacity(vault.policies.len());
    for policy in &vault.policies {
        let (display_name, standing) = whom::known(state, policy.principal).await?;
        policies.push(ShownPolicy {
            principal: policy.principal.to_string(),
            display_name,
            state: standing,
            secrets: policy.permissions.secrets,
            keys: policy.permissions.keys,
            certificates: policy.permissions.certificates,
        });
    }
    Ok(policies)
}

/// As the audit log says it: secrets' verbs by themselves, the others by their kind.
fn verbs(permissions: &Permissions) -> String {
    let mut text = permissions.secrets.to_string();
    for (kind, verbs, is_empty) in [
        ("keys", permissions.keys.to_string(), permissions.keys.is_empty()),
        ("certificates", permissions.certificates.to_string(), permissions.certificates.is_empty()),
    ] {
        if !is_empty {
            text = format!("{text}; {kind} {verbs}");
        }
    }
    text
}
