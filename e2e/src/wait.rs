//! Waiting with a limit, for everything.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest that any command of a scenario may take. Generous: it guards against hanging, it measures nothing.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Asks until it is so.
///
/// # Panics
/// When it is not so within the limit.
pub fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a child to end; ends it at the limit.
///
/// # Panics
/// When it did not end by itself.
pub fn for_end(child: &mut Child, limit: Duration, what: &str) -> std::process::ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > limit {
            let _gone = child.kill();
            let _reaped = child.wait();
            panic!("{what} did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a child to end; ends it at the limit, and returns `None` then.
pub fn within(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < limit {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Ok(ended) => return ended,
            Err(_) => break,
        }
    }
    let _gone = child.kill();
    let _reaped = child.wait();
    None
}

/// Runs a command to its end with this standard input.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn output(command: &mut Command, stdin: &[u8]) -> Output {
    output_within(command, stdin, LIMIT)
}

/// As [`output`], for what may take this long.
///
/// # Panics
/// As [`output`].
pub fn output_within(command: &mut Command, stdin: &[u8], limit: Duration) -> Output {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Threads, so that a full pipe on either side blocks nobody.
    let writer = std::thread::spawn(move || {
        let _closed_early = input.write_all(&stdin);
    });
    let output = ended(child, limit, &shown);
    writer.join().unwrap();
    output
}

/// Waits for a child to end, and answers what it says on its pipes until then.
///
/// # Panics
/// As [`for_end`].
pub fn ended(mut child: Child, limit: Duration, what: &str) -> Output {
    let out = child.stdout.take().map(|out| std::thread::spawn(|| read_all(out)));
    let errors = child.stderr.take().map(|errors| std::thread::spawn(|| read_all(errors)));
    let status = for_end(&mut child, limit, what);
    let all = |read: Option<JoinHandle<Vec<u8>>>| read.map_or_else(Vec::new, |read| read.join().unwrap());
    Output { status, stdout: all(out), stderr: all(errors) }
}

/// All that a child says on one of its pipes up to the line with these words. What it says there later is read and forgotten, so that it is
/// never kept waiting.
///
/// # Panics
/// When it does not say them within the limit; the child is ended then.
pub fn line(child: &mut Child, pipe: impl Read + Send + 'static, limit: Duration, words: &str) -> String {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _nobody_waits = sender.send(line);
        }
    });
    let (began, mut told) = (Instant::now(), String::new());
    loop {
        match lines.recv_timeout(limit.saturating_sub(began.elapsed())) {
            Ok(line) => {
                let is_it = line.contains(words);
                told.push_str(&line);
                told.push('\n');
                if is_it {
                    return told;
                }
            }
            Err(_over) => {
                let _gone = child.kill();
                let _reaped = child.wait();
                panic!("waited {limit:?} for {words:?} in: {told}");
            }
        }
    }
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _broken = from.read_to_end(&mut bytes);
    bytes
}
