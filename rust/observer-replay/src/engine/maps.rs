// SPDX-License-Identifier: Apache-2.0
//! The address space of a process, as /proc/pid/maps and /proc/pid/pagemap tell it. Source: proc(5), pagemap.rst.

use observer_capture::sys::{read_memory, Tid};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Rounds up to whole pages.
#[must_use]
pub fn page_up(n: u64) -> u64 {
    n.saturating_add(PAGE - 1) & !(PAGE - 1)
}

/// One line of /proc/pid/maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// PROT_ bits.
    pub prot: u32,
    /// MAP_SHARED.
    pub shared: bool,
    /// Offset in the file.
    pub offset: u64,
    /// Device and inode.
    pub file: (u64, u64),
    /// Path, or a name in brackets, or nothing.
    pub name: String,
}

impl Region {
    /// The kernel's own page of calls and data, not the program's.
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        self.name.starts_with("[vvar") || self.name == "[vsyscall]"
    }

    /// Can be written, privately.
    #[must_use]
    pub fn is_private_writable(&self) -> bool {
        !self.shared && self.prot & libc::PROT_WRITE.unsigned_abs() != 0
    }
}

fn parse(line: &str) -> Option<Region> {
    let mut parts = line.splitn(6, ' ');
    let (start, end) = parts.next()?.split_once('-')?;
    let flags = parts.next()?.as_bytes();
    let offset = u64::from_str_radix(parts.next()?, 16).ok()?;
    let (major, minor) = parts.next()?.split_once(':')?;
    let device = (u64::from_str_radix(major, 16).ok()?, u64::from_str_radix(minor, 16).ok()?);
    let inode = parts.next()?.parse().ok()?;
    let bit = |at: usize, letter: u8, value: u32| if flags.get(at) == Some(&letter) { value } else { 0 };
    Some(Region {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        prot: bit(0, b'r', 1) | bit(1, b'w', 2) | bit(2, b'x', 4),
        shared: flags.get(3) == Some(&b's'),
        offset,
        file: (libc::makedev(u32::try_from(device.0).ok()?, u32::try_from(device.1).ok()?), inode),
        name: parts.next().unwrap_or("").trim_start().to_owned(),
    })
}

/// All mappings of a process, in order of addresses.
pub fn regions(pid: Tid) -> io::Result<Vec<Region>> {
    let bytes = std::fs::read(format!("/proc/{pid}/maps"))?; // paths need not be UTF-8
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect())
}

/// Page-wise look at which pages are the process's own.
pub struct Pagemap(File);

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

impl Pagemap {
    /// Opens that of a process.
    pub fn open(pid: Tid) -> io::Result<Pagemap> {
        File::open(format!("/proc/{pid}/pagemap")).map(Pagemap)
    }

    /// Calls `each` with address and length of every run of pages that the process alone has (at most 256 pages a run).
    pub fn own_runs(&self, region: &Region, each: &mut dyn FnMut(u64, usize)) {
        let mut entries = vec![0u8; 8 * 512];
        let (mut at, mut run) = (region.start, (0u64, 0usize));
        while at < region.end {
            let want = usize::try_from((region.end - at) / PAGE).unwrap_or(512).min(512);
            let got = self.0.read_at(&mut entries[..want * 8], at / PAGE * 8).unwrap_or(0) / 8;
            if got == 0 {
                break;
            }
            for entry in entries[..got * 8].chunks_exact(8) {
                let bits = entry.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
                let own = bits & (PRESENT | SWAPPED) != 0 && bits & OF_FILE == 0;
                if own && run.1 > 0 && run.0 + run.1 as u64 == at && run.1 < 256 * PAGE as usize {
                    run.1 += PAGE as usize;
                } else if own {
                    if run.1 > 0 {
                        each(run.0, run.1);
                    }
                    run = (at, PAGE as usize);
                }
                at += PAGE;
            }
        }
        if run.1 > 0 {
            each(run.0, run.1);
        }
    }
}

/// FNV-1a over words; fast enough and the same everywhere.
#[must_use]
pub fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3);
        hash ^= hash >> 29;
    }
    rest.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where [`hash_bytes`] begins.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Checksum of all private memory that the process can write and has touched; None when that is more than `limit` bytes. Pages of
