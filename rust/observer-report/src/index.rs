// SPDX-License-Identifier: Apache-2.0
//! The index of events: sorted in pieces, the pieces kept in a file, merged when read. 49 bytes an event.

use crate::error::ReportError;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of one entry in a file.
const ENTRY: usize = 49;

/// Where one event stands and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: i64,
    pub(crate) origin: u8,
    pub(crate) file: u16,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    /// Half width of the interval, ns; negative: unknown.
    pub(crate) error: i64,
    pub(crate) id: [u8; 16],
    /// 1: relayed copy, 2: malformed.
    pub(crate) flags: u8,
    pub(crate) side: u8,
}

/// Relayed by the other side.
pub(crate) const COPY: u8 = 1;
/// The line is no event.
pub(crate) const MALFORMED: u8 = 2;

impl Item {
    fn order(&self) -> (i64, u8, u8, u16, u64) {
        (self.key, self.origin, self.side, self.file, self.offset)
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut bytes = [0u8; ENTRY];
        bytes[0..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8] = self.origin;
        bytes[9..11].copy_from_slice(&self.file.to_le_bytes());
        bytes[11..19].copy_from_slice(&self.offset.to_le_bytes());
        bytes[19..23].copy_from_slice(&self.length.to_le_bytes());
        bytes[23..31].copy_from_slice(&self.error.to_le_bytes());
        bytes[31..47].copy_from_slice(&self.id);
        bytes[47] = self.flags;
        bytes[48] = self.side;
        out.write_all(&bytes)
    }

    fn read(bytes: &[u8; ENTRY]) -> Self {
        let eight = |at: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[at..at + 8]);
            part
        };
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[31..47]);
        Self {
            key: i64::from_le_bytes(eight(0)),
            origin: bytes[8],
            file: u16::from_le_bytes([bytes[9], bytes[10]]),
            offset: u64::from_le_bytes(eight(11)),
            length: u32::from_le_bytes([bytes[19], bytes[20], bytes[21], bytes[22]]),
            error: i64::from_le_bytes(eight(23)),
            id,
            flags: bytes[47],
            side: bytes[48],
        }
    }
}

/// Takes entries in any order; gives them back sorted.
pub(crate) struct Index {
    directory: PathBuf,
    room: usize,
    open: Vec<Item>,
    pieces: Vec<PathBuf>,
}

impl Index {
    /// Keep at most `room` entries in memory; pieces go into `directory`.
    pub(crate) fn new(directory: &Path, room: usize) -> Self {
        Self { directory: directory.to_path_buf(), room: room.max(16), open: Vec::new(), pieces: Vec::new() }
    }

    pub(crate) fn push(&mut self, item: Item) -> Result<(), ReportError> {
        if self.open.len() == self.room {
            self.spill()?;
        }
        self.open.push(item);
        Ok(())
    }

    fn spill(&mut self) -> Result<(), ReportError> {
        self.open.sort_unstable_by_key(Item::order);
        let path = self.directory.join(format!("index-{}", self.pieces.len()));
        let failed = |error| ReportError::io(&path, "write", error);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(failed)?);
        for item in &self.open {
            item.write(&mut out).map_err(failed)?;
        }
        out.flush().map_err(failed)?;
        self.pieces.push(path);
        self.open.clear();
        Ok(())
    }

    /// All entries in order.
    pub(crate) fn sorted(mut self) -> Result<Sorted, ReportError> {
        self.open.sort_unstable_by_key(Item::order);
        let mut sorted = Sorted { heap: BinaryHeap::new(), pieces: Vec::new(), rest: self.open.into_iter() };
        for path in self.pieces {
            let file = File::open(&path).map_err(|error| ReportError::io(&path, "read", error))?;
            sorted.pieces.push((BufReader::with_capacity(1 << 18, file), path));
        }
        for at in 0..=sorted.pieces.len() {
            sorted.refill(at)?;
        }
        Ok(sorted)
    }
}

/// A merge of sorted pieces.
pub(crate) struct Sorted {
    heap: BinaryHeap<Head>,
    pieces: Vec<(BufReader<File>, PathBuf)>,
    rest: std::vec::IntoIter<Item>,
}

#[derive(PartialEq, Eq)]
struct Head(Item, usize);

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.order().cmp(&self.0.order()).then(other.1.cmp(&self.1))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Sorted {
    pub(crate) fn next(&mut self) -> Result<Option<Item>, ReportError> {
        let Some(Head(item, piece)) = self.heap.pop() else { return Ok(None) };
        self.refill(piece)?;
        Ok(Some(item))
    }

    fn refill(&mut self, piece: usize) -> Result<(), ReportError> {
        let next = match self.pieces.get_mut(piece) {
            None => self.rest.next(),
            Some((reader, path)) => {
                let mut bytes = [0u8; ENTRY];
                match reader.read_exact(&mut bytes) {
                    Ok(()) => Some(Item::read(&bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
                    Err(error) => return Err(ReportError::io(path, "read", error)),
                }
            }
        };
        if let Some(item) = next {
            self.heap.push(Head(item, piece));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::{Index, Item};

    #[test]
    fn pieces_give_what_memory_gives() {
        let mut state = 7u64;
        let mut dice = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let items: Vec<Item> = (0..1000u64)
            .map(|at| Item {
                key: i64::try_from(dice() % 50).unwrap_or(0) - 25,
                origin: u8::try_from(dice() % 2).unwrap_or(0),
                file: 0,
                offset: at,
                length: 1,
                error: -1,
                id: [u8::try_from(at % 251).unwrap_or(0); 16],
                flags: 0,
                side: 0,
            })
            .collect();
        let directory = tempfile::tempdir().expect("a directory");
        let mut expected = items.clone();
        expected.sort_by_key(Item::order);
        for room in [16, 100, 5000] {
            let mut index = Index::new(directory.path(), room);
            items.iter().for_each(|item| index.push(*item).expect("push"));
            let mut sorted = index.sorted().expect("sorted");
            let mut found = Vec::new();
            while let Some(item) = sorted.next().expect("next") {
                found.push(item);
            }
            assert_eq!(found, expected, "room {room}");
        }
    }
}
