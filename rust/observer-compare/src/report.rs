// SPDX-License-Identifier: Apache-2.0
//! What was found, as JSON. Source: docs/spec/comparison.md §4.

use crate::compare::{Findings, Found, Options};
use crate::names::{self, Ids};
use crate::sequence::Kind;
use crate::tree::Node;
use observer_model::{decode, Arch, Record};
use observer_recording::chunk::Kind as ChunkKind;
use observer_recording::codec::ChunkDecoder;
use observer_recording::query::{call_json, calls, ChunkCache, Query};
use observer_recording::{RecordingError, RecordingReader};
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;

/// Characters of a text that a detail shows.
const SHOWN: usize = 80;
/// Changed arguments that a detail names.
const NAMED: usize = 3;

struct Nobody;

impl Ids for Nobody {
    fn name(&self, _: u32) -> Option<&str> {
        None
    }
}

/// Writes the report.
pub fn write(
    found: &Findings,
    readers: (&RecordingReader, &RecordingReader),
    options: &Options,
) -> Result<Value, RecordingError> {
    let slower = found.slower.iter().map(|s| s.record);
    let told_a = texts(readers.0, found.found.iter().filter_map(|f| f.a).chain(slower))?;
    let told_b = texts(readers.1, found.found.iter().filter_map(|f| f.b))?;
    let differences: Vec<Value> = found.found.iter().map(|f| difference(found, f, &told_a, &told_b)).collect();
    let timings: Vec<Value> = found
        .slower
        .iter()
        .map(|s| {
            let call = told_a.get(&s.record).and_then(|c| c.get("syscall")).cloned().unwrap_or(Value::Null);
            json!({"index": s.record, "syscall": call, "original_ns": s.a_ns, "replay_ns": s.b_ns, "exceeds_tolerance": s.exceeds()})
        })
        .collect();
    let counts: Map<String, Value> = found.kinds.iter().map(|(kind, n)| (kind.name().to_owned(), json!(n))).collect();
    let total: u64 = found.kinds.values().sum();
    let equal: u64 = found.counts.iter().map(|c| c.equal).sum();
    Ok(json!({
        "match_percentage": found.match_fraction(), "equal": equal, "counts": counts, "differing": total,
        "listed": differences.len(), "limit": options.limit,
        "a": side(&found.a, readers.0), "b": side(&found.b, readers.1),
        "processes": processes(found), "syscall_differences": differences, "timing_differences": timings,
        "outcome_differences": outcomes(found, readers),
        "left_out": {"a": found.a.left_out, "b": found.b.left_out},
    }))
}

fn side(run: &crate::run::Run, reader: &RecordingReader) -> Value {
    let calls: usize = run.threads.iter().map(|t| t.calls.len()).sum();
    json!({
        "calls": calls, "processes": run.tree.nodes.iter().filter(|n| !n.is_thread).count(),
        "threads": run.tree.nodes.len(), "duration_ns": run.last_ns.saturating_sub(run.first_ns),
        "lost": reader.loss.count, "closed": reader.end.is_some(), "command": reader.start.get("command"),
        "source": reader.start.get("source"), "trace_id": reader.start.get("trace_id"),
    })
}

fn node_json(node: &Node, calls: usize) -> Value {
    let argv = node.execs.last().map(|(_, argv)| argv);
    json!({"place": node.place, "pid": node.pid, "tid": node.tid, "thread": node.is_thread, "program": node.program(), "argv": argv, "calls": calls})
}

fn processes(found: &Findings) -> Vec<Value> {
    let of = |run: &crate::run::Run, n: usize| node_json(&run.tree.nodes[n], run.threads[n].calls.len());
    let mut list: Vec<Value> = found
        .pairing
        .pairs
        .iter()
        .zip(&found.counts)
        .map(|((x, y), c)| json!({"a": of(&found.a, *x), "b": of(&found.b, *y), "equal": c.equal}))
        .collect();
    list.extend(found.pairing.only_a.iter().map(|x| json!({"a": of(&found.a, *x), "b": null, "equal": 0})));
    list.extend(found.pairing.only_b.iter().map(|y| json!({"a": null, "b": of(&found.b, *y), "equal": 0})));
    list
}

