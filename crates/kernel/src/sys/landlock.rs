//! The system calls of Landlock (`linux/landlock.h`).

use super::{check, owned};
use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
};

/// `struct landlock_ruleset_attr` of ABI 6. An older kernel takes it too, as long as what it does not know is zero.
#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scopes: u64,
}
const _: () = assert!(size_of::<Ruleset>() == 24);

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}
const _: () = assert!(size_of::<Beneath>() == 12);

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;

/// Which ABI this kernel has.
pub(crate) fn abi() -> io::Result<u32> {
    let (nothing, flags) = (ptr::null::<Ruleset>(), CREATE_RULESET_VERSION);
    // SAFETY: with this flag no pointer is followed.
    let abi = check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, flags) })?;
    u32::try_from(abi).map_err(io::Error::other)
}

/// A ruleset that denies these accesses to files but for its rules, and to what is in these scopes outside of the domain.
pub(crate) fn ruleset(files: u64, scopes: u64) -> io::Result<OwnedFd> {
    let wanted = Ruleset { files, network: 0, scopes };
    // SAFETY: the attributes are live and of the size that is said.
    owned(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(&wanted), size_of::<Ruleset>(), 0_u32)
    })
}

/// Allows accesses to a file, or to everything below a directory.
pub(crate) fn allow(ruleset: BorrowedFd<'_>, file: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
    let rule = Beneath { allowed, parent: file.as_raw_fd() };
    // SAFETY: the rule is live and of the type that is said.
    let added = unsafe {
        let (ruleset, rule) = (ruleset.as_raw_fd(), &raw const rule);
        libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, rule, 0_u32)
    };
    check(added).map(drop)
}

/// Puts the calling thread under a ruleset, for good. It must have given up to gain rights, or be root.
pub(crate) fn restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) }).map(drop)
}
