//! Thieves who hold the right address and the right secret, played by real processes against a small server that keeps the whole rule of
//! attestation. Each test says which thief it is (T1 to T22 are the numbers of the threat model's list); some are limits, kept as tests
//! so that what the documents say stays true.
//!
//! The processes are the binary `thief` (`tests/thieves/actor.rs`), which does what it is told and can as well be told to rob a real
//! server. What needs root or cgroup v2 says `skipped:` without, and fails if `KEYLESS_REQUIRE_KERNEL_TESTS=1`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, outside of functions that are marked as such"
)]

#[path = "thieves/bounds.rs"]
mod bounds;
#[path = "thieves/gate.rs"]
mod gate;
#[path = "thieves/limits.rs"]
mod limits;
#[path = "thieves/load.rs"]
mod load;
#[path = "thieves/network.rs"]
mod network;
#[path = "thieves/programs.rs"]
mod programs;
#[path = "thieves/races.rs"]
mod races;
#[path = "thieves/server.rs"]
mod server;
#[path = "thieves/strangers.rs"]
mod strangers;
#[path = "thieves/user.rs"]
mod user;
#[path = "thieves/world.rs"]
mod world;
