// SPDX-License-Identifier: Apache-2.0
//! Binding of the recording room: writing for embedders, reading, verifying.

use crate::recording_errors::{bad_json, capture_error, recording_error};
use observer_capture::Config;
use observer_evidence::{SecretKey, Severity};
use observer_recording::{query, Recorder};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{json, Map, Value};
use std::path::Path;
use std::sync::Mutex;

pub fn secret(key: Option<&[u8]>) -> PyResult<Option<SecretKey>> {
    key.map(|bytes| SecretKey::new(bytes.to_vec())).transpose().map_err(|e| recording_error(e.into()))
}

fn object(bytes: &[u8]) -> PyResult<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(bad_json)
}

/// Writes a recording that an embedder feeds.
#[pyclass(frozen, module = "observer._native")]
pub struct RecordingWriter {
    recorder: Recorder,
}

#[pymethods]
impl RecordingWriter {
    #[new]
    fn new(py: Python<'_>, path: &str, start: &[u8], key: Option<&[u8]>) -> PyResult<Self> {
        let key = secret(key)?;
        let made = py.detach(|| {
            let writer = observer_recording::RecordingWriter::create(Path::new(path), start, key)?;
            Recorder::start(writer)
        });
        Ok(RecordingWriter { recorder: made.map_err(recording_error)? })
    }

    /// Appends JSON lines of calls; returns the record number of the first.
    fn append_calls(&self, py: Python<'_>, calls: &[u8]) -> PyResult<u64> {
        py.detach(|| {
            let (mut lines, mut count, mut first_ns, mut last_ns) = (Vec::with_capacity(calls.len() + 1), 0, 0, 0);
            for line in calls.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                let call: Value = serde_json::from_slice(line).map_err(bad_json)?;
                let at = call.get("start_ns").and_then(Value::as_u64).unwrap_or(0);
                first_ns = if count == 0 { at } else { first_ns };
                last_ns = last_ns.max(at);
                count += 1;
                lines.extend_from_slice(line);
                lines.push(b'\n');
            }
            Ok(self.recorder.push_calls(&lines, count, first_ns, last_ns))
        })
    }

    /// Appends typed calls (docs/spec/plugin-recording.md §3), whole ones; returns the record number of the first.
    fn append_typed(&self, py: Python<'_>, calls: &[u8]) -> PyResult<u64> {
        py.detach(|| self.recorder.push_typed(calls)).map_err(recording_error)
    }

    /// Appends an attachment after the line that tells of it; its bytes go into chunks of their own.
    fn append_blob(&self, py: Python<'_>, line: &[u8], content: &[u8]) -> PyResult<()> {
        let line = Value::Object(object(line)?).to_string().into_bytes();
        py.detach(|| self.recorder.push_blob(line, content));
        Ok(())
    }

    /// Seals one object of low volume; severity comes from its `severity` key.
    fn append_event(&self, event: &[u8]) -> PyResult<()> {
        let event = object(event)?;
        let severity = match event.get("severity").and_then(Value::as_str) {
            Some("debug") => Severity::Verbose,
            Some("warning") => Severity::Warning,
            Some("error") => Severity::Error,
            Some("critical") => Severity::Critical,
            _ => Severity::Info,
        };
        self.recorder.push_line(Value::Object(event).to_string().into_bytes(), severity);
        Ok(())
    }

    /// Waits until everything is sealed and with the kernel, or on the disk.
    fn flush(&self, py: Python<'_>, durable: bool) -> PyResult<()> {
        py.detach(|| self.recorder.flush(durable)).map_err(recording_error)
    }

    /// Seals the `trace_end` object and makes all of it durable.
    fn close(&self, py: Python<'_>, end: &[u8]) -> PyResult<()> {
        let end = object(end)?;
        py.detach(|| self.recorder.finish(end)).map_err(recording_error)
    }
}

/// Reads a recording, whole or cut off.
#[pyclass(frozen, module = "observer._native")]
pub struct RecordingReader {
    reader: observer_recording::RecordingReader,
    cache: Mutex<query::ChunkCache>,
}

