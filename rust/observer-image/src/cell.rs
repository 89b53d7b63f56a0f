// SPDX-License-Identifier: Apache-2.0
//! An empty process in a cell: namespaces of its own, an empty root that cannot be written, no network, no descriptors.
//!
//! It is a program of two pages that never runs by itself: what is done in it is injected. It dies with the thread that made it.

use crate::inject::{self, Call};
use crate::sys::{self, Tid, Wait};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Bytes of the two pages: code, then room for what calls read.
pub const SIZE: u64 = 0x2000;
const PAGE: u64 = 4096;
const CODE: u64 = 0x100;
const NAMESPACES: libc::c_int =
    libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
const TRACE_CLONE: libc::c_int = 1 << 3; // PTRACE_O_TRACECLONE
const EXIT_KILL: libc::c_int = 1 << 20; // PTRACE_O_EXITKILL
const EVENT_CLONE: i32 = 3;
const FAILED: i32 = 100; // exit status of a child whose step of that number did not work

/// The process, stopped and traced by the calling thread; dropping it kills it.
pub struct Cell {
    /// Its leader.
    pub pid: Tid,
    /// Its threads, the leader first.
    pub threads: Vec<Tid>,
    /// The address of its two pages.
    pub base: u64,
    /// It has a user namespace of its own.
    pub own_user: bool,
}

impl Cell {
    /// Make it, with its pages at `base`.
    ///
    /// # Errors
    /// The kernel refuses the namespaces or the program.
    pub fn start(base: u64) -> io::Result<Cell> {
        let program = program(base)?;
        match spawn(&program, base, NAMESPACES | libc::CLONE_NEWUSER) {
            Ok(pid) => Ok(Cell { pid, threads: vec![pid], base, own_user: true }),
            // Without user namespaces root can still make the others.
            Err(_) => Ok(spawn(&program, base, NAMESPACES).map(|pid| Cell { pid, threads: vec![pid], base, own_user: false })?),
        }
    }

    /// Where calls may find what they read.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.base + PAGE
    }

    /// Make a call in a thread of it.
    ///
    /// # Errors
    /// The kernel refuses the call, or the thread is gone.
    pub fn call(&self, tid: Tid, call: Call) -> io::Result<u64> {
        let value = inject::call_in(tid, self.base + CODE, call)?;
        if (-4095..0).contains(&value) {
            return Err(io::Error::from_raw_os_error(-value as i32));
        }
        Ok(value as u64)
    }

    /// Put bytes into its room and make a call of its leader that reads them.
    ///
    /// # Errors
    /// As of [`Cell::call`].
    pub fn call_with(&self, tid: Tid, bytes: &[u8], call: Call) -> io::Result<u64> {
        if !sys::write_memory(self.pid, self.room(), bytes) {
            return Err(io::Error::last_os_error());
        }
        self.call(tid, call)
    }

    /// Start one more thread of it, stopped.
    ///
    /// # Errors
    /// The kernel refuses.
    #[cfg(target_arch = "x86_64")]
    pub fn add_thread(&mut self) -> io::Result<Tid> {
        let flags =
            libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM;
        let before = sys::registers(self.pid)?;
        let mut during = before;
        (during.rip, during.rax, during.orig_rax) = (self.base + CODE, libc::SYS_clone as u64, u64::MAX);
        (during.rdi, during.rsi, during.rdx, during.r10, during.r8) = (flags as u64, 0, 0, 0, 0);
        sys::set_registers(self.pid, &during)?;
        sys::step(self.pid)?;
        if sys::wait(self.pid, true)? != Wait::Stopped(libc::SIGTRAP, EVENT_CLONE) {
            return Err(io::Error::other("the cell could not start a thread"));
        }
        let tid = sys::event_message(self.pid)? as Tid;
        sys::step(self.pid)?;
        sys::wait(self.pid, true)?;
        sys::set_registers(self.pid, &before)?;
        sys::wait(tid, true)?; // every new thread begins with a stop
        self.threads.push(tid);
        Ok(tid)
    }

    /// Other processors have no injection.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn add_thread(&mut self) -> io::Result<Tid> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = sys::kill(self.pid, libc::SIGKILL);
        while !matches!(sys::wait(self.pid, true), Ok(Wait::Ended) | Err(_)) {}
    }
}

