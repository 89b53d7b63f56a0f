// SPDX-License-Identifier: Apache-2.0
//! Thin, checked wrappers over ptrace(2), wait4(2), process_vm_readv(2),
//! sched_setaffinity(2) and fork/exec. Each returns `io::Result` and decides nothing.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;

/// A thread id as the kernel's wait and ptrace calls use it.
pub type Tid = libc::pid_t;

/// What a tracee stop says, or the end of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Ended with this exit status.
    Exited(i32),
    /// Killed by this signal; true when a core was dumped.
    Signaled(i32, bool),
    /// Stopped: signal (SIGTRAP|0x80 for a syscall stop) and ptrace event number.
    Stopped(i32, i32),
    /// Nothing that concerns us.
    Other,
}

fn check(rc: libc::c_long) -> io::Result<libc::c_long> {
    if rc == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(rc)
}

/// Waits for any thread traced by the calling thread; children of other threads of this process are left alone.
/// Source: wait4(2) with __WALL and __WNOTHREAD.
pub fn wait_any() -> io::Result<(Tid, Wait)> {
    let mut status = 0;
    // SAFETY: status is a valid int; rusage may be null.
    let tid = unsafe { libc::wait4(-1, &mut status, libc::__WALL | libc::__WNOTHREAD, ptr::null_mut()) };
    check(libc::c_long::from(tid))?;
    let what = if libc::WIFEXITED(status) {
        Wait::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Wait::Signaled(libc::WTERMSIG(status), libc::WCOREDUMP(status))
    } else if libc::WIFSTOPPED(status) {
        Wait::Stopped(libc::WSTOPSIG(status), status >> 16)
    } else {
        Wait::Other
    };
    Ok((tid, what))
}

fn ptrace(request: libc::c_uint, tid: Tid, addr: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: every caller in this file passes an address of a live local, or a plain number, as the request wants it.
    check(unsafe { libc::ptrace(request, tid, addr as *mut libc::c_void, data as *mut libc::c_void) })
}

/// Seizes a thread with the given options.
pub fn seize(tid: Tid, options: libc::c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, tid, 0, options as usize).map(drop)
}

/// Resumes to the next syscall entry or exit, delivering `signal` (0 for none).
pub fn resume_to_syscall(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SYSCALL, tid, 0, signal as usize).map(drop)
}

/// Resumes to the next event (with a seccomp filter: the next traced call).
pub fn resume(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_CONT, tid, 0, signal as usize).map(drop)
}

/// Leaves a group-stopped thread stopped, but lets SIGCONT be seen. Source: ptrace(2), PTRACE_LISTEN.
pub fn listen(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_LISTEN, tid, 0, 0).map(drop)
}

/// Lets a stopped thread go, delivering `signal`.
pub fn detach(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH, tid, 0, signal as usize).map(drop)
}

/// Asks a running traced thread to stop, so that it can be detached.
pub fn interrupt(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

/// The number that belongs to the current event: a new thread's id, a former thread's id.
pub fn event_message(tid: Tid) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    ptrace(libc::PTRACE_GETEVENTMSG, tid, 0, ptr::addr_of_mut!(message) as usize)?;
    Ok(message)
}

/// A delivered signal's sender, from its siginfo.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalInfo {
    /// `si_code`.
    pub code: i32,
    /// `si_pid` when the code says that a process sent it, else 0.
    pub pid: u32,
    /// `si_uid`, likewise.
    pub uid: u32,
}

/// Reads the siginfo of a signal-delivery stop.
pub fn signal_info(tid: Tid) -> io::Result<SignalInfo> {
    // SAFETY: an all-zero siginfo_t is valid.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETSIGINFO, tid, 0, ptr::addr_of_mut!(info) as usize)?;
    let from_process = info.si_code <= 0 || info.si_signo == libc::SIGCHLD;
    if !from_process {
        return Ok(SignalInfo { code: info.si_code, pid: 0, uid: 0 });
    }
    // SAFETY: for these codes the kernel filled the pid and uid of the union.
    let (pid, uid) = unsafe { (info.si_pid(), info.si_uid()) };
    Ok(SignalInfo { code: info.si_code, pid: pid.unsigned_abs(), uid })
}

