// SPDX-License-Identifier: Apache-2.0
//! Goes through the records of a recording chunk by chunk, in order of their numbers, in memory of one chunk.

use observer_model::Record;
use observer_recording::chunk::Kind;
use observer_recording::codec::ChunkDecoder;
use observer_recording::{typed, RecordingError, RecordingReader};
use serde_json::Value as Json;

/// One record, of whichever kind.
pub enum Entry {
    /// A captured call or signal.
    Record(Record),
    /// A call of an embedder or a plugin.
    Json(Json),
}

/// The records of one chunk with their numbers; empty for chunks that hold none.
///
/// # Errors
/// When the chunk is not what was sealed, or malformed.
pub fn entries(reader: &RecordingReader, index: usize) -> Result<Vec<(u64, Entry)>, RecordingError> {
    let (header, payload) = reader.chunk(&reader.chunks[index])?;
    let numbers = header.first_record..;
    let mut found = Vec::with_capacity(header.records.min(1 << 20) as usize);
    match header.kind {
        Kind::Records => {
            for (number, record) in numbers.zip(ChunkDecoder::new(&payload, &header)) {
                let record = record.map_err(|e| RecordingError::Malformed(format!("record {number}: {e}")))?;
                found.push((number, Entry::Record(record)));
            }
        }
        Kind::Calls => {
            let lines = payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            for (number, line) in numbers.zip(lines) {
                let call = serde_json::from_slice(line);
                let call = call.map_err(|e| RecordingError::Malformed(format!("call {number} is not JSON: {e}")))?;
                found.push((number, Entry::Json(call)));
            }
        }
        Kind::Typed => {
            for (number, call) in numbers.zip(typed::calls(&payload)) {
                found.push((number, Entry::Json(reader.table.json(&call?))));
            }
        }
        Kind::Blob | Kind::Replay => {}
    }
    Ok(found)
}
