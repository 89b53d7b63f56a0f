// SPDX-License-Identifier: Apache-2.0
//! Records one command from fork to the end of its last child.

use crate::config::Config;
use crate::error::CaptureError;
use crate::forward::Forwarding;
use crate::memory::Limits;
use crate::pinning::Pinning;
use crate::procfs;
use crate::sys::{self, Tid};
use crate::tracer::{Outcome, Tracer};
use observer_evidence::{SecretKey, Severity};
use observer_recording::{Recorder, RecordingWriter};
use serde::Serialize;
use serde_json::{json, Map, Value};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// What a recorded command did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Exit status, when it exited.
    pub exit_code: Option<i32>,
    /// Signal, when one killed it.
    pub signal: Option<i32>,
    /// Records written (calls and delivered signals).
    pub calls: u64,
    /// From start to the end of the last process.
    pub seconds: f64,
    /// Calls of another ABI that were not recorded.
    pub foreign_calls: u64,
}

/// Records `config`'s command; blocks until its whole process tree has ended.
pub fn record_command(config: &Config, key: Option<SecretKey>) -> Result<Report, CaptureError> {
    if let Some(what) = procfs::foreign_elf(&config.executable) {
        return Err(CaptureError::Abi { path: config.executable.clone(), what });
    }
    let exec = config.exec()?;
    let start = config.start.to_string();
    let writer = RecordingWriter::create(&config.path, start.as_bytes(), key)?;
    // Every helper thread starts with all signals blocked, so that signals reach this thread, which waits for the program.
    let signals = sys::block_signals();
    let recorder = Recorder::start(writer);
    let began = sys::monotonic_ns();
    let traced = recorder.map_err(CaptureError::from).map(|recorder| {
        let outcome = trace(config, &exec, &recorder, &signals);
        (recorder, outcome)
    });
    sys::restore_signals(&signals);
    let (recorder, outcome) = traced?;
    finish(&recorder, outcome, began)
}

fn trace(config: &Config, exec: &sys::Exec, recorder: &Recorder, signals: &libc::sigset_t) -> Result<Outcome, CaptureError> {
    let pinning = Pinning::start(config.pin).map_err(CaptureError::io("set CPU affinity"))?;
    let (gate_in, gate_out) = sys::pipe().map_err(CaptureError::io("make a pipe"))?;
    let (report_in, report_out) = sys::pipe().map_err(CaptureError::io("make a pipe"))?;
    let root = sys::fork_stopped(exec, gate_in.as_raw_fd(), report_out.as_raw_fd(), signals).map_err(CaptureError::io("fork"))?;
    drop((gate_in, report_out));
    let mut report_in = File::from(report_in);
    let ready = report_in.read_exact(&mut [0]).map_err(CaptureError::io("start the program"));
    ready.and_then(|()| attach(root, config, exec)).inspect_err(|_| {
        let _ = sys::kill(root, libc::SIGKILL);
    })?;
    let _forwarding = Forwarding::start(root);
    sys::restore_signals(signals);
    File::from(gate_out).write_all(b"g").map_err(CaptureError::io("start the program"))?;
    let limits = Limits { string: config.string_bytes, data: config.data_bytes };
    let outcome = Tracer::new(recorder, pinning, limits, root, !exec.filter.is_empty()).run()?;
    match exec_error(&mut report_in) {
        Some(source) => Err(CaptureError::Exec { path: config.executable.clone(), source }),
        None => Ok(outcome),
    }
}

fn attach(root: Tid, config: &Config, exec: &sys::Exec) -> Result<(), CaptureError> {
    let mut options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEEXEC;
    if config.follow {
        options |= libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACECLONE;
    }
    if !exec.filter.is_empty() {
        // Without its tracer a filtered program would get ENOSYS from every chosen call: end it rather than mislead it.
        options |= libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
    }
    sys::seize(root, options).map_err(CaptureError::Trace)
}

/// The errno that the child reported when exec failed.
fn exec_error(report: &mut File) -> Option<io::Error> {
    let mut errno = [0u8; 4];
    report.read_exact(&mut errno).ok()?;
    Some(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
}

fn declare_foreign(recorder: &Recorder, count: u64, now: u64) {
    let loss = json!({
        "type": "loss", "what": "calls", "count": count, "at_ns": now,
        "reason": "made through the 32-bit entry (int 0x80), which is not recorded",
    });
    recorder.push_line(loss.to_string().into_bytes(), Severity::Warning);
}

/// Seals the end. A failure to write outranks how the program ended; a failure to trace comes after the recording is closed.
fn finish(recorder: &Recorder, outcome: Result<Outcome, CaptureError>, began: u64) -> Result<Report, CaptureError> {
    let now = sys::monotonic_ns();
    let mut end: Map<String, Value> = Map::new();
    end.insert("wall_ns".into(), json!(sys::wall_ns()));
    end.insert("monotonic_ns".into(), json!(now));
    match &outcome {
        Ok(o) => {
            end.insert("status".into(), json!("completed"));
            end.insert("exit_code".into(), json!(o.exit_code));
            end.insert("signal".into(), json!(o.signal));
            end.insert("lost".into(), json!(o.foreign_calls));
        }
        Err(e) => {
            end.insert("status".into(), json!("failed"));
            end.insert("reason".into(), json!(e.to_string()));
        }
    }
    if let Ok(Outcome { foreign_calls: lost @ 1.., .. }) = &outcome {
        declare_foreign(recorder, *lost, now);
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
