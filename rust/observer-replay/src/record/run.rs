// SPDX-License-Identifier: Apache-2.0
//! Records one command from fork to the end of its last child.

use crate::error::ReplayError;
use crate::machine;
use crate::pool::Pool;
use crate::record::protect::Closed;
use crate::record::store::Store;
use crate::record::ticker::Ticker;
use crate::record::tracer::{Outcome, Parts, Tracer};
use crate::stream::FORMAT;
use observer_capture::forward::Forwarding;
use observer_capture::memory::Limits;
use observer_capture::pinning::{Pinning, Policy};
use observer_capture::sys::{self, Exec};
use observer_capture::{procfs, CaptureError, Config, Report};
use observer_evidence::{SecretKey, Severity};
use observer_recording::{Recorder, RecordingWriter};
use serde_json::{json, Map, Value};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// Records `config`'s command for replay; blocks until its whole process tree has ended.
pub fn record_command(config: &Config, key: Option<SecretKey>) -> Result<Report, ReplayError> {
    if let Some(what) = procfs::foreign_elf(&config.executable) {
        return Err(CaptureError::Abi { path: config.executable.clone(), what }.into());
    }
    let exec = config.exec()?;
    let start = config.start.to_string();
    let writer = RecordingWriter::create(&config.path, start.as_bytes(), key)?;
    // Every helper thread starts with all signals blocked, so that signals reach this thread, which waits for the program.
    let signals = sys::block_signals();
    let began = sys::monotonic_ns();
    let traced = Recorder::start(writer).map_err(ReplayError::from).map(|recorder| {
        let outcome = trace(config, &exec, &recorder, (&signals, began));
        (recorder, outcome)
    });
    sys::restore_signals(&signals);
    let (recorder, outcome) = traced?;
    finish(&recorder, outcome, began)
}

/// Says how the program begins; once this returns, a recorder that is killed leaves a recording for replay, however short.
fn announce(recorder: &Recorder, exec: &Exec, began: u64) -> Result<(), ReplayError> {
    let environment: Vec<String> = exec.env.iter().map(|pair| pair.to_string_lossy().into_owned()).collect();
    let line = json!({
        "type": "replay_start", "format": FORMAT, "at_ns": began, "environment": environment,
        "machine": machine::facts(), "stack_limit": machine::stack_limit(), "cpu": machine::current_cpu(),
    });
    recorder.push_line(line.to_string().into_bytes(), Severity::Info);
    Ok(recorder.flush(false)?)
}

fn trace(
    config: &Config,
    exec: &Exec,
    recorder: &Recorder,
    (signals, began_ns): (&libc::sigset_t, u64),
) -> Result<Outcome, ReplayError> {
    let pool = Pool::open(config.files.as_deref());
    let store = Store::create(recorder, &config.path, pool.clone())?;
    let pinning = Pinning::start(Policy::Always).map_err(ReplayError::io("set CPU affinity"))?;
    announce(recorder, exec, began_ns)?;
    let (gate_in, gate_out) = sys::pipe().map_err(ReplayError::io("make a pipe"))?;
    let (report_in, report_out) = sys::pipe().map_err(ReplayError::io("make a pipe"))?;
    let root = sys::fork_stopped(exec, gate_in.as_raw_fd(), report_out.as_raw_fd(), signals).map_err(ReplayError::io("fork"))?;
    drop((gate_in, report_out));
    let mut report_in = File::from(report_in);
    let ready = report_in.read_exact(&mut [0]).map_err(ReplayError::io("start the program"));
    ready.and_then(|()| attach(root)).inspect_err(|_| {
        let _ = sys::kill(root, libc::SIGKILL);
    })?;
    let _closed = Closed::now();
    let _forwarding = Forwarding::start(root);
    sys::restore_signals(signals);
    File::from(gate_out).write_all(b"g").map_err(ReplayError::io("start the program"))?;
    let _ticker = Ticker::start().map_err(ReplayError::io("start a thread"))?;
    let limits = Limits { string: config.string_bytes, data: config.data_bytes };
    let outcome = Tracer::new(Parts { recorder, store, pinning, limits, root, began_ns }).run()?;
    if let Some(pool) = pool {
        pool.sweep();
    }
    match exec_error(&mut report_in) {
        Some(source) => Err(CaptureError::Exec { path: config.executable.clone(), source }.into()),
        None => Ok(outcome),
    }
}

fn attach(root: sys::Tid) -> Result<(), ReplayError> {
    sys::seize(root, crate::engine::sys::OPTIONS).map_err(|e| CaptureError::Trace(e).into())
}

/// The errno that the child reported when exec failed.
fn exec_error(report: &mut File) -> Option<io::Error> {
    let mut errno = [0u8; 4];
    report.read_exact(&mut errno).ok()?;
    Some(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
}

/// Seals the end. A failure to write outranks how the program ended; a failure to trace comes after the recording is closed.
fn finish(recorder: &Recorder, outcome: Result<Outcome, ReplayError>, began: u64) -> Result<Report, ReplayError> {
    let now = sys::monotonic_ns();
    let mut end: Map<String, Value> = Map::new();
    end.insert("wall_ns".into(), json!(sys::wall_ns()));
    end.insert("monotonic_ns".into(), json!(now));
    match &outcome {
        Ok(o) => {
            end.insert("status".into(), json!("completed"));
            end.insert("exit_code".into(), json!(o.exit_code));
            end.insert("signal".into(), json!(o.signal));
        }
        Err(e) => {
            end.insert("status".into(), json!("failed"));
            end.insert("reason".into(), json!(e.to_string()));
        }
    }
    let calls = recorder.records();
    recorder.finish(end)?;
    let outcome = outcome?;
    Ok(Report {
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        calls,
        seconds: now.saturating_sub(began) as f64 / 1e9,
        foreign_calls: outcome.foreign_calls,
    })
}
