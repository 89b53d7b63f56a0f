// SPDX-License-Identifier: Apache-2.0
//! The sealed log for Python: bytes in, bytes or JSON out, in batches, with the interpreter free to run meanwhile.

use crate::errors::{from_evidence, Raise};
use observer_evidence::{
    read_lines, to_hex, Durability, EvidenceError, LineReader, LogWriter, Policy, PolicyText, SecretKey, Severity, SigningSeed,
    VerifyOptions, WriterOptions,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

/// Add this room's classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EvidenceWriter>()?;
    module.add_class::<EvidenceReader>()?;
    module.add_function(wrap_pyfunction!(evidence_verify, module)?)?;
    module.add_function(wrap_pyfunction!(evidence_audit, module)?)?;
    module.add_function(wrap_pyfunction!(evidence_logs_in, module)?)?;
    module.add_function(wrap_pyfunction!(evidence_check_event, module)?)
}

/// Run without the interpreter's lock and raise what fails.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, EvidenceError> + Send) -> PyResult<T> {
    py.detach(work).map_err(|error| from_evidence(py, &error))
}

fn secret(py: Python<'_>, key: Option<Vec<u8>>) -> PyResult<Option<SecretKey>> {
    key.map(SecretKey::new).transpose().map_err(|error| from_evidence(py, &error))
}

fn severity(number: u8) -> Severity {
    match number {
        0 => Severity::Verbose,
        1 => Severity::Info,
        2 => Severity::Warning,
        3 => Severity::Error,
        _ => Severity::Critical,
    }
}

fn durability(py: Python<'_>, name: &str) -> PyResult<Durability> {
    let group = name.strip_prefix("group:").and_then(|lines| lines.parse().ok()).filter(|&lines| lines > 0);
    match (name, group) {
        ("buffered", _) => Ok(Durability::Buffered),
        ("kernel", _) => Ok(Durability::Kernel),
        ("disk", _) => Ok(Durability::Disk),
        (_, Some(lines)) => Ok(Durability::Group(lines)),
        _ => {
            let message = format!("durability {name:?} is none of buffered, kernel, group:LINES, disk");
            Err(Raise::new("UsageError", message).into_err(py))
        }
    }
}

/// How a log is to be written, as Python says it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Choices {
    key: Option<Vec<u8>>,
    keep_key: bool,
    durability: String,
    origin: String,
    signing_seed: Option<[u8; 32]>,
    cosigning_seed: Option<[u8; 32]>,
    checkpoint_lines: u64,
    checkpoint_ms: u64,
    epoch_lines: u64,
    epoch_ms: u64,
    rotate_bytes: Option<u64>,
    sidecars: bool,
}

impl Choices {
    fn into_options(self, py: Python<'_>) -> PyResult<WriterOptions> {
        Ok(WriterOptions {
            hmac_key: secret(py, self.key)?,
            keep_key: self.keep_key,
            durability: durability(py, &self.durability)?,
            origin: self.origin,
            signing_seed: self.signing_seed.map(SigningSeed::new),
            cosigning_seed: self.cosigning_seed.map(SigningSeed::new),
            checkpoint_lines: self.checkpoint_lines.max(1),
            checkpoint_interval: Duration::from_millis(self.checkpoint_ms),
            epoch_lines: self.epoch_lines.max(1),
            epoch_interval: Duration::from_millis(self.epoch_ms),
            rotate_bytes: self.rotate_bytes,
            sidecars: self.sidecars,
            ..WriterOptions::default()
        })
    }
}

/// Writer of one sealed log.
#[pyclass(frozen)]
struct EvidenceWriter(Mutex<Option<LogWriter>>);

impl EvidenceWriter {
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut LogWriter) -> Result<T, EvidenceError> + Send) -> PyResult<T> {
        let outcome = py.detach(|| {
            let mut guard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            guard.as_mut().map(work)
        });
        match outcome {
            Some(outcome) => outcome.map_err(|error| from_evidence(py, &error)),
            None => Err(Raise::new("UsageError", "the log is closed".to_owned()).into_err(py)),
        }
    }
}

