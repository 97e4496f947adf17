//! `cargo xtask sim`: runs of the simulated world. `--seed N` tells the story of one, `--seeds N` runs so many, `--from N` begins elsewhere.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use sim::{Failure, Mutation, Report, run};
use std::{collections::BTreeMap, panic::resume_unwind, process::ExitCode, thread, time::Instant};

const SEEDS: u64 = 200;

fn main() -> ExitCode {
    let (mut from, mut seeds) = (0, SEEDS);
    let mut is_told = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (argument.as_str(), number) {
            ("--seed", Some(number)) => (from, seeds, is_told) = (number, 1, true),
            ("--seeds", Some(number)) => seeds = number,
            ("--from", Some(number)) => from = number,
            _ => {
                eprintln!("usage: sim [--seed N | --seeds N] [--from N]");
                return ExitCode::FAILURE;
            }
        }
    }
    let begin = Instant::now();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for result in all(from, seeds) {
        match result {
            Ok(report) => {
                for line in report.story.iter().filter(|_| is_told) {
                    println!("    {line}");
                }
                for (what, count) in report.counts {
                    *counts.entry(what).or_default() += count;
                }
            }
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    for (what, count) in counts {
        println!("{count:>9} {what}");
    }
    println!("{seeds} seeds from {from} in {:.1} s: nothing was broken", begin.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// Runs the seeds on all processors, each run on one, and answers in the order of the seeds. A processor stops at its first failure.
fn all(from: u64, seeds: u64) -> Vec<Result<Report, Failure>> {
    let processors = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let mut results: Vec<(u64, Result<Report, Failure>)> = thread::scope(|scope| {
        let running: Vec<_> = (0..processors)
            .map(|processor| {
                scope.spawn(move || {
                    let mut results = Vec::new();
                    for seed in (from..from + seeds).filter(|seed| seed % processors == processor) {
                        let result = run(seed, Mutation::None);
                        let has_failed = result.is_err();
                        results.push((seed, result));
                        if has_failed {
                            break;
                        }
                    }
                    results
                })
            })
            .collect();
        // A run that panics must not be taken for one in which nothing was broken.
        let joined =
            running.into_iter().map(|running| running.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect()
    });
    results.sort_by_key(|(seed, _)| *seed);
    results.into_iter().map(|(_, result)| result).collect()
}
