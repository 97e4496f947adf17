//! What a call that is not refused does, and what it must answer. What only the server can know (identifiers, times, public keys) is learned
//! from the first answer that tells it, within what is possible, and holds from then on.

use serde_json::{Value, json};

use crate::ask::{Ask, Said};
use crate::call::Call;
use crate::client::Reply;
use crate::shape::{same, same_items};
use crate::state::{Attributes, Blob, Content, DAY, Deleted, Kind, Model, Object, Tags, Version};

impl Model {
    /// Holds a call against the rules; if it fits, what it did is done here too.
    pub(crate) fn observe(&mut self, call: &Call) -> Result<(), String> {
        if let Some(refusal) = self.refusal(call) {
            return refusal.check(&call.reply);
        }
        let status = match &call.ask {
            Ask::CreateCertificate { .. } => 202,
            Ask::Purge { .. } => 204,
            _ => 200,
        };
        if call.reply.status != status {
            return Err(format!("should succeed with {status}, is answered {}", call.reply.status));
        }
        self.effect(call)
    }

    fn effect(&mut self, call: &Call) -> Result<(), String> {
        let (at, body) = (call.vault, &call.reply.body);
        match &call.ask {
            Ask::Get { kind, name, version } => self.get(call, *kind, name, version.as_deref()),
            Ask::Update { kind, name, version, said } => {
                self.update(call, *kind, name, version.as_deref(), said)
            }
            Ask::Versions { kind, name, .. } => {
                let vault = &self.vaults[at];
                let of = |object: &Object| {
                    let item = |version| vault.item(*kind, object, version, true);
                    object.versions.iter().map(item).collect()
                };
                same_items("the list of versions", body, vault.live(*kind, name).map_or_else(Vec::new, of))
            }
            Ask::List { kind, .. } => same_items("the list", body, self.items(at, *kind, false)),
            Ask::ListPending { .. } => self.list_pending(call),
            Ask::ListDeleted { kind, .. } => {
                same_items("the list of deleted ones", body, self.items(at, *kind, true))
            }
            Ask::Delete { kind, name } => self.delete(call, *kind, name),
            Ask::GetDeleted { kind: Kind::Certificate, name } if self.vaults[at].is_gone_early(name) => {
                self.same_gone_early(at, name, body)
            }
            Ask::Recover { kind: Kind::Certificate, name } if self.vaults[at].is_gone_early(name) => {
                self.vaults[at].asked(name).deleted = None;
                self.same_coming(at, name, body)
            }
            Ask::Purge { kind: Kind::Certificate, name } if self.vaults[at].is_gone_early(name) => {
                self.vaults[at].pending.remove(&name.to_ascii_lowercase());
                same("body", body, &Value::Null)
            }
            Ask::GetDeleted { kind, name } => {
                let vault = &self.vaults[at];
                let object = vault.deleted(*kind, name).expect("the rules have found it");
                same(
                    "body",
                    body,
                    &vault.with_deletion(*kind, object, vault.bundle(*kind, object, object.latest())),
                )
            }
            Ask::Recover { kind, name } => {
                for kind in self.with_certificate(at, *kind, name) {
                    self.vaults[at].object(kind, name).deleted = None;
                }
                self.same_latest(at, *kind, name, body)
            }
            Ask::Purge { kind, name } => {
                for kind in self.with_certificate(at, *kind, name) {
                    self.vaults[at].objects.remove(&(kind, name.to_ascii_lowercase()));
                }
                same("body", body, &Value::Null)
            }
            Ask::Backup { kind, name } => self.backup(call, *kind, name),
            Ask::Restore { kind, blob } => {
                let known =
                    self.blobs.iter().find(|known| known.text == *blob).expect("the rules have found it");
                let objects = known.objects.clone();
                let name = objects[0].1.name.clone();
                for (kind, object) in objects {
                    self.vaults[at].objects.insert((kind, name.to_ascii_lowercase()), object);
                }
                self.same_latest(at, *kind, &name, body)
            }
            Ask::SetSecret { name, value, said } => {
                let content_type = said.content_type.clone();
                let content = Content::Secret { value: Some(value.clone()), content_type };
                let attributes = self.fresh_attributes(call, said)?;
                self.add(
                    call,
                    Kind::Secret,
                    name,
                    (attributes, said.tags.clone().unwrap_or_default(), content),
                )?;
                let vault = &self.vaults[at];
                let object = vault.live(Kind::Secret, name).expect("it was just added");
                let mut want = vault.bundle(Kind::Secret, object, object.latest());
                want["value"] = json!(value);
                same("body", body, &want)
            }
            Ask::CreateKey { .. }
            | Ask::ImportKey { .. }
            | Ask::Rotate { .. }
            | Ask::GetRotation { .. }
            | Ask::SetRotation { .. }
            | Ask::Make { .. }
            | Ask::Check { .. } => self.effect_on_key(call),
            Ask::CreateCertificate { .. }
            | Ask::ImportCertificate { .. }
            | Ask::GetPolicy { .. }
            | Ask::SetPolicy { .. }
            | Ask::GetPending { .. }
            | Ask::CancelPending { .. }
            | Ask::DeletePending { .. } => self.effect_on_certificate(call),
        }
    }

