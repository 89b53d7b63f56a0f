// SPDX-License-Identifier: Apache-2.0
//! The whole comparison: trees, then threads, then totals.

use crate::pairing::{pair, Pairing};
use crate::report;
use crate::run::{Reading, Run, Thread, Token};
use crate::sequence::{self, Kind, Renamed};
use crate::tokens::read;
use crate::tree::Tree;
use observer_recording::{RecordingError, RecordingReader};
use serde::Deserialize;
use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::collections::BTreeMap;

/// A difference in time is told from here on, ns; below lies what scheduling alone does.
const TOLERANCE_NS: u64 = 1_000_000;

/// First signal that is queued as often as it is sent. Source: signal(7).
const FIRST_REAL_TIME: u32 = 32;

/// What a caller may choose.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Most differences that are listed; all are counted.
    pub limit: usize,
    /// Compare calls that depend on the schedule, too.
    pub all: bool,
    /// Most calls of one recording; more are refused. 64 bytes are held for each.
    pub most_calls: usize,
    /// How many of the largest differences in time are told.
    pub timings: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { limit: 1000, all: false, most_calls: 20_000_000, timings: 10 }
    }
}

/// One call that differs, with all that is needed to tell of it.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// How.
    pub kind: Kind,
    /// Index into the pairing's pairs.
    pub pair: usize,
    /// Record of A.
    pub a: Option<u64>,
    /// Record of B.
    pub b: Option<u64>,
    /// ns since A's first call, of the call or of the one before it.
    pub at_ns: u64,
}

/// Time between the returns of two calls, where it differs most.
#[derive(Clone, Copy, Debug)]
pub struct Slower {
    /// Record of A.
    pub record: u64,
    /// ns in A.
    pub a_ns: u64,
    /// ns in B.
    pub b_ns: u64,
}

impl Slower {
    fn delta(&self) -> u64 {
        self.a_ns.abs_diff(self.b_ns)
    }

    /// Beyond what scheduling does: a millisecond, and half of the longer one.
    #[must_use]
    pub fn exceeds(&self) -> bool {
        self.delta() > TOLERANCE_NS && self.delta() > self.a_ns.max(self.b_ns) / 2
    }
}

/// Counts of one pair of threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Equal calls.
    pub equal: u64,
    /// Calls of A.
    pub a: u64,
    /// Calls of B.
    pub b: u64,
    /// Signals of A and of B that have no equal.
    pub signals: (u64, u64),
}

/// Everything that was found.
pub struct Findings {
    /// The trees' pairing.
    pub pairing: Pairing,
    /// Recording A.
    pub a: Run,
    /// Recording B.
    pub b: Run,
    /// By pair.
    pub counts: Vec<Counts>,
    /// Of all pairs, by the time in A; at most the limit.
    pub found: Vec<Found>,
    /// By kind, all of them.
    pub kinds: BTreeMap<Kind, u64>,
    /// Largest first.
    pub slower: Vec<Slower>,
    /// Files opened in each other's place.
    pub renamed: Renamed,
}

/// Compares two recordings; the JSON is that of docs/spec/comparison.md §4.
pub fn compare(a: &RecordingReader, b: &RecordingReader, options: &Options) -> Result<Value, RecordingError> {
    let trees = (whole_tree(a)?, whole_tree(b)?);
    let pairing = pair(&trees.0, &trees.1);
    let hasher = RandomState::new();
    let reading = |names| Reading { hasher: &hasher, names, all: options.all, most_calls: options.most_calls };
    let (left, right) = (reading(&pairing.names_a), reading(&pairing.names_b));
    let runs = std::thread::scope(|scope| {
        let other = scope.spawn(|| read(b, trees.1, &right));
        let own = read(a, trees.0, &left);
        let other = other.join().unwrap_or_else(|_| Err(RecordingError::Malformed("a reader of calls ended early".to_owned())));
        (own, other)
    });
    let mut findings = Findings {
        counts: Vec::with_capacity(pairing.pairs.len()),
        pairing,
        a: runs.0?,
        b: runs.1?,
        found: Vec::new(),
        kinds: BTreeMap::new(),
        slower: Vec::new(),
        renamed: Renamed::new(),
    };
    for index in 0..findings.pairing.pairs.len() {
        findings.add(index, options);
    }
    findings.settle(options);
    report::write(&findings, (a, b), options)
}

