//! The one decision in both models of access: who gets a permit by which rule, and who gets none.

use super::*;
use crate::{
    ACTIONS, CreateKey, GetIssuer, GetSecret, ListSecrets, PrincipalKind, RoleAssignment, SetSecret, Sign,
    UpdateSecret,
};
use domain::{
    AppId, CertificatePermission, Entropy, ObjectKind, Permission, Permissions, SecretPermission, TenantId,
    Timestamp,
};

struct Fill(u8);
impl Entropy for Fill {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

fn principal(number: u8) -> Principal {
    Principal {
        id: PrincipalId::random(&Fill(number)),
        client: ClientId::random(&Fill(number)),
        tenant: TenantId::random(&Fill(0)),
        kind: PrincipalKind::ManagedIdentity { app: AppId::random(&Fill(number)) },
        display_name: "shop".to_owned(),
        enabled: true,
        member_of: Vec::new(),
        resource_group: domain::ResourceGroupName::default(),
        created: Timestamp::default(),
        revocations: crate::Revocations::default(),
    }
}

fn group(number: u8) -> Group {
    let id = GroupId::random(&Fill(number));
    Group {
        id,
        display_name: "ops".to_owned(),
        description: None,
        mail_nickname: None,
        created: Timestamp::default(),
    }
}

fn caller(of: &Principal) -> Caller {
    Caller::fixture(of.id, of.client, of.tenant)
}

fn vault_id() -> VaultId {
    VaultId::random(&Fill(7))
}

fn shop() -> ResourceGroupName {
    ResourceGroupName::parse("shop").unwrap()
}

fn ask_in<A: Action>(
    view: &View,
    of: &Principal,
    rules: Rules<'_>,
    network: &NetworkRules,
    object: Option<&str>,
) -> Result<Permit<A>, Denied> {
    let name = VaultName::parse("shop").unwrap();
    let vault = VaultScope { id: vault_id(), name: &name, group: &shop(), rules, network };
    let object = object.map(|name| ObjectName::parse(name).unwrap());
    let (caller, address) = (caller(of), Some("192.0.2.7".parse().unwrap()));
    match permit::<A>(view, &Asker { caller: &caller, address }, &vault, object.as_ref()) {
        Ok(permit) => Ok(permit),
        Err(Halt::Refuse(denied)) => Err(denied),
        Err(Halt::Load(load)) => panic!("{load:?}"),
    }
}

/// In a vault with a policy for somebody else, and one for this principal if there are permissions.
fn ask<A: Action>(view: &View, of: &Principal, own: Option<Permissions>) -> Result<Permit<A>, Denied> {
    let other = AccessPolicy { principal: principal(99).id, permissions: Permissions::all_but_purge() };
    let own = own.map(|permissions| AccessPolicy { principal: of.id, permissions });
    let policies: Vec<_> = std::iter::once(other).chain(own).collect();
    ask_in::<A>(view, of, Rules::Policies(&policies), &NetworkRules::default(), Some("db"))
}

fn secrets(verbs: &[SecretPermission]) -> Option<Permissions> {
    Some(Permissions::on_secrets(verbs.iter().copied().collect()))
}

fn view(of: &Principal) -> View<'static> {
    View::fixture().with::<Principal>(&of.id, of)
}

fn why(denied: Denied) -> Lack {
    match denied {
        Denied::Lacking { why, .. } => why,
        Denied::Address { .. } => panic!("{denied}"),
    }
}

