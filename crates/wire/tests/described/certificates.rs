//! What can be done with certificates, their issuers and contacts.

use super::{
    exercise::{Exercise, last},
    secrets::pages,
};
use serde_json::{Value, json};

/// Every operation on certificates at least once, and each property of what it takes and answers.
pub(super) async fn all(on: &mut Exercise) {
    contacts(on).await;
    issuers(on).await;
    let first = made(on).await;
    asked_for_elsewhere(on, &first).await;
    failed(on).await;
    imported(on).await;

    let backup = on.does("BackupCertificate", "tls", Value::Null).await;
    on.does("DeleteCertificate", "tls", Value::Null).await;
    on.does("GetDeletedCertificate", "tls", Value::Null).await;
    on.does("DeleteCertificate", "bought", Value::Null).await;
    pages(on, "GetDeletedCertificates", "", "").await;
    on.does_with("GetDeletedCertificates", "", "&includePending=true", Value::Null).await;
    on.does("RecoverDeletedCertificate", "tls", Value::Null).await;
    on.does("DeleteCertificate", "tls", Value::Null).await;
    on.does("PurgeDeletedCertificate", "tls", Value::Null).await;
    on.does("RestoreCertificate", "", json!({"value": backup["value"]})).await;
}

async fn contacts(on: &mut Exercise) {
    let contacts = json!({"contacts": [{"email": "a@example.com", "name": "A", "phone": "1"}, {"email": "b@example.com"}]});
    on.does("SetCertificateContacts", "", contacts).await;
    on.does("GetCertificateContacts", "", Value::Null).await;
    on.does("DeleteCertificateContacts", "", Value::Null).await;
}

async fn issuers(on: &mut Exercise) {
    let person = json!({"first_name": "A", "last_name": "B", "email": "a@example.com", "phone": "1"});
    let issuer = json!({
        "provider": "Test", "credentials": {"account_id": "me", "pwd": "canary"},
        "org_details": {"id": "org", "admin_details": [person]}, "attributes": {"enabled": true},
    });
    on.does("SetCertificateIssuer", "far", issuer.clone()).await;
    on.does("UpdateCertificateIssuer", "far", issuer).await;
    on.does("SetCertificateIssuer", "other", json!({"provider": "DigiCert"})).await;
    on.does("GetCertificateIssuer", "far", Value::Null).await;
    pages(on, "GetCertificateIssuers", "", "").await;
    on.does("DeleteCertificateIssuer", "other", Value::Null).await;
}

/// A certificate of the vault's own, as it is asked for in full; what it is.
async fn made(on: &mut Exercise) -> Value {
    let mut names =
        json!({"emails": ["a@example.com"], "dns_names": ["a.example.com"], "upns": ["a@example.com"]});
    if on.is_newer() {
        names["uris"] = json!(["https://a.example.com/"]);
        names["ipAddresses"] = json!(["192.0.2.1"]);
    }
    let policy = json!({
        "key_props": {"exportable": true, "kty": "EC", "key_size": 256, "crv": "P-256", "reuse_key": true},
        "secret_props": {"contentType": "application/x-pem-file"},
        "x509_props": {
            "subject": "CN=a.example.com", "ekus": ["1.3.6.1.5.5.7.3.1"], "sans": names,
            "key_usage": ["digitalSignature"], "validity_months": 12,
        },
        "lifetime_actions": [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}}],
        "issuer": {"name": "Self", "cert_transparency": false}, "attributes": {"enabled": true},
    });
    let mut asked = json!({"policy": policy, "attributes": {"enabled": true}, "tags": {"a": "b"}});
    if on.is_newer() {
        asked["preserveCertOrder"] = json!(true);
    }
    on.does("CreateCertificate", "tls", asked).await;
    let pending = on.does("GetCertificateOperation", "tls", Value::Null).await;
    assert_eq!(pending["status"], "completed");
    let certificate = on.does("GetCertificate", "tls/", Value::Null).await;
    let version = last(&certificate["id"]);
    on.does("GetCertificate", &format!("tls/{version}"), Value::Null).await;
    on.does("GetCertificatePolicy", "tls", Value::Null).await;
    let change = json!({
        "lifetime_actions": [{"trigger": {"days_before_expiry": 30}, "action": {"action_type": "EmailContacts"}}],
    });
    on.does("UpdateCertificatePolicy", "tls", change).await;
    let change = json!({"policy": {"key_props": {"reuse_key": true}}, "attributes": {"enabled": true}, "tags": {"c": "d"}});
    on.does("UpdateCertificate", &format!("tls/{version}"), change).await;

    // What belongs to a certificate says so.
    for (operation, belongs) in [("GetKey", "managed"), ("GetSecret", "managed"), ("GetSecret", "kid")] {
        let part = on.does(operation, &format!("tls/{version}"), Value::Null).await;
        assert!(part.get(belongs).is_some(), "{operation}: {belongs}");
    }
    if on.is_newer() {
        let form = "&outContentType=application/x-pem-file";
        let secret = on.does_with("GetSecret", "tls/", form, Value::Null).await;
        assert!(secret["value"].as_str().is_some_and(|value| value.starts_with("-----BEGIN")));
    }
    for operation in ["GetSecrets", "GetKeys"] {
        let listed = on.does(operation, "", Value::Null).await;
        let is_managed = |item: &Value| item["managed"] == true;
        assert!(listed["value"].as_array().unwrap().iter().any(is_managed), "{operation}");
    }
    certificate
}

