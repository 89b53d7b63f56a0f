// SPDX-License-Identifier: Apache-2.0
//! Records to bytes and back: the row encoding of docs/spec/recording.md §4. Stateless between chunks.

use crate::measures::{Measures, Texts, TOLD};
use crate::row::{Mix, Row};
use crate::varint::{put, Cursor, DecodeError};
use observer_model::{Blob, Record, SignalRecord, SyscallRecord, When};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

const SAME_THREAD: u8 = 1;
const HAS_FLAGS: u8 = 2;
const NEGATIVE: u8 = 4;
const ZERO: u8 = 8;
const HAS_BLOBS: u8 = 16;
const SIGNAL: u8 = 128;

/// Numbers below this index `last_args` directly; the rest go through a map.
const DENSE: usize = 512;

/// One part of a call's memory: bits as in the encoding, part, bytes.
pub type Part<'a> = (u8, u16, &'a [u8]);

/// The last argument registers per syscall number: arguments are stored as differences from them.
struct LastArgs {
    dense: Vec<[u64; 6]>,
    sparse: HashMap<u32, [u64; 6]>,
}

impl LastArgs {
    fn new() -> Self {
        LastArgs { dense: vec![[0; 6]; DENSE], sparse: HashMap::new() }
    }

    fn slot(&mut self, nr: u32) -> &mut [u64; 6] {
        match self.dense.get_mut(nr as usize) {
            Some(slot) => slot,
            None => self.sparse.entry(nr).or_insert([0; 6]),
        }
    }
}

/// Builds the payload of one chunk.
pub struct ChunkEncoder {
    /// Encoded records so far.
    pub payload: Vec<u8>,
    /// Number of records in it.
    pub records: u32,
    /// Start time of the first record; the base of the deltas.
    pub base_ns: u64,
    /// Largest start time.
    pub last_ns: u64,
    previous_ns: u64,
    threads: HashMap<(u32, u32), u64, BuildHasherDefault<Mix>>,
    previous_thread: Option<(u32, u32)>,
    last_args: LastArgs,
    measures: Measures,
    texts: Texts,
}

