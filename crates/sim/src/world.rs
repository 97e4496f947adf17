//! A world: what outlives servers, the server that runs now, and the three doors by which requests come in as values.

use crate::{
    books::Books,
    executor::{turn, turns},
    fate::{Fate, SimClock, SimEntropy},
    faults::Mutation,
    kernel::{SimKernel, SimListeners, SimPeer},
    ledger::{Ledger, Watch},
    sign_ins::SignIns,
    store::SimStore,
};
use audit::{Actor, Outcome};
use axum::{Router, body::Body};
use crypt::{Key256, SigningKey};
use directory::{DirectoryService, DirectorySettings};
use domain::{Clock, DomainName, Entropy, HostNames, Timestamp};
use host::{HostService, HostSettings, TrustFiles};
use http::{HeaderMap, HeaderValue, Request, header};
use identity::IdentityService;
use resource::ResourceService;
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tower::ServiceExt;
use vault::VaultService;
use wire::{
    PublicService, Services, State, Verifiers,
    admin::{
        self, AdminPeer, Hosting, HostingFault, Installation, InstallationFacts, ObservedApp,
        ObservedDeployment, hosting,
    },
    msi,
};

/// The apps of a scene; each has the cgroup of its name.
pub(crate) const APPS: [&str; 2] = ["shop", "mail"];
/// Its vaults.
pub(crate) const VAULTS: [&str; 2] = ["orders", "notes"];
/// The secrets of each vault.
pub(crate) const SECRETS: [&str; 2] = ["db", "api"];

/// A running program of an app, as its operator knows it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) port: u16,
    pub(crate) secret: String,
}

/// What people and programs have been told.
#[derive(Default)]
pub(crate) struct Stage {
    /// The principals that an app's identity has had.
    pub(crate) principals: BTreeMap<String, Vec<String>>,
    /// The client id of an app's own identity, as last told.
    pub(crate) clients: BTreeMap<String, String>,
    /// Principals and client ids that the shared identity has had; the last is what it has.
    pub(crate) shared: Vec<(String, String)>,
    /// Apps and what tokens of the shared identity that they were given stand on.
    pub(crate) attachments: Vec<(String, String)>,
    pub(crate) running: BTreeMap<String, Running>,
    /// The registered client: registration and client id, and its credentials with their secrets.
    pub(crate) registration: String,
    pub(crate) client: String,
    pub(crate) client_principal: String,
    /// The group by which the client is allowed what it may in the second vault.
    pub(crate) group: String,
    pub(crate) credentials: Vec<(String, String)>,
    /// The user's principal, and the client that acts in the user's name: registration and client id, and its secrets.
    pub(crate) user: String,
    pub(crate) portal: String,
    pub(crate) portal_client: String,
    pub(crate) portal_secrets: Vec<(String, String)>,
    /// Who owns the subscription: client id and secret, and the principal.
    pub(crate) owner: (String, String),
    pub(crate) owner_principal: String,
    pub(crate) subscription: String,
    pub(crate) tenant: String,
    pub(crate) administrator: String,
}

/// One run's world.
pub(crate) struct World {
    pub(crate) fate: Arc<Fate>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) store: Arc<SimStore>,
    pub(crate) kernel: Arc<SimKernel>,
    pub(crate) books: Arc<Books>,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) stage: RefCell<Stage>,
    pub(crate) sign_ins: RefCell<SignIns>,
    pub(crate) mutation: Mutation,
    entropy: Arc<SimEntropy>,
    root: Arc<Key256>,
    names: HostNames,
    server: RefCell<Option<Rc<Server>>>,
    generation: Cell<u64>,
    /// How often a start was tried.
    starts: Cell<u64>,
    kept: RefCell<HashMap<String, Answer>>,
}

/// One server process.
pub(crate) struct Server {
    generation: u64,
    pub(crate) services: State,
    public: PublicService,
    admin: Router,
    listeners: Arc<SimListeners>,
}

