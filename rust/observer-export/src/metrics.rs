// SPDX-License-Identifier: Apache-2.0
//! Aggregates over all calls of a recording, whichever of them are exported one by one.

use crate::signal::{Attribute, Data, Metric, Point, Spread};
use crate::source::{entries, Entry};
use crate::tree::Tree;
use observer_evidence::read_lines;
use observer_model::{lookup, Arch, Record};
use observer_recording::outcome::Outcome;
use observer_recording::reader::log_path;
use observer_recording::{RecordingError, RecordingReader};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Upper bounds of the duration histogram, seconds.
const BOUNDS: &[f64] = &[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];
const BOUNDS_NS: [u64; 8] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];
const NS: f64 = 1e9;

#[derive(Clone, Default)]
struct Durations {
    count: u64,
    sum_ns: u128,
    min_ns: Option<u64>,
    max_ns: u64,
    buckets: [u64; 9],
}

impl Durations {
    fn add(&mut self, ns: u64) {
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.min_ns = Some(self.min_ns.map_or(ns, |least| least.min(ns)));
        self.max_ns = self.max_ns.max(ns);
        self.buckets[BOUNDS_NS.partition_point(|bound| *bound < ns)] += 1;
    }
}

/// Counts by name and outcome, filled in one pass.
#[derive(Default)]
pub struct Counts {
    rows: BTreeMap<(String, &'static str), Durations>,
    /// The largest end of a call, CLOCK_MONOTONIC ns.
    pub last_ns: u64,
}

impl Counts {
    /// Counts every call of a recording.
    ///
    /// # Errors
    /// When a chunk is not what was sealed.
    pub fn of(reader: &RecordingReader) -> Result<Counts, RecordingError> {
        let arch = reader.arch().unwrap_or(Arch::X86_64);
        let mut counts = Counts::default();
        let mut by_number: BTreeMap<(u32, usize), Durations> = BTreeMap::new();
        for index in 0..reader.chunks.len() {
            for (_, entry) in entries(reader, index)? {
                match entry {
                    Entry::Record(Record::Call(call)) => {
                        let outcome = Outcome::of(&call);
                        by_number.entry((call.nr, outcome as usize)).or_default().add(call.duration_ns);
                        counts.last_ns = counts.last_ns.max(call.start_ns.saturating_add(call.duration_ns));
                    }
                    Entry::Record(Record::Signal(signal)) => counts.last_ns = counts.last_ns.max(signal.start_ns),
                    Entry::Json(call) => counts.embedded(&call),
                }
            }
        }
        for ((nr, outcome), durations) in by_number {
            let name = lookup(arch, nr).map_or_else(|| format!("syscall_{nr:#x}"), |known| known.name.to_owned());
            counts.rows.insert((name, Outcome::ALL[outcome].name()), durations);
        }
        Ok(counts)
    }

    fn embedded(&mut self, call: &Json) {
        let number = |key: &str| call.get(key).and_then(Json::as_u64).unwrap_or(0);
        let name = call.get("syscall").and_then(Json::as_str).unwrap_or("?").to_owned();
        let key = (name, Outcome::of_json(call).name());
        self.rows.entry(key).or_default().add(number("duration_ns"));
        self.last_ns = self.last_ns.max(number("start_ns").saturating_add(number("duration_ns")));
    }

    /// All metrics of the recording.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn metrics(&self, reader: &RecordingReader, tree: &Tree) -> Result<Vec<Metric>, RecordingError> {
        let (start_ns, end_ns) = tree.bounds();
        let metric = |name, description, unit, data| Metric { name, description, unit, start_ns, end_ns, data };
        let sums = self.rows.iter().map(|(key, row)| Point { value: row.count, attributes: labels(key) });
        let spreads = self.rows.iter().map(|(key, row)| Spread {
            count: row.count,
            sum: row.sum_ns as f64 / NS,
            min: row.min_ns.unwrap_or(0) as f64 / NS,
            max: row.max_ns as f64 / NS,
            buckets: row.buckets.to_vec(),
            attributes: labels(key),
        });
        let processes = vec![Point { value: tree.len() as u64, attributes: Vec::new() }];
        Ok(vec![
            metric("syscall.count", "Calls by name and outcome", "{call}", Data::Sum(sums.collect())),
            metric("syscall.duration", "Time from entry to return", "s", Data::Histogram(BOUNDS, spreads.collect())),
            metric("observer.records.lost", "Declared losses", "{record}", Data::Sum(losses(reader)?)),
            metric("process.count", "Process lifetimes seen", "{process}", Data::Sum(processes)),
        ])
    }
}

fn labels((name, outcome): &(String, &'static str)) -> Vec<Attribute<'static>> {
    vec![("syscall.name".into(), name.clone().into()), ("syscall.outcome".into(), (*outcome).into())]
}

fn losses(reader: &RecordingReader) -> Result<Vec<Point>, RecordingError> {
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    if reader.loss.lines > 0 {
        for line in read_lines(&log_path(reader.dir()))? {
            let line = line?;
            let event: Json = serde_json::from_slice(&line.event).unwrap_or(Json::Null);
            if line.kind.is_none() && event.get("type").and_then(Json::as_str) == Some("loss") {
                let text = |key: &str| event.get(key).and_then(Json::as_str).unwrap_or("").to_owned();
                let count = event.get("count").and_then(Json::as_u64).unwrap_or(0);
                *found.entry((text("what"), text("reason"))).or_default() += count;
            }
        }
    }
    if found.is_empty() {
        return Ok(vec![Point { value: 0, attributes: Vec::new() }]);
    }
    let point = |((what, reason), value): ((String, String), u64)| Point {
        value,
        attributes: vec![
            (Cow::Borrowed("observer.loss.what"), what.into()),
            (Cow::Borrowed("observer.loss.reason"), reason.into()),
        ],
    };
    Ok(found.into_iter().map(point).collect())
}
