//! What users agree to, what only administrators do, and what clients are told of it.

use super::*;
use crate::{RegistrationChange, UserChange, registration::RequiredAccess};

/// The shop offers a scope to everybody, and one that only an administrator can agree to.
async fn offering(world: &World) {
    let scope = |id, value: &str, consenter| ExposedScope {
        id: CredentialId::random(&crate::fixtures::Fill(id)),
        value: value.to_owned(),
        description: String::new(),
        enabled: true,
        consenter,
    };
    let scopes = vec![scope(7, "Orders.Read", Consenter::User), scope(8, "Orders.Delete", Consenter::Admin)];
    let change = RegistrationChange { scopes: Some(scopes), ..RegistrationChange::default() };
    world.directory.update_registration(&world.web.client.to_string(), &change).await.unwrap();
}

async fn administrator(world: &World, is_administrator: bool) -> SignedIn {
    let change = UserChange { is_administrator: Some(is_administrator), ..UserChange::default() };
    world.directory.update_user(&world.ada.to_string(), &change).await.unwrap();
    world.sign_in().await
}

fn is_an_administrators(refused: &DirectoryError) -> bool {
    matches!(refused, DirectoryError::Grant(GrantError::AdministratorMustAgree { .. }))
}

/// What has been agreed to, for all users or for one.
async fn agreed(world: &World, for_everybody: bool) -> Vec<String> {
    let all = world.directory.permission_grants().await.unwrap();
    let mut scopes: Vec<_> = all
        .into_iter()
        .filter(|grant| grant.user.is_none() == for_everybody)
        .flat_map(|grant| grant.scopes)
        .collect();
    scopes.sort();
    scopes
}

#[tokio::test]
async fn what_only_an_administrator_can_agree_to_nobody_else_agrees_to() {
    let world = World::new().await;
    offering(&world).await;
    let signed_in = world.sign_in().await;
    for scope in [
        "api://shop/Orders.Delete",
        "api://shop/Orders.Read api://shop/orders.delete",
        "Directory.Read.All",
        "openid User.Read User.ReadWrite.All",
        "Directory.AccessAsUser.All",
    ] {
        let authorization = world.authorization(scope).await;
        let refused = world.directory.to_agree(&signed_in, &authorization).await.unwrap_err();
        assert!(is_an_administrators(&refused), "{scope}: {refused}");
        // Whoever sends the form all the same.
        let refused = world.directory.agree(&signed_in, &authorization).await.unwrap_err();
        assert!(is_an_administrators(&refused), "{scope}: {refused}");
        let refused = world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Grant(GrantError::ConsentRequired { .. })), "{scope}");
    }
    assert!(agreed(&world, false).await.is_empty());
    for scope in ["api://shop/Orders.Read", "User.Read User.ReadBasic.All", VAULT] {
        world.code(&signed_in, scope).await;
    }
    // A client that is known everywhere may what the user may, as before.
    let of_cli = TokenRequest {
        user_name: Some("ada@keyless.localhost".to_owned()),
        password: Some(secret(PASSWORD)),
        scope: Some("Directory.AccessAsUser.All".to_owned()),
        client: Some(KEYLESS_CLI.to_string()),
        secret: None,
        ..world.request("password")
    };
    assert_eq!(claims(&world.token(of_cli).await.unwrap().access_token)["scp"], "Directory.AccessAsUser.All");
}

#[tokio::test]
async fn an_administrator_agrees_for_itself_or_for_all() {
    let world = World::new().await;
    offering(&world).await;
    let both = "api://shop/Orders.Read api://shop/Orders.Delete";
    let signed_in = administrator(&world, true).await;
    world.code(&signed_in, "api://shop/Orders.Delete").await;
    assert_eq!(agreed(&world, false).await, ["Orders.Delete"]);
    // What was agreed to before stays so for who is no administrator any more.
    let signed_in = administrator(&world, false).await;
    world.code(&signed_in, both).await;
    assert_eq!(agreed(&world, false).await, ["Orders.Delete", "Orders.Read"]);

    let world = World::new().await;
    offering(&world).await;
    let signed_in = world.sign_in().await;
    world.directory.agree_for_everybody(world.web.client, "api://shop/Orders.Delete").await.unwrap();
    let asked = to_agree(&world, &signed_in, both).await.unwrap();
    assert_eq!(asked, ["Orders.Read"], "the rest is the user's to say");
    world.code(&signed_in, both).await;
    // The administrator's is not the user's: once it is taken away, it is gone.
    assert_eq!(
        (agreed(&world, true).await, agreed(&world, false).await),
        (vec!["Orders.Delete".to_owned()], vec!["Orders.Read".to_owned()])
    );
}

