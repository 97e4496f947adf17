//! What can be asked of a vault, as data: so that the model can be asked the same. And how it is said over HTTP.

use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::state::{Kind, Made, Tags};

/// The version of the API that all requests name.
const API: &str = "api-version=7.6";

/// Pages that a list may have, before it is taken for one without end.
const PAGES_MAX: usize = 200;

/// What a request says of attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) enabled: Option<bool>,
    pub(crate) nbf: Option<i64>,
    pub(crate) exp: Option<i64>,
    pub(crate) tags: Option<Tags>,
    pub(crate) content_type: Option<String>,
    pub(crate) operations: Option<Vec<String>>,
}

impl Said {
    /// As members of a body.
    fn body(&self) -> Value {
        let mut attributes = json!({});
        for (name, value) in [
            ("enabled", self.enabled.map(Value::from)),
            ("nbf", self.nbf.map(Value::from)),
            ("exp", self.exp.map(Value::from)),
        ] {
            if let Some(value) = value {
                attributes[name] = value;
            }
        }
        let mut body = json!({ "attributes": attributes });
        for (name, value) in [
            ("tags", self.tags.as_ref().map(|tags| json!(tags))),
            ("contentType", self.content_type.as_ref().map(|text| json!(text))),
            ("key_ops", self.operations.as_ref().map(|operations| json!(operations))),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        body
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Get {
        kind: Kind,
        name: String,
        version: Option<String>,
    },
    Update {
        kind: Kind,
        name: String,
        version: Option<String>,
        said: Said,
    },
    Versions {
        kind: Kind,
        name: String,
        page: usize,
    },
    List {
        kind: Kind,
        page: usize,
    },
    /// Certificates with those that are being made.
    ListPending {
        page: usize,
    },
    Delete {
        kind: Kind,
        name: String,
    },
    GetDeleted {
        kind: Kind,
        name: String,
    },
    ListDeleted {
        kind: Kind,
        page: usize,
    },
    Recover {
        kind: Kind,
        name: String,
    },
    Purge {
        kind: Kind,
        name: String,
    },
    Backup {
        kind: Kind,
        name: String,
    },
    Restore {
        kind: Kind,
        blob: String,
    },
    SetSecret {
        name: String,
        value: String,
        said: Said,
    },
    CreateKey {
        name: String,
        kty: &'static str,
        said: Said,
    },
    /// `which`: of the keys that the generator knows.
    ImportKey {
        name: String,
        which: u64,
        jwk: Value,
        said: Said,
    },
    Rotate {
        name: String,
    },
    GetRotation {
        name: String,
    },
    SetRotation {
        name: String,
        after_days: i64,
        expiry_days: Option<i64>,
    },
    /// `sign`, `encrypt` or `wrapkey`.
    Make {
        name: String,
        version: Option<String>,
        by: &'static str,
        algorithm: &'static str,
        input: String,
    },
    /// What undoes or verifies what was made.
    Check {
        name: String,
        version: Option<String>,
        made: Made,
    },
    /// With issuer Self it is there at once: the answer holds both, the operation and the certificate.
    CreateCertificate {
        name: String,
        policy: Option<Value>,
        said: Said,
    },
    ImportCertificate {
        name: String,
        pem: String,
        said: Said,
    },
    GetPolicy {
        name: String,
    },
    SetPolicy {
        name: String,
        change: Value,
    },
    GetPending {
        name: String,
    },
    CancelPending {
        name: String,
    },
    DeletePending {
        name: String,
    },
}

/// What undoes what was made by an operation.
pub(crate) fn undoes(by: &str) -> &'static str {
    match by {
        "sign" => "verify",
        "encrypt" => "decrypt",
        _ => "unwrapkey",
    }
}

impl Ask {
    /// Kind and verb of the access policy that it needs.
    pub(crate) fn verb(&self) -> (Kind, &'static str) {
        match self {
            Self::Get { kind, .. } | Self::GetDeleted { kind, .. } => (*kind, "get"),
            Self::Update { kind: Kind::Secret, .. } | Self::SetSecret { .. } => (Kind::Secret, "set"),
            Self::Update { kind, .. } => (*kind, "update"),
            Self::Versions { kind, .. } | Self::List { kind, .. } | Self::ListDeleted { kind, .. } => {
                (*kind, "list")
            }
            Self::ListPending { .. } => (Kind::Certificate, "list"),
            Self::Delete { kind, .. } => (*kind, "delete"),
            Self::Recover { kind, .. } => (*kind, "recover"),
            Self::Purge { kind, .. } => (*kind, "purge"),
            Self::Backup { kind, .. } => (*kind, "backup"),
            Self::Restore { kind, .. } => (*kind, "restore"),
            Self::CreateKey { .. } => (Kind::Key, "create"),
            Self::ImportKey { .. } => (Kind::Key, "import"),
            Self::Rotate { .. } => (Kind::Key, "rotate"),
            Self::GetRotation { .. } => (Kind::Key, "getrotationpolicy"),
            Self::SetRotation { .. } => (Kind::Key, "setrotationpolicy"),
            Self::Make { by, .. } => (Kind::Key, by),
            Self::Check { made, .. } => (Kind::Key, undoes(made.by)),
            Self::CreateCertificate { .. } => (Kind::Certificate, "create"),
            Self::ImportCertificate { .. } => (Kind::Certificate, "import"),
            Self::GetPolicy { .. } | Self::GetPending { .. } => (Kind::Certificate, "get"),
            Self::SetPolicy { .. } | Self::CancelPending { .. } | Self::DeletePending { .. } => {
                (Kind::Certificate, "update")
            }
        }
    }

