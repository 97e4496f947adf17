//! From the kernel's facts to "this connection is the workload's own", before the first byte and again before a token is released.
//!
//! Rules: race-free attestation of TCP peers by sock_diag; `kernel::peer` asks, here the answer is compared.

use crate::workload::Workload;
use kernel::{AttestFault, Attested, CgroupId, Peer};
use std::sync::Arc;

/// One accepted connection as the kernel can be asked about it; the socket itself in production, a stand-in in tests and `sim`.
pub trait PeerProbe: Send + Sync {
    /// Who is at the other end? Asked before the first byte is read.
    ///
    /// # Errors
    /// [`AttestFault`]: nobody can be named for certain.
    fn attest(&self) -> Result<Attested<Peer>, AttestFault>;

    /// Is it still exactly that peer? Asked just before a token is written.
    ///
    /// # Errors
    /// [`AttestFault`]: no, or not for certain.
    fn attest_again(&self, earlier: &Attested<Peer>) -> Result<(), AttestFault>;

    /// Best effort, for the audit log only.
    fn observe(&self) -> Option<Peer>;
}

/// The cgroup subtree in which a workload's processes live.
pub trait Confinement: Send + Sync {
    /// The id of its top.
    fn id(&self) -> CgroupId;
    /// Is this cgroup the top or below it?
    fn contains(&self, cgroup: CgroupId) -> bool;
    /// Is there any process in it?
    fn is_populated(&self) -> bool;
}

/// Why a connection is refused. For the audit log: the peer gets one constant answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The kernel could not name the peer.
    #[error("the kernel does not attest the peer: {0}")]
    NotAttested(String),
    /// The peer's socket was created in another cgroup.
    #[error("the peer is in a cgroup that is not the workload's")]
    Stranger,
    /// Another live connection holds the same socket cookie.
    #[error("the peer's socket is already known by another connection")]
    CookieInUse,
    /// The workload has ended.
    #[error("the workload has ended")]
    Ended,
}

/// A connection that has been accepted for a workload. Made by [`crate::IdentityService::accept`] only.
pub struct AttestedConnection {
    pub(crate) workload: Arc<Workload>,
}

impl AttestedConnection {
    /// The workload whose own this connection is.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// The kernel's facts; `None` for a workload that is not enforced.
    pub fn peer(&self) -> Option<&Peer> {
        todo!()
    }
}
