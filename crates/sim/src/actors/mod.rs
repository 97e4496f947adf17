//! Who uses the system: an operator twice, another for the identity that apps share, an owner of resource groups twice, programs with managed identities, owners of secrets, a registered client, a person in two browsers with who looks after them, a thief, and chaos.
//! Each knows only what it was told, and hands it to the ledger.

pub(crate) mod chaos;
pub(crate) mod client;
pub(crate) mod manager;
pub(crate) mod operator;
pub(crate) mod owner;
pub(crate) mod person;
pub(crate) mod program;
pub(crate) mod registrar;
pub(crate) mod shared;
pub(crate) mod stage;
pub(crate) mod thief;

use crate::world::World;
use audit::Actor;
use serde_json::Value;
use std::{pin::pin, task::Poll};

const API: &str = "api-version=7.4";

/// The claims that a client reads in its own token.
pub(crate) struct Claims {
    pub(crate) principal: String,
    pub(crate) expires: i64,
    pub(crate) client: String,
    /// Empty for an app's own identity.
    pub(crate) attachment: String,
}

/// Reads a token without judging it.
pub(crate) fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).and_then(|text| crypt::encoding::from_base64url(text).ok());
    let claims: Value = payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    Claims {
        principal: claims.pointer("/oid").and_then(Value::as_str).unwrap_or_default().to_owned(),
        client: claims.pointer("/appid").and_then(Value::as_str).unwrap_or_default().to_owned(),
        attachment: claims
            .pointer("/keyless_attachment")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        expires: claims.pointer("/exp").and_then(Value::as_i64).unwrap_or_default(),
    }
}

/// Switches that a token of this principal hangs on.
fn of_principal(principal: &str) -> [String; 2] {
    [format!("principal {principal} enabled"), format!("principal {principal} there")]
}

/// The switch of a policy.
fn policy(vault: &str, principal: &str) -> String {
    format!("policy of {vault} for {principal}")
}

/// The switch of a secret that was deleted.
fn there(register: &str) -> String {
    format!("secret {register} there")
}

/// Does two things at the same time.
async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut of_first, mut of_second) = (None, None);
    std::future::poll_fn(move |context| {
        if of_first.is_none()
            && let Poll::Ready(done) = first.as_mut().poll(context)
        {
            of_first = Some(done);
        }
        if of_second.is_none()
            && let Poll::Ready(done) = second.as_mut().poll(context)
        {
            of_second = Some(done);
        }
        match (of_first.take(), of_second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (first, second) => {
                (of_first, of_second) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// How a secret is called in the ledger.
fn register(vault: &str, secret: &str) -> String {
    format!("{vault}/{secret}")
}

/// Reads a secret's latest value with a token and has everything about the answer checked. Answers the status.
/// `on`: what the token stands on besides its principal, as its client knows.
async fn read_secret(
    world: &World,
    who: &str,
    token: &str,
    vault: &str,
    secret: &str,
    on: &[String],
) -> Option<u16> {
    let claims = claims(token);
    let name = register(vault, secret);
    let (watch, floor, began) =
        (world.watch(), world.ledger.borrow_mut().register(&name).floor(), world.now().seconds());
    let path = format!("/secrets/{secret}/?{API}");
    let answer = world.public(&format!("{vault}.vault"), "GET", &path, Some(token), None).await;
    let answer = answer.as_ref();
    let status = answer.map(|answer| answer.status);
    world.ledger.borrow_mut().tell(format!("{who} reads {name}: {status:?}"));
    let answer = answer?;
    if answer.is_success() {
        world.expect_record(answer, "a read", |actor| is_principal(actor, &claims.principal));
        let mut ledger = world.ledger.borrow_mut();
        ledger.read(&name, floor, &answer.text("/value"));
        ledger.count("secrets read");
        ledger.succeeded(&format!("{who}'s read of {name}"), &watch, &of_principal(&claims.principal));
        ledger.succeeded(&format!("{who}'s read of {name}"), &watch, &[there(&name)]);
        ledger.succeeded(&format!("{who}'s read of {name}"), &watch, on);
        let stands_on = shared::stands_on(&claims.attachment);
        ledger.succeeded(&format!("{who}'s read of {name}"), &watch, &stands_on);
        if claims.expires <= began {
            ledger.violated(format!("{who} read {name} with a token that had expired"));
        }
        if claims.principal != world.stage.borrow().administrator {
            let policy = policy(vault, &claims.principal);
            ledger.succeeded(&format!("{who}'s read of {name}"), &watch, std::slice::from_ref(&policy));
            ledger.was_allowed(&format!("{who}'s read of {name}"), &policy);
        }
    }
    status
}

fn is_principal(actor: &Actor, principal: &str) -> bool {
    matches!(actor, Actor::Principal { id, .. } if id.to_string() == principal)
}
