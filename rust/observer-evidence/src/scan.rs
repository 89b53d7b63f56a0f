// SPDX-License-Identifier: Apache-2.0
//! Cuts a stream of bytes into blocks of whole lines with bounded memory, and tells what kind of tail is left at its end.

use crate::line::MAX_LINE_BYTES;
use crate::verify::Tail;
use std::io::{self, Read};

/// Bytes read at a time: enough lines to be worth handing to another core, few enough to stay in its cache.
const CHUNK_BYTES: usize = 256 * 1024;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// Whole lines, each with its newline.
    Block(Block),
    /// A line longer than the format allows begins at this offset.
    TooLong(u64),
    /// The file ends here.
    End(Tail),
}

/// Some whole lines of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The lines with their newlines.
    pub(crate) bytes: Vec<u8>,
    /// Offset of the first byte in the file.
    pub(crate) offset: u64,
}

impl Block {
    /// The last line, without its newline.
    pub(crate) fn last_line(&self) -> &[u8] {
        let lines = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        &lines[memchr::memrchr(b'\n', lines).map_or(0, |newline| newline + 1)..]
    }
}

/// Block scanner; reads forward once.
pub(crate) struct Scanner<R> {
    input: R,
    rest: Vec<u8>,
    offset: u64,
    /// Memory of blocks that are done with; the next ones go there, which the cache still holds.
    spare: Vec<Vec<u8>>,
}

impl<R: Read> Scanner<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, rest: Vec::new(), offset: 0, spare: Vec::new() }
    }

    /// Take back the memory of a block.
    pub(crate) fn give_back(&mut self, bytes: Vec<u8>) {
        self.spare.push(bytes);
    }

    /// The next whole lines, or how the file ends.
    pub(crate) fn next_block(&mut self) -> io::Result<Raw> {
        let mut bytes = std::mem::take(&mut self.rest);
        loop {
            let searched = bytes.len();
            let count = self.fill(&mut bytes)?;
            if let Some(newline) = memchr::memrchr(b'\n', &bytes[searched..]) {
                let end = searched + newline + 1;
                self.rest = self.spare.pop().unwrap_or_default();
                self.rest.clear();
                self.rest.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                let offset = self.offset;
                self.offset += bytes.len() as u64;
                return Ok(Raw::Block(Block { bytes, offset }));
            }
            if count == 0 {
                return Ok(Raw::End(self.tail(bytes.len() as u64, bytes.iter().any(|&b| b != 0))));
            }
            if bytes.len() > MAX_LINE_BYTES {
                return self.drain(&bytes);
            }
        }
    }

    /// Read one chunk onto the end of `bytes`; 0 at the end of the file.
    fn fill(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        bytes.reserve(CHUNK_BYTES);
        (&mut self.input).take(CHUNK_BYTES as u64).read_to_end(bytes)
    }

    fn tail(&self, bytes: u64, nonzero: bool) -> Tail {
        match (bytes, nonzero) {
            (0, _) => Tail::Whole,
            (bytes, true) => Tail::Torn { offset: self.offset, bytes },
            (bytes, false) => Tail::Zeroed { offset: self.offset, bytes },
        }
    }

    /// More than a line's worth without a newline: read on, keeping nothing, to see whether one ever comes.
    fn drain(&mut self, held: &[u8]) -> io::Result<Raw> {
        let mut nonzero = held.iter().any(|&b| b != 0);
        let mut length = held.len() as u64;
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            let count = self.fill(&mut chunk)?;
            if count == 0 {
                return Ok(Raw::End(self.tail(length, nonzero)));
            }
            if memchr::memchr(b'\n', &chunk).is_some() {
                return Ok(Raw::TooLong(self.offset));
            }
            nonzero = nonzero || chunk.iter().any(|&b| b != 0);
            length += count as u64;
        }
    }
}
