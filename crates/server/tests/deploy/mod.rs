//! A package is deployed over HTTPS: by a thread that may open no file, to which others lend a hand (ADR 0026).

use crate::Site;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use server::Running;
use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

const MANAGEMENT: &str = "management.keyless.localhost";
const SCM: &str = "web.scm.apps.keyless.localhost";

impl Site {
    /// Begins one request over TLS: sends its head.
    async fn begin(&self, host: &str, head: &str, body_bytes: usize) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.data().join("ca.pem")).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        let head = format!(
            "{head}\r\nHost: {host}:{}\r\nContent-Length: {body_bytes}\r\nConnection: close\r\n\r\n",
            self.port,
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Sends one request over TLS; answers the status and what arrives of the body until the server ends it, or within a second.
    async fn send(&self, host: &str, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = self.begin(host, head, body.len()).await;
        // In pieces: a package is not held whole by anybody.
        for piece in body.chunks(16 * 1024) {
            stream.write_all(piece).await.unwrap();
        }
        answer(stream).await
    }

    async fn json(&self, host: &str, method_and_path: &str, token: &str, body: &[u8]) -> (u16, Value) {
        let head = format!("{method_and_path} HTTP/1.1\r\nAuthorization: Bearer {token}");
        let (status, body) = self.send(host, &head, body).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn token(&self, tenant: &str, client: &str, secret: &str, resource: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&client_id={client}&client_secret={secret}\
             &scope=https%3A%2F%2F{resource}%2F.default"
        );
        let head = format!(
            "POST /{tenant}/oauth2/v2.0/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded"
        );
        let (status, body) = self.send(crate::LOGIN, &head, form.as_bytes()).await;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!(status, 200, "{body}");
        text(&body, "access_token")
    }

    /// Where the files of apps are.
    fn app_files(&self) -> PathBuf {
        if kernel::is_root() { self.folder.join("data-apps") } else { self.data().join("apps") }
    }
}

/// A server with an app, and what the subscription's owner deploys to it by.
struct Stage {
    site: Site,
    running: Running,
    owner: Value,
    arm: String,
    scm: String,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let mut site = Site::new(name);
        let (running, _) = site.start().await.unwrap();
        let made = site.ask("POST", "/v1/registrations", r#"{"display_name":"ci"}"#).await.2;
        let client = text(&made, "client_id");
        let secret = site.ask("POST", &format!("/v1/registrations/{client}/credentials"), "{}").await.2;
        let secret = text(&secret, "secret").replace('~', "%7E");
        assert_eq!(site.ask("POST", "/v1/apps", r#"{"name":"web"}"#).await.0, 201);
        let principal = text(&made, "principal");
        let owner = json!({"scope": "subscription", "role": "Owner", "principal": principal});
        assert_eq!(site.ask("POST", "/v1/role-assignments", &owner.to_string()).await.0, 200);
        let tenant = text(&site.ask("GET", "/v1/status", "").await.2, "tenant");
        let port = site.port;
        let resource = |host: &str| format!("{host}.keyless.localhost%3A{port}");
        let arm = site.token(&tenant, &client, &secret, &format!("{}%2F", resource("management"))).await;
        let scm = site.token(&tenant, &client, &secret, &resource("appservice")).await;
        Self { site, running, owner, arm, scm }
    }
}

async fn answer(mut stream: TlsStream<TcpStream>) -> (u16, Vec<u8>) {
    let (mut answer, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut piece)).await {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(piece.get(..count).unwrap());
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let text = String::from_utf8_lossy(answer.get(..end).unwrap()).into_owned();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), answer.split_off(end + 4))
}

fn text(of: &Value, named: &str) -> String {
    of.get(named).and_then(Value::as_str).unwrap_or_else(|| panic!("no {named} in {of}")).to_owned()
}

