// SPDX-License-Identifier: Apache-2.0
//! A replay that can be stepped event by event, looked into, changed and copied.

use crate::engine::maps::{self, Region};
use crate::engine::stub::{self, Cell, Zygote};
use crate::error::ReplayError;
use crate::machine;
use crate::pool::Pool;
use crate::replay::body::{Body, Stop};
use crate::replay::checkpoint::Past;
use crate::replay::divergence::Divergence;
use crate::replay::files::Files;
use crate::replay::limits::{Guard, Limits};
use crate::replay::search::{Known, Sought};
use crate::replay::source::EventSource;
use crate::stream::{Entry, Event, Mapping, Point, Signal, Source, TaskId, What};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to replay.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Write what the program wrote to standard output and error to this process's own.
    pub output: bool,
    /// Replay though the processor differs from the recorded one.
    pub other_machine: bool,
    /// Namespaces to leave, CLONE_NEW… bits; what is not permitted is left out.
    pub unshare: i32,
    /// Go on at a difference, as far as that can be.
    pub keep_going: bool,
    /// What the replay may use.
    pub limits: Limits,
    /// Where stored files that many recordings hold are; None: each is hashed before it is used.
    pub files: Option<PathBuf>,
    /// Keep copies of the replayed processes now and then, so that going back is quick.
    pub checkpoints: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            output: true,
            other_machine: false,
            unshare: 0,
            keep_going: false,
            limits: Limits::default(),
            files: None,
            checkpoints: false,
        }
    }
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An event was replayed.
    Event(Event),
    /// There is none left.
    Finished,
}

/// How the command ended, as replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Exit status.
    pub exit_code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
}

/// A replay in progress. All its calls must come from one thread: it is the tracer.
pub struct Session {
    pub(super) source: EventSource,
    pub(super) zygote: Zygote,
    pub(super) guard: Guard,
    pub(super) bodies: BTreeMap<TaskId, Body>,
    pub(crate) files: Files,
    pub(super) options: Options,
    /// Events replayed.
    pub(super) position: u64,
    /// The next event's task is at its call's entry already.
    pub(super) advanced: bool,
    /// Arguments or results were changed: what follows is no longer the recorded run.
    pub modified: bool,
    pub(super) instead: Option<i64>,
    /// Bytes written to standard output and error.
    pub written: [u64; 2],
    /// How the command ended, once it has.
    pub ended: Option<Ended>,
    /// Threads of the command itself; the first is the one whose end is the command's.
    pub(super) command: Vec<TaskId>,
    /// What the recorder marked as not certain.
    pub notes: Vec<String>,
    /// Checksums of memory that were compared.
    pub checks: u64,
    /// It runs on the CPU of the recording; elsewhere CPUID gives another number of the processor, which programs keep in memory.
    pub same_cpu: bool,
    /// Processes that had threads.
    pub(super) threaded: HashSet<u32>,
    /// The differences that it went on at.
    pub differences: Vec<Divergence>,
    pub(super) past: Past,
    /// A program keeps memory from its children: a copy of it would not be whole.
    pub(super) withheld: bool,
    /// Bytes given to standard output and error; a replay that went back does not give them again.
    pub(super) told: [u64; 2],
    pub(super) next_space: u32,
    /// What is known of pages from points, by address space.
    pub(super) known: HashMap<u32, Arc<Known>>,
}

impl Session {
    /// Opens a recording and makes the first, empty process.
    pub fn open(dir: &Path, options: Options) -> Result<Session, ReplayError> {
        let source = EventSource::open(dir)?;
        let recorded = source.start.get("machine").cloned().unwrap_or(Value::Null);
        if let Some(difference) = machine::difference(&recorded).filter(|_| !options.other_machine) {
            return Err(ReplayError::Unsupported(format!("this machine cannot replay the recording: {difference}")));
        }
        let stack = source.start.get("stack_limit").and_then(Value::as_u64).unwrap_or(8 << 20);
        let same_cpu = machine::pin(source.start.get("cpu").and_then(Value::as_u64));
        let guard = Guard::start(options.limits).map_err(ReplayError::io("start a thread"))?;
        let rlimits = options.limits.rlimits();
        let zygote = Zygote::start(Cell { stack, unshare: options.unshare, rlimits })?;
        Ok(Session {
            source,
            zygote,
            guard,
            differences: Vec::new(),
            threaded: HashSet::new(),
            bodies: BTreeMap::new(),
            files: Files::of(dir, Pool::existing(options.files.as_deref())),
            options,
            position: 0,
            advanced: false,
            modified: false,
            instead: None,
            written: [0; 2],
            ended: None,
            command: vec![0],
            notes: Vec::new(),
            checks: 0,
            same_cpu,
            past: Past::default(),
            withheld: false,
            told: [0; 2],
            next_space: 0,
            known: HashMap::new(),
        })
    }

