//! Applications that are only for those who have a role in them.

use super::*;

#[tokio::test]
async fn who_has_no_role_in_an_app_that_wants_one_is_not_let_in() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let authorization = world.authorization(FULL).await;
    let (code, other) = (world.code(&signed_in, FULL).await, world.code(&signed_in, FULL).await);
    let granted = world.token(world.redeem(&other)).await.unwrap();
    let token = refresh_token(&granted);
    let named = world.web.client.to_string();
    let require = async |is_required| {
        let change =
            crate::RegistrationChange { assignment_required: Some(is_required), ..Default::default() };
        world.directory.update_registration(&named, &change).await.unwrap();
    };
    let is_closed = |error: DirectoryError| {
        matches!(error, DirectoryError::AppRole(crate::AppRoleError::NotAssigned { is_user: true, .. }))
    };
    require(true).await;
    // Neither a code, nor what an older one or a refresh token would bring: not for vaults, and no id token.
    assert!(is_closed(world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap_err()));
    assert!(is_closed(world.token(world.redeem(&code)).await.unwrap_err()));
    assert!(is_closed(world.token(world.refresh(&token)).await.unwrap_err()));
    require(false).await;
    world.token(world.refresh(&token)).await.unwrap();
    require(true).await;
    // Assigned to it without a role of its own.
    let nothing_but_in = crate::app_role::DEFAULT_ROLE.to_string();
    world.directory.assign_app_role(world.web.client, world.ada, &nothing_but_in, NOW).await.unwrap();
    world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap();
}

/// An app role with this value that users have; a disabled one, and one for applications, say nothing of them.
fn role(value: &str, id: u8, for_users: bool, enabled: bool) -> crate::AppRole {
    crate::AppRole {
        id: CredentialId::random(&crate::fixtures::Fill(id)),
        value: Some(value.to_owned()),
        display_name: value.to_owned(),
        description: String::new(),
        for_users,
        for_applications: !for_users,
        enabled,
    }
}

#[tokio::test]
async fn an_id_token_says_which_roles_a_user_has_in_the_app_that_asks() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let mut web =
        Registration::clone(&*world.directory.registration(&world.web.client.to_string()).await.unwrap());
    web.app_roles = vec![role("Admin", 31, true, true), role("Clerk", 32, true, true)];
    keep(&world, &web).await;
    let said = |issued: &IssuedToken| {
        claims(issued.user.as_ref().unwrap().id_token.as_ref().unwrap())["roles"].clone()
    };
    let roles = async || {
        let issued = world.token(world.redeem(&world.code(&signed_in, FULL).await)).await.unwrap();
        assert!(claims(&issued.access_token).get("roles").is_none(), "the vaults have no such roles");
        let refreshed = world.token(world.refresh(&refresh_token(&issued))).await.unwrap();
        assert_eq!(said(&issued), said(&refreshed));
        said(&issued)
    };
    assert_eq!(roles().await, Value::Null);
    let client = world.web.client;
    for role in web.app_roles.iter().rev() {
        world.directory.assign_app_role(client, world.ada, role.value.as_ref().unwrap(), NOW).await.unwrap();
    }
    assert_eq!(roles().await, serde_json::json!(["Admin", "Clerk"]));
    web.app_roles = vec![role("Admin", 31, true, false), role("Clerk", 32, true, true)];
    keep(&world, &web).await;
    assert_eq!(roles().await, serde_json::json!(["Clerk"]));
    web.app_roles = vec![role("Admin", 31, false, true), role("Clerk", 32, true, true)];
    keep(&world, &web).await;
    assert_eq!(roles().await, serde_json::json!(["Clerk"]));
    // Who asks for no id token is told nothing of anybody.
    let bare = world.code(&signed_in, "offline_access https://vault.azure.net/.default").await;
    assert!(world.token(world.redeem(&bare)).await.unwrap().user.unwrap().id_token.is_none());
}

#[tokio::test]
async fn nobody_signs_in_to_an_app_that_is_disabled() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let authorization = world.authorization(FULL).await;
    let code = world.code(&signed_in, FULL).await;
    world.directory.disable_principal(world.web.principal).await.unwrap();
    let is_closed = |error: &DirectoryError| matches!(error, DirectoryError::Request(RequestError::ClientDisabled { client }) if *client == world.web.client);
    let refused = world.directory.to_agree(&signed_in, &authorization).await.unwrap_err();
    assert!(is_closed(&refused), "{refused}");
    let refused = world.directory.issue_code(&signed_in, &authorization, NOW).await.unwrap_err();
    assert!(is_closed(&refused), "{refused}");
    // Whoever had the page open when it was disabled.
    let refused = world.directory.agree(&signed_in, &authorization).await.unwrap_err();
    assert!(is_closed(&refused), "{refused}");
    assert!(is_closed(&world.token(world.redeem(&code)).await.unwrap_err()));
    world.directory.enable_principal(world.web.principal).await.unwrap();
    assert!(world.directory.issue_code(&signed_in, &authorization, NOW).await.is_ok());
    assert!(world.token(world.redeem(&code)).await.is_ok());
}

