//! Microsoft Graph with its official SDKs, and rights that end at once. All that the SDKs are told is where Graph is.

use e2e::{Ended, NodeScript, Server, note, setting, settings, skip};

const NODE: &str = "Node @microsoft/microsoft-graph-client 3.0.7";
const PYTHON: &str = "Python msgraph-sdk 1.65.0";

/// A server with an app whose identity may change applications.
fn start(name: &str) -> Server {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let role = "Application.ReadWrite.All";
    let _said =
        server.keyless(["app-registration", "role", "assign", "graph", "--role", role, "--app", "web"]).ok();
    server
}

fn run(server: &Server, program: &[&str]) -> Ended {
    let url = format!("GRAPH_URL=https://graph.keyless.localhost:{}", server.port());
    let whole: Vec<&str> = ["env", url.as_str()].into_iter().chain(program.iter().copied()).collect();
    server.run_as("web", "shop", &whole, "")
}

fn unassign(server: &Server) {
    let role = "Application.ReadWrite.All";
    let taken =
        server.keyless(["app-registration", "role", "unassign", "graph", "--role", role, "--app", "web"]);
    let _said = taken.ok();
}

#[test]
fn the_node_sdk_makes_and_finds_an_application() {
    let Some(script) = NodeScript::example("graph.mjs") else { return skip("no Node") };
    let server = start("graph-node");
    assert_eq!(run(&server, &script.line(&["made by node"])).ok(), "1 true true true\n");
    note(NODE, "applications, service principals, secrets", "works, with `baseUrl` and `customHosts`");
    unassign(&server);
    let refused = run(&server, &script.line(&["made no more"]));
    assert_ne!(refused.code, Some(0));
    assert!(refused.said().contains("Authorization_RequestDenied"), "{}", refused.said());
    note(NODE, "without an app role", "works: `GraphError`, 403, code `Authorization_RequestDenied`");
    let log = server.keyless(["audit", "tail"]).ok();
    assert!(log.contains("graph.application.create") && log.contains("app role"), "{log}");
}

#[test]
fn the_python_sdk_makes_and_finds_an_application() {
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let server = start("graph-python");
    let script = settings::example("python/graph.py").display().to_string();
    assert_eq!(run(&server, &[&python, &script, "made by python"]).ok(), "1 True True True\n");
    note(PYTHON, "applications, service principals, secrets", "works, with `base_url` and `allowed_hosts`");
    unassign(&server);
    let refused = run(&server, &[&python, &script, "made no more"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.said().contains("Insufficient privileges"), "{}", refused.said());
    note(PYTHON, "without an app role", "works: `ODataError`, 403");
}

#[test]
fn an_operator_gives_roles_scopes_and_ranks_by_commands() {
    let server = Server::start("graph-commands");
    let say = |words: &[&str]| {
        let mut command = server.command([]);
        command.args(words);
        Ended::from(e2e::wait::output(&mut command, b"")).ok()
    };
    let made = say(&[
        "app-registration",
        "create",
        "orders",
        "--identifier-uri",
        "api://orders",
        "--redirect-uri",
        "web=https://orders.example/cb",
    ]);
    assert!(made.contains("web=https://orders.example/cb"), "{made}");
    let _said = say(&["app-registration", "role", "add", "api://orders", "Orders.All", "--for-users"]);
    let _said = say(&["app-registration", "scope", "add", "api://orders", "Orders.Read"]);
    let _said = say(&["user", "create", "alice"]);
    let _said = say(&[
        "app-registration",
        "role",
        "assign",
        "api://orders",
        "--role",
        "Orders.All",
        "--user",
        "alice",
    ]);
    let listed = say(&["app-registration", "role", "assignments", "api://orders"]);
    assert!(listed.contains("Orders.All") && listed.contains("alice"), "{listed}");
    let _said = say(&[
        "app-registration",
        "role",
        "unassign",
        "api://orders",
        "--role",
        "Orders.All",
        "--user",
        "alice",
    ]);
    assert!(!say(&["app-registration", "role", "assignments", "api://orders"]).contains("alice"));
    let changed = say(&[
        "app-registration",
        "update",
        "api://orders",
        "--assignment-required",
        "true",
        "--display-name",
        "Orders",
    ]);
    assert!(changed.contains("Orders.Read") && changed.contains("assignment"), "{changed}");
    let shown = say(&["user", "update", "alice", "--administrator", "-o", "json"]);
    assert!(
        shown.contains("\"is_administrator\":true") || shown.contains("\"is_administrator\": true"),
        "{shown}"
    );
    let shown = say(&["user", "update", "alice", "--administrator=false", "-o", "json"]);
    assert!(
        shown.contains("\"is_administrator\":false") || shown.contains("\"is_administrator\": false"),
        "{shown}"
    );
    let log = say(&["audit", "tail"]);
    assert!(log.contains("appRole.assign") && log.contains("user.administrator.add"), "{log}");
}
