// SPDX-License-Identifier: Apache-2.0
//! What can go wrong with a capture.

use observer_snapshot::SnapshotError;
use std::io;

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file could not be written or read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// There is no such process, or it ended.
    #[error("process {0} does not exist or has ended")]
    Gone(u32),
    /// Another tracer has it.
    #[error("process {pid} is being traced by process {tracer}")]
    Traced {
        /// The process.
        pid: u32,
        /// Who traces it.
        tracer: u32,
    },
    /// The kernel refused.
    #[error("cannot {op} process {pid}: {source}")]
    Refused {
        /// What was tried.
        op: &'static str,
        /// On which process.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// The caller asked for what cannot be.
    #[error("{0}")]
    Usage(String),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, ImageError>;

/// Makes the error that tells what the kernel refused.
pub fn refused(op: &'static str, pid: u32, source: io::Error) -> ImageError {
    match source.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => ImageError::Gone(pid),
        _ => ImageError::Refused { op, pid, source },
    }
}
