//! A secret with one owner, who alone changes it: what its owner was told of its life, and so which values and versions there must be.
//!
//! The owner does one thing after the other. What was acknowledged is certain until something is asked for whose outcome nobody knows;
//! what then lands late finds that what it checks has changed, as soon as anything else was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

/// What is certain of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Life {
    /// It was never set, or is purged.
    #[default]
    Gone,
    There,
    Deleted,
    /// Nothing is.
    Unsure,
}

/// The oldest value that a read may see, and how often the past had come back when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    number: u32,
    returns: u32,
}

/// A backup and what was in it for certain.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) blob: String,
    number: u32,
    versions: BTreeMap<String, u32>,
}

/// One secret.
#[derive(Debug, Default)]
pub(crate) struct Register {
    pub(crate) life: Life,
    pub(crate) started: u32,
    acknowledged: u32,
    seen: u32,
    /// Restores that were begun: only they make an older value the latest.
    returns: u32,
    /// The versions that are there, if it is there or deleted.
    versions: BTreeMap<String, u32>,
    /// Those that a purge without an answer may have taken.
    doubtful: BTreeMap<String, u32>,
    /// Those that are gone for good.
    purged: BTreeSet<String>,
}

impl Register {
    /// The write was acknowledged, as this version.
    pub(crate) fn written(&mut self, number: u32, version: &str) {
        self.life = Life::There;
        self.acknowledged = self.acknowledged.max(number);
        self.doubtful.clear();
        self.versions.insert(version.to_owned(), number);
    }

    /// The oldest value that a read which begins now may see.
    pub(crate) fn floor(&self) -> Floor {
        Floor { number: self.acknowledged.max(self.seen), returns: self.returns }
    }

    /// A read of the latest version saw this. Answers from where to where it should have been, if it was not.
    pub(crate) fn read(&mut self, floor: Floor, number: u32) -> Result<(), (u32, u32)> {
        // Who reads while the past comes back may see either.
        let is_settled = floor.returns == self.returns;
        let from = if is_settled { floor.number } else { 1 };
        if is_settled {
            self.seen = self.seen.max(number);
        }
        match (from..=self.started).contains(&number) {
            true => Ok(()),
            false => Err((from, self.started)),
        }
    }

    /// The number of a version, if it was acknowledged and is there.
    pub(crate) fn number(&self, version: &str) -> Option<u32> {
        self.versions.get(version).or_else(|| self.doubtful.get(version)).copied()
    }

    /// The acknowledged versions that are there.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.versions.keys().cloned().collect()
    }

    /// The versions that nobody may ever find again.
    pub(crate) fn purged(&self) -> Vec<String> {
        self.purged.iter().cloned().collect()
    }

    pub(crate) fn recovered(&mut self) {
        self.life = Life::There;
        // So the purge did not happen, if one was asked for.
        self.versions.append(&mut self.doubtful);
    }

    /// A purge is asked for. What it answers is what [`Register::not_purged`] needs.
    pub(crate) fn purging(&mut self) -> BTreeMap<String, u32> {
        let before = std::mem::take(&mut self.versions);
        self.doubtful.extend(before.clone());
        before
    }

    pub(crate) fn purged_for_good(&mut self) {
        self.life = Life::Gone;
        self.purged.extend(std::mem::take(&mut self.doubtful).into_keys());
    }

    pub(crate) fn not_purged(&mut self, before: BTreeMap<String, u32>) {
        self.doubtful.retain(|version, _| !before.contains_key(version));
        self.versions = before;
    }

    /// Nobody knows what became of what was asked for. If it may have made another secret of the name, a purge that may have happened is
    /// not told by what happens from now on.
    pub(crate) fn unsure(&mut self, may_be_another: bool) {
        self.life = Life::Unsure;
        if may_be_another {
            self.doubtful.clear();
        }
    }

    pub(crate) fn deleted(&mut self) {
        self.life = Life::Deleted;
        self.doubtful.clear();
    }

    /// What is certain to be in a backup that is asked for now: nobody else changes it meanwhile.
    pub(crate) fn saved(&self, blob: String) -> Saved {
        Saved { blob, number: self.acknowledged, versions: self.versions.clone() }
    }

    /// A restore is asked for. What it answers is what [`Register::not_restored`] needs.
    pub(crate) fn restoring(&mut self, saved: &Saved) -> (u32, BTreeSet<String>) {
        let before = (self.acknowledged.max(self.seen), self.purged.clone());
        self.returns += 1;
        (self.acknowledged, self.seen) = (0, 0);
        self.purged.retain(|version| !saved.versions.contains_key(version));
        before
    }

    pub(crate) fn restored(&mut self, saved: &Saved) {
        self.life = Life::There;
        self.doubtful.clear();
        self.versions.clone_from(&saved.versions);
        self.acknowledged = self.acknowledged.max(saved.number);
    }

    pub(crate) fn not_restored(&mut self, (acknowledged, purged): (u32, BTreeSet<String>)) {
        (self.acknowledged, self.purged) = (self.acknowledged.max(acknowledged), purged);
    }
}
