//! Processes that somebody else started: which cgroup one is in, who else is there, and which network it has.
//!
//! What `/proc` says of an id counts only if the process that the id meant before is still there afterwards; and that it is in a cgroup is
//! believed of the cgroup's own list, not of a name. Owns not: whether a cgroup may be given an identity (`cli`, `host`).

use crate::{AppCgroup, Hierarchy, KernelError, Namespace, Network, NetworkPorts, Process};
use std::{fs, io, os::unix::fs::MetadataExt};

/// A process and where it is.
#[derive(Debug)]
pub struct Found {
    /// The process itself, whatever becomes of its id.
    pub process: Process,
    /// The cgroup that it is in.
    pub cgroup: AppCgroup,
    /// Its effective user.
    pub uid: u32,
    /// Its network.
    pub network: NetworkId,
}

/// A network namespace by number; another one may get it once this one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkId(u64);

impl NetworkId {
    /// From the kernel's number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The kernel's number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// That of a namespace that is held.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn held(namespace: &Namespace) -> io::Result<Self> {
        Ok(Self(rustix::fs::fstat(namespace)?.st_ino))
    }

    /// That of this process.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn own() -> io::Result<Self> {
        Self::of("self")
    }

    fn of(process: &str) -> io::Result<Self> {
        Ok(Self(fs::metadata(format!("/proc/{process}/ns/net"))?.ino()))
    }
}

/// A process of a cgroup, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhabitant {
    /// Its id.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// The name that it has given itself.
    pub name: String,
}

/// Finds a process by its id.
///
/// # Errors
/// [`KernelError`]: there is none, it ended meanwhile, or we may not look at it.
pub fn find(pid: u32) -> Result<Found, KernelError> {
    let fail = |source| KernelError::System { doing: "look at the process", source };
    let gone = || fail(io::Error::from(io::ErrorKind::NotFound));
    let process = Process::of_member(pid, || true).ok_or_else(gone)?;
    let of = format!("/proc/{pid}");
    let hierarchy = Hierarchy::of_process(&of)?;
    let cgroup = AppCgroup::open(&hierarchy.own)?;
    let uid = fs::metadata(&of).map_err(fail)?.uid();
    let network = NetworkId::of(&pid.to_string()).map_err(fail)?;
    // The list first: an id that is the process's own now was so when everything before was read.
    let is_there = cgroup.processes().contains(&pid) && !process.has_ended().map_err(fail)?;
    if is_there { Ok(Found { process, cgroup, uid, network }) } else { Err(gone()) }
}

/// Who is in a cgroup and below it now. Who ended meanwhile is left out.
pub fn inhabitants(cgroup: &AppCgroup) -> Vec<Inhabitant> {
    let look = |pid: u32| {
        let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        // A name may be anything: what a terminal would act on is left out.
        let name = name.chars().filter(|letter| !letter.is_control()).collect();
        Some(Inhabitant { pid, uid, name })
    };
    cgroup.processes().into_iter().filter_map(look).collect()
}

/// The user, other than root, whose processes may move themselves into a cgroup, as far as its files say.
pub fn who_may_join(cgroup: &AppCgroup) -> Option<u32> {
    let list = fs::symlink_metadata(cgroup.path().join(crate::cgroup::PROCESSES)).ok()?;
    (list.uid() != 0).then_some(list.uid())
}

/// Listens in the network that a process of a cgroup has.
///
/// # Errors
/// [`KernelError::System`], also if no process there is of this network.
pub fn network_of(cgroup: &AppCgroup, id: NetworkId, ports: &NetworkPorts) -> Result<Network, KernelError> {
    // It is opened once, and what is open is compared and listened in: a name may lead to another one a moment later.
    let its = |pid: u32| {
        let process = Process::of_member(pid, || true)?;
        let namespace = Namespace::of(&process).ok()?;
        let is_it = NetworkId::held(&namespace).ok()? == id && cgroup.processes().contains(&pid);
        (is_it && !process.has_ended().ok()?).then_some(namespace)
    };
    let doing = "find the network namespace of the cgroup's processes";
    let fail = |source| KernelError::System { doing, source };
    let mut why = fail(io::ErrorKind::NotFound.into());
    for namespace in cgroup.processes().into_iter().filter_map(its) {
        match namespace.reach() {
            Ok(namespace) => return Network::within(namespace, ports),
            Err(source) => why = fail(source),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Placement, Program, placement, spawn};

    #[expect(clippy::disallowed_methods, reason = "a test asks how strict it has to be")]
    fn is_required() -> bool {
        std::env::var("KEYLESS_REQUIRE_KERNEL_TESTS").is_ok_and(|value| value == "1")
    }

    #[test]
    fn a_process_is_found_with_its_cgroup_its_neighbours_and_its_network() {
        let own = find(std::process::id()).unwrap();
        assert_eq!(own.cgroup.path(), Hierarchy::discover().unwrap().own);
        assert_eq!((own.uid, own.network), (crate::effective_uid(), NetworkId::own().unwrap()));
        assert!(inhabitants(&own.cgroup).iter().any(|one| one.pid == std::process::id()));
        assert!(find(0).is_err() && find(u32::MAX).is_err());
    }

    #[test]
    fn a_stranger_in_a_cgroup_and_a_network_of_its_own_is_found_and_listened_beside() {
        let (Ok(Placement::Root { parent }), true) =
            (Hierarchy::discover().map(|hierarchy| placement(&hierarchy)), crate::is_root())
        else {
            assert!(!is_required(), "needs root and a cgroup v2 hierarchy");
            return eprintln!("skipped: needs root and a cgroup v2 hierarchy");
        };
        let cgroup = AppCgroup::create(&parent, &format!("found-{}", std::process::id())).unwrap();
        let network = Network::create(&NetworkPorts::default()).unwrap();
        use std::os::fd::AsFd;
        let program = Program {
            arguments: ["sleep", "60"].map(Into::into).to_vec(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cgroup: Some(cgroup.directory()),
            network: Some(network.namespace.as_fd()),
            ..Program::default()
        };
        let child = spawn(&program).unwrap();
        let found = find(child.id()).unwrap();
        assert_eq!(found.network, NetworkId::held(&network.namespace).unwrap());
        assert_eq!((found.cgroup.id(), found.uid), (cgroup.id(), 0));
        assert_ne!(found.network, NetworkId::own().unwrap());
        assert_eq!(who_may_join(&found.cgroup), None);
        let ports = NetworkPorts { loopback: vec![0], metadata: false };
        let beside = network_of(&found.cgroup, found.network, &ports).unwrap();
        let address = beside.listeners[0].local_addr().unwrap();
        // Writable at once, on a loopback device that is up: somebody listens there, and nobody does at the same address here.
        assert!(network.namespace.connect(address).is_ok());
        assert!(std::net::TcpStream::connect(address).is_err());
        assert!(network_of(&found.cgroup, NetworkId::own().unwrap(), &ports).is_err(), "nobody is of ours");
        cgroup.kill().unwrap();
        child.wait().unwrap();
        assert!(find(child.id()).is_err());
        assert!(network_of(&cgroup, found.network, &ports).is_err(), "nobody is left");
        cgroup.remove().unwrap();
    }
}
