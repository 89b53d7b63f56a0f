// SPDX-License-Identifier: Apache-2.0
//! A recorder that many threads may feed while one thread compresses and seals, so that capture never waits for the disk
//! unless it is 8 MiB ahead of it.

use crate::chunk::Kind;
use crate::codec::ChunkEncoder;
use crate::error::RecordingError;
use crate::typed;
use crate::writer::{Batch, Packed, RecordingWriter};
use observer_evidence::Severity;
use observer_model::Record;
use serde_json::{Map, Value};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A chunk is cut at this many raw bytes.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// A chunk is cut this long after its first record at the latest: what `kill -9` can cost.
pub const CHUNK_AGE: Duration = Duration::from_millis(200);
/// A feeder waits when this much is not yet sealed.
const BACKLOG_BYTES: usize = 8 << 20;

/// An attachment is cut into pieces of this size, well below a chunk's limit.
const PIECE_BYTES: usize = 16 << 20;

#[derive(Default)]
struct State {
    /// Sealed before everything else.
    past: Vec<Packed>,
    encoder: ChunkEncoder,
    /// Encoded elsewhere, sealed as they are.
    batches: Vec<Batch>,
    batches_bytes: usize,
    /// Memory of a payload that was sealed, to be used again.
    spare: Option<Vec<u8>>,
    calls: Vec<u8>,
    calls_count: u32,
    calls_ns: (u64, u64),
    blobs: Vec<Vec<u8>>,
    replay: Vec<u8>,
    typed: Vec<u8>,
    typed_count: u32,
    typed_ns: (u64, u64),
    lines: Vec<(Vec<u8>, Severity)>,
    next_record: u64,
    requested: u64,
    done: u64,
    durable: bool,
    stop: bool,
    failed: Option<RecordingError>,
    has_failed: bool,
    /// Records that were pushed and could not be sealed.
    dropped: u64,
}

impl State {
    fn pending(&self) -> bool {
        let records = self.encoder.records > 0 || self.calls_count > 0 || self.typed_count > 0;
        records
            || !self.past.is_empty()
            || !self.batches.is_empty()
            || !self.blobs.is_empty()
            || !self.replay.is_empty()
            || !self.lines.is_empty()
    }

    fn bytes(&self) -> usize {
        self.batches_bytes
            + self.encoder.bytes()
            + self.calls.len()
            + self.typed.len()
            + self.replay.len()
            + self.blobs.iter().map(Vec::len).sum::<usize>()
    }
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    drained: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Feeds one recording from any thread.
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<RecordingWriter>>>,
}

