//! Unmodified `@azure/identity` and `@azure/keyvault-secrets` for Node, default settings, `new DefaultAzureCredential()` with nothing passed.

use e2e::{Ended, NodeScript, Server, note, setting, skip};

const CLIENT: &str = "Node @azure/identity 4.13.1, @azure/keyvault-secrets 4.11.2";

fn run(server: &Server, app: &str, script: &str, arguments: &[&str], stdin: &str) -> Option<Ended> {
    let script = NodeScript::example(script)?;
    Some(server.run_as(app, "shop", &script.line(arguments), stdin))
}

#[test]
fn reads_lists_and_sets() {
    let server = Server::start("node");
    server.vault_with("shop", "db", "s3cret of node");
    server.app_with("web", "shop", "get,list,set");
    let Some(read) = run(&server, "web", "read-secret.mjs", &["db"], "") else { return skip("no Node") };
    assert_eq!(read.ok(), "s3cret of node\n");
    note(CLIENT, "get secret", "works");
    let version = run(&server, "web", "set-secret.mjs", &["from-node"], "ünïcode & \"quotes\"")
        .map(Ended::ok)
        .unwrap_or_default();
    assert_eq!(version.trim().len(), 32, "{version}");
    note(CLIENT, "set secret", "works");
    assert_eq!(
        run(&server, "web", "read-secret.mjs", &["from-node"], "").map(Ended::ok).unwrap_or_default(),
        "ünïcode & \"quotes\"\n"
    );
    assert_eq!(
        run(&server, "web", "list-secrets.mjs", &[], "").map(Ended::ok).unwrap_or_default(),
        "db\nfrom-node\n"
    );
    note(CLIENT, "list secrets", "works");
}

#[test]
fn a_stranger_gets_forbidden() {
    let server = Server::start("node-stranger");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "list");
    let Some(read) = run(&server, "web", "read-secret.mjs", &["db"], "") else { return skip("no Node") };
    assert_ne!(read.code, Some(0));
    assert!(read.stderr.contains("Forbidden") && read.stderr.contains("403"), "{}", read.stderr);
    assert!(!read.said().contains("s3cret"));
    note(CLIENT, "a verb that no policy gives", "works: `RestError`, 403, code `Forbidden`");
}

#[test]
fn the_older_generation_is_served() {
    let server = Server::start("node-2017");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let Some(script) = NodeScript::example("read-secret.mjs") else { return skip("no Node") };
    let older = ["env", "-u", "IDENTITY_ENDPOINT", "-u", "IDENTITY_HEADER"];
    let program = [&older, &*script.line(&["db"])].concat();
    assert_eq!(server.run_as("web", "shop", &program, "").ok(), "s3cret\n");
    note(CLIENT, "api-version 2017-09-01 (`MSI_ENDPOINT` and `MSI_SECRET`)", "works");
}

#[test]
fn plain_node_trusts_the_names() {
    let server = Server::start("node-plain");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let Some(node) = setting("NODE") else { return skip("no Node") };
    let script = "const answer = await fetch(process.env.VAULT_URL + '/secrets?api-version=7.4'); console.log(answer.status)";
    assert_eq!(server.run_as("web", "shop", &[&node, "--input-type=module", "-e", script], "").ok(), "401\n");
    note("Node fetch", "name and certificate inside `keyless run`", "works");
}

#[test]
fn makes_and_uses_a_key() {
    let server = Server::start("node-key");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.keys_app("web", "shop", "get,create,sign,verify,encrypt,decrypt");
    let Some(used) = run(&server, "web", "use-key.mjs", &["signing"], "") else { return skip("no Node") };
    assert_eq!(used.ok(), "signature holds: true\ndecrypted: hello\n");
    note(
        "Node @azure/identity 4.13.1, @azure/keyvault-keys 4.10.2",
        "create a key, sign, verify, encrypt, decrypt",
        "works",
    );
}

#[test]
fn makes_a_certificate_and_downloads_it() {
    let server = Server::start("node-certificate");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.certificates_app("web", "shop", "get,create", "get");
    let Some(made) = run(&server, "web", "create-certificate.mjs", &["site"], "") else {
        return skip("no Node");
    };
    let made = made.ok();
    let [thumbprint, pfx] = *made.lines().collect::<Vec<_>>() else { panic!("{made}") };
    assert!(thumbprint.len() == 40 && pfx.len() > 2_000 && pfx.starts_with("MII"), "{made}");
    note(
        "Node @azure/identity 4.13.1, @azure/keyvault-certificates 4.10.3",
        "create a self-signed certificate, download it with its key",
        "works",
    );
}
