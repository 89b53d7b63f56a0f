// SPDX-License-Identifier: Apache-2.0
//! Which descriptors are the command's standard output and error, so that a replay can write what went there.

use crate::engine::sys::same_open_file;
use observer_capture::sys::{own_tid, Tid};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// Identity of an open file: device, inode, and device number if it is one.
type Key = (u64, u64, u64);

fn key(meta: &Metadata) -> Key {
    (meta.dev(), meta.ino(), meta.rdev())
}

/// The file on which descriptor `fd` of thread `tid` is open.
#[must_use]
pub fn behind(tid: Tid, fd: u64) -> Option<Metadata> {
    fs::metadata(format!("/proc/{tid}/fd/{}", fd & 0xffff_ffff)).ok()
}

/// The recorder's own standard streams, which the command inherits.
#[derive(Debug)]
pub struct Streams {
    keys: [Option<Key>; 2],
    own: Tid,
    proc: Option<u64>,
}

impl Streams {
    /// Looks at descriptors 1 and 2 of this process.
    #[must_use]
    pub fn own() -> Streams {
        let of = |fd| fs::metadata(format!("/proc/self/fd/{fd}")).ok().map(|meta| key(&meta));
        Streams { keys: [of(1), of(2)], own: own_tid(), proc: fs::metadata("/proc/self").ok().map(|meta| meta.dev()) }
    }

    /// The process whose memory descriptor `fd` of thread `tid`, which is open on this file, shows. Source: proc(5), /proc/pid/mem.
    #[must_use]
    pub fn memory_of(&self, tid: Tid, fd: u64, file: &Metadata) -> Option<Tid> {
        if Some(file.dev()) != self.proc {
            return None;
        }
        let target = fs::read_link(format!("/proc/{tid}/fd/{}", fd & 0xffff_ffff)).ok()?;
        let mut parts = target.to_str()?.strip_prefix("/proc/")?.split('/');
        let process = parts.next()?.parse().ok()?;
        match (parts.next()?, parts.next(), parts.next()) {
            ("mem", None, _) => Some(process),
            ("task", Some(thread), Some("mem")) => thread.parse().ok(),
            _ => None,
        }
    }

    /// 1 or 2 when descriptor `fd` of thread `tid` is that stream, else None.
    #[must_use]
    pub fn of(&self, tid: Tid, fd: u64) -> Option<u8> {
        self.which(tid, fd, &behind(tid, fd)?)
    }

    /// The same for a descriptor that is open on this file.
    #[must_use]
    pub fn which(&self, tid: Tid, fd: u64, file: &Metadata) -> Option<u8> {
        let (fd, found) = (i32::try_from(fd & 0xffff_ffff).ok()?, key(file));
        let null = found.2 == libc::makedev(1, 3); // everybody opens /dev/null: here only the very same opening counts
        let is = |stream: i32| {
            let own = self.keys[usize::try_from(stream - 1).unwrap_or(0)];
            own == Some(found) && (!null || same_open_file((self.own, stream), (tid, fd)) != Some(false))
        };
        let order = if fd == 2 { [2, 1] } else { [1, 2] };
        order.into_iter().find(|stream| is(*stream)).map(|stream| stream as u8)
    }
}
