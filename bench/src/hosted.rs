//! An app that is hosted: how soon it answers after `keyless app start`, and what a request to it costs through the proxy, held against
//! nginx in front of the same process.

use crate::{
    bare, cpu, load,
    nginx::Nginx,
    report::{Report, Row, median},
    scenario::{Bench, CONNECTIONS, Size},
};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    response::IntoResponse as _,
    routing::get,
};
use hyper::body::{Frame, SizeHint};
use serde_json::Value;
use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, Stdio},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

const APP: &str = "hosted";
pub(crate) const HOST: &str = "hosted.apps.keyless.localhost";
/// What the app's shell starts, in the folder of the package: this program.
const COMMAND: &str = "exec ./server hosted";
const SMALL_BYTES: usize = 1_024;
const LARGE_BYTES: usize = 100_000_000;
const PIECE: &[u8] = &[b'x'; 64 * 1024];
/// Between two looks whether it answers; between two looks whether it has ended.
const LOOK: Duration = Duration::from_micros(200);
const ENDED_LOOK: Duration = Duration::from_millis(20);

/// Inside the app: a bare server at `$PORT`, which answers with 1 KiB, and at `/large` with 100 MB piece by piece.
#[expect(
    clippy::disallowed_methods,
    reason = "as an app does, it reads from its environment what it was given"
)]
pub(crate) async fn serve() {
    let port: u16 =
        std::env::var("PORT").ok().and_then(|port| port.parse().ok()).expect("this runs as an app");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    let small = Bytes::from(vec![b'x'; SMALL_BYTES]);
    let large = || async { Body::new(Large { left: LARGE_BYTES }).into_response() };
    let router = Router::new().route("/large", get(large)).fallback(move || async move { small });
    bare::accept(listener, router, None).await;
}

/// A body of so many bytes.
struct Large {
    left: usize,
}

impl HttpBody for Large {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = &PIECE[..PIECE.len().min(self.left)];
        self.left -= piece.len();
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(Bytes::from_static(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

/// The app, hosted; deleted on drop, since a server that is asked to end leaves its apps running.
struct Hosted<'a> {
    bench: &'a Bench,
    package: PathBuf,
}

impl Bench {
    fn host(&self) -> Hosted<'_> {
        let package = self.directory.join("package");
        fs::create_dir_all(&package).expect("the directory is writable");
        let program = std::env::current_exe().expect("a process knows its program");
        fs::copy(program, package.join("server")).expect("the directory is writable");
        let folder = package.to_str().expect("its path is text");
        self.system.command(&["app", "deploy", APP, "--dir", folder, "--command", COMMAND], b"");
        Hosted { bench: self, package }
    }

    /// From `keyless app start` to the app's first answer through the proxy, against the same program started by a shell, to its first answer.
    pub(crate) async fn app_start(&self, report: &mut Report, size: &Size) {
        let hosted = self.host();
        let target = self.system.target(&self.root, HOST);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..size.rounds {
            theirs.push(plain_start(&hosted.package).await);
            self.system.command(&["app", "stop", APP], b"");
            hosted.ended();
            let begin = Instant::now();
            let mut command = Command::new(&self.system.keyless);
            command.args(["app", "start", APP]).env("KEYLESS_DATA_DIR", &self.system.data);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut command = command.spawn().expect("keyless starts");
            let mut connection = load::Connection::open(&target).await;
            while !connection.ask(&self.hosted_request("/")).await.0.starts_with("HTTP/1.1 200") {
                std::thread::sleep(LOOK);
            }
            ours.push(begin.elapsed().as_secs_f64() * 1_000.0);
            // It waits for what we have seen.
            assert!(command.wait().is_ok_and(|status| status.success()), "the app does not start");
        }
        let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect());
        report.rows.push(Row {
            what: "`keyless app start` to the first answer of a hosted app".into(),
            figure: format!("{:.1} ms", median(ours)),
            against: format!("the same program by a shell: {:.1} ms", median(theirs)),
            ratio: Some(ratio),
            expected: String::new(),
            is_met: None,
        });
    }

