// SPDX-License-Identifier: Apache-2.0
//! The chunk: a 48-byte header and a compressed payload, and the digest that is sealed. Source: docs/spec/recording.md §3.

use crate::error::RecordingError;
use sha2::{Digest, Sha256};

/// Bytes of the header.
pub const HEADER: usize = 48;
/// Largest stored or raw payload; larger claims are refused before memory is taken.
pub const MAX_PAYLOAD: usize = 64 << 20;
const MAGIC: &[u8; 4] = b"OCHK";
const VERSION: u8 = 1;
const ZSTD: u8 = 1;
/// Records were made small by their encoding; compression must cost less than the calls it is about.
const LEVEL: i32 = 1;

/// What the payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Records in columns; 5 and 1 in chunks of before, which have them in rows.
    Records = 7,
    /// JSON lines from an embedder.
    Calls = 2,
    /// Fixed-layout calls, told by the `call_table` line before them.
    Typed = 3,
    /// A piece of an attachment, told by the `attachment` line before it; no records.
    Blob = 4,
    /// A piece of the stream that a replay runs on (docs/spec/replay.md); no records.
    Replay = 6,
}

impl Kind {
    /// Its name in the sealed line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Records => "records",
            Kind::Calls => "calls",
            Kind::Typed => "typed",
            Kind::Blob => "blob",
            Kind::Replay => "replay",
        }
    }
}

/// The header's facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload holds.
    pub kind: Kind,
    /// Of records: parts that are alike lie together; always so in what is written now.
    pub columns: bool,
    /// 0 none, 1 x86-64, 2 aarch64.
    pub arch: u8,
    /// Payload bytes as stored.
    pub stored: u32,
    /// Payload bytes after decompression.
    pub raw: u32,
    /// Number of the first record.
    pub first_record: u64,
    /// How many records.
    pub records: u32,
    /// Base of the time deltas, CLOCK_MONOTONIC ns.
    pub base_ns: u64,
    /// Largest start time, ns.
    pub last_ns: u64,
}

impl Header {
    fn to_bytes(self, codec: u8) -> [u8; HEADER] {
        let mut out = [0u8; HEADER];
        out[0..4].copy_from_slice(MAGIC);
        out[4..8].copy_from_slice(&[VERSION, self.kind as u8, codec, self.arch]);
        out[8..12].copy_from_slice(&self.stored.to_le_bytes());
        out[12..16].copy_from_slice(&self.raw.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_record.to_le_bytes());
        out[24..28].copy_from_slice(&self.records.to_le_bytes());
        out[32..40].copy_from_slice(&self.base_ns.to_le_bytes());
        out[40..48].copy_from_slice(&self.last_ns.to_le_bytes());
        out
    }
}

fn u32_at(b: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn u64_at(b: &[u8; HEADER], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | (u64::from(u32_at(b, at + 4)) << 32)
}

/// Compresses payloads as chunks hold them, with memory that is set up once.
pub struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// A packer for any number of payloads.
    pub fn new() -> Result<Packer, RecordingError> {
        Ok(Packer(zstd::bulk::Compressor::new(LEVEL).map_err(RecordingError::io("set up compression"))?))
    }

    /// Compresses one payload.
    pub fn pack(&mut self, payload: &[u8]) -> Result<Vec<u8>, RecordingError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(RecordingError::Malformed("chunk larger than 64 MiB".to_owned()));
        }
        self.0.compress(payload).map_err(RecordingError::io("compress a chunk"))
    }
}

/// Puts the header before a packed payload of `raw` bytes; `facts.stored` and `facts.raw` are set here.
pub fn build(mut facts: Header, packed: &[u8], raw: usize) -> Result<Vec<u8>, RecordingError> {
    let too_big = || RecordingError::Malformed("chunk larger than 64 MiB".to_owned());
    facts.raw = u32::try_from(raw).map_err(|_| too_big())?;
    facts.stored = u32::try_from(packed.len()).map_err(|_| too_big())?;
    let mut out = Vec::with_capacity(HEADER + packed.len());
    out.extend_from_slice(&facts.to_bytes(ZSTD));
    out.extend_from_slice(packed);
    Ok(out)
}

/// SHA-256 of a chunk as stored, lower-case hex.
#[must_use]
pub fn digest(chunk: &[u8]) -> String {
    Sha256::digest(chunk).iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a header; refuses what is not one.
pub fn parse_header(chunk: &[u8]) -> Result<(Header, u8), RecordingError> {
    let malformed = |why: &str| RecordingError::Malformed(format!("chunk header: {why}"));
    let b: &[u8; HEADER] = chunk.first_chunk().ok_or_else(|| malformed("shorter than 48 bytes"))?;
    if &b[0..4] != MAGIC {
        return Err(malformed("magic is not OCHK"));
    }
    if b[4] != VERSION {
        return Err(RecordingError::Newer(format!("chunk version {}", b[4])));
    }
    let kind = match b[5] {
        1 | 5 | 7 => Kind::Records,
        2 => Kind::Calls,
        3 => Kind::Typed,
        4 => Kind::Blob,
        6 => Kind::Replay,
        other => return Err(RecordingError::Newer(format!("chunk kind {other}"))),
    };
    let header = Header {
        kind,
        columns: b[5] == Kind::Records as u8,
        arch: b[7],
        stored: u32_at(b, 8),
        raw: u32_at(b, 12),
        first_record: u64_at(b, 16),
        records: u32_at(b, 24),
        base_ns: u64_at(b, 32),
        last_ns: u64_at(b, 40),
    };
    if header.raw as usize > MAX_PAYLOAD || header.stored as usize > MAX_PAYLOAD {
        return Err(malformed("claims more than 64 MiB"));
    }
    Ok((header, b[6]))
}

/// Header and decompressed payload of a whole chunk.
pub fn open(chunk: &[u8]) -> Result<(Header, Vec<u8>), RecordingError> {
    let (header, codec) = parse_header(chunk)?;
    let stored = &chunk[HEADER..];
    if stored.len() != header.stored as usize {
        return Err(RecordingError::Malformed("chunk is not as long as its header says".to_owned()));
    }
    let payload = match codec {
        0 => stored.to_vec(),
        ZSTD => zstd::bulk::decompress(stored, header.raw as usize)
            .map_err(|e| RecordingError::Malformed(format!("chunk does not decompress: {e}")))?,
        other => return Err(RecordingError::Newer(format!("chunk codec {other}"))),
    };
    if payload.len() != header.raw as usize {
        return Err(RecordingError::Malformed("chunk decompresses to another length than its header says".to_owned()));
    }
    Ok((header, payload))
}
