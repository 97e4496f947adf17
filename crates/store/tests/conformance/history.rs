//! The same seed has the same history on the model and on the backend under test.

use crate::client::{Client, absent, delete, fresh, put, unchanged};
use std::{collections::HashMap, sync::Arc};
use store::{Check, Memory, Position, StoreError, Write};

/// A store with its revisions numbered in the order of this history, as revisions are not comparable between stores.
struct Side {
    client: Client,
    order: HashMap<u64, usize>,
}

impl Side {
    fn new(client: Client) -> Self {
        Self { client, order: HashMap::from([(0, 0)]) }
    }

    async fn modified(&self, at: &str) -> Option<u64> {
        self.client.entry(at).await.map(|entry| entry.modified)
    }

    /// `Some` of the commit's number, `None` for a conflict.
    async fn step(&mut self, step: &Step) -> Option<usize> {
        let mut checks: Vec<Check> = Vec::new();
        for (at, is_right) in &step.checks {
            checks.push(match (self.modified(at).await, is_right) {
                (Some(modified), true) => unchanged(at, modified),
                (Some(modified), false) => unchanged(at, modified.saturating_sub(1)),
                (None, true) => absent(at),
                (None, false) => unchanged(at, 1_000_000),
            });
        }
        match self.client.store.commit(fresh(), &checks, &step.writes).await {
            Ok(Position { revision, .. }) => {
                let number = self.order.len();
                Some(*self.order.entry(revision).or_insert(number))
            }
            Err(StoreError::Conflict { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    async fn dump(&self) -> Vec<(Vec<u8>, Vec<u8>, usize, usize)> {
        let number = |revision| self.order[&revision];
        let entries = self.client.all("", 5).await;
        let row = |entry: &store::Entry| {
            (
                entry.key.as_bytes().to_vec(),
                entry.value.to_vec(),
                number(entry.created),
                number(entry.modified),
            )
        };
        entries.iter().map(row).collect()
    }
}

struct Step {
    /// Keys, each with whether its check shall hold.
    checks: Vec<(String, bool)>,
    writes: Vec<Write>,
}

/// A small generator that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn step(&mut self, number: usize) -> Step {
        let mut checks: Vec<(String, bool)> = Vec::new();
        let mut writes: Vec<Write> = Vec::new();
        for slot in 0..self.roll(4) {
            let at = format!("h/{}", slot * 3 + self.roll(3));
            match self.roll(4) {
                0 => checks.push((at, true)),
                1 => {
                    checks.push((at.clone(), self.roll(8) != 0));
                    writes.push(delete(at));
                }
                _ => writes.push(put(at, format!("{number}"))),
            }
        }
        Step { checks, writes }
    }
}

/// 50.
pub(crate) async fn the_same_as_the_model(client: Client) {
    let mut model = Side::new(Client::new(Arc::new(Memory::new())));
    let mut backend = Side::new(client);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for number in 0..250 {
        let mut step = dice.step(number);
        // A delete of what is absent has no check that could hold: leave it to its own case.
        let mut writes = Vec::new();
        for write in step.writes {
            let is_gone = matches!(&write, Write::Delete(_))
                && model.client.entry(write.key().as_bytes()).await.is_none();
            if !is_gone {
                writes.push(write);
            }
        }
        step.writes = writes;
        let outcome = model.step(&step).await;
        assert_eq!(backend.step(&step).await, outcome, "step {number}");
    }
    assert_eq!(backend.dump().await, model.dump().await);
}
