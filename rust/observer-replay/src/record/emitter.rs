// SPDX-License-Identifier: Apache-2.0
//! Puts events in order and into the recording. A call is one event when nothing of another task came between its entry and its
//! return, and two when something did.

use crate::regs::Regs;
use crate::stream::{Encoder, Entry, Event, Exit, TaskId, What};
use observer_capture::sys::monotonic_ns;
use observer_recording::Recorder;

/// Writes the stream of one recording.
pub struct Emitter<'a> {
    recorder: &'a Recorder,
    encoder: Encoder,
    last_ns: u64,
    /// Entries that are not written yet, oldest first.
    waiting: Vec<(TaskId, Entry)>,
    /// Events written.
    pub count: u64,
}

impl<'a> Emitter<'a> {
    /// A stream that begins now.
    pub fn new(recorder: &'a Recorder, began_ns: u64) -> Emitter<'a> {
        Emitter { recorder, encoder: Encoder::default(), last_ns: began_ns, waiting: Vec::new(), count: 0 }
    }

    fn write(&mut self, task: TaskId, what: What) {
        let now = monotonic_ns();
        let event = Event { task, dt_ns: now.saturating_sub(self.last_ns), what };
        self.last_ns = now;
        if let Ok(bytes) = self.encoder.bytes(&event) {
            self.recorder.push_replay(&bytes);
            self.count += 1;
        }
    }

    /// Writes all entries in the order in which they happened, but for the newest if it is that of `keep`.
    fn flush(&mut self, keep: Option<TaskId>) {
        let kept = self.waiting.last().filter(|(newest, _)| Some(*newest) == keep).map(|_| self.waiting.len() - 1);
        let entries: Vec<_> = self.waiting.drain(..kept.unwrap_or(self.waiting.len())).collect();
        for (task, entry) in entries {
            self.write(task, What::Enter(entry));
        }
    }

    /// Task enters a call with these registers.
    pub fn enter(&mut self, task: TaskId, regs: &Regs, restarted: bool) {
        let regs = self.encoder.entry(task, regs);
        self.waiting.push((task, Entry { regs, restarted }));
    }

    /// Writes all entries now, because a call makes events of its own.
    pub fn force(&mut self) {
        self.flush(None);
    }

    /// Task's call returned.
    pub fn leave(&mut self, task: TaskId, exit: Exit) {
        self.flush(Some(task));
        match self.waiting.pop() {
            Some((_, entry)) => self.write(task, What::Call(entry, exit)),
            None => self.write(task, What::Return(exit)),
        }
    }

    /// Anything else of a task.
    pub fn event(&mut self, task: TaskId, what: What) {
        self.flush(None);
        self.write(task, what);
    }
}