/// Neither a refresh token nor an API that is called gets more than somebody has agreed to who may.
#[tokio::test]
async fn what_only_an_administrator_can_agree_to_is_not_had_by_another_grant() {
    let world = World::new().await;
    offering(&world).await;
    let signed_in = world.sign_in().await;
    let code = world.code(&signed_in, "offline_access api://shop/Orders.Read").await;
    let issued = world.token(world.redeem(&code)).await.unwrap();
    let scope = Some("api://shop/Orders.Delete".to_owned());
    let tenant = world.directory.tenant().id.to_string();
    let on_behalf = TokenRequest {
        tenant,
        user_assertion: Some(secret(issued.access_token.expose())),
        requested_token_use: Some("on_behalf_of".to_owned()),
        ..world.request("urn:ietf:params:oauth:grant-type:jwt-bearer")
    };
    let password = TokenRequest {
        user_name: Some("ada@keyless.localhost".to_owned()),
        password: Some(secret(PASSWORD)),
        ..world.request("password")
    };
    for request in [world.refresh(&refresh_token(&issued)), on_behalf, password] {
        let refused = world.token(TokenRequest { scope: scope.clone(), ..request }).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Grant(GrantError::ConsentRequired { .. })), "{refused}");
    }
}

#[tokio::test]
async fn a_device_gets_nothing_that_its_user_cannot_agree_to() {
    let world = World::new().await;
    offering(&world).await;
    let new = NewRegistration {
        display_name: "television".to_owned(),
        is_public: true,
        ..NewRegistration::default()
    };
    let device = world.directory.create_registration(new, NOW).await.unwrap();
    let ask = DeviceRequest {
        tenant: "common".to_owned(),
        client: Some(device.client.to_string()),
        scope: Some("openid api://shop/Orders.Delete".to_owned()),
        ..DeviceRequest::default()
    };
    let code = world.directory.begin_device(&ask, NOW).await.unwrap().user_code;
    let signed_in = world.sign_in().await;
    let refused = world.directory.waiting_device(&code, &signed_in, NOW).await.unwrap_err();
    assert!(is_an_administrators(&refused), "{refused}");
    let refused = world.directory.approve_device(&code, &signed_in, NOW).await.unwrap_err();
    assert!(is_an_administrators(&refused), "{refused}");
    // It waits on, for somebody who may.
    let signed_in = administrator(&world, true).await;
    let waiting = world.directory.waiting_device(&code, &signed_in, NOW).await.unwrap();
    assert_eq!(waiting.asked.unwrap().scopes, ["Orders.Delete"]);
    world.directory.approve_device(&code, &signed_in, NOW).await.unwrap();
}

/// What the shop lists of a resource, by the ids of scopes.
async fn lists(world: &World, wanted: &[(&str, &[&str])]) {
    let entry = |(resource, scopes): &(&str, &[&str])| RequiredAccess {
        resource: resource.parse().unwrap(),
        scopes: scopes.iter().map(|id| id.parse().unwrap()).collect(),
        roles: Vec::new(),
    };
    let wanted = wanted.iter().map(entry).collect();
    let change = RegistrationChange { required_access: Some(wanted), ..RegistrationChange::default() };
    world.directory.update_registration(&world.web.client.to_string(), &change).await.unwrap();
}

const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
const MANAGEMENT: &str = "797f4846-ba00-4fd7-ba43-dac1f8f63013";
const ALL_OF_GRAPH: &str = "https://graph.microsoft.com/.default";
const USER_READ: &str = "e1fe6dd8-ba31-4d61-89e7-88639da4683d";

