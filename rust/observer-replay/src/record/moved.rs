// SPDX-License-Identifier: Apache-2.0
//! Bytes that the kernel moves by itself, without passing through the program's memory: sendfile, copy_file_range, splice; and
//! writes into files that are mapped as shared objects.

use crate::record::outputs::{buffers, bytes_at};
use crate::record::special::Objects;
use crate::record::streams::Streams;
use crate::record::task::Call;
use crate::stream::{Effect, TaskId};
use observer_capture::sys::{read_memory, Tid};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// A pipe holds no more than this unless it was made larger.
const PIPE_BYTES: usize = 1 << 20;

/// Descriptors of a moving call: where from, where to, and the argument that points to the offset in the source.
fn ends(nr: u32, args: &[u64; 6]) -> Option<(u64, u64, u64)> {
    match i64::from(nr) {
        libc::SYS_sendfile => Some((args[1], args[0], args[2])),
        libc::SYS_copy_file_range | libc::SYS_splice => Some((args[0], args[2], args[1])),
        libc::SYS_tee => Some((args[0], args[1], 0)),
        _ => None,
    }
}

fn position(tid: Tid, fd: u64) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/{tid}/fdinfo/{}", fd & 0xffff_ffff)).ok()?;
    info.lines().find_map(|line| line.strip_prefix("pos:")).and_then(|text| text.trim().parse().ok())
}

fn open(tid: Tid, fd: u64) -> Option<File> {
    let path = format!("/proc/{tid}/fd/{}", fd & 0xffff_ffff);
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}

/// Whether a pipe that is empty would keep a reader waiting: it is not at its end.
#[must_use]
pub fn waits(tid: Tid, fd: u64) -> bool {
    let info = fs::read_to_string(format!("/proc/{tid}/fdinfo/{}", fd & 0xffff_ffff)).unwrap_or_default();
    let flags =
        info.lines().find_map(|line| line.strip_prefix("flags:")).and_then(|text| i32::from_str_radix(text.trim(), 8).ok());
    let Some(pipe) = open(tid, fd).filter(|_| flags.is_some_and(|flags| flags & libc::O_NONBLOCK == 0)) else { return false };
    let mut asked = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&mut asked, 1, 0) == 0 }
}

