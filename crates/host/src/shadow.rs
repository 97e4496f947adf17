//! What a start in shadow mode asks of `server` (ADR 0021): a door of its own, at which the public cloud's names are ours.

use crate::TrustFiles;
use domain::WorkloadId;
use std::{future::Future, net::Ipv4Addr, path::PathBuf, pin::Pin};

/// A door that is being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<ShadowDoor, ShadowFault>> + Send + 'a>>;

/// Opens the doors of programs in shadow mode: `server` implements it.
pub trait ShadowDoors: Send + Sync {
    /// Listens for a workload on port 443 of a loopback address that no other program was given: on this one, or on a free one. What the
    /// program needs to find and to trust the door is written before it is answered.
    fn open(&self, workload: WorkloadId, address: Option<Ipv4Addr>) -> Opening<'_>;

    /// Stops listening and removes the files that were this workload's. Of an unknown workload: does nothing.
    fn close(&self, workload: WorkloadId);
}

/// An open door.
#[derive(Clone, Debug)]
pub struct ShadowDoor {
    /// Where it listens.
    pub address: Ipv4Addr,
    /// What the program must see as `/etc/hosts`. Kept up to date while it runs.
    pub hosts: PathBuf,
    /// What the program is to trust instead of what others trust.
    pub trust: TrustFiles,
}

/// Why there is no door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowFault {
    /// What is missing.
    pub why: String,
    /// What to do about it.
    pub mend: String,
}