async fn to_agree(world: &World, signed_in: &SignedIn, scope: &str) -> Result<Vec<String>, DirectoryError> {
    let authorization = world.authorization(scope).await;
    let asked = world.directory.to_agree(signed_in, &authorization).await?;
    Ok(asked.into_iter().flat_map(|one| one.asked.scopes).collect())
}

#[tokio::test]
async fn default_is_what_an_application_lists_and_what_was_agreed_to() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let scp =
        async |code| claims(&world.token(world.redeem(&code)).await.unwrap().access_token)["scp"].clone();
    // Of a scope that is not there (any more) nothing is wanted, and of roles nothing is said here.
    lists(&world, &[(GRAPH, &[USER_READ, "99999999-9999-4999-8999-999999999999"])]).await;
    assert_eq!(to_agree(&world, &signed_in, ALL_OF_GRAPH).await.unwrap(), ["User.Read"]);
    assert_eq!(scp(world.code(&signed_in, ALL_OF_GRAPH).await).await, "User.Read");
    // What was agreed to by its own name is had by this one too, by the user or for all.
    world.code(&signed_in, "User.ReadBasic.All").await;
    world.directory.agree_for_everybody(world.web.client, "Group.Read.All").await.unwrap();
    assert_eq!(
        scp(world.code(&signed_in, ALL_OF_GRAPH).await).await,
        "User.Read User.ReadBasic.All Group.Read.All"
    );
    // Asked again, the user sees the same.
    let again =
        world.directory.all_asked(&signed_in, &world.authorization(ALL_OF_GRAPH).await).await.unwrap();
    assert_eq!(again[0].asked.scopes, ["User.Read", "User.ReadBasic.All", "Group.Read.All"]);
    // More that is listed since is asked for when it is needed: something was agreed to.
    lists(&world, &[(GRAPH, &[USER_READ, "06da0dbc-49e2-44d2-8312-53f166ab848a"])]).await;
    assert_eq!(to_agree(&world, &signed_in, ALL_OF_GRAPH).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn what_is_listed_and_an_administrators_is_asked_of_nobody_else() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    lists(&world, &[(GRAPH, &["06da0dbc-49e2-44d2-8312-53f166ab848a"])]).await;
    let refused = to_agree(&world, &signed_in, ALL_OF_GRAPH).await.unwrap_err();
    assert!(is_an_administrators(&refused), "{refused}");
    let signed_in = administrator(&world, true).await;
    assert_eq!(to_agree(&world, &signed_in, ALL_OF_GRAPH).await.unwrap(), ["Directory.Read.All"]);
}

#[tokio::test]
async fn who_lists_others_gets_of_a_resource_what_was_agreed_to() {
    let world = World::new().await;
    offering(&world).await;
    let signed_in = world.sign_in().await;
    lists(&world, &[(GRAPH, &[USER_READ]), (MANAGEMENT, &["41094075-9dad-400e-a0bd-54e686782033"])]).await;
    for (scope, expected) in [
        (ALL_OF_GRAPH, "User.Read"),
        ("https://management.azure.com/.default", "user_impersonation"),
        // Its own, which need not be listed; what an administrator must agree to is asked for by its name.
        ("api://shop/.default", "Orders.Read"),
    ] {
        assert_eq!(to_agree(&world, &signed_in, scope).await.unwrap(), [expected], "{scope}");
    }
    let is_not_listed = |refused: &DirectoryError| matches!(refused, DirectoryError::Grant(GrantError::ResourceNotListed { resource, .. }) if resource == "https://vault.azure.net");
    let refused = to_agree(&world, &signed_in, VAULT).await.unwrap_err();
    assert!(is_not_listed(&refused), "{refused}");
    let code = world.code(&signed_in, "offline_access User.Read").await;
    let issued = world.token(world.redeem(&code)).await.unwrap();
    let of_vault =
        || TokenRequest { scope: Some(VAULT.to_owned()), ..world.refresh(&refresh_token(&issued)) };
    let refused = world.token(of_vault()).await.unwrap_err();
    assert!(is_not_listed(&refused), "{refused}");
    // By its name it may be asked for, as ever.
    world.code(&signed_in, "https://vault.azure.net/user_impersonation").await;
    assert_eq!(claims(&world.token(of_vault()).await.unwrap().access_token)["scp"], "user_impersonation");
}

