//! From the kernel's facts to "this connection is the workload's own", before the first byte and again before a token is released.
//!
//! `kernel::peer` asks the kernel by the race-free rule; here its answer is compared with what a workload is. A refusal is one
//! constant answer to the peer, and a reason for the audit log.

use crate::workload::Workload;
use domain::WorkloadId;
use kernel::{AttestFault, Attested, CgroupId, KernelError, Peer, ProcessFacts};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

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

    /// Who it seems to be: best effort, for the audit log only.
    fn describe(&self) -> Option<ProcessFacts>;
}

/// The cgroup subtree in which a workload's processes live.
pub trait Confinement: Send + Sync {
    /// The id of its top.
    fn id(&self) -> CgroupId;
    /// Is this cgroup the top or below it?
    fn contains(&self, cgroup: CgroupId) -> bool;
    /// Its id and those of the cgroups around it, up to the highest that can be seen.
    ///
    /// # Errors
    /// It cannot be told.
    fn lineage(&self) -> Result<Vec<CgroupId>, KernelError>;
    /// Is there any process in it?
    fn is_populated(&self) -> bool;
}

/// Why a connection is refused. For the audit log: the peer gets one constant answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The kernel could not name the peer, or it is not the same any more.
    #[error("the kernel does not attest the peer: {0}")]
    NotAttested(#[source] AttestFault),
    /// The peer's socket was created in another cgroup.
    #[error("the peer's socket was made outside of the cgroup of workload {workload}")]
    Stranger {
        /// Whose endpoint it is.
        workload: WorkloadId,
    },
    /// The workload is not enforced, and what was asked for is served by the kernel's word only.
    #[error("the kernel does not confine workload {workload}, and there is no secret")]
    Unenforced {
        /// Whose endpoint it is.
        workload: WorkloadId,
    },
    /// Another live connection holds the same socket cookie.
    #[error("another open connection has the same socket cookie")]
    CookieInUse,
    /// The workload has ended.
    #[error("workload {workload} has ended")]
    Ended {
        /// Whose endpoint it was.
        workload: WorkloadId,
    },
}

/// A connection that has been accepted for a workload. Made by [`crate::IdentityService::accept`] only.
pub struct AttestedConnection {
    workload: Arc<Workload>,
    facts: Option<ProcessFacts>,
    proof: Proof,
}

/// What is known of the peer.
enum Proof {
    /// The kernel's word, and the way to ask it again.
    Attested { peer: Attested<Peer>, probe: Arc<dyn PeerProbe>, _cookie: HeldCookie },
    /// Nothing: the workload is not enforced.
    None,
}

impl AttestedConnection {
    /// The workload whose own this connection is.
    pub const fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// Who the calling process seems to be: for the audit log.
    pub const fn facts(&self) -> Option<&ProcessFacts> {
        self.facts.as_ref()
    }

    /// Has the kernel said who is at the other end? Of a workload that is not enforced it never has.
    pub(crate) const fn is_attested(&self) -> bool {
        matches!(self.proof, Proof::Attested { .. })
    }

    /// Asks the kernel before a byte is read.
    pub(crate) fn accept(
        workload: &Arc<Workload>,
        probe: Arc<dyn PeerProbe>,
        cookies: &Arc<Cookies>,
    ) -> Result<Self, Refusal> {
        if workload.has_ended() {
            return Err(Refusal::Ended { workload: workload.id() });
        }
        let proof = match workload.confinement() {
            None => Proof::None,
            Some(confinement) => {
                let peer = probe.attest().map_err(Refusal::NotAttested)?;
                if !confinement.contains(peer.facts().cgroup) {
                    return Err(Refusal::Stranger { workload: workload.id() });
                }
                let cookie = Cookies::hold(cookies, peer.facts().cookie).ok_or(Refusal::CookieInUse)?;
                Proof::Attested { peer, probe: probe.clone(), _cookie: cookie }
            }
        };
        Ok(Self { workload: workload.clone(), facts: probe.describe(), proof })
    }

    /// Asks the kernel again: the last thing that is done before a token is let out.
    pub(crate) fn release(&self) -> Result<(), Refusal> {
        if let Proof::Attested { peer, probe, .. } = &self.proof {
            probe.attest_again(peer).map_err(Refusal::NotAttested)?;
        }
        if self.workload.has_ended() { Err(Refusal::Ended { workload: self.workload.id() }) } else { Ok(()) }
    }
}

/// The socket cookies of all live attested connections. The kernel gives each socket its own, so seeing one twice means that
/// one of two connections is not what it was.
#[derive(Default)]
pub(crate) struct Cookies(Mutex<HashSet<u64>>);

impl Cookies {
    fn hold(cookies: &Arc<Self>, cookie: u64) -> Option<HeldCookie> {
        let is_new = cookies.0.lock().unwrap_or_else(PoisonError::into_inner).insert(cookie);
        is_new.then(|| HeldCookie { cookies: cookies.clone(), cookie })
    }
}

/// Gives its cookie back when the connection ends.
struct HeldCookie {
    cookies: Arc<Cookies>,
    cookie: u64,
}

impl Drop for HeldCookie {
    fn drop(&mut self) {
        self.cookies.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.cookie);
    }
}
