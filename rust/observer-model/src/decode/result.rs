// SPDX-License-Identifier: Apache-2.0
//! The result: number, error with its message, address, or what the kernel's restart codes mean.

use super::context::{read_uint, Context, Shown};
use super::flags::{show_enum, show_flags};
use super::{files, memory, number, processes, times, ArgClass};
use crate::generated::structs;
use crate::meaning::Ret;
use crate::names::{errno_message, errno_name};
use crate::record::{flags, SyscallRecord, When};
use crate::syscall::{Arch, Syscall};

/// First of the kernel's own restart codes, which a program never sees.
const FIRST_RESTART: u16 = 512;

/// Shows the result of a call.
pub(super) fn show(arch: Arch, rec: &SyscallRecord, call: Option<&'static Syscall>) -> Shown {
    let ret = call.map_or(Ret::Int, |known| known.ret_for(&rec.args));
    if rec.flags & flags::NO_RESULT != 0 || ret == Ret::Never {
        return Shown::new("?", ArgClass::Int, true);
    }
    if let Some(errno) = rec.errno() {
        return Shown::new(failure(errno), ArgClass::Int, true);
    }
    let stable = !matches!(ret, Ret::Address | Ret::Pid | Ret::Time | Ret::Id | Ret::CountLeft);
    let mut text = plain(rec, ret);
    if let Some(note) = call.and_then(|known| explain(&Context::new(arch, rec, known), ret)) {
        text = format!("{text} ({note})");
        return Shown::new(text, ArgClass::Int, stable && !matches!(ret, Ret::SelectCount | Ret::PollCount));
    }
    Shown::new(text, ArgClass::Int, stable)
}

#[allow(clippy::cast_sign_loss)]
fn plain(rec: &SyscallRecord, ret: Ret) -> String {
    let value = rec.result as u64;
    match ret {
        Ret::Address | Ret::Hex | Ret::Bits(_) | Ret::FileFlags(_) => number::hex(value),
        Ret::Named(table) if table.name == "lease_types" => number::hex(value),
        Ret::Mode => number::octal_mode(value),
        _ => rec.result.to_string(),
    }
}

/// What stands in brackets after the number.
#[allow(clippy::cast_sign_loss)]
fn explain(context: &Context<'_>, ret: Ret) -> Option<String> {
    let value = context.rec.result as u64;
    match ret {
        Ret::Named(table) if table.mask == 0 => Some(show_enum(table, value)),
        Ret::Named(table) => Some(show_flags(table, value)),
        Ret::Bits(table) if value != 0 || table.mask != 0 => Some(show_flags(table, value)),
        Ret::FileFlags(table) if value != 0 => Some(format!("flags {}", show_flags(table, value))),
        Ret::Signal if value != 0 => Some(number::signal(value)),
        Ret::IoPriority => Some(processes::io_priority(value)),
        Ret::Time if context.call.name == "time" => Some(times::date(context.rec.result, 0, 1)),
        Ret::PollCount | Ret::SelectCount if value == 0 => Some("Timeout".to_owned()),
        Ret::PollCount => poll(context),
        Ret::SelectCount => select(context),
        Ret::CountLeft => left(context, 4),
        _ => None,
    }
}

fn poll(context: &Context<'_>) -> Option<String> {
    let found = files::poll_found(context.part(0, When::Exit, 0)?);
    match left(context, 2) {
        Some(left) => Some(format!("{found}, {left}")),
        None => Some(found),
    }
}

fn select(context: &Context<'_>) -> Option<String> {
    let mut words = Vec::new();
    for (index, name) in [(1, "in"), (2, "out"), (3, "except")] {
        let ready = context.part(index, When::Exit, 0).map(|blob| files::bits(&blob.bytes, context.low(0)));
        if let Some(ready) = ready.filter(|ready| !ready.is_empty()) {
            words.push(format!("{name} [{ready}]"));
        }
    }
    words.extend(left(context, 4));
    (!words.is_empty()).then(|| words.join(", "))
}

/// What the kernel left of a timeout.
fn left(context: &Context<'_>, index: usize) -> Option<String> {
    let blob = context.part(index, When::Exit, 0)?;
    read_uint(&blob.bytes, 0, 16)?;
    let layout = if context.call.name == "select" { &structs::TIMEVAL } else { &structs::TIMESPEC };
    Some(format!("left {}", memory::structure(layout, &blob.bytes, context.arch)?))
}

/// `-1 ENOENT (No such file or directory)`, or `? ERESTARTSYS (To be restarted …)`.
fn failure(errno: u16) -> String {
    let start = if errno >= FIRST_RESTART && errno_name(errno).is_some() { "?" } else { "-1" };
    match (errno_name(errno), errno_message(errno)) {
        (Some(name), Some(message)) => format!("{start} {name} ({message})"),
        _ => format!("{start} (errno {errno})"),
    }
}
