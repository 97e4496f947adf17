//! The load on a managed identity endpoint: this program again, run as an app, since only an app's process tree is answered.
//!
//! Its parent reads the figures from its standard output.

use crate::{cpu, load, report::median, scenario::CONNECTIONS};
use std::sync::Arc;

/// Inside an app: `token` prints one for the vault; `cached PID BARE-PORT BARE-PID ROUNDS REQUESTS` prints a line of figures for each number of
/// connections; `latency ROUNDS REQUESTS` the wall time of one over one connection; `cold PID AUDIENCE…` prints the mean processor time of tokens that are asked for the first time.
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
                        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                        for _ in 0..number(rounds) {
                            theirs
                                .push(load::run(&bare, request.clone(), connections, number(requests)).await);
                            ours.push(
                                load::run(&target, request.clone(), connections, number(requests)).await,
                            );
                        }
                        let middle = |costs: &[load::Cost], pick: fn(&load::Cost) -> f64| {
                            median(costs.iter().map(pick).collect())
                        };
                        lines += &format!(
                            "{connections} {} {} {} {}\n",
                            middle(&ours, |cost| cost.cpu_us),
                            middle(&ours, |cost| cost.rate),
                            middle(&theirs, |cost| cost.cpu_us),
                            middle(&theirs, |cost| cost.rate)
                        );
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
                    let requests =
                        Arc::new(audiences.iter().map(|audience| request(audience)).collect::<Vec<_>>());
                    load::run(&target, requests, 1, audiences.len()).await.cpu_us.to_string()
                }
                other => panic!("unknown endpoint load {other:?}"),
            }
        })
        .await;
    println!("{printed}");
}
