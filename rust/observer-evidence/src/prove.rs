// SPDX-License-Identifier: Apache-2.0
//! Makes proofs from a log's files: that one line is in it, that an older size is its beginning.

use crate::audit::Run;
use crate::error::EvidenceError;
use crate::files::{hold, Form, LogFile};
use crate::hash::Digest32;
use crate::key::SecretKey;
use crate::policy::{Known, Policy};
use crate::proof::{Prover, RecordProof};
use std::path::Path;

fn refuse(path: &Path, cause: String) -> EvidenceError {
    EvidenceError::Format { path: path.to_path_buf(), offset: 0, cause }
}

/// Verify all files at hand, collecting a proof on the way.
fn collect(run: &mut Run<'_>, files: &[LogFile], mut prover: Option<Prover>) -> Result<Option<Prover>, EvidenceError> {
    for file in files.iter().filter(|file| file.form != Form::Missing) {
        run.bridge(file)?;
        run.check.prover = prover.take();
        run.check.next_file(&file.path);
        let input = file.open().map_err(|error| EvidenceError::io(&file.path, "open", error))?;
        run.check.run(input, 1)?;
        prover = run.check.prover.take();
    }
    Ok(prover)
}

/// A proof of one line, made from the log's files: its text, and the line's bytes. It leads to the checkpoint with the
/// most signatures, or the newest of those.
///
/// # Errors
/// `Format` when the log holds no such line, no checkpoint that covers it, or lines before it that the proof needs are
/// gone; a finding when the log does not hold.
pub fn prove(path: &Path, sequence: u64, key: Option<&SecretKey>) -> Result<(RecordProof, Vec<u8>), EvidenceError> {
    let (files, policy) = (hold(path)?, Policy::default());
    let mut first = Run::new(path, key, &policy, 1);
    first.collect_known();
    collect(&mut first, &files, None)?;
    let signers = first.signers();
    if signers.is_empty() {
        return Err(refuse(path, "the log signs no checkpoints".to_owned()));
    }
    let found = &first.check.found;
    let sealed = found.last_checkpoint.as_ref().map(|checkpoint| checkpoint.note.clone());
    let notes = first.known.iter().map(|known| known.note.clone()).chain(found.witnessed.clone()).chain(sealed);
    let best = notes
        .filter_map(|note| Known::read(&note, &signers, "").ok())
        .filter(|known| known.checkpoint.size <= first.check.chain.next_seq() && known.checkpoint.size > sequence)
        .max_by_key(|known| (known.note.lines().count(), known.checkpoint.size))
        .ok_or_else(|| refuse(path, format!("no checkpoint covers sequence {sequence} yet")))?;
    let mut second = Run::new(path, key, &policy, 1);
    let prover = Prover::inclusion(sequence, best.checkpoint.size);
    let found = collect(&mut second, &files, Some(prover))?.and_then(|prover| Some((prover.hashes?, prover.line?)));
    let (hashes, line) = found.ok_or_else(|| refuse(path, format!("sequence {sequence} is not in the files at hand")))?;
    Ok((RecordProof { index: sequence, hashes, checkpoint: best.note }, line))
}

/// The hashes which prove that the first `old` lines are the beginning of the first `new` lines.
///
/// # Errors
/// As [`prove`].
pub fn prove_consistency(path: &Path, old: u64, new: u64, key: Option<&SecretKey>) -> Result<Vec<Digest32>, EvidenceError> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (files, policy) = (hold(path)?, Policy::default());
    let mut run = Run::new(path, key, &policy, 1);
    let prover = collect(&mut run, &files, Some(Prover::consistency(old, new)))?;
    let hashes = prover.and_then(|prover| prover.hashes);
    hashes.ok_or_else(|| refuse(path, format!("no proof from {old} to {new} lines follows from the files at hand")))
}
