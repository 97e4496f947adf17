//! The user-assigned identity that the apps share: given, taken away, disabled, deleted and made again, while programs ask for tokens of it.
//! An app that it was taken from gets none from then on, and those that it has are worth nothing; the other app's are.

use super::{
    claims, of_principal,
    operator::{enable, falling, grant, rising},
};
use crate::{
    executor::turns,
    world::{APPS, Answer, VAULTS, World},
};
use serde_json::json;
use std::rc::Rc;

/// Its name.
const NAME: &str = "readers";
/// What is done in a run.
const STEPS: u64 = 12;

/// The switch of an app's having it.
pub(crate) fn assigned(app: &str) -> String {
    format!("{NAME} of {app}")
}

/// The switch of what a token of it stands on.
fn attachment(id: &str) -> String {
    format!("attachment {id}")
}

/// Works for a while.
pub(crate) async fn manage(world: Rc<World>) {
    for _ in 0..STEPS {
        turns(&world.fate, 35).await;
        let app = *world.fate.pick(&APPS).unwrap_or(&APPS[0]);
        match world.fate.roll(8) {
            0 | 1 => take(&world, app).await,
            2 => delete(&world).await,
            3 => {
                if let Some((principal, _)) = current(&world) {
                    enable(&world, &principal, false).await;
                    turns(&world.fate, 40).await;
                    enable(&world, &principal, true).await;
                }
            }
            _ => give(&world, app).await,
        }
    }
}

/// Makes it if it is not there, gives it to an app and lets it read.
pub(crate) async fn give(world: &World, app: &str) {
    let made = rising(
        world,
        &[format!("identity {NAME}")],
        world.admin("POST", "/v1/identities", Some(json!({"name": NAME}))),
    )
    .await;
    let made = match made {
        Some(made) if made.status == 409 => world.admin("GET", &format!("/v1/identities/{NAME}"), None).await,
        other => other,
    };
    if let Some(made) = made.filter(Answer::is_success) {
        let ids = (made.text("/principal"), made.text("/client_id"));
        let mut stage = world.stage.borrow_mut();
        stage.shared.retain(|known| *known != ids);
        stage.shared.push(ids);
    }
    let path = format!("/v1/apps/{app}/identities/{NAME}");
    rising(world, &[assigned(app)], world.admin("PUT", &path, Some(json!({})))).await;
    if let Some((principal, _)) = current(world) {
        grant(world, &principal, VAULTS[0], &["get"]).await;
    }
}

async fn take(world: &World, app: &str) {
    let known = attachments(world, app);
    let path = format!("/v1/apps/{app}/identities/{NAME}");
    let (_, off) = falling(world, &[assigned(app)], world.admin("DELETE", &path, None)).await;
    if off.first() == Some(&true) {
        fall(world, &known);
    }
}

async fn delete(world: &World) {
    let known: Vec<_> = world.stage.borrow().shared.iter().map(|(principal, _)| principal.clone()).collect();
    let mut switches = vec![format!("identity {NAME}")];
    switches.extend(APPS.map(assigned));
    let path = format!("/v1/identities/{NAME}");
    let (_, off) = falling(world, &switches, world.admin("DELETE", &path, None)).await;
    if off.first() == Some(&true) {
        for principal in known {
            let [_, there] = of_principal(&principal);
            world.ledger.borrow_mut().gone(&there);
        }
    }
}

/// The identity as it is known to be now: principal and client id.
pub(crate) fn current(world: &World) -> Option<(String, String)> {
    world.stage.borrow().shared.last().cloned()
}

/// What tokens of the shared identity stand on that an app has been seen with.
pub(crate) fn attachments(world: &World, app: &str) -> Vec<String> {
    let stage = world.stage.borrow();
    stage.attachments.iter().filter(|(of, _)| of == app).map(|(_, id)| id.clone()).collect()
}

/// None of these comes back.
pub(crate) fn fall(world: &World, attachments: &[String]) {
    for id in attachments {
        world.ledger.borrow_mut().gone(&attachment(id));
    }
}

/// An app was given a token. Answers what it hangs on besides its principal.
pub(crate) fn seen(world: &World, app: &str, token: &str) -> Vec<String> {
    let id = claims(token).attachment;
    if id.is_empty() {
        return vec![format!("identity of {app}")];
    }
    let known = (app.to_owned(), id);
    let mut stage = world.stage.borrow_mut();
    if !stage.attachments.contains(&known) {
        stage.attachments.push(known);
    }
    vec![assigned(app)]
}

/// What a read with this token hangs on besides its principal.
pub(crate) fn stands_on(attachment_of_token: &str) -> Vec<String> {
    if attachment_of_token.is_empty() { Vec::new() } else { vec![attachment(attachment_of_token)] }
}
