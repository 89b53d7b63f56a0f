// SPDX-License-Identifier: Apache-2.0
//! Hands out a recording as batches of encoded signals: spans, then log records, then metrics.

use crate::batch::{Batch, Envelope};
use crate::calls;
use crate::lines;
use crate::metrics::Counts;
use crate::redact::Redactor;
use crate::signal::{Attribute, Form, Log, Signal, Span, Value};
use crate::source::{entries, Entry};
use crate::tree::Tree;
use crate::{json, protobuf};
use observer_evidence::{read_lines, LineReader};
use observer_model::{by_name, Arch, Record};
use observer_recording::outcome::Outcome;
use observer_recording::reader::log_path;
use observer_recording::{RecordingError, RecordingReader};
use serde::Deserialize;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// A log record that the caller made: a finding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    event_name: String,
    severity: u8,
    body: String,
    id: String,
    attributes: serde_json::Map<String, Json>,
}

/// What to export; JSON from the caller.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// JSON instead of protobuf.
    pub json: bool,
    /// Every call, not only the notable ones.
    pub full: bool,
    /// Names of notable calls.
    pub notable: Vec<String>,
    /// Numbers of records that are exported whatever they are.
    pub cited: HashSet<u64>,
    /// Attributes of the resource.
    pub resource: serde_json::Map<String, Json>,
    /// Version of the instrumentation.
    pub version: String,
    /// Further attributes of the recording's span.
    pub root: serde_json::Map<String, Json>,
    /// Why the recording failed, when it did.
    pub root_error: Option<String>,
    /// Log records beside those of the recording.
    pub extra: Vec<Extra>,
    /// Take secrets out of what leaves.
    pub redact: bool,
}

/// An export under way.
pub struct Exporter {
    options: Options,
    arch: Arch,
    numbers: Vec<bool>,
    names: HashSet<String>,
    tree: Tree,
    counts: Counts,
    envelope: Arc<Envelope>,
    spans: usize,
    lines: Option<LineReader>,
    chunk: usize,
    held: VecDeque<(u64, Entry)>,
    extra: usize,
    metrics: bool,
    /// What it took out.
    pub redactor: Redactor,
}

fn pairs(map: &serde_json::Map<String, Json>) -> Vec<Attribute<'static>> {
    map.iter().filter_map(|(key, value)| Some((Cow::Owned(key.clone()), Value::of_json(value)?))).collect()
}

impl Exporter {
    /// Prepares an export: reads the lines once for the process tree and the calls once for the aggregates.
    ///
    /// # Errors
    /// When the recording cannot be read or is not what was sealed.
    pub fn new(reader: &RecordingReader, trace: [u8; 16], options: Options) -> Result<Exporter, RecordingError> {
        let arch = reader.arch().unwrap_or(Arch::X86_64);
        let counts = Counts::of(reader)?;
        let mut tree = Tree::of(reader, trace)?;
        tree.reach(counts.last_ns);
        let form = if options.json { Form::Json } else { Form::Protobuf };
        let envelope = Arc::new(Envelope::new(form, &pairs(&options.resource), &options.version));
        let names: HashSet<String> = options.notable.iter().cloned().collect();
        let mut numbers = vec![false; 1024];
        for call in names.iter().filter_map(|name| by_name(arch, name)) {
            if let Some(slot) = numbers.get_mut(call.nr as usize) {
                *slot = true;
            }
        }
        let lines = Some(read_lines(&log_path(reader.dir()))?);
        let redactor = Redactor::new(options.redact);
        Ok(Exporter {
            options,
            arch,
            numbers,
            names,
            tree,
            counts,
            envelope,
            spans: 0,
            lines,
            chunk: 0,
            held: VecDeque::new(),
            extra: 0,
            metrics: false,
            redactor,
        })
    }

    fn root(&self) -> Span {
        let (start_ns, end_ns) = self.tree.bounds();
        Span {
            id: self.tree.root,
            parent: None,
            name: "recording".to_owned(),
            start_ns,
            end_ns,
            error: self.options.root_error.clone(),
            attributes: pairs(&self.options.root),
        }
    }

    fn log(&self, batch: &mut Batch, mut log: Log<'_>) {
        let trace = &self.tree.trace;
        self.redactor.log(&mut log);
        match batch.form() {
            Form::Protobuf => batch.push(|out| protobuf::log(out, trace, &log)),
            Form::Json => batch.push(|out| json::log(out, trace, &log)),
        }
    }

