// SPDX-License-Identifier: Apache-2.0
//! The stub: a program of one page of code and one of data, at an address that no program uses. Every replayed process is a copy
//! of it with the recorded mappings around; the engine makes calls through it, and a filter kills whatever calls from elsewhere.

use crate::engine::maps::regions;
use crate::engine::remote::{call_trapping, checked};
use crate::engine::sys;
use crate::error::ReplayError;
use crate::regs::Regs;
use observer_capture::sys::{Tid, Wait};
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// First address of the stub: below where the kernel puts programs, where the thread, address and memory sanitizers (which take up
/// nearly all addresses) expect programs and so map nothing, and none of Go's or Java's first choices.
pub const BASE: u64 = 0x5517_0000_0000;
/// First address after it.
pub const END: u64 = BASE + 0x2000;
/// `syscall; int3`.
pub const GADGET: u64 = BASE + 0x100;
/// The page that holds what calls point to.
pub const DATA: u64 = BASE + 0x1000;
/// The socket over which files come in.
const SOCKET: RawFd = 3;
const PAGE: usize = 4096;
const PR_SET_NO_NEW_PRIVS: u64 = 38;
const PR_SET_TSC: u64 = 26;
/// All that the engine ever does inside a replayed process.
const ALLOWED: [i64; 11] = [
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_clone,
    libc::SYS_recvmsg,
    libc::SYS_close,
    libc::SYS_prctl,
    libc::SYS_arch_prctl,
    libc::SYS_modify_ldt,
];

fn program_header(kind: u32, flags: u32, address: u64, sizes: (u64, u64)) -> Vec<u8> {
    let words = [0u64, address, address, sizes.0, sizes.1, PAGE as u64];
    let head = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
    [head, words.iter().flat_map(|w| w.to_le_bytes()).collect()].concat()
}

/// The stub as an ELF executable. Source: elf(5).
fn image() -> Vec<u8> {
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend([2u16, 62].iter().flat_map(|h| h.to_le_bytes())); // ET_EXEC, EM_X86_64
    out.extend(1u32.to_le_bytes());
    out.extend([GADGET, 64, 0].iter().flat_map(|w| w.to_le_bytes())); // entry, program headers, section headers
    out.extend(0u32.to_le_bytes());
    out.extend([64u16, 56, 3, 64, 0, 0].iter().flat_map(|h| h.to_le_bytes()));
    out.extend(program_header(1, 5, BASE, (PAGE as u64, PAGE as u64)));
    out.extend(program_header(1, 6, DATA, (0, PAGE as u64)));
    out.extend(program_header(0x6474_e551, 6, 0, (0, 0))); // PT_GNU_STACK: not executable
    out.resize(PAGE, 0xcc);
    out[0x100..0x103].copy_from_slice(&[0x0f, 0x05, 0xcc]);
    out
}

/// Allows [`ALLOWED`] when called from the stub, and kills for everything else. Source: seccomp(2), struct seccomp_data.
fn filter() -> Vec<libc::sock_filter> {
    let op = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset: u32| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let give = |action: u32| op(libc::BPF_RET | libc::BPF_K, action, 0, 0);
    let equal = |value: u32, jt: u8, jf: u8| op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, jt, jf);
    let after = GADGET + 2;
    let count = ALLOWED.len() as u8;
    let mut program =
        vec![load(8), equal((after & 0xffff_ffff) as u32, 0, count + 3), load(12), equal((after >> 32) as u32, 0, count + 1)];
    program.push(load(0));
    for (number, nr) in ALLOWED.iter().enumerate() {
        program.push(equal(*nr as u32, count - number as u8, 0));
    }
    program.extend([give(libc::SECCOMP_RET_KILL_PROCESS), give(libc::SECCOMP_RET_ALLOW)]);
    program
}

/// The first process of a replay; all others are copies of it.
pub struct Zygote {
    /// Its thread id.
    pub tid: Tid,
    regs: Regs,
    socket: OwnedFd,
}

