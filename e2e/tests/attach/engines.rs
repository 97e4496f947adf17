//! What podman or systemd has started gets an identity by its name there.
//!
//! Podman is the real one. There is no systemd where these run: a stand-in says what `systemctl show` would of a cgroup that the scenario made.
//! So it is proved what we ask and how we read the answer, and not that a systemd answers so.

use super::{Stranger, endpoint, needs_root, outside};
use crate::containers::Engine;
use e2e::{Answer, Ended, Server, app::Endpoint, server, wait};
use serde_json::Value;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A container that Keyless did not start, with a network of its own; gone with this value.
struct Container<'e> {
    engine: &'e Engine,
    parent: String,
}

impl<'e> Container<'e> {
    const NAME: &'static str = "stranger";

    fn start(engine: &'e Engine) -> Self {
        let parent = format!("/keyless/e2e-attach-{}", std::process::id());
        let run = [
            "run",
            "--detach",
            "--name",
            Self::NAME,
            "--network",
            "none",
            "--cgroup-parent",
            &parent,
            "--pids-limit",
            "-1",
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
            "keyless-e2e",
            "sleep",
            "300",
        ];
        let started = engine.podman(&run);
        let container = Self { engine, parent: parent.clone() };
        assert!(started.status.success(), "{started:?}");
        container
    }

    fn inside(&self, script: &str) -> String {
        let ran = self.engine.podman(&["exec", Self::NAME, "sh", "-c", script]);
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    }

    fn token(&self, given: &Endpoint) -> String {
        let resource = "api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net";
        let header = format!("--header 'X-IDENTITY-HEADER: {}'", given.secret);
        self.inside(&format!("wget -q -O - {header} '{}?{resource}'", given.url))
    }

    fn pid(&self) -> String {
        let told = self.engine.podman(&["inspect", "--format", "{{.State.Pid}}", Self::NAME]);
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _gone = self.engine.podman(&["rm", "--force", "--time", "0", Self::NAME]);
        let folder = server::hierarchy().join(self.parent.trim_start_matches('/'));
        let inner = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        inner.chain([folder.clone()]).for_each(|path| drop(std::fs::remove_dir(path)));
    }
}

/// `keyless attach` of a container, whose podman is looked for in this folder first.
fn attach(engine: &Engine, first: &Path) -> Ended {
    let arguments = ["attach", "--app", "web", "--container", Container::NAME, "--env-file", "web.env"];
    let mut command = engine.server.command(arguments);
    command.envs(engine.variables.iter().copied()).env("PATH", before(first));
    wait::output(&mut command, b"").into()
}

fn before(first: &Path) -> String {
    format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", first.display())
}

