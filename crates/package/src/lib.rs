//! Packages: what is deployed as an app. A zip comes in and becomes files; what is among them says how the app is built and started.
//!
//! Owns: what an archive may contain (a root file system's is only looked through), how it is unpacked without anything getting elsewhere, how a directory is packed, what is started,
//! and which steps build it. Owns not: running any of it (`kernel`, `host`), where packages are kept, how they arrive (`wire`).
#![forbid(unsafe_code)]

mod archive;
mod build;
mod entry;
mod error;
mod launch;
mod pack;
mod root_files;
mod tree;
mod unpack;

pub use build::Step;
pub use error::PackageError;
pub use launch::{Launch, Runtime, check_command, shell};
pub use pack::{Packed, pack};
pub use root_files::{RootFilesLimits, check_root_files};
pub use unpack::{Contents, Limits, Synced, unpack};
