// SPDX-License-Identifier: Apache-2.0
//! Signed notes, checkpoints, proofs and cosignatures for Python.

use crate::errors::{from_evidence, Raise};
use observer_evidence::{
    verify_consistency, Checkpoint, Note, NoteError, NoteSigner, RecordProof, SecretKey, SigningSeed, VerifierKey,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;

/// Add this room's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(note_verify, module)?)?;
    module.add_function(wrap_pyfunction!(note_checkpoint, module)?)?;
    module.add_function(wrap_pyfunction!(note_cosign, module)?)?;
    module.add_function(wrap_pyfunction!(note_sign, module)?)?;
    module.add_function(wrap_pyfunction!(note_verifier_key, module)?)?;
    module.add_function(wrap_pyfunction!(consistency_holds, module)?)?;
    module.add_function(wrap_pyfunction!(evidence_prove, module)?)?;
    module.add_function(wrap_pyfunction!(evidence_prove_consistency, module)?)?;
    module.add_function(wrap_pyfunction!(proof_verify, module)?)
}

fn malformed(py: Python<'_>, error: &NoteError) -> PyErr {
    Raise::new("FormatError", error.to_string()).into_err(py)
}

fn key(py: Python<'_>, text: &str) -> PyResult<VerifierKey> {
    VerifierKey::parse(text).map_err(|error| Raise::new("UsageError", format!("verifier key: {error}")).into_err(py))
}

fn signer(py: Python<'_>, name: &str, seed: [u8; 32], witness: bool) -> PyResult<NoteSigner> {
    let seed = SigningSeed::new(seed);
    let made = if witness { NoteSigner::witness(name, &seed) } else { NoteSigner::new(name, &seed) };
    made.map_err(|error| Raise::new("UsageError", error.to_string()).into_err(py))
}

/// Check one key's signature on a note; returns the time of a cosignature, s since 1970, or None for a plain signature.
#[pyfunction]
fn note_verify(py: Python<'_>, note: &str, verifier_key: &str) -> PyResult<Option<u64>> {
    let key = key(py, verifier_key)?;
    let note = Note::parse(note).map_err(|error| malformed(py, &error))?;
    key.verify(&note).map_err(|error| Raise::new("MacMismatch", error.to_string()).into_err(py))
}

/// `(origin, size, root)` of a checkpoint's note; signatures are not looked at.
#[pyfunction]
fn note_checkpoint<'py>(py: Python<'py>, note: &str) -> PyResult<(String, u64, Bound<'py, PyBytes>)> {
    let read = || Checkpoint::parse(Note::parse(note)?.text);
    let checkpoint = read().map_err(|error| malformed(py, &error))?;
    Ok((checkpoint.origin, checkpoint.size, PyBytes::new(py, &checkpoint.root)))
}

/// A witness's cosignature line for a note.
#[pyfunction]
fn note_cosign(py: Python<'_>, note: &str, name: &str, seed: [u8; 32], seconds: u64) -> PyResult<String> {
    let note = Note::parse(note).map_err(|error| malformed(py, &error))?;
    Ok(signer(py, name, seed, true)?.cosign(note.text, seconds))
}

/// A note of `text`, which must end in a newline.
#[pyfunction]
fn note_sign(py: Python<'_>, text: &str, name: &str, seed: [u8; 32]) -> PyResult<String> {
    Ok(signer(py, name, seed, false)?.sign(text))
}

/// The verifier key `name+hash+base64` of a seed.
#[pyfunction]
fn note_verifier_key(py: Python<'_>, name: &str, seed: [u8; 32], witness: bool) -> PyResult<String> {
    Ok(signer(py, name, seed, witness)?.verifier_key())
}

/// True when `proof` shows that the tree `old` is the beginning of the tree `new`; each is `(size, root)`.
#[pyfunction]
fn consistency_holds(old: (u64, [u8; 32]), new: (u64, [u8; 32]), proof: Vec<[u8; 32]>) -> bool {
    verify_consistency((old.0, &old.1), (new.0, &new.1), &proof)
}

fn secret(py: Python<'_>, key: Option<Vec<u8>>) -> PyResult<Option<SecretKey>> {
    key.map(SecretKey::new).transpose().map_err(|error| from_evidence(py, &error))
}

/// `(proof text, line)` of one record.
#[pyfunction]
#[pyo3(signature = (path, sequence, *, key))]
fn evidence_prove<'py>(
    py: Python<'py>,
    path: PathBuf,
    sequence: u64,
    key: Option<Vec<u8>>,
) -> PyResult<(String, Bound<'py, PyBytes>)> {
    let key = secret(py, key)?;
    let made = py.detach(|| observer_evidence::prove(&path, sequence, key.as_ref()));
    let (proof, line) = made.map_err(|error| from_evidence(py, &error))?;
    Ok((proof.encode(), PyBytes::new(py, &line)))
}

/// Hashes that prove that the first `old` lines are the beginning of the first `new`.
#[pyfunction]
#[pyo3(signature = (path, old, new, *, key))]
fn evidence_prove_consistency<'py>(
    py: Python<'py>,
    path: PathBuf,
    old: u64,
    new: u64,
    key: Option<Vec<u8>>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let key = secret(py, key)?;
    let made = py.detach(|| observer_evidence::prove_consistency(&path, old, new, key.as_ref()));
    let hashes = made.map_err(|error| from_evidence(py, &error))?;
    Ok(hashes.iter().map(|hash| PyBytes::new(py, hash)).collect())
}

/// Check a proof of one line; returns `(origin, size, index)`.
#[pyfunction]
fn proof_verify(py: Python<'_>, proof: &str, line: &[u8], verifier_key: &str) -> PyResult<(String, u64, u64)> {
    let key = key(py, verifier_key)?;
    let proof = RecordProof::parse(proof).map_err(|error| malformed(py, &error))?;
    let checked = proof.verify(line, &key);
    let checkpoint = checked.map_err(|error| Raise::new("ChainBroken", error.to_string()).into_err(py))?;
    Ok((checkpoint.origin, checkpoint.size, proof.index))
}
