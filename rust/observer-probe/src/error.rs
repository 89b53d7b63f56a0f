// SPDX-License-Identifier: Apache-2.0
//! Why something could not be watched.

use observer_recording::RecordingError;
use std::io;

/// A failure to watch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The configuration cannot mean anything.
    #[error("{0}")]
    Config(String),
    /// The kernel or this user's rights lack something; `how` says what to do.
    #[error("{what}")]
    Capability {
        /// What is missing.
        what: String,
        /// How to get it.
        how: &'static str,
    },
    /// The kernel refused the probe although what it needs seems to be there.
    #[error("the kernel does not take the probe: {0}")]
    Load(String),
    /// What was to be watched is not there.
    #[error("{0}")]
    NotFound(String),
    /// The kernel refused to execute the command.
    #[error("cannot execute {path}: {source}")]
    Exec {
        /// The executable.
        path: String,
        /// The kernel's answer.
        source: io::Error,
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

impl ProbeError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| ProbeError::Io { what, source }
    }
}
