// SPDX-License-Identifier: Apache-2.0
//! Takes messages from where the probe leaves them: blocks of memory shared with the kernel, some for each CPU, merged into one
//! order by time. Source: docs/spec/bpf-abi.md §3.

use crate::abi::{moment, Lane, BLOCK, BLOCK_HEAD};
use crate::error::ProbeError;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{fence, AtomicU32, AtomicU64, AtomicU8, Ordering};

/// How much younger than now a message must not be to be taken: longer than a store takes to be seen by another CPU.
const SETTLED_NS: u64 = 50_000;
/// A message takes less than a microsecond to write, unless its CPU was taken away.
const SPINS: u32 = 200;

/// Memory shared with the kernel.
struct Shared {
    start: *mut u8,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone; the kernel's side of it is reached through atomics and published ranges only.
unsafe impl Send for Shared {}

impl Shared {
    fn map(fd: BorrowedFd<'_>, length: usize, writable: bool) -> Result<Shared, ProbeError> {
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping at a place the kernel chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(ProbeError::io("map the probe's memory")(std::io::Error::last_os_error()));
        }
        Ok(Shared { start: start.cast(), length })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// How far one CPU's messages were taken.
#[derive(Clone, Copy)]
struct Place {
    /// Blocks done with, and the one that is being read.
    done: u64,
    block: u32,
    at: usize,
    /// Up to here messages are published in that block, and whether it is closed.
    end: usize,
    closed: bool,
    /// All messages made before this are published.
    settled_ns: u64,
}

/// The lanes of all CPUs.
pub struct Lanes {
    control: Shared,
    blocks: Shared,
    places: Vec<Place>,
    each: u32,
    /// Bytes that were no message.
    pub malformed: u64,
}

fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

impl Lanes {
    /// Maps the lanes of `cpus` CPUs with `each` blocks, before the probe is attached.
    pub fn map(control: BorrowedFd<'_>, blocks: BorrowedFd<'_>, cpus: u32, each: u32) -> Result<Lanes, ProbeError> {
        let page = |length: usize| length.next_multiple_of(4096);
        let control = Shared::map(control, page(cpus as usize * size_of::<Lane>()), true)?;
        let blocks = Shared::map(blocks, page(cpus as usize * each as usize * BLOCK), false)?;
        let fresh = Place { done: 0, block: 0, at: BLOCK_HEAD, end: BLOCK_HEAD, closed: false, settled_ns: 0 };
        let lanes = Lanes { control, blocks, places: vec![fresh; cpus as usize], each, malformed: 0 };
        for cpu in 0..cpus as usize {
            lanes.head(cpu).store(BLOCK_HEAD as u64, Ordering::Relaxed);
            (1..each).for_each(|block| lanes.free(cpu, block).store(1, Ordering::Relaxed));
        }
        Ok(lanes)
    }

    fn lane(&self, cpu: usize) -> *mut Lane {
        debug_assert!(cpu < self.places.len());
        self.control.start.cast::<Lane>().wrapping_add(cpu)
    }

    fn head(&self, cpu: usize) -> &AtomicU64 {
        // SAFETY: inside the mapping, aligned, and shared as an atomic.
        unsafe { AtomicU64::from_ptr(std::ptr::addr_of_mut!((*self.lane(cpu)).head)) }
    }

    fn open(&self, cpu: usize) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(std::ptr::addr_of_mut!((*self.lane(cpu)).open)) }
    }

