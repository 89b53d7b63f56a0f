// SPDX-License-Identifier: Apache-2.0
//! How threads and processes come, change and go.

use crate::engine::sys;
use crate::error::ReplayError;
use crate::record::outputs::bytes_at;
use crate::record::task::{State, Task};
use crate::record::tracer::Tracer;
use crate::stream::{Death, Effect, Fork, TaskId, What};
use observer_capture::procfs;
use observer_capture::sys::{Tid, Wait};
use observer_evidence::Severity;
use observer_model::{flags, Record};
use serde_json::json;

const CLONE_VM: u64 = libc::CLONE_VM as u64;
const CLONE_VFORK: u64 = libc::CLONE_VFORK as u64;
const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;
const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;
const CLONE_PARENT_SETTID: u64 = libc::CLONE_PARENT_SETTID as u64;
const CLONE_CHILD_SETTID: u64 = libc::CLONE_CHILD_SETTID as u64;
const CLONE_CHILD_CLEARTID: u64 = libc::CLONE_CHILD_CLEARTID as u64;
/// A robust list is followed up to this many entries. Source: linux/futex.h, ROBUST_LIST_LIMIT.
const ROBUST_MAX: usize = 2048;
/// More touched memory than this is not summed up at the end of a process.
pub const CHECK_LIMIT: u64 = 64 << 20;

