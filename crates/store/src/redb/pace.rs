//! How many commits make a batch. Callers that have just been answered are about to come again: whoever does not wait for them makes every
//! second transaction carry only the fastest; whoever waits for all lets the disk rest while they prepare, and them rest while it writes.

use std::time::Duration;

/// What the batches so far say of the next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    callers: usize,
    /// Do they take turns, one half preparing while the other is written?
    in_turns: bool,
}

/// How a batch came about and what became of it.
pub(super) struct Gathered {
    /// Those who were in it.
    pub(super) callers: usize,
    /// From the first of them who came to the last.
    pub(super) gathered_in: Duration,
    /// Until the disk had it; nothing, if there was nothing to write.
    pub(super) synced_in: Option<Duration>,
    /// Those who came meanwhile.
    pub(super) waiting: usize,
}

impl Pace {
    /// As many make the next batch whole.
    pub(super) fn wanted(&self) -> usize {
        if self.in_turns { self.callers.div_ceil(2) } else { self.callers }.max(1)
    }

    /// Learns from a batch. In turns each half is synced for itself, but the time that the others take is not lost: that is quicker if a sync
    /// takes less time than all take to prepare; of a half it is twice its own.
    pub(super) fn learn(&mut self, batch: &Gathered) {
        self.callers = batch.callers + batch.waiting;
        if let Some(synced_in) = batch.synced_in {
            let all_in = batch.gathered_in * if self.in_turns { 2 } else { 1 };
            self.in_turns = synced_in < all_in;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers that come again at once, each of which takes some time to prepare, before a disk: commits in a second.
    fn rate(callers: usize, prepare_us: u64, write_us: u64, sync_us: u64) -> f64 {
        let mut pace = Pace::default();
        // One processor for all: `now` is what was done on it, or the wait for the disk where nobody had anything to do.
        let (mut now, mut done) = (0, 0);
        let (mut ready, mut answered) = (callers, 0);
        while now < 1_000_000 {
            // They prepare until the batch is whole.
            let missing = pace.wanted().saturating_sub(ready).min(answered);
            now += missing as u64 * prepare_us;
            (ready, answered) = (ready + missing, answered - missing);
            let batch = std::mem::take(&mut ready);
            now += batch as u64 * write_us;
            // The others prepare while the disk has it.
            let others = std::mem::take(&mut answered);
            let busy = others as u64 * prepare_us;
            now += busy.max(sync_us);
            (ready, answered, done) = (others, batch, done + batch);
            pace.learn(&Gathered {
                callers: batch,
                gathered_in: Duration::from_micros(batch as u64 * prepare_us),
                synced_in: Some(Duration::from_micros(busy.max(sync_us))),
                waiting: others,
            });
        }
        done as f64 / (now as f64 / 1e6)
    }

    #[test]
    fn as_many_as_there_were_are_wanted_and_a_lone_one_waits_for_nobody() {
        let mut pace = Pace::default();
        assert_eq!(pace.wanted(), 1);
        let slow = Duration::from_millis(5);
        let mut learn = |callers, waiting| {
            pace.learn(&Gathered { callers, gathered_in: Duration::ZERO, synced_in: Some(slow), waiting });
            pace.wanted()
        };
        assert_eq!(learn(1, 0), 1);
        assert_eq!(learn(20, 12), 32);
        assert_eq!(learn(3, 0), 3);
    }

    #[test]
    fn a_quick_disk_is_written_to_in_turns_and_a_slow_one_by_all_at_once() {
        let alone = |prepare: u64, write: u64, sync: u64| 1e6 / (prepare + write + sync) as f64;
        for (prepare, write, sync) in
            [(40, 30, 700), (40, 30, 10_000), (2, 30, 700), (40, 30, 0), (500, 30, 100)]
        {
            let rate = rate(64, prepare, write, sync);
            let all_at_once = 64e6 / (64 * (prepare + write) + sync) as f64;
            let in_turns = 64e6 / (64 * write + 2 * (32 * prepare).max(sync)) as f64;
            assert!(rate > 0.97 * all_at_once.max(in_turns), "{prepare} {write} {sync}: {rate:.0}");
            assert!(rate > alone(prepare, write, sync));
        }
    }
}
