//! Who is calling: what the kernel says of the process at the other end of a loopback connection. For the audit log it is best effort and
//! never a proof; where it is one it says so, as `kernel::Attested`.

use audit::Origin;
use kernel::{Attested, Attestor, Hierarchy, Peer, ProcessFacts};
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

    /// The peer if the kernel can name it for certain, and who it seems to be. To be asked before the first byte is read.
    pub(crate) fn attested(
        &self,
        socket: BorrowedFd<'_>,
        peer: SocketAddr,
    ) -> (Option<Attested<Peer>>, Origin) {
        let attestor = self.attestor.as_ref().filter(|_| peer.ip().is_loopback());
        match attestor.and_then(|attestor| attestor.attest(socket).ok()) {
            Some(attested) => {
                let hierarchy = self.hierarchy.as_deref();
                let facts = hierarchy.map(|hierarchy| kernel::describe(attested.facts(), hierarchy));
                (Some(attested), Self::told(peer, facts))
            }
            None => (None, self.origin(socket, peer)),
        }
    }

    /// The same as an audit record has it.
    pub(crate) fn origin(&self, socket: BorrowedFd<'_>, peer: SocketAddr) -> Origin {
        Self::told(peer, self.facts(socket, peer))
    }

    fn told(peer: SocketAddr, facts: Option<ProcessFacts>) -> Origin {
        let address = Some(peer);
        match facts {
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
