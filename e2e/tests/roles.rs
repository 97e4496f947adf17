//! Vaults that go by roles, as a real client sees them.

use e2e::{Server, note, setting, settings, skip};

const CLIENT: &str = "Python azure-identity 1.27.0, azure-keyvault-secrets 4.12.0";

/// A client that lives on with its one token: reads, then after each command that it is given.
const LIVING: &str = r#"
import os, sys
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
client = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())
for command in ["true", *sys.argv[1:]]:
    if os.system(command + " >&2"):
        raise SystemExit(command)
    for name in ("db", "other"):
        try:
            print(name, client.get_secret(name).value)
        except Exception as error:
            print(name, type(error).__name__, str(error).replace("\n", " "))
"#;

#[test]
fn a_role_allows_from_its_assignment_to_its_removal_and_only_there() {
    let server = Server::start("python-roles");
    let _said = server.keyless(["vault", "create", "shop", "--access", "roles"]).ok();
    let _said = server.keyless_with(["secret", "set", "shop", "db"], "s3cret of db").ok();
    let _said = server.keyless_with(["secret", "set", "shop", "other"], "s3cret of other").ok();
    let _said = server.keyless(["app", "create", "web"]).ok();
    let _said = server.keyless(["app", "identity", "assign", "web"]).ok();
    let Some(python) = setting("PYTHON") else { return skip("no Python environment") };
    let keyless = settings::binary("keyless").display().to_string();
    let role = |verb: &str, more: &str| {
        format!("{keyless} vault role {verb} shop --role 'Key Vault Secrets User' --app web {more}")
    };
    let commands = [
        role("assign", "--secret db"),
        role("assign", ""),
        role("remove", ""),
        role("remove", "--secret db"),
    ];
    let program: Vec<&str> =
        [python.as_str(), "-c", LIVING].into_iter().chain(commands.iter().map(String::as_str)).collect();
    let said = server.run_as("web", "shop", &program, "").ok();
    let lines: Vec<&str> = said.lines().collect();
    let is_forbidden = |line: &str| line.contains("HttpResponseError") && line.contains("ForbiddenByRbac");
    let read = [("db s3cret of db", "other s3cret of other")];
    assert_eq!(lines.len(), 10, "{said}");
    assert!(is_forbidden(lines[0]) && is_forbidden(lines[1]), "no role: {said}");
    assert!(lines[2] == read[0].0 && is_forbidden(lines[3]), "for one secret only: {said}");
    assert!(lines[4] == read[0].0 && lines[5] == read[0].1, "for the vault: {said}");
    assert!(lines[6] == read[0].0 && is_forbidden(lines[7]), "that one is removed: {said}");
    assert!(is_forbidden(lines[8]) && is_forbidden(lines[9]), "refused at once: {said}");
    note(
        CLIENT,
        "a role that is not assigned",
        "works: `HttpResponseError`, 403, inner error `ForbiddenByRbac`",
    );
    note(CLIENT, "a role assigned or removed while the client lives", "works: allowed and refused at once");
}

#[test]
fn who_may_read_a_secret_is_one_command() {
    let server = Server::start("explain");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    server.app_with("job", "shop", "list");
    let said = server.keyless(["access", "explain", "--vault", "shop", "--secret", "db"]).ok();
    assert!(said.contains("read by  administrator, web\n"), "{said}");
    let _said = server.keyless(["app", "identity", "remove", "web"]).ok();
    let said = server.keyless(["access", "explain", "--vault", "shop", "--secret", "db"]).ok();
    assert!(said.contains("read by  administrator\n") && said.contains("(gone)"), "{said}");
    let why =
        ["access", "explain", "--vault", "shop", "--secret", "db", "--app", "job", "--action", "secret.get"];
    let said = server.keyless(why).ok();
    assert!(said.contains("may not") && said.contains("lacks secrets get"), "{said}");
}
