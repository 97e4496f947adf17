//! Unmodified `azure_identity` and `azure_security_keyvault_secrets` for Rust, `ManagedIdentityCredential::new(None)`.

use e2e::{Ended, Server, note, settings};

const CLIENT: &str = "Rust azure_identity 1.0.0, azure_security_keyvault_secrets 1.0.1";

fn run(server: &Server, app: &str, program: &str, arguments: &[&str], stdin: &str) -> Ended {
    let program = settings::example_program(program).display().to_string();
    let program: Vec<&str> = std::iter::once(program.as_str()).chain(arguments.iter().copied()).collect();
    server.run_as(app, "shop", &program, stdin)
}

#[test]
fn reads_lists_and_sets() {
    let server = Server::start("rust");
    server.vault_with("shop", "db", "s3cret of rust");
    server.app_with("web", "shop", "get,list,set");
    assert_eq!(run(&server, "web", "read-secret", &["db"], "").ok(), "s3cret of rust\n");
    note(CLIENT, "get secret", "works");
    let version = run(&server, "web", "set-secret", &["from-rust"], "ünïcode & \"quotes\"").ok();
    assert_eq!(version.trim().len(), 32, "{version}");
    note(CLIENT, "set secret", "works");
    assert_eq!(run(&server, "web", "read-secret", &["from-rust"], "").ok(), "ünïcode & \"quotes\"\n");
    assert_eq!(run(&server, "web", "list-secrets", &[], "").ok(), "db\nfrom-rust\n");
    note(CLIENT, "list secrets", "works");
}

#[test]
fn lists_more_than_a_page() {
    let server = Server::start("rust-pages");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let names: Vec<String> = (0..60).map(|number| format!("secret-{number:02}")).collect();
    for name in &names {
        let _said = server.keyless_with(["secret", "set", "shop", name], "x").ok();
    }
    server.app_with("web", "shop", "list");
    assert_eq!(run(&server, "web", "list-secrets", &[], "").ok().lines().collect::<Vec<_>>(), names);
    note(CLIENT, "list secrets over several pages", "works");
}

#[test]
fn a_stranger_gets_forbidden() {
    let server = Server::start("rust-stranger");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "list");
    let read = run(&server, "web", "read-secret", &["db"], "");
    assert_ne!(read.code, Some(0));
    assert!(read.stderr.contains("Forbidden"), "{}", read.stderr);
    assert!(!read.said().contains("s3cret"));
    note(CLIENT, "a verb that no policy gives", "works: 403, error code `Forbidden`");
}

#[test]
fn makes_and_uses_a_key() {
    let server = Server::start("rust-key");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.keys_app("web", "shop", "get,create,sign,verify,encrypt,decrypt");
    let used = run(&server, "web", "use-key", &["signing"], "");
    assert_eq!(used.ok(), "signature holds: true\ndecrypted: hello\n");
    note(
        "Rust azure_identity 1.0.0, azure_security_keyvault_keys 1.0.1",
        "create a key, sign, verify, encrypt, decrypt",
        "works",
    );
}

#[test]
fn makes_a_certificate_and_downloads_it() {
    let server = Server::start("rust-certificate");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    server.certificates_app("web", "shop", "get,create", "get");
    let pfx = run(&server, "web", "create-certificate", &["site"], "").ok();
    assert!(pfx.len() > 2_000 && pfx.starts_with("MII"), "{pfx}");
    note(
        "Rust azure_identity 1.0.0, azure_security_keyvault_certificates 1.0.1",
        "create a self-signed certificate, download it with its key",
        "works",
    );
}
