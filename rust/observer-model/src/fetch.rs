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

/// One reading of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Argument index, 0–5, that holds the pointer.
    pub arg: u8,
    /// Before or after the call.
    pub when: When,
    /// What it points to.
    pub shape: Shape,
}