#[tokio::test]
async fn who_lists_nothing_wants_what_every_user_may_agree_to() {
    let world = World::new().await;
    offering(&world).await;
    let of_user = world.sign_in().await;
    let of_administrator = administrator(&world, true).await;
    for signed_in in [of_user, of_administrator] {
        for (scope, expected) in [
            (VAULT, &["user_impersonation"][..]),
            ("api://shop/.default", &["Orders.Read"]),
            ("api://shop/.default api://shop/Orders.Read", &["Orders.Read"]),
            (ALL_OF_GRAPH, &["User.Read", "User.ReadBasic.All"]),
        ] {
            assert_eq!(to_agree(&world, &signed_in, scope).await.unwrap(), expected, "{scope}");
        }
    }
    let signed_in = administrator(&world, false).await;
    let refused =
        to_agree(&world, &signed_in, "api://shop/.default api://shop/Orders.Delete").await.unwrap_err();
    assert!(is_an_administrators(&refused), "{refused}");
    let refused =
        to_agree(&world, &signed_in, "api://shop/.default api://shop/Orders.Fly").await.unwrap_err();
    assert!(matches!(refused, DirectoryError::ScopeUnknown { .. }), "{refused}");
}

/// Clients keep tokens by the scopes that they are told, and look for them by those that they ask for.
#[tokio::test]
async fn what_was_granted_is_told_as_it_was_asked_for() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    world.directory.agree_for_everybody(world.web.client, "Group.Read.All").await.unwrap();
    let told = |issued: &IssuedToken| issued.user.as_ref().unwrap().scope.clone();
    for (asked, expected) in [
        ("openid offline_access User.Read", "User.Read openid"),
        ("offline_access user.read", "user.read"),
        ("offline_access https://graph.microsoft.com/User.Read", "https://graph.microsoft.com/User.Read"),
        (
            "offline_access User.Read https://graph.microsoft.com//Group.Read.All",
            "User.Read https://graph.microsoft.com//Group.Read.All",
        ),
        (
            "offline_access .default",
            "https://graph.keyless.localhost:8443/User.Read https://graph.keyless.localhost:8443/Group.Read.All .default",
        ),
    ] {
        let issued = world.token(world.redeem(&world.code(&signed_in, asked).await)).await.unwrap();
        assert_eq!(told(&issued), expected, "{asked}");
        let again = world.token(world.refresh(&refresh_token(&issued))).await.unwrap();
        assert_eq!(told(&again), expected, "{asked}");
        let other =
            TokenRequest { scope: Some("User.Read".to_owned()), ..world.refresh(&refresh_token(&again)) };
        assert_eq!(told(&world.token(other).await.unwrap()), "User.Read", "{asked}");
    }
    let twice = "User.Read https://graph.microsoft.com/User.Read";
    let issued = world.token(world.redeem(&world.code(&signed_in, twice).await)).await.unwrap();
    assert_eq!((&claims(&issued.access_token)["scp"], &*told(&issued)), (&"User.Read".into(), "User.Read"));
    let two = "User.Read https://vault.azure.net/.default";
    let code = world.code(&signed_in, "User.Read").await;
    let refused = world.token(TokenRequest { scope: Some(two.to_owned()), ..world.redeem(&code) }).await;
    assert!(matches!(refused, Err(DirectoryError::ScopesOfTwoResources)));
}

