//! Every documented operation on secrets, keys and certificates is asked for, in both versions of the API, and what it answers is of the
//! documented shape.
//!
//! `described/operations.txt` and `described/shapes.txt` are the descriptions in our own form, `table.rs` and `shape.rs` read them and hold
//! a body against them, `exercise.rs` asks and keeps account. A line that nothing asks for fails here, and so does a property that no
//! answer ever had, unless its line says that there is none.

mod certificates;
mod exercise;
mod keys;
mod secrets;
mod shape;
mod table;
mod wrong;

use exercise::Exercise;
use serde_json::{Value, json};
use table::{Operation, Table, Version};

#[tokio::test]
async fn every_operation_of_version_7_5_answers_as_described() {
    every_operation(Version::V7_5).await;
}

#[tokio::test]
async fn every_operation_of_version_2025_07_01_answers_as_described() {
    every_operation(Version::V2025_07_01).await;
}

async fn every_operation(version: Version) {
    let mut exercise = Exercise::new(version).await;
    secrets::all(&mut exercise).await;
    keys::all(&mut exercise).await;
    certificates::all(&mut exercise).await;
    for operation in exercise.table.operations(version) {
        strangers(&mut exercise, &operation).await;
        nothing_there(&mut exercise, &operation).await;
    }
    exercise.was_complete();
}

/// Who may not, and who does not say which version they speak.
async fn strangers(exercise: &mut Exercise, operation: &Operation) {
    let body = sample(operation);
    let path = operation.path(&[("name", "absent"), ("version", &"0".repeat(32)), ("issuer", "absent")]);
    let versioned = format!("{path}?api-version={}", exercise.version.as_str());
    for (token, target, status, code) in [
        (None, &versioned, 401, "Unauthorized"),
        (Some("{stranger token}"), &versioned, 403, "Forbidden"),
        (Some("{forged token}"), &versioned, 401, "Unauthorized"),
        (Some("{token}"), &path, 400, "BadParameter"),
    ] {
        let answer = exercise.send(&operation.method, target, token, &body).await;
        exercise.is_error(operation, &answer, (status, code, None)).await;
        assert_eq!(answer.challenge.is_some(), status == 401, "{}: {target}", operation.name);
    }
}

/// Asked of what is not there, or with a body that lacks what is required. What lists and gives random bytes has neither.
async fn nothing_there(exercise: &mut Exercise, operation: &Operation) {
    let nobody = [("name", "absent"), ("version", &*"0".repeat(32)), ("issuer", "absent")];
    let target = format!("{}?api-version={}", operation.path(&nobody), exercise.version.as_str());
    let makes = [
        "SetSecret",
        "CreateKey",
        "ImportKey",
        "CreateCertificate",
        "ImportCertificate",
        "SetCertificateIssuer",
    ];
    let (body, status) = match &*operation.name {
        name if makes.contains(&name) => (json!({}), 400),
        "GetRandomBytes"
        | "RestoreSecret"
        | "RestoreKey"
        | "RestoreCertificate"
        | "SetCertificateContacts" => (json!([]), 400),
        "GetCertificateContacts" | "DeleteCertificateContacts" => (Value::Null, 404),
        // A list of versions of nothing is empty, as the service's.
        "GetSecretVersions" | "GetKeyVersions" | "GetCertificateVersions" => return,
        _ if operation.query.iter().any(|(name, _)| name == "maxresults") => {
            let answer = exercise
                .send(&operation.method, &format!("{target}&maxresults=26"), Some("{token}"), &Value::Null)
                .await;
            return exercise.is_error(operation, &answer, (400, "BadParameter", None)).await;
        }
        _ => (sample(operation), 404),
    };
    let answer = exercise.send(&operation.method, &target, Some("{token}"), &body).await;
    let code = if status == 400 { "BadParameter" } else { "" };
    exercise.is_error(operation, &answer, (status, code, None)).await;
}

/// The least that an operation takes.
fn sample(operation: &Operation) -> Value {
    match operation.body.as_deref() {
        None => Value::Null,
        Some("KeyVerifyParameters") => json!({"alg": "ES256", "digest": "AA", "value": "AA"}),
        Some("KeySignParameters") => json!({"alg": "ES256", "value": "AA"}),
        Some("KeyOperationsParameters") => json!({"alg": "RSA-OAEP", "value": "AA"}),
        Some("KeyReleaseParameters") => json!({"target": "e30.e30.AA"}),
        Some("CertificateMergeParameters") => json!({"x5c": [crypt::encoding::base64(&[0x30, 0])]}),
        Some("CertificateOperationUpdateParameter") => json!({"cancellation_requested": true}),
        Some("KeyCreateParameters") => json!({"kty": "EC"}),
        Some("GetRandomBytesRequest") => json!({"count": 1}),
        Some("SecretSetParameters") => json!({"value": "v"}),
        Some("KeyImportParameters") => json!({"key": {"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAA"}}),
        Some("CertificateCreateParameters") => {
            json!({"policy": {"issuer": {"name": "Self"}, "x509_props": {"subject": "CN=a"}}})
        }
        Some("CertificateImportParameters") => json!({"value": "AAAA"}),
        Some("CertificateIssuerSetParameters") => json!({"provider": "Test"}),
        Some("Contacts") => json!({"contacts": []}),
        Some("SecretRestoreParameters" | "KeyRestoreParameters" | "CertificateRestoreParameters") => {
            json!({"value": "AA"})
        }
        Some(_) => json!({}),
    }
}

/// What is to be found in the lists is there: a list of which nothing was read would demand nothing.
#[test]
fn the_lists_are_read_in_full() {
    let table = Table::read();
    assert_eq!(table.operations(Version::V7_5).len(), 63);
    assert_eq!(table.operations(Version::V2025_07_01).len(), 64);
    let bodies = table
        .operations(Version::V2025_07_01)
        .into_iter()
        .flat_map(|operation| [operation.body, operation.answer]);
    for shape in bodies.flatten() {
        assert!(table.shapes.contains(&shape), "{shape} is in shapes.txt");
    }
    table.shapes.are_closed();
}
