//! App Service by the resource manager: what `az` does one after the other, who may not, and what it is told.

mod deployments;
mod identities;
mod whole;

use crate::support::{NOW, NoHosting, World};
use access::{Manager, RoleAssignment, Scope, WideRoles};
use axum::body::Body;
use directory::NewRegistration;
use domain::{AppId, AssignmentId, DeploymentId, Placement, PrincipalId, Secret, limits};
use host::{Change, Deployment, Publishable, Setting};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{Decision, Halt, transact};
use tower::ServiceExt as _;
use wire::{
    Outside,
    admin::{Brought, Hosting, ObservedApp, ObservedDeployment, ObservedInstance, hosting::Answer},
};

const SCM: &str = "web.scm.apps.keyless.localhost:8443";

/// Takes packages in, and says of them what the test wants.
#[derive(Default)]
pub(crate) struct Taking {
    packages: Mutex<Vec<(DeploymentId, Vec<u8>)>>,
    state: Mutex<Option<&'static str>>,
    ready: Mutex<Vec<u64>>,
    changed: Mutex<usize>,
    /// How many apps were told to be deleted; of what it was told that its name is another.
    pub(crate) told: Mutex<(usize, Vec<wire::Named>)>,
    /// Nothing is ever added to a log.
    is_silent: AtomicBool,
    /// Done by somebody else once an app has been changed, before its change is told.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// A log to which nothing is added.
struct Silent;

impl axum::body::HttpBody for Silent {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

impl Hosting for Taking {
    fn take<'a>(
        &'a self,
        _: &'a Publishable,
        brought: Brought,
        _: Option<String>,
    ) -> Answer<'a, DeploymentId> {
        Box::pin(async move {
            let Brought::Package(body) = brought else { panic!("a package") };
            let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let id = DeploymentId::random(&crypt::SystemEntropy);
            self.packages.lock().unwrap().push((id, bytes.to_vec()));
            *self.state.lock().unwrap() = Some("building");
            Ok(id)
        })
    }

    fn deployment(&self, app: AppId, deployment: DeploymentId) -> Option<ObservedDeployment> {
        self.latest(app).filter(|(id, _)| *id == deployment).map(|(_, told)| told)
    }

    fn latest(&self, _: AppId) -> Option<(DeploymentId, ObservedDeployment)> {
        let id = self.packages.lock().unwrap().last()?.0;
        let state = (*self.state.lock().unwrap())?;
        Some((id, ObservedDeployment { state, text: "a reason".to_owned(), begun: Some(NOW) }))
    }

    fn own_networks(&self) -> Answer<'_, ()> {
        NoHosting.own_networks()
    }

    fn azure_arc(&self, is_container: bool) -> Answer<'_, ()> {
        NoHosting.azure_arc(is_container)
    }

    fn changed(&self, _: &domain::AppName) {
        *self.changed.lock().unwrap() += 1;
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
    }

    fn deleted(&self, _: &domain::AppName, _: AppId) {
        self.told.lock().unwrap().0 += 1;
    }

    fn observed(&self, _: AppId) -> ObservedApp {
        let ready = self.ready.lock().unwrap();
        let instances = ready.iter().map(|revision| ObservedInstance {
            id: "one".to_owned(),
            state: "ready",
            revision: *revision,
            port: 1,
            process: None,
            seconds: 1,
            unwell: None,
        });
        ObservedApp { instances: instances.collect(), ..ObservedApp::default() }
    }

    fn log(&self, _: AppId, _: usize, _: bool) -> Answer<'_, Body> {
        let body =
            if self.is_silent.load(Ordering::SeqCst) { Body::new(Silent) } else { Body::from("a line\n") };
        Box::pin(async { Ok(body) })
    }
}

struct Side(Arc<Taking>);

impl Outside for Side {
    fn hosting(&self) -> Arc<dyn Hosting> {
        self.0.clone()
    }

    fn names_changed(&self, of: wire::Named) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.told.lock().unwrap().1.push(of);
        Box::pin(async {})
    }
}

/// With somebody who asks, and a group.
pub(crate) struct Desk {
    pub(crate) world: World,
    principal: PrincipalId,
    arm: String,
    scm: String,
    pub(crate) taking: Arc<Taking>,
    _side: Arc<dyn Outside>,
}

