//! Writes the seeds of all corpora.
#![forbid(unsafe_code)]

use std::path::Path;

fn main() -> std::io::Result<()> {
    fuzz::seeds::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"))
}
