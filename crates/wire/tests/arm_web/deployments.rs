//! Deployment to an app: a package with a token, its state, the log and for how long it is followed.

use super::*;

#[tokio::test]
async fn a_package_is_deployed_with_a_token_and_followed_to_its_end() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let policy = "sites/web/basicPublishingCredentialsPolicies/scm";
    assert_eq!(desk.web(Method::GET, policy, Value::Null).await["properties"], json!({"allow": false}));
    let allow = json!({"properties": {"allow": true}});
    assert_eq!(desk.refused(Method::PUT, policy, allow).await, (409, "Conflict".into()));
    desk.web(Method::PUT, policy, json!({"properties": {"allow": false}})).await;
    let credentials =
        desk.web(Method::POST, "sites/web/config/publishingcredentials/list", Value::Null).await;
    assert_eq!(credentials["properties"]["publishingPassword"], Value::Null);
    let path = format!("{}/publishxml", desk.plan_id().replace("serverfarms/plan", "sites/web"));
    let (status, _, xml) =
        desk.send(desk.request(Method::POST, &path, &json!({"format": "WebDeploy"}))).await;
    let xml = String::from_utf8(xml).unwrap();
    assert!(status == 200 && xml.contains("publishMethod=\"FTP\"") && xml.contains("userPWD=\"\""), "{xml}");

    let good = format!("Bearer {}", desk.scm);
    assert_eq!(desk.scm(Method::GET, "/api/deployments/latest", &good, b"").await.0, 404);
    let zip = vec![b'z'; 300_000];
    // Nobody, a password, and a token for something else.
    for bad in ["", "Basic JHdlYjpwYXNz", &format!("Bearer {}", desk.arm)] {
        assert_eq!(desk.scm(Method::POST, "/api/zipdeploy?isAsync=true", bad, &zip).await.0, 401, "{bad}");
    }
    let json =
        desk.request(Method::POST, "/api/zipdeploy", &json!({"packageUri": "https://elsewhere/a.zip"}));
    let (mut head, body) = json.into_parts();
    head.headers.insert("host", SCM.parse().unwrap());
    head.headers.insert("authorization", good.parse().unwrap());
    head.headers.insert("content-type", "application/json".parse().unwrap());
    assert_eq!(desk.send(Request::from_parts(head, body)).await.0, 400);
    assert!(desk.taking.packages.lock().unwrap().is_empty());

    assert_eq!(desk.scm(Method::POST, "/api/zipdeploy?isAsync=true", &good, &zip).await.0, 202);
    let id = desk.taking.packages.lock().unwrap()[0].0;
    assert_eq!(desk.taking.packages.lock().unwrap()[0].1, zip);
    let (status, latest) = desk.scm(Method::GET, "/api/deployments/latest", &good, b"").await;
    assert_eq!((status, &latest["status"], &latest["id"]), (202, &json!(1), &json!(id)));
    let followed = async || {
        desk.web(Method::GET, &format!("sites/web/deploymentStatus/{id}"), Value::Null).await["properties"]
            ["status"]
            .clone()
    };
    assert_eq!(followed().await, "BuildInProgress");
    *desk.taking.state.lock().unwrap() = Some("failed");
    assert_eq!(followed().await, "BuildFailed");
    let (status, latest) = desk.scm(Method::GET, "/api/deployments/latest", &good, b"").await;
    assert_eq!((status, &latest["status"], &latest["status_text"]), (200, &json!(3), &json!("a reason")));
    let (_, log) = desk.scm(Method::GET, &format!("/api/deployments/{id}/log"), &good, b"").await;
    let times = [&log[0]["log_time"], &latest["received_time"], &latest["start_time"]];
    assert_eq!(times, [&json!("2027-01-15T08:00:00Z"); 3], "{log}");
    assert_eq!((&latest["end_time"], &log[0]["message"]), (&Value::Null, &json!("a reason")));
    *desk.taking.state.lock().unwrap() = Some("deployed");
    let revision = desk.deployed(id).await;
    assert_eq!(followed().await, "RuntimeStarting");
    // What is ready still runs what was there before.
    *desk.taking.ready.lock().unwrap() = vec![revision - 1];
    assert_eq!(followed().await, "RuntimeStarting");
    *desk.taking.ready.lock().unwrap() = vec![revision];
    assert_eq!(followed().await, "RuntimeSuccessful");
    assert_eq!(desk.web(Method::GET, "sites/web/instances", Value::Null).await["value"][0]["name"], "one");
    let (status, latest) = desk.scm(Method::GET, "/api/deployments/latest", &good, b"").await;
    assert_eq!((status, &latest["status"], &latest["active"]), (200, &json!(4), &json!(true)));
    let (_, all) = desk.scm(Method::GET, "/api/deployments?warmup=true", &good, b"").await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert_eq!(desk.scm(Method::GET, &format!("/api/deployments/{id}/log"), &good, b"").await.0, 200);
    assert_eq!(desk.scm(Method::GET, "/logstream", &good, b"").await.0, 200);
    assert_eq!(desk.scm(Method::GET, "/api/deployments/none", &good, b"").await.0, 404);

    desk.is("Reader", Scope::Subscription).await;
    assert_eq!(desk.scm(Method::POST, "/api/publish?type=zip", &good, &zip).await.0, 403);
    assert_eq!(desk.scm(Method::GET, "/logstream", &good, b"").await.0, 403);
    assert_eq!(desk.taking.packages.lock().unwrap().len(), 1);
    desk.is("Website Contributor", Scope::Subscription).await;
    assert_eq!(desk.scm(Method::POST, "/api/publish?type=zip", &good, &zip).await.0, 202);
    desk.world.audit.set_failed(true);
    // The first that cannot be told of has been done; from then on nothing is.
    for _ in 0..3 {
        assert_eq!(desk.scm(Method::POST, "/api/publish?type=zip", &good, &zip).await.0, 503);
    }
    assert_eq!(desk.taking.packages.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_log_is_followed_for_no_longer_than_the_token_lives() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    desk.taking.is_silent.store(true, Ordering::SeqCst);
    let request = Request::builder()
        .uri("/logstream")
        .header("host", SCM)
        .header("authorization", format!("Bearer {}", desk.scm))
        .body(Body::empty());
    let response = desk.world.public.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut log = response.into_body();
    let lifetime = i64::try_from(desk.world.state.directory.token_lifetime().as_secs()).unwrap();
    let soon = limits::FOLLOWED_LOG_ASKS_EVERY * 3;
    desk.world.later(lifetime - 1);
    assert!(tokio::time::timeout(soon, log.frame()).await.is_err(), "it is followed");
    desk.world.later(1);
    assert!(tokio::time::timeout(soon, log.frame()).await.unwrap().is_none(), "the token has expired");
}
