//! An identity for what somebody else started: known by its cgroup, also in a network of its own, until it is taken away or ends.

mod engines;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::hosting::Hosts;
use e2e::app::Endpoint;
use e2e::{Answer, Ended, Server, server, settings, skip, wait};

/// A cgroup of the scenario's own with a program in it that Keyless knows nothing of; gone with this value.
struct Stranger {
    cgroup: PathBuf,
    program: Child,
}

impl Stranger {
    fn start(name: &str, before: &str) -> Self {
        let cgroup = server::hierarchy().join(format!("e2e-{}-{name}", std::process::id()));
        std::fs::create_dir(&cgroup).unwrap();
        let join = format!("echo $$ > {}/cgroup.procs && exec {before} sleep 300", cgroup.display());
        let mut command = Command::new("sh");
        command.args(["-c", &join]).stdin(Stdio::null()).stdout(Stdio::null());
        let program = command.spawn().unwrap();
        let stranger = Self { cgroup, program };
        let comm = format!("/proc/{}/comm", stranger.program.id());
        wait::until("the program to be there", wait::LIMIT, || {
            std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep")
        });
        stranger
    }

    fn pid(&self) -> String {
        self.program.id().to_string()
    }

    /// Asks as a program of this cgroup, in the network that the stranger has.
    fn ask(&self, raw: &Path, endpoint: &Endpoint) -> Answer {
        let join = format!(
            "echo $$ > {}/cgroup.procs && exec nsenter -t {} -n '{}' {}",
            self.cgroup.display(),
            self.pid(),
            raw.display(),
            endpoint.address(),
        );
        let output = wait::output(Command::new("sh").args(["-c", &join]), endpoint.request("").as_bytes());
        Answer::parse(&output.stdout)
    }

    fn end(&mut self) {
        let _gone = self.program.kill();
        let _reaped = self.program.wait();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.end();
        let _gone = std::fs::remove_dir(&self.cgroup);
    }
}

fn needs_root() -> bool {
    if !settings::is_root() {
        skip("cgroups of other programs: needs root");
        return true;
    }
    false
}

fn endpoint(file: &Path) -> Endpoint {
    let text = std::fs::read_to_string(file).unwrap();
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
    };
    Endpoint { url: value("IDENTITY_ENDPOINT"), secret: value("IDENTITY_HEADER") }
}

/// Asks as a process of nobody's cgroup.
fn outside(server: &Server, endpoint: &Endpoint) -> Answer {
    let mut command = Command::new(server.raw());
    command.arg(endpoint.address());
    Answer::parse(&wait::output(&mut command, endpoint.request("").as_bytes()).stdout)
}

#[test]
fn a_program_that_runs_already_gets_an_identity_and_loses_it() {
    if needs_root() {
        return;
    }
    let mut server = Server::start("attach");
    let mut stranger = Stranger::start("attach", "");
    let file = server.place().join("web.env");
    let attach = |server: &Server| {
        server.keyless(["attach", "--app", "web", "--pid", &stranger.pid(), "--env-file", "web.env"])
    };
    let said = attach(&server);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains(" sleep (user 0)"), "it says who is there: {said:?}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let first = endpoint(&file);
    assert!(!said.said().contains(&first.secret) && !server.logs().contains(&first.secret));
    assert_eq!(stranger.ask(&server.raw(), &first).status, 200);
    assert_eq!(outside(&server, &first).status, 403, "who has the secret and is elsewhere");

    let again = attach(&server);
    let told =
        |ended: &Ended| ended.code == Some(1) && ended.stderr.contains("is attached already, to app web");
    assert!(told(&again) && again.stderr.contains("keyless detach"), "{again:?}");
    let other = ["attach", "--app", "other", "--pid", &stranger.pid(), "--env-file", "other.env"];
    let refused = server.keyless(other);
    assert!(told(&refused), "{refused:?}");
    assert_eq!(server.keyless(["app", "show", "other"]).code, Some(1), "no app is left behind");
    let _status = server.stop();
    server.start_again();
    assert_eq!(stranger.ask(&server.raw(), &first).status, 200, "the same endpoint after a restart");

    let _said = server.keyless(["detach", "--app", "web"]).ok();
    assert_eq!(stranger.ask(&server.raw(), &first).status, 0, "nobody listens there any more");
    assert_eq!(server.keyless(["detach", "--app", "web"]).code, Some(1), "there is nothing more to detach");

    // Its file of before is replaced; it ends with its last process.
    let _said = attach(&server).ok();
    let second = endpoint(&file);
    assert_ne!(second.secret, first.secret);
    assert_eq!(stranger.ask(&server.raw(), &second).status, 200);
    stranger.end();
    wait::until("the endpoint to end with the program", wait::LIMIT, || {
        server.keyless(["status"]).ok().contains("none runs")
    });
}

