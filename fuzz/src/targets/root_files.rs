//! Tars of root file systems. What is taken has its entries in it, each in a block of its own, and no more than may be.

use package::{RootFilesLimits, check_root_files};

const LIMITS: RootFilesLimits = RootFilesLimits { bytes: 64 * 1024, entries: 40 };
/// What each entry of a tar begins with.
const BLOCK: usize = 512;

/// One tar.
pub(crate) fn check(data: &[u8]) {
    let Ok(entries) = check_root_files(data, LIMITS) else { return };
    assert!((1..=LIMITS.entries).contains(&entries), "{entries} entries");
    assert!(
        usize::try_from(entries).unwrap() * BLOCK <= data.len(),
        "{entries} entries in {} bytes",
        data.len()
    );
}
