// SPDX-License-Identifier: Apache-2.0
//! Recording for replay, and replays that are stepped from Python. All ptrace calls of a session come from one thread of its own.

use crate::errors::Raise;
use crate::recording::secret;
use crate::recording_errors::{bad_json, capture_error, io_error, recording_error};
use observer_capture::Config;
use observer_replay::against::{Against, Newcomer};
use observer_replay::regs::{Regs, NAMES};
use observer_replay::replay::divergence::Divergence;
use observer_replay::replay::listing::Listing;
use observer_replay::replay::session::{Options, Session, Step};
use observer_replay::ReplayError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{json, Map, Value};
use std::path::PathBuf;
use std::sync::mpsc::{channel, sync_channel, RecvTimeoutError, Sender};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a waiting caller looks for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);
/// At most so many bytes of memory at once.
const READ_MAX: u64 = 256 << 20;

/// Each error of replay as its Python class.
pub fn replay_error(error: ReplayError) -> PyErr {
    Python::attach(|py| from_replay(py, error))
}

fn from_replay(py: Python<'_>, error: ReplayError) -> PyErr {
    let message = error.to_string();
    match error {
        ReplayError::Capture(inner) => capture_error(inner),
        ReplayError::Recording(inner) => recording_error(inner),
        ReplayError::Io { what, source } => io_error(py, &what, &source),
        ReplayError::Diverged(d) => {
            let numbers = vec![("event", d.event), ("task", u64::from(d.task)), ("tid", u64::from(d.tid))];
            let hint = Some("nothing after this point is proven; --json gives registers and memory of both sides");
            let raised = Raise { numbers, hint, ..Raise::new("DesyncError", message) }.into_err(py);
            let _ = raised.value(py).setattr("divergence", d.to_json().to_string());
            raised
        }
        ReplayError::Unsupported(_) => Raise::new("CapabilityError", message).into_err(py),
        ReplayError::Damaged(_) => Raise::new("FormatError", message).into_err(py),
        ReplayError::Usage(_) => Raise::new("UsageError", message).into_err(py),
        ReplayError::Limit(_) => Raise::new("ReplayError", message).into_err(py),
        _ => Raise::new("InternalError", message).into_err(py),
    }
}

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// A replay in progress.
#[pyclass(frozen, module = "observer._native")]
pub struct ReplaySession {
    jobs: Mutex<Sender<Job>>,
    listener: Mutex<Option<observer_replay::debug::Listener>>,
}

fn registers_json(regs: &Regs) -> Value {
    Value::Object(NAMES.iter().zip(regs.0).map(|(name, word)| ((*name).to_owned(), json!(word))).collect::<Map<_, _>>())
}

fn status_json(session: &mut Session) -> Result<Value, ReplayError> {
    let next = session.peek()?.map(|event| event.task);
    Ok(json!({
        "position": session.position(), "time_ns": session.time_ns(), "next_task": next, "finished": next.is_none(),
        "whole": session.is_whole(), "modified": session.modified, "notes": session.notes, "checks": session.checks,
        "written": session.written, "isolation": session.isolation(), "checkpoints": session.checkpoints(),
        "differences": session.differences.iter().map(Divergence::to_json).collect::<Vec<_>>(),
        "ended": session.ended.map(|end| json!({"exit_code": end.exit_code, "signal": end.signal})),
    }))
}

fn bytes<'py>(py: Python<'py>, value: &Value) -> Bound<'py, PyBytes> {
    PyBytes::new(py, value.to_string().as_bytes())
}

