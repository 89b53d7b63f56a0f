// SPDX-License-Identifier: Apache-2.0
//! Thin, checked wrappers over the requests of ptrace(2) that recording for replay needs beyond those of plain capture.

use crate::regs::{Regs, COUNT};
use observer_capture::sys::{Tid, Wait};
use std::io;
use std::mem;
use std::ptr;

pub use observer_capture::sys::{
    event_message, interrupt, kill, listen, monotonic_ns, read_memory, resume, resume_to_syscall, seize, write_memory,
};

/// A stop for a system call, with PTRACE_O_TRACESYSGOOD.
pub const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// Resume, skip the next system call and stop at it. Source: linux/ptrace.h.
const PTRACE_SYSEMU: libc::c_uint = 31;
const NT_X86_XSTATE: usize = 0x202;
/// Largest XSAVE area there is today, with AMX tiles.
const XSTATE_MAX: usize = 16 * 1024;
/// Bytes of siginfo_t.
pub const SIGINFO: usize = 128;
/// `offsetof(struct user, u_debugreg)`. Source: sys/user.h.
const DEBUGREG: usize = 848;

const _: () = assert!(mem::size_of::<libc::user_regs_struct>() == COUNT * 8);

fn ptrace(request: libc::c_uint, tid: Tid, addr: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: every caller in this file passes an address of a live local, or a plain number, as the request wants it.
    let rc = unsafe { libc::ptrace(request, tid, addr as *mut libc::c_void, data as *mut libc::c_void) };
    if rc == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(rc)
}

fn decode(status: i32) -> Wait {
    if libc::WIFEXITED(status) {
        Wait::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Wait::Signaled(libc::WTERMSIG(status), libc::WCOREDUMP(status))
    } else if libc::WIFSTOPPED(status) {
        Wait::Stopped(libc::WSTOPSIG(status), status >> 16)
    } else {
        Wait::Other
    }
}

/// Waits for thread `tid` (-1: any traced by this thread); None when `block` is false and nothing has happened.
pub fn wait(tid: Tid, block: bool) -> io::Result<Option<(Tid, Wait)>> {
    let mut status = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: status is a valid int; rusage may be null.
    let found = unsafe { libc::wait4(tid, &mut status, flags, ptr::null_mut()) };
    match found {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        found => Ok(Some((found, decode(status)))),
    }
}

/// Waits for `tid` until it stops or ends, through interruptions.
pub fn wait_for(tid: Tid) -> io::Result<Wait> {
    loop {
        match wait(tid, true) {
            Ok(Some((_, what))) => return Ok(what),
            Ok(None) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// General registers.
pub fn registers(tid: Tid) -> io::Result<Regs> {
    let mut regs = Regs::default();
    ptrace(libc::PTRACE_GETREGS, tid, 0, regs.0.as_mut_ptr() as usize)?;
    Ok(regs)
}

/// Sets the general registers.
pub fn set_registers(tid: Tid, regs: &Regs) -> io::Result<()> {
    ptrace(libc::PTRACE_SETREGS, tid, 0, regs.0.as_ptr() as usize).map(drop)
}

/// Floating point and vector registers in the processor's XSAVE layout.
pub fn xstate(tid: Tid) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; XSTATE_MAX];
    let mut io = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    ptrace(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, ptr::addr_of_mut!(io) as usize)?;
    bytes.truncate(io.iov_len);
    Ok(bytes)
}

/// Sets them.
pub fn set_xstate(tid: Tid, bytes: &[u8]) -> io::Result<()> {
    let mut io = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    ptrace(libc::PTRACE_SETREGSET, tid, NT_X86_XSTATE, ptr::addr_of_mut!(io) as usize).map(drop)
}

/// Resumes for one instruction, delivering `signal`.
pub fn step(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SINGLESTEP, tid, 0, signal as usize).map(drop)
}

/// Resumes to the next system call, which is not executed.
pub fn resume_emulating(tid: Tid) -> io::Result<()> {
    ptrace(PTRACE_SYSEMU, tid, 0, 0).map(drop)
}

/// The same, delivering a signal first.
pub fn resume_emulating_with(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(PTRACE_SYSEMU, tid, 0, signal as usize).map(drop)
}

/// The siginfo of a signal-delivery stop, raw.
pub fn siginfo(tid: Tid) -> io::Result<[u8; SIGINFO]> {
    let mut info = [0u8; SIGINFO];
    ptrace(libc::PTRACE_GETSIGINFO, tid, 0, info.as_mut_ptr() as usize)?;
    Ok(info)
}

