//! The whole of the server but its sockets, in this process: the world of `wire`'s own tests, with objects in it.
//!
//! Each thread has one, and a new one after so many inputs: what earlier ones made would slow it down, and a finding should need no long
//! history.

use crate::{
    answers::Answer,
    support::{NOW, NoHosting, SeededEntropy, World},
};
use access::Manager;
use crypt::{Key256, Sealed, encoding, envelope, jws::Thumbprint, test_keys};
use directory::{NewRegistration, TokenVersion};
use domain::{AppId, AppName, DeploymentId, ObjectKind, Placement, TenantId, VaultName};
use http::Request;
use http_body_util::BodyExt as _;
use resource::roles::{NewAssignment, Place};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::ServiceExt as _;
use wire::{
    Outside,
    admin::{Brought, Hosting, ObservedApp, ObservedDeployment, hosting},
};

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
    /// The app's, for vaults.
    pub(crate) token: String,
    /// The same for the resource manager, where it owns the subscription.
    pub(crate) management: String,
    /// The same for deployments.
    pub(crate) deployment: String,
    taken: Arc<Taken>,
    /// The services have it, but do not hold it.
    _outside: Arc<dyn Outside>,
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
        let (world, [token, management, deployment]) = runtime.block_on(world());
        let taken = Arc::new(Taken::default());
        let outside: Arc<dyn Outside> = Arc::new(Side(taken.clone()));
        world.state.outside.fill(&outside);
        let mut server = Self {
            world,
            runtime,
            token,
            management,
            deployment,
            taken,
            _outside: outside,
            backups: Vec::new(),
        };
        server.furnish();
        server
    }

    /// The host of a vault.
    pub(crate) fn vault_host(&self, vault: &str) -> String {
        self.world.state.names.vault_host(&VaultName::parse(vault).unwrap())
    }

    /// The deployment host of the app `web`.
    pub(crate) fn scm_host(&self) -> String {
        let url = self.world.state.names.scm_url(&AppName::parse("web").unwrap());
        url.strip_prefix("https://").unwrap().to_owned()
    }

    /// The packages that were taken in, as they came.
    pub(crate) fn packages(&self) -> Vec<Vec<u8>> {
        self.taken.0.lock().unwrap().iter().map(|(_, package)| package.clone()).collect()
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

/// Takes packages in, of which nothing becomes an app.
#[derive(Default)]
struct Taken(Mutex<Vec<(DeploymentId, Vec<u8>)>>);

impl Hosting for Taken {
    fn take<'a>(
        &'a self,
        _: &'a host::Publishable,
        brought: Brought,
        _: Option<String>,
    ) -> hosting::Answer<'a, DeploymentId> {
        Box::pin(async move {
            let Brought::Package(body) = brought else { panic!("a package is what is sent") };
            let bytes = body.collect().await.unwrap().to_bytes().to_vec();
            let mut taken = self.0.lock().unwrap();
            let id = DeploymentId::random(&SeededEntropy::new(taken.len() as u64));
            taken.push((id, bytes));
            Ok(id)
        })
    }

    fn deployment(&self, app: AppId, deployment: DeploymentId) -> Option<ObservedDeployment> {
        self.latest(app).filter(|(id, _)| *id == deployment).map(|(_, told)| told)
    }

    fn latest(&self, _: AppId) -> Option<(DeploymentId, ObservedDeployment)> {
        let (id, _) = self.0.lock().unwrap().last()?.clone();
        Some((id, ObservedDeployment { state: "building", text: "a reason".to_owned(), begun: None }))
    }

    fn own_networks(&self) -> hosting::Answer<'_, ()> {
        NoHosting.own_networks()
    }

    fn azure_arc(&self, is_container: bool) -> hosting::Answer<'_, ()> {
        NoHosting.azure_arc(is_container)
    }

    fn changed(&self, app: &AppName) {
        NoHosting.changed(app);
    }

    fn deleted(&self, name: &AppName, app: AppId) {
        NoHosting.deleted(name, app);
    }

    fn observed(&self, app: AppId) -> ObservedApp {
        NoHosting.observed(app)
    }

    fn log(&self, app: AppId, lines: usize, follow: bool) -> hosting::Answer<'_, axum::body::Body> {
        let _bounded = (app, lines, follow);
        Box::pin(async { Ok(axum::body::Body::from("a line\n")) })
    }
}

struct Side(Arc<Taken>);

impl Outside for Side {
    fn hosting(&self) -> Arc<dyn Hosting> {
        self.0.clone()
    }

    fn names_changed(&self, _of: wire::Named) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}

/// The world, and its app's tokens: for the vaults, the resource manager and deployments.
async fn world() -> (World, [String; 3]) {
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
    let owner = NewAssignment {
        id: None,
        principal: registration.principal,
        kind: None,
        role: "Owner".parse().unwrap(),
    };
    world.state.resource.assign(Manager::Administrator, &Place::Subscription, &owner, NOW).await.unwrap();
    let web = AppName::parse("web").unwrap();
    let host = &world.state.host;
    host.create_app(Manager::Administrator, &web, &Placement::default(), NOW).await.unwrap();
    let names = world.state.names.clone();
    let token = |audience: String| {
        let claims = json!({
            "aud": audience, "iss": world.state.names.issuer_v1(tenant), "iat": now, "nbf": now,
            "exp": now + 3_600, "appid": registration.client, "appidacr": "1", "idtyp": "app", "oid": registration.principal,
            "sub": registration.principal, "tid": tenant, "uti": "uti", "ver": "1.0",
        });
        let token = crypt::jws::sign(&test_keys::signing_key(), Thumbprint::Included, &claims).unwrap();
        token.expose().clone()
    };
    let tokens =
        [names.vault_resource(), names.management_resource(), names.deployment_resource()].map(token);
    let [vaults, management, deployment] = &tokens;
    let subscription = world.state.resource.subscription().id;
    for (name, value) in [("token", vaults), ("management", management), ("deployment", deployment)] {
        world.call(name, value);
    }
    world.call("subscription", &subscription);
    (world, tokens)
}
