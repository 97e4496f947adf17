//! `/v1/vaults` and `/v1/deleted-vaults`: vaults, their settings and their life. Secrets are not here: the administrator reads them like
//! any client. Who may do what in a vault is set in [`super::policies`] and [`super::roles`].

use super::{
    Admin, audited,
    body::{Body, List, Segment, json},
    error::AdminError,
    policies::{self, ShownPolicy},
    roles::{self, ShownRole},
};
use crate::{
    context::{Context, Services, State},
    outside::Named,
};
use access::{IpRange, Manager, NetworkRules};
use axum::{
    Extension, Router,
    extract::State as Shared,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{Timestamp, VaultName};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};
use vault::{AccessModel, DeletedVault, Vault, VaultSettings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewVault {
    name: VaultName,
    #[serde(default)]
    access: Option<AccessModel>,
    #[serde(default)]
    retention_days: Option<u16>,
    #[serde(default)]
    purge_protection: Option<bool>,
    #[serde(default)]
    allow_ip: Option<Vec<String>>,
}

/// What is not said stays as it is. `allow_ip` is the word `any` alone, or all ranges that may ask.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    access: Option<AccessModel>,
    #[serde(default)]
    retention_days: Option<u16>,
    #[serde(default)]
    purge_protection: Option<bool>,
    #[serde(default)]
    allow_ip: Option<Vec<String>>,
}

impl Settings {
    fn read(self) -> Result<VaultSettings, AdminError> {
        let network = self.allow_ip.as_deref().map(network).transpose()?;
        Ok(VaultSettings {
            access: self.access,
            network,
            recoverable_days: self.retention_days,
            purge_protection: self.purge_protection,
            ..VaultSettings::default()
        })
    }

    /// As the audit log says them.
    fn told(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.access.map(|model| format!("access by {}", model_name(model))));
        words.extend(self.retention_days.map(|days| format!("retention {days} days")));
        words.extend(self.purge_protection.map(|protected| format!("purge protection {protected}")));
        words.extend(self.allow_ip.as_ref().map(|ranges| match &**ranges {
            [] => "allowed from nowhere".to_owned(),
            ranges => format!("allowed from {}", ranges.join(",")),
        }));
        if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) }
    }
}

fn network(ranges: &[String]) -> Result<NetworkRules, AdminError> {
    if let [any] = ranges
        && any.eq_ignore_ascii_case("any")
    {
        return Ok(NetworkRules::default());
    }
    let parsed = ranges.iter().map(|range| {
        // The text is not a secret's place, and with several of them one must know which.
        range.parse::<IpRange>().map_err(|error| {
            AdminError::bad_request(format!(
                "address range {range:?}: it must be {}; or the word any, alone, to open the vault again",
                error.rule
            ))
        })
    });
    Ok(NetworkRules { only_from: Some(parsed.collect::<Result<_, _>>()?) })
}

/// A vault as people are told it.
#[derive(Serialize)]
pub(super) struct Shown {
    name: String,
    id: String,
    url: String,
    created: Timestamp,
    access: AccessModel,
    retention_days: u16,
    purge_protection: bool,
    network: ShownNetwork,
    /// Of the model of policies; kept, and of no effect, while roles count.
    policies: Vec<ShownPolicy>,
    /// Of the model of roles; kept, and of no effect, while policies count.
    roles: Vec<ShownRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<Deleted>,
}

#[derive(Serialize)]
pub(super) struct Deleted {
    at: Timestamp,
    purge_at: Timestamp,
}

/// From where a vault may be asked.
#[derive(Serialize)]
pub(super) struct ShownNetwork {
    /// `None`: from everywhere.
    only_from: Option<Vec<String>>,
    /// Whether this machine itself is let in by its loopback address, as the administrator's commands come.
    allows_loopback: bool,
}

impl ShownNetwork {
    pub(super) fn of(rules: &NetworkRules) -> Self {
        Self {
            only_from: rules
                .only_from
                .as_ref()
                .map(|ranges| ranges.iter().map(ToString::to_string).collect()),
            allows_loopback: rules.allow(Some(Ipv4Addr::LOCALHOST.into()))
                || rules.allow(Some(Ipv6Addr::LOCALHOST.into())),
        }
    }
}

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/vaults", get(list).post(create))
        .route("/v1/vaults/{name}", get(show).patch(change).delete(delete))
        .route("/v1/deleted-vaults", get(list_deleted))
        .route("/v1/deleted-vaults/{name}", get(show_deleted).delete(purge))
        .route("/v1/deleted-vaults/{name}/recover", post(recover))
}

async fn list(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let mut value = Vec::new();
    for vault in state.vault.list_vaults(Manager::Administrator).await? {
        value.push(shown(&state, &vault, None).await?);
    }
    Ok(json(StatusCode::OK, &List { value }))
}