impl ReplaySession {
    /// Runs `job` on the session's thread and waits, looking for Ctrl-C.
    fn ask<T: Send + 'static>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(&mut Session) -> Result<T, ReplayError> + Send + 'static,
    ) -> PyResult<T> {
        let (answer, question) = sync_channel(1);
        let question = Mutex::new(question);
        let gone = || Raise::new("InternalError", "the replay's thread is gone".to_owned()).into_err(py);
        let job: Job = Box::new(move |session| {
            let _ = answer.send(job(session));
        });
        let jobs = self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        jobs.send(job).map_err(|_| gone())?;
        loop {
            match py.detach(|| question.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv_timeout(LOOK)) {
                Ok(result) => return result.map_err(replay_error),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
    }
}

#[pymethods]
impl ReplaySession {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, options: &[u8]) -> PyResult<Self> {
        let options: Options = serde_json::from_slice(options).map_err(bad_json)?;
        let (jobs, todo) = channel::<Job>();
        let (opened, result) = sync_channel(1);
        let run = move || {
            let mut session = match Session::open(&path, options) {
                Ok(session) => session,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let _ = opened.send(Ok(()));
            while let Ok(job) = todo.recv() {
                job(&mut session);
            }
        };
        let started = std::thread::Builder::new().name("observer-replay".to_owned()).spawn(run);
        started.map_err(|e| io_error(py, "start a thread", &e))?;
        let opened = py.detach(move || result.recv());
        opened.unwrap_or_else(|_| Err(ReplayError::Damaged("the replay's thread is gone".to_owned()))).map_err(replay_error)?;
        Ok(ReplaySession { jobs: Mutex::new(jobs), listener: Mutex::new(None) })
    }

    /// Where it is, one JSON object.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let status = self.ask(py, status_json)?;
        Ok(bytes(py, &status))
    }

    /// Replays at most `events` events, for at most `seconds`; returns the status.
    fn run<'py>(&self, py: Python<'py>, events: u64, seconds: f64) -> PyResult<Bound<'py, PyBytes>> {
        let status = self.ask(py, move |session| {
            let began = Instant::now();
            for number in 0..events {
                if session.step()? == Step::Finished || (number % 64 == 63 && began.elapsed().as_secs_f64() > seconds) {
                    break;
                }
            }
            status_json(session)
        })?;
        Ok(bytes(py, &status))
    }

    /// Goes to where `event` events were replayed in all, onwards or back; returns the status.
    fn run_to<'py>(&self, py: Python<'py>, event: u64) -> PyResult<Bound<'py, PyBytes>> {
        let status = self.ask(py, move |session| {
            session.go_to(event)?;
            status_json(session)
        })?;
        Ok(bytes(py, &status))
    }

    /// Keeps a copy of this moment to go back to; false where there can be none.
    fn checkpoint(&self, py: Python<'_>) -> PyResult<bool> {
        self.ask(py, Session::keep_checkpoint)
    }

    /// Replays up to a recorded CLOCK_MONOTONIC time in ns; returns the status.
    fn run_to_time<'py>(&self, py: Python<'py>, time_ns: u64) -> PyResult<Bound<'py, PyBytes>> {
        let status = self.ask(py, move |session| {
            session.run_to_time(time_ns)?;
            status_json(session)
        })?;
        Ok(bytes(py, &status))
    }

    /// Begins again; what was written is not written again.
    fn restart(&self, py: Python<'_>) -> PyResult<()> {
        self.ask(py, |session| session.back_to(0))
    }

    /// Runs the next event's task to the entry of its call; false when that event begins no call.
    fn advance(&self, py: Python<'_>) -> PyResult<bool> {
        self.ask(py, Session::advance)
    }

    /// The tasks that are alive: JSON array.
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let tasks = self.ask(py, |session| {
            let of = |body: &observer_replay::replay::body::Body| {
                json!({
                    "task": body.id, "tid": body.tid, "pid": body.pid, "parent": body.parent, "real_pid": body.real,
                    "in_call": body.in_call, "nr": body.call.0, "args": body.call.1, "exe": body.exe,
                })
            };
            Ok(Value::Array(session.tasks().map(of).collect()))
        })?;
        Ok(bytes(py, &tasks))
    }

    /// Registers of a task by name: JSON object of unsigned numbers.
    fn registers<'py>(&self, py: Python<'py>, task: u32) -> PyResult<Bound<'py, PyBytes>> {
        let regs = self.ask(py, move |session| Ok(session.body(task)?.regs))?;
        Ok(bytes(py, &registers_json(&regs)))
    }

    /// Register sets of a task as the kernel lays them out: NT_PRSTATUS and NT_X86_XSTATE.
    fn register_sets<'py>(&self, py: Python<'py>, task: u32) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let (regs, extended) = self.ask(py, move |session| {
            let body = session.body(task)?;
            Ok((body.regs, observer_replay::engine::sys::xstate(body.real).unwrap_or_default()))
        })?;
        let words: Vec<u8> = regs.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        Ok((PyBytes::new(py, &words), PyBytes::new(py, &extended)))
    }

    /// Bytes of a task's memory, as many as can be read.
    fn read_memory<'py>(&self, py: Python<'py>, task: u32, address: u64, length: u64) -> PyResult<Bound<'py, PyBytes>> {
        let found = self.ask(py, move |session| Ok(session.body(task)?.read(address, length.min(READ_MAX))))?;
        Ok(PyBytes::new(py, &found))
    }

    /// Writes a task's memory; what follows is marked as modified.
    fn write_memory(&self, py: Python<'_>, task: u32, address: u64, content: Vec<u8>) -> PyResult<()> {
        self.ask(py, move |session| {
            session.modified = true;
            session.body(task)?.write(address, &content)
        })
    }

    /// Mappings of a task: JSON array.
    fn maps<'py>(&self, py: Python<'py>, task: u32) -> PyResult<Bound<'py, PyBytes>> {
        let maps = self.ask(py, move |session| session.maps(task))?;
        let list =
            maps.iter().map(|r| json!({"start": r.start, "end": r.end, "prot": r.prot, "shared": r.shared, "offset": r.offset}));
        Ok(bytes(py, &Value::Array(list.collect())))
    }

    /// Listens for gdb at a port of the loopback interface ("0": a free one) or at a path; returns the address to tell gdb.
    fn listen_gdb(&self, py: Python<'_>, place: &str) -> PyResult<String> {
        let (listener, address) = py.detach(|| observer_replay::debug::listen(place)).map_err(replay_error)?;
        *self.listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(listener);
        Ok(address)
    }

    /// Waits at most `seconds` for gdb and serves it until it leaves, from `event` on; false when none came.
    fn serve_gdb(&self, py: Python<'_>, seconds: f64, event: u64) -> PyResult<bool> {
        let listener = self.listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(listener) = listener else { return Ok(false) };
        let accept = ReplayError::io("wait for a debugger");
        let stream = py.detach(|| listener.accept(Duration::from_secs_f64(seconds.clamp(0.0, 1e9))));
        let stream = stream.map_err(accept).map_err(replay_error)?;
        *self.listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(listener);
        let Some(stream) = stream else { return Ok(false) };
        self.ask(py, move |session| observer_replay::debug::serve(session, stream, event)).map(|()| true)
    }

    /// The call that is about to return gives this result and has no other effect.
    fn override_result(&self, py: Python<'_>, result: i64) -> PyResult<()> {
        self.ask(py, move |session| {
            session.override_result(result);
            Ok(())
        })
    }

    /// Changes the argument registers of a task that is in a call.
    fn override_args(&self, py: Python<'_>, task: u32, args: [u64; 6]) -> PyResult<()> {
        self.ask(py, move |session| session.override_args(task, args))
    }
}