fn outcome(subject: &str, a: &str, b: &str, severity: &str, index: Option<u64>, place: &str) -> Value {
    json!({"subject": subject, "original": a, "replay": b, "severity": severity, "index": index, "process": place})
}

fn outcomes(found: &Findings, readers: (&RecordingReader, &RecordingReader)) -> Vec<Value> {
    let mut list = Vec::new();
    for (index, (x, y)) in found.pairing.pairs.iter().enumerate() {
        let (a, b) = (&found.a.tree.nodes[*x], &found.b.tree.nodes[*y]);
        let word = |end: &Option<String>| end.clone().unwrap_or_else(|| "no end told".to_owned());
        if a.end != b.end {
            list.push(outcome("final status", &word(&a.end), &word(&b.end), "error", None, &a.place));
        }
        if let (false, (more, fewer)) = (found.counts[index].signals == (0, 0), found.counts[index].signals) {
            let text = |n: u64| format!("{n} signals that the other did not get");
            list.push(outcome("event", &text(more), &text(fewer), "warning", None, &a.place));
        }
    }
    list.extend(alone(found));
    list.extend(losses(readers));
    list
}

/// Processes without a counterpart.
fn alone(found: &Findings) -> Vec<Value> {
    let mut list = Vec::new();
    let described =
        |n: &Node, calls: usize| format!("{} {} ({calls} calls)", if n.is_thread { "thread" } else { "process" }, n.program());
    for x in &found.pairing.only_a {
        let node = &found.a.tree.nodes[*x];
        list.push(outcome(
            "process",
            &described(node, found.a.threads[*x].calls.len()),
            "not started",
            "error",
            None,
            &node.place,
        ));
    }
    for y in &found.pairing.only_b {
        let node = &found.b.tree.nodes[*y];
        list.push(outcome(
            "process",
            "not started",
            &described(node, found.b.threads[*y].calls.len()),
            "error",
            None,
            &node.place,
        ));
    }
    list
}

fn losses(readers: (&RecordingReader, &RecordingReader)) -> Vec<Value> {
    let mut list = Vec::new();
    for (which, reader) in [("A", readers.0), ("B", readers.1)] {
        if reader.loss.count > 0 {
            let text = format!("{} records of {which} were lost", reader.loss.count);
            let (a, b) = if which == "A" { (text.as_str(), "") } else { ("", text.as_str()) };
            list.push(outcome("loss", a, b, "warning", None, "0"));
        }
    }
    list
}

fn line(call: Option<&Value>) -> Option<String> {
    let call = call?;
    let word = |key: &str| call.get(key).and_then(Value::as_str).unwrap_or("");
    let args = call.get("args").and_then(Value::as_array).into_iter().flatten();
    let args: Vec<&str> = args.map(|a| a.get("text").unwrap_or(a).as_str().unwrap_or("")).collect();
    Some(format!("{}({}) = {}", word("syscall"), args.join(", "), word("result_text")))
}

fn difference(found: &Findings, one: &Found, told_a: &BTreeMap<u64, Value>, told_b: &BTreeMap<u64, Value>) -> Value {
    let a = one.a.and_then(|r| told_a.get(&r));
    let b = one.b.and_then(|r| told_b.get(&r));
    let (x, y) = found.pairing.pairs[one.pair];
    json!({
        "kind": one.kind.name(), "index_original": one.a, "index_replay": one.b,
        "original": line(a), "replay": line(b), "detail": detail(one.kind, a, b), "at_ns": one.at_ns,
        "process": found.a.tree.nodes[x].place, "program": found.b.tree.nodes[y].program(),
        "pid_original": found.a.tree.nodes[x].pid, "tid_original": found.a.tree.nodes[x].tid,
        "pid_replay": found.b.tree.nodes[y].pid, "tid_replay": found.b.tree.nodes[y].tid,
    })
}

