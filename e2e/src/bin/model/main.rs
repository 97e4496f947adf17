//! Holds the vault against a model of Key Vault, over HTTPS: sequences of calls from a seed, one client and several. Started by
//! `cargo xtask model`, which builds what it needs; what it covers and how to read a failure is in `docs/model.md`.
//!
//! The model knows nothing of the product. It ends at the first answer that is not as the model says, with what led to it.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a surprise is a failed run, and its place is the message"
)]

mod ask;
mod call;
mod certificates;
mod client;
mod concurrent;
mod effects;
mod failure;
mod generate;
mod keys;
mod pages;
mod random;
mod rules;
mod sequential;
mod shape;
mod state;
mod stories;
mod world;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use failure::Failure;
use world::World;

/// What is run, unless it is said.
struct Wanted {
    from: u64,
    seeds: u64,
    steps: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = match wanted(&arguments) {
        Ok(wanted) => wanted,
        Err(why) => {
            say(&format!("model: {why}"));
            return ExitCode::FAILURE;
        }
    };
    let began = Instant::now();
    let mut world = World::start();
    for seed in wanted.from..wanted.from + wanted.seeds {
        match one(&mut world, seed, &wanted) {
            Ok(told) => say(&format!("seed {seed}: {told}")),
            Err(Failure { line, story }) => {
                say(&format!("{story}\n\nFAILED {line}\nagain: cargo xtask model --seed {seed}"));
                return ExitCode::FAILURE;
            }
        }
    }
    say(&format!("{} seeds as the model says ({} s)", wanted.seeds, began.elapsed().as_secs()));
    ExitCode::SUCCESS
}

fn one(world: &mut World, seed: u64, wanted: &Wanted) -> Result<String, Failure> {
    let calls = sequential::run(world, seed, wanted.steps)?;
    let overlapping = concurrent::run(world, seed, wanted.rounds)?;
    let listed = pages::run(world, seed)?;
    Ok(format!("{calls} calls, {overlapping} overlapping calls, {listed} items listed while others write"))
}

fn wanted(arguments: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted { from: 1, seeds: 12, steps: 300, rounds: 24 };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let number = arguments.next().and_then(|value| value.parse::<u32>().ok());
        let number = number.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--seed" => (wanted.from, wanted.seeds) = (number.into(), 1),
            "--from" => wanted.from = number.into(),
            "--seeds" => wanted.seeds = number.into(),
            "--steps" => wanted.steps = number as usize,
            "--rounds" => wanted.rounds = number as usize,
            _ => return Err(format!("{name} is not known: --seed, --seeds, --from, --steps, --rounds")),
        }
    }
    Ok(wanted)
}

/// The one place that prints. A closed pipe (`| head`) is no failure of ours.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = writeln!(out, "{text}").and_then(|()| out.flush());
}
