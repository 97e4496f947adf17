//! Managed identities that apps are given: each SDK names one by each selector that it has, and what is not the app's own is refused.

use e2e::{App, Ended, NodeScript, Server, note, setting, settings, skip};
use serde_json::Value;

const PYTHON: &str = "Python azure-identity 1.27.0";
const NODE: &str = "Node @azure/identity 4.13.1";
const RUST: &str = "Rust azure_identity 1.0.0";
const MESSAGE: &str = "Unable to load the proper Managed Identity.";

/// A vault that `readers` may read and `writers` may not, and an app that has both and nothing of its own.
struct Shop {
    server: Server,
    readers: Value,
    writers: Value,
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}

impl Shop {
    fn start(name: &str) -> Self {
        let server = Server::start(name);
        server.vault_with("shop", "db", "s3cret");
        let _said = server.keyless(["app", "create", "web"]).ok();
        let make = |name: &str| {
            let made = json(&server.keyless_json(["identity", "create", name]));
            let _said = server.keyless(["app", "identity", "assign", "web", "--user-assigned", name]).ok();
            made
        };
        let (readers, writers) = (make("readers"), make("writers"));
        let allow = ["vault", "policy", "set", "shop", "--identity", "readers", "--secrets", "get"];
        let _said = server.keyless(allow).ok();
        Self { server, readers, writers }
    }

    /// What each selector of an SDK comes to: a secret by `readers`, a refusal of the vault by `writers`, and none by what is not there.
    fn by_each(&self, client: &str, kinds: &[(&str, &str)], run: impl Fn(&str, &str) -> Ended) {
        for (kind, member) in kinds {
            assert_eq!(run(kind, text(&self.readers, member)).ok(), "s3cret\n", "{client} {kind}");
            let refused = run(kind, text(&self.writers, member));
            assert!(refused.code != Some(0) && refused.said().contains("Forbidden"), "{}", refused.said());
            let unknown = text(&self.readers, member).replace(['0', '1', '2', '3'], "9");
            let unknown = run(kind, &unknown.replace("readers", "strangers"));
            assert!(unknown.code != Some(0) && !unknown.said().contains("s3cret"), "{}", unknown.said());
            let named = member.replace('_', " ").replace("principal", "object id");
            note(client, &format!("a user-assigned identity by {named}"), "works");
        }
    }
}

#[test]
fn python_names_one_by_each_selector() {
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let shop = Shop::start("identities-python");
    let script = include_str!("python/selected.py");
    let kinds = [("client", "client_id"), ("object", "principal"), ("resource", "resource_id")];
    shop.by_each(PYTHON, &kinds, |kind, id| {
        shop.server.run_as("web", "shop", &[&python, "-c", script, kind, id, "db"], "")
    });
    // As settings of App Service do it: the program passes nothing.
    let script = settings::example("python/read_secret.py").display().to_string();
    let by_variable = |client: Option<&str>| -> Ended {
        let mut command = shop.server.command(["run", "--app", "web", "--", &python, &script, "db"]);
        command.env("VAULT_URL", shop.server.vault_url("shop"));
        if let Some(client) = client {
            command.env("AZURE_CLIENT_ID", client);
        }
        e2e::wait::output(&mut command, b"").into()
    };
    assert_eq!(by_variable(Some(text(&shop.readers, "client_id"))).ok(), "s3cret\n");
    note(
        PYTHON,
        "a user-assigned identity by `AZURE_CLIENT_ID`, `DefaultAzureCredential` with nothing passed",
        "works",
    );
    for client in [None, Some("99999999-9999-4999-8999-999999999999")] {
        let refused = by_variable(client);
        assert!(refused.code != Some(0) && refused.said().contains(MESSAGE), "{}", refused.said());
    }
}

#[test]
fn node_names_one_by_each_selector() {
    let Some(script) = NodeScript::beside_sdk(include_str!("node/selected.mjs")) else {
        return skip("no Node");
    };
    let shop = Shop::start("identities-node");
    let kinds = [("clientId", "client_id"), ("objectId", "principal"), ("resourceId", "resource_id")];
    shop.by_each(NODE, &kinds, |kind, id| {
        shop.server.run_as("web", "shop", &script.line(&[kind, id, "db"]), "")
    });
}

