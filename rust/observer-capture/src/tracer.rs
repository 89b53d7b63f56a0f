// SPDX-License-Identifier: Apache-2.0
//! The tracer's loop: waits for stops of the process tree and turns them into records. Source: ptrace(2).

use crate::config::{ARCH, AUDIT_ARCH};
use crate::error::CaptureError;
use crate::memory::{Fetcher, Limits};
use crate::pinning::Pinning;
use crate::procfs;
use crate::sys::{self, SyscallStop, Tid, Wait};
use crate::task::{How, Task};
use observer_evidence::Severity;
use observer_model::{flags, Record, SignalRecord, SyscallRecord, When};
use observer_recording::Recorder;
use serde_json::{json, Map, Value};
use std::collections::{HashMap, HashSet};
use std::io;

const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;
const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;

/// How the traced command ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Exit status, when it exited.
    pub exit_code: Option<i32>,
    /// Signal, when one killed it.
    pub signal: Option<i32>,
    /// Calls through the 32-bit entry (int 0x80), which were not recorded.
    pub foreign_calls: u64,
}

/// Follows one process tree.
pub struct Tracer<'a> {
    recorder: &'a Recorder,
    pinning: Pinning,
    limits: Limits,
    root: Tid,
    filtered: bool,
    tasks: HashMap<Tid, Task>,
    /// New threads whose first stop came before their parent told us of them.
    early: HashSet<Tid>,
    /// Nothing is recorded before the command's own execve.
    armed: bool,
    /// Recording has failed: every thread is let go at its next stop.
    letting_go: bool,
    outcome: Outcome,
    scratch: Box<[u8; 4096]>,
}

impl<'a> Tracer<'a> {
    /// A tracer for the seized, stopped child `root`.
    pub fn new(recorder: &'a Recorder, pinning: Pinning, limits: Limits, root: Tid, filtered: bool) -> Self {
        pinning.add(root);
        Tracer {
            recorder,
            pinning,
            limits,
            root,
            filtered,
            tasks: HashMap::from([(root, Task::new(root, std::process::id().cast_signed()))]),
            early: HashSet::new(),
            armed: false,
            letting_go: false,
            outcome: Outcome::default(),
            scratch: Box::new([0; 4096]),
        }
    }

    /// Runs until the last traced thread has ended.
    pub fn run(mut self) -> Result<Outcome, CaptureError> {
        self.line(self.root, "start", json!({"how": How::Initial.name()}), true);
        loop {
            let (tid, what) = match sys::wait_any() {
                Ok(found) => found,
                Err(e) if e.raw_os_error() == Some(libc::EINTR) => continue,
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(self.outcome),
                Err(e) => return Err(CaptureError::io("wait for the program")(e)),
            };
            self.pinning.stop();
            match what {
                Wait::Exited(code) => self.ended(tid, Some(code), None, false),
                Wait::Signaled(signal, core) => self.ended(tid, None, Some(signal), core),
                Wait::Stopped(signal, event) => self.stopped(tid, signal, event),
                Wait::Other => {}
            }
        }
    }

    fn stopped(&mut self, tid: Tid, signal: i32, event: i32) {
        if self.letting_go {
            let deliver = if event == 0 && signal != SYSCALL_STOP { signal } else { 0 };
            let _ = sys::detach(tid, deliver);
            return;
        }
        if !self.tasks.contains_key(&tid) {
            self.early.insert(tid);
            return; // stays stopped until its parent's event names it
        }
        match event {
            0 if signal == SYSCALL_STOP => self.syscall(tid),
            0 => self.signal(tid, signal),
            libc::PTRACE_EVENT_SECCOMP => self.syscall(tid),
            libc::PTRACE_EVENT_FORK => self.born(tid, How::Fork),
            libc::PTRACE_EVENT_VFORK => self.born(tid, How::Vfork),
            libc::PTRACE_EVENT_CLONE => self.born(tid, How::Clone),
            libc::PTRACE_EVENT_EXEC => self.executed(tid),
            libc::PTRACE_EVENT_STOP => self.group_stop(tid, signal),
            _ => self.go_on(tid, 0),
        }
    }

