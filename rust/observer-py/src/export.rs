// SPDX-License-Identifier: Apache-2.0
//! Binding of the export room: batches of encoded signals come out, requests are made of any part of them.

use crate::recording_errors::{bad_json, recording_error};
use observer_export::redact::RULES;
use observer_export::signal::Signal;
use observer_export::{partial_success, Batch, Exporter, Options, Redactor, Table, Timeline};
use observer_recording::RecordingReader;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many secrets were taken out, by rule; rules that found none are left out.
fn taken_out(redactor: &Redactor) -> BTreeMap<&'static str, u64> {
    RULES.into_iter().zip(redactor.counts()).filter(|(_, count)| *count > 0).collect()
}

/// Takes secrets out of texts.
#[pyclass(frozen, module = "observer._native")]
pub struct SecretRedactor {
    redactor: Mutex<Redactor>,
}

#[pymethods]
impl SecretRedactor {
    #[new]
    fn new() -> Self {
        SecretRedactor { redactor: Mutex::new(Redactor::new(true)) }
    }

    /// UTF-8 text, of JSON too, without its secrets.
    fn clean<'py>(&self, py: Python<'py>, text: &[u8]) -> Bound<'py, PyBytes> {
        let redactor = self.redactor.lock().unwrap_or_else(PoisonError::into_inner);
        PyBytes::new(py, redactor.text(&String::from_utf8_lossy(text)).as_bytes())
    }

    /// How many were taken out, by rule.
    fn redacted(&self) -> BTreeMap<&'static str, u64> {
        taken_out(&self.redactor.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Encodes one recording as OTLP.
#[pyclass(frozen, module = "observer._native")]
pub struct OtlpExporter {
    reader: RecordingReader,
    exporter: Mutex<Exporter>,
}

/// Encoded signals of one kind.
#[pyclass(frozen, module = "observer._native")]
pub struct OtlpBatch {
    batch: Batch,
}

impl OtlpExporter {
    fn exporter(&self) -> MutexGuard<'_, Exporter> {
        self.exporter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl OtlpExporter {
    #[new]
    fn new(py: Python<'_>, path: &str, trace: [u8; 16], options: &[u8]) -> PyResult<Self> {
        let options: Options = serde_json::from_slice(options).map_err(bad_json)?;
        let made = py.detach(|| {
            let reader = RecordingReader::open(Path::new(path))?;
            let exporter = Mutex::new(Exporter::new(&reader, trace, options)?);
            Ok(OtlpExporter { reader, exporter })
        });
        made.map_err(recording_error)
    }

    /// The next spans, at most so many and not many more bytes; empty at the end.
    fn next_spans(&self, py: Python<'_>, most: usize, most_bytes: usize) -> OtlpBatch {
        OtlpBatch { batch: py.detach(|| self.exporter().next_spans(most, most_bytes)) }
    }

    /// The next log records, likewise.
    fn next_logs(&self, py: Python<'_>, most: usize, most_bytes: usize) -> PyResult<OtlpBatch> {
        let batch = py.detach(|| self.exporter().next_logs(&self.reader, most, most_bytes));
        Ok(OtlpBatch { batch: batch.map_err(recording_error)? })
    }

    /// How many secrets were taken out so far, by rule.
    fn redacted(&self) -> BTreeMap<&'static str, u64> {
        taken_out(&self.exporter().redactor)
    }

    /// All metrics, the first time; empty afterwards.
    fn next_metrics(&self, py: Python<'_>) -> PyResult<OtlpBatch> {
        let batch = py.detach(|| self.exporter().next_metrics(&self.reader));
        Ok(OtlpBatch { batch: batch.map_err(recording_error)? })
    }
}

#[pymethods]
impl OtlpBatch {
    fn __len__(&self) -> usize {
        self.batch.len()
    }

    /// `traces`, `logs` or `metrics`.
    #[getter]
    fn signal(&self) -> &'static str {
        match self.batch.signal {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }

    /// A whole request with the signals from `first` up to but not including `last`.
    fn request<'py>(&self, py: Python<'py>, first: usize, last: usize) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| self.batch.request(first..last));
        PyBytes::new(py, &bytes)
    }
}

