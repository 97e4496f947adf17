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
pub(crate) struct Records(BTreeMap<String, (Arc<[u8]>, Value)>);

impl Records {
    /// Takes over what the store holds now.
    pub(crate) fn update(&mut self, dump: Vec<(Key, Arc<[u8]>)>) {
        let mut known = std::mem::take(&mut self.0);
        for (key, value) in dump {
            let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
            let parsed = match known.remove(&key) {
                Some((earlier, parsed)) if Arc::ptr_eq(&earlier, &value) => parsed,
                _ => serde_json::from_slice(&value).unwrap_or_default(),
            };
            self.0.insert(key, (value, parsed));
        }
    }

    fn of<'r>(&'r self, prefix: &'r str) -> impl Iterator<Item = (&'r str, &'r Value)> {
        let rest = move |(key, (_, value)): (&'r String, &'r (Arc<[u8]>, Value))| {
            Some((key.strip_prefix(prefix)?, value))
        };
        self.0.iter().filter_map(rest)
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// All of them.
    ///
    /// # Errors
    /// The first that does not hold.
    pub(crate) fn check(&self) -> Result<(), String> {
        let apps: Vec<App> =
            self.of("app/").filter_map(|(_, value)| serde_json::from_value(value.clone()).ok()).collect();
        for app in &apps {
            let Some(identity) = app.identity else { continue };
            let principal = self.0.get(&format!("principal/{identity}")).map(|(_, value)| value);
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
        self.check_secrets()
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
            if !self.has(&format!("secret-version/{object}/{}", text("/latest"))) {
                return Err(format!("the latest version of secret {place} is missing"));
            }
            if !objects.insert(object) {
                return Err(format!("secret {place} is there twice"));
            }
            if is_deleted && self.has(&format!("secret/{place}")) {
                return Err(format!("secret {place} is there and deleted"));
            }
            if is_deleted {
                let purge_at = self.0.get(&format!("deleted-secret/{place}"));
                let purge_at = purge_at.and_then(|(_, deleted)| deleted.pointer("/purge_at")?.as_i64());
                let at = purge_at.unwrap_or_default();
                if !self.has(&format!("due/{at:020}/{vault}/purge/secret/{}", text("/id"))) {
                    return Err(format!("deleted secret {place} is never purged"));
                }
                due += 1;
            }
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
