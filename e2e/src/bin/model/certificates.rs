//! What calls do to certificates: each version has a key and a secret of the same name and version, which follow it.

use serde_json::{Value, json};

use crate::ask::{Ask, Said};
use crate::call::Call;
use crate::effects::time;
use crate::shape::{covers, same};
use crate::state::{
    Attributes, Content, DAY, KeyContent, Kind, Model, Object, Pending, Progress, Tags, Version,
};

/// A policy as it is kept here: without its identifier.
fn kept(policy: &Value) -> Value {
    let mut policy = policy.clone();
    policy.as_object_mut().map(|members| members.remove("id"));
    policy
}

/// What a change of a policy makes of it.
fn merged(whole: &Value, change: &Value) -> Value {
    match (whole, change) {
        (Value::Object(whole), Value::Object(change)) => {
            let mut whole = whole.clone();
            for (name, value) in change {
                let before = whole.get(name).cloned().unwrap_or(Value::Null);
                whole.insert(name.clone(), merged(&before, value));
            }
            Value::Object(whole)
        }
        _ => change.clone(),
    }
}

/// When a version is followed by another, if its policy says so and its issuer needs nobody. Never within a day.
fn renewal(policy: &Value, attributes: &Attributes, now: i64) -> Option<i64> {
    if policy["issuer"]["name"] != "Self" {
        return None;
    }
    let actions = policy["lifetime_actions"].as_array()?;
    let action = actions.iter().find(|action| action["action"]["action_type"] == "AutoRenew")?;
    let (from, until) = (attributes.nbf?, attributes.exp?);
    let at = match action["trigger"]["days_before_expiry"].as_i64() {
        Some(days) => until - days * DAY,
        None => from + (until - from) / 100 * action["trigger"]["lifetime_percentage"].as_i64()?,
    };
    Some(at.max(now + DAY))
}

