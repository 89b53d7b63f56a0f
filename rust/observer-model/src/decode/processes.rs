// SPDX-License-Identifier: Apache-2.0
//! Processes: argument vectors, clone, wait status, capabilities, CPU sets, priorities, execution domains.

use super::context::{read_uint, Context, Shown};
use super::flags::{name_of, show_enum, show_flags};
use super::number::{address, hex, signal};
use super::text::quote;
use super::{files, ArgClass};
use crate::generated::flags;
use crate::meaning::Special;
use crate::record::{flags as record_flags, When};

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_TID: u64 = 0x120_0000;

/// `["ls", "-l"]`.
pub(super) fn argv(context: &Context<'_>, index: usize) -> Option<Shown> {
    let mut words: Vec<String> = context.following(index, When::Entry).map(|blob| quote(&blob.bytes, blob.truncated)).collect();
    let cut = context.part(index, When::Entry, 0).is_some_and(|blob| blob.truncated);
    let unreadable = context.rec.flags & record_flags::MEMORY_UNREADABLE != 0;
    if context.arg(index) == 0 || (words.is_empty() && unreadable) {
        return None;
    }
    if cut {
        words.push("...".to_owned());
    }
    Some(Shown::new(format!("[{}]", words.join(", ")), ArgClass::Text, true))
}

/// `0x7ffc… /* 23 vars */`: the environment is counted, not shown.
pub(super) fn envp(context: &Context<'_>, index: usize) -> Option<Shown> {
    let count = read_uint(&context.part(index, When::Entry, 0)?.bytes, 0, 4)?;
    let plural = if count == 1 { "" } else { "s" };
    Some(Shown::new(format!("{} /* {count} var{plural} */", hex(context.arg(index))), ArgClass::Address, false))
}

/// clone's registers under the names strace gives them.
pub(super) fn clone_register(context: &Context<'_>, index: usize, special: Special) -> Shown {
    let value = context.arg(index);
    let parent = || context.part(index, When::Exit, 0).and_then(|blob| read_uint(&blob.bytes, 0, 4));
    match special {
        Special::CloneFlags => Shown::new(format!("flags={}", clone_flags(value)), ArgClass::Flags, true),
        Special::CloneParentTid => match parent() {
            Some(tid) => Shown::new(format!("parent_tid=[{tid}]"), ArgClass::Struct, false),
            None => named_address("parent_tid", value),
        },
        Special::CloneChildTid => named_address("child_tidptr", value),
        Special::CloneTls => named_address("tls", value),
        _ => named_address("child_stack", value),
    }
}

fn named_address(name: &str, value: u64) -> Shown {
    let shown = address(value);
    Shown::new(format!("{name}={}", shown.text), ArgClass::Address, shown.stable)
}

/// The low byte is the signal sent at the child's end.
fn clone_flags(value: u64) -> String {
    let (bits, exit_signal) = (value & 0xffff_ff00, value & 0xff);
    match (bits, exit_signal) {
        (_, 0) => show_flags(&flags::CLONE_FLAGS, bits),
        (0, _) => signal(exit_signal),
        _ => format!("{}|{}", show_flags(&flags::CLONE_FLAGS, bits), signal(exit_signal)),
    }
}

/// clone3's structure; of the ids, those that its flags make the kernel use.
pub(super) fn clone_args(context: &Context<'_>, index: usize) -> Option<Shown> {
    let bytes = &context.part(index, When::Entry, 0)?.bytes;
    let field = |number: usize| read_uint(bytes, number * 8, 8);
    let wanted = field(0)?;
    let mut words = vec![format!("flags={}", show_flags(&flags::CLONE3_FLAGS, wanted))];
    for (name, bit, number) in
        [("pidfd", CLONE_PIDFD, 1), ("child_tid", CLONE_CHILD_TID, 2), ("parent_tid", CLONE_PARENT_SETTID, 3)]
    {
        if wanted & bit != 0 {
            words.push(format!("{name}={}", address(field(number)?).text));
        }
    }
    words.push(format!("exit_signal={}", signal(field(4)?)));
    words.push(format!("stack={}", address(field(5)?).text));
    words.push(format!("stack_size={}", hex(field(6)?)));
    if wanted & CLONE_SETTLS != 0 {
        words.push(format!("tls={}", address(field(7)?).text));
    }
    let mut text = format!("{{{}}}", words.join(", "));
    // The kernel writes the child's id, as the caller sees it, to *parent_tid: the same number as the result.
    if wanted & CLONE_PARENT_SETTID != 0 && context.rec.result > 0 {
        text.push_str(&format!(" => {{parent_tid=[{}]}}", context.rec.result));
    }
    Some(Shown::new(text, ArgClass::Struct, false))
}

