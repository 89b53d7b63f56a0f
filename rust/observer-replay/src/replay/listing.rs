// SPDX-License-Identifier: Apache-2.0
//! The events of a recording as text, without running anything: for listing and for comparing two recordings.

use crate::error::ReplayError;
use crate::regs::Regs;
use crate::replay::source::EventSource;
use crate::stream::{Entry, Exit, TaskId, What};
use serde_json::{json, Value};
use std::collections::HashMap;
use std::path::Path;

/// Walks through a stream.
pub struct Listing {
    source: EventSource,
    next: u64,
    threads: HashMap<TaskId, (u32, u32)>,
}

fn name(nr: u32) -> String {
    observer_model::lookup(observer_model::Arch::X86_64, nr).map_or_else(|| format!("call_{nr}"), |call| call.name.to_owned())
}

fn entry_json(regs: &Regs, entry: &Entry) -> Value {
    let args: Vec<String> = regs.args().iter().map(|arg| format!("{arg:#x}")).collect();
    json!({
        "nr": regs.nr(), "name": name(regs.nr()), "args": args, "rip": format!("{:#x}", regs.rip()), "rsp": format!("{:#x}", regs.rsp()),
        "regs_hash": format!("{:016x}", regs.hash()), "restarted": entry.restarted,
    })
}

fn exit_json(exit: &Exit) -> Value {
    json!({"result": exit.result, "sent": format!("{:016x}", exit.sent), "effects": exit.effects.len()})
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

impl Listing {
    /// Opens the recording in `dir`.
    pub fn open(dir: &Path) -> Result<Listing, ReplayError> {
        Ok(Listing { source: EventSource::open(dir)?, next: 0, threads: HashMap::new() })
    }

    /// The next event as an object; None at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Value>, ReplayError> {
        let Some(event) = self.source.next()? else { return Ok(None) };
        let task = event.task;
        let details = match &event.what {
            What::Call(entry, exit) => {
                let mut call = self.entry(task, entry, "call");
                merge(&mut call, exit_json(exit));
                call
            }
            What::Enter(entry) => self.entry(task, entry, "enter"),
            What::Return(exit) => {
                let mut back = json!({"kind": "return"});
                merge(&mut back, exit_json(exit));
                back
            }
            What::Signal(s) => {
                json!({"kind": "signal", "signal": s.number, "code": s.code, "fault": s.fault, "handler": format!("{:#x}", s.regs.rip())})
            }
            What::Fork(f) => {
                self.threads.insert(f.child, (f.tid, f.pid));
                json!({"kind": "fork", "child": f.child, "child_tid": f.tid, "child_pid": f.pid, "shares_memory": f.shares_memory})
            }
            What::Exec(e) => json!({"kind": "exec", "exe": e.exe, "maps": e.maps.len()}),
            What::Death(d) => json!({"kind": "death", "exit_code": d.exit_code, "signal": d.signal}),
            What::Tsc { value, .. } => json!({"kind": "tsc", "value": value}),
            What::Preempt(p) => json!({"kind": "preempt", "rip": format!("{:#x}", p.regs.rip())}),
            What::Check(sum) => json!({"kind": "check", "memory": format!("{sum:016x}")}),
            What::Meanwhile(effects) => json!({"kind": "meanwhile", "effects": effects.len()}),
            What::Random(regs) => json!({"kind": "random", "rip": format!("{:#x}", regs.rip())}),
            What::Note(reason) => json!({"kind": "note", "reason": reason}),
        };
        let (tid, pid) = self.threads.get(&task).copied().unwrap_or((0, 0));
        let mut line = json!({"n": self.next, "task": task, "tid": tid, "pid": pid, "time_ns": self.source.time_ns()});
        merge(&mut line, details);
        self.next += 1;
        Ok(Some(line))
    }

    fn entry(&mut self, task: TaskId, entry: &Entry, kind: &str) -> Value {
        let regs = self.source.decoder().entry(task, &entry.regs);
        let mut line = json!({"kind": kind});
        merge(&mut line, entry_json(&regs, entry));
        line
    }
}
