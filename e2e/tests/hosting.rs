//! Hosted apps: deployed, supervised, replaced without a gap, kept apart, ended; each through the command line and the app's own host name.

pub(crate) mod programs;

use e2e::{Answer, Server, TemporaryDirectory, settings, skip, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const RESOURCE: &str = "https%3A%2F%2Fvault.keyless.localhost";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with hosted apps, which end with this value.
pub(crate) struct Hosts {
    pub(crate) server: Server,
    pub(crate) packages: TemporaryDirectory,
}

impl Hosts {
    pub(crate) fn start(name: &str) -> Self {
        Self::of(Server::start(name), name)
    }

    pub(crate) fn of(server: Server, name: &str) -> Self {
        Self { server, packages: TemporaryDirectory::new(&format!("{name}-packages")) }
    }

    /// A folder with the app of the scenarios and these files besides.
    pub(crate) fn package(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.packages.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("app.py"), include_str!("hosting/app.py")).unwrap();
        for (file, text) in files {
            std::fs::write(folder.join(file), text).unwrap();
        }
        folder
    }

    pub(crate) fn deploy(&self, app: &str, folder: &Path) -> Value {
        let told = self.server.keyless_json(["app", "deploy", app, "--dir", &folder.to_string_lossy()]);
        serde_json::from_str(&told).unwrap()
    }

    pub(crate) fn show(&self, app: &str) -> Value {
        serde_json::from_str(&self.server.keyless_json(["app", "show", app])).unwrap()
    }

    pub(crate) fn get(&self, app: &str, target: &str) -> Answer {
        let host = format!("{app}.apps.keyless.localhost");
        self.server.https().send("GET", &host, target, &[], "").unwrap()
    }

    pub(crate) fn ask(&self, app: &str, target: &str) -> Value {
        let answer = self.get(app, target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// The processes of an app's instances that serve.
    pub(crate) fn processes(&self, app: &str) -> Vec<u32> {
        processes(&self.show(app))
    }

    pub(crate) fn settled(&self, app: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait::until(what, PATIENCE, || {
            last = self.show(app)["hosted"].clone();
            is_so(&last)
        });
        last
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let listed = self.server.keyless(["app", "list", "-o", "json"]);
        let apps: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        for app in apps.as_array().into_iter().flatten() {
            if let Some(name) = app["name"].as_str() {
                let _ended = self.server.keyless(["app", "delete", name]);
            }
        }
        // Its cgroups go with the last process.
        let folder = self.server.place().join("data-apps");
        let ended = || std::fs::read_dir(&folder).map_or(0, |all| all.flatten().filter(is_app).count()) == 0;
        let began = std::time::Instant::now();
        while !ended() && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A data directory was moved with its apps, and is spelled with a slash: they go on there, as after a terminal that was closed.
#[test]
fn apps_go_with_a_data_directory_that_is_moved() {
    if needs_root() {
        return;
    }
    let mut hosts = Hosts::start("hosting-moved");
    let folder = hosts.package("one", &[]);
    let _told = hosts.deploy("web", &folder);
    let place = hosts.server.place().to_owned();
    let rename = |from: &str, to: &str| {
        for end in ["", "-apps"] {
            std::fs::rename(place.join(format!("{from}{end}")), place.join(format!("{to}{end}"))).unwrap();
        }
    };
    let _ended = hosts.server.stop();
    rename("data", "moved");
    let moved = |arguments: [&str; 5]| {
        let mut command = hosts.server.command(arguments);
        command.env("KEYLESS_DATA_DIR", place.join("moved/"));
        command
    };
    let out = std::fs::File::create(place.join("moved.stdout")).unwrap();
    let mut up = moved(["up", "--log-filter", "info", "--log-format", "human"]);
    let mut up = up.stdout(out).spawn().unwrap();
    wait::until("the server to be ready", PATIENCE, || {
        std::fs::read_to_string(place.join("moved.stdout")).is_ok_and(|said| said.contains("is ready"))
    });
    let package = folder.to_string_lossy();
    let deployed = wait::output(&mut moved(["app", "deploy", "web", "--dir", &package]), b"");
    assert!(deployed.status.success(), "{deployed:?}");
    assert!(!place.join("moved/-apps").exists());
    let shown = wait::output(&mut moved(["app", "show", "web", "-o", "json"]), b"");
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let process = processes(&shown)[0];
    e2e::server::signal(&up, if ignores_hangup() { Signal::TERM } else { Signal::HUP });
    assert!(wait::for_end(&mut up, PATIENCE, "the server").success());
    assert!(is_alive(process), "apps run on");
    rename("moved", "data");
    hosts.server.start_again();
    let _told = hosts.deploy("web", &folder);
    assert_eq!(hosts.ask("web", "/who")["version"], "1");

    // Who follows its log hears of its end.
    let mut follow = hosts.server.command(["app", "logs", "web", "--follow"]);
    let mut follow = follow.stdout(std::process::Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(follow.try_wait().unwrap().is_none());
    let _said = hosts.server.keyless(["app", "delete", "web"]).ok();
    assert!(wait::for_end(&mut follow, PATIENCE, "the log").success());
}

/// Do we, and so what we start, as under `nohup`?
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

/// The folder of an app; the others are ours.
fn is_app(entry: &std::fs::DirEntry) -> bool {
    entry.path().is_dir()
}

pub(crate) fn needs_root() -> bool {
    if !settings::is_root() {
        skip("hosted apps under accounts of their own: needs root");
        return true;
    }
    false
}

pub(crate) fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
        && !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

pub(crate) fn ready(hosted: &Value) -> usize {
    hosted["instances"].as_array().unwrap().iter().filter(|one| one["state"] == "ready").count()
}

/// Is one ready, started for what is wanted now, and are those of before over? They are told as long as they are.
pub(crate) fn is_renewed(hosted: &Value) -> bool {
    let instances = hosted["instances"].as_array().unwrap();
    ready(hosted) == 1 && instances.len() == 1 && instances[0]["revision"] == hosted["revision"]
}

/// The processes of the instances that serve, of an app as it is shown. Others may have been asked to end already.
fn processes(shown: &Value) -> Vec<u32> {
    let serving =
        shown["hosted"]["instances"].as_array().unwrap().iter().filter(|one| one["state"] == "ready");
    serving.map(|one| u32::try_from(one["process"].as_u64().unwrap()).unwrap()).collect()
}

#[test]
fn an_app_lives_from_its_deployment_to_its_end() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-life");
    let folder = hosts.package("one", &[]);
    let told = hosts.deploy("web", &folder);
    assert_eq!(told["hosted"]["runtime"], "python", "{told}");
    assert_eq!(told["hosted"]["enforced"], true, "{told}");
    assert!(told["identity"]["principal"].is_string(), "an app that is deployed gets an identity: {told}");
    let who = hosts.ask("web", "/who");
    assert!(who["uid"].as_u64().unwrap() >= 1_879_048_192, "an account of its own: {who}");
    assert_eq!(who["groups"], json!([]), "{who}");

    // Killed, it comes back by itself.
    let before = hosts.processes("web");
    assert!(Command::new("kill").args(["-9", &before[0].to_string()]).status().unwrap().success());
    hosts.settled("web", "another instance", |hosted| {
        ready(hosted) == 1 && hosted["instances"][0]["process"].as_u64() != Some(u64::from(before[0]))
    });
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
    let log = hosts.server.keyless(["app", "logs", "web"]).ok();
    assert!(log.contains("version 1 listens") && log.contains("killed by signal 9"), "{log}");

    let scaled = hosts.server.keyless_json(["app", "scale", "web", "3"]);
    assert!(scaled.contains("\"wanted\": 3") || scaled.contains("\"wanted\":3"), "{scaled}");
    let three = hosts.processes("web");
    assert_eq!(three.len(), 3);
    let answered: std::collections::BTreeSet<_> =
        (0..12).map(|_| hosts.ask("web", "/who")["pid"].to_string()).collect();
    assert_eq!(answered.len(), 3, "each has its turn: {answered:?}");

    let _said = hosts.server.keyless(["app", "stop", "web"]).ok();
    assert_eq!(hosts.get("web", "/who").status, 403);
    wait::until("all instances ended", PATIENCE, || three.iter().all(|pid| !is_alive(*pid)));
    let _said = hosts.server.keyless(["app", "start", "web"]).ok();
    assert_eq!(hosts.ask("web", "/who")["version"], "1");

    let last = hosts.processes("web");
    let _said = hosts.server.keyless(["app", "delete", "web"]).ok();
    wait::until("nothing of it is left", PATIENCE, || {
        last.iter().all(|pid| !is_alive(*pid))
            && std::fs::read_dir(hosts.server.place().join("data-apps"))
                .unwrap()
                .flatten()
                .filter(is_app)
                .count()
                == 0
    });
    assert_eq!(hosts.get("web", "/who").status, 404);
}

#[test]
fn another_version_takes_over_without_a_failed_request() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-replace");
    let versions = ["one", "two", "three"];
    let folders: Vec<_> = versions
        .iter()
        .map(|version| {
            let text = include_str!("hosting/app.py")
                .replace("\"VERSION_OF\", \"1\"", &format!("\"VERSION_OF\", \"{version}\""));
            hosts.package(version, &[("app.py", &text)])
        })
        .collect();
    hosts.deploy("web", &folders[0]);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let users: Vec<_> = (0..4)
        .map(|_| {
            let (https, stop, asked) = (hosts.server.https(), stop.clone(), asked.clone());
            thread::spawn(move || {
                let mut seen = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let answer = https.send("GET", "web.apps.keyless.localhost", "/who", &[], "").unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let version = answer.json()["version"].as_str().unwrap().to_owned();
                    if seen.last() != Some(&version) {
                        seen.push(version);
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                seen
            })
        })
        .collect();
    for folder in &folders[1..] {
        hosts.deploy("web", folder);
    }
    let _said = hosts.server.keyless(["app", "restart", "web"]).ok();
    let _said = hosts.server.keyless(["app", "settings", "set", "web", "MORE=1"]).ok();
    hosts.settled("web", "the settings are there", is_renewed);
    stop.store(true, Ordering::SeqCst);
    for user in users {
        let seen = user.join().unwrap();
        assert_eq!(seen.last().map(String::as_str), Some("three"), "{seen:?}");
    }
    assert!(asked.load(Ordering::SeqCst) > 50, "there was load");
    assert_eq!(hosts.ask("web", "/env")["MORE"], "1");
    // This app waits for its connections before it ends.
    assert!(!hosts.server.keyless(["app", "logs", "web"]).ok().contains("did not end in time"));
}

#[test]
fn one_that_does_not_start_leaves_the_old_one_serving_and_says_why() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-broken");
    hosts.deploy("web", &hosts.package("good", &[]));
    let broken =
        hosts.package("broken", &[("app.py", "import sys\nprint('no database', flush=True)\nsys.exit(3)\n")]);
    let told = hosts.server.keyless(["app", "deploy", "web", "--dir", &broken.to_string_lossy()]);
    assert_ne!(told.code, Some(0));
    assert!(told.stderr.contains("exited with status 3"), "{}", told.said());
    assert_eq!(hosts.ask("web", "/who")["version"], "1", "the version before goes on");
    assert!(hosts.server.keyless(["app", "logs", "web"]).ok().contains("no database"));
    let failing =
        hosts.settled("web", "it is tried again, and again", |hosted| hosted["failures"].as_u64() >= Some(4));
    assert!(failing["last_failure"].as_str().unwrap().contains("status 3"), "{failing}");
    // Another bad one: what serves keeps its files, however much was deployed since.
    let broken = hosts.package("broken-too", &[("app.py", "import sys\nsys.exit(4)\n")]);
    let told = hosts.server.keyless(["app", "deploy", "web", "--dir", &broken.to_string_lossy()]);
    assert!(told.stderr.contains("exited with status 4"), "{}", told.said());
    assert!(hosts.ask("web", "/read?path=app.py")["read"].is_string());
    // A better one is started at once, whatever failed before it.
    hosts.deploy("web", &hosts.package("better", &[("more", "")]));
    assert_eq!(hosts.show("web")["hosted"]["failures"], 0);

    let no_start = hosts.packages.path().join("nothing");
    std::fs::create_dir_all(&no_start).unwrap();
    std::fs::write(no_start.join("README"), "nothing to run").unwrap();
    let told = hosts.server.keyless(["app", "deploy", "web", "--dir", &no_start.to_string_lossy()]);
    assert!(told.code != Some(0) && told.stderr.contains("does not say what to start"), "{}", told.said());
    let no_zip = hosts.packages.path().join("no.zip");
    std::fs::write(&no_zip, "this is no zip").unwrap();
    let told = hosts.server.keyless(["app", "deploy", "web", "--zip", &no_zip.to_string_lossy()]);
    assert!(told.code != Some(0) && told.stderr.contains("zip"), "{}", told.said());
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
}

/// Whoever hangs up in the middle of a package has deployed nothing, and keeps nobody else from it; what came to nothing goes with the app.
#[test]
fn a_package_that_does_not_arrive_is_none() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-upload");
    let _said = hosts.server.keyless(["app", "create", "web"]).ok();
    let mut socket = std::os::unix::net::UnixStream::connect(hosts.server.data().join("admin.sock")).unwrap();
    let head = "POST /v1/apps/web/deployments HTTP/1.1\r\nHost: keyless\r\nContent-Type: application/zip\r\nContent-Length: 1000\r\n\r\nPK";
    std::io::Write::write_all(&mut socket, head.as_bytes()).unwrap();
    let folder = hosts.server.place().join("data-apps");
    let files = || -> Vec<PathBuf> {
        let apps = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let inside = |app: PathBuf| std::fs::read_dir(app).into_iter().flatten().flatten();
        apps.filter(|app| app.is_dir()).flat_map(inside).map(|entry| entry.path()).collect()
    };
    let zips = || files().iter().filter(|file| file.extension().is_some_and(|kind| kind == "zip")).count();
    wait::until("the package begins to arrive", PATIENCE, || zips() == 1);
    let package = hosts.package("one", &[]);
    let busy = hosts.server.keyless(["app", "deploy", "web", "--dir", &package.to_string_lossy()]);
    assert!(busy.stderr.contains("another deployment"), "{}", busy.said());
    drop(socket);
    wait::until("it is given up", PATIENCE, || zips() == 0);
    // Stopped before anything was deployed: it stays so.
    let _said = hosts.server.keyless(["app", "stop", "web"]).ok();
    let stopped = hosts.server.keyless(["app", "deploy", "web", "--dir", &package.to_string_lossy()]);
    assert!(stopped.stderr.contains("keyless app start web"), "{}", stopped.said());
    assert_eq!(hosts.get("web", "/who").status, 403);
    let _said = hosts.server.keyless(["app", "delete", "web"]).ok();

    let _said = hosts.server.keyless(["app", "create", "never"]).ok();
    let no_zip = hosts.packages.path().join("no.zip");
    std::fs::write(&no_zip, "this is no zip").unwrap();
    let told = hosts.server.keyless(["app", "deploy", "never", "--zip", &no_zip.to_string_lossy()]);
    let shown = hosts.server.keyless(["app", "show", "never"]).ok();
    assert!(told.code != Some(0) && shown.contains("the last one came to nothing"), "{shown}");
    let dir = package.to_string_lossy();
    let command = ["app", "deploy", "never", "--dir", &dir, "--command", "a\nb"];
    let command = hosts.server.keyless(command);
    assert!(command.stderr.contains("one line"), "{}", command.said());
    let _said = hosts.server.keyless(["app", "delete", "never"]).ok();
    wait::until("nothing is left of it", PATIENCE, || files().is_empty());
}

#[test]
fn settings_reach_the_app_and_references_are_resolved_by_its_own_identity() {
    if needs_root() {
        return;
    }
    let mut hosts = Hosts::start("hosting-settings");
    hosts.server.vault_with("shop", "db", "s3cret");
    hosts.deploy("web", &hosts.package("one", &[]));
    let reference = "DB=@Microsoft.KeyVault(VaultName=shop;SecretName=db)";
    let _said = hosts.server.keyless(["app", "settings", "set", "web", reference, "COLOUR=blue"]).ok();
    let refused = hosts.settled("web", "the reference is tried", |hosted| {
        ready(hosted) == 1 && hosted["references"][0]["status"] == "AccessToKeyVaultDenied"
    });
    assert!(refused["references"][0]["advice"].as_str().unwrap().contains("keyless"), "{refused}");
    let env = hosts.settled_env("web", "COLOUR");
    assert_eq!(
        env["DB"], "@Microsoft.KeyVault(VaultName=shop;SecretName=db)",
        "as it is, as App Service does"
    );

    let _said =
        hosts.server.keyless(["vault", "policy", "set", "shop", "--app", "web", "--secrets", "get"]).ok();
    let _said = hosts.server.keyless(["app", "restart", "web"]).ok();
    assert_eq!(hosts.ask("web", "/env")["DB"], "s3cret");
    assert_eq!(hosts.show("web")["hosted"]["references"][0]["status"], "Resolved");
    // What no environment can hold is told, and keeps nothing from running.
    let _said = hosts.server.keyless_with(["secret", "set", "shop", "odd"], "a\0b").ok();
    let odd = "ODD=@Microsoft.KeyVault(VaultName=shop;SecretName=odd)";
    let _said = hosts.server.keyless(["app", "settings", "set", "web", odd]).ok();
    let env = hosts.settled_env("web", "ODD");
    assert_eq!(env["ODD"], "@Microsoft.KeyVault(VaultName=shop;SecretName=odd)");
    let shown = hosts.show("web");
    let references = shown["hosted"]["references"].as_array().unwrap();
    let status = |name: &str| references.iter().find(|one| one["setting"] == name).unwrap()["status"].clone();
    assert_eq!((status("DB"), status("ODD")), ("Resolved".into(), "OtherReasons".into()), "{shown}");
    let _said = hosts.server.keyless(["app", "settings", "delete", "web", "ODD"]).ok();
    wait::until("the setting is gone", PATIENCE, || {
        let answer = hosts.get("web", "/env");
        answer.status == 200 && answer.json().get("ODD").is_none()
    });
    let audit = hosts.server.keyless(["audit", "tail"]).stdout;
    assert!(audit.contains("settings of app web"), "who asked the vault is said: {audit}");

    // Another secret while nobody looks is found when somebody does again; a reference that fails then changes nothing.
    let _said = hosts.server.keyless_with(["secret", "set", "shop", "db"], "an0ther").ok();
    hosts.server.kill();
    hosts.server.start_again();
    wait::until("the other secret", PATIENCE, || {
        let answer = hosts.get("web", "/env");
        answer.status == 200 && answer.json()["DB"] == "an0ther"
    });
    hosts.settled("web", "the one before is over", is_renewed);
    let before = hosts.processes("web");
    let _said = hosts.server.keyless(["vault", "policy", "remove", "shop", "--app", "web"]).ok();
    hosts.server.kill();
    hosts.server.start_again();
    hosts.settled("web", "the reference is tried", |hosted| {
        ready(hosted) == 1 && hosted["references"][0]["status"] == "AccessToKeyVaultDenied"
    });
    assert_eq!(hosts.processes("web"), before, "what runs goes on with what it has");
    assert_eq!(hosts.ask("web", "/env")["DB"], "an0ther");

    // A secret setting is told to nobody but the app.
    let file = hosts.packages.path().join("value");
    std::fs::write(&file, "Ti3f").unwrap();
    let secret = format!("DEEP={}", file.display());
    let _said = hosts.server.keyless(["app", "settings", "set", "web", "--secret-file", &secret]).ok();
    let env = hosts.settled_env("web", "DEEP");
    assert_eq!(env["DEEP"], "Ti3f");
    let listed = hosts.server.keyless_json(["app", "settings", "list", "web"]);
    assert!(!listed.contains("Ti3f") && listed.contains("DEEP") && listed.contains("blue"), "{listed}");

    for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_SECRET", "PORT"] {
        let refused = hosts.server.keyless(["app", "settings", "set", "web", &format!("{name}=x")]);
        assert!(refused.code != Some(0) && refused.stderr.contains(name), "{}", refused.said());
    }
    let refused = hosts.server.keyless(["app", "settings", "delete", "web", "NOT_THERE"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("NOT_THERE"), "{}", refused.said());
}

/// pip and npm are told by the app's settings where packages come from; they are told nothing else of them, and nothing that is not meant.
#[test]
fn settings_say_where_a_build_gets_packages() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-build");
    let mut npm = Command::new("env");
    npm.args(["-i", "PATH=/usr/local/bin:/usr/bin:/bin", "npm", "--version"]);
    if !wait::output(&mut npm, b"").status.success() {
        return skip("what a build is told: no npm where hosted apps look for it");
    }
    hosts.server.vault_with("shop", "feed", "s3cret of the feed");
    let _said = hosts.server.keyless(["app", "create", "web"]).ok();
    let _said = hosts.server.keyless(["app", "identity", "assign", "web"]).ok();
    let reference = "npm_config_feed=@Microsoft.KeyVault(VaultName=shop;SecretName=feed)";
    let settings = ["app", "settings", "set", "web", reference, "NPM_CONFIG_CALLED=web", "COLOUR=blue"];
    let _said = hosts.server.keyless(settings).ok();
    let manifest = r#"{"name": "web", "version": "1.0.0", "scripts": {"preinstall": "env >told", "start": "python3 app.py"}}"#;
    let folder = hosts.package("one", &[("package.json", manifest)]);
    let refused = hosts.server.keyless(["app", "deploy", "web", "--dir", &folder.to_string_lossy()]);
    assert_ne!(refused.code, Some(0));
    let why = "setting npm_config_feed: its reference is not resolved: AccessToKeyVaultDenied";
    assert!(refused.stderr.contains(why), "{}", refused.said());

    let _said =
        hosts.server.keyless(["vault", "policy", "set", "shop", "--app", "web", "--secrets", "get"]).ok();
    hosts.deploy("web", &folder);
    let told = hosts.ask("web", "/read?path=told")["read"].as_str().unwrap().to_owned();
    for line in ["npm_config_feed=s3cret of the feed", "NPM_CONFIG_CALLED=web"] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    for name in ["COLOUR", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "KEYLESS_DATA_DIR"] {
        assert!(!told.contains(name), "{name}: {told}");
    }
}

impl Hosts {
    /// The environment of an instance that has this setting.
    fn settled_env(&self, app: &str, setting: &str) -> Value {
        let mut env = Value::Null;
        wait::until(setting, PATIENCE, || {
            let answer = self.get(app, "/env");
            env = if answer.status == 200 { answer.json() } else { Value::Null };
            env[setting].is_string()
        });
        env
    }
}

#[test]
fn an_identity_is_switched_while_the_app_runs() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-identity");
    hosts.server.vault_with("shop", "db", "s3cret");
    hosts.deploy("web", &hosts.package("one", &[]));
    let before = hosts.processes("web");
    let resource = format!("/token?resource={RESOURCE}%3A{}", hosts.server.port());
    let got = hosts.ask("web", &resource);
    assert_eq!(got["status"], 200, "{got}");
    let token = got["body"]["access_token"].as_str().unwrap().to_owned();
    let _said =
        hosts.server.keyless(["vault", "policy", "set", "shop", "--app", "web", "--secrets", "get"]).ok();
    assert_eq!(hosts.server.https().get_secret("shop", "db", &token).status, 200);

    let _said = hosts.server.keyless(["app", "identity", "remove", "web"]).ok();
    assert_ne!(hosts.ask("web", &resource)["status"], 200, "refused from the answer on");
    assert_eq!(hosts.server.https().get_secret("shop", "db", &token).status, 401, "the token of before, too");
    let _said = hosts.server.keyless(["app", "identity", "assign", "web"]).ok();
    let again = hosts.ask("web", &resource);
    assert_eq!(again["status"], 200, "{again}");
    assert_ne!(again["body"]["client_id"], got["body"]["client_id"], "it is another identity");
    assert_eq!(hosts.processes("web"), before, "and nothing was started again for it");
}

