//! `routes.txt` lists every route, what a stranger gets there, and who may call it. A route that is not listed fails here, and so does
//! a stranger who gets something else.

use crate::support::World;
use axum::body::Body;
use domain::HostNames;
use http::Request;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tower::ServiceExt as _;
use wire::admin::{HostingFacts, Installation, InstallationFacts, clock::Later};

/// One line of the list.
struct Listed<'a> {
    listener: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    who: &'a str,
}

fn list(text: &str) -> Vec<Listed<'_>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let listed = lines.map(|line| {
        let mut words = line.split_whitespace();
        let mut next =
            || words.next().unwrap_or_else(|| panic!("listener, method, path, status, who: {line}"));
        let (listener, method, path, status, who) = (next(), next(), next(), next(), next());
        let status = status.parse().unwrap_or_else(|_| panic!("a status: {line}"));
        Listed { listener, method, path, status, who }
    });
    listed.collect()
}

/// The folders whose routes a listener serves. A vault's are below: it has no patterns.
const LISTENERS: [(&str, &[&str]); 2] = [("login", &["oauth2", "sign_in"]), ("admin", &["admin"])];

#[test]
fn every_route_is_listed() {
    let listed = list(include_str!("routes.txt"));
    for (listener, folders) in LISTENERS {
        let listed: BTreeSet<String> =
            listed.iter().filter(|line| line.listener == listener).map(|line| line.path.to_owned()).collect();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let served: BTreeSet<String> =
            folders.iter().flat_map(|folder| served(&source.join(folder))).collect();
        assert_eq!(listed, served, "routes.txt (left) and src/{folders:?} (right)");
    }
}

/// A vault reads its paths itself, into an operation: each operation must have a line that begins its last column with its name, such as
/// `Secret.Get:` for `SecretOperation::Get`.
#[test]
fn every_operation_of_a_vault_is_listed() {
    let listed = listed_operations("vault");
    let operations: BTreeSet<String> = [
        include_str!("../src/keyvault/route.rs"),
        include_str!("../src/keyvault/keys/route.rs"),
        include_str!("../src/keyvault/certificates/route.rs"),
    ]
    .into_iter()
    .flat_map(operations)
    .collect();
    assert!(operations.contains("Objects.Purge"), "they are found: {operations:?}");
    assert_eq!(listed, operations, "routes.txt (left) and keyvault/route.rs (right)");
}

/// So does Graph, where each file has the operations of its resource.
#[test]
fn every_operation_of_graph_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/graph");
    let sources = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let operations: BTreeSet<String> =
        sources.flat_map(|path| operations(&fs::read_to_string(path).unwrap())).collect();
    assert!(operations.contains("Users.ChangePassword"), "they are found: {operations:?}");
    assert_eq!(listed_operations("graph"), operations, "routes.txt (left) and src/graph (right)");
}

/// So does the resource manager.
#[test]
fn every_operation_of_the_resource_manager_is_listed() {
    let operations: BTreeSet<String> = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/arm"))
        .iter()
        .flat_map(|path| operations(&fs::read_to_string(path).unwrap()))
        .collect();
    assert!(operations.contains("KeyVault.Purge") && operations.contains("Site.Restart"), "{operations:?}");
    assert_eq!(listed_operations("management"), operations, "routes.txt (left) and src/arm (right)");
}

/// The files of a folder and of those in it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// What the resource manager has: methods and paths, with the samples of this world.
pub(crate) fn managed(world: &World) -> Vec<(String, String)> {
    let listed = list(include_str!("routes.txt"));
    let managed = listed.iter().filter(|line| line.listener == "management");
    managed.map(|line| (line.method.to_owned(), sample(line.path, world))).collect()
}

fn listed_operations(listener: &str) -> BTreeSet<String> {
    let listed = list(include_str!("routes.txt"));
    let listed = listed.iter().filter(|line| line.listener == listener);
    listed.filter_map(|line| line.who.strip_suffix(':').map(str::to_owned)).collect()
}