impl Default for ChunkEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkEncoder {
    /// An empty chunk.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Vec::with_capacity(64 * 1024))
    }

    /// The same into memory that is there already.
    #[must_use]
    pub fn with(payload: Vec<u8>) -> Self {
        ChunkEncoder {
            payload,
            records: 0,
            base_ns: 0,
            last_ns: 0,
            previous_ns: 0,
            threads: HashMap::default(),
            previous_thread: None,
            last_args: LastArgs::new(),
            measures: Measures::default(),
            texts: Texts::default(),
        }
    }

    fn begin(&mut self, row: &mut Row, head: u8, thread: (u32, u32), start_ns: u64) {
        if self.records == 0 {
            (self.base_ns, self.previous_ns, self.last_ns) = (start_ns, start_ns, start_ns);
        }
        self.records += 1;
        self.last_ns = self.last_ns.max(start_ns);
        let same = self.previous_thread == Some(thread);
        row.byte(head | if same { SAME_THREAD } else { 0 });
        if !same {
            self.put_thread(row, thread);
        }
    }

    fn put_thread(&mut self, row: &mut Row, thread: (u32, u32)) {
        let next = self.threads.len() as u64;
        let index = *self.threads.entry(thread).or_insert(next);
        row.put(index);
        if index == next {
            row.put(u64::from(thread.0));
            row.put(u64::from(thread.1));
        }
        self.previous_thread = Some(thread);
    }

    fn put_start(&mut self, row: &mut Row, start_ns: u64) {
        row.put_signed(start_ns.wrapping_sub(self.previous_ns) as i64);
        self.previous_ns = start_ns;
    }

    /// Appends one record.
    pub fn push(&mut self, record: &Record) {
        match record {
            Record::Call(call) => self.push_call(call),
            Record::Signal(signal) => self.push_signal(signal),
        }
    }

    /// Appends a syscall.
    pub fn push_call(&mut self, c: &SyscallRecord) {
        let part = |b: &Blob| {
            let exit = u8::from(b.when == When::Exit) << 3;
            (b.arg & 7) | exit | (u8::from(b.truncated) << 4)
        };
        self.push_parts(c, c.blobs.iter().map(|b| (part(b), b.part, b.bytes.as_slice())));
    }

    /// Appends a syscall whose memory is not in `c.blobs` but in `parts`, so that nobody needs to copy it before.
    pub fn push_parts<'a>(&mut self, c: &SyscallRecord, parts: impl Iterator<Item = Part<'a>>) {
        let mut parts = parts.peekable();
        let mut head = 0;
        if c.flags != 0 {
            head |= HAS_FLAGS;
        }
        if c.result < 0 {
            head |= NEGATIVE;
        }
        if c.result == 0 {
            head |= ZERO;
        }
        let has_parts = parts.peek().is_some();
        if has_parts {
            head |= HAS_BLOBS;
        }
        let mut row = Row::new();
        self.begin(&mut row, head, (c.tid, c.pid), c.start_ns);
        row.put(u64::from(c.nr));
        self.put_start(&mut row, c.start_ns);
        row.put(c.duration_ns);
        if c.flags != 0 {
            row.put(u64::from(c.flags));
        }
        if c.result != 0 {
            row.put(c.result.unsigned_abs());
        }
        self.put_args(&mut row, c.nr, &c.args);
        self.payload.extend_from_slice(row.bytes());
        if has_parts {
            self.put_blobs(c.nr, parts);
        }
    }

    fn put_args(&mut self, row: &mut Row, nr: u32, args: &[u64; 6]) {
        let last = self.last_args.slot(nr);
        let at = row.mark();
        let mut mask = 0u8;
        for (i, (now, before)) in args.iter().zip(last.iter()).enumerate() {
            if now != before {
                mask |= 1 << i;
                row.put_signed(now.wrapping_sub(*before) as i64);
            }
        }
        row.set(at, mask);
        *last = *args;
    }

    /// The count comes before what is counted: one byte is left for it, more are made room for in the rare case.
    fn put_blobs<'a>(&mut self, nr: u32, parts: impl Iterator<Item = Part<'a>>) {
        let at = self.payload.len();
        self.payload.push(0);
        let mut count = 0u64;
        for (what, part, bytes) in parts {
            count += 1;
            let mut row = Row::new();
            row.byte(what & 0x1f);
            row.put(u64::from(part));
            row.put(bytes.len() as u64);
            let head = self.payload.len();
            self.payload.extend_from_slice(row.bytes());
            let how = if what & 8 == 0 {
                self.texts.tell(nr, what & 0x1f, part, bytes, &mut self.payload)
            } else {
                self.measures.tell(nr, what & 0x1f, part, bytes, &mut self.payload)
            };
            if how & TOLD == 0 {
                self.payload.extend_from_slice(bytes);
            } else {
                self.payload[head] |= how;
            }
        }
        if count < 0x80 {
            self.payload[at] = count as u8;
        } else {
            let mut length = Vec::new();
            put(&mut length, count);
            self.payload.splice(at..=at, length);
        }
    }

    fn push_signal(&mut self, s: &SignalRecord) {
        let mut row = Row::new();
        self.begin(&mut row, SIGNAL, (s.tid, s.pid), s.start_ns);
        self.put_start(&mut row, s.start_ns);
        row.put(u64::from(s.signo));
        row.put_signed(i64::from(s.code));
        row.put(u64::from(s.sender_pid));
        row.put(u64::from(s.sender_uid));
        self.payload.extend_from_slice(row.bytes());
    }
}

/// Reads the records of one chunk, in order.
pub struct ChunkDecoder<'a> {
    cursor: Cursor<'a>,
    left: u32,
    previous_ns: u64,
    threads: Vec<(u32, u32)>,
    previous_thread: (u32, u32),
    last_args: LastArgs,
    measures: Measures,
    texts: Texts,
}

impl<'a> ChunkDecoder<'a> {
    /// Starts on a decompressed payload that should hold `records` records.
    #[must_use]
    pub fn new(payload: &'a [u8], records: u32, base_ns: u64) -> Self {
        ChunkDecoder {
            cursor: Cursor::new(payload),
            left: records,
            previous_ns: base_ns,
            threads: Vec::new(),
            previous_thread: (0, 0),
            last_args: LastArgs::new(),
            measures: Measures::default(),
            texts: Texts::default(),
        }
    }

