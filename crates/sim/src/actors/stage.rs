//! The scene before faults begin, and what must be true after they have ended.

use super::{API, manager, operator, person, read_secret, register, registrar, shared};
use crate::{
    register::Life,
    world::{APPS, Answer, SECRETS, VAULTS, World},
};
use serde_json::json;
use std::rc::Rc;

/// Every verb on secrets.
const ALL: [&str; 8] = ["get", "list", "set", "delete", "recover", "backup", "restore", "purge"];

/// Makes vaults, apps and a registered client.
pub(crate) async fn set(world: Rc<World>) {
    if let Err(error) = world.start().await {
        world.ledger.borrow_mut().violated(format!("the first start failed: {error}"));
        return;
    }
    for vault in VAULTS {
        world.admin("POST", "/v1/vaults", Some(json!({"name": vault}))).await;
        // Even an owner may purge only if that is said.
        let administrator = world.stage.borrow().administrator.clone();
        operator::grant(&world, &administrator, vault, &ALL).await;
    }
    for app in APPS {
        operator::create_app(&world, app).await;
        operator::assign(&world, app).await;
        operator::grant_app(&world, app, VAULTS[0], &["get"]).await;
        shared::give(&world, app).await;
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
    let group = world.admin("POST", "/v1/groups", Some(json!({"display_name": "ci"}))).await;
    let group = group.map(|group| group.text("/id")).unwrap_or_default();
    let policy = json!({"principal": group, "secrets": ["get", "set"]});
    world.admin("PUT", &format!("/v1/vaults/{}/policies", VAULTS[1]), Some(policy)).await;
    world.stage.borrow_mut().group = group;
    operator::add_credential(&world).await;
    operator::grant(&world, &made.text("/principal"), VAULTS[1], &["get", "set"]).await;
    for made in [set_person(&world).await, manager::set(&world).await] {
        if let Err(what) = made {
            world.ledger.borrow_mut().violated(what);
        }
    }
}

/// Makes a user who may read, and a client that may act in the user's name.
async fn set_person(world: &World) -> Result<(), String> {
    let user = world.admin("POST", "/v1/users", Some(json!({"user_name": "ann"}))).await;
    let user = user.filter(Answer::is_success).ok_or("no user is made")?.text("/id");
    let uris = json!([{"uri": person::BACK, "platform": "web"}]);
    let portal = json!({"display_name": "portal", "redirect_uris": uris});
    let portal = world.admin("POST", "/v1/registrations", Some(portal)).await;
    let portal = portal.filter(Answer::is_success).ok_or("no portal is made")?;
    {
        let mut stage = world.stage.borrow_mut();
        stage.user.clone_from(&user);
        stage.portal = portal.text("/id");
        stage.portal_client = portal.text("/client_id");
    }
    registrar::add_secret(world).await;
    person::consent(world).await?;
    operator::grant(world, &user, VAULTS[0], &["get"]).await;
    Ok(())
}

/// Faults have stopped: everything that was acknowledged is there, and everything works.
pub(crate) async fn settle(world: Rc<World>) {
    let wrong = |what: String| world.ledger.borrow_mut().violated(what);
    world.store.land(true).await;
    world.ledger.borrow_mut().settle();
    if let Err(error) = world.start().await {
        return wrong(format!("the last start failed: {error}"));
    }
    if let Err(what) = manager::settle(&world).await {
        wrong(what);
    }
    // Whoever was laying something out is taken for dead by then.
    world.clock.advance(3_600);
    if let Some(server) = world.server() {
        for _ in 0..8 {
            if let Err(error) = server.services.vault.sweep(world.now()).await {
                wrong(format!("garbage is not removed after all faults: {error}"));
            }
        }
        if let Err(error) = server.services.resource.sweep().await {
            wrong(format!("roles at what is gone are not removed after all faults: {error}"));
        }
    }
    let Some(token) = operator::token(&world).await else {
        return wrong("the administrator gets no token".to_owned());
    };
    for vault in VAULTS {
        for secret in SECRETS {
            check_life(&world, &token, vault, secret).await;
            check_versions(&world, &token, vault, secret).await;
        }
    }
    check_purged(&world);
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
        let Some(token) = super::program::token(&world, app, None).await else {
            return wrong(format!("app {app} gets no token after all faults"));
        };
        let status = read_secret(&world, app, &token, VAULTS[0], SECRETS[0], &[]).await;
        if !matches!(status, Some(200 | 404)) {
            wrong(format!("app {app} cannot read after all faults: {status:?}"));
        }
        shared::give(&world, app).await;
        let Some((principal, client)) = shared::current(&world) else {
            return wrong("the shared identity is not made".to_owned());
        };
        operator::enable(&world, &principal, true).await;
        let Some(token) = super::program::token(&world, app, Some(client)).await else {
            return wrong(format!("app {app} gets no token of the shared identity after all faults"));
        };
        let status = read_secret(&world, app, &token, VAULTS[0], SECRETS[0], &[]).await;
        if !matches!(status, Some(200 | 404)) {
            wrong(format!("app {app} cannot read by the shared identity after all faults: {status:?}"));
        }
    }
    if !registrar::settle(&world).await {
        return wrong("the user cannot be enabled after all faults".to_owned());
    }
    registrar::add_secret(&world).await;
    if let Err(what) = person::settle(&world).await {
        wrong(what);
    }
}

