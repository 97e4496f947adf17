//! The operating system, behind one door: who is at the other end of a socket, cgroups, processes, namespaces, private files.
//!
//! Owns the only `unsafe` of the product (`sys`). Owns not: what an answer means; `identity` and `host` decide.

pub mod cgroup;
mod diag;
pub mod error;
pub mod facts;
pub mod files;
pub mod found;
pub mod gate;
pub mod harden;
pub mod hierarchy;
pub mod landlock;
pub mod limits;
pub mod listen;
pub mod network;
pub mod outpost;
pub mod peer;
pub mod probe;
pub mod process;
pub mod program;
mod route;
pub mod sandbox;
#[expect(unsafe_code, reason = "the system calls that rustix lacks; each block says why it is sound")]
mod sys;

pub use cgroup::{AppCgroup, CgroupId};
pub use error::KernelError;
pub use facts::{Holders, ProcessFacts, UnixPeer, describe, unix_peer};
pub use found::{Found, Inhabitant, NetworkId, find, inhabitants, network_of, who_may_join};
pub use gate::{ConnectGate, Gated};
pub use harden::{effective_uid, harden, is_root};
pub use hierarchy::{APPS_UNIT, Hierarchy, Placement, SERVER_UNIT, placement};
pub use landlock::Landlock;
pub use limits::{AppliedLimits, Limiter, Limits};
pub use listen::listen_loopback;
pub use network::{METADATA, Namespace, Network, NetworkPorts, has_all_ports};
pub use outpost::UserNamespace;
pub use peer::{AttestFault, Attested, Attestor, Peer};
pub use probe::{Capabilities, Hosting, Verdict, capabilities, hosting};
pub use process::{Ended, Process, boot_id};
pub use program::{Account, Bind, Program, Resources, Step, replace, spawn};
pub use sandbox::{Sandbox, SandboxFiles};
