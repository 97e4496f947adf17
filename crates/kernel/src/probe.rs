//! What this kernel, and this process's place in it, can do: asked by trying, said with a reason and a mend.

use crate::{AppCgroup, Attestor, Hierarchy, KernelError, Placement, placement, process::rehearse};
use std::{
    error::Error,
    os::unix::fs::MetadataExt,
    path::Path,
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
}

/// Tries everything. Takes a few milliseconds: a connection to itself, a cgroup, two processes.
///
/// To be called before [`crate::harden()`]: a process that may not be dumped may not make a user namespace either.
pub fn capabilities() -> Capabilities {
    let hierarchy = Hierarchy::discover();
    Capabilities {
        attestation: attestation(&hierarchy),
        cgroup: cgroup(&hierarchy),
        private_names: private_names(),
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

/// Can a process be started in a cgroup of its own?
fn cgroup(hierarchy: &Result<Hierarchy, KernelError>) -> Verdict {
    let parent = match hierarchy.as_ref().map(placement) {
        Ok(Placement::Root { parent } | Placement::Delegated { parent }) => parent,
        Ok(Placement::NotDelegated { why, mend }) => return Verdict::no(why, mend),
        Err(error) => return Verdict::no(chain(error), MOUNT_CGROUP2),
    };
    let attempt = || -> Result<(), KernelError> {
        let name = format!("keyless-probe-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
        // In a container process ids start over: there may be one of an earlier life.
        if let Ok(left_over) = AppCgroup::open(&parent.join(&name)) {
            left_over.remove()?;
        }
        let cgroup = AppCgroup::create(&parent, &name)?;
        let rehearsed = rehearse(None, Some(cgroup.directory()));
        cgroup.remove().and(rehearsed)
    };
    match attempt() {
        Ok(()) => Verdict::Enforced,
        Err(error) => Verdict::no(
            format!("starting a process in a cgroup below {} fails: {}", parent.display(), chain(&error)),
            "use Linux 5.8 or newer, and let nothing (seccomp of a container) forbid clone3",
        ),
    }
}

fn private_names() -> Verdict {
    match rehearse(Some(Path::new("/etc/hosts")), None) {
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
        for verdict in [found.attestation, found.cgroup, found.private_names] {
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
