// SPDX-License-Identifier: Apache-2.0
//! One pass over a side: what it holds, how its clocks ran, whether the chain of the original form holds.

use crate::error::ReportError;
use crate::event::Event;
use crate::form::{split, Entry, Form};
use crate::lines::Lines;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// Findings, candidates and samples kept; what is beyond is counted.
const MAX_FINDINGS: usize = 50;
const MAX_KEPT: usize = 400;
const MAX_SAMPLES: usize = 20_000;
const MAX_BOOTS: usize = 4096;
/// A new clock sample is kept when the wall clock moved by this against boot time, or after this long.
const MOVED_NS: i64 = 1_000_000;
const SAMPLE_NS: i64 = 60_000_000_000;
/// Relayed events give one bound per so much time.
const BOUND_NS: i64 = 10_000_000_000;
const PROGRESS_LINES: u64 = 1 << 17;

/// Something that does not hold or cannot be read.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// `TAMPERED`, `WRONG_KEY` or `MALFORMED`.
    pub verdict: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Line from 1.
    pub line: u64,
    /// Byte offset.
    pub offset: u64,
    /// One sentence.
    pub cause: String,
}

/// One file of a side.
#[derive(Clone, Debug, Serialize)]
pub struct FileFacts {
    /// Where it was read.
    pub path: PathBuf,
    /// Lines, events, bytes.
    pub lines: u64,
    /// Events.
    pub events: u64,
    /// Chain value of the last line.
    pub final_chain: Option<String>,
    /// The last line had no end.
    pub torn: bool,
}

/// Clock readings of one boot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BootFacts {
    /// `(boottime, wall)` readings, ns, thinned.
    pub samples: Vec<(i64, i64)>,
    /// Least and greatest boot time of its events, ns.
    pub first: Option<i64>,
    /// See `first`.
    pub last: Option<i64>,
}

/// A relayed event: it had happened before it arrived.
#[derive(Clone, Debug, Serialize)]
pub struct Bound {
    /// Side it happened on: 0 host, 1 guest.
    pub origin: u8,
    /// Boot it happened in, and the reading of the boot clock, where known.
    pub boot: Option<String>,
    /// Boot clock at its origin, ns.
    pub boottime: Option<i64>,
    /// Wall clock at its origin, ns.
    pub wall: i64,
    /// Boot in which the receiver stored it, where known.
    pub arrived_boot: Option<String>,
    /// Boot clock of the receiver no earlier than the arrival, ns.
    pub arrived_boottime: Option<i64>,
    /// Wall clock of the receiver no earlier than the arrival, ns.
    pub arrived_wall: i64,
}

/// What one pass over a side told.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SideSurvey {
    /// `sealed`, `original`, `plain`, or none where no line is of any form.
    pub form: Option<&'static str>,
    /// Lines of all files.
    pub lines: u64,
    /// Events, relayed ones among them.
    pub events: u64,
    /// The writer's own records.
    pub own_records: u64,
    /// Events that the log declares as lost.
    pub declared_lost: u64,
    /// Lines that are no event.
    pub malformed: u64,
    /// Files in order.
    pub files: Vec<FileFacts>,
    /// What does not hold, first found first, at most 50 of each side.
    pub findings: Vec<Finding>,
    /// Lines whose chain value or HMAC is not right.
    pub broken: u64,
    /// Every line carried an HMAC.
    pub signed: bool,
    /// Boots by id.
    pub boots: BTreeMap<String, BootFacts>,
    /// Boot of each run of the agent.
    pub runs: BTreeMap<String, String>,
    /// Events of type `clock.exchange`, and host records of clock changes, as they stand.
    pub clock_events: Vec<String>,
    /// Bounds from relayed events.
    pub bounds: Vec<Bound>,
    /// Events that the insights weigh, the newest ones: `(stated time in ns, origin, event)`.
    pub candidates: BTreeMap<&'static str, VecDeque<(i64, u8, String)>>,
    /// Newest stated time, ns.
    pub newest: Option<i64>,
}

struct Pass<'a> {
    facts: SideSurvey,
    origin: u8,
    key: Option<&'a [u8]>,
    chain: String,
    sample: BTreeMap<String, (i64, i64)>,
    waiting: Vec<Bound>,
    bucket: Option<(i64, i64)>,
}

