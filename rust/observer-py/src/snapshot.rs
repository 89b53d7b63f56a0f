// SPDX-License-Identifier: Apache-2.0
//! Snapshots bound to Python: a session that captures, a reader; JSON and bytes go across.

use crate::errors::Raise;
use crate::recording_errors::bad_json;
use crate::snapshot_errors::{image_error, snapshot_error};
use observer_evidence::SigningSeed;
use observer_image::recreate;
use observer_image::request::Request;
use observer_image::session::{Secrets, Session};
use observer_image::ImageError;
use observer_snapshot::frame::FileKey;
use observer_snapshot::layout::Codec;
use observer_snapshot::manifest::Manifest;
use observer_snapshot::opened;
use observer_snapshot::reader::Snapshot;
use observer_snapshot::writer::{Finished, Plan};
use observer_snapshot::{compose, convert, elf_core, verify};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::mpsc::{channel, sync_channel, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

fn file_key(key: Option<&[u8]>) -> PyResult<Option<FileKey>> {
    key.map(|bytes| {
        FileKey::new(bytes).ok_or_else(|| {
            Python::attach(|py| Raise::new("KeyUnusable", format!("a file key has 32 bytes, not {}", bytes.len())).into_err(py))
        })
    })
    .transpose()
}

fn signing_seed(seed: Option<&[u8]>) -> Option<SigningSeed> {
    seed.and_then(|bytes| bytes.try_into().ok()).map(SigningSeed::new)
}

fn to_bytes<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &serde_json::to_vec(value).map_err(bad_json)?))
}

fn finished<'py>(py: Python<'py>, done: &Finished) -> PyResult<Bound<'py, PyBytes>> {
    to_bytes(py, &json!({"manifest_digest": done.manifest_digest, "bytes": done.bytes, "signer": done.signer}))
}

/// Snapshots of the same processes, one after the other.
#[pyclass(frozen, module = "observer._native")]
pub struct SnapshotSession {
    session: Mutex<Session>,
}

#[pymethods]
impl SnapshotSession {
    #[new]
    fn new() -> Self {
        SnapshotSession { session: Mutex::new(Session::default()) }
    }

    /// Capture as the JSON request says; secrets are `key_block`, `key`, `seed` and `known_key`. Returns the JSON report.
    #[pyo3(signature = (request, *, key_block, key, seed, known_key))]
    fn capture<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        key_block: &[u8],
        key: Option<&[u8]>,
        seed: Option<&[u8]>,
        known_key: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let request: Request = serde_json::from_slice(request).map_err(bad_json)?;
        let secrets = Secrets {
            key_block: key_block.to_vec(),
            key: file_key(key)?,
            seed: signing_seed(seed),
            known_key: file_key(known_key)?,
        };
        let report = py.detach(|| {
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            session.capture(&request, &secrets)
        });
        to_bytes(py, &report.map_err(image_error)?)
    }

    /// Forget all marks: the next snapshot is whole.
    fn reset(&self) {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }
}

/// A snapshot open for reading.
#[pyclass(frozen, module = "observer._native")]
pub struct SnapshotReader {
    snapshot: Mutex<Snapshot>,
}

impl SnapshotReader {
    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl SnapshotReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, key: Option<&[u8]>) -> PyResult<Self> {
        let key = file_key(key)?;
        let snapshot = py.detach(|| Snapshot::open(&path, key.as_ref())).map_err(snapshot_error)?;
        Ok(SnapshotReader { snapshot: Mutex::new(snapshot) })
    }

    /// The manifest as JSON, without the keys of other files.
    fn manifest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut manifest = self.lock().manifest.clone();
        manifest.files.iter_mut().for_each(|file| file.key = None);
        to_bytes(py, &manifest)
    }

    /// The manifest's digest, hexadecimal.
    fn manifest_digest(&self) -> String {
        self.lock().manifest_digest.clone()
    }

    /// The signed note, if there is one.
    fn note(&self) -> Option<String> {
        self.lock().note.clone()
    }

    /// Look for backing files under this directory first.
    fn add_root(&self, root: PathBuf) {
        self.lock().sources.add_root(&root);
    }

    /// Memory of a process; each page is checked.
    fn read<'py>(&self, py: Python<'py>, pid: u32, address: u64, length: usize) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.lock().read(pid, address, length)).map_err(snapshot_error)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Bytes of the component at this index of the manifest's list.
    fn component<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let snapshot = self.lock();
        let Some(component) = snapshot.manifest.components.get(index) else { return Ok(None) };
        let bytes = snapshot.component(component).map_err(snapshot_error)?;
        Ok(Some(PyBytes::new(py, &bytes)))
    }

    /// Check everything; returns the JSON report.
    fn verify<'py>(&self, py: Python<'py>, signer: Option<&str>) -> PyResult<Bound<'py, PyBytes>> {
        let report = py.detach(|| verify::verify(&mut self.lock(), signer)).map_err(snapshot_error)?;
        to_bytes(py, &report)
    }

    /// Write a process as an ELF core; returns the JSON report.
    fn write_core<'py>(&self, py: Python<'py>, pid: u32, path: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
        let report = py.detach(|| elf_core::write(&mut self.lock(), pid, &path)).map_err(snapshot_error)?;
        to_bytes(py, &report)
    }

    /// Re-create a process, stopped and cut off, for debuggers.
    fn recreate(slf: Py<Self>, py: Python<'_>, pid: u32) -> PyResult<ProcessImage> {
        ProcessImage::start(slf, py, pid)
    }

    /// Write all of it again into one file; returns the JSON report.
    #[pyo3(signature = (path, *, compressed, key_block, key, seed))]
    fn convert<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        compressed: bool,
        key_block: &[u8],
        key: Option<&[u8]>,
        seed: Option<&[u8]>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let key = file_key(key)?;
        let seed = signing_seed(seed);
        let done = py.detach(|| {
            let mut snapshot = self.lock();
            let (header, _) = opened::read_start(snapshot.path())?;
            let codec = Codec { compressed, encrypted: key.is_some() };
            let plan = Plan { path, codec, file_id: header.file_id, key_block: key_block.to_vec(), key };
            convert::convert(&mut snapshot, &plan, seed.as_ref())
        });
        finished(py, &done.map_err(snapshot_error)?)
    }
}

