//! Who a caller seems to be, for the audit log: best effort, bounded, never a proof.

use crate::{Hierarchy, Peer, sys};
use std::{fs, io, os::fd::BorrowedFd, os::unix::fs::MetadataExt, path::Path};

/// Processes of a cgroup that are looked at to find a socket's holder.
const PROCESSES_MAX: usize = 256;

/// What is known of a calling process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// The user id of its socket.
    pub uid: u32,
    /// Its process id, if it was found.
    pub pid: Option<u32>,
    /// The path of its cgroup below the hierarchy's mount.
    pub cgroup: String,
    /// Its program, if it was found.
    pub executable: Option<String>,
}

/// The peer of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// The process that connected.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its program, if it may be known.
    pub executable: Option<String>,
}

/// Describes an attested or observed peer.
pub fn describe(peer: &Peer, hierarchy: &Hierarchy) -> ProcessFacts {
    let directory = hierarchy.directory_of(peer.cgroup);
    let pid = directory.as_deref().and_then(|directory| holder(directory, peer.inode));
    ProcessFacts {
        uid: peer.uid,
        pid,
        cgroup: hierarchy.name_of(peer.cgroup),
        executable: pid.and_then(executable),
    }
}

/// The process of a cgroup that holds a socket.
fn holder(cgroup: &Path, inode: u32) -> Option<u32> {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).ok()?;
    processes.lines().take(PROCESSES_MAX).filter_map(|line| line.parse().ok()).find(|pid: &u32| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        // Following the link, since a stat is cheaper than a text.
        descriptors.flatten().any(|descriptor| {
            fs::metadata(descriptor.path()).is_ok_and(|file| file.ino() == u64::from(inode))
        })
    })
}

fn executable(pid: u32) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/exe")).ok().map(|path| path.to_string_lossy().into_owned())
}

/// The peer of a unix socket, as it was when it connected (`SO_PEERCRED`).
///
/// # Errors
/// As `getsockopt(2)`.
pub fn unix_peer(socket: BorrowedFd<'_>) -> io::Result<UnixPeer> {
    let (pid, uid, gid) = sys::peer_credentials(socket)?;
    Ok(UnixPeer { pid, uid, gid, executable: executable(pid) })
}
