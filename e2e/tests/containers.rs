//! Apps as containers: an image is run, known by its cgroup, in a network in which there is nothing but Keyless; and nothing of it is left.

mod root_files;
mod rootless;

use crate::churn::children;
use e2e::app::Endpoint;
use e2e::{Answer, Server, TemporaryDirectory, server, setting, settings, skip, wait};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Says what it was given and answers on its port.
const SCRIPT: &str = "echo \"endpoint $IDENTITY_ENDPOINT\"; echo \"setting $GREETING\"; mkdir -p /tmp/w && \
    echo served > /tmp/w/index.html; trap 'exit 0' TERM; httpd -f -p \"$PORT\" -h /tmp/w & wait";

/// Asks for a token as SDKs do.
const ASK: &str = "wget -q -O - --header \"X-IDENTITY-HEADER: $IDENTITY_HEADER\" \
    \"$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net\"";
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";

/// Podman with a storage of the scenarios' own, a server that uses it, and an image made of busybox.
pub(crate) struct Engine {
    pub(crate) server: Server,
    place: TemporaryDirectory,
    /// By which podman finds what is its own here.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// The ordinary user whose server it is, if it is not root's.
    user: Option<u32>,
}

impl Engine {
    /// None where there is no podman, with a word.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let busybox = busybox()?;
        let place = TemporaryDirectory::new(&format!("{name}-podman"));
        let variables = configured(place.path());
        let server = Server::start_set(name, &[], variables);
        let engine = Self { server, place, variables, user: None };
        engine.import(Path::new(&busybox));
        Some(engine)
    }

    /// An image of one program, made here: nothing is fetched.
    fn import(&self, busybox: &Path) {
        let root = self.place.path().join("rootfs");
        for folder in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for name in ["sh", "wget", "sleep", "cat", "httpd", "mkdir", "env", "echo", "cp", "stat"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tar = self.place.path().join("image.tar");
        let packed =
            wait::output(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."), b"");
        assert!(packed.status.success(), "{packed:?}");
        let made = self.podman(&["import", "--quiet", &tar.to_string_lossy(), "keyless-e2e"]);
        assert!(made.status.success(), "{made:?}");
    }

    /// Podman as the server has it. Where cgroup v2 is not where podman looks, it gets a view in which it is.
    pub(crate) fn podman(&self, arguments: &[&str]) -> Output {
        if self.user.is_some() {
            return self.users_podman(arguments);
        }
        let view = "if ! grep -q ' /sys/fs/cgroup .* cgroup2 ' /proc/self/mountinfo; then umount -l /sys/fs/cgroup && \
                    mount -t cgroup2 none /sys/fs/cgroup || exit 9; fi; exec podman --cgroup-manager cgroupfs \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", view, "podman"]).args(arguments);
        command.envs(self.variables.iter().copied());
        wait::output(&mut command, b"")
    }

    /// The folder of podman's own files, of the image and of what it was made of.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    fn deploy(&self, app: &str, command: &str) -> Value {
        let deploy =
            ["app", "deploy", app, "--image", "keyless-e2e", "--command", command, "--timeout", "60"];
        serde_json::from_str(&self.server.keyless_json(deploy)).unwrap()
    }

    /// The id of an app's one container.
    fn container(&self) -> String {
        let listed = self.podman(&["ps", "--quiet", "--no-trunc"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        text.trim().to_owned()
    }

    /// Runs something in the container of an app.
    fn inside(&self, script: &str) -> String {
        let ran = self.podman(&["exec", &self.container(), "sh", "-c", script]);
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    }

    /// The container's first process, as the host sees it.
    fn pid(&self) -> String {
        let told = self.podman(&["inspect", "--format", "{{.State.Pid}}", &self.container()]);
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    }

    fn served(&self, app: &str) -> Answer {
        let host = format!("{app}.apps.keyless.localhost");
        self.server.https().send("GET", &host, "/", &[], "").unwrap()
    }

    /// The cgroups of this server's apps, and its podman's.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let status: Value = serde_json::from_str(&self.server.keyless_json(["status"])).unwrap();
        let tenant = status["tenant"].as_str().unwrap();
        let (apps, podman) =
            (format!("keyless-hosted.{tenant}."), format!("keyless-podman-{}", &tenant[..8]));
        let roots = server::hierarchy().join("keyless");
        let all =
            std::fs::read_dir(self.server.delegated().unwrap_or(&roots)).into_iter().flatten().flatten();
        all.map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with(&apps) || name.starts_with(&podman)
            })
            .collect()
    }

    /// The container runs on while servers come and go, by the same endpoint in the same network; killed, it comes back as another one, with
    /// another secret. Answers its process then.
    fn runs_on_and_comes_back(&mut self, secret: &str) -> String {
        let pid = self.pid();
        let _status = self.server.stop();
        assert_eq!(self.pid(), pid, "it runs on");
        self.server.start_again();
        assert!(self.inside(ASK).contains("access_token"), "the same endpoint, in the same network");
        wait::until("it to be served again", PATIENCE, || self.served("web").status == 200);
        self.server.kill();
        self.server.start_again();
        assert!(self.inside(ASK).contains("access_token"), "also after the server was killed");
        assert!(self.inside(&ask_imds()).contains("access_token"), "and IMDS, too");
        assert_eq!(self.pid(), pid);

        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        // The one that was killed may be listed for a moment.
        let mut next = String::new();
        wait::until("another container", PATIENCE, || {
            let listed = self.podman(&["ps", "--format", "{{.Pid}}"]);
            next = String::from_utf8(listed.stdout).unwrap().trim().to_owned();
            ![pid.as_str(), "", "0"].contains(&&*next)
                && self.served("web").status == 200
                && next == self.pid()
        });
        assert_ne!(endpoint(&next).secret, secret);
        next
    }

    /// Stopped, started again and deleted with its app, nothing is left of it.
    fn ends_with_all_that_it_had(&self) {
        let _said = self.server.keyless(["app", "stop", "web"]).ok();
        self.nothing_is_left();
        let _said = self.server.keyless(["app", "start", "web"]).ok();
        assert_eq!(self.served("web").status, 200);
        let _said = self.server.keyless(["app", "delete", "web"]).ok();
        self.nothing_is_left();
    }

    fn nothing_is_left(&self) {
        let left = || {
            let listed = self.podman(&["ps", "--all", "--quiet"]);
            format!("{}{:?}", String::from_utf8_lossy(&listed.stdout).trim(), self.cgroups())
        };
        let began = std::time::Instant::now();
        while left() != "[]" {
            assert!(began.elapsed() < PATIENCE, "of the container there is left: {}", left());
            std::thread::sleep(Duration::from_millis(100));
        }
        // Podman has ended, and who makes our sockets in an ordinary user's networks.
        wait::until("the server to have no children", PATIENCE, || children(self.server.pid()) == 0);
    }
}

