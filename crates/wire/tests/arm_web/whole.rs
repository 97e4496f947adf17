//! An app is made and changed whole or not at all: of what is refused nothing is left, whatever of it would have gone first.

use super::*;

/// What may not be said of an app, and how it is refused.
fn refusals(desk: &Desk) -> Vec<(Value, u16)> {
    let with = |config: Value| json!({"location": "local", "properties": {"siteConfig": config}});
    let setting = |name: &str, value: Value| with(json!({"appSettings": [{"name": name, "value": value}]}));
    let subscription = desk.world.state.resource.subscription().id;
    let identity = format!(
        "/subscriptions/{subscription}/resourceGroups/Shop/providers/\
         Microsoft.ManagedIdentity/userAssignedIdentities/nobody"
    );
    let many: Vec<Value> =
        (0..=200).map(|number| json!({"name": format!("A{number}"), "value": "1"})).collect();
    let texts = "linuxFxVersion windowsFxVersion netFrameworkVersion phpVersion pythonVersion nodeVersion javaVersion \
                 javaContainer javaContainerVersion powerShellVersion http20ProxyFlag minTlsVersion";
    let wide = texts.split(' ').map(|name| (name.to_owned(), json!("\u{1}".repeat(1_024)))).collect();
    vec![
        (setting("IDENTITY_HEADER", json!("mine")), 400),
        (setting("not a name", json!("1")), 400),
        (setting("LONG", json!("x".repeat(40_000))), 400),
        (setting("KEPT", json!("@Keyless.Secret(KEPT)")), 400),
        (setting("SQLCONNSTR_A", json!("1")), 400),
        (with(json!({"appSettings": many})), 400),
        (with(json!({"connectionStrings": [{"name": "not a name", "connectionString": "1"}]})), 400),
        (with(json!({"numberOfWorkers": 33})), 400),
        (with(json!({"numberOfWorkers": 0})), 400),
        (with(json!({"healthCheckPath": "no path"})), 400),
        (with(json!({"appCommandLine": "x".repeat(5_000)})), 400),
        (with(json!({"linuxFxVersion": "x".repeat(2_000)})), 400),
        (with(json!({"linuxFxVersion": "DOCKER|nginx"})), 400),
        (with(json!({"cors": {"allowedOrigins": ["*"]}})), 400),
        (json!({"location": "local", "properties": {"publicNetworkAccess": "Disabled"}}), 400),
        // Each within its limit, and all of them more than a record has room for.
        (with(Value::Object(wide)), 400),
        (
            json!({"location": "local", "identity":
                {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}}),
            404,
        ),
        (json!({"location": "local", "properties": {"serverFarmId": "none"}}), 404),
    ]
}

/// Who may make and change apps, and not say how they run.
async fn is_maker(desk: &Desk) {
    let role = domain::RoleId::from_uuid(uuid::Uuid::from_u128(7));
    let maker = resource::roles::NewRole {
        name: "App maker".to_owned(),
        actions: vec!["Microsoft.Web/sites/write".to_owned()],
        assignable: vec![resource::roles::Place::Subscription],
        ..resource::roles::NewRole::default()
    };
    let roles = &desk.world.state.resource;
    roles.put_role(Manager::Administrator, access::RoleRef::Custom(role), &maker, NOW).await.unwrap();
    desk.is(&role.to_string(), Scope::Subscription).await;
}

#[tokio::test]
async fn a_refused_app_is_not_made() {
    let desk = Desk::new(Some("Contributor")).await;
    let host = &desk.world.state.host;
    for (body, status) in refusals(&desk) {
        let told = body.to_string().chars().take(120).collect::<String>();
        assert_eq!(desk.refused(Method::PUT, "sites/new", body).await.0, status, "{told}");
        assert!(host.apps(Manager::Administrator).await.unwrap().is_empty(), "{told}");
    }
    is_maker(&desk).await;
    let setting = json!({"location": "local", "properties": {"siteConfig": {"appSettings": [{"name": "A", "value": "1"}]}}});
    assert_eq!(desk.refused(Method::PUT, "sites/new", setting).await.0, 403);
    assert!(host.apps(Manager::Administrator).await.unwrap().is_empty());
    desk.web(Method::PUT, "sites/new", json!({"location": "local"})).await;
}