#[test]
fn apps_are_kept_apart() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-apart");
    hosts.deploy("web", &hosts.package("one", &[]));
    hosts.deploy("thief", &hosts.package("one", &[]));
    let theirs = hosts.ask("web", "/env");
    let (endpoint, secret) =
        (theirs["IDENTITY_ENDPOINT"].as_str().unwrap(), theirs["IDENTITY_HEADER"].as_str().unwrap());
    let resource = format!("resource={RESOURCE}%3A{}", hosts.server.port());
    let own = hosts.ask("web", &format!("/token?{resource}"));
    assert_eq!(own["status"], 200, "{own}");
    // The thief holds the right secret.
    let stolen = hosts.ask("thief", &format!("/token?{resource}&endpoint={endpoint}&secret={secret}"));
    assert_eq!(stolen["status"], 403, "{stolen}");
    let request = format!(
        "GET /msi/token?api-version=2019-08-01&resource=x HTTP/1.1\r\nHost: {0}\r\nX-IDENTITY-HEADER: {secret}\r\nConnection: close\r\n\r\n",
        endpoint.trim_start_matches("http://").split('/').next().unwrap()
    );
    let mut stranger = Command::new(hosts.server.raw());
    let output = wait::output(
        stranger.arg(endpoint.trim_start_matches("http://").split('/').next().unwrap()),
        request.as_bytes(),
    );
    assert_eq!(Answer::parse(&output.stdout).status, 403, "root outside of the app: {output:?}");

    let pid = hosts.processes("web")[0];
    let home = theirs["HOME"].as_str().unwrap();
    for path in [
        format!("/proc/{pid}/environ"),
        format!("{home}/../deployments"),
        format!("{home}/../log"),
        hosts.server.data().join("keyless.redb").display().to_string(),
        hosts.server.data().join("root.key").display().to_string(),
    ] {
        let read = hosts.ask("thief", &format!("/read?path={path}"));
        assert!(read["errno"].is_string(), "{path}: {read}");
    }
    assert!(hosts.ask("web", "/read?path=app.py")["read"].is_string(), "its own it may read");
}

