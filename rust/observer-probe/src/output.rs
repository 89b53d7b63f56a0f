// SPDX-License-Identifier: Apache-2.0
//! Where records go: straight into a sealed recording, or into memory until a trigger fires.

use crate::config::{Config, PreTrigger};
use crate::error::ProbeError;
use crate::feed::{Parts, Sink};
use crate::past::Past;
use crate::trigger::Triggers;
use observer_evidence::{SecretKey, Severity};
use observer_model::{Blob, Record, SignalRecord, SyscallRecord, When};
use observer_recording::background::{CHUNK_AGE, CHUNK_BYTES};
use observer_recording::codec::ChunkEncoder;
use observer_recording::{Recorder, RecordingError, RecordingWriter};
use serde_json::{json, Map, Value};
use std::path::PathBuf;

/// The past and what ends it.
struct Waiting {
    settings: PreTrigger,
    past: Past,
    triggers: Triggers,
    /// When the open window ends.
    until_ns: u64,
}

/// The destination of one watch.
pub struct Output {
    path: PathBuf,
    start: Value,
    key: Option<SecretKey>,
    recorder: Option<Recorder>,
    /// What goes into the next chunk of the open recording, and when that is due.
    encoder: ChunkEncoder,
    due_ns: u64,
    waiting: Option<Waiting>,
    failed: bool,
    error: Option<RecordingError>,
    /// Recordings made.
    pub recordings: Vec<PathBuf>,
}

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl Output {
    /// Makes the recording, or the memory for the past.
    pub fn new(config: &Config, key: Option<SecretKey>, now: u64) -> Result<Output, ProbeError> {
        let waiting = match &config.pre_trigger {
            Some(settings) => Some(Waiting {
                past: Past::new(ns(settings.before_s), settings.memory_bytes, now)?,
                triggers: Triggers::new(&settings.conditions, &settings.rules, settings.control.as_deref())?,
                settings: settings.clone(),
                until_ns: 0,
            }),
            None => None,
        };
        let (path, start) = (config.path.clone(), config.start.clone());
        let mut out = Output {
            path,
            start,
            key,
            recorder: None,
            encoder: ChunkEncoder::new(),
            due_ns: 0,
            waiting,
            failed: false,
            error: None,
            recordings: Vec::new(),
        };
        if out.waiting.is_none() {
            out.recorder = Some(out.open(&out.start.clone())?);
        }
        Ok(out)
    }

    /// The place of the next recording: the wanted one, then the same with `-2`, `-3`, …
    fn open(&mut self, start: &Value) -> Result<Recorder, ProbeError> {
        let mut path = self.path.clone();
        if !self.recordings.is_empty() {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            path.set_file_name(format!("{name}-{}", self.recordings.len() + 1));
        }
        let writer = RecordingWriter::create(&path, start.to_string().as_bytes(), self.key.clone())?;
        self.recordings.push(path);
        Ok(Recorder::start(writer)?)
    }

    /// The error, once sealing has failed.
    pub fn failed(&mut self) -> Result<(), ProbeError> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        match &self.recorder {
            Some(recorder) if self.failed => Ok(recorder.flush(false)?),
            _ => Ok(()),
        }
    }

    /// Hands on what waits for its chunk when that is full, or old enough.
    pub fn settle(&mut self, now: u64) {
        if self.encoder.records == 0 {
            return;
        }
        if self.due_ns == 0 {
            self.due_ns = now.saturating_add(CHUNK_AGE.as_nanos() as u64);
        } else if now >= self.due_ns {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.due_ns = 0;
        let Some(recorder) = self.recorder.as_ref().filter(|_| self.encoder.records > 0) else { return };
        self.failed |= !recorder.push_batch(self.encoder.cut(recorder.spare()));
    }

    fn full(&mut self) {
        if self.encoder.bytes() >= CHUNK_BYTES {
            self.cut();
        }
    }

    /// A trigger has fired and must be looked after before its time.
    #[must_use]
    pub fn hurried(&self) -> bool {
        self.recorder.is_none() && self.waiting.as_ref().is_some_and(|w| w.triggers.fired())
    }

    /// A trigger fired: seals the past, or lengthens the open window.
    pub fn fire(&mut self, now: u64, reason: &Value) -> Result<(), ProbeError> {
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        waiting.until_ns = waiting.until_ns.max(now.saturating_add(ns(waiting.settings.after_s)));
        if self.recorder.is_none() {
            let window = waiting.past.take(now)?;
            let squeezed = std::mem::take(&mut waiting.past.squeezed);
            let start = self.window_start(window.from_ns, now, squeezed);
            let recorder = self.open(&start)?;
            for (_, line, severity) in window.lines {
                recorder.push_line(line.to_string().into_bytes(), severity);
            }
            recorder.push_past(window.packed);
            self.recorder = Some(recorder);
        }
        let line = json!({"type": "event", "event_type": "trigger", "severity": "warning", "at_ns": now, "data": reason});
        if let Some(recorder) = &self.recorder {
            recorder.push_line(line.to_string().into_bytes(), Severity::Warning);
        }
        Ok(())
    }

    /// The first line of a window: its own id after the first, and its times are those of its first moment.
    fn window_start(&self, from_ns: u64, now: u64, squeezed: u64) -> Value {
        let mut start = self.start.clone();
        let number = |key: &str| self.start.get(key).and_then(Value::as_u64).unwrap_or(0);
        let wall = number("wall_ns").saturating_add(from_ns).saturating_sub(number("monotonic_ns"));
        start["wall_ns"] = json!(wall);
        start["monotonic_ns"] = json!(from_ns);
        start["pre_trigger"] = json!({"kept_ns": now.saturating_sub(from_ns), "records_squeezed_out": squeezed});
        if !self.recordings.is_empty() {
            start["follows"] = self.start["trace_id"].clone();
            if let Ok(id) = std::fs::read_to_string("/proc/sys/kernel/random/uuid") {
                start["trace_id"] = json!(id.trim());
            }
        }
        start
    }

    /// Time passes: fires what has fired, closes the window that is over, forgets what is too old.
    pub fn tick(&mut self, now: u64, lost: u64) -> Result<(), ProbeError> {
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        waiting.triggers.tick(now, lost);
        let fired = waiting.triggers.take();
        for reason in &fired {
            self.fire(now, reason)?;
        }
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        if self.recorder.is_none() {
            return Ok(waiting.past.tick(now)?);
        }
        if now >= waiting.until_ns {
            let end = json!({"status": "completed", "reason": "the window after the trigger is over", "monotonic_ns": now, "lost": lost});
            return self.close(end.as_object().cloned().unwrap_or_default());
        }
        Ok(())
    }

    /// As many windows as wanted are sealed.
    #[must_use]
    pub fn enough(&self) -> bool {
        let wanted = self.waiting.as_ref().map_or(0, |w| w.settings.windows as usize);
        wanted > 0 && self.recordings.len() >= wanted && self.recorder.is_none()
    }

    /// Bytes of the past kept in memory, and seconds it reaches back.
    #[must_use]
    pub fn kept(&self, now: u64) -> (u64, f64) {
        let kept = self.waiting.as_ref().map(|w| w.past.kept(now));
        kept.map_or((0, 0.0), |(bytes, span)| (bytes, span as f64 / 1e9))
    }

    /// Seals the end of what is open.
    pub fn close(&mut self, end: Map<String, Value>) -> Result<(), ProbeError> {
        self.cut();
        match self.recorder.take() {
            Some(recorder) => Ok(recorder.finish(end)?),
            None => Ok(()),
        }
    }
}

