//! A gate before `connect`: whoever is not of an app cannot even connect to the app's endpoint (a BPF program on the root of the cgroup
//! hierarchy, `bpf(2)`).
//!
//! A layer more, for root, and not the one that counts: it goes when this process does, and says nothing of connections that are there
//! already. Attestation stays. The program reads a table from (network namespace, port) to (cgroup, its depth), so that an entry, and not
//! a program, comes and goes with an endpoint: a `connect` costs the same with one endpoint and with thousands.

use crate::{CgroupId, Hierarchy, KernelError, METADATA, sys};
use std::{
    fs, io,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::Arc,
};

/// Endpoints that may be guarded at a time.
const ENTRIES_MAX: u32 = 65_536;
/// The number of the hierarchy's root directory. It is another one where a container sees a part as its root.
const ROOT: u64 = 1;
/// `BPF_CGROUP_INET4_CONNECT`, `BPF_CGROUP_INET6_CONNECT`.
const CONNECT_4: u32 = 10;
const CONNECT_6: u32 = 11;

/// The gate, closed as long as this is there.
#[derive(Debug)]
pub struct ConnectGate {
    table: Arc<OwnedFd>,
    _links: [OwnedFd; 2],
}

/// A listener that is behind the gate. Everybody can connect again when this is dropped, which must be before its port is another's.
#[derive(Debug)]
pub struct Gated {
    table: Arc<OwnedFd>,
    key: [u64; 2],
}

impl Drop for Gated {
    fn drop(&mut self) {
        let _is_there = sys::bpf::remove(self.table.as_fd(), &self.key);
    }
}

impl ConnectGate {
    /// Puts the gate before every `connect` on this machine; without entries it lets everybody through.
    ///
    /// # Errors
    /// [`KernelError::System`]: not root, no BPF in this kernel, or in a container that does not see the whole hierarchy.
    pub fn attach(hierarchy: &Hierarchy) -> Result<Self, KernelError> {
        let fail = |source| KernelError::System { doing: "put a BPF program before connect", source };
        let root = fs::File::open(&hierarchy.mount).map_err(fail)?;
        if root.metadata().map_err(fail)?.ino() != ROOT {
            return Err(fail(io::Error::other("only a part of the cgroup hierarchy is seen here")));
        }
        let attempt = || {
            let table = sys::bpf::map(ENTRIES_MAX)?;
            let attach = |kind: u32| {
                let program = sys::bpf::program(&code(kind, &table), kind)?;
                sys::bpf::link(program.as_fd(), root.as_fd(), kind)
            };
            let _links = [attach(CONNECT_4)?, attach(CONNECT_6)?];
            Ok(Self { table: Arc::new(table), _links })
        };
        attempt().map_err(fail)
    }

    /// From now on only processes in a cgroup and below it can connect to a listener on a loopback address or [`METADATA`]. The cgroup is
    /// told by its lineage ([`crate::AppCgroup::lineage`]).
    ///
    /// # Errors
    /// As `bpf(2)`; also if the lineage is empty.
    pub fn guard(&self, listener: &TcpListener, lineage: &[CgroupId]) -> io::Result<Gated> {
        let (Some(id), Some(depth)) = (lineage.first(), lineage.len().checked_sub(1)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let key = key(listener)?;
        let depth = u64::try_from(depth).map_err(io::Error::other)?;
        sys::bpf::set(self.table.as_fd(), &key, &[id.number(), depth])?;
        Ok(Gated { table: self.table.clone(), key })
    }
}

/// The program's key: the network namespace's cookie, and the port as it is in a `sockaddr`.
fn key(listener: &TcpListener) -> io::Result<[u64; 2]> {
    let port = listener.local_addr()?.port();
    Ok([sys::network_cookie(listener.as_fd())?, port.to_be().into()])
}

/// Where things are in `struct bpf_sock_addr`.
mod at {
    pub(super) const IPV4: i16 = 4;
    /// The third and fourth word of an IPv6 address.
    pub(super) const IPV6_PREFIX: i16 = 16;
    pub(super) const IPV6_LAST: i16 = 20;
    pub(super) const PORT: i16 = 24;
    pub(super) const TYPE: i16 = 32;
}

/// `bpf_map_lookup_elem`, `bpf_get_netns_cookie`, `bpf_get_current_ancestor_cgroup_id`.
const LOOK_UP: i32 = 1;
const NETWORK_COOKIE: i32 = 122;
const ANCESTOR: i32 = 123;
const SOCK_STREAM: i32 = 1;
/// Marks the file descriptor of a table in an instruction.
const PSEUDO_MAP: u8 = 1;

/// Where a jump leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Ask,
    Allow,
}

/// A program in the making.
#[derive(Default)]
struct Code {
    instructions: Vec<[u8; 8]>,
    jumps: Vec<(usize, To)>,
    ask: usize,
}