/// A program under a name that is found before another's.
fn stand_in(server: &Server, name: &str, script: &str) -> PathBuf {
    let folder = server.place().join(format!("instead-of-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn a_container_that_podman_runs_gets_an_identity_and_loses_it() {
    let Some(engine) = Engine::start("attach-container") else { return };
    engine.server.vault_with("shop", "db", "s3cret");
    engine.server.app_with("web", "shop", "get");
    let nowhere = engine.server.place().join("nothing");
    let file = engine.server.place().join("web.env");
    let container = Container::start(&engine);
    let said = attach(&engine, &nowhere);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("It has a network of its own"), "{said:?}");
    let given = endpoint(&file);
    let told = container.token(&given);
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
    let token = told["access_token"].as_str().unwrap();
    let url = format!("{}/secrets/db?api-version=7.4", engine.server.vault_url("shop"));
    // By a program of the machine that has gone into its network: the image has none that speaks TLS well enough.
    let mut read = Command::new("nsenter");
    read.args(["-t", &container.pid(), "-n", "curl", "--silent", "--max-time", "10", "--cacert"]);
    read.arg(engine.server.authority()).args(["-H", &format!("Authorization: Bearer {token}"), "--resolve"]);
    read.arg(format!("shop.vault.keyless.localhost:{}:127.0.0.1", engine.server.port())).arg(&url);
    let read = String::from_utf8(wait::output(&mut read, b"").stdout).unwrap();
    assert!(read.contains("s3cret"), "{read}");

    // Who has the secret and is not of the container.
    assert_eq!(outside(&engine.server, &given).status, 0, "in our network nobody listens there");
    let mut entered = Command::new("nsenter");
    entered.args(["-t", &container.pid(), "-n"]).arg(engine.server.raw()).arg(given.address());
    let answer = Answer::parse(&wait::output(&mut entered, given.request("").as_bytes()).stdout);
    assert_eq!(answer.status, 403, "{answer:?}");

    let _said = engine.server.keyless(["detach", "--app", "web"]).ok();
    let refused = container.token(&given);
    assert!(!refused.contains("access_token"), "the next request: {refused}");

    // One that is started again is another one, and is not attached.
    assert_eq!(attach(&engine, &nowhere).code, Some(0));
    let given = endpoint(&file);
    assert!(container.token(&given).contains("access_token"));
    let again = engine.podman(&["restart", "--time", "0", Container::NAME]);
    assert!(again.status.success(), "{again:?}");
    let refused = container.token(&given);
    assert!(!refused.contains("access_token"), "{refused}");
    wait::until("the endpoint to end with the container", wait::LIMIT, || {
        engine.server.keyless(["status"]).ok().contains("none runs")
    });

    // Nor is one that was started again while it was being looked for.
    let real = "/usr/bin/podman";
    let meanwhile = format!(
        "#!/bin/sh\n{real} \"$@\"\nstatus=$?\nmark=\"$(dirname \"$0\")/mark\"\n\
             if ! [ -e \"$mark\" ]; then : > \"$mark\"; touch \"$mark-asked\"; left=3000; while [ -e \"$mark-asked\" ] && [ $((left -= 1)) -gt 0 ]; do sleep 0.02; done; fi\nexit $status\n"
    );
    let folder = stand_in(&engine.server, "podman", &meanwhile);
    std::fs::remove_file(&file).unwrap();
    let asked = folder.join("mark-asked");
    let said = std::thread::scope(|scope| {
        let attaching = scope.spawn(|| attach(&engine, &folder));
        wait::until("podman to be asked", wait::LIMIT, || asked.exists());
        let again = engine.podman(&["restart", "--time", "0", Container::NAME]);
        std::fs::remove_file(&asked).unwrap();
        assert!(again.status.success(), "{again:?}");
        attaching.join().unwrap()
    });
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(!file.exists() && !said.said().contains("IDENTITY"), "{said:?}");
}

#[test]
fn a_unit_gets_an_identity_by_what_systemd_says_of_it() {
    if needs_root() {
        return;
    }
    let server = Server::start("attach-unit");
    let stranger = Stranger::start("attach-unit", "");
    let group = stranger.cgroup.strip_prefix(server::hierarchy()).unwrap().display().to_string();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{}'\ncase \"$*\" in\n\
         '--system show -p ControlGroup -p MainPID -- web.service') printf 'MainPID={}\\nControlGroup=/{group}\\n';;\n\
         '--system show -p ControlGroup -p MainPID -- ended.service') printf 'MainPID=0\\nControlGroup=\\n';;\n\
         *) echo \"no such unit\" >&2; exit 4;;\nesac\n",
        server.place().join("asked").display(),
        stranger.pid(),
    );
    let folder = stand_in(&server, "systemctl", &script);
    let attach = |unit: &str| -> Ended {
        let mut command = server.command(["attach", "--app", "web", "--unit", unit, "--env-file", "web.env"]);
        wait::output(command.env("PATH", before(&folder)), b"").into()
    };
    for (unit, why) in [("ended.service", "does not run"), ("--version", "no such unit")] {
        let arguments = ["attach", "--app", "web", "--env-file", "web.env"];
        let mut command = server.command(arguments);
        command.arg(format!("--unit={unit}")).env("PATH", before(&folder));
        let said: Ended = wait::output(&mut command, b"").into();
        assert!(said.code == Some(1) && said.stderr.contains(why), "{unit}: {said:?}");
    }
    assert!(!server.place().join("web.env").exists());
    let said = attach("web.service");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains(" sleep (user 0)"), "it says who is there: {said:?}");
    let given = endpoint(&server.place().join("web.env"));
    assert_eq!(stranger.ask(&server.raw(), &given).status, 200);
    assert_eq!(outside(&server, &given).status, 403, "who has the secret and is elsewhere");
    let _said = server.keyless(["detach", "--app", "web"]).ok();
    assert_eq!(stranger.ask(&server.raw(), &given).status, 0, "nobody listens there any more");
    let asked = std::fs::read_to_string(server.place().join("asked")).unwrap();
    assert!(asked.lines().all(|line| line.starts_with("--system show ") && line.contains(" -- ")), "{asked}");
}
