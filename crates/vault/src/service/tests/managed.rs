//! Who may manage a vault by a role of the resource manager, and who may not: each operation by itself.

use super::*;
use crate::{AccessModel, PolicyEdit, SaidPolicy};
use access::{AccessPolicy, GroupFault, ResourceGroup, RoleAssignment, Scope, Unmanaged, WideRoles};
use domain::{AssignmentId, KeyPermission, Location, ResourceGroupName, StoragePermission};

fn group(name: &str) -> ResourceGroupName {
    ResourceGroupName::parse(name).unwrap()
}

fn refused_role<T: std::fmt::Debug>(result: Result<T, VaultError>) -> bool {
    match result {
        Err(VaultError::Unmanaged(Unmanaged::NoRole(_))) => true,
        Err(VaultError::Unmanaged(other)) => panic!("{other}"),
        Ok(_) | Err(_) => false,
    }
}

impl World {
    fn by(&self) -> Manager<'_> {
        Manager::Caller(&self.caller)
    }

    /// Has just this role anywhere.
    async fn with_role(&self, role: &str, scope: Scope) -> Self {
        let one = RoleAssignment {
            id: AssignmentId::random(&fresh()),
            role: role.parse().unwrap(),
            object: None,
            created: NOW,
        };
        let wide = WideRoles { assignments: vec![(scope, one)] };
        self.write(vec![put::<WideRoles>(&self.principal.id, &wide)]).await;
        self.clone()
    }

    async fn with_group(&self, name: &str, is_going: bool) {
        let group = ResourceGroup {
            id: "11111111-0000-4000-8000-000000000001".parse().unwrap(),
            name: group(name),
            location: Location::default(),
            tags: domain::Tags::default(),
            created: NOW,
            is_going,
        };
        self.write(vec![put::<ResourceGroup>(&group.name, &group)]).await;
    }

    async fn make_in(&self, name: &str, of: &str, by: Manager<'_>) -> Result<Vault, VaultError> {
        let name = VaultName::parse(name).unwrap();
        let (group, location) = (group(of), Location::default());
        let new = NewVault { name: &name, tenant: self.principal.tenant, owner: None, group, location };
        self.service.create_vault(by, new, &VaultSettings::default(), NOW).await
    }
}

#[tokio::test]
async fn what_a_vault_may_not_be_is_told_only_to_who_may_make_one() {
    let world = World::new().await;
    let name = VaultName::parse("other").unwrap();
    let wrong = VaultSettings { recoverable_days: Some(1), ..VaultSettings::default() };
    let make = async |by: Manager<'_>| {
        let (group, location) = (ResourceGroupName::default(), Location::default());
        let new = NewVault { name: &name, tenant: world.principal.tenant, owner: None, group, location };
        world.service.create_vault(by, new, &wrong, NOW).await
    };
    assert!(refused_role(make(world.by()).await));
    assert!(matches!(make(BY).await, Err(VaultError::SettingInvalid { .. })));
}

/// Everything but reading and purging; whatever else came of it, was it refused for want of a role?
async fn changes(world: &World, vault: &VaultName, by: Manager<'_>) -> Vec<bool> {
    let (service, somebody) = (&world.service, world.principal.id);
    let said = [];
    vec![
        refused_role(service.change_vault(by, vault, &VaultSettings::default(), None, NOW).await),
        refused_role(service.set_policy(by, vault, somebody, Permissions::all_but_purge()).await),
        refused_role(service.edit_policies(by, vault, PolicyEdit::Add, &said).await),
        refused_role(service.delete_vault(by, vault, NOW).await),
        refused_role(service.recover_vault(by, vault).await),
    ]
}

