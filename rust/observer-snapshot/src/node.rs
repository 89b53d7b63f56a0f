// SPDX-License-Identifier: Apache-2.0
//! Nodes: what each of up to 1,024 pages is, where it is, and its digest.

use crate::digest::{self, Digest};
use crate::{FRAME_PAGES, NODE_BYTES, NODE_PAGES, PAGE};

/// All zero.
pub const ZERO: u8 = 0;
/// Stored.
pub const STORED: u8 = 1;
/// That of the backing file.
pub const REFERENCE: u8 = 2;
/// Known by digest only.
pub const HASHED: u8 = 3;
/// Not known.
pub const UNKNOWN: u8 = 4;

const RUN: usize = 16;

/// Where a stored page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Place {
    /// Index into the manifest's files.
    pub file: u32,
    /// Offset of the frame.
    pub offset: u64,
    /// Which page of the frame.
    pub index: u8,
}

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its class.
    pub class: u8,
    /// Where it is, if stored.
    pub place: Place,
    /// Its digest, if stored or hashed.
    pub digest: Digest,
}

impl Entry {
    /// An entry without a place.
    #[must_use]
    pub fn of(class: u8) -> Entry {
        Entry { class, place: Place::default(), digest: [0; 32] }
    }

    fn continues(&self, before: &Entry, count: u64) -> bool {
        let same = self.class == before.class && count < NODE_PAGES;
        let next = Place { index: before.place.index.wrapping_add(1), ..before.place };
        same && (self.class != STORED || self.place == next)
    }
}

/// Pages of a region that lie in the node with that index: the first, counted from the region's start, and how many.
#[must_use]
pub fn span(start: u64, size: u64, index: u64) -> (u64, u64) {
    let window = index.saturating_mul(NODE_BYTES);
    let (low, high) = (start.max(window), start.saturating_add(size).min(window.saturating_add(NODE_BYTES)));
    if low >= high {
        return (0, 0);
    }
    ((low - start) / PAGE as u64, (high - low) / PAGE as u64)
}

/// The node's bytes.
#[must_use]
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut runs: Vec<(u16, Entry)> = Vec::new();
    let mut last: Option<Entry> = None;
    for entry in entries {
        match (last, runs.last_mut()) {
            (Some(before), Some(run)) if entry.continues(&before, u64::from(run.0)) => run.0 += 1,
            _ => runs.push((1, *entry)),
        }
        last = Some(*entry);
    }
    let mut out = Vec::with_capacity(4 + runs.len() * RUN + entries.len() * 32);
    out.extend_from_slice(&(runs.len() as u32).to_le_bytes());
    for (count, first) in &runs {
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&[first.class, first.place.index]);
        out.extend_from_slice(&first.place.file.to_le_bytes());
        out.extend_from_slice(&first.place.offset.to_le_bytes());
    }
    for entry in entries.iter().filter(|entry| matches!(entry.class, STORED | HASHED)) {
        out.extend_from_slice(&entry.digest);
    }
    out
}

/// Read a node of `pages` pages.
///
/// # Errors
/// What cannot be, as a sentence.
pub fn decode(bytes: &[u8], pages: u64) -> Result<Vec<Entry>, &'static str> {
    let (count, rest) = bytes.split_first_chunk::<4>().ok_or("a node without runs")?;
    let count = u32::from_le_bytes(*count) as usize;
    let length = count.checked_mul(RUN).filter(|length| *length <= rest.len()).ok_or("a node cut short")?;
    let (runs, mut digests) = rest.split_at(length);
    let mut out = Vec::with_capacity(pages as usize);
    for run in runs.chunks_exact(RUN) {
        let number = u16::from_le_bytes([run[0], run[1]]);
        let mut offset = [0; 8];
        offset.copy_from_slice(&run[8..]);
        let file = u32::from_le_bytes([run[4], run[5], run[6], run[7]]);
        let first = Place { file, offset: u64::from_le_bytes(offset), index: run[3] };
        check_run(run[2], number, first, pages - out.len() as u64)?;
        for step in 0..number {
            let mut entry = Entry::of(run[2]);
            if entry.class == STORED {
                entry.place = Place { index: first.index + step as u8, ..first };
            }
            if matches!(entry.class, STORED | HASHED) {
                let (digest, after) = digests.split_first_chunk::<32>().ok_or("a node without its digests")?;
                (entry.digest, digests) = (*digest, after);
            }
            out.push(entry);
        }
    }
    if out.len() as u64 != pages || !digests.is_empty() {
        return Err("a node of another size than its region's");
    }
    Ok(out)
}

fn check_run(class: u8, number: u16, first: Place, room: u64) -> Result<(), &'static str> {
    let fits = number > 0 && u64::from(number) <= room && class <= UNKNOWN;
    let in_frame = class != STORED || usize::from(first.index) + usize::from(number) <= FRAME_PAGES;
    let plain = class == STORED || first == Place::default();
    if fits && in_frame && plain {
        return Ok(());
    }
    Err("a node with a run that cannot be")
}

/// The node's digest.
#[must_use]
pub fn digest(entries: &[Entry], zero: &Digest) -> Digest {
    let mut bytes = Vec::with_capacity(entries.len() * 33);
    for entry in entries {
        let (class, digest) = match entry.class {
            ZERO => (1, *zero),
            STORED | HASHED => (1, entry.digest),
            other => (other, [0; 32]),
        };
        bytes.push(class);
        bytes.extend_from_slice(&digest);
    }
    digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (0u8..5, 0u32..3, 0u64..200, 0u8..16, any::<[u8; 32]>()).prop_map(|(class, file, offset, index, digest)| {
            let mut entry = Entry::of(class);
            if class == STORED {
                entry.place = Place { file, offset, index };
            }
            if matches!(class, STORED | HASHED) {
                entry.digest = digest;
            }
            entry
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(entries in proptest::collection::vec(entry(), 1..300)) {
            let bytes = encode(&entries);
            prop_assert_eq!(decode(&bytes, entries.len() as u64), Ok(entries));
        }

        #[test]
        fn no_bytes_crash_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400), pages in 0u64..1025) {
            if let Ok(entries) = decode(&bytes, pages) {
                prop_assert_eq!(entries.len() as u64, pages);
            }
        }
    }
}
