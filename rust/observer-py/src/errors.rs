// SPDX-License-Identifier: Apache-2.0
//! Turns each room's errors into the Python classes of `observer.errors`; one match per crate.

use observer_evidence::{EvidenceError, Place};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::Path;

/// Every class this crate may raise; [`check`] proves at import that each exists.
const CLASSES: [&str; 19] = [
    "CapabilityError",
    "CaptureError",
    "ChainBroken",
    "ChunkMismatch",
    "ClockRegression",
    "DesyncError",
    "FormatError",
    "InternalError",
    "KeyUnusable",
    "MacMismatch",
    "ManifestMismatch",
    "NewerVersion",
    "NotFoundError",
    "ReplayError",
    "SequenceGap",
    "StorageFull",
    "TracePermission",
    "TruncatedLog",
    "UsageError",
];

/// Fail the import of the native core when a class it raises is not in `observer.errors`.
pub fn check(py: Python<'_>) -> PyResult<()> {
    let module = py.import("observer.errors")?;
    for class in CLASSES {
        module.getattr(class)?;
    }
    Ok(())
}

/// What to raise: a class of `observer.errors`, its sentence, an optional hint, and the place for `--json`.
pub struct Raise<'a> {
    /// Class name; one of the list above.
    pub class: &'static str,
    /// One sentence without a full stop.
    pub message: String,
    /// What to do now; None takes the class's own hint.
    pub hint: Option<&'a str>,
    /// Path the error is about.
    pub path: Option<&'a Path>,
    /// Numbers that say where.
    pub numbers: Vec<(&'static str, u64)>,
}

impl<'a> Raise<'a> {
    /// The class and its sentence, with nothing else.
    pub fn new(class: &'static str, message: String) -> Self {
        Self { class, message, hint: None, path: None, numbers: Vec::new() }
    }

    /// The same, about a path.
    pub fn at(class: &'static str, message: String, path: &'a Path) -> Self {
        Self { path: Some(path), ..Self::new(class, message) }
    }

    /// The Python exception.
    pub fn into_err(self, py: Python<'_>) -> PyErr {
        self.instance(py).unwrap_or_else(|error| error)
    }

    fn instance(self, py: Python<'_>) -> PyResult<PyErr> {
        let place = PyDict::new(py);
        if let Some(path) = self.path {
            place.set_item("path", path.to_string_lossy())?;
        }
        for (name, number) in self.numbers {
            place.set_item(name, number)?;
        }
        let keywords = PyDict::new(py);
        keywords.set_item("where", place)?;
        if let Some(hint) = self.hint {
            keywords.set_item("hint", hint)?;
        }
        let class = py.import("observer.errors")?.getattr(self.class)?;
        Ok(PyErr::from_value(class.call((self.message,), Some(&keywords))?))
    }
}

/// Each error of the sealed log as its Python class.
pub fn from_evidence(py: Python<'_>, error: &EvidenceError) -> PyErr {
    let message = error.to_string();
    let found = |class, place: &'_ Place| {
        let numbers = vec![("sequence", place.sequence), ("line", place.line), ("offset", place.offset)];
        Raise { numbers, ..Raise::at(class, message.clone(), &place.path) }.into_err(py)
    };
    match error {
        EvidenceError::ChainBroken { place, .. } => found("ChainBroken", place),
        EvidenceError::MacMismatch { place, .. } => found("MacMismatch", place),
        EvidenceError::SequenceGap { place, .. } => found("SequenceGap", place),
        EvidenceError::Truncated { place, .. } => found("TruncatedLog", place),
        EvidenceError::StorageFull { path, sequence } => {
            let numbers = vec![("sequence", *sequence)];
            Raise { numbers, ..Raise::at("StorageFull", message, path) }.into_err(py)
        }
        EvidenceError::KeyUnusable { .. } => Raise::new("KeyUnusable", message).into_err(py),
        EvidenceError::InvalidEvent { offset, .. } => {
            let numbers = vec![("offset", *offset as u64)];
            Raise { numbers, ..Raise::new("UsageError", message) }.into_err(py)
        }
        EvidenceError::Refused { path, .. } => {
            let hint = Some("close the other writer, or name the log's own file");
            Raise { hint, ..Raise::at("CaptureError", message, path) }.into_err(py)
        }
        EvidenceError::Stopped { path, .. } => Raise::at("CaptureError", message, path).into_err(py),
        EvidenceError::Format { path, offset, .. } => {
            let numbers = vec![("offset", *offset)];
            Raise { numbers, ..Raise::at("FormatError", message, path) }.into_err(py)
        }
        EvidenceError::Newer { path, .. } => Raise::at("NewerVersion", message, path).into_err(py),
        EvidenceError::Io { path, source, op } => from_io(py, path, op, source),
        _ => Raise::new("InternalError", message).into_err(py),
    }
}

/// An operating system error as the class that tells what to do about it.
pub fn from_io(py: Python<'_>, path: &Path, op: &str, source: &std::io::Error) -> PyErr {
    use std::io::ErrorKind;
    let message = format!("cannot {op} {}: {source}", path.display());
    let class = match source.kind() {
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "StorageFull",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "CapabilityError",
        _ => "CaptureError",
    };
    let hint = match source.kind() {
        ErrorKind::NotFound => Some("check the path"),
        ErrorKind::PermissionDenied => Some("run as the user who owns it, or change its permissions"),
        ErrorKind::AlreadyExists => Some("choose another name; a sealed log is never overwritten"),
        _ => None,
    };
    Raise { hint, ..Raise::at(class, message, path) }.into_err(py)
}
