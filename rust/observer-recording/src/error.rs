// SPDX-License-Identifier: Apache-2.0
//! Everything that can go wrong with a recording, with its place.

use observer_evidence::EvidenceError;
use std::io;

/// A failure of writing, reading or verifying a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The operating system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, as a verb phrase.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Not a recording, or damaged in its form.
    #[error("{0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("written by a newer version: {0}")]
    Newer(String),
    /// A chunk is not what was sealed.
    #[error("chunk of records {first_record}… is not what was sealed: {why} (segment {segment:06}, byte {offset})")]
    Chunk {
        /// Segment number.
        segment: u32,
        /// Byte offset in the segment.
        offset: u64,
        /// First record of the chunk, by its sealed line.
        first_record: u64,
        /// Sequence of the sealed line.
        sequence: u64,
        /// What differs.
        why: String,
    },
    /// The sealed log failed.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

impl RecordingError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| RecordingError::Io { what, source }
    }
}
