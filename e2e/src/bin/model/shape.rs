//! How things look in answers: bundles, items of lists, deleted ones. Whole bodies are compared, so that nothing may be there besides.

use serde_json::{Value, json};

use crate::state::{Attributes, Content, DAY, KeyContent, Kind, Object, Vault, Version};

/// An error of the first place where two values differ.
pub(crate) fn same(what: &str, got: &Value, want: &Value) -> Result<(), String> {
    match difference(got, want) {
        None => Ok(()),
        Some((path, got, want)) => Err(format!("{what}{path} is {got}, should be {want}")),
    }
}

fn difference(got: &Value, want: &Value) -> Option<(String, String, String)> {
    match (got, want) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            names.into_iter().find_map(|name| {
                let side = |of: &serde_json::Map<String, Value>| of.get(name).cloned();
                match (side(one), side(other)) {
                    (Some(got), Some(want)) => {
                        difference(&got, &want).map(|(path, got, want)| (format!(".{name}{path}"), got, want))
                    }
                    (got, want) => Some((format!(".{name}"), shown(got.as_ref()), shown(want.as_ref()))),
                }
            })
        }
        _ if got == want => None,
        _ => Some((String::new(), shown(Some(got)), shown(Some(want)))),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), |value| crate::call::shortened(&value.to_string(), 400))
}

/// An error unless every member of `part` is in `whole`, and the same there.
pub(crate) fn covers(what: &str, whole: &Value, part: &Value) -> Result<(), String> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().try_for_each(|(name, part)| {
            covers(&format!("{what}.{name}"), whole.get(name).unwrap_or(&Value::Null), part)
        }),
        _ => same(what, whole, part),
    }
}

/// `kty` of a key; empty while unknown.
pub(crate) fn kind_of_key(key: &KeyContent) -> &str {
    key.public["kty"].as_str().unwrap_or_default()
}

impl Vault {
    /// The identifier of an object, or of a version of it.
    pub(crate) fn id(&self, kind: Kind, name: &str, version: Option<&str>) -> String {
        let version = version.map(|version| format!("/{version}")).unwrap_or_default();
        format!("https://{}/{}/{name}{version}", self.host, kind.plural())
    }

    pub(crate) fn attributes(&self, kind: Kind, attributes: &Attributes, is_item: bool) -> Value {
        let Attributes { enabled, nbf, exp, created, updated } = attributes;
        let mut shown = json!({ "enabled": enabled, "created": created, "updated": updated });
        for (name, time) in [("nbf", nbf), ("exp", exp)] {
            if let Some(time) = time {
                shown[name] = json!(time);
            }
        }
        if !(is_item && kind == Kind::Certificate) {
            let level =
                if self.days == 90 { "Recoverable+Purgeable" } else { "CustomizedRecoverable+Purgeable" };
            shown["recoveryLevel"] = json!(level);
            shown["recoverableDays"] = json!(self.days);
        }
        if kind == Kind::Key {
            shown["exportable"] = json!(false);
            shown["hsmPlatform"] = json!("0");
        }
        shown
    }

    /// A version as operations answer it, without a secret's value.
    pub(crate) fn bundle(&self, kind: Kind, object: &Object, version: &Version) -> Value {
        let id = self.id(kind, &object.name, Some(&version.id));
        let attributes = self.attributes(kind, &version.attributes, false);
        let mut body = json!({ "attributes": attributes, "tags": version.tags });
        match &version.content {
            Content::Secret { content_type, .. } => {
                body["id"] = json!(id);
                if let Some(content_type) = content_type {
                    body["contentType"] = json!(content_type);
                }
                if let Some(previous) = previous(object, version) {
                    body["previousVersion"] = json!(previous);
                }
                if object.managed {
                    body["kid"] = json!(self.id(Kind::Key, &object.name, Some(&version.id)));
                }
            }
            Content::Key(key) => {
                body["key"] = key.public.clone();
                body["key"]["kid"] = json!(id);
                body["key"]["key_ops"] = json!(key.operations);
            }
            Content::Certificate { told } => {
                body["id"] = json!(id);
                body["kid"] = json!(self.id(Kind::Key, &object.name, Some(&version.id)));
                body["sid"] = json!(self.id(Kind::Secret, &object.name, Some(&version.id)));
                for name in ["cer", "x5t"] {
                    body[name] = told[name].clone();
                }
                body["policy"] = self.policy(&object.name, &object.policy);
            }
        }
        if object.managed {
            body["managed"] = json!(true);
        }
        body
    }