#[tokio::test]
async fn each_operation_needs_a_role_that_has_it() {
    let world = World::new().await;
    world.with_group("shop", false).await;
    let made = world.make_in("till", "shop", BY).await.unwrap();
    let (vault, service) = (made.name.clone(), world.service.clone());
    let stranger = world.somebody().await;
    assert!(refused_role(service.show_vault(stranger.by(), &vault).await));
    assert!(refused_role(service.purge_vault(stranger.by(), &vault, NOW).await));
    assert!(refused_role(stranger.make_in("new", "shop", stranger.by()).await));
    assert_eq!(changes(&world, &vault, stranger.by()).await, [true, true, true, true, false]);
    assert_eq!(service.list_vaults(stranger.by()).await.unwrap().len(), 0);
    // A deleted one is not to be recovered nor seen either.
    service.delete_vault(BY, &vault, NOW).await.unwrap();
    assert!(refused_role(service.recover_vault(stranger.by(), &vault).await));
    assert!(refused_role(service.show_deleted_vault(stranger.by(), &vault).await));
    assert_eq!(service.list_deleted_vaults(stranger.by()).await.unwrap().len(), 0);
    service.recover_vault(BY, &vault).await.unwrap();
    for scope in [Scope::Subscription, Scope::Group(group("SHOP")), Scope::Vault(made.id)] {
        let reader = world.somebody().await.with_role("Reader", scope.clone()).await;
        service.show_vault(reader.by(), &vault).await.unwrap();
        let seen = service.list_vaults(reader.by()).await.unwrap();
        assert_eq!(seen.len(), if scope == Scope::Subscription { 2 } else { 1 }, "{scope}");
        assert_eq!(changes(&world, &vault, reader.by()).await, [true, true, true, true, false]);
        let contributor = world.somebody().await.with_role("Contributor", scope.clone()).await;
        assert_eq!(changes(&world, &vault, contributor.by()).await, [false; 5]);
        service.delete_vault(contributor.by(), &vault, NOW).await.unwrap();
        let purged = service.purge_vault(contributor.by(), &VaultName::parse("shop").unwrap(), NOW).await;
        assert_eq!(refused_role(purged), scope != Scope::Subscription, "{scope}");
        service.show_deleted_vault(contributor.by(), &vault).await.unwrap();
        assert_eq!(service.list_deleted_vaults(contributor.by()).await.unwrap().len(), 1);
        service.recover_vault(contributor.by(), &vault).await.unwrap();
        // What is in another group is not theirs.
        assert_eq!(
            refused_role(service.show_vault(contributor.by(), &world.vault).await),
            scope != Scope::Subscription
        );
        assert_eq!(
            refused_role(contributor.make_in("new", "shop", contributor.by()).await),
            matches!(scope, Scope::Vault(_))
        );
        drop(service.delete_vault(BY, &VaultName::parse("new").unwrap(), NOW).await);
        drop(service.purge_vault(BY, &VaultName::parse("new").unwrap(), NOW).await);
    }
}

/// Else who may write access policies would go around the roles.
#[tokio::test]
async fn only_who_may_give_any_role_changes_which_model_counts() {
    let world = World::new().await;
    let roles = VaultSettings { access: Some(AccessModel::Roles), ..VaultSettings::default() };
    let change = async |by: Manager<'_>, settings: &VaultSettings| {
        world.service.change_vault(by, &world.vault, settings, None, NOW).await
    };
    let contributor = world.somebody().await.with_role("Contributor", Scope::Subscription).await;
    assert!(refused_role(change(contributor.by(), &roles).await));
    let owner = world.somebody().await.with_role("Owner", Scope::Subscription).await;
    assert_eq!(change(owner.by(), &roles).await.unwrap().access, AccessModel::Roles);
    change(contributor.by(), &roles).await.unwrap();
    let back = VaultSettings { access: Some(AccessModel::Policies), ..VaultSettings::default() };
    assert!(refused_role(change(contributor.by(), &back).await));
    assert!(world.roles().await.is_empty(), "nobody was let in by it");
}

#[tokio::test]
async fn a_vault_is_made_and_recovered_only_in_a_group_that_is_there() {
    let world = World::new().await;
    refused!(world.make_in("till", "shop", BY).await, VaultError::Group(GroupFault::NotFound(_)));
    world.with_group("shop", true).await;
    refused!(world.make_in("till", "shop", BY).await, VaultError::Group(GroupFault::Going(_)));
    world.with_group("shop", false).await;
    let made = world.make_in("till", "shop", BY).await.unwrap();
    assert!(made.policies.is_empty() && made.placement.group == group("shop"));
    world.service.delete_vault(BY, &made.name, NOW).await.unwrap();
    world.with_group("shop", true).await;
    refused!(world.service.recover_vault(BY, &made.name).await, VaultError::Group(GroupFault::Going(_)));
    world.with_group("shop", false).await;
    assert_eq!(world.service.recover_vault(BY, &made.name).await.unwrap(), made);
}

