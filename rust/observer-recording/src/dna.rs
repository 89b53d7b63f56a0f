// SPDX-License-Identifier: Apache-2.0
//! The DNA of a trace: a digest that is the same for equal runs of a deterministic program. It leaves out what differs between
//! equal runs: times, addresses, and the numbers of processes, which it replaces by each thread's place in the tree.

use crate::error::RecordingError;
use crate::reader::{log_path, RecordingReader};
use observer_evidence::read_lines;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

type Hash = [u8; 32];

fn hex(hash: &Hash) -> String {
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// Each thread's place in the tree: "0" the first, "0.1" the second child it started, …
#[derive(Default)]
pub struct Places {
    /// Thread id → (from when, place); a thread id may be used again.
    by_tid: HashMap<u32, Vec<(u64, String)>>,
    children: HashMap<String, u32>,
}

impl Places {
    /// Reads the process lines of a recording.
    pub fn of(reader: &RecordingReader) -> Result<Places, RecordingError> {
        let mut places = Places::default();
        for line in read_lines(&log_path(reader.dir()))? {
            let line = line?;
            if line.kind.is_some() || !line.event.windows(7).any(|w| w == b"process") {
                continue;
            }
            if let Ok(event) = serde_json::from_slice::<Value>(&line.event) {
                places.add(&event);
            }
        }
        Ok(places)
    }

    fn add(&mut self, event: &Value) {
        let number = |key: &str| event.get(key).and_then(Value::as_u64);
        let what = event.get("what").and_then(Value::as_str).unwrap_or("");
        let (Some(tid), Some(at)) = (number("tid"), number("at_ns")) else { return };
        if !matches!(what, "start" | "thread_start") {
            return;
        }
        let narrow = |n: u64| u32::try_from(n).unwrap_or(0);
        let place = match number("parent_tid").and_then(|p| self.place(narrow(p), at)) {
            Some(parent) => {
                let parent = parent.to_owned();
                let nth = self.children.entry(parent.clone()).or_insert(0);
                *nth += 1;
                format!("{parent}.{}", *nth - 1)
            }
            None => "0".to_owned(),
        };
        self.by_tid.entry(narrow(tid)).or_default().push((at, place));
    }

    /// The place of the thread that had this id at that time.
    #[must_use]
    pub fn place(&self, tid: u32, at: u64) -> Option<&str> {
        let lives = self.by_tid.get(&tid)?;
        let life = lives.iter().rev().find(|(from, _)| *from <= at).or(lives.first());
        life.map(|(_, place)| place.as_str())
    }
}

/// The part of an identity that is the same in every run: who, not which request.
#[must_use]
pub fn identity_digest(identity: Option<&Value>) -> Hash {
    let mut hasher = Sha256::new();
    for key in ["tenant_id", "user_id", "agent_id", "roles", "trust_vector"] {
        let value = identity.and_then(|i| i.get(key)).unwrap_or(&Value::Null);
        hasher.update(key.as_bytes());
        hasher.update(value.to_string().as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

/// Rolls one hash per thread and combines them at the end.
pub struct Dna {
    identity: Hash,
    threads: BTreeMap<String, (Hash, u64)>,
}

impl Dna {
    /// Starts for an identity.
    #[must_use]
    pub fn new(identity: Option<&Value>) -> Dna {
        Dna { identity: identity_digest(identity), threads: BTreeMap::new() }
    }

    /// Rolls one call into its thread's hash: `parts` are name, stable arguments, decision and outcome.
    pub fn roll<'a>(&mut self, place: &str, parts: impl Iterator<Item = &'a str>) {
        let identity = self.identity;
        if !self.threads.contains_key(place) {
            self.threads.insert(place.to_owned(), (identity, 0));
        }
        let Some((hash, calls)) = self.threads.get_mut(place) else { return };
        let mut hasher = Sha256::new();
        hasher.update(*hash);
        for part in parts {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        *hash = hasher.finalize().into();
        *calls += 1;
    }

    /// All threads in one hash, and each thread's own.
    #[must_use]
    pub fn finish(&self) -> (String, Vec<Value>) {
        let mut all = Sha256::new();
        all.update(self.identity);
        let mut threads = Vec::new();
        for (place, (hash, calls)) in &self.threads {
            all.update(place.as_bytes());
            all.update([0]);
            all.update(hash);
            threads.push(serde_json::json!({"place": place, "calls": calls, "digest": hex(hash)}));
        }
        (hex(&all.finalize().into()), threads)
    }
}