#[test]
fn a_token_is_worth_nothing_once_what_it_stands_on_is_gone() {
    let (now, later) = (Timestamp::from_seconds(100), Timestamp::from_seconds(200));
    let [session, other] = [1, 2].map(uuid::Uuid::from_u128);
    let mut one = principal(1);
    let name = VaultName::parse("shop").unwrap();
    let network = NetworkRules::default();
    let policies =
        [AccessPolicy { principal: one.id, permissions: secrets(&[SecretPermission::Get]).unwrap() }];
    let ask = |of: &Principal, issued: Timestamp, stands_on: Option<uuid::Uuid>| {
        let vault = VaultScope {
            id: vault_id(),
            name: &name,
            group: &shop(),
            rules: Rules::Policies(&policies),
            network: &network,
        };
        let caller =
            Caller::fixture(of.id, of.client, of.tenant).standing_on(issued, stands_on.into_iter().collect());
        match permit::<GetSecret>(&view(of), &Asker { caller: &caller, address: None }, &vault, None) {
            Ok(_) => None,
            Err(Halt::Refuse(denied)) => Some(why(denied)),
            Err(Halt::Load(load)) => panic!("{load:?}"),
        }
    };
    assert_eq!(ask(&one, now, Some(session)), None);
    one.revocations.revoke(session, later, now);
    assert_eq!(ask(&one, now, Some(session)), Some(Lack::TokenRevoked));
    assert_eq!((ask(&one, now, Some(other)), ask(&one, now, None)), (None, None));
    one.revocations.revoke_all(now);
    for stands_on in [Some(other), None] {
        assert_eq!(ask(&one, now, stands_on), Some(Lack::TokenRevoked));
        assert_eq!(ask(&one, later, stands_on), None);
    }
    // A person who asks what the principal may, asks with no token.
    let vault = VaultScope {
        id: vault_id(),
        name: &name,
        group: &shop(),
        rules: Rules::Policies(&policies),
        network: &network,
    };
    assert!(decide(&view(&one), one.id, None, &ActionName::of::<GetSecret>(), &vault, None).unwrap().is_ok());
}

#[test]
fn each_verb_permits_its_own_actions_only() {
    use SecretPermission::{Get, List, Set};
    let one = principal(1);
    for verb in SecretPermission::ALL.iter().copied() {
        let (view, own) = (view(&one), secrets(&[verb]));
        let allowed = [
            (ask::<GetSecret>(&view, &one, own).is_ok(), Get),
            (ask::<SetSecret>(&view, &one, own).is_ok(), Set),
            (ask::<UpdateSecret>(&view, &one, own).is_ok(), Set),
            (ask::<ListSecrets>(&view, &one, own).is_ok(), List),
        ];
        for (is_allowed, needed) in allowed {
            assert_eq!(is_allowed, verb == needed, "{verb} for {needed}");
        }
        assert!(ask::<CreateKey>(&view, &one, own).is_err(), "a verb on secrets is none on keys");
    }
}

/// Every action of every kind, by the verb that it says it needs, and by no other one.
#[test]
fn a_policy_allows_an_action_by_its_verb_alone() {
    let one = principal(1);
    let (view, name, network) = (view(&one), VaultName::parse("shop").unwrap(), NetworkRules::default());
    let decided = |permissions: Permissions, action: &ActionName| {
        let policies = [AccessPolicy { principal: one.id, permissions }];
        let vault = VaultScope {
            id: vault_id(),
            name: &name,
            group: &shop(),
            rules: Rules::Policies(&policies),
            network: &network,
        };
        decide(&view, one.id, None, action, &vault, None).unwrap()
    };
    for action in ACTIONS {
        let mut own = Permissions::default();
        let mut others = Permissions {
            secrets: domain::VerbSet::all(),
            keys: domain::VerbSet::all(),
            certificates: domain::VerbSet::all(),
        };
        match action.verb {
            Verb::Secret(verb) => {
                own.secrets = [verb].into_iter().collect();
                others.secrets = others.secrets.iter().filter(|other| *other != verb).collect();
            }
            Verb::Key(verb) => {
                own.keys = [verb].into_iter().collect();
                others.keys = others.keys.iter().filter(|other| *other != verb).collect();
            }
            Verb::Certificate(verb) => {
                own.certificates = [verb].into_iter().collect();
                let rest = others.certificates.iter();
                let rest = rest.filter(|other| *other != verb && *other != action::MANAGE_ISSUERS);
                others.certificates = rest.collect();
            }
        }
        assert_eq!(decided(own, action), Ok(Rule::Policy(action.verb)), "{}", action.name);
        assert_eq!(decided(others, action), Err(Lack::VerbMissing(action.verb)), "{}", action.name);
    }
}

