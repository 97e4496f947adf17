//! What is there already, as far as a stack speaks of it: read from the server, nothing changed.
//!
//! Values are compared here, in memory: what is handed on says only whether they are alike.

use super::{
    rules::Whom,
    stack::{App, Stack, Vault},
    values::Values,
    verbs::Verbs,
};
use crate::{
    admin::{Admin, Fault, segment},
    app::{self, List},
    attributes::Attributes,
    collection::Collection,
    failure::Failure,
    federated::Federated,
    objects, secret,
    status::Status,
    vault::Access,
};
use domain::{AppName, IdentityName, ObjectKind, ObjectName, ResourceGroupName, VaultName};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) domain: String,
    pub(super) tenant: String,
    pub(super) registrations: Vec<Registration>,
    /// With their principals.
    pub(super) identities: BTreeMap<IdentityName, String>,
    pub(super) apps: BTreeMap<AppName, FoundApp>,
    /// Those whom the stack names, with their principals.
    pub(super) users: BTreeMap<String, String>,
    pub(super) groups: Vec<FoundGroup>,
    pub(super) vaults: BTreeMap<VaultName, FoundVault>,
    pub(super) deleted_vaults: BTreeSet<VaultName>,
    pub(super) roles: Vec<Definition>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) principal: String,
    pub(super) display_name: String,
    pub(super) identifier_uris: Vec<String>,
    pub(super) redirect_uris: Vec<To>,
    pub(super) is_public: bool,
    pub(super) federated: Vec<Federated>,
}

#[derive(Debug, Deserialize)]
pub(super) struct To {
    uri: String,
    platform: String,
}

impl std::fmt::Display for To {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}={}", self.platform, self.uri)
    }
}