/// `[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]`, when a child was found.
pub(super) fn wait_status(context: &Context<'_>, index: usize) -> Option<Shown> {
    let status = read_uint(&context.part(index, When::Exit, 0)?.bytes, 0, 4)?;
    if context.rec.result <= 0 {
        return None;
    }
    Some(Shown::new(format!("[{{{}}}]", status_text(status)), ArgClass::Struct, true))
}

fn status_text(status: u64) -> String {
    let (low, high) = (status & 0x7f, status >> 8 & 0xff);
    let event = status >> 16;
    match (status & 0xff, low) {
        _ if status == 0xffff => "WIFCONTINUED(s)".to_owned(),
        (0x7f, _) if event != 0 => format!("WIFSTOPPED(s) && WSTOPSIG(s) == {} | {event}<<8", signal(high)),
        (0x7f, _) if high & 0x80 != 0 => format!("WIFSTOPPED(s) && WSTOPSIG(s) == {} | 0x80", signal(high & 0x7f)),
        (0x7f, _) => format!("WIFSTOPPED(s) && WSTOPSIG(s) == {}", signal(high)),
        (_, 0) => format!("WIFEXITED(s) && WEXITSTATUS(s) == {high}"),
        _ => {
            let core = if status & 0x80 == 0 { "" } else { " && WCOREDUMP(s)" };
            format!("WIFSIGNALED(s) && WTERMSIG(s) == {}{core}", signal(low))
        }
    }
}

/// `{effective=1<<CAP_KILL, permitted=…, inheritable=0}`.
pub(super) fn capabilities(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Exit, 0).or_else(|| context.part(index, When::Entry, 0))?;
    let word = |number: usize| read_uint(&blob.bytes, number * 4, 4).unwrap_or(0);
    read_uint(&blob.bytes, 0, 12)?;
    let set = |number: usize| capability_bits(word(number) | word(number + 3) << 32);
    let text = format!("{{effective={}, permitted={}, inheritable={}}}", set(0), set(1), set(2));
    Some(Shown::new(text, ArgClass::Struct, true))
}

fn capability_bits(set: u64) -> String {
    let name = |bit: u64| match name_of(flags::CAPABILITIES.values, bit) {
        Some(name) => format!("1<<{name}"),
        None => hex(1 << bit),
    };
    let words: Vec<String> = (0..64).filter(|bit| set >> bit & 1 == 1).map(name).collect();
    if words.is_empty() {
        "0".to_owned()
    } else {
        words.join("|")
    }
}

/// `[0 1]`.
pub(super) fn cpu_set(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Exit, 0).or_else(|| context.part(index, When::Entry, 0))?;
    Some(Shown::new(format!("[{}]", files::bits(&blob.bytes, u32::MAX)), ArgClass::Int, true))
}

/// `IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4)`.
pub(super) fn io_priority(value: u64) -> String {
    format!("IOPRIO_PRIO_VALUE({}, {})", show_enum(&flags::IOPRIO_CLASSES, value >> 13), value & 0x1fff)
}

pub(super) fn io_priority_arg(context: &Context<'_>, index: usize) -> Shown {
    Shown::new(io_priority(u64::from(context.low(index))), ArgClass::Flags, true)
}

/// All ones ask for the present domain without changing it.
pub(super) fn personality(context: &Context<'_>, index: usize) -> Shown {
    let text = match context.low(index) {
        u32::MAX => hex(0xffff_ffff),
        value => show_flags(&flags::PERSONALITIES, u64::from(value)),
    };
    Shown::new(text, ArgClass::Flags, true)
}
