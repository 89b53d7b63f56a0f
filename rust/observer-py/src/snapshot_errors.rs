// SPDX-License-Identifier: Apache-2.0
//! Errors of snapshots as Python classes.

use crate::errors::{from_io, Raise};
use observer_image::ImageError;
use observer_snapshot::SnapshotError;
use pyo3::prelude::*;

/// A failure of a snapshot file.
pub fn snapshot_error(error: SnapshotError) -> PyErr {
    Python::attach(|py| from_snapshot(py, &error))
}

/// A failure of a capture.
pub fn image_error(error: ImageError) -> PyErr {
    Python::attach(|py| match &error {
        ImageError::Snapshot(inner) => from_snapshot(py, inner),
        _ => from_image(py, &error),
    })
}

fn from_snapshot(py: Python<'_>, error: &SnapshotError) -> PyErr {
    let message = error.to_string();
    match error {
        SnapshotError::Format { path, offset, .. } => {
            let hint = Some("check that the path names a snapshot, and take the file from where it was made");
            let numbers = vec![("offset", *offset)];
            Raise { numbers, hint, ..Raise::at("FormatError", message, path) }
        }
        SnapshotError::Newer { path, .. } => Raise::at("NewerVersion", message, path),
        SnapshotError::Truncated { path, .. } => Raise::at("TruncatedLog", message, path),
        SnapshotError::Damaged { path, offset, .. } => {
            Raise { numbers: vec![("offset", *offset)], ..Raise::at("ChunkMismatch", message, path) }
        }
        SnapshotError::Pages { path, pid, region, .. } => {
            let numbers = vec![("pid", u64::from(*pid)), ("region", *region)];
            Raise { numbers, ..Raise::at("ChunkMismatch", message, path) }
        }
        SnapshotError::Manifest { path, .. } => Raise::at("ManifestMismatch", message, path),
        SnapshotError::Key { path, .. } => {
            let hint = Some("give the identity file (age) or the passphrase file of one of its recipients");
            Raise { hint, ..Raise::at("KeyUnusable", message, path) }
        }
        SnapshotError::Missing { path, .. } => {
            let hint = Some("put that file beside it, or export the snapshot from its store");
            Raise { hint, ..Raise::at("NotFoundError", message, path) }
        }
        SnapshotError::NotFound(_) => {
            Raise { hint: Some("see 'observer snapshot show'"), ..Raise::new("NotFoundError", message) }
        }
        SnapshotError::Usage(_) => Raise::new("UsageError", message),
        SnapshotError::Io { op, path, source } => return from_io(py, path, op, source),
        _ => Raise::new("InternalError", message),
    }
    .into_err(py)
}

fn from_image(py: Python<'_>, error: &ImageError) -> PyErr {
    let message = error.to_string();
    match error {
        ImageError::Gone(pid) => {
            let numbers = vec![("pid", u64::from(*pid))];
            Raise { numbers, hint: Some("check the process id with 'ps'"), ..Raise::new("NotFoundError", message) }
        }
        ImageError::Traced { pid, tracer } => {
            let numbers = vec![("pid", u64::from(*pid)), ("tracer", u64::from(*tracer))];
            Raise {
                numbers,
                hint: Some("end that tracer, or let it take the snapshot"),
                ..Raise::new("TracePermission", message)
            }
        }
        ImageError::Refused { pid, .. } => {
            let numbers = vec![("pid", u64::from(*pid))];
            let hint = Some("snapshot a process of your own, or run as root; see 'observer doctor ptrace'");
            Raise { numbers, hint, ..Raise::new("TracePermission", message) }
        }
        ImageError::Usage(_) => Raise::new("UsageError", message),
        _ => Raise::new("InternalError", message),
    }
    .into_err(py)
}
