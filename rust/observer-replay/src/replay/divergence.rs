// SPDX-License-Identifier: Apache-2.0
//! The first difference between a replay and its recording.

use crate::engine::{maps, stub};
use crate::error::ReplayError;
use crate::regs::{Regs, CHECKED, NAMES};
use crate::replay::body::Body;
use crate::replay::session::Session;
use crate::stream::{Death, TaskId};
use serde_json::{json, Map, Value};

/// With `keep_going`, so many differences are kept.
const MOST_DIFFERENCES: usize = 100;

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
    /// The page of memory that the first differing register points to, or else the first argument that is an address.
    pub page: Option<(u64, Vec<u8>)>,
}

/// Memory that tells most: where a differing register points to, or an argument of the call, or the top of the stack.
#[must_use]
pub fn page_of(body: &Body, expected: Option<&Regs>) -> Option<(u64, Vec<u8>)> {
    let differs = |at: &usize| expected.is_some_and(|regs| regs.0[*at] != body.regs.0[*at]);
    let differing = CHECKED.iter().copied().filter(differs).map(|at| body.regs.0[at]);
    let candidates = differing.chain(body.regs.args()).chain([body.regs.rsp()]).map(|address| address & !0xfff);
    let read = |start: u64| (start, body.read(start, 4096));
    candidates.filter(|start| *start != 0).map(read).find(|(_, bytes)| !bytes.is_empty())
}

fn call(regs: &Regs) -> Value {
    let name = observer_model::lookup(observer_model::Arch::X86_64, regs.nr()).map_or("unknown", |call| call.name);
    json!({"name": name, "args": regs.args().map(|arg| format!("{arg:#x}"))})
}

fn memory(part: &Option<(u64, Vec<u8>)>) -> Value {
    part.as_ref().map_or(Value::Null, |(address, bytes)| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"address": format!("{address:#x}"), "bytes": hex})
    })
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
            "event": self.event, "task": self.task, "tid": self.tid, "what": self.what, "message": self.to_string(), "differing": self.registers(),
            "expected": self.expected.as_ref().map(words), "actual": self.actual.as_ref().map(words),
            "expected_call": self.expected.as_ref().map(call), "actual_call": self.actual.as_ref().map(call),
            "stack": memory(&self.stack), "page": memory(&self.page),
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

impl Session {
    fn divergence(&self, task: TaskId, what: impl Into<String>, expected: Option<Regs>) -> Divergence {
        let body = self.bodies.get(&task);
        Divergence {
            event: self.position,
            task,
            tid: body.map_or(0, |body| body.tid),
            what: what.into(),
            expected,
            actual: body.map(|body| body.regs),
            page: body.and_then(|body| page_of(body, expected.as_ref())),
            stack: body.map(|body| {
                let start = body.regs.rsp() & !0xf;
                (start, body.read(start, 256))
            }),
        }
    }

    /// A process that ends itself ends with the status it asks for; with threads, another one may have asked as well.
    pub(super) fn ends_as_recorded(&mut self, task: TaskId, death: &Death) -> Result<(), ReplayError> {
        let Some(status) = death.exit_code else { return Ok(()) };
        let body = self.body(task)?;
        let (asked, pid) = (i32::try_from(body.call.1[0] & 0xff).unwrap_or(0), body.pid);
        let asks = body.in_call && i64::from(body.call.0) == libc::SYS_exit_group;
        if !asks || asked == status || self.threaded.contains(&pid) {
            return Ok(());
        }
        self.differs(task, format!("it ends with status {asked} where {status} was recorded"), None)
    }

    pub(super) fn diverged(&mut self, task: TaskId, what: impl Into<String>, expected: Option<Regs>) -> ReplayError {
        ReplayError::Diverged(Box::new(self.divergence(task, what, expected)))
    }

    /// A difference at which the replay can go on, when it was told to.
    pub(super) fn differs(&mut self, task: TaskId, what: impl Into<String>, expected: Option<Regs>) -> Result<(), ReplayError> {
        let difference = self.divergence(task, what, expected);
        if !self.options.keep_going {
            return Err(ReplayError::Diverged(Box::new(difference)));
        }
        if self.differences.len() < MOST_DIFFERENCES {
            self.differences.push(difference);
        }
        Ok(())
    }

    /// A checksum of memory.
    pub(super) fn check(&mut self, task: TaskId, sum: u64) -> Result<(), ReplayError> {
        let body = self.body(task)?;
        let (real, rsp) = (body.real, body.regs.rsp());
        let found = maps::checksum(real, &[(stub::BASE, stub::END)], u64::MAX, rsp)
            .map_err(ReplayError::io("sum up the replay's memory"))?;
        self.checks += 1;
        if found != Some(sum) && !self.same_cpu {
            self.notes.push("memory is not compared: the CPU of the recording is not available here".to_owned());
        } else if found != Some(sum) && !self.modified {
            return self.differs(task, "the content of its memory differs", None);
        }
        Ok(())
    }
}
