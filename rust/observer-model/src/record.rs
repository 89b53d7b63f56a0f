// SPDX-License-Identifier: Apache-2.0
//! One syscall attempt as captured: raw registers plus the memory its pointers named. Decoding to text happens on reading.

/// When a piece of memory was read relative to the kernel's own reading of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum When {
    /// Before the kernel ran the call: what the caller passed in.
    Entry = 0,
    /// After the call returned: what the kernel wrote back.
    Exit = 1,
}

/// Memory captured for one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Argument index, 0–5.
    pub arg: u8,
    /// Read before or after the call.
    pub when: When,
    /// The table's fetch index within the argument: 0 for the pointed-to bytes themselves; a fetch that follows
    /// pointers (iovec, msghdr, argv) numbers its parts 1, 2, …
    pub part: u16,
    /// The full length was more than what is kept in `bytes`.
    pub truncated: bool,
    /// The bytes, without a string's final NUL.
    pub bytes: Vec<u8>,
}

/// Bits of [`SyscallRecord::flags`].
pub mod flags {
    /// The call never returned: exit, exit_group, a successful execve's old image, or the thread was killed inside it.
    pub const NO_RESULT: u32 = 1;
    /// Captured memory at entry could not be read (EFAULT or a race); arguments show as raw addresses.
    pub const MEMORY_UNREADABLE: u32 = 2;
    /// The result is one of the kernel's restart codes: the call was interrupted by a signal.
    pub const RESTARTED: u32 = 4;
    /// The call was refused by seccomp.
    pub const SECCOMP_DENIED: u32 = 8;
}

/// One syscall attempt and its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyscallRecord {
    /// Kernel thread id in the recorder's pid namespace.
    pub tid: u32,
    /// Thread-group (process) id in the recorder's pid namespace.
    pub pid: u32,
    /// Syscall number of the recording's architecture.
    pub nr: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// CLOCK_MONOTONIC at entry, ns.
    pub start_ns: u64,
    /// Entry to exit as the recorder saw them, ns; includes the recorder's own stops.
    pub duration_ns: u64,
    /// The kernel's return value; −4095..−1 are errno numbers. 0 when NO_RESULT is set.
    pub result: i64,
    /// Raw argument registers.
    pub args: [u64; 6],
    /// Memory the arguments named, in order of capture.
    pub blobs: Vec<Blob>,
}

impl SyscallRecord {
    /// The errno number when the call failed, else None.
    #[must_use]
    pub fn errno(&self) -> Option<u16> {
        let failed = self.flags & flags::NO_RESULT == 0 && (-4095..0).contains(&self.result);
        failed.then(|| u16::try_from(-self.result).unwrap_or(0))
    }
}

/// A signal that was delivered to a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalRecord {
    /// Kernel thread id.
    pub tid: u32,
    /// Thread-group id.
    pub pid: u32,
    /// CLOCK_MONOTONIC of delivery, ns.
    pub start_ns: u64,
    /// Signal number.
    pub signo: u32,
    /// `si_code`: who made it (SI_USER 0, SI_KERNEL 128, …). Source: sigaction(2).
    pub code: i32,
    /// Sender's pid when `code` says a process sent it, else 0.
    pub sender_pid: u32,
    /// Sender's uid, likewise.
    pub sender_uid: u32,
}

/// One entry of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A syscall attempt.
    Call(SyscallRecord),
    /// A delivered signal.
    Signal(SignalRecord),
}

impl Record {
    /// CLOCK_MONOTONIC of the start of the call or delivery of the signal, ns.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        match self {
            Record::Call(c) => c.start_ns,
            Record::Signal(s) => s.start_ns,
        }
    }
}