/// An answer as a client sees it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    request: String,
    pub(crate) body: Value,
    text: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    pub(crate) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// A text of the body by its path.
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A page as text.
    pub(crate) fn html(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Where a browser is sent.
    pub(crate) fn location(&self) -> String {
        self.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// A cookie of ours that a browser is given, or whose place is emptied.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        let named = |cookie: &str| {
            let rest = cookie.strip_prefix("__Host-keyless-")?.strip_prefix(name)?.strip_prefix('=')?;
            Some(rest.split(';').next()?.to_owned())
        };
        all.filter_map(named).next()
    }
}

/// What became of a change, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome3 {
    Done,
    NotDone,
    Unknown,
}

/// The same for an answer.
pub(crate) fn outcome(answer: Option<&Answer>) -> Outcome3 {
    match answer {
        Some(answer) if answer.is_success() => Outcome3::Done,
        Some(answer) if answer.status < 500 => Outcome3::NotDone,
        _ => Outcome3::Unknown,
    }
}

impl World {
    #[expect(clippy::expect_used, reason = "a constant is a domain name")]
    pub(crate) fn new(seed: u64, mutation: Mutation) -> Rc<Self> {
        let fate = Arc::new(Fate::new(seed));
        let entropy = Arc::new(SimEntropy::new(seed));
        let domain = DomainName::parse("keyless.localhost").expect("it is a domain name");
        Rc::new(Self {
            clock: Arc::new(SimClock::new(mutation == Mutation::StoppedClock)),
            store: Arc::new(SimStore::new(fate.clone(), mutation)),
            kernel: Arc::new(SimKernel::new(&APPS, mutation)),
            books: Arc::new(Books::new(mutation)),
            root: Arc::new(Key256::random(&*entropy)),
            names: HostNames::new(&domain, 8443),
            ledger: RefCell::default(),
            stage: RefCell::default(),
            sign_ins: RefCell::default(),
            server: RefCell::new(None),
            generation: Cell::new(0),
            starts: Cell::new(0),
            kept: RefCell::default(),
            fate,
            entropy,
            mutation,
        })
    }

    /// Starts a server over the store.
    pub(crate) async fn start(&self) -> Result<(), String> {
        let generation = self.generation.get();
        let (store, entropy): (Arc<SimStore>, Arc<dyn Entropy>) = (self.store.clone(), self.entropy.clone());
        let settings = DirectorySettings::new(self.names.clone());
        let now = self.clock.now();
        // Time goes forward and so does this: a key's certificate, and so its id, is another one at each start.
        let age = Duration::from_secs(self.starts.replace(self.starts.get() + 1));
        let make_key = move |now: Timestamp| {
            SigningKey::certify(&crypt::test_keys::signing_key().to_pkcs8(), now.plus(age))
        };
        let directory = DirectoryService::open(
            store.clone(),
            entropy.clone(),
            &self.root,
            settings,
            make_key,
            self.clock.clone(),
        );
        let directory = Arc::new(directory.await.map_err(|error| error.to_string())?);
        // Keys roll at each start; what was cut off in the start before must not matter, and nobody's token may suffer.
        let _done_or_not = directory.roll(true, now).await;
        {
            let mut stage = self.stage.borrow_mut();
            stage.tenant = directory.tenant().id.to_string();
            stage.subscription = directory.tenant().subscription().to_string();
            stage.administrator = directory.tenant().administrator.to_string();
        }
        let identity = Arc::new(IdentityService::new(store.clone(), directory.clone()));
        let first_port = 40_000 + u16::try_from(generation % 200).unwrap_or_default() * 100;
        let listeners = Arc::new(SimListeners::new(first_port));
        let host = Arc::new(HostService::new(
            store.clone(),
            entropy.clone(),
            directory.clone(),
            identity.clone(),
            self.kernel.clone(),
            listeners.clone(),
            host_settings(&self.root),
        ));
        host.resume(now).await.map_err(|error| error.to_string())?;
        let subscription = directory.tenant().subscription();
        let resource = Arc::new(ResourceService::new(store.clone(), entropy.clone(), subscription));
        let verifiers = Arc::new(Verifiers::of(&directory, &self.names, &*entropy));
        let services = Arc::new(Services {
            directory,
            verifiers,
            resource,
            outside: Arc::default(),
            vault: Arc::new(VaultService::new(
                store,
                entropy.clone(),
                Arc::new(domain::world::Here),
                self.root.clone(),
            )),
            identity,
            host,
            audit: self.books.clone(),
            clock: self.clock.clone(),
            entropy,
            names: self.names.clone(),
        });
        let public = PublicService::new(services.clone());
        let admin = admin::router(services.clone(), Arc::new(NoInstallation), Arc::new(NoHosting));
        if self.generation.get() == generation {
            *self.server.borrow_mut() =
                Some(Rc::new(Server { generation, services, public, admin, listeners }));
        }
        Ok(())
    }

