//! What a body says of a vault. What is not said stays as it is; what we do not know is ignored, as the resource manager's clients expect,
//! unless leaving it out would let in somebody whom it keeps out.

use super::super::{Asked, error::ArmError, location, tags};
use access::{AccessPolicy, IpRange, NetworkRules};
use domain::{Location, Permission, Permissions, PrincipalId, Tags, TenantId, VerbSet};
use serde_json::{Map, Value};
use vault::{AccessModel, SaidPolicy, Told, Vault, VaultSettings};

type Members = Map<String, Value>;

/// A vault as it is to be.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) location: Option<Location>,
    /// Is a deleted one to come back? Nothing else counts then.
    pub(super) recover: bool,
    tags: Option<Tags>,
    premium: Option<bool>,
    policies: Option<Vec<SaidPolicy>>,
    by_roles: Option<bool>,
    days: Option<u16>,
    protect: bool,
    for_deployment: Option<bool>,
    for_disk_encryption: Option<bool>,
    for_template_deployment: Option<bool>,
    /// `publicNetworkAccess`.
    is_closed: Option<bool>,
    no_bypass: Option<bool>,
    /// `defaultAction`.
    denies: Option<bool>,
    ip_ranges: Option<Vec<IpRange>>,
}

impl Wanted {
    pub(super) fn read(asked: &Asked<'_>, members: &Members) -> Result<Self, ArmError> {
        let none = Members::new();
        let said = part(members, "properties")?.unwrap_or(&none);
        let tenant = asked.state.directory.tenant().id;
        our_tenant(said, tenant)?;
        if bool(said, "enableSoftDelete")? == Some(false) {
            return Err(ArmError::bad(
                "The property \"enableSoftDelete\" cannot be set to false: what is deleted here can always be recovered for a time.",
            ));
        }
        let protect = bool(said, "enablePurgeProtection")?;
        if protect == Some(false) {
            return Err(ArmError::bad(
                "The property \"enablePurgeProtection\" cannot be set to false: leave it out, or set it to true for good.",
            ));
        }
        let acls = part(said, "networkAcls")?.unwrap_or(&none);
        if items(acls, "virtualNetworkRules")?.is_some_and(|rules| !rules.is_empty()) {
            return Err(ArmError::bad("There are no virtual networks here: name address ranges in ipRules."));
        }
        let sku = part(said, "sku")?.unwrap_or(&none);
        Ok(Self {
            location: location(members)?,
            recover: word(said, "createMode", ["default", "recover"])? == Some(1),
            tags: tags(members)?,
            premium: word(sku, "name", ["standard", "premium"])?.map(|at| at == 1),
            policies: items(said, "accessPolicies")?.map(|all| policies(all, tenant)).transpose()?,
            by_roles: bool(said, "enableRbacAuthorization")?,
            days: days(said)?,
            protect: protect == Some(true),
            for_deployment: bool(said, "enabledForDeployment")?,
            for_disk_encryption: bool(said, "enabledForDiskEncryption")?,
            for_template_deployment: bool(said, "enabledForTemplateDeployment")?,
            is_closed: word(said, "publicNetworkAccess", ["enabled", "disabled"])?.map(|at| at == 1),
            no_bypass: word(acls, "bypass", ["AzureServices", "None"])?.map(|at| at == 1),
            denies: word(acls, "defaultAction", ["Allow", "Deny"])?.map(|at| at == 1),
            ip_ranges: items(acls, "ipRules")?.map(ip_ranges).transpose()?,
        })
    }

