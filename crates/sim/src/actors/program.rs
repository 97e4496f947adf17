//! A program of an app: asks its endpoint for tokens and reads secrets with them, new ones and old ones.

use super::{claims, of_principal, read_secret, shared};
use crate::{
    executor::turns,
    world::{SECRETS, VAULTS, World},
};
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 25;

/// Lives and works.
pub(crate) async fn live(world: Rc<World>, app: &'static str) {
    let mut tokens: Vec<String> = Vec::new();
    for _ in 0..ROUNDS {
        turns(&world.fate, 15).await;
        if tokens.is_empty() || world.fate.chance(40) {
            let selector = shared::current(&world).filter(|_| world.fate.chance(40));
            tokens.extend(token(&world, app, selector.map(|(_, client)| client)).await);
        }
        let token = match world.fate.chance(60) {
            true => tokens.last(),
            false => world.fate.pick(&tokens),
        };
        let vault = if world.fate.chance(80) { VAULTS[0] } else { VAULTS[1] };
        if let (Some(token), Some(secret)) = (token, world.fate.pick(&SECRETS)) {
            read_secret(&world, app, token, vault, secret, &[]).await;
        }
    }
}

/// Asks the endpoint for a token, of the app's own identity or of the one with this client id.
pub(crate) async fn token(world: &World, app: &str, client: Option<String>) -> Option<String> {
    let running = world.stage.borrow().running.get(app).cloned()?;
    let (watch, changes) = (world.watch(), world.fate.strikes(10));
    // Itself or a child of its.
    let cgroup = world.kernel.id(app) + world.fate.roll(2);
    let peer = world.kernel.connection(cgroup, changes);
    let answer = world.endpoint(running.port, peer, &running.secret, client.as_deref()).await;
    let status = answer.as_ref().map(|answer| answer.status);
    world.ledger.borrow_mut().tell(format!("{app} asks for a token of {client:?}: {status:?}"));
    let answer = answer.filter(|answer| answer.is_success())?;
    let token = answer.text("/access_token");
    let mut switches = vec![format!("workload {}", running.id)];
    switches.extend(shared::seen(world, app, &token));
    switches.extend(of_principal(&claims(&token).principal));
    let mut ledger = world.ledger.borrow_mut();
    ledger.hide(&token);
    ledger.count(if client.is_some() {
        "tokens of a shared identity"
    } else {
        "tokens of managed identities"
    });
    if client.is_some_and(|client| client != claims(&token).client) {
        ledger.violated(format!("{app} was given a token of another identity than it asked for"));
    }
    ledger.succeeded(&format!("{app}'s token request"), &watch, &switches);
    if changes {
        ledger.violated(format!("{app} was given a token though its peer had changed"));
    }
    Some(token)
}
