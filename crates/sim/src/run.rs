//! One run: a scene is set, everybody does their part while faults happen, then faults stop and everything must be right.

use crate::{
    actors,
    executor::Executor,
    faults::Mutation,
    invariants::Records,
    world::{APPS, SECRETS, VAULTS, World},
};
use std::{collections::BTreeMap, fmt, rc::Rc};

/// What happened in a run in which nothing was broken.
#[derive(Debug)]
pub struct Report {
    /// Polls of tasks.
    pub polls: u64,
    /// Tells runs apart: the same for the same seed.
    pub fingerprint: u64,
    /// The end of what happened, line by line.
    pub story: Vec<String>,
    /// How often what was seen.
    pub counts: BTreeMap<String, u64>,
}

/// A promise was broken.
#[derive(Debug)]
pub struct Failure {
    /// In the run of this seed.
    pub seed: u64,
    /// What was broken.
    pub what: String,
    /// What had happened before.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.trace.iter().skip(self.trace.len().saturating_sub(60)) {
            writeln!(formatter, "    {line}")?;
        }
        writeln!(formatter, "seed {}: {}", self.seed, self.what)?;
        write!(formatter, "again: cargo xtask sim --seed {}", self.seed)
    }
}

/// Runs one seed.
///
/// # Errors
/// [`Failure`].
pub fn run(seed: u64, mutation: Mutation) -> Result<Report, Failure> {
    let world = World::new(seed, mutation);
    let result = play(&world);
    let ledger = world.ledger.borrow();
    match result {
        Ok(polls) => {
            let mut counts = ledger.counts.clone();
            let (allowed, refused) = world.books.counts();
            counts.insert("records of what was allowed".to_owned(), allowed as u64);
            counts.insert("records of what was refused or failed".to_owned(), refused as u64);
            Ok(Report { polls, fingerprint: ledger.fingerprint, story: ledger.trace(), counts })
        }
        Err(what) => Err(Failure { seed, what, trace: ledger.trace() }),
    }
}

fn play(world: &Rc<World>) -> Result<u64, String> {
    let mut polls = phase(world, true, |scene| scene.spawn(actors::stage::set(world.clone())))?;
    polls += phase(world, false, |scene| {
        for app in APPS {
            scene.spawn(actors::program::live(world.clone(), app));
        }
        for vault in VAULTS {
            for secret in SECRETS {
                scene.spawn(actors::owner::keep(world.clone(), vault, secret));
            }
        }
        scene.spawn(actors::operator::work(world.clone()));
        scene.spawn(actors::operator::work(world.clone()));
        scene.spawn(actors::shared::manage(world.clone()));
        scene.spawn(actors::manager::work(world.clone()));
        scene.spawn(actors::manager::work(world.clone()));
        scene.spawn(actors::client::call(world.clone()));
        scene.spawn(actors::person::live(world.clone()));
        scene.spawn(actors::person::live(world.clone()));
        scene.spawn(actors::registrar::work(world.clone()));
        scene.spawn(actors::thief::steal(world.clone()));
        scene.spawn(actors::chaos::reign(world.clone()));
    })?;
    world.books.fill(false);
    world.kill();
    polls += phase(world, true, |scene| scene.spawn(actors::stage::settle(world.clone())))?;
    let mut ledger = world.ledger.borrow_mut();
    for line in world.books.lines() {
        ledger.search("the audit log", line.as_bytes());
    }
    for (key, value) in world.store.dump() {
        ledger.search("a key of the store", key.as_bytes());
        ledger.search("a value of the store", &value);
    }
    match ledger.violation() {
        Some(what) => Err(what.to_owned()),
        None => Ok(polls),
    }
}

/// Runs tasks until all are done; after each step nothing may be broken.
fn phase(world: &Rc<World>, is_kind: bool, cast: impl FnOnce(&mut Executor)) -> Result<u64, String> {
    world.fate.be_kind(is_kind);
    let mut scene = Executor::default();
    cast(&mut scene);
    let mut records = Records::default();
    let mut seen = None;
    scene.run(&world.fate, || {
        let commits = world.store.commits();
        if seen.replace(commits) != Some(commits) {
            records.update(world.store.dump());
            records.check()?;
        }
        match world.ledger.borrow().violation() {
            Some(what) => Err(what.to_owned()),
            None => Ok(()),
        }
    })
}