/// Has this machine the controllers for all limits, in either hierarchy?
fn has_controllers() -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let given = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let is_mounted = |controller: &str| {
        mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).any(|mount| {
            mount.get(2) == Some(&"cgroup")
                && mount.get(3).is_some_and(|options| options.split(',').any(|option| option == controller))
        })
    };
    ["memory", "pids", "cpu"]
        .iter()
        .all(|controller| is_mounted(controller) || given.split_whitespace().any(|one| one == *controller))
}

#[test]
fn what_an_instance_may_use_is_limited() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-limits");
    hosts.deploy("web", &hosts.package("one", &[]));
    let _said = hosts.server.keyless(["app", "configure", "web", "--processes", "40", "--memory", "96"]).ok();
    let hosted = hosts.settled("web", "the limits hold", is_renewed);
    if hosted["unenforced"].as_array().is_some_and(|what| !what.is_empty()) {
        assert!(!has_controllers(), "what this machine has is not used: {}", hosted["unenforced"]);
        return skip(&format!("limits of cgroups: {}", hosted["unenforced"]));
    }
    let bombed = hosts.ask("web", "/bomb");
    assert!(bombed["errno"].is_string() && bombed["made"].as_u64().unwrap() < 40, "{bombed}");
    hosts.settled("web", "its children have ended", |_| {
        let answer = hosts.get("web", "/who");
        answer.status == 200
    });
    let hogged = hosts.get("web", "/hog?mib=400");
    assert!(hogged.status == 502, "{} {}", hogged.status, hogged.text());
    let failed = hosts.settled("web", "it has come back", |hosted| {
        ready(hosted) == 1 && hosted["failures"].as_u64() > Some(0)
    });
    assert!(failed["last_failure"].as_str().unwrap().contains("memory"), "{failed}");
    for (flag, value) in [
        ("--memory", "1"),
        ("--processes", "1"),
        ("--cpu", "0.001"),
        ("--cpu", "-1"),
        ("--health", "no path"),
    ] {
        let refused = hosts.server.keyless(["app", "configure", "web", &format!("{flag}={value}")]);
        assert_ne!(refused.code, Some(0), "{flag} {value}: {}", refused.said());
    }
}

