//! What is to be done so that all is as a stack says: a plain function of the stack and of what is there.
//!
//! Owns: the steps, their order and their words, and what cannot be. Owns not: how a step is done ([`super::act`]).

use super::{
    found::{Found, FoundSecret, FoundVault},
    ranges,
    stack::{App, Federated, Group, Policy, Registration, Role, Secret, Stack, Vault, Whom},
};
use crate::vault::Access;
use domain::{AppName, AssignmentId, IdentityName, VaultName};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One step.
#[derive(Debug)]
pub(super) struct Step<'s> {
    /// Is something changed that is there, or something made?
    pub(super) is_change: bool,
    /// Of what kind it is.
    pub(super) kind: &'static str,
    /// What, in words.
    pub(super) what: String,
    pub(super) act: Act<'s>,
}

impl Step<'_> {
    /// As people are told it.
    pub(super) fn told(&self) -> String {
        format!("{} {}", if self.is_change { '~' } else { '+' }, self.what)
    }
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Act<'s> {
    CreateRegistration(&'s Registration),
    ChangeRegistration {
        id: String,
        change: Value,
    },
    /// Those of before of this name are removed first, as a credential cannot be changed.
    Federate {
        registration: &'s str,
        remove: Option<String>,
        credential: &'s Federated,
    },
    CreateIdentity(&'s IdentityName),
    CreateApp(&'s AppName),
    AssignIdentity(&'s AppName),
    AttachIdentity(&'s AppName, &'s IdentityName),
    CreateGroup(&'s Group),
    DescribeGroup {
        id: String,
        description: &'s str,
    },
    AddMember {
        group: &'s str,
        whom: &'s Whom,
    },
    CreateVault(&'s Vault),
    ChangeVault {
        vault: &'s VaultName,
        change: Value,
    },
    SetPolicy {
        vault: &'s VaultName,
        policy: &'s Policy,
    },
    AssignRole {
        vault: &'s VaultName,
        role: &'s Role,
    },
    /// A new version; what the stack does not say of it is as it was.
    SetSecret {
        vault: &'s VaultName,
        secret: &'s Secret,
        content_type: Option<String>,
        tags: BTreeMap<String, String>,
    },
    /// The latest version stays.
    DescribeSecret {
        vault: &'s VaultName,
        secret: &'s Secret,
    },
    ChangeSettings {
        app: &'s App,
        names: Vec<&'s str>,
    },
}

/// The steps in an order in which each finds what it needs; or all that cannot be, in words.
pub(super) fn plan<'s>(stack: &'s Stack, found: &Found) -> Result<Vec<Step<'s>>, Vec<String>> {
    let mut plan = Plan { stack, found, steps: Vec::new(), faults: Vec::new() };
    if let Some(tenant) = &stack.tenant
        && ![&found.domain, &found.tenant].iter().any(|known| known.eq_ignore_ascii_case(tenant))
    {
        plan.faults.push(format!(
            "tenant: it is for {tenant}, and this server is {}. A server has one tenant, made at its first start (keyless up --domain)",
            found.domain
        ));
    }
    stack.registrations.iter().for_each(|one| plan.registration(one));
    for identity in &stack.identities {
        if !found.identities.contains_key(&identity.name) {
            plan.add("identity", format!("identity {}", identity.name), Act::CreateIdentity(&identity.name));
        }
    }
    stack.apps.iter().for_each(|app| plan.app(app));
    stack.groups.iter().for_each(|group| plan.group(group));
    stack.vaults.iter().for_each(|vault| plan.vault(vault));
    // Last: programs that run are started anew for it, and may look for what was made before.
    stack.apps.iter().for_each(|app| plan.settings(app));
    if plan.faults.is_empty() { Ok(plan.steps) } else { Err(plan.faults) }
}

/// A principal as far as it is known before anything is done.
enum Known<'f> {
    /// Its id.
    There(&'f str),
    /// A step makes it.
    Coming,
    /// There will be none, and why.
    Not(String),
}

struct Plan<'s, 'f> {
    stack: &'s Stack,
    found: &'f Found,
    steps: Vec<Step<'s>>,
    faults: Vec<String>,
}

impl<'s, 'f> Plan<'s, 'f> {
    fn add(&mut self, kind: &'static str, what: String, act: Act<'s>) {
        self.steps.push(Step { is_change: false, kind, what, act });
    }

    fn change(&mut self, kind: &'static str, what: String, act: Act<'s>) {
        self.steps.push(Step { is_change: true, kind, what, act });
    }

    fn fault(&mut self, what: &str, why: &str) {
        self.faults.push(format!("{what}: {why}"));
    }

    fn registration(&mut self, one: &'s Registration) {
        let what = format!("registration {}", one.name);
        let named: Vec<_> =
            self.found.registrations.iter().filter(|there| there.display_name == one.name).collect();
        let there = match *named {
            [] => None,
            [there] => Some(there),
            _ => {
                return self
                    .fault(&what, "several have this name; `keyless app-registration list` shows them");
            }
        };
        match there {
            None => self.add("registration", what, Act::CreateRegistration(one)),
            Some(there) => {
                let (mut change, mut words) = (Map::new(), Vec::new());
                if let Some(uris) = one.identifier_uris.as_ref().filter(|uris| {
                    uris.iter().collect::<BTreeSet<_>>() != there.identifier_uris.iter().collect()
                }) {
                    change.insert("identifier_uris".into(), json!(uris));
                    words.push("identifier URIs".to_owned());
                }
                if let Some(uris) = one.redirect_uris.as_ref().filter(|uris| {
                    uris.len() != there.redirect_uris.len()
                        || !uris.iter().all(|uri| there.redirect_uris.iter().any(|there| there == uri))
                }) {
                    change.insert("redirect_uris".into(), json!(uris));
                    words.push("redirect URIs".to_owned());
                }
                if let Some(public) = one.public.filter(|public| *public != there.is_public) {
                    change.insert("is_public".into(), public.into());
                    words.push(format!("public {} -> {public}", there.is_public));
                }
                if !change.is_empty() {
                    let act = Act::ChangeRegistration { id: there.id.clone(), change: change.into() };
                    self.change("registration", format!("{what}: {}", words.join("; ")), act);
                }
            }
        }
        for credential in &one.federated {
            let known =
                there.and_then(|there| there.federated.iter().find(|known| known.name == credential.name));
            let what = format!(
                "federated credential {} of {what}",
                credential.name,
                what = format_args!("registration {}", one.name)
            );
            let registration = one.name.as_str();
            let Some(known) = known else {
                self.add("federated", what, Act::Federate { registration, remove: None, credential });
                continue;
            };
            let parts = [
                ("issuer", known.issuer != credential.issuer),
                ("subject", known.subject != credential.subject),
                ("audience", known.audiences.first() != Some(&credential.audience)),
                ("description", known.description != credential.description),
            ];
            let words: Vec<_> = parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
            if !words.is_empty() {
                let act = Act::Federate { registration, remove: Some(known.id.clone()), credential };
                self.change("federated", format!("{what}: {}", words.join("; ")), act);
            }
        }
    }

    fn app(&mut self, app: &'s App) {
        let what = format!("app {}", app.name);
        let there = self.found.apps.get(&app.name);
        if there.is_none() {
            self.add("app", what.clone(), Act::CreateApp(&app.name));
        }
        let has_identity = there.is_some_and(|there| there.principal.is_some());
        match (app.identity, has_identity) {
            (true, false) => {
                self.add("app identity", format!("identity of {what}"), Act::AssignIdentity(&app.name));
            }
            (false, true) => self.fault(
                &what,
                &format!("it has an identity of its own, which nothing takes away here; if that is meant: keyless app identity remove {}", app.name),
            ),
            _ => {}
        }
        for identity in &app.user_assigned {
            let is_there = self.found.identities.contains_key(identity)
                || self.stack.identities.iter().any(|one| one.name == *identity);
            if !is_there {
                self.fault(&what, &absent(&format!("identity {identity}")));
            } else if !there.is_some_and(|there| there.user_assigned.contains(&identity.folded())) {
                let act = Act::AttachIdentity(&app.name, identity);
                self.add("app identity", format!("identity {identity} for {what}"), act);
            }
        }
    }

    fn settings(&mut self, app: &'s App) {
        let there = self.found.apps.get(&app.name);
        let (mut names, mut words, mut is_change) = (Vec::new(), Vec::new(), false);
        for name in app.settings.keys().map(String::as_str) {
            let is_there = there.is_some_and(|there| there.settings.contains(name));
            if is_there && !there.is_some_and(|there| there.other.contains(name)) {
                continue;
            }
            is_change |= is_there;
            names.push(name);
            words.push(format!("{}{name}", if is_there { '~' } else { '+' }));
        }
        if !names.is_empty() {
            let what = format!("settings of app {}: {}", app.name, words.join(" "));
            self.steps.push(Step {
                is_change,
                kind: "settings",
                what,
                act: Act::ChangeSettings { app, names },
            });
        }
    }

    fn group(&mut self, group: &'s Group) {
        let what = format!("group {}", group.name);
        let named: Vec<_> =
            self.found.groups.iter().filter(|there| there.display_name == group.name).collect();
        let there = match *named {
            [] => None,
            [there] => Some(there),
            _ => return self.fault(&what, "several have this name; `keyless group list` shows them"),
        };
        match (there, &group.description) {
            (None, _) => self.add("group", what.clone(), Act::CreateGroup(group)),
            (Some(there), Some(description)) if there.description.as_ref() != Some(description) => {
                let act = Act::DescribeGroup { id: there.id.clone(), description };
                self.change("group", format!("{what}: description"), act);
            }
            _ => {}
        }
        for whom in &group.members {
            let is_member = match self.known(whom) {
                Known::Not(why) => {
                    self.fault(&what, &why);
                    continue;
                }
                Known::There(id) => there.is_some_and(|there| there.members.contains(id)),
                Known::Coming => false,
            };
            if !is_member {
                self.add("member", format!("{whom} in {what}"), Act::AddMember { group: &group.name, whom });
            }
        }
    }

    fn vault(&mut self, vault: &'s Vault) {
        let what = format!("vault {}", vault.name);
        let there = self.found.vaults.get(&vault.name);
        match there {
            None if self.found.deleted_vaults.contains(&vault.name) => {
                let name = &vault.name;
                return self.fault(&what, &format!(
                    "it was deleted and keeps its name: `keyless vault recover {name}` brings it back, `keyless vault purge {name}` frees the name"
                ));
            }
            None => self.add("vault", what.clone(), Act::CreateVault(vault)),
            Some(there) => self.vault_settings(&what, vault, there),
        }
        self.network(&what, vault, there);
        let access = vault.access.or(there.map(|there| there.access)).unwrap_or(Access::Policies);
        match access {
            Access::Policies if !vault.roles.is_empty() => {
                self.fault(&what, "it goes by access policies, so that roles count for nothing in it; say `access: roles`, or policies");
            }
            Access::Roles if !vault.policies.is_empty() => {
                self.fault(&what, "it goes by roles, so that policies count for nothing in it; say `access: policies`, or roles");
            }
            _ => {}
        }
        vault.policies.iter().for_each(|policy| self.policy(&what, vault, there, policy));
        vault.roles.iter().for_each(|role| self.role(&what, vault, there, role));
        vault.secrets.iter().for_each(|secret| self.secret(&what, vault, there, secret));
    }

    fn vault_settings(&mut self, what: &str, vault: &'s Vault, there: &FoundVault) {
        let (mut change, mut words) = (Map::new(), Vec::new());
        if let Some(access) = vault.access.filter(|access| *access != there.access) {
            change.insert("access".into(), json!(access));
            words.push(format!("{} -> {}", there.access.told(), access.told()));
        }
        if let Some(days) = vault.retention_days.filter(|days| *days != there.retention_days) {
            self.fault(what, &format!(
                "retention_days is {} since it was made and cannot be {days}: it is set once, for the life of a vault",
                there.retention_days
            ));
        }
        match (vault.purge_protection, there.purge_protection) {
            (Some(true), false) => {
                change.insert("purge_protection".into(), true.into());
                words.push("purge protection on, for good".to_owned());
            }
            (Some(false), true) => {
                self.fault(what, "its purge protection is on and cannot be switched off again")
            }
            _ => {}
        }
        if let Some(asked) = &vault.allow_ip
            && ranges::normal(asked) != there.only_from.as_deref().and_then(ranges::normal)
        {
            change.insert("allow_ip".into(), json!(asked));
            let before = there.only_from.as_ref().map_or_else(|| "any".to_owned(), |ranges| ranges.join(","));
            words.push(format!("allow_ip {before} -> {}", asked.join(",")));
        }
        if !change.is_empty() {
            let act = Act::ChangeVault { vault: &vault.name, change: change.into() };
            self.change("vault", format!("{what}: {}", words.join("; ")), act);
        }
    }

    /// From where it may be asked: understood, and not so that its secrets can be neither compared nor set.
    fn network(&mut self, what: &str, vault: &Vault, there: Option<&FoundVault>) {
        for range in vault.allow_ip.iter().flatten().filter(|range| !ranges::is_any(range)) {
            if ranges::parse(range).is_none() {
                self.fault(what, &format!(
                    "allow_ip has {range:?}: it must be an IP address, or one with the number of its leading bits, such as 192.0.2.0/24, the \
                     other bits zero; or the word any, alone"
                ));
            }
        }
        let only_from = match &vault.allow_ip {
            Some(asked) => ranges::normal(asked),
            None => there.and_then(|there| ranges::normal(there.only_from.as_deref()?)),
        };
        if !vault.secrets.is_empty() && only_from.is_some_and(|ranges| !ranges::has_loopback(&ranges)) {
            self.fault(what, "allow_ip leaves out 127.0.0.1, from where its secrets are set: add it, or leave the secrets out");
        }
    }

    fn policy(&mut self, what: &str, vault: &'s Vault, there: Option<&FoundVault>, policy: &'s Policy) {
        let whom = &policy.whom;
        let before = match self.known(whom) {
            Known::Not(why) => return self.fault(what, &why),
            Known::There(id) => there.and_then(|there| there.policies.get(id)),
            Known::Coming => None,
        };
        let act = Act::SetPolicy { vault: &vault.name, policy };
        let words = format!("policy of {whom} in {what}");
        match before {
            None => self.add("policy", format!("{words}: {}", policy.verbs.told()), act),
            Some(before) if *before != policy.verbs => {
                self.change("policy", format!("{words}: {}", before.change(&policy.verbs)), act);
            }
            Some(_) => {}
        }
    }

    fn role(&mut self, what: &str, vault: &'s Vault, there: Option<&FoundVault>, role: &'s Role) {
        let asked = role.role.as_str();
        let named = self
            .found
            .roles
            .iter()
            .find(|one| one.name.eq_ignore_ascii_case(asked) || one.id.eq_ignore_ascii_case(asked));
        let id = match named {
            Some(role) => role.id.as_str(),
            // One that somebody made is named by its id.
            None if asked.parse::<AssignmentId>().is_ok() => asked,
            None => {
                return self.fault(
                    what,
                    &format!(
                        "there is no built-in role {asked:?}; `keyless vault role definitions` shows all"
                    ),
                );
            }
        };
        let is_there = match self.known(&role.whom) {
            Known::Not(why) => return self.fault(what, &why),
            Known::Coming => false,
            Known::There(principal) => there.is_some_and(|there| {
                there.roles.iter().any(|one| {
                    let object = one
                        .object
                        .as_ref()
                        .map(|object| (object.kind.as_str(), object.name.to_ascii_lowercase()));
                    one.principal == principal
                        && one.role_id.eq_ignore_ascii_case(id)
                        && object == role.object.as_ref().map(|(kind, name)| (*kind, name.folded()))
                })
            }),
        };
        if !is_there {
            let name = named.map_or(asked, |one| one.name.as_str());
            let object =
                role.object.as_ref().map(|(kind, name)| format!("{kind} {name} of ")).unwrap_or_default();
            let words = format!("role {name} of {} for {object}{what}", role.whom);
            self.add("role", words, Act::AssignRole { vault: &vault.name, role });
        }
    }

    fn secret(&mut self, what: &str, vault: &'s Vault, there: Option<&FoundVault>, secret: &'s Secret) {
        let (vault, name) = (&vault.name, &secret.name);
        let what = format!("secret {name} in {what}");
        let set = |content_type: Option<String>, tags| Act::SetSecret {
            vault,
            secret,
            content_type: secret.content_type.clone().or(content_type).filter(|text| !text.is_empty()),
            tags: secret.tags.clone().unwrap_or(tags),
        };
        match there.and_then(|there| there.secrets.get(name)) {
            None => self.add("secret", what, set(None, BTreeMap::new())),
            Some(FoundSecret::Deleted) => self.fault(&what, &format!(
                "it was deleted and keeps its name: `keyless secret recover {vault} {name}` brings it back, `keyless secret purge {vault} {name}` \
                 frees the name"
            )),
            Some(FoundSecret::OfCertificate) => self.fault(&what, "a certificate of the vault has this name"),
            Some(FoundSecret::Disabled) => self.fault(&what, &format!(
                "somebody disabled it, so that it cannot be compared: keyless secret update {vault} {name} --enabled"
            )),
            Some(FoundSecret::There { is_same_value: false, content_type, tags }) => {
                self.change("secret", format!("{what}: a new version"), set(content_type.clone(), tags.clone()));
            }
            Some(FoundSecret::There { is_same_value: true, content_type, tags }) => {
                let other_type = secret.content_type.as_deref().is_some_and(|asked| asked != content_type.as_deref().unwrap_or_default());
                let parts = [
                    ("content type", other_type),
                    ("tags", secret.tags.as_ref().is_some_and(|asked| asked != tags)),
                ];
                let words: Vec<_> = parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
                if !words.is_empty() {
                    let act = Act::DescribeSecret { vault, secret };
                    self.change("secret", format!("{what}: {}", words.join("; ")), act);
                }
            }
        }
    }

    /// Who is meant.
    fn known(&self, whom: &Whom) -> Known<'f> {
        let found = self.found;
        let (there, is_coming) = match whom {
            Whom::App(name) => {
                let there = found.apps.get(name).map(|app| app.principal.as_deref());
                let asked = self.stack.apps.iter().find(|app| app.name == *name);
                let is_coming = asked.is_some_and(|app| app.identity);
                if !is_coming && (there == Some(None) || there.is_none() && asked.is_some()) {
                    return Known::Not(format!(
                        "app {name} has no identity of its own; say `identity: true` of it, or name one of those that it is given"
                    ));
                }
                (there.flatten(), is_coming)
            }
            Whom::Identity(name) => (
                found.identities.get(name).map(String::as_str),
                self.stack.identities.iter().any(|one| one.name == *name),
            ),
            Whom::User(name) => (found.users.get(name).map(String::as_str), false),
            Whom::Group(name) => {
                let named: Vec<_> = found
                    .groups
                    .iter()
                    .filter(|group| group.display_name == *name || group.id == *name)
                    .collect();
                if named.len() > 1 {
                    return Known::Not(format!(
                        "several groups are named {name}: give the id, `keyless group list` shows it"
                    ));
                }
                (
                    named.first().map(|group| group.id.as_str()),
                    self.stack.groups.iter().any(|one| one.name == *name),
                )
            }
            Whom::Registration(name) => {
                let named: Vec<_> =
                    found.registrations.iter().filter(|one| one.display_name == *name).collect();
                if named.len() > 1 {
                    return Known::Not(format!("several registrations are named {name}"));
                }
                let is_coming = self.stack.registrations.iter().any(|one| one.name == *name);
                (named.first().map(|one| one.principal.as_str()), is_coming)
            }
        };
        match (there, is_coming) {
            (Some(id), _) => Known::There(id),
            (None, true) => Known::Coming,
            (None, false) => Known::Not(absent(&whom.to_string())),
        }
    }
}

fn absent(what: &str) -> String {
    format!("there is no {what}, neither here nor in the file")
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
