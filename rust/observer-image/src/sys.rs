// SPDX-License-Identifier: Apache-2.0
//! Thin, checked wrappers over ptrace(2), pidfd_getfd(2), process_vm_readv(2), ioctl_userfaultfd(2) and PAGEMAP_SCAN.
//! Each returns `io::Result` and decides nothing.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A thread or process id as the kernel's calls use it.
pub type Tid = libc::pid_t;

fn check(rc: libc::c_long) -> io::Result<libc::c_long> {
    if rc == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(rc)
}

fn ptrace(request: libc::c_uint, tid: Tid, addr: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: every caller in this file passes an address of a live local, or a plain number, as the request wants it.
    check(unsafe { libc::ptrace(request, tid, addr as *mut libc::c_void, data as *mut libc::c_void) })
}

/// Attaches without stopping.
pub fn seize(tid: Tid, options: libc::c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, tid, 0, options as usize).map(drop)
}

/// Changes the options of a stopped tracee.
pub fn set_options(tid: Tid, options: libc::c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SETOPTIONS, tid, 0, options as usize).map(drop)
}

/// Asks a seized thread to stop.
pub fn interrupt(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

/// Lets a stopped thread go, delivering `signal` (0 for none).
pub fn detach(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH, tid, 0, signal as usize).map(drop)
}

/// Resumes until the next stop.
pub fn resume(tid: Tid, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_CONT, tid, 0, signal as usize).map(drop)
}

/// Resumes for one instruction.
pub fn step(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_SINGLESTEP, tid, 0, 0).map(drop)
}

/// Resumes to the next entry of or exit from a system call.
pub fn resume_to_syscall(tid: Tid) -> io::Result<()> {
    ptrace(libc::PTRACE_SYSCALL, tid, 0, 0).map(drop)
}

/// The number that belongs to the current ptrace event.
pub fn event_message(tid: Tid) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    ptrace(libc::PTRACE_GETEVENTMSG, tid, 0, ptr::addr_of_mut!(message) as usize)?;
    Ok(message)
}

/// What waiting for a tracee said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing yet.
    Running,
    /// It ended.
    Ended,
    /// It stopped: signal and ptrace event.
    Stopped(i32, i32),
}

/// Waits for one tracee of the calling thread, or looks whether it stopped.
pub fn wait(tid: Tid, block: bool) -> io::Result<Wait> {
    let mut status = 0;
    let options = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    // SAFETY: status is a valid int; rusage may be null.
    let found = unsafe { libc::wait4(tid, &mut status, options, ptr::null_mut()) };
    if found == -1 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(Wait::Ended) } else { Err(error) };
    }
    if found == 0 {
        return Ok(Wait::Running);
    }
    if libc::WIFSTOPPED(status) {
        return Ok(Wait::Stopped(libc::WSTOPSIG(status), status >> 16));
    }
    Ok(Wait::Ended)
}

/// General registers of a stopped thread.
pub fn registers(tid: Tid) -> io::Result<libc::user_regs_struct> {
    // SAFETY: the structure is plain data; all-zero is valid.
    let mut out: libc::user_regs_struct = unsafe { mem::zeroed() };
    let mut room = libc::iovec { iov_base: ptr::addr_of_mut!(out).cast(), iov_len: mem::size_of_val(&out) };
    ptrace(libc::PTRACE_GETREGSET, tid, libc::NT_PRSTATUS as usize, ptr::addr_of_mut!(room) as usize)?;
    Ok(out)
}

/// Sets general registers of a stopped thread.
pub fn set_registers(tid: Tid, registers: &libc::user_regs_struct) -> io::Result<()> {
    let room = libc::iovec { iov_base: ptr::from_ref(registers).cast_mut().cast(), iov_len: mem::size_of_val(registers) };
    ptrace(libc::PTRACE_SETREGSET, tid, libc::NT_PRSTATUS as usize, ptr::addr_of!(room) as usize).map(drop)
}

/// Any register set of a stopped thread, as the kernel gives it.
pub fn register_set(tid: Tid, kind: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0u8; 16 * 1024]; // the largest XSAVE area is 11 KiB (AMX)
    let mut room = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
    ptrace(libc::PTRACE_GETREGSET, tid, kind, ptr::addr_of_mut!(room) as usize)?;
    out.truncate(room.iov_len);
    Ok(out)
}