#[test]
fn one_that_ignores_sigterm_is_killed_in_the_end() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-stubborn");
    hosts.deploy("web", &hosts.package("one", &[]));
    let _said = hosts.server.keyless(["app", "settings", "set", "web", "IGNORES_TERM=1"]).ok();
    hosts.settled_env("web", "IGNORES_TERM");
    let pid = hosts.processes("web")[0];
    // The next one is as it was before, and takes over at once.
    let _said = hosts.server.keyless(["app", "settings", "delete", "web", "IGNORES_TERM"]).ok();
    hosts.settled("web", "another one serves", |hosted| {
        let all = hosted["instances"].as_array().unwrap();
        all.iter().any(|one| one["state"] == "ready" && one["process"].as_u64() != Some(u64::from(pid)))
    });
    assert!(is_alive(pid), "it has its time");
    wait::until("it is killed", PATIENCE, || !is_alive(pid));
    assert_eq!(hosts.ask("web", "/who")["version"], "1");
    assert!(hosts.server.keyless(["app", "logs", "web"]).ok().contains("did not end in time"));
}

#[test]
fn apps_run_on_while_no_server_does_and_are_taken_over() {
    if needs_root() {
        return;
    }
    let mut hosts = Hosts::start("hosting-takeover");
    hosts.server.vault_with("shop", "db", "s3cret");
    hosts.deploy("web", &hosts.package("one", &[]));
    let _said = hosts.server.keyless(["app", "scale", "web", "2"]).ok();
    hosts.deploy("gone", &hosts.package("one", &[]));
    let (before, gone) = (hosts.processes("web"), hosts.processes("gone"));
    hosts.server.kill();
    assert!(before.iter().all(|pid| is_alive(*pid)), "they run on");
    // While nobody looks one of them ends.
    assert!(Command::new("kill").args(["-9", &gone[0].to_string()]).status().unwrap().success());
    hosts.server.start_again();
    hosts.settled("gone", "it is replaced", |hosted| ready(hosted) == 1);
    assert_ne!(hosts.processes("gone"), gone);
    hosts.settled("web", "both serve", |hosted| ready(hosted) == 2);
    let mut after = hosts.processes("web");
    let mut expected = before.clone();
    after.sort_unstable();
    expected.sort_unstable();
    assert_eq!(after, expected, "the same processes");
    let resource = format!("/token?resource={RESOURCE}%3A{}", hosts.server.port());
    assert_eq!(hosts.ask("web", &resource)["status"], 200, "with the endpoint and the secret that they had");
    // Supervised as before.
    assert!(Command::new("kill").args(["-9", &before[0].to_string()]).status().unwrap().success());
    hosts.settled("web", "it is replaced, too", |hosted| {
        ready(hosted) == 2
            && hosted["instances"]
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one["process"].as_u64() != Some(u64::from(before[0])))
    });
    // An app that is deleted while its server is being killed leaves nothing: what no record names is ended at the next start.
    let web = hosts.processes("web");
    let _said = hosts.server.keyless(["app", "delete", "web"]).ok();
    hosts.server.kill();
    hosts.server.start_again();
    wait::until("nothing of it runs", PATIENCE, || web.iter().all(|pid| !is_alive(*pid)));
}

