// SPDX-License-Identifier: Apache-2.0
//! Reads lines without judging them: no key, no hash. Use `verify_log` before believing what comes out.

use crate::error::{EvidenceError, Place};
use crate::hash::Digest32;
use crate::line::parse;
use crate::scan::{Block, Raw, Scanner};
use crate::verify::{refused_or_io, Tail};
use crate::vfs::open_for_reading;
use std::fs::File;
use std::path::{Path, PathBuf};

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Sequence, from 0.
    pub seq: u64,
    /// Offset of the line's first byte in the file.
    pub offset: u64,
    /// Set on the writer's own records, absent on events.
    pub kind: Option<String>,
    /// The event's exact bytes.
    pub event: Vec<u8>,
    /// The chain value the line states.
    pub chain: Digest32,
    /// The HMAC the line states.
    pub hmac: Option<Digest32>,
}

/// Streams the lines of a log; iteration ends at a torn or zeroed tail, which [`LineReader::tail`] then tells.
pub struct LineReader {
    path: PathBuf,
    scanner: Scanner<File>,
    block: Block,
    at: usize,
    line: u64,
    next_seq: u64,
    tail: Option<Tail>,
}

/// Open a log for reading.
///
/// # Errors
/// When the file cannot be opened or is not a plain file.
pub fn read_lines(path: &Path) -> Result<LineReader, EvidenceError> {
    let file = open_for_reading(path).map_err(|error| refused_or_io(path, error))?;
    Ok(LineReader {
        path: path.to_path_buf(),
        scanner: Scanner::new(file),
        block: Block::default(),
        at: 0,
        line: 0,
        next_seq: 0,
        tail: None,
    })
}

impl LineReader {
    /// How the file ends; None before the end was reached.
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    fn step(&mut self) -> Result<Option<Line>, EvidenceError> {
        if self.at == self.block.bytes.len() {
            let raw = self.scanner.next_block().map_err(|error| EvidenceError::io(&self.path, "read", error))?;
            self.line += u64::from(matches!(raw, Raw::TooLong(_)));
            match raw {
                Raw::End(tail) => {
                    self.tail = Some(tail);
                    return Ok(None);
                }
                Raw::TooLong(offset) => return Err(self.unreadable(offset, "longer than a line may be")),
                Raw::Block(block) => (self.block, self.at) = (block, 0),
            }
        }
        let offset = self.block.offset + self.at as u64;
        let rest = &self.block.bytes[self.at..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        self.line += 1;
        self.at += line.len() + 1;
        let parsed = parse(line).map_err(|cause| self.unreadable(offset, cause))?;
        self.next_seq = parsed.seq.saturating_add(1);
        Ok(Some(Line {
            seq: parsed.seq,
            offset,
            kind: parsed.kind.map(str::to_owned),
            event: parsed.event.to_vec(),
            chain: parsed.chain_bytes().unwrap_or_default(),
            hmac: parsed.hmac_bytes(),
        }))
    }

    fn unreadable(&self, offset: u64, cause: &str) -> EvidenceError {
        let path = self.path.clone();
        if self.line == 1 {
            return EvidenceError::Format { path, offset, cause: format!("not a sealed log: {cause}") };
        }
        let place = Place { path, line: self.line, offset, sequence: self.next_seq };
        EvidenceError::ChainBroken { place, cause: format!("not a line of this format: {cause}") }
    }
}

impl Iterator for LineReader {
    type Item = Result<Line, EvidenceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.tail.is_some() {
            return None;
        }
        let item = self.step();
        if item.is_err() {
            // One error ends the iteration: what follows an unreadable line cannot be placed.
            self.tail = Some(Tail::Whole);
        }
        item.transpose()
    }
}
