//! Asks operations of one world by their names in the list, holds what comes back against it, and keeps account of what was asked.

use super::{
    shape::{Check, Way},
    table::{Operation, Table, Version},
};
use crate::{golden_keyvault, support::World};
use axum::body::Body;
use http::{Request, header};
use serde_json::Value;
use std::collections::BTreeSet;
use tower::ServiceExt as _;

const HOST: &str = "shop.vault.keyless.localhost:8443";

/// An answer as far as its form is described.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) challenge: Option<String>,
    kind: Option<String>,
    body: Vec<u8>,
}

/// One version of the API, in a world of its own.
pub(super) struct Exercise {
    pub(super) world: World,
    pub(super) version: Version,
    pub(super) table: Table,
    succeeded: BTreeSet<String>,
    refused: BTreeSet<String>,
    answered: BTreeSet<String>,
    sent: BTreeSet<String>,
}

impl Exercise {
    /// `{token}` is of an app that may do everything in the vault.
    pub(super) async fn new(version: Version) -> Self {
        let world = golden_keyvault::world().await;
        let all = "get,list,set,delete,recover,purge,backup,restore;keys=all;certificates=all";
        world.allow("shop", &world.name("{app.principal}"), all).await;
        let empty = BTreeSet::new;
        let (succeeded, refused, answered, sent) = (empty(), empty(), empty(), empty());
        Self { world, version, table: Table::read(), succeeded, refused, answered, sent }
    }

    /// Is this exercise of the newer version?
    pub(super) fn is_newer(&self) -> bool {
        self.version > Version::V7_5
    }

    /// Does an operation on `name` and, behind a slash, `version`, which must succeed as described; what it answers.
    pub(super) async fn does(&mut self, operation: &str, object: &str, body: Value) -> Value {
        self.does_with(operation, object, "", body).await
    }

    /// The same with parameters, each with `&` before it.
    pub(super) async fn does_with(
        &mut self,
        operation: &str,
        object: &str,
        query: &str,
        body: Value,
    ) -> Value {
        let operation = self.table.operation(operation);
        self.is_described_request(&operation, &body);
        let target = self.target(&operation, object, query);
        let answer = self.send(&operation.method, &target, Some("{token}"), &body).await;
        let text = String::from_utf8_lossy(&answer.body);
        let at = format!("{} of {object}", operation.name);
        assert_eq!(answer.status, operation.status, "{at}: {text}");
        self.succeeded.insert(operation.name.clone());
        let Some(shape) = &operation.answer else {
            assert!(answer.body.is_empty() && answer.kind.is_none(), "{at}: {answer:?}");
            return Value::Null;
        };
        let body = self.json(&at, &answer);
        let seen = self.holds(&at, shape, &body, Way::Answer);
        self.answered.extend(seen);
        body
    }

    /// Does an operation that must be refused as its line says, or as is said here.
    pub(super) async fn is_refused(
        &mut self,
        operation: &str,
        object: &str,
        body: Value,
        as_: (u16, &str, Option<&str>),
    ) {
        let operation = self.table.operation(operation);
        self.is_described_request(&operation, &body);
        let target = self.target(&operation, object, "");
        let answer = self.send(&operation.method, &target, Some("{token}"), &body).await;
        self.is_error(&operation, &answer, as_).await;
    }

    /// An answer is an error of this status, code (if any is given) and inner code.
    pub(super) async fn is_error(
        &mut self,
        operation: &Operation,
        answer: &Answer,
        (status, code, inner): (u16, &str, Option<&str>),
    ) {
        let at = &operation.name;
        assert_eq!(answer.status, status, "{at}: {}", String::from_utf8_lossy(&answer.body));
        let body = self.json(at, answer);
        let seen = self.holds(at, "KeyVaultError", &body, Way::Answer);
        self.answered.extend(seen);
        let error = &body["error"];
        assert!(code.is_empty() || error["code"] == code, "{at}: {body}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{at}: {body}");
        assert!(inner.is_none() || error["innererror"]["code"].as_str() == inner, "{at}: {body}");
        self.refused.insert(operation.name.clone());
    }

    fn target(&self, operation: &Operation, object: &str, query: &str) -> String {
        let (name, version) = object.split_once('/').unwrap_or((object, ""));
        for name in query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name) {
            let is_known =
                operation.query.iter().any(|(known, since)| known == name && *since <= self.version);
            assert!(is_known || name == "$skiptoken", "{}: {name}", operation.name);
        }
        let path = operation.path(&[("name", name), ("issuer", name), ("version", version)]);
        format!("{path}?api-version={}{query}", self.version.as_str())
    }

    /// What is sent here is what a client may send.
    fn is_described_request(&mut self, operation: &Operation, body: &Value) {
        match &operation.body {
            None => assert!(body.is_null(), "{} takes no body", operation.name),
            Some(shape) => {
                let seen = self.holds(&operation.name, shape, body, Way::Request);
                self.sent.extend(seen);
            }
        }
    }

    fn holds(&self, at: &str, shape: &str, body: &Value, way: Way) -> BTreeSet<String> {
        let mut check = Check::new(&self.table.shapes, self.version, HOST, way);
        check.body(shape, shape, body);
        assert!(check.faults.is_empty(), "{at}: {:#?}\n{body:#}", check.faults);
        check.seen
    }

    fn json(&self, at: &str, answer: &Answer) -> Value {
        assert_eq!(answer.kind.as_deref(), Some("application/json; charset=utf-8"), "{at}");
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{at}: {error}"))
    }

    /// Sends a request.
    pub(super) async fn send(&self, method: &str, target: &str, token: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, HOST);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.world.name(token)));
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        };
        let response = self.world.public.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (challenge, kind) = (text(header::WWW_AUTHENTICATE), text(header::CONTENT_TYPE));
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Answer { status, challenge, kind, body }
    }

    /// Nothing of the lists was left out.
    pub(super) fn was_complete(&self) {
        let (mut answered, mut sent) = (BTreeSet::new(), BTreeSet::new());
        self.table.shapes.answered("KeyVaultError", self.version, &mut answered);
        for operation in self.table.operations(self.version) {
            assert!(self.refused.contains(&operation.name), "{} was never refused", operation.name);
            let is_done = self.succeeded.contains(&operation.name);
            assert_eq!(is_done, operation.refused.is_none(), "{} was done: {is_done}", operation.name);
            if let (Some(shape), true) = (&operation.answer, is_done) {
                self.table.shapes.answered(shape, self.version, &mut answered);
            }
            if let Some(shape) = &operation.body {
                self.table.shapes.sent(shape, self.version, &mut sent);
            }
        }
        let never: Vec<_> = answered.difference(&self.answered).collect();
        assert!(never.is_empty(), "no answer ever had {never:?}");
        let never: Vec<_> = sent.difference(&self.sent).collect();
        assert!(never.is_empty(), "no request ever had {never:?}");
    }
}

/// The last part of an identifier: a version.
pub(super) fn last(id: &Value) -> String {
    id.as_str().and_then(|id| id.rsplit('/').next()).unwrap_or_default().to_owned()
}
