//! Roles, network rules, and the explanation of both: end to end through the service.

use super::*;
use crate::{AccessModel, Keys};
use access::{
    ACTIONS, ActionName, Denied, Lack, NetworkRules, ObjectScope, RoleAssignment, RoleAssignments, RoleRef,
    Rule,
};
use domain::{AssignmentId, ObjectKind};

fn by_roles() -> VaultSettings {
    VaultSettings { access: Some(AccessModel::Roles), ..VaultSettings::default() }
}

fn secret(name: &str) -> Option<ObjectScope> {
    Some(ObjectScope { kind: ObjectKind::Secret, name: object(name) })
}

impl World {
    /// Gives a role in the vault, as the resource manager does.
    pub(super) async fn give(
        &self,
        to: PrincipalId,
        role: RoleRef,
        object: Option<ObjectScope>,
    ) -> RoleAssignment {
        let id = AssignmentId::random(&fresh());
        let assignment = RoleAssignment { id, role, object, created: NOW };
        self.change_roles(to, |all| all.push(assignment.clone())).await;
        assignment
    }

    async fn assign(&self, to: &Self, role: &str, object: Option<ObjectScope>) -> RoleAssignment {
        self.give(to.principal.id, role.parse().unwrap(), object).await
    }

    async fn unassign(&self, of: &Self, assignment: &RoleAssignment) {
        self.change_roles(of.principal.id, |all| all.retain(|one| one.id != assignment.id)).await;
    }

    async fn change_roles(&self, of: PrincipalId, change: impl Fn(&mut Vec<RoleAssignment>) + Sync) {
        let id = (self.service.show_vault(BY, &self.vault).await.unwrap().id, of);
        let entropy = fresh();
        let changed = transact::<_, StoreError>(&*self.store.inner, &entropy, |view| {
            let mut all =
                view.get::<RoleAssignments>(&id)?.map_or_else(Default::default, |all| (*all).clone());
            change(&mut all.assignments);
            Ok(Decision::of((), vec![put::<RoleAssignments>(&id, &all)]))
        });
        changed.await.unwrap();
    }

    pub(super) async fn roles(&self) -> Vec<(PrincipalId, RoleAssignment)> {
        let vault = self.service.show_vault(BY, &self.vault).await.unwrap().id;
        self.service.roles_in(vault).await.unwrap()
    }
}

fn lacks_role<T: std::fmt::Debug>(result: Result<T, VaultError>) -> bool {
    match result {
        Err(VaultError::Denied(Denied::Lacking { why: Lack::NoRole(_), .. })) => true,
        Err(VaultError::Denied(denied)) => panic!("{denied}"),
        Ok(_) | Err(_) => false,
    }
}

#[tokio::test]
async fn whoever_makes_a_vault_with_roles_administers_it() {
    let world = World::with(&by_roles()).await;
    world.set("db", "one").await;
    world.delete("db").await.unwrap();
    world.purge("db").await.unwrap();
    let roles = world.roles().await;
    let [(principal, assignment)] = &*roles else { panic!("{roles:?}") };
    assert_eq!(
        (*principal, assignment.role),
        (world.principal.id, "Key Vault Administrator".parse().unwrap())
    );
    let somebody = world.somebody().await;
    assert!(
        lacks_role(somebody.get("db", None).await) && lacks_role(somebody.set_with("db", "x", |_| {}).await)
    );
}

#[tokio::test]
async fn a_role_allows_what_it_is_for_until_it_is_taken() {
    let world = World::with(&by_roles()).await;
    world.set("db", "one").await;
    let user = world.somebody().await;
    assert!(lacks_role(user.get("db", None).await));
    let assigned = world.assign(&user, "Key Vault Secrets User", None).await;
    let read = user.service.get_secret(&user.asker(), &user.vault, &object("db"), None).await.unwrap();
    let because = format!(
        "role \"Key Vault Secrets User\" is assigned to the principal for the vault ({})",
        assigned.id
    );
    assert_eq!(read.because, because);
    assert_eq!(user.names().await, ["db"]);
    assert!(lacks_role(user.set_with("db", "two", |_| {}).await));
    assert!(lacks_role(user.update("db", None, SecretChange::default()).await));
    assert!(lacks_role(user.delete("db").await) && lacks_role(user.backup("db").await));
    assert!(lacks_role(user.recover("db").await) && lacks_role(user.purge("db").await));
    assert!(lacks_role(user.restore("x").await));
    refused!(user.get_deleted("db").await, VaultError::DeletedObjectNotFound { .. });
    let officer = world.assign(&user, "Key Vault Secrets Officer", None).await;
    user.set("db", "two").await;
    world.unassign(&user, &officer).await;
    assert!(lacks_role(user.set_with("db", "three", |_| {}).await));
    assert_eq!(user.value("db").await, "two");
    world.unassign(&user, &assigned).await;
    assert!(lacks_role(user.get("db", None).await) && lacks_role(user.list(25, None).await));
    assert_eq!(world.roles().await.len(), 1, "the owner's");
}

