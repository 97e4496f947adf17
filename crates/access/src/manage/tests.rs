//! Who may manage what, by which role at which scope, and who may not.

use super::*;
use crate::{
    CustomRole, CustomRoles, PrincipalKind, Revocations, RoleAssignment, RoleAssignments, WideRoles,
    assignment::ObjectScope,
};
use domain::{
    AppId, AssignmentId, ClientId, GroupId, ObjectKind, ObjectName, PrincipalId, ResourceGroupName, RoleId,
    TenantId, Timestamp, VaultId,
};
use uuid::Uuid;

const WRITE: &str = "Microsoft.KeyVault/vaults/write";
const DELETE: &str = "Microsoft.KeyVault/vaults/delete";
const ASSIGN: &str = "Microsoft.Authorization/roleAssignments/write";

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn principal(member_of: &[GroupId]) -> Principal {
    Principal {
        id: PrincipalId::from_uuid(id(1)),
        client: ClientId::from_uuid(id(1)),
        tenant: TenantId::from_uuid(id(0)),
        kind: PrincipalKind::ManagedIdentity { app: AppId::from_uuid(id(1)) },
        display_name: "shop".to_owned(),
        enabled: true,
        member_of: member_of.to_vec(),
        resource_group: domain::ResourceGroupName::default(),
        created: Timestamp::default(),
        revocations: Revocations::default(),
    }
}

fn group(name: &str) -> ResourceGroupName {
    ResourceGroupName::parse(name).unwrap()
}

fn vault() -> VaultId {
    VaultId::from_uuid(id(7))
}

fn assigned(roles: &[&str]) -> RoleAssignments {
    let one = |role: &&str| RoleAssignment {
        id: AssignmentId::from_uuid(id(5)),
        role: role.parse().unwrap(),
        object: None,
        created: Timestamp::default(),
    };
    RoleAssignments { assignments: roles.iter().map(one).collect() }
}

fn view(of: &Principal, roles: &[(Scope, PrincipalId, RoleAssignments)]) -> View<'static> {
    let view = View::fixture().with::<Principal>(&of.id, of);
    roles.iter().fold(view, |view, (scope, subject, roles)| match scope {
        Scope::Vault(vault) => view.with::<RoleAssignments>(&(*vault, *subject), roles),
        wide => {
            let assignments = roles.assignments.iter().map(|one| (wide.clone(), one.clone())).collect();
            view.with::<WideRoles>(subject, &WideRoles { assignments })
        }
    })
}

/// In a vault of group shop.
fn ask(view: &View, operation: &'static str) -> Result<ManagePermit, Unmanaged> {
    asked(view, operation, &Around::vault(vault(), &group("shop")))
}

fn asked(view: &View, operation: &'static str, around: &Around<'_>) -> Result<ManagePermit, Unmanaged> {
    let of = principal(&[]);
    match manage(view, &Caller::fixture(of.id, of.client, of.tenant), operation, around) {
        Ok(permit) => Ok(permit),
        Err(Halt::Refuse(why)) => Err(why),
        Err(Halt::Load(load)) => panic!("{load:?}"),
    }
}

#[test]
fn a_role_counts_where_it_is_given_and_below() {
    let of = principal(&[]);
    for (scope, expected) in [
        (Scope::Subscription, true),
        (Scope::Group(group("SHOP")), true),
        (Scope::Vault(vault()), true),
        (Scope::Group(group("other")), false),
        (Scope::Vault(VaultId::from_uuid(id(8))), false),
    ] {
        let view = view(&of, &[(scope.clone(), of.id, assigned(&["Contributor"]))]);
        assert_eq!(ask(&view, WRITE).is_ok(), expected, "{scope}");
        // Not above.
        let is_above = matches!(scope, Scope::Subscription);
        assert_eq!(asked(&view, WRITE, &Around::subscription()).is_ok(), is_above, "{scope}");
        assert_eq!(ask(&view, ASSIGN).unwrap_err(), Unmanaged::NoRole(ASSIGN));
    }
    let view = view(&of, &[(Scope::Group(group("shop")), of.id, assigned(&["Reader", "Contributor"]))]);
    let permit = ask(&view, WRITE).unwrap();
    let expected =
        format!("role \"Contributor\" is assigned to the principal for resource group shop ({})", id(5));
    assert_eq!((permit.operation(), permit.because()), (WRITE, expected));
}