/// The tree, with one thread at least, so that an embedder's calls have a place.
fn whole_tree(reader: &RecordingReader) -> Result<Tree, RecordingError> {
    let mut tree = Tree::of(reader)?;
    if tree.nodes.is_empty() {
        tree.stranger(0, 0, 0);
    }
    Ok(tree)
}

/// ns from the return of the call before to the return of this one.
fn took(calls: &[Token], at: usize) -> u64 {
    let end = |t: &Token| t.start_ns.saturating_add(t.duration_ns);
    match at.checked_sub(1).and_then(|before| calls.get(before)) {
        Some(before) => end(&calls[at]).saturating_sub(end(before)),
        None => calls[at].duration_ns,
    }
}

impl Findings {
    fn add(&mut self, pair: usize, options: &Options) {
        let (x, y) = self.pairing.pairs[pair];
        let (Some(a), Some(b)) = (self.a.threads.get(x), self.b.threads.get(y)) else { return };
        let compared = sequence::compare(&a.calls, &b.calls, &mut self.renamed);
        let signals = unequal_signals(a, b);
        let counts = Counts { equal: compared.equal.len() as u64, a: a.calls.len() as u64, b: b.calls.len() as u64, signals };
        let (first, origin) = (self.a.first_ns, a.calls.first().map_or(self.a.first_ns, |t| t.start_ns));
        for difference in &compared.differences {
            *self.kinds.entry(difference.kind).or_insert(0) += 1;
            let own = a.calls.get(difference.position).filter(|_| difference.a.is_some());
            let before = difference.position.checked_sub(1).and_then(|p| a.calls.get(p));
            let at = own.map(|t| t.start_ns).or(before.map(|t| t.start_ns.saturating_add(t.duration_ns)));
            self.found.push(Found {
                kind: difference.kind,
                pair,
                a: difference.a.map(|i| a.calls[i].record),
                b: difference.b.map(|i| b.calls[i].record),
                at_ns: at.unwrap_or(origin).saturating_sub(first),
            });
        }
        for (i, j) in &compared.equal {
            let slower = Slower { record: a.calls[*i].record, a_ns: took(&a.calls, *i), b_ns: took(&b.calls, *j) };
            if slower.exceeds() {
                self.slower.push(slower);
            }
        }
        self.counts.push(counts);
        if self.found.len() > 4 * options.limit.max(1000) || self.slower.len() > 100_000 {
            self.settle(options);
        }
    }

    /// Keeps what will be told: the earliest differences and the largest in time.
    fn settle(&mut self, options: &Options) {
        self.found.sort_by_key(|f| (f.at_ns, f.pair, f.a.unwrap_or(u64::MAX), f.b));
        self.found.truncate(options.limit.max(1));
        self.slower.sort_by_key(|s| std::cmp::Reverse(s.delta()));
        self.slower.truncate(options.timings);
    }

    /// Calls of processes that have no counterpart: (in A, in B).
    #[must_use]
    pub fn alone(&self) -> (u64, u64) {
        let calls = |run: &Run, nodes: &[usize]| nodes.iter().map(|n| run.threads[*n].calls.len() as u64).sum();
        (calls(&self.a, &self.pairing.only_a), calls(&self.b, &self.pairing.only_b))
    }

    /// Equal calls by all there are; 1 exactly when every call has its equal.
    #[must_use]
    pub fn match_fraction(&self) -> f64 {
        let equal: u64 = self.counts.iter().map(|c| c.equal).sum();
        let differing: u64 = self.kinds.values().sum();
        let alone = self.alone();
        let total = equal + differing + alone.0 + alone.1;
        if total == 0 {
            1.0
        } else {
            equal as f64 / total as f64
        }
    }
}

/// Signals that one side has more of than the other; their order is not compared.
fn unequal_signals(a: &Thread, b: &Thread) -> (u64, u64) {
    let mut balance: BTreeMap<u64, i64> = BTreeMap::new();
    for (signals, sign) in [(&a.signals, 1), (&b.signals, -1)] {
        let mut own: BTreeMap<u64, i64> = BTreeMap::new();
        for signal in signals {
            let count = own.entry(signal.key).or_insert(0);
            // a standard signal that is pending already is not sent once more (signal(7)): their number is the schedule's
            *count = if signal.args < FIRST_REAL_TIME { 1 } else { *count + 1 };
        }
        own.into_iter().for_each(|(key, count)| *balance.entry(key).or_insert(0) += sign * count);
    }
    let sum = |sign: i64| balance.values().map(|n| u64::try_from(n * sign).unwrap_or(0)).sum();
    (sum(1), sum(-1))
}