impl Desk {
    pub(crate) async fn new(role: Option<&str>) -> Self {
        let mut world = World::new().await;
        let new = NewRegistration { display_name: "ci".to_owned(), ..NewRegistration::default() };
        let ci = world.register("ci", new).await;
        world.add_secret("s", &ci, Duration::from_secs(86_400)).await;
        let taking = Arc::new(Taking::default());
        let side: Arc<dyn Outside> = Arc::new(Side(taking.clone()));
        world.state.outside.fill(&side);
        let (arm, scm) = (String::new(), String::new());
        let mut desk = Self { world, principal: ci.principal, arm, scm, taking, _side: side };
        desk.arm = desk.token("https://management.keyless.localhost:8443//.default").await;
        desk.scm = desk.token("https://appservice.keyless.localhost:8443/.default").await;
        desk.is("Owner", Scope::Subscription).await;
        let (status, _) = desk.ask(Method::PUT, "resourcegroups/Shop", json!({"location": "local"})).await;
        assert_eq!(status, 201);
        match role {
            Some(role) => desk.is(role, Scope::Subscription).await,
            None => desk.roles(WideRoles::default()).await,
        }
        desk
    }

    async fn token(&self, scope: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            self.world.name("{ci.client}"),
            form_urlencoded::byte_serialize(self.world.name("{s}").as_bytes()).collect::<String>(),
            form_urlencoded::byte_serialize(scope.as_bytes()).collect::<String>(),
        );
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/{}/oauth2/v2.0/token", self.world.name("{tenant}")))
            .header("host", "login.keyless.localhost:8443")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form));
        let (status, _, body) = self.send(request.unwrap()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn is(&self, role: &str, scope: Scope) {
        let id = AssignmentId::random(&crypt::SystemEntropy);
        let one = RoleAssignment { id, role: role.parse().unwrap(), object: None, created: NOW };
        self.roles(WideRoles { assignments: vec![(scope, one)] }).await;
    }

    async fn roles(&self, roles: WideRoles) {
        let write = store::put::<WideRoles>(&self.principal, &roles);
        let written = transact(&*self.world.store, &crypt::SystemEntropy, |_| {
            Ok::<_, Halt<store::StoreError>>(Decision::of((), vec![write.clone()]))
        });
        written.await.unwrap();
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let response = self.world.public.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, headers, body.to_vec())
    }

    fn request(&self, method: Method, path: &str, body: &Value) -> Request<Body> {
        let (path, version) = (path.to_owned(), if path.contains('?') { "&" } else { "?" });
        Request::builder()
            .method(method)
            .uri(format!("{path}{version}api-version=2025-05-01"))
            .header("host", "management.keyless.localhost:8443")
            .header("authorization", format!("Bearer {}", self.arm))
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
            .unwrap()
    }

    /// Asks below the subscription.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let whole = format!("/subscriptions/{}/{path}", self.world.state.resource.subscription().id);
        let (status, _, body) = self.send(self.request(method, &whole, &body)).await;
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Asks below Microsoft.Web of the group; the answer must be 200.
    pub(crate) async fn web(&self, method: Method, path: &str, body: Value) -> Value {
        let whole = format!("resourceGroups/Shop/providers/Microsoft.Web/{path}");
        let (status, body) = self.ask(method.clone(), &whole, body).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
        body
    }

    pub(crate) async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, String) {
        let whole = format!("resourceGroups/Shop/providers/Microsoft.Web/{path}");
        let (status, body) = self.ask(method, &whole, body).await;
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn scm(&self, method: Method, path: &str, authorization: &str, body: &[u8]) -> (u16, Value) {
        self.scm_at(SCM, method, path, authorization, body).await
    }

    async fn scm_at(
        &self,
        host: &str,
        method: Method,
        path: &str,
        authorization: &str,
        body: &[u8],
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let (status, headers, body) = self.send(request).await;
        assert_eq!(status == 401, headers.contains_key("www-authenticate"));
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    fn plan_id(&self) -> String {
        let subscription = self.world.state.resource.subscription().id;
        format!("/subscriptions/{subscription}/resourceGroups/Shop/providers/Microsoft.Web/serverfarms/plan")
    }

    pub(crate) async fn make(&self) -> Value {
        let plan = json!({"location": "local", "sku": {"name": "B1", "tier": "BASIC", "capacity": 1},
            "properties": {"perSiteScaling": false, "reserved": true}});
        self.web(Method::PUT, "serverfarms/plan", plan).await;
        let site = json!({"location": "local", "properties": {"serverFarmId": self.plan_id(), "httpsOnly": true,
            "siteConfig": {"appSettings": [{"name": "FIRST", "value": "1"}], "linuxFxVersion": "PYTHON|3.12"}}});
        self.web(Method::PUT, "sites/web", site).await
    }

    /// What is deployed becomes what is desired, as the server would do.
    async fn deployed(&self, id: DeploymentId) -> u64 {
        let deployment = Deployment {
            id,
            runtime: "python".to_owned(),
            command: "python app.py".to_owned(),
            instead_of: None,
            image: None,
            path: Vec::new(),
            created: NOW,
        };
        let change = Change { deployment: Some(deployment), ..Change::default() };
        let (by, app) = (Manager::Administrator, "web".parse().unwrap());
        self.world.state.host.change_desired(by, &app, &change, NOW).await.unwrap().revision
    }
}

#[tokio::test]
async fn an_app_is_made_configured_and_deleted_as_az_does() {
    let desk = Desk::new(Some("Contributor")).await;
    let (_, stacks) = {
        let request = desk.request(Method::GET, "//providers/Microsoft.Web/webAppStacks", &Value::Null);
        let (status, _, body) = desk.send(request).await;
        assert_eq!(status, 200);
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let minor = &stacks["value"][0]["properties"]["majorVersions"][0]["minorVersions"][0]["stackSettings"];
    assert_eq!(minor["linuxRuntimeSettings"]["runtimeVersion"], "PYTHON|3.14");
    let check = |name: &str| {
        let body = json!({"name": name, "type": "Site"});
        let desk = &desk;
        async move { desk.ask(Method::POST, "providers/Microsoft.Web/checknameavailability", body).await.1 }
    };
    assert_eq!(check("web").await["nameAvailable"], true);
    let site = desk.make().await;
    assert_eq!(check("WEB").await["reason"], "AlreadyExists");
    assert_eq!(check("-x").await["reason"], "Invalid");
    assert_eq!((&site["name"], &site["kind"]), (&json!("web"), &json!("app,linux")));
    let properties = &site["properties"];
    assert_eq!(properties["serverFarmId"], desk.plan_id());
    assert_eq!(properties["hostNameSslStates"][1]["name"], SCM);
    assert_eq!(properties["hostNameSslStates"][1]["hostType"], "Repository");
    assert_eq!(properties["enabledHostNames"][0], "web.apps.keyless.localhost:8443");
    assert_eq!((&properties["state"], &site["identity"]), (&json!("Running"), &Value::Null));

    // The whole is sent back with one thing more, and nothing else is another.
    let mut whole = desk.web(Method::GET, "sites/web", Value::Null).await;
    whole["identity"] = json!({"type": "SystemAssigned"});
    let given = desk.web(Method::PUT, "sites/web", whole.clone()).await;
    let principal = given["identity"]["principalId"].as_str().unwrap().to_owned();
    assert_eq!(given["identity"]["tenantId"], desk.world.name("{tenant}"));
    let again = desk.web(Method::PUT, "sites/web", whole).await;
    assert_eq!(again["identity"]["principalId"], principal);
    let settings = desk.web(Method::POST, "sites/web/config/appsettings/list", Value::Null).await;
    assert_eq!(settings["properties"], json!({"FIRST": "1"}));
    let changed = *desk.taking.changed.lock().unwrap();
    let put = json!({"properties": {"FIRST": "2", "SECOND": "b"}});
    desk.web(Method::PUT, "sites/web/config/appsettings", put).await;
    assert!(*desk.taking.changed.lock().unwrap() > changed);
    let connection = json!({"properties": {"DB": {"value": "Server=a", "type": "SQLAzure"}}});
    desk.web(Method::PUT, "sites/web/config/connectionstrings", connection.clone()).await;
    // Each kind replaces its own.
    desk.web(Method::PUT, "sites/web/config/appsettings", json!({"properties": {"SECOND": "b"}})).await;
    let shown = desk.web(Method::POST, "sites/web/config/connectionstrings/list", Value::Null).await;
    assert_eq!(shown["properties"], connection["properties"]);
    let (by, app) = (Manager::Administrator, "web".parse().unwrap());
    let kept = desk.world.state.host.settings(by, &app).await.unwrap();
    let names: Vec<&str> = kept.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["SECOND", "SQLAZURECONNSTR_DB"]);

    // What is said of how it runs is what is desired, and the rest is told again.
    let web = json!({"properties": {"appCommandLine": "python main.py", "numberOfWorkers": 2, "alwaysOn": true,
        "healthCheckPath": "/healthz"}});
    let web = desk.web(Method::PATCH, "sites/web/config/web", web).await;
    assert_eq!(
        (&web["properties"]["alwaysOn"], &web["properties"]["numberOfWorkers"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(web["properties"]["linuxFxVersion"], "PYTHON|3.12");
    let desired = desk.world.state.host.desired(&app).await.unwrap().unwrap();
    assert_eq!((desired.command.as_deref(), desired.instances), (Some("python main.py"), 2));
    assert_eq!(desired.health, host::Health::Path("/healthz".to_owned()));
    let logs = json!({"properties": {"applicationLogs": {"fileSystem": {"level": "Verbose"}}, "httpLogs":
        {"azureBlobStorage": {"sasUrl": "hunter2"}}}});
    let logs = desk.web(Method::PUT, "sites/web/config/logs", logs).await;
    assert_eq!(logs["properties"]["applicationLogs"]["fileSystem"]["level"], "Verbose");
    assert!(!logs.to_string().contains("hunter2"));
    let stacks = json!({"properties": {"CURRENT_STACK": "python", "OTHER": "x"}});
    desk.web(Method::PUT, "sites/web/config/metadata", stacks).await;
    let metadata = desk.web(Method::POST, "sites/web/config/metadata/list", Value::Null).await;
    assert_eq!(metadata["properties"], json!({"CURRENT_STACK": "python"}));
    let sticky = json!({"properties": {"appSettingNames": ["SECOND"]}});
    desk.web(Method::PUT, "sites/web/config/slotConfigNames", sticky).await;
    let sticky = desk.web(Method::GET, "sites/web/config/slotConfigNames", Value::Null).await;
    assert_eq!(sticky["properties"]["appSettingNames"], json!(["SECOND"]));

    desk.web(Method::POST, "sites/web/stop", Value::Null).await;
    assert_eq!(desk.web(Method::GET, "sites/web", Value::Null).await["properties"]["state"], "Stopped");
    desk.web(Method::POST, "sites/web/start", Value::Null).await;
    desk.web(Method::POST, "sites/web/restart", Value::Null).await;
    assert!(desk.world.state.host.desired(&app).await.unwrap().unwrap().revision > desired.revision);

    let none = json!({"location": "local", "identity": {"type": "None"}});
    assert_eq!(desk.web(Method::PUT, "sites/web", none).await["identity"], Value::Null);
    let principal = principal.parse().unwrap();
    assert!(desk.world.state.directory.principal(principal).await.is_err());

    assert_eq!(desk.refused(Method::DELETE, "serverfarms/plan", Value::Null).await, (409, "Conflict".into()));
    assert_eq!(
        desk.web(Method::GET, "serverfarms/plan", Value::Null).await["properties"]["numberOfSites"],
        1
    );
    desk.web(Method::DELETE, "sites/web?deleteEmptyServerFarm=false", Value::Null).await;
    assert_eq!(desk.taking.told.lock().unwrap().0, 1);
    assert_eq!(desk.refused(Method::DELETE, "sites/web", Value::Null).await.0, 204);
    assert_eq!(desk.refused(Method::GET, "sites/web", Value::Null).await, (404, "ResourceNotFound".into()));
    desk.web(Method::DELETE, "serverfarms/plan", Value::Null).await;
    assert_eq!(desk.web(Method::GET, "serverfarms", Value::Null).await["value"], json!([]));
    // With its last app a plan goes, unless who asks may not delete it.
    desk.make().await;
    desk.web(Method::DELETE, "sites/web", Value::Null).await;
    assert_eq!(desk.web(Method::GET, "serverfarms", Value::Null).await["value"], json!([]));
    desk.make().await;
    desk.is("Website Contributor", Scope::Subscription).await;
    desk.web(Method::DELETE, "sites/web", Value::Null).await;
    assert_eq!(desk.web(Method::GET, "serverfarms", Value::Null).await["value"][0]["name"], "plan");
}

/// As `list_configurations`, `list_basic_publishing_credentials_policies` and `list_web_apps` of the management SDKs ask.
#[tokio::test]
async fn the_parts_of_an_app_and_the_apps_of_a_plan_are_listed_as_each_is_told() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    desk.web(Method::PUT, "sites/other", json!({"location": "local"})).await;
    for (list, of) in [
        ("sites/web/config", vec!["sites/web/config/web"]),
        (
            "sites/web/basicPublishingCredentialsPolicies",
            vec![
                "sites/web/basicPublishingCredentialsPolicies/scm",
                "sites/web/basicPublishingCredentialsPolicies/ftp",
            ],
        ),
        ("serverfarms/plan/sites", vec!["sites/web"]),
    ] {
        let listed = desk.web(Method::GET, list, Value::Null).await;
        let mut each = Vec::new();
        for one in of {
            each.push(desk.web(Method::GET, one, Value::Null).await);
        }
        assert_eq!(listed["value"], json!(each), "{list}");
    }
    for list in ["sites/none/config", "serverfarms/none/sites"] {
        let missing = (404, "ResourceNotFound".to_owned());
        assert_eq!(desk.refused(Method::GET, list, Value::Null).await, missing, "{list}");
    }
    assert_eq!(desk.refused(Method::POST, "serverfarms/plan/sites", Value::Null).await.0, 405);
}

#[tokio::test]
async fn apps_of_a_plan_are_told_whatever_is_wrong_with_others() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    desk.web(Method::PUT, "sites/other", json!({"location": "local"})).await;
    let broken = <host::Desired as store::Record>::key(&"other".parse().unwrap());
    let written = transact(&*desk.world.store, &crypt::SystemEntropy, |_| {
        let write = store::Write::Put(broken.clone(), b"no record".as_slice().into());
        Ok::<_, Halt<store::StoreError>>(Decision::of((), vec![write]))
    });
    written.await.unwrap();
    assert_eq!(desk.refused(Method::GET, "sites", Value::Null).await.0, 500);
    let listed = desk.web(Method::GET, "serverfarms/plan/sites", Value::Null).await;
    let names: Vec<&Value> = listed["value"].as_array().unwrap().iter().map(|site| &site["name"]).collect();
    assert_eq!(names, ["web"]);
}

#[tokio::test]
async fn the_audit_log_says_by_which_role_something_was_allowed() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let good = format!("Bearer {}", desk.scm);
    assert_eq!(desk.scm(Method::GET, "/api/deployments", &good, b"").await.0, 200);
    let by = |action: &str| {
        let lines = desk.world.audit.lines();
        let named = format!("\"{action}\"");
        let line = lines.iter().rev().find(|line| line.contains(&named)).cloned();
        line.unwrap_or_default()
    };
    for action in ["site.put", "plan.put", "scm.deployment.get"] {
        let line = by(action);
        assert!(
            line.contains("role \\\"Contributor\\\" is assigned to the principal for the subscription ("),
            "{action}: {line}"
        );
    }
    let request = desk.request(Method::GET, "/tenants", &Value::Null);
    assert_eq!(desk.send(request).await.0, 200);
    assert!(by("tenant.list").contains("no role in particular"), "{}", by("tenant.list"));
}

#[tokio::test]
async fn what_has_an_apps_name_by_then_is_not_told_to_who_changed_the_app() {
    let desk = Desk::new(None).await;
    desk.is("Contributor", Scope::Group("shop".parse().unwrap())).await;
    desk.web(Method::PUT, "sites/web", json!({"location": "local"})).await;
    let host = desk.world.state.host.clone();
    let replaced = async move {
        let (by, name) = (Manager::Administrator, "web".parse().unwrap());
        host.delete_app(by, &name, NOW).await.unwrap();
        host.create_app(by, &name, &Placement::default(), NOW).await.unwrap();
    };
    let meanwhile = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::thread::spawn(move || runtime.block_on(replaced)).join().unwrap();
    };
    *desk.taking.meanwhile.lock().unwrap() = Some(Box::new(meanwhile));
    let changed = json!({"location": "local", "tags": {"a": "b"}});
    assert_eq!(desk.refused(Method::PUT, "sites/web", changed).await.0, 404);
    assert!(desk.taking.meanwhile.lock().unwrap().is_none(), "it happened");
}

