//! How the world is handed in: a clock, a random source and spare processors as traits. Only `server` (and `sim`) implement them.

use crate::Timestamp;
use std::time::Duration;

/// Tells the time. The real one lives in `server`, a movable one in `sim`.
pub trait Clock: Send + Sync {
    /// The current time, whole seconds UTC.
    fn now(&self) -> Timestamp;

    /// By how much an administrator has moved it, if it is one that may be moved: a test clock. Nobody may mistake such a time for the
    /// real one, so whoever tells the time to people says this with it.
    fn ahead(&self) -> Option<Duration> {
        None
    }
}

/// A clock that stands still.
impl Clock for Timestamp {
    fn now(&self) -> Timestamp {
        *self
    }
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

/// Takes work that keeps a processor busy for long, such as making an RSA key, so that nobody else is held up meanwhile.
pub trait Workers: Send + Sync {
    /// Does the work before it returns.
    fn run(&self, work: &mut (dyn FnMut() + Send));
}

/// Does long work and returns what it came to.
pub fn busy<T: Send>(workers: &dyn Workers, work: impl FnOnce() -> T + Send) -> Option<T> {
    let (mut work, mut result) = (Some(work), None);
    workers.run(&mut || result = work.take().map(|work| work()));
    result
}

/// Does the work where it stands: for tests, and where nobody else waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Here;

impl Workers for Here {
    fn run(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}
