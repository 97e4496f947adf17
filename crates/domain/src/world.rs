//! How the world is handed in: a clock and a random source as traits. Only `server` (and `sim`) implement them.

use crate::Timestamp;

/// Tells the time. The real one lives in `server`, a movable one in `sim`.
pub trait Clock: Send + Sync {
    /// The current time, whole seconds UTC.
    fn now(&self) -> Timestamp;
}

/// A cryptographically secure random source. The real one lives in `server` (over `crypt`), a seeded one in `sim`.
pub trait Entropy: Send + Sync {
    /// Fills the whole buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// `N` random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
