// SPDX-License-Identifier: Apache-2.0
//! Reads what a call wrote, by its row in the table.

use crate::effects::{table, Out};
use crate::engine::maps::{page_up, PAGE};
use crate::record::compare::Before;
use crate::stream::Effect;
use observer_capture::sys::{read_memory, Tid};
use std::borrow::Cow;

/// No single piece is larger; the kernel moves at most 0x7ffff000 bytes in a call.
const PIECE_MAX: u64 = 0x7fff_f000;
const CLONE_PIDFD: u64 = libc::CLONE_PIDFD as u64;
const EFAULT: i64 = -14;
/// No more than this is read back after a call that failed half way.
const REACHED_MAX: u64 = 1 << 20;
const IOVEC_MAX: u64 = 1024;
/// Operations of futex(2) that change the word: LOCK_PI, UNLOCK_PI, TRYLOCK_PI, LOCK_PI2, WAIT_REQUEUE_PI; and the second word:
/// WAKE_OP, CMP_REQUEUE_PI.
const FUTEX_FIRST: [u64; 4] = [6, 7, 8, 13];
const FUTEX_SECOND: [u64; 3] = [5, 11, 12];

/// What is known at the entry of a call and needed at its exit.
#[derive(Debug, Default)]
pub struct Plan {
    outs: Cow<'static, [Out]>,
    lengths: [u32; 6],
    before: Option<Before>,
    /// Why the call is not modelled.
    pub unmodelled: bool,
}

fn u32_at(tid: Tid, address: u64) -> Option<u32> {
    let mut word = [0u8; 4];
    (address != 0 && read_memory(tid, address, &mut word) == 4).then(|| u32::from_le_bytes(word))
}

fn words(tid: Tid, address: u64, count: usize) -> Vec<u64> {
    let mut bytes = vec![0u8; count * 8];
    let got = read_memory(tid, address, &mut bytes);
    bytes[..got].as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect()
}

/// Bytes at an address, as many as can be read.
pub fn bytes_at(tid: Tid, address: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0u8; usize::try_from(length.min(PIECE_MAX)).unwrap_or(0)];
    let mut got = read_memory(tid, address, &mut bytes);
    while got < bytes.len() {
        // process_vm_readv(2) may stop at a page boundary within one range
        let more = read_memory(tid, address + got as u64, &mut bytes[got..]);
        if more == 0 {
            break;
        }
        got += more;
    }
    bytes.truncate(got);
    bytes
}

/// The buffers of an iovec array up to `limit` bytes in all.
pub fn buffers(tid: Tid, address: u64, count: u64, limit: u64) -> Vec<(u64, u64)> {
    let mut left = limit;
    let words = words(tid, address, usize::try_from(count.min(IOVEC_MAX)).unwrap_or(0) * 2);
    let mut out = Vec::new();
    for pair in words.as_chunks::<2>().0 {
        let length = pair[1].min(left);
        if length > 0 {
            out.push((pair[0], length));
        }
        left -= length;
    }
    out
}

impl Plan {
    /// Prepares for call `nr`, which is about to be made.
    pub fn new(tid: Tid, nr: u32, args: &[u64; 6]) -> Plan {
        let (outs, unmodelled) = match table::outs(nr, args) {
            Some(outs) => {
                let unknown = outs.contains(&Out::Compare) && !table::compared_on_purpose(nr, args);
                (outs, unknown)
            }
            None => (Cow::Borrowed(&[Out::Compare][..]), true),
        };
        let mut plan = Plan { outs, unmodelled, ..Plan::default() };
        for out in plan.outs.iter() {
            match *out {
                Out::LengthAt(_, at) => plan.lengths[usize::from(at)] = u32_at(tid, args[usize::from(at)]).unwrap_or(0),
                Out::Compare if plan.before.is_none() => plan.before = Before::of(tid),
                _ => {}
            }
        }
        plan
    }

    /// What the call wrote, now that it has returned `result`.
    pub fn effects(&self, tid: Tid, args: &[u64; 6], result: i64) -> Vec<Effect> {
        let mut reader = Reader { tid, args, result, effects: Vec::new() };
        for out in self.outs.iter() {
            let failed = (-4095..0).contains(&result);
            match *out {
                Out::Compare => reader.effects.extend(self.before.iter().flat_map(|before| before.changes(tid))),
                Out::LengthAt(address, at) if !failed => reader.socket(address, at, self.lengths[usize::from(at)]),
                Out::Always(..) => reader.one(*out),
                _ if result == EFAULT => reader.reached(*out),
                _ if failed => {}
                _ => reader.one(*out),
            }
        }
        reader.effects
    }
}

