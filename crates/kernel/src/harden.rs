//! What a server that holds secrets does to itself first.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// The user that this process acts as.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Does this process act as root?
pub fn is_root() -> bool {
    effective_uid() == 0
}

/// Forbids core dumps and debugging by the same user, and asks for as many file descriptors as there may be.
///
/// Best effort where a container forbids it: `status` reports what holds.
pub fn harden() {
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let files = getrlimit(Resource::Nofile);
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}

/// Are core dumps of this process forbidden?
pub fn is_hardened() -> bool {
    matches!(rustix::process::dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
        && getrlimit(Resource::Core).current == Some(0)
}
