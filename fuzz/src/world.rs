//! The whole of the server but its sockets, in this process: the world of `wire`'s own tests, with objects in it.
//!
//! Each thread has one, and a new one after so many inputs: what earlier ones made would slow it down, and a finding should need no long
//! history.

use crate::{
    answers::Answer,
    support::{NOW, SeededEntropy, World},
};
use crypt::{Key256, Sealed, encoding, envelope, jws::Thumbprint, test_keys};
use directory::{NewRegistration, TokenVersion};
use domain::{ObjectKind, TenantId, VaultName};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::{cell::RefCell, time::Duration};
use tower::ServiceExt as _;

/// How many inputs one world is for.
const INPUTS_MAX: u32 = 64;

/// What an object's backup begins with (`vault/backup.rs`).
pub(crate) const MAGIC: &[u8] = b"keyless-backup\x01";

/// A backup, sealed and opened.
pub(crate) struct Backup {
    pub(crate) kind: ObjectKind,
    pub(crate) blob: String,
    pub(crate) plain: Vec<u8>,
}

/// A world with a vault `shop`, an app that may do everything in it, and an object of each kind.
pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// The app's.
    pub(crate) token: String,
    /// Of the objects in `shop`.
    pub(crate) backups: Vec<Backup>,
}

thread_local! {
    static SERVER: RefCell<Option<(Server, u32)>> = const { RefCell::new(None) };
}

/// Does something with this thread's server. After a panic it is not used again.
pub(crate) fn with<T>(work: impl FnOnce(&mut Server) -> T) -> T {
    let kept = SERVER.with_borrow_mut(Option::take).filter(|(_, inputs)| *inputs < INPUTS_MAX);
    let (mut server, inputs) = kept.unwrap_or_else(|| (Server::new(), 0));
    let result = work(&mut server);
    SERVER.set(Some((server, inputs + 1)));
    result
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (world, token) = runtime.block_on(world());
        let mut server = Self { world, runtime, token, backups: Vec::new() };
        server.furnish();
        server
    }

    /// The host of a vault.
    pub(crate) fn vault_host(&self, vault: &str) -> String {
        self.world.state.names.vault_host(&VaultName::parse(vault).unwrap())
    }

    /// Answers a request, as the public listener does.
    pub(crate) fn ask(&self, request: Request<axum::body::Body>) -> Answer {
        self.runtime.block_on(async {
            let response = self.world.public.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            Answer { status: parts.status, headers: parts.headers, body }
        })
    }

    /// Answers a request of the app's in `shop`, and checks what holds for every answer.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?api-version=2025-07-01"))
            .header("host", self.vault_host("shop"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let answer = self.ask(request.body(body.to_string().into()).unwrap());
        answer.check(Some(&domain::HostRole::Vault(VaultName::parse("shop").unwrap())));
        answer
    }

    /// The key of all backups. The root key is the first that this world's entropy gave.
    pub(crate) fn backup_key() -> Key256 {
        Key256::random(&SeededEntropy::new(1)).derive("backup")
    }

    /// A backup of what might be in one, sealed as a genuine one is.
    pub(crate) fn seal(&self, kind: ObjectKind, plain: &[u8]) -> String {
        let address = address(self.world.state.directory.tenant().id, kind);
        let sealed = envelope::seal(&Self::backup_key(), &address, plain, &SeededEntropy::new(2)).unwrap();
        encoding::base64url(&[MAGIC, sealed.as_bytes()].concat())
    }

    fn furnish(&mut self) {
        let certificate = json!({"policy": {
            "key_props": {"kty": "EC", "crv": "P-256", "exportable": true},
            "x509_props": {"subject": "CN=shop"}, "issuer": {"name": "Self"},
        }});
        let mut pending = certificate.clone();
        pending["policy"]["issuer"]["name"] = json!("Unknown");
        for (method, path, body) in [
            ("PUT", "/secrets/db", json!({"value": "canary", "tags": {"a": "b"}})),
            ("POST", "/keys/ec/create", json!({"kty": "EC", "crv": "P-256"})),
            ("PUT", "/keys/oct", json!({"key": {"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODw"}})),
            ("POST", "/certificates/tls/create", certificate),
            ("POST", "/certificates/wanted/create", pending),
            ("PUT", "/secrets/gone", json!({"value": "canary"})),
            ("DELETE", "/secrets/gone", json!(null)),
        ] {
            let answer = self.call(method, path, &body);
            assert!(answer.status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer.body));
        }
        let tenant = self.world.state.directory.tenant().id;
        for (kind, path) in [
            (ObjectKind::Secret, "/secrets/db/backup"),
            (ObjectKind::Key, "/keys/ec/backup"),
            (ObjectKind::Certificate, "/certificates/tls/backup"),
        ] {
            let blob = self.call("POST", path, &json!(null)).json()["value"].as_str().unwrap().to_owned();
            let bytes = encoding::from_base64url(&blob).unwrap();
            let sealed = Sealed::from_bytes(bytes.strip_prefix(MAGIC).unwrap().to_vec());
            let plain = envelope::open(&Self::backup_key(), &address(tenant, kind), &sealed).unwrap();
            self.backups.push(Backup { kind, blob, plain: plain.expose().clone() });
        }
    }
}

fn address(tenant: TenantId, kind: ObjectKind) -> Vec<u8> {
    format!("backup/{tenant}/{kind}").into_bytes()
}

/// The world, and its app's token for the vaults.
async fn world() -> (World, String) {
    let mut world = World::new().await;
    world.make_vault("shop").await;
    let new = NewRegistration {
        display_name: "app".to_owned(),
        identifier_uris: Vec::new(),
        token_version: TokenVersion::V1,
        ..NewRegistration::default()
    };
    let registration = world.register("app", new).await;
    world.add_secret("secret", &registration, Duration::from_secs(86_400)).await;
    let all = "get,list,set,delete,recover,backup,restore,purge;keys=all;certificates=all";
    world.allow("shop", &registration.principal.to_string(), all).await;
    let (tenant, now) = (world.state.directory.tenant().id, NOW.seconds());
    let claims = json!({
        "aud": world.state.names.vault_resource(), "iss": world.state.names.issuer_v1(tenant), "iat": now, "nbf": now,
        "exp": now + 3_600, "appid": registration.client, "appidacr": "1", "idtyp": "app", "oid": registration.principal,
        "sub": registration.principal, "tid": tenant, "uti": "uti", "ver": "1.0",
    });
    let token = crypt::jws::sign(&test_keys::signing_key(), Thumbprint::Included, &claims).unwrap();
    let token = token.expose().clone();
    world.call("token", &token);
    (world, token)
}
