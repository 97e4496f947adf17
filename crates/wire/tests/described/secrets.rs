//! What can be done with secrets.

use super::exercise::{Exercise, last};
use serde_json::{Value, json};

/// Every operation on secrets at least once, and each property of what it takes and answers.
pub(super) async fn all(on: &mut Exercise) {
    let set = json!({
        "value": "s3cret", "tags": {"team": "a"}, "contentType": "text/plain",
        "attributes": {"enabled": true, "nbf": 1_700_000_000, "exp": 1_900_000_000},
    });
    let first = on.does("SetSecret", "db", set).await;
    assert_eq!(first["value"], "s3cret");
    on.does("SetSecret", "db", json!({"value": "other"})).await;
    on.does("SetSecret", "cache", json!({"value": "v"})).await;
    let version = last(&first["id"]);
    let change = json!({"contentType": "text/html", "attributes": {"enabled": true}, "tags": {}});
    on.does("UpdateSecret", &format!("db/{version}"), change).await;
    on.does("UpdateSecret", "db/", json!({})).await;
    let got = on.does("GetSecret", &format!("db/{version}"), Value::Null).await;
    assert_eq!((&got["value"], &got["contentType"]), (&json!("s3cret"), &json!("text/html")));
    on.does("GetSecret", "db/", Value::Null).await;
    pages(on, "GetSecrets", "", "").await;
    pages(on, "GetSecretVersions", "db", "").await;

    let backup = on.does("BackupSecret", "db", Value::Null).await;
    on.does("DeleteSecret", "db", Value::Null).await;
    on.is_refused(
        "SetSecret",
        "db",
        json!({"value": "v"}),
        (409, "Conflict", Some("ObjectIsDeletedButRecoverable")),
    )
    .await;
    on.does("GetDeletedSecret", "db", Value::Null).await;
    on.does("DeleteSecret", "cache", Value::Null).await;
    pages(on, "GetDeletedSecrets", "", "").await;
    on.does("RecoverDeletedSecret", "db", Value::Null).await;
    on.does("DeleteSecret", "db", Value::Null).await;
    on.does("PurgeDeletedSecret", "db", Value::Null).await;
    on.does("RestoreSecret", "", json!({"value": backup["value"]})).await;
}

/// A list of more than one page, page by page, and in one.
pub(super) async fn pages(on: &mut Exercise, operation: &str, object: &str, options: &str) {
    let whole = on.does_with(operation, object, options, Value::Null).await;
    let (mut pages, mut items) = (0, Vec::new());
    let mut token = String::new();
    loop {
        let query = format!("&maxresults=1{token}{options}");
        let page = on.does_with(operation, object, &query, Value::Null).await;
        items.extend(page["value"].as_array().unwrap().clone());
        pages += 1;
        let Some(next) = page["nextLink"].as_str() else { break };
        let (_, rest) = next.split_once("$skiptoken=").unwrap();
        token = format!("&$skiptoken={}", rest.split('&').next().unwrap());
    }
    assert!(pages > 1, "{operation} has {pages} page");
    assert_eq!(whole["value"].as_array().unwrap(), &items, "{operation}");
}