#[test]
fn who_manages_issuers_may_see_them() {
    let one = principal(1);
    let certificates = [CertificatePermission::ManageIssuers].into_iter().collect();
    let own = Some(Permissions { certificates, ..Permissions::default() });
    assert!(ask::<GetIssuer>(&view(&one), &one, own).is_ok());
    assert!(ask::<crate::GetCertificate>(&view(&one), &one, own).is_err());
}

#[test]
fn a_permit_says_who_where_and_why() {
    let one = principal(1);
    let permit = ask::<GetSecret>(&view(&one), &one, secrets(&[SecretPermission::Get])).unwrap();
    assert_eq!((permit.principal(), permit.vault()), (one.id, vault_id()));
    assert_eq!(permit.because(), "the vault's access policy for the principal has secrets get");
}

#[test]
fn strangers_are_denied_each_with_its_reason() {
    let one = principal(1);
    let all = Some(Permissions::all_but_purge());
    let gone = ask::<GetSecret>(&View::fixture(), &one, all).unwrap_err();
    assert_eq!(why(gone), Lack::PrincipalGone, "a deleted principal, whatever the policy says");
    let disabled = Principal { enabled: false, ..principal(1) };
    let denied = ask::<GetSecret>(&view(&disabled), &one, all).unwrap_err();
    assert_eq!(why(denied), Lack::PrincipalDisabled);
    assert_eq!(why(ask::<GetSecret>(&view(&one), &one, None).unwrap_err()), Lack::NoPolicy);
    let lack = Lack::VerbMissing(Verb::Secret(SecretPermission::Get));
    for verbs in [&[][..], &[SecretPermission::List, SecretPermission::Set]] {
        assert_eq!(why(ask::<GetSecret>(&view(&one), &one, secrets(verbs)).unwrap_err()), lack);
    }
}

#[test]
fn network_rules_come_before_everything() {
    let one = principal(1);
    let policies = [AccessPolicy { principal: one.id, permissions: Permissions::all_but_purge() }];
    let ask = |range: &str| {
        let network = NetworkRules { only_from: Some(vec![range.parse().unwrap()]) };
        ask_in::<GetSecret>(&view(&one), &one, Rules::Policies(&policies), &network, None)
    };
    assert!(ask("192.0.2.0/24").is_ok());
    assert!(matches!(ask("198.51.100.0/24"), Err(Denied::Address { .. })));
}

fn with_roles(of: &Principal, assignments: &[(&str, Option<(ObjectKind, &str)>)]) -> View<'static> {
    let assignment = |(role, object): &(&str, Option<(ObjectKind, &str)>)| RoleAssignment {
        id: AssignmentId::random(&Fill(1)),
        role: role.parse().unwrap(),
        object: object.map(|(kind, name)| ObjectScope { kind, name: ObjectName::parse(name).unwrap() }),
        created: Timestamp::default(),
    };
    let assignments = RoleAssignments { assignments: assignments.iter().map(assignment).collect() };
    view(of).with::<RoleAssignments>(&(vault_id(), of.id), &assignments)
}

