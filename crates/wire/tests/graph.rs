//! Microsoft Graph: what one exchange after the other does not show. Paging under writes, roles in tokens, proofs of possession.

use crate::{golden_graph, support::World};
use access::Manager;
use axum::body::Body;
use directory::NewRegistration;
use domain::Placement;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tower::ServiceExt as _;

const NOW: domain::Timestamp = crate::support::NOW;

/// Asks Graph with the token of this name.
async fn ask(world: &World, token: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let token = world.name(&format!("{{{token} token}}"));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "graph.keyless.localhost:8443")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::from(body.to_string()));
    let response = world.public.clone().oneshot(request.unwrap()).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn get(world: &World, path: &str) -> Value {
    let (status, body) = ask(world, "writer", Method::GET, path, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

async fn make(world: &World, name: &str) -> String {
    let new = NewRegistration { display_name: name.to_owned(), ..NewRegistration::default() };
    world.state.directory.create_registration(new, NOW).await.unwrap().id.to_string()
}

#[tokio::test]
async fn pages_stay_right_while_others_write() {
    let world = golden_graph::world().await;
    let mut kept = BTreeSet::new();
    for number in 0..130 {
        kept.insert(make(&world, &format!("kept {number}")).await);
    }
    let mut next =
        Some("/v1.0/applications?$top=7&$filter=startswith(displayName,'kept')&$select=id".to_owned());
    let (mut seen, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let page = get(&world, &path).await;
        let ids: Vec<_> = page["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect();
        assert!(ids.len() <= 7, "{page}");
        seen.extend(ids);
        // Others come and go, what was just seen among them.
        let other = make(&world, &format!("kept no {pages}")).await;
        world.state.directory.delete_registration(&other).await.unwrap();
        if pages % 3 == 0 {
            let last = seen.last().unwrap();
            world.state.directory.delete_registration(last).await.unwrap();
        }
        pages += 1;
        next = page["@odata.nextLink"]
            .as_str()
            .map(|link| link.strip_prefix("https://graph.keyless.localhost:8443").unwrap().to_owned());
    }
    assert!(pages >= 19, "{pages}");
    let unique: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(unique.len(), seen.len(), "nothing twice");
    assert_eq!(unique, kept, "and nothing left out");
}

#[tokio::test]
async fn all_service_principals_are_listed_once_and_managed_identities_are_no_applications() {
    let world = golden_graph::world().await;
    let app = domain::AppName::parse("shop").unwrap();
    world.state.host.create_app(Manager::Administrator, &app, &Placement::default(), NOW).await.unwrap();
    world.state.host.assign_identity(Manager::Administrator, &app, NOW).await.unwrap();
    for number in 0..120 {
        make(&world, &format!("one of {number}")).await;
    }
    let mut names = Vec::new();
    let mut next = Some("/v1.0/servicePrincipals?$top=50".to_owned());
    while let Some(path) = next {
        let page = get(&world, &path).await;
        for one in page["value"].as_array().unwrap() {
            names
                .push((one["displayName"].as_str().unwrap().to_owned(), one["servicePrincipalType"].clone()));
        }
        next = page["@odata.nextLink"]
            .as_str()
            .map(|link| link.strip_prefix("https://graph.keyless.localhost:8443").unwrap().to_owned());
    }
    let count = |name: &str| names.iter().filter(|(known, _)| known == name).count();
    for name in ["Microsoft Graph", "Azure Key Vault", "shop", "writer", "one of 7"] {
        assert_eq!(count(name), 1, "{name}");
    }
    assert_eq!(names.len(), 127);
    assert!(names.contains(&("shop".to_owned(), json!("ManagedIdentity"))));
    let found = get(&world, "/v1.0/applications?$filter=displayName%20eq%20'shop'").await;
    assert_eq!(found["value"], json!([]));
    let found = get(&world, "/v1.0/servicePrincipals?$filter=displayName%20eq%20'shop'").await;
    let id = found["value"][0]["id"].as_str().unwrap();
    assert_eq!(found["value"][0]["alternativeNames"][0], "isExplicit=False");
    let path = format!("/v1.0/servicePrincipals/{id}");
    let (status, _) = ask(&world, "admin", Method::DELETE, &path, json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "it goes with its app");
    let (status, _) = ask(&world, "admin", Method::PATCH, &path, json!({"accountEnabled": false})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(!world.state.directory.principal(id.parse().unwrap()).await.unwrap().enabled);
}

/// Who takes all secrets away by a list of none would believe that they are gone.
/// Of a list only so many are looked at for a page; what is asked for by its name is on the first, however many others there are.
#[tokio::test]
async fn who_is_asked_for_by_name_is_found_among_many() {
    let world = golden_graph::world().await;
    let uri = |number: usize| format!("api://shop-{number}");
    let mut clients = Vec::new();
    for number in 0..5_100 {
        let new = NewRegistration {
            display_name: "one of many".to_owned(),
            identifier_uris: vec![uri(number)],
            ..NewRegistration::default()
        };
        clients.push(world.state.directory.create_registration(new, NOW).await.unwrap().client.to_string());
    }
    let vaults = directory::graph::Builtin::Vaults.client().to_string();
    for (name, client) in [0, 2_000, 5_099]
        .into_iter()
        .flat_map(|number| [(uri(number), &clients[number]), (clients[number].clone(), &clients[number])])
        .chain([("https://vault.azure.net".to_owned(), &vaults)])
    {
        let path = format!("/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'{name}')");
        let found = get(&world, &path).await;
        assert_eq!(found["value"][0]["appId"], **client, "{name}");
        assert_eq!(
            (found["value"].as_array().unwrap().len(), found.get("@odata.nextLink")),
            (1, None),
            "{name}"
        );
        let found =
            get(&world, &format!("/v1.0/applications?$filter=identifierUris/any(c:c%20eq%20'{name}')")).await;
        let is_application = name.starts_with("api:");
        let ids: Vec<_> = found["value"].as_array().unwrap().iter().map(|one| &one["appId"]).collect();
        assert_eq!(ids.len(), usize::from(is_application), "{name}");
        assert!(ids.iter().all(|id| *id == &json!(client)), "{name}");
    }
    // Both are meant, and what else is asked is, too.
    let path = "/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'api://shop-7')%20and%20displayName%20eq%20'others'";
    assert_eq!(get(&world, path).await["value"], json!([]));
    // Names are compared without their case: of another one than it was written in, it is looked for.
    let mut found = None;
    let mut next = Some(
        "/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'API://shop-7')".to_owned(),
    );
    while let Some(path) = next {
        let page = get(&world, &path).await;
        found = found.or(page["value"][0]["appId"].as_str().map(str::to_owned));
        next = page["@odata.nextLink"]
            .as_str()
            .map(|link| link.strip_prefix("https://graph.keyless.localhost:8443").unwrap().to_owned());
    }
    assert_eq!(found.as_ref(), Some(&clients[7]));
}

#[tokio::test]
async fn secrets_are_not_changed_by_a_list_of_them() {
    let world = golden_graph::world().await;
    let new = json!({"displayName": "web", "passwordCredentials": []});
    let (status, made) = ask(&world, "admin", Method::POST, "/v1.0/applications", new).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/v1.0/applications/{}", made["id"].as_str().unwrap());
    let add = format!("{path}/addPassword");
    assert_eq!(ask(&world, "admin", Method::POST, &add, json!({})).await.0, StatusCode::OK);
    for list in [json!([]), json!([{"displayName": "x"}])] {
        let change = json!({"passwordCredentials": list, "displayName": "other"});
        let (status, told) = ask(&world, "admin", Method::PATCH, &path, change).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
    }
    let (_, told) = ask(&world, "admin", Method::GET, &path, json!({})).await;
    assert_eq!(
        (&told["displayName"], told["passwordCredentials"].as_array().unwrap().len()),
        (&json!("web"), 1)
    );
}

/// What is set to nothing is the first version again, in Graph's own words.
#[tokio::test]
async fn an_applications_token_version_goes_back_to_the_first() {
    let world = golden_graph::world().await;
    let new = json!({"displayName": "web", "api": {"requestedAccessTokenVersion": 2}});
    let (status, made) = ask(&world, "admin", Method::POST, "/v1.0/applications", new).await;
    assert_eq!((status, &made["api"]["requestedAccessTokenVersion"]), (StatusCode::CREATED, &json!(2)));
    let path = format!("/v1.0/applications/{}", made["id"].as_str().unwrap());
    for (api, version) in [(json!({}), 2), (json!({"requestedAccessTokenVersion": null}), 1)] {
        let (status, told) = ask(&world, "admin", Method::PATCH, &path, json!({"api": api})).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{told}");
        let (_, told) = ask(&world, "admin", Method::GET, &path, json!({})).await;
        assert_eq!(told["api"]["requestedAccessTokenVersion"], version);
    }
}

/// By a page of another origin: which headers the answer has that let it be read, and whether it left a record.
async fn of_page(world: &World, method: Method, headers: &[(&str, &str)]) -> (StatusCode, [String; 4], bool) {
    let before = world.audit.records().len();
    let mut request =
        Request::builder().method(method).uri("/v1.0/me").header("host", "graph.keyless.localhost:8443");
    for (name, value) in headers {
        request = request.header(*name, world.name(value));
    }
    let response = world.public.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let header = |name: &str| {
        let name = format!("access-control-{name}");
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(header("allow-credentials"), "");
    let told =
        [header("allow-origin"), header("allow-headers"), header("allow-methods"), header("expose-headers")];
    (response.status(), told, world.audit.records().len() > before)
}

#[tokio::test]
async fn a_page_of_another_origin_asks_with_its_token() {
    let world = golden_graph::world().await;
    let (origin, asks) = (("origin", "https://shop.example"), ("access-control-request-method", "GET"));
    let token = ("authorization", "Bearer {ada token}");
    let told = |of: [&str; 4]| of.map(str::to_owned);
    let shown = told(["*", "", "", "client-request-id, location, request-id, retry-after, www-authenticate"]);
    let nothing = told([""; 4]);
    let may_ask = told(["*", "authorization, *", "GET, POST, PATCH, DELETE", ""]);
    // The browser asks first, without the token, and nothing has happened.
    assert_eq!(
        of_page(&world, Method::OPTIONS, &[origin, asks]).await,
        (StatusCode::NO_CONTENT, may_ask, false)
    );
    assert_eq!(of_page(&world, Method::GET, &[origin, token]).await, (StatusCode::OK, shown.clone(), true));
    // So that it is told why it was refused.
    assert_eq!(of_page(&world, Method::GET, &[origin]).await, (StatusCode::UNAUTHORIZED, shown, true));
    // Nobody else is told so, nor let in by asking so.
    assert_eq!(of_page(&world, Method::GET, &[token]).await, (StatusCode::OK, nothing.clone(), true));
    assert_eq!(of_page(&world, Method::OPTIONS, &[asks]).await, (StatusCode::UNAUTHORIZED, nothing, true));
    let (status, ..) = of_page(&world, Method::GET, &[origin, asks]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// Of a group no body was read, and all of them were answered.
#[tokio::test]
async fn what_cannot_be_asked_about_groups_is_refused_of_whomever_it_is_asked() {
    let world = golden_graph::world().await;
    let new =
        json!({"displayName": "team", "mailNickname": "team", "mailEnabled": false, "securityEnabled": true});
    let (status, made) = ask(&world, "writer", Method::POST, "/v1.0/groups", new).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let team = made["id"].as_str().unwrap();
    let ada = world.name("{ada}");
    let member =
        json!({"@odata.id": format!("https://graph.keyless.localhost:8443/v1.0/directoryObjects/{ada}")});
    let (status, _) =
        ask(&world, "writer", Method::POST, &format!("/v1.0/groups/{team}/members/$ref"), member).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let ids = |count: usize| -> Vec<String> {
        let others = (1..count).map(|number| format!("11111111-1111-4111-8111-{number:012}"));
        std::iter::once(team.to_uppercase()).chain(others).collect()
    };
    for (whose, groups) in [
        (format!("groups/{team}"), json!([])),
        (format!("users/{ada}"), json!([team])),
        (format!("directoryObjects/{ada}"), json!([team])),
    ] {
        let all = ["getMemberGroups", "getMemberObjects"].map(|question| format!("/v1.0/{whose}/{question}"));
        let which =
            ["checkMemberGroups", "checkMemberObjects"].map(|question| format!("/v1.0/{whose}/{question}"));
        for (paths, right, wrong) in [
            (
                all,
                vec![json!({}), json!({"securityEnabledOnly": true}), json!({"securityEnabledOnly": null})],
                vec![
                    json!([]),
                    json!("x"),
                    json!({"securityEnabledOnly": "true"}),
                    json!({"securityEnabledOnly": 1}),
                    json!({"securityEnabledOnly": []}),
                    json!({"groupIds": [team]}),
                    json!({"unknown": true}),
                ],
            ),
            (
                which,
                vec![json!({"groupIds": ids(1)}), json!({"ids": ids(20)})],
                vec![
                    json!({}),
                    json!([team]),
                    json!({"groupIds": team}),
                    json!({"groupIds": [5]}),
                    json!({"groupIds": ["team"]}),
                    json!({"groupIds": [team, ""]}),
                    json!({"groupIds": ids(21)}),
                    json!({"ids": ids(21)}),
                    json!({"groupIds": [team], "securityEnabledOnly": true}),
                    json!({"groupIds": [team], "unknown": "x"}),
                ],
            ),
        ] {
            for path in &paths {
                for body in &right {
                    let (status, told) = ask(&world, "reader", Method::POST, path, body.clone()).await;
                    assert_eq!((status, &told["value"]), (StatusCode::OK, &groups), "{path} {body}: {told}");
                }
                for body in &wrong {
                    let (status, told) = ask(&world, "reader", Method::POST, path, body.clone()).await;
                    let code = told["error"]["code"].as_str();
                    let expected = (StatusCode::BAD_REQUEST, Some("Request_BadRequest"));
                    assert_eq!((status, code), expected, "{path} {body}: {told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn kinds_of_objects_are_asked_for_by_their_names() {
    let world = golden_graph::world().await;
    let path = "/v1.0/directoryObjects/getByIds";
    let ada = world.name("{ada}");
    for types in [json!(5), json!("user"), json!([5]), json!(["user", null]), json!({"user": true})] {
        let body = json!({"ids": [ada], "types": types});
        let (status, told) = ask(&world, "reader", Method::POST, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{types}: {told}");
    }
    for (types, count) in [(json!(["user"]), 1), (json!(["unknown"]), 0), (json!([]), 1), (json!(null), 1)] {
        let body = json!({"ids": [ada], "types": types});
        let (status, told) = ask(&world, "reader", Method::POST, path, body).await;
        assert_eq!((status, told["value"].as_array().unwrap().len()), (StatusCode::OK, count), "{types}");
    }
}
