// SPDX-License-Identifier: Apache-2.0
//! Arguments that are numbers: descriptors, ids, modes, sizes, addresses, signals, named bits.

use super::context::Shown;
use super::flags::{show_enum, show_flags};
use super::ArgClass;
use crate::meaning::ArgType;
use crate::names::signal_name;

/// Below this nothing is mapped (vm.mmap_min_addr).
const FIRST_ADDRESS: u64 = 0x1_0000;

/// C's `%#x`: zero has no prefix.
pub(super) fn hex(value: u64) -> String {
    if value == 0 {
        "0".to_owned()
    } else {
        format!("{value:#x}")
    }
}

/// C's `%#o` with at least three digits, as modes are written.
pub(super) fn octal_mode(value: u64) -> String {
    if value == 0 {
        return "000".to_owned();
    }
    format!("{:0>3}", format!("0{value:o}"))
}

/// NULL or the address.
pub(super) fn address(value: u64) -> Shown {
    let text = if value == 0 { "NULL".to_owned() } else { format!("{value:#x}") };
    Shown::new(text, ArgClass::Address, value == 0)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn int(value: u64) -> i32 {
    value as i32
}

fn low(value: u64) -> u64 {
    value & 0xffff_ffff
}

/// User or group id; all ones mean "leave as it is".
pub(super) fn user(value: u64) -> String {
    if low(value) == 0xffff_ffff {
        "-1".to_owned()
    } else {
        low(value).to_string()
    }
}

/// `SIGTERM`, or the number.
pub(super) fn signal(value: u64) -> String {
    let known = u32::try_from(low(value)).ok().and_then(signal_name);
    known.unwrap_or_else(|| int(value).to_string())
}

/// `S_IFREG|S_ISUID|0755`.
pub(super) fn file_mode(value: u64) -> String {
    let kinds: [(&str, u64); 7] = [
        ("S_IFREG", 0o100_000),
        ("S_IFSOCK", 0o140_000),
        ("S_IFIFO", 0o010_000),
        ("S_IFLNK", 0o120_000),
        ("S_IFDIR", 0o040_000),
        ("S_IFBLK", 0o060_000),
        ("S_IFCHR", 0o020_000),
    ];
    let Some(kind) = super::flags::name_of(&kinds, value & 0o170_000) else {
        return octal_mode(value & 0xffff);
    };
    let mut text = kind.to_owned();
    for (name, bit) in [("S_ISUID", 0o4000), ("S_ISGID", 0o2000), ("S_ISVTX", 0o1000)] {
        if value & bit != 0 {
            text.push('|');
            text.push_str(name);
        }
    }
    format!("{text}|{}", octal_mode(value & 0o777))
}

/// `makedev(0x8, 0x1)`; the encoding of 64-bit device numbers in user space.
pub(super) fn device(value: u64) -> String {
    let major = (value >> 8 & 0xfff) | (value >> 32 & 0xffff_f000);
    let minor = (value & 0xff) | (value >> 12 & 0xffff_ff00);
    format!("makedev({}, {})", hex(major), hex(minor))
}

/// A limit: infinity, a multiple of 1024, or the number.
pub(super) fn limit(value: u64) -> String {
    match value {
        u64::MAX => "RLIM64_INFINITY".to_owned(),
        _ if value > 1024 && value.is_multiple_of(1024) => format!("{}*1024", value / 1024),
        _ => value.to_string(),
    }
}

fn named(ty: ArgType, value: u64) -> Option<String> {
    match ty {
        ArgType::Flags(table) => Some(show_flags(table, value)),
        ArgType::Enum(table) => Some(show_enum(table, low(value))),
        _ => None,
    }
}

/// Shows an argument by its register alone; what needs memory that is not there is an address.
#[allow(clippy::cast_possible_wrap)]
pub(super) fn show(ty: ArgType, value: u64) -> Shown {
    let (text, class) = match ty {
        ArgType::Int => (int(value).to_string(), ArgClass::Int),
        ArgType::Uint => (low(value).to_string(), ArgClass::Int),
        ArgType::Long => ((value as i64).to_string(), ArgClass::Int),
        ArgType::Ulong => (value.to_string(), ArgClass::Int),
        ArgType::Hex => (hex(value), ArgClass::Int),
        ArgType::Octal => (octal_mode(value), ArgClass::Int),
        ArgType::Fd => (int(value).to_string(), ArgClass::Fd),
        ArgType::DirFd if int(value) == -100 => ("AT_FDCWD".to_owned(), ArgClass::Fd),
        ArgType::DirFd => (int(value).to_string(), ArgClass::Fd),
        // A large number may be an address, which differs from run to run.
        ArgType::Any => return Shown::new(hex(value), ArgClass::Int, value < FIRST_ADDRESS),
        ArgType::Pid => return Shown::new(int(value).to_string(), ArgClass::Pid, int(value) <= 0),
        ArgType::Uid | ArgType::Gid => (user(value), ArgClass::User),
        ArgType::Mode => (octal_mode(value & 0xffff), ArgClass::Flags),
        ArgType::FileMode => (file_mode(value), ArgClass::Flags),
        ArgType::Dev => (device(value), ArgClass::Int),
        ArgType::Size => (value.to_string(), ArgClass::Size),
        ArgType::Offset => ((value as i64).to_string(), ArgClass::Size),
        ArgType::Signal => (signal(value), ArgClass::Signal),
        ArgType::Rlim => (limit(value), ArgClass::Int),
        ArgType::Flags(_) | ArgType::Enum(_) => (named(ty, value).unwrap_or_default(), ArgClass::Flags),
        _ => return address(value),
    };
    Shown::new(text, class, true)
}
