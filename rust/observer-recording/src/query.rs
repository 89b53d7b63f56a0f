// SPDX-License-Identifier: Apache-2.0
//! Answers questions about a recording as JSON lines: which lines, which calls, decoded.

use crate::chunk::{Header, Kind};
use crate::codec::ChunkDecoder;
use crate::error::RecordingError;
use crate::outcome::Outcome;
use crate::reader::{log_path, RecordingReader};
use crate::typed::{self, CallTable};
use observer_evidence::read_lines;
use observer_model::{decode, flags, lookup, Arch, ArgClass, Decoded, Record, SignalRecord, SyscallRecord};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::io::Write;

/// Which calls are wanted; an absent key does not restrict.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Names of syscalls.
    syscalls: Vec<String>,
    /// Names of classes.
    classes: Vec<String>,
    /// Process id.
    pid: Option<u32>,
    /// Thread id.
    tid: Option<u32>,
    /// Only calls that failed, were denied or interrupted.
    failed: bool,
    /// Only denied calls.
    denied: bool,
    /// Only calls with a path argument that contains this.
    path_contains: Option<String>,
    /// CLOCK_MONOTONIC from, ns, inclusive.
    since_ns: Option<u64>,
    /// CLOCK_MONOTONIC until, ns, inclusive.
    until_ns: Option<u64>,
    /// Delivered signals too.
    signals: bool,
}

/// The chunk last decompressed, so that paging through a recording opens each chunk once.
#[derive(Default)]
pub struct ChunkCache {
    held: Option<(usize, Header, Vec<u8>)>,
}

impl ChunkCache {
    fn get(&mut self, reader: &RecordingReader, index: usize) -> Result<(Header, &[u8]), RecordingError> {
        if self.held.as_ref().is_none_or(|(i, _, _)| *i != index) {
            let (header, payload) = reader.chunk(&reader.chunks[index])?;
            self.held = Some((index, header, payload));
        }
        match &self.held {
            Some((_, header, payload)) => Ok((*header, payload)),
            None => Err(RecordingError::Malformed("no chunk".to_owned())),
        }
    }
}

impl Query {
    /// Parses the caller's JSON object; empty bytes ask for everything.
    pub fn parse(json: &[u8]) -> Result<Query, serde_json::Error> {
        if json.is_empty() {
            return Ok(Query::default());
        }
        serde_json::from_slice(json)
    }

    fn wants_thread(&self, pid: u32, tid: u32, at: u64) -> bool {
        self.pid.is_none_or(|p| p == pid)
            && self.tid.is_none_or(|t| t == tid)
            && self.since_ns.is_none_or(|t| at >= t)
            && self.until_ns.is_none_or(|t| at <= t)
    }

    fn wants_outcome(&self, outcome: Outcome) -> bool {
        use Outcome::{Denied, Failed, Interrupted};
        (!self.failed || matches!(outcome, Failed | Denied | Interrupted)) && (!self.denied || outcome == Denied)
    }

    fn wants_name<'a>(&self, name: &str, classes: impl Iterator<Item = &'a str>) -> bool {
        let by_name = self.syscalls.iter().any(|s| s == name);
        let none = self.syscalls.is_empty() && self.classes.is_empty();
        none || by_name || classes.into_iter().any(|c| self.classes.iter().any(|w| w == c))
    }

    /// What can be told before decoding.
    fn wants_raw(&self, arch: Arch, call: &SyscallRecord) -> bool {
        let known = lookup(arch, call.nr);
        let classes = known.into_iter().flat_map(|k| k.classes.names());
        self.wants_thread(call.pid, call.tid, call.start_ns)
            && self.wants_outcome(Outcome::of(call))
            && self.wants_name(known.map_or("", |k| k.name), classes)
    }

    fn wants_decoded(&self, decoded: &Decoded) -> bool {
        self.path_contains
            .as_ref()
            .is_none_or(|part| decoded.args.iter().any(|a| a.class == ArgClass::Path && a.text.contains(part.as_str())))
    }

    fn wants_json(&self, call: &Value) -> bool {
        let number = |key| call.get(key).and_then(Value::as_u64).unwrap_or(0);
        let narrow = |n: u64| u32::try_from(n).unwrap_or(0);
        let name = call.get("syscall").and_then(Value::as_str).unwrap_or("");
        let in_args = |part: &String| match call.get("args").and_then(Value::as_array) {
            Some(args) => args.iter().any(|a| json_path(a).is_some_and(|t| t.contains(part.as_str()))),
            None => false,
        };
        self.wants_thread(narrow(number("pid")), narrow(number("tid")), number("start_ns"))
            && self.wants_outcome(Outcome::of_json(call))
            && self.wants_name(name, json_classes(call))
            && self.path_contains.as_ref().is_none_or(in_args)
    }
}

