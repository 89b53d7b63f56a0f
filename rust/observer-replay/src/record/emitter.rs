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

    fn flush_others(&mut self, task: TaskId) {
        if self.waiting.iter().all(|(other, _)| *other == task) {
            return;
        }
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(other, _)| *other == task);
        self.waiting = mine;
        for (other, entry) in others {
            self.write(other, What::Enter(entry));
        }
    }

    /// Task enters a call with these registers.
    pub fn enter(&mut self, task: TaskId, regs: &Regs, restarted: bool) {
        let regs = self.encoder.entry(task, regs);
        self.waiting.push((task, Entry { regs, restarted }));
    }

    /// Writes a task's entry now, because its call makes events of its own.
    pub fn force(&mut self, task: TaskId) {
        self.flush_others(task);
        if let Some(at) = self.waiting.iter().position(|(other, _)| *other == task) {
            let (_, entry) = self.waiting.remove(at);
            self.write(task, What::Enter(entry));
        }
    }

    /// Task's call returned.
    pub fn leave(&mut self, task: TaskId, exit: Exit) {
        self.flush_others(task);
        match self.waiting.pop() {
            Some((_, entry)) => self.write(task, What::Call(entry, exit)),
            None => self.write(task, What::Return(exit)),
        }
    }

    /// Anything else of a task.
    pub fn event(&mut self, task: TaskId, what: What) {
        self.force(task);
        self.write(task, what);
    }
}
