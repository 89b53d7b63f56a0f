// SPDX-License-Identifier: Apache-2.0
//! The recorder's loop. One thread of the program runs at a time; what it does between two stops depends on nothing but memory and
//! registers, so the order of stops is all that a replay needs. Source: ptrace(2).

use crate::engine::sys::{self, SYSCALL_STOP};
use crate::error::ReplayError;
use crate::record::emitter::Emitter;
use crate::record::pages::Kept;
use crate::record::special::Objects;
use crate::record::store::Store;
use crate::record::streams::Streams;
use crate::record::task::{State, Task, SLICE};
use observer_capture::memory::Limits;
use observer_capture::pinning::Pinning;
use observer_capture::sys::{Tid, Wait};
use observer_evidence::Severity;
use observer_recording::Recorder;
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// How often to look whether a thread that made a call sleeps in it.
const LOOK_EVERY: u32 = 8;

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

/// How long a process that was killed is waited for.
const DEATH: Duration = Duration::from_millis(50);

/// Follows one process tree.
pub struct Tracer<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) emitter: Emitter<'a>,
    pub(super) store: Store<'a>,
    pub(super) objects: Objects,
    pub(super) streams: Streams,
    pub(super) pinning: Pinning,
    pub(super) limits: Limits,
    pub(super) root: Tid,
    pub(super) tasks: BTreeMap<Tid, Task>,
    /// New threads whose first stop came before their parent told us of them.
    pub(super) early: HashSet<Tid>,
    /// The thread that runs, or is in a call it is not known to sleep in.
    pub(super) running: Option<Tid>,
    pub(super) ready: VecDeque<Tid>,
    pub(super) slice: Instant,
    /// Whose turn it is, and since when: it lasts over calls.
    turn: (Option<Tid>, Instant),
    stops: VecDeque<(Tid, Wait)>,
    pub(super) next_task: u32,
    pub(super) next_space: u32,
    /// Nothing is recorded before the command's own execve.
    pub(super) armed: bool,
    pub(super) outcome: Outcome,
    /// The first failure; from then on every thread is let go.
    pub(super) failed: Option<ReplayError>,
    pub(super) scratch: Box<[u8; 4096]>,
    /// Marks that were sealed already.
    pub(super) marked: HashSet<String>,
    /// Signals that were delivered where a replay has to search for the state without knowing all pages.
    pub(super) searched: u32,
    /// Threads that are held at the entry of a call.
    pub(super) held: Vec<Tid>,
    /// Pages that points hold, of each address space.
    pub(super) kept: HashMap<u32, Kept>,
}

/// What a tracer is made of.
pub struct Parts<'a> {
    /// Where records go.
    pub recorder: &'a Recorder,
    /// Where files go.
    pub store: Store<'a>,
    /// Keeps everything on one CPU.
    pub pinning: Pinning,
    /// How much of data the ordinary records keep.
    pub limits: Limits,
    /// The seized, stopped child.
    pub root: Tid,
    /// CLOCK_MONOTONIC at the start.
    pub began_ns: u64,
}

impl<'a> Tracer<'a> {
    /// A tracer for a child that has not executed anything yet.
    pub fn new(parts: Parts<'a>) -> Self {
        parts.pinning.add(parts.root);
        Tracer {
            recorder: parts.recorder,
            emitter: Emitter::new(parts.recorder, parts.began_ns),
            store: parts.store,
            objects: Objects::default(),
            streams: Streams::own(),
            pinning: parts.pinning,
            limits: parts.limits,
            root: parts.root,
            tasks: BTreeMap::from([(parts.root, Task::root(parts.root, std::process::id().cast_signed()))]),
            early: HashSet::new(),
            running: Some(parts.root),
            ready: VecDeque::new(),
            slice: Instant::now(),
            turn: (None, Instant::now()),
            stops: VecDeque::new(),
            next_task: 1,
            next_space: 1,
            armed: false,
            outcome: Outcome::default(),
            failed: None,
            scratch: Box::new([0; 4096]),
            marked: HashSet::new(),
            searched: 0,
            held: Vec::new(),
            kept: HashMap::new(),
        }
    }

