// SPDX-License-Identifier: Apache-2.0
//! What can be wrong with a snapshot, each with its place.

use std::io;
use std::path::PathBuf;

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Not a snapshot, or malformed.
    #[error("{path}: {what} at byte {offset}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A newer version.
    #[error("{path} is a snapshot of version {version}, this is version 1")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// No trailer.
    #[error("{path} was cut off: it has {length} bytes and no end")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// Bytes do not hold.
    #[error("{path}: {what} at byte {offset} does not hold")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What does not hold.
        what: String,
    },
    /// Pages that were asked for do not hold.
    #[error("{path}: process {pid}, region {region:#x} ({name}): {pages}")]
    Pages {
        /// The file.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// Start of the region.
        region: u64,
        /// Its name.
        name: String,
        /// Which pages, and why.
        pages: String,
    },
    /// The manifest is not the one that was signed.
    #[error("{path}: {what}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// An encrypted file and no key, or a wrong one.
    #[error("{path} is encrypted and {what}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with the key.
        what: &'static str,
    },
    /// A file that is referred to is not there.
    #[error("{path} refers to snapshot {wanted}, which is not beside it")]
    Missing {
        /// The file that refers.
        path: PathBuf,
        /// The id of the other.
        wanted: String,
    },
    /// No such process, region or component.
    #[error("{0}")]
    NotFound(String),
    /// The caller asked for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused.
    #[error("cannot {op} {path}: {source}")]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, SnapshotError>;

/// Makes an [`SnapshotError::Io`].
pub fn io_error(op: &'static str, path: &std::path::Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { op, path: path.to_path_buf(), source }
}
