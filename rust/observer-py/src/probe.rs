// SPDX-License-Identifier: Apache-2.0
//! Watching with eBPF, bound to Python: one class, bytes of JSON in and out.

use crate::errors::Raise;
use crate::recording::secret;
use crate::recording_errors::{bad_json, recording_error};
use observer_probe::{Config, ProbeError, Report, Session};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io;

fn probe_error(error: ProbeError) -> PyErr {
    if let ProbeError::Recording(inner) = error {
        return recording_error(inner);
    }
    Python::attach(|py| from_probe(py, &error))
}

fn from_probe(py: Python<'_>, error: &ProbeError) -> PyErr {
    let message = error.to_string();
    match error {
        ProbeError::Config(_) => Raise::new("UsageError", message),
        ProbeError::Capability { how, .. } => Raise { hint: Some(how), ..Raise::new("CapabilityError", message) },
        ProbeError::Load(_) => {
            Raise { hint: Some("see 'observer doctor ebpf btf ring_buffer'"), ..Raise::new("CapabilityError", message) }
        }
        ProbeError::NotFound(_) => Raise::new("NotFoundError", message),
        ProbeError::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => Raise::new("CommandNotFound", message),
        ProbeError::Exec { .. } => Raise::new("CommandNotExecutable", message),
        _ => Raise::new("CaptureError", message),
    }
    .into_err(py)
}

fn json<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &serde_json::to_vec(report).map_err(bad_json)?))
}

/// A running watch; see `observer_probe::Config` for the JSON.
#[pyclass(frozen, module = "observer._native")]
pub struct WatchSession {
    session: Session,
}

#[pymethods]
impl WatchSession {
    #[new]
    fn new(py: Python<'_>, config: &[u8], key: Option<&[u8]>) -> PyResult<Self> {
        let config = Config::parse(config).map_err(probe_error)?;
        let key = secret(key)?;
        let session = py.detach(|| Session::start(config, key)).map_err(probe_error)?;
        Ok(WatchSession { session })
    }

    /// How it goes (a JSON report), and whether it is over.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, bool)> {
        let (report, over) = self.session.status();
        Ok((json(py, &report)?, over))
    }

    /// Fires a trigger that was found outside; `reason` is a JSON object.
    fn trigger(&self, reason: &[u8]) -> PyResult<()> {
        self.session.trigger(serde_json::from_slice(reason).map_err(bad_json)?);
        Ok(())
    }

    /// Seals a line that was learnt outside the probe; a JSON object with a `type`.
    fn note(&self, line: &[u8]) -> PyResult<()> {
        self.session.note(serde_json::from_slice(line).map_err(bad_json)?);
        Ok(())
    }

    /// Ends the watch, waits until all is sealed and returns the JSON report.
    fn stop<'py>(&self, py: Python<'py>, reason: &str) -> PyResult<Bound<'py, PyBytes>> {
        let report = py.detach(|| self.session.stop(reason)).map_err(probe_error)?;
        json(py, &report)
    }
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WatchSession>()
}
