//! Who looks after the user and the user's client: disables and enables the user, sets another password, gives and takes client secrets.
//! Each of it ends what it must from the moment of its acknowledgement.

use super::{
    both,
    operator::{enable, falling},
    person::by_password,
};
use crate::{
    executor::turns,
    sign_ins,
    world::{Answer, Outcome3, World, outcome},
};
use serde_json::json;
use std::rc::Rc;

/// What is done in a run.
const STEPS: u64 = 5;
/// Of them, passwords that are set: each costs a hash, which takes as long as all else of a run.
const PASSWORDS_MAX: usize = 2;

/// Works for a while.
pub(crate) async fn work(world: Rc<World>) {
    for _ in 0..STEPS {
        turns(&world.fate, 60).await;
        let is_shaken = world.sign_ins.borrow().is_shaken;
        if is_shaken && !settle(&world).await {
            continue;
        }
        let passwords = world.sign_ins.borrow().passwords.len();
        match world.fate.roll(10) {
            0 => disable(&world).await,
            1 | 2 if passwords < PASSWORDS_MAX => set_password(&world).await,
            3 | 4 => remove_secret(&world).await,
            5 | 6 => add_secret(&world).await,
            _ => {}
        }
    }
}

/// The user is enabled, and nothing else is on its way: from now on sign-ins hold.
pub(crate) async fn settle(world: &World) -> bool {
    if world.store.has_late() {
        return false;
    }
    let user = world.stage.borrow().user.clone();
    let is_enabled = enable(world, &user, true).await == Outcome3::Done;
    if is_enabled {
        world.sign_ins.borrow_mut().calm();
    }
    is_enabled
}

async fn disable(world: &World) {
    let _known = world.sign_ins.borrow_mut().shake();
    let user = world.stage.borrow().user.clone();
    let disabled = enable(world, &user, false).await;
    turns(&world.fate, 60).await;
    if enable(world, &user, true).await == Outcome3::Done && disabled != Outcome3::Unknown {
        world.sign_ins.borrow_mut().calm();
    }
}

async fn set_password(world: &World) {
    let (text, before, known) = {
        let mut sign_ins = world.sign_ins.borrow_mut();
        let before: Vec<_> = (0..sign_ins.passwords.len()).map(sign_ins::password).collect();
        for name in &before {
            sign_ins.doubt(name.clone());
        }
        let text = format!("correct-horse-{}", before.len());
        sign_ins.passwords.push(text.clone());
        (text, before, sign_ins.shake())
    };
    world.ledger.borrow_mut().hide(&text);
    let user = world.stage.borrow().user.clone();
    let path = format!("/v1/users/{user}/password");
    let change = world.admin("PUT", &path, Some(json!({"password": text})));
    let answer = match before.len().checked_sub(1) {
        // Whoever knows the one of before is quick.
        Some(former) => both(change, by_password(world, former)).await.0,
        None => change.await,
    };
    match outcome(answer.as_ref()) {
        Outcome3::Done => {
            let mut ledger = world.ledger.borrow_mut();
            ledger.count("passwords set");
            for name in before.iter().chain(&known) {
                ledger.gone(name);
            }
            drop(ledger);
            world.sign_ins.borrow_mut().calm();
        }
        Outcome3::NotDone | Outcome3::Unknown => {
            let number = before.len();
            world.sign_ins.borrow_mut().doubt(sign_ins::password(number));
        }
    }
}

pub(crate) async fn add_secret(world: &World) {
    let path = format!("/v1/registrations/{}/credentials", world.stage.borrow().portal);
    let answer = world.admin("POST", &path, Some(json!({"display_name": "portal"}))).await;
    if let Some(answer) = answer.filter(Answer::is_success) {
        let (id, secret) = (answer.text("/id"), answer.text("/secret"));
        world.ledger.borrow_mut().hide(&secret);
        world.stage.borrow_mut().portal_secrets.push((id, secret));
    }
}

/// Takes the oldest but one, so that there is one to go on with, or to be refused by.
async fn remove_secret(world: &World) {
    let secrets = world.stage.borrow().portal_secrets.clone();
    let Some((id, _)) = secrets.iter().rev().nth(1) else { return };
    let name = format!("credential {id}");
    world.sign_ins.borrow_mut().doubt(name.clone());
    let path = format!("/v1/registrations/{}/credentials/{id}", world.stage.borrow().portal);
    falling(world, &[name], world.admin("DELETE", &path, None)).await;
}