/// Asks for a token as clients do that know IMDS only.
fn ask_imds() -> String {
    format!("wget -q -O - --header 'Metadata: true' '{IMDS}'")
}

/// The program that the image is made of; none where there can be no containers, with a word.
fn busybox() -> Option<PathBuf> {
    if !settings::is_root() {
        skip("containers: needs root");
        return None;
    }
    let found = setting("BUSYBOX").filter(|_| setting("PODMAN").is_some());
    if found.is_none() {
        skip("containers: needs podman, runc and a static busybox");
    }
    found.map(PathBuf::from)
}

/// Podman's own files below a folder, and the variables by which it finds them, for all starts of a server.
fn configured(place: &Path) -> &'static [(&'static str, &'static str)] {
    let at = |name: &str| place.join(name);
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}\"\nrootless_storage_path = \"{0}\"\nrunroot = \"{1}\"\n",
        at("graph").display(),
        at("run").display()
    );
    std::fs::write(at("storage.conf"), storage).unwrap();
    let engine = format!(
        "[engine]\nruntime = \"runc\"\nevents_logger = \"none\"\ntmp_dir = \"{}\"\n",
        at("tmp").display()
    );
    std::fs::write(at("containers.conf"), engine).unwrap();
    let variables = [
        ("CONTAINERS_STORAGE_CONF", at("storage.conf")),
        ("CONTAINERS_CONF", at("containers.conf")),
        ("XDG_RUNTIME_DIR", place.to_owned()),
    ];
    let leaked = variables
        .map(|(name, path)| (name, &*Box::leak(path.to_string_lossy().into_owned().into_boxed_str())));
    Box::leak(Box::new(leaked))
}

impl Drop for Engine {
    fn drop(&mut self) {
        for app in ["web", "other"] {
            let _gone = self.server.keyless(["app", "delete", app]);
        }
        let began = std::time::Instant::now();
        while !self.cgroups().is_empty() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _gone = self.podman(&["rm", "--all", "--force", "--time", "0"]);
        // Layers have files of other users and without rights; podman knows how to remove them.
        let _gone = self.podman(&["rmi", "--all", "--force"]);
    }
}

