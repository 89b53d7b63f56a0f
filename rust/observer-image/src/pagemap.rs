// SPDX-License-Identifier: Apache-2.0
//! Which pages of a stretch have content, and which were written since they were marked.
//!
//! PAGEMAP_SCAN (Linux 6.7) walks page tables, so a reserved stretch that was never touched costs nothing. Older kernels
//! give 8 bytes for each page in /proc/PID/pagemap. Source: pagemap.rst.

use crate::sys::{self, ScanArgument, ScanRegion};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::thread;

/// Written since marked.
pub const WRITTEN: u64 = 1 << 1;
/// Page of a file or of shared memory.
pub const FILE: u64 = 1 << 2;
/// In memory.
pub const PRESENT: u64 = 1 << 3;
/// In swap.
pub const SWAPPED: u64 = 1 << 4;
const WP_MATCHING: u64 = 1;
const CHECK_WPASYNC: u64 = 2;
const FOUND: usize = 4096;
/// Results of one look at marks: a smaller vector, since each thread has its own.
const FOUND_AT_ONCE: usize = 1024;
/// Bytes that one thread looks at: 1 GiB takes 0.25 ms, several times what starting another thread costs.
const PART: u64 = 1 << 30;
/// Written stretches up to this length are read without asking whether they have content: asking costs as much as reading.
const SHORT: u64 = 16 * PAGE;
const PAGE: u64 = 4096;
const TABLE: u64 = 2 << 20; // bytes that one page table maps
/// Longest stretch that is read 8 bytes a page on an old kernel: 64 GiB, 128 MiB of entries.
const PLAIN_MAX: u64 = 64 << 30;

/// Consecutive pages: first address, behind the last.
pub type Stretch = (u64, u64);

/// What a look found.
#[derive(Debug, Default)]
pub struct Look {
    /// Written, and to be read.
    pub written: Vec<Stretch>,
    /// Given back: zeros, or the file again.
    pub gone: Vec<Stretch>,
}

/// The page map of one process, as of one exec.
pub struct PageMap {
    file: File,
    scans: bool,
    room: Vec<ScanRegion>,
}

impl PageMap {
    /// Open it.
    ///
    /// # Errors
    /// The process has gone, or is another user's.
    pub fn open(pid: u32) -> io::Result<PageMap> {
        let file = File::open(format!("/proc/{pid}/pagemap"))?;
        let mut probe = ScanArgument { end: PAGE, category_anyof: PRESENT, return_mask: PRESENT, ..ScanArgument::default() };
        let mut room = vec![ScanRegion::default(); FOUND];
        let scans = sys::pagemap_scan(file.as_raw_fd(), &mut probe, &mut room[..1]).is_ok();
        Ok(PageMap { file, scans, room })
    }

    /// True when the kernel has PAGEMAP_SCAN.
    #[must_use]
    pub fn scans(&self) -> bool {
        self.scans
    }

    fn scan(&self, argument: ScanArgument, room: &mut [ScanRegion], mut take: impl FnMut(&ScanRegion)) -> io::Result<()> {
        let mut argument = argument;
        while argument.start < argument.end {
            let found = sys::pagemap_scan(self.file.as_raw_fd(), &mut argument, room)?;
            room[..found].iter().for_each(&mut take);
            if argument.walk_end <= argument.start {
                return Err(io::Error::other("the scan of pages does not get on"));
            }
            argument.start = argument.walk_end;
        }
        Ok(())
    }

    /// Stretches that have content of their own; with `file_pages`, also those that a file has mapped in.
    ///
    /// # Errors
    /// The process has gone.
    pub fn populated(&mut self, (start, end): Stretch, file_pages: bool) -> io::Result<Vec<Stretch>> {
        let mut out: Vec<Stretch> = Vec::new();
        if !self.scans {
            return self.populated_plain((start, end), file_pages);
        }
        let argument = ScanArgument {
            start,
            end,
            category_anyof: PRESENT | SWAPPED,
            return_mask: if file_pages { PRESENT | SWAPPED } else { PRESENT | SWAPPED | FILE },
            ..ScanArgument::default()
        };
        let mut room = std::mem::take(&mut self.room);
        let done = self.scan(argument, &mut room, |found| {
            if file_pages || found.categories & FILE == 0 {
                push(&mut out, (found.start, found.end));
            }
        });
        self.room = room;
        done.map(|()| out)
    }