fn cut(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

/// What differs, in words.
fn detail(kind: Kind, a: Option<&Value>, b: Option<&Value>) -> String {
    let name = |call: Option<&Value>| call.and_then(|c| c.get("syscall")).and_then(Value::as_str).unwrap_or("?").to_owned();
    match (kind, a, b) {
        (Kind::Missing, _, _) => format!("{} is not made", name(a)),
        (Kind::Extra, _, _) => format!("{} is made in addition", name(b)),
        (Kind::Reordered, _, _) => format!("{} is made in another order", name(a)),
        (Kind::NameChanged, _, _) => format!("{} in place of {}", name(b), name(a)),
        (_, Some(a), Some(b)) => changes(kind, a, b),
        _ => String::new(),
    }
}

fn changes(kind: Kind, a: &Value, b: &Value) -> String {
    let args = |call: &Value| call.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    let part = |arg: &Value, key: &str| {
        arg.get(key).or(if key == "text" { Some(arg) } else { None }).and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let mut list = Vec::new();
    for (x, y) in args(a).iter().zip(&args(b)) {
        let class = part(x, "class");
        let same = |class: &str| matches!(class, "address" | "fd" | "pid" | "time");
        let (old, new) = (part(x, "text"), part(y, "text"));
        let plain = |text: &str| if class == "path" { names::path(text, &Nobody) } else { names::numbers(text, &Nobody) };
        if !same(&class) && plain(&old) != plain(&new) {
            list.push(format!("{}: {} → {}", part(x, "name"), cut(&old), cut(&new)));
        }
    }
    list.truncate(NAMED);
    let result = |call: &Value| part(call, "result_text");
    if result(a) != result(b) && !result(a).starts_with("0x") {
        list.push(format!("result: {} → {}", cut(&result(a)), cut(&result(b))));
    }
    if list.is_empty() {
        let what =
            if kind == Kind::ArgsChanged { "a descriptor stands for something else" } else { "content beyond what is shown" };
        list.push(what.to_owned());
    }
    list.join("; ")
}

/// The wanted records as `observer show --json` prints them, each chunk opened once.
fn texts(reader: &RecordingReader, wanted: impl Iterator<Item = u64>) -> Result<BTreeMap<u64, Value>, RecordingError> {
    let mut numbers: Vec<u64> = wanted.collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (arch, offset) = (reader.arch().unwrap_or(Arch::X86_64), reader.wall_offset_ns());
    let mut out = BTreeMap::new();
    let mut cache = ChunkCache::default();
    let every = Query::parse(b"").map_err(|e| RecordingError::Malformed(e.to_string()))?;
    let mut rest = numbers.as_slice();
    for chunk in &reader.chunks {
        let (first, end) = (chunk.first_record, chunk.first_record + u64::from(chunk.records));
        let here = rest.partition_point(|n| *n < end);
        let own = &rest[..here];
        rest = &rest[here..];
        if own.is_empty() {
            continue;
        }
        let (header, payload) = reader.chunk(chunk)?;
        if header.kind != ChunkKind::Records {
            for number in own {
                let line = calls(reader, &mut cache, &every, *number, 1)?;
                if let Ok(call) = serde_json::from_slice(&line) {
                    out.insert(*number, call);
                }
            }
            continue;
        }
        let mut next = own.iter().peekable();
        for (number, record) in (first..).zip(ChunkDecoder::new(&payload, &header)) {
            let record = record.map_err(|e| RecordingError::Malformed(format!("record {number}: {e}")))?;
            if next.peek() != Some(&&number) {
                continue;
            }
            next.next();
            if let Record::Call(call) = &record {
                out.insert(number, call_json(number, arch, call, &decode(arch, call), offset));
            }
        }
    }
    Ok(out)
}