/// What is asked for at a device is agreed to by nobody to whom its app is closed.
#[tokio::test]
async fn a_device_of_an_app_that_is_closed_is_not_connected() {
    let world = World::new().await;
    let signed_in = world.sign_in().await;
    let new = NewRegistration {
        display_name: "television".to_owned(),
        is_public: true,
        ..NewRegistration::default()
    };
    let device = world.directory.create_registration(new, NOW).await.unwrap();
    let asked = || DeviceRequest {
        tenant: "common".to_owned(),
        endpoint: Endpoint::V2,
        client: Some(device.client.to_string()),
        scope: Some(FULL.to_owned()),
        resource: None,
    };
    let code = world.directory.begin_device(&asked(), NOW).await.unwrap().user_code;
    let answers = async || {
        let waiting = world.directory.waiting_device(&code, &signed_in, NOW).await.map(drop);
        [waiting, world.directory.approve_device(&code, &signed_in, NOW).await].map(Result::unwrap_err)
    };
    keep(&world, &Registration { assignment_required: true, ..device.clone() }).await;
    for refused in answers().await {
        assert!(
            matches!(refused, DirectoryError::AppRole(crate::AppRoleError::NotAssigned { .. })),
            "{refused}"
        );
    }
    keep(&world, &device).await;
    world.directory.disable_principal(device.principal).await.unwrap();
    for refused in answers().await {
        assert!(matches!(refused, DirectoryError::Request(RequestError::ClientDisabled { .. })), "{refused}");
    }
    let another = world.directory.begin_device(&asked(), NOW).await.unwrap_err();
    assert!(matches!(another, DirectoryError::Request(RequestError::ClientDisabled { .. })), "{another}");
    world.directory.enable_principal(device.principal).await.unwrap();
    world.directory.approve_device(&code, &signed_in, NOW).await.unwrap();
}

/// The registration, as it is now.
async fn keep(world: &World, registration: &Registration) {
    let write = store::put::<Registration>(&registration.id, registration);
    transact(&*world.store, &crypt::SystemEntropy, |view| -> Result<Decision<()>, Halt<DirectoryError>> {
        view.get::<Registration>(&registration.id)?;
        Ok(Decision::of((), vec![write.clone()]))
    })
    .await
    .unwrap();
}

/// Roles by each of as many groups as there may be, at the client and at the resource: still one decision.
#[tokio::test]
async fn roles_by_as_many_groups_as_there_may_be_fit_one_decision() {
    let world = World::new().await;
    let roles = |from: u8| (0..2).map(|at| role(&format!("Role{at}"), from + at, true, true)).collect();
    let named = world.web.client.to_string();
    let mut web = Registration::clone(&*world.directory.registration(&named).await.unwrap());
    (web.app_roles, web.assignment_required) = (roles(40), true);
    keep(&world, &web).await;
    let new = NewRegistration {
        display_name: "orders".to_owned(),
        identifier_uris: vec!["api://orders".to_owned()],
        ..NewRegistration::default()
    };
    let mut api = world.directory.create_registration(new, NOW).await.unwrap();
    (api.app_roles, api.assignment_required) = (roles(50), true);
    keep(&world, &api).await;
    for number in 0..limits::GROUPS_OF_PRINCIPAL_MAX {
        let group = world.directory.create_group(&format!("group {number}"), None, NOW).await.unwrap();
        world.directory.add_member(group.id, world.ada, NOW).await.unwrap();
        for client in [web.client, api.client] {
            let role = format!("Role{}", number % 2);
            world.directory.assign_app_role(client, group.id.subject(), &role, NOW).await.unwrap();
        }
    }
    let signed_in = world.sign_in().await;
    let scope = "openid profile offline_access api://orders/.default";
    let code = world.code(&signed_in, scope).await;
    let issued = world.token(world.redeem(&code)).await.unwrap();
    let both = serde_json::json!(["Role0", "Role1"]);
    assert_eq!(claims(&issued.access_token)["roles"], both);
    assert_eq!(claims(issued.user.as_ref().unwrap().id_token.as_ref().unwrap())["roles"], both);
    assert!(world.token(world.refresh(&refresh_token(&issued))).await.is_ok());
}