#[tokio::test]
async fn a_role_that_is_taken_while_a_list_is_gathered_is_gone() {
    let world = World::with(&by_roles()).await;
    for number in 0..10 {
        world.set(&format!("s-{number}"), "v").await;
    }
    let user = world.somebody().await;
    let assigned = world.assign(&user, "Key Vault Reader", None).await;
    let first = user.list(4, None).await.unwrap();
    assert_eq!(first.items.len(), 4);
    let (meddler, of, taken) = (world.elsewhere(), user.clone(), assigned.clone());
    world.after_list(move || at_once(meddler.unassign(&of, &taken)));
    assert!(lacks_role(user.list(4, first.next.clone()).await), "within a page");
    world.assign(&user, "Key Vault Reader", None).await;
    let second = user.list(4, first.next).await.unwrap();
    assert_eq!(second.items.len(), 4);
    let roles = world.roles().await;
    let (_, again) = roles.iter().find(|(principal, _)| *principal == user.principal.id).unwrap();
    world.unassign(&user, again).await;
    assert!(lacks_role(user.list(4, second.next).await), "between pages");
}

#[tokio::test]
async fn a_role_for_one_object_is_for_that_only() {
    let world = World::with(&by_roles()).await;
    world.set("db", "one").await;
    world.set("other", "two").await;
    let user = world.somebody().await;
    let assigned = world.assign(&user, "Key Vault Secrets Officer", secret("DB")).await;
    let read = user.service.get_secret(&user.asker(), &user.vault, &object("db"), None).await.unwrap();
    assert!(read.because.ends_with(&format!("for secret DB ({})", assigned.id)), "{}", read.because);
    user.set("db", "three").await;
    assert_eq!(user.versions("db", 25, None).await.unwrap().items.len(), 2);
    assert!(
        lacks_role(user.get("other", None).await) && lacks_role(user.set_with("other", "x", |_| {}).await)
    );
    assert!(lacks_role(user.versions("other", 25, None).await) && lacks_role(user.backup("other").await));
    // What is of the whole vault needs the whole vault.
    assert!(lacks_role(user.list(25, None).await) && lacks_role(user.list_deleted(25, None).await));
    let blob = user.backup("db").await.unwrap();
    user.delete("db").await.unwrap();
    user.get_deleted("db").await.unwrap();
    user.recover("db").await.unwrap();
    user.delete("db").await.unwrap();
    user.purge("db").await.unwrap();
    assert!(lacks_role(user.restore(&blob).await), "which object it is, only the blob says");
    // The scope outlives the object.
    user.set("db", "again").await;
    // A key of that name is another object.
    let key = user.service.see::<Keys>(&user.asker(), &user.vault, &object("db"), None).await;
    assert!(lacks_role(key));
}

#[tokio::test]
async fn the_owner_keeps_a_way_in_where_roles_begin_to_count() {
    let world = World::new().await;
    let id = world.principal.id;
    let changed = world.service.change_vault(BY, &world.vault, &by_roles(), Some(id), NOW).await.unwrap();
    assert_eq!(changed.access, AccessModel::Roles);
    world.set("db", "the owner keeps a way in").await;
    let set = world.service.set_policy(BY, &world.vault, id, Permissions::default()).await;
    refused!(set, VaultError::OtherAccessModel { .. });
}

/// The model that does not count is kept, and counts for nothing.
#[tokio::test]
async fn the_models_do_not_mix() {
    let world = World::new().await;
    world.set("db", "one").await;
    let user = world.somebody().await;
    user.allow(&[SecretPermission::Get]).await;
    user.get("db", None).await.unwrap();
    let owner = world.principal.id;
    world.service.change_vault(BY, &world.vault, &by_roles(), Some(owner), NOW).await.unwrap();
    assert!(lacks_role(user.get("db", None).await));
    let assigned = world.assign(&user, "Key Vault Secrets Officer", None).await;
    user.set("db", "two").await;
    let back = VaultSettings { access: Some(AccessModel::Policies), ..VaultSettings::default() };
    world.service.change_vault(BY, &world.vault, &back, Some(owner), NOW).await.unwrap();
    assert_eq!(user.value("db").await, "two");
    let set = user.set_with("db", "three", |_| {}).await;
    refused!(set, VaultError::Denied(Denied::Lacking { why: Lack::VerbMissing(_), .. }));
    world.service.change_vault(BY, &world.vault, &by_roles(), Some(owner), NOW).await.unwrap();
    user.set("db", "three").await;
    world.unassign(&user, &assigned).await;
    assert!(lacks_role(user.get("db", None).await));
    // Of a principal that is gone or disabled no role is left to count.
    world.assign(&user, "Key Vault Administrator", None).await;
    user.get("db", None).await.unwrap();
    user.write(vec![put::<Principal>(
        &user.principal.id,
        &Principal { enabled: false, ..user.principal.clone() },
    )])
    .await;
    let read = user.get("db", None).await;
    refused!(read, VaultError::Denied(Denied::Lacking { why: Lack::PrincipalDisabled, .. }));
    user.write(vec![store::delete::<Principal>(&user.principal.id)]).await;
    let read = user.get("db", None).await;
    refused!(read, VaultError::Denied(Denied::Lacking { why: Lack::PrincipalGone, .. }));
}

