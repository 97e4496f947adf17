//! The ways to sign `az` in, and `keyless az` as a command: what a shell is told, how it ends, what it says where something is missing.

use super::{Az, CLIENT};
use crate::assertion;
use e2e::{Chromium, Ended, Person, Registered, note, server::signal, setting, skip, wait};
use serde_json::Value;
use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::Duration,
};

const PASSWORD: &str = "correct horse of alice";
/// What `az` says, and asks nobody, when it reads its file of tokens at the moment at which another one has emptied it to write it anew
/// (msal-extensions 1.3, `FilePersistence.save` and `PersistedTokenCache.search`: an empty file is taken for one without tokens).
const HALFWAY: &str = "does not exist in MSAL token cache";
/// How long programs may share a refresh token.
const GRACE: Duration = Duration::from_secs(30);

/// Makes a user who owns the subscription.
fn alice(az: &Az) {
    let server = az.server();
    let _said = server.keyless(["user", "create", "alice"]).ok();
    let _said = server.keyless_with(["user", "password", "alice"], PASSWORD).ok();
    let owns = ["role", "assign", "--role", "Owner", "--user", "alice", "--scope", "subscription"];
    let _said = server.keyless(owns).ok();
}

fn is_alice(az: &Az, told: &str) {
    let account: Value = serde_json::from_str(told).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(account[0]["user"]["name"], "alice@keyless.localhost", "{account}");
    assert_eq!(account[0]["cloudName"], "Keyless", "{account}");
    let group = az.run("group create -n of-alice -l local");
    assert_eq!(group["properties"]["provisioningState"], "Succeeded", "{group}");
    assert_eq!(az.run("ad signed-in-user show")["userPrincipalName"], "alice@keyless.localhost");
    let _nothing = az.run("account clear");
}

#[test]
fn a_person_signs_in_by_a_browser() {
    let Some(az) = Az::start("az-browser") else { return };
    alice(&az);
    let who = format!("{}|{}|alice|{PASSWORD}", az.server().authority().display(), az.server().port());
    // As desktops do it: the browser is not waited for.
    let browser = format!("{} %s &", e2e::app::beside("person").display());
    for words in ["login", "login --tenant keyless.localhost"] {
        let mut command = az.command(words);
        command.env("BROWSER", &browser).env("KEYLESS_E2E_PERSON", &who);
        let told = Ended::from(wait::output(&mut command, b"")).ok();
        // Before it is what the browser says.
        let account = told.find("\n[").map_or(0, |line| line + 1);
        is_alice(&az, &told[account..]);
    }
    note(CLIENT, "`az login` by a browser", "works");
}