/// A process re-created from a snapshot. It belongs to a thread of its own and dies with it.
#[pyclass(frozen, module = "observer._native")]
pub struct ProcessImage {
    report: Vec<u8>,
    held: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl ProcessImage {
    fn start(reader: Py<SnapshotReader>, py: Python<'_>, pid: u32) -> PyResult<ProcessImage> {
        let (made, result) = sync_channel(1);
        let (end, ended) = channel::<()>();
        let run = move || {
            let done = recreate::recreate(&mut reader.get().lock(), pid);
            Python::attach(|_| drop(reader));
            match done {
                Ok((cell, report)) => {
                    let _ = made.send(Ok(report));
                    let _ = ended.recv(); // until whoever asked for it has had enough
                    drop(cell);
                }
                Err(error) => drop(made.send(Err(error))),
            }
        };
        let started = std::thread::Builder::new().name("observer-image".to_owned()).spawn(run);
        let thread = started.map_err(|error| image_error(ImageError::Usage(format!("no thread: {error}"))))?;
        let lost = || ImageError::Usage("the thread that re-creates the process is gone".into());
        let report = py.detach(move || result.recv()).map_err(|_| image_error(lost()))?.map_err(image_error)?;
        let report = serde_json::to_vec(&report).map_err(bad_json)?;
        Ok(ProcessImage { report, held: Mutex::new(Some((end, thread))) })
    }
}

#[pymethods]
impl ProcessImage {
    /// What was re-created, as JSON.
    fn report<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.report)
    }

    /// End it.
    fn stop(&self, py: Python<'_>) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((end, thread)) = held {
            drop(end);
            let _ = py.detach(|| thread.join());
        }
    }
}

/// Write a snapshot of memory that the caller holds; regions' digests and components' places are filled in. Returns the JSON report.
#[pyfunction]
#[pyo3(signature = (manifest, path, regions, components, *, compressed, key_block, key, seed))]
#[expect(clippy::too_many_arguments, reason = "keyword-only in Python, as the others are")]
fn snapshot_compose<'py>(
    py: Python<'py>,
    manifest: &[u8],
    path: PathBuf,
    regions: Vec<Vec<u8>>,
    components: Vec<Vec<u8>>,
    compressed: bool,
    key_block: &[u8],
    key: Option<&[u8]>,
    seed: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut manifest: Manifest = serde_json::from_slice(manifest).map_err(bad_json)?;
    let (key, seed) = (file_key(key)?, signing_seed(seed));
    let mut file_id = [0; 16];
    for (slot, pair) in file_id.iter_mut().zip(manifest.snapshot_id.replace('-', "").as_bytes().chunks(2)) {
        *slot = std::str::from_utf8(pair).ok().and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    }
    let codec = Codec { compressed, encrypted: key.is_some() };
    let plan = Plan { path, codec, file_id, key_block: key_block.to_vec(), key };
    let done = py.detach(|| {
        let regions: Vec<&[u8]> = regions.iter().map(Vec::as_slice).collect();
        let components: Vec<&[u8]> = components.iter().map(Vec::as_slice).collect();
        compose::compose(&plan, &mut manifest, &regions, &components, seed.as_ref())
    });
    finished(py, &done.map_err(snapshot_error)?)
}

/// What the start of a file says: id (16 bytes), compressed, encrypted, key block.
#[pyfunction]
fn snapshot_start<'py>(py: Python<'py>, path: PathBuf) -> PyResult<(Bound<'py, PyBytes>, bool, bool, Bound<'py, PyBytes>)> {
    let (header, block) = opened::read_start(&path).map_err(snapshot_error)?;
    let id = PyBytes::new(py, &header.file_id);
    Ok((id, header.codec.compressed, header.codec.encrypted, PyBytes::new(py, &block)))
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SnapshotSession>()?;
    module.add_class::<SnapshotReader>()?;
    module.add_class::<ProcessImage>()?;
    module.add_function(wrap_pyfunction!(snapshot_compose, module)?)?;
    module.add_function(wrap_pyfunction!(snapshot_start, module)?)
}