#[test]
fn what_has_a_network_of_its_own_finds_its_endpoint_and_the_vaults_there() {
    if needs_root() {
        return;
    }
    let mut server = Server::start("attach-network");
    let stranger = Stranger::start("attach-network", "unshare --net");
    // To standard output, which is no terminal here.
    let text = server.keyless(["attach", "--app", "web", "--pid", &stranger.pid()]).ok();
    let file = server.place().join("told");
    std::fs::write(&file, text).unwrap();
    let told = endpoint(&file);
    for restarted in [false, true] {
        if restarted {
            let _status = server.stop();
            server.start_again();
        }
        assert_eq!(stranger.ask(&server.raw(), &told).status, 200, "after a restart: {restarted}");
        assert_eq!(outside(&server, &told).status, 0, "in our network nobody listens there");
        let mut imds = Command::new("nsenter");
        imds.args(["-t", &stranger.pid(), "-n"]).arg(server.raw()).arg("169.254.169.254:80");
        let answer = Answer::parse(&wait::output(&mut imds, told.request("").as_bytes()).stdout);
        assert_eq!(answer.status, 0, "that address is not ours in somebody else's network");
        let mut entered = Command::new("nsenter");
        entered.args(["-t", &stranger.pid(), "-n"]).arg(server.raw()).arg(told.address());
        let answer = Answer::parse(&wait::output(&mut entered, told.request("").as_bytes()).stdout);
        assert_eq!(answer.status, 403, "who comes into the network, and not into the cgroup");
        let mut vault = Command::new("nsenter");
        vault.args(["-t", &stranger.pid(), "-n", "curl", "--silent", "--cacert"]).arg(server.authority());
        vault.args(["--resolve", &format!("shop.vault.keyless.localhost:{}:127.0.0.1", server.port())]);
        vault.arg(format!("{}/secrets/db?api-version=7.4", server.vault_url("shop")));
        let said = String::from_utf8(wait::output(&mut vault, b"").stdout).unwrap();
        assert!(said.contains("error"), "the vaults answer there: {said}");
    }
}

#[test]
fn what_has_a_network_of_its_own_reaches_no_other_app_and_keeps_no_connection() {
    if needs_root() {
        return;
    }
    let hosts = Hosts::start("attach-apart");
    let _told = hosts.deploy("other", &hosts.package("other", &[]));
    let server = &hosts.server;
    let host = "other.apps.keyless.localhost";
    assert_eq!(server.https().send("GET", host, "/", &[], "").unwrap().status, 200);

    let stranger = Stranger::start("attach-apart", "unshare --net");
    let _said = server.keyless(["attach", "--app", "web", "--pid", &stranger.pid()]).ok();
    let mut curl = Command::new("nsenter");
    curl.args(["-t", &stranger.pid(), "-n", "curl", "--silent", "--output", "/dev/null", "--cacert"]);
    curl.arg(server.authority()).args(["--write-out", "%{http_code}"]);
    curl.args(["--resolve", &format!("{host}:{}:127.0.0.1", server.port())]);
    curl.arg(format!("https://{host}:{}/", server.port()));
    let said = String::from_utf8(wait::output(&mut curl, b"").stdout).unwrap();
    assert_eq!(said, "404", "the way to its vaults is none to other apps");

    // A connection that is open, and has been answered.
    let mut open = Command::new("nsenter");
    open.args(["-t", &stranger.pid(), "-n", "openssl", "s_client", "-quiet", "-connect"]);
    open.arg(format!("127.0.0.1:{}", server.port())).args(["-servername", "login.keyless.localhost"]);
    let mut open = open.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: login.keyless.localhost:{}\r\n\r\n", server.port());
    let mut stdin = open.stdin.take().unwrap();
    stdin.write_all(request.as_bytes()).unwrap();
    let mut answer = open.stdout.take().unwrap();
    let reading = std::thread::spawn(move || answer.read_exact(&mut [0; 12]).map(|()| answer));
    wait::until("an answer", Duration::from_secs(10), || reading.is_finished());
    let _kept_open = reading.join().unwrap().unwrap();
    let _said = server.keyless(["detach", "--app", "web"]).ok();
    // Sooner than one is ended that says nothing.
    let _status = wait::for_end(&mut open, Duration::from_secs(10), "a connection of what was detached");
}

#[test]
fn a_cgroup_that_holds_more_than_what_is_meant_is_refused() {
    if needs_root() {
        return;
    }
    let server = Server::start("attach-broad");
    let refused = |pid: &str, why: &str| {
        let said =
            server.keyless(["attach", "--app", "web", "--pid", pid, "--env-file", "none.env", "--force"]);
        assert!(said.code == Some(1) && said.stderr.contains(why), "{said:?}");
        assert!(!server.place().join("none.env").exists());
    };
    // Scenarios run in the root cgroup of the machine, or in one with the command: in either case with the whole session.
    let own = std::process::id().to_string();
    refused(&own, "cannot be attached");
    // Whatever the command would let through, the server itself refuses a cgroup that it is in.
    let mount = server::hierarchy();
    let body = format!(r#"{{"cgroup": "{}", "attached": "everything"}}"#, mount.display());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--unix-socket"]).arg(server.data().join("admin.sock"));
    curl.args(["-H", "content-type: application/json", "-d", &body, "http://x/v1/apps/web/workloads"]);
    let _said = server.keyless(["app", "create", "web"]).ok();
    let said = String::from_utf8(wait::output(&mut curl, b"").stdout).unwrap();
    assert!(said.contains("the server itself is in it"), "{said}");

    // Another user's process beside it: only on purpose.
    let stranger = Stranger::start("attach-beside", "");
    let join = format!(
        "echo $$ > {}/cgroup.procs && exec setpriv --reuid 65534 --clear-groups sleep 300",
        stranger.cgroup.display()
    );
    let mut beside = Command::new("sh").args(["-c", &join]).spawn().unwrap();
    let neighbour = format!("{}/cgroup.procs", stranger.cgroup.display());
    wait::until("both to be there", wait::LIMIT, || {
        std::fs::metadata(format!("/proc/{}", beside.id()))
            .is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 65_534)
            && std::fs::read_to_string(&neighbour).unwrap().lines().count() == 2
    });
    let attach = ["attach", "--app", "web", "--pid", &stranger.pid(), "--env-file", "both.env"];
    let said = server.keyless(attach);
    assert!(said.code == Some(1) && said.stderr.contains("of user 65534 is in the same cgroup"), "{said:?}");
    let said = server.command(attach).arg("--force").output().unwrap();
    assert!(said.status.success(), "{said:?}");
    beside.kill().unwrap();
    beside.wait().unwrap();
}