    /// As the service is told it, with what is kept as it is.
    pub(super) fn settings(&self, current: Option<&Vault>) -> VaultSettings {
        let told = current.map_or_else(Told::default, |vault| vault.told.clone());
        let network = self.network(current, &told);
        let mut told = Told {
            premium: self.premium.unwrap_or(told.premium),
            for_deployment: self.for_deployment.or(told.for_deployment),
            for_disk_encryption: self.for_disk_encryption.or(told.for_disk_encryption),
            for_template_deployment: self.for_template_deployment.or(told.for_template_deployment),
            no_bypass: self.no_bypass.unwrap_or(told.no_bypass),
            ..told
        };
        if let Some(policies) = &self.policies {
            let storage = policies.iter().filter(|said| !said.storage.is_empty());
            told.storage = storage.map(|said| (said.policy.principal, said.storage)).collect();
        }
        let network = network.map(|network| network.apply(&mut told));
        let model = |by_roles| if by_roles { AccessModel::Roles } else { AccessModel::Policies };
        let policies = self.policies.as_ref();
        VaultSettings {
            access: self.by_roles.map(model),
            network,
            recoverable_days: self.days,
            purge_protection: self.protect.then_some(true),
            policies: policies.map(|all| all.iter().map(|said| said.policy.clone()).collect()),
            tags: self.tags.clone(),
            told: Some(told),
        }
    }

    fn network(&self, current: Option<&Vault>, told: &Told) -> Option<Network> {
        if self.is_closed.is_none() && self.denies.is_none() && self.ip_ranges.is_none() {
            return None;
        }
        let before = current.map_or_else(Network::default, |vault| Network::of(&vault.network, told));
        Some(Network {
            is_closed: self.is_closed.unwrap_or(before.is_closed),
            denies: self.denies.unwrap_or(before.denies),
            ip_ranges: self.ip_ranges.clone().unwrap_or(before.ip_ranges),
        })
    }

    /// As the audit log says it.
    pub(super) fn told(&self) -> String {
        let mut words = Vec::new();
        if self.recover {
            words.push("recovered".to_owned());
        }
        words.extend(
            self.by_roles
                .map(|by_roles| format!("access by {}", if by_roles { "roles" } else { "policies" })),
        );
        words.extend(self.policies.as_ref().map(|all| format!("{} access policies", all.len())));
        words.extend(self.days.map(|days| format!("retention {days} days")));
        if self.protect {
            words.push("purge protection true".to_owned());
        }
        words.extend(self.is_closed.map(|is| format!("closed {is}")));
        words.extend(
            self.denies.map(|denies| (if denies { "denies by default" } else { "allows" }).to_owned()),
        );
        words.extend(self.ip_ranges.as_ref().map(|ranges| format!("{} address ranges", ranges.len())));
        if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) }
    }
}

/// From where a vault may be asked, as the resource manager's clients say it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) is_closed: bool,
    pub(super) denies: bool,
    pub(super) ip_ranges: Vec<IpRange>,
}

impl Network {
    /// As it is kept.
    pub(super) fn of(rules: &NetworkRules, told: &Told) -> Self {
        match &rules.only_from {
            _ if told.is_closed => {
                Self { is_closed: true, denies: !told.is_open_else, ip_ranges: told.ip_ranges.clone() }
            }
            None => Self { is_closed: false, denies: false, ip_ranges: told.ip_ranges.clone() },
            Some(ranges) => Self { is_closed: false, denies: true, ip_ranges: ranges.clone() },
        }
    }

    /// What counts of it; the rest is kept to be told.
    fn apply(self, told: &mut Told) -> NetworkRules {
        let Self { is_closed, denies, ip_ranges } = self;
        told.is_closed = is_closed;
        told.is_open_else = is_closed && !denies;
        match (is_closed, denies) {
            (false, true) => {
                told.ip_ranges = Vec::new();
                NetworkRules { only_from: Some(ip_ranges) }
            }
            (_, _) => {
                told.ip_ranges = ip_ranges;
                NetworkRules { only_from: is_closed.then(Vec::new) }
            }
        }
    }
}

/// The access policies of a body that edits those of a vault.
pub(super) fn policies_of(asked: &Asked<'_>, members: &Members) -> Result<Vec<SaidPolicy>, ArmError> {
    let none = Members::new();
    let said = part(members, "properties")?.unwrap_or(&none);
    let all = items(said, "accessPolicies")?
        .ok_or_else(|| ArmError::bad_content("The property \"accessPolicies\" is missing."))?;
    policies(all, asked.state.directory.tenant().id)
}

fn policies(all: &[Value], tenant: TenantId) -> Result<Vec<SaidPolicy>, ArmError> {
    all.iter().map(|one| policy(one, tenant)).collect()
}