    /// The next spans, at most so many and not many more bytes; empty at the end.
    pub fn next_spans(&mut self, most: usize, bytes: usize) -> Batch {
        let mut batch = Batch::new(Signal::Traces, Arc::clone(&self.envelope));
        while batch.len() < most && batch.bytes() < bytes {
            let span = if self.spans == 0 { Some(self.root()) } else { self.tree.nth_span(self.spans - 1) };
            let Some(mut span) = span else { break };
            self.spans += 1;
            self.redactor.span(&mut span);
            let trace = &self.tree.trace;
            match batch.form() {
                Form::Protobuf => batch.push(|out| protobuf::span(out, trace, &span)),
                Form::Json => batch.push(|out| json::span(out, trace, &span)),
            }
        }
        batch
    }

    /// The next log records, at most so many and not many more bytes; empty at the end.
    ///
    /// # Errors
    /// When the recording cannot be read or is not what was sealed.
    pub fn next_logs(&mut self, reader: &RecordingReader, most: usize, bytes: usize) -> Result<Batch, RecordingError> {
        let mut batch = Batch::new(Signal::Logs, Arc::clone(&self.envelope));
        while batch.len() < most && batch.bytes() < bytes {
            if self.next_line(&mut batch)? || self.next_record(reader, &mut batch)? || self.next_extra(&mut batch) {
                continue;
            }
            break;
        }
        Ok(batch)
    }

    fn next_line(&mut self, batch: &mut Batch) -> Result<bool, RecordingError> {
        let Some(line) = self.lines.as_mut().and_then(Iterator::next) else {
            self.lines = None;
            return Ok(false);
        };
        let line = line?;
        if line.kind.is_none() {
            if let Ok(Json::Object(event)) = serde_json::from_slice(&line.event) {
                if let Some(log) = lines::log(&self.tree, line.seq, &event) {
                    self.log(batch, log);
                }
            }
        }
        Ok(true)
    }

    fn next_record(&mut self, reader: &RecordingReader, batch: &mut Batch) -> Result<bool, RecordingError> {
        while self.held.is_empty() {
            if self.chunk == reader.chunks.len() {
                return Ok(false);
            }
            self.held = entries(reader, self.chunk)?.into();
            self.chunk += 1;
        }
        let Some((number, entry)) = self.held.pop_front() else { return Ok(false) };
        if self.wants(number, &entry) {
            let log = match &entry {
                Entry::Record(Record::Call(call)) => calls::call(&self.tree, self.arch, number, call),
                Entry::Record(Record::Signal(signal)) => calls::signal(&self.tree, number, signal),
                Entry::Json(call) => calls::embedded(&self.tree, number, call),
            };
            self.log(batch, log);
        }
        Ok(true)
    }

    fn wants(&self, number: u64, entry: &Entry) -> bool {
        if self.options.full || self.options.cited.contains(&number) {
            return true;
        }
        match entry {
            Entry::Record(Record::Call(call)) => {
                self.numbers.get(call.nr as usize).copied().unwrap_or(false) || Outcome::of(call) == Outcome::Denied
            }
            Entry::Record(Record::Signal(signal)) => calls::is_fault(signal.signo),
            Entry::Json(call) => {
                let name = call.get("syscall").and_then(Json::as_str).unwrap_or("");
                self.names.contains(name) || Outcome::of_json(call) == Outcome::Denied
            }
        }
    }

    fn next_extra(&mut self, batch: &mut Batch) -> bool {
        let Some(extra) = self.options.extra.get(self.extra) else { return false };
        self.extra += 1;
        let mut attributes = pairs(&extra.attributes);
        attributes.push(("log.record.uid".into(), lines::uid(&self.tree.trace, &extra.id).into()));
        let log = Log {
            time_ns: self.tree.bounds().1,
            severity: extra.severity,
            event_name: extra.event_name.as_str().into(),
            body: crate::signal::cut(&extra.body),
            span: self.tree.root,
            attributes,
        };
        self.log(batch, log);
        true
    }

    /// All metrics, once; empty afterwards.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn next_metrics(&mut self, reader: &RecordingReader) -> Result<Batch, RecordingError> {
        let mut batch = Batch::new(Signal::Metrics, Arc::clone(&self.envelope));
        if !std::mem::replace(&mut self.metrics, true) {
            for metric in self.counts.metrics(reader, &self.tree)? {
                match batch.form() {
                    Form::Protobuf => batch.push(|out| protobuf::metric(out, &metric)),
                    Form::Json => batch.push(|out| json::metric(out, &metric)),
                }
            }
        }
        Ok(batch)
    }
}
