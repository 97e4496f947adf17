//! What is drawn from the seed: every choice of a run, entropy, and the clock that only fate moves.

use domain::{Clock, Entropy, Timestamp};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

/// 2027-01-15 08:00:00 UTC.
const START: i64 = 1_800_000_000;

/// All choices of a run, in one sequence.
pub(crate) struct Fate {
    state: Mutex<u64>,
    is_kind: AtomicBool,
}

impl Fate {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed), is_kind: AtomicBool::new(true) }
    }

    /// From now on faults happen, or none do.
    pub(crate) fn be_kind(&self, is_kind: bool) {
        self.is_kind.store(is_kind, Ordering::SeqCst);
    }

    pub(crate) fn is_kind(&self) -> bool {
        self.is_kind.load(Ordering::SeqCst)
    }

    /// A number below `sides`, by splitmix64.
    pub(crate) fn roll(&self, sides: u64) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    /// One of these, if there is any.
    pub(crate) fn pick<'c, T>(&self, choices: &'c [T]) -> Option<&'c T> {
        choices.get(usize::try_from(self.roll(choices.len() as u64)).unwrap_or_default())
    }

    /// Does a fault of so many percent happen now?
    pub(crate) fn strikes(&self, percent: u64) -> bool {
        self.chance(percent) && !self.is_kind()
    }
}

/// A clock that fate moves.
pub(crate) struct SimClock {
    seconds: AtomicI64,
    /// A mutant's: what the services are told stands still.
    stands_still: bool,
}

impl SimClock {
    pub(crate) const fn new(stands_still: bool) -> Self {
        Self { seconds: AtomicI64::new(START), stands_still }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// What time it is, whatever the services are told.
    pub(crate) fn truth(&self) -> Timestamp {
        Timestamp::from_seconds(self.seconds.load(Ordering::SeqCst))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        if self.stands_still { Timestamp::from_seconds(START) } else { self.truth() }
    }
}

/// The same bytes in each run of a seed, other ones at each call.
pub(crate) struct SimEntropy {
    seed: u64,
    calls: AtomicU64,
}

impl SimEntropy {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, calls: AtomicU64::new(0) }
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        for (block, bytes) in buffer.chunks_mut(32).enumerate() {
            let hash = crypt::sha256(format!("{}/{call}/{block}", self.seed));
            for (slot, byte) in bytes.iter_mut().zip(hash.bytes()) {
                *slot = *byte;
            }
        }
    }
}