#[tokio::test]
async fn two_connection_strings_of_one_name_are_refused_whatever_their_types() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let of = |kinds: [&str; 2], names: [&str; 2]| {
        let one = |at: usize| json!({"name": names[at], "type": kinds[at], "connectionString": "1"});
        json!({"location": "local", "properties": {"siteConfig": {"connectionStrings": [one(0), one(1)]}}})
    };
    for kinds in [["MySql", "SQLAzure"], ["MySql", "MySql"]] {
        assert_eq!(desk.refused(Method::PUT, "sites/web", of(kinds, ["DB", "DB"])).await.0, 400, "{kinds:?}");
    }
    desk.web(Method::PUT, "sites/web", of(["MySql", "SQLAzure"], ["DB", "OTHER"])).await;
    let shown = desk.web(Method::POST, "sites/web/config/connectionstrings/list", Value::Null).await;
    assert_eq!(shown["properties"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_page_is_asked_for_of_a_list_and_of_nothing_else() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    desk.web(Method::PUT, "sites/other", json!({"location": "local"})).await;
    for bad in ["$top=0", "$top=x", "%24top=-1", "$skiptoken="] {
        assert_eq!(desk.refused(Method::GET, &format!("sites?{bad}"), Value::Null).await.0, 400, "{bad}");
        desk.web(Method::GET, &format!("sites/other?{bad}"), Value::Null).await;
        desk.web(Method::PUT, &format!("sites/other?{bad}"), json!({"location": "local"})).await;
    }
    let first = desk.web(Method::GET, "sites?x=%C3%A9&%24top=1", Value::Null).await;
    let next = first["nextLink"].as_str().unwrap();
    let query = next.split_once('?').unwrap().1;
    assert!(query.starts_with("x=%C3%A9&%24top=1&api-version=2025-05-01&%24skiptoken="), "{query}");
    let rest = next.strip_prefix("https://management.keyless.localhost:8443").unwrap();
    let request = Request::builder()
        .uri(rest)
        .header("host", "management.keyless.localhost:8443")
        .header("authorization", format!("Bearer {}", desk.arm))
        .body(Body::empty());
    let (status, _, last) = desk.send(request.unwrap()).await;
    let last: Value = serde_json::from_slice(&last).unwrap();
    assert_eq!((status.as_u16(), &last["value"][0]["name"]), (200, &json!("web")));
    assert_eq!(last["nextLink"], Value::Null);
    desk.web(Method::DELETE, "sites/other?$top=x", Value::Null).await;
}

#[tokio::test]
async fn a_secret_setting_is_not_told_and_keeps_its_value() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let (host, by, app) = (&desk.world.state.host, Manager::Administrator, "web".parse().unwrap());
    let secret = Setting { name: "KEY".into(), value: Secret::new("hunter2".into()), is_secret: true };
    host.change_settings(by, &app, &[secret], &[], NOW).await.unwrap();
    let told = desk.web(Method::POST, "sites/web/config/appsettings/list", Value::Null).await;
    assert_eq!(told["properties"], json!({"FIRST": "1", "KEY": "@Keyless.Secret(KEY)"}));
    let mut put = json!({"properties": told["properties"]});
    let before = host.desired(&app).await.unwrap().unwrap().revision;
    desk.web(Method::PUT, "sites/web/config/appsettings", put.clone()).await;
    let revision = async || host.desired(&app).await.unwrap().unwrap().revision;
    assert_eq!(revision().await, before);
    // A guess shows nothing: a right one is set as a wrong one is.
    for (guess, after) in [("hunter1", before + 1), ("hunter2", before + 2), ("hunter2", before + 3)] {
        let guess = json!({"properties": {"FIRST": "1", "KEY": guess}});
        desk.web(Method::PUT, "sites/web/config/appsettings", guess).await;
        assert_eq!(revision().await, after);
    }
    put["properties"]["FIRST"] = json!("2");
    let told = desk.web(Method::PUT, "sites/web/config/appsettings", put).await;
    assert_eq!(told["properties"]["KEY"], "@Keyless.Secret(KEY)");
    let kept = host.settings(by, &app).await.unwrap();
    let key = kept.iter().find(|one| one.name == "KEY").unwrap();
    assert!(key.is_secret && key.value.expose() == "hunter2");
    // One that is set anew stays secret; one that is not there keeps nothing.
    let anew = json!({"properties": {"KEY": "other"}});
    let told = desk.web(Method::PUT, "sites/web/config/appsettings", anew).await;
    assert_eq!(told["properties"], json!({"KEY": "@Keyless.Secret(KEY)"}));
    for nothing in [json!({}), json!({"properties": null}), json!({"KEY": "other"})] {
        assert_eq!(desk.refused(Method::PUT, "sites/web/config/appsettings", nothing).await.0, 400);
    }
    let told = desk.web(Method::POST, "sites/web/config/appsettings/list", Value::Null).await;
    assert_eq!(
        told["properties"],
        json!({"KEY": "@Keyless.Secret(KEY)"}),
        "who says nothing takes nothing away"
    );
    let nothing = json!({"properties": {"NEW": "@Keyless.Secret(NEW)"}});
    assert_eq!(desk.refused(Method::PUT, "sites/web/config/appsettings", nothing).await.0, 400);
    // Of one that is not secret the value is not told to who may only write.
    let plain = json!({"properties": {"KEY": "@Keyless.Secret(KEY)", "PLAIN": "seen"}});
    desk.web(Method::PUT, "sites/web/config/appsettings", plain).await;
    let kept = json!({"properties": {"KEY": "@Keyless.Secret(KEY)", "PLAIN": "@Keyless.Secret(PLAIN)"}});
    assert_eq!(desk.refused(Method::PUT, "sites/web/config/appsettings", kept).await.0, 400);
    let twice = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let twice = json!({"location": "local", "properties": {"siteConfig": {"appSettings": twice}}});
    assert_eq!(desk.refused(Method::PUT, "sites/web", twice).await.0, 400);
    let reserved = json!({"properties": {"IDENTITY_HEADER": "mine"}});
    assert_eq!(desk.refused(Method::PUT, "sites/web/config/appsettings", reserved).await.0, 400);
    assert!(!desk.world.audit.lines().concat().contains("hunter2"));
}

