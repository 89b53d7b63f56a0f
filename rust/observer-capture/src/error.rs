// SPDX-License-Identifier: Apache-2.0
//! Why a command could not be recorded.

use observer_recording::RecordingError;
use std::io;

/// A failure to record a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The configuration cannot mean anything.
    #[error("{0}")]
    Config(String),
    /// The kernel refused to execute the command.
    #[error("cannot execute {path}: {source}")]
    Exec {
        /// The executable.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused to let us trace.
    #[error("cannot trace a program of one's own: {0}")]
    Trace(io::Error),
    /// The program is of another architecture or word size.
    #[error("{path} is a {what} program; only 64-bit programs of this machine's architecture can be recorded")]
    Abi {
        /// The executable.
        path: String,
        /// What it is.
        what: String,
    },
    /// The operating system refused something else.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The recording could not be written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

impl CaptureError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| CaptureError::Io { what, source }
    }
}