impl Recorder {
    /// Starts the sealing thread.
    pub fn start(writer: RecordingWriter) -> Result<Self, RecordingError> {
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { state, wake: Condvar::new(), drained: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("observer-seal".to_owned())
            .spawn(move || seal_loop(&theirs, writer))
            .map_err(RecordingError::io("start the sealing thread"))?;
        Ok(Recorder { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Appends a record; returns false once sealing has failed (see [`Recorder::finish`] for why).
    pub fn push(&self, record: &Record) -> bool {
        let mut state = self.shared.lock();
        if state.has_failed {
            state.dropped += 1;
            return false;
        }
        state.encoder.push(record);
        state.next_record += 1;
        self.settle(state);
        true
    }

    /// Appends a whole chunk's worth of records, to be sealed before any that are pushed later; false once sealing has failed.
    pub fn push_batch(&self, batch: Batch) -> bool {
        let mut state = self.shared.lock();
        if state.has_failed {
            state.dropped += u64::from(batch.records);
            return false;
        }
        state.next_record += u64::from(batch.records);
        state.batches_bytes += batch.payload.len();
        state.batches.push(batch);
        self.shared.wake.notify_one();
        self.settle(state);
        true
    }

    /// Memory of a payload that was sealed, empty: new memory costs more than all that is done with it.
    pub fn spare(&self) -> Vec<u8> {
        self.shared.lock().spare.take().unwrap_or_default()
    }

    /// Appends batches that were compressed before this recording began; to be called before any record is pushed.
    pub fn push_past(&self, past: Vec<Packed>) {
        let mut state = self.shared.lock();
        state.next_record += past.iter().map(|packed| u64::from(packed.batch.records)).sum::<u64>();
        state.past = past;
        self.shared.wake.notify_one();
    }

    /// Appends an embedder's calls (`count` JSON lines, each ending in a newline); returns the first one's record number.
    pub fn push_calls(&self, lines: &[u8], count: u32, first_ns: u64, last_ns: u64) -> u64 {
        let mut state = self.shared.lock();
        let first = state.next_record;
        if state.calls_count == 0 {
            state.calls_ns = (first_ns, last_ns);
        }
        state.calls_ns.1 = state.calls_ns.1.max(last_ns);
        state.calls.extend_from_slice(lines);
        state.calls_count += count;
        state.next_record += u64::from(count);
        self.settle(state);
        first
    }

    /// Appends typed calls, whole ones; returns the first one's record number.
    pub fn push_typed(&self, payload: &[u8]) -> Result<u64, RecordingError> {
        let (count, first_ns, last_ns) = typed::measure(payload)?;
        let mut state = self.shared.lock();
        let first = state.next_record;
        if state.typed_count == 0 {
            state.typed_ns = (first_ns, last_ns);
        }
        state.typed_ns.1 = state.typed_ns.1.max(last_ns);
        state.typed.extend_from_slice(payload);
        state.typed_count += count;
        state.next_record += u64::from(count);
        self.settle(state);
        Ok(first)
    }

    /// Appends an attachment: `line` tells of it, pieces of 16 MiB follow.
    pub fn push_blob(&self, line: Vec<u8>, content: &[u8]) {
        let mut state = self.shared.lock();
        state.lines.push((line, Severity::Info));
        state.blobs.extend(content.chunks(PIECE_BYTES).map(<[u8]>::to_vec));
        self.settle(state);
    }

    /// Appends to the stream that a replay runs on.
    pub fn push_replay(&self, bytes: &[u8]) {
        let mut state = self.shared.lock();
        state.replay.extend_from_slice(bytes);
        self.settle(state);
    }

    /// False once sealing has failed (see [`Recorder::finish`] for why).
    pub fn is_healthy(&self) -> bool {
        !self.shared.lock().has_failed
    }

    /// Appends a line of low volume.
    pub fn push_line(&self, event: Vec<u8>, severity: Severity) {
        let mut state = self.shared.lock();
        state.lines.push((event, severity));
        self.settle(state);
    }

    fn settle(&self, mut state: MutexGuard<'_, State>) {
        if state.bytes() >= CHUNK_BYTES {
            self.shared.wake.notify_one();
        }
        while state.bytes() >= BACKLOG_BYTES && !state.has_failed {
            state = self.shared.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all that was pushed is sealed and with the kernel (`durable`: on the disk).
    pub fn flush(&self, durable: bool) -> Result<(), RecordingError> {
        let mut state = self.shared.lock();
        state.requested += 1;
        let ticket = state.requested;
        state.durable |= durable;
        self.shared.wake.notify_one();
        while state.done < ticket && !state.has_failed {
            state = self.shared.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.failed.take() {
            Some(error) => Err(error),
            None if state.has_failed => Err(RecordingError::Malformed("sealing had failed before".to_owned())),
            None => Ok(()),
        }
    }

    /// Number of records pushed so far.
    pub fn records(&self) -> u64 {
        self.shared.lock().next_record
    }

    /// Seals what is left and the `end` line, and waits for the disk. On an earlier failure returns that.
    pub fn finish(&self, end: Map<String, Value>) -> Result<(), RecordingError> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else {
            return Err(RecordingError::Malformed("the recording is closed already".to_owned()));
        };
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        let mut writer = thread.join().map_err(|_| RecordingError::Malformed("the sealing thread died".to_owned()))?;
        let mut state = self.shared.lock();
        match state.failed.take() {
            Some(error) => {
                let waiting: u64 = state.batches.iter().map(|b| u64::from(b.records)).sum();
                let dropped = state.dropped + waiting + u64::from(state.encoder.records) + u64::from(state.calls_count);
                writer.declare_loss(dropped, &error);
                Err(error)
            }
            None => writer.close(end),
        }
    }
}

struct Taken {
    past: Vec<Packed>,
    batches: Vec<Batch>,
    lines: Vec<(Vec<u8>, Severity)>,
    ticket: u64,
    durable: bool,
    stop: bool,
}

fn take(state: &mut State) -> Taken {
    let mut batches = mem::take(&mut state.batches);
    state.batches_bytes = 0;
    if state.encoder.records > 0 {
        let memory = state.spare.take().unwrap_or_default();
        batches.push(state.encoder.cut(memory));
    }
    if state.calls_count > 0 {
        let records = mem::take(&mut state.calls_count);
        let (base_ns, last_ns) = state.calls_ns;
        batches.push(Batch { kind: Kind::Calls, payload: mem::take(&mut state.calls), records, base_ns, last_ns });
    }
    let lines = mem::take(&mut state.lines);
    for payload in mem::take(&mut state.blobs) {
        batches.push(Batch { kind: Kind::Blob, payload, records: 0, base_ns: 0, last_ns: 0 });
    }
    for payload in mem::take(&mut state.replay).chunks(PIECE_BYTES).map(<[u8]>::to_vec) {
        batches.push(Batch { kind: Kind::Replay, payload, records: 0, base_ns: 0, last_ns: 0 });
    }
    if state.typed_count > 0 {
        let records = mem::take(&mut state.typed_count);
        let (base_ns, last_ns) = state.typed_ns;
        batches.push(Batch { kind: Kind::Typed, payload: mem::take(&mut state.typed), records, base_ns, last_ns });
    }
    let (past, durable) = (mem::take(&mut state.past), mem::take(&mut state.durable));
    Taken { past, batches, lines, ticket: state.requested, durable, stop: state.stop }
}

/// Waits until there is a reason to seal: enough bytes, old enough, a flush, or the end.
fn wait_for_work(shared: &Shared) -> Taken {
    let mut state = shared.lock();
    loop {
        let urgent = state.bytes() >= CHUNK_BYTES || !state.batches.is_empty() || state.requested > state.done || state.stop;
        if urgent {
            return take(&mut state);
        }
        let (next, timeout) = shared.wake.wait_timeout(state, CHUNK_AGE).unwrap_or_else(PoisonError::into_inner);
        state = next;
        if timeout.timed_out() && state.pending() {
            return take(&mut state);
        }
    }
}

fn seal(writer: &mut RecordingWriter, work: &Taken) -> Result<(), RecordingError> {
    for (line, severity) in &work.lines {
        writer.seal_line(line, *severity)?;
    }
    for packed in &work.past {
        writer.seal_packed(packed)?;
    }
    for batch in &work.batches {
        writer.seal_batch(batch)?;
    }
    if work.durable {
        return writer.sync();
    }
    writer.flush()
}

fn seal_loop(shared: &Shared, mut writer: RecordingWriter) -> RecordingWriter {
    loop {
        let mut work = wait_for_work(shared);
        let result = seal(&mut writer, &work);
        let mut state = shared.lock();
        state.done = state.done.max(work.ticket);
        if let Err(error) = result {
            state.dropped += work.batches.iter().map(|b| u64::from(b.records)).sum::<u64>();
            state.has_failed = true;
            state.failed = Some(error);
        }
        let over = work.stop || state.has_failed;
        state.spare = work.batches.pop().filter(|b| b.kind == Kind::Records).map(|mut batch| {
            batch.payload.clear();
            batch.payload
        });
        shared.drained.notify_all();
        if over {
            return writer;
        }
    }
}
