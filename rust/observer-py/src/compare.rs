// SPDX-License-Identifier: Apache-2.0
//! Binding of the comparison of two recordings.

use crate::recording_errors::{bad_json, recording_error};
use observer_compare::Options;
use observer_recording::RecordingReader;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::Path;

/// Compares two recordings; options and answer are JSON, see docs/spec/comparison.md.
#[pyfunction]
fn compare_recordings<'py>(py: Python<'py>, a: &str, b: &str, options: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let options: Options = serde_json::from_slice(options).map_err(bad_json)?;
    let report = py.detach(|| {
        let (a, b) = (RecordingReader::open(Path::new(a))?, RecordingReader::open(Path::new(b))?);
        observer_compare::compare(&a, &b, &options)
    });
    Ok(PyBytes::new(py, report.map_err(recording_error)?.to_string().as_bytes()))
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(compare_recordings, module)?)
}