#[test]
fn what_is_given_for_an_object_manages_nothing() {
    let of = principal(&[]);
    let mut roles = assigned(&["Owner"]);
    let name = ObjectName::parse("db").unwrap();
    roles.assignments[0].object = Some(ObjectScope { kind: ObjectKind::Secret, name });
    let view = view(&of, &[(Scope::Vault(vault()), of.id, roles)]);
    assert_eq!(ask(&view, WRITE).unwrap_err(), Unmanaged::NoRole(WRITE));
}

#[test]
fn who_is_gone_disabled_or_signed_out_manages_nothing() {
    let owner = |of: &Principal| view(of, &[(Scope::Subscription, of.id, assigned(&["Owner"]))]);
    let mut of = principal(&[]);
    assert!(ask(&owner(&of), WRITE).is_ok());
    of.enabled = false;
    assert_eq!(ask(&owner(&of), WRITE).unwrap_err(), Unmanaged::PrincipalDisabled);
    assert_eq!(ask(&View::fixture(), WRITE).unwrap_err(), Unmanaged::PrincipalGone);
    let of = principal(&[]);
    let mut revoked = of.clone();
    revoked.revocations.revoke_all(Timestamp::from_seconds(200));
    let caller =
        Caller::fixture(of.id, of.client, of.tenant).standing_on(Timestamp::from_seconds(100), Vec::new());
    let refused = manage(&owner(&revoked), &caller, WRITE, &Around::subscription());
    assert!(matches!(refused, Err(Halt::Refuse(Unmanaged::TokenRevoked))));
}

#[test]
fn members_manage_what_their_group_may_until_it_is_deleted() {
    let ops = GroupId::from_uuid(id(9));
    let of = principal(&[ops]);
    let roles = [(Scope::Subscription, ops.subject(), assigned(&["Owner"]))];
    assert_eq!(ask(&view(&of, &roles), WRITE).unwrap_err(), Unmanaged::NoRole(WRITE));
    let group = Group {
        id: ops,
        display_name: "ops".to_owned(),
        description: None,
        mail_nickname: None,
        created: Timestamp::default(),
    };
    let permit = ask(&view(&of, &roles).with::<Group>(&ops, &group), WRITE).unwrap();
    assert!(permit.because().contains("group \"ops\""), "{}", permit.because());
}

#[test]
fn a_custom_role_counts_as_it_is_defined_now() {
    let of = principal(&[]);
    let role = RoleId::from_uuid(id(3));
    let roles = [(Scope::Subscription, of.id, assigned(&[&role.to_string()]))];
    let mut custom = CustomRole {
        id: role,
        name: "Vault Maker".to_owned(),
        description: String::new(),
        actions: vec!["Microsoft.KeyVault/*".to_owned()],
        not_actions: vec!["*/delete".to_owned()],
        data_actions: Vec::new(),
        not_data_actions: Vec::new(),
        assignable_scopes: Vec::new(),
        created: Timestamp::default(),
        changed: Timestamp::default(),
        given: 0,
    };
    let with = |custom: &CustomRole| {
        view(&of, &roles).with::<CustomRoles>(&(), &CustomRoles { roles: vec![custom.clone()] })
    };
    assert!(ask(&with(&custom), WRITE).unwrap().because().contains("Vault Maker"));
    assert!(ask(&with(&custom), "Microsoft.KeyVault/vaults/delete").is_err());
    custom.not_actions.push("*/write".to_owned());
    assert!(ask(&with(&custom), WRITE).is_err());
    assert!(ask(&view(&of, &roles), WRITE).is_err(), "deleted");
}

#[test]
fn the_widest_right_to_assign_counts() {
    let of = principal(&[]);
    let both = ["Key Vault Data Access Administrator", "User Access Administrator"];
    let may = |roles: &[&str], role: &str| {
        let view = view(&of, &[(Scope::Subscription, of.id, assigned(roles))]);
        ask(&view, ASSIGN).unwrap().may_assign(role.parse().unwrap())
    };
    assert!(may(&both[..1], "Key Vault Secrets User") && !may(&both[..1], "Owner"));
    assert!(may(&both, "Owner"));
}

