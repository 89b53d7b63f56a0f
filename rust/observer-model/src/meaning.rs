// SPDX-License-Identifier: Apache-2.0
//! The words of the syscall table: what an argument or a result is, names of bits and values, layouts of structures.

use crate::fetch::Cond;
use crate::record::When;

/// What a call's result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// A number.
    Int,
    /// Nothing but success.
    Zero,
    /// A new or found file descriptor.
    Fd,
    /// A count of bytes or things.
    Size,
    /// A position in a file.
    Offset,
    /// A process or thread id.
    Pid,
    /// A user id.
    Uid,
    /// A group id.
    Gid,
    /// An address.
    Address,
    /// A point in time or a number of clock ticks.
    Time,
    /// File mode bits, in octal (umask).
    Mode,
    /// Bits shown as a hexadecimal number.
    Hex,
    /// An identifier of a System V object or key, or a counter that varies.
    Id,
    /// Ready descriptors of poll: the result is explained by the array.
    PollCount,
    /// Ready descriptors of select: the result is explained by the sets.
    SelectCount,
    /// A signal number.
    Signal,
    /// A CPU priority as the kernel biases it, or an I/O priority.
    IoPriority,
    /// One of named values: `3 (SCHED_BATCH)`.
    Named(&'static FlagTable),
    /// Named bits: `0x10 (SECBIT_KEEP_CAPS)`.
    Bits(&'static FlagTable),
    /// Named bits of a descriptor: `0x1 (flags FD_CLOEXEC)`.
    FileFlags(&'static FlagTable),
    /// Messages or events, with the time left of the timeout.
    CountLeft,
    /// The call does not return to where it was made.
    Never,
}

/// Whether memory behind a pointer is read by the kernel, written by it, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dir {
    /// The kernel reads it.
    In,
    /// The kernel writes it.
    Out,
    /// Both.
    InOut,
}

impl Dir {
    /// When its meaningful content is captured.
    #[must_use]
    pub fn when(self) -> When {
        if self == Dir::In {
            When::Entry
        } else {
            When::Exit
        }
    }
}

/// Names of the values or bits of a number.
#[derive(Debug, PartialEq, Eq)]
pub struct FlagTable {
    /// Table name in the data files.
    pub name: &'static str,
    /// What an unknown value is marked with, as in `0x40 /* PROT_??? */`.
    pub unknown: &'static str,
    /// Bits that hold one of `choices`; 0 when all bits are independent.
    pub mask: u64,
    /// Name of the shift when bits 26 to 31 hold the logarithm of a huge page's size; empty otherwise.
    pub huge: &'static str,
    /// Names of the values under `mask`.
    pub choices: &'static [(&'static str, u64)],
    /// Names and values in order of printing.
    pub values: &'static [(&'static str, u64)],
}

/// One field of a structure.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Name as in the C structure.
    pub name: &'static str,
    /// Bytes from the structure's start.
    pub offset: u16,
    /// Width in bytes (1, 2, 4 or 8); 0 for a nested structure.
    pub width: u8,
    /// How many such values follow each other; more than 1 is shown as an array.
    pub count: u8,
    /// The value is signed.
    pub signed: bool,
    /// How to show it; only types that need no memory of their own.
    pub ty: ArgType,
}

/// A structure as the kernel's ABI lays it out.
#[derive(Debug, PartialEq, Eq)]
pub struct StructDef {
    /// C name without `struct`.
    pub name: &'static str,
    /// Size in bytes.
    pub size: u16,
    /// Fields in order of printing.
    pub fields: &'static [Field],
    /// Only some fields are shown; text ends in `...`.
    pub abridged: bool,
    /// Equal runs of a program pass equal content: no addresses, times, ids in it.
    pub stable: bool,
}