/// A zip with one file, as it is.
fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let bytes = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut crc = u32::MAX;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    common.extend((!crc).to_le_bytes());
    common.extend(bytes(content.len()));
    common.extend(bytes(content.len()));
    common.extend([u8::try_from(name.len()).unwrap(), 0, 0, 0]);
    let local = [b"PK\x03\x04".as_slice(), &common, name.as_bytes(), content].concat();
    let central = [b"PK\x01\x02\x14\x00".as_slice(), &common, &[0; 10], &bytes(0), name.as_bytes()].concat();
    let end =
        [b"PK\x05\x06\0\0\0\0\x01\0\x01\0".as_slice(), &bytes(central.len()), &bytes(local.len()), &[0, 0]];
    [local, central, end.concat()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_sent_to_the_apps_own_host_is_deployed() {
    let Stage { site, running, arm, scm, .. } = Stage::new("deploy").await;
    let (_, all) = site.json(MANAGEMENT, "GET /subscriptions?api-version=2022-12-01", &arm, b"").await;
    let subscription = text(all.get("value").unwrap().get(0).unwrap(), "id");
    let at = |method: &str, path: &str| {
        let app = "resourceGroups/keyless/providers/Microsoft.Web/sites";
        format!("{method} {subscription}/{app}/{path}?api-version=2025-05-01")
    };
    // Nothing is to run: it is the files that matter.
    assert_eq!(site.json(MANAGEMENT, &at("POST", "web/stop"), &arm, b"").await.0, 200);

    let followed = async || {
        for _ in 0..200 {
            let latest = "GET /api/deployments/latest";
            let (status, body) = site.json(SCM, latest, &scm, b"").await;
            if status == 200 {
                return (body.get("status").and_then(Value::as_u64).unwrap(), text(&body, "status_text"));
            }
            assert_eq!(status, 202, "{body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not come to an end");
    };
    let zipdeploy = "POST /api/zipdeploy?isAsync=true";
    assert_eq!(site.json(SCM, zipdeploy, &arm, b"PK").await.0, 401);
    let (status, body) = site.json(SCM, zipdeploy, &scm, &vec![b'x'; 3 << 20]).await;
    assert_eq!(status, 202, "{body}");
    let (status, why) = followed().await;
    assert!(status == 3 && why.contains("zip"), "{status} {why}");
    let package = zip("Procfile", b"web: sleep 1000\n");
    let (status, body) = site.json(SCM, zipdeploy, &scm, &package).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(followed().await, (4, String::new()));
    let id = text(&body, "id");
    let status = at("GET", &format!("web/deploymentStatus/{id}"));
    let (_, shown) = site.json(MANAGEMENT, &status, &arm, b"").await;
    assert_eq!(text(shown.get("properties").unwrap(), "status"), "RuntimeSuccessful");
    let stream = format!("GET /logstream HTTP/1.1\r\nAuthorization: Bearer {scm}");
    let (status, log) = site.send(SCM, &stream, b"").await;
    assert!(
        status == 200 && String::from_utf8_lossy(&log).contains(&id),
        "{}",
        String::from_utf8_lossy(&log)
    );

    let kept = || {
        let all = std::fs::read_dir(site.app_files()).unwrap().filter_map(Result::ok);
        all.filter(|one| one.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    assert_eq!(kept(), 1);
    // A name that is new is found by programs from the answer on, and one that is gone is not.
    let names = || {
        let text = std::fs::read_to_string(running.hosts_file()).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    let body = br#"{"location":"local"}"#;
    assert_eq!(site.json(MANAGEMENT, &at("PUT", "other"), &arm, body).await.0, 200);
    assert!(names().contains("other.apps.keyless.localhost"));
    for app in ["other", "web"] {
        assert_eq!(site.json(MANAGEMENT, &at("DELETE", app), &arm, b"").await.0, 200);
        assert!(!names().contains(&format!("{app}.apps.")), "{app}: {}", names());
    }
    let mut tries = 0;
    while kept() > 0 {
        tries += 1;
        assert!(tries < 200, "the files of an app that was deleted stay");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.stop(server::Asked::Terminated).await;
    for done in ["scm.deploy", "app.deployed", "site.delete", "scm.authenticate"] {
        assert!(site.audit().contains(done), "{done}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_somebody_who_may_not_any_more_leaves_nothing() {
    let Stage { site, running, owner, scm, .. } = Stage::new("deploy-late").await;
    let app = text(&site.ask("GET", "/v1/apps/web", "").await.2, "id");
    let desired = r#"{"state":"stopped"}"#;
    assert_eq!(site.ask("PATCH", "/v1/apps/web/desired", desired).await.0, 200);
    let deployments = site.app_files().join(app).join("deployments");
    let kept = || std::fs::read_dir(&deployments).map_or(0, |all| all.filter(Result::is_ok).count());
    let package = zip("Procfile", b"web: sleep 1000\n");
    for is_owner in [true, false] {
        let head = format!("POST /api/zipdeploy?isAsync=true HTTP/1.1\r\nAuthorization: Bearer {scm}");
        let mut stream = site.begin(SCM, &head, package.len()).await;
        let (first, rest) = package.split_at(10);
        stream.write_all(first).await.unwrap();
        let mut tries = 0;
        // It is let in, and waits for the rest of the package.
        while site.json(SCM, "GET /api/deployments/latest", &scm, b"").await.0 != 202 {
            tries += 1;
            assert!(tries < 200, "nothing is being deployed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if !is_owner {
            assert_eq!(site.ask("DELETE", "/v1/role-assignments", &owner.to_string()).await.0, 200);
        }
        stream.write_all(rest).await.unwrap();
        let (status, told) = answer(stream).await;
        assert_eq!(status, 202);
        let id = text(&serde_json::from_slice(&told).unwrap(), "id");
        let path = format!("/v1/apps/web/deployments/{id}");
        let (state, why) = loop {
            let told = site.ask("GET", &path, "").await.2;
            let state = text(&told, "state");
            if ["deployed", "failed"].contains(&&*state) {
                break (state, told.to_string());
            }
            tries += 1;
            assert!(tries < 400, "it does not come to an end: {told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        match is_owner {
            true => assert_eq!(state, "deployed", "{why}"),
            false => assert!(state == "failed" && why.contains("role"), "{why}"),
        }
        // Its own, that is; of one that failed nothing is left.
        assert_eq!((kept(), deployments.join(&id).is_dir()), (1, is_owner));
    }
    running.stop(server::Asked::Terminated).await;
}

/// Whoever was refused for where the files are had an account claimed for the app, and another message the second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_refused_for_where_files_are_leaves_the_app_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let mut site = Site::new("deploy-closed");
    let (running, _) = site.start().await.unwrap();
    let made = site.ask("POST", "/v1/apps", r#"{"name":"web"}"#).await.2;
    let folder = site.app_files();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    for _ in 0..2 {
        let (status, _, refused) = site.ask("POST", "/v1/apps/web/deployments", "no zip").await;
        assert!(status >= 400 && refused.to_string().contains("nobody else may write"), "{refused}");
    }
    assert_eq!(site.ask("GET", "/v1/apps/web", "").await.2, made);
    running.stop(server::Asked::Terminated).await;
}