    /// Kills the server: every request in it ends here, and its client knows nothing.
    pub(crate) fn kill(&self) {
        self.generation.set(self.generation.get() + 1);
        *self.server.borrow_mut() = None;
    }

    /// The server that runs now.
    pub(crate) fn server(&self) -> Option<Rc<Server>> {
        self.server.borrow().clone()
    }

    /// A request to a vault or the directory. `None`: the connection was lost.
    pub(crate) async fn public(
        &self,
        host: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Option<Answer> {
        let server = self.connect().await?;
        let (content_type, body) = body.unwrap_or_default();
        let mut request = request(method, path, content_type, &body);
        let host = HeaderValue::from_str(&format!("{host}.keyless.localhost:8443")).ok()?;
        request.headers_mut().insert(header::HOST, host);
        if let Some(token) = token {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        let key = format!("{method} {path} {}", token.unwrap_or_default());
        if self.mutation == Mutation::KeptAnswers && self.fate.chance(30) {
            let kept = self.kept.borrow().get(&key).cloned();
            if kept.is_some() {
                return kept;
            }
        }
        let mut answer = self.ask(&server, &server.public, request).await?;
        if self.mutation == Mutation::TalkativeRefusals && !answer.is_success() {
            answer
                .text
                .extend_from_slice(format!("you sent {body} with {}", token.unwrap_or_default()).as_bytes());
        }
        if self.mutation == Mutation::KeptAnswers && method == "GET" && answer.is_success() {
            self.kept.borrow_mut().insert(key, answer.clone());
        }
        self.judge(&format!("{method} {path}"), &answer, token.is_some());
        Some(answer)
    }

    /// A request of a browser for a page of ours. `None`: the connection was lost.
    pub(crate) async fn page(
        &self,
        method: &str,
        path: &str,
        cookies: &str,
        form: Option<String>,
    ) -> Option<Answer> {
        let server = self.connect().await?;
        let content_type = if form.is_some() { "application/x-www-form-urlencoded" } else { "" };
        let mut request = request(method, path, content_type, &form.unwrap_or_default());
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("login.keyless.localhost:8443"));
        headers.insert(header::COOKIE, HeaderValue::from_str(cookies).ok()?);
        let answer = self.ask(&server, &server.public, request).await?;
        self.judge(&format!("{method} a page"), &answer, true);
        Some(answer)
    }

    /// A request of the administrator.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let server = self.connect().await?;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = request(method, path, "application/json", &body);
        request.extensions_mut().insert(AdminPeer { uid: 0, pid: Some(7), executable: None });
        let answer = self.ask(&server, &server.admin, request).await?;
        self.judge(&format!("{method} {path}"), &answer, method != "GET");
        if method != "GET" && answer.is_success() {
            self.expect_record(&answer, &format!("{method} {path}"), |actor| *actor == Actor::Administrator);
        }
        self.ledger.borrow_mut().tell(format!("operator {method} {path} {body}: {}", answer.status));
        Some(answer)
    }