/// What an argument is, and so how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// Signed 32-bit number.
    Int,
    /// Unsigned 32-bit number.
    Uint,
    /// Signed 64-bit number.
    Long,
    /// Unsigned 64-bit number.
    Ulong,
    /// Bits without names, hexadecimal.
    Hex,
    /// Number or pointer, nobody knows; shown in hexadecimal.
    Any,
    /// Bits without names, octal.
    Octal,
    /// File descriptor.
    Fd,
    /// Directory descriptor or AT_FDCWD.
    DirFd,
    /// Process, thread, process-group or session id.
    Pid,
    /// User id.
    Uid,
    /// Group id.
    Gid,
    /// Permission bits.
    Mode,
    /// File type and permission bits.
    FileMode,
    /// Device number.
    Dev,
    /// Count of bytes.
    Size,
    /// Position in a file.
    Offset,
    /// Signal number.
    Signal,
    /// A resource limit.
    Rlim,
    /// Pointer that is not followed.
    Address,
    /// Set of named bits.
    Flags(&'static FlagTable),
    /// One of named values.
    Enum(&'static FlagTable),
    /// Path, NUL-terminated.
    Path,
    /// Other NUL-terminated text.
    Text,
    /// Path the kernel writes (getcwd, readlink); as long as the result says.
    PathOut,
    /// Text of fixed width that the kernel writes.
    TextOut,
    /// Bytes of program data.
    Data(Dir),
    /// One structure.
    Struct(&'static StructDef, Dir),
    /// Array of structures.
    Array(&'static StructDef, Dir),
    /// Number behind a pointer: `[3]`.
    Number(&'static Field, Dir),
    /// Array of numbers: `[3, 4]`.
    Numbers(&'static Field, Dir),
    /// Its own decoder.
    Special(Special),
}

impl ArgType {
    /// A word for the kind of argument, for listings.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            ArgType::Int | ArgType::Uint | ArgType::Long | ArgType::Ulong | ArgType::Rlim => "number",
            ArgType::Hex | ArgType::Any | ArgType::Octal => "bits",
            ArgType::Fd | ArgType::DirFd => "fd",
            ArgType::Pid => "pid",
            ArgType::Uid | ArgType::Gid => "user",
            ArgType::Mode | ArgType::FileMode => "mode",
            ArgType::Dev => "device",
            ArgType::Size | ArgType::Offset => "size",
            ArgType::Signal => "signal",
            ArgType::Address => "address",
            ArgType::Flags(_) => "flags",
            ArgType::Enum(_) => "choice",
            ArgType::Path | ArgType::PathOut => "path",
            ArgType::Text | ArgType::TextOut => "text",
            ArgType::Data(_) => "data",
            ArgType::Struct(..) => "struct",
            ArgType::Array(..) | ArgType::Numbers(..) => "array",
            ArgType::Number(..) => "pointer to number",
            ArgType::Special(_) => "special",
        }
    }
}

/// Arguments that need code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each names what it decodes
pub enum Special {
    Argv,
    CapData,
    CloneArgs,
    CloneChildTid,
    CloneFlags,
    CloneParentTid,
    CloneStack,
    CloneTls,
    CpuSet,
    Dirents,
    Envp,
    FdSet,
    FutexBits,
    FutexWakeOp,
    HexData,
    IoPriority,
    IoctlRequest,
    Iovec(Dir),
    IpcGetFlags,
    IpcKey,
    MountData,
    Msghdr(Dir),
    OpenHow,
    Personality,
    PollFds,
    Remaining,
    SigAction,
    SigInfo,
    SigSet(Dir),
    SockAddr(Dir),
    SockLen,
    SockOptName,
    SockOptValue(Dir),
    SockProtocol,
    Stat,
    Termios(Dir),
    TimeOut,
    UtimeSpec,
    UtimeVal,
    WaitStatus,
}

/// One argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Name in the kernel's own signature.
    pub name: &'static str,
    /// What it is.
    pub ty: ArgType,
    /// When it means anything at all; a hidden argument is left out, as open's mode without O_CREAT.
    pub cond: Cond,
    /// The kernel looks at the low 32 bits of the register only.
    pub narrow: bool,
}

impl Arg {
    /// The same, of which only the low half counts.
    #[must_use]
    pub const fn narrow(self) -> Arg {
        Arg { narrow: true, ..self }
    }
}

/// What a call's later arguments are under some commands.
#[derive(Debug, PartialEq, Eq)]
pub struct Variant {
    /// Values of the selecting argument.
    pub values: &'static [u64],
    /// Arguments from [`Variants::from`] on; the rest mean nothing.
    pub args: &'static [Arg],
    /// Meaning of the result.
    pub ret: Ret,
}

/// Calls within a call: fcntl, ioctl, prctl, futex and the like give their arguments a meaning by command.
#[derive(Debug, PartialEq, Eq)]
pub struct Variants {
    /// Index of the argument that holds the command.
    pub select: u8,
    /// Bits of it that count.
    pub mask: u64,
    /// First argument that depends on it.
    pub from: u8,
    /// What is known; another command has its arguments as [`Syscall::args`] says.
    pub list: &'static [Variant],
}

impl Variants {
    /// The variant that these argument registers select.
    #[must_use]
    pub fn find(&self, args: &[u64; 6]) -> Option<&'static Variant> {
        let command = args.get(usize::from(self.select))? & self.mask;
        self.list.iter().find(|variant| variant.values.contains(&command))
    }
}
