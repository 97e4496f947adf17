//! The scene before faults begin, and what must be true after they have ended.

use super::{API, operator, read_secret, register};
use crate::world::{APPS, SECRETS, VAULTS, World};
use serde_json::json;
use std::rc::Rc;

/// Makes vaults, apps and a registered client.
pub(crate) async fn set(world: Rc<World>) {
    if let Err(error) = world.start().await {
        world.ledger.borrow_mut().violated(format!("the first start failed: {error}"));
        return;
    }
    for vault in VAULTS {
        world.admin("POST", "/v1/vaults", Some(json!({"name": vault}))).await;
    }
    for app in APPS {
        operator::create_app(&world, app).await;
        operator::assign(&world, app).await;
        operator::grant_app(&world, app, VAULTS[0], &["get"]).await;
        operator::start_program(&world, app).await;
    }
    let made = world.admin("POST", "/v1/registrations", Some(json!({"display_name": "ci"}))).await;
    let Some(made) = made.filter(|made| made.is_success()) else {
        return world.ledger.borrow_mut().violated("the scene could not be set");
    };
    {
        let mut stage = world.stage.borrow_mut();
        stage.registration = made.text("/id");
        stage.client = made.text("/client_id");
        stage.client_principal = made.text("/principal");
    }
    operator::add_credential(&world).await;
    operator::grant(&world, &made.text("/principal"), VAULTS[1], &["get", "set"]).await;
}

/// Faults have stopped: everything that was acknowledged is there, and everything works.
pub(crate) async fn settle(world: Rc<World>) {
    let wrong = |what: String| world.ledger.borrow_mut().violated(what);
    world.store.land(true).await;
    world.ledger.borrow_mut().settle();
    if let Err(error) = world.start().await {
        return wrong(format!("the last start failed: {error}"));
    }
    let Some(token) = operator::token(&world).await else {
        return wrong("the administrator gets no token".to_owned());
    };
    for vault in VAULTS {
        for secret in SECRETS {
            check_versions(&world, &token, vault, secret).await;
        }
    }
    for app in APPS {
        operator::create_app(&world, app).await;
        operator::stop_program(&world, app).await;
        operator::assign(&world, app).await;
        let Some(principal) = world.stage.borrow().principals.get(app).and_then(|all| all.last()).cloned()
        else {
            return wrong(format!("app {app} gets no identity"));
        };
        operator::enable(&world, &principal, true).await;
        operator::grant(&world, &principal, VAULTS[0], &["get"]).await;
        operator::start_program(&world, app).await;
        let Some(token) = super::program::token(&world, app).await else {
            return wrong(format!("app {app} gets no token after all faults"));
        };
        let status = read_secret(&world, app, &token, VAULTS[0], SECRETS[0]).await;
        if !matches!(status, Some(200 | 404)) {
            wrong(format!("app {app} cannot read after all faults: {status:?}"));
        }
    }
}

/// Every acknowledged version is there, and each that is listed is whole.
async fn check_versions(world: &World, token: &str, vault: &str, secret: &str) {
    let name = register(vault, secret);
    let host = format!("{vault}.vault");
    let acknowledged = world.ledger.borrow().versions(&name);
    let mut versions = acknowledged.clone();
    let mut path = format!("/secrets/{secret}/versions?{API}");
    while !path.is_empty() {
        let Some(page) = world.public(&host, "GET", &path, Some(token), None).await else { break };
        for item in page.body.pointer("/value").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let id = item.pointer("/id").and_then(serde_json::Value::as_str).unwrap_or_default();
            versions.extend(id.rsplit('/').next().map(str::to_owned));
        }
        let next = page.text("/nextLink");
        path = next.split_once(":8443").map_or_else(String::new, |(_, path)| path.to_owned());
    }
    for version in versions {
        let path = format!("/secrets/{secret}/{version}?{API}");
        let answer = world.public(&host, "GET", &path, Some(token), None).await;
        let mut ledger = world.ledger.borrow_mut();
        match answer.filter(|answer| answer.is_success()) {
            Some(answer) => ledger.read_version(&name, &version, &answer.text("/value")),
            None => ledger.violated(format!("version {version} of {name} cannot be read")),
        }
    }
    if !acknowledged.is_empty()
        && read_secret(world, "the administrator", token, vault, secret).await != Some(200)
    {
        world.ledger.borrow_mut().violated(format!("{name} was acknowledged and cannot be read"));
    }
}
