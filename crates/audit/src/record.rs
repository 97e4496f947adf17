//! The record: one thing that was done or refused, and the sink that takes it.
//!
//! Texts are names and reasons in our words; a secret's value, a token or an endpoint secret never belongs into one.

use crate::{AuditError, together::Joined};
use crypt::encoding::{json_number, json_text};
use domain::{AppName, ClientId, PrincipalId, RequestId, Timestamp, WorkloadId};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::{fmt, net::SocketAddr, ops::Deref, sync::Arc, task::Waker};

/// Who did what to which thing, allowed or refused and why, and from which process. Its serde form is that of its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// When the request came, seconds since the epoch.
    pub at: Timestamp,
    /// The request, as in `x-ms-request-id`.
    pub request: RequestId,
    /// Who asked.
    pub actor: Actor,
    /// What was asked, in dotted words: `secret.get`, `token.issue`, `app.identity.assign`.
    pub action: &'static str,
    /// The thing that it was asked of.
    pub target: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was allowed (which policy), refused or failed.
    pub reason: String,
    /// What the kernel said of the calling process.
    pub origin: SharedOrigin,
}

impl Record {
    /// Appends its members as JSON, each after a comma. Every request writes one: by hand, the same bytes as serde's.
    pub(crate) fn append_members(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(br#","at":"#);
        json_number(self.at.seconds(), json);
        json.extend_from_slice(br#","request":""#);
        json.extend_from_slice(self.request.text().as_ref());
        json.extend_from_slice(br#"","actor":"#);
        self.actor.append(json);
        json.extend_from_slice(br#","action":"#);
        json_text(self.action, json);
        json.extend_from_slice(br#","target":"#);
        json_text(&self.target, json);
        json.extend_from_slice(br#","outcome":"#);
        json_text(self.outcome.text(), json);
        json.extend_from_slice(br#","reason":"#);
        json_text(&self.reason, json);
        json.extend_from_slice(br#","origin":"#);
        json.extend_from_slice(self.origin.0.1.get().as_bytes());
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was permitted and done.
    Allowed,
    /// It was not permitted, or not well formed.
    Refused,
    /// It was permitted, and we could not do it.
    Failed,
}

impl Outcome {
    const fn text(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Actor {
    /// Nobody who has proven anything.
    Anonymous,
    /// A principal with a verified token.
    Principal {
        /// Its object id.
        id: PrincipalId,
        /// The client that acted for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<ClientId>,
    },
    /// Whoever may use the admin socket.
    Administrator,
    /// An attested workload.
    Workload {
        /// The running instance.
        id: WorkloadId,
        /// The app that it is an instance of.
        app: AppName,
    },
    /// Keyless itself.
    System,
}

impl Actor {
    fn append(&self, json: &mut Vec<u8>) {
        match self {
            Self::Anonymous => json.extend_from_slice(br#"{"kind":"anonymous"}"#),
            Self::Administrator => json.extend_from_slice(br#"{"kind":"administrator"}"#),
            Self::System => json.extend_from_slice(br#"{"kind":"system"}"#),
            Self::Principal { id, client } => {
                json.extend_from_slice(br#"{"kind":"principal","id":""#);
                json.extend_from_slice(id.text().as_ref());
                if let Some(client) = client {
                    json.extend_from_slice(br#"","client":""#);
                    json.extend_from_slice(client.text().as_ref());
                }
                json.extend_from_slice(br#""}"#);
            }
            Self::Workload { id, app } => {
                json.extend_from_slice(br#"{"kind":"workload","id":""#);
                json.extend_from_slice(id.text().as_ref());
                json.extend_from_slice(br#"","app":"#);
                json_text(app.as_str(), json);
                json.push(b'}');
            }
        }
    }
}

/// What the kernel said of the calling process, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The peer's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The peer's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The peer's cgroup path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The peer's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
}

/// An origin as its records share it, written as JSON once: a connection has one, and leaves many records.
#[derive(Clone)]
pub struct SharedOrigin(Arc<(Origin, Box<RawValue>)>);

impl From<Origin> for SharedOrigin {
    fn from(origin: Origin) -> Self {
        // Serializing this shape cannot fail: its keys are text.
        let written = serde_json::value::to_raw_value(&origin).unwrap_or_default();
        Self(Arc::new((origin, written)))
    }
}

impl Default for SharedOrigin {
    fn default() -> Self {
        Origin::default().into()
    }
}

impl Deref for SharedOrigin {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.0.0
    }
}

impl fmt::Debug for SharedOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl PartialEq for SharedOrigin {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedOrigin {}

impl Serialize for SharedOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.1.serialize(serializer)
    }
}

/// Where records go.
pub trait AuditSink: Send + Sync {
    /// Writes a record. Returns once it has been handed to the kernel, so that it outlives this process.
    ///
    /// # Errors
    /// [`AuditError`]: the record is not written, and the request must be refused.
    fn append(&self, record: &Record) -> Result<(), AuditError>;

    /// Begins to write a record together with those of others who come at the same time; by [`crate::append_together`] only. A sink that
    /// gains nothing by it writes at once.
    fn join(&self, record: &Record, _waker: &Waker) -> Joined {
        Joined::Appended(self.append(record))
    }

    /// Writes what waits since [`Self::join`].
    fn write_joined(&self) {}

    /// Whether the last append failed. The next append tries again.
    fn is_failed(&self) -> bool;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Some record.
    pub(crate) fn record(action: &'static str) -> Record {
        Record {
            at: Timestamp::from_seconds(1_764_000_000),
            request: "5f0f7a0e-1111-4222-8333-444455556666".parse().unwrap(),
            actor: Actor::Workload {
                id: "5f0f7a0e-1111-4222-8333-444455557777".parse().unwrap(),
                app: AppName::parse("shop").unwrap(),
            },
            action,
            target: "vault/orders/secrets/db".to_owned(),
            outcome: Outcome::Allowed,
            reason: "access policy of vault orders: get".to_owned(),
            origin: Origin {
                address: Some("127.0.0.1:40000".parse().unwrap()),
                uid: Some(1_000),
                pid: Some(42),
                cgroup: Some("/keyless.slice/shop".to_owned()),
                executable: Some("/usr/bin/python3.13".to_owned()),
            }
            .into(),
        }
    }

    #[test]
    fn a_line_says_what_the_record_does() {
        let id = "5f0f7a0e-1111-4222-8333-444455557777";
        let principal = |client| Actor::Principal { id: id.parse().unwrap(), client };
        let workload = Actor::Workload { id: id.parse().unwrap(), app: AppName::parse("Shop").unwrap() };
        let actors = [
            (Actor::Anonymous, Outcome::Refused),
            (Actor::Administrator, Outcome::Failed),
            (Actor::System, Outcome::Allowed),
            (principal(None), Outcome::Allowed),
            (principal(Some(id.parse().unwrap())), Outcome::Refused),
            (workload, Outcome::Allowed),
        ];
        for (actor, outcome) in actors {
            let target = "a \"strange\"\n\u{1f600} one".to_owned();
            let record = Record { actor, outcome, target, ..record("secret.get") };
            let (mut line, serde) = (Vec::new(), serde_json::to_string(&record).unwrap());
            record.append_members(&mut line);
            assert_eq!(format!("{{{}}}", &std::str::from_utf8(&line).unwrap()[1..]), serde);
        }
    }

    #[test]
    fn records_read_as_one_would_say_them() {
        let mut record = record("secret.get");
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"at":1764000000,"request":"5f0f7a0e-1111-4222-8333-444455556666","actor":{"kind":"workload","#,
                r#""id":"5f0f7a0e-1111-4222-8333-444455557777","app":"shop"},"action":"secret.get","#,
                r#""target":"vault/orders/secrets/db","outcome":"allowed","reason":"access policy of vault orders: get","#,
                r#""origin":{"address":"127.0.0.1:40000","uid":1000,"pid":42,"cgroup":"/keyless.slice/shop","#,
                r#""executable":"/usr/bin/python3.13"}}"#
            )
        );
        record.actor = Actor::Anonymous;
        record.origin = SharedOrigin::default();
        let text = serde_json::to_string(&record).unwrap();
        assert!(
            text.contains(r#""actor":{"kind":"anonymous"}"#) && text.ends_with(r#""origin":{}}"#),
            "{text}"
        );
    }
}
