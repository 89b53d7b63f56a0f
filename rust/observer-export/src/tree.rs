// SPDX-License-Identifier: Apache-2.0
//! Lifetimes of processes as spans, told apart by the sealed line that began each, so that a process id used again is another span.

use crate::signal::{cut, Attribute, Span, Value};
use observer_evidence::read_lines;
use observer_recording::reader::log_path;
use observer_recording::{RecordingError, RecordingReader};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;

/// Id of a span.
pub type SpanId = [u8; 8];

/// One process from its start to its end.
#[derive(Debug)]
pub struct Lifetime {
    /// Span.
    pub span: SpanId,
    parent: SpanId,
    pid: u64,
    start_ns: u64,
    end_ns: Option<u64>,
    facts: serde_json::Map<String, Json>,
}

/// All lifetimes of a recording.
pub struct Tree {
    /// The trace id.
    pub trace: [u8; 16],
    /// The recording's own span.
    pub root: SpanId,
    lifetimes: Vec<Lifetime>,
    by_pid: HashMap<u32, Vec<usize>>,
    last_ns: u64,
    first_wall_ns: i64,
    offset: i64,
}

fn span_id(trace: &[u8; 16], what: &str, number: Option<u64>) -> SpanId {
    let mut hash = Sha256::new();
    hash.update(trace);
    hash.update(what.as_bytes());
    if let Some(number) = number {
        hash.update(number.to_le_bytes());
    }
    let mut id = [0; 8];
    id.copy_from_slice(&hash.finalize()[..8]);
    if id == [0; 8] {
        id[7] = 1; // all zeros means "none" in OTLP
    }
    id
}

/// Keys of `process` lines that say something of the whole lifetime.
const KEPT: [&str; 13] =
    ["pid", "ppid", "exe", "argv", "cwd", "uid", "euid", "exit_code", "signal", "container_id", "cgroup", "ns_pid", "how"];

impl Tree {
    /// Reads the lines of a recording once.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn of(reader: &RecordingReader, trace: [u8; 16]) -> Result<Tree, RecordingError> {
        let start = reader.start.get("wall_ns").and_then(Json::as_i64).unwrap_or(0);
        let mut tree = Tree {
            trace,
            root: span_id(&trace, "recording", None),
            lifetimes: Vec::new(),
            by_pid: HashMap::new(),
            last_ns: reader.start.get("monotonic_ns").and_then(Json::as_u64).unwrap_or(0),
            first_wall_ns: start,
            offset: reader.wall_offset_ns(),
        };
        for line in read_lines(&log_path(reader.dir()))? {
            let line = line?;
            if line.kind.is_none() {
                if let Ok(Json::Object(event)) = serde_json::from_slice(&line.event) {
                    tree.take(line.seq, event);
                }
            }
        }
        Ok(tree)
    }

    fn take(&mut self, seq: u64, event: serde_json::Map<String, Json>) {
        let number = |key: &str| event.get(key).and_then(Json::as_u64);
        let kind = event.get("type").and_then(Json::as_str).unwrap_or("");
        if kind == "trace_end" {
            self.last_ns = self.last_ns.max(number("monotonic_ns").unwrap_or(0));
        }
        let (Some(pid), Some(at)) = (number("pid"), number("at_ns")) else { return };
        self.last_ns = self.last_ns.max(at);
        if kind != "process" {
            return;
        }
        let what = event.get("what").and_then(Json::as_str).unwrap_or("").to_owned();
        let narrow = u32::try_from(pid).unwrap_or(0);
        let index = match (what.as_str(), self.by_pid.get(&narrow).and_then(|all| all.last())) {
            ("start", _) | ("exec", None) => self.born(seq, narrow, at, &event),
            ("exec" | "exit" | "cgroup", Some(index)) => *index,
            _ => return,
        };
        let life = &mut self.lifetimes[index];
        for key in KEPT {
            if let Some(value) = event.get(key).filter(|value| !value.is_null()) {
                life.facts.insert(key.to_owned(), value.clone());
            }
        }
        if what == "exit" {
            life.end_ns = Some(at);
        }
    }

    fn born(&mut self, seq: u64, pid: u32, at: u64, event: &serde_json::Map<String, Json>) -> usize {
        let parent = event.get("ppid").and_then(Json::as_u64).and_then(|ppid| u32::try_from(ppid).ok());
        let inherited = parent.and_then(|ppid| self.by_pid.get(&ppid)).and_then(|all| all.last()).copied();
        let mut facts = serde_json::Map::new();
        if let Some(parent) = inherited.map(|index| &self.lifetimes[index].facts) {
            for key in ["exe", "argv", "cwd", "uid", "euid", "container_id"] {
                if let Some(value) = parent.get(key) {
                    facts.insert(key.to_owned(), value.clone());
                }
            }
        }
        let index = self.lifetimes.len();
        self.lifetimes.push(Lifetime {
            span: span_id(&self.trace, "process", Some(seq)),
            parent: inherited.map_or(self.root, |index| self.lifetimes[index].span),
            pid: u64::from(pid),
            start_ns: at,
            end_ns: None,
            facts,
        });
        self.by_pid.entry(pid).or_default().push(index);
        index
    }

    /// Place among the lifetimes of the process with this id at this time.
    #[must_use]
    pub fn place(&self, pid: u32, at_ns: u64) -> Option<usize> {
        let all = self.by_pid.get(&pid)?;
        let after = all.partition_point(|index| self.lifetimes[*index].start_ns <= at_ns);
        all.get(after.saturating_sub(1)).copied()
    }

    /// The span that something in a process belongs to; the recording's when the process is not known.
    #[must_use]
    pub fn span(&self, pid: u32, at_ns: u64) -> SpanId {
        self.place(pid, at_ns).map_or(self.root, |index| self.lifetimes[index].span)
    }

    /// Number of lifetimes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lifetimes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lifetimes.is_empty()
    }

    /// A moment of CLOCK_MONOTONIC as ns since the Unix epoch.
    #[must_use]
    pub fn wall(&self, at_ns: u64) -> u64 {
        u64::try_from((at_ns as i64).wrapping_add(self.offset)).unwrap_or(0)
    }

    /// Start and end of the recording, ns since the Unix epoch.
    #[must_use]
    pub fn bounds(&self) -> (u64, u64) {
        let start = u64::try_from(self.first_wall_ns).unwrap_or(0);
        (start, self.wall(self.last_ns).max(start))
    }

    /// Calls may have gone on after the last line of a recording that was cut off.
    pub fn reach(&mut self, at_ns: u64) {
        self.last_ns = self.last_ns.max(at_ns);
    }

    /// The recording's span and one for each lifetime, parents first.
    pub fn spans<'a>(&'a self, root: Span) -> impl Iterator<Item = Span> + 'a {
        std::iter::once(root).chain(self.lifetimes.iter().map(|life| self.process_span(life)))
    }

    /// One lifetime as a span.
    #[must_use]
    pub fn nth_span(&self, index: usize) -> Option<Span> {
        self.lifetimes.get(index).map(|life| self.process_span(life))
    }

    fn process_span(&self, life: &Lifetime) -> Span {
        let start = self.wall(life.start_ns);
        let exe = life.facts.get("exe").and_then(Json::as_str).unwrap_or("");
        let base = exe.rsplit('/').next().filter(|name| !name.is_empty());
        let name = base.map_or_else(|| format!("process {}", life.pid), |base| cut(base).into_owned());
        Span {
            id: life.span,
            parent: Some(life.parent),
            name,
            start_ns: start,
            end_ns: life.end_ns.map_or(self.bounds().1, |end| self.wall(end)).max(start),
            error: bad_end(&life.facts),
            attributes: attributes(life),
        }
    }
}