/// zeros count as untouched; the sum does not depend on how pages are spread over mappings. The stack that `rsp` points into does not
/// count: in the holes of its frames lies what the dynamic linker saved there (XSAVEC), and that tells which vector registers the
/// processor happens to know to be zero. `skip` are the engine's own parts of the
/// address space.
pub fn checksum(pid: Tid, skip: &[(u64, u64)], limit: u64, rsp: u64) -> io::Result<Option<u64>> {
    private_sum(pid, skip, limit, &|bytes, _, region| {
        if rsp >= region.start && rsp < region.end {
            bytes.fill(0);
        }
    })
}

fn private_sum(pid: Tid, skip: &[(u64, u64)], limit: u64, forget: &dyn Fn(&mut [u8], u64, &Region)) -> io::Result<Option<u64>> {
    let pagemap = Pagemap::open(pid)?;
    let (mut sum, mut total, mut buffer) = (0u64, 0u64, vec![0u8; 256 * PAGE as usize]);
    for region in regions(pid)? {
        if !region.is_private_writable() || skip.iter().any(|part| region.start >= part.0 && region.start < part.1) {
            continue;
        }
        pagemap.own_runs(&region, &mut |address, length| {
            total += length as u64;
            let got = if total > limit { 0 } else { read_memory(pid, address, &mut buffer[..length]) };
            forget(&mut buffer[..got], address, &region);
            for (number, page) in buffer[..got].chunks(PAGE as usize).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    sum = sum.wrapping_add(hash_bytes(HASH_START ^ (address + number as u64 * PAGE), page));
                }
            }
        });
    }
    Ok((total <= limit).then_some(sum))
}

/// Checksum of everything that a computation without calls goes on from, but for the general registers: memory as in [`checksum`],
/// memory that is shared, vector registers. Two moments of one computation with the same sum and registers have the same future.
pub fn state_sum(tid: Tid, skip: &[(u64, u64)], limit: u64, rsp: u64) -> io::Result<Option<u64>> {
    let dead = |bytes: &mut [u8], address: u64, region: &Region| forget(bytes, address, region, rsp);
    let Some(mut sum) = private_sum(tid, skip, limit, &dead)? else { return Ok(None) };
    let (mut buffer, mut total) = (vec![0u8; 256 * PAGE as usize], 0);
    for region in regions(tid)?.iter().filter(|r| r.shared && r.prot & libc::PROT_WRITE.unsigned_abs() != 0 && !r.is_kernels()) {
        let mut at = region.start;
        while at < region.end && total <= limit {
            let want = usize::try_from(region.end - at).unwrap_or(usize::MAX).min(buffer.len());
            let got = read_memory(tid, at, &mut buffer[..want]);
            for (number, page) in buffer[..got].chunks(PAGE as usize).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    sum = sum.wrapping_add(hash_bytes(HASH_START ^ (at + number as u64 * PAGE), page));
                }
            }
            total += want as u64;
            at += want as u64;
        }
    }
    let vectors = crate::engine::sys::xstate(tid)?;
    let counted = [vectors.get(..LEGACY_HEAD), vectors.get(LEGACY_REST..LEGACY_END), vectors.get(EXTENDED..)];
    sum = counted.into_iter().flatten().fold(sum, hash_bytes);
    Ok((total <= limit).then_some(sum))
}

/// In the XSAVE layout: control words, then the place of the last x87 instruction, which differs between processors, then registers,
/// then what says which components are in use, which may differ though their content does not, then those components.
const LEGACY_HEAD: usize = 6;
const LEGACY_REST: usize = 24;
const LEGACY_END: usize = 416;
const EXTENDED: usize = 576;

/// Bytes below the stack pointer that a function may use.
const RED_ZONE: u64 = 128;

/// The part of a thread's stack that its program cannot rely on.
#[must_use]
pub fn dead_stack(tid: Tid, rsp: u64) -> Range<u64> {
    let all = regions(tid).unwrap_or_default();
    let end = rsp.saturating_sub(RED_ZONE);
    all.iter().find(|region| region.start <= rsp && rsp < region.end).map_or(end..end, |region| region.start..end)
}

/// Below the stack pointer and its red zone nothing counts: the program cannot rely on it, and what the dynamic linker saves there
/// (XSAVEC) tells which vector registers the processor happens to know to be zero.
fn forget(bytes: &mut [u8], address: u64, region: &Region, rsp: u64) {
    if rsp >= region.start && rsp < region.end {
        let dead = rsp.saturating_sub(RED_ZONE).saturating_sub(address);
        let dead = usize::try_from(dead).unwrap_or(usize::MAX).min(bytes.len());
        bytes[..dead].fill(0);
    }
}