    /// The name that it is asked of, if it is one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::List { .. }
            | Self::ListPending { .. }
            | Self::ListDeleted { .. }
            | Self::Restore { .. } => None,
            Self::Get { name, .. }
            | Self::Update { name, .. }
            | Self::Versions { name, .. }
            | Self::Delete { name, .. }
            | Self::GetDeleted { name, .. }
            | Self::Recover { name, .. }
            | Self::Purge { name, .. }
            | Self::Backup { name, .. }
            | Self::SetSecret { name, .. }
            | Self::CreateKey { name, .. }
            | Self::ImportKey { name, .. }
            | Self::Rotate { name }
            | Self::GetRotation { name }
            | Self::SetRotation { name, .. }
            | Self::Make { name, .. }
            | Self::Check { name, .. }
            | Self::CreateCertificate { name, .. }
            | Self::ImportCertificate { name, .. }
            | Self::GetPolicy { name }
            | Self::SetPolicy { name, .. }
            | Self::GetPending { name }
            | Self::CancelPending { name }
            | Self::DeletePending { name } => Some(name),
        }
    }

    /// Method, path without its parameters, and body.
    pub(crate) fn said(&self) -> (&'static str, String, Option<Value>) {
        let of = |kind: &Kind, name: &str| format!("/{}/{name}", kind.plural());
        let deleted = |kind: &Kind, name: &str| format!("/deleted{}/{name}", kind.plural());
        // The latest version is the empty one, as SDKs say it.
        let at = |kind: &Kind, name: &str, version: &Option<String>| {
            format!("{}/{}", of(kind, name), version.as_deref().unwrap_or_default())
        };
        let (secret, key, certificate) = (&Kind::Secret, &Kind::Key, &Kind::Certificate);
        match self {
            Self::Get { kind, name, version } => ("GET", at(kind, name, version), None),
            Self::Update { kind, name, version, said } => {
                ("PATCH", at(kind, name, version), Some(said.body()))
            }
            Self::Versions { kind, name, .. } => ("GET", format!("{}/versions", of(kind, name)), None),
            Self::List { kind, .. } => ("GET", format!("/{}", kind.plural()), None),
            Self::ListPending { .. } => ("GET", "/certificates".to_owned(), None),
            Self::Delete { kind, name } => ("DELETE", of(kind, name), None),
            Self::GetDeleted { kind, name } => ("GET", deleted(kind, name), None),
            Self::ListDeleted { kind, .. } => ("GET", format!("/deleted{}", kind.plural()), None),
            Self::Recover { kind, name } => ("POST", format!("{}/recover", deleted(kind, name)), None),
            Self::Purge { kind, name } => ("DELETE", deleted(kind, name), None),
            Self::Backup { kind, name } => ("POST", format!("{}/backup", of(kind, name)), None),
            Self::Restore { kind, blob } => {
                ("POST", format!("/{}/restore", kind.plural()), Some(json!({ "value": blob })))
            }
            Self::SetSecret { name, value, said } => {
                let mut body = said.body();
                body["value"] = json!(value);
                ("PUT", of(secret, name), Some(body))
            }
            Self::CreateKey { name, kty, said } => {
                let mut body = said.body();
                body["kty"] = json!(kty);
                ("POST", format!("{}/create", of(key, name)), Some(body))
            }
            Self::ImportKey { name, jwk, said, .. } => {
                let mut body = said.body();
                body["key"] = jwk.clone();
                if let Some(operations) = &said.operations {
                    body["key"]["key_ops"] = json!(operations);
                }
                ("PUT", of(key, name), Some(body))
            }
            Self::Rotate { name } => ("POST", format!("{}/rotate", of(key, name)), None),
            Self::GetRotation { name } => ("GET", format!("{}/rotationpolicy", of(key, name)), None),
            Self::SetRotation { name, after_days, expiry_days } => (
                "PUT",
                format!("{}/rotationpolicy", of(key, name)),
                Some(rotation(*after_days, *expiry_days)),
            ),
            Self::Make { name, version, by, algorithm, input } => {
                let body = json!({ "alg": algorithm, "value": input });
                ("POST", format!("{}/{by}", at(key, name, version)), Some(body))
            }
            Self::Check { name, version, made } => {
                let path = format!("{}/{}", at(key, name, version), undoes(made.by));
                let mut body = made.output.clone();
                body["alg"] = json!(made.algorithm);
                if made.by == "sign" {
                    body["digest"] = json!(made.input);
                }
                ("POST", path, Some(body))
            }
            Self::CreateCertificate { name, policy, said } => {
                let mut body = said.body();
                if let Some(policy) = policy {
                    body["policy"] = policy.clone();
                }
                ("POST", format!("{}/create", of(certificate, name)), Some(body))
            }
            Self::ImportCertificate { name, pem, said } => {
                let mut body = said.body();
                body["value"] = json!(pem);
                ("POST", format!("{}/import", of(certificate, name)), Some(body))
            }
            Self::GetPolicy { name } => ("GET", format!("{}/policy", of(certificate, name)), None),
            Self::SetPolicy { name, change } => {
                ("PATCH", format!("{}/policy", of(certificate, name)), Some(change.clone()))
            }
            Self::GetPending { name } => ("GET", format!("{}/pending", of(certificate, name)), None),
            Self::CancelPending { name } => {
                let body = json!({ "cancellation_requested": true });
                ("PATCH", format!("{}/pending", of(certificate, name)), Some(body))
            }
            Self::DeletePending { name } => ("DELETE", format!("{}/pending", of(certificate, name)), None),
        }
    }

    /// Asks it. A list is followed to its end, and answered whole.
    pub(crate) fn send(&self, client: &mut Client, token: Option<&str>) -> std::io::Result<Reply> {
        let (method, path, body) = self.said();
        match self {
            Self::List { page, .. } | Self::Versions { page, .. } | Self::ListDeleted { page, .. } => {
                whole(client, token, &format!("{path}?{API}&maxresults={page}"), *page)
            }
            Self::ListPending { page } => {
                let target = format!("{path}?{API}&includePending=true&maxresults={page}");
                whole(client, token, &target, *page)
            }
            Self::CreateCertificate { name, .. } => {
                let mut reply = client.send(method, &format!("{path}?{API}"), token, body.as_ref())?;
                if reply.status == 202 && reply.body["issuer"]["name"] == "Self" {
                    let target = format!("/certificates/{name}?{API}");
                    let made = client.send("GET", &target, token, None)?;
                    reply.body = json!({ "operation": reply.body, "certificate": made.body });
                }
                Ok(reply)
            }
            _ => client.send(method, &format!("{path}?{API}"), token, body.as_ref()),
        }
    }
}