async fn list_deleted(Shared(state): Shared<State>) -> Result<Response, AdminError> {
    let mut value = Vec::new();
    for deleted in state.vault.list_deleted_vaults(Manager::Administrator).await? {
        value.push(shown_deleted(&state, &deleted).await?);
    }
    Ok(json(StatusCode::OK, &List { value }))
}

async fn create(
    Shared(Admin { state, installation, .. }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Body(new): Body<NewVault>,
) -> Result<Response, AdminError> {
    let NewVault { name, access, retention_days, purge_protection, allow_ip } = new;
    let settings = Settings { access, retention_days, purge_protection, allow_ip };
    let target = format!("{}{}", target(&name), settings.told());
    let tenant = state.directory.tenant();
    let made = match settings.read() {
        Ok(settings) => {
            let new = vault::NewVault::owned(&name, tenant.id, tenant.administrator);
            let made = state.vault.create_vault(Manager::Administrator, new, &settings, context.now);
            made.await.map_err(AdminError::from)
        }
        Err(error) => Err(error),
    };
    if made.is_ok() {
        installation.names_changed(Named::Vault(name.clone()));
    }
    let made = audited(&state, &context, "vault.create", target, made)?;
    Ok(json(StatusCode::CREATED, &shown(&state, &made, None).await?))
}

async fn show(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let vault = state.vault.show_vault(Manager::Administrator, &name).await?;
    Ok(json(StatusCode::OK, &shown(&state, &vault, None).await?))
}

async fn show_deleted(
    Shared(state): Shared<State>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let deleted = state.vault.show_deleted_vault(Manager::Administrator, &name).await?;
    Ok(json(StatusCode::OK, &shown_deleted(&state, &deleted).await?))
}

async fn change(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
    Body(settings): Body<Settings>,
) -> Result<Response, AdminError> {
    let target = format!("{}{}", target(&name), settings.told());
    let administrator = state.directory.tenant().administrator;
    let changed = match settings.read() {
        Ok(settings) => {
            let (by, owner) = (Manager::Administrator, Some(administrator));
            let changed = state.vault.change_vault(by, &name, &settings, owner, context.now);
            changed.await.map_err(AdminError::from)
        }
        Err(error) => Err(error),
    };
    let changed = audited(&state, &context, "vault.update", target, changed)?;
    Ok(json(StatusCode::OK, &shown(&state, &changed, None).await?))
}

async fn delete(
    Shared(Admin { state, installation, .. }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let deleted = state.vault.delete_vault(Manager::Administrator, &name, context.now).await;
    if deleted.is_ok() {
        installation.names_changed(Named::Vault(name.clone()));
    }
    let deleted = audited(&state, &context, "vault.delete", target(&name), deleted)?;
    Ok(json(StatusCode::OK, &shown_deleted(&state, &deleted).await?))
}

async fn recover(
    Shared(Admin { state, installation, .. }): Shared<Admin>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    let recovered = state.vault.recover_vault(Manager::Administrator, &name).await;
    if recovered.is_ok() {
        installation.names_changed(Named::Vault(name.clone()));
    }
    let recovered = audited(&state, &context, "vault.recover", target(&name), recovered)?;
    Ok(json(StatusCode::OK, &shown(&state, &recovered, None).await?))
}

async fn purge(
    Shared(state): Shared<State>,
    Extension(context): Extension<Context>,
    Segment(name): Segment<VaultName>,
) -> Result<Response, AdminError> {
    // Its name went out of the names files when it was deleted.
    let purged = state.vault.purge_vault(Manager::Administrator, &name, context.now).await;
    audited(&state, &context, "vault.purge", target(&name), purged)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn shown_deleted(state: &Services, deleted: &DeletedVault) -> Result<Shown, AdminError> {
    let when = Deleted { at: deleted.deleted, purge_at: deleted.purge_at };
    shown(state, &deleted.vault, Some(when)).await
}

/// Gathers what is told of a vault, deleted or not.
pub(super) async fn shown(
    state: &Services,
    vault: &Vault,
    deleted: Option<Deleted>,
) -> Result<Shown, AdminError> {
    Ok(Shown {
        name: vault.name.to_string(),
        id: vault.id.to_string(),
        url: state.names.vault_url(&vault.name),
        created: vault.created,
        access: vault.access,
        retention_days: vault.recoverable_days,
        purge_protection: vault.purge_protection,
        network: ShownNetwork::of(&vault.network),
        policies: policies::shown(state, vault).await?,
        roles: roles::shown(state, vault.id).await?,
        deleted,
    })
}

/// As commands and messages name it.
pub(super) const fn model_name(model: AccessModel) -> &'static str {
    match model {
        AccessModel::Policies => "policies",
        AccessModel::Roles => "roles",
    }
}

/// As the audit log names it.
pub(super) fn target(name: &VaultName) -> String {
    format!("vault {name}")
}
