// SPDX-License-Identifier: Apache-2.0
//! Reads memory of another process: many stretches in one call, into a buffer that stays in the second-level cache.

use crate::pagemap::Stretch;
use crate::sys;
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;
/// Bytes read in one call: measured best between 256 KiB and 1 MiB; more leaves the cache.
pub const BUFFER: usize = 256 * 1024;
const STRETCHES: usize = 512;

/// Reads one process.
pub struct Memory {
    pid: sys::Tid,
    file: Option<File>, // reads what the process itself may not: pages without read permission
}

impl Memory {
    /// For a process.
    #[must_use]
    pub fn of(pid: u32) -> Memory {
        Memory { pid: pid as sys::Tid, file: File::open(format!("/proc/{pid}/mem")).ok() }
    }

    /// Cut stretches into groups that one call reads, with their sizes.
    #[must_use]
    pub fn groups(stretches: &[Stretch]) -> Vec<(Vec<Stretch>, usize)> {
        let mut out = Vec::new();
        let (mut group, mut size) = (Vec::new(), 0);
        for &(mut start, end) in stretches {
            while start < end {
                let part = (end - start).min((BUFFER - size) as u64);
                group.push((start, start + part));
                (start, size) = (start + part, size + part as usize);
                if size == BUFFER || group.len() == STRETCHES {
                    out.push((std::mem::take(&mut group), size));
                    size = 0;
                }
            }
        }
        if size > 0 {
            out.push((group, size));
        }
        out
    }

    /// Read a group into room of its size; false when not all of it can be read.
    #[must_use]
    pub fn at_once(&self, group: &[Stretch], out: &mut [u8]) -> bool {
        let remote: Vec<(u64, usize)> = group.iter().map(|(start, end)| (*start, (end - start) as usize)).collect();
        sys::read_stretches(self.pid, &remote, out).ok() == Some(out.len())
    }

    /// Go over pages in order, as many at a time as fit the buffer: `take(address of the first, bytes, how many of them are known)`.
    /// Pages that cannot be read are told as none known.
    pub fn read<E>(
        &self,
        stretches: &[Stretch],
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(&[Stretch], &[u8], bool) -> Result<(), E>,
    ) -> Result<(), E> {
        Memory::groups(stretches).iter().try_for_each(|(group, size)| self.group(group, *size, buffer, &mut take))
    }

    fn group<E>(
        &self,
        group: &[Stretch],
        size: usize,
        buffer: &mut Vec<u8>,
        take: &mut impl FnMut(&[Stretch], &[u8], bool) -> Result<(), E>,
    ) -> Result<(), E> {
        buffer.resize(BUFFER, 0);
        if self.at_once(group, &mut buffer[..size]) {
            return take(group, &buffer[..size], true);
        }
        for &(start, end) in group {
            for address in (start..end).step_by(PAGE) {
                let known = self.page(address, &mut buffer[..PAGE]);
                take(&[(address, address + PAGE as u64)], &buffer[..PAGE], known)?;
            }
        }
        Ok(())
    }

    /// One page, by either way; false when there is none.
    pub fn page(&self, address: u64, out: &mut [u8]) -> bool {
        if sys::read_stretches(self.pid, &[(address, out.len())], out).ok() == Some(out.len()) {
            return true;
        }
        self.file.as_ref().is_some_and(|file| file.read_exact_at(out, address).is_ok())
    }
}