/// What an instance was given: read where root can, from its first process.
fn endpoint(pid: &str) -> Endpoint {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(environment).unwrap();
    let value = |name: &str| {
        let mut all = text.split('\0');
        all.find_map(|one| one.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
    };
    Endpoint { url: value("IDENTITY_ENDPOINT"), secret: value("IDENTITY_HEADER") }
}

#[test]
fn an_image_is_served_and_gets_tokens_and_nothing_of_it_is_left() {
    let Some(mut engine) = Engine::start("containers") else { return };
    let _said = engine.server.keyless(["app", "create", "web"]).ok();
    let _said = engine.server.keyless(["app", "settings", "set", "web", "GREETING=good morning"]).ok();
    let told = engine.deploy("web", SCRIPT);
    assert_eq!(
        (&told["hosted"]["runtime"], &told["hosted"]["enforced"]),
        (&"container".into(), &true.into()),
        "{told}"
    );
    assert!(told["hosted"]["isolation"].as_str().unwrap().starts_with("container:"), "{told}");
    assert_eq!(engine.served("web").text().trim(), "served", "the proxy's way leads into its network");
    let log = engine.server.keyless(["app", "logs", "web"]).ok();
    assert!(log.contains("setting good morning"), "{log}");

    let pid = engine.pid();
    let given = endpoint(&pid);
    // No argument of any process has the secret, and no container's record of podman is readable by others.
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(&given.secret), "{process:?}");
    }
    let said = engine.inside(ASK);
    assert!(said.contains("access_token"), "{said}");
    // The server is at its port and its names lead there; the machine's metadata service and all others are not to be had.
    let port = engine.server.port();
    assert!(engine.inside("cat /etc/hosts").contains("127.0.0.1\tlogin.keyless.localhost"));
    let reach = |url: &str| {
        let mut curl = Command::new("nsenter");
        curl.args(["-t", &pid, "-n", "curl", "--silent", "--max-time", "5", "--cacert"]);
        curl.arg(engine.server.authority());
        curl.args(["--resolve", &format!("login.keyless.localhost:{port}:127.0.0.1"), url]);
        wait::output(&mut curl, b"").status.code()
    };
    assert_eq!(reach(&format!("https://login.keyless.localhost:{port}/")), Some(0));
    let app = format!("web.apps.keyless.localhost:{port}");
    let mut curl = Command::new("nsenter");
    curl.args(["-t", &pid, "-n", "curl", "--silent", "--output", "/dev/null", "--cacert"]);
    curl.arg(engine.server.authority()).args(["--resolve", &format!("{app}:127.0.0.1")]);
    curl.args(["--write-out", "%{http_code}", &format!("https://{app}/")]);
    let said = String::from_utf8(wait::output(&mut curl, b"").stdout).unwrap();
    assert_eq!(said, "404", "no app is served there, as there is no way to others");
    // Could not connect: at once, as there is no way, or in vain.
    assert!(matches!(reach("http://192.0.2.1/"), Some(7 | 28)));
    // Azure's metadata address is ours in there, for the container's own processes and nobody else, and says nothing of the machine's own.
    let said = engine.inside(&ask_imds());
    assert!(said.contains("access_token") && said.contains("expires_in"), "{said}");
    let probed = engine.inside(&format!("wget -S -q -O - '{IMDS}'"));
    assert!(probed.contains("400") && !probed.contains("access_token"), "{probed}");
    let other =
        engine.inside("wget -S -q -O - --header 'Metadata: true' http://169.254.169.254/metadata/instance");
    assert!(other.contains("404"), "{other}");
    let mut entered = Command::new("nsenter");
    entered.args(["-t", &pid, "-n", "curl", "--silent", "--max-time", "5", "-H", "Metadata: true", IMDS]);
    let entered = wait::output(&mut entered, b"");
    assert!(String::from_utf8_lossy(&entered.stdout).contains("unknown_source"), "{entered:?}");

    let pid = engine.runs_on_and_comes_back(&given.secret);
    engine.ends_with_all_that_it_had();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn who_has_the_secret_and_is_not_of_the_container_gets_nothing() {
    let Some(engine) = Engine::start("containers-thieves") else { return };
    engine.deploy("web", SCRIPT);
    let pid = engine.pid();
    let given = endpoint(&pid);
    let raw = engine.server.raw();

    // From the host nobody listens there.
    let mut outside = Command::new(&raw);
    outside.arg(given.address());
    let output = wait::output(&mut outside, given.request("").as_bytes());
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");

    // Root who enters the network is none of the container's processes.
    let mut entered = Command::new("nsenter");
    entered.args(["-t", &pid, "-n"]).arg(&raw).arg(given.address());
    let answer = Answer::parse(&wait::output(&mut entered, given.request("").as_bytes()).stdout);
    assert_eq!(answer.status, 403, "{answer:?}");

    // Another container in the same network, as in a pod.
    let ask = format!(
        "wget -S -q -O - --header 'X-IDENTITY-HEADER: {}' '{}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net'",
        given.secret, given.url
    );
    let parent = format!("/keyless/e2e-{}", std::process::id());
    let network = format!("container:{}", engine.container());
    let limit = "nofile=1024:1024";
    let run = [
        "run",
        "--rm",
        "--network",
        &network,
        "--cgroup-parent",
        &parent,
        "--pids-limit",
        "-1",
        "--ulimit",
        limit,
        "--ulimit",
        "nproc=1024:1024",
        "keyless-e2e",
        "sh",
        "-c",
        &ask,
    ];
    let neighbour = engine.podman(&run);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&neighbour.stdout),
        String::from_utf8_lossy(&neighbour.stderr)
    );
    assert!(said.contains("403") && !said.contains("access_token"), "{said}");
    let folder = server::hierarchy().join(parent.trim_start_matches('/'));
    let inner: Vec<PathBuf> =
        std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    inner.iter().chain([&folder]).for_each(|path| drop(std::fs::remove_dir(path)));

    let tail = engine.server.keyless(["audit", "tail"]).ok();
    assert!(tail.contains("made outside of the cgroup") && !tail.contains(&given.secret), "{tail}");
}