/// Classes that an embedder's call names itself.
fn json_classes(call: &Value) -> impl Iterator<Item = &str> {
    call.get("classes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The text of an argument that may be a path: plain text, or one whose class says so.
fn json_path(argument: &Value) -> Option<&str> {
    let class = argument.get("class").and_then(Value::as_str);
    argument.as_str().or_else(|| argument.get("text").and_then(Value::as_str).filter(|_| class == Some("path")))
}

/// One decoded call as the JSON object that `observer show --json` prints.
#[must_use]
pub fn call_json(record: u64, arch: Arch, call: &SyscallRecord, decoded: &Decoded, wall_offset_ns: i64) -> Value {
    let args: Vec<Value> =
        decoded.args.iter().map(|a| json!({"name": a.name, "text": a.text, "class": a.class.name()})).collect();
    let classes: Vec<&str> = lookup(arch, call.nr).into_iter().flat_map(|k| k.classes.names()).collect();
    let outcome = Outcome::of(call);
    let mut out = json!({
        "id": format!("s{record}"), "record": record, "pid": call.pid, "tid": call.tid, "syscall": decoded.name,
        "nr": call.nr, "classes": classes, "args": args, "result": call.result, "result_text": decoded.result,
        "errno": decoded.errno, "start_ns": call.start_ns, "wall_ns": (call.start_ns as i64).wrapping_add(wall_offset_ns),
        "duration_ns": call.duration_ns, "outcome": outcome.name(), "flags": call.flags,
    });
    if outcome == Outcome::Denied {
        let seccomp = call.flags & flags::SECCOMP_DENIED != 0;
        out["denied_by"] = json!(if seccomp { "seccomp" } else { "permission" });
    }
    out
}

fn signal_json(record: u64, s: &SignalRecord, wall_offset_ns: i64) -> Value {
    let name = observer_model::signal_name(s.signo);
    json!({
        "id": format!("s{record}"), "record": record, "pid": s.pid, "tid": s.tid, "signal": name, "signo": s.signo,
        "code": s.code, "sender_pid": s.sender_pid, "sender_uid": s.sender_uid, "start_ns": s.start_ns,
        "wall_ns": (s.start_ns as i64).wrapping_add(wall_offset_ns),
    })
}

struct Page<'a> {
    query: &'a Query,
    arch: Arch,
    offset: i64,
    first: u64,
    limit: usize,
    found: usize,
    out: Vec<u8>,
}

impl Page<'_> {
    fn full(&self) -> bool {
        self.found >= self.limit
    }

    fn add(&mut self, line: &Value) {
        self.found += 1;
        let _ = serde_json::to_writer(&mut self.out, line); // into memory: cannot fail
        self.out.push(b'\n');
    }

    fn record(&mut self, number: u64, record: &Record) {
        match record {
            Record::Call(call) if self.query.wants_raw(self.arch, call) => {
                let decoded = decode(self.arch, call);
                if self.query.wants_decoded(&decoded) {
                    self.add(&call_json(number, self.arch, call, &decoded, self.offset));
                }
            }
            Record::Signal(s) if self.query.signals && self.query.wants_thread(s.pid, s.tid, s.start_ns) => {
                self.add(&signal_json(number, s, self.offset));
            }
            _ => {}
        }
    }

    fn records(&mut self, header: &Header, payload: &[u8]) -> Result<(), RecordingError> {
        let decoder = ChunkDecoder::new(payload, header);
        for (number, record) in (header.first_record..).zip(decoder) {
            let record = record.map_err(|e| RecordingError::Malformed(format!("record {number}: {e}")))?;
            if self.full() {
                return Ok(());
            }
            if number >= self.first {
                self.record(number, &record);
            }
        }
        Ok(())
    }

    fn typed(&mut self, table: &CallTable, header: &Header, payload: &[u8]) -> Result<(), RecordingError> {
        for (number, call) in (header.first_record..).zip(typed::calls(payload)) {
            let call = call?;
            if self.full() {
                return Ok(());
            }
            if number >= self.first && self.query.wants_name(table.name(&call), table.classes(&call)) {
                let call = table.json(&call);
                if self.query.wants_json(&call) {
                    self.add(&embedder_json(number, call, self.offset));
                }
            }
        }
        Ok(())
    }

    fn calls(&mut self, header: &Header, payload: &[u8]) -> Result<(), RecordingError> {
        let lines = payload.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        for (number, line) in (header.first_record..).zip(lines) {
            if self.full() {
                return Ok(());
            }
            if number < self.first {
                continue;
            }
            let call: Map<String, Value> =
                serde_json::from_slice(line).map_err(|e| RecordingError::Malformed(format!("call {number} is not JSON: {e}")))?;
            let call = Value::Object(call);
            if self.query.wants_json(&call) {
                self.add(&embedder_json(number, call, self.offset));
            }
        }
        Ok(())
    }
}

