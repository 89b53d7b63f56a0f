// SPDX-License-Identifier: Apache-2.0
//! What memory to read for a syscall: a plan the capture engines follow without knowing any syscall by name.

use crate::record::When;

/// How many bytes a fetch wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Len {
    /// This many bytes.
    Const(u32),
    /// As many as argument N says (clamped).
    Arg(u8),
    /// As many as argument N says, times a size (poll's array of pollfd).
    ArgTimes(u8, u32),
    /// As many as the syscall returned, when it returned more than 0 (read, getdents64, readlink).
    Result,
    /// As many times a size as the syscall returned (epoll_wait).
    ResultTimes(u32),
    /// As many as the u32 that argument N points to says at that moment (accept's addrlen).
    DerefArg(u8),
    /// As many as hold one bit for each of argument N, in words of 8 bytes (select's fd_set).
    ArgBits(u8),
}

/// The shape of what an argument points to, as far as capture must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// NUL-terminated text: a path or name.
    CString,
    /// Bytes of program data (read/write buffers); kept up to the `--data` limit.
    Data(Len),
    /// A kernel structure or array of them; kept whole up to 4 KiB.
    Struct(Len),
    /// NULL-terminated array of pointers to text (argv). Parts 1, 2, … are the strings.
    StringArray,
    /// Only the number of strings in such an array is kept, as a u32 (envp).
    StringCount,
    /// Array of struct iovec, count in argument N. Part 0 is the array itself, parts 1, 2, … the buffers, data limit in all.
    /// At exit the result bounds the bytes.
    Iovec(u8),
    /// struct msghdr: part 0 the header, 1 the name, 2 the control bytes, 3.. the iovec array followed by its buffers.
    Msghdr,
}

/// On which other argument a reading depends. Calls that multiplex (fcntl, ioctl, futex, prctl …) give the same
/// register a pointer under one command and a number under another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cond {
    /// No condition.
    Always,
    /// Argument `arg`, taken through `mask`, is one of `values`.
    In {
        /// Argument index, 0–5.
        arg: u8,
        /// Bits that count.
        mask: u64,
        /// What they may be.
        values: &'static [u64],
    },
    /// Argument `arg`, taken through `mask`, is none of `values`.
    NotIn {
        /// Argument index, 0–5.
        arg: u8,
        /// Bits that count.
        mask: u64,
        /// What they may not be.
        values: &'static [u64],
    },
}

impl Cond {
    /// Whether the condition holds for these argument registers.
    #[must_use]
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        let masked = |arg: u8, mask: u64| args.get(usize::from(arg)).copied().unwrap_or(0) & mask;
        match *self {
            Cond::Always => true,
            Cond::In { arg, mask, values } => values.contains(&masked(arg, mask)),
            Cond::NotIn { arg, mask, values } => !values.contains(&masked(arg, mask)),
        }
    }
}

/// One reading of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Argument index, 0–5, that holds the pointer.
    pub arg: u8,
    /// Before or after the call.
    pub when: When,
    /// What it points to.
    pub shape: Shape,
    /// Under which values of the other arguments it is a pointer to that at all.
    pub cond: Cond,
    /// At exit: read also when the call failed (nanosleep's remaining time). Without it a failed call has no exit memory.
    pub on_error: bool,
}

impl Fetch {
    /// Whether to do this reading now: right moment, pointer not NULL, condition met, and the outcome allows it.
    ///
    /// `failed` is ignored at entry.
    #[must_use]
    pub fn wanted(&self, when: When, args: &[u64; 6], failed: bool) -> bool {
        self.when == when
            && args.get(usize::from(self.arg)).is_some_and(|pointer| *pointer != 0)
            && (when == When::Entry || !failed || self.on_error)
            && self.cond.holds(args)
    }
}
