//! What must hold of everything in the store after each commit: the promises that are one commit.

use identity::App;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
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
            if text("/kind/type") == "application"
                && !self.has(&format!("registration/{}", text("/kind/registration")))
            {
                return Err(format!("principal {id} has no registration"));
            }
            if text("/kind/type") != "user" && !self.has(&format!("principal-client/{}", text("/client"))) {
                return Err(format!("principal {id} is not found by its client id"));
            }
        }
        for (id, registration) in self.of("registration/") {
            let client = registration.pointer("/client").and_then(Value::as_str).unwrap_or_default();
            if !self.has(&format!("registration-client/{client}")) {
                return Err(format!("registration {id} is not found by its client id"));
            }
        }
        for (place, head) in self.of("secret/") {
            let latest = head.pointer("/latest").and_then(Value::as_str).unwrap_or_default();
            if !self.has(&format!("secret-version/{place}/{latest}")) {
                return Err(format!("the latest version of secret {place} is missing"));
            }
        }
        for (place, _) in self.of("secret-version/") {
            let head = place.rsplit_once('/').map_or(place, |(head, _)| head);
            if !self.has(&format!("secret/{head}")) {
                return Err(format!("version {place} is of no secret"));
            }
        }
        Ok(())
    }
}
