//! The system's random source, behind `domain::Entropy`. Only `server` and `cli` make one; all others are handed it.

use aws_lc_rs::rand;
use domain::Entropy;
use std::cell::RefCell;
use zeroize::Zeroizing;

/// Bytes of a draw that comes out of what its thread has drawn ahead: an identifier's. A 128-bit key may be one as well, and is as random: each
/// byte is given out once, and zeroized where it was.
const SMALL_BYTES_MAX: usize = 16;
/// Bytes that a thread draws at a time for small draws: the generator's own cost is by the draw.
const AHEAD_BYTES: usize = 512;

/// The operating system's entropy by way of aws-lc's generator. The first bytes of a process cost 30 to 45 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

/// What a thread has drawn and not given out yet.
struct Ahead {
    bytes: Zeroizing<[u8; AHEAD_BYTES]>,
    given: usize,
}

thread_local! {
    static AHEAD: RefCell<Ahead> =
        RefCell::new(Ahead { bytes: Zeroizing::new([0; AHEAD_BYTES]), given: AHEAD_BYTES });
}

impl Ahead {
    fn give(&mut self, buffer: &mut [u8]) {
        if self.given + buffer.len() > AHEAD_BYTES {
            draw(self.bytes.as_mut_slice());
            self.given = 0;
        }
        let from = self.given;
        self.given += buffer.len();
        if let Some(bytes) = self.bytes.get_mut(from..self.given) {
            buffer.copy_from_slice(bytes);
            // What was given out is known to one place only.
            bytes.fill(0);
        }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        // A thread that is ending has nothing ahead any more.
        let is_given = buffer.len() <= SMALL_BYTES_MAX
            && AHEAD.try_with(|ahead| ahead.borrow_mut().give(buffer)).is_ok();
        if !is_given {
            draw(buffer);
        }
    }
}

#[expect(clippy::expect_used, reason = "without randomness nothing may go on, and no caller could do better")]
fn draw(buffer: &mut [u8]) {
    rand::fill(buffer).expect("the system's random source works");
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::world::random;

    #[test]
    fn draws_differ() {
        assert_ne!(random::<32>(&SystemEntropy), random::<32>(&SystemEntropy));
    }

    #[test]
    fn small_draws_differ_across_refills_and_threads() {
        let draws = || -> Vec<[u8; 16]> { (0..200).map(|_| random(&SystemEntropy)).collect() };
        let others: Vec<_> = (0..4).map(|_| std::thread::spawn(draws)).collect();
        let mut all = draws();
        for other in others {
            all.extend(other.join().unwrap());
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((all.len(), all.contains(&[0; 16])), (count, false));
        // Sizes that do not divide what is drawn ahead.
        let odd: std::collections::HashSet<[u8; 15]> = (0..200).map(|_| random(&SystemEntropy)).collect();
        assert_eq!(odd.len(), 200);
    }
}
