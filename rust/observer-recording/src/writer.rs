// SPDX-License-Identifier: Apache-2.0
//! Writes a recording: chunks into segments first, then their digests into the sealed log. Source: docs/spec/recording.md §7.

use crate::chunk::{self, Header, Kind, Packer};
use crate::error::RecordingError;
use crate::segment::SegmentWriter;
use crate::typed_codec;
use observer_evidence::{LogWriter, SecretKey, Severity, WriterOptions};
use serde_json::{json, Map, Value};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A new segment starts when the current one is larger than this.
pub const SEGMENT_LIMIT: u64 = 64 << 20;

/// One chunk's worth of encoded records, ready to be sealed.
pub struct Batch {
    /// What the payload holds.
    pub kind: Kind,
    /// The encoded records.
    pub payload: Vec<u8>,
    /// How many.
    pub records: u32,
    /// Base of the time deltas, ns.
    pub base_ns: u64,
    /// Largest start time, ns.
    pub last_ns: u64,
}

/// A batch already compressed, as the memory of a pre-trigger keeps it.
pub struct Packed {
    /// Facts; the payload is compressed.
    pub batch: Batch,
    /// Bytes of the payload before.
    pub raw_bytes: usize,
}

impl Packed {
    /// Compresses a batch.
    pub fn of(mut batch: Batch, packer: &mut Packer) -> Result<Packed, RecordingError> {
        let raw_bytes = batch.payload.len();
        batch.payload = packer.pack(&batch.payload)?;
        Ok(Packed { batch, raw_bytes })
    }
}

/// Writes one recording. Not thread-safe; see [`crate::background::Recorder`].
pub struct RecordingWriter {
    dir: PathBuf,
    log: LogWriter,
    packer: Packer,
    segment: Option<SegmentWriter>,
    next_segment: u32,
    next_record: u64,
    trace_id: [u8; 16],
    arch: u8,
}

fn make_dir(path: &Path) -> Result<(), RecordingError> {
    let what = format!("create directory {}", path.display());
    DirBuilder::new().mode(0o700).create(path).map_err(RecordingError::io(what))
}

/// Parses the 16 bytes of a UUID in text form.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let mut out = [0u8; 16];
    if hex.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(hex.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// The architecture byte of a chunk for the name in `trace_start`.
#[must_use]
pub fn arch_code(name: &str) -> u8 {
    match name {
        "x86_64" => 1,
        "aarch64" => 2,
        _ => 0,
    }
}

impl RecordingWriter {
    /// Creates the directory `dir` (which must not exist) and seals `start`, a `trace_start` object.
    pub fn create(dir: &Path, start: &[u8], key: Option<SecretKey>) -> Result<Self, RecordingError> {
        let bad = |why: &str| RecordingError::Malformed(format!("trace_start: {why}"));
        let mut start: Map<String, Value> = serde_json::from_slice(start).map_err(|e| bad(&e.to_string()))?;
        let trace_id = start.get("trace_id").and_then(Value::as_str).and_then(parse_uuid).ok_or_else(|| bad("no trace_id"))?;
        let arch = start.get("arch").and_then(Value::as_str).map_or(0, arch_code);
        start.insert("type".to_owned(), json!("trace_start"));
        start.insert("format".to_owned(), json!(1));
        make_dir(dir)?;
        make_dir(&dir.join("segments"))?;
        let options = WriterOptions { hmac_key: key, ..WriterOptions::default() };
        let mut log = LogWriter::create(&dir.join("sealed.log"), options)?;
        let line = serde_json::to_vec(&start).map_err(|e| bad(&e.to_string()))?;
        log.append(&line, Severity::Info)?;
        log.flush()?;
        let packer = Packer::new()?;
        Ok(RecordingWriter { dir: dir.to_owned(), log, packer, segment: None, next_segment: 0, next_record: 0, trace_id, arch })
    }

    /// Seals one line of low volume (process, event, loss); returns its sequence.
    pub fn seal_line(&mut self, event: &[u8], severity: Severity) -> Result<u64, RecordingError> {
        Ok(self.log.append(event, severity)?)
    }

    /// Compresses and stores a batch, then seals its digest.
    pub fn seal_batch(&mut self, batch: &Batch) -> Result<(), RecordingError> {
        let encoded = if batch.kind == Kind::Typed { Some(typed_codec::encode(&batch.payload)?) } else { None };
        let payload = encoded.as_ref().unwrap_or(&batch.payload);
        let packed = self.packer.pack(payload)?;
        self.seal_chunk(batch, &packed, payload.len())
    }

    /// Stores a batch that was compressed before, then seals its digest.
    pub fn seal_packed(&mut self, packed: &Packed) -> Result<(), RecordingError> {
        self.seal_chunk(&packed.batch, &packed.batch.payload, packed.raw_bytes)
    }

    fn seal_chunk(&mut self, batch: &Batch, packed: &[u8], raw_bytes: usize) -> Result<(), RecordingError> {
        let header = Header {
            kind: batch.kind,
            columns: batch.kind == Kind::Records,
            arch: self.arch,
            stored: 0,
            raw: 0,
            first_record: self.next_record,
            records: batch.records,
            base_ns: batch.base_ns,
            last_ns: batch.last_ns,
        };
        let bytes = chunk::build(header, packed, raw_bytes)?;
        let (segment, offset) = self.store(&bytes)?;
        let line = json!({
            "type": "chunk", "kind": batch.kind.name(), "segment": segment, "offset": offset, "length": bytes.len(),
            "first_record": self.next_record, "records": batch.records, "raw_bytes": raw_bytes,
            "first_ns": batch.base_ns, "last_ns": batch.last_ns, "sha256": chunk::digest(&bytes),
        });
        self.next_record += u64::from(batch.records);
        self.seal_line(line.to_string().as_bytes(), Severity::Info)?;
        Ok(())
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(u32, u64), RecordingError> {
        if self.segment.as_ref().is_some_and(|s| s.length > SEGMENT_LIMIT) {
            self.segment = None;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                let fresh = SegmentWriter::create(&self.dir, self.next_segment, &self.trace_id)?;
                self.next_segment += 1;
                self.segment.insert(fresh)
            }
        };
        Ok((segment.number, segment.append(bytes)?))
    }

    /// Hands everything to the kernel, so that it survives the end of this process.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        Ok(self.log.flush()?)
    }

    /// Makes everything survive power loss: segment first, then log.
    pub fn sync(&mut self) -> Result<(), RecordingError> {
        if let Some(segment) = &self.segment {
            segment.sync()?;
        }
        Ok(self.log.sync()?)
    }

    /// After a failure: seals how many records are missing, if there is still room for that one line.
    pub fn declare_loss(&mut self, records: u64, cause: &RecordingError) {
        let reason = format!("recording stopped: {cause}");
        let line = json!({"type": "loss", "what": "records", "count": records, "reason": reason});
        if self.seal_line(line.to_string().as_bytes(), Severity::Warning).is_ok() {
            let _ = self.log.flush(); // the error that stopped the recording is the one to report
        }
    }

    /// Seals the `trace_end` object `end`, adds the number of records to it, and makes all of it durable.
    pub fn close(mut self, mut end: Map<String, Value>) -> Result<(), RecordingError> {
        end.insert("type".to_owned(), json!("trace_end"));
        end.insert("records".to_owned(), json!(self.next_record));
        end.entry("lost").or_insert(json!(0));
        self.sync()?;
        self.seal_line(Value::Object(end).to_string().as_bytes(), Severity::Info)?;
        self.log.sync()?;
        self.log.close()?;
        Ok(())
    }
}
