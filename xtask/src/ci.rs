//! `cargo xtask ci`: all steps in order, cheap ones first; each in a process of its own with its output in a log and a time limit.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{self, Failure};
use crate::workspace;

/// A command of xtask and the longest it may take, in minutes: several times what it needs on two cores from a cold start.
type Step = (&'static [&'static str], u64);

/// Steps one after the other.
type Lane = &'static [Step];

/// Stages one after the other, whose lanes run at a time. Together is only what mostly waits, and the scenarios are alone: they tell how long things
/// take.
const STAGES: &[&[Lane]] = &[
    &[&[
        (&["fmt"], 2),
        (&["tidy"], 2),
        (&["arrows"], 5),
        (&["deny"], 5),
        (&["clippy"], 25),
        (&["test"], 40),
        (&["doc"], 15),
        (&["e2e"], 45),
    ]],
    &[
        // Three minutes of it are sleeps of the suites.
        &[(&["conformance"], 30)],
        &[(&["sim"], 20), (&["model"], 10), (&["demo"], 10), (&["bench", "--quick"], 15)],
    ],
];

/// What is built once and never changed has no use for what makes a second build quick, nor a debugger: a tenth of all compiling.
const BUILT_ONCE: &[(&str, &str)] = &[("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "false")];

/// Lines of a failing step's log that are shown; the whole is in the file.
const SHOWN_LINES_MAX: usize = 400;

struct Outcome {
    name: String,
    took: Duration,
    verdict: Result<(), String>,
}

/// Runs all steps, up to the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    process::adopt_orphans()?;
    let logs = workspace::target().join("ci");
    process::directory(&logs)?;
    let own = std::env::current_exe()?;
    let began = Instant::now();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for stage in STAGES {
        // Whose processes they are is known only where one step runs at a time.
        let is_alone = stage.len() == 1;
        let ended: Vec<Outcome> = std::thread::scope(|scope| {
            let (own, logs) = (&own, &logs);
            let running: Vec<_> =
                stage.iter().map(|steps| scope.spawn(move || lane(steps, is_alone, own, logs))).collect();
            running.into_iter().flat_map(|running| running.join().unwrap_or_default()).collect()
        });
        outcomes.extend(ended);
        if let (Err(why), Some(last)) = (nothing_left(), outcomes.last_mut()) {
            process::say(&format!("==> {why}"));
            last.verdict = Err(why);
        }
        if outcomes.iter().any(|outcome| outcome.verdict.is_err()) {
            break;
        }
    }
    summarize(&outcomes, began.elapsed())
}

/// Nothing of a step that has ended may still run.
fn nothing_left() -> Result<(), String> {
    let left = process::end_leftovers();
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("left processes running, which were ended: {}", left.join(", ")))
    }
}

/// The steps of a lane, up to the first that fails.
fn lane(steps: Lane, is_alone: bool, own: &Path, logs: &Path) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (arguments, minutes) in steps {
        let name = arguments.join(" ");
        process::say(&format!("==> {name}"));
        let log = logs.join(format!("{}.log", arguments.first().copied().unwrap_or("step")));
        let mut command = Command::new(own);
        command.args(*arguments).envs(BUILT_ONCE.iter().copied()).stdin(Stdio::null());
        let started = Instant::now();
        let mut verdict = step(&mut command, &log, Duration::from_secs(60 * minutes));
        if is_alone {
            let left = nothing_left();
            verdict = verdict.and(left);
        }
        let took = started.elapsed();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        tests_of(&text).iter().for_each(|line| process::say(&format!("    {line}")));
        if let Err(why) = &verdict {
            let lines: Vec<&str> = text.lines().filter(|line| !is_progress(line)).collect();
            let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES_MAX)..).unwrap_or_default();
            process::say(&shown.join("\n"));
            process::say(&format!("==> {name} failed: {why} (whole output: {})", log.display()));
        }
        let has_failed = verdict.is_err();
        outcomes.push(Outcome { name, took, verdict });
        if has_failed {
            break;
        }
    }
    outcomes
}

/// One step: to its end or its limit.
fn step(command: &mut Command, log: &Path, limit: Duration) -> Result<(), String> {
    let file = File::create(log).map_err(|error| error.to_string())?;
    let errors = file.try_clone().map_err(|error| error.to_string())?;
    let mut child = command.stdout(file).stderr(errors).spawn().map_err(|error| error.to_string())?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() > limit => {
                let left = process::end_leftovers();
                return Err(format!(
                    "took more than {} minutes; ended {}",
                    limit.as_secs() / 60,
                    left.join(", ")
                ));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(error.to_string()),
        }
    };
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// Cargo's progress and what went well, which tell nothing of a failure.
fn is_progress(line: &str) -> bool {
    if line.ends_with(" ... ok")
        || line.starts_with("test result: ok.")
        || line.starts_with("running ")
        || line.is_empty()
    {
        return true;
    }
    let words = ["Compiling", "Checking", "Downloaded", "Downloading", "Documenting", "Running", "Finished"];
    line.starts_with(' ') && words.contains(&line.split_whitespace().next().unwrap_or_default())
}

/// What test runners said of themselves, and what was skipped: a skipped test should be seen.
fn tests_of(log: &str) -> Vec<&str> {
    let is_result = |line: &&str| line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed");
    let is_skip = |line: &&str| line.trim_start().starts_with("skipped:");
    log.lines().filter(|line| is_result(line) || is_skip(line)).collect()
}

fn summarize(outcomes: &[Outcome], took: Duration) -> Result<(), Failure> {
    process::say("\nstep                 seconds  verdict");
    for outcome in outcomes {
        let verdict = if outcome.verdict.is_ok() { "ok" } else { "FAILED" };
        process::say(&format!("{:<20} {:>7.1}  {verdict}", outcome.name, outcome.took.as_secs_f64()));
    }
    process::say(&format!("{:<20} {:>7.1}", "all", took.as_secs_f64()));
    let failed = outcomes.iter().filter(|outcome| outcome.verdict.is_err()).count();
    let steps: usize = STAGES.iter().copied().flatten().map(|lane| lane.len()).sum();
    let not_run = steps.saturating_sub(outcomes.len());
    let skipped = if not_run == 0 { String::new() } else { format!(", {not_run} skipped") };
    let line = format!("{} passed, {failed} failed{skipped}", outcomes.len() - failed);
    process::say(&line);
    // A lane that ended by a panic has told of nothing.
    if failed == 0 && not_run == 0 { Ok(()) } else { Err(Failure::new("a step failed, or was not run")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_only_if_every_step_was_run_and_passed() {
        let passed = || Outcome { name: "a".to_owned(), took: Duration::ZERO, verdict: Ok(()) };
        let steps: usize = STAGES.iter().copied().flatten().map(|lane| lane.len()).sum();
        let mut outcomes: Vec<Outcome> = std::iter::repeat_with(passed).take(steps).collect();
        assert!(summarize(&outcomes, Duration::ZERO).is_ok());
        if let Some(last) = outcomes.last_mut() {
            last.verdict = Err("exit status: 1".to_owned());
        }
        assert!(summarize(&outcomes, Duration::ZERO).is_err());
        let _not_run = outcomes.pop();
        assert!(summarize(&outcomes, Duration::ZERO).is_err());
    }

    #[test]
    fn results_and_skips_are_shown_and_empty_runs_are_not() {
        let log = "running 0 tests\ntest result: ok. 0 passed; 0 failed\nskipped: no go\ntest result: ok. 3 passed; 0 failed";
        assert_eq!(tests_of(log), ["skipped: no go", "test result: ok. 3 passed; 0 failed"]);
    }
}