/// The call with its memory in it.
fn whole(call: &SyscallRecord, parts: Parts<'_>) -> Record {
    let blob = |(what, part, bytes): (u8, u16, &[u8])| Blob {
        arg: what & 7,
        when: if what & 8 == 0 { When::Entry } else { When::Exit },
        part,
        truncated: what & 16 != 0,
        bytes: bytes.to_vec(),
    };
    Record::Call(SyscallRecord { blobs: parts.map(blob).collect(), ..call.clone() })
}

impl Sink for Output {
    fn call(&mut self, call: &SyscallRecord, parts: Parts<'_>) {
        if let Some(waiting) = &mut self.waiting {
            if waiting.triggers.may_fire(call.nr) {
                waiting.triggers.record(&whole(call, parts.clone()));
            }
            if self.recorder.is_none() {
                self.error = waiting.past.call(call, parts).err().or(self.error.take());
                return;
            }
        }
        self.encoder.push_parts(call, parts);
        self.full();
    }

    fn signal(&mut self, signal: SignalRecord) {
        let record = Record::Signal(signal);
        if let Some(waiting) = &mut self.waiting {
            waiting.triggers.record(&record);
            if self.recorder.is_none() {
                self.error = waiting.past.record(&record).err().or(self.error.take());
                return;
            }
        }
        self.encoder.push(&record);
        self.full();
    }

    fn line(&mut self, at_ns: u64, line: Value, severity: Severity) {
        if let Some(waiting) = &mut self.waiting {
            waiting.triggers.line(at_ns, &line);
        }
        match (&self.recorder, &mut self.waiting) {
            (Some(recorder), waiting) => {
                if let Some(waiting) = waiting {
                    waiting.past.pass(&line);
                }
                recorder.push_line(line.to_string().into_bytes(), severity);
            }
            (None, Some(waiting)) => waiting.past.line(at_ns, line, severity),
            (None, None) => {}
        }
    }
}
