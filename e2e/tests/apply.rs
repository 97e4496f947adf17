//! A declarative set-up: `keyless apply` makes what a file says, changes what is other, and leaves the rest.

use e2e::{App, Ended, Server, TemporaryDirectory, settings, wait};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Values that are looked for wherever they must not be.
const CANARIES: [&str; 4] =
    ["canary-db-7f3a9c21e5", "canary-db-0b8d6e4f2a", "canary-key-91c5d7e3f0", "canary-key-5ad01f77c2"];

const STACK: &str = r#"
tenant: keyless.localhost

registrations:
- name: pipeline
  identifier_uris: ["api://pipeline"]
  redirect_uris: ["web=https://shop.example/signed-in"]
  federated:
  - name: production
    issuer: https://token.example
    subject: repo:octo/shop:environment:production

identities:
- name: jobs

apps:
- name: web
  user_assigned: [jobs]
  settings:
    MODE: fast
    API_KEY: {from_file: files/key}

groups:
- name: operators
  members:
  - identity: jobs
  - user: ada

vaults:
- name: shop
  retention_days: 30
  allow_ip: [127.0.0.0/8, "::1"]
  policies:
  - {app: web, secrets: [get, list]}
  - {registration: pipeline, secrets: [get], keys: [sign]}
  - {group: operators, secrets: [list]}
  secrets:
  - name: db
    from_file: files/db
    content_type: text/plain
    tags: {owner: shop}
- name: ledger
  access: roles
  purge_protection: true
  roles:
  - {role: Key Vault Secrets User, app: web}
  - {role: Key Vault Reader, registration: pipeline, secret: db}
  secrets:
  - {name: db, from_file: files/db}
"#;

/// A folder with the stack and its files, and what was printed of all runs.
struct Folder {
    place: PathBuf,
    said: String,
}

impl Folder {
    fn make(place: PathBuf) -> Self {
        fs::create_dir_all(place.join("files")).unwrap();
        let folder = Self { place, said: String::new() };
        folder.write("stack.yaml", STACK);
        folder.write("files/db", CANARIES[0]);
        folder.write("files/key", CANARIES[2]);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.place.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.stack()).unwrap();
        assert!(text.contains(from), "{from}");
        self.write("stack.yaml", &text.replacen(from, to, 1));
    }

    fn stack(&self) -> String {
        self.place.join("stack.yaml").display().to_string()
    }

    fn run<const N: usize>(&mut self, server: &Server, more: [&str; N]) -> Ended {
        let stack = self.stack();
        let mut command = server.command(["apply", "-f", &stack]);
        let ended = Ended::from(wait::output(command.args(more), b""));
        self.said.push_str(&ended.said());
        ended
    }

    /// The steps of a run, as programs are told them.
    fn steps(&mut self, server: &Server) -> Vec<String> {
        let told: Value = serde_json::from_str(&self.run(server, ["-o", "json"]).ok()).unwrap();
        assert_eq!(told["dry_run"], false);
        let steps = told["steps"].as_array().unwrap().iter();
        steps
            .map(|step| {
                assert_eq!(step["done"], true, "{step}");
                format!("{} {}", step["change"].as_str().unwrap(), step["what"].as_str().unwrap())
            })
            .collect()
    }
}

/// All that an administrator is shown.
fn state(server: &Server) -> String {
    [
        server.keyless_json(["app-registration", "list"]),
        server.keyless_json(["identity", "list"]),
        server.keyless_json(["app", "list"]),
        server.keyless_json(["group", "list"]),
        server.keyless_json(["vault", "list"]),
    ]
    .concat()
}

fn versions(server: &Server, vault: &str) -> usize {
    let told: Value =
        serde_json::from_str(&server.keyless_json(["secret", "versions", vault, "db"])).unwrap();
    told.as_array().unwrap().len()
}

