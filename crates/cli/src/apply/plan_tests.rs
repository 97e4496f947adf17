//! Plans: of nothing, of all, of each change, and of what cannot be.

use super::{
    super::found::{
        FoundApp, FoundGroup, FoundRole, FoundSecret, FoundVault, Object, Registration as FoundRegistration,
    },
    *,
};
use crate::vault::Access;
use domain::ObjectName;

fn stack(text: &str) -> Stack {
    Stack::parse(text).unwrap()
}

fn everything() -> Stack {
    stack(include_str!("everything.yaml"))
}

fn of<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A server on which nothing was made yet.
fn empty() -> Found {
    let role = |id: &str, name: &str, scope: &str| {
        of(
            json!({"id": id, "name": name, "assignable_scopes": ["/subscriptions/s/resourceGroups/other", scope]}),
        )
    };
    Found {
        domain: "keyless.localhost".into(),
        tenant: "6f1d0c2a-0000-4000-8000-000000000000".into(),
        roles: vec![
            role("r-user", "Key Vault Secrets User", "/"),
            role("r-reader", "Key Vault Reader", "/"),
            role("c-wide", "Shop Auditor", "/subscriptions/s/resourceGroups/KEYLESS"),
            role("c-other", "Other Auditor", "/subscriptions/s/resourceGroups/other"),
        ],
        ..Found::default()
    }
}

fn verbs(secrets: &[&str], keys: &[&str]) -> super::super::verbs::Verbs {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    super::super::verbs::Verbs::parse(&owned(secrets), &owned(keys), &[]).unwrap()
}

fn vault(access: Access) -> FoundVault {
    FoundVault {
        access,
        retention_days: 90,
        purge_protection: false,
        only_from: None,
        policies: BTreeMap::new(),
        roles: Vec::new(),
        secrets: BTreeMap::new(),
    }
}

fn there(is_same_value: bool, content_type: Option<&str>, tags: &[(&str, &str)]) -> FoundSecret {
    let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let attributes = Attributes { enabled: Some(true), nbf: Some(1), exp: Some(2) };
    FoundSecret::There { is_same_value, content_type: content_type.map(str::to_owned), tags, attributes }
}

/// What `everything.yaml` comes to.
fn applied() -> Found {
    let name = |text| ObjectName::parse(text).unwrap();
    let registration: FoundRegistration = of(json!({
        "id": "reg", "principal": "p-pipeline", "display_name": "pipeline", "is_public": false,
        "identifier_uris": ["api://pipeline"],
        "redirect_uris": [{"uri": "https://shop.example/signed-in", "platform": "web"}],
        "federated": [{
            "id": "cred", "keys": [], "created": 0, "name": "production", "issuer": "https://token.example",
            "subject": "repo:octo/shop:environment:production", "description": "",
            "audiences": ["api://AzureADTokenExchange"],
        }],
    }));
    let web = FoundApp {
        principal: Some("p-web".into()),
        user_assigned: BTreeSet::from(["jobs".into()]),
        settings: BTreeSet::from(["MODE".into(), "API_KEY".into(), "OTHER".into()]),
        other: BTreeSet::new(),
    };
    let operators = FoundGroup {
        id: "g".into(),
        display_name: "operators".into(),
        description: Some("who looks after it".into()),
        members: BTreeSet::from(["p-jobs".into(), "p-other".into()]),
    };
    let shop = FoundVault {
        retention_days: 30,
        only_from: Some(vec!["127.0.0.0/8".into(), "::1/128".into()]),
        policies: BTreeMap::from([
            ("p-web".into(), verbs(&["get", "list"], &[])),
            ("p-pipeline".into(), verbs(&["all"], &["sign"])),
            ("g".into(), verbs(&["list"], &[])),
            ("p-other".into(), verbs(&["all"], &[])),
        ]),
        secrets: BTreeMap::from([(name("db"), there(true, Some("text/plain"), &[("owner", "shop")]))]),
        ..vault(Access::Policies)
    };
    let role = |principal: &str, role: &str, object: Option<(&str, &str)>| FoundRole {
        principal: principal.into(),
        role_id: role.into(),
        object: object.map(|(kind, name)| Object { kind: kind.into(), name: name.into() }),
    };
    let second = FoundVault {
        roles: vec![
            role("p-web", "r-user", None),
            role("p-pipeline", "r-reader", Some(("secret", "TOKEN"))),
            role("p-other", "r-user", None),
        ],
        secrets: BTreeMap::from([(name("token"), there(true, Some("kept"), &[("kept", "too")]))]),
        ..vault(Access::Roles)
    };
    Found {
        registrations: vec![registration],
        identities: BTreeMap::from([(IdentityName::parse("jobs").unwrap(), "p-jobs".into())]),
        apps: BTreeMap::from([(AppName::parse("Web").unwrap(), web)]),
        groups: vec![operators],
        vaults: BTreeMap::from([
            (VaultName::parse("shop").unwrap(), shop),
            (VaultName::parse("vault2").unwrap(), second),
        ]),
        ..empty()
    }
}