#[test]
fn a_role_allows_where_it_is_assigned() {
    let one = principal(1);
    let anywhere = NetworkRules::default();
    fn may<A: Action>(view: &View, of: &Principal, network: &NetworkRules, object: Option<&str>) -> bool {
        ask_in::<A>(view, of, Rules::Roles, network, object).is_ok()
    }
    let user = with_roles(&one, &[("Key Vault Secrets User", None)]);
    assert!(
        may::<GetSecret>(&user, &one, &anywhere, Some("db"))
            && may::<ListSecrets>(&user, &one, &anywhere, None)
    );
    assert!(
        !may::<SetSecret>(&user, &one, &anywhere, Some("db"))
            && !may::<Sign>(&user, &one, &anywhere, Some("db"))
    );
    let narrow = with_roles(&one, &[("Key Vault Secrets User", Some((ObjectKind::Secret, "DB")))]);
    assert!(may::<GetSecret>(&narrow, &one, &anywhere, Some("db")), "names are the same in any case");
    assert!(!may::<GetSecret>(&narrow, &one, &anywhere, Some("other")));
    assert!(!may::<ListSecrets>(&narrow, &one, &anywhere, None), "a list is of the whole vault");
    let of_key = with_roles(&one, &[("Key Vault Administrator", Some((ObjectKind::Key, "db")))]);
    assert!(may::<Sign>(&of_key, &one, &anywhere, Some("db")));
    assert!(
        !may::<GetSecret>(&of_key, &one, &anywhere, Some("db")),
        "the secret of that name is another object"
    );
    let both = with_roles(
        &one,
        &[("Key Vault Reader", None), ("Key Vault Secrets User", Some((ObjectKind::Secret, "db")))],
    );
    assert!(
        may::<GetSecret>(&both, &one, &anywhere, Some("db"))
            && may::<ListSecrets>(&both, &one, &anywhere, None)
    );
    let lack = ask_in::<GetSecret>(&view(&one), &one, Rules::Roles, &anywhere, Some("db")).unwrap_err();
    assert_eq!(why(lack), Lack::NoRole(ActionName::of::<GetSecret>()));
    let disabled = Principal { enabled: false, ..principal(1) };
    let view = with_roles(&disabled, &[("Key Vault Administrator", None)]);
    assert!(!may::<GetSecret>(&view, &disabled, &anywhere, Some("db")));
}

#[test]
fn a_role_allows_in_what_is_below_where_it_is_given() {
    let one = principal(1);
    let anywhere = NetworkRules::default();
    let assignment = RoleAssignment {
        id: AssignmentId::random(&Fill(1)),
        role: "Key Vault Secrets User".parse().unwrap(),
        object: None,
        created: Timestamp::default(),
    };
    let in_group = |name: &str| Scope::Group(ResourceGroupName::parse(name).unwrap());
    for (scope, told) in [
        (Scope::Subscription, Some("for the subscription (")),
        (in_group("SHOP"), Some("for resource group SHOP (")),
        (in_group("other"), None),
        (Scope::App(AppId::random(&Fill(7))), None),
    ] {
        let wide = WideRoles { assignments: vec![(scope, assignment.clone())] };
        let view = view(&one).with::<WideRoles>(&one.id, &wide);
        let asked = ask_in::<GetSecret>(&view, &one, Rules::Roles, &anywhere, Some("db"));
        assert_eq!(asked.is_ok(), told.is_some());
        if let (Ok(permit), Some(told)) = (asked, told) {
            assert!(permit.because().contains(told), "{}", permit.because());
        }
        assert!(ask_in::<SetSecret>(&view, &one, Rules::Roles, &anywhere, Some("db")).is_err());
        assert!(ask_in::<GetSecret>(&view, &one, Rules::Policies(&[]), &anywhere, Some("db")).is_err());
    }
}

#[test]
fn a_groups_policy_allows_its_members_while_it_is_there() {
    let (ops, member) =
        (group(50), Principal { member_of: vec![group(49).id, group(50).id], ..principal(1) });
    let policies = [AccessPolicy {
        principal: ops.id.subject(),
        permissions: secrets(&[SecretPermission::Get]).unwrap(),
    }];
    let anywhere = NetworkRules::default();
    let may = |view: &View, of: &Principal| {
        ask_in::<GetSecret>(view, of, Rules::Policies(&policies), &anywhere, Some("db"))
    };
    let there = view(&member).with::<Group>(&ops.id, &ops);
    assert_eq!(
        may(&there, &member).unwrap().because(),
        format!(
            "the vault's access policy for group \"ops\" ({}), which the principal is in, has {}",
            ops.id,
            Verb::Secret(SecretPermission::Get)
        )
    );
    assert_eq!(why(may(&view(&member), &member).unwrap_err()), Lack::NoPolicy, "the group is deleted");
    let stranger = principal(2);
    assert_eq!(
        why(may(&view(&stranger).with::<Group>(&ops.id, &ops), &stranger).unwrap_err()),
        Lack::NoPolicy
    );
    let disabled = Principal { enabled: false, ..member.clone() };
    let there = view(&disabled).with::<Group>(&ops.id, &ops);
    assert_eq!(why(may(&there, &disabled).unwrap_err()), Lack::PrincipalDisabled);
    let other = ask_in::<SetSecret>(&there, &principal(1), Rules::Policies(&policies), &anywhere, None);
    assert!(other.is_err());
}

