//! The first seeds of the simulated world, and that a seed is one run. More: `cargo xtask sim --seeds N`.
#![expect(clippy::panic, reason = "these are tests")]

use sim::{Mutation, run};

fn all(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Err(failure) = run(seed, Mutation::None) {
            panic!("{failure}");
        }
    }
}

#[test]
fn nothing_is_broken_in_the_first_fifty() {
    all(0..50);
}

#[test]
fn nor_in_the_next() {
    all(50..100);
}

#[test]
fn a_seed_is_one_run() {
    for seed in [1, 7, 4_711] {
        let runs = [run(seed, Mutation::None), run(seed, Mutation::None)];
        let prints: Vec<_> =
            runs.iter().flatten().map(|report| (report.polls, report.fingerprint, &report.counts)).collect();
        assert_eq!(prints.len(), 2);
        assert_eq!(prints.first(), prints.last());
    }
}
