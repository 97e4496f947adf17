//! `Microsoft.KeyVault`: vaults, their access policies, and those that are deleted. There are no managed HSMs here.

mod fault;
mod read;
mod shown;

use super::{
    Answer, Asked, answer, empty,
    error::ArmError,
    groups, list, object,
    path::{Level, is, name},
};
use crate::outside::Named;
use access::{Around, Manager};
use axum::{body::Body, response::Response};
use domain::{ResourceGroupName, VaultName};
use http::{Method, StatusCode};
use read::Wanted;
use serde_json::json;
use vault::{NewVault, PolicyEdit, Vault, VaultError, operation};

/// What is asked for.
#[derive(Debug)]
pub(super) enum KeyVaultOperation {
    List(Option<ResourceGroupName>),
    Put(ResourceGroupName, VaultName),
    Update(ResourceGroupName, VaultName),
    Get(ResourceGroupName, VaultName),
    Delete(ResourceGroupName, VaultName),
    EditPolicies(ResourceGroupName, VaultName, PolicyEdit),
    ListDeleted,
    GetDeleted(String, VaultName),
    Purge(String, VaultName),
    CheckName,
    /// Of managed HSMs.
    ListNone,
}

impl KeyVaultOperation {
    /// Below `…/providers/Microsoft.KeyVault`.
    pub(super) fn route(method: &Method, level: &Level, rest: &[&str]) -> Result<Self, ArmError> {
        match level {
            Level::Tenant => Err(ArmError::no_such_path()),
            Level::Subscription => Self::route_wide(method, rest),
            Level::Group(group) => Self::route_in(method, group, rest),
        }
    }

    fn route_wide(method: &Method, rest: &[&str]) -> Result<Self, ArmError> {
        let (allowed, operation) = match rest {
            [one] if is(one, "vaults") => (Method::GET, Self::List(None)),
            [one] if is(one, "deletedVaults") => (Method::GET, Self::ListDeleted),
            [one] if is(one, "managedHSMs") || is(one, "deletedManagedHSMs") => (Method::GET, Self::ListNone),
            [one] if is(one, "checkNameAvailability") => (Method::POST, Self::CheckName),
            [one, location, two, vault] if is(one, "locations") && is(two, "deletedVaults") => {
                (Method::GET, Self::GetDeleted((*location).to_owned(), name(vault, VaultName::parse)?))
            }
            [one, location, two, vault, purge]
                if is(one, "locations") && is(two, "deletedVaults") && is(purge, "purge") =>
            {
                (Method::POST, Self::Purge((*location).to_owned(), name(vault, VaultName::parse)?))
            }
            _ => return Err(ArmError::no_such_path()),
        };
        match (*method == allowed, allowed) {
            (true, _) => Ok(operation),
            (false, Method::POST) => Err(ArmError::wrong_method("POST")),
            (false, _) => Err(ArmError::wrong_method("GET")),
        }
    }