#[test]
fn rust_names_one_by_client_and_object_id() {
    let shop = Shop::start("identities-rust");
    let program = settings::example_program("read-secret-as").display().to_string();
    let kinds = [("client", "client_id"), ("object", "principal")];
    shop.by_each(RUST, &kinds, |kind, id| shop.server.run_as("web", "shop", &[&program, kind, id, "db"], ""));
}

#[test]
fn what_is_taken_disabled_or_deleted_is_refused_at_once_and_other_apps_keep_theirs() {
    let shop = Shop::start("identities");
    let server = &shop.server;
    let _said = server.keyless(["app", "create", "other"]).ok();
    let other = json(&server.keyless_json(["app", "identity", "assign", "other"]));
    let _said = server.keyless(["app", "identity", "assign", "other", "--user-assigned", "readers"]).ok();
    let (mut web, mut others) = (App::start(server, "web", "shop"), App::start(server, "other", "shop"));
    let client = text(&shop.readers, "client_id");
    let ask = |app: &mut App, selector: &str| {
        let endpoint = app.endpoint();
        let request = endpoint.request("").replace(" HTTP/1.1", &format!("{selector} HTTP/1.1"));
        let answer = app.raw(&endpoint.address(), &request);
        if answer.status != 200 {
            assert_eq!(answer.status, 400, "{answer:?}");
            return Err(answer.json()["message"].as_str().unwrap().to_owned());
        }
        Ok(answer.json()["access_token"].as_str().unwrap().to_owned())
    };
    let by_client = format!("&client_id={client}");
    let read = |token: &str| server.https().get_secret("shop", "db", token).status;
    let refused = |answer: Result<String, String>, says: &str| {
        let said = answer.expect_err("it is refused");
        assert!(said.contains(says), "{said}");
    };
    let (mine, theirs) = (ask(&mut web, &by_client).unwrap(), ask(&mut others, &by_client).unwrap());
    assert_eq!((read(&mine), read(&theirs)), (200, 200));
    assert_ne!(mine, theirs, "a token says which app acts");

    refused(ask(&mut web, ""), MESSAGE);
    refused(ask(&mut web, &format!("&client_id={}", text(&other["identity"], "client_id"))), MESSAGE);
    refused(ask(&mut web, "&client_id=99999999-9999-4999-8999-999999999999"), MESSAGE);
    refused(ask(&mut web, "&client_id=readers"), MESSAGE);
    refused(ask(&mut web, &format!("&object_id={client}")), MESSAGE);
    refused(ask(&mut web, "&mi_res_id=/subscriptions/x"), MESSAGE);
    refused(
        ask(&mut web, &format!("{by_client}&object_id={}", text(&shop.readers, "principal"))),
        "More than one",
    );

    let principal = text(&shop.readers, "principal");
    let _said = server.keyless(["principal", "disable", principal]).ok();
    refused(ask(&mut web, &by_client), MESSAGE);
    assert_ne!(read(&mine), 200);
    let _said = server.keyless(["principal", "enable", principal]).ok();

    let _said = server.keyless(["app", "identity", "remove", "web", "--user-assigned", "readers"]).ok();
    refused(ask(&mut web, &by_client), MESSAGE);
    assert_eq!((read(&mine), read(&theirs)), (401, 200));
    assert!(ask(&mut web, &format!("&client_id={}", text(&shop.writers, "client_id"))).is_ok());
    let _said = server.keyless(["app", "identity", "assign", "web", "--user-assigned", "readers"]).ok();
    let again = ask(&mut web, &by_client).unwrap();
    assert_eq!((read(&again), read(&mine)), (200, 401), "what was taken does not come back");

    let shown = server.keyless(["identity", "show", "READERS"]).ok();
    assert!(shown.contains("other, web") && shown.contains("userAssignedIdentities/readers"), "{shown}");
    let listed = server.keyless(["app", "list"]).ok();
    assert!(listed.contains("readers"), "{listed}");
    let _said = server.keyless(["app", "delete", "other"]).ok();
    assert_eq!((read(&theirs), read(&again)), (401, 200), "the app goes, the identity stays");
    let _said = server.keyless(["identity", "delete", "readers"]).ok();
    refused(ask(&mut web, &by_client), MESSAGE);
    assert_ne!(read(&again), 200);
    let absent = server.keyless(["identity", "show", "readers"]);
    assert!(
        absent.code == Some(1) && absent.stderr.contains("keyless identity create readers"),
        "{}",
        absent.said()
    );
}