fn bad_end(facts: &serde_json::Map<String, Json>) -> Option<String> {
    if let Some(signal) = facts.get("signal").and_then(Json::as_u64).filter(|signal| *signal != 0) {
        let number = u32::try_from(signal).unwrap_or(0);
        return Some(format!("ended by {}", signal_text(number)));
    }
    let code = facts.get("exit_code").and_then(Json::as_i64).filter(|code| *code != 0)?;
    Some(format!("exit status {code}"))
}

/// `SIGTERM`, or `signal 77`.
#[must_use]
pub fn signal_text(number: u32) -> String {
    observer_model::signal_name(number).unwrap_or_else(|| format!("signal {number}"))
}

/// Attributes of `process` lines under the names of the conventions.
const NAMES: [(&str, &str); 10] = [
    ("ppid", "process.parent_pid"),
    ("ns_pid", "process.vpid"),
    ("exe", "process.executable.path"),
    ("argv", "process.command_args"),
    ("cwd", "process.working_directory"),
    ("euid", "process.user.id"),
    ("uid", "process.real_user.id"),
    ("exit_code", "process.exit.code"),
    ("container_id", "container.id"),
    ("cgroup", "process.linux.cgroup"),
];

/// What a `process` line says, under the names of the conventions.
#[must_use]
pub fn process_attributes(facts: &serde_json::Map<String, Json>) -> Vec<Attribute<'static>> {
    let named = NAMES.iter().filter_map(|(key, name)| {
        let value = Value::of_json(facts.get(*key)?)?;
        Some((Cow::Borrowed(*name), value))
    });
    let mut all: Vec<Attribute<'static>> = named.collect();
    if let Some(signal) = facts.get("signal").and_then(Json::as_u64).filter(|signal| *signal != 0) {
        let text = signal_text(u32::try_from(signal).unwrap_or(0));
        all.push(("observer.process.exit_signal".into(), text.into()));
    }
    all
}

fn attributes(life: &Lifetime) -> Vec<Attribute<'static>> {
    let mut all: Vec<Attribute<'static>> = vec![("process.pid".into(), Value::Int(life.pid as i64))];
    all.extend(process_attributes(&life.facts));
    if let Some(exe) = life.facts.get("exe").and_then(Json::as_str) {
        let base = exe.rsplit('/').next().unwrap_or(exe);
        all.push(("process.executable.name".into(), cut(base).into_owned().into()));
    }
    all.push(("observer.process.exit_seen".into(), Value::Flag(life.end_ns.is_some())));
    all
}