#[tokio::test]
async fn without_a_role_nothing_is_told_and_nothing_is_done() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let writes: &[(Method, &str)] = &[
        (Method::PUT, "sites/web"),
        (Method::PATCH, "sites/web"),
        (Method::DELETE, "sites/web"),
        (Method::PUT, "sites/new"),
        (Method::PUT, "serverfarms/plan"),
        (Method::DELETE, "serverfarms/plan"),
        (Method::PUT, "sites/web/config/appsettings"),
        (Method::POST, "sites/web/config/appsettings/list"),
        (Method::PUT, "sites/web/config/connectionstrings"),
        (Method::POST, "sites/web/config/connectionstrings/list"),
        (Method::PATCH, "sites/web/config/web"),
        (Method::PUT, "sites/web/config/logs"),
        (Method::PUT, "sites/web/config/metadata"),
        (Method::POST, "sites/web/config/metadata/list"),
        (Method::PUT, "sites/web/config/slotConfigNames"),
        (Method::POST, "sites/web/config/publishingcredentials/list"),
        (Method::POST, "sites/web/publishxml"),
        (Method::PUT, "sites/web/basicPublishingCredentialsPolicies/ftp"),
        (Method::POST, "sites/web/start"),
        (Method::POST, "sites/web/stop"),
        (Method::POST, "sites/web/restart"),
    ];
    let reads: &[&str] = &[
        "sites/web",
        "serverfarms/plan",
        "sites/web/config/web",
        "sites/web/config/logs",
        "sites/web/config/slotConfigNames",
        "sites/web/instances",
        "sites/web/slots",
        "sites/web/basicPublishingCredentialsPolicies/scm",
        "sites/web/basicPublishingCredentialsPolicies",
        "sites/web/config",
        "serverfarms/plan/sites",
    ];
    let body = || json!({"location": "local", "properties": {}});
    let forbidden = (403, "AuthorizationFailed".to_owned());
    desk.is("Reader", Scope::Group("shop".parse().unwrap())).await;
    for (method, path) in writes {
        assert_eq!(desk.refused(method.clone(), path, body()).await, forbidden, "{method} {path}");
    }
    for path in reads {
        desk.web(Method::GET, path, Value::Null).await;
    }
    desk.roles(WideRoles::default()).await;
    for (method, path) in writes {
        assert_eq!(desk.refused(method.clone(), path, body()).await, forbidden, "{method} {path}");
    }
    // Nor by what they leave out: whether there is such an app is not told.
    for path in ["sites/web", "sites/new"] {
        assert_eq!(desk.refused(Method::PUT, path, json!({})).await, forbidden, "{path}");
    }
    for app in ["web", "new"] {
        let host = format!("{app}.scm.apps.keyless.localhost:8443");
        let good = format!("Bearer {}", desk.scm);
        assert_eq!(desk.scm_at(&host, Method::GET, "/api/deployments", &good, b"").await.0, 403, "{app}");
    }
    for path in reads {
        // Of what is not there they hear the same.
        for path in [(*path).to_owned(), path.replace("sites/web", "sites/other").replace("/plan", "/other")]
        {
            assert_eq!(desk.refused(Method::GET, &path, Value::Null).await, forbidden, "{path}");
        }
    }
    for path in ["sites", "serverfarms"] {
        assert_eq!(desk.web(Method::GET, path, Value::Null).await["value"], json!([]));
    }
    let app = desk.world.state.host.app(Manager::Administrator, &"web".parse().unwrap()).await.unwrap().app;
    // At the app alone: it, and nothing beside it.
    desk.is("Contributor", Scope::App(app.id)).await;
    desk.web(Method::POST, "sites/web/restart", Value::Null).await;
    desk.web(Method::PUT, "sites/web", body()).await;
    assert_eq!(desk.refused(Method::PUT, "sites/new", body()).await, forbidden);
    assert_eq!(desk.refused(Method::GET, "serverfarms/plan", Value::Null).await, forbidden);
    let join = json!({"location": "local", "properties": {"serverFarmId": "keyless"}});
    assert_eq!(desk.refused(Method::PUT, "sites/web", join).await.0, 403);
}

