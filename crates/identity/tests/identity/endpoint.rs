//! What may come of a connection to an endpoint: each success beside its refusals. The kernel is a stand-in, the rest is real.

use crate::world::{APP_CGROUP, NOW, StandIn, World, query};
use access::{Principal, PrincipalKind};
use domain::{AttachmentId, ClientId, PrincipalId, Secret};
use identity::{Assigned, IdentityError, Refusal, Selector, TokenQuery};
use kernel::CgroupId;
use std::sync::{Arc, atomic::Ordering};

#[tokio::test]
async fn the_apps_own_process_gets_a_token() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let token = world.token(&connection, &query(), NOW).await.unwrap();
    assert_eq!(token.resource, "https://vault.azure.net");
    assert_eq!((token.principal, token.client), (world.principal.id, world.principal.client));
    assert_eq!(token.expires_on.seconds_since(NOW), 3_600);
    assert_eq!(connection.facts().unwrap().uid, 1_000);
    // The same token until it is renewed ahead.
    let again = world.token(&connection, &query(), NOW).await.unwrap();
    assert!(Arc::ptr_eq(&token, &again));
}

#[tokio::test]
async fn strangers_are_refused_before_a_byte() {
    let world = World::new(true).await;
    let accept = |probe| world.identity.accept(&world.workload, probe).map(drop).unwrap_err();
    let stranger = accept(StandIn::of(CgroupId::new(APP_CGROUP + 1), 1));
    assert!(matches!(stranger, Refusal::Stranger { .. }));
    assert!(matches!(accept(StandIn::unknown()), Refusal::NotAttested(_)));
}

#[tokio::test]
async fn a_socket_cookie_is_one_connections() {
    let world = World::new(true).await;
    let first = world.identity.accept(&world.workload, StandIn::own(7)).unwrap();
    let second = world.identity.accept(&world.workload, StandIn::own(7)).map(drop);
    assert!(matches!(second, Err(Refusal::CookieInUse)));
    drop(first);
    assert!(world.identity.accept(&world.workload, StandIn::own(7)).is_ok());
}

#[tokio::test]
async fn a_peer_that_changed_gets_nothing_even_from_the_cache() {
    let world = World::new(true).await;
    let probe = StandIn::own(1);
    let connection = world.identity.accept(&world.workload, probe.clone()).unwrap();
    world.token(&connection, &query(), NOW).await.unwrap();
    probe.has_changed.store(true, Ordering::SeqCst);
    let refused = world.token(&connection, &query(), NOW).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Refused(Refusal::NotAttested(_))));
}

#[tokio::test]
async fn only_the_secret_of_this_start_opens() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    for wrong in ["", "x", &format!("{} ", world.secret.expose())] {
        let checked = world.identity.check_secret(&connection, &Secret::new(wrong.to_owned())).map(drop);
        assert!(matches!(checked, Err(IdentityError::WrongSecret)), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_ended_workload_gets_nothing_on_open_connections() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    world.token(&connection, &query(), NOW).await.unwrap();
    world.identity.retire(world.workload.id()).unwrap();
    let refused = world.token(&connection, &query(), NOW).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Refused(Refusal::Ended { .. })));
    let refused = world.identity.accept(&world.workload, StandIn::own(2)).map(drop).unwrap_err();
    assert!(matches!(refused, Refusal::Ended { .. }));
}

#[tokio::test]
async fn without_a_cgroup_only_the_secret_counts_and_that_is_said() {
    let world = World::new(false).await;
    assert!(!world.workload.enforcement().is_enforced());
    let connection = world.identity.accept(&world.workload, StandIn::unknown()).unwrap();
    assert!(world.token(&connection, &query(), NOW).await.is_ok());
}

#[tokio::test]
async fn what_is_done_to_the_identity_holds_at_once() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let why = async || match world.token(&connection, &query(), NOW).await {
        Ok(_) => "a token",
        Err(IdentityError::NoIdentity { why, .. }) => why,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(why().await, "a token");
    world.put_principal(false).await;
    assert_eq!(why().await, "its principal is disabled");
    world.put_principal(true).await;
    assert_eq!(why().await, "a token");
    world.put_app(None, world.workload.app()).await;
    assert_eq!(why().await, "its identity is not enabled");
    world.put_app(Some(PrincipalId::random(&crypt::SystemEntropy)), world.workload.app()).await;
    assert_eq!(why().await, "its principal is gone");
    // Another app of the same name is another app.
    world.put_app(Some(world.principal.id), domain::AppId::random(&crypt::SystemEntropy)).await;
    assert_eq!(why().await, "the app was deleted");
    world.put_app(Some(world.principal.id), world.workload.app()).await;
    assert_eq!(why().await, "a token");
}

