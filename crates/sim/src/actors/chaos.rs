//! Chaos: kills the server and starts it again, lets processes die, fills the disk of the audit log, moves the clock, and removes garbage
//! at the worst time.

use crate::{
    executor::{turn, turns},
    world::{APPS, World},
};
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 12;

/// Reigns for a while.
pub(crate) async fn reign(world: Rc<World>) {
    for _ in 0..ROUNDS {
        turns(&world.fate, 60).await;
        match world.fate.roll(7) {
            0 | 1 => {
                world.kill();
                world.ledger.borrow_mut().tell("the server is killed".to_owned());
                turns(&world.fate, 10).await;
                while let Err(error) = world.start().await {
                    world.ledger.borrow_mut().tell(format!("the server does not start: {error}"));
                    turn().await;
                }
                world.ledger.borrow_mut().tell("the server runs again".to_owned());
            }
            2 => {
                world.books.fill(true);
                turns(&world.fate, 20).await;
                world.books.fill(false);
            }
            3 => {
                let app = world.fate.pick(&APPS).copied().unwrap_or_default();
                world.kernel.populate(app, false);
                world.clock.advance(120);
                if let Some(server) = world.server() {
                    let reaping = server.services.host.reap(world.now());
                    let reaped = world.while_alive(&server, reaping).await.and_then(Result::ok);
                    let reaped: Vec<String> =
                        reaped.unwrap_or_default().iter().map(ToString::to_string).collect();
                    world.ledger.borrow_mut().tell(format!("a process of {app} died: {}", reaped.len()));
                    let mut stage = world.stage.borrow_mut();
                    stage.running.retain(|_, running| !reaped.contains(&running.id));
                }
            }
            4 => {
                // What a server does by itself, with a clock that may have gone on by more than a restore may take.
                if let Some(server) = world.server() {
                    let now = world.now();
                    let swept = world.while_alive(&server, server.services.vault.sweep(now)).await;
                    let ended = world.while_alive(&server, server.services.directory.sweep(now)).await;
                    let due = world.while_alive(&server, server.services.vault.run_due(now)).await;
                    let roles = world.while_alive(&server, server.services.resource.sweep()).await;
                    let is_done = |is_done: Option<bool>| is_done.unwrap_or_default();
                    let (swept, due) =
                        (is_done(swept.map(|it| it.is_ok())), is_done(due.map(|it| it.is_ok())));
                    let (ended, roles) =
                        (is_done(ended.map(|it| it.is_ok())), is_done(roles.map(|it| it.is_ok())));
                    world.ledger.borrow_mut().tell(format!(
                        "garbage is removed: {swept}, {ended}, {roles}; what is due is done: {due}"
                    ));
                }
            }
            5 => world.clock.advance(i64::try_from(world.fate.roll(600)).unwrap_or_default()),
            _ => world.clock.advance(i64::try_from(world.fate.roll(3_000)).unwrap_or_default() + 1_000),
        }
    }
}