    /// A request through the proxy, and one large answer.
    pub(crate) async fn proxy(&self, report: &mut Report, size: &Size, nginx: &Path) {
        let hosted = self.host();
        let target = self.system.target(&self.root, HOST);
        let nginx = Nginx::start(nginx, &self.directory, hosted.port());
        let beside = nginx.as_ref().map(|nginx| load::Target {
            listener: load::Listener::Tcp(([127, 0, 0, 1], nginx.port).into()),
            pid: nginx.pid(),
            ..self.system.target(&nginx.root, HOST)
        });
        let request = Arc::new(vec![self.hosted_request("/")]);
        for connections in CONNECTIONS {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..size.rounds {
                if let Some(beside) = &beside {
                    theirs.push(load::run(beside, request.clone(), connections, size.requests).await);
                }
                ours.push(load::run(&target, request.clone(), connections, size.requests).await);
            }
            let what = format!("1 KiB of a hosted app over TLS, {connections} connections");
            report.rows.push(through(&what, &ours, &theirs));
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..size.rounds.min(5) {
            if let Some(beside) = &beside {
                theirs.push(self.large(beside).await);
            }
            ours.push(self.large(&target).await);
        }
        let mut row = through("100 MB of a hosted app over TLS", &ours, &theirs);
        let told = |costs: &[load::Cost]| {
            let middle = |pick: fn(&load::Cost) -> f64| median(costs.iter().map(pick).collect());
            format!(
                "{:.0} MB/s, {:.0} ms CPU",
                middle(|cost| cost.rate),
                middle(|cost| cost.cpu_us / 1_000.0)
            )
        };
        row.figure = told(&ours);
        if !theirs.is_empty() {
            row.against = format!("{NGINX}: {}", told(&theirs));
        }
        report.rows.push(row);
    }

    /// The large answer, whose rate is in MB a second.
    async fn large(&self, target: &load::Target) -> load::Cost {
        let request = self.hosted_request("/large");
        let unit = async move |connection: &mut load::Connection, _: usize| {
            let bytes = connection.swallow(&request).await;
            assert!(bytes >= LARGE_BYTES, "{bytes} bytes are not the whole answer");
        };
        let cost = load::drive(target, 1, 1, unit).await;
        load::Cost { rate: cost.rate * LARGE_BYTES as f64 / 1_000_000.0, ..cost }
    }

    fn hosted_request(&self, path: &str) -> Vec<u8> {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}:{}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
            self.system.port
        )
        .into_bytes()
    }
}

const NGINX: &str = "nginx";

fn through(what: &str, ours: &[load::Cost], theirs: &[load::Cost]) -> Row {
    if theirs.is_empty() {
        let mut row = Row::compare(what, ours, NGINX, ours, None);
        (row.against, row.ratio) = ("no nginx here".into(), None);
        return row;
    }
    Row::compare(what, ours, NGINX, theirs, None)
}

/// Milliseconds until the program answers that a shell starts.
async fn plain_start(package: &Path) -> f64 {
    let port = free_port();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", COMMAND]).current_dir(package).env("PORT", port.to_string()).stdin(Stdio::null());
    let begin = Instant::now();
    let mut child = cpu::spawn_on_server_core(&mut command).expect("there is a shell");
    let target = load::Target {
        listener: load::Listener::Tcp(([127, 0, 0, 1], port).into()),
        tls: None,
        pid: child.id(),
    };
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(LOOK);
    }
    let answer = load::once(&target, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let took = begin.elapsed();
    assert_eq!(answer.len(), SMALL_BYTES);
    let _ended = child.kill().and_then(|()| child.wait());
    took.as_secs_f64() * 1_000.0
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
        .port()
}

impl Hosted<'_> {
    fn instances(&self) -> Vec<Value> {
        let shown = self.bench.system.command(&["app", "show", APP, "-o", "json"], b"");
        let shown: Value = serde_json::from_str(&shown).expect("it prints JSON");
        shown["hosted"]["instances"].as_array().expect("it is hosted").clone()
    }

    /// Where the instance listens.
    fn port(&self) -> u16 {
        let instances = self.instances();
        let [instance] = instances.as_slice() else { panic!("not one instance: {instances:?}") };
        instance["port"].as_u64().and_then(|port| port.try_into().ok()).expect("an instance has a port")
    }

    fn ended(&self) {
        while !self.instances().is_empty() {
            std::thread::sleep(ENDED_LOOK);
        }
    }
}

impl Drop for Hosted<'_> {
    fn drop(&mut self) {
        let system = &self.bench.system;
        let _ = Command::new(&system.keyless)
            .args(["app", "delete", APP])
            .env("KEYLESS_DATA_DIR", &system.data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // Its files go after its last process.
        let all = self.bench.directory.join("data-apps");
        let is_there =
            || fs::read_dir(&all).is_ok_and(|all| all.flatten().any(|entry| entry.path().is_dir()));
        let begin = Instant::now();
        while is_there() && begin.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(ENDED_LOOK);
        }
    }
}
