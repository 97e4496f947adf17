//! Runs the live tests of Azure's own suites, unmodified, against a server of its own, and holds how they ended against
//! `e2e/conformance/expected.txt`. Arguments: the suites to run; none means all. Started by `cargo xtask conformance`, which fetches what it needs.
//!
//! Each file of a vault's live tests runs in a vault of its own, several at a time: most of a suite's time is `sleep`, written for Azure's delays,
//! and we change nothing of it. They run as an app under `keyless run`, with its managed identity and nothing else. The suite of azure-identity
//! meets a directory of its own ([`directory`]).
#![forbid(unsafe_code)]

mod directory;
mod job;
mod vault;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use directory::Directory;
use e2e::conformance::{Listed, Verdict};
use e2e::{Server, setting};
use job::Job;

/// The suites, by the collection of a vault that they test; and the one that tests the directory.
const SUITES: &[&str] = &["secrets", "keys", "certificates", directory::SUITE];

/// Where things are, as xtask tells.
struct Places {
    /// The Python that has what the suites need.
    python: String,
    /// `e2e/conformance`.
    ours: PathBuf,
    /// Where the suites' sources are, a folder for each.
    suites: PathBuf,
    /// Where logs and results go.
    results: PathBuf,
}

impl Places {
    fn told() -> Option<Self> {
        Some(Self {
            python: setting("PYTHON")?,
            ours: setting("CONFORMANCE")?.into(),
            suites: setting("SUITES")?.into(),
            results: setting("RESULTS")?.into(),
        })
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("conformance: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns how much is not as the list says.
fn run() -> Result<usize, String> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !SUITES.contains(&name.as_str())) {
        return Err(format!("no such suite: {unknown}; there are {}", SUITES.join(", ")));
    }
    let places = Places::told().ok_or("run it by `cargo xtask conformance`, which fetches what it needs")?;
    let list = places.ours.join("expected.txt");
    let list = std::fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let list = Listed::parse(&list)?;
    let suites: Vec<&str> = SUITES
        .iter()
        .copied()
        .filter(|name| wanted.is_empty() || wanted.iter().any(|wish| wish == name))
        .collect();

    let server = Server::start("conformance");
    vault::app(&server);
    let directory = suites.contains(&directory::SUITE).then(Directory::start).transpose()?;
    let mut jobs = Vec::new();
    for suite in &suites {
        match &directory {
            Some(directory) if *suite == directory::SUITE => jobs.extend(directory.jobs(&places)),
            _ => jobs.extend(Job::all(&places, &server, suite)?),
        }
    }
    let began = Instant::now();
    let ended = job::run_all(&places, jobs);
    let (mut passed, mut failed) = (0, 0);
    for suite in suites {
        let mut outcomes = Vec::new();
        let mut faults = Vec::new();
        for (_, found) in ended.iter().filter(|(job, _)| job.suite == suite) {
            match found {
                Ok(found) => outcomes.extend(found.iter().cloned()),
                Err(why) => faults.push(why.clone()),
            }
        }
        let mut verdict = Verdict::of(suite, &outcomes, &list);
        verdict.faults.append(&mut faults);
        report(suite, &verdict);
        passed += verdict.live;
        failed += verdict.faults.len();
    }
    say(&format!("{passed} passed, {failed} failed ({} s)", began.elapsed().as_secs()));
    Ok(failed)
}

fn report(suite: &str, verdict: &Verdict) {
    let Verdict { live, offline, listed, older, faults } = verdict;
    say(&format!(
        "{suite}: {live} live tests passed, {listed} listed, {} not as they should; {offline} offline ones passed, {older} of older \
         api-versions left out by the suite",
        faults.len()
    ));
    for fault in faults {
        say(&format!("    {fault}"));
    }
}

/// The one place that prints. A closed pipe (`| head`) is no failure of ours.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = writeln!(out, "{text}").and_then(|()| out.flush());
}
