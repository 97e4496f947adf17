//! The load on a managed identity endpoint: this program again, run as an app, since only an app's process tree is answered.
//!
//! Its parent reads the figures from its standard output.

use crate::{
    cpu, load, raw,
    report::{Report, Row, median},
    scenario::{Bench, CONNECTIONS, Size},
    system::Bare,
};
use std::sync::Arc;

/// Tokens, and signatures, of a part of those that are asked for the first time.
const COLD_PART: usize = 10;

/// Inside an app: `token` prints one for the vault; `cached PID BARE-PORT BARE-PID ROUNDS REQUESTS` prints a line for each round: what the bare server
/// and ours cost, and the number of connections; `latency ROUNDS REQUESTS` the wall time of one over one connection; `cold PID AUDIENCE…` prints
/// a line for each part: the processor time of tokens that are asked for the first time, and of the library's signatures just before, on the same core.
#[expect(
    clippy::disallowed_methods,
    reason = "as an app does, it reads from its environment what it was given"
)]
pub(crate) async fn load(arguments: &[&str]) {
    cpu::pin(cpu::LOAD_CORE);
    let variable = |name: &str| std::env::var(name).expect("this runs as an app");
    let endpoint = variable("IDENTITY_ENDPOINT");
    let (authority, path) = endpoint
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("the endpoint is a plain URL");
    let request = |resource: &str| {
        format!(
            "GET /{path}?api-version=2019-08-01&resource={resource} HTTP/1.1\r\nHost: {authority}\r\nX-IDENTITY-HEADER: {}\r\n\
             User-Agent: bench\r\nAccept: */*\r\n\r\n",
            variable("IDENTITY_HEADER")
        )
        .into_bytes()
    };
    let address: std::net::SocketAddr = authority.parse().expect("the endpoint is an address");
    let number = |text: &str| -> usize { text.parse().expect("a number") };
    let local = tokio::task::LocalSet::new();
    let printed = local
        .run_until(async {
            match arguments {
                ["token"] => {
                    let target = load::Target { listener: load::Listener::Tcp(address), tls: None, pid: 0 };
                    let answer = load::once(&target, &request("https://vault.azure.net")).await;
                    let answer: serde_json::Value =
                        serde_json::from_slice(&answer).expect("the answer is JSON");
                    answer["access_token"].as_str().expect("the answer has a token").to_owned()
                }
                ["cached", pid, bare_port, bare_pid, rounds, requests] => {
                    let target = load::Target {
                        listener: load::Listener::Tcp(address),
                        tls: None,
                        pid: number(pid) as u32,
                    };
                    let bare_address = ([127, 0, 0, 1], number(bare_port) as u16).into();
                    let bare = load::Target {
                        listener: load::Listener::Tcp(bare_address),
                        tls: None,
                        pid: number(bare_pid) as u32,
                    };
                    let request = Arc::new(vec![request("https://vault.azure.net")]);
                    let mut lines = String::new();
                    for connections in CONNECTIONS {
                        for _ in 0..number(rounds) {
                            for target in [&bare, &target] {
                                let cost =
                                    load::run(target, request.clone(), connections, number(requests)).await;
                                lines += &format!("{} {} {} ", cost.cpu_us, cost.rate, cost.p99_us);
                            }
                            lines += &format!("{connections}\n");
                        }
                    }
                    lines
                }
                ["latency", rounds, requests] => {
                    let target = load::Target { listener: load::Listener::Tcp(address), tls: None, pid: 0 };
                    let request = Arc::new(vec![request("https://vault.azure.net")]);
                    let mut times = Vec::new();
                    for _ in 0..number(rounds) {
                        let cost = load::run(&target, request.clone(), 1, number(requests)).await;
                        times.push(1_000_000.0 / cost.rate);
                    }
                    median(times).to_string()
                }
                ["cold", pid, audiences @ ..] => {
                    let target = load::Target {
                        listener: load::Listener::Tcp(address),
                        tls: None,
                        pid: number(pid) as u32,
                    };
                    // All are done in a fifth of a second. What a neighbour does on the core meanwhile makes both of a pair dear.
                    let signer = raw::Signer::new();
                    let mut lines = String::new();
                    for part in audiences.chunks(COLD_PART) {
                        let requests: Vec<_> = part.iter().map(|audience| request(audience)).collect();
                        cpu::pin(cpu::SERVER_CORE);
                        let signature = signer.us(part.len() as u32);
                        cpu::pin(cpu::LOAD_CORE);
                        let cost = load::run(&target, Arc::new(requests), 1, part.len()).await;
                        lines += &format!("{} {signature}\n", cost.cpu_us);
                    }
                    lines
                }
                other => panic!("unknown endpoint load {other:?}"),
            }
        })
        .await;
    println!("{printed}");
}

impl Bench {
    /// The load runs as an app: only its process tree is answered.
    pub(crate) fn endpoint(&self, report: &mut Report, size: &Size) {
        let body = format!(
            r#"{{"access_token":"{}","expires_on":"1795558403","resource":"https://vault.azure.net","token_type":"Bearer","client_id":"00000000-0000-4000-8000-000000000000"}}"#,
            self.token
        );
        let bare =
            Bare::start(&self.directory, None, false, "application/json; charset=utf-8", body.as_bytes());
        let program = std::env::current_exe().expect("a process knows its program");
        let printed = self.system.command(
            &[
                "run",
                "--app",
                "bench",
                "--",
                program.to_str().expect("its path is text"),
                "endpoint",
                "cached",
                &self.system.pid().to_string(),
                &bare.port.to_string(),
                &bare.pid().to_string(),
                &size.rounds.to_string(),
                &size.requests.to_string(),
            ],
            b"",
        );
        let lines: Vec<Vec<f64>> = printed
            .trim()
            .lines()
            .map(|line| line.split(' ').map(|field| field.parse().expect("it prints numbers")).collect())
            .collect();
        for connections in CONNECTIONS {
            let rounds = lines.iter().filter(|line| line.last() == Some(&(connections as f64)));
            let (theirs, ours): (Vec<_>, Vec<_>) = rounds.map(|line| (cost(line), cost(&line[3..]))).unzip();
            let what = format!("managed identity token from the cache, {connections} connections");
            report.rows.push(Row::compare(&what, &ours, "bare axum over HTTP", &theirs, Some(2.0)));
        }
    }
}

/// The first three figures of a line.
fn cost(line: &[f64]) -> load::Cost {
    load::Cost { cpu_us: line[0], rate: line[1], p99_us: line[2] }
}