#[tokio::test]
async fn network_rules_are_for_every_operation() {
    let world = World::new().await;
    world.allow_all().await;
    world.set("db", "one").await;
    let blob = world.backup("db").await.unwrap();
    let only = |ranges: &[&str]| VaultSettings {
        network: Some(NetworkRules {
            only_from: Some(ranges.iter().map(|range| range.parse().unwrap()).collect()),
        }),
        ..VaultSettings::default()
    };
    let change = async |settings| {
        world.service.change_vault(BY, &world.vault, &settings, Some(world.principal.id), NOW).await.unwrap();
    };
    change(only(&["192.0.2.0/24"])).await;
    let from = |address: Option<&str>| World {
        address: address.map(|address| address.parse().unwrap()),
        ..world.clone()
    };
    assert_eq!(from(Some("192.0.2.7")).value("db").await, "one");
    assert_eq!(from(Some("::ffff:192.0.2.7")).value("db").await, "one");
    for address in [None, Some("198.51.100.7"), Some("::1")] {
        let outside = from(address);
        let is_kept_out = |error: Option<VaultError>| {
            assert!(matches!(error, Some(VaultError::Denied(Denied::Address { .. }))), "{error:?}");
        };
        is_kept_out(outside.get("db", None).await.err());
        is_kept_out(outside.set_with("db", "two", |_| {}).await.err());
        is_kept_out(outside.update("db", None, SecretChange::default()).await.err());
        is_kept_out(outside.list(25, None).await.err());
        is_kept_out(outside.versions("db", 25, None).await.err());
        is_kept_out(outside.delete("db").await.err());
        is_kept_out(outside.get_deleted("db").await.err());
        is_kept_out(outside.list_deleted(25, None).await.err());
        is_kept_out(outside.recover("db").await.err());
        is_kept_out(outside.purge("db").await.err());
        is_kept_out(outside.backup("db").await.err());
        is_kept_out(outside.restore(&blob).await.err());
        // Who may not anyway hears of the network first.
        is_kept_out(outside.somebody().await.get("db", None).await.err());
    }
    change(only(&[])).await;
    assert!(from(Some("192.0.2.7")).get("db", None).await.is_err(), "closed");
    change(VaultSettings { network: Some(NetworkRules::default()), ..VaultSettings::default() }).await;
    assert_eq!(from(None).value("db").await, "one");
    // Closed while a page is gathered.
    let (meddler, closed) = (world.elsewhere(), only(&[]));
    world.after_list(move || {
        let (name, id) = (&meddler.vault, meddler.principal.id);
        at_once(meddler.service.change_vault(BY, name, &closed, Some(id), NOW)).unwrap();
    });
    refused!(world.list(25, None).await, VaultError::Denied(Denied::Address { .. }));
}