#[tokio::test]
async fn an_app_is_in_its_group_and_its_name_is_the_installations() {
    let desk = Desk::new(Some("Contributor")).await;
    desk.make().await;
    let (status, _) = desk.ask(Method::PUT, "resourcegroups/other", json!({"location": "local"})).await;
    assert_eq!(status, 201);
    let at = |group: &str| format!("resourceGroups/{group}/providers/Microsoft.Web/sites/web");
    let code = |(status, body): (u16, Value)| {
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let missing = (404, "ResourceNotFound".to_owned());
    assert_eq!(code(desk.ask(Method::GET, &at("other"), Value::Null).await), missing);
    let post = format!("{}/stop", at("other"));
    assert_eq!(code(desk.ask(Method::POST, &post, Value::Null).await), missing);
    assert_eq!(desk.ask(Method::DELETE, &at("other"), Value::Null).await.0, 204);
    let body = json!({"location": "local"});
    assert_eq!(code(desk.ask(Method::PUT, &at("other"), body.clone()).await), (409, "Conflict".to_owned()));
    let nowhere = (404, "ResourceGroupNotFound".to_owned());
    assert_eq!(code(desk.ask(Method::GET, &at("nowhere"), Value::Null).await), nowhere);
    let new = "resourceGroups/nowhere/providers/Microsoft.Web/sites/new";
    assert_eq!(code(desk.ask(Method::PUT, new, body).await), nowhere);
    // Whoever may read all of a kind in a group is told that there is no such group; of one that is there the list is empty.
    for kind in [
        "Microsoft.Web/sites",
        "Microsoft.Web/serverfarms",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
    ] {
        let of = |group: &str| format!("resourceGroups/{group}/providers/{kind}");
        assert_eq!(code(desk.ask(Method::GET, &of("nowhere"), Value::Null).await), nowhere, "{kind}");
        let listed = desk.ask(Method::GET, &of("other"), Value::Null).await;
        assert_eq!((listed.0, &listed.1["value"]), (200, &json!([])), "{kind}");
    }
    // In whichever case it is asked for, it is told as it was made.
    let shown = desk.ask(Method::GET, &at("SHOP"), Value::Null).await.1;
    assert!(shown["id"].as_str().unwrap().contains("/resourceGroups/Shop/"), "{shown}");
    // Made by the administrator, without a group or a plan.
    let (host, by) = (&desk.world.state.host, Manager::Administrator);
    host.create_app(by, &"plain".parse().unwrap(), &Placement::default(), NOW).await.unwrap();
    let plain = "resourceGroups/keyless/providers/Microsoft.Web/sites/plain";
    let shown = desk.ask(Method::GET, plain, Value::Null).await.1;
    let plan = shown["properties"]["serverFarmId"].as_str().unwrap().to_owned();
    assert!(plan.ends_with("/resourceGroups/keyless/providers/Microsoft.Web/serverfarms/keyless"));
    let (status, _, _) = desk.send(desk.request(Method::GET, &plan, &Value::Null)).await;
    assert_eq!(status, 200);
    let all = desk.ask(Method::GET, "providers/Microsoft.Web/sites", Value::Null).await.1;
    assert_eq!(all["value"].as_array().unwrap().len(), 2);
}
