// SPDX-License-Identifier: Apache-2.0
//! Records to bytes and back: the row encoding of docs/spec/recording.md §4. Stateless between chunks.

use crate::varint::{put, put_signed, Cursor, DecodeError};
use observer_model::{Blob, Record, SignalRecord, SyscallRecord, When};
use std::collections::HashMap;

const SAME_THREAD: u8 = 1;
const HAS_FLAGS: u8 = 2;
const NEGATIVE: u8 = 4;
const ZERO: u8 = 8;
const HAS_BLOBS: u8 = 16;
const SIGNAL: u8 = 128;

/// Numbers below this index `last_args` directly; the rest go through a map.
const DENSE: usize = 512;

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
    threads: HashMap<(u32, u32), u64>,
    previous_thread: Option<(u32, u32)>,
    last_args: LastArgs,
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
        ChunkEncoder {
            payload: Vec::with_capacity(64 * 1024),
            records: 0,
            base_ns: 0,
            last_ns: 0,
            previous_ns: 0,
            threads: HashMap::new(),
            previous_thread: None,
            last_args: LastArgs::new(),
        }
    }

    fn begin(&mut self, head: u8, thread: (u32, u32), start_ns: u64) -> u8 {
        if self.records == 0 {
            (self.base_ns, self.previous_ns, self.last_ns) = (start_ns, start_ns, start_ns);
        }
        self.records += 1;
        self.last_ns = self.last_ns.max(start_ns);
        let same = self.previous_thread == Some(thread);
        let head = head | if same { SAME_THREAD } else { 0 };
        self.payload.push(head);
        if !same {
            self.put_thread(thread);
        }
        head
    }

    fn put_thread(&mut self, thread: (u32, u32)) {
        let next = self.threads.len() as u64;
        let index = *self.threads.entry(thread).or_insert(next);
        put(&mut self.payload, index);
        if index == next {
            put(&mut self.payload, u64::from(thread.0));
            put(&mut self.payload, u64::from(thread.1));
        }
        self.previous_thread = Some(thread);
    }

    fn put_start(&mut self, start_ns: u64) {
        put_signed(&mut self.payload, start_ns.wrapping_sub(self.previous_ns) as i64);
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
        if !c.blobs.is_empty() {
            head |= HAS_BLOBS;
        }
        self.begin(head, (c.tid, c.pid), c.start_ns);
        put(&mut self.payload, u64::from(c.nr));
        self.put_start(c.start_ns);
        put(&mut self.payload, c.duration_ns);
        if c.flags != 0 {
            put(&mut self.payload, u64::from(c.flags));
        }
        if c.result != 0 {
            put(&mut self.payload, c.result.unsigned_abs());
        }
        self.put_args(c.nr, &c.args);
        if !c.blobs.is_empty() {
            self.put_blobs(&c.blobs);
        }
    }

    fn put_args(&mut self, nr: u32, args: &[u64; 6]) {
        let last = self.last_args.slot(nr);
        let mut mask = 0u8;
        for (i, (now, before)) in args.iter().zip(last.iter()).enumerate() {
            mask |= u8::from(now != before) << i;
        }
        self.payload.push(mask);
        for (now, before) in args.iter().zip(last.iter()).filter(|(a, b)| a != b) {
            put_signed(&mut self.payload, now.wrapping_sub(*before) as i64);
        }
        *last = *args;
    }

    fn put_blobs(&mut self, blobs: &[Blob]) {
        put(&mut self.payload, blobs.len() as u64);
        for b in blobs {
            let exit = u8::from(b.when == When::Exit) << 3;
            self.payload.push((b.arg & 7) | exit | (u8::from(b.truncated) << 4));
            put(&mut self.payload, u64::from(b.part));
            put(&mut self.payload, b.bytes.len() as u64);
            self.payload.extend_from_slice(&b.bytes);
        }
    }

    fn push_signal(&mut self, s: &SignalRecord) {
        self.begin(SIGNAL, (s.tid, s.pid), s.start_ns);
        self.put_start(s.start_ns);
        put(&mut self.payload, u64::from(s.signo));
        put_signed(&mut self.payload, i64::from(s.code));
        put(&mut self.payload, u64::from(s.sender_pid));
        put(&mut self.payload, u64::from(s.sender_uid));
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
        let blobs = if head & HAS_BLOBS != 0 { self.take_blobs()? } else { Vec::new() };
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

    fn take_blobs(&mut self) -> Result<Vec<Blob>, DecodeError> {
        let count = self.cursor.varint()?;
        let mut blobs = Vec::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            let head = self.cursor.u8()?;
            let part = u16::try_from(self.cursor.varint()?).map_err(|_| DecodeError::Range)?;
            let length = usize::try_from(self.cursor.varint()?).map_err(|_| DecodeError::Short)?;
            blobs.push(Blob {
                arg: head & 7,
                when: if head & 8 == 0 { When::Entry } else { When::Exit },
                part,
                truncated: head & 16 != 0,
                bytes: self.cursor.take(length)?.to_vec(),
            });
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