    /// Resumes a thread to where it next concerns us. A thread that is gone meanwhile will say so itself.
    fn go_on(&self, tid: Tid, signal: i32) {
        let in_call = self.tasks.get(&tid).is_some_and(|t| t.call.is_some());
        let _ =
            if self.filtered && !in_call && self.armed { sys::resume(tid, signal) } else { sys::resume_to_syscall(tid, signal) };
    }

    fn syscall(&mut self, tid: Tid) {
        match sys::syscall_stop(tid) {
            Ok(SyscallStop::Entry(arch, nr, args)) => self.entry(tid, arch, nr, args),
            Ok(SyscallStop::Exit(result)) => self.exit(tid, result),
            Ok(SyscallStop::None) | Err(_) => {}
        }
        self.go_on(tid, 0);
    }

    fn entry(&mut self, tid: Tid, arch: u32, nr: u64, args: [u64; 6]) {
        let nr = u32::try_from(nr).unwrap_or(u32::MAX);
        if !self.armed && i64::from(nr) == libc::SYS_execve {
            self.armed = true;
        }
        if !self.armed {
            return;
        }
        self.abandon(tid);
        if arch != AUDIT_ARCH {
            self.outcome.foreign_calls += 1;
            return;
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let (utid, pid) = (tid.unsigned_abs(), task.pid.unsigned_abs());
        let mut call = Box::new(SyscallRecord { tid: utid, pid, nr, args, ..SyscallRecord::default() });
        if let Some(known) = observer_model::lookup(ARCH, nr) {
            Fetcher::new(tid, self.limits, &mut call, &mut self.scratch).run(known.fetches, When::Entry);
        }
        call.start_ns = sys::monotonic_ns();
        task.call = Some(call);
    }

    fn exit(&mut self, tid: Tid, result: i64) {
        let now = sys::monotonic_ns();
        let Some(mut call) = self.tasks.get_mut(&tid).and_then(|t| t.call.take()) else { return };
        call.duration_ns = now.saturating_sub(call.start_ns);
        call.result = result;
        if (-516..=-512).contains(&result) {
            call.flags |= flags::RESTARTED;
        }
        self.keep_affinity_hidden(tid, &call);
        if let Some(known) = observer_model::lookup(ARCH, call.nr) {
            Fetcher::new(tid, self.limits, &mut call, &mut self.scratch).run(known.fetches, When::Exit);
        }
        self.keep(*call);
    }

    fn keep(&mut self, call: SyscallRecord) {
        if !self.recorder.push(&Record::Call(call)) {
            self.let_go();
        }
    }

    /// Keeps a call that will not return: its thread died or went on without an exit stop.
    fn abandon(&mut self, tid: Tid) {
        let Some(mut call) = self.tasks.get_mut(&tid).and_then(|t| t.call.take()) else { return };
        call.flags |= flags::NO_RESULT;
        call.duration_ns = sys::monotonic_ns().saturating_sub(call.start_ns);
        self.keep(*call);
    }

    /// While pinned, the program must see its own CPU mask; and who sets a mask is left alone from then on.
    fn keep_affinity_hidden(&mut self, tid: Tid, call: &SyscallRecord) {
        let target = if call.args[0] == 0 { tid } else { Tid::try_from(call.args[0]).unwrap_or(0) };
        let nr = i64::from(call.nr);
        if nr == libc::SYS_sched_getaffinity && call.result > 0 && self.pinning.active() {
            if self.tasks.get(&target).is_some_and(|t| !t.own_affinity) {
                let mask = self.pinning.own;
                let size = usize::try_from(call.result).unwrap_or(0).min(mask.bytes().len());
                sys::write_memory(tid, call.args[2], &mask.bytes()[..size]);
            }
        } else if nr == libc::SYS_sched_setaffinity && call.result == 0 {
            if let Some(task) = self.tasks.get_mut(&target) {
                task.own_affinity = true;
                self.pinning.remove(target);
            }
        }
    }

    fn signal(&mut self, tid: Tid, signal: i32) {
        if !self.armed && signal == libc::SIGSTOP {
            return self.go_on(tid, 0); // our own gate, see sys::fork_stopped
        }
        let info = sys::signal_info(tid).unwrap_or_default();
        let pid = self.tasks.get(&tid).map_or(tid, |t| t.pid);
        let record = SignalRecord {
            tid: tid.unsigned_abs(),
            pid: pid.unsigned_abs(),
            start_ns: sys::monotonic_ns(),
            signo: signal.unsigned_abs(),
            code: info.code,
            sender_pid: info.pid,
            sender_uid: info.uid,
        };
        if !self.recorder.push(&Record::Signal(record)) {
            self.let_go();
        }
        self.go_on(tid, signal);
    }

    /// A job-control stop stays a stop; the first stop of a new thread is over.
    fn group_stop(&mut self, tid: Tid, signal: i32) {
        if !matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) {
            return self.go_on(tid, 0);
        }
        let _ = sys::listen(tid);
        if tid == self.root && signal != libc::SIGSTOP && sys::in_foreground() {
            sys::stop_self(); // so that the shell gets its terminal back
        }
    }

