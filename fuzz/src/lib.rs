//! Malformed input: for each way in there is a target that takes bytes of anybody's making and panics when a promise is broken.
//!
//! Owns: the targets, what each promises, seeds for their corpora. Owns not: which input comes next (`tests/replay.rs` mutates simply, on
//! each `cargo test`; `runner/` lets libFuzzer look for what reaches new code, by `cargo xtask fuzz`). No part of the product.
//!
//! Every target promises: no panic, an end in [`TIME_MAX`], and no memory that an input only declares. What else it promises is in its
//! file.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a target says that a promise is broken"
)]

mod answers;
mod edits;
#[allow(dead_code, reason = "shared with the tests of `package`, which use all of it")]
#[path = "../../crates/package/tests/raw.rs"]
mod raw;
mod request;
pub mod seeds;
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared with the tests of `wire`, which use all of it"
)]
#[path = "../../crates/wire/tests/support.rs"]
mod support;
mod targets;
mod world;

use std::time::{Duration, Instant};

/// How long one input may take. Much more than any takes alone in a debug build: a machine may be busy.
pub const TIME_MAX: Duration = Duration::from_secs(30);
/// By how much one input may let the process grow, KiB. Threads of other tests reserve some at the same time.
const GROWTH_KIB_MAX: u64 = 1024 * 1024;

/// Something that takes foreign bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// As the command line and the corpus folders call it.
    pub name: &'static str,
    check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "arm_body", check: targets::arm::check_body },
    Target { name: "arm_filter", check: targets::arm::check_filter },
    Target { name: "arm_path", check: targets::arm::check_path },
    Target { name: "assertion", check: targets::assertion::check },
    Target { name: "backup", check: targets::backup::check },
    Target { name: "bearer", check: targets::bearer::check },
    Target { name: "config", check: targets::config::check },
    Target { name: "jwk", check: targets::jwk::check },
    Target { name: "keyvault_body", check: targets::keyvault::check_body },
    Target { name: "keyvault_path", check: targets::keyvault::check_path },
    Target { name: "msi", check: targets::msi::check },
    Target { name: "package", check: targets::package::check },
    Target { name: "passkey", check: targets::passkey::check },
    Target { name: "pem", check: targets::pem::check },
    Target { name: "pfx", check: targets::pfx::check },
    Target { name: "record", check: targets::record::check },
    Target { name: "root_files", check: targets::root_files::check },
    Target { name: "scm", check: targets::scm::check },
    Target { name: "stack", check: targets::stack::check },
    Target { name: "token_request", check: targets::token_request::check },
    Target { name: "x509", check: targets::x509::check },
];

impl Target {
    /// Gives the target one input.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn run(&self, data: &[u8]) {
        let (began, before) = (Instant::now(), address_space_peak());
        (self.check)(data);
        let (took, grown) = (began.elapsed(), address_space_peak().saturating_sub(before));
        assert!(took < TIME_MAX, "{}: an input of {} bytes took {took:?}", self.name, data.len());
        assert!(grown < GROWTH_KIB_MAX, "{}: an input of {} bytes took {grown} KiB", self.name, data.len());
    }
}

/// The target of this name.
#[must_use]
pub fn named(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// The most address space that this process has had so far, KiB. Zero where the kernel does not tell.
fn address_space_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
