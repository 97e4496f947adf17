//! Processes: how one ended, and how one is found again that an earlier life of ours started.

use crate::sys;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid},
};
use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was not our child: only its parent is told how.
    Unseen,
}

/// A process: one that we started, which must be waited for, or one that was found again.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
    start_time: Option<u64>,
    is_child: bool,
    /// Was it waited for, so that its id may be another's? Locked while that changes, and while the id is used.
    is_waited_for: Mutex<bool>,
}

/// When a process started: clock ticks since boot (`proc_pid_stat(5)`, field 22).
fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat"))?;
    start_time_in(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The start time in a text of `/proc/PID/stat`. The second field is a name of the process's own choice, in parentheses.
fn start_time_in(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    // After the name comes field 3.
    let field =
        stat.get(name_end + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Tells boots apart: process ids and start times are only of one.
///
/// # Errors
/// As reading `/proc/sys/kernel/random/boot_id`.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Process {
    /// A child that nobody has waited for yet, so that its id is its own.
    pub(crate) fn started(pid: i32, pidfd: OwnedFd) -> Self {
        let start_time = start_time(pid).ok();
        Self { pid, pidfd, start_time, is_child: true, is_waited_for: Mutex::new(false) }
    }

    /// Finds a process again that an earlier life of ours started in this boot. None if it has ended, also if its id is another's now.
    pub fn adopt(pid: u32, start_time: u64) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let found = self::start_time(pid).ok()?;
        // If it is there now, the id was its own when the time was read.
        let is_it = found == start_time && sys::is_there(pidfd.as_fd()) && !has_ended(pidfd.as_fd()).ok()?;
        let start_time = Some(found);
        is_it.then_some(Self { pid, pidfd, start_time, is_child: false, is_waited_for: Mutex::default() })
    }

    /// A process by its id, if it is still the one that was meant once it cannot become another.
    pub(crate) fn of_member(pid: u32, is_it: impl FnOnce() -> bool) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let (start_time, is_waited_for) = (None, Mutex::default());
        is_it().then_some(Self { pid, pidfd, start_time, is_child: false, is_waited_for })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// When it started, as [`Process::adopt`] wants it. None where `/proc` does not tell.
    pub fn start_time(&self) -> Option<u64> {
        self.start_time
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Has it ended? Does not block.
    ///
    /// # Errors
    /// As `poll(2)`.
    pub fn has_ended(&self) -> io::Result<bool> {
        has_ended(self.pidfd())
    }

    /// Is it there, so that its id is nobody else's? It may have ended, as long as nobody has waited for it.
    pub(crate) fn is_there(&self) -> bool {
        sys::is_there(self.pidfd())
    }

    /// Sends it a signal by number. That it has ended is no error.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`; an unknown number is `InvalidInput`.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidInput)?;
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal to all processes of its group, by number: those that a detached program ([`crate::Program::output`]) has started and
    /// that have made no group of their own. For where there is no cgroup, which would hold all of them. That there is none is no error.
    ///
    /// Nobody gets it once the process was waited for here. If it has ended and was not, the others still get it.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`; an unknown number is `InvalidInput`. `Unsupported` before Linux 6.9 for a process that is not our child:
    /// only by its id could its group be named, which may be another's.
    pub fn signal_group(&self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidInput)?;
        let is_waited_for = self.is_waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_waited_for {
            return Ok(());
        }
        let sent = match sys::signal_group(self.pidfd(), number) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.signal_group_by_id(signal),
            sent => sent,
        };
        match sent {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            sent => sent,
        }
    }

    /// Only while it cannot be waited for. Its id is its own, and its group's if it leads one: nobody else can make a group of that number.
    fn signal_group_by_id(&self, signal: Signal) -> io::Result<()> {
        let group = Pid::from_raw(self.pid).filter(|_| self.is_child).ok_or(io::ErrorKind::Unsupported)?;
        Ok(rustix::process::kill_process_group(group, signal)?)
    }

    /// Waits until it ends; blocks.
    ///
    /// # Errors
    /// As `waitid(2)` and `poll(2)`.
    pub fn wait(&self) -> io::Result<Ended> {
        if !self.is_child {
            while !is_readable(self.pidfd(), None)? {}
            return Ok(Ended::Unseen);
        }
        let wait = |options| loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Ok(Some(status)) => {
                    return Ok(match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => Ended::Exited(code),
                        (None, Some(signal)) => Ended::Killed(signal),
                        (None, None) => continue,
                    });
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error)),
            }
        };
        // It is let go of only with the lock, which is not held while it runs.
        wait(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let mut is_waited_for = self.is_waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = wait(WaitIdOptions::EXITED);
        *is_waited_for = true;
        ended
    }
}

fn has_ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    is_readable(pidfd, Some(&rustix::event::Timespec::default()))
}

/// Waits for so long, or as long as it takes; a pidfd is readable when its process has ended.
fn is_readable(pidfd: BorrowedFd<'_>, time: Option<&rustix::event::Timespec>) -> io::Result<bool> {
    match poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], time) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Asks a process to end (SIGTERM). Only for children that were not waited for yet: other ids may be used again.
///
/// # Errors
/// As `kill(2)`.
pub fn terminate(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, Signal::TERM)?)
}