impl Model {
    pub(crate) fn effect_on_certificate(&mut self, call: &Call) -> Result<(), String> {
        let (at, body) = (call.vault, &call.reply.body);
        match &call.ask {
            Ask::CreateCertificate { name, policy, said } => {
                self.create_certificate(call, name, policy.as_ref(), said)
            }
            Ask::ImportCertificate { name, said, .. } => {
                self.compose(call, name, body, said)?;
                self.same_latest(at, Kind::Certificate, name, body)
            }
            Ask::GetPolicy { name } => {
                let vault = &self.vaults[at];
                match vault.live(Kind::Certificate, name) {
                    Some(object) => same("body", body, &vault.policy(&object.name, &object.policy)),
                    None => covers("body", body, &vault.pending[&name.to_ascii_lowercase()].policy),
                }
            }
            Ask::SetPolicy { name, change } if self.vaults[at].is_coming(name, None) => {
                let pending = self.vaults[at].asked(name);
                pending.policy = merged(&pending.policy, change);
                covers("body", body, &pending.policy)
            }
            Ask::SetPolicy { name, change } => {
                let updated = time(call, &call.reply, "updated")?;
                let object = self.vaults[at].object(Kind::Certificate, name);
                object.policy = merged(&object.policy, change);
                object.policy["attributes"]["updated"] = json!(updated);
                object.renewal = renewal(&object.policy, &object.latest().attributes.clone(), updated);
                let vault = &self.vaults[at];
                let object = vault.live(Kind::Certificate, name).expect("the rules have found it");
                same("body", body, &vault.policy(&object.name, &object.policy))
            }
            Ask::GetPending { name } => self.same_pending(at, name, body),
            Ask::CancelPending { name } => {
                self.vaults[at].asked(name).progress = Progress::Cancelled;
                self.same_pending(at, name, body)
            }
            Ask::DeletePending { name } => {
                self.same_pending(at, name, body)?;
                self.vaults[at].pending.remove(&name.to_ascii_lowercase());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn create_certificate(
        &mut self,
        call: &Call,
        name: &str,
        policy: Option<&Value>,
        said: &Said,
    ) -> Result<(), String> {
        let vault = &self.vaults[call.vault];
        let object = vault.live(Kind::Certificate, name);
        let known = object.map_or(Value::Null, |object| object.policy.clone());
        let policy = policy.cloned().unwrap_or(known);
        let issuer = policy["issuer"]["name"].as_str().unwrap_or_default().to_owned();
        let is_at_once = issuer == "Self";
        let body = &call.reply.body;
        let operation = if is_at_once { &body["operation"] } else { body };
        let request = operation["request_id"].as_str().unwrap_or_default().to_owned();
        if request.is_empty() || !operation["csr"].is_string() {
            return Err(format!("the operation has no request_id or csr: {operation}"));
        }
        let pending = Pending {
            name: object.map_or(name, |object| &object.name).to_owned(),
            progress: Progress::Begun,
            version: String::new(),
            issuer,
            request,
            csr: operation["csr"].clone(),
            tags: said.tags.clone().unwrap_or_default(),
            policy: policy.clone(),
            deleted: None,
        };
        self.vaults[call.vault].pending.insert(name.to_ascii_lowercase(), pending);
        self.same_pending(call.vault, name, operation)?;
        if !is_at_once {
            return Ok(());
        }
        let pending = self.vaults[call.vault].pending.get_mut(&name.to_ascii_lowercase());
        pending.expect("it was just made").progress = Progress::Completed;
        let mut asked = kept(&policy);
        asked.as_object_mut().map(|members| members.remove("attributes"));
        covers("certificate.policy", &body["certificate"]["policy"], &asked)?;
        self.compose(call, name, &body["certificate"], said)?;
        self.same_latest(call.vault, Kind::Certificate, name, &body["certificate"])
    }

    /// Adds a version to a certificate, its key and its secret, as the certificate's bundle tells it.
    fn compose(&mut self, call: &Call, name: &str, body: &Value, said: &Said) -> Result<(), String> {
        let id = self.new_id(body)?;
        let coming = self.vaults[call.vault].pending.get(&name.to_ascii_lowercase());
        if let Some(said) = coming.filter(|it| it.progress == Progress::Begun && !it.version.is_empty())
            && said.version != id
        {
            return Err(format!("it is version {id}, and was to be {}", said.version));
        }
        let tags = said.tags.clone().unwrap_or_default();
        let attributes = certificate_attributes(call, body, said.enabled.unwrap_or(true))?;
        let material = self.fresh_material();
        let vault = &mut self.vaults[call.vault];
        for kind in [Kind::Certificate, Kind::Key, Kind::Secret] {
            let content = content(kind, body, material);
            let key = (kind, name.to_ascii_lowercase());
            let fresh = || Object::new(name, kind != Kind::Certificate);
            let object = vault.objects.entry(key).or_insert_with(fresh);
            let version =
                Version { id: id.clone(), attributes: attributes.clone(), tags: tags.clone(), content };
            object.versions.push(version);
        }
        let object = vault.object(Kind::Certificate, name);
        object.policy = kept(&body["policy"]);
        object.renewal = renewal(&object.policy, &attributes, attributes.created);
        Ok(())
    }

    /// Learns what the newest version is, which was made by itself.
    pub(crate) fn learn_latest(&mut self, call: &Call, kind: Kind, name: &str) -> Result<(), String> {
        let body = &call.reply.body;
        let id = self.new_id(body)?;
        let object = self.vaults[call.vault].object(kind, name);
        let before = object.versions.iter().rev().nth(1).map_or(0, |before| before.attributes.created);
        if kind == Kind::Key {
            let created = body["attributes"]["created"].as_i64().unwrap_or_default();
            if !(before..=call.after).contains(&created) {
                return Err(format!("the version that was made by itself was created at {created}"));
            }
            let expiry = object.rotation.as_ref().and_then(|rotation| rotation.expiry_days);
            let exp = expiry.map(|days| created + days * DAY);
            let version = object.find_mut(None);
            version.id = id;
            version.attributes = Attributes { enabled: true, nbf: None, exp, created, updated: created };
            return Ok(());
        }
        let since = Call { before, ..call.clone() };
        let attributes = certificate_attributes(&since, body, true)?;
        for kind in Kind::ALL {
            let version = self.vaults[call.vault].object(kind, name).find_mut(None);
            version.id.clone_from(&id);
            version.attributes = attributes.clone();
            if let Content::Certificate { told } = &mut version.content {
                *told = json!({ "cer": body["cer"], "x5t": body["x5t"] });
            }
        }
        let object = self.vaults[call.vault].object(kind, name);
        object.renewal = renewal(&object.policy, &attributes, attributes.created);
        let policy = object.policy.clone();
        // What was made by itself is told by the pending operation as well.
        let (tags, csr) = (Tags::new(), Value::Null);
        let (name, request, issuer) = (object.name.clone(), String::new(), "Self".to_owned());
        let progress = Progress::Completed;
        let version = id;
        let deleted = None;
        let pending =
            Pending { name: name.clone(), progress, version, issuer, request, csr, tags, policy, deleted };
        self.vaults[call.vault].pending.insert(name.to_ascii_lowercase(), pending);
        Ok(())
    }

    /// A certificate whose first version is still to come.
    pub(crate) fn same_coming(&mut self, at: usize, name: &str, body: &Value) -> Result<(), String> {
        let want = self.coming(at, name, body);
        same("body", body, &want)?;
        covers("policy", &body["policy"], &self.vaults[at].asked(name).policy)
    }

    /// One that was deleted before it came.
    pub(crate) fn same_gone_early(&mut self, at: usize, name: &str, body: &Value) -> Result<(), String> {
        let mut want = self.coming(at, name, body);
        let vault = &mut self.vaults[at];
        let pending = vault.asked(name).clone();
        let deleted = pending.deleted.expect("the rules have found it");
        want["recoveryId"] = json!(format!("https://{}/deletedcertificates/{}", vault.host, pending.name));
        want["deletedDate"] = json!(deleted.at);
        want["scheduledPurgeDate"] = json!(deleted.purge);
        same("what never came", body, &want)
    }

    /// What is told of it: which version it will be stays what was said first.
    fn coming(&mut self, at: usize, name: &str, body: &Value) -> Value {
        let vault = &mut self.vaults[at];
        let known = vault.asked(name).name.clone();
        let of = vault.id(Kind::Certificate, &known, None);
        let pending = vault.asked(name);
        if pending.version.is_empty() {
            let id = body["id"].as_str().unwrap_or_default();
            id.rsplit('/').next().unwrap_or_default().clone_into(&mut pending.version);
        }
        let (version, tags) = (pending.version.clone(), pending.tags.clone());
        let time = |name: &str| body["attributes"][name].as_i64().unwrap_or_default();
        // It is not served, whatever it will be.
        let attributes = Attributes {
            enabled: false,
            nbf: None,
            exp: None,
            created: time("created"),
            updated: time("updated"),
        };
        json!({
            "id": format!("{of}/{version}"),
            "attributes": vault.attributes(Kind::Certificate, &attributes, false),
            "tags": tags,
            "policy": body["policy"],
            "pending": { "id": format!("{of}/pending") },
        })
    }

    fn same_pending(&mut self, at: usize, name: &str, body: &Value) -> Result<(), String> {
        let vault = &mut self.vaults[at];
        let pending = vault.pending.get_mut(&name.to_ascii_lowercase()).expect("the rules have found it");
        if pending.request.is_empty() {
            body["request_id"].as_str().unwrap_or_default().clone_into(&mut pending.request);
            pending.csr = body["csr"].clone();
        }
        let pending = vault.pending[&name.to_ascii_lowercase()].clone();
        let status = match pending.progress {
            Progress::Begun => "inProgress",
            Progress::Completed => "completed",
            Progress::Cancelled => "cancelled",
        };
        let id = vault.id(Kind::Certificate, &pending.name, None);
        let mut want = json!({
            "id": format!("{id}/pending"),
            "issuer": { "name": pending.issuer },
            "csr": pending.csr,
            "cancellation_requested": pending.progress == Progress::Cancelled,
            "status": status,
            "request_id": pending.request,
        });
        if pending.progress == Progress::Completed {
            want["target"] = json!(id);
        } else {
            // Words for people.
            want["status_details"] = body["status_details"].clone();
        }
        same("pending", body, &want)
    }
}

/// What is said of a certificate's version: its times are those of the certificate itself.
fn certificate_attributes(call: &Call, body: &Value, enabled: bool) -> Result<Attributes, String> {
    let told = &body["attributes"];
    let number = |name: &str| told[name].as_i64();
    let (Some(nbf), Some(exp), Some(created)) = (number("nbf"), number("exp"), number("created")) else {
        return Err(format!("the certificate's attributes are {told}"));
    };
    if nbf >= exp || !(call.before..=call.after).contains(&created) {
        return Err(format!(
            "the certificate's attributes are {told}, it was made at {} to {}",
            call.before, call.after
        ));
    }
    Ok(Attributes { enabled, nbf: Some(nbf), exp: Some(exp), created, updated: created })
}

fn content(kind: Kind, body: &Value, material: u64) -> Content {
    match kind {
        Kind::Secret => {
            let content_type = body["policy"]["secret_props"]["contentType"].as_str().map(str::to_owned);
            Content::Secret { value: None, content_type }
        }
        // What its key is and may do is learned when it is first read.
        Kind::Key => Content::Key(KeyContent { public: Value::Null, operations: Vec::new(), material }),
        Kind::Certificate => Content::Certificate { told: json!({ "cer": body["cer"], "x5t": body["x5t"] }) },
    }
}
