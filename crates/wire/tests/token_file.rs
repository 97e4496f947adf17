//! A program's token file at the token endpoint: what its own processes get by it, and that nobody else gets anything (ADR 0024). The kernel
//! is a stand-in, everything above is real.

use crate::support::{Cgroup, NOW, World};
use access::{Manager, Principal};
use audit::{Actor, Outcome, Record};
use axum::body::Body;
use directory::NewRegistration;
use domain::{AppName, Clock, IdentityName, Placement, Secret, WorkloadId};
use host::Change;
use http::{HeaderValue, Request, header};
use identity::{Attested, Peer, Protection, Workload, workload::mint_secret};
use kernel::CgroupId;
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt as _;
use wire::PublicService;

const APP_CGROUP: u64 = 42;
const JWT_BEARER: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
const SCOPE: &str = "scope=https%3A%2F%2Fvault.azure.net%2F.default";

/// An app that runs in a cgroup and has a token file.
struct Shop {
    world: World,
    name: AppName,
    workload: Arc<Workload>,
    principal: Arc<Principal>,
    file: String,
}

impl Shop {
    async fn new() -> Self {
        let world = World::new().await;
        Self::of(world, "shop", APP_CGROUP).await
    }

    async fn of(world: World, name: &str, cgroup: u64) -> Self {
        let name = AppName::parse(name).unwrap();
        world.state.host.create_app(Manager::Administrator, &name, &Placement::default(), NOW).await.unwrap();
        let view = world.state.host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap();
        let change = Change { token_file: Some(true), ..Change::default() };
        world.state.host.change_desired(Manager::Administrator, &name, &change, NOW).await.unwrap();
        let workload = start(&world, &name, view.app.id, Protection::Confined(Arc::new(Cgroup(cgroup))));
        let mut shop =
            Self { world, name, workload, principal: view.principal.unwrap(), file: String::new() };
        shop.renew();
        shop
    }

    fn renew(&mut self) {
        let (app, workload) = (self.workload.app(), self.workload.id());
        let now = self.world.clock.now();
        self.file = self.world.state.host.workload_token(app, workload, now).unwrap().expose().clone();
    }

    fn form(&self) -> String {
        form(&self.file, &self.principal.client.to_string())
    }

    /// What the app's own processes are answered.
    async fn ask(&self, form: &str) -> (u16, Value) {
        ask(&self.world, Some(APP_CGROUP), "v2.0/token", form).await
    }

    fn last(&self) -> Record {
        self.world.audit.records().pop().unwrap()
    }

    /// It is refused as everything is that is not for this caller, and the audit log says why.
    async fn is_refused(&self, cgroup: Option<u64>, form: &str, why: &str) {
        let (status, body) = ask(&self.world, cgroup, "v2.0/token", form).await;
        assert_eq!((status, &body["error"]), (401, &"invalid_client".into()), "{why}: {body}");
        let said = body["error_description"].as_str().unwrap();
        assert!(said.starts_with("AADSTS700213: No matching federated identity record"), "{why}: {said}");
        assert!(!said.contains(why), "{said}");
        let record = self.last();
        assert_eq!((record.action, record.outcome), ("token.issue", Outcome::Refused));
        assert!(record.reason.contains(why), "{why}: {}", record.reason);
    }
}

fn start(world: &World, name: &AppName, app: domain::AppId, protection: Protection) -> Arc<Workload> {
    let (_, hash) = mint_secret(&*world.state.entropy);
    let id = WorkloadId::random(&*world.state.entropy);
    let workload = Arc::new(Workload::new(id, app, name.clone(), hash, protection));
    world.state.identity.admit(workload.clone());
    workload
}

fn form(file: &str, client: &str) -> String {
    format!(
        "grant_type=client_credentials&client_id={client}&client_assertion_type={JWT_BEARER}&client_assertion={file}&{SCOPE}"
    )
}

async fn ask(world: &World, cgroup: Option<u64>, endpoint: &str, form: &str) -> (u16, Value) {
    ask_at(&world.public, world, "login.keyless.localhost:8443", cgroup, endpoint, form).await
}