/// Asks all processes of the group that a process leads to end (SIGTERM), or ends them at once (SIGKILL). Only for children that were not waited
/// for yet: other ids may be used again.
///
/// # Errors
/// As `killpg(2)`; that there is none is no error.
pub fn end_group(pid: u32, at_once: bool) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let signal = if at_once { Signal::KILL } else { Signal::TERM };
    match rustix::process::kill_process_group(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Does a process with this id run? One that has ended, and that nobody has waited for, does not. For best-effort waits only: ids are used again.
pub fn is_running(pid: u32) -> bool {
    // The second field is a name of the process's own choice, in parentheses (`proc_pid_stat(5)`).
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Does a process with this id exist? For tests and best-effort messages only: ids are used again.
pub fn exists(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Program, spawn};

    fn program(arguments: &[&str]) -> Program<'static> {
        Program {
            arguments: arguments.iter().map(Into::into).collect(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            ..Program::default()
        }
    }

    #[test]
    fn a_process_is_found_again_while_it_runs_and_no_other_is_taken_for_it() {
        let child = spawn(&program(&["sleep", "60"])).unwrap();
        let (pid, time) = (child.id(), child.start_time().unwrap());
        assert!(Process::adopt(pid, time + 1).is_none(), "another of the same id");
        assert!(Process::adopt(pid, time - 1).is_none());
        let found = Process::adopt(pid, time).unwrap();
        assert_eq!((found.id(), found.start_time()), (pid, Some(time)));
        assert!(!found.has_ended().unwrap() && !child.has_ended().unwrap());
        found.signal(9).unwrap();
        assert_eq!(found.wait().unwrap(), Ended::Unseen);
        assert!(found.has_ended().unwrap() && child.has_ended().unwrap());
        assert!(Process::adopt(pid, time).is_none(), "it has ended, though nobody has waited for it yet");
        assert_eq!(child.wait().unwrap(), Ended::Killed(9));
        assert!(Process::adopt(pid, time).is_none());
        assert!(Process::adopt(0, time).is_none() && Process::adopt(u32::MAX, time).is_none());
    }

    #[test]
    fn a_process_whose_parent_was_killed_is_adopted() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let parent = Program {
            output: Some(write.as_fd()),
            ..program(&["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; kill -9 $$"])
        };
        assert_eq!(spawn(&parent).unwrap().wait().unwrap(), Ended::Killed(9));
        drop(write);
        let pid: u32 = io::read_to_string(fs::File::from(read)).unwrap().trim().parse().unwrap();
        let time = start_time(i32::try_from(pid).unwrap()).unwrap();
        let orphan = Process::adopt(pid, time).unwrap();
        assert!(!orphan.has_ended().unwrap());
        orphan.signal(15).unwrap();
        assert_eq!(orphan.wait().unwrap(), Ended::Unseen);
    }

    #[test]
    fn a_group_is_signalled_as_long_as_its_leader_was_not_waited_for() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let detached =
            |script: &str| Program { output: Some(write.as_fd()), ..program(&["sh", "-c", script]) };
        let leader = spawn(&detached("sleep 60 & echo $!; wait")).unwrap();
        let mut lines = io::BufRead::lines(io::BufReader::new(fs::File::from(read)));
        let mut below = || {
            let pid: u32 = lines.next().unwrap().unwrap().parse().unwrap();
            Process::adopt(pid, start_time(i32::try_from(pid).unwrap()).unwrap()).unwrap()
        };
        let first = below();
        leader.signal_group(15).unwrap();
        assert_eq!(leader.wait().unwrap(), Ended::Killed(15));
        assert_eq!(first.wait().unwrap(), Ended::Unseen);

        // A leader that has ended: its group is its own until somebody waits for it.
        let leader = spawn(&detached("sleep 60 & echo $!")).unwrap();
        let (first, second) = (below(), spawn(&detached("sleep 60 & echo $!; wait")).unwrap());
        while !leader.has_ended().unwrap() {}
        let third = below();
        leader.signal_group(9).unwrap();
        assert_eq!(first.wait().unwrap(), Ended::Unseen);
        assert!(!second.has_ended().unwrap() && !third.has_ended().unwrap(), "it is another group");
        leader.wait().unwrap();

        // Afterwards its number may be another's.
        second.signal(9).unwrap();
        second.wait().unwrap();
        second.signal_group(9).unwrap();
        // Long enough to die.
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!third.has_ended().unwrap(), "the group has no leader any more");
        third.signal(9).unwrap();
        third.wait().unwrap();
        assert!(second.signal_group(0).is_err());
    }

    #[test]
    fn before_linux_6_9_only_a_childs_group_is_signalled() {
        let (_read, write) = rustix::pipe::pipe().unwrap();
        let detached = Program { output: Some(write.as_fd()), ..program(&["sleep", "60"]) };
        let leader = spawn(&detached).unwrap();
        let found = Process::adopt(leader.id(), leader.start_time().unwrap()).unwrap();
        let refused = found.signal_group_by_id(Signal::KILL).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        leader.signal_group_by_id(Signal::KILL).unwrap();
        assert_eq!(leader.wait().unwrap(), Ended::Killed(9));
    }

    #[test]
    fn a_start_time_is_read_after_whatever_name_a_process_gives_itself() {
        let after = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 424242 20";
        for name in ["sh", "a b", ") S 1 2", "((", "x) R 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9"] {
            assert_eq!(start_time_in(format!("7 ({name}) {after}\n").as_bytes()), Some(424_242), "{name}");
        }
        for damaged in ["", "7", "7 (sh)", "7 (sh) S 1 2"] {
            assert_eq!(start_time_in(damaged.as_bytes()), None, "{damaged}");
        }
        assert!(start_time(1).unwrap() < start_time(i32::try_from(std::process::id()).unwrap()).unwrap());
        assert_eq!(boot_id().unwrap().len(), 36);
    }
}