#[test]
fn a_request_knows_why_it_was_allowed() {
    let of = principal(&[]);
    let caller = Caller::fixture(of.id, of.client, of.tenant);
    let asking = Asking::of(&caller);
    let may = |roles: &[&str], operation| {
        let view = view(&of, &[(Scope::Subscription, of.id, assigned(roles))]);
        Manager::Request(&asking).may(&view, operation, &Around::subscription()).is_ok()
    };
    assert!(!may(&["Reader"], WRITE));
    assert_eq!(asking.because(), None, "a refusal is no reason");
    assert!(may(&["Contributor"], WRITE) && may(&["Contributor"], WRITE));
    let by =
        |role: &str| format!("role \"{role}\" is assigned to the principal for the subscription ({})", id(5));
    assert_eq!(asking.because().unwrap(), by("Contributor"));
    assert!(may(&["Owner"], ASSIGN));
    assert_eq!(asking.because().unwrap(), [by("Contributor"), by("Owner")].join("; "));
}

#[test]
fn a_request_that_has_more_reasons_than_are_told_says_that_it_has() {
    let of = principal(&[]);
    let caller = Caller::fixture(of.id, of.client, of.tenant);
    let asking = Asking::of(&caller);
    let (mut told, shop) = (Vec::new(), group("shop"));
    for number in 0..=RULES_TOLD_MAX as u128 {
        let (vault, mut roles) = (VaultId::from_uuid(id(100 + number)), assigned(&["Contributor"]));
        roles.assignments[0].id = AssignmentId::from_uuid(id(200 + number));
        let view = view(&of, &[(Scope::Vault(vault), of.id, roles)]);
        for _ in 0..2 {
            let _permit = Manager::Request(&asking).may(&view, WRITE, &Around::vault(vault, &shop)).unwrap();
        }
        told.push(asking.because().unwrap());
    }
    assert_eq!(told[RULES_TOLD_MAX - 1].split("; ").count(), RULES_TOLD_MAX);
    assert!(!told[RULES_TOLD_MAX - 1].contains("more"), "{told:?}");
    assert_eq!(told[RULES_TOLD_MAX], told[RULES_TOLD_MAX - 1].clone() + "; and more");
}

#[test]
fn the_administrator_may_do_anything() {
    let permit = Manager::Administrator.may(&View::fixture(), ASSIGN, &Around::subscription()).unwrap();
    assert_eq!(permit.because(), "the administrator may do anything");
    assert!(permit.may_assign("Owner".parse().unwrap()));
    let of = principal(&[]);
    let caller = Caller::fixture(of.id, of.client, of.tenant);
    let refused = Manager::Caller(&caller).may(&view(&of, &[]), ASSIGN, &Around::subscription());
    assert!(matches!(refused, Err(Halt::Refuse(Unmanaged::NoRole(_)))));
}

#[test]
fn the_deletion_of_a_group_reaches_what_is_in_it_while_it_is_going_and_nothing_else() {
    let shop = crate::ResourceGroup {
        id: "11111111-0000-4000-8000-000000000001".parse().unwrap(),
        name: group("shop"),
        location: domain::Location::default(),
        tags: domain::Tags::default(),
        created: Timestamp::from_seconds(7),
        is_going: true,
    };
    // Made in the same second: a clock tells nothing apart.
    let other =
        crate::ResourceGroup { id: "11111111-0000-4000-8000-000000000002".parse().unwrap(), ..shop.clone() };
    let staying = crate::ResourceGroup { is_going: false, ..shop.clone() };
    let asked_for = |there: Option<&crate::ResourceGroup>, operation, around: &Around<'_>| {
        let view = View::fixture();
        let view = match there {
            Some(there) => view.with::<crate::ResourceGroup>(&there.name, there),
            None => view,
        };
        Manager::Deletion(&shop).may(&view, operation, around).is_ok()
    };
    let asked = |there, around: &Around<'_>| asked_for(there, DELETE, around);
    let (here, elsewhere) = (group("SHOP"), group("elsewhere"));
    assert!(asked(Some(&shop), &Around::vault(vault(), &here)) && asked(Some(&shop), &Around::group(&here)));
    assert!(!asked(Some(&shop), &Around::vault(vault(), &elsewhere)), "made anew in another group");
    assert!(!asked(Some(&shop), &Around::subscription()));
    for operation in [
        WRITE,
        ASSIGN,
        "Microsoft.Web/sites/publish/Action",
        "Microsoft.KeyVault/vaults/read",
        "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
    ] {
        assert!(!asked_for(Some(&shop), operation, &Around::group(&here)), "{operation}");
    }
    for there in [None, Some(&other), Some(&staying)] {
        assert!(!asked(there, &Around::vault(vault(), &here)), "{there:?}");
    }
    let view = View::fixture().with::<crate::ResourceGroup>(&shop.name, &shop);
    assert!(matches!(Manager::Deletion(&shop).has_any_role(&view), Ok(false)));
}
