//! Who a caller seems to be, for the audit log: best effort, bounded, never a proof.

use crate::{Hierarchy, Peer, cgroup::PROCESSES, sys};
use std::{
    collections::VecDeque,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Processes of a cgroup that are looked at to find a socket's holder.
const PROCESSES_MAX: usize = 256;
/// Descriptors of those processes that are looked at: 2 to 20 microseconds each, for every connection that is accepted. A process that
/// holds thousands of connections must not make each more of them slow for everybody.
const DESCRIPTORS_MAX: usize = 512;

/// Processes that are remembered to have held a socket. Ours: each costs a look at its descriptors, if it is of the cgroup that is asked about.
const HOLDERS_MAX: usize = 8;

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

/// Processes that were found to hold a socket, the last one first. Who opens a connection mostly opens more, and is found at once among the
/// hundreds of its cgroup; nothing is believed of it.
#[derive(Debug, Default)]
pub struct Holders(Mutex<VecDeque<u32>>);

impl Holders {
    fn known(&self) -> Vec<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn note(&self, pid: u32) {
        let mut pids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pids.retain(|known| *known != pid);
        pids.push_front(pid);
        pids.truncate(HOLDERS_MAX);
    }
}

/// Describes an attested or observed peer.
pub fn describe(peer: &Peer, hierarchy: &Hierarchy, holders: &Holders) -> ProcessFacts {
    let directory = hierarchy.directory_of(peer.cgroup);
    let pid = directory.as_deref().and_then(|directory| holder(directory, peer.inode, holders));
    ProcessFacts {
        uid: peer.uid,
        pid,
        cgroup: hierarchy.name(peer.cgroup, directory.as_deref()),
        executable: pid.and_then(executable),
    }
}

/// The process of a cgroup that holds a socket.
fn holder(cgroup: &Path, inode: u32, holders: &Holders) -> Option<u32> {
    let processes = fs::read_to_string(cgroup.join(PROCESSES)).ok()?;
    let members: Vec<u32> = processes.lines().filter_map(|line| line.parse().ok()).collect();
    let known = holders.known();
    let mut left = DESCRIPTORS_MAX;
    let found = known_first(&members, &known).take(PROCESSES_MAX).find(|pid| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors.take(left).flatten().any(|descriptor| {
            left = left.saturating_sub(1);
            // Following the link, since a stat is cheaper than a text.
            fs::metadata(descriptor.path()).is_ok_and(|file| {
                file.ino() == u64::from(inode) && file.mode() & libc::S_IFMT == libc::S_IFSOCK
            })
        })
    })?;
    holders.note(found);
    Some(found)
}

/// Members, those first that are known.
fn known_first<'a>(members: &'a [u32], known: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    let first = known.iter().filter(|pid| members.contains(pid));
    first.chain(members.iter().filter(|pid| !known.contains(pid))).copied()
}

fn executable(pid: u32) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/exe")).ok().map(|path| path.to_string_lossy().into_owned())
}

/// The peer of a unix socket, as it was when it connected (`SO_PEERCRED`). Its program is told where the kernel can say that the process
/// is still the same one (`SO_PEERPIDFD`, Linux 6.5), or is too old to.
///
/// # Errors
/// As `getsockopt(2)`.
pub fn unix_peer(socket: BorrowedFd<'_>) -> io::Result<UnixPeer> {
    let process = sys::peer_process(socket);
    let (pid, uid, gid) = sys::peer_credentials(socket)?;
    let executable = executable(pid);
    // In this order: if it is there now, its id was not another's before.
    let is_same = match &process {
        Ok(process) => sys::is_there(process.as_fd()),
        Err(error) => error.raw_os_error() == Some(libc::ENOPROTOOPT),
    };
    Ok(UnixPeer { pid, uid, gid, executable: executable.filter(|_| is_same) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attestor;
    use std::{
        net::{TcpListener, TcpStream},
        os::{fd::AsRawFd as _, unix::net::UnixStream},
    };

    fn own_executable() -> Option<String> {
        Some(std::env::current_exe().unwrap().to_string_lossy().into_owned())
    }

    #[test]
    fn a_unix_peer_is_known() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = unix_peer(one.as_fd()).unwrap();
        let (pid, uid) = (std::process::id(), crate::effective_uid());
        assert_eq!((peer.pid, peer.uid, peer.executable), (pid, uid, own_executable()));
    }

    #[test]
    fn who_held_a_socket_lately_is_looked_at_first_and_nobody_twice_or_from_elsewhere() {
        let holders = Holders::default();
        [5, 9, 2, 9].into_iter().for_each(|pid| holders.note(pid));
        assert_eq!(holders.known(), [9, 2, 5]);
        assert_eq!(known_first(&[1, 2, 5, 7], &holders.known()).collect::<Vec<_>>(), [2, 5, 1, 7]);
        (10..50).for_each(|pid| holders.note(pid));
        assert_eq!(holders.known().len(), HOLDERS_MAX);
        assert_eq!(holders.known().first(), Some(&49));
    }

    #[test]
    fn in_a_crowd_only_who_was_found_before_is_found_again() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
        let inode = u32::try_from(inode).unwrap();
        let cgroup = std::env::temp_dir().join(format!("keyless-crowd-{}", std::process::id()));
        fs::create_dir_all(&cgroup).unwrap();
        let own = std::process::id();
        // None of the others is there: larger than any process id that Linux gives.
        let crowd =
            |size: u32| (0..size).map(|number| format!("{}\n", 5_000_000 + number)).collect::<String>();
        let holders = Holders::default();
        let found_in = |size: u32| {
            fs::write(cgroup.join(PROCESSES), format!("{}{own}\n", crowd(size))).unwrap();
            holder(&cgroup, inode, &holders)
        };
        let many = u32::try_from(PROCESSES_MAX).unwrap();
        let found = [found_in(many), found_in(many - 1), found_in(many)];
        fs::write(cgroup.join(PROCESSES), crowd(3)).unwrap();
        let elsewhere = holder(&cgroup, inode, &holders);
        fs::remove_dir_all(&cgroup).unwrap();
        assert_eq!(found, [None, Some(own), Some(own)]);
        assert_eq!(elsewhere, None, "it is not in that cgroup any more");
    }

    #[test]
    fn a_connected_process_is_described() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let (Ok(attestor), Ok(hierarchy)) = (Attestor::new(), Hierarchy::discover()) else { return };
        let Some(peer) = attestor.observe(accepted.as_fd()) else { return };
        let facts = describe(&peer, &hierarchy, &Holders::default());
        assert_eq!(facts.uid, crate::effective_uid());
        assert!(facts.cgroup.starts_with('/'), "{facts:?}");
        // In a crowded cgroup it may not be among those looked at.
        assert!(facts.pid.is_none_or(|pid| pid == std::process::id()), "{facts:?}");
        assert!(facts.pid.is_none() || facts.executable == own_executable(), "{facts:?}");
    }
}