    /// A policy with its identifier.
    pub(crate) fn policy(&self, name: &str, policy: &Value) -> Value {
        let mut policy = policy.clone();
        policy["id"] = json!(format!("{}/policy", self.id(Kind::Certificate, name, None)));
        policy
    }

    /// An item of a list: of objects by the identifier of the object, of versions by theirs.
    pub(crate) fn item(&self, kind: Kind, object: &Object, version: &Version, is_version: bool) -> Value {
        let id = self.id(kind, &object.name, is_version.then_some(version.id.as_str()));
        let attributes = self.attributes(kind, &version.attributes, true);
        let mut body = json!({ "attributes": attributes, "tags": version.tags });
        body[if kind == Kind::Key { "kid" } else { "id" }] = json!(id);
        match &version.content {
            Content::Secret { content_type: Some(content_type), .. } => {
                body["contentType"] = json!(content_type);
            }
            Content::Certificate { told } => body["x5t"] = told["x5t"].clone(),
            Content::Secret { .. } | Content::Key(_) => {}
        }
        if let (Content::Secret { .. }, Some(previous)) = (&version.content, previous(object, version)) {
            body["previousVersion"] = json!(previous);
        }
        if object.managed {
            body["managed"] = json!(true);
        }
        body
    }

    /// What a deleted object is told with besides.
    pub(crate) fn with_deletion(&self, kind: Kind, object: &Object, mut body: Value) -> Value {
        if let Some(deleted) = &object.deleted {
            let id = format!("https://{}/deleted{}/{}", self.host, kind.plural(), object.name);
            body["recoveryId"] = json!(id);
            body["deletedDate"] = json!(deleted.at);
            body["scheduledPurgeDate"] = json!(deleted.at + self.days * DAY);
        }
        body
    }
}

/// Which version came before, as only a certificate's secret tells it.
fn previous<'a>(object: &'a Object, version: &Version) -> Option<&'a str> {
    let at = object.versions.iter().position(|known| known.id == version.id)?;
    let before = object.versions.get(at.checked_sub(1)?)?;
    object.managed.then_some(before.id.as_str())
}

/// Two lists with the same items, in whatever order.
pub(crate) fn same_items(what: &str, got: &Value, want: Vec<Value>) -> Result<(), String> {
    let Value::Array(got) = got else { return Err(format!("{what}: {got}")) };
    let id = |item: &Value| item["id"].as_str().or(item["kid"].as_str()).unwrap_or_default().to_owned();
    let sorted = |items: &[Value]| {
        let mut items: Vec<(String, Value)> = items.iter().map(|item| (id(item), item.clone())).collect();
        items.sort_by(|one, other| one.0.cmp(&other.0));
        items
    };
    let (got, want) = (sorted(got), sorted(&want));
    let ids = |items: &[(String, Value)]| items.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    if ids(&got) != ids(&want) {
        let missing: Vec<_> = ids(&want).into_iter().filter(|id| !ids(&got).contains(id)).collect();
        let more: Vec<_> = ids(&got).into_iter().filter(|id| !ids(&want).contains(id)).collect();
        return Err(format!(
            "{what} has {} items, should have {}: missing {missing:?}, too many {more:?}",
            got.len(),
            want.len()
        ));
    }
    got.iter().zip(&want).try_for_each(|((id, got), (_, want))| same(&format!("{what}: {id}"), got, want))
}
