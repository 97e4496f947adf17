//! The operator: makes and deletes apps, gives and takes identities, policies and credentials, starts and stops programs. What is taken
//! and acknowledged must be refused from then on. Whether a policy names a principal or a group that it is in makes no difference.

use super::{of_principal, policy, shared};
use crate::{
    executor::turns,
    world::{APPS, Answer, Outcome3, Running, VAULTS, World, outcome},
};
use serde_json::{Value, json};
use std::rc::Rc;

/// What one operator does in a run.
const STEPS: u64 = 14;

/// Works for a while.
pub(crate) async fn work(world: Rc<World>) {
    for _ in 0..STEPS {
        turns(&world.fate, 30).await;
        let app = *world.fate.pick(&APPS).unwrap_or(&APPS[0]);
        let vault = *world.fate.pick(&VAULTS).unwrap_or(&VAULTS[0]);
        match world.fate.roll(12) {
            0 | 1 => remove_identity(&world, app).await,
            2 => {
                let mut principal = principal(&world, app);
                if world.fate.chance(25) {
                    principal = Some(world.stage.borrow().client_principal.clone());
                }
                if let Some(principal) = principal {
                    enable(&world, &principal, false).await;
                    turns(&world.fate, 60).await;
                    enable(&world, &principal, true).await;
                }
            }
            3 => grant_app(&world, app, vault, &[]).await,
            4 => {
                delete_app(&world, app).await;
                turns(&world.fate, 20).await;
                create_app(&world, app).await;
            }
            5 => {
                stop_program(&world, app).await;
                turns(&world.fate, 20).await;
                start_program(&world, app).await;
            }
            6 => {
                if world.fate.chance(60) {
                    remove_credential(&world).await;
                }
                add_credential(&world).await;
            }
            7 => {
                let client = world.stage.borrow().client_principal.clone();
                let verbs: &[&str] = if world.fate.chance(50) { &[] } else { &["get", "set"] };
                grant(&world, &client, vault, verbs).await;
            }
            _ => {
                // What is gone comes back, so that there is something to take.
                assign(&world, app).await;
                grant_app(&world, app, vault, &["get", "list"]).await;
                start_program(&world, app).await;
            }
        }
    }
}

/// A change that turns something on.
pub(crate) async fn rising(
    world: &World,
    switches: &[String],
    change: impl Future<Output = Option<Answer>>,
) -> Option<Answer> {
    for switch in switches {
        world.ledger.borrow_mut().rise(switch);
    }
    let answer = change.await;
    let is_certain = outcome(answer.as_ref()) != Outcome3::Unknown;
    for switch in switches {
        world.ledger.borrow_mut().risen(switch, is_certain);
    }
    answer
}

/// A change that turns something off. Answers which of these are off for certain.
pub(crate) async fn falling(
    world: &World,
    switches: &[String],
    change: impl Future<Output = Option<Answer>>,
) -> (Option<Answer>, Vec<bool>) {
    if !world.store.has_late() {
        world.ledger.borrow_mut().settle();
    }
    let falls: Vec<_> = switches.iter().map(|switch| world.ledger.borrow_mut().fall(switch)).collect();
    let answer = change.await;
    let is_done = outcome(answer.as_ref()) == Outcome3::Done;
    let off = falls.iter().map(|fall| is_done && world.ledger.borrow_mut().fallen(fall)).collect();
    (answer, off)
}

fn principal(world: &World, app: &str) -> Option<String> {
    world.stage.borrow().principals.get(app).and_then(|all| all.last()).cloned()
}

pub(crate) async fn create_app(world: &World, app: &str) {
    world.admin("POST", "/v1/apps", Some(json!({"name": app}))).await;
}

pub(crate) async fn assign(world: &World, app: &str) {
    let path = format!("/v1/apps/{app}/identity");
    let answer = rising(world, &[format!("identity of {app}")], world.admin("PUT", &path, None)).await;
    let Some(answer) = answer else { return };
    let principal = answer.text("/identity/principal");
    if !principal.is_empty() {
        let mut stage = world.stage.borrow_mut();
        stage.clients.insert(app.to_owned(), answer.text("/identity/client_id"));
        let all = stage.principals.entry(app.to_owned()).or_default();
        if !all.contains(&principal) {
            all.push(principal);
        }
    }
}

async fn remove_identity(world: &World, app: &str) {
    let path = format!("/v1/apps/{app}/identity");
    let known = world.stage.borrow().principals.get(app).cloned().unwrap_or_default();
    let (_, off) = falling(world, &[format!("identity of {app}")], world.admin("DELETE", &path, None)).await;
    retire(world, &off, known);
}

async fn delete_app(world: &World, app: &str) {
    let path = format!("/v1/apps/{app}");
    let known = world.stage.borrow().principals.get(app).cloned().unwrap_or_default();
    let stood_on = shared::attachments(world, app);
    let mut switches = vec![format!("identity of {app}"), shared::assigned(app)];
    let running = world.stage.borrow().running.get(app).cloned();
    switches.extend(running.iter().map(|running| format!("workload {}", running.id)));
    let (_, off) = falling(world, &switches, world.admin("DELETE", &path, None)).await;
    if off.get(1) == Some(&true) {
        shared::fall(world, &stood_on);
    }
    retire(world, &off, known);
}