/// Reads the events of a recording without running anything.
#[pyclass(frozen, module = "observer._native")]
pub struct ReplayEvents {
    listing: Mutex<Listing>,
}

#[pymethods]
impl ReplayEvents {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        Ok(ReplayEvents { listing: Mutex::new(Listing::open(&path).map_err(replay_error)?) })
    }

    /// JSON lines of the next `limit` events; empty at the end.
    fn read<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let lines = py.detach(|| {
            let mut listing = self.listing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut lines = Vec::new();
            for _ in 0..limit {
                let Some(line) = listing.next()? else { break };
                lines.extend_from_slice(line.to_string().as_bytes());
                lines.push(b'\n');
            }
            Ok(lines)
        });
        Ok(PyBytes::new(py, &lines.map_err(replay_error)?))
    }
}

/// Records a command for replay; see `Config` for the JSON. Returns a JSON report.
#[pyfunction]
fn record_replayable<'py>(py: Python<'py>, config: &[u8], key: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
    let config = Config::parse(config).map_err(capture_error)?;
    let key = secret(key)?;
    let report = py.detach(|| observer_replay::record_command(&config, key)).map_err(replay_error)?;
    Ok(PyBytes::new(py, serde_json::to_string(&report).map_err(bad_json)?.as_bytes()))
}

/// Feeds another program with a recording's inputs, as far as it asks for the same; `config` as for recording. Returns JSON.
#[pyfunction]
fn replay_against<'py>(py: Python<'py>, path: PathBuf, config: &[u8], output: bool) -> PyResult<Bound<'py, PyBytes>> {
    let config = Config::parse(config).map_err(capture_error)?;
    let (done, result) = sync_channel(1);
    let run = move || {
        let told = Session::open(&path, Options { output: false, ..Options::default() }).and_then(|session| {
            let mut both = Against::new(session, Newcomer::start(&config)?, output);
            let end = both.run()?;
            both.tell(&end)
        });
        let _ = done.send(told);
    };
    std::thread::Builder::new().name("observer-against".to_owned()).spawn(run).map_err(|e| io_error(py, "start a thread", &e))?;
    let result = Mutex::new(result);
    loop {
        match py.detach(|| result.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv_timeout(LOOK)) {
            Ok(told) => return Ok(bytes(py, &told.map_err(replay_error)?)),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Raise::new("InternalError", "the replay's thread is gone".to_owned()).into_err(py))
            }
        }
    }
}

/// Adds this room to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ReplaySession>()?;
    module.add_class::<ReplayEvents>()?;
    module.add_function(wrap_pyfunction!(record_replayable, module)?)?;
    module.add_function(wrap_pyfunction!(replay_against, module)?)?;
    Ok(())
}
