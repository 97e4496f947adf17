//! What must hold of everything in the store after each commit: the promises that are one commit.

use identity::App;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::Key;

/// The records of a store, parsed once for each value.
#[derive(Default)]
pub(crate) struct Records {
    all: BTreeMap<String, (Arc<[u8]>, Value)>,
    /// Roles at groups, as they were before: the names of the assignments and of the groups.
    at_groups: BTreeMap<String, String>,
}

impl Records {
    /// Takes over what the store holds now.
    pub(crate) fn update(&mut self, dump: Vec<(Key, Arc<[u8]>)>) {
        let mut known = std::mem::take(&mut self.all);
        for (key, value) in dump {
            let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
            let parsed = match known.remove(&key) {
                Some((earlier, parsed)) if Arc::ptr_eq(&earlier, &value) => parsed,
                _ => serde_json::from_slice(&value).unwrap_or_default(),
            };
            self.all.insert(key, (value, parsed));
        }
    }

    fn of<'r>(&'r self, prefix: &'r str) -> impl Iterator<Item = (&'r str, &'r Value)> {
        let rest = move |(key, (_, value)): (&'r String, &'r (Arc<[u8]>, Value))| {
            Some((key.strip_prefix(prefix)?, value))
        };
        self.all.iter().filter_map(rest)
    }

    fn has(&self, key: &str) -> bool {
        self.all.contains_key(key)
    }

    /// All of them.
    ///
    /// # Errors
    /// The first that does not hold.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let apps: Vec<App> =
            self.of("app/").filter_map(|(_, value)| serde_json::from_value(value.clone()).ok()).collect();
        for app in &apps {
            let Some(identity) = app.identity else { continue };
            let principal = self.all.get(&format!("principal/{identity}")).map(|(_, value)| value);
            let owner =
                principal.and_then(|principal| principal.pointer("/kind/app")).and_then(Value::as_str);
            if owner != Some(app.id.to_string().as_str()) {
                return Err(format!("app {} has an identity and no principal of its own", app.name));
            }
        }
        for (id, principal) in self.of("principal/") {
            let text = |pointer| principal.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if text("/id") != id {
                return Err(format!("principal {id} is another one"));
            }
            if text("/kind/type") == "managed_identity" {
                let is_owned = apps.iter().any(|app| {
                    app.id.to_string() == text("/kind/app")
                        && app.identity.is_some_and(|identity| identity.to_string() == id)
                });
                if !is_owned {
                    return Err(format!("principal {id} is the identity of no app"));
                }
            }
            let is_named = || {
                self.of("identity/")
                    .any(|(_, identity)| identity.pointer("/principal").and_then(Value::as_str) == Some(id))
            };
            if text("/kind/type") == "user_assigned_identity" && !is_named() {
                return Err(format!("principal {id} is an identity without a name"));
            }
            if text("/kind/type") == "application"
                && !self.has(&format!("registration/{}", text("/kind/registration")))
            {
                return Err(format!("principal {id} has no registration"));
            }
            if text("/kind/type") != "user" && !self.has(&format!("principal-client/{}", text("/client"))) {
                return Err(format!("principal {id} is not found by its client id"));
            }
        }
        for (name, identity) in self.of("identity/") {
            let principal = identity.pointer("/principal").and_then(Value::as_str).unwrap_or_default();
            if !self.has(&format!("principal/{principal}")) {
                return Err(format!("identity {name} has no principal"));
            }
        }
        for (id, registration) in self.of("registration/") {
            let client = registration.pointer("/client").and_then(Value::as_str).unwrap_or_default();
            if !self.has(&format!("registration-client/{client}")) {
                return Err(format!("registration {id} is not found by its client id"));
            }
        }
        self.check_groups(&apps)?;
        self.check_roles(&apps)?;
        self.check_secrets()
    }

    /// Whatever is in a group is in one that is there, and what is told of an app is of one that is.
    fn check_groups(&self, apps: &[App]) -> Result<(), String> {
        let is_there =
            |group: &str| group == "keyless" || self.has(&format!("resource-group/{}", group.to_lowercase()));
        let kinds = ["app/", "vault/", "identity/", "plan/"];
        for (kind, (name, placed)) in kinds.iter().flat_map(|kind| self.of(kind).map(move |it| (kind, it))) {
            let group = placed.pointer("/placement/group").and_then(Value::as_str).unwrap_or("keyless");
            if !is_there(group) {
                return Err(format!("{kind}{name} is in resource group {group}, which is gone"));
            }
        }
        match self.of("site/").find(|(id, _)| apps.iter().all(|app| app.id.to_string() != *id)) {
            Some((id, _)) => Err(format!("what is told of app {id} is of no app")),
            None => Ok(()),
        }
    }

    /// A role is given at what is there, or is known to have to go; and those at a group stay until it goes.
    fn check_roles(&mut self, apps: &[App]) -> Result<(), String> {
        let ids = |prefix, pointer| {
            let id = move |(_, record): (&str, &Value)| record.pointer(pointer)?.as_str().map(str::to_owned);
            self.of(prefix).filter_map(id).collect::<BTreeSet<_>>()
        };
        let (plans, identities) = (ids("plan/", "/id"), ids("identity/", "/principal"));
        let vaults = &ids("vault/", "/id") | &ids("deleted-vault/", "/vault/id");
        let mut at_groups = BTreeMap::new();
        for (principal, roles) in self.of("wide-roles/") {
            for one in roles.pointer("/assignments").and_then(Value::as_array).into_iter().flatten() {
                let text = |pointer| one.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                let (kind, of) = (text("/0/kind"), text("/0/of"));
                let is_there = match kind {
                    "group" => self.has(&format!("resource-group/{}", of.to_lowercase())),
                    "app" => apps.iter().any(|app| app.id.to_string() == of),
                    "plan" => plans.contains(of),
                    "identity" => identities.contains(of),
                    _ => true,
                };
                if !is_there && !self.has(&format!("vacated/{kind}/{of}")) {
                    return Err(format!("{principal} has a role at {kind} {of}, which is gone"));
                }
                if kind == "group" {
                    at_groups.insert(text("/1/id").to_owned(), of.to_owned());
                }
            }
        }
        for (place, _) in self.of("role-assignment/") {
            let vault = place.split('/').next().unwrap_or_default();
            if !vaults.contains(vault) && !self.has(&format!("garbage/{vault}/")) {
                return Err(format!("a role is given at vault {vault}, which is gone"));
            }
        }
        let is_going = |group: &str| {
            let found = self.all.get(&format!("resource-group/{}", group.to_lowercase()));
            found.is_none_or(|(_, found)| found.pointer("/is_going") == Some(&Value::Bool(true)))
        };
        let lost = self.at_groups.iter().find(|(id, group)| !at_groups.contains_key(*id) && !is_going(group));
        let lost =
            lost.map(|(id, group)| format!("role {id} at resource group {group}, which stays, is lost"));
        self.at_groups = at_groups;
        lost.map_or(Ok(()), Err)
    }

    /// A secret is there or deleted, not both; each deleted one is due to be purged, and nothing else is; and no version is without
    /// somebody who shows it or removes it.
    fn check_secrets(&self) -> Result<(), String> {
        let there = self.of("secret/").map(|(place, head)| (place, head, false));
        let deleted = self
            .of("deleted-secret/")
            .filter_map(|(place, deleted)| Some((place, deleted.pointer("/head")?, true)));
        let (mut objects, mut due) = (BTreeSet::new(), 0);
        for (place, head, is_deleted) in there.chain(deleted) {
            let text = |pointer| head.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let vault = place.split('/').next().unwrap_or_default();
            let object = format!("{vault}/{}", text("/id"));
            let is_in_head = text("/whole/version") == text("/latest");
            if is_in_head == self.has(&format!("secret-version/{object}/{}", text("/latest"))) {
                return Err(format!("the latest version of secret {place} is missing, or there twice"));
            }
            if !objects.insert(object) {
                return Err(format!("secret {place} is there twice"));
            }
            if is_deleted && self.has(&format!("secret/{place}")) {
                return Err(format!("secret {place} is there and deleted"));
            }
            if is_deleted {
                let purge_at = self.all.get(&format!("deleted-secret/{place}"));
                let purge_at = purge_at.and_then(|(_, deleted)| deleted.pointer("/purge_at")?.as_i64());
                let at = purge_at.unwrap_or_default();
                if !self.has(&format!("due/{at:020}/{vault}/purge/secret/{}", text("/id"))) {
                    return Err(format!("deleted secret {place} is never purged"));
                }
                due += 1;
            }
        }
        for (name, deleted) in self.of("deleted-vault/") {
            let at = deleted.pointer("/purge_at").and_then(Value::as_i64).unwrap_or_default();
            let vault = deleted.pointer("/vault/id").and_then(Value::as_str).unwrap_or_default();
            if !self.has(&format!("due/{at:020}/{vault}/purge-vault")) {
                return Err(format!("deleted vault {name} is never purged"));
            }
            due += 1;
        }
        if self.of("due/").count() != due {
            return Err("something is due that is not deleted".to_owned());
        }
        for (place, _) in self.of("secret-version/") {
            let object = place.rsplit_once('/').map_or(place, |(object, _)| object);
            let is_garbage = || {
                let (vault, id) = object.split_once('/').unwrap_or_default();
                self.has(&format!("garbage/{vault}/secret/{id}"))
            };
            if !objects.contains(object) && !is_garbage() {
                return Err(format!("version {place} is of no secret"));
            }
        }
        Ok(())
    }
}