async fn ask_at(
    door: &PublicService,
    world: &World,
    host: &'static str,
    cgroup: Option<u64>,
    endpoint: &str,
    form: &str,
) -> (u16, Value) {
    let peer = cgroup.map(|cgroup| {
        Arc::new(Attested::simulated(Peer { cgroup: CgroupId::new(cgroup), uid: 1_000, inode: 5, cookie: 9 }))
    });
    let target = format!("/{}/oauth2/{endpoint}", world.state.directory.tenant().id);
    let mut request = Request::post(target).body(Body::from(form.to_owned())).unwrap();
    request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    let response = door.clone().from_peer(peer).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn an_apps_own_process_gets_its_identitys_token() {
    let shop = Shop::new().await;
    let (status, body) = shop.ask(&shop.form()).await;
    assert_eq!((status, &body["token_type"], &body["expires_in"]), (200, &"Bearer".into(), &3_600.into()));
    let token = Secret::new(body["access_token"].as_str().unwrap().to_owned());
    let ring = shop.world.state.directory.ring();
    let caller = shop.world.state.verifiers.vaults.verify(&token, &*ring, NOW).unwrap();
    assert_eq!((caller.principal(), caller.client()), (shop.principal.id, shop.principal.client));
    let record = shop.last();
    let actor = Actor::Workload { id: shop.workload.id(), app: shop.name.clone() };
    assert_eq!((record.actor, record.outcome), (actor, Outcome::Allowed));
    assert!(record.reason.contains("the token file of workload"), "{}", record.reason);
    assert!(!record.reason.contains(&shop.file) && !record.reason.contains(token.expose()));

    // The line feed at the end of a file, as Python and Rust send it; and the other endpoint, whose values are texts.
    shop.world.later(60);
    let (status, body) =
        shop.ask(&form(&format!("{}%0A", shop.file), &shop.principal.client.to_string())).await;
    assert_eq!((status, &body["expires_in"]), (200, &3_540.into()), "kept, with as much less left: {body}");
    let v1 = shop.form().replace(SCOPE, "resource=https%3A%2F%2Fvault.azure.net");
    let (status, body) = ask(&shop.world, Some(APP_CGROUP), "token", &v1).await;
    assert_eq!((status, &body["expires_in"]), (200, &"3540".into()), "{body}");
    // What MSAL for Go and for Java adds is passed over.
    let more = shop.form().replace(SCOPE, &format!("{SCOPE}+openid+offline_access+profile"));
    let (status, body) = shop.ask(&more).await;
    assert_eq!((status, &body["expires_in"]), (200, &3_540.into()), "{body}");
    let told: Vec<_> = body.as_object().unwrap().keys().filter(|name| name.ends_with("_token")).collect();
    assert_eq!(told, ["access_token"], "nobody has signed in");
    // At the door of a program in shadow mode, too.
    let azure = PublicService::as_azure(shop.world.state.clone());
    let host = "login.microsoftonline.com";
    let (status, body) =
        ask_at(&azure, &shop.world, host, Some(APP_CGROUP), "v2.0/token", &shop.form()).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_stolen_file_is_worth_nothing() {
    let shop = Shop::new().await;
    shop.is_refused(None, &shop.form(), "the kernel does not attest the peer").await;
    shop.is_refused(Some(APP_CGROUP + 1), &shop.form(), "made outside of the cgroup").await;
    // Another app that has a file of its own is no better a thief, in either direction.
    let theirs = start_another(&shop).await;
    shop.is_refused(Some(APP_CGROUP + 1), &shop.form(), "made outside of the cgroup").await;
    let stolen = form(&theirs, &shop.principal.client.to_string());
    shop.is_refused(Some(APP_CGROUP), &stolen, "made outside of the cgroup").await;
    // By its own file it gets no token of this app's identity.
    shop.is_refused(Some(APP_CGROUP + 1), &stolen, "not assigned to app other").await;
    assert_eq!(shop.ask(&shop.form()).await.0, 200, "its own process still does");
}

/// Another app with a token file, which is answered; it runs in the next cgroup.
async fn start_another(shop: &Shop) -> String {
    let name = AppName::parse("other").unwrap();
    let host = &shop.world.state.host;
    host.create_app(Manager::Administrator, &name, &Placement::default(), NOW).await.unwrap();
    let view = host.assign_identity(Manager::Administrator, &name, NOW).await.unwrap();
    host.change_desired(
        Manager::Administrator,
        &name,
        &Change { token_file: Some(true), ..Change::default() },
        NOW,
    )
    .await
    .unwrap();
    let protection = Protection::Confined(Arc::new(Cgroup(APP_CGROUP + 1)));
    let workload = start(&shop.world, &name, view.app.id, protection);
    host.workload_token(view.app.id, workload.id(), NOW).unwrap().expose().clone()
}

#[tokio::test]
async fn what_a_file_is_good_for_ends_at_the_next_request() {
    let mut shop = Shop::new().await;
    let host = shop.world.state.host.clone();
    let directory = shop.world.state.directory.clone();
    let own = shop.form();
    assert_eq!(shop.ask(&own).await.0, 200);
    // The identity is disabled, and comes back.
    directory.disable_principal(shop.principal.id).await.unwrap();
    shop.is_refused(Some(APP_CGROUP), &own, "its principal is disabled").await;
    directory.enable_principal(shop.principal.id).await.unwrap();
    assert_eq!(shop.ask(&own).await.0, 200);
    // The option is switched off, and on.
    for (token_file, why) in [(false, "to have no token file"), (true, "")] {
        let change = Change { token_file: Some(token_file), ..Change::default() };
        let before = host.desired(&shop.name).await.unwrap().unwrap().revision;
        let after = host.change_desired(Manager::Administrator, &shop.name, &change, NOW).await.unwrap();
        assert_eq!(after.revision, before + 1, "instances are replaced");
        match token_file {
            false => shop.is_refused(Some(APP_CGROUP), &own, why).await,
            true => assert_eq!(shop.ask(&own).await.0, 200),
        }
    }
    // A user-assigned identity, by its client id, while it is the app's.
    let readers = IdentityName::parse("readers").unwrap();
    let made =
        host.create_identity(Manager::Administrator, &readers, &Placement::default(), NOW).await.unwrap();
    let named = form(&shop.file, &made.principal.client.to_string());
    shop.is_refused(Some(APP_CGROUP), &named, "not assigned to app shop").await;
    let wanted = "readers".parse().unwrap();
    host.attach_identity(Manager::Administrator, &shop.name, &wanted, NOW).await.unwrap();
    let (status, body) = shop.ask(&named).await;
    assert_eq!(status, 200, "{body}");
    host.detach_identity(Manager::Administrator, &shop.name, &wanted, NOW).await.unwrap();
    shop.is_refused(Some(APP_CGROUP), &named, "not assigned to app shop").await;
    // It is over, and renewed.
    shop.world.later(1_800);
    let (status, body) = shop.ask(&own).await;
    assert_eq!(status, 401);
    assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS700024:"), "{body}");
    shop.renew();
    assert_eq!(shop.ask(&shop.form()).await.0, 200);
    // Its identity is another one now.
    host.remove_identity(Manager::Administrator, &shop.name, NOW).await.unwrap();
    shop.is_refused(Some(APP_CGROUP), &shop.form(), "not assigned to app shop").await;
    let again =
        host.assign_identity(Manager::Administrator, &shop.name, NOW).await.unwrap().principal.unwrap();
    shop.is_refused(Some(APP_CGROUP), &shop.form(), "not assigned to app shop").await;
    let renamed = form(&shop.file, &again.client.to_string());
    assert_eq!(shop.ask(&renamed).await.0, 200);
    // The program has ended.
    shop.world.state.identity.retire(shop.workload.id()).unwrap();
    shop.is_refused(Some(APP_CGROUP), &renamed, "has ended").await;
    // An app of the same name that is made again is another one.
    host.delete_app(Manager::Administrator, &shop.name, NOW).await.unwrap();
    shop.is_refused(Some(APP_CGROUP), &renamed, "has ended").await;
}

#[tokio::test]
async fn an_app_that_is_not_kept_apart_has_none_that_is_good() {
    let shop = Shop::new().await;
    let protection = Protection::SecretOnly { why: "a test".to_owned(), mend: "none".to_owned() };
    let workload = start(&shop.world, &shop.name, shop.workload.app(), protection);
    let file = shop.world.state.host.workload_token(workload.app(), workload.id(), NOW).unwrap();
    let form = form(file.expose(), &shop.principal.client.to_string());
    for cgroup in [None, Some(APP_CGROUP), Some(1)] {
        shop.is_refused(cgroup, &form, "the kernel does not attest the peer").await;
    }
}

#[tokio::test]
async fn it_is_no_other_proof_and_no_other_proof_is_it() {
    let mut shop = Shop::new().await;
    let new = NewRegistration { display_name: "orders".to_owned(), ..NewRegistration::default() };
    let registration = shop.world.register("orders", new).await;
    // Of an app registration it proves nothing, whatever the caller is.
    shop.is_refused(
        Some(APP_CGROUP),
        &form(&shop.file, &registration.client.to_string()),
        "not assigned to app shop",
    )
    .await;
    // A token that the identity has got is no file of it.
    let (_, body) = shop.ask(&shop.form()).await;
    let access = body["access_token"].as_str().unwrap();
    let (status, body) = shop.ask(&form(access, &shop.principal.client.to_string())).await;
    assert!((400..=401).contains(&status), "{body}");
    // Nor is the file a bearer token.
    let (file, ring) = (Secret::new(shop.file.clone()), shop.world.state.directory.ring());
    for verifier in [&shop.world.state.verifiers.vaults, &shop.world.state.verifiers.graph] {
        assert!(verifier.verify(&file, &*ring, NOW).is_err());
    }
    // Other grants, and a second proof.
    for (from, to, code) in [
        ("grant_type=client_credentials", "grant_type=password&username=a&password=b", "AADSTS700229"),
        (SCOPE, "scope=https%3A%2F%2Fvault.azure.net%2F.default&client_secret=x", "AADSTS9002313"),
        (SCOPE, "scope=https%3A%2F%2Fnowhere.example%2F.default", "AADSTS500011"),
        (SCOPE, "scope=openid", "AADSTS1002012"),
        (SCOPE, "scope=openid+offline_access+profile", "AADSTS1002012"),
        (SCOPE, "scope=https%3A%2F%2Fvault.azure.net%2F.default+openid+User.Read", "AADSTS1002012"),
        (JWT_BEARER, "urn%3Aother", "AADSTS9002313"),
    ] {
        let (status, body) = shop.ask(&shop.form().replacen(from, to, 1)).await;
        let said = body["error_description"].as_str().unwrap();
        assert!((400..=401).contains(&status) && said.starts_with(&format!("{code}:")), "{to}: {body}");
    }
    // One letter of the signature is another.
    let mut tampered = shop.file.clone();
    let last = tampered.pop().unwrap();
    let at = tampered.len() - 20;
    let other = if tampered.as_bytes()[at] == b'A' { "B" } else { "A" };
    tampered.replace_range(at..=at, other);
    tampered.push(last);
    let (status, body) = shop.ask(&form(&tampered, &shop.principal.client.to_string())).await;
    assert_eq!(status, 401);
    assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS700027:"), "{body}");
    // Nothing is answered that has no record.
    shop.world.audit.set_failed(true);
    let (status, body) = shop.ask(&shop.form()).await;
    assert_eq!(status, 503);
    assert!(body.get("access_token").is_none());
    shop.world.audit.set_failed(false);
    shop.renew();
    assert_eq!(shop.ask(&shop.form()).await.0, 200);
}
