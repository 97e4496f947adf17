//! Identities that are given to an app and taken from it by what is said of it.

use super::*;

#[tokio::test]
async fn identities_of_their_own_are_given_and_taken_by_what_is_said() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let (host, by) = (&desk.world.state.host, Manager::Administrator);
    let shop = Placement { group: "Shop".parse().unwrap(), ..Placement::default() };
    for name in ["one", "two"] {
        host.create_identity(by, &format!("readers-{name}").parse().unwrap(), &shop, NOW).await.unwrap();
    }
    let subscription = desk.world.state.resource.subscription().id;
    let id = |group: &str, name: &str| {
        format!(
            "/subscriptions/{subscription}/resourcegroups/{group}/providers/\
             Microsoft.ManagedIdentity/userAssignedIdentities/readers-{name}"
        )
    };
    let put = |kind: &str, names: &[String]| {
        let named: serde_json::Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!({}))).collect();
        json!({"location": "local", "identity": {"type": kind, "userAssignedIdentities": named}})
    };
    let both = put("SystemAssigned, UserAssigned", &[id("shop", "one"), id("shop", "two")]);
    let given = desk.web(Method::PUT, "sites/web", both).await;
    assert_eq!(given["identity"]["type"], "SystemAssigned, UserAssigned");
    let named = given["identity"]["userAssignedIdentities"].as_object().unwrap();
    assert_eq!(named.keys().collect::<Vec<_>>(), [&id("Shop", "one"), &id("Shop", "two")]);
    // Nothing is said of identities: they stay.
    let stays = desk.web(Method::PUT, "sites/web", json!({"location": "local"})).await;
    assert_eq!(stays["identity"], given["identity"]);
    // In a change, null takes one away and what is not named stays.
    let patch =
        json!({"identity": {"type": "UserAssigned", "userAssignedIdentities": {id("Shop", "one"): null}}});
    let left = desk.web(Method::PATCH, "sites/web", patch).await;
    assert_eq!(left["identity"]["type"], "UserAssigned");
    let named = left["identity"]["userAssignedIdentities"].as_object().unwrap();
    assert_eq!(named.keys().collect::<Vec<_>>(), [&id("Shop", "two")]);
    let other = desk.web(Method::PUT, "sites/web", put("UserAssigned", &[id("Shop", "one")])).await;
    let named = other["identity"]["userAssignedIdentities"].as_object().unwrap();
    assert_eq!(named.keys().collect::<Vec<_>>(), [&id("Shop", "one")]);
    // Under another group it is not there, and nothing was changed.
    let wrong = put("SystemAssigned,UserAssigned", &[id("keyless", "two")]);
    assert_eq!(desk.refused(Method::PUT, "sites/web", wrong).await.0, 404);
    let after = desk.web(Method::GET, "sites/web", Value::Null).await;
    assert_eq!(after["identity"], other["identity"]);
    // To manage apps is not to give them identities.
    desk.is("Website Contributor", Scope::Subscription).await;
    let refused = desk.refused(Method::PUT, "sites/web", put("UserAssigned", &[id("Shop", "two")])).await;
    assert_eq!(refused, (403, "AuthorizationFailed".to_owned()));
}

#[tokio::test]
async fn an_app_that_has_as_many_identities_as_it_may_changes_them_for_others() {
    let desk = Desk::new(Some("Owner")).await;
    desk.make().await;
    let (host, by, full) = (&desk.world.state.host, Manager::Administrator, limits::IDENTITIES_OF_APP_MAX);
    let shop = Placement { group: "Shop".parse().unwrap(), ..Placement::default() };
    for number in 0..2 * full {
        host.create_identity(by, &format!("readers-{number:02}").parse().unwrap(), &shop, NOW).await.unwrap();
    }
    let subscription = desk.world.state.resource.subscription().id;
    let id = |number: usize| {
        format!(
            "/subscriptions/{subscription}/resourcegroups/Shop/providers/\
             Microsoft.ManagedIdentity/userAssignedIdentities/readers-{number:02}"
        )
    };
    let put = async |kind: &str, numbers: std::ops::Range<usize>| {
        let ids: Vec<String> = numbers.map(id).collect();
        let named: serde_json::Map<String, Value> = ids.iter().map(|id| (id.clone(), json!({}))).collect();
        let body = json!({"location": "local", "identity": {"type": kind, "userAssignedIdentities": named}});
        let shown = desk.web(Method::PUT, "sites/web", body).await;
        let named = shown["identity"]["userAssignedIdentities"].as_object().unwrap();
        assert_eq!(named.keys().collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
        shown["identity"].clone()
    };
    put("SystemAssigned, UserAssigned", 0..full).await;
    let before = host.app(by, &"web".parse().unwrap()).await.unwrap();
    // One for another, and the others are the same as before.
    put("SystemAssigned, UserAssigned", 1..full + 1).await;
    let after = host.app(by, &"web".parse().unwrap()).await.unwrap();
    assert_eq!(before.app.identity, after.app.identity);
    assert_eq!(before.app.user_assigned[1..], after.app.user_assigned[..full - 1]);
    // All of them at once, and its own.
    put("UserAssigned", full..2 * full).await;
    assert!(host.app(by, &"web".parse().unwrap()).await.unwrap().principal.is_none());
    put("SystemAssigned, UserAssigned", 0..full).await;
    // One more, also by a change that takes none away, is too many; and then nothing has changed.
    let one_more = json!({"identity": {"type": "UserAssigned", "userAssignedIdentities": {id(full): {}}}});
    assert_eq!(desk.refused(Method::PATCH, "sites/web", one_more).await.0, 400);
    let there = host.app(by, &"web".parse().unwrap()).await.unwrap();
    assert!(there.principal.is_some() && there.user_assigned.len() == full);
    let changed = json!({"identity": {"type": "UserAssigned",
        "userAssignedIdentities": {id(full): {}, id(0): null}}});
    desk.web(Method::PATCH, "sites/web", changed).await;
    let there = host.app(by, &"web".parse().unwrap()).await.unwrap();
    assert!(there.principal.is_none() && there.user_assigned.len() == full);
}
