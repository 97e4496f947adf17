//! A registered client: proves itself by a client secret and reads secrets.

use super::{claims, is_principal, of_principal, read_secret};
use crate::{
    executor::turns,
    world::{SECRETS, VAULTS, World},
};
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 15;

/// Calls again and again, by any credential that it was ever given.
pub(crate) async fn call(world: Rc<World>) {
    let mut tokens: Vec<(String, String)> = Vec::new();
    for _ in 0..ROUNDS {
        turns(&world.fate, 25).await;
        if tokens.is_empty() || world.fate.chance(40) {
            tokens.extend(token(&world).await);
        }
        if let (Some((token, credential)), Some(secret), Some(vault)) =
            (world.fate.pick(&tokens), world.fate.pick(&SECRETS), world.fate.pick(&VAULTS))
        {
            let on = [credential.clone()];
            read_secret(&world, "the client", token, vault, secret, &on).await;
        }
    }
}

/// A token, and the switch of the credential that it was asked for by.
async fn token(world: &World) -> Option<(String, String)> {
    let credentials = world.stage.borrow().credentials.clone();
    let (id, secret) = world.fate.pick(&credentials)?.clone();
    let (tenant, client, principal) = {
        let stage = world.stage.borrow();
        (stage.tenant.clone(), stage.client.clone(), stage.client_principal.clone())
    };
    let watch = world.watch();
    let form = format!(
        "grant_type=client_credentials&client_id={client}&client_secret={secret}&scope=https://vault.azure.net/.default"
    );
    let body = ("application/x-www-form-urlencoded", form);
    let path = format!("/{tenant}/oauth2/v2.0/token");
    let answer = world.public("login", "POST", &path, None, Some(body)).await;
    let status = answer.as_ref().map(|answer| answer.status);
    world.ledger.borrow_mut().tell(format!("the client asks for a token: {status:?}"));
    let answer = answer.filter(|answer| answer.is_success())?;
    world.expect_record(&answer, "a token request", |actor| is_principal(actor, &principal));
    let token = answer.text("/access_token");
    let mut ledger = world.ledger.borrow_mut();
    ledger.hide(&token);
    ledger.count("tokens of the client");
    let credential = format!("credential {id}");
    let mut switches = vec![credential.clone()];
    switches.extend(of_principal(&claims(&token).principal));
    ledger.succeeded("the client's token request", &watch, &switches);
    Some((token, credential))
}
