//! The whole, put together: configuration, data directory, root key, certificates, listeners, tasks.
//!
//! Owns: the one clock, the entropy, sockets, tasks, the environment, the order of start and stop. Owns not: decisions, protocols.
//! Invariant: nothing below this crate reads the clock, the environment or random bytes, or spawns a task.
#![forbid(unsafe_code)]

mod admin;
mod anchor;
mod apps;
pub mod authority;
mod cgroups;
pub mod clock;
pub mod config;
pub mod data;
pub mod error;
mod guarded;
mod hands;
pub mod installation;
mod issuers;
mod listen;
pub mod maintenance;
mod origin;
mod reached;
pub mod run;
pub mod seal;
mod shadow;
mod stop_signals;
pub mod systemd;
mod tasks;
pub mod telemetry;
mod test_clock;
pub mod trust;
pub mod units;
mod workers;

pub use clock::SystemClock;
pub use config::{Config, ConfigError, LogFormat, Sources};
pub use data::Layout;
pub use error::StartError;
pub use host::inject::VALUES_NEEDED;
pub use installation::has_user_manager;
pub use run::{Announce, Running, Starting, runtime, start};
pub use seal::{Recovered, SealError};
pub use stop_signals::{Asked, StopSignals};