/// A browser as people have it: its scripts bring the form with the code to `az`.
#[test]
fn a_person_signs_in_by_chromium() {
    let Some(az) = Az::start("az-chromium") else { return };
    let Some(program) = setting("CHROMIUM") else { return skip("no Chromium on this machine") };
    alice(&az);
    // What `az` takes for the browser tells where it was sent.
    let (starter, link) = (az.server().place().join("browser"), az.server().place().join("link"));
    let text = format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n", link.display());
    std::fs::write(&starter, text).unwrap();
    std::fs::set_permissions(&starter, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = az.command("login");
    command.env("BROWSER", format!("{} %s &", starter.display()));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait::until("az to open a browser", Duration::from_secs(60), || link.exists());
    let host = "login.keyless.localhost";
    let mut browser = Chromium::start(&program, "az-chromium-profile", host, az.server().port());
    browser.open(&std::fs::read_to_string(&link).unwrap());
    browser.see("Sign in");
    for password in ["wrong horse of alice", PASSWORD] {
        browser.type_into("username", "alice");
        browser.type_into("password", password);
        browser.click("button.primary");
        if password != PASSWORD {
            browser.read("is wrong");
        }
    }
    let told = Ended::from(wait::ended(child, wait::LIMIT, "az login")).ok();
    let account = told.find("[\n").unwrap_or_else(|| panic!("{told}"));
    is_alice(&az, &told[account..]);
    note(CLIENT, "`az login` by Chromium, with another password first", "works");
}

/// Signs alice in at another screen. Answers what `az` told.
fn sign_in_by_a_code(az: &Az) -> String {
    alice(az);
    let mut command = az.command("login --use-device-code");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let told = wait::line(&mut child, errors, wait::LIMIT, "devicelogin");
    let words = || told.split([' ', '\n']);
    let url = words().find(|word| word.starts_with("https://")).unwrap();
    let code = words().skip_while(|word| *word != "code").nth(1).unwrap();
    let mut person = Person::new(&az.server().authority(), az.server().port(), "alice", PASSWORD);
    let end = person.open(url, code);
    assert!(matches!(&end, e2e::person::End::Page(page) if page.status == 200), "{end:?}");
    Ended::from(wait::ended(child, wait::LIMIT, "az login")).ok()
}

#[test]
fn a_person_signs_in_by_a_code() {
    let Some(az) = Az::start("az-device") else { return };
    let told = sign_in_by_a_code(&az);
    is_alice(&az, &told);
    note(CLIENT, "`az login --use-device-code`", "works");
}

/// They read what `az login` has left in one file, and each takes another one's place there.
#[test]
fn several_at_once_share_a_persons_login() {
    let Some(az) = Az::start("az-at-once") else { return };
    let _told = sign_in_by_a_code(&az);
    // `az login` has used it already, and whoever comes now replaces it.
    std::thread::sleep(GRACE + Duration::from_secs(2));
    let setup = az.server().keyless(["az", "setup", "-o", "json"]).ok();
    let told: Value = serde_json::from_str(&setup).unwrap();
    let folder = told["AZURE_CONFIG_DIR"].as_str().unwrap().to_owned();
    // Who has read the file before the others have written it: the same moment in each run.
    let before = az.server().place().join("before").display().to_string();
    let copied = wait::output(Command::new("cp").args(["-a", &folder, &before]), b"");
    assert!(copied.status.success(), "{copied:?}");
    let token = |folder: &str, scope: &str| {
        let mut command = az.server().command(["az", "--config-dir", folder, "--"]);
        command.args(["account", "get-access-token", "--scope", scope]).env("PATH", &az.path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let is_told = |folder: &str, scope: &str, ended: Ended| {
        let is_halfway = ended.stderr.contains(HALFWAY);
        let again = is_halfway.then(|| Ended::from(wait::output(&mut token(folder, scope), b"")));
        let told = again.unwrap_or(ended).ok();
        assert!(told.contains("accessToken"), "{told}");
    };
    let scopes = ["https://vault.azure.net/.default", "https://graph.microsoft.com/.default"];
    let started: Vec<_> = scopes.iter().map(|scope| token(&folder, scope).spawn().unwrap()).collect();
    for (child, scope) in started.into_iter().zip(scopes) {
        is_told(&folder, scope, Ended::from(wait::ended(child, wait::LIMIT, "az account get-access-token")));
    }
    is_told(&before, scopes[0], Ended::from(wait::output(&mut token(&before, scopes[0]), b"")));
    // What each has kept goes on.
    for (folder, scope) in [
        (&before, "https://graph.microsoft.com/User.Read"),
        (&folder, "https://vault.azure.net/user_impersonation"),
    ] {
        is_told(folder, scope, Ended::from(wait::output(&mut token(folder, scope), b"")));
    }
    note(CLIENT, "several `az` at once with one person's login", "works");
}

#[test]
fn a_program_signs_in_by_a_certificate() {
    let Some(az) = Az::start("az-certificate") else { return };
    let operator = az.operator("operator", "Owner");
    let place = az.server().place();
    let file = |name: &str| place.join(name).display().to_string();
    let (key, certificate, both) = (file("key.pem"), file("certificate.pem"), file("both.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=az"]);
    let made = wait::output(openssl.args(["-keyout", &key, "-out", &certificate]), b"");
    assert!(made.status.success(), "{made:?}");
    let pem = [&key, &certificate].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    std::fs::write(&both, pem).unwrap();
    let add = ["app-registration", "credential", "add", &operator.client, "--certificate", &certificate];
    let mut add = az.server().command(add);
    let added = Ended::from(wait::output(add.args(["-o", "json"]), b"")).ok();
    let added: Value = serde_json::from_str(&added).unwrap();
    let credential = added["id"].as_str().unwrap().to_owned();
    let Registered { tenant, client, .. } = &operator;
    for more in ["", " --use-cert-sn-issuer"] {
        let words =
            format!("login --service-principal -u {client} --certificate {both} --tenant {tenant}{more}");
        let account = az.run(&words);
        assert_eq!(account[0]["state"], "Enabled", "{account}");
        let _nothing = az.run("account clear");
    }
    let log = az.server().keyless(["audit", "tail"]).ok();
    assert!(
        log.contains("token.issue https://management.keyless.localhost") && log.contains("certificate"),
        "{log}"
    );
    let _said = az.server().keyless(["app-registration", "credential", "remove", client, &credential]).ok();
    let words = format!("login --service-principal -u {client} --certificate {both} --tenant {tenant}");
    az.refused(&words, 1, "AADSTS700027");
    note(CLIENT, "`az login --service-principal` with a secret or a certificate", "works");
}

/// A pipeline has no secret: it brings what its own issuer says of it.
#[test]
fn a_program_signs_in_by_an_outside_issuers_token() {
    let Some(az) = Az::start("az-federated") else { return };
    let operator = az.operator("operator", "Owner");
    let _said = az.server().keyless(["vault", "create", "shop"]).ok();
    let (token, keys) = assertion::token_file(az.server());
    let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
    let Registered { tenant, client, .. } = &operator;
    let sign_in = |token: &str| {
        format!("login --service-principal -u {client} --tenant {tenant} --federated-token {token}")
    };
    az.refused(&sign_in(&token), 1, "AADSTS700211");
    let credential = assertion::trust(az.server(), client, &keys);
    let account = az.run(&sign_in(&token));
    assert_eq!(account[0]["user"]["name"], client.as_str(), "{account}");
    let _group = az.run("group create -n of-the-cluster -l local");
    let log = az.server().keyless(["audit", "tail"]).ok();
    assert!(log.contains("token.issue https://management.keyless.localhost"), "{log}");

    // Another one's signature, and a registration that nobody vouches for.
    let _nothing = az.run("account clear");
    let (head, signature) = token.rsplit_once('.').unwrap();
    let forged: String = signature.chars().rev().collect();
    az.refused(&sign_in(&format!("{head}.{forged}")), 1, "AADSTS");
    az.refused(&sign_in("no.token.this"), 1, "AADSTS");
    // With the credential goes what was got by it.
    let _account = az.run(&sign_in(&token));
    let _said = az.server().keyless(["app-registration", "credential", "remove", client, &credential]).ok();
    az.refused("group show -n of-the-cluster", 1, "its credential was removed");
    let _nothing = az.run("account clear");
    az.refused(&sign_in(&token), 1, "AADSTS700211");
    note(
        CLIENT,
        "`az login --service-principal` with an outside issuer's token",
        "works, until the trust is removed",
    );
}

/// What we write is what `az` itself would have written, and a shell takes it.
#[test]
fn the_cloud_is_the_one_that_az_registers_by_itself() {
    let Some(az) = Az::start("az-cloud") else { return };
    let manager = format!("https://management.keyless.localhost:{}/", az.server().port());
    let _nothing = az.run(&format!("cloud register -n Other --endpoint-resource-manager {manager}"));
    let shown = |name: &str| {
        let mut shown = az.run(&format!("cloud show -n {name}"));
        shown["name"] = Value::Null;
        shown["isActive"] = Value::Null;
        shown
    };
    assert_eq!(shown("Keyless"), shown("Other"));

    let mut setup = az.server().command(["az", "setup"]);
    let exports = Ended::from(wait::output(&mut setup, b"")).ok();
    let script = format!("{exports}exec az cloud list --query '[?isActive].name' -o tsv");
    let path = format!("{}:/usr/bin:/bin", e2e::setting("AZ").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env_clear().env("PATH", &path).env("HOME", az.server().place());
    assert_eq!(Ended::from(wait::output(&mut shell, b"")).ok(), "Keyless\n");
    let mut json = az.server().command(["az", "setup", "-o", "json", "--config-dir", "elsewhere"]);
    let told: Value = serde_json::from_str(&Ended::from(wait::output(&mut json, b"")).ok()).unwrap();
    assert!(told["AZURE_CONFIG_DIR"].as_str().unwrap().ends_with("/elsewhere"), "{told}");
    assert!(az.server().place().join("elsewhere/clouds.config").exists());
}

#[test]
fn az_ends_as_it_would_and_says_what_is_missing() {
    let Some(mut az) = Az::start("az-command") else { return };
    assert_eq!(az.ended("group list --no-such-option").code, Some(2), "its own exit status");
    let mut child = az.command("login --use-device-code").stderr(Stdio::piped()).spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let _waits = wait::line(&mut child, errors, wait::LIMIT, "devicelogin");
    signal(&child, rustix::process::Signal::TERM);
    let ended = wait::for_end(&mut child, Duration::from_secs(20), "keyless az");
    assert_eq!(ended.code(), Some(143), "a signal is az's");
    // Its names are its own.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    assert!(!hosts.contains("management.keyless.localhost"));

    let mut without = az.command("group list");
    let ended = Ended::from(wait::output(without.env("PATH", "/usr/bin:/bin"), b""));
    assert!(ended.code == Some(127) && ended.stderr.contains("to install it"), "{}", ended.said());
    let _status = az.hosts.server.stop();
    let ended = az.ended("group list");
    assert!(ended.code == Some(1) && ended.stderr.contains("keyless up"), "{}", ended.said());
    az.hosts.server.start_again();
}