    /// A token request at a workload's endpoint.
    pub(crate) async fn endpoint(
        &self,
        port: u16,
        peer: Arc<SimPeer>,
        secret: &str,
        client: Option<&str>,
    ) -> Option<Answer> {
        let server = self.connect().await?;
        let endpoint = server.listeners.endpoint(port)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 50_000));
        let accepted = match msi::accept(&server.services, &endpoint, peer, address) {
            Ok(accepted) => accepted,
            Err(Some(_)) => {
                return Some(Answer {
                    status: 403,
                    request: String::new(),
                    body: Value::Null,
                    text: Vec::new(),
                    headers: HeaderMap::new(),
                });
            }
            Err(None) => return None,
        };
        turns(&self.fate, 2).await;
        let selector = client.map(|client| format!("&client_id={client}")).unwrap_or_default();
        let path = format!("/msi/token?api-version=2019-08-01&resource=https://vault.azure.net{selector}");
        let mut request = request("GET", &path, "", "");
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(&format!("127.0.0.1:{port}")).ok()?);
        request.headers_mut().insert("x-identity-header", HeaderValue::from_str(secret).ok()?);
        let (head, _) = request.into_parts();
        let answering = msi::answer(&server.services, &endpoint, &accepted.attested, &accepted.origin, &head);
        let response = self.while_alive(&server, answering).await?;
        let answer = read(response.map(Body::new), "x-correlation-id").await;
        self.judge("a token request", &answer, false);
        if answer.is_success() {
            let is_workload = |actor: &Actor| matches!(actor, Actor::Workload { id, .. } if *id == endpoint.workload().id());
            self.expect_record(&answer, "a token request", is_workload);
        }
        Some(answer)
    }

    /// What is off for certain now.
    pub(crate) fn watch(&self) -> Watch {
        self.ledger.borrow().watch()
    }

    /// What the audit log must say of an answer that was given.
    pub(crate) fn expect_record(&self, answer: &Answer, what: &str, is_actor: impl Fn(&Actor) -> bool) {
        let record = self.books.of(&answer.request);
        let is_there = record
            .as_ref()
            .is_some_and(|record| record.outcome == Outcome::Allowed && is_actor(&record.actor));
        if !is_there {
            self.ledger.borrow_mut().violated(format!(
                "{what} was answered with {} and the audit log says {:?}",
                answer.status,
                record.map(|record| (record.actor, record.action, record.outcome))
            ));
        }
    }

    /// What holds of every answer.
    fn judge(&self, what: &str, answer: &Answer, is_recorded: bool) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.count(&format!("{} answers", answer.status));
        if answer.status == 500 {
            ledger.violated(format!("{what}: {}", String::from_utf8_lossy(&answer.text)));
        }
        if answer.is_success() {
            return;
        }
        ledger.search(&format!("the answer {} to {what}", answer.status), &answer.text);
        drop(ledger);
        let is_refusal = matches!(answer.status, 401 | 403);
        let record = self.books.of(&answer.request);
        let is_fit = match record.map(|record| record.outcome) {
            None => !(is_refusal && is_recorded),
            // What was allowed and then could not be answered is no refusal.
            Some(Outcome::Allowed) => !is_refusal,
            Some(Outcome::Refused | Outcome::Failed) => true,
        };
        if !is_fit && !answer.request.is_empty() {
            let what = format!("{what}: refused with {} and not recorded as refused", answer.status);
            self.ledger.borrow_mut().violated(what);
        }
    }

    async fn connect(&self) -> Option<Rc<Server>> {
        turns(&self.fate, 3).await;
        let server = self.server();
        if server.is_none() {
            turn().await;
        }
        server
    }

    async fn ask<S>(&self, server: &Server, service: &S, request: Request<Body>) -> Option<Answer>
    where
        S: tower::Service<
                Request<Body>,
                Response = axum::response::Response,
                Error = std::convert::Infallible,
            > + Clone,
    {
        let answering = async {
            match service.clone().oneshot(request).await {
                Ok(response) => read(response, "x-ms-request-id").await,
                Err(never) => match never {},
            }
        };
        self.while_alive(server, answering).await
    }

    /// Goes on while the server lives.
    pub(crate) async fn while_alive<T>(&self, server: &Server, future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        std::future::poll_fn(|context| {
            if self.generation.get() == server.generation {
                future.as_mut().poll(context).map(Some)
            } else {
                Poll::Ready(None)
            }
        })
        .await
    }

    /// The time at which a request that is sent now begins.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.truth()
    }
}

