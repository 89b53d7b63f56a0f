// SPDX-License-Identifier: Apache-2.0
//! Proves a recording: its log line by line, and every chunk against the digest that was sealed.

use crate::error::RecordingError;
use crate::reader::{log_path, ChunkLine, RecordingReader};
use observer_evidence::{verify_log, ChainProof, SecretKey, VerifyOptions};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// What was proved of a recording.
#[derive(Debug, Serialize)]
pub struct RecordingProof {
    /// What was proved of its log.
    pub log: ChainProof,
    /// The recording's UUID.
    pub trace_id: String,
    /// Chunks whose bytes are the sealed ones.
    pub chunks: u64,
    /// Records in them.
    pub records: u64,
    /// A `trace_end` was sealed.
    pub closed: bool,
    /// Bytes that were written and not sealed when the recorder ended.
    pub unsealed_bytes: u64,
    /// Declared losses.
    pub lost: u64,
}

/// Proves the recording in `dir`, or says where it does not hold.
pub fn verify_recording(dir: &Path, key: Option<&SecretKey>) -> Result<RecordingProof, RecordingError> {
    let log = verify_log(&log_path(dir), key, &VerifyOptions { threads: cores(), ..VerifyOptions::default() })?;
    let reader = RecordingReader::open(dir)?;
    check_numbers(&reader.chunks)?;
    check_chunks(&reader)?;
    let (_, unsealed_bytes) = reader.storage()?;
    Ok(RecordingProof {
        log,
        trace_id: reader.start["trace_id"].as_str().unwrap_or_default().to_owned(),
        chunks: reader.chunks.len() as u64,
        records: reader.records(),
        closed: reader.end.is_some(),
        unsealed_bytes,
        lost: reader.loss.count,
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Record numbers must run from 0 without gap or overlap.
fn check_numbers(chunks: &[ChunkLine]) -> Result<(), RecordingError> {
    let mut next = 0;
    for line in chunks {
        if line.first_record != next {
            return Err(RecordingError::Chunk {
                segment: line.segment,
                offset: line.offset,
                first_record: line.first_record,
                sequence: line.sequence,
                why: format!("record {next} should come next"),
            });
        }
        next += u64::from(line.records);
    }
    Ok(())
}

/// Reads and hashes every chunk on all cores; reports the first one that fails, in order of the recording.
fn check_chunks(reader: &RecordingReader) -> Result<(), RecordingError> {
    let next = AtomicUsize::new(0);
    let first_fault: Mutex<Option<(usize, RecordingError)>> = Mutex::new(None);
    let workers = cores().min(reader.chunks.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(line) = reader.chunks.get(index) else { return };
                if let Err(error) = reader.chunk_bytes(line) {
                    let mut fault = first_fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if fault.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                        *fault = Some((index, error));
                    }
                }
            });
        }
    });
    match first_fault.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
