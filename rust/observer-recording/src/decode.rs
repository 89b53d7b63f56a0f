// SPDX-License-Identifier: Apache-2.0
//! A chunk back to records, from columns and from the rows of before. Source: docs/spec/recording.md §4.

use crate::chunk::Header;
use crate::codec::{LastArgs, COLUMNS, FACTS, HAS_BLOBS, HAS_FLAGS, MEMORY, NEGATIVE, SAME_THREAD, SIGNAL, TIMES, ZERO};
use crate::measures::{Measures, Texts, TOLD};
use crate::varint::{Cursor, DecodeError};
use observer_model::{Blob, Record, SignalRecord, SyscallRecord, When};

/// The columns of a payload; None when they reach beyond it.
fn split(payload: &[u8]) -> Option<[Cursor<'_>; COLUMNS]> {
    let mut start = Cursor::new(payload);
    let times = usize::try_from(start.varint().ok()?).ok()?;
    let facts = usize::try_from(start.varint().ok()?).ok()?;
    let (times, facts) = (start.take(times).ok()?, start.take(facts).ok()?);
    Some([Cursor::new(times), Cursor::new(facts), Cursor::new(start.rest())])
}

/// Reads the records of one chunk, in order.
pub struct ChunkDecoder<'a> {
    cursors: [Cursor<'a>; COLUMNS],
    /// Which of them has the times, the facts and the memory: without columns, the first has all.
    column: [usize; COLUMNS],
    left: u32,
    previous_ns: u64,
    threads: Vec<(u32, u32)>,
    previous_thread: (u32, u32),
    last_args: LastArgs,
    measures: Measures,
    texts: Texts,
}

impl<'a> ChunkDecoder<'a> {
    /// Starts on the decompressed payload of a chunk with this header. A payload too short for its columns gives one error.
    #[must_use]
    pub fn new(payload: &'a [u8], header: &Header) -> Self {
        let whole = [Cursor::new(payload), Cursor::new(&[]), Cursor::new(&[])];
        let parts = if header.columns { split(payload) } else { Some(whole) };
        let left = if parts.is_some() { header.records } else { 1 };
        ChunkDecoder {
            cursors: parts.unwrap_or_default(),
            column: if header.columns { [TIMES, FACTS, MEMORY] } else { [0; COLUMNS] },
            left,
            previous_ns: header.base_ns,
            threads: Vec::new(),
            previous_thread: (0, 0),
            last_args: LastArgs::new(),
            measures: Measures::default(),
            texts: Texts::default(),
        }
    }

    fn from(&mut self, column: usize) -> &mut Cursor<'a> {
        &mut self.cursors[self.column[column]]
    }

    fn decode(&mut self) -> Result<Record, DecodeError> {
        let head = self.from(FACTS).u8()?;
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
        let index = self.from(FACTS).varint()?;
        if index == self.threads.len() as u64 {
            let thread = (self.from(FACTS).u32()?, self.from(FACTS).u32()?);
            self.threads.push(thread);
        }
        let index = usize::try_from(index).map_err(|_| DecodeError::Thread)?;
        self.previous_thread = *self.threads.get(index).ok_or(DecodeError::Thread)?;
        Ok(())
    }

    fn take_start(&mut self) -> Result<u64, DecodeError> {
        self.previous_ns = self.previous_ns.wrapping_add(self.from(TIMES).signed()? as u64);
        Ok(self.previous_ns)
    }

    fn take_signal(&mut self) -> Result<Record, DecodeError> {
        let start_ns = self.take_start()?;
        Ok(Record::Signal(SignalRecord {
            tid: self.previous_thread.0,
            pid: self.previous_thread.1,
            start_ns,
            signo: self.from(FACTS).u32()?,
            code: i32::try_from(self.from(FACTS).signed()?).map_err(|_| DecodeError::Range)?,
            sender_pid: self.from(FACTS).u32()?,
            sender_uid: self.from(FACTS).u32()?,
        }))
    }

    fn take_call(&mut self, head: u8) -> Result<Record, DecodeError> {
        let nr = self.from(FACTS).u32()?;
        let start_ns = self.take_start()?;
        let duration_ns = self.from(TIMES).varint()?;
        let flags = if head & HAS_FLAGS != 0 { self.from(FACTS).u32()? } else { 0 };
        let size = if head & ZERO != 0 { 0 } else { self.from(FACTS).varint()? };
        let result = if head & NEGATIVE != 0 { (size as i64).wrapping_neg() } else { size as i64 };
        let args = self.take_args(nr)?;
        let blobs = if head & HAS_BLOBS != 0 { self.take_blobs(nr)? } else { Vec::new() };
        let (tid, pid) = self.previous_thread;
        Ok(Record::Call(SyscallRecord { tid, pid, nr, flags, start_ns, duration_ns, result, args, blobs }))
    }

    fn take_args(&mut self, nr: u32) -> Result<[u64; 6], DecodeError> {
        let facts = &mut self.cursors[self.column[FACTS]];
        let mask = facts.u8()?;
        let slot = self.last_args.slot(nr);
        for (i, value) in slot.iter_mut().enumerate() {
            if mask & (1 << i) != 0 {
                *value = value.wrapping_add(facts.signed()? as u64);
            }
        }
        Ok(*slot)
    }

    fn take_blobs(&mut self, nr: u32) -> Result<Vec<Blob>, DecodeError> {
        let count = self.from(FACTS).varint()?;
        let mut blobs = Vec::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            let head = self.from(FACTS).u8()?;
            let part = u16::try_from(self.from(FACTS).varint()?).map_err(|_| DecodeError::Range)?;
            let length = usize::try_from(self.from(FACTS).varint()?).map_err(|_| DecodeError::Short)?;
            let what = head & 0x1f;
            let bytes = if head & TOLD == 0 {
                let bytes = self.from(MEMORY).take(length)?.to_vec();
                self.measures.remember(nr, what, part, &bytes);
                self.texts.remember(nr, what, part, &bytes);
                bytes
            } else if head & 8 == 0 {
                let shared = self.from(FACTS).varint()?;
                let rest =
                    usize::try_from(shared).ok().and_then(|shared| length.checked_sub(shared)).ok_or(DecodeError::Range)?;
                let rest = self.from(MEMORY).take(rest)?;
                self.texts.take(nr, what, part, length, rest)?
            } else {
                self.measures.take(nr, head & 0x7f, part, length, &mut self.cursors[self.column[FACTS]])?
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
            let trailing = !self.cursors.iter().all(Cursor::done);
            self.cursors = Default::default();
            return trailing.then_some(Err(DecodeError::Trailing));
        }
        self.left -= 1;
        let item = self.decode();
        if item.is_err() {
            self.left = 0;
            self.cursors = Default::default();
        }
        Some(item)
    }
}
