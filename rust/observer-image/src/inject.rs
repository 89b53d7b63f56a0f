// SPDX-License-Identifier: Apache-2.0
//! Lets a process make one system call for us: the userfaultfd by which its writes are marked.
//!
//! A child of ours does it, so that a recorder that is killed in the middle leaves no thread with borrowed registers: the
//! child finishes its 0.1 ms of work and lets the thread go. Between fork and exit the child allocates nothing.

use crate::sys::{self, Tid, Wait};
use crate::{procfs, stop};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

const SUSPEND_SECCOMP: libc::c_int = 1 << 21; // PTRACE_O_SUSPEND_SECCOMP; needs CAP_SYS_ADMIN
const EVENT_STOP: i32 = 128; // PTRACE_EVENT_STOP
const UFFD_FLAGS: u64 = (libc::O_CLOEXEC | libc::O_NONBLOCK) as u64 | 1; // UFFD_USER_MODE_ONLY: no privilege of the target is needed

/// A call to be made: number and arguments.
pub type Call = (u64, [u64; 6]);

/// Where the instruction for a system call is in a process: in its vDSO, which every program has.
///
/// # Errors
/// It has none that can be read.
pub fn call_instruction(pid: u32) -> io::Result<u64> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the process has no vDSO with a system call in it");
    let vdso = crate::maps::of(pid).ok_or_else(none)?.into_iter().find(|mapping| mapping.name == "[vdso]").ok_or_else(none)?;
    let mut bytes = vec![0; vdso.size() as usize];
    sys::read_stretches(pid as Tid, &[(vdso.start, bytes.len())], &mut bytes)?;
    let at = bytes.windows(2).position(|pair| pair == [0x0f, 0x05]).ok_or_else(none)?;
    Ok(vdso.start + at as u64)
}

/// Make one call in a stopped thread, whose registers are put back.
///
/// # Errors
/// The kernel refuses, or the thread ended.
#[cfg(target_arch = "x86_64")]
pub fn call_in(tid: Tid, instruction: u64, (number, arguments): Call) -> io::Result<i64> {
    let before = sys::registers(tid)?;
    let mut during = before;
    (during.rip, during.rax, during.orig_rax) = (instruction, number, u64::MAX);
    [during.rdi, during.rsi, during.rdx, during.r10, during.r8, during.r9] = arguments;
    sys::set_registers(tid, &during)?;
    let ran = run_one(tid);
    let after = sys::registers(tid);
    sys::set_registers(tid, &before)?;
    ran?;
    Ok(after?.rax as i64)
}

/// Other processors have no injection yet: the fallbacks are used.
///
/// # Errors
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub fn call_in(_: Tid, _: u64, _: Call) -> io::Result<i64> {
    Err(io::ErrorKind::Unsupported.into())
}

fn run_one(tid: Tid) -> io::Result<()> {
    sys::step(tid)?;
    match sys::wait(tid, true)? {
        Wait::Stopped(..) => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// What the child tells: 0 or an errno, and for how many µs the thread stood.
type Answer = [i32; 2];

/// Get a userfaultfd of a process; it is closed there before this returns. Also tells for how long a thread stood, ns.
///
/// # Errors
/// Why it cannot be had, as a sentence for the snapshot's label.
pub fn userfaultfd(pid: u32) -> Result<(OwnedFd, u64), String> {
    let filtered = procfs::status(pid, "Seccomp").is_some_and(|mode| mode != "0");
    let instruction = call_instruction(pid).map_err(|error| error.to_string())?;
    let pidfd = sys::pidfd_open(pid as Tid).map_err(|error| format!("pidfd_open: {error}"))?;
    let tid = quiet_thread(pid) as Tid;
    let (ours, theirs) = pair().map_err(|error| format!("socketpair: {error}"))?;
    let signals = sys::block_signals();
    // SAFETY: the child calls only async-signal-safe functions on memory that was there before, then exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain calls in our own child.
        unsafe { libc::setsid() };
        let mut stood = 0;
        let answer = operate(tid, instruction, &pidfd, (filtered, &mut stood));
        tell(theirs.as_raw_fd(), &answer, (stood / 1000) as i32);
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) }
    }
    sys::restore_signals(&signals);
    drop(theirs);
    if child < 0 {
        return Err(format!("fork: {}", io::Error::last_os_error()));
    }
    let answer = hear(ours.as_raw_fd());
    let _ = sys::wait(child, true); // a parent that ignores SIGCHLD has it reaped already
    answer.map_err(|error| why(pid, error))
}

fn why(pid: u32, error: io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => "its seccomp filter cannot be suspended without CAP_SYS_ADMIN".to_owned(),
        Some(libc::EPERM) => stop::why_not(pid, error).to_string(),
        Some(libc::ENOSYS) => "the kernel has no userfaultfd".to_owned(),
        _ => format!("userfaultfd: {error}"),
    }
}

