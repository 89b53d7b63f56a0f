// SPDX-License-Identifier: Apache-2.0
//! Pages that are read while their process stands, and stored when it runs again. How fast they are read is how long it stands.

use crate::memory::{Memory, BUFFER};
use crate::pagemap::Stretch;
use observer_snapshot::PAGE;
use std::thread;

/// Bytes from which on two threads read: 8 MiB take 1.5 ms.
const WORTH_A_THREAD: usize = 8 << 20;

struct Place {
    pid: u32,
    start: u64,
    end: u64,
    offset: usize,
    known: bool,
}

/// Pages read while a process stood.
#[derive(Default)]
pub struct Kept {
    bytes: Vec<u8>,
    used: usize,
    places: Vec<Place>,
}

impl Kept {
    /// Read these pages now.
    pub fn take(&mut self, pid: u32, memory: &Memory, stretches: &[Stretch]) {
        let groups = Memory::groups(stretches);
        let total: usize = groups.iter().map(|(_, size)| size).sum();
        if self.bytes.len() < self.used + total {
            self.bytes.resize(self.used + total, 0);
        }
        let (mut offset, mut rest) = (self.used, &mut self.bytes[self.used..self.used + total]);
        let mut tasks = Vec::with_capacity(groups.len());
        for (group, size) in &groups {
            let (mine, behind) = rest.split_at_mut(*size);
            tasks.push((offset, group, mine));
            (offset, rest) = (offset + size, behind);
        }
        self.used = offset;
        let each = |tasks: &mut [(usize, &Vec<Stretch>, &mut [u8])]| {
            let mut out = Vec::new();
            for (offset, group, mine) in tasks {
                read_group(memory, group, mine, |start, end, at, known| {
                    out.push(Place { pid, start, end, offset: *offset + at, known });
                });
            }
            out
        };
        if total < WORTH_A_THREAD {
            self.places.extend(each(&mut tasks));
            return;
        }
        let half = tasks.len().div_ceil(2);
        let (first, second) = tasks.split_at_mut(half);
        let (one, two) = thread::scope(|scope| {
            let other = scope.spawn(|| each(second));
            (each(first), other.join().unwrap_or_default())
        });
        self.places.extend(one);
        self.places.extend(two);
    }

    /// Put what was taken in order, when everything runs again.
    pub fn sort(&mut self) {
        self.places.sort_unstable_by_key(|place| (place.pid, place.start));
    }

    /// Make room beforehand: fresh memory is slow, and everything stands while it is filled.
    pub fn reserve(&mut self, bytes: usize) {
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 1);
        }
    }

    /// Forget what was kept; room up to `keep` bytes stays.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.truncate(keep);
        self.bytes.shrink_to_fit();
        self.used = 0;
        self.places.clear();
    }

    /// Go over pages in order; those that were not taken, or could not be read, are told as not known.
    ///
    /// # Errors
    /// What `take` returns.
    pub fn read<E>(
        &self,
        pid: u32,
        stretches: &[Stretch],
        mut take: impl FnMut(&[Stretch], &[u8], bool) -> Result<(), E>,
    ) -> Result<(), E> {
        for &(mut start, end) in stretches {
            let mut at = self.places.partition_point(|place| (place.pid, place.end) <= (pid, start));
            while start < end {
                let found = self.places.get(at).filter(|place| place.pid == pid && place.start <= start && start < place.end);
                let Some(place) = found else {
                    take(&[(start, start + PAGE as u64)], &[0; PAGE], false)?;
                    start += PAGE as u64;
                    at = self.places.partition_point(|place| (place.pid, place.end) <= (pid, start));
                    continue;
                };
                let stop = end.min(place.end);
                let from = place.offset + (start - place.start) as usize;
                take(&[(start, stop)], &self.bytes[from..from + (stop - start) as usize], place.known)?;
                (start, at) = (stop, at + 1);
            }
        }
        Ok(())
    }
}

/// Read a group of stretches into room of their size; page by page where they cannot be read at once.
fn read_group(memory: &Memory, group: &[Stretch], out: &mut [u8], mut tell: impl FnMut(u64, u64, usize, bool)) {
    debug_assert!(out.len() <= BUFFER);
    let (whole, mut at) = (memory.at_once(group, out), 0);
    for &(start, end) in group {
        let size = (end - start) as usize;
        if whole {
            tell(start, end, at, true);
        } else {
            for step in (0..size).step_by(PAGE) {
                let known = memory.page(start + step as u64, &mut out[at + step..at + step + PAGE]);
                tell(start + step as u64, start + (step + PAGE) as u64, at + step, known);
            }
        }
        at += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_given_back_by_address() {
        let page = PAGE as u64;
        let data: Vec<u8> = (0..8 * PAGE).map(|at| (at / PAGE) as u8).collect();
        let room = data.as_ptr() as u64;
        let base = room.next_multiple_of(page);
        let wanted = [(base, base + page), (base + 2 * page, base + 4 * page)];
        let (mut kept, memory) = (Kept::default(), Memory::of(std::process::id()));
        kept.reserve(16);
        kept.take(7, &memory, &wanted[1..]);
        kept.take(7, &memory, &wanted[..1]);
        kept.take(8, &memory, &[(page, 2 * page)]); // nothing is mapped there
        kept.sort();
        let read = |pid, stretch| {
            let (mut bytes, mut known) = (Vec::new(), Vec::new());
            let done: Result<(), ()> = kept.read(pid, &[stretch], |group, part, is| {
                bytes.extend_from_slice(part);
                known.push((group[0], is));
                Ok(())
            });
            assert_eq!(done, Ok(()));
            (bytes, known)
        };
        let from = (base - room) as usize;
        let (bytes, known) = read(7, (base, base + 4 * page));
        assert_eq!(&bytes[..PAGE], &data[from..from + PAGE]);
        assert_eq!(&bytes[2 * PAGE..], &data[from + 2 * PAGE..from + 4 * PAGE]);
        assert_eq!(known, [(wanted[0], true), ((base + page, base + 2 * page), false), (wanted[1], true)]);
        assert!(read(8, (page, 2 * page)).1.iter().all(|(_, known)| !known));
    }
}