    /// Runs until the last traced thread has ended.
    pub fn run(mut self) -> Result<Outcome, ReplayError> {
        self.line(self.root, "start", json!({"how": "initial"}), true);
        while let Some((tid, what)) = self.next_stop()? {
            self.pinning.stop();
            match what {
                Wait::Exited(code) => self.ended(tid, Some(code), None, false),
                Wait::Signaled(signal, core) => self.ended(tid, None, Some(signal), core),
                Wait::Stopped(signal, event) => self.stopped(tid, signal, event),
                Wait::Other => {}
            }
            self.choose();
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.outcome),
        }
    }

    fn next_stop(&mut self) -> Result<Option<(Tid, Wait)>, ReplayError> {
        loop {
            if let Some(stop) = self.stops.pop_front() {
                return Ok(Some(stop));
            }
            match sys::wait(-1, true) {
                Ok(Some(stop)) => self.take_in_order(stop),
                Ok(None) => return Ok(None),
                Err(e) if e.raw_os_error() == Some(libc::EINTR) => {
                    self.release();
                    self.tick();
                }
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
                Err(e) => return Err(ReplayError::io("wait for the program")(e)),
            }
        }
    }

    /// One that slept in a call may have got its answer in memory that the running thread reads, before that thread stopped: then its
    /// return comes first.
    fn take_in_order(&mut self, (tid, what): (Tid, Wait)) {
        let group = self.tasks.get(&tid).filter(|task| task.state == State::Running).map(Task::group);
        if group.is_some_and(|group| self.tasks.values().any(|other| other.in_call() && other.group() == group)) {
            while let Ok(Some(other)) = sys::wait(-1, false) {
                self.stops.push_back(other);
            }
        }
        self.stops.push_back((tid, what));
    }

    /// A stop that came while something else was waited for.
    pub(super) fn queue_stop(&mut self, tid: Tid, what: Wait) {
        self.stops.push_front((tid, what));
    }

    /// Takes a new thread's first stop out of the queue, if it is there.
    pub(super) fn take_stop(&mut self, tid: Tid) -> bool {
        let before = self.stops.len();
        self.stops.retain(|(who, _)| *who != tid);
        self.stops.len() < before
    }

    fn stopped(&mut self, tid: Tid, signal: i32, event: i32) {
        if self.failed.is_some() || !self.recorder.is_healthy() {
            return self.let_go(tid, signal, event);
        }
        if !self.tasks.contains_key(&tid) {
            self.early.insert(tid);
            return; // stays stopped until its parent's event names it
        }
        let result = match event {
            0 if signal == SYSCALL_STOP => self.syscall(tid),
            0 => self.signal(tid, signal),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => self.born(tid),
            libc::PTRACE_EVENT_EXIT => {
                self.prepare_end(tid);
                self.go_on(tid, 0)
            }
            libc::PTRACE_EVENT_EXEC => self.executed(tid),
            libc::PTRACE_EVENT_STOP => self.paused(tid, signal),
            _ => self.go_on(tid, 0),
        };
        if let Err(error) = result {
            self.fail(error);
            self.let_go(tid, 0, event);
        }
    }

    /// Resumes a thread to its next call or return. One that is gone meanwhile will say so itself.
    pub(super) fn go_on(&self, tid: Tid, signal: i32) -> Result<(), ReplayError> {
        let _ = sys::resume_to_syscall(tid, signal);
        Ok(())
    }

    /// Recording has failed: threads run on alone from their next stop.
    fn let_go(&mut self, tid: Tid, signal: i32, event: i32) {
        let deliver = if event == 0 && signal != SYSCALL_STOP { signal } else { 0 };
        let _ = observer_capture::sys::detach(tid, deliver);
        self.tasks.remove(&tid);
        if self.failed.is_none() {
            self.fail(ReplayError::Damaged("the recording could not be written".to_owned()));
        }
    }

    fn fail(&mut self, error: ReplayError) {
        self.failed = Some(error);
        for (tid, task) in &self.tasks {
            if task.state == State::Ready {
                let _ = observer_capture::sys::detach(*tid, 0);
            } else {
                let _ = sys::interrupt(*tid);
            }
        }
        self.ready.clear();
    }

    /// A thread is at a boundary and may go on, now or when others have had their turn.
    pub(super) fn make_ready(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        task.state = State::Ready;
        if self.running == Some(tid) {
            self.running = None;
            if self.ready.is_empty() || self.turn.1.elapsed() < SLICE {
                return self.ready.push_front(tid);
            }
            self.turn.0 = None;
        }
        self.ready.push_back(tid);
    }

    /// Lets the next thread run, unless one does.
    fn choose(&mut self) {
        if let Some(tid) = self.running {
            match self.tasks.get(&tid) {
                None => self.running = None,
                Some(task) if task.in_call() && !self.ready.is_empty() => self.settle(tid),
                Some(_) => {}
            }
        }
        if self.running.is_some() {
            return;
        }
        let midway: Vec<(Tid, u32)> = self.tasks.values().filter(|t| t.midway).map(|t| (t.tid, t.group())).collect();
        // A thread that executes a program takes the place of the first of its process: who is let go by that id would be another.
        let executing: Vec<Tid> = self.tasks.values().filter(|t| t.in_exec()).map(|t| t.pid).collect();
        let free = |task: &Task| {
            midway.iter().all(|(tid, group)| *tid == task.tid || *group != task.group()) && !executing.contains(&task.pid)
        };
        let Some(at) = self.ready.iter().position(|tid| self.tasks.get(tid).is_some_and(free)) else { return };
        let Some(tid) = self.ready.remove(at) else { return };
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.state = State::Running;
            task.midway = false;
        }
        self.running = Some(tid);
        self.slice = Instant::now();
        if self.turn.0 != Some(tid) {
            self.turn = (Some(tid), self.slice);
        }
        let _ = self.go_on(tid, 0);
    }

    /// Finds out whether a thread sleeps in the call it made, so that another may run. One that is through with it stays first:
    /// calls then happen in the order in which they are recorded.
    fn settle(&mut self, tid: Tid) {
        let began = Instant::now();
        for turn in 0u32.. {
            match sys::wait(-1, false) {
                Ok(Some((who, what))) if who == tid => return self.stops.push_front((who, what)),
                Ok(Some(other)) => self.stops.push_back(other),
                Ok(None) => sys::yield_cpu(),
                Err(_) => break,
            }
            if turn % LOOK_EVERY == LOOK_EVERY - 1 {
                match state_of(tid) {
                    Some('S') | None => break,
                    Some('Z') => match sys::wait(tid, false) {
                        Ok(Some(stop)) => return self.stops.push_front(stop),
                        _ => return self.leader_left(tid),
                    },
                    Some('D') if began.elapsed() > SLICE => break,
                    _ => {}
                }
            }
        }
        match sys::wait(tid, false) {
            Ok(Some(stop)) => self.stops.push_front(stop),
            _ => {
                self.running = None;
                self.asleep(tid);
            }
        }
    }

    /// A process that was killed marks the robust futexes it shares when it dies: that must have happened before others look.
    pub(super) fn await_death(&mut self, pid: u64) {
        let Some(task) = Tid::try_from(pid).ok().and_then(|pid| self.tasks.get(&pid)).filter(|task| task.shares) else { return };
        let (tid, began) = (task.tid, Instant::now());
        while began.elapsed() < DEATH {
            match sys::wait(-1, false) {
                Ok(Some((who, Wait::Stopped(_, libc::PTRACE_EVENT_EXIT)))) => {
                    self.prepare_end(who);
                    let _ = self.go_on(who, 0);
                }
                Ok(Some((who, what))) => {
                    self.stops.push_back((who, what));
                    if who == tid && matches!(what, Wait::Exited(_) | Wait::Signaled(..)) {
                        return;
                    }
                }
                Ok(None) => sys::yield_cpu(),
                Err(_) => return,
            }
        }
    }

    /// The running thread has had its time: others may go on.
    fn tick(&mut self) {
        let Some(task) = self.running.and_then(|tid| self.tasks.get(&tid)) else { return };
        if task.state == State::Running
            && self.slice.elapsed() >= task.patience
            && (!self.ready.is_empty() || !task.deferred.is_empty())
        {
            let _ = sys::interrupt(task.tid);
        }
    }

    /// Seals a process line; `describe` adds what /proc says.
    pub(super) fn line(&self, tid: Tid, what: &str, facts: Value, describe: bool) {
        let (pid, parent) = self.tasks.get(&tid).map_or((tid, 0), |t| (t.pid, t.parent));
        let base = json!({"type": "process", "what": what, "pid": pid, "tid": tid, "ppid": parent, "at_ns": sys::monotonic_ns()});
        let mut line: Map<String, Value> = base.as_object().cloned().unwrap_or_default();
        if describe && what == "exec" {
            line.extend(observer_capture::procfs::describe(tid));
        }
        if let Value::Object(facts) = facts {
            line.extend(facts);
        }
        self.recorder.push_line(Value::Object(line).to_string().into_bytes(), Severity::Info);
    }
}

/// The letter for a thread's state. Source: proc(5), /proc/pid/stat.
pub fn state_of(tid: Tid) -> Option<char> {
    let stat = std::fs::read(format!("/proc/{tid}/stat")).ok()?;
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(after + 2).map(|byte| char::from(*byte))
}