#[tokio::test]
async fn a_vault_is_found_in_its_group_only_and_strangers_learn_nothing() {
    let world = World::new().await;
    world.with_group("shop", false).await;
    let made = world.make_in("till", "shop", BY).await.unwrap();
    let find = async |by: Manager<'_>, of: &str, name: &str| {
        let name = VaultName::parse(name).unwrap();
        world.service.vault_in(by, crate::operation::READ, &group(of), &name).await
    };
    assert_eq!(*find(BY, "SHOP", "TILL").await.unwrap().0, made);
    refused!(find(BY, "keyless", "till").await, VaultError::VaultNotFound { .. });
    let reader = world.somebody().await.with_role("Reader", Scope::Group(group("shop"))).await;
    let (_, because) = find(reader.by(), "shop", "till").await.unwrap();
    assert!(because.contains("role \"Reader\"") && because.contains("resource group shop"), "{because}");
    refused!(find(reader.by(), "shop", "none").await, VaultError::VaultNotFound { .. });
    for (of, name) in [("keyless", "till"), ("keyless", "shop"), ("keyless", "none")] {
        assert!(refused_role(find(reader.by(), of, name).await), "{of} {name}");
    }
}

#[tokio::test]
async fn policies_are_added_replaced_and_taken_away() {
    let world = World::new().await;
    let id = PrincipalId::random(&fresh());
    let said = |secrets: &[SecretPermission], keys: &[KeyPermission], storage: &[StoragePermission]| {
        let permissions = Permissions {
            keys: keys.iter().copied().collect(),
            ..Permissions::on_secrets(secrets.iter().copied().collect())
        };
        [SaidPolicy {
            policy: AccessPolicy { principal: id, permissions },
            storage: storage.iter().copied().collect(),
        }]
    };
    let edit = async |how, said: &[SaidPolicy]| {
        let edited = world.service.edit_policies(BY, &world.vault, how, said).await.unwrap();
        assert_eq!(edited.policies[0].principal, world.principal.id, "nobody else's is touched");
        let policy = edited.policies.iter().find(|policy| policy.principal == id);
        let told =
            |policy: &AccessPolicy| format!("{} {}", policy.permissions.secrets, policy.permissions.keys);
        (policy.map(told), edited.told.storage.get(&id).map(ToString::to_string))
    };
    use {KeyPermission::Sign, SecretPermission as S, StoragePermission as T};
    let text = |text: &str| Some(text.to_owned());
    let added = edit(PolicyEdit::Add, &said(&[S::Get], &[], &[T::Get])).await;
    assert_eq!(added, (text("get nothing"), text("get")));
    let added = edit(PolicyEdit::Add, &said(&[S::List], &[Sign], &[T::Set])).await;
    assert_eq!(added, (text("get,list sign"), text("get,set")));
    let removed = edit(PolicyEdit::Remove, &said(&[S::Get], &[], &[T::Get])).await;
    assert_eq!(removed, (text("list sign"), text("set")));
    let replaced = edit(PolicyEdit::Replace, &said(&[S::Set], &[], &[])).await;
    assert_eq!(replaced, (text("set nothing"), None));
    assert_eq!(edit(PolicyEdit::Remove, &said(&[S::Set, S::Get], &[], &[])).await, (None, None));
}

#[tokio::test]
async fn settings_policies_and_tags_change_in_one_write() {
    let world = World::new().await;
    let tags = BTreeMap::from([("env".to_owned(), "test".to_owned())]);
    let policy = |id| AccessPolicy { principal: id, permissions: Permissions::all_but_purge() };
    let one = PrincipalId::random(&fresh());
    let settings = VaultSettings {
        policies: Some(vec![policy(one)]),
        tags: Some(domain::Tags::new(tags).unwrap()),
        purge_protection: Some(true),
        ..VaultSettings::default()
    };
    let changed = world.service.change_vault(BY, &world.vault, &settings, None, NOW).await.unwrap();
    assert_eq!(changed.policies, [policy(one)]);
    assert_eq!(changed.placement.tags.get("ENV"), Some("test"));
    assert_eq!(*world.service.show_vault(BY, &world.vault).await.unwrap(), changed);
    let twice = VaultSettings { policies: Some(vec![policy(one); 2]), ..VaultSettings::default() };
    let refused = world.service.change_vault(BY, &world.vault, &twice, None, NOW).await;
    refused!(refused, VaultError::SettingInvalid { .. });
}
