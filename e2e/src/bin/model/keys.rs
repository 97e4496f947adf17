//! What calls do to keys: making, rotating, using them.

use serde_json::{Map, Value, json};

use crate::ask::{Ask, rotation};
use crate::call::Call;
use crate::effects::time;
use crate::shape::same;
use crate::state::{Attributes, Content, DAY, KeyContent, Kind, Made, Model, Rotation};

/// Type and public members of a key as an answer tells it.
pub(crate) fn public(body: &Value) -> Value {
    let members = body["key"].as_object().cloned().unwrap_or_default();
    let members: Map<String, Value> =
        members.into_iter().filter(|(name, _)| name != "kid" && name != "key_ops").collect();
    Value::Object(members)
}

/// What a key may do unless it is said.
pub(crate) fn operations(kty: &str) -> Vec<String> {
    let operations: &[&str] = match kty {
        "EC" => &["sign", "verify"],
        "RSA" => &["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
        _ => &["encrypt", "decrypt", "wrapKey", "unwrapKey"],
    };
    operations.iter().map(|operation| (*operation).to_owned()).collect()
}

/// Which members a public key of a type has.
fn check_public(kty: &str, public: &Value) -> Result<(), String> {
    let members: &[&str] = match kty {
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        _ => &["kty"],
    };
    let got: Vec<&String> = public.as_object().into_iter().flat_map(|of| of.keys()).collect();
    let is_whole = members.iter().all(|name| public[name].as_str().is_some_and(|text| !text.is_empty()));
    if is_whole && got.len() == members.len() && public["kty"] == kty {
        Ok(())
    } else {
        Err(format!("the key has the members {got:?}, should be of type {kty} with {members:?}"))
    }
}

impl Model {
    pub(crate) fn effect_on_key(&mut self, call: &Call) -> Result<(), String> {
        let (at, body) = (call.vault, &call.reply.body);
        match &call.ask {
            Ask::CreateKey { name, kty, said } => {
                let material = self.fresh_material();
                check_public(kty, &public(body))?;
                self.make_key(
                    call,
                    name,
                    said,
                    KeyContent {
                        public: public(body),
                        operations: said.operations.clone().unwrap_or_else(|| operations(kty)),
                        material,
                    },
                )
            }
            Ask::ImportKey { name, which, jwk, said } => {
                let kty = jwk["kty"].as_str().unwrap_or_default();
                let mut told = jwk.clone();
                if let Some(members) = told.as_object_mut() {
                    members.retain(|name, _| name != "d" && name != "k");
                }
                self.make_key(
                    call,
                    name,
                    said,
                    KeyContent {
                        public: told,
                        operations: said.operations.clone().unwrap_or_else(|| operations(kty)),
                        // Of its own kind of numbers, so that the same key under two names is the same.
                        material: u64::MAX - which,
                    },
                )
            }
            Ask::Rotate { name } => {
                let object = self.vaults[at].live(Kind::Key, name).expect("the rules have found it");
                let old = object.latest().clone();
                let expiry = object.rotation.as_ref().and_then(|rotation| rotation.expiry_days);
                let Content::Key(key) = old.content else { return Err("no key".to_owned()) };
                let created = time(call, &call.reply, "created")?;
                let exp = expiry.map(|days| created + days * DAY);
                let attributes = Attributes { enabled: true, nbf: None, exp, created, updated: created };
                check_public(key.public["kty"].as_str().unwrap_or_default(), &public(body))?;
                if public(body) == key.public && key.public["kty"] != "oct" {
                    return Err("the rotated key is the same as before".to_owned());
                }
                let material = self.fresh_material();
                let content = Content::Key(KeyContent { public: public(body), material, ..key });
                self.add(call, Kind::Key, name, (attributes, old.tags, content))?;
                self.same_latest(at, Kind::Key, name, body)
            }
            Ask::GetRotation { name } => self.same_rotation(call, name),
            Ask::SetRotation { name, after_days, expiry_days } => {
                let updated = time(call, &call.reply, "updated")?;
                let object = self.vaults[at].object(Kind::Key, name);
                let created = object.rotation.as_ref().map_or(updated, |rotation| rotation.created);
                let (after_days, expiry_days) = (*after_days, *expiry_days);
                object.rotation = Some(Rotation { after_days, expiry_days, created, updated });
                self.same_rotation(call, name)
            }
            Ask::Make { name, version, by, algorithm, input } => {
                let (kid, material, id) = self.used(at, name, version.as_deref());
                same("kid", &body["kid"], &json!(kid))?;
                if body["value"].as_str().is_none_or(str::is_empty) {
                    return Err("the answer has no value".to_owned());
                }
                let mut output = body.clone();
                output.as_object_mut().map(|members| members.remove("kid"));
                let key = (at, name.to_ascii_lowercase(), id);
                self.made.push(Made { by, algorithm, material, key, input: input.clone(), output });
                Ok(())
            }
            Ask::Check { name, version, made } => {
                let (kid, material, _) = self.used(at, name, version.as_deref());
                let want = match made.by {
                    "sign" => json!({ "value": material == made.material }),
                    _ => json!({ "kid": kid, "value": made.input }),
                };
                same("body", body, &want)
            }
            _ => Ok(()),
        }
    }

    fn make_key(
        &mut self,
        call: &Call,
        name: &str,
        said: &crate::ask::Said,
        key: KeyContent,
    ) -> Result<(), String> {
        let attributes = self.fresh_attributes(call, said)?;
        let tags = said.tags.clone().unwrap_or_default();
        self.add(call, Kind::Key, name, (attributes, tags, Content::Key(key)))?;
        self.same_latest(call.vault, Kind::Key, name, &call.reply.body)
    }

    /// Identifier, material and version of the key that an operation uses.
    fn used(&self, at: usize, name: &str, version: Option<&str>) -> (String, u64, String) {
        let vault = &self.vaults[at];
        let object = vault.live(Kind::Key, name).expect("the rules have found it");
        let found = object.find(version).expect("the rules have found it");
        let material = match &found.content {
            Content::Key(key) => key.material,
            Content::Secret { .. } | Content::Certificate { .. } => 0,
        };
        (vault.id(Kind::Key, &object.name, Some(&found.id)), material, found.id.clone())
    }

    fn same_rotation(&self, call: &Call, name: &str) -> Result<(), String> {
        let vault = &self.vaults[call.vault];
        let object = vault.live(Kind::Key, name).expect("the rules have found it");
        let mut want = match &object.rotation {
            Some(policy) => {
                let mut shown = rotation(policy.after_days, policy.expiry_days);
                shown["attributes"]["created"] = json!(policy.created);
                shown["attributes"]["updated"] = json!(policy.updated);
                shown
            }
            // What every key has that was told nothing.
            None => json!({
                "lifetimeActions": [{ "trigger": { "timeBeforeExpiry": "P30D" }, "action": { "type": "Notify" } }],
                "attributes": {},
            }),
        };
        want["id"] = json!(format!("{}/rotationpolicy", vault.id(Kind::Key, &object.name, None)));
        same("body", &call.reply.body, &want)
    }
}