impl RecordingReader {
    fn cache(&self) -> std::sync::MutexGuard<'_, query::ChunkCache> {
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[pymethods]
impl RecordingReader {
    #[new]
    fn new(py: Python<'_>, path: &str) -> PyResult<Self> {
        let reader = py.detach(|| observer_recording::RecordingReader::open(Path::new(path)));
        Ok(RecordingReader { reader: reader.map_err(recording_error)?, cache: Mutex::default() })
    }

    /// The `trace_start` object.
    fn start<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.reader.start.to_string().as_bytes())
    }

    /// JSON lines `{"seq", "event"}` of sealed lines from sequence `first` on, at most `limit`; empty at the end.
    fn lines<'py>(&self, py: Python<'py>, first: u64, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let out = py.detach(|| query::lines(&self.reader, first, limit)).map_err(recording_error)?;
        Ok(PyBytes::new(py, &out))
    }

    /// JSON lines of decoded calls from record `first` on that match `query`, at most `limit`; empty at the end.
    fn calls<'py>(&self, py: Python<'py>, query: &[u8], first: u64, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = query::Query::parse(query).map_err(bad_json)?;
        let out = py.detach(|| query::calls(&self.reader, &mut self.cache(), &wanted, first, limit));
        Ok(PyBytes::new(py, &out.map_err(recording_error)?))
    }

    /// Sizes and counts, one JSON object.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let (stored, unsealed) = py.detach(|| self.reader.storage()).map_err(recording_error)?;
        let (calls, raw) = (self.reader.records(), self.reader.chunks.iter().map(|c| c.raw_bytes).sum::<u64>());
        let segments = self.reader.chunks.last().map_or(0, |c| c.segment + 1);
        let stats = json!({
            "calls": calls, "chunks": self.reader.chunks.len(), "segments": segments, "raw_bytes": raw,
            "stored_bytes": stored, "bytes_per_call": if calls == 0 { 0.0 } else { stored as f64 / calls as f64 },
            "unsealed_bytes": unsealed, "closed": self.reader.end.is_some(), "end": self.reader.end,
            "lost": self.reader.loss.count, "lines": self.reader.lines,
        });
        Ok(PyBytes::new(py, stats.to_string().as_bytes()))
    }

    /// Kind, number of the first record, and raw payload of one sealed chunk, its digest checked; None after the last.
    fn chunk<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Option<(&'static str, u64, Bound<'py, PyBytes>)>> {
        let Some(line) = self.reader.chunks.get(index) else { return Ok(None) };
        let (header, payload) = py.detach(|| self.reader.chunk(line)).map_err(recording_error)?;
        Ok(Some((header.kind.name(), header.first_record, PyBytes::new(py, &payload))))
    }

    /// Counts, entropy and DNA over all calls, one JSON object.
    fn digest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let digest = py.detach(|| observer_recording::digest::digest(&self.reader)).map_err(recording_error)?;
        Ok(PyBytes::new(py, digest.to_string().as_bytes()))
    }
}

/// Records a command; see `Config` for the JSON. Returns a JSON report.
#[pyfunction]
fn record_command<'py>(py: Python<'py>, config: &[u8], key: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
    let config = Config::parse(config).map_err(capture_error)?;
    let key = secret(key)?;
    let report = py.detach(|| observer_capture::record_command(&config, key)).map_err(capture_error)?;
    Ok(PyBytes::new(py, serde_json::to_string(&report).map_err(bad_json)?.as_bytes()))
}

/// Proves a recording; returns what was proved as JSON or raises.
#[pyfunction]
fn verify_recording<'py>(py: Python<'py>, path: &str, key: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
    let key = secret(key)?;
    let proof = py.detach(|| observer_recording::verify_recording(Path::new(path), key.as_ref()));
    let proof = proof.map_err(recording_error)?;
    Ok(PyBytes::new(py, serde_json::to_string(&proof).map_err(bad_json)?.as_bytes()))
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RecordingWriter>()?;
    module.add_class::<RecordingReader>()?;
    module.add_function(wrap_pyfunction!(record_command, module)?)?;
    module.add_function(wrap_pyfunction!(verify_recording, module)?)?;
    Ok(())
}