/// An embedder's call with the keys that every call has.
fn embedder_json(number: u64, mut call: Value, wall_offset_ns: i64) -> Value {
    let outcome = Outcome::of_json(&call);
    let start = call.get("start_ns").and_then(Value::as_i64).unwrap_or(0);
    let mut out = json!({"id": format!("s{number}"), "record": number});
    if let (Value::Object(out), Value::Object(call)) = (&mut out, &mut call) {
        out.append(call);
        out.entry("wall_ns").or_insert(json!(start.wrapping_add(wall_offset_ns)));
        out.insert("outcome".to_owned(), json!(outcome.name()));
        if outcome == Outcome::Denied {
            let policy = out.get("allowed").and_then(Value::as_bool) == Some(false);
            out.insert("denied_by".to_owned(), json!(if policy { "policy" } else { "permission" }));
        }
    }
    out
}

/// Calls from record `first` on that match, at most `limit`, as JSON lines.
pub fn calls(
    reader: &RecordingReader,
    cache: &mut ChunkCache,
    query: &Query,
    first: u64,
    limit: usize,
) -> Result<Vec<u8>, RecordingError> {
    let arch = reader.arch().unwrap_or(Arch::X86_64);
    let offset = reader.wall_offset_ns();
    let mut page = Page { query, arch, offset, first, limit, found: 0, out: Vec::new() };
    for (index, line) in reader.chunks.iter().enumerate() {
        if page.full() {
            break;
        }
        if line.first_record + u64::from(line.records) <= first {
            continue;
        }
        let (header, payload) = cache.get(reader, index)?;
        match header.kind {
            Kind::Records => page.records(&header, payload)?,
            Kind::Calls => page.calls(&header, payload)?,
            Kind::Blob | Kind::Replay => {}
            Kind::Typed => page.typed(&reader.table, &header, payload)?,
        }
    }
    Ok(page.out)
}

/// Sealed events from sequence `first` on, at most `limit`, as JSON lines `{"seq", "event"}`; the log's own records are left out.
pub fn lines(reader: &RecordingReader, first: u64, limit: usize) -> Result<Vec<u8>, RecordingError> {
    let mut out = Vec::new();
    let mut found = 0;
    for line in read_lines(&log_path(reader.dir()))? {
        let line = line?;
        if found >= limit {
            break;
        }
        if line.seq >= first && line.kind.is_none() {
            found += 1;
            let _ = write!(out, "{{\"seq\":{},\"event\":", line.seq); // into memory: cannot fail
            out.extend_from_slice(&line.event);
            out.extend_from_slice(b"}\n");
        }
    }
    Ok(out)
}
