//! Where an app's processes are born: a cgroup of their own, by which the kernel knows them.
//!
//! Root makes one below the hierarchy's root. An ordinary user needs a part of the hierarchy that is theirs: in a session of systemd this
//! command starts itself again in a delegated scope; elsewhere somebody must have delegated one. Else the app runs *unenforced*.

use crate::failure::Failure;
use domain::{AppName, world::random};
use kernel::{AppCgroup, Hierarchy, Placement};
use std::{os::unix::process::CommandExt, process::Command};

/// Set in the second life of this command, so that it does not try a third.
pub(crate) const IN_SCOPE: &str = "KEYLESS_SCOPE";

/// A place for one start of an app.
pub(crate) enum Place {
    /// A cgroup of its own.
    Own(AppCgroup),
    /// None.
    Nowhere {
        /// What is missing.
        why: String,
        /// How to mend it.
        mend: String,
    },
}

impl Place {
    /// Makes the place. May replace this process by itself in a scope of systemd.
    pub(crate) fn make(app: &AppName) -> Self {
        let placement = match Hierarchy::discover() {
            Ok(hierarchy) => kernel::placement(&hierarchy),
            Err(error) => {
                let mend =
                    "mount cgroup2 (on old systems: boot with systemd.unified_cgroup_hierarchy=1)".into();
                return Self::Nowhere { why: error.to_string(), mend };
            }
        };
        let parent = match placement {
            Placement::Root { parent } | Placement::Delegated { parent } => parent,
            Placement::NotDelegated { why, mend } => {
                let why = enter_scope().map_or(why.clone(), |problem| format!("{why}; {problem}"));
                return Self::Nowhere { why, mend };
            }
        };
        let name =
            format!("keyless-{}-{:08x}", app.folded(), u32::from_be_bytes(random(&crypt::SystemEntropy)));
        match AppCgroup::create(&parent, &name) {
            Ok(cgroup) => Self::Own(cgroup),
            Err(error) => Self::Nowhere { why: domain::chain(&error), mend: "see `keyless doctor`".into() },
        }
    }
}

/// Starts this command again in a scope that systemd delegates to the user. Comes back only if that is not to be had, with the reason.
fn enter_scope() -> Option<String> {
    if crate::variable(IN_SCOPE).is_some() {
        return Some("systemd did not delegate the scope".into());
    }
    if !server::has_user_manager() {
        return None;
    }
    let own = std::env::current_exe().ok()?;
    let failed = Command::new("systemd-run")
        .args(["--user", "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "--"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(IN_SCOPE, "1")
        .exec();
    Some(format!("systemd-run cannot be started: {failed}"))
}

impl From<kernel::KernelError> for Failure {
    fn from(error: kernel::KernelError) -> Self {
        Self::new(domain::chain(&error))
    }
}
