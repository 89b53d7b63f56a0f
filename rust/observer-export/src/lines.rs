// SPDX-License-Identifier: Apache-2.0
//! Sealed lines of low volume as log records: processes, events, losses, what a watch adds.

use crate::signal::{cut, Attribute, Log, Value};
use crate::tree::{process_attributes, Tree};
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::fmt::Write;

/// OTLP severity numbers.
pub mod severity {
    /// For developers.
    pub const DEBUG: u8 = 5;
    /// Ordinary.
    pub const INFO: u8 = 9;
    /// To be looked at.
    pub const WARN: u8 = 13;
    /// Something failed.
    pub const ERROR: u8 = 17;
    /// The worst.
    pub const FATAL: u8 = 21;
}

/// The unique id of a record, by which a receiver knows it again.
#[must_use]
pub fn uid(trace: &[u8; 16], id: &str) -> String {
    let mut text = String::with_capacity(33 + id.len());
    for byte in trace {
        let _ = write!(text, "{byte:02x}");
    }
    text.push(':');
    text.push_str(id);
    text
}

fn text<'a>(event: &'a Map<String, Json>, key: &str) -> &'a str {
    event.get(key).and_then(Json::as_str).unwrap_or("")
}

/// The log record of a sealed line; None for lines that say where bytes are, and for the start and end of the recording.
#[must_use]
pub fn log(tree: &Tree, seq: u64, event: &Map<String, Json>) -> Option<Log<'static>> {
    let number = |key: &str| event.get(key).and_then(Json::as_u64);
    let at = number("at_ns").or_else(|| number("monotonic_ns"));
    let time_ns = number("wall_ns").unwrap_or_else(|| at.map_or(tree.bounds().0, |at| tree.wall(at)));
    let pid = number("pid").and_then(|pid| u32::try_from(pid).ok());
    let span = match (pid, at) {
        (Some(pid), Some(at)) => tree.span(pid, at),
        _ => tree.root,
    };
    let (name, severity, body, mut attributes) = told(event)?;
    attributes.push(("log.record.uid".into(), uid(&tree.trace, &format!("e{seq}")).into()));
    Some(Log { time_ns, severity, event_name: name.into(), body: cut(&body).into_owned().into(), span, attributes })
}

type Told = (String, u8, String, Vec<Attribute<'static>>);

fn told(event: &Map<String, Json>) -> Option<Told> {
    let json = || Json::Object(event.clone()).to_string();
    match text(event, "type") {
        "process" => Some(process(event)),
        "event" => Some(embedded(event)),
        "loss" => Some(loss(event)),
        kind @ ("container" | "probe") => Some((format!("observer.{kind}"), severity::INFO, json(), Vec::new())),
        "trace_start" | "trace_end" | "chunk" | "call_table" | "blob" => None,
        "" => None,
        other => Some((format!("observer.{other}"), severity::INFO, json(), Vec::new())),
    }
}

fn process(event: &Map<String, Json>) -> Told {
    let (what, pid) = (text(event, "what"), event.get("pid").and_then(Json::as_u64).unwrap_or(0));
    let mut attributes = vec![(Cow::Borrowed("process.pid"), Value::Int(pid as i64))];
    attributes.extend(process_attributes(event));
    if let Some(tid) = event.get("tid").and_then(Json::as_i64) {
        attributes.push(("thread.id".into(), Value::Int(tid)));
    }
    let body = match what {
        "exec" => format!("process {pid} executed {}", text(event, "exe")),
        "exit" => match event.get("signal").and_then(Json::as_u64).filter(|signal| *signal != 0) {
            Some(signal) => format!("process {pid} was ended by signal {signal}"),
            None => format!("process {pid} exited with status {}", event.get("exit_code").unwrap_or(&Json::Null)),
        },
        other => format!("process {pid}: {other}"),
    };
    (format!("process.{what}"), severity::INFO, body, attributes)
}

fn embedded(event: &Map<String, Json>) -> Told {
    let severity = match text(event, "severity") {
        "debug" => severity::DEBUG,
        "warning" => severity::WARN,
        "error" => severity::ERROR,
        "critical" => severity::FATAL,
        _ => severity::INFO,
    };
    let data = event.get("data").and_then(Json::as_object);
    let pairs = data.into_iter().flatten();
    let attributes = pairs.clone().filter_map(|(key, value)| Some((Cow::Owned(key.clone()), Value::of_json(value)?)));
    let words: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(&value.to_string()))).collect();
    let name = text(event, "event_type");
    let body = if words.is_empty() { name.to_owned() } else { words.join(" ") };
    (name.to_owned(), severity, body, attributes.collect())
}

fn loss(event: &Map<String, Json>) -> Told {
    let count = event.get("count").and_then(Json::as_i64).unwrap_or(0);
    let body = format!("lost {count} {}: {}", text(event, "what"), text(event, "reason"));
    let known = ["what", "count", "reason", "cpu", "cgroup_id", "first_ns", "last_ns"];
    let named = known.iter().filter_map(|key| {
        let value = Value::of_json(event.get(*key)?)?;
        Some((Cow::Owned(format!("observer.loss.{key}")), value))
    });
    ("observer.loss".to_owned(), severity::ERROR, body, named.collect())
}