/// Not ready is no reason: what the last look has found is one.
#[test]
fn one_that_is_not_ready_says_what_it_answers() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-unwell");
    let ill = r"
import http.server, os
class Ill(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.send_header('Content-Length', '0')
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Ill).serve_forever()
";
    let folder = hosts.package("ill", &[("app.py", ill)]);
    let _said = hosts.server.keyless(["app", "create", "web"]).ok();
    let _said = hosts.server.keyless(["app", "configure", "web", "--health", "/healthz"]).ok();
    let folder = folder.to_string_lossy();
    let _said = hosts.server.keyless(["app", "deploy", "web", "--no-wait", "--dir", &folder]).ok();
    hosts.settled("web", "it answers", |hosted| {
        let all = hosted["instances"].as_array().into_iter().flatten();
        all.filter_map(|one| one["unwell"].as_str()).any(|unwell| unwell == "/healthz answers 503")
    });
    // Who waits for the next one is told of that.
    let told = hosts.server.keyless(["app", "deploy", "web", "--timeout", "20", "--dir", &folder]);
    assert_eq!(told.code, Some(1), "{}", told.said());
    assert!(told.stderr.contains("not ready yet: /healthz answers 503"), "{}", told.said());
    let shown = hosts.server.keyless(["app", "show", "web"]).ok();
    assert!(shown.contains("starting for") && shown.contains(": /healthz answers 503"), "{shown}");
}