    fn done(&self, cpu: usize) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(std::ptr::addr_of_mut!((*self.lane(cpu)).done)) }
    }

    fn free(&self, cpu: usize, block: u32) -> &AtomicU8 {
        debug_assert!(block < self.each);
        // SAFETY: as above; there are at most as many blocks as `free` has places.
        unsafe { AtomicU8::from_ptr(std::ptr::addr_of_mut!((*self.lane(cpu)).free).cast::<u8>().wrapping_add(block as usize)) }
    }

    /// What each CPU has counted so far.
    #[must_use]
    pub fn counters(&self) -> Vec<Lane> {
        // SAFETY: inside the mapping; the kernel may write meanwhile, so that counters may be of slightly different moments.
        (0..self.places.len()).map(|cpu| unsafe { std::ptr::read_volatile(self.lane(cpu)) }).collect()
    }

    fn block(&self, cpu: usize, block: u32) -> *const u8 {
        let index = cpu * self.each as usize + block as usize;
        self.blocks.start.wrapping_add(index * BLOCK)
    }

    /// First words of a closed block: bytes in use, and the block that follows.
    fn closing(&self, cpu: usize, block: u32) -> (usize, u32) {
        let words = self.block(cpu, block).cast::<u32>();
        // SAFETY: the block was closed before `head` counted it, and is not written again until it is given back.
        let (used, next) = unsafe { (std::ptr::read_volatile(words), std::ptr::read_volatile(words.wrapping_add(1))) };
        (used as usize, next.min(self.each - 1))
    }

    /// The published bytes from where this CPU's messages were taken up to.
    fn waiting(&self, cpu: usize) -> &[u8] {
        let place = &self.places[cpu];
        let from = self.block(cpu, place.block).wrapping_add(place.at);
        // SAFETY: `at <= end <= BLOCK` lies inside the block, and the kernel does not change published bytes before the block is given back.
        unsafe { std::slice::from_raw_parts(from, place.end - place.at) }
    }

    /// Looks how far the kernel has come; false when this CPU has nothing more.
    fn refresh(&mut self, cpu: usize) -> bool {
        let head = self.head(cpu).load(Ordering::Acquire);
        let mut place = self.places[cpu];
        if place.closed && place.at >= place.end {
            let (former, next) = (place.block, self.closing(cpu, place.block).1);
            (place.block, place.done) = (next, place.done + 1);
            (place.at, place.closed) = (BLOCK_HEAD, false);
            self.done(cpu).store(place.done, Ordering::Relaxed);
            self.free(cpu, former).store(1, Ordering::Release);
        }
        place.closed = head >> 32 > place.done;
        let used = if place.closed { self.closing(cpu, place.block).0 } else { head as u32 as usize };
        place.end = used.clamp(place.at, BLOCK);
        self.places[cpu] = place;
        place.closed || place.at < place.end
    }

    /// Up to which moment every CPU's messages are published; a CPU that is writing one is waited for a little.
    fn settled(&mut self) -> u64 {
        let now = now_ns().saturating_sub(SETTLED_NS);
        fence(Ordering::SeqCst);
        for cpu in 0..self.places.len() {
            let mut spins = 0;
            while self.open(cpu).load(Ordering::Acquire) != 0 && spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            }
            if spins < SPINS {
                self.places[cpu].settled_ns = now;
            }
        }
        self.places.iter().map(|place| place.settled_ns).min().unwrap_or(now)
    }

    /// When the next message of this CPU was made.
    fn next_at(&mut self, cpu: usize) -> Option<u64> {
        loop {
            if let Some((at, _)) = moment(self.waiting(cpu)) {
                return Some(at);
            }
            let rest = self.places[cpu].end - self.places[cpu].at;
            if rest > 0 {
                self.malformed += rest as u64;
                self.places[cpu].at = self.places[cpu].end;
            }
            if !self.refresh(cpu) {
                return None;
            }
        }
    }

    /// Hands each message to `take` in the order of time, at most about `limit`; `all` when the probe is detached: then
    /// none is left. Returns how many.
    pub fn drain(&mut self, limit: usize, all: bool, mut take: impl FnMut(&[u8])) -> usize {
        let until = if all { u64::MAX } else { self.settled() };
        let mut next: Vec<(u64, usize)> = (0..self.places.len()).filter_map(|cpu| Some((self.next_at(cpu)?, cpu))).collect();
        let mut count = 0;
        while count < limit {
            let Some((at, first)) = next.iter().enumerate().map(|(i, n)| (n.0, i)).min() else { break };
            if at > until {
                break;
            }
            let cpu = next[first].1;
            // This CPU's messages up to the next one of any other.
            let rest = next.iter().enumerate().filter(|(i, _)| *i != first).map(|(_, n)| n.0);
            let before = rest.min().unwrap_or(u64::MAX).min(until);
            count += self.run(cpu, before, limit - count, &mut take);
            match self.next_at(cpu) {
                Some(at) => next[first].0 = at,
                None => drop(next.swap_remove(first)),
            }
        }
        count
    }

    /// Takes one CPU's messages that are not younger than `before`, inside its present block.
    fn run(&mut self, cpu: usize, before: u64, limit: usize, take: &mut impl FnMut(&[u8])) -> usize {
        let bytes = self.waiting(cpu);
        let (mut at, mut count) = (0, 0);
        while let Some((made, length)) = moment(&bytes[at..]) {
            if made > before || count >= limit {
                break;
            }
            take(&bytes[at..at + length]);
            at += length;
            count += 1;
        }
        self.places[cpu].at += at;
        count
    }
}