fn memory_file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: a valid name; the result is checked and then owned.
    let fd = unsafe { libc::memfd_create(c"observer-stub".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes)?;
    Ok(file)
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` holds two ints; on success both are fresh descriptors.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// What the kernel holds each process of a replay to; none where there is no number. Source: setrlimit(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rlimits {
    /// RLIMIT_DATA, bytes.
    pub data: Option<u64>,
    /// RLIMIT_CPU, seconds.
    pub cpu: Option<u64>,
    /// RLIMIT_NOFILE.
    pub descriptors: Option<u64>,
}

/// What the first process is to be like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cell {
    /// The recorded RLIMIT_STACK.
    pub stack: u64,
    /// Namespaces to leave (CLONE_NEW…); what is not permitted is left out.
    pub unshare: i32,
    /// Limits.
    pub rlimits: Rlimits,
}

/// Leaves namespaces, through a user namespace of its own where that is what it takes, and then all files.
unsafe fn leave(spaces: i32) {
    // SAFETY: async-signal-safe calls on plain numbers and constant strings.
    unsafe {
        if spaces == 0 || (libc::unshare(spaces) != 0 && libc::unshare(spaces | libc::CLONE_NEWUSER) != 0) {
            return;
        }
        if spaces & libc::CLONE_NEWNS != 0 {
            let none = c"none".as_ptr();
            libc::mount(none, c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_PRIVATE, ptr::null());
            if libc::mount(none, c"/proc".as_ptr(), c"tmpfs".as_ptr(), libc::MS_RDONLY, c"size=4k".as_ptr().cast()) == 0 {
                libc::chroot(c"/proc".as_ptr());
                libc::chdir(c"/".as_ptr());
            }
        }
    }
}

/// What the child does between fork and exec: nothing but async-signal-safe calls.
unsafe fn become_stub(program: RawFd, socket: RawFd, gate: RawFd, cell: Cell) -> ! {
    // SAFETY: async-signal-safe calls on plain numbers and valid pointers only.
    unsafe {
        let mut byte = 0u8;
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        libc::read(gate, ptr::addr_of_mut!(byte).cast(), 1);
        let limit = libc::rlimit { rlim_cur: cell.stack, rlim_max: libc::RLIM_INFINITY };
        if libc::setrlimit(libc::RLIMIT_STACK, &limit) != 0 {
            let limit = libc::rlimit { rlim_cur: cell.stack, rlim_max: cell.stack };
            libc::setrlimit(libc::RLIMIT_STACK, &limit);
        }
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        leave(cell.unshare);
        let (high_program, high_socket) =
            (libc::fcntl(program, libc::F_DUPFD_CLOEXEC, 64), libc::fcntl(socket, libc::F_DUPFD, 65));
        libc::dup2(high_socket, SOCKET);
        libc::syscall(libc::SYS_close_range, 0, 2, 0);
        libc::syscall(libc::SYS_close_range, 4, high_program - 1, 0);
        libc::syscall(libc::SYS_close_range, high_program + 1, u32::MAX, 0);
        let limits = &cell.rlimits;
        for (kind, most) in
            [(libc::RLIMIT_DATA, limits.data), (libc::RLIMIT_CPU, limits.cpu), (libc::RLIMIT_NOFILE, limits.descriptors)]
        {
            if let Some(most) = most {
                libc::setrlimit(kind, &libc::rlimit { rlim_cur: most, rlim_max: most });
            }
        }
        let nothing: [*const libc::c_char; 1] = [ptr::null()];
        libc::syscall(libc::SYS_execveat, high_program, c"".as_ptr(), nothing.as_ptr(), nothing.as_ptr(), libc::AT_EMPTY_PATH);
        libc::_exit(127)
    }
}

impl Zygote {
    /// Starts it.
    pub fn start(cell: Cell) -> Result<Zygote, ReplayError> {
        let what = "start the replay's first process";
        let program = memory_file(&image()).map_err(ReplayError::io(what))?;
        let (socket, theirs) = socket_pair().map_err(ReplayError::io(what))?;
        let (gate_in, gate_out) = observer_capture::sys::pipe().map_err(ReplayError::io(what))?;
        // SAFETY: the child only runs `become_stub`.
        let tid = unsafe { libc::fork() };
        if tid == 0 {
            // SAFETY: we are the child's only thread, and the descriptors are open.
            unsafe { become_stub(program.as_raw_fd(), theirs.as_raw_fd(), gate_in.as_raw_fd(), cell) }
        }
        if tid < 0 {
            return Err(ReplayError::io(what)(io::Error::last_os_error()));
        }
        drop((gate_in, theirs));
        sys::seize(tid, sys::OPTIONS).map_err(|e| ReplayError::from(observer_capture::CaptureError::Trace(e)))?;
        File::from(gate_out).write_all(b"g").map_err(ReplayError::io(what))?;
        let mut zygote = Zygote { tid, regs: Regs::default(), socket };
        zygote.prepare().map_err(ReplayError::io(what))?;
        Ok(zygote)
    }

    fn call(&self, nr: i64, args: [u64; 6]) -> io::Result<u64> {
        checked(call_trapping(self.tid, &self.regs, GADGET, (nr, args), &mut None)?, "a call in the stub")
    }

    fn prepare(&mut self) -> io::Result<()> {
        loop {
            match sys::wait_for(self.tid)? {
                Wait::Stopped(_, libc::PTRACE_EVENT_EXEC) => break,
                Wait::Stopped(..) => sys::resume(self.tid, 0)?,
                other => return Err(io::Error::other(format!("the stub did not start: {other:?}"))),
            }
        }
        sys::resume_to_syscall(self.tid, 0)?;
        sys::wait_for(self.tid)?;
        self.regs = sys::registers(self.tid)?;
        for region in regions(self.tid)?.iter().filter(|r| (r.start < BASE || r.start >= END) && r.name != "[vsyscall]") {
            let _ = self.call(libc::SYS_munmap, [region.start, region.end - region.start, 0, 0, 0, 0]);
            // sealed ones stay
        }
        self.call(libc::SYS_prctl, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0])?;
        self.call(libc::SYS_prctl, [PR_SET_TSC, 2, 0, 0, 0, 0])?;
        let filter = filter();
        let mut data = (filter.len() as u64).to_le_bytes().to_vec();
        data.extend((DATA + 16).to_le_bytes());
        for op in &filter {
            data.extend(op.code.to_le_bytes());
            data.extend([op.jt, op.jf]);
            data.extend(op.k.to_le_bytes());
        }
        sys::write_memory(self.tid, DATA, &data);
        self.call(libc::SYS_seccomp, [1, 0, DATA, 0, 0, 0])?;
        Ok(())
    }

    /// Makes an empty process.
    pub fn spawn(&self) -> Result<Tid, ReplayError> {
        spawn_from(self.tid, &self.regs, false)
    }

    /// Gives an open file to a replayed process; returns its descriptor there. Source: unix(7), SCM_RIGHTS.
    pub fn send_file(&self, to: Tid, regs: &Regs, file: &impl AsRawFd) -> io::Result<u64> {
        send_descriptor(self.socket.as_raw_fd(), file.as_raw_fd())?;
        let mut page = [0u8; 192];
        let words: [(usize, u64); 8] =
            [(0, 0), (16, DATA + 64), (24, 1), (32, DATA + 128), (40, 24), (64, DATA + 96), (72, 1), (48, 0)];
        for (at, word) in words {
            page[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        sys::write_memory(to, DATA, &page);
        let args = [SOCKET as u64, DATA, libc::MSG_DONTWAIT as u64, 0, 0, 0];
        checked(call_trapping(to, regs, GADGET, (libc::SYS_recvmsg, args), &mut None)?, "take a file into the replay")?;
        let (mut control, mut fd) = ([0u8; 8], [0u8; 4]);
        sys::read_memory(to, DATA + 40, &mut control);
        if u64::from_le_bytes(control) < 20 {
            return Err(io::Error::from_raw_os_error(libc::EMFILE)); // no room for the descriptor: it was not given
        }
        sys::read_memory(to, DATA + 128 + 16, &mut fd);
        Ok(u64::from(u32::from_le_bytes(fd)))
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        end(self.tid);
    }
}

/// Copies a process, with or without sharing its memory; returns the new one, stopped.
pub fn spawn_from(tid: Tid, regs: &Regs, share: bool) -> Result<Tid, ReplayError> {
    let mut born = None;
    let flags = libc::CLONE_PARENT as u64 | if share { libc::CLONE_VM as u64 } else { 0 } | libc::SIGCHLD as u64;
    let call = (libc::SYS_clone, [flags, 0, 0, 0, 0, 0]);
    let result = call_trapping(tid, regs, GADGET, call, &mut born).and_then(|result| checked(result, "copy a replayed process"));
    result.map_err(ReplayError::io("copy a replayed process"))?;
    let child = born.ok_or_else(|| ReplayError::io("copy a replayed process")(io::Error::other("no event told of it")))?;
    loop {
        match sys::wait_for(child).map_err(ReplayError::io("wait for a replayed process"))? {
            Wait::Stopped(..) => return Ok(child),
            Wait::Other => {}
            gone => return Err(ReplayError::io("copy a replayed process")(io::Error::other(format!("it is gone: {gone:?}")))),
        }
    }
}

/// Kills a replayed process and takes it off the kernel's hands.
pub fn end(tid: Tid) {
    let _ = sys::kill(tid, libc::SIGKILL);
    while let Ok(what) = sys::wait_for(tid) {
        if matches!(what, Wait::Exited(_) | Wait::Signaled(..)) {
            return;
        }
    }
}

fn send_descriptor(socket: RawFd, file: RawFd) -> io::Result<()> {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: ptr::addr_of_mut!(byte).cast(), iov_len: 1 };
    let mut control = [0u64; 3]; // CMSG_SPACE of one int is 24
                                 // SAFETY: msghdr is plain data; all its pointers are to live locals, and CMSG_FIRSTHDR stays within `control`.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control);
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        ptr::copy_nonoverlapping(ptr::addr_of!(file).cast(), libc::CMSG_DATA(header), 4);
        if libc::sendmsg(socket, &message, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Content of a file by pieces, for objects that begin with one.
pub fn copy_into(from: &mut File, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let got = from.read(&mut buffer)?;
        if got == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..got])?;
    }
}

/// An empty shared object of a replay.
pub fn shared_file(size: u64) -> io::Result<File> {
    let file = memory_file(&[])?;
    file.set_len(size)?;
    Ok(file)
}
