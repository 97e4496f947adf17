//! Who uses the resource manager, twice at the same time: makes groups and what is in them, gives roles there, and deletes groups with all of
//! it. Nothing is done in a group that is gone, and whoever owns the subscription is never told that they may not.

use super::{
    is_principal,
    operator::{falling, rising},
};
use crate::{
    executor::turns,
    world::{Answer, World},
};
use serde_json::{Value, json};
use std::rc::Rc;

/// What one of them does in a run.
const STEPS: u64 = 14;
/// The groups.
pub(crate) const GROUPS: [&str; 2] = ["red", "blue"];
/// What is made in them, in one or the other: names are the installation's, but for plans.
const THINGS: [&str; 4] = [PLAN, SITE, VAULT, IDENTITY];
const SITE: &str = "Microsoft.Web/sites/till";
const PLAN: &str = "Microsoft.Web/serverfarms/cheap";
const VAULT: &str = "Microsoft.KeyVault/vaults/stock";
const IDENTITY: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/tellers";
/// The built-in role Reader.
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const VERSION: &str = "api-version=2024-11-01";
const LOCATION: &str = "westeurope";

/// A registered client that owns the subscription.
///
/// # Errors
/// What could not be made.
pub(crate) async fn set(world: &World) -> Result<(), String> {
    let made = world.admin("POST", "/v1/registrations", Some(json!({"display_name": "terraform"}))).await;
    let made = made.filter(Answer::is_success).ok_or("no owner is made")?;
    let path = format!("/v1/registrations/{}/credentials", made.text("/id"));
    let secret = world.admin("POST", &path, Some(json!({"display_name": "sim"}))).await;
    let secret = secret.filter(Answer::is_success).ok_or("the owner has no secret")?.text("/secret");
    world.ledger.borrow_mut().hide(&secret);
    let owner = json!({"principal": made.text("/principal"), "role": "Owner", "scope": "subscription"});
    let owner = world.admin("POST", "/v1/role-assignments", Some(owner)).await;
    owner.filter(Answer::is_success).ok_or("the owner owns nothing")?;
    let mut stage = world.stage.borrow_mut();
    stage.owner = (made.text("/client_id"), secret);
    stage.owner_principal = made.text("/principal");
    Ok(())
}

/// Works for a while.
pub(crate) async fn work(world: Rc<World>) {
    let mut token = None;
    for _ in 0..STEPS {
        turns(&world.fate, 30).await;
        if token.is_none() || world.fate.chance(15) {
            token = self::token(&world).await.or(token);
        }
        let Some(token) = &token else { continue };
        let by = By { world: &world, token };
        let group = *world.fate.pick(&GROUPS).unwrap_or(&GROUPS[0]);
        let thing = *world.fate.pick(&THINGS).unwrap_or(&THINGS[0]);
        match world.fate.roll(12) {
            0..=2 => drop(by.delete_group(group).await),
            3 => by.delete(group, thing).await,
            4 => by.purge().await,
            5 | 6 => by.give(group, "").await,
            7 | 8 => by.give(group, &format!("/providers/{thing}")).await,
            9 => by.look(group).await,
            _ => {
                by.put_group(group).await;
                for thing in THINGS {
                    if world.fate.chance(60) {
                        by.put(group, thing).await;
                    }
                }
            }
        }
    }
}

/// Faults have stopped: each group can be deleted, and made again, and deleted with what is in it.
///
/// # Errors
/// What is wrong.
pub(crate) async fn settle(world: &World) -> Result<(), String> {
    let token = token(world).await.ok_or("the owner of the subscription gets no token")?;
    let by = By { world, token: &token };
    for group in GROUPS {
        // One of which the deletion was begun is deleted to its end.
        let status = by.delete_group(group).await;
        if !matches!(status, Some(200 | 404)) {
            return Err(format!("group {group} cannot be deleted after all faults: {status:?}"));
        }
    }
    for group in GROUPS {
        by.purge().await;
        by.put_group(group).await;
        by.give(group, "").await;
        for thing in THINGS {
            let status = by.put(group, thing).await;
            if !matches!(status, Some(200 | 201)) {
                return Err(format!("{thing} cannot be made in {group} after all faults: {status:?}"));
            }
            by.give(group, &format!("/providers/{thing}")).await;
        }
        let status = by.delete_group(group).await;
        if status != Some(200) {
            return Err(format!("group {group} cannot be deleted with what is in it: {status:?}"));
        }
    }
    Ok(())
}

/// The switch of a group.
fn there(group: &str) -> String {
    format!("resource group {group}")
}

/// Somebody with a token for the resource manager.
struct By<'w> {
    world: &'w World,
    token: &'w str,
}

