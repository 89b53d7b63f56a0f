// SPDX-License-Identifier: Apache-2.0
//! The merged report's hot loops for Python: JSON in and out, progress by a callable that may end the work.

use crate::errors::Raise;
use observer_report::{ReportError, Side, WriteOptions};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Add this room's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(report_survey, module)?)?;
    module.add_function(wrap_pyfunction!(report_write, module)?)?;
    module.add_function(wrap_pyfunction!(report_unpack, module)?)
}

fn raise(py: Python<'_>, error: &ReportError) -> PyErr {
    match error {
        ReportError::Stopped => pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
        ReportError::Io { path, source, .. } => {
            let class = match source.kind() {
                std::io::ErrorKind::NotFound => "NotFoundError",
                std::io::ErrorKind::PermissionDenied => "CapabilityError",
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "StorageFull",
                _ => "CaptureError",
            };
            Raise::at(class, error.to_string(), path).into_err(py)
        }
    }
}

/// Tell Python how far it is; false when it raised (Ctrl-C), which ends the work.
fn tell(progress: Option<&Py<PyAny>>, failure: &mut Option<PyErr>, done: u64) -> bool {
    Python::attach(|py| {
        let outcome = py.check_signals().and_then(|()| progress.map_or(Ok(()), |call| call.call1(py, (done,)).map(drop)));
        if let Err(error) = outcome {
            *failure = Some(error);
        }
        failure.is_none()
    })
}

/// Read one side; returns what it holds as a JSON object.
#[pyfunction]
#[pyo3(signature = (files, origin, *, key, progress))]
fn report_survey(
    py: Python<'_>,
    files: Vec<PathBuf>,
    origin: u8,
    key: Option<Vec<u8>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let mut failure = None;
    let outcome = py.detach(|| {
        observer_report::survey(&files, origin, key.as_deref(), &mut |done| tell(progress.as_ref(), &mut failure, done))
    });
    match (failure, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(raise(py, &error)),
        (None, Ok(facts)) => Ok(serde_json::to_string(&facts).unwrap_or_default()),
    }
}

/// Append the events of all sides, in order, to `output` as elements of an array; returns counts, classes and spans as JSON.
#[pyfunction]
#[pyo3(signature = (sides, output, scratch, *, room, progress))]
fn report_write(
    py: Python<'_>,
    sides: &str,
    output: PathBuf,
    scratch: PathBuf,
    room: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let sides: Vec<Side> = serde_json::from_str(sides)
        .map_err(|error| Raise::new("InternalError", format!("sides of a report: {error}")).into_err(py))?;
    let options = WriteOptions { output, scratch, room };
    let mut failure = None;
    let outcome =
        py.detach(|| observer_report::write_events(&sides, &options, &mut |done| tell(progress.as_ref(), &mut failure, done)));
    match (failure, outcome) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(raise(py, &error)),
        (None, Ok(written)) => Ok(serde_json::json!({
            "counts": written, "classes": written.classes, "spans": written.spans,
        })
        .to_string()),
    }
}

/// Decompress a zstd file; returns the bytes that came out and, where it is damaged, why it ended early.
#[pyfunction]
fn report_unpack(py: Python<'_>, source: PathBuf, target: PathBuf) -> PyResult<(u64, Option<String>)> {
    py.detach(|| observer_report::unpack(&source, &target)).map_err(|error| raise(py, &error))
}
