//! Who is calling: what the kernel says of the process at the other end of a connection within this machine. For the audit log it is best
//! effort and never a proof; where it is one it says so, as `kernel::Attested`.

use crate::hands::Hands;
use audit::Origin;
use kernel::{Attested, Attestor, Hierarchy, Holders, Peer, ProcessFacts};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::BorrowedFd,
    sync::Arc,
};
use tokio::net::TcpStream;

/// Where the two ends of an accepted connection are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    own: IpAddr,
    pub(crate) peer: SocketAddr,
}

impl Ends {
    pub(crate) fn of(stream: &TcpStream, peer: SocketAddr) -> io::Result<Self> {
        Ok(Self { own: stream.local_addr()?.ip(), peer })
    }

    /// Is the peer on this machine? Its address is one of the loopback device's, or the very one that it has come to: the kernel takes
    /// nothing from outside that says it comes from an address of its own.
    pub(crate) fn are_here(self) -> bool {
        let peer = self.peer.ip().to_canonical();
        peer.is_loopback() || peer == self.own.to_canonical()
    }
}

/// Describes peers.
pub(crate) struct Observer {
    attestor: Option<Arc<Attestor>>,
    hierarchy: Option<Arc<Hierarchy>>,
    holders: Arc<Holders>,
    hands: Hands,
}

impl Observer {
    pub(crate) fn new(attestor: Option<Arc<Attestor>>, hierarchy: Option<Hierarchy>, hands: Hands) -> Self {
        Self { attestor, hierarchy: hierarchy.map(Arc::new), holders: Arc::default(), hands }
    }

    /// For what is asked of a crowd: not by the threads that answer requests.
    pub(crate) fn hands(&self) -> &Hands {
        &self.hands
    }

    /// The same for peers in another network.
    pub(crate) fn asking(&self, attestor: Arc<Attestor>) -> Self {
        Self {
            attestor: Some(attestor),
            hierarchy: self.hierarchy.clone(),
            holders: self.holders.clone(),
            hands: self.hands.clone(),
        }
    }

    /// The process at the other end of an accepted connection, if it is on this machine.
    pub(crate) fn facts(&self, socket: BorrowedFd<'_>, ends: Ends) -> Option<ProcessFacts> {
        if !ends.are_here() {
            return None;
        }
        let peer = self.attestor.as_ref()?.observe(socket)?;
        self.describe(peer)
    }

    /// From the sandbox no other process is looked into.
    fn describe(&self, peer: Peer) -> Option<ProcessFacts> {
        let hierarchy = self.hierarchy.clone()?;
        let holders = self.holders.clone();
        let describe = move || kernel::describe(&peer, &hierarchy, &holders);
        if kernel::sandbox::is_confined() { self.hands.wait(describe) } else { Some(describe()) }
    }

    /// The peer if the kernel can name it for certain, and who it seems to be. To be asked before the first byte is read.
    pub(crate) fn attested(&self, socket: BorrowedFd<'_>, ends: Ends) -> (Option<Attested<Peer>>, Origin) {
        let attestor = self.attestor.as_ref().filter(|_| ends.are_here());
        match attestor.and_then(|attestor| attestor.attest(socket).ok()) {
            Some(attested) => {
                let facts = self.describe(*attested.facts());
                (Some(attested), Self::told(ends.peer, facts))
            }
            None => (None, Self::told(ends.peer, self.facts(socket, ends))),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_from_the_address_that_it_came_to_is_here() {
        for (own, peer, is_here) in [
            ("127.0.0.1", "127.0.0.1:5", true),
            ("127.0.0.1", "127.9.9.9:5", true),
            ("::1", "[::1]:5", true),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:5", true),
            ("10.0.0.5", "10.0.0.5:5", true),
            ("::ffff:10.0.0.5", "[::ffff:10.0.0.5]:5", true),
            ("169.254.169.254", "169.254.169.254:5", true),
            ("10.0.0.5", "10.0.0.6:5", false),
            ("169.254.169.254", "10.0.0.5:5", false),
            ("::1", "[fd00::1]:5", false),
        ] {
            let ends = Ends { own: own.parse().unwrap(), peer: peer.parse().unwrap() };
            assert_eq!(ends.are_here(), is_here, "{ends:?}");
        }
    }
}
