//! Containers of a server that runs as an ordinary user: what is claimed of them holds, and what cannot be had is said.
//!
//! The machine's user database is not touched: which users this one may have for containers is said in a mount namespace of the scenario's
//! own, and so is where cgroup v2 is.

use super::{ASK, Engine, SCRIPT, ask_imds, busybox, configured, endpoint, speaks_azure_arc};
use e2e::app::Endpoint;
use e2e::{Answer, Server, TemporaryDirectory, server, wait};
use serde_json::Value;
use std::{
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Command, Output},
};

/// Nobody in particular, whom every system knows by name.
const USER: u32 = 65_534;
const NAME: &str = "nobody";
/// What podman finds on a machine with cgroup v2 only, whose user has these users for containers.
const VIEW: &str = "set -e\n\
    if ! grep -q ' /sys/fs/cgroup .* cgroup2 ' /proc/self/mountinfo; then\n\
    umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; fi\n\
    for file in subuid subgid; do [ -e /etc/$file ] || : > /etc/$file; mount --bind PLACE/users /etc/$file; done\n\
    exec \"$@\"\n";
impl Engine {
    /// A server of an ordinary user, which has users of its own for containers or has none.
    pub(super) fn start_for_user(name: &str, users: &str) -> Option<Self> {
        let busybox = busybox()?;
        let place = TemporaryDirectory::new(&format!("{name}-podman"));
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("users"), users).unwrap();
        std::fs::write(at("view"), VIEW.replace("PLACE", &place.path().to_string_lossy())).unwrap();
        let variables = configured(place.path());
        chown(place.path(), Some(USER), Some(USER)).unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let server = Server::start_viewing(name, USER, at("view"), variables);
        let engine = Self { server, place, variables, user: Some(USER) };
        if !users.is_empty() {
            engine.import(Path::new(&busybox));
        }
        Some(engine)
    }

    pub(super) fn users_podman(&self, arguments: &[&str]) -> Output {
        let mut command = self.server.users_program("podman".as_ref());
        command.args(["--cgroup-manager", "cgroupfs"]).args(arguments).current_dir("/");
        command.env("HOME", self.place.path()).envs(self.variables.iter().copied());
        wait::output(&mut command, b"")
    }

    /// To be gone on with: a program of the same user that goes into the container's network.
    fn entered(&self, pid: &str) -> Command {
        self.entered_by(&[], pid)
    }

    /// The same with something before, in podman's user namespace.
    fn entered_by(&self, before: &[&str], pid: &str) -> Command {
        let mut command = self.server.users_program("podman".as_ref());
        command.args(["--cgroup-manager", "cgroupfs", "unshare"]).args(before);
        command.args(["nsenter", "-t", pid, "-n"]).current_dir("/");
        command.env("HOME", self.place.path()).envs(self.variables.iter().copied());
        command
    }

    fn thief(&self, before: &[&str], pid: &str, endpoint: &Endpoint) -> Answer {
        let mut command = self.entered_by(before, pid);
        command.arg(self.server.raw()).arg(endpoint.address());
        Answer::parse(&wait::output(&mut command, endpoint.request("").as_bytes()).stdout)
    }
}

pub(super) fn users() -> String {
    format!("{NAME}:200000:65536\n")
}

#[test]
fn an_ordinary_users_image_gets_tokens_and_secrets_and_nothing_of_it_is_left() {
    let Some(mut engine) = Engine::start_for_user("rootless", &users()) else { return };
    engine.server.vault_with("shop", "db", "s3cret");
    engine.server.app_with("web", "shop", "get");
    let _said = engine.server.keyless(["app", "settings", "set", "web", "GREETING=good morning"]).ok();
    let told = engine.deploy("web", SCRIPT);
    assert_eq!(
        (&told["hosted"]["runtime"], &told["hosted"]["enforced"]),
        (&"container".into(), &true.into()),
        "{told}"
    );
    let isolation = told["hosted"]["isolation"].as_str().unwrap();
    assert!(isolation.starts_with("container:") && isolation.contains("of your own account"), "{told}");
    assert_eq!(engine.served("web").text().trim(), "served", "the proxy's way leads into its network");
    assert!(engine.server.keyless(["app", "logs", "web"]).ok().contains("setting good morning"));

    let pid = engine.pid();
    let given = endpoint(&pid);
    // Processes are limited for every app: where the user was given that controller it is so, and elsewhere it is told.
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let of_app = server::hierarchy().join(own).parent().unwrap().join("pids.max");
    let is_limited = std::fs::read_to_string(of_app).is_ok_and(|most| most.trim() != "max");
    assert_eq!(told["hosted"]["unenforced"].as_array().unwrap().is_empty(), is_limited, "{told}");
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(&given.secret), "{process:?}");
    }
    let said = engine.inside(ASK);
    let token: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let token = token["access_token"].as_str().unwrap();
    let url = format!("{}/secrets/db?api-version=7.4", engine.server.vault_url("shop"));
    // By a program of the machine that has gone into its network: the image has none that speaks TLS well enough.
    let mut read = engine.entered(&pid);
    read.args(["curl", "--silent", "--max-time", "10", "--cacert"]).arg(engine.server.authority());
    read.args(["--resolve", &format!("shop.vault.keyless.localhost:{}:127.0.0.1", engine.server.port())]);
    let read = wait::output(read.args(["-H", &format!("Authorization: Bearer {token}"), &url]), b"");
    let read = format!("{}{}", String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
    assert!(read.contains("s3cret"), "{read}");
    assert!(engine.inside(&ask_imds()).contains("access_token"));
    // No way out, nor one to this machine.
    assert!(!engine.inside("wget -q -O - -T 3 http://192.0.2.1/ && echo REACHED").contains("REACHED"));

    let _pid = engine.runs_on_and_comes_back(&given.secret);
    engine.ends_with_all_that_it_had();
}