    fn populated_plain(&self, (start, end): Stretch, file_pages: bool) -> io::Result<Vec<Stretch>> {
        self.entries((start, end), |entry| entry >> 62 != 0 && (file_pages || entry >> 61 & 1 == 0))
    }

    fn entries(&self, (start, end): Stretch, wanted: impl Fn(u64) -> bool) -> io::Result<Vec<Stretch>> {
        let mut out = Vec::new();
        if end - start > PLAIN_MAX {
            return Err(io::Error::other("a stretch of more than 64 GiB needs PAGEMAP_SCAN (Linux 6.7)"));
        }
        let mut room = vec![0u8; 64 << 10];
        let mut page = start / PAGE;
        while page < end / PAGE {
            let count = ((end / PAGE - page) as usize).min(room.len() / 8);
            self.file.read_exact_at(&mut room[..count * 8], page * 8)?;
            for (step, bytes) in room[..count * 8].chunks_exact(8).enumerate() {
                let mut word = [0; 8];
                word.copy_from_slice(bytes);
                if wanted(u64::from_le_bytes(word)) {
                    let at = (page + step as u64) * PAGE;
                    push(&mut out, (at, at + PAGE));
                }
            }
            page += count as u64;
        }
        Ok(out)
    }

    /// Mark the windows of a registered stretch that have content; returns the content that there was then, and adds to `armed`.
    ///
    /// Only windows of 2 MiB with content are marked: marking a hole would make page tables for it, 2 GiB for each reserved
    /// terabyte. What is told as content is looked up after the marking, so that nothing falls between the two.
    ///
    /// # Errors
    /// A mapping in it is not registered: EPERM.
    pub fn arm(&mut self, stretch: Stretch, armed: &mut Vec<Stretch>) -> io::Result<Vec<Stretch>> {
        let found = windows(&self.populated(stretch, false)?, stretch);
        let mut content = Vec::new();
        for window in &found {
            self.take_written(*window)?;
            content.extend(self.populated(*window, false)?);
        }
        if !found.is_empty() {
            *armed = either(armed, &found);
        }
        Ok(content)
    }

    /// What of a registered stretch was written since the last look, marked again in the same step; `armed` are its windows that
    /// were marked, and get more.
    ///
    /// # Errors
    /// A mapping in it is not registered: EPERM.
    pub fn look(&mut self, stretch: Stretch, armed: &mut Vec<Stretch>) -> io::Result<Look> {
        let mut out = Look::default();
        let marked = both(&[stretch], armed);
        for window in &marked {
            let written = self.take_written(*window)?;
            self.sort_out(&written, &mut out)?;
        }
        for hole in without(&[stretch], &marked) {
            out.written.extend(self.arm(hole, armed)?); // new since then
        }
        out.written.sort_unstable();
        Ok(out)
    }

    /// A page that was given back counts as written too. Short stretches are simply read: a page without content reads as zeros.
    fn sort_out(&mut self, written: &[Stretch], out: &mut Look) -> io::Result<()> {
        for stretch in written {
            if stretch.1 - stretch.0 <= SHORT {
                out.written.push(*stretch);
                continue;
            }
            let content = self.populated(*stretch, false)?;
            out.gone.extend(without(&[*stretch], &content));
            out.written.extend(content);
        }
        Ok(())
    }

    /// Stretches written since they were marked, marked again in the same step: nothing is lost or told twice.
    fn take_written(&self, (start, end): Stretch) -> io::Result<Vec<Stretch>> {
        let threads = ((end - start) / PART).clamp(1, processors());
        if threads == 1 {
            return self.take_part((start, end));
        }
        let step = ((end - start) / threads).next_multiple_of(TABLE);
        let parts: Vec<Stretch> = (0..threads).map(|n| (start + n * step, (start + (n + 1) * step).min(end))).collect();
        let found = thread::scope(|scope| {
            let running: Vec<_> = parts[1..].iter().map(|part| scope.spawn(|| self.take_part(*part))).collect();
            let join =
                |one: thread::ScopedJoinHandle<'_, _>| one.join().unwrap_or_else(|_| Err(io::Error::other("a scan failed")));
            let first = self.take_part(parts[0]);
            std::iter::once(first).chain(running.into_iter().map(join)).collect::<io::Result<Vec<_>>>()
        })?;
        let mut out = Vec::new();
        found.into_iter().flatten().for_each(|stretch| push(&mut out, stretch));
        Ok(out)
    }

