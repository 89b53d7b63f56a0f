// SPDX-License-Identifier: Apache-2.0
//! Segment files: where the bytes of chunks live. Source: docs/spec/recording.md §2 and §7.

use crate::error::RecordingError;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a segment's header.
pub const SEGMENT_HEADER: u64 = 32;
const MAGIC: &[u8; 8] = b"OBSREC1\n";

/// The path of a segment in the recording directory.
#[must_use]
pub fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join("segments").join(format!("{number:06}.seg"))
}

/// A segment being written.
pub struct SegmentWriter {
    file: File,
    /// Segment number.
    pub number: u32,
    /// Length up to the last whole chunk.
    pub length: u64,
}

impl SegmentWriter {
    /// Creates a segment, 0600, that must not exist yet.
    pub fn create(dir: &Path, number: u32, trace_id: &[u8; 16]) -> Result<Self, RecordingError> {
        let path = path_of(dir, number);
        let what = || format!("create {}", path.display());
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(RecordingError::io(what()))?;
        let mut header = [0u8; SEGMENT_HEADER as usize];
        header[0..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&number.to_le_bytes());
        header[16..32].copy_from_slice(trace_id);
        file.write_all(&header).map_err(RecordingError::io(what()))?;
        Ok(SegmentWriter { file, number, length: SEGMENT_HEADER })
    }

    /// Appends a chunk whole or not at all; returns its offset.
    pub fn append(&mut self, chunk: &[u8]) -> Result<u64, RecordingError> {
        let offset = self.length;
        if let Err(source) = self.file.write_all(chunk) {
            self.cut_back();
            return Err(RecordingError::Io { what: format!("write to segment {:06}", self.number), source });
        }
        self.length += chunk.len() as u64;
        Ok(offset)
    }

    /// Drops a half-written chunk; if even that fails the rest stays as unsealed bytes, which readers ignore and count.
    fn cut_back(&mut self) {
        if self.file.set_len(self.length).is_ok() {
            let _ = self.file.seek(SeekFrom::Start(self.length));
        }
    }

    /// Makes what was appended survive power loss.
    pub fn sync(&self) -> Result<(), RecordingError> {
        self.file.sync_data().map_err(RecordingError::io(format!("sync segment {:06}", self.number)))
    }
}

/// A segment being read.
pub struct SegmentReader {
    file: File,
    number: u32,
}

impl SegmentReader {
    /// Opens a segment and checks its header against the recording.
    pub fn open(dir: &Path, number: u32, trace_id: &[u8; 16]) -> Result<Self, RecordingError> {
        let path = path_of(dir, number);
        let mut header = [0u8; SEGMENT_HEADER as usize];
        let malformed = |why: &str| RecordingError::Malformed(format!("segment {number:06}: {why}"));
        // Neither follow a link out of the recording nor wait for the writer of a pipe that stands in its place.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(RecordingError::io(format!("open {}", path.display())))?;
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            return Err(malformed("not a plain file"));
        }
        file.read_exact_at(&mut header, 0).map_err(|_| malformed("shorter than its header"))?;
        if &header[0..8] != MAGIC {
            return Err(malformed("not a segment of a recording"));
        }
        if header[12..16] != [0; 4] {
            return Err(RecordingError::Newer(format!("segment {number:06} uses an unknown feature")));
        }
        if header[8..12] != number.to_le_bytes() || &header[16..32] != trace_id {
            return Err(malformed("belongs to another place or another recording"));
        }
        Ok(SegmentReader { file, number })
    }

    /// Reads `length` bytes at `offset`; None when the file ends before.
    pub fn read(&self, offset: u64, length: usize) -> Result<Option<Vec<u8>>, RecordingError> {
        let mut bytes = vec![0u8; length];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(RecordingError::io(format!("read segment {:06}", self.number))(e)),
        }
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> Result<u64, RecordingError> {
        let meta = self.file.metadata().map_err(RecordingError::io(format!("stat segment {:06}", self.number)))?;
        Ok(meta.len())
    }
}