impl Tracer<'_> {
    /// Flags of the clone-like call that `parent` is in, and its pointers to thread ids.
    fn clone_facts(&self, parent: Tid) -> (u64, u64, u64) {
        let Some(call) = self.tasks.get(&parent).and_then(|t| t.call.as_ref()) else { return (0, 0, 0) };
        match i64::from(call.nr) {
            libc::SYS_clone => (call.args[0], call.args[2], call.args[3]),
            libc::SYS_vfork => (CLONE_VM | CLONE_VFORK, 0, 0),
            libc::SYS_clone3 => {
                let head = bytes_at(parent, call.args[0], 32);
                let word = |at: usize| head.get(at..).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
                (word(0), word(24), word(16)) // struct clone_args: flags, pidfd, child_tid, parent_tid
            }
            _ => (0, 0, 0),
        }
    }

    pub(super) fn born(&mut self, parent: Tid) -> Result<(), ReplayError> {
        let child = sys::event_message(parent).ok().and_then(|id| Tid::try_from(id).ok());
        let Some(child) = child.filter(|id| !self.tasks.contains_key(id)) else { return self.go_on(parent, 0) };
        if !self.early.remove(&child) && !self.take_stop(child) {
            match sys::wait_for(child) {
                Ok(Wait::Stopped(..)) => {}
                _ => return self.go_on(parent, 0), // killed before its first instruction: nobody saw it
            }
        }
        let (bits, parent_word, child_word) = self.clone_facts(parent);
        let (id, space, own) = (self.next_task, self.next_space, bits & CLONE_VM == 0);
        self.next_task += 1;
        self.next_space += u32::from(own);
        let Some(maker) = self.tasks.get(&parent) else { return Ok(()) };
        let thread = bits & CLONE_THREAD != 0;
        let mut task = maker.child(id, child, thread, if own { space } else { maker.space });
        task.parent = if bits & CLONE_PARENT != 0 && !thread { maker.parent } else { task.parent };
        task.clear_tid = if bits & CLONE_CHILD_CLEARTID != 0 { child_word } else { 0 };
        task.boundary = sys::registers(child).map_err(ReplayError::io("read registers"))?;
        let effects = ids_written((bits, parent_word, child_word), parent, child, maker.id);
        let fork = Fork {
            child: id,
            tid: child.unsigned_abs(),
            pid: task.pid.unsigned_abs(),
            shares_memory: !own,
            regs: task.boundary,
            effects,
        };
        self.emitter.event(maker.id, What::Fork(Box::new(fork)));
        self.pinning.add(child);
        let space = task.space;
        self.tasks.insert(child, task);
        if !own && bits & CLONE_VFORK == 0 {
            self.tasks.values_mut().filter(|other| other.space == space).for_each(|other| other.own_stacks = true);
        }
        self.ready.push_back(child);
        let what = if thread { "thread_start" } else { "start" };
        self.line(child, what, json!({"how": how(bits), "parent_tid": parent}), false);
        if bits & CLONE_VFORK != 0 && self.running == Some(parent) {
            self.running = None; // the kernel holds it until the child executes or exits
        }
        self.go_on(parent, 0)
    }

    pub(super) fn executed(&mut self, tid: Tid) -> Result<(), ReplayError> {
        let former = sys::event_message(tid).ok().and_then(|id| Tid::try_from(id).ok()).unwrap_or(tid);
        if former != tid {
            self.take_over(former, tid);
        }
        if let Some(what) = procfs::foreign_elf(&format!("/proc/{tid}/exe")) {
            self.mark(tid, &format!("it executed a {what} program, which is not recorded"));
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return self.go_on(tid, 0) };
        if let Some(call) = &mut task.call {
            call.executed = true;
        }
        let extra = if former == tid { json!({}) } else { json!({"from_tid": former}) };
        self.line(tid, "exec", extra, true);
        self.go_on(tid, 0)
    }

    /// exec from another thread: it takes over the leader's id, and the leader is no more.
    fn take_over(&mut self, former: Tid, tid: Tid) {
        let Some(mut task) = self.tasks.remove(&former) else { return };
        self.pinning.remove(former);
        if let Some(leader) = self.tasks.remove(&tid).filter(|leader| leader.state != State::Stopped && !leader.dead) {
            let death = Death { exit_code: None, signal: Some(libc::SIGKILL), effects: Vec::new(), fault: false };
            self.emitter.event(leader.id, What::Death(death));
        }
        task.tid = tid;
        if let Some(call) = &mut task.call {
            call.record.tid = tid.unsigned_abs();
        }
        self.tasks.insert(tid, task);
        if self.running == Some(former) {
            self.running = Some(tid);
        }
        self.ready.retain(|ready| *ready != tid);
    }

    /// What must be done when a thread is about to make this call.
    pub(super) fn at_entry(&mut self, tid: Tid, nr: u32, _args: &[u64; 6]) -> Result<(), ReplayError> {
        if matches!(i64::from(nr), libc::SYS_exit_group | libc::SYS_exit | libc::SYS_execve | libc::SYS_execveat) {
            self.emitter.force();
            self.prepare_end(tid);
            if i64::from(nr) == libc::SYS_exit_group {
                self.check(tid);
            }
        } else {
            self.check_now_and_then(tid);
        }
        Ok(())
    }

    /// Addresses of the words that the kernel changes when this thread ends. Source: set_tid_address(2), get_robust_list(2).
    fn words_at_end(task: &Task, reader: Tid) -> Vec<u64> {
        let mut words = Vec::new();
        let read = |address: u64| bytes_at(reader, address, 8).first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        if task.robust != 0 {
            let offset = read(task.robust + 8).unwrap_or(0);
            let mut entry = read(task.robust).unwrap_or(task.robust) & !1;
            while entry != task.robust && words.len() < ROBUST_MAX && entry != 0 {
                words.push(entry.wrapping_add(offset));
                entry = read(entry).unwrap_or(task.robust) & !1;
            }
            words.extend(read(task.robust + 16).filter(|entry| *entry != 0).map(|entry| (entry & !1).wrapping_add(offset)));
        }
        if task.clear_tid != 0 {
            words.push(task.clear_tid);
        }
        words
    }

    /// Notes, while the thread still has memory, what will change when it ends.
    pub(super) fn prepare_end(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        task.at_end = Self::words_at_end(task, tid);
        if task.shares && !task.at_end.is_empty() {
            task.at_end_shared = task.at_end.iter().filter_map(|word| self.objects.abandoned(tid, *word)).collect();
        }
    }

    fn effects_of_end(&self, task: &Task) -> Vec<Effect> {
        let Some(other) = self.tasks.values().find(|other| other.space == task.space && other.tid != task.tid && !other.dead)
        else {
            let killed = task.at_end.is_empty() && task.robust != 0 && task.shares;
            let other = self.tasks.values().find(|other| killed && other.shares && other.tid != task.tid && !other.dead);
            return other.map_or_else(|| task.at_end_shared.clone(), |other| self.objects.marked_dead(other.tid));
        };
        // One that was killed had no call in which to note them.
        let words = if task.at_end.is_empty() { Self::words_at_end(task, other.tid) } else { task.at_end.clone() };
        words.iter().map(|address| Effect::MemoryOf(other.id, *address, bytes_at(other.tid, *address, 4))).collect()
    }

    /// The first thread of a process has exited while others go on; the kernel tells of its end only with theirs.
    pub(super) fn leader_left(&mut self, tid: Tid) {
        self.running = None;
        let others =
            self.tasks.values().any(|other| other.tid != tid && self.tasks.get(&tid).is_some_and(|t| t.pid == other.pid));
        let Some(task) = self.tasks.get(&tid).filter(|task| !task.dead && others) else { return };
        let effects = self.effects_of_end(task);
        self.emitter.event(task.id, What::Death(Death { exit_code: Some(0), signal: None, effects, fault: false }));
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.dead = true;
        }
    }

    pub(super) fn ended(&mut self, tid: Tid, exit_code: Option<i32>, signal: Option<i32>, core: bool) {
        self.pinning.remove(tid);
        self.ready.retain(|ready| *ready != tid);
        let Some(mut task) = self.tasks.remove(&tid) else { return };
        if let Some(mut call) = task.call.take() {
            call.record.flags |= flags::NO_RESULT;
            call.record.duration_ns = sys::monotonic_ns().saturating_sub(call.record.start_ns);
            self.recorder.push(&Record::Call(*call.record));
        }
        if self.armed && !task.dead && self.emitter.count > 0 {
            let effects = self.effects_of_end(&task);
            self.emitter.event(task.id, What::Death(Death { exit_code, signal, effects, fault: task.fatal_fault }));
        }
        let facts = match (exit_code, signal) {
            (Some(code), _) => json!({"exit_code": code}),
            (_, signal) => json!({"signal": signal, "core": core}),
        };
        let (what, facts) = if task.pid == tid { ("exit", facts) } else { ("thread_exit", json!({})) };
        self.tasks.insert(tid, task);
        self.line(tid, what, facts, false);
        self.tasks.remove(&tid);
        if self.running == Some(tid) {
            self.running = None;
        }
        if tid == self.root {
            observer_capture::forward::Forwarding::forget();
            (self.outcome.exit_code, self.outcome.signal) = (exit_code, signal);
        }
    }

    /// Says, once, that replay cannot be sure of something; in the stream and in the log.
    pub(super) fn mark(&mut self, tid: Tid, reason: &str) {
        if !self.marked.insert(reason.to_owned()) {
            return;
        }
        let (id, pid) = self.tasks.get(&tid).map_or((0, tid), |task| (task.id, task.pid));
        self.emitter.event(id, What::Note(reason.to_owned()));
        let line = json!({"type": "replay_mark", "pid": pid, "tid": tid, "at_ns": sys::monotonic_ns(), "reason": reason});
        self.recorder.push_line(line.to_string().into_bytes(), Severity::Warning);
    }
}

/// What the kernel wrote into the memory of both at a clone. Source: clone(2), CLONE_PARENT_SETTID and CLONE_CHILD_SETTID.
fn ids_written((bits, parent_word, child_word): (u64, u64, u64), parent: Tid, child: Tid, maker: TaskId) -> Vec<Effect> {
    let mut effects = Vec::new();
    if bits & CLONE_PARENT_SETTID != 0 && parent_word != 0 {
        effects.push(Effect::MemoryOf(maker, parent_word, bytes_at(parent, parent_word, 4)));
    }
    if bits & CLONE_CHILD_SETTID != 0 && child_word != 0 {
        effects.push(Effect::Memory(child_word, bytes_at(child, child_word, 4)));
    }
    effects
}

fn how(bits: u64) -> &'static str {
    match (bits & CLONE_VFORK != 0, bits == 0) {
        (true, _) => "vfork",
        (_, true) => "fork",
        _ => "clone",
    }
}