/// Turns one recording into a Parquet table, a row group at a time.
#[pyclass(frozen, module = "observer._native")]
pub struct ParquetExporter {
    reader: RecordingReader,
    table: Mutex<Table>,
}

#[pymethods]
impl ParquetExporter {
    #[new]
    fn new(py: Python<'_>, path: &str, trace: [u8; 16], trace_id: &str, redact: bool) -> PyResult<Self> {
        let made = py.detach(|| {
            let reader = RecordingReader::open(Path::new(path))?;
            let table = Mutex::new(Table::new(&reader, trace, trace_id, Redactor::new(redact))?);
            Ok(ParquetExporter { reader, table })
        });
        made.map_err(recording_error)
    }

    /// How many secrets were taken out so far, by rule.
    fn redacted(&self) -> BTreeMap<&'static str, u64> {
        taken_out(&self.table.lock().unwrap_or_else(PoisonError::into_inner).rows.redactor)
    }

    /// Rows and bytes of the next row group; no rows at the end.
    fn next_part<'py>(&self, py: Python<'py>) -> PyResult<(usize, Bound<'py, PyBytes>)> {
        let part = py.detach(|| self.table.lock().unwrap_or_else(PoisonError::into_inner).next(&self.reader));
        let (rows, bytes) = part.map_err(recording_error)?;
        Ok((rows, PyBytes::new(py, &bytes)))
    }

    /// The bytes that make a whole file of what was handed out.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let end = py.detach(|| self.table.lock().unwrap_or_else(PoisonError::into_inner).finish());
        Ok(PyBytes::new(py, &end.map_err(recording_error)?))
    }
}

/// Turns one recording into a Perfetto trace, part by part.
#[pyclass(frozen, module = "observer._native")]
pub struct PerfettoExporter {
    reader: RecordingReader,
    timeline: Mutex<Timeline>,
}

#[pymethods]
impl PerfettoExporter {
    #[new]
    fn new(py: Python<'_>, path: &str, trace: [u8; 16], redact: bool) -> PyResult<Self> {
        let made = py.detach(|| {
            let reader = RecordingReader::open(Path::new(path))?;
            let timeline = Mutex::new(Timeline::new(&reader, trace, Redactor::new(redact))?);
            Ok(PerfettoExporter { reader, timeline })
        });
        made.map_err(recording_error)
    }

    /// How many secrets were taken out so far, by rule.
    fn redacted(&self) -> BTreeMap<&'static str, u64> {
        taken_out(&self.timeline.lock().unwrap_or_else(PoisonError::into_inner).rows.redactor)
    }

    /// Records and bytes of the next part; no records at the end.
    fn next_part<'py>(&self, py: Python<'py>) -> PyResult<(usize, Bound<'py, PyBytes>)> {
        let part = py.detach(|| self.timeline.lock().unwrap_or_else(PoisonError::into_inner).next(&self.reader));
        let (records, bytes) = part.map_err(recording_error)?;
        Ok((records, PyBytes::new(py, &bytes)))
    }
}

/// How many signals a receiver rejected of a request, and why, from the body of its answer.
#[pyfunction]
fn otlp_rejected(answer: &[u8]) -> (i64, String) {
    let partial = partial_success(answer);
    (partial.rejected, partial.message)
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SecretRedactor>()?;
    module.add_class::<OtlpExporter>()?;
    module.add_class::<OtlpBatch>()?;
    module.add_class::<ParquetExporter>()?;
    module.add_class::<PerfettoExporter>()?;
    module.add_function(wrap_pyfunction!(otlp_rejected, module)?)
}