#[tokio::test]
async fn an_id_token_says_what_its_user_is_called_to_whom_it_was_allowed() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let names = async |scope: &str, endpoint| {
        let request = TokenRequest { endpoint, ..world.redeem(&world.code(&signed_in, scope).await) };
        let issued = world.token(request).await.unwrap();
        let id = claims(issued.user.unwrap().id_token.as_ref().unwrap());
        assert_eq!(id["oid"], world.ada.to_string());
        ["name", "preferred_username", "unique_name", "upn"]
            .map(|name| id[name].as_str().unwrap_or_default().to_owned())
    };
    let upn = "ada@keyless.localhost";
    assert_eq!(names("openid User.Read", Endpoint::V2).await, ["", "", "", ""]);
    assert_eq!(names("openid profile User.Read", Endpoint::V2).await, ["Ada", upn, "", ""]);
    assert_eq!(names("openid User.Read", Endpoint::V1).await, ["", "", "", ""]);
    assert_eq!(names("openid profile User.Read", Endpoint::V1).await, ["Ada", "", upn, upn]);
}

/// Clients compare it with `max_age`: that a user has said yes is not that it has signed in.
#[tokio::test]
async fn a_device_is_told_when_its_user_signed_in_and_not_when_it_said_yes() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let ask = DeviceRequest {
        tenant: "common".to_owned(),
        client: Some(KEYLESS_CLI.to_string()),
        scope: Some("openid User.Read".to_owned()),
        ..DeviceRequest::default()
    };
    let started = world.directory.begin_device(&ask, at(600)).await.unwrap();
    world.directory.approve_device(&started.user_code, &signed_in, at(700)).await.unwrap();
    let poll = TokenRequest {
        tenant: "common".to_owned(),
        grant_type: Some("device_code".to_owned()),
        client: Some(KEYLESS_CLI.to_string()),
        device_code: Some(started.device_code),
        ..TokenRequest::default()
    };
    let issued = world.token_at(poll, 710).await.unwrap();
    let user = issued.user.as_ref().unwrap();
    let id = claims(user.id_token.as_ref().unwrap());
    assert_eq!(
        (id["auth_time"].as_i64(), id["iat"].as_i64()),
        (Some(NOW.seconds()), Some(at(710).seconds()))
    );
    assert_eq!((&*user.scope, &id["amr"]), ("User.Read openid", &serde_json::json!(["pwd", "otp", "mfa"])));
}

/// MSAL asks so at the page (`extraScopesToConsent`), and for each by itself afterwards.
#[tokio::test]
async fn several_resources_are_agreed_to_at_once_and_the_code_is_for_the_first() {
    let world = World::new().await;
    offering(&world).await;
    let signed_in = world.sign_in().await;
    let several = "openid offline_access https://vault.azure.net/.default User.Read api://shop/Orders.Read";
    let authorization = world.authorization(several).await;
    let refused = world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Grant(GrantError::ConsentRequired { .. })), "{refused}");
    // The first alone is not all.
    world.code(&signed_in, "openid offline_access https://vault.azure.net/.default").await;
    assert_eq!(to_agree(&world, &signed_in, several).await.unwrap(), ["User.Read", "Orders.Read"]);
    let refused = world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Grant(GrantError::ConsentRequired { .. })), "{refused}");
    let issued = world.token(world.redeem(&world.code(&signed_in, several).await)).await.unwrap();
    assert_eq!(claims(&issued.access_token)["aud"], "https://vault.azure.net");
    for (scope, scp) in [("User.Read", "User.Read"), ("api://shop/Orders.Read", "Orders.Read")] {
        let request =
            TokenRequest { scope: Some(scope.to_owned()), ..world.refresh(&refresh_token(&issued)) };
        assert_eq!(claims(&world.token(request).await.unwrap().access_token)["scp"], scp);
    }
    // At the token endpoint there is one at a time, and nobody agrees there.
    let request = TokenRequest { scope: Some(several.to_owned()), ..world.refresh(&refresh_token(&issued)) };
    let refused = world.token(request).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::ScopesOfTwoResources), "{refused}");
    // One that is an administrator's keeps all of them from being agreed to.
    let with_one = "https://vault.azure.net/.default Directory.Read.All";
    assert!(is_an_administrators(&to_agree(&world, &signed_in, with_one).await.unwrap_err()));
    let authorization = world.authorization(with_one).await;
    assert!(is_an_administrators(&world.directory.agree(&signed_in, &authorization).await.unwrap_err()));
}

