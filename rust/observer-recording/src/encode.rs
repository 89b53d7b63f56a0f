// SPDX-License-Identifier: Apache-2.0
//! Records to the columns of a chunk. Source: docs/spec/recording.md §4.

use crate::chunk::Kind;
use crate::codec::{LastArgs, COLUMNS, FACTS, HAS_BLOBS, HAS_FLAGS, MEMORY, NEGATIVE, SAME_THREAD, SIGNAL, TIMES, ZERO};
use crate::measures::{Measures, Texts, TOLD};
use crate::row::{Mix, Row};
use crate::varint::put;
use crate::writer::Batch;
use observer_model::{Blob, Record, SignalRecord, SyscallRecord, When};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// One part of a call's memory: bits as in the encoding, part, bytes.
pub type Part<'a> = (u8, u16, &'a [u8]);

/// Most bytes of the facts of a call before its blobs: twelve varints of at most 10 bytes, head and mask.
const FACTS_MAX: usize = 122;
/// Two varints.
const TIMES_MAX: usize = 20;
/// Bits, part and length of a blob.
const BLOB_MAX: usize = 14;

/// Builds one chunk after the other, in memory that is used again.
pub struct ChunkEncoder {
    /// Number of records in the present chunk.
    pub records: u32,
    /// Start time of the first record; the base of the deltas.
    pub base_ns: u64,
    /// Largest start time.
    pub last_ns: u64,
    columns: [Vec<u8>; COLUMNS],
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
        ChunkEncoder {
            records: 0,
            base_ns: 0,
            last_ns: 0,
            columns: Default::default(),
            previous_ns: 0,
            threads: HashMap::default(),
            previous_thread: None,
            last_args: LastArgs::new(),
            measures: Measures::default(),
            texts: Texts::default(),
        }
    }

    /// Bytes of the records so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Vec::len).sum()
    }

    /// The chunk, put together in `memory`; what comes next begins another.
    pub fn cut(&mut self, mut memory: Vec<u8>) -> Batch {
        memory.clear();
        memory.reserve(self.bytes() + 20);
        for column in &self.columns[..COLUMNS - 1] {
            put(&mut memory, column.len() as u64);
        }
        for column in &mut self.columns {
            memory.extend_from_slice(column);
            column.clear();
        }
        let batch = Batch {
            kind: Kind::Records,
            payload: memory,
            records: std::mem::take(&mut self.records),
            base_ns: std::mem::take(&mut self.base_ns),
            last_ns: std::mem::take(&mut self.last_ns),
        };
        self.threads.clear();
        self.previous_thread = None;
        self.last_args.forget();
        self.measures.forget();
        self.texts.forget();
        batch
    }

    fn begin(&mut self, row: &mut Row<FACTS_MAX>, head: u8, thread: (u32, u32), start_ns: u64) {
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

    fn put_thread(&mut self, row: &mut Row<FACTS_MAX>, thread: (u32, u32)) {
        let next = self.threads.len() as u64;
        let index = *self.threads.entry(thread).or_insert(next);
        row.put(index);
        if index == next {
            row.put(u64::from(thread.0));
            row.put(u64::from(thread.1));
        }
        self.previous_thread = Some(thread);
    }

    fn put_times(&mut self, start_ns: u64, duration_ns: Option<u64>) {
        let mut row = Row::<TIMES_MAX>::new();
        row.put_signed(start_ns.wrapping_sub(self.previous_ns) as i64);
        self.previous_ns = start_ns;
        if let Some(duration_ns) = duration_ns {
            row.put(duration_ns);
        }
        self.columns[TIMES].extend_from_slice(row.bytes());
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
        if c.flags != 0 {
            row.put(u64::from(c.flags));
        }
        if c.result != 0 {
            row.put(c.result.unsigned_abs());
        }
        self.put_args(&mut row, c.nr, &c.args);
        self.columns[FACTS].extend_from_slice(row.bytes());
        self.put_times(c.start_ns, Some(c.duration_ns));
        if has_parts {
            self.put_blobs(c.nr, parts);
        }
    }

    fn put_args(&mut self, row: &mut Row<FACTS_MAX>, nr: u32, args: &[u64; 6]) {
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
        let [_, facts, memory] = &mut self.columns;
        let at = facts.len();
        facts.push(0);
        let mut count = 0u64;
        for (what, part, bytes) in parts {
            count += 1;
            let mut row = Row::<BLOB_MAX>::new();
            row.byte(what & 0x1f);
            row.put(u64::from(part));
            row.put(bytes.len() as u64);
            let head = facts.len();
            facts.extend_from_slice(row.bytes());
            let (how, told) = if what & 8 == 0 {
                self.texts.tell(nr, what & 0x1f, part, bytes, facts)
            } else {
                (self.measures.tell(nr, what & 0x1f, part, bytes, facts), bytes.len())
            };
            if how & TOLD == 0 {
                memory.extend_from_slice(bytes);
            } else {
                facts[head] |= how;
                memory.extend_from_slice(&bytes[told..]);
            }
        }
        if count < 0x80 {
            facts[at] = count as u8;
        } else {
            let mut length = Vec::new();
            put(&mut length, count);
            facts.splice(at..=at, length);
        }
    }

    fn push_signal(&mut self, s: &SignalRecord) {
        let mut row = Row::new();
        self.begin(&mut row, SIGNAL, (s.tid, s.pid), s.start_ns);
        row.put(u64::from(s.signo));
        row.put_signed(i64::from(s.code));
        row.put(u64::from(s.sender_pid));
        row.put(u64::from(s.sender_uid));
        self.columns[FACTS].extend_from_slice(row.bytes());
        self.put_times(s.start_ns, None);
    }
}

const _: () = assert!(TIMES == 0 && FACTS == 1 && MEMORY == 2, "put_blobs takes the columns apart in this order");