fn told(stack: &Stack, found: &Found) -> Vec<String> {
    plan(stack, found).unwrap().iter().map(Step::told).collect()
}

fn faults(text: &str, found: &Found) -> String {
    plan(&stack(text), found).unwrap_err().join("\n")
}

/// `everything.yaml` with one change of it, against what the whole comes to.
fn changed(from: &str, to: &str) -> Vec<String> {
    let text = include_str!("everything.yaml");
    assert!(text.contains(from), "{from}");
    told(&stack(&text.replacen(from, to, 1)), &applied())
}

#[test]
fn on_an_empty_server_all_is_made_in_an_order_in_which_each_finds_what_it_needs() {
    let stack = everything();
    assert_eq!(
        told(&stack, &empty()),
        [
            "+ registration pipeline",
            "+ federated credential production of registration pipeline",
            "+ identity jobs",
            "+ app web",
            "+ identity of app web",
            "+ identity jobs for app web",
            "+ group operators",
            "+ identity jobs in group operators",
            "+ vault shop",
            "+ policy of app web in vault shop: secrets get,list",
            "+ policy of registration pipeline in vault shop: secrets all; keys sign",
            "+ policy of group operators in vault shop: secrets list",
            "+ secret db in vault shop",
            "+ vault vault2",
            "+ role Key Vault Secrets User of app web for vault vault2",
            "+ role Key Vault Reader of registration pipeline for secret token of vault vault2",
            "+ secret token in vault vault2",
            "+ settings of app web: +API_KEY +MODE",
        ]
    );
}

#[test]
fn where_all_is_as_it_says_there_is_nothing_to_do_whatever_else_is_there() {
    assert_eq!(told(&everything(), &applied()), [""; 0]);
}

#[test]
fn what_is_other_is_changed_and_nothing_else() {
    for (from, to, step) in [
        (
            "secrets: [get, list]",
            "secrets: [get]",
            "~ policy of app web in vault shop: secrets get,list -> get",
        ),
        ("{group: operators, secrets", "{group: g, secrets", ""),
        (
            "app: web, secrets",
            "identity: jobs, secrets",
            "+ policy of identity jobs in vault shop: secrets get,list",
        ),
        ("purge_protection: false", "purge_protection: true", "~ vault shop: purge protection on, for good"),
        ("\"::1\"]", "\"::1/128\"]", ""),
        ("[127.0.0.0/8, \"::1\"]", "[any]", "~ vault shop: allow_ip 127.0.0.0/8,::1/128 -> any"),
        ("{owner: shop}", "{owner: us}", "~ secret db in vault shop: tags -owner=shop +owner=us"),
        ("text/plain", "text/html", "~ secret db in vault shop: content type"),
        (
            "Key Vault Secrets User, app",
            "key vault reader, app",
            "+ role Key Vault Reader of app web for vault vault2",
        ),
        (
            "secret: token",
            "key: token",
            "+ role Key Vault Reader of registration pipeline for key token of vault vault2",
        ),
        ("description: who looks after it", "description: others", "~ group operators: description"),
        ("  description: who looks after it\n", "", ""),
        (
            "https://token.example",
            "https://other.example",
            "~ federated credential production of registration pipeline: issuer",
        ),
        ("- name: production", "- name: staging", "+ federated credential staging of registration pipeline"),
        (
            "api://pipeline",
            "api://other",
            "~ registration pipeline: identifier URIs -api://pipeline +api://other",
        ),
        (
            "web=https",
            "spa=https",
            "~ registration pipeline: redirect URIs -web=https://shop.example/signed-in +spa=https://shop.example/signed-in",
        ),
        ("    MODE:", "    LEVEL:", "+ settings of app web: +LEVEL"),
        ("- name: jobs\n", "- name: jobs\n- name: more\n", "+ identity more"),
    ] {
        let expected: &[&str] = if step.is_empty() { &[] } else { &[step] };
        assert_eq!(changed(from, to), expected, "{from} -> {to}");
    }
}

