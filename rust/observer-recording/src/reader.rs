// SPDX-License-Identifier: Apache-2.0
//! Reads a recording, whole or cut off. Uses only chunks whose digest is sealed, and checks that digest on every reading.

use crate::chunk::{self, Header, Kind};
use crate::error::RecordingError;
use crate::segment::{path_of, SegmentReader, SEGMENT_HEADER};
use crate::typed::CallTable;
use crate::typed_codec;
use crate::writer::parse_uuid;
use observer_evidence::{read_lines, Line};
use observer_model::Arch;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a chunk is and what it holds, as its sealed line says.
#[derive(Clone, Debug, Deserialize)]
pub struct ChunkLine {
    /// Sequence of the line; not part of it.
    #[serde(skip)]
    pub sequence: u64,
    /// Segment number.
    pub segment: u32,
    /// Byte offset in the segment.
    pub offset: u64,
    /// Header and payload, bytes.
    pub length: u64,
    /// Number of the first record.
    pub first_record: u64,
    /// How many records.
    pub records: u32,
    /// Payload bytes after decompression.
    pub raw_bytes: u64,
    /// SHA-256 of header and payload, hex.
    pub sha256: String,
}

/// Losses that lines of the log declare.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    /// Number of `loss` lines.
    pub lines: u64,
    /// Sum of their counts.
    pub count: u64,
}

/// An opened recording.
pub struct RecordingReader {
    dir: PathBuf,
    /// The `trace_start` object.
    pub start: Value,
    /// The `trace_end` object, when the recording was closed.
    pub end: Option<Value>,
    /// Every sealed chunk in order.
    pub chunks: Vec<ChunkLine>,
    /// Declared losses.
    pub loss: Loss,
    /// What the functions of typed calls are, when there are any.
    pub table: CallTable,
    /// Lines in the log.
    pub lines: u64,
    trace_id: [u8; 16],
}

/// The log of a recording directory.
#[must_use]
pub fn log_path(dir: &Path) -> PathBuf {
    dir.join("sealed.log")
}

fn object(line: &Line) -> Result<Value, RecordingError> {
    serde_json::from_slice(&line.event)
        .map_err(|e| RecordingError::Malformed(format!("sealed line {} is not JSON: {e}", line.seq)))
}

impl RecordingReader {
    /// Opens a recording directory and reads its log once for the places of chunks.
    pub fn open(dir: &Path) -> Result<Self, RecordingError> {
        let path = log_path(dir);
        if !path.is_file() {
            let why = format!("{} is not a recording: it has no sealed.log", dir.display());
            return Err(RecordingError::Malformed(why));
        }
        let mut events = read_lines(&path)?;
        let start = first_event(&mut events, dir)?;
        let trace_id = start.get("trace_id").and_then(Value::as_str).and_then(parse_uuid);
        let trace_id = trace_id.ok_or_else(|| RecordingError::Malformed("trace_start has no trace_id".to_owned()))?;
        let mut reader = RecordingReader {
            dir: dir.to_owned(),
            start,
            end: None,
            chunks: Vec::new(),
            loss: Loss::default(),
            table: CallTable::default(),
            lines: 0,
            trace_id,
        };
        for line in events {
            reader.index(&line?)?;
        }
        Ok(reader)
    }

    fn index(&mut self, line: &Line) -> Result<(), RecordingError> {
        self.lines = line.seq + 1;
        if line.kind.is_some() {
            return Ok(());
        }
        let event = object(line)?;
        match event.get("type").and_then(Value::as_str) {
            Some("chunk") => {
                let bad = |e| RecordingError::Malformed(format!("chunk line {}: {e}", line.seq));
                let mut chunk = ChunkLine::deserialize(&event).map_err(bad)?;
                chunk.sequence = line.seq;
                self.chunks.push(chunk);
            }
            Some("loss") => {
                self.loss.lines += 1;
                self.loss.count += event.get("count").and_then(Value::as_u64).unwrap_or(0);
            }
            Some("call_table") => self.table = CallTable::parse(&event)?,
            Some("trace_end") => self.end = Some(event),
            _ => {}
        }
        Ok(())
    }

