//! What is to be done so that all is as a stack says: a plain function of the stack and of what is there.
//!
//! Owns: the steps, their order and their words, and what cannot be. Owns not: how a step is done ([`super::act`]).

use super::{
    found::Found,
    rules::{Policy, Role, Whom},
    stack::{App, Federated, Group, Registration, Secret, Stack, Vault},
};
use crate::attributes::Attributes;
use domain::{AppName, IdentityName, VaultName};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

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
    /// It comes in the place of the one of this name, in one decision.
    Federate {
        registration: &'s str,
        /// The one in whose place it comes.
        replaced: Option<String>,
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
        attributes: Attributes,
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
pub(super) enum Known<'f> {
    /// Its id.
    There(&'f str),
    /// A step makes it.
    Coming,
    /// There will be none, and why.
    Not(String),
}

pub(super) struct Plan<'s, 'f> {
    stack: &'s Stack,
    pub(super) found: &'f Found,
    steps: Vec<Step<'s>>,
    faults: Vec<String>,
}

impl<'s, 'f> Plan<'s, 'f> {
    pub(super) fn add(&mut self, kind: &'static str, what: String, act: Act<'s>) {
        self.steps.push(Step { is_change: false, kind, what, act });
    }

    pub(super) fn change(&mut self, kind: &'static str, what: String, act: Act<'s>) {
        self.steps.push(Step { is_change: true, kind, what, act });
    }

    pub(super) fn fault(&mut self, what: &str, why: &str) {
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
                if let Some(uris) = &one.identifier_uris
                    && let Some(told) = replaced(&there.identifier_uris, uris)
                {
                    change.insert("identifier_uris".into(), json!(uris));
                    words.push(format!("identifier URIs {told}"));
                }
                if let Some(uris) = &one.redirect_uris
                    && let Some(told) = replaced(&there.redirect_uris, uris)
                {
                    change.insert("redirect_uris".into(), json!(uris));
                    words.push(format!("redirect URIs {told}"));
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
                self.add("federated", what, Act::Federate { registration, replaced: None, credential });
                continue;
            };
            let parts = [
                ("issuer", known.issuer != credential.issuer),
                ("subject", known.subject != credential.subject),
                ("audience", known.audiences.first() != Some(&credential.audience)),
                ("description", known.description != credential.description),
            ];
            let words: Vec<_> = parts.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
            if !words.is_empty() && !known.keys.is_empty() {
                self.fault(
                    &what,
                    &format!(
                        "it has keys of its own (--jwks), which no file says, and another one would take what its issuer publishes instead ({} \
                         would change). If that is meant: keyless app-registration federated remove {} {}",
                        words.join(", "),
                        there.map(|there| there.id.as_str()).unwrap_or_default(),
                        known.id
                    ),
                );
            } else if !words.is_empty() {
                let act = Act::Federate { registration, replaced: Some(known.id.clone()), credential };
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

    /// Who is meant.
    pub(super) fn known(&self, whom: &Whom) -> Known<'f> {
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

/// What goes and what comes where a list is replaced by another one; nothing, if they have the same, in whatever order.
pub(super) fn replaced<O: Display, N: Display>(
    old: impl IntoIterator<Item = O>,
    new: impl IntoIterator<Item = N>,
) -> Option<String> {
    let old: BTreeSet<_> = old.into_iter().map(|one| one.to_string()).collect();
    let new: BTreeSet<_> = new.into_iter().map(|one| one.to_string()).collect();
    let gone = old.difference(&new).map(|one| format!("-{one}"));
    let words: Vec<_> = gone.chain(new.difference(&old).map(|one| format!("+{one}"))).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn absent(what: &str) -> String {
    format!("there is no {what}, neither here nor in the file")
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
