//! What this kernel, and this process's place in it, can do: asked by trying, said with a reason and a mend.

use crate::{
    Account, AppCgroup, AppliedLimits, Attestor, Hierarchy, KernelError, Landlock, Limiter, Limits, Network,
    NetworkPorts, Placement, Program, placement, process::rehearse,
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
    /// What programs that we start ourselves can be given besides.
    pub hosting: Hosting,
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
    /// A Landlock domain, for want of a user of its own.
    pub landlock: Verdict,
}

impl Hosting {
    /// Each under the name that people are told.
    pub fn named(&self) -> Vec<(String, &Verdict)> {
        let mut named = vec![("user of its own".to_owned(), &self.account)];
        for (name, controller, verdict) in self.limits.each() {
            let is_old = self.limits.version_1.contains(&controller);
            let hierarchy = if is_old { " (by cgroup version 1)" } else { "" };
            named.push((format!("{name} limit{hierarchy}"), verdict));
        }
        named.push(("network namespace".to_owned(), &self.network));
        named.push(("Landlock domain".to_owned(), &self.landlock));
        named
    }
}

/// Tries everything. Takes a few milliseconds: a connection to itself, a cgroup, a network namespace, a few processes.
///
/// To be called before [`crate::harden()`]: a process that may not be dumped may not make a user namespace either.
pub fn capabilities() -> Capabilities {
    let hierarchy = Hierarchy::discover();
    let (cgroup, limits) = cgroup(&hierarchy);
    Capabilities {
        attestation: attestation(&hierarchy),
        cgroup,
        private_names: private_names(),
        hosting: Hosting { account: account(), limits, network: network(), landlock: landlock() },
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

/// Can a process be started in a cgroup of its own, and with which limits?
fn cgroup(hierarchy: &Result<Hierarchy, KernelError>) -> (Verdict, AppliedLimits) {
    let no = |why: String, mend: &str| (Verdict::no(&*why, mend), AppliedLimits::no(&why, mend));
    let parent = match hierarchy.as_ref().map(placement) {
        Ok(Placement::Root { parent } | Placement::Delegated { parent }) => parent,
        Ok(Placement::NotDelegated { why, mend }) => return no(why, &mend),
        Err(error) => return no(chain(error), MOUNT_CGROUP2),
    };
    let attempt = || -> Result<AppliedLimits, KernelError> {
        let name = format!("keyless-probe-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
        // In a container process ids start over: there may be one of an earlier life.
        if let Ok(left_over) = AppCgroup::open(&parent.join(&name)) {
            left_over.remove()?;
        }
        let cgroup = AppCgroup::create(&parent, &name)?;
        let limits = Limits { memory_bytes: Some(64 << 20), cpu_thousandths: Some(500), processes: Some(16) };
        let limiter = Limiter::apply(&limits, &cgroup);
        let place = || Program { cgroup: Some(cgroup.directory()), ..Program::default() };
        let limited = rehearse(&Program { joins: limiter.joins(), ..place() });
        let applied = match limited {
            Ok(()) => limiter.applied().clone(),
            Err(error) => AppliedLimits::no(
                &chain(&error),
                "let the server write to the hierarchies of cgroup version 1",
            ),
        };
        let rehearsed = rehearse(&place());
        cgroup.remove().and(rehearsed).map(|()| applied)
    };
    match attempt() {
        Ok(applied) => (Verdict::Enforced, applied),
        Err(error) => no(
            format!("starting a process in a cgroup below {} fails: {}", parent.display(), chain(&error)),
            "use Linux 5.8 or newer, and let nothing (seccomp of a container) forbid clone3",
        ),
    }
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
        let network = Network::create(&NetworkPorts { loopback: vec![0], metadata: true })?;
        rehearse(&Program { network: Some(network.namespace.as_fd()), ..Program::default() })
    };
    match attempt() {
        Ok(()) => Verdict::Enforced,
        Err(error) => Verdict::no(
            chain(&error),
            "run the server as root (in a container: with the capability SYS_ADMIN); without, an app shares the network of the machine",
        ),
    }
}

/// Can programs of one user be kept from taking each other over?
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
        let hosting = found.hosting.named();
        assert_eq!(hosting.len(), 6);
        let others = [&found.attestation, &found.cgroup, &found.private_names];
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
