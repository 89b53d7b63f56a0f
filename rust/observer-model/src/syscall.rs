// SPDX-License-Identifier: Apache-2.0
//! What the syscall table says of a call: name, arguments, return value, memory to read. The tables are generated
//! (`tools/gen_syscalls.py`); looking one up is an array index.

use crate::fetch::{Cond, Fetch};
use crate::generated;
use crate::record::When;

/// Instruction set whose syscall numbers a recording uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// The kernel's name of the machine, as `uname -m` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// The architecture with that `uname -m` name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Arch> {
        [Arch::X86_64, Arch::Aarch64].into_iter().find(|arch| arch.name() == name)
    }
}

/// Set of the families a call belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Classes(pub u16);

impl Classes {
    /// Takes a path.
    pub const FILE: Classes = Classes(1);
    /// Takes or gives a file descriptor.
    pub const DESCRIPTOR: Classes = Classes(2);
    /// Sockets.
    pub const NETWORK: Classes = Classes(4);
    /// Processes, threads, credentials, limits, scheduling.
    pub const PROCESS: Classes = Classes(8);
    /// Address space.
    pub const MEMORY: Classes = Classes(16);
    /// Signals.
    pub const SIGNAL: Classes = Classes(32);
    /// System V and POSIX message queues, semaphores, shared memory, futexes, keys.
    pub const IPC: Classes = Classes(64);
    /// Clocks, timers, sleeping.
    pub const TIME: Classes = Classes(128);
    /// The machine itself: mounts, modules, tracing, reboot, BPF.
    pub const SYSTEM: Classes = Classes(256);

    /// Names and bits, in order.
    pub const NAMES: [(&'static str, Classes); 9] = [
        ("file", Self::FILE),
        ("descriptor", Self::DESCRIPTOR),
        ("network", Self::NETWORK),
        ("process", Self::PROCESS),
        ("memory", Self::MEMORY),
        ("signal", Self::SIGNAL),
        ("ipc", Self::IPC),
        ("time", Self::TIME),
        ("system", Self::SYSTEM),
    ];

    /// Whether any family of `other` is in this set.
    #[must_use]
    pub fn has(self, other: Classes) -> bool {
        self.0 & other.0 != 0
    }

    /// The families by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, bit)| self.has(*bit)).map(|(name, _)| name)
    }
}

/// What a call's result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Depends on fcntl's command.
    Fcntl,
    /// Depends on prctl's option.
    Prctl,
    /// A signal number.
    Signal,
    /// A scheduling policy.
    Policy,
    /// An execution domain.
    Personality,
    /// State of the clock (adjtimex).
    ClockState,
    /// An I/O priority.
    IoPriority,
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
        if self == Dir::In { When::Entry } else { When::Exit }
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
    Dirents64,
    Envp,
    FcntlArg,
    FdSet,
    FutexTimeout,
    FutexVal,
    FutexVal3,
    IoPriority,
    IoctlArg,
    IoctlRequest,
    Iovec(Dir),
    IpcGetFlags,
    IpcKey,
    MountData,
    Msghdr(Dir),
    Personality,
    PollFds,
    PrctlArg,
    PtraceAddr,
    PtraceData,
    Remaining,
    SeccompFlags,
    ShmGetFlags,
    SigAction,
    SigInfo,
    SigSet(Dir),
    SockAddr(Dir),
    SockLen,
    SockOptName,
    SockOptValue(Dir),
    SockProtocol,
    Stat,
    UtimeSpec,
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
}

/// One system call of an architecture.
#[derive(Debug, PartialEq, Eq)]
pub struct Syscall {
    /// Number.
    pub nr: u32,
    /// Name.
    pub name: &'static str,
    /// Arguments, at most 6.
    pub args: &'static [Arg],
    /// Meaning of the result.
    pub ret: Ret,
    /// Memory to read, in order.
    pub fetches: &'static [Fetch],
    /// Families.
    pub classes: Classes,
    /// Every argument and the result are shown with their meaning.
    pub fully_decoded: bool,
    /// Order in which arguments are shown; empty for their own order.
    pub shown: &'static [u8],
}

fn table(arch: Arch) -> &'static [Option<Syscall>] {
    match arch {
        Arch::X86_64 => generated::x86_64::TABLE,
        Arch::Aarch64 => generated::aarch64::TABLE,
    }
}

/// The call with number `nr`; an array index.
#[must_use]
pub fn lookup(arch: Arch, nr: u32) -> Option<&'static Syscall> {
    table(arch).get(nr as usize)?.as_ref()
}

/// The call with that name; a linear search.
#[must_use]
pub fn by_name(arch: Arch, name: &str) -> Option<&'static Syscall> {
    all(arch).find(|call| call.name == name)
}

/// All calls of an architecture by number.
pub fn all(arch: Arch) -> impl Iterator<Item = &'static Syscall> {
    table(arch).iter().filter_map(Option::as_ref)
}
