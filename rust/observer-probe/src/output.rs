// SPDX-License-Identifier: Apache-2.0
//! Where records go: straight into a sealed recording, or into memory until a trigger fires.

use crate::config::Config;
use crate::error::ProbeError;
use crate::feed::Sink;
use crate::lives::Lives;
use observer_evidence::{SecretKey, Severity};
use observer_model::Record;
use observer_recording::{Recorder, RecordingWriter};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The destination of one watch.
pub struct Output {
    recorder: Option<Recorder>,
    failed: bool,
    /// Recordings made.
    pub recordings: Vec<PathBuf>,
}

impl Output {
    /// Makes the recording, or the memory for the past.
    pub fn new(config: &Config, key: Option<SecretKey>) -> Result<Output, ProbeError> {
        let writer = RecordingWriter::create(&config.path, config.start.to_string().as_bytes(), key)?;
        Ok(Output { recorder: Some(Recorder::start(writer)?), failed: false, recordings: vec![config.path.clone()] })
    }

    /// The error, once sealing has failed.
    pub fn failed(&self) -> Result<(), ProbeError> {
        if !self.failed {
            return Ok(());
        }
        match &self.recorder {
            Some(recorder) => Ok(recorder.flush(false)?),
            None => Ok(()),
        }
    }

    /// Something must be looked after before its time.
    pub fn hurried(&self) -> bool {
        false
    }

    /// A trigger fired.
    pub fn fire(&mut self, _now: u64, _reason: Value) {}

    /// Time passes.
    pub fn tick(&mut self, _now: u64, _lives: &Lives) -> Result<(), ProbeError> {
        Ok(())
    }

    /// As many windows as wanted are sealed.
    pub fn enough(&self) -> bool {
        false
    }

    /// Bytes of the past kept in memory, and seconds it reaches back.
    pub fn kept(&self, _now: u64) -> (u64, f64) {
        (0, 0.0)
    }

    /// Seals the end.
    pub fn close(&mut self, end: Map<String, Value>) -> Result<(), ProbeError> {
        match self.recorder.take() {
            Some(recorder) => Ok(recorder.finish(end)?),
            None => Ok(()),
        }
    }
}

impl Sink for Output {
    fn record(&mut self, record: Record) {
        if let Some(recorder) = &self.recorder {
            self.failed |= !recorder.push(&record);
        }
    }

    fn line(&mut self, _at_ns: u64, line: Value, severity: Severity) {
        if let Some(recorder) = &self.recorder {
            recorder.push_line(line.to_string().into_bytes(), severity);
        }
    }
}