/// A port that somebody else listens on is not the app, whoever got there first.
#[test]
fn nobody_else_is_taken_for_the_app() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("hosting-port");
    // Listens nowhere; says its port, on which the thief then does.
    let idle = "import os, time\nprint('port', os.environ['PORT'], flush=True)\ntime.sleep(600)\n";
    let folder = hosts.package("idle", &[("app.py", idle)]);
    let _said =
        hosts.server.keyless(["app", "deploy", "web", "--no-wait", "--dir", &folder.to_string_lossy()]).ok();
    let hosted = hosts.settled("web", "it has started", |hosted| {
        hosted["instances"].as_array().is_some_and(|all| all.iter().any(|one| one["port"].is_u64()))
    });
    let port = u16::try_from(hosted["instances"][0]["port"].as_u64().unwrap()).unwrap();
    let unwell = |what: &str| {
        hosts.settled("web", what, |hosted| {
            hosted["instances"][0]["unwell"].as_str().is_some_and(|unwell| unwell.contains(what))
        })
    };
    unwell(&format!("nobody listens on port {port}"));
    let thief = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    thief.set_nonblocking(true).unwrap();
    let began = std::time::Instant::now();
    let mut knocked = false;
    while began.elapsed() < Duration::from_secs(3) {
        knocked |= thief.accept().is_ok();
        thread::sleep(Duration::from_millis(20));
    }
    assert!(knocked, "it was tried");
    unwell("somebody else listens");
    assert_eq!(hosts.show("web")["hosted"]["instances"][0]["state"], "starting");
    assert_eq!(hosts.get("web", "/").status, 503);
}

