//! How what an app costs depends on how many there are: a thousand hosted apps, each with a process and an open endpoint.
//!
//! The apps sleep: what is measured is the server. Tokens are asked for by this program, run as one of the apps.

use crate::{
    cpu,
    load::{self, Connection},
    report::{Report, Row},
    scenario::{Bench, Size},
};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Clients of the admin socket that set up apps: as an instance counts as ready after half a second at the earliest, so many at a time.
const SETTING_UP: usize = 64;
/// Clients that delete them.
const DELETING: usize = 16;
/// How soon an app is asked about again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the last of the deleted ones may take to be gone.
const GONE_TIME_MAX: Duration = Duration::from_secs(60);

/// What the server needs at one number of apps.
struct Needs {
    apps: usize,
    resident_kib: u64,
    descriptors: usize,
}

impl Bench {
    /// Sets apps up over the admin socket, looks at what the server needs for them, and asks for tokens as the first and as the last of them.
    pub(crate) async fn many_apps(&mut self, report: &mut Report, size: &Size) {
        let all = size.apps;
        let some = all / 10;
        self.set_up_apps(0, 1).await;
        let alone = self.token_as(0, size);
        let one = self.needs(1);
        let first = self.set_up_apps(1, some).await;
        self.set_up_apps(some, all - some).await;
        let last = self.set_up_apps(all - some, all).await;
        let many = self.needs(all);

        let (first_ms, last_ms) = (1_000.0 / first.rate, 1_000.0 / last.rate);
        let ratio = last.cpu_us / first.cpu_us;
        report.rows.push(Row {
            what: format!("setting up an app (app, identity, package, process, endpoint), the last of {all}"),
            figure: format!("{last_ms:.1} ms, {:.0} us CPU", last.cpu_us),
            against: format!("the first of them: {first_ms:.1} ms, {:.0} us CPU", first.cpu_us),
            ratio: Some(ratio),
            expected: "at most 1.3".into(),
            is_met: Some(ratio <= 1.3),
        });
        let more = (many.apps - one.apps) as f64;
        let kib = many.resident_kib.saturating_sub(one.resident_kib) as f64 / more;
        let descriptors = many.descriptors.saturating_sub(one.descriptors) as f64 / more;
        let resident = many.resident_kib as f64 / 1_024.0;
        report.rows.push(Row::figure(
            &format!("resident memory of the server an app, with {all}"),
            format!("{kib:.1} KiB ({resident:.1} MB in all)"),
        ));
        report.rows.push(Row::figure("descriptors of the server an app", format!("{descriptors:.1}")));
        for app in [0, all - 1] {
            let with = format!("latency of a token from the cache as app {} of {all}", app + 1);
            report.rows.push(Row::grown(&with, self.token_as(app, size), "with one app", alone));
        }
        let begin = Instant::now();
        self.exchange(&request("GET", "/v1/apps", "application/json", b"")).await;
        let listing_ms = begin.elapsed().as_secs_f64() * 1_000.0;
        report.rows.push(Row::figure(&format!("a list of {all} apps"), format!("{listing_ms:.1} ms")));
        self.system.stop();
        let starting_ms = self.system.start().elapsed().as_secs_f64() * 1_000.0;
        let what = format!("start of the server with {all} apps that run on");
        report.rows.push(Row::figure(&what, format!("{starting_ms:.0} ms")));
        let seconds = self.delete_apps(all).await;
        report
            .rows
            .push(Row::figure(&format!("deleting {all} apps, until all is gone"), format!("{seconds:.1} s")));
    }

    /// Each until its process runs.
    async fn set_up_apps(&self, from: usize, to: usize) -> load::Cost {
        let unit = async move |connection: &mut Connection, number: usize| {
            let name = name(from + number);
            let path = format!("/v1/apps/{name}");
            let json = "application/json";
            let new = format!(r#"{{"name":"{name}"}}"#);
            connection.exchange(&request("POST", "/v1/apps", json, new.as_bytes())).await;
            connection.exchange(&request("PUT", &format!("{path}/identity"), json, b"")).await;
            let desired = format!("{path}/desired");
            connection.exchange(&request("PATCH", &desired, json, br#"{"health":"process"}"#)).await;
            let deploy = format!("{path}/deployments?command=sleep%20100000");
            connection.exchange(&request("POST", &deploy, "application/zip", &package())).await;
            while !is_ready(connection.exchange(&request("GET", &path, json, b"")).await) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        load::drive(&self.admin(), SETTING_UP.min(to - from), to - from, unit).await
    }

    /// Answers after how many seconds nothing of them was left.
    async fn delete_apps(&self, count: usize) -> f64 {
        let begin = Instant::now();
        let unit = async move |connection: &mut Connection, number: usize| {
            let path = format!("/v1/apps/{}", name(number));
            connection.exchange(&request("DELETE", &path, "application/json", b"")).await;
        };
        load::drive(&self.admin(), DELETING, count, unit).await;
        let mut beside = self.system.data.clone().into_os_string();
        beside.push("-apps");
        let folders = [beside.into(), self.system.data.join("apps")];
        let left = || {
            let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
            entries.filter(|entry| entry.path().is_dir()).count()
        };
        while left() > 0 {
            assert!(begin.elapsed() < GONE_TIME_MAX, "{} apps are not gone", left());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        begin.elapsed().as_secs_f64()
    }

    /// Wall time of a token from the cache over one connection, in microseconds, as one of the apps.
    fn token_as(&self, app: usize, size: &Size) -> f64 {
        let program = std::env::current_exe().expect("a process knows its program");
        let program = program.to_str().expect("its path is text");
        let (rounds, requests) = (size.rounds.to_string(), (size.requests / 4).to_string());
        let name = name(app);
        let run = ["run", "--app", &name, "--", program, "endpoint", "latency", &rounds, &requests];
        self.system.command(&run, b"").trim().parse().expect("it prints microseconds")
    }

    fn needs(&self, apps: usize) -> Needs {
        let pid = self.system.pid();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Needs { apps, resident_kib: cpu::resident_kib(pid), descriptors }
    }

    fn admin(&self) -> load::Target {
        let listener = load::Listener::Unix(self.system.data.join("admin.sock"));
        load::Target { listener, tls: None, pid: self.system.pid() }
    }

    async fn exchange(&self, request: &[u8]) -> Vec<u8> {
        load::once(&self.admin(), request).await
    }
}

fn name(number: usize) -> String {
    format!("many-{number}")
}

/// Has one instance, and that is ready?
fn is_ready(shown: &[u8]) -> bool {
    let shown: serde_json::Value = serde_json::from_slice(shown).expect("an app is JSON");
    shown["hosted"]["instances"][0]["state"] == "ready"
}

/// A request to the admin socket.
fn request(method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A zip of one empty file: entry, directory, end (APPNOTE 4.3). The command is what matters.
fn package() -> Vec<u8> {
    let entry = [&b"PK\x03\x04\x14\0"[..], &[0; 6], b"\x21\0", &[0; 12], b"\x01\0\0\0a"].concat();
    let directory = [
        &b"PK\x01\x02\x14\x03\x14\0"[..],
        &[0; 6],
        b"\x21\0",
        &[0; 12],
        b"\x01\0",
        &[0; 8],
        b"\0\0\xa4\x81",
        &[0; 4],
        b"a",
    ]
    .concat();
    let mut zip = [&entry[..], &directory[..], b"PK\x05\x06\0\0\0\0\x01\0\x01\0"].concat();
    zip.extend((directory.len() as u32).to_le_bytes());
    zip.extend((entry.len() as u32).to_le_bytes());
    zip.extend([0; 2]);
    zip
}