/// All that is told of an app.
async fn told(desk: &Desk) -> [Value; 4] {
    [
        desk.web(Method::GET, "sites/web", Value::Null).await,
        desk.web(Method::POST, "sites/web/config/appsettings/list", Value::Null).await,
        desk.web(Method::POST, "sites/web/config/connectionstrings/list", Value::Null).await,
        desk.web(Method::GET, "sites/web/config/web", Value::Null).await,
    ]
}

#[tokio::test]
async fn of_a_refused_change_nothing_is_left() {
    let desk = Desk::new(None).await;
    desk.is("Contributor", Scope::Group("shop".parse().unwrap())).await;
    desk.make().await;
    let before = told(&desk).await;
    // Each with all that could be changed before it is refused.
    let also = json!({
        "appSettings": [{"name": "ALSO", "value": "1"}],
        "connectionStrings": [{"name": "ALSO", "connectionString": "1"}],
        "appCommandLine": "also",
        "numberOfWorkers": 2,
        "alwaysOn": true,
    });
    let mut refused = refusals(&desk);
    refused.push((json!({"location": "mars"}), 409));
    for (mut body, status) in refused {
        let shown = body.to_string().chars().take(120).collect::<String>();
        body["tags"] = json!({"also": "1"});
        body["properties"]["httpsOnly"] = json!(false);
        let config = &mut body["properties"]["siteConfig"];
        for (name, value) in also.as_object().unwrap() {
            if config[name].is_null() {
                config[name] = value.clone();
            }
        }
        let config = json!({"properties": body["properties"]["siteConfig"]});
        for method in [Method::PUT, Method::PATCH] {
            let (answer, code) = desk.refused(method.clone(), "sites/web", body.clone()).await;
            assert_eq!(answer, status, "{method} {shown}");
            assert_eq!(code == "InvalidResourceLocation", status == 409, "{method} {shown}");
            assert_eq!(told(&desk).await, before, "{method} {shown}");
        }
        if desk.refused(Method::PATCH, "sites/web/config/web", config).await.0 != 200 {
            assert_eq!(told(&desk).await, before, "config of {shown}");
        } else {
            // What is refused of it is not said there.
            assert_ne!(told(&desk).await, before, "config of {shown}");
            desk.web(Method::DELETE, "sites/web?deleteEmptyServerFarm=false", Value::Null).await;
            desk.make().await;
        }
    }
    let mut good = also;
    good["numberOfWorkers"] = json!(3);
    let good = json!({"location": "local", "tags": {"also": "1"}, "properties": {"siteConfig": good}});
    let changed = desk.web(Method::PUT, "sites/web", good).await;
    assert_eq!(
        (&changed["tags"]["also"], &changed["properties"]["siteConfig"]["numberOfWorkers"]),
        (&json!("1"), &json!(3))
    );
    let [_, settings, connections, _] = told(&desk).await;
    assert_eq!(settings["properties"], json!({"ALSO": "1"}));
    assert!(connections["properties"]["ALSO"].is_object());
}

#[tokio::test]
async fn who_may_not_say_how_an_app_runs_changes_nothing_else_by_saying_it() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let before = told(&desk).await;
    is_maker(&desk).await;
    let body = json!({"location": "local", "tags": {"also": "1"},
        "properties": {"siteConfig": {"appSettings": [{"name": "ALSO", "value": "1"}]}}});
    assert_eq!(desk.refused(Method::PUT, "sites/web", body).await.0, 403);
    let tags = json!({"location": "local", "tags": {"this": "1"}});
    assert_eq!(desk.web(Method::PUT, "sites/web", tags).await["tags"], json!({"this": "1"}));
    desk.web(Method::PUT, "sites/web", json!({"location": "local", "tags": {}})).await;
    desk.is("Contributor", Scope::Subscription).await;
    assert_eq!(told(&desk).await, before);
}