#[test]
fn another_value_is_one_new_version_which_keeps_what_the_file_does_not_say() {
    let mut found = applied();
    let second = found.vaults.get_mut(&VaultName::parse("vault2").unwrap()).unwrap();
    let other = there(false, Some("kept"), &[("kept", "too")]);
    second.secrets.insert(ObjectName::parse("token").unwrap(), other);
    let stack = everything();
    let steps = plan(&stack, &found).unwrap();
    let [step] = &*steps else { panic!("{steps:?}") };
    assert_eq!(step.told(), "~ secret token in vault vault2: a new version");
    let Act::SetSecret { content_type, tags, attributes, .. } = &step.act else { panic!("{step:?}") };
    assert_eq!((attributes.nbf, attributes.exp, attributes.enabled), (Some(1), Some(2), Some(true)));
    assert_eq!((content_type.as_deref(), tags.get("kept").map(String::as_str)), (Some("kept"), Some("too")));
}

/// What a file says of a registration or a secret is all of it, and what goes by that is told before it is done.
#[test]
fn a_list_that_is_replaced_says_what_goes() {
    let mut found = applied();
    let pipeline = found.registrations.first_mut().unwrap();
    pipeline.identifier_uris.insert(0, "api://more".into());
    let shop = found.vaults.get_mut(&VaultName::parse("shop").unwrap()).unwrap();
    let more = there(false, Some("text/plain"), &[("kept", "not"), ("owner", "shop")]);
    shop.secrets.insert(ObjectName::parse("db").unwrap(), more);
    assert_eq!(
        told(&everything(), &found),
        [
            "~ registration pipeline: identifier URIs -api://more",
            "~ secret db in vault shop: a new version; tags -kept=not"
        ]
    );
    assert_eq!(replaced(["a", "b"], ["b", "a", "a"]), None);
}

#[test]
fn a_setting_that_is_other_is_set_and_others_stay() {
    let mut found = applied();
    found.apps.get_mut(&AppName::parse("web").unwrap()).unwrap().other.insert("API_KEY".into());
    assert_eq!(told(&everything(), &found), ["~ settings of app web: ~API_KEY"]);
}

#[test]
fn a_model_of_access_that_is_other_is_changed_before_the_rules_of_the_new_one_are_made() {
    let found = Found {
        vaults: BTreeMap::from([(VaultName::parse("shop").unwrap(), vault(Access::Policies))]),
        ..applied()
    };
    let text = "vaults:\n- {name: shop, access: roles, roles: [{role: r-user, app: web}]}\n";
    assert_eq!(
        told(&stack(text), &found),
        [
            "~ vault shop: access policies -> role assignments",
            "+ role Key Vault Secrets User of app web for vault shop"
        ]
    );
}

