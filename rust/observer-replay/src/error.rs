// SPDX-License-Identifier: Apache-2.0
//! Why a program could not be recorded for replay, or a recording not replayed.

use crate::replay::divergence::Divergence;
use observer_capture::CaptureError;
use observer_recording::RecordingError;
use std::io;

/// A failure to record or to replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The replay did something else than the recording.
    #[error("{0}")]
    Diverged(Box<Divergence>),
    /// The recording holds nothing to replay, or something this build cannot replay.
    #[error("{0}")]
    Unsupported(String),
    /// The stream of events or a stored file is damaged.
    #[error("{0}")]
    Damaged(String),
    /// A limit of the replay's environment was reached.
    #[error("the replay reached its limit: {0}")]
    Limit(String),
    /// The caller asked for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Capture failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The recording could not be read or written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

impl ReplayError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| ReplayError::Io { what, source }
    }
}