#[test]
fn of_an_ordinary_users_container_only_itself_and_who_takes_it_over_get_tokens() {
    let Some(engine) = Engine::start_for_user("rootless-thieves", &users()) else { return };
    engine.deploy("web", SCRIPT);
    let (container, pid) = (engine.container(), engine.pid());
    let given = endpoint(&pid);
    let raw = engine.server.raw();

    // From the host nobody listens there.
    let mut outside = Command::new(&raw);
    let output = wait::output(outside.arg(given.address()), given.request("").as_bytes());
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    // Who enters the network is none of the container's processes, whether it is of the same user or root.
    assert_eq!(engine.thief(&[], &pid, &given).status, 403);
    let mut entered = Command::new("nsenter");
    entered.args(["-t", &pid, "-n"]).arg(&raw).arg(given.address());
    let answer = Answer::parse(&wait::output(&mut entered, given.request("").as_bytes()).stdout);
    assert_eq!(answer.status, 403, "{answer:?}");

    // Another hosted container, which is root in the same user namespace: nobody is there in its own network, or only its own endpoint.
    let ask = format!(
        "wget -S -q -O - --header 'X-IDENTITY-HEADER: {}' '{}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net' 2>&1",
        given.secret, given.url
    );
    let served = format!(
        "({ask}) > /tmp/said; mkdir -p /tmp/w; cp /tmp/said /tmp/w/index.html; \
        httpd -f -p \"$PORT\" -h /tmp/w & wait"
    );
    engine.deploy("other", &served);
    let said = engine.served("other").text();
    assert!(said.contains("refused") || said.contains("403"), "it was asked, and in vain: {said}");
    assert!(!said.contains("access_token"), "{said}");

    // Another container in the same network, as in a pod.
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
    let delegated = engine.server.delegated().unwrap().strip_prefix(server::hierarchy()).unwrap();
    let parent = format!("--cgroup-parent=/{}/neighbour", delegated.display());
    let network = format!("--network=container:{container}");
    let run = ["run", "--rm", &network, &parent, "--pids-limit=-1", "--ulimit=nofile=1024:1024"];
    let rest = ["--ulimit=nproc=1024:1024", "keyless-e2e", "sh", "-c", &ask];
    let neighbour = engine.podman(&[run.as_slice(), &rest].concat());
    let said = String::from_utf8_lossy(&neighbour.stdout);
    assert!(said.contains("403") && !said.contains("access_token"), "{neighbour:?}");

    let tail = engine.server.keyless(["audit", "tail"]).ok();
    assert!(tail.contains("made outside of the cgroup") && !tail.contains(&given.secret), "{tail}");

    // A limit that docs/threat-model.md states: a process of the same user can move into the container's cgroup and take it over. Kept as
    // a test, so that the claim stays honest.
    let join = format!("echo $$ > /sys/fs/cgroup{own}/cgroup.procs && exec \"$@\"");
    assert_eq!(engine.thief(&["sh", "-c", &join, "sh"], &pid, &given).status, 200);
}

#[test]
fn an_ordinary_users_image_speaks_azure_arc_by_keys_that_only_it_sees() {
    if let Some(engine) = Engine::start_for_user("rootless-arc", &users()) {
        speaks_azure_arc(&engine);
    }
}

#[test]
fn an_ordinary_user_who_cannot_have_containers_is_told_what_to_do() {
    let Some(engine) = Engine::start_for_user("rootless-without", "") else { return };
    let said = engine.server.keyless(["app", "deploy", "web", "--image", "keyless-e2e", "--timeout", "60"]);
    assert!(said.code == Some(1) && said.stderr.contains("--add-subuids"), "{said:?}");
}
