//! A vault's life and its network rules, as a real client sees them.

use e2e::{Server, note, setting, settings, skip};

const CLIENT: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";

/// Reads a secret as the app with the SDK; answers its exit status and all that it said.
fn read(server: &Server, python: &str) -> (Option<i32>, String) {
    let script = settings::example("python/read_secret.py").display().to_string();
    let ended = server.run_as("web", "shop", &[python, &script, "db"], "");
    (ended.code, ended.said())
}

fn shop(name: &str) -> Server {
    let server = Server::start(name);
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    server
}

#[test]
fn a_deleted_vault_is_not_served_and_a_recovered_one_is() {
    let server = shop("vault-life");
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    assert_eq!(read(&server, &python).0, Some(0));
    let said = server.keyless(["vault", "delete", "shop"]);
    assert!(said.stderr.contains("keyless vault recover shop"), "{}", said.said());
    assert_eq!(said.code, Some(0));
    let (code, said) = read(&server, &python);
    assert!(code != Some(0) && !said.contains("s3cret"), "{said}");
    // As with Azure, its name is gone with it.
    assert!(said.contains("ServiceRequestError"), "{said}");
    let again = server.keyless(["vault", "create", "shop"]);
    assert_eq!(again.code, Some(1), "its name is taken: {}", again.said());
    let _said = server.keyless(["vault", "recover", "shop"]).ok();
    let (code, said) = read(&server, &python);
    assert!(code == Some(0) && said.contains("s3cret"), "{said}");
    note(
        CLIENT,
        "a vault that is deleted and recovered",
        "works: not found by its name, then served as before",
    );

    let _said = server.keyless(["vault", "delete", "shop"]).ok();
    let asked = server.keyless(["vault", "purge", "shop"]);
    assert_eq!(asked.code, Some(2), "nobody is there to say yes: {}", asked.said());
    let purged = server.keyless(["vault", "purge", "shop", "--yes"]);
    assert_eq!(purged.code, Some(0), "{}", purged.said());
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let empty = server.keyless(["secret", "get", "shop", "db"]);
    assert_ne!(empty.code, Some(0), "a new vault of the name has nothing of the old one: {}", empty.said());
}

#[test]
fn network_rules_refuse_whoever_comes_from_elsewhere() {
    let server = shop("network");
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let closed = server.keyless(["vault", "update", "shop", "--allow-ip", "192.0.2.0/24,198.51.100.7"]);
    assert!(
        closed.code == Some(0) && closed.stderr.contains("127.0.0.1 is not among them"),
        "{}",
        closed.said()
    );
    let (code, said) = read(&server, &python);
    assert!(code != Some(0) && !said.contains("s3cret"), "{said}");
    assert!(said.contains("(Forbidden)") && said.contains("ForbiddenByFirewall"), "{said}");
    note(
        CLIENT,
        "network rules that leave the client out",
        "works: `HttpResponseError`, 403, inner error `ForbiddenByFirewall`",
    );
    let administrator = server.keyless(["secret", "get", "shop", "db"]);
    assert_ne!(administrator.code, Some(0), "nobody is excepted: {}", administrator.said());
    let said = server.keyless(["access", "explain", "--vault", "shop", "--secret", "db"]).ok();
    assert!(said.contains("only from 192.0.2.0/24, 198.51.100.7/32"), "{said}");
    let _said = server.keyless(["vault", "update", "shop", "--allow-ip", "127.0.0.0/8,::1"]).ok();
    assert_eq!(read(&server, &python).0, Some(0));
    let _said = server.keyless(["vault", "update", "shop", "--allow-ip", "any"]).ok();
    assert_eq!(read(&server, &python).0, Some(0));
}