/// What PTRACE_GET_SYSCALL_INFO says of a stop.
#[derive(Clone, Copy, Debug)]
pub enum SyscallStop {
    /// Before the call: AUDIT_ARCH number, syscall number, argument registers.
    Entry(u32, u64, [u64; 6]),
    /// After the call: its return value.
    Exit(i64),
    /// Neither.
    None,
}

/// Reads the syscall stop of a stopped thread. Source: ptrace(2), PTRACE_GET_SYSCALL_INFO, Linux 5.3.
pub fn syscall_stop(tid: Tid) -> io::Result<SyscallStop> {
    // SAFETY: the structure is plain data and all-zero is valid.
    let mut info: libc::ptrace_syscall_info = unsafe { mem::zeroed() };
    let size = mem::size_of::<libc::ptrace_syscall_info>();
    ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, ptr::addr_of_mut!(info) as usize)?;
    // SAFETY: `op` says which member of the union the kernel filled.
    Ok(unsafe {
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => SyscallStop::Entry(info.arch, info.u.entry.nr, info.u.entry.args),
            libc::PTRACE_SYSCALL_INFO_SECCOMP => SyscallStop::Entry(info.arch, info.u.seccomp.nr, info.u.seccomp.args),
            libc::PTRACE_SYSCALL_INFO_EXIT => SyscallStop::Exit(info.u.exit.sval),
            _ => SyscallStop::None,
        }
    })
}

/// Reads memory of another process into `out`; returns how many bytes could be read from the start.
pub fn read_memory(pid: Tid, address: u64, out: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: out.len() };
    // SAFETY: `local` covers exactly `out`; the remote side is checked by the kernel.
    let n = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    usize::try_from(n).unwrap_or(0)
}

/// Writes memory of another process; true when all of it was written.
pub fn write_memory(pid: Tid, address: u64, bytes: &[u8]) -> bool {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: `local` covers exactly `bytes` and is only read; the remote side is checked by the kernel.
    let n = unsafe { libc::process_vm_writev(pid, &local, 1, &remote, 1, 0) };
    usize::try_from(n) == Ok(bytes.len())
}

/// CLOCK_MONOTONIC in ns.
#[must_use]
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in ns.
#[must_use]
pub fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is a valid timespec.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}

/// A set of CPUs, as the kernel's mask.
#[derive(Clone, Copy)]
pub struct CpuMask(libc::cpu_set_t);

impl CpuMask {
    /// The mask of a thread (0: the caller).
    pub fn of(tid: Tid) -> io::Result<CpuMask> {
        // SAFETY: all-zero is an empty set.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: size and pointer belong to `set`.
        check(unsafe { libc::sched_getaffinity(tid, mem::size_of_val(&set), &mut set) }.into())?;
        Ok(CpuMask(set))
    }

    /// The mask that holds only the CPU the caller runs on now.
    #[must_use]
    pub fn current() -> CpuMask {
        // SAFETY: plain calls on a zeroed set; sched_getcpu's number is below CPU_SETSIZE or CPU_SET ignores it.
        unsafe {
            let mut set: libc::cpu_set_t = mem::zeroed();
            libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap_or(0), &mut set);
            CpuMask(set)
        }
    }

    /// The mask that holds only this CPU, if it is one of `self`.
    #[must_use]
    pub fn only(&self, cpu: usize) -> Option<CpuMask> {
        // SAFETY: plain calls on valid sets; numbers beyond CPU_SETSIZE are not in any.
        unsafe {
            let mut set: libc::cpu_set_t = mem::zeroed();
            let known = cpu < mem::size_of_val(&set) * 8 && libc::CPU_ISSET(cpu, &self.0);
            known.then(|| {
                libc::CPU_SET(cpu, &mut set);
                CpuMask(set)
            })
        }
    }

    /// Puts a thread (0: the caller) on these CPUs.
    pub fn apply(&self, tid: Tid) -> io::Result<()> {
        // SAFETY: size and pointer belong to the set.
        check(unsafe { libc::sched_setaffinity(tid, mem::size_of_val(&self.0), &self.0) }.into()).map(drop)
    }

    /// Number of CPUs in it.
    #[must_use]
    pub fn count(&self) -> i32 {
        // SAFETY: reads a valid set.
        unsafe { libc::CPU_COUNT(&self.0) }
    }

    /// The kernel's bytes of the mask.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: cpu_set_t is a plain array of words.
        unsafe { std::slice::from_raw_parts(ptr::addr_of!(self.0).cast(), mem::size_of_val(&self.0)) }
    }
}

