// SPDX-License-Identifier: Apache-2.0
//! The past, kept in memory: compressed chunks and process lines of the last so many seconds, and who lived when they begin.

use observer_evidence::Severity;
use observer_model::{Record, SyscallRecord};
use observer_recording::chunk::Packer;
use observer_recording::codec::{ChunkEncoder, Part};
use observer_recording::{Packed, RecordingError};
use serde_json::{json, Map, Value};
use std::collections::{HashMap, VecDeque};

/// A piece is closed at so many raw bytes,
const PIECE_BYTES: usize = 256 * 1024;
/// or after so long: how exactly the window's beginning is kept.
const PIECE_NS: u64 = 500_000_000;

/// A line with its moment.
pub type Line = (u64, Value, Severity);

/// Some of the past.
struct Piece {
    packed: Option<Packed>,
    lines: Vec<Line>,
    last_ns: u64,
    bytes: u64,
}

/// The kept past.
pub struct Past {
    window_ns: u64,
    memory: u64,
    pieces: VecDeque<Piece>,
    encoder: ChunkEncoder,
    packer: Packer,
    lines: Vec<Line>,
    began_ns: u64,
    bytes: u64,
    /// Who lived before the oldest piece: pid → facts of the newest start or exec line.
    before: HashMap<u64, Map<String, Value>>,
    /// Records that fell out because memory was short, not because they were old.
    pub squeezed: u64,
}

/// What is sealed when a trigger fires.
pub struct Window {
    /// Lines in order: who lived, then what happened.
    pub lines: Vec<Line>,
    /// Chunks in order.
    pub packed: Vec<Packed>,
    /// Its first moment.
    pub from_ns: u64,
}

impl Past {
    /// Keeps at most `window_ns` and `memory` bytes.
    pub fn new(window_ns: u64, memory: u64, now: u64) -> Result<Past, RecordingError> {
        Ok(Past {
            window_ns,
            memory,
            pieces: VecDeque::new(),
            encoder: ChunkEncoder::new(),
            packer: Packer::new()?,
            lines: Vec::new(),
            began_ns: now,
            bytes: 0,
            before: HashMap::new(),
            squeezed: 0,
        })
    }

    /// Keeps a signal.
    pub fn record(&mut self, record: &Record) -> Result<(), RecordingError> {
        self.encoder.push(record);
        self.full(record.start_ns())
    }

    /// Keeps a call.
    pub fn call<'a>(&mut self, call: &SyscallRecord, parts: impl Iterator<Item = Part<'a>>) -> Result<(), RecordingError> {
        self.encoder.push_parts(call, parts);
        self.full(call.start_ns)
    }

    fn full(&mut self, now: u64) -> Result<(), RecordingError> {
        if self.encoder.bytes() >= PIECE_BYTES {
            return self.cut(now);
        }
        Ok(())
    }

    /// Keeps a line.
    pub fn line(&mut self, at_ns: u64, line: Value, severity: Severity) {
        self.lines.push((at_ns, line, severity));
    }

    /// Lets go of what is too old.
    pub fn tick(&mut self, now: u64) -> Result<(), RecordingError> {
        if now.saturating_sub(self.began_ns) >= PIECE_NS {
            self.cut(now)?;
        }
        while self.pieces.front().is_some_and(|piece| piece.last_ns < now.saturating_sub(self.window_ns)) {
            self.forget();
        }
        Ok(())
    }

    fn cut(&mut self, now: u64) -> Result<(), RecordingError> {
        let lines = std::mem::take(&mut self.lines);
        self.began_ns = now;
        if self.encoder.records == 0 && lines.is_empty() {
            return Ok(());
        }
        // A line is counted at what its text takes, roughly twice over for the tree it is.
        let mut bytes: u64 = lines.iter().map(|(_, line, _)| 2 * line.to_string().len() as u64).sum();
        let last_ns = lines.iter().map(|(at, _, _)| *at).max().unwrap_or(0).max(self.encoder.last_ns);
        let mut packed = None;
        if self.encoder.records > 0 {
            let piece = Packed::of(self.encoder.cut(Vec::new()), &mut self.packer)?;
            bytes += piece.batch.payload.len() as u64;
            packed = Some(piece);
        }
        self.bytes += bytes;
        self.pieces.push_back(Piece { packed, lines, last_ns, bytes });
        while self.bytes > self.memory && self.pieces.len() > 1 {
            self.squeezed += self.pieces.front().and_then(|p| p.packed.as_ref()).map_or(0, |p| u64::from(p.batch.records));
            self.forget();
        }
        Ok(())
    }

    fn forget(&mut self) {
        let Some(piece) = self.pieces.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(piece.bytes);
        for (_, line, _) in piece.lines {
            apply(&mut self.before, line);
        }
    }

    /// Hands over everything kept, and begins anew with the living.
    pub fn take(&mut self, now: u64) -> Result<Window, RecordingError> {
        self.cut(now)?;
        let pieces = std::mem::take(&mut self.pieces);
        self.bytes = 0;
        let first = |piece: &Piece| {
            let line = piece.lines.iter().map(|(at, _, _)| *at).min();
            let call = piece.packed.as_ref().map(|p| p.batch.base_ns);
            line.into_iter().chain(call).min()
        };
        let from_ns = pieces.iter().filter_map(first).min().unwrap_or(now);
        let mut lines: Vec<Line> =
            self.before.values().map(|facts| (from_ns, existing(facts, from_ns), Severity::Info)).collect();
        let mut packed = Vec::new();
        for piece in pieces {
            for line in piece.lines {
                apply(&mut self.before, line.1.clone());
                lines.push(line);
            }
            packed.extend(piece.packed);
        }
        Ok(Window { lines, packed, from_ns })
    }

    /// Notes a line that goes straight into an open window, so that the next past begins with the right living.
    pub fn pass(&mut self, line: &Value) {
        if line["type"] == "process" {
            apply(&mut self.before, line.clone());
        }
    }

    /// Bytes kept, and ns back to the oldest piece.
    #[must_use]
    pub fn kept(&self, now: u64) -> (u64, u64) {
        let oldest = self.pieces.front().map_or(now, |p| p.packed.as_ref().map_or(p.last_ns, |k| k.batch.base_ns));
        (self.bytes + self.encoder.bytes() as u64, now.saturating_sub(oldest))
    }
}