#[derive(Debug, Default)]
pub(super) struct FoundApp {
    /// Of its own identity.
    pub(super) principal: Option<String>,
    pub(super) user_assigned: BTreeSet<String>,
    /// All that are there, by name.
    pub(super) settings: BTreeSet<String>,
    /// Those of the stack that are not there, or other than it says.
    pub(super) other: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(super) struct FoundGroup {
    pub(super) id: String,
    pub(super) display_name: String,
    pub(super) description: Option<String>,
    /// Their principals, of a group that the stack names.
    pub(super) members: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct FoundVault {
    pub(super) access: Access,
    pub(super) retention_days: u16,
    pub(super) purge_protection: bool,
    /// `None`: from everywhere.
    pub(super) only_from: Option<Vec<String>>,
    pub(super) policies: BTreeMap<String, Verbs>,
    pub(super) roles: Vec<FoundRole>,
    /// Those of the stack.
    pub(super) secrets: BTreeMap<ObjectName, FoundSecret>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FoundRole {
    pub(super) principal: String,
    pub(super) role_id: String,
    pub(super) object: Option<Object>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) name: String,
}

/// A role, built-in or made by somebody.
#[derive(Debug, Deserialize)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) assignable_scopes: Vec<String>,
}

impl Definition {
    /// Can it be given to somebody in a vault of this group? It can where its scopes say so: everywhere, in the subscription, in a group.
    pub(super) fn is_assignable_in(&self, group: &ResourceGroupName) -> bool {
        self.assignable_scopes.iter().any(|scope| {
            let mut below = scope.trim_end_matches('/').split('/').skip(3);
            match (below.next(), below.next()) {
                (Some(_), Some(named)) => named.eq_ignore_ascii_case(group.as_str()),
                _ => true,
            }
        })
    }
}

/// A secret that the stack names.
#[derive(Debug)]
pub(super) enum FoundSecret {
    Deleted,
    OfCertificate,
    Disabled,
    There {
        is_same_value: bool,
        content_type: Option<String>,
        tags: BTreeMap<String, String>,
        /// When it is valid.
        attributes: Attributes,
    },
}

#[derive(Deserialize)]
struct ShownIdentity {
    name: IdentityName,
    principal: String,
}

#[derive(Deserialize)]
struct ShownGroup {
    id: String,
    display_name: String,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Member {
    principal: String,
}

#[derive(Deserialize)]
struct ShownUser {
    id: String,
}

#[derive(Deserialize)]
struct ShownVault {
    name: VaultName,
    access: Access,
    retention_days: u16,
    purge_protection: bool,
    network: Network,
    policies: Vec<ShownPolicy>,
    roles: Vec<FoundRole>,
}

#[derive(Deserialize)]
struct Network {
    only_from: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ShownPolicy {
    principal: String,
    #[serde(flatten)]
    verbs: Verbs,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What is sent to compare settings. Borrowed, so that no other copy of a value is made.
#[derive(Serialize)]
struct Said<'a> {
    settings: BTreeMap<&'a str, crate::host::SentSetting<'a>>,
}

/// Reads what is there.
pub(super) async fn find(admin: &Admin, stack: &Stack, values: &Values) -> Result<Found, Failure> {
    let status: Status = admin.get("/v1/status").await?;
    let identities: List<ShownIdentity> = admin.get("/v1/identities").await?;
    let registrations: List<Registration> = admin.get("/v1/registrations").await?;
    let deleted: List<ShownVault> = admin.get("/v1/deleted-vaults").await?;
    let definitions: List<Definition> = admin.get("/v1/roles").await?;
    Ok(Found {
        domain: status.domain,
        tenant: status.tenant,
        registrations: registrations.value,
        identities: identities.value.into_iter().map(|one| (one.name, one.principal)).collect(),
        apps: apps(admin, stack, values).await?,
        users: users(admin, stack).await?,
        groups: groups(admin, stack).await?,
        vaults: vaults(admin, stack, values, status.now).await?,
        deleted_vaults: deleted.value.into_iter().map(|vault| vault.name).collect(),
        roles: definitions.value,
    })
}

async fn apps(admin: &Admin, stack: &Stack, values: &Values) -> Result<BTreeMap<AppName, FoundApp>, Failure> {
    let all: List<app::App> = admin.get("/v1/apps").await?;
    let mut found = BTreeMap::new();
    for app in all.value {
        let Ok(name) = AppName::parse(&app.name) else { continue };
        let mut one = FoundApp {
            principal: app.identity.map(|identity| identity.principal),
            user_assigned: app.user_assigned.iter().map(|one| one.name.to_ascii_lowercase()).collect(),
            ..FoundApp::default()
        };
        let asked = stack.apps.iter().find(|app| app.name == name && !app.settings.is_empty());
        if let Some(asked) = asked {
            settings(admin, asked, values, &mut one).await?;
        }
        found.insert(name, one);
    }
    Ok(found)
}

async fn settings(admin: &Admin, asked: &App, values: &Values, found: &mut FoundApp) -> Result<(), Failure> {
    let path = format!("/v1/apps/{}/settings", segment(asked.name.as_str()));
    let there: List<Named> = admin.get(&path).await?;
    found.settings = there.value.into_iter().map(|setting| setting.name).collect();
    let said = Said { settings: values.settings(asked.settings.iter())? };
    let other: List<String> = admin.ask(Method::POST, &format!("{path}/compare"), &said).await?;
    found.other = other.value.into_iter().collect();
    Ok(())
}

/// By whatever name the stack has them: the server knows several for one.
async fn users(admin: &Admin, stack: &Stack) -> Result<BTreeMap<String, String>, Failure> {
    let rules = stack.vaults.iter().flat_map(|vault| {
        vault.policies.iter().map(|policy| &policy.whom).chain(vault.roles.iter().map(|role| &role.whom))
    });
    let members = stack.groups.iter().flat_map(|group| &group.members);
    let mut found = BTreeMap::new();
    for whom in rules.chain(members) {
        let Whom::User(name) = whom else { continue };
        match admin.send(Method::GET, &format!("/v1/users/{}", segment(name)), None::<&()>).await {
            Ok(body) => {
                let user: ShownUser = crate::collection::parse(&body)?;
                found.insert(name.clone(), user.id);
            }
            Err(Fault::Refused(refused)) if refused.status == 404 => {}
            Err(fault) => return Err(admin.explain(fault)),
        }
    }
    Ok(found)
}

async fn groups(admin: &Admin, stack: &Stack) -> Result<Vec<FoundGroup>, Failure> {
    let all: List<ShownGroup> = admin.get("/v1/groups").await?;
    let mut found = Vec::new();
    for ShownGroup { id, display_name, description } in all.value {
        let mut members = BTreeSet::new();
        if stack.groups.iter().any(|group| group.name == display_name && !group.members.is_empty()) {
            let path = format!("/v1/groups/{}/members", segment(&id));
            let all: List<Member> = admin.get(&path).await?;
            members = all.value.into_iter().map(|member| member.principal).collect();
        }
        found.push(FoundGroup { id, display_name, description, members });
    }
    Ok(found)
}

async fn vaults(
    admin: &Admin,
    stack: &Stack,
    values: &Values,
    now: i64,
) -> Result<BTreeMap<VaultName, FoundVault>, Failure> {
    let all: List<ShownVault> = admin.get("/v1/vaults").await?;
    let mut found = BTreeMap::new();
    for vault in all.value {
        let Some(asked) = stack.vaults.iter().find(|asked| asked.name == vault.name) else { continue };
        let one = FoundVault {
            access: vault.access,
            retention_days: vault.retention_days,
            purge_protection: vault.purge_protection,
            only_from: vault.network.only_from,
            policies: vault.policies.into_iter().map(|policy| (policy.principal, policy.verbs)).collect(),
            roles: vault.roles,
            secrets: if asked.secrets.is_empty() {
                BTreeMap::new()
            } else {
                secrets(admin, asked, values, now).await.map_err(|failure| {
                    let name = &asked.name;
                    Failure::new(format!("the secrets of vault {name} cannot be compared: {failure}"))
                        .lasting(failure.is_lasting())
                        .next("Applying this file needs get, list and set of them. Nothing was changed.")
                })?
            },
        };
        found.insert(vault.name, one);
    }
    Ok(found)
}

async fn secrets(
    admin: &Admin,
    asked: &Vault,
    values: &Values,
    now: i64,
) -> Result<BTreeMap<ObjectName, FoundSecret>, Failure> {
    let vault = Collection::of_administrator(admin, ObjectKind::Secret, &asked.name).await?;
    let named = |items: &[Value]| {
        let pairs = items
            .iter()
            .filter_map(|item| Some((ObjectName::parse(objects::names(item).0).ok()?, item.clone())));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let live = named(&vault.pages("/secrets", None).await?);
    let deleted = named(&vault.pages("/deletedsecrets", None).await?);
    let mut found = BTreeMap::new();
    for one in &asked.secrets {
        let state = match live.get(&one.name) {
            None if deleted.contains_key(&one.name) => FoundSecret::Deleted,
            None => continue,
            Some(item) if item.get("managed") == Some(&Value::Bool(true)) => FoundSecret::OfCertificate,
            Some(item) if item.pointer("/attributes/enabled") == Some(&Value::Bool(false)) => {
                FoundSecret::Disabled
            }
            Some(_) => {
                let there = secret::get(&vault, &one.name, None).await?;
                let said = values.of(&one.from_file)?;
                FoundSecret::There {
                    is_same_value: crypt::compare::equal(
                        there.value.expose().as_bytes(),
                        said.expose().as_bytes(),
                    ),
                    content_type: there
                        .rest
                        .get("contentType")
                        .and_then(Value::as_str)
                        .filter(|text| !text.is_empty())
                        .map(str::to_owned),
                    tags: tags(there.rest.get("tags")),
                    attributes: attributes(there.rest.get("attributes"), now),
                }
            }
        };
        found.insert(one.name.clone(), state);
    }
    Ok(found)
}

/// What a new version has of the one before. Enabled that is: of others nothing is compared. An expiry that is over was the old value's: a new
/// one would be expired from the beginning.
fn attributes(told: Option<&Value>, now: i64) -> Attributes {
    let second = |name: &str| told.and_then(|told| told.get(name)?.as_i64());
    Attributes { enabled: Some(true), nbf: second("nbf"), exp: second("exp").filter(|exp| *exp > now) }
}

fn tags(told: Option<&Value>) -> BTreeMap<String, String> {
    let members = told.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_that_is_over_is_not_that_of_a_new_version() {
        let told = serde_json::json!({"enabled": true, "nbf": 1, "exp": 10, "created": 1});
        let of = |now| attributes(Some(&told), now);
        assert_eq!(of(9), Attributes { enabled: Some(true), nbf: Some(1), exp: Some(10) });
        assert_eq!(of(10), Attributes { enabled: Some(true), nbf: Some(1), exp: None });
    }
}
