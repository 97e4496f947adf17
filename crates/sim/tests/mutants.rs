//! The checkers prove something only if a world with a lie in it fails them: each lie is seen within a few hundred seeds.
#![expect(clippy::panic, clippy::print_stdout, reason = "these are tests")]

use sim::{Mutation, run};

const SEEDS: u64 = 300;

fn is_seen(mutation: Mutation) {
    let failure = (0..SEEDS).find_map(|seed| run(seed, mutation).err());
    match failure {
        Some(failure) => println!("{mutation:?} is seen at seed {}: {}", failure.seed, failure.what),
        None => panic!("{mutation:?} is not seen within {SEEDS} seeds"),
    }
}

#[test]
fn every_lie_is_seen() {
    for mutation in Mutation::ALL {
        is_seen(mutation);
    }
}
