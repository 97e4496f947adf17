//! What this kernel, and this process's place in it, can do: asked by trying, said with a reason and a mend.

use crate::{
    Account, AppCgroup, AppliedLimits, Attestor, ConnectGate, Hierarchy, KernelError, Landlock, Limiter,
    Limits, Network, NetworkPorts, Placement, Program, Sandbox, SandboxFiles, placement, program::rehearse,
};
use std::{
    error::Error,
    os::{fd::AsFd, unix::fs::MetadataExt},
    sync::atomic::{AtomicU32, Ordering},
};

/// Whether something is enforced here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Enforced,
    /// It is not.
    Unenforced {
        /// What is missing, one clause.
        why: String,
        /// What to do about it, one clause.
        mend: String,
    },
}

impl Verdict {
    /// Is it enforced?
    pub const fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforced)
    }

    pub(crate) fn no(why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Unenforced { why: why.into(), mend: mend.into() }
    }
}

/// What can be enforced here.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The kernel names the cgroup of a connection's peer.
    pub attestation: Verdict,
    /// Apps can be given cgroups of their own by this process.
    pub cgroup: Verdict,
    /// Programs can be given names of their own (`/etc/hosts`).
    pub private_names: Verdict,
    /// Threads that read requests can be kept from what they do not need.
    pub sandbox: Verdict,
}

/// What a program that we start for others can be given. Nothing of it is needed for attestation.
#[derive(Clone, Debug)]
pub struct Hosting {
    /// A user of its own.
    pub account: Verdict,
    /// Limits of what it may use.
    pub limits: AppliedLimits,
    /// A network namespace of its own.
    pub network: Verdict,
    /// A Landlock domain, for want of a user of its own. It is less (`landlock`).
    pub landlock: Verdict,
    /// A gate that keeps strangers from connecting to its endpoint, where that is asked for.
    pub connect_gate: Verdict,
}

impl Hosting {
    /// What the server uses of it, each under the name that people are told.
    pub fn named(&self) -> Vec<(String, &Verdict)> {
        let mut named = vec![("user of its own, for a hosted app".to_owned(), &self.account)];
        for (name, controller, verdict) in self.limits.each() {
            let is_old = self.limits.version_1.contains(&controller);
            let hierarchy = if is_old { " (by cgroup version 1)" } else { "" };
            named.push((format!("{name} limit{hierarchy}, for a hosted app"), verdict));
        }
        named.push((
            "network namespace, for a hosted container or an app with a network of its own".to_owned(),
            &self.network,
        ));
        // Root's apps have users of their own instead.
        if !crate::is_root() {
            named.push(("Landlock domain, for a hosted app".to_owned(), &self.landlock));
        }
        named
    }
}

/// Tries everything. Takes a few milliseconds: a connection to itself, a cgroup, two processes.
///
/// To be called before [`crate::harden()`]: a process that may not be dumped may not make a user namespace either.
pub fn capabilities() -> Capabilities {
    let hierarchy = Hierarchy::discover();
    Capabilities {
        attestation: attestation(&hierarchy),
        cgroup: match in_cgroup(&hierarchy, |cgroup| rehearse(&within(cgroup))) {
            Ok(()) => Verdict::Enforced,
            Err((why, mend)) => Verdict::no(why, mend),
        },
        private_names: private_names(),
        sandbox: Sandbox::verdict(&Sandbox::prepare(&SandboxFiles::default())),
    }
}

/// Tries what a program could be given that we start for others. Takes longer, tens of milliseconds where limits are in hierarchies of
/// version 1, so it is not asked by who starts no such programs.
pub fn hosting() -> Hosting {
    let hierarchy = Hierarchy::discover();
    Hosting {
        account: account(),
        limits: limits(&hierarchy),
        network: network(),
        landlock: landlock(),
        connect_gate: connect_gate(&hierarchy),
    }
}

const MOUNT_CGROUP2: &str =
    "mount cgroup2 (on old systems: boot with systemd.unified_cgroup_hierarchy=1), Linux 5.8 or newer";

/// Does the kernel name the cgroup of a peer whose cgroup we know: ourselves?
fn attestation(hierarchy: &Result<Hierarchy, KernelError>) -> Verdict {
    const LOAD: &str = "load the kernel modules inet_diag and tcp_diag, Linux 5.8 or newer";
    let hierarchy = match hierarchy {
        Ok(hierarchy) => hierarchy,
        Err(error) => return Verdict::no(chain(error), MOUNT_CGROUP2),
    };
    let peer = match Attestor::new().map(|attestor| attestor.probe()) {
        Ok(Ok(peer)) => peer,
        Ok(Err(fault)) => return Verdict::no(format!("attesting ourselves fails: {fault}"), LOAD),
        Err(error) => return Verdict::no(chain(&error), LOAD),
    };
    match std::fs::metadata(&hierarchy.own) {
        Ok(own) if own.ino() == peer.cgroup.number() => Verdict::Enforced,
        // Before Linux 5.15 the use of the old controllers net_cls and net_prio takes their cgroup from sockets.
        Ok(own) => Verdict::no(
            format!(
                "the kernel says that we are in cgroup {}, but {} is {}",
                peer.cgroup,
                hierarchy.own.display(),
                own.ino()
            ),
            "mount cgroup2 of this host, and unmount the version 1 controllers net_cls and net_prio, or use Linux 5.15 or newer",
        ),
        Err(error) => {
            Verdict::no(format!("cannot look at {}: {error}", hierarchy.own.display()), MOUNT_CGROUP2)
        }
    }
}

/// Makes the names of this process's probes differ.
static PROBES: AtomicU32 = AtomicU32::new(0);