/// A certificate that somebody else signs: asked for and given up, then asked for and merged. The key is the first one's, and so what is
/// merged may be the first certificate.
async fn asked_for_elsewhere(on: &mut Exercise, first: &Value) {
    let asked = json!({"policy": {
        "issuer": {"name": "Unknown"}, "key_props": {"kty": "EC", "crv": "P-256", "reuse_key": true},
        "x509_props": {"subject": "CN=a.example.com"},
    }});
    let pending = on.does("CreateCertificate", "tls", asked.clone()).await;
    assert!(pending["csr"].is_string() && pending["status"] == "inProgress");
    on.does_with("GetCertificates", "", "&includePending=true", Value::Null).await;
    let cancelled =
        on.does("UpdateCertificateOperation", "tls", json!({"cancellation_requested": true})).await;
    assert_eq!(cancelled["status"], "cancelled");
    on.does("DeleteCertificateOperation", "tls", Value::Null).await;
    on.does("CreateCertificate", "tls", asked).await;
    let merged = json!({"x5c": [first["cer"]], "attributes": {"enabled": true}, "tags": {"e": "f"}});
    on.does("MergeCertificate", "tls", merged).await;
    pages(on, "GetCertificateVersions", "tls", "").await;
    if on.is_newer() {
        let secret = on.does("GetSecret", "tls/", Value::Null).await;
        assert!(first["id"].as_str().unwrap().ends_with(secret["previousVersion"].as_str().unwrap()));
        on.does("GetSecretVersions", "tls", Value::Null).await;
    }
}

/// A certificate of an issuer that cannot be reached.
async fn failed(on: &mut Exercise) {
    let policy =
        json!({"issuer": {"name": "far", "cty": "OV-SSL"}, "x509_props": {"subject": "CN=b.example.com"}});
    on.does("CreateCertificate", "failed", json!({"policy": policy})).await;
    let pending = on.does("GetCertificateOperation", "failed", Value::Null).await;
    assert_eq!(pending["status"], "failed");
    on.does("DeleteCertificateOperation", "failed", Value::Null).await;
}

async fn imported(on: &mut Exercise) {
    // The newer one's names are of kinds that the older description does not have; whatever the version, they are answered.
    let (pfx, password): (&[u8], _) = match on.is_newer() {
        true => (include_bytes!("../../../crypt/testdata/public-test-modern.pfx"), "test-p\u{e4}ssword"),
        false => (include_bytes!("../../../crypt/testdata/public-test-java.pfx"), "changeit"),
    };
    let pfx = crypt::encoding::base64(pfx);
    let policy = json!({"secret_props": {"contentType": "application/x-pkcs12"}});
    let mut import =
        json!({"value": pfx, "pwd": password, "policy": policy, "attributes": {"enabled": true}, "tags": {}});
    if on.is_newer() {
        import["preserveCertOrder"] = json!(true);
    }
    on.does("ImportCertificate", "bought", import).await;
    pages(on, "GetCertificates", "", "").await;
}
