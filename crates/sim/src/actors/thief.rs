//! A thief on the same machine, who may know the endpoint secret: nothing that it tries may ever succeed.

use crate::{
    executor::turns,
    world::{APPS, SECRETS, VAULTS, World},
};
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 15;

/// Tries.
pub(crate) async fn steal(world: Rc<World>) {
    for _ in 0..ROUNDS {
        turns(&world.fate, 25).await;
        let (app, other) = if world.fate.chance(50) { (APPS[0], APPS[1]) } else { (APPS[1], APPS[0]) };
        let Some(running) = world.stage.borrow().running.get(app).cloned() else { continue };
        let (what, answer) = match world.fate.roll(4) {
            0 => {
                let cgroup = if world.fate.chance(50) { world.kernel.id(other) } else { 1 };
                let peer = world.kernel.connection(cgroup, false);
                ("a stolen endpoint secret", world.endpoint(running.port, peer, &running.secret, None).await)
            }
            1 => {
                let peer = world.kernel.connection(world.kernel.id(app), false);
                ("a wrong endpoint secret", world.endpoint(running.port, peer, "guessed", None).await)
            }
            2 => {
                // From inside of one app, the identity of the other.
                let peer = world.kernel.connection(world.kernel.id(app), false);
                let client = world.stage.borrow().clients.get(other).cloned().unwrap_or_default();
                let answer = world.endpoint(running.port, peer, &running.secret, Some(&client)).await;
                ("the other app's client id", answer)
            }
            _ => {
                let token = "eyJhbGciOiJub25lIn0.e30.";
                let path = format!("/secrets/{}/?api-version=7.4", SECRETS[0]);
                let host = format!("{}.vault", VAULTS[0]);
                ("a forged token", world.public(&host, "GET", &path, Some(token), None).await)
            }
        };
        let status = answer.map(|answer| answer.status);
        let mut ledger = world.ledger.borrow_mut();
        ledger.tell(format!("a thief tries {what} of {app}: {status:?}"));
        ledger.count("thefts tried");
        if status.is_some_and(|status| status < 400) {
            ledger.violated(format!("{what} was answered with {status:?}"));
        }
    }
}