fn request(method: &str, path: &str, content_type: &str, body: &str) -> Request<Body> {
    let mut request = Request::new(Body::from(body.to_owned()));
    if let (Ok(method), Ok(path)) = (method.parse(), path.parse()) {
        *request.method_mut() = method;
        *request.uri_mut() = path;
    }
    if let (false, Ok(value)) = (content_type.is_empty(), HeaderValue::from_str(content_type)) {
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    request
}

async fn read(response: http::Response<Body>, id: &str) -> Answer {
    let status = response.status().as_u16();
    let id = response.headers().get(id).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let headers = response.headers().clone();
    let text = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default().to_vec();
    Answer { status, request: id, body: serde_json::from_slice(&text).unwrap_or_default(), text, headers }
}

fn host_settings(root: &Key256) -> HostSettings {
    let trust = TrustFiles {
        bundle: "/d/bundle.pem".into(),
        root: "/d/root.pem".into(),
        truststore: "/d/trust.p12".into(),
        truststore_password: "changeit".to_owned(),
    };
    HostSettings {
        require_enforced: false,
        boot: "boot".to_owned(),
        domain: "keyless.localhost".to_owned(),
        trust,
        settings_key: Arc::new(root.derive("keyless host: app settings")),
    }
}

struct NoInstallation;

impl Installation for NoInstallation {
    fn facts(&self) -> InstallationFacts {
        InstallationFacts {
            version: String::new(),
            started: Timestamp::default(),
            listen: Vec::new(),
            data: String::new(),
            hosts_file: String::new(),
            capabilities: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn hosting_facts(&self) -> admin::clock::Later<'_, Result<admin::HostingFacts, String>> {
        Box::pin(async { Err("nothing is hosted in this world".to_owned()) })
    }

    fn names_changed(&self, _of: wire::Named) {}
}

/// Hosts nothing.
struct NoHosting;

impl Hosting for NoHosting {
    fn take<'a>(
        &'a self,
        _: &'a host::Publishable,
        _: admin::Brought,
        _: Option<String>,
    ) -> hosting::Answer<'a, domain::DeploymentId> {
        Box::pin(async { Err(HostingFault::Unavailable("nothing is hosted in this world".to_owned())) })
    }

    fn deployment(&self, _: domain::AppId, _: domain::DeploymentId) -> Option<ObservedDeployment> {
        None
    }

    fn latest(&self, _: domain::AppId) -> Option<(domain::DeploymentId, ObservedDeployment)> {
        None
    }

    fn own_networks(&self) -> hosting::Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn azure_arc(&self, _: bool) -> hosting::Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn changed(&self, _: &domain::AppName) {}

    fn deleted(&self, _: &domain::AppName, _: domain::AppId) {}

    fn observed(&self, _: domain::AppId) -> ObservedApp {
        ObservedApp::default()
    }

    fn log(&self, _: domain::AppId, _: usize, _: bool) -> hosting::Answer<'_, Body> {
        Box::pin(async { Ok(Body::from("a line\n")) })
    }
}