/// What waits in a pipe, without taking it out. Source: tee(2).
fn peek(pipe: &File, length: u64) -> Option<Vec<u8>> {
    let (mut from, to) = observer_capture::sys::pipe().ok().map(|(from, to)| (File::from(from), to))?;
    let want = usize::try_from(length).unwrap_or(PIPE_BYTES).min(PIPE_BYTES);
    // SAFETY: plain descriptors, both open for the whole call.
    let got = unsafe { libc::tee(pipe.as_raw_fd(), to.as_raw_fd(), want, libc::SPLICE_F_NONBLOCK) };
    let mut bytes = vec![0u8; usize::try_from(got).unwrap_or(0)];
    from.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// What must be known before such a call: the offset it reads from, or the bytes in the pipe.
#[must_use]
pub fn before(tid: Tid, nr: u32, args: &[u64; 6], streams: &Streams) -> Option<Vec<u8>> {
    let (from, to, offset) = ends(nr, args)?;
    streams.of(tid, to)?;
    let file = open(tid, from)?;
    if !file.metadata().ok()?.is_file() {
        return peek(&file, if i64::from(nr) == libc::SYS_tee { args[2] } else { args[4] });
    }
    let mut word = [0u8; 8];
    if offset == 0 || read_memory(tid, offset, &mut word) < 8 {
        word = position(tid, from)?.to_le_bytes();
    }
    Some(word.to_vec())
}

/// The bytes that went to a standard stream in a call that does not name them.
#[must_use]
pub fn after(tid: Tid, call: &Call, length: u64, streams: &Streams) -> Option<Effect> {
    if i64::from(call.nr) == libc::SYS_vmsplice || i64::from(call.nr) == libc::SYS_sendmsg {
        let stream = streams.of(tid, call.args[0])?;
        let (mut at, mut count) = (call.args[1], call.args[2]);
        if i64::from(call.nr) == libc::SYS_sendmsg {
            let header = bytes_at(tid, at, 32);
            let word = |n: usize| header.get(n..n + 8).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
            (at, count) = (word(16), word(24));
        }
        let bytes = buffers(tid, at, count, length).iter().flat_map(|(at, length)| bytes_at(tid, *at, *length)).collect();
        return Some(Effect::OutputBytes(stream, bytes));
    }
    let (from, to, _) = ends(call.nr, &call.args)?;
    let stream = streams.of(tid, to)?;
    let known = call.peeked.as_ref()?;
    let file = open(tid, from)?;
    if !file.metadata().ok()?.is_file() {
        let length = usize::try_from(length).unwrap_or(0).min(known.len());
        return Some(Effect::OutputBytes(stream, known[..length].to_vec()));
    }
    let offset = u64::from_le_bytes(*known.first_chunk::<8>()?);
    let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(Effect::OutputBytes(stream, bytes))
}

/// Where a call has written in its file, which is not at the descriptor's position any more.
fn written_at(tid: Tid, call: &Call, length: u64) -> Option<u64> {
    match i64::from(call.nr) {
        libc::SYS_pwrite64 | libc::SYS_pwritev | libc::SYS_pwritev2 => Some(call.args[3]),
        _ => position(tid, call.args[0])?.checked_sub(length),
    }
}

/// A write into the memory of a process, through its file in /proc.
#[must_use]
pub fn into_memory(tid: Tid, call: &Call, length: u64, target: (Tid, TaskId)) -> Option<Effect> {
    let at = written_at(tid, call, length)?;
    Some(Effect::MemoryOf(target.1, at, bytes_at(target.0, at, length)))
}

/// Whether a file that is mapped as a shared object may have another size after a call.
fn may_resize(call: &Call, file: Option<&Metadata>, objects: &Objects) -> bool {
    let truncates = |flags: u64| flags & libc::O_TRUNC as u64 != 0;
    match i64::from(call.nr) {
        libc::SYS_ftruncate | libc::SYS_truncate | libc::SYS_openat2 | libc::SYS_creat => true,
        libc::SYS_open => truncates(call.args[1]),
        libc::SYS_openat => truncates(call.args[2]),
        _ => file.is_some_and(|file| objects.of(file).is_some()),
    }
}

/// Calls that change content without the program's memory.
const REWRITING: [i64; 5] =
    [libc::SYS_fallocate, libc::SYS_sendfile, libc::SYS_copy_file_range, libc::SYS_splice, libc::SYS_ioctl];
/// FICLONE and FICLONERANGE. Source: linux/fs.h.
const CLONES: [u64; 2] = [0x4004_9409, 0x4020_940d];

/// What a call that succeeded did to files that are mapped as shared objects, beyond bytes that the program wrote.
/// `file` is what a writing call wrote to.
pub fn objects_changed((tid, file): (Tid, Option<&Metadata>), call: &Call, objects: &mut Objects) -> Vec<Effect> {
    let nr = i64::from(call.nr);
    let rewrites = REWRITING.contains(&nr) && (nr != libc::SYS_ioctl || CLONES.contains(&call.args[1]));
    if objects.is_empty() || !(rewrites || may_resize(call, file, objects)) {
        return Vec::new();
    }
    let mut effects = objects.resized();
    if rewrites {
        effects.extend(whole_object(tid, call, objects));
    }
    effects
}

fn whole_object(tid: Tid, call: &Call, objects: &Objects) -> Option<Effect> {
    let fd = ends(call.nr, &call.args).map_or(call.args[0], |(_, to, _)| to);
    let mut file = open(tid, fd)?;
    let object = objects.of(&file.metadata().ok()?)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(Effect::Object(object, 0, bytes))
}

/// A write into a file that is mapped as this shared object.
#[must_use]
pub fn into_object(tid: Tid, call: &Call, length: u64, object: u32) -> Option<Effect> {
    let file = open(tid, call.args[0])?;
    let offset = written_at(tid, call, length)?;
    let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(Effect::Object(object, offset, bytes))
}