/// Sets any register set of a stopped thread.
pub fn set_register_set(tid: Tid, kind: usize, bytes: &[u8]) -> io::Result<()> {
    let room = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    ptrace(libc::PTRACE_SETREGSET, tid, kind, ptr::addr_of!(room) as usize).map(drop)
}

/// siginfo of a stopped thread.
pub fn signal_info(tid: Tid) -> io::Result<Vec<u8>> {
    let mut out = vec![0u8; mem::size_of::<libc::siginfo_t>()];
    ptrace(libc::PTRACE_GETSIGINFO, tid, 0, out.as_mut_ptr() as usize)?;
    Ok(out)
}

/// Blocked signals of a stopped thread, 8 bytes.
pub fn signal_mask(tid: Tid) -> io::Result<Vec<u8>> {
    let mut out = vec![0u8; 8];
    ptrace(libc::PTRACE_GETSIGMASK, tid, 8, out.as_mut_ptr() as usize)?;
    Ok(out)
}

/// Sets the blocked signals of a stopped thread.
pub fn set_signal_mask(tid: Tid, mask: u64) -> io::Result<()> {
    ptrace(libc::PTRACE_SETSIGMASK, tid, 8, ptr::addr_of!(mask) as usize).map(drop)
}

/// Pending signals of a stopped thread, or of its process: siginfo after siginfo.
pub fn pending_signals(tid: Tid, shared: bool) -> io::Result<Vec<u8>> {
    const MANY: usize = 32;
    let size = mem::size_of::<libc::siginfo_t>();
    let mut out = vec![0u8; MANY * size];
    let request = libc::ptrace_peeksiginfo_args { off: 0, flags: if shared { 1 } else { 0 }, nr: MANY as i32 };
    let found = ptrace(libc::PTRACE_PEEKSIGINFO, tid, ptr::addr_of!(request) as usize, out.as_mut_ptr() as usize)?;
    out.truncate(usize::try_from(found).unwrap_or(0) * size);
    Ok(out)
}