/// MSAL adds OpenID Connect's scopes to every request, and an administrator agrees to `User.Read` alone.
const AS_MSAL: &str = "User.Read openid profile offline_access";

#[tokio::test]
async fn who_has_agreed_to_what_is_asked_for_of_a_resource_is_not_asked_for_the_sign_in() {
    for by_user in [false, true] {
        let world = World::new().await;
        offering(&world).await;
        let signed_in = world.sign_in().await;
        let asked = async |scope: &str| {
            let authorization = world.authorization(scope).await;
            let asked = world.directory.to_agree(&signed_in, &authorization).await.unwrap();
            let of = |one: crate::consent::AskedOf| (one.asked.scopes.join(" "), one.asked.openid.join(" "));
            asked.into_iter().map(of).collect::<Vec<_>>()
        };
        let sign_in = "openid profile offline_access";
        let all = |scopes: &str| vec![(scopes.to_owned(), sign_in.to_owned())];
        // Nobody has agreed to anything.
        assert_eq!(asked(AS_MSAL).await, all("User.Read"));
        assert_eq!(asked(sign_in).await, all(""));
        let refused = world.directory.issue_code(&signed_in, &world.authorization(AS_MSAL).await, NOW).await;
        assert!(matches!(refused, Err(DirectoryError::Grant(GrantError::ConsentRequired { .. }))));
        match by_user {
            true => world.directory.agree(&signed_in, &world.authorization("User.Read").await).await.unwrap(),
            false => world.directory.agree_for_everybody(world.web.client, "User.Read").await.unwrap(),
        }
        assert!(asked(AS_MSAL).await.is_empty());
        assert!(asked(sign_in).await.is_empty());
        let code = world.directory.issue_code(&signed_in, &world.authorization(AS_MSAL).await, NOW).await;
        let issued = world.token(world.redeem(&code.unwrap())).await.unwrap();
        assert_eq!(claims(&issued.access_token)["scp"], "User.Read");
        let user = issued.user.as_ref().unwrap();
        assert!(user.id_token.is_some() && user.refresh_token.is_some());
        // Of a resource nothing comes with it: neither more of this one nor anything of another.
        for (more, expected) in [
            ("User.ReadBasic.All openid profile offline_access", "User.ReadBasic.All"),
            ("User.Read User.ReadBasic.All openid profile offline_access", "User.ReadBasic.All"),
            ("api://shop/Orders.Read openid profile offline_access", "Orders.Read"),
            ("https://vault.azure.net/.default openid profile offline_access", "user_impersonation"),
        ] {
            assert_eq!(asked(more).await, all(expected), "{more}");
            let refused = world.directory.issue_code(&signed_in, &world.authorization(more).await, NOW).await;
            assert!(
                matches!(refused, Err(DirectoryError::Grant(GrantError::ConsentRequired { .. }))),
                "{more}"
            );
        }
    }
}

#[tokio::test]
async fn who_has_agreed_to_a_sign_in_alone_has_agreed_to_nothing_else() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    world.directory.agree_for_everybody(world.web.client, "openid profile").await.unwrap();
    let asked = async |scope: &str| {
        let authorization = world.authorization(scope).await;
        world.directory.to_agree(&signed_in, &authorization).await.unwrap().pop().map(|one| one.asked)
    };
    assert_eq!(asked("openid profile").await, None);
    assert_eq!(asked("openid email offline_access").await.unwrap().openid, ["email", "offline_access"]);
    assert_eq!(asked(AS_MSAL).await.unwrap().scopes, ["User.Read"]);
}

#[tokio::test]
async fn what_was_agreed_to_for_one_client_signs_nobody_in_to_another() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let new = NewRegistration { display_name: "other".to_owned(), ..NewRegistration::default() };
    let other = world.directory.create_registration(new, NOW).await.unwrap();
    world.directory.agree_for_everybody(other.client, "User.Read").await.unwrap();
    let authorization = world.authorization("openid profile").await;
    assert_eq!(world.directory.to_agree(&signed_in, &authorization).await.unwrap().len(), 1);
}
