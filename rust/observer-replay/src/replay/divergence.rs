// SPDX-License-Identifier: Apache-2.0
//! The first difference between a replay and its recording.

use crate::regs::{Regs, CHECKED, NAMES};
use crate::stream::TaskId;
use serde_json::{json, Map, Value};

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the event that was to be replayed.
    pub event: u64,
    /// The task.
    pub task: TaskId,
    /// Its thread id when it was recorded.
    pub tid: u32,
    /// What differs, one sentence.
    pub what: String,
    /// Registers that were recorded.
    pub expected: Option<Regs>,
    /// Registers that the replay has.
    pub actual: Option<Regs>,
    /// Memory around the stack pointer of the replay: address and bytes.
    pub stack: Option<(u64, Vec<u8>)>,
}

fn words(regs: &Regs) -> Value {
    let words: Map<String, Value> =
        NAMES.iter().zip(regs.0).map(|(name, word)| ((*name).to_owned(), json!(format!("{word:#x}")))).collect();
    Value::Object(words)
}

impl Divergence {
    /// Names of the checked registers that differ.
    #[must_use]
    pub fn registers(&self) -> Vec<&'static str> {
        let (Some(expected), Some(actual)) = (&self.expected, &self.actual) else { return Vec::new() };
        CHECKED.iter().filter(|at| expected.0[**at] != actual.0[**at]).map(|at| NAMES[*at]).collect()
    }

    /// All of it, for `--json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "event": self.event, "task": self.task, "tid": self.tid, "what": self.what, "differing": self.registers(),
            "expected": self.expected.as_ref().map(words), "actual": self.actual.as_ref().map(words),
            "stack": self.stack.as_ref().map(|(address, bytes)| {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                json!({"address": format!("{address:#x}"), "bytes": hex})
            }),
        })
    }
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the replay differs from the recording at event {} of thread {}: {}", self.event, self.tid, self.what)?;
        for name in self.registers().iter().take(4) {
            let at = NAMES.iter().position(|n| n == name).unwrap_or(0);
            let of = |regs: &Option<Regs>| regs.as_ref().map_or(0, |regs| regs.0[at]);
            write!(f, "; {name} {:#x} recorded, {:#x} replayed", of(&self.expected), of(&self.actual))?;
        }
        Ok(())
    }
}