    fn get(&mut self, call: &Call, kind: Kind, name: &str, version: Option<&str>) -> Result<(), String> {
        let body = &call.reply.body;
        if kind == Kind::Certificate && self.vaults[call.vault].never_made(name).is_some() {
            return self.same_coming(call.vault, name, body);
        }
        self.learn(call, kind, name, version)?;
        let vault = &self.vaults[call.vault];
        let object = vault.live(kind, name).expect("the rules have found it");
        let found = object.find(version).expect("the rules have found it");
        let mut want = vault.bundle(kind, object, found);
        if let Content::Secret { value: Some(value), .. } = &found.content {
            want["value"] = json!(value);
        }
        same("body", body, &want)
    }

    /// Takes over what is not known yet of a version that was made by itself.
    fn learn(&mut self, call: &Call, kind: Kind, name: &str, version: Option<&str>) -> Result<(), String> {
        let body = &call.reply.body;
        let object = self.vaults[call.vault].object(kind, name);
        if object.latest().id.is_empty() && version.is_none() {
            self.learn_latest(call, kind, name)?;
        }
        let object = self.vaults[call.vault].object(kind, name);
        match &mut object.find_mut(version).content {
            Content::Secret { value: value @ None, .. } => *value = body["value"].as_str().map(str::to_owned),
            Content::Key(key) if key.public.is_null() => {
                key.public = crate::keys::public(body);
                if key.operations.is_empty() {
                    let told = body["key"]["key_ops"].as_array().into_iter().flatten();
                    key.operations = told.filter_map(|one| one.as_str().map(str::to_owned)).collect();
                }
            }
            Content::Secret { .. } | Content::Key(_) | Content::Certificate { .. } => {}
        }
        Ok(())
    }

    fn update(
        &mut self,
        call: &Call,
        kind: Kind,
        name: &str,
        id: Option<&str>,
        said: &Said,
    ) -> Result<(), String> {
        let updated = self.updated(call)?;
        if kind == Kind::Certificate && self.vaults[call.vault].is_coming(name, id) {
            let pending = self.vaults[call.vault].asked(name);
            pending.tags = said.tags.clone().unwrap_or_else(|| pending.tags.clone());
            return self.same_coming(call.vault, name, &call.reply.body);
        }
        let vault = &mut self.vaults[call.vault];
        let is_followed = kind == Kind::Certificate && said.enabled.is_some();
        let id = vault.object(kind, name).find(id).map(|version| version.id.clone()).unwrap_or_default();
        for of in Kind::ALL.into_iter().filter(|of| is_followed || *of == kind) {
            let version = vault.object(of, name).find_mut(Some(&id));
            version.attributes.updated = updated;
            version.attributes.enabled = said.enabled.unwrap_or(version.attributes.enabled);
        }
        let version = vault.object(kind, name).find_mut(Some(&id));
        if kind != Kind::Certificate {
            version.attributes.nbf = said.nbf.or(version.attributes.nbf);
            version.attributes.exp = said.exp.or(version.attributes.exp);
        }
        if let Some(tags) = &said.tags {
            version.tags.clone_from(tags);
        }
        match &mut version.content {
            Content::Secret { content_type, .. } if said.content_type.is_some() => {
                content_type.clone_from(&said.content_type);
            }
            Content::Key(key) => {
                if let Some(operations) = &said.operations {
                    key.operations.clone_from(operations);
                }
            }
            Content::Secret { .. } | Content::Certificate { .. } => {}
        }
        let vault = &self.vaults[call.vault];
        let object = vault.live(kind, name).expect("the rules have found it");
        let found = object.find(Some(&id)).expect("the rules have found it");
        same("body", &call.reply.body, &vault.bundle(kind, object, found))
    }

    fn delete(&mut self, call: &Call, kind: Kind, name: &str) -> Result<(), String> {
        if kind == Kind::Certificate && self.vaults[call.vault].never_made(name).is_some() {
            let at = time(call, &call.reply, "deletedDate")?;
            let vault = &mut self.vaults[call.vault];
            let purge = at + vault.days * DAY;
            vault.asked(name).deleted = Some(Deleted { at, purge });
            return self.same_gone_early(call.vault, name, &call.reply.body);
        }
        let at = time(call, &call.reply, "deletedDate")?;
        let kinds = self.with_certificate(call.vault, kind, name);
        let vault = &mut self.vaults[call.vault];
        let purge = at + vault.days * DAY;
        for kind in &kinds {
            vault.object(*kind, name).deleted = Some(Deleted { at, purge });
        }
        if kind == Kind::Certificate {
            vault.pending.remove(&name.to_ascii_lowercase());
        }
        let vault = &self.vaults[call.vault];
        let object = vault.deleted(kind, name).expect("it was just deleted");
        let want = vault.with_deletion(kind, object, vault.bundle(kind, object, object.latest()));
        same("body", &call.reply.body, &want)
    }

