// SPDX-License-Identifier: Apache-2.0
//! Calls and signals as plain rows, for the forms that are tables or timelines.

use crate::calls::path_of;
use crate::redact::Redactor;
use crate::signal::cut;
use crate::source::{entries, Entry};
use crate::tree::{signal_text, Tree};
use observer_model::{decode, Arch, ArgClass, Record};
use observer_recording::outcome::Outcome;
use observer_recording::{RecordingError, RecordingReader};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::VecDeque;

/// One call or signal.
#[derive(Debug)]
pub struct Row {
    /// Its number.
    pub record: u64,
    /// `call` or `signal`.
    pub kind: &'static str,
    /// Since the Unix epoch, ns.
    pub wall_ns: u64,
    /// CLOCK_MONOTONIC, ns.
    pub start_ns: u64,
    /// None for a signal, and for a call that did not return.
    pub duration_ns: Option<u64>,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Place of the process among the lifetimes.
    pub process: Option<usize>,
    /// Name of the call or signal.
    pub name: String,
    /// Outcome of a call.
    pub outcome: Option<&'static str>,
    /// Name of its error.
    pub errno: Option<String>,
    /// What it returned, when that is a number.
    pub result: Option<i64>,
    /// Its first path.
    pub path: Option<String>,
    /// As printed.
    pub text: String,
}

/// Goes through a recording.
pub struct Rows {
    /// The processes.
    pub tree: Tree,
    arch: Arch,
    chunk: usize,
    held: VecDeque<(u64, Entry)>,
    /// What it took out.
    pub redactor: Redactor,
}

impl Rows {
    /// Begins before the first record.
    #[must_use]
    pub fn new(tree: Tree, reader: &RecordingReader, redactor: Redactor) -> Rows {
        Rows { tree, arch: reader.arch().unwrap_or(Arch::X86_64), chunk: 0, held: VecDeque::new(), redactor }
    }

    /// The next rows, at most so many; none at the end.
    ///
    /// # Errors
    /// When a chunk is not what was sealed.
    pub fn next(&mut self, reader: &RecordingReader, most: usize) -> Result<Vec<Row>, RecordingError> {
        let mut rows = Vec::new();
        while rows.len() < most {
            while self.held.is_empty() && self.chunk < reader.chunks.len() {
                self.held = entries(reader, self.chunk)?.into();
                self.chunk += 1;
            }
            let Some((number, entry)) = self.held.pop_front() else { break };
            let mut row = match entry {
                Entry::Record(record) => self.captured(number, &record),
                Entry::Json(call) => self.embedded(number, &call),
            };
            for text in std::iter::once(&mut row.text).chain(&mut row.path) {
                if let Cow::Owned(clean) = self.redactor.text(text) {
                    *text = clean;
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn captured(&self, record: u64, held: &Record) -> Row {
        match held {
            Record::Call(call) => {
                let decoded = decode(self.arch, call);
                let outcome = Outcome::of(call);
                let returned = outcome != Outcome::NoResult;
                let text = decoded.to_string();
                let paths = decoded.args.iter().filter(|argument| argument.class == ArgClass::Path);
                Row {
                    record,
                    kind: "call",
                    wall_ns: self.tree.wall(call.start_ns),
                    start_ns: call.start_ns,
                    duration_ns: returned.then_some(call.duration_ns),
                    pid: call.pid,
                    tid: call.tid,
                    process: self.tree.place(call.pid, call.start_ns),
                    outcome: Some(outcome.name()),
                    errno: decoded.errno.map(str::to_owned),
                    result: returned.then_some(call.result),
                    path: paths.filter_map(|argument| path_of(call, &argument.text)).next(),
                    name: decoded.name,
                    text: cut(&text).into_owned(),
                }
            }
            Record::Signal(signal) => Row {
                record,
                kind: "signal",
                wall_ns: self.tree.wall(signal.start_ns),
                start_ns: signal.start_ns,
                duration_ns: None,
                pid: signal.pid,
                tid: signal.tid,
                process: self.tree.place(signal.pid, signal.start_ns),
                name: signal_text(signal.signo),
                outcome: None,
                errno: None,
                result: None,
                path: None,
                text: format!("{} from process {}", signal_text(signal.signo), signal.sender_pid),
            },
        }
    }

    fn embedded(&self, record: u64, call: &Json) -> Row {
        let number = |key: &str| call.get(key).and_then(Json::as_u64);
        let narrow = |key: &str| number(key).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let (start_ns, pid) = (number("start_ns").unwrap_or(0), narrow("pid"));
        let log = crate::calls::embedded(&self.tree, record, call);
        let path = call.get("args").and_then(Json::as_array).into_iter().flatten();
        let path = path.filter_map(|arg| arg.get("text").or(Some(arg)).and_then(Json::as_str)).find(|text| text.starts_with('/'));
        Row {
            record,
            kind: "call",
            wall_ns: log.time_ns,
            start_ns,
            duration_ns: number("duration_ns"),
            pid,
            tid: narrow("tid"),
            process: self.tree.place(pid, start_ns),
            name: call.get("syscall").and_then(Json::as_str).unwrap_or("?").to_owned(),
            outcome: Some(Outcome::of_json(call).name()),
            errno: call.get("errno").and_then(Json::as_str).map(str::to_owned),
            result: call.get("result").and_then(Json::as_i64),
            path: path.map(|text| cut(text).into_owned()),
            text: log.body.into_owned(),
        }
    }
}
