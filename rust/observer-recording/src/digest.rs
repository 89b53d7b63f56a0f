// SPDX-License-Identifier: Apache-2.0
//! Counts, entropy and DNA over a whole recording, in one pass and in memory that does not grow with it.

use crate::chunk::{Header, Kind};
use crate::codec::ChunkDecoder;
use crate::dna::{Dna, Places};
use crate::error::RecordingError;
use crate::outcome::Outcome;
use crate::reader::RecordingReader;
use crate::typed::{self, CallTable};
use observer_model::{decode, lookup, Arch, ArgClass, Decoded, Record, Ret, SyscallRecord};
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
struct Tally {
    outcomes: [u64; 5],
    total_ns: u64,
}

/// Shannon entropy in bits of a distribution given by counts. Source: Shannon 1948, §6.
fn entropy(counts: impl Iterator<Item = u64> + Clone) -> f64 {
    let total = counts.clone().sum::<u64>() as f64;
    let bits: f64 = counts.filter(|c| *c > 0).map(|c| (c as f64 / total) * (c as f64 / total).log2()).sum();
    if total == 0.0 {
        0.0
    } else {
        -bits + 0.0
    }
}

struct Pass {
    arch: Arch,
    places: Places,
    dna: Dna,
    names: BTreeMap<String, Tally>,
    bigrams: HashMap<(String, String), u64>,
    last_name: HashMap<u32, String>,
    errnos: BTreeMap<String, u64>,
    signals: BTreeMap<String, u64>,
    span: Option<(u64, u64)>,
}

impl Pass {
    fn count(&mut self, tid: u32, name: &str, outcome: Outcome, errno: Option<&str>, times: (u64, u64)) {
        let tally = self.names.entry(name.to_owned()).or_default();
        tally.outcomes[outcome as usize] += 1;
        tally.total_ns += times.1;
        if let Some(before) = self.last_name.insert(tid, name.to_owned()) {
            *self.bigrams.entry((before, name.to_owned())).or_insert(0) += 1;
        }
        if let Some(errno) = errno {
            *self.errnos.entry(errno.to_owned()).or_insert(0) += 1;
        }
        self.see(times.0, times.0.saturating_add(times.1));
    }

