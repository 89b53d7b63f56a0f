// SPDX-License-Identifier: Apache-2.0
//! What a decoder may look at: the record, and which of its memory belongs to which argument.

use super::ArgClass;
use crate::meaning::Dir;
use crate::record::{Blob, SyscallRecord, When};
use crate::syscall::{Arch, Syscall};

/// Text of an argument with what is known about it.
pub(super) struct Shown {
    pub text: String,
    pub class: ArgClass,
    pub stable: bool,
}

impl Shown {
    pub fn new(text: impl Into<String>, class: ArgClass, stable: bool) -> Shown {
        Shown { text: text.into(), class, stable }
    }
}

/// One call under decoding.
pub(super) struct Context<'a> {
    pub arch: Arch,
    pub rec: &'a SyscallRecord,
    pub call: &'static Syscall,
}

impl<'a> Context<'a> {
    pub fn new(arch: Arch, rec: &'a SyscallRecord, call: &'static Syscall) -> Context<'a> {
        Context { arch, rec, call }
    }

    /// Register of an argument; 0 beyond the sixth.
    pub fn arg(&self, index: usize) -> u64 {
        self.rec.args.get(index).copied().unwrap_or(0)
    }

    /// Low half of an argument, for those the kernel takes as `int`.
    pub fn low(&self, index: usize) -> u32 {
        (self.arg(index) & 0xffff_ffff) as u32
    }

    /// The call returned an error.
    pub fn failed(&self) -> bool {
        self.rec.errno().is_some()
    }

    /// Memory of an argument's part.
    pub fn part(&self, index: usize, when: When, part: u16) -> Option<&'a Blob> {
        let wanted = |blob: &&Blob| usize::from(blob.arg) == index && blob.when == when && blob.part == part;
        self.rec.blobs.iter().find(wanted)
    }

    /// Memory an argument points to, at the moment that matters for its direction; both directions fall back to entry.
    pub fn pointee(&self, index: usize, dir: Dir) -> Option<&'a Blob> {
        match dir {
            Dir::InOut => self.part(index, When::Exit, 0).or_else(|| self.part(index, When::Entry, 0)),
            _ => self.part(index, dir.when(), 0),
        }
    }

    /// All parts of an argument at a moment, in order, without part 0.
    pub fn following(&self, index: usize, when: When) -> impl Iterator<Item = &'a Blob> + '_ {
        let wanted = move |blob: &&Blob| usize::from(blob.arg) == index && blob.when == when && blob.part > 0;
        self.rec.blobs.iter().filter(wanted)
    }
}

/// Little-endian unsigned number of up to 8 bytes; None when the bytes are not there.
pub(super) fn read_uint(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    let end = offset.checked_add(width)?;
    let slice = bytes.get(offset..end)?;
    Some(slice.iter().rev().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