/// The value, as an app gets it that was started by `keyless run`.
fn read(server: &Server, vault: &str) -> String {
    let program = settings::example_program("read-secret").display().to_string();
    server.run_as("web", vault, &[&program, "db"], "").ok().trim_end().to_owned()
}

fn no_canary(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        let is_there = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!is_there, "{canary} is in {what}");
    }
}

fn no_canary_below(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            no_canary_below(&path);
        } else if path.is_file() {
            no_canary(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

#[test]
fn what_a_file_says_is_made_once_and_only_what_is_other_is_changed() {
    let mut server = Server::start("apply");
    let mut folder = Folder::make(server.place().join("stack"));
    let made = server.keyless(["user", "create", "ada"]);
    assert_eq!(made.code, Some(0), "{}", made.said());

    let before = state(&server);
    let dry = folder.run(&server, ["--dry-run"]);
    assert!(dry.stderr.contains("was not asked"), "what it does not promise: {dry:?}");
    let dry = dry.ok();
    assert!(dry.contains("+ vault shop\n") && dry.contains("19 changes") && dry.contains("dry run"), "{dry}");
    assert_eq!(state(&server), before, "a dry run changes nothing");
    assert_eq!(server.keyless(["secret", "list", "shop"]).code, Some(1));

    let said = folder.run(&server, []).ok();
    for line in [
        "  + registration pipeline\n",
        "  + policy of app web in vault shop: secrets get,list\n",
        "  + settings of app web: +API_KEY +MODE\n",
        "[19/19] settings of app web: +API_KEY +MODE\n",
        "done: 19 changes\n",
    ] {
        assert!(said.contains(line), "{line}{said}");
    }
    assert_eq!((read(&server, "shop"), read(&server, "ledger")), (CANARIES[0].into(), CANARIES[0].into()));
    let told = server.keyless(["app", "settings", "list", "web"]).ok();
    assert!(told.contains("fast") && told.contains("(secret)"), "{told}");
    let group = server.keyless(["group", "member", "list", "operators"]).ok();
    assert!(group.contains("jobs") && group.contains("ada"), "{group}");

    let after = state(&server);
    let again = folder.run(&server, []).ok();
    assert!(again.starts_with("= nothing to do") && again.lines().count() == 1, "{again}");
    assert_eq!(state(&server), after, "a second run changes nothing");
    assert_eq!((versions(&server, "shop"), versions(&server, "ledger")), (1, 1));

    // Another value is one new version, where the file names it. It is valid for as long as the one before: the file cannot say that.
    let valid = ["secret", "update", "shop", "db", "--expires", "2090-01-31", "--not-before", "2020-01-31"];
    let _said = server.keyless(valid).ok();
    folder.write("files/db", CANARIES[1]);
    let steps = folder.steps(&server);
    let expected =
        ["change secret db in vault shop: a new version", "change secret db in vault ledger: a new version"];
    assert_eq!(steps, expected);
    assert_eq!((versions(&server, "shop"), versions(&server, "ledger")), (2, 2));
    assert_eq!(read(&server, "shop"), CANARIES[1]);
    let shown = server.keyless_json(["secret", "show", "shop", "db"]);
    assert!(shown.contains("text/plain") && shown.contains("owner"), "{shown}");
    assert!(shown.contains("3789504000") && shown.contains("1580428800"), "{shown}");
    folder.write("files/key", CANARIES[3]);
    assert_eq!(folder.steps(&server), ["change settings of app web: ~API_KEY"]);
    folder.change("MODE: fast", "MODE: slow");
    assert_eq!(folder.steps(&server), ["change settings of app web: ~MODE"]);
    folder.change("tags: {owner: shop}", "tags: {owner: us}");
    assert_eq!(folder.steps(&server), ["change secret db in vault shop: tags -owner=shop +owner=us"]);
    assert_eq!(versions(&server, "shop"), 2, "what is said of it is no new version");

    // What somebody else made stays, and so does what the file does not name any more.
    let _said = server.keyless(["app", "create", "other"]).ok();
    let _said = server.keyless(["app", "identity", "assign", "other"]).ok();
    let policy = ["vault", "policy", "set", "shop", "--app", "other", "--secrets", "get"];
    let _said = server.keyless(policy).ok();
    let _said = server.keyless(["app", "settings", "set", "web", "MINE=yes"]).ok();
    folder.change("{app: web, secrets: [get, list]}", "{app: web, secrets: [get]}");
    folder.change("    MODE: slow\n", "");
    folder.change(
        "subject: repo:octo/shop:environment:production",
        "subject: repo:octo/shop:ref:refs/heads/main",
    );
    assert_eq!(
        folder.steps(&server),
        [
            "change federated credential production of registration pipeline: subject",
            "change policy of app web in vault shop: secrets get,list -> get"
        ]
    );
    let vault = server.keyless_json(["vault", "show", "shop"]);
    assert!(vault.contains("\"other\""), "{vault}");
    let told = server.keyless(["app", "settings", "list", "web"]).ok();
    assert!(told.contains("MINE") && told.contains("slow"), "{told}");
    let federated = server.keyless_json(["app-registration", "federated", "list", "api://pipeline"]);
    assert!(federated.contains("refs/heads/main") && !federated.contains("environment"), "{federated}");
    assert!(folder.steps(&server).is_empty());

    no_canary("what was printed", folder.said.as_bytes());
    no_canary("the log", server.logs().as_bytes());
    let audit = server.keyless(["audit", "tail", "-n", "500"]).ok();
    assert!(audit.contains("secret.set") && audit.contains("vault.create"), "{audit}");
    no_canary("the audit log", audit.as_bytes());
    assert!(server.stop().success());
    no_canary_below(&server.data());
}

#[test]
fn what_cannot_be_is_said_before_anything_is_done() {
    let server = Server::start("apply-errors");
    let mut folder = Folder::make(server.place().join("stack"));
    let _said = server.keyless(["vault", "create", "kept", "--purge-protection"]).ok();
    let _said = server.keyless(["vault", "create", "gone"]).ok();
    let _said = server.keyless(["vault", "delete", "gone"]).ok();
    let before = state(&server);
    let mut refused = |text: &str, says: &str| {
        folder.write("stack.yaml", text);
        for more in ["--output=table", "--dry-run"] {
            let ended = folder.run(&server, [more]);
            assert_eq!(ended.code, Some(1), "{text}\n{}", ended.said());
            let errors = &ended.stderr;
            assert!(errors.contains(says) && errors.contains("Nothing was changed"), "{text}\n{errors}");
            no_canary("an error", ended.said().as_bytes());
        }
    };
    let secret = |member: &str| format!("vaults:\n- name: new\n  secrets:\n  - name: db\n    {member}\n");
    refused(
        "vaults:\n- name: new\n  retention: 7\n",
        "stack.yaml: line 3, column 3: `retention` is not known",
    );
    refused(
        &secret(&format!("value: {}", CANARIES[0])),
        "line 5, column 5: `value`: no value stands in this file",
    );
    refused(&secret("from_file: files/none"), "secret db in vault new: cannot read");
    refused("tenant: other.example\napps: [{name: new}]\n", "this server is keyless.localhost");
    refused("apps: [{name: new}]\nvaults: [{name: gone}]\n", "keyless vault recover gone");
    refused("apps: [{name: new}]\nvaults: [{name: kept, retention_days: 7}]\n", "cannot be 7");
    refused("apps: [{name: new}]\nvaults: [{name: kept, purge_protection: false}]\n", "switched off");
    refused("vaults: [{name: new, policies: [{app: none, secrets: [get]}]}]\n", "there is no app none");
    refused("vaults: [{name: new, allow_ip: [10.0.0.7/8]}]\n", "the other bits zero");
    refused(&format!("# {}\n", "x".repeat(1024 * 1024)), "at most 1048576 bytes");
    assert_eq!(state(&server), before);
    let administrator: Value = serde_json::from_str(&server.keyless_json(["vault", "show", "kept"])).unwrap();
    let administrator = administrator["policies"][0]["principal"].as_str().unwrap();
    let _said = server.keyless(["vault", "policy", "remove", "kept", "--principal", administrator]).ok();
    refused(
        "vaults: [{name: kept, secrets: [{name: db, from_file: files/db}]}]\n",
        "needs get, list and set",
    );

    // One that the server refuses in the middle: what was done stays, and the next run goes on.
    let twice = "registrations:\n- {name: a, identifier_uris: [\"api://one\"]}\n- {name: b, identifier_uris: [\"api://one\"]}\napps: [{name: web}]\n";
    folder.write("stack.yaml", twice);
    let ended = folder.run(&server, []);
    assert_eq!(ended.code, Some(1));
    for says in [
        "step 2 of 4 failed, registration b: ",
        "Done before it, and kept:\n    + registration a\n",
        "goes on from there",
    ] {
        assert!(ended.stderr.contains(says), "{says}\n{}", ended.said());
    }
    folder.change("b, identifier_uris: [\"api://one\"]", "b, identifier_uris: [\"api://two\"]");
    assert_eq!(folder.steps(&server), ["add registration b", "add app web", "add identity of app web"]);

    let by_hand = server.keyless_with(["apply", "-f", "-"], "apps: [{name: web}, {name: more}]\n").ok();
    assert!(by_hand.contains("standard input: 2 changes\n  + app more\n"), "{by_hand}");
}

#[test]
fn a_start_applies_a_file_before_it_is_ready() {
    let place = TemporaryDirectory::new("apply-up-stack");
    let folder = Folder::make(place.path().to_owned());
    folder.change("  - user: ada\n", "");
    let flags: &'static [&'static str] = Box::leak(Box::new(["--apply", folder.stack().leak()]));
    let mut server = Server::start_with("apply-up", flags);
    let words = server.first_words();
    let (done, ready) = (words.find("done: 18 changes").unwrap(), words.find("keyless is ready").unwrap());
    assert!(done < ready, "{words}");
    assert_eq!(read(&server, "shop"), CANARIES[0]);
    let mut app = App::start(&server, "web", "shop");
    assert_eq!(server.https().get_secret("shop", "db", &app.token()).status, 200);
    drop(app);
    assert!(server.stop().success());
    server.start_again();
    assert!(server.logs().contains("= nothing to do"), "{}", server.logs());
    no_canary("what the server said", server.logs().as_bytes());
    assert!(server.stop().success());

    // One that cannot be read starts no server; one that cannot be applied ends it, with the reason.
    let up = |code: i32, says: &str| {
        let mut command = server.command(["up"]);
        let child = command
            .args(flags)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let ended = Ended::from(wait::ended(child, Duration::from_secs(30), "the server"));
        // By which the unit of systemd knows that another start is for nothing.
        assert_eq!(ended.code, Some(code), "{}", ended.said());
        assert!(
            ended.stderr.contains(says) && !ended.stdout.contains("keyless is ready"),
            "{}",
            ended.said()
        );
        assert_ne!(server.keyless(["status"]).code, Some(0), "nothing runs");
    };
    folder.change("tenant: keyless.localhost", "tenant: other.example");
    up(78, "this server is keyless.localhost");
    folder.change("tenant: other.example", "tenants: other.example");
    up(78, "line 2, column 1: `tenants` is not known here");
    folder.change("tenants: other.example", "tenant: keyless.localhost");
    // A refusal of the server's, in the middle.
    folder.change("redirect_uris: [\"web=https", "redirect_uris: [\"web=http");
    up(78, "redirect");
    folder.change("redirect_uris: [\"web=http", "redirect_uris: [\"web=https");
    // A volume that is not there yet comes with another start.
    fs::remove_file(folder.place.join("files/db")).unwrap();
    up(1, "secret db in vault shop: cannot read");
}