/// Follows who lives.
fn apply(alive: &mut HashMap<u64, Map<String, Value>>, line: Value) {
    let Value::Object(facts) = line else { return };
    let Some(pid) = facts.get("pid").and_then(Value::as_u64) else { return };
    match facts.get("what").and_then(Value::as_str) {
        Some("start" | "exec") => {
            alive.entry(pid).or_default().extend(facts);
        }
        Some("exit") => {
            alive.remove(&pid);
        }
        _ => {}
    }
}

fn existing(facts: &Map<String, Value>, at_ns: u64) -> Value {
    let mut out = facts.clone();
    out.insert("what".to_owned(), json!("start"));
    out.insert("how".to_owned(), json!("existing"));
    out.insert("at_ns".to_owned(), json!(at_ns));
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(start_ns: u64, nr: u32) -> Record {
        let args = [start_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15), start_ns ^ 0xdead_beef, 0, 0, 0, 0];
        Record::Call(SyscallRecord { tid: 7, pid: 7, nr, start_ns, args, ..SyscallRecord::default() })
    }

    fn start(pid: u32, at: u64, past: &mut Past) {
        let line = json!({"type": "process", "what": "start", "how": "fork", "pid": pid, "at_ns": at});
        past.line(at, line, Severity::Info);
    }

    #[test]
    fn only_the_window_is_kept_and_the_living_are_remembered() {
        const S: u64 = 1_000_000_000;
        let mut past = Past::new(3 * S, 1 << 30, 0).unwrap();
        start(1, 0, &mut past);
        start(2, S, &mut past);
        for second in 1..20 {
            for i in 0..100 {
                past.record(&call(second * S + i, 3)).unwrap();
            }
            if second == 10 {
                past.line(10 * S, json!({"type": "process", "what": "exit", "pid": 2}), Severity::Info);
            }
            past.tick(second * S + 200).unwrap();
        }
        let window = past.take(19 * S + 300).unwrap();
        assert_eq!(window.from_ns, 17 * S, "what is older than three seconds is gone");
        let alive: Vec<_> = window.lines.iter().filter(|l| l.1["how"] == "existing").map(|l| l.1["pid"].as_u64()).collect();
        assert_eq!(alive, [Some(1)]);
        let records: u32 = window.packed.iter().map(|p| p.batch.records).sum();
        assert_eq!(records, 300);
        assert_eq!(past.squeezed, 0);
    }

    #[test]
    fn memory_is_a_bound_and_what_it_costs_is_counted() {
        let mut past = Past::new(u64::MAX, 1 << 17, 0).unwrap();
        for i in 0..400_000 {
            past.record(&call(i, (i % 300) as u32)).unwrap();
        }
        assert!(past.kept(400_000).0 <= (1 << 17) + 2 * PIECE_BYTES as u64);
        let kept: u64 = past.take(400_000).unwrap().packed.iter().map(|p| u64::from(p.batch.records)).sum();
        assert!(past.squeezed > 0);
        assert_eq!(kept + past.squeezed, 400_000);
    }
}