    fn route_in(method: &Method, group: &ResourceGroupName, rest: &[&str]) -> Result<Self, ArmError> {
        match rest {
            [one] if is(one, "vaults") => match *method {
                Method::GET => Ok(Self::List(Some(group.clone()))),
                _ => Err(ArmError::wrong_method("GET")),
            },
            [one, vault] if is(one, "vaults") => {
                let (group, vault) = (group.clone(), name(vault, VaultName::parse)?);
                match *method {
                    Method::PUT => Ok(Self::Put(group, vault)),
                    Method::PATCH => Ok(Self::Update(group, vault)),
                    Method::GET => Ok(Self::Get(group, vault)),
                    Method::DELETE => Ok(Self::Delete(group, vault)),
                    _ => Err(ArmError::wrong_method("GET, PUT, PATCH, DELETE")),
                }
            }
            [one, vault, two, how] if is(one, "vaults") && is(two, "accessPolicies") => {
                let kinds = [
                    ("add", PolicyEdit::Add),
                    ("replace", PolicyEdit::Replace),
                    ("remove", PolicyEdit::Remove),
                ];
                let found = kinds.into_iter().find(|(word, _)| is(how, word));
                let (_, how) = found.ok_or_else(ArmError::no_such_path)?;
                match *method {
                    Method::PUT => Ok(Self::EditPolicies(group.clone(), name(vault, VaultName::parse)?, how)),
                    _ => Err(ArmError::wrong_method("PUT")),
                }
            }
            _ => Err(ArmError::no_such_path()),
        }
    }

    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::List(_) => "vault.list",
            Self::Put(..) => "vault.put",
            Self::Update(..) => "vault.update",
            Self::Get(..) => "vault.get",
            Self::Delete(..) => "vault.delete",
            Self::EditPolicies(..) => "vault.policy.set",
            Self::ListDeleted => "vault.deleted.list",
            Self::GetDeleted(..) => "vault.deleted.get",
            Self::Purge(..) => "vault.purge",
            Self::CheckName => "vault.name.check",
            Self::ListNone => "hsm.list",
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::List(None) | Self::ListDeleted | Self::CheckName => "vaults".to_owned(),
            Self::ListNone => "managed HSMs".to_owned(),
            Self::List(Some(group)) => format!("vaults of resource group {group}"),
            Self::Put(_, name)
            | Self::Update(_, name)
            | Self::Get(_, name)
            | Self::Delete(_, name)
            | Self::EditPolicies(_, name, _)
            | Self::GetDeleted(_, name)
            | Self::Purge(_, name) => format!("vault {name}"),
        }
    }

    pub(super) async fn operate(self, asked: &Asked<'_>, body: Body) -> Result<Answer, ArmError> {
        let (vaults, by) = (&asked.state.vault, asked.by());
        let mut target = self.target();
        let named = match &self {
            Self::Put(_, name) | Self::Delete(_, name) => Some(Named::Vault(name.clone())),
            _ => None,
        };
        let response = match self {
            Self::List(group) => {
                groups::there(asked, operation::READ, group.as_ref()).await?;
                let mut all = vaults.list_vaults(by).await?;
                all.retain(|vault| group.as_ref().is_none_or(|group| *group == vault.placement.group));
                list(asked, all.iter().map(|vault| shown::vault(asked, vault)).collect())?
            }
            Self::Put(group, name) => {
                let wanted = Wanted::read(asked, &object(body).await?)?;
                let made = put(asked, &group, &name, &wanted).await?;
                target.push_str(&wanted.told());
                answer(StatusCode::OK, &shown::vault(asked, &made))
            }
            Self::Update(group, name) => {
                let wanted = Wanted::read(asked, &object(body).await?)?;
                let (vault, _) = found(asked, operation::WRITE, &group, &name).await?;
                let changed = change(asked, &vault, &wanted).await?;
                target.push_str(&wanted.told());
                answer(StatusCode::OK, &shown::vault(asked, &changed))
            }
            Self::Get(group, name) => {
                let (vault, _) = found(asked, operation::READ, &group, &name).await?;
                answer(StatusCode::OK, &shown::vault(asked, &vault))
            }
            Self::Delete(group, name) => match vaults.vault_in(by, operation::DELETE, &group, &name).await {
                Ok(_) => {
                    vaults.delete_vault(by, &name, asked.context.now).await?;
                    empty(StatusCode::OK)
                }
                Err(VaultError::VaultNotFound { .. }) => empty(StatusCode::NO_CONTENT),
                Err(error) => return Err(error.into()),
            },
            Self::EditPolicies(group, name, how) => {
                let said = read::policies_of(asked, &object(body).await?)?;
                let _ = found(asked, operation::WRITE_POLICIES, &group, &name).await?;
                let edited = vaults.edit_policies(by, &name, how, &said).await?;
                answer(StatusCode::OK, &shown::policies(asked, &edited))
            }
            Self::ListDeleted => {
                let all = vaults.list_deleted_vaults(by).await?;
                list(asked, all.iter().map(|deleted| shown::deleted(asked, deleted)).collect())?
            }
            Self::GetDeleted(location, name) => {
                let right = (operation::READ_ONE_DELETED, Around::subscription());
                let is_there = |vault: &Vault| is(vault.placement.location.as_str(), &location);
                deleted(asked, right, &name, is_there).await?;
                let deleted = vaults.show_deleted_vault(by, &name).await?;
                answer(StatusCode::OK, &shown::deleted(asked, &deleted))
            }
            Self::Purge(location, name) => {
                let right = (operation::PURGE, Around::subscription());
                let is_there = |vault: &Vault| is(vault.placement.location.as_str(), &location);
                deleted(asked, right, &name, is_there).await?;
                vaults.purge_vault(by, &name, asked.context.now).await?;
                empty(StatusCode::OK)
            }
            Self::CheckName => check_name(asked, body).await?,
            Self::ListNone => {
                if !asked.state.resource.has_any_role(by).await? {
                    return Err(ArmError::not_authorized("Microsoft.KeyVault/managedHSMs/read"));
                }
                list(asked, Vec::new())?
            }
        };
        if let Some(of) = named {
            asked.state.outside.names_changed(of).await;
        }
        Ok(Answer { target, response })
    }
}

