// SPDX-License-Identifier: Apache-2.0
//! Files and descriptors: stat, directory entries, descriptor sets, scattered buffers, ioctl requests.

use super::context::{read_uint, Context, Shown};
use super::flags::{name_of, show_flags};
use super::number::{device, file_mode, hex, octal_mode};
use super::text::quote;
use super::ArgClass;
use crate::generated::{flags, structs};
use crate::meaning::{Dir, StructDef};
use crate::record::{Blob, When};
use crate::syscall::Arch;

/// O_CREAT and the bit of its own of O_TMPFILE.
const O_CREATES: u64 = 0o100 | 0o20_000_000;

fn stat_layout(arch: Arch) -> &'static StructDef {
    match arch {
        Arch::X86_64 => &structs::STAT,
        Arch::Aarch64 => &structs::STAT_AARCH64,
    }
}

/// `{st_mode=S_IFREG|0644, st_size=10, ...}`; devices show their number in place of a size.
pub(super) fn stat(context: &Context<'_>, index: usize) -> Option<Shown> {
    let bytes = &context.part(index, When::Exit, 0)?.bytes;
    let value = |name: &str| {
        let field = stat_layout(context.arch).fields.iter().find(|field| field.name == name)?;
        read_uint(bytes, usize::from(field.offset), usize::from(field.width))
    };
    let mode = value("st_mode")?;
    let second = match mode & 0o170_000 {
        0o020_000 | 0o060_000 => format!("st_rdev={}", device(value("st_rdev")?)),
        _ => format!("st_size={}", value("st_size")?),
    };
    let text = format!("{{st_mode={}, {second}, ...}}", file_mode(mode));
    Some(Shown::new(text, ArgClass::Struct, false))
}

/// The buffer's address and how many entries the kernel put there.
pub(super) fn dirents(context: &Context<'_>, index: usize) -> Option<Shown> {
    if context.failed() {
        return None;
    }
    let address = context.arg(index);
    let (bytes, truncated) = match context.part(index, When::Exit, 0) {
        Some(blob) => (blob.bytes.as_slice(), blob.truncated),
        None if context.rec.result == 0 => (&[][..], false),
        None => return None,
    };
    let (mut at, mut count) = (0usize, 0usize);
    while let Some(length) = read_uint(bytes, at + 16, 2) {
        at += usize::try_from(length).unwrap_or(0).max(19);
        count += 1;
    }
    let more = if truncated { "+" } else { "" };
    Some(Shown::new(format!("{} /* {count}{more} entries */", hex(address)), ArgClass::Data, false))
}

/// Events of each descriptor of poll, from what the caller asked.
pub(super) fn poll_fds(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Entry, 0)?;
    let each = |(fd, events, _): (i32, u64, u64)| match fd {
        0.. => format!("{{fd={fd}, events={}}}", show_flags(&flags::POLL_EVENTS, events)),
        _ => format!("{{fd={fd}}}"),
    };
    let mut words: Vec<String> = poll_entries(blob).map(each).collect();
    if blob.truncated {
        words.push("...".to_owned());
    }
    Some(Shown::new(format!("[{}]", words.join(", ")), ArgClass::Fd, true))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn poll_entries(blob: &Blob) -> impl Iterator<Item = (i32, u64, u64)> + '_ {
    blob.bytes.chunks_exact(8).filter_map(|entry| {
        let field = |offset, width| read_uint(entry, offset, width);
        Some((field(0, 4)? as u32 as i32, field(4, 2)?, field(6, 2)?))
    })
}

/// `[{fd=3, revents=POLLIN}]`: what poll found.
pub(super) fn poll_found(blob: &Blob) -> String {
    let ready = poll_entries(blob).filter(|(_, _, found)| *found != 0);
    let words: Vec<String> =
        ready.map(|(fd, _, found)| format!("{{fd={fd}, revents={}}}", show_flags(&flags::POLL_EVENTS, found))).collect();
    format!("[{}]", words.join(", "))
}

/// `[3 6]`: the descriptors in a set of select.
pub(super) fn fd_set(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = match context.part(index, When::Entry, 0) {
        Some(blob) => bits(&blob.bytes, context.low(0)),
        None if context.arg(index) != 0 && context.low(0) == 0 => String::new(),
        None => return None,
    };
    Some(Shown::new(format!("[{blob}]"), ArgClass::Fd, true))
}

