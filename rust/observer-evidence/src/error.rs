// SPDX-License-Identifier: Apache-2.0
//! Everything that can be wrong with a sealed log, each with the place where it was found.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where in a log something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line number in the file, from 1.
    pub line: u64,
    /// Offset of the line's first byte in the file.
    pub offset: u64,
    /// Sequence that should stand here.
    pub sequence: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {} ({}, line {}, byte {})", self.sequence, self.path.display(), self.line, self.offset)
    }
}

/// Which promise of a signature is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacFault {
    /// Signed with another key than the one given.
    WrongKey,
    /// Not signed at all, though a key was given or a policy wants it.
    Unsigned,
    /// Signed, and the signature does not fit.
    Forged,
}

/// What went wrong; `observer-py` turns each into one Python class with a stable code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The operating system refused.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `open`, `write`, `sync` …
        op: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The disk or quota is full; the failed event is not sealed, everything before it is whole.
    #[error("no space left to seal sequence {sequence} in {}", path.display())]
    StorageFull {
        /// The log.
        path: PathBuf,
        /// The sequence that could not be sealed.
        sequence: u64,
    },
    /// A key was asked for and cannot be used, or the log needs one.
    #[error("{cause}")]
    KeyUnusable {
        /// What is wrong with it; never the key itself.
        cause: String,
    },
    /// An event that may not be sealed: not one JSON object, duplicate keys, too long.
    #[error("event cannot be sealed: {cause} at byte {offset}")]
    InvalidEvent {
        /// What rule it breaks.
        cause: &'static str,
        /// Byte offset inside the event.
        offset: usize,
    },
    /// Another writer holds the log, or it is not a plain file of its own.
    #[error("cannot write to {}: {cause}", path.display())]
    Refused {
        /// The log.
        path: PathBuf,
        /// Why.
        cause: &'static str,
    },
    /// An earlier failure left this writer in an unknown state; open the log again.
    #[error("the writer of {} stopped after a failed {op}; open the log again", path.display())]
    Stopped {
        /// The log.
        path: PathBuf,
        /// The operation that failed.
        op: &'static str,
    },
    /// Not a sealed log.
    #[error("{cause} in {} at byte {offset}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Byte offset.
        offset: u64,
        /// What is wrong.
        cause: String,
    },
    /// Written by a newer version.
    #[error("{} is of format version {version}, newer than this verifier knows", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// A line does not follow from the line before it, or is not a line at all.
    #[error("chain broken at {place}: {cause}")]
    ChainBroken {
        /// Where.
        place: Place,
        /// What differs.
        cause: String,
    },
    /// The chain holds but the keyed signature does not, is missing, or is of another key.
    #[error("signature does not hold at {place}: {cause}")]
    MacMismatch {
        /// Which kind.
        fault: MacFault,
        /// Where.
        place: Place,
        /// What differs.
        cause: String,
    },
    /// Sequence numbers jump, repeat or run backwards.
    #[error("sequence gap at {place}: found {found}")]
    SequenceGap {
        /// Where; `sequence` is the one expected.
        place: Place,
        /// The sequence that stands there.
        found: u64,
    },
    /// Sealed lines are missing from the end.
    #[error("truncated at {place}: {cause}")]
    Truncated {
        /// Where the log ends; `sequence` is the first one missing.
        place: Place,
        /// How that is known.
        cause: String,
    },
}

impl EvidenceError {
    /// Wrap an I/O error with the file and what was tried.
    pub fn io(path: &Path, op: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), op, source }
    }

    /// True when the error means that the evidence does not hold, false when it could not be judged or written.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        matches!(self, Self::ChainBroken { .. } | Self::MacMismatch { .. } | Self::SequenceGap { .. } | Self::Truncated { .. })
    }

    /// The place of a finding.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::ChainBroken { place, .. }
            | Self::MacMismatch { place, .. }
            | Self::SequenceGap { place, .. }
            | Self::Truncated { place, .. } => Some(place),
            _ => None,
        }
    }
}