#[test]
fn what_cannot_be_is_said_before_anything_is_done() {
    let mut found = applied();
    let shop = found.vaults.get_mut(&VaultName::parse("shop").unwrap()).unwrap();
    shop.purge_protection = true;
    for (name, state) in
        [("gone", FoundSecret::Deleted), ("cert", FoundSecret::OfCertificate), ("off", FoundSecret::Disabled)]
    {
        shop.secrets.insert(ObjectName::parse(name).unwrap(), state);
    }
    found.deleted_vaults.insert(VaultName::parse("old").unwrap());
    found.apps.insert(AppName::parse("bare").unwrap(), FoundApp::default());
    found.registrations.first_mut().unwrap().federated.first_mut().unwrap().keys.push("pinned".into());
    for (text, says) in [
        ("tenant: other.example", "this server is keyless.localhost"),
        (
            "vaults: [{name: shop, retention_days: 7}]",
            "retention_days is 30 since it was made and cannot be 7",
        ),
        ("vaults: [{name: shop, purge_protection: false}]", "cannot be switched off"),
        (
            "registrations: [{name: pipeline, federated: [{name: production, issuer: \"https://token.example\", subject: other}]}]",
            "(subject would change). If that is meant: keyless app-registration federated remove reg cred",
        ),
        ("vaults: [{name: old}]", "keyless vault recover old"),
        ("vaults: [{name: shop, secrets: [{name: gone, from_file: f}]}]", "keyless secret recover shop gone"),
        ("vaults: [{name: shop, secrets: [{name: cert, from_file: f}]}]", "a certificate"),
        ("vaults: [{name: shop, secrets: [{name: off, from_file: f}]}]", "--enabled"),
        (
            "vaults: [{name: shop, allow_ip: [10.0.0.0/8], secrets: [{name: a, from_file: f}]}]",
            "leaves out 127.0.0.1",
        ),
        ("vaults: [{name: shop, allow_ip: [here]}]", "allow_ip has \"here\""),
        ("vaults: [{name: shop, roles: [{role: Key Vault Reader, app: web}]}]", "goes by access policies"),
        ("vaults: [{name: vault2, policies: [{app: web, secrets: [get]}]}]", "goes by roles"),
        (
            "vaults: [{name: vault2, roles: [{app: web, role: King}]}]",
            "no role \"King\", by name or id; `keyless role",
        ),
        (
            "vaults: [{name: vault2, roles: [{app: web, role: 11111111-2222-4333-8444-555555555555}]}]",
            "no role \"11111111-2222-4333-8444-555555555555\"",
        ),
        (
            "vaults: [{name: new, access: roles, roles: [{app: web, role: Other Auditor}]}]",
            "can be assigned in /subscriptions/s/resourceGroups/other, /subscriptions/s/resourceGroups/other only",
        ),
        ("vaults: [{name: shop, policies: [{app: none, secrets: [get]}]}]", "there is no app none"),
        ("vaults: [{name: shop, policies: [{app: bare, secrets: [get]}]}]", "app bare has no identity"),
        ("vaults: [{name: shop, policies: [{user: ada, secrets: [get]}]}]", "there is no user ada"),
        ("apps: [{name: web, identity: false}]", "keyless app identity remove web"),
        ("apps: [{name: new, user_assigned: [none]}]", "there is no identity none"),
        ("groups: [{name: g, members: [{app: none}]}]", "there is no app none"),
    ] {
        let said = faults(text, &found);
        assert!(said.contains(says), "{text}\n{said}");
    }
    let both = faults("tenant: x\nvaults: [{name: shop, retention_days: 7}]", &found);
    assert_eq!(both.lines().count(), 2, "all of them: {both}");
}

#[test]
fn a_credential_with_keys_of_its_own_that_is_as_the_file_says_is_left_alone() {
    let mut found = applied();
    found.registrations.first_mut().unwrap().federated.first_mut().unwrap().keys.push("pinned".into());
    assert_eq!(told(&everything(), &found), [""; 0]);
}

#[test]
fn two_of_one_name_are_not_chosen_between() {
    let mut found = applied();
    let second = || FoundGroup { id: "g2".into(), display_name: "operators".into(), ..FoundGroup::default() };
    found.groups.push(second());
    assert!(faults("groups: [{name: operators}]", &found).contains("several have this name"));
    let rule = "vaults: [{name: shop, policies: [{group: operators, secrets: [get]}]}]";
    assert!(faults(rule, &found).contains("several groups"));
    found
        .registrations
        .push(FoundRegistration { display_name: "pipeline".into(), ..FoundRegistration::default() });
    assert!(faults("registrations: [{name: pipeline}]", &found).contains("several have this name"));
}

#[test]
fn the_tenant_may_be_named_by_its_domain_or_id() {
    for text in ["tenant: KEYLESS.localhost", "tenant: 6f1d0c2a-0000-4000-8000-000000000000"] {
        assert_eq!(told(&stack(text), &empty()), [""; 0]);
    }
}