    fn see(&mut self, from: u64, to: u64) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }

    fn call(&mut self, call: &SyscallRecord) {
        let decoded = decode(self.arch, call);
        let outcome = Outcome::of(call);
        let place = self.places.place(call.tid, call.start_ns).unwrap_or("?").to_owned();
        let args: Vec<String> = decoded
            .args
            .iter()
            .filter(|a| a.stable || a.class == ArgClass::Pid)
            .map(|a| self.stable(a.class, &a.text, call))
            .collect();
        let result = self.stable_result(call, &decoded);
        let parts = [decoded.name.as_str(), outcome.name(), result.as_str()];
        self.dna.roll(&place, parts.into_iter().chain(args.iter().map(String::as_str)));
        self.count(call.tid, &decoded.name, outcome, decoded.errno, (call.start_ns, call.duration_ns));
    }

    /// Process ids become places, so that they are the same in every run.
    fn stable(&self, class: ArgClass, text: &str, call: &SyscallRecord) -> String {
        if class != ArgClass::Pid {
            return text.to_owned();
        }
        match text.trim_matches(['[', ']']).parse::<u32>() {
            Ok(pid) if pid > 1 => self.places.place(pid, call.start_ns).unwrap_or("another").to_owned(),
            _ => text.to_owned(),
        }
    }

    fn stable_result(&self, call: &SyscallRecord, decoded: &Decoded) -> String {
        if let Some(errno) = decoded.errno {
            return errno.to_owned();
        }
        match lookup(self.arch, call.nr).map(|k| k.ret) {
            Some(Ret::Never) => String::new(),
            _ if decoded.result_stable => decoded.result.clone(),
            Some(Ret::Pid) if call.result > 0 => {
                let pid = u32::try_from(call.result).unwrap_or(0);
                self.places.place(pid, u64::MAX).unwrap_or("another").to_owned()
            }
            _ => String::new(),
        }
    }

    fn embedder(&mut self, call: &Value) {
        let text = |key: &str| call.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default();
        let number = |key: &str| call.get(key).and_then(Value::as_u64).unwrap_or(0);
        let outcome = Outcome::of_json(call);
        let name = text("syscall");
        let parts = [name.clone(), text("args"), text("allowed"), text("reason"), outcome.name().to_owned(), text("errno")];
        self.dna.roll("0", parts.iter().map(String::as_str));
        let errno = call.get("errno").and_then(Value::as_str);
        let tid = u32::try_from(number("tid")).unwrap_or(0);
        self.count(tid, &name, outcome, errno, (number("start_ns"), number("duration_ns")));
    }

    fn signal(&mut self, signo: u32) {
        let name = observer_model::signal_name(signo).map_or_else(|| format!("SIG{signo}"), |n| n.to_string());
        *self.signals.entry(name).or_insert(0) += 1;
    }

    fn finish(self) -> Value {
        let total = |t: &Tally| t.outcomes.iter().sum::<u64>();
        let mut outcomes = [0u64; 5];
        let mut counts = Map::new();
        for (name, tally) in &self.names {
            outcomes.iter_mut().zip(tally.outcomes).for_each(|(sum, n)| *sum += n);
            let mut row: Map<String, Value> = Map::new();
            for outcome in Outcome::ALL {
                row.insert(outcome.name().to_owned(), json!(tally.outcomes[outcome as usize]));
            }
            row.insert("total_ns".to_owned(), json!(tally.total_ns));
            counts.insert(name.clone(), Value::Object(row));
        }
        let outcomes: Map<String, Value> =
            Outcome::ALL.iter().map(|o| (o.name().to_owned(), json!(outcomes[*o as usize]))).collect();
        let (rolling, threads) = self.dna.finish();
        json!({
            "dna": {
                "rolling": rolling, "threads": threads,
                "syscall_entropy_bits": entropy(self.names.values().map(total)),
                "bigram_entropy_bits": entropy(self.bigrams.values().copied()),
            },
            "counts": counts, "outcomes": outcomes, "errnos": self.errnos, "signals": self.signals,
            "first_ns": self.span.map(|s| s.0), "last_ns": self.span.map(|s| s.1),
        })
    }
}

/// Reads every sealed chunk once and returns what `RecordingReader.digest` documents.
pub fn digest(reader: &RecordingReader) -> Result<Value, RecordingError> {
    let mut pass = Pass {
        arch: reader.arch().unwrap_or(Arch::X86_64),
        places: Places::of(reader)?,
        dna: Dna::new(reader.start.get("identity")),
        names: BTreeMap::new(),
        bigrams: HashMap::new(),
        last_name: HashMap::new(),
        errnos: BTreeMap::new(),
        signals: BTreeMap::new(),
        span: None,
    };
    for line in &reader.chunks {
        let (header, payload) = reader.chunk(line)?;
        match header.kind {
            Kind::Records => records(&mut pass, &payload, &header)?,
            Kind::Calls => embedder_calls(&mut pass, &payload)?,
            Kind::Blob | Kind::Replay => {}
            Kind::Typed => typed_calls(&mut pass, &reader.table, &payload)?,
        }
    }
    Ok(pass.finish())
}

fn records(pass: &mut Pass, payload: &[u8], header: &Header) -> Result<(), RecordingError> {
    for record in ChunkDecoder::new(payload, header) {
        match record.map_err(|e| RecordingError::Malformed(format!("a record: {e}")))? {
            Record::Call(call) => pass.call(&call),
            Record::Signal(signal) => pass.signal(signal.signo),
        }
    }
    Ok(())
}

fn typed_calls(pass: &mut Pass, table: &CallTable, payload: &[u8]) -> Result<(), RecordingError> {
    for call in typed::calls(payload) {
        pass.embedder(&table.json(&call?));
    }
    Ok(())
}

fn embedder_calls(pass: &mut Pass, payload: &[u8]) -> Result<(), RecordingError> {
    for line in payload.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let call: Value =
            serde_json::from_slice(line).map_err(|e| RecordingError::Malformed(format!("a call is not JSON: {e}")))?;
        pass.embedder(&call);
    }
    Ok(())
}