#[pymethods]
impl EvidenceWriter {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, create: bool, choices: Choices) -> PyResult<Self> {
        let options = choices.into_options(py)?;
        let writer = run(py, || if create { LogWriter::create(&path, options) } else { LogWriter::open(&path, options) })?;
        Ok(Self(Mutex::new(Some(writer))))
    }

    /// Seal one event; returns its sequence.
    fn append(&self, py: Python<'_>, event: &[u8], severity_number: u8) -> PyResult<u64> {
        self.with(py, |writer| writer.append(event, severity(severity_number)))
    }

    /// Seal events of one severity, all or none; returns the sequence of the first.
    fn append_batch(&self, py: Python<'_>, events: Vec<PyBackedBytes>, severity_number: u8) -> PyResult<u64> {
        self.with(py, |writer| {
            let level = severity(severity_number);
            let batch: Vec<(&[u8], Severity)> = events.iter().map(|event| (&event[..], level)).collect();
            writer.append_batch(&batch)
        })
    }

    /// Declare events lost; returns the sequence of that record.
    fn declare_loss(&self, py: Python<'_>, dropped: u64, reason: &str) -> PyResult<u64> {
        self.with(py, |writer| writer.declare_loss(dropped, reason))
    }

    /// Give all lines to the kernel.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, LogWriter::flush)
    }

    /// Force all lines to the disk.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, LogWriter::sync)
    }

    /// Do what is due while no events come.
    fn tick(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, LogWriter::tick)
    }

    /// A signed note over all lines so far, which are on disk then; None when the log signs none.
    fn checkpoint(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, LogWriter::checkpoint)
    }

    /// Seal what a witness answered; returns the sequence of that record.
    fn record_witness(&self, py: Python<'_>, note: &str, refusal: Option<&str>) -> PyResult<u64> {
        self.with(py, |writer| writer.record_witness(note, refusal))
    }

    /// Remove the oldest rotated files beyond so many bytes, and seal that they were removed.
    fn prune(&self, py: Python<'_>, keep_bytes: u64) -> PyResult<Vec<PathBuf>> {
        self.with(py, |writer| writer.prune(keep_bytes))
    }

    /// Compress rotated files; returns their new paths.
    fn compress_rotated(&self, py: Python<'_>) -> PyResult<Vec<PathBuf>> {
        self.with(py, LogWriter::compress_rotated)
    }

    /// The log's first record as JSON.
    fn identity(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |writer| Ok(serde_json::to_string(writer.identity()).unwrap_or_default()))
    }

    /// Sequence of the next line.
    fn next_sequence(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |writer| Ok(writer.next_sequence()))
    }

    /// Seal an `end` record; returns `(size, head, root)` with the digests as hexadecimal text.
    fn close(&self, py: Python<'_>) -> PyResult<(u64, String, String)> {
        let taken = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(writer) = taken else {
            return Err(Raise::new("UsageError", "the log is closed".to_owned()).into_err(py));
        };
        let report = run(py, || writer.close())?;
        Ok((report.size, to_hex(&report.head), to_hex(&report.root)))
    }
}

/// `(sequence, offset, kind, event, chain)` of one line.
type LineTuple<'py> = (u64, u64, Option<String>, Bound<'py, PyBytes>, String);

/// Reader of the lines of one log; judges nothing.
#[pyclass(frozen)]
struct EvidenceReader(Mutex<LineReader>);

#[pymethods]
impl EvidenceReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let reader = run(py, || read_lines(&path))?;
        Ok(Self(Mutex::new(reader)))
    }

    /// The next lines, at most `limit`; fewer only at the end.
    fn next_batch<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<LineTuple<'py>>> {
        let lines = run(py, || {
            let mut reader = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            reader.by_ref().take(limit).collect::<Result<Vec<_>, _>>()
        })?;
        let tuple = |line: observer_evidence::Line| {
            (line.seq, line.offset, line.kind, PyBytes::new(py, &line.event), to_hex(&line.chain))
        };
        Ok(lines.into_iter().map(tuple).collect())
    }

    /// How the file ends, as JSON; `null` before the end was reached.
    fn tail(&self) -> String {
        let reader = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        serde_json::to_string(&reader.tail()).unwrap_or_default()
    }
}

/// Prove one file of a log; returns what was proven as a JSON object.
#[pyfunction]
#[pyo3(signature = (path, *, key, min_size, threads))]
fn evidence_verify(
    py: Python<'_>,
    path: PathBuf,
    key: Option<Vec<u8>>,
    min_size: Option<u64>,
    threads: usize,
) -> PyResult<String> {
    let key = secret(py, key)?;
    let options = VerifyOptions { min_size, threads };
    let proof = run(py, || observer_evidence::verify_log(&path, key.as_ref(), &options))?;
    Ok(serde_json::to_string(&proof).unwrap_or_default())
}

/// Judge a log with all its files; `policy` and the answer are JSON objects.
#[pyfunction]
#[pyo3(signature = (path, *, key, policy, threads))]
fn evidence_audit(py: Python<'_>, path: PathBuf, key: Option<Vec<u8>>, policy: &str, threads: usize) -> PyResult<String> {
    let key = secret(py, key)?;
    let unusable = |cause: String| Raise::new("UsageError", format!("the policy cannot be used: {cause}")).into_err(py);
    let text: PolicyText = serde_json::from_str(policy).map_err(|error| unusable(error.to_string()))?;
    let policy = Policy::new(text).map_err(|error| unusable(error.to_string()))?;
    let audit = run(py, || observer_evidence::audit(&path, key.as_ref(), &policy, threads))?;
    Ok(serde_json::to_string(&audit).unwrap_or_default())
}

/// The live files of all logs in a directory.
#[pyfunction]
fn evidence_logs_in(py: Python<'_>, directory: PathBuf) -> PyResult<Vec<PathBuf>> {
    run(py, || observer_evidence::logs_in(&directory))
}

/// Check that bytes may be sealed as an event; raises `UsageError` when not.
#[pyfunction]
fn evidence_check_event(py: Python<'_>, event: &[u8]) -> PyResult<()> {
    let refusal = |(cause, offset)| from_evidence(py, &EvidenceError::InvalidEvent { cause, offset });
    observer_evidence::check_event(event).map_err(refusal)
}