/// An executable of two pages at `base`, in memory: the instruction for a system call, and room. Source: elf(5).
fn program(base: u64) -> io::Result<OwnedFd> {
    let mut out = Vec::with_capacity(PAGE as usize);
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    out.extend_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]); // ET_EXEC, EM_X86_64, version
    for word in [base + CODE, 64, 0] {
        out.extend_from_slice(&word.to_le_bytes()); // entry, program headers, section headers
    }
    out.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    for (flags, address, in_file) in [(5u32, base, PAGE), (6, base + PAGE, 0)] {
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        for word in [0, address, address, in_file, PAGE, PAGE] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out.resize(CODE as usize, 0);
    out.extend_from_slice(&[0x0f, 0x05, 0xeb, 0xfc]); // syscall, and again
    out.resize(PAGE as usize, 0);
    // SAFETY: the name is a C string; on success the descriptor is fresh and ours.
    let file = unsafe {
        let fd = libc::memfd_create(c"observer-cell".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: the bytes are live, and the descriptor is ours.
    let written = unsafe { libc::write(file.as_raw_fd(), out.as_ptr().cast(), out.len()) };
    if written != out.len() as isize {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// What the child needs, made before it is born: it may not allocate.
struct Prepared {
    program: RawFd,
    user: Option<([u8; 64], usize)>,
}

fn spawn(program: &OwnedFd, base: u64, namespaces: libc::c_int) -> io::Result<Tid> {
    // SAFETY: plain calls that cannot fail.
    let uid = unsafe { libc::geteuid() };
    let text = format!("65534 {uid} 1\n");
    let mut map = [0; 64];
    map[..text.len()].copy_from_slice(text.as_bytes());
    let own = namespaces & libc::CLONE_NEWUSER != 0;
    let prepared = Prepared { program: program.as_raw_fd(), user: own.then_some((map, text.len())) };
    let signals = sys::block_signals();
    // SAFETY: like fork(2): the child has a copy of everything, and makes only plain calls on memory that was there before.
    let child = unsafe { libc::syscall(libc::SYS_clone, namespaces | libc::SIGCHLD, 0, 0, 0, 0) } as Tid;
    if child == 0 {
        let step = become_cell(&prepared);
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(FAILED + step) }
    }
    let failed = io::Error::last_os_error();
    sys::restore_signals(&signals);
    if child < 0 {
        return Err(failed);
    }
    match sys::wait(child, true)? {
        Wait::Stopped(libc::SIGTRAP, _) => {}
        other => {
            let _ = sys::kill(child, libc::SIGKILL);
            return Err(io::Error::other(format!("the cell could not be set up: {other:?}")));
        }
    }
    sys::set_options(child, TRACE_CLONE | EXIT_KILL)?;
    let mut head = [0; 4];
    sys::read_stretches(child, &[(base, 4)], &mut head)?;
    if &head != b"\x7fELF" {
        return Err(io::Error::other("the cell's program is not where it should be"));
    }
    Ok(child)
}

/// Runs in the child; returns the number of the step that did not work.
fn become_cell(prepared: &Prepared) -> i32 {
    // SAFETY: each call gets plain numbers, C strings or memory of the parent's that the child has a copy of.
    unsafe {
        if let Some((map, length)) = &prepared.user {
            // A file that is not there is no obstacle: old kernels have no setgroups.
            let _ = put(c"/proc/self/setgroups", b"deny");
            if !put(c"/proc/self/uid_map", &map[..*length]) {
                return 1;
            }
        }
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 || libc::prctl(libc::PR_SET_DUMPABLE, 1) != 0 {
            return 2;
        }
        if !empty_root() {
            return 4;
        }
        let program = prepared.program as libc::c_uint;
        if libc::syscall(libc::SYS_close_range, program + 1, libc::c_uint::MAX, 0) != 0 {
            return 6;
        }
        if program > 0 && libc::syscall(libc::SYS_close_range, 0, program - 1, 0) != 0 {
            return 6;
        }
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &empty, std::ptr::null_mut());
        if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 {
            return 7;
        }
        let words = [std::ptr::null::<libc::c_char>()];
        libc::syscall(libc::SYS_execveat, program, c"".as_ptr(), words.as_ptr(), words.as_ptr(), libc::AT_EMPTY_PATH);
    }
    8
}

/// An empty root that cannot be written, in place of the machine's.
unsafe fn empty_root() -> bool {
    let (none, place, here) = (std::ptr::null(), c"/tmp".as_ptr(), c".".as_ptr());
    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: C strings and plain numbers.
    unsafe {
        libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
            && libc::mount(c"none".as_ptr(), place, c"tmpfs".as_ptr(), flags, c"size=4k".as_ptr().cast()) == 0
            && libc::chdir(place) == 0
            && libc::syscall(libc::SYS_pivot_root, here, here) == 0
            && libc::umount2(here, libc::MNT_DETACH) == 0
    }
}

/// Write a small file with plain calls only.
unsafe fn put(path: &CStr, content: &[u8]) -> bool {
    // SAFETY: a C string and live bytes.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let written = libc::write(fd, content.as_ptr().cast(), content.len());
        libc::close(fd);
        written == content.len() as isize
    }
}
