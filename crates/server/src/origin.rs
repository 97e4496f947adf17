//! Who is calling, for the audit log: what the kernel says of the process at the other end of a loopback connection. Best effort,
//! never a proof: proofs are `kernel::Attested`.

use audit::Origin;
use kernel::{Attestor, Hierarchy, ProcessFacts};
use std::{net::SocketAddr, os::fd::BorrowedFd, sync::Arc};

/// Describes peers.
pub(crate) struct Observer {
    attestor: Option<Arc<Attestor>>,
    hierarchy: Option<Arc<Hierarchy>>,
}

impl Observer {
    pub(crate) fn new(attestor: Option<Arc<Attestor>>, hierarchy: Option<Hierarchy>) -> Self {
        Self { attestor, hierarchy: hierarchy.map(Arc::new) }
    }

    /// The same for peers in another network.
    pub(crate) fn asking(&self, attestor: Arc<Attestor>) -> Self {
        Self { attestor: Some(attestor), hierarchy: self.hierarchy.clone() }
    }

    /// The process at the other end of an accepted connection, if it is on this machine.
    pub(crate) fn facts(&self, socket: BorrowedFd<'_>, peer: SocketAddr) -> Option<ProcessFacts> {
        if !peer.ip().is_loopback() {
            return None;
        }
        let peer = self.attestor.as_ref()?.observe(socket)?;
        Some(kernel::describe(&peer, self.hierarchy.as_deref()?))
    }

    /// The same as an audit record has it.
    pub(crate) fn origin(&self, socket: BorrowedFd<'_>, peer: SocketAddr) -> Origin {
        let address = Some(peer);
        match self.facts(socket, peer) {
            Some(facts) => Origin {
                address,
                uid: Some(facts.uid),
                pid: facts.pid,
                cgroup: Some(facts.cgroup),
                executable: facts.executable,
            },
            None => Origin { address, ..Origin::default() },
        }
    }
}