/// A rotation policy, as it is sent and as it is answered.
pub(crate) fn rotation(after_days: i64, expiry_days: Option<i64>) -> Value {
    let trigger = json!({ "timeAfterCreate": format!("P{after_days}D") });
    let mut body = json!({
        "lifetimeActions": [{ "trigger": trigger, "action": { "type": "Rotate" } }],
        "attributes": {},
    });
    if let Some(days) = expiry_days {
        body["attributes"]["expiryTime"] = json!(format!("P{days}D"));
    }
    body
}

/// All pages of a list as one. What is wrong with a page by itself is said in place of the list.
pub(crate) fn whole(
    client: &mut Client,
    token: Option<&str>,
    first: &str,
    page: usize,
) -> std::io::Result<Reply> {
    let base = format!("https://{}", client.authority());
    let (mut target, mut items) = (first.to_owned(), Vec::new());
    for _ in 0..PAGES_MAX {
        let reply = client.send("GET", &target, token, None)?;
        if reply.status != 200 {
            return Ok(reply);
        }
        let empty = Vec::new();
        let found = reply.body["value"].as_array().unwrap_or(&empty);
        if found.len() > page {
            let fault = format!("a page of {} items, asked for {page}", found.len());
            return Ok(Reply { status: 200, body: json!({ "fault": fault }) });
        }
        items.extend(found.iter().cloned());
        match &reply.body["nextLink"] {
            Value::Null => return Ok(Reply { status: 200, body: Value::Array(items) }),
            Value::String(link) if link.starts_with(&base) => link[base.len()..].clone_into(&mut target),
            strange => {
                return Ok(Reply { status: 200, body: json!({ "fault": format!("nextLink is {strange}") }) });
            }
        }
    }
    Ok(Reply { status: 200, body: json!({ "fault": "the list has no end" }) })
}