/// The principals that the app had before its identity was taken are gone for ever.
fn retire(world: &World, off: &[bool], principals: Vec<String>) {
    if off.first() == Some(&true) {
        for principal in principals {
            let [_, there] = of_principal(&principal);
            world.ledger.borrow_mut().gone(&there);
        }
    }
}

pub(crate) async fn enable(world: &World, principal: &str, is_enabled: bool) -> Outcome3 {
    let path = format!("/v1/principals/{principal}");
    let [enabled, _] = of_principal(principal);
    let change = world.admin("PATCH", &path, Some(json!({"enabled": is_enabled})));
    let answer = match is_enabled {
        true => rising(world, &[enabled], change).await,
        false => falling(world, &[enabled], change).await.0,
    };
    outcome(answer.as_ref())
}

pub(crate) async fn grant_app(world: &World, app: &str, vault: &str, verbs: &[&str]) {
    if let Some(principal) = principal(world, app) {
        grant(world, &principal, vault, verbs).await;
    }
}

pub(crate) async fn grant(world: &World, principal: &str, vault: &str, verbs: &[&str]) {
    let is_given = verbs.contains(&"get");
    let (client, group) = {
        let stage = world.stage.borrow();
        (stage.client_principal.clone(), stage.group.clone())
    };
    // The client is allowed by a group in one of the vaults: being in it is the switch there.
    let (method, path, body) = if vault == VAULTS[1] && principal == client {
        let method = if is_given { "POST" } else { "DELETE" };
        (method, format!("/v1/groups/{group}/members"), json!({"principal": principal}))
    } else {
        let body = json!({"principal": principal, "secrets": verbs});
        ("PUT", format!("/v1/vaults/{vault}/policies"), body)
    };
    let change = world.admin(method, &path, Some(body));
    let switches = [policy(vault, principal)];
    if is_given {
        rising(world, &switches, change).await;
    } else {
        falling(world, &switches, change).await;
    }
}

pub(crate) async fn start_program(world: &World, app: &str) {
    if world.stage.borrow().running.contains_key(app) {
        return;
    }
    let path = format!("/v1/apps/{app}/workloads");
    let body = json!({"cgroup": app, "require_enforced": true});
    let answer = world.admin("POST", &path, Some(body)).await;
    match answer.filter(Answer::is_success) {
        Some(answer) => {
            world.kernel.populate(app, true);
            let env = answer.body.pointer("/env").and_then(Value::as_array).cloned().unwrap_or_default();
            let header = env.iter().find(|pair| pair.pointer("/0") == Some(&json!("IDENTITY_HEADER")));
            let secret =
                header.and_then(|pair| pair.pointer("/1")).and_then(Value::as_str).unwrap_or_default();
            world.ledger.borrow_mut().hide(secret);
            let port = answer.body.pointer("/port").and_then(Value::as_u64).unwrap_or_default();
            let running = Running {
                id: answer.text("/workload"),
                port: u16::try_from(port).unwrap_or_default(),
                secret: secret.to_owned(),
            };
            world.stage.borrow_mut().running.insert(app.to_owned(), running);
        }
        // It may run and nobody has been told its secret: end it.
        None => end_all(world, app).await,
    }
}

/// Ends what runs of an app, also what a start without an answer may have left.
pub(crate) async fn stop_program(world: &World, app: &str) {
    world.stage.borrow_mut().running.remove(app);
    end_all(world, app).await;
    world.kernel.populate(app, false);
}

async fn end_all(world: &World, app: &str) {
    let Some(listed) = world.admin("GET", &format!("/v1/apps/{app}/workloads"), None).await else { return };
    for running in listed.body.pointer("/value").and_then(Value::as_array).into_iter().flatten() {
        let id = running.pointer("/id").and_then(Value::as_str).unwrap_or_default();
        let switch = format!("workload {id}");
        falling(world, &[switch], world.admin("DELETE", &format!("/v1/workloads/{id}"), None)).await;
    }
}

pub(crate) async fn add_credential(world: &World) {
    let path = format!("/v1/registrations/{}/credentials", world.stage.borrow().registration);
    let answer = world.admin("POST", &path, Some(json!({"display_name": "sim"}))).await;
    if let Some(answer) = answer.filter(Answer::is_success) {
        let (id, secret) = (answer.text("/id"), answer.text("/secret"));
        world.ledger.borrow_mut().hide(&secret);
        world.stage.borrow_mut().credentials.push((id, secret));
    }
}

async fn remove_credential(world: &World) {
    let Some((id, _)) = world.stage.borrow().credentials.last().cloned() else { return };
    let path = format!("/v1/registrations/{}/credentials/{id}", world.stage.borrow().registration);
    falling(world, &[format!("credential {id}")], world.admin("DELETE", &path, None)).await;
}

/// A token of the administrator for the vaults.
pub(crate) async fn token(world: &World) -> Option<String> {
    let answer = world.admin("POST", "/v1/token", Some(json!({}))).await?;
    let token = answer.text("/access_token");
    world.ledger.borrow_mut().hide(&token);
    answer.is_success().then_some(token)
}