    fn born(&mut self, parent: Tid, how: How) {
        let Some(child) = sys::event_message(parent).ok().and_then(|m| Tid::try_from(m).ok()) else {
            return self.go_on(parent, 0);
        };
        if self.tasks.contains_key(&child) {
            return self.go_on(parent, 0); // adopted meanwhile
        }
        let (how, clone_flags) = self.clone_facts(parent, how);
        let (pid, grandparent, own) = self.tasks.get(&parent).map_or((parent, 0, false), |t| (t.pid, t.parent, t.own_affinity));
        let thread = clone_flags & CLONE_THREAD != 0;
        let mut task = match (thread, clone_flags & CLONE_PARENT != 0) {
            (true, _) => Task::new(pid, grandparent),
            (false, true) => Task::new(child, grandparent),
            (false, false) => Task::new(child, pid),
        };
        task.own_affinity = own;
        if !own {
            self.pinning.add(child);
        }
        self.tasks.insert(child, task);
        let what = if thread { "thread_start" } else { "start" };
        self.line(child, what, json!({"how": how.name(), "parent_tid": parent}), false);
        self.go_on(parent, 0); // first, as it would go on first without us
        if self.early.remove(&child) {
            self.go_on(child, 0);
        }
    }

    /// The call that made the child, and its flags as far as they tell threads from processes.
    fn clone_facts(&self, parent: Tid, how: How) -> (How, u64) {
        let Some(call) = self.tasks.get(&parent).and_then(|t| t.call.as_ref()) else { return (how, 0) };
        match i64::from(call.nr) {
            libc::SYS_clone => (if how == How::Clone { how } else { How::Clone }, call.args[0]),
            libc::SYS_clone3 => {
                let mut word = [0u8; 8];
                sys::read_memory(parent, call.args[0], &mut word);
                (How::Clone3, u64::from_le_bytes(word))
            }
            _ => (how, 0),
        }
    }

    fn executed(&mut self, tid: Tid) {
        let former = sys::event_message(tid).ok().and_then(|m| Tid::try_from(m).ok()).unwrap_or(tid);
        if former != tid {
            // exec from another thread: it takes over the leader's id, and the call it is in comes along
            if let Some(mut task) = self.tasks.remove(&former) {
                self.abandon(tid);
                if let Some(call) = &mut task.call {
                    call.tid = tid.unsigned_abs();
                }
                self.pinning.remove(former);
                self.tasks.insert(tid, task);
            }
        }
        let exe = format!("/proc/{tid}/exe");
        if let Some(what) = procfs::foreign_elf(&exe) {
            return self.refuse_foreign(tid, &what);
        }
        let extra = if former == tid { json!({}) } else { json!({"from_tid": former}) };
        self.line(tid, "exec", extra, true);
        self.go_on(tid, 0);
    }

