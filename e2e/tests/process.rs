//! `keyless run` is transparent: input, output, exit status and signals are the program's own.

use std::process::Stdio;
use std::time::Duration;

use e2e::{Server, wait};
use rustix::process::Signal;

#[test]
fn input_output_and_status_pass_through() {
    let server = Server::start("pass-through");
    let ended = server.run_as("web", "shop", &["sh", "-c", "cat; echo to stderr >&2; exit 7"], "to stdout");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(7), "to stdout"));
    assert!(ended.stderr.contains("to stderr"));
}

#[test]
fn a_program_that_cannot_start_says_so() {
    let server = Server::start("no-program");
    assert_eq!(server.run_as("web", "shop", &["/no/such/program"], "").code, Some(127));
    let is_there = || server.keyless(["app", "show", "web"]).code == Some(0);
    assert!(!is_there(), "what was made for it is taken back");
    let _made = server.keyless(["app", "create", "web"]).ok();
    assert_eq!(server.run_as("web", "shop", &["/etc/passwd"], "").code, Some(126));
    assert!(is_there(), "what was there stays");
    assert!(
        server.keyless(["app", "identity", "show", "web"]).stderr.contains("has no identity"),
        "as it was"
    );
}

#[test]
fn signals_pass_through() {
    let server = Server::start("signals");
    let mut command = server.command([
        "run",
        "--app",
        "web",
        "--",
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    e2e::server::signal(&child, Signal::TERM);
    assert_eq!(wait::for_end(&mut child, Duration::from_secs(20), "the app").code(), Some(9));
}

#[test]
fn what_would_override_the_identity_is_taken_out_with_a_word() {
    let server = Server::start("overrides");
    let mut command = server.command(["run", "--app", "web", "--", "env"]);
    command
        .env("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111")
        .env("AZURE_CLIENT_SECRET", "left over");
    command.env("IDENTITY_SERVER_THUMBPRINT", "ab").env("MY_OWN", "kept");
    let ended: e2e::Ended = wait::output(&mut command, b"").into();
    assert!(
        ended.stderr.contains("AZURE_CLIENT_ID") && ended.stderr.contains("AZURE_CLIENT_SECRET"),
        "{}",
        ended.stderr
    );
    assert!(!ended.said().contains("left over"));
    let seen = ended.ok();
    for gone in ["AZURE_CLIENT_ID=", "AZURE_CLIENT_SECRET=", "IDENTITY_SERVER_THUMBPRINT="] {
        assert!(!seen.contains(gone), "{seen}");
    }
    for there in [
        "IDENTITY_ENDPOINT=http://",
        "IDENTITY_HEADER=",
        "MSI_ENDPOINT=http://",
        "MSI_SECRET=",
        "MY_OWN=kept",
    ] {
        assert!(seen.lines().any(|line| line.starts_with(there)), "{there}: {seen}");
    }
}