/// A thread that waits in the kernel, rather than one that runs: that one may be inside a restartable sequence.
fn quiet_thread(pid: u32) -> u32 {
    let waits = |tid: &u32| {
        let call = procfs::text(format!("/proc/{pid}/task/{tid}/syscall"));
        call.is_some_and(|text| text.starts_with(|first: char| first.is_ascii_digit()))
    };
    procfs::threads(pid).into_iter().find(waits).unwrap_or(pid)
}

fn operate(tid: Tid, instruction: u64, pidfd: &OwnedFd, (filtered, stood): (bool, &mut u64)) -> Result<OwnedFd, i32> {
    let number = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    match sys::seize(tid, SUSPEND_SECCOMP) {
        Ok(()) => {}
        Err(_) if filtered => return Err(libc::EACCES),
        Err(_) => sys::seize(tid, 0).map_err(number)?,
    }
    let began = sys::monotonic_ns();
    sys::interrupt(tid).map_err(number)?;
    let signal = match sys::wait(tid, true).map_err(number)? {
        Wait::Stopped(signal, event) if event != EVENT_STOP => signal & 0x7f,
        Wait::Stopped(..) => 0,
        _ => return Err(libc::ESRCH),
    };
    let done = borrow(tid, instruction, pidfd).map_err(number);
    let _ = sys::detach(tid, signal); // it may have been killed
    *stood = sys::monotonic_ns() - began;
    done
}

fn borrow(tid: Tid, instruction: u64, pidfd: &OwnedFd) -> io::Result<OwnedFd> {
    let mask = sys::signal_mask_word(tid)?;
    sys::set_signal_mask(tid, u64::MAX)?; // a signal must not arrive between the step and its trap
    let made = call_in(tid, instruction, (libc::SYS_userfaultfd as u64, [UFFD_FLAGS, 0, 0, 0, 0, 0]));
    let fd = made.and_then(|value| if value < 0 { Err(io::Error::from_raw_os_error(-value as i32)) } else { Ok(value as RawFd) });
    let taken = fd.and_then(|fd| {
        let taken = sys::pidfd_getfd(pidfd, fd);
        let closed = call_in(tid, instruction, (libc::SYS_close as u64, [fd as u64, 0, 0, 0, 0, 0]));
        closed.and(taken)
    });
    sys::set_signal_mask(tid, mask)?;
    taken
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` holds two ints; on success both are fresh descriptors that nobody else owns.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Room for one descriptor in a control message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

fn message(word: &mut Answer, room: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    *room = libc::iovec { iov_base: ptr::from_mut(word).cast(), iov_len: mem::size_of::<Answer>() };
    // SAFETY: an all-zero msghdr is valid.
    let mut out: libc::msghdr = unsafe { mem::zeroed() };
    out.msg_iov = room;
    out.msg_iovlen = 1;
    out.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: plain arithmetic.
    out.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    out
}

fn tell(socket: RawFd, answer: &Result<OwnedFd, i32>, stood_us: i32) {
    let (number, fd) = match answer {
        Ok(fd) => (0, Some(fd.as_raw_fd())),
        Err(number) => (*number, None),
    };
    let mut word = [number, stood_us];
    let (mut room, mut control) = (libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }, Control([0; 64]));
    let mut out = message(&mut word, &mut room, &mut control);
    match fd {
        // SAFETY: the control room is aligned and larger than one message with one descriptor.
        Some(fd) => unsafe {
            let head = libc::CMSG_FIRSTHDR(&out);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(4) as _;
            ptr::write_unaligned(libc::CMSG_DATA(head).cast(), fd);
        },
        None => out.msg_controllen = 0,
    }
    // SAFETY: all parts of the message are live; a parent that has gone makes it fail, which changes nothing.
    unsafe { libc::sendmsg(socket, &out, libc::MSG_NOSIGNAL) };
}

fn hear(socket: RawFd) -> io::Result<(OwnedFd, u64)> {
    let (mut word, mut control) = ([libc::EIO, 0], Control([0; 64]));
    let mut room = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    let mut out = message(&mut word, &mut room, &mut control);
    // SAFETY: all parts of the message are live and of the sizes it says.
    let got = unsafe { libc::recvmsg(socket, &mut out, libc::MSG_CMSG_CLOEXEC) };
    if got < 8 || word[0] != 0 {
        return Err(io::Error::from_raw_os_error(if got < 8 { libc::EIO } else { word[0] }));
    }
    // SAFETY: the kernel filled the control room; a message with one descriptor is looked for and nothing else.
    unsafe {
        let head = libc::CMSG_FIRSTHDR(&out);
        if head.is_null() || (*head).cmsg_type != libc::SCM_RIGHTS {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let fd = OwnedFd::from_raw_fd(ptr::read_unaligned(libc::CMSG_DATA(head).cast()));
        Ok((fd, u64::from(word[1].unsigned_abs()) * 1000))
    }
}