/// Asks for the permit of every action as a request would, and for its explanation: they must agree, also in their reason.
#[tokio::test]
async fn what_is_explained_is_what_requests_get() {
    let world = World::new().await;
    world.set("db", "one").await;
    world.set("other", "two").await;
    let user = world.somebody().await;
    let disabled = Principal { enabled: false, ..user.principal.clone() };
    let mut seen = (0, 0);
    for step in 0..9 {
        match step {
            1 => user.allow(&[SecretPermission::Get, SecretPermission::Purge]).await,
            2 => {
                let all = Permissions::all_but_purge();
                world.service.set_policy(BY, &world.vault, user.principal.id, all).await.unwrap();
            }
            3 => user.write(vec![put::<Principal>(&disabled.id, &disabled)]).await,
            4 => {
                user.write(vec![put::<Principal>(&disabled.id, &user.principal)]).await;
                world
                    .service
                    .change_vault(BY, &world.vault, &by_roles(), Some(world.principal.id), NOW)
                    .await
                    .unwrap();
            }
            5 => drop(world.assign(&user, "Key Vault Reader", None).await),
            6 => drop(world.assign(&user, "Key Vault Secrets Officer", secret("db")).await),
            7 => drop(world.assign(&user, "Key Vault Administrator", None).await),
            8 => user.write(vec![store::delete::<Principal>(&disabled.id)]).await,
            _ => {}
        }
        for name in [None, Some(object("db")), Some(object("other"))] {
            let (vault, id) = (&world.vault, user.principal.id);
            let explained = world.service.explain(vault, id, name.as_ref(), ACTIONS).await.unwrap();
            assert_eq!(explained.iter().map(|(action, _)| *action).collect::<Vec<_>>(), ACTIONS);
            let asked = asked(&user, name.as_ref()).await;
            let names = |actions: &mut dyn Iterator<Item = &ActionName>| {
                actions.map(|it| it.name).collect::<Vec<_>>()
            };
            let all = names(&mut ACTIONS.iter());
            assert_eq!(names(&mut asked.iter().map(|(action, _)| action)), all, "each action is asked for");
            for ((action, explained), (_, asked)) in explained.iter().zip(&asked) {
                match explained {
                    Ok(_) => seen.0 += 1,
                    Err(_) => seen.1 += 1,
                }
                let explained = explained.as_ref().err();
                assert_eq!(asked.as_ref(), explained, "{step}: {} of {name:?}", action.name);
            }
            if let Some(name) = &name {
                done(&user, name, &explained).await;
            }
        }
    }
    assert!(seen.0 > 100 && seen.1 > 100, "{seen:?}");
}

/// Why a request for each action is refused, if it is: by asking for its permit.
async fn asked(user: &World, name: Option<&ObjectName>) -> Vec<(ActionName, Option<Lack>)> {
    // With the public half of a key also who sees it may do these.
    macro_rules! public {
        ($($action:ident)*) => { vec![$({
            let may = user.service.may_use_public::<access::$action>(&user.asker(), &user.vault, name).await;
            (ActionName::of::<access::$action>(), may.err().map(lack))
        }),*] };
    }
    let of_public_half = public! { Encrypt WrapKey Verify };
    macro_rules! each {
        ($($action:ident)*) => { vec![$({
            let may = user.service.may::<access::$action>(&user.asker(), &user.vault, name).await;
            (ActionName::of::<access::$action>(), may.err().map(lack))
        }),*] };
    }
    let mut asked = each! {
        GetSecret SetSecret ListSecrets UpdateSecret DeleteSecret GetDeletedSecret ListDeletedSecrets RecoverSecret PurgeSecret
        BackupSecret RestoreSecret
        GetKey ListKeys CreateKey ImportKey UpdateKey DeleteKey GetDeletedKey ListDeletedKeys RecoverKey PurgeKey BackupKey
        RestoreKey Encrypt Decrypt WrapKey UnwrapKey Sign Verify ReleaseKey RotateKey GetRandomBytes GetRotationPolicy SetRotationPolicy
        GetCertificate ListCertificates CreateCertificate ImportCertificate UpdateCertificate DeleteCertificate
        GetDeletedCertificate ListDeletedCertificates RecoverCertificate PurgeCertificate BackupCertificate RestoreCertificate
        GetContacts ManageContacts GetIssuer ListIssuers SetIssuer DeleteIssuer
    };
    for (action, answer) in of_public_half {
        asked.iter_mut().filter(|(other, _)| *other == action).for_each(|(_, other)| *other = answer);
    }
    asked
}

fn lack(error: VaultError) -> Lack {
    match error {
        VaultError::Denied(Denied::Lacking { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

/// What is done says the same rule as the explanation did, and what is refused the same reason.
async fn done(user: &World, name: &ObjectName, explained: &[(ActionName, Result<Rule, Lack>)]) {
    let (service, asker, vault) = (&user.service, user.asker(), &user.vault);
    let is_as = |action: &str, done: Result<String, VaultError>| {
        let (_, explained) = explained.iter().find(|(known, _)| known.name == action).unwrap();
        match (explained, done) {
            (Ok(rule), Ok(because)) => assert_eq!(rule.to_string(), because, "{action}"),
            (Err(why), Err(error)) => assert_eq!(*why, lack(error), "{action}"),
            (explained, done) => panic!("{action}: {explained:?}, but {done:?}"),
        }
    };
    let listed = service.list_versions::<Secrets>(&asker, vault, name, &page(25, None)).await;
    is_as("secret.list", listed.map(|done| done.because));
    is_as("secret.get", service.get_secret(&asker, vault, name, None).await.map(|done| done.because));
    let change = SecretChange::default();
    let updated = service.update_secret(&asker, vault, name, None, &change, LATER).await;
    is_as("secret.update", updated.map(|done| done.because));
    is_as("secret.backup", service.backup::<Secrets>(&asker, vault, name).await.map(|done| done.because));
}