fn policy(one: &Value, tenant: TenantId) -> Result<SaidPolicy, ArmError> {
    let one = one.as_object().ok_or_else(|| ArmError::bad_content("An access policy is no object."))?;
    our_tenant(one, tenant)?;
    // It would let in that application alone, and without it every one.
    if !matches!(one.get("applicationId"), None | Some(Value::Null)) {
        return Err(ArmError::bad(
            "An access policy for one application of a principal is not supported here.",
        ));
    }
    let id = one.get("objectId").and_then(Value::as_str).and_then(|id| id.parse::<PrincipalId>().ok());
    let principal = id.ok_or_else(|| ArmError::bad("The objectId of an access policy is no object id."))?;
    let none = Members::new();
    let said = part(one, "permissions")?.unwrap_or(&none);
    let permissions = Permissions {
        secrets: verbs(said, "secrets")?,
        keys: verbs(said, "keys")?,
        certificates: verbs(said, "certificates")?,
    };
    Ok(SaidPolicy { policy: AccessPolicy { principal, permissions }, storage: verbs(said, "storage")? })
}

/// Verbs in any case; `all` is every one.
fn verbs<V: Permission>(said: &Members, kind: &str) -> Result<VerbSet<V>, ArmError> {
    let mut set = VerbSet::default();
    for verb in items(said, kind)?.unwrap_or_default() {
        let text = verb.as_str().unwrap_or_default();
        set = match text.parse::<V>() {
            _ if text.eq_ignore_ascii_case("all") => VerbSet::all(),
            Ok(verb) => set.and([verb].into_iter().collect()),
            Err(error) => {
                return Err(ArmError::bad(format!(
                    "A permission on {kind} is not valid: {}, or all.",
                    error.rule
                )));
            }
        };
    }
    Ok(set)
}

fn our_tenant(said: &Members, tenant: TenantId) -> Result<(), ArmError> {
    match said.get("tenantId") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(id)) if id.parse() == Ok(tenant) => Ok(()),
        Some(_) => Err(ArmError::bad(format!("The tenantId is not valid: the tenant here is {tenant}."))),
    }
}

fn days(said: &Members) -> Result<Option<u16>, ArmError> {
    match said.get("softDeleteRetentionInDays") {
        None | Some(Value::Null) => Ok(None),
        Some(days) => match days.as_u64().and_then(|days| u16::try_from(days).ok()) {
            Some(days) => Ok(Some(days)),
            None => Err(ArmError::bad("The property \"softDeleteRetentionInDays\" must be from 7 to 90.")),
        },
    }
}

fn ip_ranges(rules: &[Value]) -> Result<Vec<IpRange>, ArmError> {
    let range = |rule: &Value| {
        let text = rule.get("value").and_then(Value::as_str).unwrap_or_default();
        text.parse::<IpRange>()
            .map_err(|error| ArmError::bad(format!("An ipRules value is not valid: {error}.")))
    };
    rules.iter().map(range).collect()
}

fn part<'m>(members: &'m Members, name: &str) -> Result<Option<&'m Members>, ArmError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(_) => Err(ArmError::bad_content(format!("The property \"{name}\" is no object."))),
    }
}

fn items<'m>(members: &'m Members, name: &str) -> Result<Option<&'m [Value]>, ArmError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(ArmError::bad_content(format!("The property \"{name}\" is no array."))),
    }
}

fn bool(members: &Members, name: &str) -> Result<Option<bool>, ArmError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(is)) => Ok(Some(*is)),
        Some(_) => Err(ArmError::bad_content(format!("The property \"{name}\" is no boolean."))),
    }
}

/// Which of these it is.
fn word<const N: usize>(members: &Members, name: &str, words: [&str; N]) -> Result<Option<usize>, ArmError> {
    let text = match members.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().unwrap_or_default(),
    };
    match words.iter().position(|word| word.eq_ignore_ascii_case(text)) {
        Some(at) => Ok(Some(at)),
        None => Err(ArmError::bad(format!("The property \"{name}\" must be one of {}.", words.join(", ")))),
    }
}