#[test]
fn an_image_speaks_azure_arc_by_keys_that_only_it_sees() {
    if let Some(engine) = Engine::start("containers-arc") {
        speaks_azure_arc(&engine);
    }
}

/// A key is left for it, where only the container sees it, whoever its image runs as; and there is no way without one.
fn speaks_azure_arc(engine: &Engine) {
    let _said = engine.server.keyless(["app", "create", "web"]).ok();
    let _said = engine.server.keyless(["app", "configure", "web", "--arc", "on"]).ok();
    engine.deploy("web", SCRIPT);
    let key = || {
        let ask = "wget -q -O - --header 'Metadata: true' \
                   \"$IDENTITY_ENDPOINT?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net\"";
        let said = engine.inside(ask);
        assert!(said.contains("401"), "{said}");
        let tail = engine.server.keyless(["audit", "tail"]).ok();
        let (_, id) = tail.rsplit_once("a key is left for the app: ").unwrap();
        format!("/var/opt/azcmagent/tokens/{}.key", id.split_whitespace().next().unwrap())
    };
    let take = |user: &str, key: &str| {
        let script = "wget -q -O - --header 'Metadata: true' --header \"Authorization: Basic $0\" \
                      \"$IDENTITY_ENDPOINT?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net\"";
        let ran = engine.podman(&["exec", "--user", user, &engine.container(), "sh", "-c", script, key]);
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    let read = |user: &str, path: &str| {
        let ran = engine.podman(&["exec", "--user", user, &engine.container(), "cat", path]);
        String::from_utf8(ran.stdout).unwrap()
    };
    for user in ["0:0", "1234:1234"] {
        let path = key();
        assert!(!Path::new(&path).exists(), "it is not there for anybody else");
        let text = read(user, &path);
        assert_eq!(text.len(), 43, "{user}");
        let said = take(user, &text);
        assert!(said.contains("access_token"), "{user}: {said}");
        let again = take(user, &text);
        assert!(again.contains("401") && !again.contains("access_token"), "{user}: {again}");
    }
    let path = key();
    let written = engine.inside(&format!("echo x > {path}; echo x > /var/opt/azcmagent/tokens/own.key"));
    assert!(written.contains("Read-only") || written.contains("ermission denied"), "{written}");
    let imds = engine.inside(&ask_imds());
    assert!(!imds.contains("access_token"), "IMDS wants no key: {imds}");
    let shown = engine.server.keyless(["app", "show", "web"]).ok();
    assert!(shown.contains("IMDS is not at 169.254.169.254"), "{shown}");
}

#[test]
fn an_image_that_cannot_be_had_or_started_says_so() {
    let Some(engine) = Engine::start("containers-faults") else { return };
    let deploy = ["app", "deploy", "web", "--image", "localhost/no-such-image:1", "--timeout", "60"];
    let said = engine.server.keyless(deploy);
    assert!(said.code == Some(1) && said.stderr.contains("localhost/no-such-image:1"), "{said:?}");
    let said = engine.server.keyless(["app", "deploy", "web", "--image", "--privileged"]);
    assert_ne!(said.code, Some(0), "{said:?}");
    // It ends at once, again and again: told, and nothing piles up.
    let deploy =
        ["app", "deploy", "web", "--image", "keyless-e2e", "--command", "echo no; exit 3", "--timeout", "3"];
    let said = engine.server.keyless(deploy);
    assert_eq!(said.code, Some(1), "{said:?}");
    wait::until("its end to be told", PATIENCE, || {
        engine.server.keyless(["app", "logs", "web"]).ok().contains("exited with status 3")
    });
    let _said = engine.server.keyless(["app", "settings", "set", "web", "KEY=a\nb"]).ok();
    wait::until("the reason to be told", PATIENCE, || {
        engine.server.keyless(["app", "show", "web"]).ok().contains("setting KEY has several lines")
    });
}