impl By<'_> {
    async fn put_group(&self, group: &str) {
        let path = format!("/resourceGroups/{group}");
        rising(self.world, &[there(group)], self.ask("PUT", &path, Some(json!({"location": LOCATION}))))
            .await;
    }

    async fn delete_group(&self, group: &str) -> Option<u16> {
        let path = format!("/resourceGroups/{group}");
        let (answer, _) = falling(self.world, &[there(group)], self.ask("DELETE", &path, None)).await;
        Some(answer?.status)
    }

    async fn put(&self, group: &str, thing: &str) -> Option<u16> {
        let tenant = self.world.stage.borrow().tenant.clone();
        let body = match thing {
            SITE => json!({
                "location": LOCATION,
                "properties": {"serverFarmId": "cheap"},
                "identity": {"type": "SystemAssigned"},
            }),
            VAULT => {
                let sku = json!({"family": "A", "name": "standard"});
                let properties = json!({"tenantId": tenant, "sku": sku, "enableRbacAuthorization": true});
                json!({"location": LOCATION, "properties": properties})
            }
            _ => json!({"location": LOCATION}),
        };
        self.ask_in(group, "PUT", &format!("/providers/{thing}"), Some(body)).await
    }

    async fn delete(&self, group: &str, thing: &str) {
        // That there is none is no success of something in a group that is gone.
        let path = format!("/resourceGroups/{group}/providers/{thing}");
        self.ask("DELETE", &path, None).await;
    }

    /// Deletes for good what a vault's deletion has left, so that its name is free.
    async fn purge(&self) {
        let path = format!("/providers/Microsoft.KeyVault/locations/{LOCATION}/deletedVaults/stock/purge");
        self.ask("POST", &path, None).await;
    }

    /// Gives the user a role there, by a name of its own. At a group it is never taken away but with the group.
    async fn give(&self, group: &str, thing: &str) {
        let name = format!("{:08x}-1111-4111-8111-111111111111", self.world.fate.roll(1 << 32));
        let role = format!("/providers/Microsoft.Authorization/roleDefinitions/{READER}");
        let principal = self.world.stage.borrow().user.clone();
        let body = json!({"properties": {"roleDefinitionId": role, "principalId": principal}});
        let path = format!("{thing}/providers/Microsoft.Authorization/roleAssignments/{name}");
        self.ask_in(group, "PUT", &path, Some(body)).await;
    }

    async fn look(&self, group: &str) {
        self.ask_in(group, "GET", "/resources", None).await;
        for thing in THINGS {
            self.ask_in(group, "GET", &format!("/providers/{thing}"), None).await;
        }
    }

    /// Something in a group: it does not succeed in one that is gone.
    async fn ask_in(&self, group: &str, method: &str, path: &str, body: Option<Value>) -> Option<u16> {
        let watch = self.world.watch();
        let answer = self.ask(method, &format!("/resourceGroups/{group}{path}"), body).await?;
        if answer.is_success() {
            let mut ledger = self.world.ledger.borrow_mut();
            ledger.succeeded(&format!("{method} {path} in {group}"), &watch, &[there(group)]);
        }
        Some(answer.status)
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let (subscription, owner) = {
            let stage = self.world.stage.borrow();
            (stage.subscription.clone(), stage.owner_principal.clone())
        };
        let what = format!("{method} {path}");
        let path = format!("/subscriptions/{subscription}{path}?{VERSION}");
        let body = body.map(|body| ("application/json", body.to_string()));
        let answer = self.world.public("management", method, &path, Some(self.token), body).await;
        let status = answer.as_ref().map(|answer| answer.status);
        self.world.ledger.borrow_mut().tell(format!("an owner asks {what}: {status:?}"));
        let answer = answer?;
        if answer.is_success() {
            self.world.expect_record(&answer, &what, |actor| is_principal(actor, &owner));
            self.world.ledger.borrow_mut().count("changes and views by the resource manager");
        }
        if answer.status == 403 {
            let what = format!("{what}: whoever owns the subscription was told that they may not");
            self.world.ledger.borrow_mut().violated(what);
        }
        Some(answer)
    }
}

async fn token(world: &World) -> Option<String> {
    let (tenant, (client, secret)) = {
        let stage = world.stage.borrow();
        (stage.tenant.clone(), stage.owner.clone())
    };
    let resource = "https://management.keyless.localhost:8443/";
    let form = format!(
        "grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={resource}/.default"
    );
    let body = ("application/x-www-form-urlencoded", form);
    let path = format!("/{tenant}/oauth2/v2.0/token");
    let answer = world.public("login", "POST", &path, None, Some(body)).await?;
    let token = answer.text("/access_token");
    world.ledger.borrow_mut().hide(&token);
    answer.is_success().then_some(token)
}