/// What is certain of a secret is so. One that is deleted comes back.
async fn check_life(world: &World, token: &str, vault: &str, secret: &str) {
    let (name, host) = (register(vault, secret), format!("{vault}.vault"));
    let ask = async |method: &'static str, path: String| {
        let answer = world.public(&host, method, &format!("{path}?{API}"), Some(token), None).await;
        answer.map_or(0, |answer| answer.status)
    };
    let there = ask("GET", format!("/secrets/{secret}/")).await;
    let deleted = ask("GET", format!("/deletedsecrets/{secret}")).await;
    let life = world.ledger.borrow_mut().register(&name).life;
    let is_as_known = match life {
        Life::There => (there, deleted) == (200, 404),
        Life::Deleted => (there, deleted) == (404, 200),
        Life::Gone => (there, deleted) == (404, 404),
        Life::Unsure => matches!((there, deleted), (200 | 404, 404) | (404, 200)),
    };
    let wrong = |what: String| world.ledger.borrow_mut().violated(what);
    if !is_as_known {
        wrong(format!(
            "{name} is {life:?}, but it is answered with {there} and, as a deleted one, with {deleted}"
        ));
    }
    let has_versions = !world.ledger.borrow_mut().register(&name).versions().is_empty();
    if life == Life::Unsure && (there, deleted) == (404, 404) && has_versions {
        wrong(format!("{name} was acknowledged, and is gone though nobody purged it"));
    }
    if deleted == 200 {
        world.ledger.borrow_mut().rise(&super::there(&name));
        let recovered = ask("POST", format!("/deletedsecrets/{secret}/recover")).await;
        if recovered != 200 {
            wrong(format!("{name} is deleted and does not come back: {recovered}"));
        }
        world.ledger.borrow_mut().register(&name).recovered();
    }
}

/// Nothing is left of what was purged, sealed or not, nor of what was being laid out.
fn check_purged(world: &World) {
    let mut ledger = world.ledger.borrow_mut();
    let purged = ledger.purged();
    for (key, _) in world.store.dump() {
        let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
        if let Some((secret, version)) = purged.iter().find(|(_, version)| key.contains(version)) {
            ledger.violated(format!(
                "version {version} of {secret} was purged and is still in the store: {key}"
            ));
        }
        if key.starts_with("garbage/") {
            ledger.violated(format!("garbage that nobody removes: {key}"));
        }
        if key.starts_with("vacated/") {
            ledger.violated(format!("roles at what is gone that nobody removes: {key}"));
        }
    }
}

/// Every acknowledged version is there, and each that is listed is whole.
async fn check_versions(world: &World, token: &str, vault: &str, secret: &str) {
    let name = register(vault, secret);
    let host = format!("{vault}.vault");
    let acknowledged = world.ledger.borrow_mut().register(&name).versions();
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
        && read_secret(world, "the administrator", token, vault, secret, &[]).await != Some(200)
    {
        world.ledger.borrow_mut().violated(format!("{name} was acknowledged and cannot be read"));
    }
}