/// A pidfd.
pub fn pidfd_open(pid: Tid) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; on success the descriptor is fresh and ours.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// A copy of a descriptor of another process.
pub fn pidfd_getfd(pidfd: &OwnedFd, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; on success the descriptor is fresh and ours.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Reads stretches of another process's memory, one after the other, into `out`; returns how many bytes came.
pub fn read_stretches(pid: Tid, stretches: &[(u64, usize)], out: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
    let mut remote = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; 512];
    let count = stretches.len().min(remote.len());
    for (slot, (address, length)) in remote.iter_mut().zip(stretches) {
        *slot = libc::iovec { iov_base: *address as *mut libc::c_void, iov_len: *length };
    }
    // SAFETY: `local` covers exactly `out`; the remote side is checked by the kernel.
    let n = unsafe { libc::process_vm_readv(pid, &local, 1, remote.as_ptr(), count as libc::c_ulong, 0) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Writes memory of another process; true when all of it was written.
pub fn write_memory(pid: Tid, address: u64, bytes: &[u8]) -> bool {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: `local` covers exactly `bytes` and is only read; the remote side is checked by the kernel.
    let n = unsafe { libc::process_vm_writev(pid, &local, 1, &remote, 1, 0) };
    usize::try_from(n) == Ok(bytes.len())
}

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ScanArgument {
    /// Bytes of this structure.
    pub size: u64,
    /// PM_SCAN_*.
    pub flags: u64,
    /// First address.
    pub start: u64,
    /// Behind the last address.
    pub end: u64,
    /// Where the walk ended.
    pub walk_end: u64,
    /// Address of the vector of results.
    pub vec: u64,
    /// Its length.
    pub vec_len: u64,
    /// Most pages; 0 for all.
    pub max_pages: u64,
    /// Categories that count when they are absent.
    pub category_inverted: u64,
    /// All of these.
    pub category_mask: u64,
    /// Any of these.
    pub category_anyof: u64,
    /// What is told.
    pub return_mask: u64,
}
const _: () = assert!(mem::size_of::<ScanArgument>() == 96);

/// `struct page_region` of linux/fs.h.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ScanRegion {
    /// First address.
    pub start: u64,
    /// Behind the last address.
    pub end: u64,
    /// What its pages are.
    pub categories: u64,
}
const _: () = assert!(mem::size_of::<ScanRegion>() == 24);

const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610; // _IOWR('f', 16, struct pm_scan_arg)

/// One PAGEMAP_SCAN; fills `out` and returns how many regions it found. Source: pagemap.rst of Linux 6.7.
pub fn pagemap_scan(fd: RawFd, argument: &mut ScanArgument, out: &mut [ScanRegion]) -> io::Result<usize> {
    argument.size = mem::size_of::<ScanArgument>() as u64;
    argument.vec = out.as_mut_ptr() as u64;
    argument.vec_len = out.len() as u64;
    // SAFETY: the argument and the vector it names are live and of the sizes it says.
    let found = unsafe { libc::ioctl(fd, PAGEMAP_SCAN as _, ptr::from_mut(argument)) };
    check(found.into()).map(|found| usize::try_from(found).unwrap_or(0))
}

/// `struct uffdio_api`.
#[repr(C)]
struct UffdApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct UffdRegister {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const FEATURES: u64 = (1 << 15) | (1 << 13); // UFFD_FEATURE_WP_ASYNC, UFFD_FEATURE_WP_UNPOPULATED
const REGISTER_WP: u64 = 2;

/// Makes a userfaultfd one that marks writes by itself.
pub fn uffd_api(fd: &OwnedFd) -> io::Result<()> {
    let mut api = UffdApi { api: UFFD_API, features: FEATURES, ioctls: 0 };
    // SAFETY: the structure is live and of the size that the number says.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API as _, ptr::addr_of_mut!(api)) }.into()).map(drop)
}

/// Registers a stretch of the traced process for marking.
pub fn uffd_register(fd: &OwnedFd, start: u64, len: u64) -> io::Result<()> {
    let mut register = UffdRegister { start, len, mode: REGISTER_WP, ioctls: 0 };
    // SAFETY: the structure is live and of the size that the number says.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_REGISTER as _, ptr::addr_of_mut!(register)) }.into()).map(drop)
}

/// `struct uffdio_writeprotect`.
#[repr(C)]
struct UffdWriteProtect {
    start: u64,
    len: u64,
    mode: u64,
}

const UFFDIO_WRITEPROTECT: libc::c_ulong = 0xc018_aa06;

/// False when the memory that the descriptor was made for is gone: its process has executed another program, or ended.
#[must_use]
pub fn uffd_is_alive(fd: &OwnedFd) -> bool {
    let mut nothing = UffdWriteProtect { start: 4096, len: 4096, mode: 0 }; // where nothing can be mapped
                                                                            // SAFETY: the structure is live and of the size that the number says.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_WRITEPROTECT as _, ptr::addr_of_mut!(nothing)) };
    done == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is a valid timespec.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
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

/// CLOCK_BOOTTIME in ns.
#[must_use]
pub fn boot_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME)
}

/// Blocks every signal for this thread and returns the mask before.
#[must_use]
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

/// Sends a signal.
pub fn kill(pid: Tid, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Blocked signals of a stopped thread as one word; allocates nothing.
pub fn signal_mask_word(tid: Tid) -> io::Result<u64> {
    let mut mask = 0u64;
    ptrace(libc::PTRACE_GETSIGMASK, tid, 8, ptr::addr_of_mut!(mask) as usize)?;
    Ok(mask)
}

/// True when a path itself has an extended attribute of this value.
#[must_use]
pub fn has_attribute(path: &std::path::Path, name: &str, value: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let text = |bytes: &[u8]| std::ffi::CString::new(bytes).ok();
    let (Some(path), Some(name)) = (text(path.as_os_str().as_bytes()), text(name.as_bytes())) else { return false };
    let mut room = [0u8; 16];
    // SAFETY: both texts end with a zero, and the room is of the size that is told.
    let got = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    usize::try_from(got).is_ok_and(|length| room.get(..length) == Some(value))
}