struct Reader<'a> {
    tid: Tid,
    args: &'a [u64; 6],
    result: i64,
    effects: Vec<Effect>,
}

impl Reader<'_> {
    /// A call that met memory it could not use may have written what comes before.
    fn reached(&mut self, out: Out) {
        match out {
            Out::Result(at) => self.take(self.arg(at), self.arg(at + 1).min(REACHED_MAX)),
            Out::Iovec(at, count) => self.iovec(self.arg(at), self.arg(count), REACHED_MAX),
            Out::Message(..) | Out::Messages(..) | Out::ResultTimes(..) | Out::ResultPlus(..) => {}
            other => self.one(other),
        }
    }

    fn arg(&self, at: u8) -> u64 {
        self.args[usize::from(at) % 6]
    }

    fn take(&mut self, address: u64, length: u64) {
        if address == 0 || length == 0 {
            return;
        }
        let bytes = bytes_at(self.tid, address, length);
        if !bytes.is_empty() {
            self.effects.push(Effect::Memory(address, bytes));
        }
    }

    fn socket(&mut self, address: u8, at: u8, given: u32) {
        let Some(length) = u32_at(self.tid, self.arg(at)) else { return };
        self.take(self.arg(at), 4);
        self.take(self.arg(address), u64::from(length.min(given)));
    }

    fn one(&mut self, out: Out) {
        let result = u64::try_from(self.result).unwrap_or(0);
        match out {
            Out::Fixed(at, length) | Out::Always(at, length) => self.take(self.arg(at), u64::from(length)),
            Out::Result(at) => self.take(self.arg(at), result),
            Out::ResultPlus(at, more) => self.take(self.arg(at), result + u64::from(more)),
            Out::ResultTimes(at, size) => self.take(self.arg(at), result.saturating_mul(u64::from(size))),
            Out::Length(at, length) => self.take(self.arg(at), self.arg(length)),
            Out::Times(at, count, size) => self.take(self.arg(at), self.arg(count).saturating_mul(u64::from(size))),
            Out::Iovec(at, count) => self.iovec(self.arg(at), self.arg(count), result),
            Out::Message(at) => self.message(self.arg(at), result),
            Out::Messages(at) => self.messages(self.arg(at), result),
            Out::Bits(at) => self.take(self.arg(at), (self.arg(0) & 0xffff_ffff).div_ceil(64).min(1 << 14) * 8),
            Out::Pages(at) => self.take(self.arg(at), page_up(self.arg(1)) / PAGE),
            Out::Counted(at) => self.counted(self.arg(at)),
            Out::Futex => self.futex(),
            Out::PidFd => {
                let head = words(self.tid, self.arg(0), 2);
                if head.first().is_some_and(|flags| flags & CLONE_PIDFD != 0) {
                    self.take(head.get(1).copied().unwrap_or(0), 4);
                }
            }
            Out::LengthAt(..) | Out::Compare => {}
        }
    }

    fn counted(&mut self, address: u64) {
        if let [length, buffer] = words(self.tid, address, 2)[..] {
            self.take(address, 16);
            self.take(buffer, (length & 0xffff_ffff).min(1 << 20));
        }
    }

    fn futex(&mut self) {
        let operation = self.arg(1) & 0x7f;
        if FUTEX_FIRST.contains(&operation) {
            self.take(self.arg(0), 4);
        }
        if FUTEX_SECOND.contains(&operation) {
            self.take(self.arg(4), 4);
        }
    }

    fn iovec(&mut self, address: u64, count: u64, limit: u64) {
        for (address, length) in buffers(self.tid, address, count, limit) {
            self.take(address, length);
        }
    }

    /// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags. Source: recvmsg(2), 64-bit layout.
    fn message(&mut self, address: u64, received: u64) {
        let header = words(self.tid, address, 7);
        if header.len() < 7 {
            return;
        }
        self.take(address, 56);
        self.take(header[0], (header[1] & 0xffff_ffff).min(128));
        self.take(header[4], header[5].min(1 << 20));
        self.iovec(header[2], header[3], received);
    }

    fn messages(&mut self, address: u64, count: u64) {
        for number in 0..count.min(IOVEC_MAX) {
            let at = address + number * 64;
            let received = u32_at(self.tid, at + 56).unwrap_or(0);
            self.message(at, u64::from(received));
            self.take(at + 56, 8);
        }
    }
}
