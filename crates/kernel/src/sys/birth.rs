//! The one instruction that makes a process: `clone3`, without a copy of our memory where that can be.
//!
//! To copy the page tables of a server with a thousand apps takes milliseconds, and every page that it writes afterwards is a fault more. So
//! the child has our memory and a stack of its own, and the thread that made it waits until its program runs (`CLONE_VM`, `CLONE_VFORK`;
//! the C library's `posix_spawn` does the same). What it does until then is in `child`. A child of our memory is guarded as we are:
//! no signal is taken by it before its program runs, and it may not be looked into once it is another user's (`child::become_user`).
//!
//! Where others may look into us (`harden`), or into whoever changes its user, and where the processor is none whose instructions we know
//! and have tried, the child has a copy.

use super::{check, launch::CloneArguments};
use std::{
    io,
    mem::{MaybeUninit, size_of},
    ptr,
};

/// What a child runs, told where its arguments are.
pub(super) type Entry = unsafe extern "C" fn(*const libc::c_void) -> !;

/// Makes a process that runs `entry`. Answers its id in the parent, once its program runs or it has ended, if it has our memory.
///
/// # Safety
/// `entry` must keep to raw system calls on memory that was made before, change none that the parent has, and need little stack; `argument`
/// must be what it expects.
pub(super) unsafe fn clone(
    arguments: &mut CloneArguments,
    entry: Entry,
    argument: *const libc::c_void,
) -> io::Result<i32> {
    let signals = Blocked::all()?;
    // SAFETY: as the caller promises.
    let made = unsafe { clone_now(arguments, entry, argument) };
    drop(signals);
    i32::try_from(made?).map_err(io::Error::other)
}

/// Bytes of a child's stack. Ours: it calls a few functions of a few hundred bytes each.
#[cfg(target_arch = "x86_64")]
const STACK_BYTES: usize = 64 * 1024;

#[cfg(target_arch = "x86_64")]
unsafe fn clone_now(
    arguments: &mut CloneArguments,
    entry: Entry,
    argument: *const libc::c_void,
) -> io::Result<libc::c_long> {
    let stack = Stack::new()?;
    if !may_be_looked_into() {
        arguments.flags |= (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    }
    (arguments.stack, arguments.stack_size) = (stack.0 as u64, STACK_BYTES as u64);
    let result: libc::c_long;
    // SAFETY: the arguments are live and of the size that is said. The parent goes on behind the instruction, with the registers that are named
    // changed. The child begins there too, on the stack that is its own until the parent goes on, and leaves by a call that does not come back.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") ptr::from_mut(arguments),
            in("rsi") size_of::<CloneArguments>(),
            in("r12") entry,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    match result {
        failed @ ..0 => Err(io::Error::from_raw_os_error(i32::try_from(-failed).unwrap_or(libc::EINVAL))),
        pid => Ok(pid),
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn clone_now(
    arguments: &mut CloneArguments,
    entry: Entry,
    argument: *const libc::c_void,
) -> io::Result<libc::c_long> {
    // SAFETY: the arguments are live and of the size that is said. The child has a copy of our memory and of this stack.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, ptr::from_mut(arguments), size_of::<CloneArguments>())
    })?;
    if pid == 0 {
        // SAFETY: this is the child.
        unsafe { entry(argument) }
    }
    Ok(pid)
}

/// May others look into this process, or whoever a process has become into that (`fs.suid_dumpable`, proc(5))? A change of user sets the first by
/// the second, for all who have the memory: where neither may be, it stays so, and what a child says of it is what is so.
#[cfg(target_arch = "x86_64")]
fn may_be_looked_into() -> bool {
    use rustix::process::{DumpableBehavior, dumpable_behavior};
    if !matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)) {
        return true;
    }
    // 0: nobody; 2: root.
    let said = std::fs::read("/proc/sys/fs/suid_dumpable");
    !said.is_ok_and(|said| matches!(said.trim_ascii(), b"0" | b"2"))
}

/// A stack with a page below it that nobody may touch.
#[cfg(target_arch = "x86_64")]
struct Stack(*mut libc::c_void);

#[cfg(target_arch = "x86_64")]
impl Stack {
    const GUARD_BYTES: usize = 4_096;

    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let bytes = Self::GUARD_BYTES + STACK_BYTES;
        // SAFETY: a new mapping, which nobody else has.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: within what was mapped.
        let stack = Self(unsafe { mapped.byte_add(Self::GUARD_BYTES) });
        // SAFETY: the mapping behind its first page is ours.
        check(unsafe { libc::mprotect(stack.0, STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE) }.into())?;
        Ok(stack)
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: what was mapped in `new`; the child has left it for its program's, or has ended.
        unsafe { libc::munmap(self.0.byte_sub(Self::GUARD_BYTES), Self::GUARD_BYTES + STACK_BYTES) };
    }
}

/// The thread takes no signals until this is dropped, and a child that it makes takes none until it says so itself.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> io::Result<Self> {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: both sets are live, and written before they are read.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) {
                0 => Ok(Self(before.assume_init())),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set is live.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}
