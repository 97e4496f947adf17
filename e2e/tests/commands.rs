//! The commands for a vault's objects, as a person or a script uses them.

use e2e::{Ended, Server, skip, wait};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A value that must be in no message. Not in any file either, unless it is there to hold secrets.
const CANARY: &str = "canary-7f1c9d";

fn json(ended: Ended) -> Value {
    serde_json::from_str(&ended.ok()).unwrap()
}

/// Refused, with these words, and without a value.
#[track_caller]
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.said());
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.said());
    }
    assert!(!ended.said().contains(CANARY), "{}", ended.said());
}

/// Does what a refusal says is to be done: its last line is a command.
fn obey(server: &Server, refused: &Ended) -> Ended {
    let line = refused.stderr.lines().last().unwrap().trim().strip_prefix("keyless ").unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    wait::output(server.command([]).args(words), b"").into()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A file for its owner only, as the documentation says.
fn private(server: &Server, name: &str, content: &str) {
    let path = server.place().join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn versions(server: &Server, vault: &str, name: &str) -> usize {
    json(server.keyless(["secret", "versions", vault, name, "-o", "json"])).as_array().unwrap().len()
}

fn value(server: &Server, vault: &str, name: &str) -> String {
    server.keyless(["secret", "get", vault, name]).ok()
}

#[test]
fn an_answer_that_is_cut_off_is_no_success_and_a_reader_that_leaves_is_none_of_it() {
    let server = Server::start("cut-off");
    server.vault_with("shop", "db", CANARY);
    let to = |target: &str, arguments: &str| -> Ended {
        let script = format!("\"$0\" {arguments} {target}");
        let keyless = server.command([]);
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", &script]).arg(keyless.get_program());
        shell.env_clear().envs(keyless.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wait::output(&mut shell, b"").into()
    };
    for shown in [
        "secret get shop db",
        "secret list shop",
        "secret show shop db -o json",
        "user create ada",
        "version",
    ] {
        refused(&to("> /dev/full", shown), 1, &["not all of the answer could be written"]);
        assert_eq!(to("> /dev/null", &shown.replace("ada", "bob")).code, Some(0), "{shown}");
    }
    let left = to("| true; echo ended", "secret list shop");
    assert!(left.stdout.contains("ended") && left.stderr.is_empty(), "{}", left.said());

    // A secret that is shown once is nobody's then.
    let script = "(sleep 1; \"$0\" user create eve; echo \"status $?\" >&2) | true";
    let unread = to("", &format!("version > /dev/null; {script}"));
    assert!(unread.stderr.contains("status 1"), "{}", unread.said());
    assert!(unread.stderr.contains("keyless user password eve@keyless.localhost --generate"));
    let closed = to(">&-", "user create cleo");
    assert!(closed.stderr.contains("nobody has it"), "{}", closed.said());
}

#[test]
fn what_is_not_there_and_what_changes_nothing_is_no_success() {
    let server = Server::start("nothing-done");
    server.vault_with("shop", "db", "one");
    for kind in ["secret", "key", "certificate"] {
        let list = format!("keyless {kind} list shop");
        refused(&server.keyless([kind, "versions", "shop", "no-such"]), 1, &["there is no", &list]);
    }
    // The version that counts stands last, whatever second the others were made in.
    for value in ["two", "three", "four"] {
        let _said = server.keyless_with(["secret", "set", "shop", "db"], value).ok();
        let shown = json(server.keyless(["secret", "show", "shop", "db", "-o", "json"]));
        let all = json(server.keyless(["secret", "versions", "shop", "db", "-o", "json"]));
        assert_eq!(all.as_array().unwrap().last().unwrap()["id"], shown["id"], "{all}");
    }
    // A certificate that was asked for and has not come is there, and has no version.
    let asked = ["certificate", "create", "shop", "later", "--issuer", "unknown"];
    let _said = server.keyless(asked).ok();
    let none = server.keyless(["certificate", "versions", "shop", "later"]);
    assert!(none.stderr.contains("certificate pending shop later"), "{}", none.said());
    assert_eq!(none.code, Some(0));

    let _said = server.keyless(["user", "create", "zoe"]).ok();
    let _said = server.keyless(["user", "create", "ada"]).ok();
    refused(&server.keyless(["user", "update", "ada"]), 2, &["--administrator"]);
    let made = server.keyless(["user", "update", "ada", "--administrator"]).ok();
    assert!(made.contains("administrator"), "{made}");
    let listed = server.keyless(["user", "list"]).ok();
    let lines: Vec<&str> = listed.lines().skip(1).collect();
    assert!(lines[0].starts_with("ada@") && lines[0].ends_with("yes"), "{listed}");
    assert!(lines[2].starts_with("zoe@") && lines[2].ends_with('-'), "{listed}");

    let _said = server.keyless(["app", "create", "web"]).ok();
    refused(&server.keyless(["app", "configure", "web"]), 2, &["--health"]);
    refused(&server.keyless(["app", "restart", "web"]), 1, &["nothing is deployed", "app deploy web"]);
    refused(&server.keyless(["app", "settings", "set", "web", "X=1", "X=2"]), 2, &["X is given twice"]);
    let delete = server.keyless(["app", "settings", "delete", "web", "X"]);
    refused(&delete, 1, &["keyless app settings list web"]);
    let _said = server.keyless(["app", "identity", "assign", "web"]).ok();
    let remove = ["vault", "policy", "remove", "shop", "--app", "web"];
    refused(&server.keyless(remove), 1, &["keyless vault policy list shop"]);

    let made = json(server.keyless(["group", "create", "readers", "-o", "json"]));
    let again = server.keyless(["group", "create", "Readers"]);
    refused(&again, 1, &["already", made["id"].as_str().unwrap()]);

    let made = json(server.keyless(["app-registration", "create", "api", "-o", "json"]));
    let id = made["client_id"].as_str().unwrap();
    let again = server.keyless(["app-registration", "create", "api"]);
    assert!(again.code == Some(0) && again.stderr.contains(id), "{}", again.said());
    refused(&server.keyless(["app-registration", "update", id]), 2, &["--token-version"]);
    let changed = server.keyless(["app-registration", "update", id, "--token-version", "2.0"]).ok();
    assert!(changed.contains("version 2.0"), "{changed}");
    for offer in ["role", "scope"] {
        let _said = server.keyless(["app-registration", offer, "add", id, "Read"]).ok();
        let _said = server.keyless(["app-registration", offer, "remove", id, "Read"]).ok();
        let gone = server.keyless(["app-registration", offer, "remove", id, "Read"]);
        refused(&gone, 1, &["has no", "keyless app-registration show"]);
    }
}

#[test]
fn a_deleted_secret_is_recovered_or_purged() {
    let server = Server::start("deleted");
    server.vault_with("shop", "db", "one");
    let _said = server.keyless_with(["secret", "set", "shop", "db"], "two").ok();
    let before = server.keyless(["secret", "versions", "shop", "db", "-o", "json"]).ok();

    let deleted = server.keyless(["secret", "delete", "shop", "db"]);
    assert!(deleted.stderr.contains("keyless secret recover shop db"), "{}", deleted.said());
    assert!(deleted.ok().contains("purged on"));
    refused(&server.keyless(["secret", "get", "shop", "db"]), 1, &["keyless secret deleted shop"]);
    let set = server.keyless_with(["secret", "set", "shop", "db"], CANARY);
    refused(&set, 1, &["keyless secret recover shop db", "keyless secret purge shop db"]);
    let listed = json(server.keyless(["secret", "deleted", "shop", "-o", "json"]));
    assert!(listed[0]["recoveryId"].as_str().unwrap().ends_with("/deletedsecrets/db"), "{listed}");
    assert!(listed[0]["scheduledPurgeDate"].as_i64() > listed[0]["deletedDate"].as_i64());

    let _said = server.keyless(["secret", "recover", "shop", "db"]).ok();
    assert_eq!(server.keyless(["secret", "versions", "shop", "db", "-o", "json"]).ok(), before);
    assert_eq!(value(&server, "shop", "db"), "two");

    // Who administers may not purge either, until it is said so; the refusal says how, and the words do it.
    let _said = server.keyless(["secret", "delete", "shop", "db"]).ok();
    let purge = server.keyless(["secret", "purge", "shop", "db"]);
    refused(&purge, 1, &["keyless vault policy set shop --principal "]);
    let said = obey(&server, &purge);
    assert!(said.code == Some(0), "{}", said.said());
    assert!(server.keyless(["secret", "purge", "shop", "db"]).code == Some(0));
    refused(&server.keyless(["secret", "recover", "shop", "db"]), 1, &["keyless secret deleted shop"]);
    let _said = server.keyless_with(["secret", "set", "shop", "db"], "three").ok();
    assert_eq!(versions(&server, "shop", "db"), 1);
}

#[test]
fn a_backup_restores_all_versions() {
    let server = Server::start("backup");
    server.vault_with("shop", "db", CANARY);
    let _said = server.keyless_with(["secret", "set", "shop", "db"], "two").ok();
    let _said = server.keyless(["vault", "create", "other"]).ok();
    let _said = server.keyless(["vault", "create", "third"]).ok();

    let _said = server.keyless(["secret", "backup", "shop", "db", "db.backup"]).ok();
    let file = server.place().join("db.backup");
    assert_eq!(mode(&file), 0o600);
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    refused(&server.keyless(["secret", "backup", "shop", "db", "db.backup"]), 1, &["--force"]);
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "it was kept");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _said = server.keyless(["secret", "backup", "shop", "db", "db.backup", "--force"]).ok();
    assert_eq!(mode(&file), 0o600);

    let _said = server.keyless(["secret", "restore", "other", "db.backup"]).ok();
    let ids = |vault| -> Vec<String> {
        let listed = json(server.keyless(["secret", "versions", vault, "db", "-o", "json"]));
        let of = |item: &Value| item["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(of).collect()
    };
    let (mut from, mut to) = (ids("shop"), ids("other"));
    from.sort();
    to.sort();
    assert_eq!((from.len(), &from), (2, &to));
    assert_eq!(value(&server, "other", "db"), "two");

    // Through a pipe, as bytes.
    let piped = wait::output(&mut server.command(["secret", "backup", "shop", "db", "-"]), b"");
    assert!(piped.status.success() && piped.stdout.len() > 100);
    let restored = wait::output(&mut server.command(["secret", "restore", "third", "-"]), &piped.stdout);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(value(&server, "third", "db"), "two");

    refused(
        &server.keyless(["secret", "restore", "shop", "db.backup"]),
        1,
        &["already exists", "another vault"],
    );
    let mut changed = bytes;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&file, changed).unwrap();
    let _said = server.keyless(["secret", "delete", "other", "db"]).ok();
    refused(&server.keyless(["secret", "restore", "third", "db.backup"]), 1, &["backup"]);
    let stranger = Server::start("backup-stranger");
    let _said = stranger.keyless(["vault", "create", "shop"]).ok();
    let foreign =
        wait::output(&mut stranger.command(["secret", "restore", "shop", "-"]), &piped.stdout).into();
    refused(&foreign, 1, &["only by the installation that made it"]);
}

#[test]
fn what_is_said_of_a_secret_is_changed_and_its_value_is_not() {
    let server = Server::start("described");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let set = [
        "secret",
        "set",
        "shop",
        "db",
        "--expires",
        "2099-01-31",
        "--not-before",
        "2026-01-01T00:00:00+01:00",
        "--content-type",
        "text/plain",
        "--tag",
        "team=a",
    ];
    let _said = server.keyless_with(set, CANARY).ok();
    let shown = json(server.keyless(["secret", "show", "shop", "db", "-o", "json"]));
    assert_eq!(shown["attributes"]["exp"], 4_073_500_800_i64, "{shown}");
    assert_eq!(shown["attributes"]["nbf"], 1_767_222_000_i64, "{shown}");
    let table = server.keyless(["secret", "show", "shop", "db"]).ok();
    assert!(table.contains("2099-01-31 00:00:00Z") && table.contains("team=a"), "{table}");
    assert!(!table.contains(CANARY) && !shown.to_string().contains(CANARY));

    let update = [
        "secret",
        "update",
        "shop",
        "db",
        "--disabled",
        "--tag",
        "owner=me",
        "--content-type",
        "x/y",
        "--expires",
        "90d",
    ];
    let updated = server.keyless(update).ok();
    assert!(
        updated.contains("owner=me") && !updated.contains("team=a") && updated.contains("x/y"),
        "{updated}"
    );
    // Described all the same, where its value cannot be read.
    refused(
        &server.keyless(["secret", "get", "shop", "db"]),
        1,
        &["disabled", "keyless secret update shop db --enabled"],
    );
    let shown = json(server.keyless(["secret", "show", "shop", "db", "-o", "json"]));
    let (exp, created) = (shown["attributes"]["exp"].as_i64(), shown["attributes"]["created"].as_i64());
    let left = exp.unwrap() - created.unwrap() - 90 * 86_400;
    assert!((0..120).contains(&left), "{shown}");
    let _said = server.keyless(["secret", "update", "shop", "db", "--enabled", "--no-tags"]).ok();
    assert_eq!(value(&server, "shop", "db"), CANARY);
    let shown = json(server.keyless(["secret", "show", "shop", "db", "-o", "json"]));
    assert_eq!((&shown["tags"], versions(&server, "shop", "db")), (&serde_json::json!({}), 1));

    // Of versions made in one second, the latest is the one that is served.
    for value in ["a", "b", "c", "d"] {
        let _said = server.keyless_with(["secret", "set", "shop", "quick"], value).ok();
    }
    let got = json(server.keyless(["secret", "get", "shop", "quick", "-o", "json"]));
    let shown = json(server.keyless(["secret", "show", "shop", "quick", "-o", "json"]));
    assert_eq!(shown["id"], got["secret"]["id"]);
}

/// As the SDKs' and `az`'s spellings tell secrets of a real vault.
fn azures() -> String {
    format!(
        r#"[{{"id":"https://old.vault.azure.net/secrets/db/0123456789abcdef0123456789abcdef","value":"{CANARY}\n\"two\"",
             "contentType":"text/plain","attributes":{{"enabled":true,"nbf":1700000000,"exp":4073587200,"created":1,"updated":2,
             "recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}},"tags":{{"team":"a"}}}},
            {{"attributes":{{"created":"2023-11-14T22:13:20+00:00","enabled":true,"expires":"9999-12-31T23:59:59+00:00","notBefore":null,
             "recoverableDays":90,"recoveryLevel":"Recoverable+Purgeable","updated":"2023-11-14T22:13:20+00:00"}},"contentType":"",
             "id":"https://old.vault.azure.net/secrets/api-key/01","kid":null,"managed":null,"name":"api-key","tags":{{}},"value":""}},
            {{"name":"tls","value":"MII=","managed":true,"kid":"https://old.vault.azure.net/keys/tls/01"}}]"#
    )
}

#[test]
fn secrets_move_in_from_a_file() {
    let server = Server::start("import");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    std::fs::write(server.place().join("dump.json"), azures()).unwrap();
    std::fs::set_permissions(server.place().join("dump.json"), std::fs::Permissions::from_mode(0o644))
        .unwrap();

    let dry = server.keyless(["secret", "import", "shop", "dump.json", "--dry-run"]);
    assert!(dry.stderr.contains("chmod 600") && dry.stderr.contains("Nothing was changed"), "{}", dry.said());
    assert!(!dry.said().contains(CANARY));
    assert_eq!(dry.ok().matches("create").count(), 2);
    assert_eq!(json(server.keyless(["secret", "list", "shop", "-o", "json"])), serde_json::json!([]));

    private(&server, "dump.json", &azures());
    let done = server.keyless(["secret", "import", "shop", "dump.json"]);
    assert!(!done.said().contains(CANARY) && !done.stderr.contains("chmod"), "{}", done.said());
    assert!(done.stderr.contains("2 written, 1 left to their certificates"), "{}", done.said());
    assert!(done.ok().contains("belongs to a certificate"));
    assert_eq!(value(&server, "shop", "db"), format!("{CANARY}\n\"two\""));
    assert_eq!(value(&server, "shop", "api-key"), "");
    let shown = json(server.keyless(["secret", "show", "shop", "db", "-o", "json"]));
    assert_eq!(
        (&shown["attributes"]["exp"], &shown["attributes"]["nbf"]),
        (&4_073_587_200_i64.into(), &1_700_000_000.into())
    );
    assert_eq!((&shown["contentType"], &shown["tags"]["team"]), (&"text/plain".into(), &"a".into()));
    let shown = json(server.keyless(["secret", "show", "shop", "api-key", "-o", "json"]));
    assert_eq!(shown["attributes"]["exp"], 253_402_300_799_i64);

    let again = server.keyless(["secret", "import", "shop", "dump.json"]);
    assert!(again.stderr.contains("0 written, 2 unchanged"), "{}", again.said());
    assert_eq!((again.code, versions(&server, "shop", "db")), (Some(0), 1));
}

#[test]
fn an_import_changes_what_is_there_only_when_told() {
    let server = Server::start("import-over");
    server.vault_with("shop", "db", "old");
    let dump = format!(r#"{{"name":"DB","value":"{CANARY}"}} {{"name":"new","value":"n"}}"#);
    private(&server, "dump.json", &dump);
    refused(
        &server.keyless(["secret", "import", "shop", "dump.json"]),
        1,
        &["--overwrite", "--keep", "nothing was changed"],
    );
    assert_eq!(json(server.keyless(["secret", "list", "shop", "-o", "json"])).as_array().unwrap().len(), 1);

    let told = json(server.keyless(["secret", "import", "shop", "dump.json", "--keep", "-o", "json"]));
    assert_eq!((&told[0]["step"], &told[0]["written"]), (&"keep".into(), &false.into()), "{told}");
    assert_eq!((&told[1]["step"], &told[1]["written"]), (&"create".into(), &true.into()), "{told}");
    assert_eq!(value(&server, "shop", "db"), "old");

    let over = server.keyless(["secret", "import", "shop", "dump.json", "--overwrite"]);
    assert!(over.ok().contains("value"));
    assert_eq!((value(&server, "shop", "db").as_str(), versions(&server, "shop", "db")), (CANARY, 2));

    // A deleted one is in the way whatever is said, and is said so before anything is written.
    let _said = server.keyless(["secret", "delete", "shop", "db"]).ok();
    private(&server, "dump.json", &dump.replace("\"n\"", "\"m\""));
    let blocked = server.keyless(["secret", "import", "shop", "dump.json", "--overwrite"]);
    assert!(blocked.stdout.contains("keyless secret recover shop DB"), "{}", blocked.said());
    refused(&blocked, 1, &["nothing was changed"]);
    assert_eq!(value(&server, "shop", "new"), "n");

    // What the vault refuses is told of that one, and the others are written.
    let mut app = server.command(["secret", "import", "shop", "-", "--overwrite"]);
    let ended: Ended =
        wait::output(&mut app, br#"[{"name":"new","value":"m"},{"name":"last","value":"l"}]"#).into();
    assert_eq!((ended.code, value(&server, "shop", "last").as_str()), (Some(0), "l"), "{}", ended.said());
}

#[test]
fn a_file_that_cannot_be_taken_in_changes_nothing() {
    let server = Server::start("import-bad");
    server.vault_with("shop", "db", "old");
    let long = "x".repeat(25_601);
    for (file, words) in [
        (String::new(), "empty"),
        (format!("\"{CANARY}\""), "neither"),
        (format!(r#"[{{"name":"a","value":"{CANARY}""#), "cut short"),
        (format!(r#"[{{"name":"a","value":"{CANARY}"}},{{"name":"b","value":["{CANARY}"]}}]"#), "wrong type"),
        (format!(r#"[{{"name":"a","value":"{CANARY}"}},{{"name":"A","value":"x"}}]"#), "there before"),
        (format!(r#"[{{"name":"a","value":"{CANARY}"}},{{"name":"b_c","value":"x"}}]"#), "secret 2"),
        (format!(r#"[{{"name":"a","value":"{CANARY}"}},{{"name":"b"}}]"#), "no value"),
        (format!(r#"[{{"name":"a","value":"{CANARY}"}},{{"name":"b","value":"{long}"}}]"#), "25600"),
    ] {
        private(&server, "dump.json", &file);
        let ended = server.keyless(["secret", "import", "shop", "dump.json", "--overwrite"]);
        refused(&ended, 1, &[words, "nothing was changed"]);
    }
    let listed = json(server.keyless(["secret", "list", "shop", "-o", "json"]));
    assert_eq!((listed.as_array().unwrap().len(), versions(&server, "shop", "db")), (1, 1));
}

#[test]
fn secrets_move_out_into_a_private_file() {
    let server = Server::start("export");
    server.vault_with("shop", "db", CANARY);
    for n in 0..30 {
        let name = format!("s-{n}");
        let set = ["secret", "set", "shop", &name, "--tag", "a=b", "--expires", "9999-12-31T23:59:59Z"];
        let _said = server.keyless_with(set, "line\nline \u{1}\"ü\"").ok();
    }
    let _said = server.keyless_with(["secret", "set", "shop", "off", "--disabled"], "x").ok();

    let export = server.keyless(["secret", "export", "shop", "dump.json"]);
    for words in ["IN CLEAR", "off is left out", "31 written, 1 left out"] {
        assert!(export.stderr.contains(words), "{}", export.said());
    }
    assert!(!export.said().contains(CANARY));
    let file = server.place().join("dump.json");
    assert_eq!(mode(&file), 0o600);
    let held: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((held.as_array().unwrap().len(), &held[0]["value"]), (31, &CANARY.into()));
    refused(&server.keyless(["secret", "export", "shop", "dump.json"]), 1, &["--force"]);

    // Elsewhere, and back: nothing is lost on the way.
    let other = Server::start("export-other");
    let _said = other.keyless(["vault", "create", "shop"]).ok();
    let path = file.to_str().unwrap();
    let moved = other.keyless(["secret", "import", "shop", path]);
    assert!(moved.stderr.contains("31 written"), "{}", moved.said());
    let back = other.keyless(["secret", "export", "shop", "-"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), held);
    private(&server, "back.json", &back);
    let same = server.keyless(["secret", "import", "shop", "back.json"]);
    assert!(same.stderr.contains("0 written, 31 unchanged"), "{}", same.said());

    // Who may read and not write is told once, and what was not tried.
    let shown = json(other.keyless(["vault", "show", "shop", "-o", "json"]));
    let principal = shown["policies"][0]["principal"].as_str().unwrap();
    let reader = ["vault", "policy", "set", "shop", "--principal", principal, "--secrets", "get,list"];
    let _said = other.keyless(reader).ok();
    private(
        &other,
        "new.json",
        r#"[{"name":"n","value":"1"},{"name":"m","value":"2"},{"name":"db","value":"3"}]"#,
    );
    let failed = other.keyless(["secret", "import", "shop", "new.json", "--overwrite"]);
    refused(&failed, 1, &["0 written, 1 failed, 2 not tried", "--secrets get,list,set"]);

    // Without the verb to read them there is no file: half of one would be taken for the whole.
    let shown = json(server.keyless(["vault", "show", "shop", "-o", "json"]));
    let principal = shown["policies"][0]["principal"].as_str().unwrap();
    let _said = server
        .keyless(["vault", "policy", "set", "shop", "--principal", principal, "--secrets", "list,set"])
        .ok();
    refused(
        &server.keyless(["secret", "export", "shop", "none.json"]),
        1,
        &["keyless vault policy set shop"],
    );
    assert!(!server.place().join("none.json").exists());
}

#[test]
fn a_key_is_used_and_stays_in_the_vault() {
    let server = Server::start("keys");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let made = server
        .keyless(["key", "create", "shop", "sig", "--type", "ec", "--curve", "P-384", "--ops", "sign,verify"])
        .ok();
    assert!(made.contains("EC P-384") && made.contains("sign, verify"), "{made}");

    // A file larger than a request may be: its digest is what is sent.
    let document = "d".repeat(3_000_000);
    private(&server, "document", &document);
    let sign = ["key", "sign", "shop", "sig", "--algorithm", "ES384", "--file", "document"];
    let signature = server.keyless(sign).ok();
    private(&server, "signature", &signature);
    let verify =
        ["key", "verify", "shop", "sig", "--algorithm", "ES384", "--signature", "signature", "--encoded"];
    assert!(server.keyless_with(verify, &document).ok().contains("valid"));
    refused(&server.keyless_with(verify, &document.replacen('d', "e", 1)), 1, &["not valid"]);
    let other = ["key", "sign", "shop", "sig", "--algorithm", "RS256", "--file", "document"];
    refused(&server.keyless(other), 1, &["RS256"]);
    let encrypt = ["key", "encrypt", "shop", "sig", "--algorithm", "RSA-OAEP"];
    assert_eq!(server.keyless_with(encrypt, CANARY).code, Some(1));

    // Back as it was: as bytes by files, as text by pipes.
    let _said = server.keyless(["key", "create", "shop", "rsa"]).ok();
    let seal = ["key", "encrypt", "shop", "rsa", "--algorithm", "RSA-OAEP-256"];
    let sealed = server.keyless_with(seal, CANARY).ok();
    let open = ["key", "decrypt", "shop", "rsa", "--algorithm", "RSA-OAEP-256", "--encoded", "--out", "-"];
    assert_eq!(server.keyless_with(open, &sealed).ok(), CANARY);
    let wrap = ["key", "wrap", "shop", "rsa", "--algorithm", "RSA-OAEP", "--out", "wrapped"];
    let _said = server.keyless_with(wrap, "0123456789abcdef").ok();
    assert_eq!(std::fs::metadata(server.place().join("wrapped")).unwrap().len(), 256);
    let unwrap =
        ["key", "unwrap", "shop", "rsa", "--algorithm", "RSA-OAEP", "--file", "wrapped", "--out", "-"];
    assert_eq!(server.keyless(unwrap).ok(), "0123456789abcdef");
    let _said = server.keyless(["key", "create", "shop", "aes", "--type", "oct", "--size", "256"]).ok();
    let gcm = json(
        server
            .keyless_with(["key", "encrypt", "shop", "aes", "--algorithm", "A256GCM", "-o", "json"], CANARY),
    );
    let [value, iv, tag] = ["value", "iv", "tag"].map(|name| gcm[name].as_str().unwrap());
    let open = |tag: &str| {
        let open = [
            "key",
            "decrypt",
            "shop",
            "aes",
            "--algorithm",
            "A256GCM",
            "--encoded",
            "--iv",
            iv,
            "--tag",
            tag,
            "--out",
            "-",
        ];
        server.keyless_with(open, value)
    };
    assert_eq!(open(tag).ok(), CANARY);
    refused(&open("AAAAAAAAAAAAAAAAAAAAAA"), 1, &[]);

    // What is said of it, and what it may.
    let shown = server.keyless(["key", "show", "shop", "aes", "-o", "json"]).ok();
    assert!(!shown.contains("\"k\""), "{shown}");
    let _said = server.keyless(["key", "update", "shop", "rsa", "--ops", "sign,verify"]).ok();
    refused(&server.keyless_with(seal, CANARY), 1, &["keyless key update shop rsa --ops"]);
    let _said = server.keyless(["key", "update", "shop", "sig", "--disabled"]).ok();
    refused(&server.keyless(sign), 1, &["keyless key update shop sig --enabled"]);
}

/// Of `openssl genpkey`, made for this test; with the coordinates that openssl says it has.
const PEM: &str = include_str!("ec-p256.pem");
const POINT: [&str; 2] =
    ["WKY6vXAxoA36ZRN6Ax6Tc_IM7v6NxhvFSNEpSH_5Z_g", "zXYdI6Qdhgdeni7q-YzsxMEGRphrzhx072CiV7rZL8I"];

#[test]
fn a_key_from_a_file_is_that_key_and_comes_back_from_its_backup() {
    let server = Server::start("key-files");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let _said = server.keyless(["vault", "create", "other"]).ok();
    let imported = json(server.keyless_with(["key", "import", "shop", "sig", "-", "-o", "json"], PEM));
    assert_eq!([&imported["key"]["x"], &imported["key"]["y"]], POINT);
    let sign = server
        .keyless_with(["key", "sign", "shop", "sig", "--algorithm", "ES256", "--out", "signature"], "text");
    let _said = sign.ok();

    let rotated = server.keyless(["key", "rotate", "shop", "sig"]).ok();
    assert!(rotated.contains("EC P-256"), "{rotated}");
    assert_eq!(
        json(server.keyless(["key", "versions", "shop", "sig", "-o", "json"])).as_array().unwrap().len(),
        2
    );
    let policy =
        ["key", "rotation-policy", "set", "shop", "sig", "--rotate-after", "90d", "--expires-after", "1y"];
    assert!(server.keyless(policy).ok().contains("P90D after it was made"));
    let policy = json(server.keyless(["key", "rotation-policy", "show", "shop", "sig", "-o", "json"]));
    assert_eq!(policy["attributes"]["expiryTime"], "P1Y", "{policy}");

    let _said = server.keyless(["key", "backup", "shop", "sig", "key.backup"]).ok();
    let _said = server.keyless(["key", "restore", "other", "key.backup"]).ok();
    // A secret's command does not take it.
    refused(
        &server.keyless(["secret", "restore", "other", "key.backup"]),
        1,
        &["only as what it is: a secret"],
    );
    let version = imported["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap();
    let verify = [
        "key",
        "verify",
        "other",
        "sig",
        "--version",
        version,
        "--algorithm",
        "ES256",
        "--signature",
        "signature",
    ];
    assert!(server.keyless_with(verify, "text").ok().contains("valid"));

    let _said = server.keyless(["key", "delete", "shop", "sig"]).ok();
    let purge = server.keyless(["key", "purge", "shop", "sig"]);
    refused(&purge, 1, &["--keys all"]);
    let _said = obey(&server, &purge).ok();
    assert_eq!(server.keyless(["key", "purge", "shop", "sig"]).code, Some(0));
    for bad in
        [PEM.replace("PRIVATE KEY", "EC PRIVATE KEY"), PEM.replace('M', "N"), "{\"kty\":\"EC\"}".into()]
    {
        assert_eq!(server.keyless_with(["key", "import", "shop", "bad", "-"], &bad).code, Some(1), "{bad}");
    }
}

#[test]
fn a_certificate_comes_with_its_key_and_moves_by_a_file() {
    let server = Server::start("certificates");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let _said = server.keyless(["vault", "create", "other"]).ok();
    let create = [
        "certificate",
        "create",
        "shop",
        "tls",
        "--subject",
        "CN=shop.example",
        "--san-dns",
        "shop.example",
        "--san-dns",
        "www.shop.example",
        "--key-type",
        "ec",
        "--months",
        "3",
        "--tag",
        "team=a",
        "-o",
        "json",
    ];
    let made = json(server.keyless(create));
    assert_eq!(
        made["policy"]["x509_props"]["sans"]["dns_names"],
        serde_json::json!(["shop.example", "www.shop.example"])
    );
    assert_eq!((&made["policy"]["issuer"]["name"], &made["tags"]["team"]), (&"Self".into(), &"a".into()));
    assert!(server.keyless(["key", "show", "shop", "tls"]).ok().contains("EC P-256"));
    assert!(server.keyless(["secret", "list", "shop"]).ok().contains("(certificate)"));
    refused(&server.keyless(["secret", "delete", "shop", "tls"]), 1, &["certificate tls"]);
    let thumbprint = |vault: &str, name: &str| {
        json(server.keyless(["certificate", "show", vault, name, "-o", "json"]))["x5t"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    // Alone it is public; with its key it is a private file, and the same certificate elsewhere.
    let alone = server.keyless(["certificate", "download", "shop", "tls", "-"]).ok();
    assert!(alone.starts_with("-----BEGIN CERTIFICATE-----") && !alone.contains("PRIVATE"), "{alone}");
    for (form, file) in [("pem", "tls.pem"), ("pfx", "tls.pfx")] {
        let download = ["certificate", "download", "shop", "tls", file, "--with-key", "--format", form];
        let told = server.keyless(download);
        assert!(told.code == Some(0) && told.stderr.contains("in clear"), "{}", told.said());
        assert_eq!(mode(&server.place().join(file)), 0o600);
        refused(&server.keyless(download), 1, &["--force"]);
        let imported = server.keyless(["certificate", "import", "other", form, file]);
        assert!(imported.ok().contains("CN=shop.example"));
        assert_eq!(thumbprint("other", form), thumbprint("shop", "tls"));
    }
    refused(
        &server.keyless(["certificate", "download", "shop", "tls", "f", "--format", "pfx"]),
        2,
        &["--with-key"],
    );

    // The vault's own authority signs, once an issuer stands for it.
    let own = ["certificate", "create", "shop", "own", "--issuer", "keyless"];
    refused(&server.keyless(own), 1, &["keyless certificate issuer set shop keyless --provider Keyless"]);
    let set = ["certificate", "issuer", "set", "shop", "keyless", "--provider", "Keyless"];
    let _said = server.keyless(set).ok();
    assert!(server.keyless(own).ok().contains("CN=own"));
    assert!(server.keyless(["certificate", "issuer", "list", "shop"]).ok().contains("Keyless"));

    // Out of service, deleted, back, and by a backup into another vault.
    let _said = server.keyless(["certificate", "update", "shop", "tls", "--disabled"]).ok();
    let listed = json(server.keyless(["certificate", "list", "shop", "-o", "json"]));
    let enabled: Vec<_> =
        listed.as_array().unwrap().iter().map(|item| item["attributes"]["enabled"] == true).collect();
    assert_eq!(enabled, [true, false], "own, tls: {listed}");
    let _said = server.keyless(["certificate", "delete", "shop", "tls"]).ok();
    assert!(server.keyless(["certificate", "deleted", "shop"]).ok().contains("tls"));
    let _said = server.keyless(["certificate", "recover", "shop", "tls"]).ok();
    let _said = server.keyless(["certificate", "backup", "shop", "tls", "tls.backup"]).ok();
    let _said = server.keyless(["certificate", "restore", "other", "tls.backup"]).ok();
    assert_eq!(thumbprint("other", "tls"), thumbprint("shop", "tls"));

    refused(&server.keyless(["certificate", "contacts", "show", "shop"]), 1, &["contacts set shop"]);
    let _said = server.keyless(["certificate", "contacts", "set", "shop", "a@example.org"]).ok();
    assert!(server.keyless(["certificate", "contacts", "show", "shop"]).ok().contains("a@example.org"));
}

#[test]
fn a_certificate_signed_elsewhere_is_merged() {
    let openssl = |server: &Server, line: &str| {
        let mut command = std::process::Command::new("openssl");
        let done = command.current_dir(server.place()).args(line.split(' ')).output();
        done.is_ok_and(|done| done.status.success())
    };
    let server = Server::start("merge");
    if !openssl(&server, "version") {
        return skip("an authority outside: needs openssl");
    }
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let asked = server.keyless([
        "certificate",
        "create",
        "shop",
        "tls",
        "--issuer",
        "unknown",
        "--subject",
        "CN=shop.example",
    ]);
    assert!(asked.stderr.contains("keyless certificate merge shop tls"), "{}", asked.said());
    let shown = server.keyless(["certificate", "show", "shop", "tls"]).ok();
    assert!(shown.contains("was asked for, and is not there"), "{shown}");
    // It is found, deleted and brought back like any other.
    let list = |what: &str| server.keyless(["certificate", what, "shop"]).ok();
    assert!(list("list").contains("tls") && !list("deleted").contains("tls"));
    let _said = server.keyless(["certificate", "delete", "shop", "tls"]).ok();
    assert!(!list("list").contains("tls") && list("deleted").contains("tls"));
    let _said = server.keyless(["certificate", "recover", "shop", "tls"]).ok();
    // Nothing is taken for it before it is there.
    for form in ["pem", "der"] {
        let early = ["certificate", "download", "shop", "tls", "early", "--format", form];
        let early = server.keyless(early);
        assert!(
            early.code == Some(1) && early.stderr.contains("was asked for, and is not there"),
            "{}",
            early.said()
        );
    }
    assert!(!server.place().join("early").exists());
    let _said = server.keyless(["certificate", "pending", "shop", "tls", "--csr", "tls.csr.pem"]).ok();
    assert!(openssl(
        &server,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 9"
    ));
    assert!(openssl(
        &server,
        "x509 -req -in tls.csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out signed.pem -days 5"
    ));
    refused(&server.keyless(["certificate", "merge", "shop", "tls", "ca.pem"]), 1, &["does not belong"]);
    let merged = server.keyless(["certificate", "merge", "shop", "tls", "signed.pem"]).ok();
    assert!(merged.contains("CN=shop.example"), "{merged}");
    assert!(server.keyless(["certificate", "pending", "shop", "tls"]).ok().contains("completed"));
    // With its key and a password, as other programs keep it.
    private(&server, "password", "correct horse\n");
    assert!(openssl(&server, "pkcs12 -export -in ca.pem -inkey ca.key -out ca.pfx -passout file:password"));
    refused(&server.keyless(["certificate", "import", "shop", "ca", "ca.pfx"]), 1, &["password"]);
    let import = ["certificate", "import", "shop", "ca", "ca.pfx", "--password-file", "password"];
    assert!(server.keyless(import).ok().contains("CN=ca"));
}
