//! `/v1/vaults`: vaults and their access policies. Secrets are not here: the administrator reads them like any client.

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
};
use crate::context::{Context, Services, State};
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::Response,
    routing::{get, put},
};
use domain::{
    AppName, CertificatePermissions, ClientId, KeyPermissions, Permissions, PrincipalId, SecretPermissions,
    VaultName,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use vault::{Vault, VaultSettings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewVault {
    name: VaultName,
}

/// Exactly one of the first three says to whom; no verbs take the policy away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(default)]
    app: Option<AppName>,
    #[serde(default)]
    principal: Option<PrincipalId>,
    #[serde(default)]
    client_id: Option<ClientId>,
    #[serde(default)]
    secrets: SecretPermissions,
    #[serde(default)]
    keys: KeyPermissions,
    #[serde(default)]
    certificates: CertificatePermissions,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    id: String,
    url: String,
    created: i64,
    policies: Vec<ShownPolicy>,
}

#[derive(Serialize)]
struct ShownPolicy {
    principal: String,
    /// `None`: the principal is gone, so that the policy allows nobody.
    display_name: Option<String>,
    secrets: SecretPermissions,
    keys: KeyPermissions,
    certificates: CertificatePermissions,
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/vaults", get(list).post(create))
        .route("/v1/vaults/{name}", get(show))
        .route("/v1/vaults/{name}/policies", put(set_policy))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let mut value = Vec::new();
    for vault in state.vault.list_vaults().await? {
        value.push(shown(&state, &vault).await?);
    }
    Ok(json(StatusCode::OK, &List { value }))
}

async fn create(
    Shared(Admin { state, installation }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Body(NewVault { name }): Body<NewVault>,
) -> Result<Response, AdminError> {
    let tenant = state.directory.tenant();
    let made = state
        .vault
        .create_vault(&name, tenant.id, tenant.administrator, &VaultSettings::default(), context.now)
        .await;
    if made.is_ok() {
        installation.names_changed();
    }
    let made = audited(&state, &context, "vault.create", target(&name), made)?;
    Ok(json(StatusCode::CREATED, &shown(&state, &made).await?))
}

async fn show(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let vault = state.vault.show_vault(&name).await?;
    Ok(json(StatusCode::OK, &shown(&state, &vault).await?))
}

async fn set_policy(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(policy): Body<Policy>,
) -> Result<Response, AdminError> {
    let permissions =
        Permissions { secrets: policy.secrets, keys: policy.keys, certificates: policy.certificates };
    let found = principal(&state, policy).await;
    let target = match &found {
        Ok(principal) => format!("{} for principal {principal}: {}", target(&name), verbs(&permissions)),
        Err(_) => target(&name),
    };
    let changed = match found {
        Ok(principal) => {
            state.vault.set_policy(&name, principal, permissions).await.map_err(AdminError::from)
        }
        Err(error) => Err(error),
    };
    let changed = audited(&state, &context, "vault.policy.set", target, changed)?;
    Ok(json(StatusCode::OK, &shown(&state, &changed).await?))
}

/// Whose policy it is. Whether the principal is there, the vault decides.
async fn principal(state: &Services, policy: Policy) -> Result<PrincipalId, AdminError> {
    match policy {
        Policy { app: Some(app), principal: None, client_id: None, .. } => {
            let view = state.host.app(&app).await?;
            view.app.identity.ok_or_else(|| {
                AdminError::new(
                    StatusCode::CONFLICT,
                    "NoIdentity",
                    format!("app {app} has no identity: `keyless app identity assign {app}` gives it one"),
                )
            })
        }
        Policy { app: None, principal: Some(principal), client_id: None, .. } => Ok(principal),
        Policy { app: None, principal: None, client_id: Some(client), .. } => {
            let all = state.directory.principals().await?;
            let found = all.iter().find(|principal| principal.client == client);
            found
                .map(|principal| principal.id)
                .ok_or_else(|| AdminError::not_found(format!("no principal has client id {client}")))
        }
        Policy { .. } => Err(AdminError::bad_request("give exactly one of app, principal and client_id")),
    }
}

async fn shown(state: &Services, vault: &Vault) -> Result<Shown, AdminError> {
    let mut policies = Vec::with_capacity(vault.policies.len());
    for policy in &vault.policies {
        let display_name = match state.directory.principal(policy.principal).await {
            Ok(principal) => Some(principal.display_name.clone()),
            Err(directory::DirectoryError::PrincipalNotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        policies.push(ShownPolicy {
            principal: policy.principal.to_string(),
            display_name,
            secrets: policy.permissions.secrets,
            keys: policy.permissions.keys,
            certificates: policy.permissions.certificates,
        });
    }
    Ok(Shown {
        name: vault.name.to_string(),
        id: vault.id.to_string(),
        url: state.names.vault_url(&vault.name),
        created: vault.created.seconds(),
        policies,
    })
}

fn target(name: &VaultName) -> String {
    format!("vault {name}")
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
