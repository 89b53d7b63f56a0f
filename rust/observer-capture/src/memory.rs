// SPDX-License-Identifier: Apache-2.0
//! Follows a fetch plan: reads the memory that a call's arguments name, within limits, never failing the capture.

use crate::sys::{read_memory, Tid};
use observer_model::{flags, Blob, Fetch, Len, Shape, SyscallRecord, When};

const PAGE: u64 = 4096;
/// First guess for a string: most paths are shorter, and one read is one system call.
const STRING_GUESS: usize = 256;
/// Structures are kept whole up to this size.
const STRUCT_MAX: usize = 4096;
/// Vectors (argv, iovec) are followed up to this many parts.
const PARTS_MAX: usize = 1024;
/// All strings of one argv together.
const VECTOR_BYTES_MAX: usize = 64 * 1024;
/// Environment entries are counted up to this many.
const COUNT_MAX: u32 = 65_536;

/// How much to keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a string.
    pub string: usize,
    /// Bytes of program data (read and write buffers).
    pub data: usize,
}

/// Reads on behalf of one call.
pub struct Fetcher<'a> {
    pid: Tid,
    limits: Limits,
    call: &'a mut SyscallRecord,
    scratch: &'a mut [u8; PAGE as usize],
    known: &'a [(u64, &'a [u8])],
}

impl<'a> Fetcher<'a> {
    /// Reads memory of thread `pid` for `call`.
    pub fn new(pid: Tid, limits: Limits, call: &'a mut SyscallRecord, scratch: &'a mut [u8; PAGE as usize]) -> Self {
        Fetcher { pid, limits, call, scratch, known: &[] }
    }

