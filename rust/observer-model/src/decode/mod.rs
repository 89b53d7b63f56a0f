// SPDX-License-Identifier: Apache-2.0
//! Turns a record into text, as strace would show it: `openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3`.
//!
//! Everything here reads bytes that an observed program chose; no input panics, and what cannot be understood is shown
//! as the number it is.

mod context;
mod files;
mod flags;
mod ipc;
mod memory;
mod network;
mod number;
mod processes;
mod result;
mod signals;
mod special;
mod terminal;
mod text;
mod times;

use crate::meaning::{Arg, ArgType};
use crate::record::SyscallRecord;
use crate::syscall::{lookup, Arch, Syscall};
use context::{Context, Shown};

pub use text::quote;

/// What kind of thing an argument is, for filters and digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgClass {
    /// A path in the file system.
    Path,
    /// Other text: names, argument vectors.
    Text,
    /// A file descriptor, or several.
    Fd,
    /// A process, thread, group or session id.
    Pid,
    /// A user or group id.
    User,
    /// An address in the process.
    Address,
    /// A count of bytes or a position.
    Size,
    /// Named bits or one of named values; permission bits.
    Flags,
    /// A signal or set of signals.
    Signal,
    /// Bytes that the program read or wrote.
    Data,
    /// A socket address.
    Socket,
    /// A structure or array.
    Struct,
    /// A time or duration.
    Time,
    /// A number.
    Int,
}

impl ArgClass {
    /// Lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ArgClass::Path => "path",
            ArgClass::Text => "text",
            ArgClass::Fd => "fd",
            ArgClass::Pid => "pid",
            ArgClass::User => "user",
            ArgClass::Address => "address",
            ArgClass::Size => "size",
            ArgClass::Flags => "flags",
            ArgClass::Signal => "signal",
            ArgClass::Data => "data",
            ArgClass::Socket => "socket",
            ArgClass::Struct => "struct",
            ArgClass::Time => "time",
            ArgClass::Int => "int",
        }
    }
}

/// One argument as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedArg {
    /// Name in the kernel's signature.
    pub name: &'static str,
    /// As strace shows it.
    pub text: String,
    /// Kind of thing.
    pub class: ArgClass,
    /// Equal runs of a deterministic program show equal text: no address, time, process id or content written back.
    pub stable: bool,
}

/// A record as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Name of the call; `syscall_0x1d7` when the table does not know the number.
    pub name: String,
    /// Arguments in the order of showing. Those without meaning in this call (open's mode without `O_CREAT`) are left out.
    pub args: Vec<DecodedArg>,
    /// `3`, `-1 ENOENT (No such file or directory)`, `0x7f12…`, `?`.
    pub result: String,
    /// Name of the error, when it failed.
    pub errno: Option<&'static str>,
    /// Equal runs of a deterministic program have an equal result.
    pub result_stable: bool,
}

impl Decoded {
    /// The arguments that do not vary between equal runs, joined; for digests.
    #[must_use]
    pub fn stable_args(&self) -> String {
        let shown = |arg: &DecodedArg| if arg.stable { arg.text.clone() } else { "_".to_owned() };
        self.args.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// The result without what varies between equal runs; for digests.
    #[must_use]
    pub fn stable_result(&self) -> &str {
        if self.result_stable {
            &self.result
        } else {
            "_"
        }
    }
}

impl std::fmt::Display for Decoded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}(", self.name)?;
        for (index, arg) in self.args.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{}", arg.text)?;
        }
        write!(out, ") = {}", self.result)
    }
}

/// Shows a record as text.
#[must_use]
pub fn decode(arch: Arch, rec: &SyscallRecord) -> Decoded {
    let call = lookup(arch, rec.nr);
    let result = result::show(arch, rec, call);
    Decoded {
        name: call.map_or_else(|| format!("syscall_{:#x}", rec.nr), |known| known.name.to_owned()),
        args: call.map_or_else(|| raw_args(rec), |known| known_args(arch, rec, known)),
        errno: rec.errno().and_then(crate::names::errno_name),
        result_stable: result.stable,
        result: result.text,
    }
}

fn raw_args(rec: &SyscallRecord) -> Vec<DecodedArg> {
    const NAMES: [&str; 6] = ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"];
    let shown = |(name, value): (&&'static str, &u64)| DecodedArg {
        name,
        text: number::hex(*value),
        class: ArgClass::Int,
        stable: number::show(ArgType::Any, *value).stable,
    };
    NAMES.iter().zip(&rec.args).map(shown).collect()
}

fn known_args(arch: Arch, rec: &SyscallRecord, call: &'static Syscall) -> Vec<DecodedArg> {
    let context = Context::new(arch, rec, call);
    let in_order: Vec<usize> = match call.shown {
        [] => (0..call.args.len()).collect(),
        order => order.iter().map(|index| usize::from(*index)).collect(),
    };
    let shown = in_order.into_iter().filter_map(|index| {
        let arg = call.arg_for(index, &rec.args)?;
        let shown = show(&context, index, arg);
        Some(DecodedArg { name: arg.name, text: shown.text, class: shown.class, stable: shown.stable })
    });
    shown.collect()
}

fn show(context: &Context<'_>, index: usize, arg: &Arg) -> Shown {
    match arg.ty {
        ArgType::Special(special) => special::show(context, index, special),
        other => memory::show(context, index, other).unwrap_or_else(|| {
            let value = if arg.narrow { u64::from(context.low(index)) } else { context.arg(index) };
            number::show(other, value)
        }),
    }
}