    /// A program of another ABI runs on, unrecorded; that is a loss, and is sealed as one.
    fn refuse_foreign(&mut self, tid: Tid, what: &str) {
        self.line(tid, "exec", json!({"abi": what}), true);
        let pid = self.tasks.get(&tid).map_or(tid, |t| t.pid);
        let loss = json!({
            "type": "loss", "what": "process", "count": 1, "pid": pid, "at_ns": sys::monotonic_ns(),
            "reason": format!("{what} program: its calls are not recorded"),
        });
        self.recorder.push_line(loss.to_string().into_bytes(), Severity::Warning);
        self.abandon(tid);
        self.pinning.remove(tid);
        if tid != self.root {
            self.tasks.remove(&tid);
        }
        let _ = sys::detach(tid, 0);
    }

    fn ended(&mut self, tid: Tid, exit_code: Option<i32>, signal: Option<i32>, core: bool) {
        self.abandon(tid);
        self.pinning.remove(tid);
        self.adopt_early();
        let Some(task) = self.tasks.remove(&tid) else { return };
        if task.pid != tid {
            self.thread_line(tid, task.pid, "thread_exit");
            return;
        }
        let mut facts = json!({});
        match (exit_code, signal) {
            (Some(code), _) => facts["exit_code"] = json!(code),
            (_, signal) => {
                facts["signal"] = json!(signal);
                facts["core"] = json!(core);
            }
        }
        self.tasks.insert(tid, task);
        self.line(tid, "exit", facts, false);
        self.tasks.remove(&tid);
        if tid == self.root {
            crate::forward::Forwarding::forget();
            self.outcome.exit_code = exit_code;
            self.outcome.signal = signal;
        }
    }

    /// A thread died, perhaps before it could tell of its child: children that wait for their parent's word wait no longer.
    fn adopt_early(&mut self) {
        for child in std::mem::take(&mut self.early) {
            let (pid, parent) = procfs::family(child).unwrap_or((child, 0));
            self.pinning.add(child);
            self.tasks.insert(child, Task::new(pid, parent));
            let what = if pid == child { "start" } else { "thread_start" };
            self.line(child, what, json!({"how": "unknown"}), false);
            self.go_on(child, 0);
        }
    }

    fn thread_line(&self, tid: Tid, pid: Tid, what: &str) {
        let line = json!({"type": "process", "what": what, "pid": pid, "tid": tid, "at_ns": sys::monotonic_ns()});
        self.recorder.push_line(line.to_string().into_bytes(), Severity::Info);
    }

    /// Seals a process line; `describe` adds what /proc says.
    fn line(&self, tid: Tid, what: &str, facts: Value, describe: bool) {
        let (pid, parent) = self.tasks.get(&tid).map_or((tid, 0), |t| (t.pid, t.parent));
        let mut line: Map<String, Value> = Map::new();
        line.insert("type".into(), json!("process"));
        line.insert("what".into(), json!(what));
        line.insert("pid".into(), json!(pid));
        line.insert("tid".into(), json!(tid));
        line.insert("ppid".into(), json!(parent));
        line.insert("at_ns".into(), json!(sys::monotonic_ns()));
        if describe && what == "exec" {
            line.extend(procfs::describe(tid));
        }
        if let Value::Object(facts) = facts {
            line.extend(facts);
        }
        self.recorder.push_line(Value::Object(line).to_string().into_bytes(), Severity::Info);
    }

    /// Recording has failed: ask every thread to stop once more, so that it can be let go and run on alone.
    fn let_go(&mut self) {
        if self.letting_go {
            return;
        }
        self.letting_go = true;
        for tid in self.tasks.keys() {
            let _: io::Result<()> = sys::interrupt(*tid);
        }
    }
}
