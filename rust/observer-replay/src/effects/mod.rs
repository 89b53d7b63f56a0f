// SPDX-License-Identifier: Apache-2.0
//! What each system call writes into the caller's memory, as data. The recorder reads those bytes after the call; the replayer
//! puts them back. Sources: the man page of each call, and the kernel's uapi headers for sizes.

pub mod ioctl;
pub mod table;

/// One piece of memory that a call writes. Argument numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// So many bytes at the argument, when the call succeeded.
    Fixed(u8, u32),
    /// The same, also when it failed.
    Always(u8, u32),
    /// As many bytes as the call returned.
    Result(u8),
    /// As many bytes as the call returned, and so many more.
    ResultPlus(u8, u32),
    /// As many times so many bytes as the call returned.
    ResultTimes(u8, u32),
    /// As many bytes as another argument says.
    Length(u8, u8),
    /// As many times so many bytes as another argument says.
    Times(u8, u8, u32),
    /// An address: as many bytes as the u32 that another argument points to said before the call; and that u32.
    LengthAt(u8, u8),
    /// Buffers of an iovec array, as many bytes as the call returned; the count is another argument.
    Iovec(u8, u8),
    /// A struct msghdr: name, control data, buffers, lengths.
    Message(u8),
    /// An array of struct mmsghdr, as many as the call returned.
    Messages(u8),
    /// A set of file descriptors, as many bits as argument 0 says.
    Bits(u8),
    /// A byte for each page of the range in arguments 0 and 1.
    Pages(u8),
    /// A struct of a u32 length, padding, and an address with so many bytes (struct ifconf).
    Counted(u8),
    /// The word of a futex, when the operation in argument 1 changes it.
    Futex,
    /// Where clone3(2) puts the descriptor of the child, as the struct clone_args at argument 0 says.
    PidFd,
    /// Not modelled: compare all memory before and after.
    Compare,
}