#[tokio::test]
async fn a_token_of_before_a_disabling_does_not_come_back() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let before = world.token(&connection, &query(), NOW).await.unwrap();
    world.put_principal(false).await;
    assert!(world.token(&connection, &query(), NOW).await.is_err());
    world.put_principal(true).await;
    let after = world.token(&connection, &query(), NOW).await.unwrap();
    assert_ne!(before.access_token.expose(), after.access_token.expose());
}

#[tokio::test]
async fn selectors_mean_the_system_assigned_identity_or_nothing() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let ask = async |selector| {
        let query = TokenQuery { selector: Some(selector), ..query() };
        world.token(&connection, &query, NOW).await
    };
    let (client, principal) = (world.principal.client.to_string(), world.principal.id.to_string());
    assert!(ask(Selector::Client(client.to_uppercase())).await.is_ok());
    assert!(ask(Selector::Principal(principal.clone())).await.is_ok());
    for other in [
        Selector::Client(principal),
        Selector::Client(ClientId::random(&crypt::SystemEntropy).to_string()),
        Selector::Client(String::new()),
        Selector::Principal(client),
        Selector::Resource("/subscriptions/s".to_owned()),
    ] {
        let refused = ask(other).await.unwrap_err();
        assert!(matches!(refused, IdentityError::NotAssigned { .. }), "{refused}");
    }
}

/// A user-assigned identity of this name, and that the app has it.
fn user_assigned(world: &World, name: &str) -> (Principal, Assigned) {
    let principal = Principal {
        id: PrincipalId::random(&crypt::SystemEntropy),
        client: ClientId::random(&crypt::SystemEntropy),
        kind: PrincipalKind::UserAssignedIdentity,
        display_name: name.to_owned(),
        ..world.principal.clone()
    };
    let attachment = AttachmentId::random(&crypt::SystemEntropy);
    let assigned = Assigned { identity: principal.id, attachment };
    (principal, assigned)
}

#[tokio::test]
async fn each_selector_names_one_of_several_identities() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let ask = async |selector| {
        let query = TokenQuery { selector, ..query() };
        world.token(&connection, &query, NOW).await.map(|token| (token.principal, token.attachment))
    };
    let ((one, first), (two, second)) = (user_assigned(&world, "Readers"), user_assigned(&world, "writers"));
    let (stranger, _) = user_assigned(&world, "strangers");
    for principal in [&one, &two, &stranger] {
        world.put(principal).await;
    }
    let own = world.principal.id;
    world.put_app_with(Some(own), vec![first, second], world.workload.app()).await;
    assert_eq!(ask(None).await.unwrap(), (own, None));
    for (principal, assigned) in [(&one, first), (&two, second)] {
        let resource = world.resource_id(principal);
        for selector in [
            Selector::Client(principal.client.to_string()),
            Selector::Client(principal.client.to_string().to_uppercase()),
            Selector::Principal(principal.id.to_string()),
            Selector::Resource(resource.clone()),
            Selector::Resource(resource.to_uppercase()),
        ] {
            let expected = (principal.id, Some(assigned.attachment));
            assert_eq!(ask(Some(selector.clone())).await.unwrap(), expected, "{selector:?}");
        }
    }
    let refused = async |selector: Selector| match ask(Some(selector)).await {
        Err(IdentityError::NotAssigned { .. }) => {}
        other => panic!("{other:?}"),
    };
    refused(Selector::Client(stranger.client.to_string())).await;
    refused(Selector::Principal(stranger.id.to_string())).await;
    refused(Selector::Resource(world.resource_id(&stranger))).await;
    // The resource id of a system-assigned identity is its app's, and names no identity.
    refused(Selector::Resource(world.resource_id(&world.principal))).await;
    refused(Selector::Resource(format!("{}/", world.resource_id(&one)))).await;
}

#[tokio::test]
async fn what_is_done_to_a_user_assigned_identity_holds_at_once() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let (one, first) = user_assigned(&world, "readers");
    world.put(&one).await;
    let app = world.workload.app();
    let by_client = Some(Selector::Client(one.client.to_string()));
    let ask = async |selector: Option<Selector>| {
        world.token(&connection, &TokenQuery { selector, ..query() }, NOW).await
    };
    let why = async |selector: Option<Selector>| match ask(selector).await {
        Ok(_) => "a token",
        Err(IdentityError::NoIdentity { why, .. }) => why,
        Err(IdentityError::NotAssigned { .. }) => "not assigned",
        Err(error) => panic!("{error}"),
    };
    assert_eq!(why(by_client.clone()).await, "not assigned");
    world.put_app_with(None, vec![first], app).await;
    assert!(why(None).await.starts_with("it has user-assigned identities only"));
    let before = ask(by_client.clone()).await.unwrap();
    assert!(Arc::ptr_eq(&before, &ask(by_client.clone()).await.unwrap()), "it is kept");
    world.put(&Principal { enabled: false, ..one.clone() }).await;
    assert_eq!(why(by_client.clone()).await, "its principal is disabled");
    world.put(&one).await;
    assert_eq!(why(by_client.clone()).await, "a token");
    // Assigned again it is another assignment, and what was kept for the one of before is not its.
    let again = Assigned { attachment: AttachmentId::random(&crypt::SystemEntropy), ..first };
    world.put_app_with(None, vec![again], app).await;
    let after = ask(by_client.clone()).await.unwrap();
    assert_ne!(before.access_token.expose(), after.access_token.expose());
    world.put_app_with(None, Vec::new(), app).await;
    assert_eq!(why(by_client.clone()).await, "not assigned");
    // What an app's record names must be of the kind that it is named as.
    world.put_app_with(Some(one.id), Vec::new(), app).await;
    assert_eq!(why(None).await, "its principal belongs to something else");
    let own = Assigned { identity: world.principal.id, ..first };
    world.put_app_with(None, vec![own], app).await;
    let by_id = Selector::Principal(world.principal.id.to_string());
    assert_eq!(why(Some(by_id)).await, "its principal belongs to something else");
    let gone = Assigned { identity: PrincipalId::random(&crypt::SystemEntropy), ..first };
    world.put_app_with(None, vec![gone], app).await;
    let by_id = Selector::Principal(gone.identity.to_string());
    assert_eq!(why(Some(by_id)).await, "not assigned");
}