    /// The architecture of its syscall numbers; None for an embedder's recording.
    #[must_use]
    pub fn arch(&self) -> Option<Arch> {
        self.start.get("arch").and_then(Value::as_str).and_then(Arch::from_name)
    }

    /// The directory it was opened from.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Number of sealed records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.chunks.iter().map(|c| u64::from(c.records)).sum()
    }

    /// Wall clock minus monotonic clock at the start, ns: what turns a record's time into a date.
    #[must_use]
    pub fn wall_offset_ns(&self) -> i64 {
        let at = |key| self.start.get(key).and_then(Value::as_i64).unwrap_or(0);
        at("wall_ns").wrapping_sub(at("monotonic_ns"))
    }

    /// Bytes as sealed: header and payload of one chunk, its digest checked.
    pub fn chunk_bytes(&self, line: &ChunkLine) -> Result<Vec<u8>, RecordingError> {
        let fault = |why: &str| RecordingError::Chunk {
            segment: line.segment,
            offset: line.offset,
            first_record: line.first_record,
            sequence: line.sequence,
            why: why.to_owned(),
        };
        let length = usize::try_from(line.length).ok().filter(|n| *n <= chunk::MAX_PAYLOAD + chunk::HEADER);
        let length = length.ok_or_else(|| fault("its sealed length is impossible"))?;
        let segment = match SegmentReader::open(&self.dir, line.segment, &self.trace_id) {
            Err(RecordingError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(fault("its segment file is missing"));
            }
            other => other?,
        };
        let bytes = segment.read(line.offset, length)?.ok_or_else(|| fault("the segment ends before it does"))?;
        if chunk::digest(&bytes) != line.sha256 {
            return Err(fault("the digest differs"));
        }
        let (header, _) = chunk::parse_header(&bytes)?;
        if header.first_record != line.first_record || header.records != line.records {
            return Err(fault("header and sealed line disagree"));
        }
        Ok(bytes)
    }

    /// Header and payload of one chunk, ready to be gone through.
    pub fn chunk(&self, line: &ChunkLine) -> Result<(Header, Vec<u8>), RecordingError> {
        let (header, payload) = chunk::open(&self.chunk_bytes(line)?)?;
        let payload = if header.kind == Kind::Typed { typed_codec::decode(&payload)? } else { payload };
        Ok((header, payload))
    }

    /// Bytes on disk in chunks and headers, and bytes after the last sealed chunk of each segment.
    pub fn storage(&self) -> Result<(u64, u64), RecordingError> {
        let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
        for chunk in &self.chunks {
            let end = ends.entry(chunk.segment).or_insert(SEGMENT_HEADER);
            *end = (*end).max(chunk.offset.saturating_add(chunk.length));
        }
        let (mut stored, mut unsealed) = (0, 0);
        let next = ends.keys().next_back().map_or(0, |last| last + 1);
        ends.entry(next).or_insert(SEGMENT_HEADER); // a segment may hold nothing but an unsealed chunk
        for (number, end) in ends {
            if !path_of(&self.dir, number).exists() {
                continue;
            }
            let length = SegmentReader::open(&self.dir, number, &self.trace_id).and_then(|s| s.length());
            let length = length.unwrap_or(end);
            stored += length.min(end);
            unsealed += length.saturating_sub(end);
        }
        Ok((stored, unsealed))
    }
}

fn first_event(lines: &mut observer_evidence::LineReader, dir: &Path) -> Result<Value, RecordingError> {
    let no_start = || RecordingError::Malformed(format!("{}: the log does not begin with trace_start", dir.display()));
    for line in lines {
        let line = line?;
        if line.kind.is_some() {
            continue;
        }
        let start = object(&line)?;
        if start.get("type").and_then(Value::as_str) != Some("trace_start") {
            return Err(no_start());
        }
        return match start.get("format").and_then(Value::as_u64) {
            Some(1) => Ok(start),
            Some(newer) => Err(RecordingError::Newer(format!("recording format {newer}"))),
            None => Err(no_start()),
        };
    }
    Err(no_start())
}
