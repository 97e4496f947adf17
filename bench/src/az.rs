//! Microsoft Learn's exercise by the real `az`: how much of its time is ours. All that `az` asks goes through a pass-through that says whose turn it
//! is on each connection, and does not look into it.
//!
//! A second run, or another server, would tell less: what `az` does by itself takes most of the time and varies by more than all of our answers.

use crate::{
    report::{Report, Row},
    scenario::Bench,
};
use e2e::exercise::STEPS;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What the whole may take, against what `az` takes by itself, its fixed waits among it.
const RATIO_MAX: f64 = 1.1;
/// What `az` looks at until it is over, by its name in the audit log, and how long it waits before it looks again (azure-cli 2.91.0,
/// `appservice/custom.py`): whether a deployment is there, and whether it runs.
const LOOKS: [(&str, Duration); 2] =
    [("scm.deployment.get", Duration::from_secs(2)), ("site.deployment.get", Duration::from_secs(15))];

/// A package that is ready at once: the exercise is about `az`, not about an app.
const APP: &str = "import http.server, os\nhttp.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";

/// For how long answers were waited for, of all connections.
#[derive(Clone, Default)]
struct Waited(Arc<Mutex<Duration>>);

impl Waited {
    fn add(&self, more: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += more;
    }

    fn total(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bench {
    /// Login is before it, as it is in the exercise's text.
    pub(crate) fn exercise(&self, report: &mut Report, az: Option<&Path>) {
        let Some(az) = az else {
            report.rows.push(Row::figure("the exercise by `az`", "no `az`".into()));
            return;
        };
        let waited = Waited::default();
        let proxy = pass_through(self.system.address(), waited.clone());
        let folder = self.directory.join("az");
        let package = folder.join("package");
        std::fs::create_dir_all(&package).expect("the temporary directory is writable");
        std::fs::write(package.join("app.py"), APP).expect("the temporary directory is writable");
        let zip = folder.join("package.zip").display().to_string();
        let mut pack = Command::new("python3");
        let packed = pack.args(["-m", "zipfile", "-c", &zip, "app.py"]).current_dir(&package).status();
        assert!(packed.is_ok_and(|status| status.success()), "python3 packs");
        let config = folder.join("config").display().to_string();
        let told = self.system.command(&["az", "setup", "-o", "json", "--config-dir", &config], b"");
        let variables: BTreeMap<String, String> = serde_json::from_str(&told).expect("it tells JSON");
        let run = |words: &str| -> Value {
            let mut command = Command::new(az.join("az"));
            command.args(words.split(' ')).current_dir(&folder).envs(&variables);
            for name in ["NO_PROXY", "no_proxy"] {
                command.env_remove(name);
            }
            for name in ["HTTPS_PROXY", "https_proxy"] {
                command.env(name, format!("http://{proxy}"));
            }
            let output = command.stdin(Stdio::null()).output().expect("az starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let told = words.split(" --password").next().unwrap_or_default();
            assert!(output.status.success(), "az {told}: {said}");
            serde_json::from_slice(&output.stdout).unwrap_or_default()
        };
        let client = self.client("exercise", &[]);
        for role in [
            &["role", "assign", "--role", "Owner", "--client-id", &client.id, "--scope", "subscription"][..],
            &[
                "app-registration",
                "role",
                "assign",
                "graph",
                "--role",
                "Application.Read.All",
                "--client-id",
                &client.id,
            ],
        ] {
            self.system.command(role, b"");
        }
        let (id, secret, tenant) = (&client.id, &client.secret, &self.tenant);
        run(&format!("login --service-principal -u {id} --password={secret} --tenant {tenant}"));

        let before = waited.total();
        let begin = Instant::now();
        let mut principal = String::new();
        for step in STEPS {
            let told = run(&step.replace("PRINCIPAL", &principal).replace("ZIP", &zip));
            if let Some(id) = told["principalId"].as_str() {
                id.clone_into(&mut principal);
            }
        }
        let (whole, answers) = (begin.elapsed(), waited.total() - before);
        let log = self.system.command(&["audit", "tail", "-n", "500"], b"");
        // It looks once at what is over; each more is a wait that we make.
        let again = |what: &str| log.lines().filter(|line| line.contains(what)).count().saturating_sub(1);
        let waits = |(what, each): (&str, Duration)| each * u32::try_from(again(what)).unwrap_or(u32::MAX);
        let made = LOOKS.into_iter().map(waits).sum::<Duration>();
        let ours = answers + made;
        let own = whole.saturating_sub(ours);
        let ratio = whole.as_secs_f64() / own.as_secs_f64();
        report.rows.push(Row {
            what: format!("the exercise by `az`, {} commands after login", STEPS.len()),
            figure: format!(
                "{:.1} s, of which {:.2} s are our answers and {} s waits that we make",
                whole.as_secs_f64(),
                answers.as_secs_f64(),
                made.as_secs()
            ),
            against: format!("`az` by itself, its waits included: {:.1} s", own.as_secs_f64()),
            ratio: Some(ratio),
            expected: format!("at most {RATIO_MAX}"),
            is_met: Some(ratio <= RATIO_MAX),
        });
    }
}

/// Listens as a proxy for HTTPS; whatever host is asked for, it is the server.
fn pass_through(server: SocketAddr, waited: Waited) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let at = listener.local_addr().expect("it listens");
    // It ends with the process.
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let waited = waited.clone();
            std::thread::spawn(move || tunnel(client, server, &waited));
        }
    });
    at
}

/// One connection, from CONNECT (RFC 9110 section 9.3.6) to its end.
fn tunnel(client: TcpStream, server: SocketAddr, waited: &Waited) -> io::Result<()> {
    let mut head = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let server = TcpStream::connect(server)?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
    }
    (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    // Since when it is the server's turn.
    let turn = Arc::new(Mutex::new(None::<Instant>));
    let (asks, answers) = (client.try_clone()?, server.try_clone()?);
    let asked = turn.clone();
    std::thread::spawn(move || {
        let set = |turn| *asked.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        // Whoever has gone waits for nothing, though the server says goodbye.
        pump(asks, answers, |now| set(Some(now)), || set(None))
    });
    let answered = |now| {
        let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        // What follows of the same answer is waited for as well.
        if let Some(since) = turn.as_mut() {
            waited.add(now - std::mem::replace(since, now));
        }
    };
    pump(server, client, answered, || {})
}

/// Brings what one says to the other, says when there was something, and when there will be no more, before the other hears of it.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    mut said: impl FnMut(Instant),
    ended: impl FnOnce(),
) -> io::Result<()> {
    let mut buffer = [0; 16_384];
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            ended();
            let _gone = to.shutdown(Shutdown::Write);
            return Ok(());
        };
        said(Instant::now());
        to.write_all(bytes)?;
    }
}
