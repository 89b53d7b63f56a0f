// SPDX-License-Identifier: Apache-2.0
//! Signals: sets, actions, information.

use super::context::{read_uint, Context, Shown};
use super::flags::{show_enum, show_flags};
use super::number::{address, signal};
use super::ArgClass;
use crate::generated::flags;
use crate::meaning::Dir;
use crate::names::signal_name;
use crate::record::When;

const SIGCHLD: u64 = 17;
/// A set with at least this many of 64 signals is shown by what is missing from it.
const MOSTLY_FULL: u32 = 42;

/// `[USR1 CHLD]`, or `~[KILL STOP]` for a set that has nearly all.
pub(super) fn set(bits: u64, signals: u32) -> String {
    let all = if signals >= 64 { u64::MAX } else { (1 << signals) - 1 };
    let inverse = bits.count_ones() >= MOSTLY_FULL.min(signals * 2 / 3).max(1);
    let listed = if inverse { !bits & all } else { bits };
    let name = |number: u32| match signal_name(number) {
        Some(name) => name.trim_start_matches("SIG").to_owned(),
        None => number.to_string(),
    };
    let words: Vec<String> = (1..=signals.min(64)).filter(|number| listed >> (number - 1) & 1 == 1).map(name).collect();
    format!("{}[{}]", if inverse { "~" } else { "" }, words.join(" "))
}

/// A pointer to a set.
pub(super) fn set_arg(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let bytes = &context.part(index, dir.when(), 0)?.bytes;
    let width = bytes.len().min(8);
    let bits = read_uint(bytes, 0, width)?;
    let text = set(bits, u32::try_from(width * 8).unwrap_or(64));
    Some(Shown::new(text, ArgClass::Signal, true))
}

/// `{sa_handler=0x…, sa_mask=[], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x…}`.
pub(super) fn action(context: &Context<'_>, index: usize) -> Option<Shown> {
    // The new action is the call's second argument, the old one its third.
    let when = if index == 1 { When::Entry } else { When::Exit };
    let bytes = &context.part(index, when, 0)?.bytes;
    let field = |number: usize| read_uint(bytes, number * 8, 8);
    let handler = match field(0)? {
        0 => "SIG_DFL".to_owned(),
        1 => "SIG_IGN".to_owned(),
        u64::MAX => "SIG_ERR".to_owned(),
        other => format!("{other:#x}"),
    };
    let (bits, restorer, mask) = (field(1)?, field(2)?, field(3)?);
    let restorer = match bits & 0x400_0000 {
        0 => String::new(),
        _ => format!(", sa_restorer={}", address(restorer).text),
    };
    let flags = show_flags(&flags::SA_FLAGS, bits);
    let text = format!("{{sa_handler={handler}, sa_mask={}, sa_flags={flags}{restorer}}}", set(mask, 64));
    Some(Shown::new(text, ArgClass::Struct, false))
}

/// What the kernel says of a signal, by signal and code.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
pub(super) fn info(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Exit, 0).or_else(|| context.part(index, When::Entry, 0))?;
    let field = |offset: usize| read_uint(&blob.bytes, offset, 4);
    let (number, code) = (field(0)?, field(8)?);
    if number == 0 {
        return Some(Shown::new("{}", ArgClass::Struct, false));
    }
    let child = number == SIGCHLD && (1..=6).contains(&code);
    let table = if child { &flags::SI_CODES_CHILD } else { &flags::SI_CODES };
    let mut words = vec![format!("si_signo={}", signal(number)), format!("si_code={}", show_enum(table, code))];
    if field(4)? != 0 {
        words.push(format!("si_errno={}", field(4)? as u32 as i32));
    }
    if child || matches!(code as u32 as i32, 0 | -1 | -6) {
        words.push(format!("si_pid={}, si_uid={}", field(16)?, field(20)?));
    }
    if child {
        let status = if code == 1 { (field(24)? as u32 as i32).to_string() } else { signal(field(24)?) };
        let (user, system) = (read_uint(&blob.bytes, 32, 8)?, read_uint(&blob.bytes, 40, 8)?);
        words.push(format!("si_status={status}, si_utime={user}, si_stime={system}"));
    } else if code as u32 as i32 == -1 {
        words.push(format!("si_int={}, si_ptr={}", field(24)? as u32 as i32, address(read_uint(&blob.bytes, 24, 8)?).text));
    }
    Some(Shown::new(format!("{{{}}}", words.join(", ")), ArgClass::Struct, false))
}