/// A vault of a group; told as the resource manager does where there is none.
async fn found(
    asked: &Asked<'_>,
    operation: &'static str,
    group: &ResourceGroupName,
    name: &VaultName,
) -> Result<(std::sync::Arc<Vault>, String), ArmError> {
    match asked.state.vault.vault_in(asked.by(), operation, group, name).await {
        Ok(found) => Ok(found),
        Err(VaultError::VaultNotFound { .. }) => {
            // Of a group that is not there, that is told instead.
            let _there = asked.state.resource.group(Manager::Administrator, group).await?;
            Err(ArmError::no_such_resource("Microsoft.KeyVault/vaults", name.as_str(), group.as_str()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Is there a deleted vault of this name, and at its place? If not, who may not do this there is told no more than that. If so, who does
/// something with it is asked for their right there.
async fn deleted(
    asked: &Asked<'_>,
    (operation, around): (&'static str, Around<'_>),
    name: &VaultName,
    is_there: impl Fn(&Vault) -> bool,
) -> Result<(), ArmError> {
    match asked.state.vault.show_deleted_vault(Manager::Administrator, name).await {
        Ok(deleted) if is_there(&deleted.vault) => Ok(()),
        Ok(_) | Err(VaultError::DeletedVaultNotFound { .. }) => {
            asked.state.resource.may(asked.by(), operation, &around).await?;
            Err(VaultError::DeletedVaultNotFound { name: name.clone() }.into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn put(
    asked: &Asked<'_>,
    group: &ResourceGroupName,
    name: &VaultName,
    wanted: &Wanted,
) -> Result<Vault, ArmError> {
    let (vaults, by, now) = (&asked.state.vault, asked.by(), asked.context.now);
    if wanted.recover {
        let right = (operation::WRITE, Around::group(group));
        deleted(asked, right, name, |vault| vault.placement.group == *group).await?;
        return Ok(vaults.recover_vault(by, name).await?);
    }
    match vaults.vault_in(by, operation::WRITE, group, name).await {
        Ok((vault, _)) => change(asked, &vault, wanted).await,
        Err(VaultError::VaultNotFound { .. }) => {
            let location = wanted.location.clone().ok_or_else(ArmError::no_location)?;
            let tenant = asked.state.directory.tenant().id;
            let new = NewVault { name, tenant, owner: None, group: group.clone(), location };
            Ok(vaults.create_vault(by, new, &wanted.settings(None), now).await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn change(asked: &Asked<'_>, vault: &Vault, wanted: &Wanted) -> Result<Vault, ArmError> {
    if wanted.location.as_ref().is_some_and(|location| *location != vault.placement.location) {
        return Err(ArmError::elsewhere(vault.name.as_str(), &vault.placement));
    }
    let (settings, now) = (|there: &Vault| wanted.settings(Some(there)), asked.context.now);
    let changed = asked.state.vault.change_vault_as_it_is(asked.by(), &vault.name, &settings, None, now);
    Ok(changed.await?)
}

/// Is this name to be had? A name that cannot be one is an answer, not an error.
async fn check_name(asked: &Asked<'_>, body: Body) -> Result<Response, ArmError> {
    let members = object(body).await?;
    let text = members.get("name").and_then(serde_json::Value::as_str);
    let text = text.ok_or_else(|| ArmError::bad_content("The name is missing."))?;
    if !matches!(members.get("type"), None | Some(serde_json::Value::Null | serde_json::Value::String(_))) {
        return Err(ArmError::bad_content("The property \"type\" is no string."));
    }
    let no = |reason: &str, message: String| {
        Ok(answer(StatusCode::OK, &json!({"nameAvailable": false, "reason": reason, "message": message})))
    };
    let checked = match VaultName::parse(text) {
        Ok(name) => asked.state.vault.check_vault_name(asked.by(), &name).await,
        Err(error) => {
            let around = Around::subscription();
            asked.state.resource.may(asked.by(), operation::CHECK_NAME, &around).await?;
            return no("AccountNameInvalid", format!("The vault name is not valid: {error}."));
        }
    };
    match checked {
        Ok(()) => Ok(answer(StatusCode::OK, &json!({"nameAvailable": true}))),
        Err(error @ (VaultError::VaultExists { .. } | VaultError::VaultIsDeleted { .. })) => {
            no("AlreadyExists", ArmError::from(error).message().to_owned())
        }
        Err(error) => Err(error.into()),
    }
}