/// Replaces it.
pub fn set_siginfo(tid: Tid, info: &[u8; SIGINFO]) -> io::Result<()> {
    ptrace(libc::PTRACE_SETSIGINFO, tid, 0, info.as_ptr() as usize).map(drop)
}

/// The signals a thread blocks: bit N-1 for signal N. Source: ptrace(2), PTRACE_GETSIGMASK.
pub fn blocked_signals(tid: Tid) -> io::Result<u64> {
    let mut mask = 0u64;
    ptrace(libc::PTRACE_GETSIGMASK as libc::c_uint, tid, 8, ptr::addr_of_mut!(mask) as usize)?;
    Ok(mask)
}

/// `si_code` of a raw siginfo.
#[must_use]
pub fn siginfo_code(info: &[u8; SIGINFO]) -> i32 {
    i32::from_le_bytes([info[8], info[9], info[10], info[11]])
}

/// Sends a signal with a siginfo to one thread. Source: rt_tgsigqueueinfo(2); the kernel takes negative codes only.
pub fn queue_signal(pid: Tid, tid: Tid, signal: i32, value: u64) -> io::Result<()> {
    let mut info = [0u8; SIGINFO];
    info[0..4].copy_from_slice(&signal.to_le_bytes());
    info[8..12].copy_from_slice(&libc::SI_QUEUE.to_le_bytes());
    info[16..20].copy_from_slice(&std::process::id().to_le_bytes());
    info[24..32].copy_from_slice(&value.to_le_bytes());
    // SAFETY: `info` is as large as siginfo_t and outlives the call.
    let rc = unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, info.as_ptr()) };
    if rc == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends a signal to one thread.
pub fn kill_thread(pid: Tid, tid: Tid, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    let rc = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
    if rc == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Arms debug register 0 to stop when `address` is about to be executed; None disarms it.
pub fn hardware_breakpoint(tid: Tid, address: Option<u64>) -> io::Result<()> {
    let register = |number: usize| DEBUGREG + number * 8;
    ptrace(libc::PTRACE_POKEUSER, tid, register(7), 0)?;
    if let Some(address) = address {
        ptrace(libc::PTRACE_POKEUSER, tid, register(0), usize::try_from(address).unwrap_or(0))?;
        ptrace(libc::PTRACE_POKEUSER, tid, register(7), 1)?; // local enable of 0, length 1, on execution
    }
    Ok(())
}

/// What every traced thread tells of. Without its recorder a program would find the time stamp counter trapping: it ends with it.
pub const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE;

/// From now on a thread stops once more before it ends.
pub fn watch_exit(tid: Tid) -> io::Result<()> {
    let options = usize::try_from(OPTIONS | libc::PTRACE_O_TRACEEXIT).unwrap_or(0);
    ptrace(libc::PTRACE_SETOPTIONS, tid, 0, options).map(drop)
}

/// A random number, from the kernel.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: eight valid bytes.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    u64::from_le_bytes(bytes)
}

/// Lets others run.
pub fn yield_cpu() {
    // SAFETY: plain call.
    unsafe { libc::sched_yield() };
}

/// Whether two threads' descriptors are one open file; None when the kernel cannot say. Source: kcmp(2), KCMP_FILE.
#[must_use]
pub fn same_open_file(a: (Tid, i32), b: (Tid, i32)) -> Option<bool> {
    // SAFETY: plain numbers.
    match unsafe { libc::syscall(libc::SYS_kcmp, a.0, b.0, 0, a.1, b.1) } {
        0 => Some(true),
        1..=3 => Some(false),
        _ => None,
    }
}

fn stack_limit(pid: Tid, new: Option<&libc::rlimit>) -> Option<libc::rlimit> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both point to live values, or are null.
    let rc = unsafe { libc::prlimit(pid, libc::RLIMIT_STACK, new.map_or(ptr::null(), ptr::from_ref), &mut old) };
    (rc == 0).then_some(old)
}

/// Gives a process the soft limit of another's stack.
pub fn copy_stack_limit(from: Tid, to: Tid) {
    if let Some(limit) = stack_limit(from, None) {
        set_stack_limit(to, limit.rlim_cur);
    }
}

/// Sets the soft limit of a process's stack, as far as its hard limit goes.
pub fn set_stack_limit(pid: Tid, bytes: u64) {
    if let Some(now) = stack_limit(pid, None) {
        stack_limit(pid, Some(&libc::rlimit { rlim_cur: bytes.min(now.rlim_max), rlim_max: now.rlim_max }));
    }
}
