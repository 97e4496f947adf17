//! The system's random source, behind `domain::Entropy`. Only `server` and `cli` make one; all others are handed it.

use aws_lc_rs::rand;
use domain::Entropy;

/// The operating system's entropy by way of aws-lc's generator. The first bytes of a process cost 30 to 45 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "without randomness nothing may go on, and no caller could do better"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).expect("the system's random source works");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::world::random;

    #[test]
    fn draws_differ() {
        assert_ne!(random::<32>(&SystemEntropy), random::<32>(&SystemEntropy));
    }
}
