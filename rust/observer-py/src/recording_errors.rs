// SPDX-License-Identifier: Apache-2.0
//! Errors of recording and capture as the Python classes of `observer.errors`.

use crate::errors::{from_evidence, Raise};
use observer_capture::CaptureError;
use observer_recording::RecordingError;
use pyo3::prelude::*;
use std::io;

/// Malformed JSON from the Python side: our own bug or a wrong call.
pub fn bad_json(error: serde_json::Error) -> PyErr {
    Python::attach(|py| Raise::new("UsageError", format!("not the JSON this call takes: {error}")).into_err(py))
}

/// An operating system error as the class that tells what to do about it.
pub fn io_error(py: Python<'_>, what: &str, source: &io::Error) -> PyErr {
    use io::ErrorKind;
    let message = format!("cannot {what}: {source}");
    let (class, hint) = match source.kind() {
        ErrorKind::NotFound => ("NotFoundError", Some("check the path")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("StorageFull", None),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ("CapabilityError", Some("run as the user who owns it, or choose another place with -o"))
        }
        ErrorKind::AlreadyExists => ("CaptureError", Some("choose another name, or --force to replace it")),
        _ => ("CaptureError", None),
    };
    Raise { hint, ..Raise::new(class, message) }.into_err(py)
}

/// Each error of a recording as its Python class.
pub fn recording_error(error: RecordingError) -> PyErr {
    Python::attach(|py| from_recording(py, &error))
}

fn from_recording(py: Python<'_>, error: &RecordingError) -> PyErr {
    let message = error.to_string();
    match error {
        RecordingError::Evidence(inner) => from_evidence(py, inner),
        RecordingError::Io { what, source } => io_error(py, what, source),
        RecordingError::Newer(_) => Raise::new("NewerVersion", message).into_err(py),
        RecordingError::Malformed(_) => Raise::new("FormatError", message).into_err(py),
        RecordingError::Chunk { segment, offset, first_record, sequence, .. } => {
            let numbers = vec![
                ("segment", u64::from(*segment)),
                ("offset", *offset),
                ("first_record", *first_record),
                ("sequence", *sequence),
            ];
            Raise { numbers, ..Raise::new("ChunkMismatch", message) }.into_err(py)
        }
        _ => Raise::new("InternalError", message).into_err(py),
    }
}

/// Each error of capture as its Python class.
pub fn capture_error(error: CaptureError) -> PyErr {
    Python::attach(|py| from_capture(py, &error))
}

fn from_capture(py: Python<'_>, error: &CaptureError) -> PyErr {
    let message = error.to_string();
    match error {
        CaptureError::Recording(inner) => from_recording(py, inner),
        CaptureError::Config(_) => Raise::new("UsageError", message).into_err(py),
        CaptureError::Abi { .. } => {
            let hint = Some("record a 64-bit build of it; nothing was recorded");
            Raise { hint, ..Raise::new("UnsupportedAbi", message) }.into_err(py)
        }
        CaptureError::Trace(_) => {
            let hint = Some("see 'observer doctor': ptrace may be forbidden by the container's seccomp profile or by kernel.yama.ptrace_scope=3");
            Raise { hint, ..Raise::new("TracePermission", message) }.into_err(py)
        }
        CaptureError::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Raise::new("CommandNotFound", message).into_err(py)
        }
        CaptureError::Exec { .. } => Raise::new("CommandNotExecutable", message).into_err(py),
        CaptureError::Io { what, source } => io_error(py, what, source),
        _ => Raise::new("InternalError", message).into_err(py),
    }
}