#[tokio::test]
async fn unknown_resources_are_refused() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    for resource in ["https://management.azure.com.evil.example", "x", "https://vault.azure.net.evil.example"]
    {
        let query = TokenQuery { resource: resource.to_owned(), selector: None };
        let refused = world.token(&connection, &query, NOW).await.unwrap_err();
        assert!(matches!(refused, IdentityError::Directory(_)), "{resource}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_cold_requests_make_one_signature() {
    let world = Arc::new(World::new(true).await);
    let requests: Vec<_> = (0..64)
        .map(|cookie| {
            let world = world.clone();
            tokio::spawn(async move {
                let connection = world.identity.accept(&world.workload, StandIn::own(cookie)).unwrap();
                world.token(&connection, &query(), NOW).await.unwrap()
            })
        })
        .collect();
    let mut tokens = Vec::new();
    for request in requests {
        tokens.push(request.await.unwrap());
    }
    assert!(tokens.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
}

/// IMDS has no secret: what the kernel says of a connection is all, and of a workload that is not enforced it says nothing.
#[tokio::test]
async fn without_a_secret_only_what_the_kernel_attests_gets_a_token() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let authentic = world.identity.check_confined(&connection).unwrap();
    assert!(world.identity.token(authentic, &query(), NOW).await.is_ok());
    let changed = StandIn::own(2);
    let connection = world.identity.accept(&world.workload, changed.clone()).unwrap();
    let authentic = world.identity.check_confined(&connection).unwrap();
    changed.has_changed.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = world.identity.token(authentic, &query(), NOW).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Refused(Refusal::NotAttested(_))), "{refused}");
    let world = World::new(false).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    match world.identity.check_confined(&connection) {
        Err(IdentityError::Refused(Refusal::Unenforced { .. })) => {}
        _ => panic!("a token without a secret, and nobody attested"),
    }
}

#[tokio::test]
async fn who_names_none_as_with_imds_gets_its_own_or_the_only_one() {
    let world = World::new(true).await;
    let connection = world.identity.accept(&world.workload, StandIn::own(1)).unwrap();
    let app = world.workload.app();
    let ((one, first), (two, second)) = (user_assigned(&world, "readers"), user_assigned(&world, "writers"));
    for principal in [&one, &two] {
        world.put(principal).await;
    }
    let ask = async |selector: Option<Selector>| {
        let asked = world.token(&connection, &TokenQuery { selector, ..query() }, NOW).await;
        asked.map(|token| (token.principal, token.attachment)).map_err(|error| match error {
            IdentityError::NoIdentity { why, .. } => why,
            error => panic!("{error}"),
        })
    };
    let own = Some(world.principal.id);
    let gone = Assigned { identity: PrincipalId::random(&crypt::SystemEntropy), ..second };
    let only = Ok((one.id, Some(first.attachment)));
    for (identity, given, expected) in [
        (own, vec![first, second], Ok((world.principal.id, None))),
        (None, vec![first], only),
        (None, vec![gone, first], only),
        (None, vec![gone], Err("its identity is not enabled")),
        (None, vec![], Err("its identity is not enabled")),
    ] {
        world.put_app_with(identity, given, app).await;
        assert_eq!(ask(Some(Selector::OwnOrOnly)).await, expected);
    }
    world.put_app_with(None, vec![first, second], app).await;
    assert!(ask(Some(Selector::OwnOrOnly)).await.unwrap_err().contains("several"));
    // Its own one counts also where it may not act: another one is no substitute.
    world.put_app_with(own, vec![first], app).await;
    world.put_principal(false).await;
    assert_eq!(ask(Some(Selector::OwnOrOnly)).await, Err("its principal is disabled"));
}
