//! What this kernel, and this process's place in it, can do: asked by trying, said with a reason and a mend.

use crate::{Attestor, Hierarchy, Placement, Program, placement, spawn};
use std::path::PathBuf;

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

    fn no(why: impl Into<String>, mend: impl Into<String>) -> Self {
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

/// Tries everything. Takes a few milliseconds: a connection to itself, a directory, a process.
pub fn capabilities() -> Capabilities {
    let hierarchy = Hierarchy::discover();
    let attestation = match (&hierarchy, Attestor::new().map(|attestor| attestor.probe())) {
        (Err(error), _) => Verdict::no(
            error.to_string(),
            "boot with cgroup v2 mounted (systemd.unified_cgroup_hierarchy=1), Linux 5.8 or newer",
        ),
        (Ok(_), Err(error)) => {
            Verdict::no(error.to_string(), "load the kernel modules inet_diag and tcp_diag")
        }
        (Ok(_), Ok(Err(fault))) => Verdict::no(
            fault.to_string(),
            "load the kernel modules inet_diag and tcp_diag, Linux 5.8 or newer",
        ),
        (Ok(_), Ok(Ok(_))) => Verdict::Enforced,
    };
    let cgroup = match hierarchy.as_ref().map(placement) {
        Ok(Placement::Root { .. } | Placement::Delegated { .. }) => Verdict::Enforced,
        Ok(Placement::NotDelegated { why, mend }) => Verdict::no(why, mend),
        Err(error) => Verdict::no(error.to_string(), "mount cgroup2"),
    };
    Capabilities { attestation, cgroup, private_names: private_names() }
}

fn private_names() -> Verdict {
    let program = Program {
        arguments: vec!["true".into()],
        environment: Vec::new(),
        directory: None,
        hosts: Some(PathBuf::from("/etc/hosts")),
        cgroup: None,
    };
    match spawn(&program).map(|child| child.wait()) {
        Ok(_) => Verdict::Enforced,
        Err(error) => Verdict::no(
            format!(
                "{error}: {}",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            ),
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces), or add the names to /etc/hosts",
        ),
    }
}