/// The calling thread's id.
#[must_use]
pub fn own_tid() -> Tid {
    // SAFETY: plain call.
    unsafe { libc::gettid() }
}

/// Sends a signal.
pub fn kill(pid: Tid, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// True when a terminal's stop key would reach this process: it belongs to the terminal's foreground group.
#[must_use]
pub fn in_foreground() -> bool {
    // SAFETY: plain calls; a descriptor that is no terminal gives -1.
    unsafe { libc::tcgetpgrp(libc::STDERR_FILENO) == libc::getpgrp() || libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
}

/// Stops this process as the terminal's stop key would have.
pub fn stop_self() {
    // SAFETY: plain call.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Everything a child needs between fork and exec, prepared before the fork so that the child allocates nothing.
pub struct Exec {
    /// Absolute path of the executable.
    pub path: CString,
    /// Argument vector.
    pub argv: Vec<CString>,
    /// Environment, `NAME=value`.
    pub env: Vec<CString>,
    /// Directory to start in; None keeps the recorder's.
    pub cwd: Option<CString>,
    /// A seccomp filter to install, empty for none.
    pub filter: Vec<libc::sock_filter>,
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

/// Forks a child that writes one byte to `report`, waits on `gate` for one byte, stops itself with SIGSTOP, and then executes.
/// An exec that fails writes errno to `report`. Returns the child's pid.
pub fn fork_stopped(exec: &Exec, gate: RawFd, report: RawFd, signals: &libc::sigset_t) -> io::Result<Tid> {
    let argv = pointers(&exec.argv);
    let env = pointers(&exec.env);
    // SAFETY: the child calls only async-signal-safe functions on memory prepared above, then execs or exits.
    let pid = unsafe { libc::fork() };
    check(libc::c_long::from(pid))?;
    if pid == 0 {
        // SAFETY: as above; we are the only thread of the child.
        unsafe { run_child(exec, &argv, &env, (gate, report), signals) }
    }
    Ok(pid)
}

unsafe fn run_child(
    exec: &Exec,
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    (gate, report): (RawFd, RawFd),
    signals: &libc::sigset_t,
) -> ! {
    // SAFETY: async-signal-safe calls on valid pointers only; see fork_stopped.
    unsafe {
        // A recorder that gave up privileges is not dumpable, and neither is its copy: it could not be attached to.
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        libc::write(report, b"r".as_ptr().cast(), 1);
        let mut byte = 0u8;
        libc::read(gate, ptr::addr_of_mut!(byte).cast(), 1);
        for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
            libc::signal(signal, libc::SIG_DFL); // Python ignores these; a program expects them
        }
        libc::sigprocmask(libc::SIG_SETMASK, signals, ptr::null_mut());
        let cwd_ok = exec.cwd.as_ref().is_none_or(|d| libc::chdir(d.as_ptr()) == 0);
        libc::kill(libc::getpid(), libc::SIGSTOP);
        if cwd_ok && install_filter(&exec.filter) {
            libc::execve(exec.path.as_ptr(), argv.as_ptr(), env.as_ptr());
        }
        let errno = *libc::__errno_location();
        libc::write(report, ptr::addr_of!(errno).cast(), mem::size_of_val(&errno));
        libc::_exit(127)
    }
}

unsafe fn install_filter(filter: &[libc::sock_filter]) -> bool {
    if filter.is_empty() {
        return true;
    }
    let Ok(len) = u16::try_from(filter.len()) else { return false };
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program points to `filter`, which outlives the call.
    unsafe {
        if libc::geteuid() != 0 && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return false;
        }
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::addr_of!(program), 0, 0) == 0
    }
}

/// Makes a pipe whose ends are closed on exec: (read, write).
pub fn pipe() -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    use std::os::fd::FromRawFd;
    let mut ends = [0; 2];
    // SAFETY: `ends` holds two ints; on success both are fresh descriptors that nobody else owns.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC).into())?;
        Ok((std::os::fd::OwnedFd::from_raw_fd(ends[0]), std::os::fd::OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Blocks every signal for this thread and returns the mask before.
pub fn block_signals() -> libc::sigset_t {
    // SAFETY: both sets are valid locals.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        before
    }
}

/// Puts back a mask from [`block_signals`].
pub fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: `mask` came from pthread_sigmask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}
