//! `cargo xtask sim`: runs of the simulated world. `--seed N` runs one, `--seeds N` the first N, `--from N` begins elsewhere.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use sim::{Mutation, run};
use std::{collections::BTreeMap, process::ExitCode, time::Instant};

const SEEDS: u64 = 300;

fn main() -> ExitCode {
    let (mut from, mut seeds) = (0, SEEDS);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (argument.as_str(), number) {
            ("--seed", Some(number)) => (from, seeds) = (number, 1),
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
    for seed in from..from + seeds {
        match run(seed, Mutation::None) {
            Ok(report) => {
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
