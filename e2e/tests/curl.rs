//! curl inside `keyless run`: names and certificates just work, and the protocol is plain enough to speak by hand.

use e2e::{Server, note, setting, skip};

#[test]
fn the_road_by_hand() {
    let server = Server::start("curl");
    server.vault_with("shop", "db", "s3cret");
    server.app_with("web", "shop", "get");
    let Some(curl) = setting("CURL") else { return skip("no curl on this machine") };
    let script = format!(
        r#"token=$({curl} -sS -H "X-IDENTITY-HEADER: $IDENTITY_HEADER" "$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://vault.azure.net" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
{curl} -sS -H "Authorization: Bearer $token" "$VAULT_URL/secrets/db?api-version=7.4""#
    );
    let said = server.run_as("web", "shop", &["sh", "-c", &script], "").ok();
    assert!(said.contains(r#""value":"s3cret""#), "{said}");
    note("curl", "token, then get secret, by hand inside `keyless run`", "works");
}

#[test]
fn public_roots_are_kept() {
    let server = Server::start("curl-roots");
    // The bundle that replaces the system's roots must hold them too, else every other site would break.
    let said = server.run_as("web", "shop", &["sh", "-c", "grep -c BEGIN \"$SSL_CERT_FILE\""], "").ok();
    let system = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let (ours, theirs): (usize, usize) = (said.trim().parse().unwrap(), system.matches("BEGIN").count());
    assert_eq!(ours, theirs + 1);
}
