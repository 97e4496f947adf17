//! What is deleted by the resource manager: that each thing leaves its record, that nothing of it runs on, and that what is done is told as
//! done.

use crate::{arm_web::Desk, support::NOW};
use access::{Gone, Manager, Scope, Vacated, WideRoles};
use domain::{Placement, PrincipalId};
use http::Method;
use serde_json::{Value, json};
use store::{Check, CommitId, Key, Record as _, Store as _, Write};
use vault::{NewVault, VaultSettings};
use wire::Named;

const BY: Manager<'static> = Manager::Administrator;
const GROUP: &str = "resourceGroups/Shop";
const WHY: &str = "resource group Shop is deleted with all that is in it";

/// In group Shop: app `web` in plan `plan`, identity `readers`, vault `till`.
async fn shop() -> Desk {
    let desk = Desk::new(Some("Owner")).await;
    desk.make().await;
    let place = Placement { group: "Shop".parse().unwrap(), ..Placement::default() };
    let (host, vault) = (&desk.world.state.host, &desk.world.state.vault);
    host.create_identity(BY, &"readers".parse().unwrap(), &place, NOW).await.unwrap();
    let (name, tenant) = ("till".parse().unwrap(), desk.world.state.directory.tenant().id);
    let new = NewVault { name: &name, tenant, owner: None, group: place.group, location: place.location };
    vault.create_vault(BY, new, &VaultSettings::default(), NOW).await.unwrap();
    desk
}

async fn marks(desk: &Desk) -> usize {
    let all = store::all_records::<Vacated>(&*desk.world.store, &Vacated::prefix()).await.unwrap();
    all.len()
}

#[tokio::test]
async fn each_thing_of_a_group_that_is_deleted_leaves_a_record() {
    let desk = shop().await;
    assert_eq!(desk.ask(Method::DELETE, GROUP, Value::Null).await.0, 200);
    let lines = desk.world.audit.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains(WHY)).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    for (action, target) in [
        ("app.delete", "app web"),
        ("plan.delete", "plan plan"),
        ("identity.delete", "identity readers"),
        ("vault.delete", "vault till"),
    ] {
        let is_it =
            |line: &&&String| [action, target].iter().all(|text| line.contains(&format!("\"{text}\"")));
        assert_eq!(told.iter().filter(is_it).count(), 1, "{action}: {told:?}");
    }
    assert_eq!(desk.ask(Method::GET, GROUP, Value::Null).await.0, 404);
    assert_eq!(marks(&desk).await, 0, "what was given there is gone, too");
}

#[tokio::test]
async fn an_app_that_is_gone_does_not_run_on_where_its_record_could_not_be_written() {
    let desk = shop().await;
    let kiosk = format!("{GROUP}/providers/Microsoft.KeyVault/vaults/kiosk");
    let properties = json!({
        "tenantId": desk.world.state.directory.tenant().id,
        "sku": {"name": "standard", "family": "A"},
        "accessPolicies": [],
    });
    let (status, made) =
        desk.ask(Method::PUT, &kiosk, json!({"location": "westeurope", "properties": properties})).await;
    assert_eq!(status, 200, "{made}");
    desk.ask(Method::GET, &kiosk, Value::Null).await;
    let made = std::mem::take(&mut desk.taking.told.lock().unwrap().1);
    let of = [Named::App("web".parse().unwrap()), Named::Vault("kiosk".parse().unwrap())];
    assert_eq!(made, of, "whose names are told, each once");
    desk.world.audit.set_failed(true);
    let (status, _) = desk.ask(Method::DELETE, GROUP, Value::Null).await;
    assert!(status >= 500, "{status}");
    assert!(desk.world.state.host.apps(BY).await.unwrap().is_empty());
    let told = desk.taking.told.lock().unwrap().clone();
    assert_eq!(told, (1, vec![Named::Any]), "what runs, and whose names are served");
    assert_eq!(marks(&desk).await, 0);
    // And deleting it again goes on.
    desk.world.audit.set_failed(false);
    assert_eq!(desk.ask(Method::DELETE, GROUP, Value::Null).await.0, 200);
    assert!(desk.world.state.host.identities(BY).await.unwrap().is_empty());
    assert_eq!(desk.ask(Method::GET, GROUP, Value::Null).await.0, 404);
}

#[tokio::test]
async fn what_is_deleted_is_told_so_also_if_its_roles_cannot_go_yet() {
    let desk = shop().await;
    let app = desk.world.state.host.app(BY, &"web".parse().unwrap()).await.unwrap().app.id;
    desk.is("Owner", Scope::Subscription).await;
    // Somebody's roles that cannot be read.
    let broken = WideRoles::key(&PrincipalId::random(&crypt::SystemEntropy));
    let write = async |number: u128, checks: &[Check], write: Write| {
        desk.world.store.commit(CommitId(number), checks, &[write]).await.unwrap().revision
    };
    let unreadable = Write::Put(broken.clone(), b"no record".as_slice().into());
    let revision = write(1, &[Check::Absent(broken.clone())], unreadable).await;
    let resource = &desk.world.state.resource;
    assert!(resource.forget(&[Gone::App(app)]).await.is_err());
    desk.web(Method::DELETE, "sites/web?deleteEmptyServerFarm=false", Value::Null).await;
    desk.web(Method::DELETE, "serverfarms/plan", Value::Null).await;
    let identity = format!("{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/readers");
    assert_eq!(desk.ask(Method::DELETE, &identity, Value::Null).await.0, 200);
    for action in ["site.delete", "plan.delete", "identity.delete"] {
        let lines = desk.world.audit.lines();
        let line = lines.iter().rfind(|line| line.contains(&format!("\"{action}\""))).unwrap();
        assert!(line.contains("allowed"), "{line}");
    }
    assert_eq!(marks(&desk).await, 3);
    // What is left goes with the sweep.
    write(2, &[Check::Unchanged(broken.clone(), revision)], Write::Delete(broken)).await;
    resource.sweep().await.unwrap();
    assert_eq!(marks(&desk).await, 0);
}

#[tokio::test]
async fn an_app_that_could_get_no_account_is_not_made() {
    let desk = Desk::new(Some("Contributor")).await;
    let accounts = json!({"given": domain::limits::ACCOUNTS_MAX}).to_string();
    let key = Key::new("app-accounts");
    let write = Write::Put(key.clone(), accounts.as_bytes().into());
    desk.world.store.commit(CommitId(1), &[Check::Absent(key)], &[write]).await.unwrap();
    let host = &desk.world.state.host;
    for config in [json!({"appSettings": [{"name": "A", "value": "1"}]}), json!({"numberOfWorkers": 2})] {
        let body = json!({"location": "local", "properties": {"siteConfig": config}});
        let (status, _) = desk.refused(Method::PUT, "sites/new", body).await;
        assert!(status >= 400, "{status}");
        assert!(host.apps(BY).await.unwrap().is_empty());
    }
    // One of which nothing is desired needs none.
    desk.web(Method::PUT, "sites/new", json!({"location": "local"})).await;
}