/// Read all files of a side, oldest first.
///
/// # Errors
/// When a file cannot be read, or `progress` (called with lines read so far) returns false.
pub fn survey(
    files: &[PathBuf],
    origin: u8,
    key: Option<&[u8]>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<SideSurvey, ReportError> {
    let facts = SideSurvey { signed: true, ..SideSurvey::default() };
    let mut pass = Pass { facts, origin, key, chain: String::new(), sample: BTreeMap::new(), waiting: Vec::new(), bucket: None };
    for file in files {
        pass.file(file, progress)?;
    }
    pass.facts.signed &= pass.facts.lines > 0;
    let rest = std::mem::take(&mut pass.waiting);
    pass.facts.bounds.extend(rest.into_iter().filter(|bound| bound.arrived_wall != i64::MAX));
    Ok(pass.facts)
}

impl Pass<'_> {
    fn file(&mut self, path: &Path, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), ReportError> {
        let mut lines = Lines::open(path)?;
        let mut facts = FileFacts { path: path.to_path_buf(), lines: 0, events: 0, final_chain: None, torn: false };
        self.chain = "0".repeat(64);
        while let Some(span) = lines.next()? {
            facts.lines += 1;
            self.facts.lines += 1;
            facts.torn = !span.whole;
            if self.facts.lines.is_multiple_of(PROGRESS_LINES) && !progress(self.facts.lines) {
                return Err(ReportError::Stopped);
            }
            let bytes = lines.bytes();
            let entry = if span.cut { None } else { split(bytes) };
            match entry {
                Some(entry) => self.entry(entry, path, &mut facts, span.offset),
                None if bytes.is_empty() => {}
                None => {
                    let cause = if span.cut { "longer than a line may be" } else { "no event of any known form" };
                    self.malformed(path, facts.lines, span.offset, cause);
                }
            }
        }
        self.facts.files.push(facts);
        Ok(())
    }

    fn malformed(&mut self, path: &Path, line: u64, offset: u64, cause: &str) {
        self.facts.malformed += 1;
        self.find("MALFORMED", path, line, offset, cause);
    }

    fn find(&mut self, verdict: &'static str, path: &Path, line: u64, offset: u64, cause: &str) {
        if self.facts.findings.len() < MAX_FINDINGS {
            self.facts.findings.push(Finding { verdict, file: path.to_path_buf(), line, offset, cause: cause.to_owned() });
        }
    }

    fn entry(&mut self, entry: Entry<'_>, path: &Path, file: &mut FileFacts, offset: u64) {
        self.facts.form.get_or_insert(entry.form.name());
        self.facts.signed &= entry.hmac.is_some();
        if entry.form == Form::Original {
            self.original_chain(&entry, path, file.lines, offset);
        }
        if let Some(chain) = entry.chain {
            file.final_chain = Some(chain.to_owned());
        }
        if entry.own {
            self.facts.own_records += 1;
            self.own(entry.event);
            return;
        }
        let Some(event) = Event::parse(entry.event) else {
            self.malformed(path, file.lines, offset, "the event is not a JSON object of the expected types");
            return;
        };
        file.events += 1;
        self.facts.events += 1;
        self.event(&event, entry.event);
    }

    fn original_chain(&mut self, entry: &Entry<'_>, path: &Path, line: u64, offset: u64) {
        let mut hash = Sha256::new();
        hash.update(self.chain.as_bytes());
        hash.update(entry.event);
        let digest: observer_evidence::Digest32 = hash.finalize().into();
        let right = observer_evidence::to_hex(&digest);
        let stated = entry.chain.unwrap_or_default();
        if stated != right {
            self.facts.broken += 1;
            self.find("TAMPERED", path, line, offset, "the chain value does not follow from the line before and the event");
        }
        if let (Some(key), Some(text)) = (self.key, entry.hmac) {
            if !hmac_is(key, entry.event, text) {
                self.facts.broken += 1;
                self.find("WRONG_KEY", path, line, offset, "the HMAC is not that of this key");
            }
        }
        // Go on from what is stated, so that one edit is one finding and not all lines after it.
        self.chain.clear();
        self.chain.push_str(if stated.is_empty() { &right } else { stated });
    }

    fn own(&mut self, event: &[u8]) {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(event) else { return };
        if let Some(dropped) = value.get("dropped").and_then(serde_json::Value::as_u64) {
            self.facts.declared_lost = self.facts.declared_lost.saturating_add(dropped);
        }
    }

    fn event(&mut self, event: &Event<'_>, raw: &[u8]) {
        let origin = event.peer_origin().filter(|&peer| peer != self.origin);
        let stated = event.stated_ns();
        if let Some(ns) = stated {
            self.facts.newest = Some(self.facts.newest.map_or(ns, |newest| newest.max(ns)));
        }
        match (origin, stated) {
            (Some(peer), Some(wall)) => self.relayed(peer, event, wall),
            _ => self.native(event, stated),
        }
        if (event.kind == "clock.exchange" || is_clock_change(event)) && self.facts.clock_events.len() < MAX_SAMPLES {
            self.facts.clock_events.push(String::from_utf8_lossy(raw).into_owned());
        }
        if let Some(topic) = topic(event) {
            let kept = self.facts.candidates.entry(topic).or_default();
            kept.push_back((stated.unwrap_or(0), origin.unwrap_or(self.origin), String::from_utf8_lossy(raw).into_owned()));
            if kept.len() > MAX_KEPT {
                kept.pop_front();
            }
        }
    }

    fn relayed(&mut self, origin: u8, event: &Event<'_>, wall: i64) {
        let bound = Bound {
            origin,
            boot: event.attribute("boot_id").map(str::to_owned),
            boottime: event.boottime_ns(),
            wall,
            arrived_boot: None,
            arrived_boottime: None,
            arrived_wall: i64::MAX,
        };
        if self.waiting.len() < 64 {
            self.waiting.push(bound);
        }
    }

    /// A native event bounds when the relayed ones before it had arrived, and samples the clocks.
    fn native(&mut self, event: &Event<'_>, stated: Option<i64>) {
        let boot = event.attribute("boot_id");
        let arrived = event.collector.map(|clocks| clocks.wall_ns).or(stated);
        if let Some(wall) = arrived {
            for mut bound in std::mem::take(&mut self.waiting) {
                bound.arrived_wall = wall;
                bound.arrived_boot = boot.map(str::to_owned);
                bound.arrived_boottime = event.collector.map(|clocks| clocks.boottime_ns);
                self.keep_bound(bound);
            }
        }
        let (Some(boot), Some(clocks)) = (boot, event.collector.filter(|clocks| clocks.boottime_ns > 0)) else { return };
        let home = self.home(event, boot);
        if home != boot || (!self.facts.boots.contains_key(boot) && self.facts.boots.len() >= MAX_BOOTS) {
            return;
        }
        let facts = self.facts.boots.entry(boot.to_owned()).or_default();
        let at = event.boottime_ns().unwrap_or(clocks.boottime_ns);
        facts.first = Some(facts.first.map_or(at, |first| first.min(at)));
        facts.last = Some(facts.last.map_or(clocks.boottime_ns, |last| last.max(clocks.boottime_ns)));
        let now = (clocks.boottime_ns, clocks.wall_ns);
        let moved = self.sample.get(boot).is_none_or(|kept| {
            ((now.1 - now.0) - (kept.1 - kept.0)).abs() > MOVED_NS || now.0.saturating_sub(kept.0).abs() > SAMPLE_NS
        });
        if moved && facts.samples.len() < MAX_SAMPLES {
            facts.samples.push(now);
            self.sample.insert(boot.to_owned(), now);
        }
    }

    /// The boot in which this run of the agent reads its clocks.
    fn home<'b>(&mut self, event: &Event<'_>, boot: &'b str) -> &'b str {
        if event.run.is_empty() {
            return boot;
        }
        let starts = event.kind == "agent.start";
        if starts || (!self.facts.runs.contains_key(&*event.run) && self.facts.runs.len() < MAX_BOOTS) {
            self.facts.runs.insert(event.run.clone().into_owned(), boot.to_owned());
        }
        if self.facts.runs.get(&*event.run).is_some_and(|home| home == boot) {
            boot
        } else {
            ""
        }
    }

    fn keep_bound(&mut self, bound: Bound) {
        let tightness = bound.arrived_wall.saturating_sub(bound.wall);
        let bucket = bound.arrived_wall.div_euclid(BOUND_NS);
        match self.bucket {
            Some((open, best)) if open == bucket && best <= tightness => return,
            Some((open, _)) if open == bucket => {
                self.facts.bounds.pop();
            }
            _ => {}
        }
        self.bucket = Some((bucket, tightness));
        if self.facts.bounds.len() < MAX_SAMPLES {
            self.facts.bounds.push(bound);
        }
    }
}

fn hmac_is(key: &[u8], event: &[u8], stated: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    mac.update(event);
    observer_evidence::from_hex(stated.as_bytes()).is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
}

/// Windows tells each change of its clock: Kernel-General 1 with the old and the new time.
fn is_clock_change(event: &Event<'_>) -> bool {
    event.attribute("event_id") == Some("1") && event.message.contains("Kernel-General") && event.message.contains("NewTime")
}

/// Which insight an event matters to.
fn topic(event: &Event<'_>) -> Option<&'static str> {
    match &*event.category {
        "ServiceHealth" => Some("service"),
        "Security" => Some("security"),
        "Pressure" => Some("pressure"),
        "Kernel" | "Kmsg" if event.class() > 0 => Some("kernel"),
        "Systemd" if event.kind.starts_with("systemd.unit") || event.class() > 0 => Some("service"),
        "Process" | "Resource" if event.class() > 0 && event.message.to_ascii_lowercase().contains("memory pressure") => {
            Some("pressure")
        }
        _ => None,
    }
}
