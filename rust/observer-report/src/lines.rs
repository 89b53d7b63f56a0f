// SPDX-License-Identifier: Apache-2.0
//! Lines of a file with their offsets, in bounded memory, whatever the bytes are.

use crate::error::ReportError;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Longest line kept; what is longer is passed over and told as malformed.
pub(crate) const MAX_LINE: usize = 1 << 20;
const BUFFER: usize = 1 << 20;

/// Streams the lines of one file.
pub(crate) struct Lines {
    path: PathBuf,
    input: BufReader<File>,
    offset: u64,
    buffer: Vec<u8>,
}

/// Where a line stands; its bytes lie in the reader until the next call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    /// Length without the line end.
    pub(crate) length: usize,
    /// The line ended with a newline.
    pub(crate) whole: bool,
    /// The line was longer than may be kept; `length` is that of the kept part.
    pub(crate) cut: bool,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, ReportError> {
        let file = File::open(path).map_err(|error| ReportError::io(path, "read", error))?;
        Ok(Self { path: path.to_path_buf(), input: BufReader::with_capacity(BUFFER, file), offset: 0, buffer: Vec::new() })
    }

    /// The bytes of the line that `next` gave last.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Go on to the next line; None at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Span>, ReportError> {
        self.buffer.clear();
        let begin = self.offset;
        let mut cut = false;
        loop {
            let piece = self.input.fill_buf().map_err(|error| ReportError::io(&self.path, "read", error))?;
            if piece.is_empty() {
                let some = self.offset > begin;
                return Ok(some.then(|| self.span(begin, false, cut)));
            }
            let end = memchr::memchr(b'\n', piece);
            let taken = end.map_or(piece.len(), |at| at + 1);
            let body = &piece[..end.unwrap_or(piece.len())];
            let room = MAX_LINE.saturating_sub(self.buffer.len());
            cut |= body.len() > room;
            self.buffer.extend_from_slice(&body[..body.len().min(room)]);
            self.input.consume(taken);
            self.offset += taken as u64;
            if end.is_some() {
                return Ok(Some(self.span(begin, true, cut)));
            }
        }
    }

    fn span(&self, offset: u64, whole: bool, cut: bool) -> Span {
        Span { offset, length: self.buffer.len(), whole, cut }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::{Lines, MAX_LINE};
    use std::io::Write;

    #[test]
    fn long_and_endless_lines_do_not_move_what_follows() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"one\n\n").expect("write");
        file.write_all(&vec![b'x'; MAX_LINE + 5]).expect("write");
        file.write_all(b"\nlast").expect("write");
        let mut lines = Lines::open(file.path()).expect("open");
        let mut seen = Vec::new();
        while let Some(span) = lines.next().expect("next") {
            seen.push((span.offset, span.length, span.whole, span.cut));
        }
        let long = MAX_LINE as u64;
        assert_eq!(seen, [(0, 3, true, false), (4, 0, true, false), (5, MAX_LINE, true, true), (5 + long + 6, 4, false, false)]);
        assert_eq!(lines.bytes(), b"");
    }
}
