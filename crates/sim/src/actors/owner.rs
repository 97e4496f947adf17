//! The owner of one secret: the only one who sets it, so that its values have an order.

use super::{API, is_principal, operator, read_secret, register};
use crate::{executor::turns, world::World};
use serde_json::json;
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 6;

/// Sets the secret again and again, and reads it as the administrator.
pub(crate) async fn keep(world: Rc<World>, vault: &'static str, secret: &'static str) {
    let mut token = None;
    for _ in 0..ROUNDS {
        turns(&world.fate, 40).await;
        if token.is_none() || world.fate.chance(20) {
            token = operator::token(&world).await;
        }
        let Some(bearer) = token.clone() else { continue };
        set(&world, &bearer, vault, secret).await;
        if read_secret(&world, "the owner", &bearer, vault, secret).await == Some(401) {
            token = None;
        }
    }
}

async fn set(world: &World, token: &str, vault: &str, secret: &str) {
    let name = register(vault, secret);
    let (number, value) = world.ledger.borrow_mut().write(&name);
    let path = format!("/secrets/{secret}?{API}");
    let body = ("application/json", json!({"value": value}).to_string());
    let answer = world.public(&format!("{vault}.vault"), "PUT", &path, Some(token), Some(body)).await;
    let status = answer.as_ref().map(|answer| answer.status);
    world.ledger.borrow_mut().tell(format!("the owner sets {name} to {number}: {status:?}"));
    if let Some(answer) = answer.filter(|answer| answer.is_success()) {
        let administrator = world.stage.borrow().administrator.clone();
        world.expect_record(&answer, "a set", |actor| is_principal(actor, &administrator));
        let version = answer.text("/id").rsplit('/').next().unwrap_or_default().to_owned();
        let mut ledger = world.ledger.borrow_mut();
        ledger.written(&name, number, &version);
        ledger.count("secrets set");
    }
}