    /// Events replayed so far; the number of the next one.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// CLOCK_MONOTONIC ns, as recorded, of the last event replayed.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        self.source.time_ns()
    }

    /// The recording's stream was closed by its writer.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.source.is_closed()
    }

    /// The next event, not yet replayed.
    pub fn peek(&mut self) -> Result<Option<&Event>, ReplayError> {
        self.source.peek()
    }

    /// A task that is alive.
    pub fn body(&mut self, task: TaskId) -> Result<&mut Body, ReplayError> {
        let position = self.position;
        self.bodies
            .get_mut(&task)
            .ok_or_else(|| ReplayError::Damaged(format!("event {position} is of task {task}, which does not exist")))
    }

    /// The tasks that are alive.
    pub fn tasks(&self) -> impl Iterator<Item = &Body> {
        self.bodies.values()
    }

    /// Mappings of a task, without the engine's own.
    pub fn maps(&mut self, task: TaskId) -> Result<Vec<Region>, ReplayError> {
        let real = self.body(task)?.real;
        let all = maps::regions(real).map_err(ReplayError::io("read the replay's memory map"))?;
        Ok(all.into_iter().filter(|r| r.start < stub::BASE || r.start >= stub::END).collect())
    }

    /// Runs the task of the next event to the entry of its call, if that event begins one: the state is that of the call about to be
    /// made. True when it did; [`Session::step`] finishes the event.
    pub fn advance(&mut self) -> Result<bool, ReplayError> {
        let Some(event) = self.source.peek()?.cloned() else { return Ok(false) };
        let (What::Call(entry, _) | What::Enter(entry)) = &event.what else { return Ok(false) };
        if !self.advanced {
            self.run_to_call(event.task, entry)?;
            self.advanced = true;
        }
        Ok(true)
    }

    /// Replays one event.
    pub fn step(&mut self) -> Result<Step, ReplayError> {
        let done = self.step_unlimited();
        if let Err(ReplayError::Io { source, .. }) = &done {
            let errno = if source.kind() == std::io::ErrorKind::OutOfMemory { Some(libc::ENOMEM) } else { source.raw_os_error() };
            self.guard.judge(errno);
        }
        match self.guard.reached() {
            Some(reason) => Err(ReplayError::Limit(reason)),
            None => done,
        }
    }

    fn step_unlimited(&mut self) -> Result<Step, ReplayError> {
        let begun = std::mem::take(&mut self.advanced);
        let Some(event) = self.source.next()? else { return Ok(Step::Finished) };
        let task = event.task;
        match &event.what {
            What::Call(entry, exit) => {
                if !begun {
                    self.run_to_call(task, entry)?;
                }
                self.returns_maybe_changed(task, exit)?;
            }
            What::Enter(entry) if !begun => self.run_to_call(task, entry)?,
            What::Enter(_) => {}
            What::Return(exit) => self.returns_maybe_changed(task, exit)?,
            What::Signal(signal) => self.signal(task, signal, event.dt_ns)?,
            What::Fork(fork) => self.fork(task, fork)?,
            What::Exec(exec) => self.exec(task, exec)?,
            What::Death(death) => self.death(task, death)?,
            What::Tsc { value, aux } => self.tsc(task, *value, *aux)?,
            What::Preempt(point) => self.run_to_point(task, point, event.dt_ns)?,
            What::Random(regs) => {
                self.run_to_fault(task, libc::SIGILL)?;
                self.body(task)?.regs = **regs;
            }
            What::Check(sum) => self.check(task, *sum)?,
            What::Note(reason) => self.notes.push(reason.clone()),
            What::Meanwhile(effects) => effects.iter().try_for_each(|effect| self.apply(task, effect, 0))?,
        }
        self.position += 1;
        self.maybe_checkpoint()?;
        Ok(Step::Event(event))
    }

    fn run_to_call(&mut self, task: TaskId, entry: &Entry) -> Result<(), ReplayError> {
        let expected = self.source.decoder().entry(task, &entry.regs);
        let body = self.body(task)?;
        if entry.restarted {
            body.regs = expected;
        } else {
            match body.run()? {
                Stop::Call if crate::regs::CHECKED.iter().all(|at| body.regs.0[*at] == expected.0[*at]) => {}
                Stop::Call if body.regs.nr() != expected.nr() => {
                    let name = |nr| observer_model::lookup(observer_model::Arch::X86_64, nr).map_or("unknown", |call| call.name);
                    let what = format!("it calls {} where {} was recorded", name(body.regs.nr()), name(expected.nr()));
                    self.differs(task, what, Some(expected))?;
                }
                Stop::Call => self.differs(task, "its registers differ at a call", Some(expected))?,
                stop => return Err(self.diverged(task, unexpected(stop, "a call"), Some(expected))),
            }
        }
        let body = self.body(task)?;
        body.regs = expected; // the same, unless a difference was passed over
        body.in_call = true;
        body.call = (expected.nr(), expected.args());
        Ok(())
    }

    fn signal(&mut self, task: TaskId, signal: &Signal, dt_ns: u64) -> Result<(), ReplayError> {
        if signal.fault {
            self.run_to_fault(task, i32::try_from(signal.number).unwrap_or(0))?;
        }
        if let Some(point) = &signal.at {
            self.run_to_point(task, point, dt_ns)?;
        }
        let body = self.body(task)?;
        body.write(signal.frame.0, &signal.frame.1)?;
        body.regs = signal.regs;
        body.in_call = false;
        self.set_xstate(task, &signal.xstate)
    }

    pub(super) fn run_to_fault(&mut self, task: TaskId, number: i32) -> Result<(), ReplayError> {
        match self.body(task)?.run()? {
            Stop::Fault(found) if found == number => Ok(()),
            Stop::Tsc(..) if number == libc::SIGSEGV => Ok(()), // the program wanted the counter to trap
            Stop::Call if number == libc::SIGSYS => Ok(()),     // the program intercepts its calls
            stop => Err(self.diverged(task, unexpected(stop, &format!("signal {number}")), None)),
        }
    }

    /// From a point on its pages are known.
    fn know(&mut self, task: TaskId, point: &Point) -> Result<Arc<Known>, ReplayError> {
        let space = self.body(task)?.space;
        let bodies = &self.bodies;
        self.known.retain(|space, _| bodies.values().any(|body| body.space == *space));
        let known = self.known.entry(space).or_default();
        if !point.pages.is_empty() {
            let pages = point.pages.iter().map(|(page, bytes)| (*page, bytes.as_slice().into()));
            Arc::make_mut(known).extend(pages);
        }
        Ok(Arc::clone(known))
    }

    /// Runs to a recorded state in the middle of a computation.
    fn run_to_point(&mut self, task: TaskId, point: &Point, dt_ns: u64) -> Result<(), ReplayError> {
        let known = self.know(task, point)?;
        let sought = Sought { point, known: &known };
        match self.body(task)?.run_to_point(&sought, std::time::Duration::from_nanos(dt_ns))? {
            Ok(()) => Ok(()),
            Err(what) => Err(self.diverged(task, what, Some(point.regs))),
        }
    }

    fn tsc(&mut self, task: TaskId, value: u64, aux: Option<u32>) -> Result<(), ReplayError> {
        let body = self.body(task)?;
        match body.run()? {
            Stop::Tsc(length, with_cpu) if with_cpu == aux.is_some() => {
                body.regs = crate::record::signals::after_tsc(&body.regs, length, value, aux);
                Ok(())
            }
            stop => Err(self.diverged(task, unexpected(stop, "a reading of the time stamp counter"), None)),
        }
    }

    pub(super) fn map(&mut self, task: TaskId, mapping: &Mapping) -> Result<(), ReplayError> {
        if mapping.start < stub::END && mapping.start.saturating_add(mapping.length) > stub::BASE {
            return Err(ReplayError::Unsupported(format!(
                "the program maps memory at {:#x}, where the engine is",
                mapping.start
            )));
        }
        let Some(body) = self.bodies.get(&task) else { return Err(ReplayError::Damaged(format!("task {task} does not exist"))) };
        body.map(mapping, &mut self.files, &self.zygote)?;
        if matches!(mapping.from, Source::Object(..) | Source::NewObject(..)) {
            self.files.shows(mapping.start, mapping.length, mapping.prot & 2 != 0);
        }
        Ok(())
    }
}

fn unexpected(stop: Stop, instead_of: &str) -> String {
    match stop {
        Stop::Call => format!("it makes a call where {instead_of} was recorded"),
        Stop::Tsc(..) => format!("it reads the time stamp counter where {instead_of} was recorded"),
        Stop::Fault(signal) => format!("it raises signal {signal} where {instead_of} was recorded"),
        Stop::Gone => format!("its process is gone where {instead_of} was recorded"),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for body in self.bodies.values() {
            self.guard.remove(body.real);
            stub::end(body.real);
        }
    }
}
