//! The parts of `bpf(2)` that a gate on `connect` needs (`linux/bpf.h`).

use super::{check, owned};
use std::{
    ffi::CStr,
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
};

const MAP_CREATE: u32 = 0;
const MAP_UPDATE: u32 = 2;
const MAP_DELETE: u32 = 3;
const PROGRAM_LOAD: u32 = 5;
const LINK_CREATE: u32 = 28;
const MAP_HASH: u32 = 1;
/// `BPF_F_NO_PREALLOC`: entries take memory when they are made.
const WHEN_NEEDED: u32 = 1;
const PROGRAM_CGROUP_SOCK_ADDR: u32 = 18;
/// Not among those that are told more by some helpers; this program calls none of them.
const LICENCE: &CStr = c"Apache-2.0";

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries_max: u32,
    flags: u32,
}

#[repr(C)]
struct MapElement {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instructions: u32,
    code: u64,
    licence: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

const _: () = assert!(size_of::<MapCreate>() == 20 && size_of::<MapElement>() == 32);
const _: () = assert!(size_of::<ProgramLoad>() == 72 && size_of::<LinkCreate>() == 16);

/// # Safety
/// The attributes must be those of the command, and pointers in them to what it reads.
unsafe fn bpf<T>(command: u32, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: as the caller promises; the size is that of the attributes.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of::<T>()) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // An open descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

fn address<T: ?Sized>(value: &T) -> u64 {
    ptr::from_ref(value).cast::<u8>() as u64
}

/// A table from keys to values of two words each, of so many entries at most.
pub(crate) fn map(entries_max: u32) -> io::Result<OwnedFd> {
    const BYTES: u32 = size_of::<[u64; 2]>() as u32;
    let wanted =
        MapCreate { kind: MAP_HASH, key_bytes: BYTES, value_bytes: BYTES, entries_max, flags: WHEN_NEEDED };
    // SAFETY: no pointers.
    owned(unsafe { bpf(MAP_CREATE, &wanted)? })
}

/// Sets an entry of a table that [`map`] has made.
pub(crate) fn set(map: BorrowedFd<'_>, key: &[u64; 2], value: &[u64; 2]) -> io::Result<()> {
    let element =
        MapElement { map: number(map), padding: 0, key: address(key), value: address(value), flags: 0 };
    // SAFETY: key and value are live and of the sizes that the table has.
    unsafe { bpf(MAP_UPDATE, &element) }.map(drop)
}

/// Removes an entry; that there is none is an error.
pub(crate) fn remove(map: BorrowedFd<'_>, key: &[u64; 2]) -> io::Result<()> {
    let element = MapElement { map: number(map), padding: 0, key: address(key), value: 0, flags: 0 };
    // SAFETY: the key is live and of the size that the table has.
    unsafe { bpf(MAP_DELETE, &element) }.map(drop)
}

/// Has the kernel check and load a program that is called for addresses of sockets of a cgroup.
pub(crate) fn program(code: &[[u8; 8]], attach_type: u32) -> io::Result<OwnedFd> {
    let wanted = ProgramLoad {
        kind: PROGRAM_CGROUP_SOCK_ADDR,
        instructions: u32::try_from(code.len()).map_err(io::Error::other)?,
        code: address(code),
        licence: LICENCE.as_ptr() as u64,
        log_level: 0,
        log_bytes: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"keyless_gate\0\0\0\0",
        interface: 0,
        attach_type,
    };
    // SAFETY: code and licence are live; the code is as long as is said, the licence null-terminated.
    owned(unsafe { bpf(PROGRAM_LOAD, &wanted)? })
}

/// Attaches a program to a cgroup for as long as the result is open.
pub(crate) fn link(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<OwnedFd> {
    let wanted = LinkCreate { program: number(program), target: number(cgroup), attach_type, flags: 0 };
    // SAFETY: no pointers.
    owned(unsafe { bpf(LINK_CREATE, &wanted)? })
}
