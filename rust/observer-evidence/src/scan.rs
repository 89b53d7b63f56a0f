// SPDX-License-Identifier: Apache-2.0
//! Cuts a stream of bytes into lines with bounded memory, and tells what kind of tail is left at its end.

use crate::line::MAX_LINE_BYTES;
use crate::verify::Tail;
use std::io::{self, Read};

/// Bytes read at a time; the buffer grows only when a line is longer.
const CHUNK_BYTES: usize = 128 * 1024;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    /// A line without its newline, and the offset of its first byte.
    Line(&'a [u8], u64),
    /// A line longer than the format allows begins at this offset.
    TooLong(u64),
    /// The file ends here.
    End(Tail),
}

/// Line scanner; reads forward once.
pub(crate) struct Scanner<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl<R: Read> Scanner<R> {
    pub(crate) fn new(input: R, offset: u64) -> Self {
        Self {
            input,
            buffer: vec![0; CHUNK_BYTES],
            start: 0,
            end: 0,
            offset,
        }
    }

    /// The next line, or how the file ends.
    pub(crate) fn next_line(&mut self) -> io::Result<Raw<'_>> {
        let mut searched = 0;
        loop {
            let window = &self.buffer[self.start + searched..self.end];
            if let Some(found) = memchr::memchr(b'\n', window) {
                let length = searched + found;
                let offset = self.offset;
                if length > MAX_LINE_BYTES {
                    return Ok(Raw::TooLong(offset));
                }
                let line = self.start..self.start + length;
                self.start += length + 1;
                self.offset += length as u64 + 1;
                return Ok(Raw::Line(&self.buffer[line], offset));
            }
            searched = self.end - self.start;
            if searched > MAX_LINE_BYTES {
                return self.drain_tail();
            }
            if self.fill()? == 0 {
                return Ok(Raw::End(self.tail(searched as u64, false)));
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.buffer.len() - self.end < CHUNK_BYTES / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < CHUNK_BYTES / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn tail(&self, bytes: u64, more: bool) -> Tail {
        let held = &self.buffer[self.start..self.end];
        match (bytes, more || held.iter().any(|&b| b != 0)) {
            (0, _) => Tail::Whole,
            (bytes, true) => Tail::Torn {
                offset: self.offset,
                bytes,
            },
            (bytes, false) => Tail::Zeroed {
                offset: self.offset,
                bytes,
            },
        }
    }

    /// More than a line's worth without a newline: read on, keeping nothing, to see whether one ever comes.
    fn drain_tail(&mut self) -> io::Result<Raw<'_>> {
        let held = (self.end - self.start) as u64;
        let mut nonzero = self.buffer[self.start..self.end].iter().any(|&b| b != 0);
        let mut rest = 0_u64;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = match self.input.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if count == 0 {
                return Ok(Raw::End(self.tail(held + rest, nonzero)));
            }
            if memchr::memchr(b'\n', &chunk[..count]).is_some() {
                return Ok(Raw::TooLong(self.offset));
            }
            nonzero |= chunk[..count].iter().any(|&b| b != 0);
            rest += count as u64;
        }
    }
}