    /// The same, where some of the memory was read before: address and bytes.
    #[must_use]
    pub fn knowing(mut self, known: &'a [(u64, &'a [u8])]) -> Self {
        self.known = known;
        self
    }

    /// Runs every fetch of the plan that belongs to this moment.
    pub fn run(&mut self, plan: &[Fetch], when: When) {
        let failed = self.call.errno().is_some();
        for fetch in plan {
            if fetch.wanted(when, &self.call.args, failed) {
                self.one(fetch, self.call.args[usize::from(fetch.arg) % 6]);
            }
        }
    }

    fn one(&mut self, fetch: &Fetch, address: u64) {
        match fetch.shape {
            Shape::CString => self.string_part(fetch, 0, address),
            Shape::Data(len) => {
                let want = self.length(len);
                self.bytes_part(fetch, 0, address, want, self.limits.data);
            }
            Shape::Struct(len) => {
                let want = self.length(len);
                self.bytes_part(fetch, 0, address, want, STRUCT_MAX);
            }
            Shape::StringArray => self.string_array(fetch, address),
            Shape::StringCount => self.string_count(fetch, address),
            Shape::Iovec(count) => {
                let count = self.call.args[usize::from(count) % 6];
                self.iovec(fetch, address, count, 0);
            }
            Shape::Msghdr => self.msghdr(fetch, address),
        }
    }

    fn length(&mut self, len: Len) -> u64 {
        let arg = |n: u8| self.call.args[usize::from(n) % 6];
        let result = u64::try_from(self.call.result).unwrap_or(0);
        match len {
            Len::Const(n) => u64::from(n),
            Len::Arg(n) => arg(n),
            Len::ArgTimes(n, size) => arg(n).saturating_mul(u64::from(size)),
            Len::Result => result,
            Len::ResultTimes(size) => result.saturating_mul(u64::from(size)),
            Len::ArgBits(n) => arg(n).div_ceil(64).saturating_mul(8),
            Len::DerefArg(n) => {
                let mut word = [0u8; 4];
                let n = read_memory(self.pid, arg(n), &mut word);
                if n == 4 {
                    u64::from(u32::from_le_bytes(word))
                } else {
                    0
                }
            }
        }
    }

    fn push(&mut self, fetch: &Fetch, part: u16, bytes: Vec<u8>, truncated: bool) {
        self.call.blobs.push(Blob { arg: fetch.arg, when: fetch.when, part, truncated, bytes });
    }

    fn unreadable(&mut self) {
        self.call.flags |= flags::MEMORY_UNREADABLE;
    }

    /// Reads up to `limit` of `want` bytes; what cannot be read is left out and flagged.
    fn bytes_part(&mut self, fetch: &Fetch, part: u16, address: u64, want: u64, limit: usize) {
        let keep = usize::try_from(want).unwrap_or(usize::MAX).min(limit);
        if keep == 0 {
            return;
        }
        let bytes = match self.known.iter().find(|(at, bytes)| *at == address && bytes.len() >= keep) {
            Some((_, bytes)) => bytes[..keep].to_vec(),
            None => {
                let mut bytes = vec![0u8; keep];
                let got = read_memory(self.pid, address, &mut bytes);
                bytes.truncate(got);
                bytes
            }
        };
        let got = bytes.len();
        if got < keep {
            self.unreadable();
        }
        if got > 0 {
            self.push(fetch, part, bytes, want > keep as u64);
        }
    }

    fn string_part(&mut self, fetch: &Fetch, part: u16, address: u64) {
        match self.string(address, self.limits.string) {
            Some((bytes, truncated)) => self.push(fetch, part, bytes, truncated),
            None => self.unreadable(),
        }
    }

    /// Reads text up to its NUL, never across into a page that need not be readable.
    fn string(&mut self, mut address: u64, limit: usize) -> Option<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        let mut guess = STRING_GUESS;
        loop {
            let to_page_end = (PAGE - address % PAGE) as usize;
            let want = guess.min(to_page_end).min(limit + 1 - out.len());
            let got = read_memory(self.pid, address, &mut self.scratch[..want]);
            let seen = &self.scratch[..got];
            if let Some(end) = seen.iter().position(|b| *b == 0) {
                out.extend_from_slice(&seen[..end]);
                return Some((out, false));
            }
            out.extend_from_slice(seen);
            if out.len() > limit {
                out.truncate(limit);
                return Some((out, true));
            }
            if got < want {
                return None;
            }
            address = address.wrapping_add(got as u64);
            guess = PAGE as usize;
        }
    }

    fn pointers(&mut self, address: u64, count: usize) -> Vec<u64> {
        let mut bytes = vec![0u8; count * 8];
        let got = read_memory(self.pid, address, &mut bytes);
        bytes[..got].chunks_exact(8).map(word).collect()
    }

    /// Reads a NULL-terminated array of pointers, in steps that stay within pages.
    fn string_array(&mut self, fetch: &Fetch, address: u64) {
        let (mut next, mut part, mut total) = (address, 1u16, 0usize);
        loop {
            let step = ((PAGE - next % PAGE) / 8).max(1) as usize;
            let batch = self.pointers(next, step.min(64));
            if batch.is_empty() {
                return self.unreadable();
            }
            for pointer in &batch {
                if *pointer == 0 {
                    return;
                }
                if usize::from(part) > PARTS_MAX || total > VECTOR_BYTES_MAX {
                    return self.push(fetch, 0, Vec::new(), true);
                }
                self.string_part(fetch, part, *pointer);
                total += self.call.blobs.last().map_or(0, |b| b.bytes.len());
                part += 1;
            }
            next = next.wrapping_add(batch.len() as u64 * 8);
        }
    }

    fn string_count(&mut self, fetch: &Fetch, address: u64) {
        let (mut next, mut count) = (address, 0u32);
        while count < COUNT_MAX {
            let step = ((PAGE - next % PAGE) / 8).max(1) as usize;
            let batch = self.pointers(next, step.min(64));
            if batch.is_empty() {
                return self.unreadable();
            }
            let live = batch.iter().take_while(|p| **p != 0).count();
            count += live as u32;
            if live < batch.len() {
                break;
            }
            next = next.wrapping_add(batch.len() as u64 * 8);
        }
        self.push(fetch, 0, count.to_le_bytes().to_vec(), false);
    }

    /// Part `base` is the array, the parts after it the buffers: data limit in all, and at exit no more than the result.
    fn iovec(&mut self, fetch: &Fetch, address: u64, count: u64, base: u16) {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(STRUCT_MAX / 16);
        if count == 0 {
            return;
        }
        let words = self.pointers(address, count * 2);
        let raw: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        if words.len() < count * 2 {
            self.unreadable();
        }
        self.push(fetch, base, raw, false);
        let moved = if fetch.when == When::Exit { u64::try_from(self.call.result).unwrap_or(0) } else { u64::MAX };
        let (mut left, mut keep) = (moved, self.limits.data);
        for (i, pair) in words.chunks_exact(2).enumerate() {
            let length = pair[1].min(left);
            if length == 0 || keep == 0 {
                break;
            }
            self.bytes_part(fetch, base + 1 + i as u16, pair[0], length, keep);
            left -= length;
            keep = keep.saturating_sub(usize::try_from(length).unwrap_or(usize::MAX));
        }
    }

    /// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags. Source: sendmsg(2), 64-bit layout.
    fn msghdr(&mut self, fetch: &Fetch, address: u64) {
        let header = self.pointers(address, 7);
        if header.len() < 7 {
            return self.unreadable();
        }
        self.push(fetch, 0, header.iter().flat_map(|w| w.to_le_bytes()).collect(), false);
        if header[0] != 0 {
            self.bytes_part(fetch, 1, header[0], header[1] & 0xffff_ffff, STRUCT_MAX);
        }
        if header[4] != 0 {
            self.bytes_part(fetch, 2, header[4], header[5], STRUCT_MAX);
        }
        if header[2] != 0 {
            self.iovec(fetch, header[2], header[3], 3);
        }
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut out = [0u8; 8];
    out.copy_from_slice(bytes);
    u64::from_le_bytes(out)
}