/// Numbers of the set bits below `limit`, separated by spaces.
pub(super) fn bits(bytes: &[u8], limit: u32) -> String {
    let set = |bit: &u32| {
        let byte = bytes.get((*bit / 8) as usize).copied().unwrap_or(0);
        byte >> (*bit % 8) & 1 == 1
    };
    let end = limit.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_mul(8));
    let words: Vec<String> = (0..end).filter(set).map(|bit| bit.to_string()).collect();
    words.join(" ")
}

/// `[{iov_base="ab", iov_len=2}]`.
pub(super) fn iovec(context: &Context<'_>, index: usize, dir: Dir) -> Option<Shown> {
    let text = buffers(context, index, dir.when(), 0)?;
    Some(Shown::new(text, ArgClass::Data, dir == Dir::In))
}

/// An iovec array that is part `base` of an argument, its buffers being the parts after it.
pub(super) fn buffers(context: &Context<'_>, index: usize, when: When, base: u16) -> Option<String> {
    let array = context.part(index, when, base)?;
    let mut words = Vec::new();
    for (number, entry) in array.bytes.chunks_exact(16).enumerate() {
        let part = u16::try_from(number).ok().and_then(|number| base.checked_add(number)?.checked_add(1))?;
        let (address, length) = (read_uint(entry, 0, 8)?, read_uint(entry, 8, 8)?);
        let content = match context.part(index, when, part) {
            Some(blob) => quote(&blob.bytes, blob.truncated),
            None if address == 0 => "NULL".to_owned(),
            None => "\"\"".to_owned(),
        };
        words.push(format!("{{iov_base={content}, iov_len={length}}}"));
    }
    if array.truncated {
        words.push("...".to_owned());
    }
    Some(format!("[{}]", words.join(", ")))
}

/// Name of an ioctl request, or its direction, type, number and size.
pub(super) fn ioctl_request(value: u64) -> Shown {
    let request = value & 0xffff_ffff;
    let text = match name_of(flags::IOCTL_REQUESTS.values, request) {
        Some(name) => name.to_owned(),
        None => {
            let direction = match request >> 30 {
                0 => "_IOC_NONE",
                1 => "_IOC_WRITE",
                2 => "_IOC_READ",
                _ => "_IOC_READ|_IOC_WRITE",
            };
            let (kind, number, size) = (request >> 8 & 0xff, request & 0xff, request >> 16 & 0x3fff);
            format!("_IOC({direction}, {}, {}, {})", hex(kind), hex(number), hex(size))
        }
    };
    Shown::new(text, ArgClass::Flags, true)
}

/// Bytes without meaning as text, each as `\x..` (random data).
pub(super) fn hex_data(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Exit, 0)?;
    let body: String = blob.bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let more = if blob.truncated { "..." } else { "" };
    Some(Shown::new(format!("\"{body}\"{more}"), ArgClass::Data, false))
}

/// How openat2 opens; the mode only where it counts.
pub(super) fn open_how(context: &Context<'_>, index: usize) -> Option<Shown> {
    let bytes = &context.part(index, When::Entry, 0)?.bytes;
    let (bits, mode) = (read_uint(bytes, 0, 8)?, read_uint(bytes, 8, 8)?);
    let table = match context.arch {
        Arch::X86_64 => &flags::OPEN_FLAGS,
        Arch::Aarch64 => &flags::OPEN_FLAGS_AARCH64,
    };
    let mode = if mode == 0 && bits & O_CREATES == 0 { String::new() } else { format!(", mode={}", octal_mode(mode)) };
    let resolve = read_uint(bytes, 16, 8).map(|bits| show_flags(&flags::RESOLVE_FLAGS, bits));
    let resolve = resolve.map_or_else(String::new, |names| format!(", resolve={names}"));
    Some(Shown::new(format!("{{flags={}{mode}{resolve}}}", show_flags(table, bits)), ArgClass::Flags, true))
}

/// Options of a mount as text, where the flags let them be text.
pub(super) fn mount_data(context: &Context<'_>, index: usize) -> Option<Shown> {
    let blob = context.part(index, When::Entry, 0)?;
    Some(Shown::new(quote(&blob.bytes, blob.truncated), ArgClass::Text, true))
}
