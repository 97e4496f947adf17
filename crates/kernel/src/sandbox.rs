//! A sandbox for threads of ours that read what strangers send: they start no process, mount nothing, enter no namespace, look into no other
//! process, open no file but those that are named, and have no capability (`seccomp(2)`, `landlock(7)`, `capabilities(7)`).
//!
//! All of it is a thread's own, is inherited by the threads and processes that it makes, and is never lifted. So whatever starts programs
//! for others is on threads that never enter, and a thread in here must not be the one that makes them. Threads share memory: this takes
//! system calls from whoever gets a thread to do something else than it should, and files from whoever has it open the wrong path; it does
//! not keep one who writes memory at will from what other threads of the process can do.
//!
//! Owns: what a thread in here may do. Owns not: which threads those are (`server`).

use crate::{KernelError, Verdict, sys};
use rustix::{
    fs::{Mode, OFlags},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};
use seccompiler::BpfProgram;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

/// What threads in a sandbox may open. What is open already they may use.
#[derive(Clone, Debug, Default)]
pub struct SandboxFiles {
    /// Directories whose files are made, written, renamed and removed.
    pub written: Vec<PathBuf>,
    /// Directories that are read, with what is in them.
    pub read: Vec<PathBuf>,
}

/// A sandbox that threads can enter.
pub struct Sandbox {
    files: Result<OwnedFd, String>,
    /// None, or what root needs to pass through other users' folders to files that it is to write.
    kept: CapabilitySet,
    mark: BpfProgram,
    calls: BpfProgram,
}

// Accesses of `linux/landlock.h`.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ: u64 = 0b11 << 2;
/// Removing and making directories, files, devices, sockets, pipes and links: bits 4 to 12.
const CHANGE_DIRECTORY: u64 = 0x1ff << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_FILE: u64 = 1 << 8;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const DEVICE_CONTROL: u64 = 1 << 15;
/// Connecting to abstract unix sockets, and signals.
const SCOPES: u64 = 0b11;
const MEND: &str = "use Linux 5.13 or newer with seccomp and with Landlock switched on (lsm=landlock,... on the kernel's command line), and let nothing (seccomp of a container) forbid them";

impl Sandbox {
    /// Makes a sandbox, and tries it with a thread that ends.
    ///
    /// # Errors
    /// [`KernelError::System`]: threads cannot be kept from system calls here. Without Landlock they are, and files are open to them:
    /// [`Sandbox::verdict`] says so.
    pub fn prepare(files: &SandboxFiles) -> Result<Self, KernelError> {
        let fail = |source| KernelError::System { doing: "make a sandbox for threads", source };
        let (mark, calls) = sys::sandbox::filters().map_err(fail)?;
        let written = &files.written;
        let files = ruleset(files).map_err(|error| error.to_string());
        let mut sandbox = Self { files, kept: CapabilitySet::empty(), mark, calls };
        let mut tried = sandbox.attempt(written);
        if tried.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            sandbox.kept = CapabilitySet::DAC_OVERRIDE;
            tried = sandbox.attempt(written);
        }
        tried.map_err(fail)?;
        Ok(sandbox)
    }

    /// Tries it with a thread that ends: it gets in, and to what it is to write.
    fn attempt(&self, written: &[PathBuf]) -> io::Result<()> {
        let within = || {
            self.enter()?;
            written.iter().try_for_each(|folder| std::fs::read_dir(folder).map(drop))
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, within)?;
            thread.join().map_err(|_| io::Error::other("the thread has ended early"))?
        })
    }

    /// Is all of it enforced?
    pub fn verdict(sandbox: &Result<Self, KernelError>) -> Verdict {
        match sandbox {
            Ok(Self { files: Ok(_), .. }) => Verdict::Enforced,
            Ok(Self { files: Err(why), .. }) => Verdict::no(
                format!("threads that read requests may open any file of this user: no Landlock: {why}"),
                MEND,
            ),
            Err(error) => Verdict::no(crate::probe::chain(error), MEND),
        }
    }

    /// Puts the calling thread into it, for good. A thread that was made by one in here is in it already.
    ///
    /// # Errors
    /// As the system calls. The thread may be half in it then.
    pub fn enter(&self) -> io::Result<()> {
        if is_confined() {
            return Ok(());
        }
        set_no_new_privs(true)?;
        let (kept, nothing) = (self.kept, CapabilitySet::empty());
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: nothing })?;
        if let Ok(ruleset) = &self.files {
            sys::landlock::restrict(ruleset.as_fd())?;
        }
        for filter in [&self.mark, &self.calls] {
            seccompiler::apply_filter(filter).map_err(io::Error::other)?;
        }
        if is_confined() { Ok(()) } else { Err(io::Error::other("the filter does not filter")) }
    }
}

/// Is the calling thread in a sandbox?
pub fn is_confined() -> bool {
    sys::sandbox::is_marked()
}

/// Denies all accesses to files but for these.
fn ruleset(files: &SandboxFiles) -> io::Result<OwnedFd> {
    let abi = sys::landlock::abi()?;
    let since = |version: u32, accesses: u64| if abi >= version { accesses } else { 0 };
    let (refer, truncate) = (since(2, REFER), since(3, TRUNCATE));
    let handled =
        EXECUTE | WRITE_FILE | READ | CHANGE_DIRECTORY | refer | truncate | since(5, DEVICE_CONTROL);
    let ruleset = sys::landlock::ruleset(handled, since(6, SCOPES))?;
    let written = READ | WRITE_FILE | truncate | MAKE_FILE | REMOVE_FILE | refer;
    let rules = files.written.iter().map(|path| (path, written));
    for (path, accesses) in rules.chain(files.read.iter().map(|path| (path, READ))) {
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        sys::landlock::allow(ruleset.as_fd(), file.as_fd(), accesses)?;
    }
    Ok(ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_with_a_gap_is_told_as_one_and_keeps_what_there_is() {
        let whole = Sandbox::prepare(&SandboxFiles::default());
        assert_eq!(Sandbox::verdict(&whole).is_enforced(), sys::landlock::abi().is_ok());
        let told = |sandbox: Result<Sandbox, KernelError>| match Sandbox::verdict(&sandbox) {
            Verdict::Unenforced { why, mend } => {
                assert!(!mend.is_empty());
                why
            }
            Verdict::Enforced => panic!("it has a gap"),
        };
        let missing = SandboxFiles { written: Vec::new(), read: vec!["/no/such/folder".into()] };
        let without_files = Sandbox::prepare(&missing).unwrap();
        let thread = std::thread::spawn(move || {
            without_files.enter().unwrap();
            (is_confined(), std::fs::read("/etc/hosts").is_ok(), without_files)
        });
        let (is_in, reads, without_files) = thread.join().unwrap();
        assert!(is_in && reads, "system calls are kept from it, files are not");
        assert!(told(Ok(without_files)).contains("any file"));
        let nothing = KernelError::System {
            doing: "make a sandbox for threads",
            source: io::ErrorKind::Unsupported.into(),
        };
        assert!(told(Err(nothing)).contains("refuses to make a sandbox"));
    }
}