/// The variants of all `enum SomethingOperation`, as `Something.Variant`.
fn operations(source: &str) -> BTreeSet<String> {
    let mut operations = BTreeSet::new();
    for text in
        source.split("\npub(").skip(1).filter_map(|text| text.split_once(") enum ")).map(|(_, text)| text)
    {
        let (name, rest) = text.split_once(" {\n").unwrap();
        let Some(of) = name.strip_suffix("Operation").filter(|of| !of.is_empty()) else { continue };
        let body = rest.split("\n}").next().unwrap();
        for variant in body.lines().filter_map(|line| line.strip_prefix("    ")) {
            let word: String = variant.chars().take_while(char::is_ascii_alphanumeric).collect();
            if word.starts_with(|first: char| first.is_ascii_uppercase()) {
                operations.insert(format!("{of}.{word}"));
            }
        }
    }
    operations
}

/// The paths of all `.route("…"` in a folder's sources.
fn served(folder: &Path) -> BTreeSet<String> {
    let sources = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = sources.filter(|path: &PathBuf| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
    texts
        .flat_map(|text| {
            let routes = text.split(".route(").skip(1);
            routes.map(|rest| rest.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_stranger_gets_what_is_listed() {
    let world = World::new().await;
    let admin =
        wire::admin::router(world.state.clone(), Arc::new(Nothing), Arc::new(crate::support::NoHosting));
    for Listed { listener, method, path, status, .. } in list(include_str!("routes.txt")) {
        let path = sample(path, &world);
        let answer = match listener {
            "login" => ask(&world.public, method, &path, &world.state.names.login_host()).await,
            "vault" => ask(&world.public, method, &path, &shop(&world.state.names)).await,
            "graph" => ask(&world.public, method, &path, &world.state.names.graph_host()).await,
            "management" => ask(&world.public, method, &path, &world.state.names.management_host()).await,
            "scm" => ask(&world.public, method, &path, "till.scm.apps.keyless.localhost").await,
            "admin" => ask(&admin, method, &path, "localhost").await,
            // Not axum's: `msi.rs` has its strangers.
            "endpoint" => continue,
            other => panic!("no such listener: {other}"),
        };
        assert_eq!(answer, status, "{listener} {method} {path}");
    }
}

fn shop(names: &HostNames) -> String {
    names.vault_host(&domain::VaultName::parse("shop").unwrap())
}

/// A request with a well-formed proof of nobody.
async fn ask<S>(service: &S, method: &str, path: &str, host: &str) -> u16
where
    S: tower::Service<Request<Body>, Response = axum::response::Response, Error = std::convert::Infallible>
        + Clone,
{
    let form = "grant_type=client_credentials&client_id=99999999-9999-4999-8999-999999999999&client_secret=guess\
                &scope=https://vault.azure.net/.default&resource=https://vault.azure.net";
    let (kind, body) = match path.ends_with("/token") && method == "POST" {
        true if path.starts_with("/v1") => ("application/json", "{}"),
        true => (
            "application/x-www-form-urlencoded",
            if path.contains("v2.0") { form.split("&resource").next().unwrap() } else { form },
        ),
        false => ("application/json", "{}"),
    };
    let request =
        Request::builder().method(method).uri(path).header("host", host).header("content-type", kind);
    service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap().status().as_u16()
}

fn sample(path: &str, world: &World) -> String {
    let id = "99999999-9999-4999-8999-999999999999";
    let samples = [
        ("{tenant}", &*world.state.directory.tenant().id.to_string()),
        ("{subscription}", &*world.state.resource.subscription().id.to_string()),
        ("{name}", "shop"),
        ("{version}", "0123456789abcdef0123456789abcdef"),
        ("{id}", id),
        ("{named}", id),
        ("{credential}", id),
        ("{identity}", "readers"),
        ("{user}", id),
        ("{group}", id),
        ("{kid}", "aaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ];
    let path = samples.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!path.contains('{'), "a sample for {path}");
    path
}

/// An installation without facts.
struct Nothing;

impl Installation for Nothing {
    fn facts(&self) -> InstallationFacts {
        unreachable!("no stranger is told the facts")
    }

    fn hosting_facts(&self) -> Later<'_, Result<HostingFacts, String>> {
        unreachable!("no stranger is told the facts")
    }

    fn names_changed(&self, _of: wire::Named) {}
}
