//! The part of a plan that is about a vault: its settings, who may do what in it, its secrets.

use super::{
    found::{FoundSecret, FoundVault},
    plan::{Act, Known, Plan, replaced},
    ranges,
    rules::{Policy, Role},
    stack::{Secret, Vault},
};
use crate::{attributes::Attributes, vault::Access};
use domain::ResourceGroupName;
use serde_json::{Map, json};
use std::collections::BTreeMap;

impl<'s> Plan<'s, '_> {
    /// A vault and all that is in it.
    pub(super) fn vault(&mut self, vault: &'s Vault) {
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
        let Some(named) = named else {
            return self.fault(what, &format!(
                "there is no role {asked:?}, by name or id; `keyless role definition list` shows all, the custom ones too"
            ));
        };
        // A vault that is there says for itself, when the role is given, where it is; one to be made is in the group that always is.
        if there.is_none() && !named.is_assignable_in(&ResourceGroupName::default()) {
            return self.fault(
                what,
                &format!(
                    "role {} can be assigned in {} only, and the vault will be in resource group {}",
                    named.name,
                    named.assignable_scopes.join(", "),
                    ResourceGroupName::default()
                ),
            );
        }
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
                        && one.role_id.eq_ignore_ascii_case(&named.id)
                        && object == role.object.as_ref().map(|(kind, name)| (*kind, name.folded()))
                })
            }),
        };
        if !is_there {
            let object =
                role.object.as_ref().map(|(kind, name)| format!("{kind} {name} of ")).unwrap_or_default();
            let words = format!("role {} of {} for {object}{what}", named.name, role.whom);
            self.add("role", words, Act::AssignRole { vault: &vault.name, role });
        }
    }

    fn secret(&mut self, what: &str, vault: &'s Vault, there: Option<&FoundVault>, secret: &'s Secret) {
        let (vault, name) = (&vault.name, &secret.name);
        let what = format!("secret {name} in {what}");
        let set = |content_type: Option<String>, tags, attributes| Act::SetSecret {
            vault,
            secret,
            attributes,
            content_type: secret.content_type.clone().or(content_type).filter(|text| !text.is_empty()),
            tags: secret.tags.clone().unwrap_or(tags),
        };
        match there.and_then(|there| there.secrets.get(name)) {
            None => self.add("secret", what, set(None, BTreeMap::new(), Attributes { enabled: Some(true), ..Attributes::default() })),
            Some(FoundSecret::Deleted) => self.fault(&what, &format!(
                "it was deleted and keeps its name: `keyless secret recover {vault} {name}` brings it back, `keyless secret purge {vault} {name}` \
                 frees the name"
            )),
            Some(FoundSecret::OfCertificate) => self.fault(&what, "a certificate of the vault has this name"),
            Some(FoundSecret::Disabled) => self.fault(&what, &format!(
                "somebody disabled it, so that it cannot be compared: keyless secret update {vault} {name} --enabled"
            )),
            Some(FoundSecret::There { is_same_value, content_type, tags, attributes }) => {
                let other_type = secret.content_type.as_deref().is_some_and(|asked| asked != content_type.as_deref().unwrap_or_default());
                let pairs = |tags: &BTreeMap<String, String>| {
                    tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
                };
                let other_tags = secret.tags.as_ref().and_then(|asked| replaced(pairs(tags), pairs(asked)));
                let version = (!is_same_value).then(|| "a new version".to_owned());
                let other_type = other_type.then(|| "content type".to_owned());
                let other_tags = other_tags.map(|told| format!("tags {told}"));
                let words: Vec<_> = [version, other_type, other_tags].into_iter().flatten().collect();
                if !words.is_empty() {
                    let act = match is_same_value {
                        true => Act::DescribeSecret { vault, secret },
                        false => set(content_type.clone(), tags.clone(), *attributes),
                    };
                    self.change("secret", format!("{what}: {}", words.join("; ")), act);
                }
            }
        }
    }
}