#[test]
fn an_ordinary_users_apps_are_kept_apart_as_far_as_is_said() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::of(Server::start_delegated("hosting-user", 65_534), "hosting-user");
    let folder = hosts.package("one", &[]);
    for app in ["web", "thief"] {
        hosts.deploy(app, &folder);
    }
    let shown = hosts.show("web");
    assert!(shown["hosted"]["isolation"].as_str().unwrap().starts_with("user: "), "{shown}");
    let theirs = hosts.ask("web", "/env");
    let (endpoint, secret) =
        (theirs["IDENTITY_ENDPOINT"].as_str().unwrap(), theirs["IDENTITY_HEADER"].as_str().unwrap());
    let resource = format!("resource={RESOURCE}%3A{}", hosts.server.port());
    assert_eq!(hosts.ask("web", &format!("/token?{resource}"))["status"], 200);
    let stolen = hosts.ask("thief", &format!("/token?{resource}&endpoint={endpoint}&secret={secret}"));
    assert_eq!(stolen["status"], 403, "{stolen}");
    if shown["hosted"]["isolation"].as_str().unwrap().contains("Landlock") {
        let pid = hosts.processes("web")[0];
        let read = hosts.ask("thief", &format!("/read?path=/proc/{pid}/environ"));
        assert!(read["errno"].is_string(), "another app's environment: {read}");
    }
}
