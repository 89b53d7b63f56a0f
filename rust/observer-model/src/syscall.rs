// SPDX-License-Identifier: Apache-2.0
//! What the syscall table says of a call: name, arguments, return value, memory to read. The tables are generated
//! (`tools/gen_syscalls.py`); looking one up is an array index.

use crate::fetch::Fetch;
use crate::generated;
use crate::meaning::{Arg, Ret, Variants};

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

/// How far a call is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Every argument and the result have their meaning.
    Full,
    /// Some arguments are bare numbers or addresses.
    Partly,
    /// Name and number of arguments; their values as the C types say.
    Name,
}

impl Depth {
    /// Lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Depth::Full => "full",
            Depth::Partly => "partly",
            Depth::Name => "name",
        }
    }
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
    /// How far it is understood; `Full` exactly when `fully_decoded`.
    pub depth: Depth,
    /// Order in which arguments are shown; empty for their own order.
    pub shown: &'static [u8],
    /// Meanings by command, for calls that multiplex.
    pub variants: Option<&'static Variants>,
}

impl Syscall {
    /// Meaning of the result for these argument registers.
    #[must_use]
    pub fn ret_for(&self, args: &[u64; 6]) -> Ret {
        self.variants.and_then(|variants| variants.find(args)).map_or(self.ret, |variant| variant.ret)
    }

    /// Argument `index` for these argument registers; None when it has no meaning in this call.
    #[must_use]
    pub fn arg_for(&self, index: usize, args: &[u64; 6]) -> Option<&'static Arg> {
        let from = self.variants.map_or(usize::MAX, |variants| usize::from(variants.from));
        match self.variants.and_then(|variants| variants.find(args)) {
            Some(variant) if index >= from => variant.args.get(index - from).filter(|arg| arg.cond.holds(args)),
            _ => self.args.get(index).filter(|arg| arg.cond.holds(args)),
        }
    }
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