#[test]
fn a_groups_role_allows_where_it_is_assigned() {
    let (ops, member) = (group(50), Principal { member_of: vec![group(50).id], ..principal(1) });
    let anywhere = NetworkRules::default();
    let assignments = RoleAssignments {
        assignments: vec![RoleAssignment {
            id: AssignmentId::random(&Fill(1)),
            role: "Key Vault Secrets User".parse().unwrap(),
            object: Some(ObjectScope { kind: ObjectKind::Secret, name: ObjectName::parse("db").unwrap() }),
            created: Timestamp::default(),
        }],
    };
    let assigned = || view(&member).with::<RoleAssignments>(&(vault_id(), ops.id.subject()), &assignments);
    let there = assigned().with::<Group>(&ops.id, &ops);
    let ask = |view: &View, object| ask_in::<GetSecret>(view, &member, Rules::Roles, &anywhere, Some(object));
    let because = ask(&there, "db").unwrap().because();
    assert!(because.contains("is assigned to group \"ops\"") && because.contains("secret db"), "{because}");
    assert!(ask(&there, "other").is_err());
    assert_eq!(
        why(ask(&assigned(), "db").unwrap_err()),
        Lack::NoRole(ActionName::of::<GetSecret>()),
        "the group is deleted"
    );
}

#[test]
fn as_many_groups_as_there_may_be_fit_one_decision() {
    // Each costs a decision at most three keys; what else it reads needs the rest.
    const { assert!(domain::limits::GROUPS_OF_PRINCIPAL_MAX * 3 + 30 <= store::contract::READ_KEYS_MAX) };
}

#[test]
fn a_role_that_does_not_cover_what_is_asked_for_is_not_looked_up() {
    /// In the place of the roles that people made, and none of them.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Broken(u8);
    impl store::Record for Broken {
        type Id = ();
        fn key((): &()) -> store::Key {
            <crate::CustomRoles as store::Record>::key(&())
        }
    }
    let (one, anywhere) = (principal(1), NetworkRules::default());
    let custom = domain::RoleId::random(&Fill(3)).to_string();
    let view =
        with_roles(&one, &[(&custom, Some((ObjectKind::Secret, "other")))]).with::<Broken>(&(), &Broken(1));
    let refused = ask_in::<GetSecret>(&view, &one, Rules::Roles, &anywhere, Some("db")).unwrap_err();
    assert_eq!(why(refused), Lack::NoRole(ActionName::of::<GetSecret>()));
}

#[test]
fn policies_count_for_nothing_where_roles_do_and_the_reverse() {
    let one = principal(1);
    let roles = with_roles(&one, &[("Key Vault Administrator", None)]);
    assert_eq!(why(ask::<GetSecret>(&roles, &one, None).unwrap_err()), Lack::NoPolicy);
}

#[test]
fn a_principal_that_is_not_loaded_is_asked_for() {
    let one = principal(1);
    let (name, network, caller) = (VaultName::parse("shop").unwrap(), NetworkRules::default(), caller(&one));
    let vault = VaultScope {
        id: vault_id(),
        name: &name,
        group: &shop(),
        rules: Rules::Policies(&[]),
        network: &network,
    };
    let asker = Asker { caller: &caller, address: None };
    assert!(matches!(permit::<GetSecret>(&View::default(), &asker, &vault, None), Err(Halt::Load(_))));
}