/// Tries something with a cgroup of its own; else why not, and what to do about it.
fn in_cgroup<T>(
    hierarchy: &Result<Hierarchy, KernelError>,
    action: impl FnOnce(&AppCgroup) -> Result<T, KernelError>,
) -> Result<T, (String, String)> {
    let parent = match hierarchy.as_ref().map(placement) {
        Ok(Placement::Root { parent } | Placement::Delegated { parent }) => parent,
        Ok(Placement::NotDelegated { why, mend }) => return Err((why, mend)),
        Err(error) => return Err((chain(error), MOUNT_CGROUP2.to_owned())),
    };
    let attempt = || -> Result<T, KernelError> {
        let name = format!("keyless-probe-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
        // In a container process ids start over: there may be one of an earlier life.
        if let Ok(left_over) = AppCgroup::open(&parent.join(&name)) {
            left_over.remove()?;
        }
        let cgroup = AppCgroup::create(&parent, &name)?;
        let result = action(&cgroup);
        cgroup.remove().and(result)
    };
    attempt().map_err(|error| {
        let why =
            format!("starting a process in a cgroup below {} fails: {}", parent.display(), chain(&error));
        (why, "use Linux 5.8 or newer, and let nothing (seccomp of a container) forbid clone3".to_owned())
    })
}

fn within(cgroup: &AppCgroup) -> Program<'_> {
    Program { cgroup: Some(cgroup.directory()), ..Program::default() }
}

/// Which limits can a program have?
fn limits(hierarchy: &Result<Hierarchy, KernelError>) -> AppliedLimits {
    let limits = Limits { memory_bytes: Some(64 << 20), cpu_thousandths: Some(500), processes: Some(16) };
    let applied = in_cgroup(hierarchy, |cgroup| {
        let limiter = Limiter::apply(&limits, cgroup);
        rehearse(&Program { joins: limiter.joins(), ..within(cgroup) })?;
        Ok(limiter.applied().clone())
    });
    applied.unwrap_or_else(|(why, mend)| AppliedLimits::no(&why, &mend))
}

/// Can a program run as another user than ours?
fn account() -> Verdict {
    // Nobody, by convention.
    let program = Program { account: Account::new(65_534, 65_534), ..Program::default() };
    match rehearse(&program) {
        Ok(()) => Verdict::Enforced,
        Err(error) => Verdict::no(
            chain(&error),
            "run the server as root (in a container: with the capabilities SETUID and SETGID); without, put programs under Landlock",
        ),
    }
}

/// Can a program have a network of its own, in which we listen and are connected to?
fn network() -> Verdict {
    let attempt = || {
        let ports = NetworkPorts { loopback: vec![0], metadata: false };
        let network = if crate::is_root() { Network::create(&ports)? } else { Network::create_own(&ports)? };
        let (users, network) = (network.namespace.users(), Some(network.namespace.as_fd()));
        rehearse(&Program { users, network, ..Program::default() })
    };
    match attempt() {
        Ok(()) => Verdict::Enforced,
        Err(error) => Verdict::no(
            chain(&error),
            "run the server as root (in a container: with the capability SYS_ADMIN), or let ordinary users make user namespaces; without, an app shares the network of the machine",
        ),
    }
}

/// Can programs of one user be kept from joining, reading and signalling each other?
fn landlock() -> Verdict {
    const WITH_SCOPES: u32 = 6;
    let attempt = || {
        let landlock = Landlock::new()?;
        rehearse(&Program { landlock: Some(&landlock), ..Program::default() })
    };
    match (attempt(), Landlock::abi()) {
        (Ok(()), Ok(abi)) if abi < WITH_SCOPES => Verdict::no(
            format!("Landlock is there (ABI {abi}), but lets programs of one user send each other signals"),
            "use Linux 6.12 or newer",
        ),
        (Ok(()), _) => Verdict::Enforced,
        (Err(error), _) => Verdict::no(
            chain(&error),
            "use Linux 5.13 or newer with Landlock switched on (lsm=landlock,... on the kernel's command line)",
        ),
    }
}

/// Can strangers be kept from connecting?
fn connect_gate(hierarchy: &Result<Hierarchy, KernelError>) -> Verdict {
    match hierarchy.as_ref().map(ConnectGate::attach) {
        Ok(Ok(_gate)) => Verdict::Enforced,
        Ok(Err(error)) => Verdict::no(
            chain(&error),
            "run the server as root of the host (with the capabilities BPF and NET_ADMIN), Linux 5.14 or newer; without, strangers are refused after they have connected",
        ),
        Err(error) => Verdict::no(chain(error), MOUNT_CGROUP2),
    }
}

fn private_names() -> Verdict {
    match rehearse(&Program { hosts: Some("/etc/hosts".into()), ..Program::default() }) {
        Ok(()) => Verdict::Enforced,
        Err(error) => Verdict::no(
            chain(&error),
            "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0), or add the names to /etc/hosts",
        ),
    }
}

/// An error with what it comes of.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_tried_and_each_lack_is_explained() {
        let found = capabilities();
        let hosting = hosting();
        let others = [
            &found.attestation,
            &found.cgroup,
            &found.private_names,
            &hosting.connect_gate,
            &hosting.landlock,
        ];
        let hosting = hosting.named();
        assert_eq!(hosting.len(), if crate::is_root() { 5 } else { 6 });
        for verdict in hosting.into_iter().map(|(_, verdict)| verdict).chain(others) {
            if let Verdict::Unenforced { why, mend } = verdict {
                assert!(!why.is_empty() && !mend.is_empty());
            }
        }
    }

    #[test]
    fn a_cause_is_told() {
        let error = KernelError::Namespace(std::io::Error::from_raw_os_error(libc::EPERM));
        assert!(chain(&error).ends_with(": Operation not permitted (os error 1)"), "{}", chain(&error));
    }
}