    fn backup(&mut self, call: &Call, kind: Kind, name: &str) -> Result<(), String> {
        let Some(value) = call.reply.body["value"].as_str() else {
            return Err("the answer has no value".to_owned());
        };
        let vault = &mut self.vaults[call.vault];
        let kinds = if kind == Kind::Certificate {
            vec![Kind::Certificate, Kind::Key, Kind::Secret]
        } else {
            vec![kind]
        };
        let objects = kinds.into_iter().map(|kind| (kind, vault.object(kind, name).clone())).collect();
        self.blobs.push(Blob { text: value.to_owned(), kind, objects });
        Ok(())
    }

    /// A kind, and with a certificate those that belong to it: they come and go together.
    fn with_certificate(&self, at: usize, kind: Kind, name: &str) -> Vec<Kind> {
        let vault = &self.vaults[at];
        let belongs = |of: &Kind| {
            *of == kind
                || kind == Kind::Certificate
                    && vault
                        .objects
                        .get(&(*of, name.to_ascii_lowercase()))
                        .is_some_and(|object| object.managed)
        };
        Kind::ALL.into_iter().filter(belongs).collect()
    }

    fn items(&self, at: usize, kind: Kind, deleted: bool) -> Vec<Value> {
        let vault = &self.vaults[at];
        let of = vault.objects.iter().filter(|((of, _), _)| *of == kind).map(|(_, object)| object);
        of.filter(|object| object.deleted.is_some() == deleted && !(deleted && object.managed))
            .map(|object| vault.with_deletion(kind, object, vault.item(kind, object, object.latest(), false)))
            .collect()
    }

    fn list_pending(&self, call: &Call) -> Result<(), String> {
        let vault = &self.vaults[call.vault];
        let mut got = call.reply.body.clone();
        let mut want = self.items(call.vault, Kind::Certificate, false);
        for pending in vault.pending.values().filter(|pending| vault.is_coming(&pending.name, None)) {
            let id = json!(vault.id(Kind::Certificate, &pending.name, None));
            want.push(json!({ "id": id, "x5t": "", "tags": pending.tags }));
            // What is being made has no attributes that the model knows.
            for item in got.as_array_mut().into_iter().flatten().filter(|item| item["id"] == id) {
                item.as_object_mut().map(|item| item.remove("attributes"));
            }
        }
        same_items("the list with those that are being made", &got, want)
    }

    /// Adds a version to an object, or makes it.
    pub(crate) fn add(
        &mut self,
        call: &Call,
        kind: Kind,
        name: &str,
        (attributes, tags, content): (Attributes, Tags, Content),
    ) -> Result<(), String> {
        let id = self.new_id(&call.reply.body)?;
        let key = (kind, name.to_ascii_lowercase());
        let object = self.vaults[call.vault].objects.entry(key).or_insert_with(|| Object::new(name, false));
        object.versions.push(Version { id, attributes, tags, content });
        Ok(())
    }

    /// The version of an answer, which must be a new one.
    pub(crate) fn new_id(&mut self, body: &Value) -> Result<String, String> {
        let told = body["id"].as_str().or(body["key"]["kid"].as_str()).unwrap_or_default();
        let id = told.rsplit('/').next().unwrap_or_default().to_owned();
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match is_id && !self.ids.contains(&id) {
            true => {
                self.ids.push(id.clone());
                Ok(id)
            }
            false => Err(format!("{told:?} is not the identifier of a new version")),
        }
    }

    /// Attributes of a version that a call makes.
    pub(crate) fn fresh_attributes(&self, call: &Call, said: &Said) -> Result<Attributes, String> {
        let created = time(call, &call.reply, "created")?;
        let (nbf, exp) = (said.nbf, said.exp);
        Ok(Attributes { enabled: said.enabled.unwrap_or(true), nbf, exp, created, updated: created })
    }

    fn updated(&self, call: &Call) -> Result<i64, String> {
        time(call, &call.reply, "updated")
    }

    /// The bundle of the latest version must be the body.
    pub(crate) fn same_latest(&self, at: usize, kind: Kind, name: &str, body: &Value) -> Result<(), String> {
        let vault = &self.vaults[at];
        let object = vault.live(kind, name).expect("it is there");
        same("body", body, &vault.bundle(kind, object, object.latest()))
    }
}

/// A time of an answer that must be of this call.
pub(crate) fn time(call: &Call, reply: &Reply, name: &str) -> Result<i64, String> {
    let told = match &reply.body[name] {
        Value::Null => &reply.body["attributes"][name],
        told => told,
    };
    match told.as_i64() {
        Some(time) if (call.before..=call.after).contains(&time) => Ok(time),
        _ => Err(format!(
            "{name} is {told}, should be the time of the call: {} to {}",
            call.before, call.after
        )),
    }
}