    fn take_part(&self, (start, end): Stretch) -> io::Result<Vec<Stretch>> {
        let mut out: Vec<Stretch> = Vec::new();
        // Exactly these masks take the kernel's fast path. Never without WP_MATCHING: that tells some stretches twice.
        let argument = ScanArgument {
            flags: WP_MATCHING | CHECK_WPASYNC,
            start,
            end,
            category_mask: WRITTEN,
            return_mask: WRITTEN,
            ..ScanArgument::default()
        };
        let mut room = vec![ScanRegion::default(); FOUND_AT_ONCE];
        self.scan(argument, &mut room, |found| push(&mut out, (found.start, found.end)))?;
        Ok(out)
    }
}

/// Asked once: the answer takes ten system calls, and everything stands.
fn processors() -> u64 {
    static COUNT: OnceLock<u64> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, |count| count.get() as u64))
}

/// The windows of one page table (2 MiB) that hold some of `stretches`, cut to `within`.
fn windows(stretches: &[Stretch], within: Stretch) -> Vec<Stretch> {
    let mut out = Vec::new();
    for (start, end) in stretches {
        let window = (start / TABLE * TABLE, end.next_multiple_of(TABLE));
        push(&mut out, (window.0.max(within.0), window.1.min(within.1)));
    }
    out
}

/// Add a stretch, joined with the one before it where they touch; one that was told already is left out.
pub fn push(out: &mut Vec<Stretch>, (start, end): Stretch) {
    match out.last_mut() {
        Some(last) if start <= last.1 && start >= last.0 => last.1 = last.1.max(end),
        _ => out.push((start, end)),
    }
}

/// What is in both; both in order.
#[must_use]
pub fn both(left: &[Stretch], right: &[Stretch]) -> Vec<Stretch> {
    let (mut out, mut a, mut b) = (Vec::new(), 0, 0);
    while let (Some(one), Some(two)) = (left.get(a), right.get(b)) {
        let (start, end) = (one.0.max(two.0), one.1.min(two.1));
        if start < end {
            out.push((start, end));
        }
        if one.1 < two.1 {
            a += 1;
        } else {
            b += 1;
        }
    }
    out
}

/// What is in `left` and not in `right`; both in order.
#[must_use]
pub fn without(left: &[Stretch], right: &[Stretch]) -> Vec<Stretch> {
    let (mut out, mut next) = (Vec::new(), 0);
    for (mut start, end) in left.iter().copied() {
        while right.get(next).is_some_and(|gap| gap.1 <= start) {
            next += 1;
        }
        let mut at = next;
        while let Some(gap) = right.get(at).filter(|gap| gap.0 < end) {
            if gap.0 > start {
                out.push((start, gap.0));
            }
            start = start.max(gap.1);
            at += 1;
        }
        if start < end {
            out.push((start, end));
        }
    }
    out
}

/// What is in either; both in order.
#[must_use]
pub fn either(left: &[Stretch], right: &[Stretch]) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = left.iter().chain(right).copied().collect();
    all.sort_unstable();
    let mut out = Vec::with_capacity(all.len());
    all.into_iter().for_each(|stretch| push(&mut out, stretch));
    out
}

/// Bytes in stretches.
#[must_use]
pub fn bytes(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|(start, end)| end - start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_cut_and_joined() {
        let left = [(0, 10), (20, 30), (40, 50)];
        assert_eq!(both(&left, &[(5, 25), (29, 45)]), [(5, 10), (20, 25), (29, 30), (40, 45)]);
        assert_eq!(without(&left, &[(5, 25), (29, 45)]), [(0, 5), (25, 29), (45, 50)]);
        assert_eq!(without(&left, &[]), left);
        assert_eq!(without(&[(0, 100)], &[(10, 20), (30, 40)]), [(0, 10), (20, 30), (40, 100)]);
        assert_eq!(
            windows(&[(TABLE + 4096, TABLE + 8192), (2 * TABLE, 2 * TABLE + 4096)], (TABLE + 4096, 9 * TABLE)),
            [(TABLE + 4096, 3 * TABLE)]
        );
        let mut joined = Vec::new();
        for stretch in [(0, 4), (4, 8), (4, 8), (12, 16)] {
            push(&mut joined, stretch);
        }
        assert_eq!(joined, [(0, 8), (12, 16)]);
    }
}