impl Code {
    /// `struct bpf_insn`: operation, two registers of four bits, offset, constant.
    fn push(&mut self, operation: u8, to: u8, from: u8, offset: i16, constant: i32) {
        let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        let ([o0, o1], [c0, c1, c2, c3]) = (offset.to_ne_bytes(), constant.to_ne_bytes());
        self.instructions.push([operation, registers, o0, o1, c0, c1, c2, c3]);
    }

    fn jump(&mut self, operation: u8, to: u8, from: u8, constant: i32, target: To) {
        self.jumps.push((self.instructions.len(), target));
        self.push(operation, to, from, 0, constant);
    }

    /// With the jumps' offsets, which count from the next instruction on.
    fn finish(mut self, allow: usize) -> Vec<[u8; 8]> {
        for (place, target) in self.jumps {
            let target = if target == To::Ask { self.ask } else { allow };
            let Some([_, _, o0, o1, ..]) = self.instructions.get_mut(place) else { continue };
            // A few dozen instructions, all jumps forward.
            [*o0, *o1] = ((target - place - 1) as i16).to_ne_bytes();
        }
        self.instructions
    }
}

/// The program for one kind of address: is it a stream to a place of this machine's own, is there an entry for it, and is the caller in
/// its cgroup? Registers: 1 to 5 are arguments, 0 is a result, 6 to 9 stay over calls, 10 is the top of the stack.
fn code(kind: u32, table: &OwnedFd) -> Vec<[u8; 8]> {
    const MOVE: u8 = 0xbf;
    const MOVE_CONSTANT: u8 = 0xb7;
    const ADD_CONSTANT: u8 = 0x07;
    const AND_CONSTANT_32: u8 = 0x54;
    const LOAD_32: u8 = 0x61;
    const LOAD_64: u8 = 0x79;
    const STORE_64: u8 = 0x7b;
    const LOAD_TABLE: u8 = 0x18;
    const IF_IS: u8 = 0x15;
    const IF_SAME: u8 = 0x1d;
    const IF_IS_32: u8 = 0x16;
    const IF_IS_NOT_32: u8 = 0x56;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    let word = i32::from_ne_bytes;
    let mut code = Code::default();
    code.push(MOVE, 6, 1, 0, 0);
    code.push(LOAD_32, 1, 6, at::TYPE, 0);
    code.jump(IF_IS_NOT_32, 1, 0, SOCK_STREAM, To::Allow);
    if kind == CONNECT_6 {
        // Our listeners have IPv4 addresses, to which an IPv6 socket comes by `::ffff:a.b.c.d`, or by `::` if it is bound to such one.
        code.push(LOAD_32, 1, 6, at::IPV6_PREFIX, 0);
        code.push(IF_IS_32, 1, 0, 1, 0);
        code.jump(IF_IS_NOT_32, 1, 0, word([0, 0, 0xff, 0xff]), To::Allow);
    }
    // 0.0.0.0 is this machine too.
    code.push(LOAD_32, 1, 6, if kind == CONNECT_6 { at::IPV6_LAST } else { at::IPV4 }, 0);
    code.jump(IF_IS_32, 1, 0, 0, To::Ask);
    code.jump(IF_IS_32, 1, 0, word(METADATA.ip().octets()), To::Ask);
    code.push(AND_CONSTANT_32, 1, 0, 0, word([0xff, 0, 0, 0]));
    code.jump(IF_IS_NOT_32, 1, 0, word([127, 0, 0, 0]), To::Allow);
    code.ask = code.instructions.len();
    code.push(MOVE, 1, 6, 0, 0);
    code.push(CALL, 0, 0, 0, NETWORK_COOKIE);
    code.push(STORE_64, 10, 0, -16, 0);
    code.push(LOAD_32, 1, 6, at::PORT, 0);
    code.push(STORE_64, 10, 1, -8, 0);
    code.push(LOAD_TABLE, 1, PSEUDO_MAP, 0, std::os::fd::AsRawFd::as_raw_fd(table));
    code.push(0, 0, 0, 0, 0);
    code.push(MOVE, 2, 10, 0, 0);
    code.push(ADD_CONSTANT, 2, 0, 0, -16);
    code.push(CALL, 0, 0, 0, LOOK_UP);
    code.jump(IF_IS, 0, 0, 0, To::Allow);
    code.push(MOVE, 7, 0, 0, 0);
    code.push(LOAD_64, 1, 7, 8, 0);
    code.push(CALL, 0, 0, 0, ANCESTOR);
    code.push(LOAD_64, 2, 7, 0, 0);
    code.jump(IF_SAME, 0, 2, 0, To::Allow);
    code.push(MOVE_CONSTANT, 0, 0, 0, 0);
    code.push(EXIT, 0, 0, 0, 0);
    let allow = code.instructions.len();
    code.push(MOVE_CONSTANT, 0, 0, 0, 1);
    code.push(EXIT, 0, 0, 0, 0);
    code.finish(allow)
}