    fn decode(&mut self) -> Result<Record, DecodeError> {
        let head = self.cursor.u8()?;
        if head & SAME_THREAD == 0 {
            self.take_thread()?;
        } else if self.threads.is_empty() {
            return Err(DecodeError::Thread);
        }
        if head & SIGNAL != 0 {
            return self.take_signal();
        }
        self.take_call(head)
    }

    fn take_thread(&mut self) -> Result<(), DecodeError> {
        let index = self.cursor.varint()?;
        if index == self.threads.len() as u64 {
            let thread = (self.cursor.u32()?, self.cursor.u32()?);
            self.threads.push(thread);
        }
        let index = usize::try_from(index).map_err(|_| DecodeError::Thread)?;
        self.previous_thread = *self.threads.get(index).ok_or(DecodeError::Thread)?;
        Ok(())
    }

    fn take_start(&mut self) -> Result<u64, DecodeError> {
        self.previous_ns = self.previous_ns.wrapping_add(self.cursor.signed()? as u64);
        Ok(self.previous_ns)
    }

    fn take_signal(&mut self) -> Result<Record, DecodeError> {
        let start_ns = self.take_start()?;
        Ok(Record::Signal(SignalRecord {
            tid: self.previous_thread.0,
            pid: self.previous_thread.1,
            start_ns,
            signo: self.cursor.u32()?,
            code: i32::try_from(self.cursor.signed()?).map_err(|_| DecodeError::Range)?,
            sender_pid: self.cursor.u32()?,
            sender_uid: self.cursor.u32()?,
        }))
    }

    fn take_call(&mut self, head: u8) -> Result<Record, DecodeError> {
        let nr = self.cursor.u32()?;
        let start_ns = self.take_start()?;
        let duration_ns = self.cursor.varint()?;
        let flags = if head & HAS_FLAGS != 0 { self.cursor.u32()? } else { 0 };
        let size = if head & ZERO != 0 { 0 } else { self.cursor.varint()? };
        let result = if head & NEGATIVE != 0 { (size as i64).wrapping_neg() } else { size as i64 };
        let args = self.take_args(nr)?;
        let blobs = if head & HAS_BLOBS != 0 { self.take_blobs(nr)? } else { Vec::new() };
        let (tid, pid) = self.previous_thread;
        Ok(Record::Call(SyscallRecord { tid, pid, nr, flags, start_ns, duration_ns, result, args, blobs }))
    }

    fn take_args(&mut self, nr: u32) -> Result<[u64; 6], DecodeError> {
        let mask = self.cursor.u8()?;
        let slot = self.last_args.slot(nr);
        for (i, value) in slot.iter_mut().enumerate() {
            if mask & (1 << i) != 0 {
                *value = value.wrapping_add(self.cursor.signed()? as u64);
            }
        }
        Ok(*slot)
    }

    fn take_blobs(&mut self, nr: u32) -> Result<Vec<Blob>, DecodeError> {
        let count = self.cursor.varint()?;
        let mut blobs = Vec::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            let head = self.cursor.u8()?;
            let part = u16::try_from(self.cursor.varint()?).map_err(|_| DecodeError::Range)?;
            let length = usize::try_from(self.cursor.varint()?).map_err(|_| DecodeError::Short)?;
            let what = head & 0x1f;
            let bytes = if head & TOLD == 0 {
                let bytes = self.cursor.take(length)?.to_vec();
                self.measures.remember(nr, what, part, &bytes);
                self.texts.remember(nr, what, part, &bytes);
                bytes
            } else if head & 8 == 0 {
                self.texts.take(nr, what, part, length, &mut self.cursor)?
            } else {
                self.measures.take(nr, head & 0x7f, part, length, &mut self.cursor)?
            };
            let when = if head & 8 == 0 { When::Entry } else { When::Exit };
            blobs.push(Blob { arg: head & 7, when, part, truncated: head & 16 != 0, bytes });
        }
        Ok(blobs)
    }
}

impl Iterator for ChunkDecoder<'_> {
    type Item = Result<Record, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let trailing = !self.cursor.done();
            self.cursor = Cursor::new(&[]);
            return trailing.then_some(Err(DecodeError::Trailing));
        }
        self.left -= 1;
        let item = self.decode();
        if item.is_err() {
            self.left = 0;
            self.cursor = Cursor::new(&[]);
        }
        Some(item)
    }
}
