// SPDX-License-Identifier: Apache-2.0
//! Backwards: what was is reached by replaying again from the nearest checkpoint, to an earlier place. A place is a number of events and, in the
//! stretch that the next event's thread runs before it, a number of instructions. What a debugger changed is not changed again.

use crate::debug::runner::{Ahead, Runner};
use crate::engine::sys;
use crate::error::ReplayError;
use crate::replay::session::Step;
use crate::stream::TaskId;

/// A stretch without events may be so long; stepping through it takes a minute or so.
const MOST_STEPS: u64 = 2_000_000;

/// How far into the stretch before an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// So many instructions.
    Steps(u64),
    /// So many breakpoints, each at its first instruction.
    Breakpoints(u64),
    /// To the instruction whose effect is the event.
    End,
}

impl Runner<'_> {
    /// Replays again to a place.
    fn go_to(&mut self, position: u64, within: Within) -> Result<(), ReplayError> {
        self.restart(position)?;
        let Some(task) = self.runs_before()? else { return Ok(()) };
        match within {
            Within::Steps(steps) => {
                for _ in 0..steps {
                    self.single(task)?;
                }
            }
            Within::Breakpoints(count) => {
                for number in 0..count {
                    self.run_ahead(task, number > 0)?;
                }
            }
            Within::End => self.run_to_event(task)?,
        }
        self.task = task;
        Ok(())
    }

    /// From the nearest checkpoint, or the beginning, to an event.
    fn restart(&mut self, position: u64) -> Result<(), ReplayError> {
        self.session.back_to(position)?;
        self.ahead = false;
        while self.session.position() < position && self.event()? != Step::Finished {}
        Ok(())
    }

    /// Instructions that the next event's task has run since the event before. The replay ends up at the same place again.
    fn steps_taken(&mut self, task: TaskId) -> Result<u64, ReplayError> {
        if self.runs_before()? != Some(task) {
            return Ok(0);
        }
        let (position, wanted) = (self.session.position(), self.session.body(task)?.regs);
        self.restart(position)?;
        for steps in 0..MOST_STEPS {
            let now = self.session.body(task)?.regs;
            if now.same_instant(&wanted) {
                return Ok(steps);
            }
            if self.at_event(task)? || !self.single(task)? {
                return Ok(steps);
            }
        }
        Err(ReplayError::Usage(format!("more than {MOST_STEPS} instructions lie between here and the last event")))
    }

    /// One instruction back in a thread; false at its beginning.
    pub fn step_back(&mut self, task: TaskId) -> Result<bool, ReplayError> {
        let position = self.session.position();
        let steps = self.steps_taken(task)?;
        if steps > 0 {
            self.go_to(position, Within::Steps(steps - 1))?;
            return Ok(true);
        }
        self.restart(0)?;
        let mut last = None;
        while self.session.position() < position {
            if self.runs_before()? == Some(task) {
                last = Some(self.session.position());
            }
            if self.event()? == Step::Finished {
                break;
            }
        }
        match last {
            Some(event) => self.go_to(event, Within::End)?,
            None => self.go_to_first_instruction()?,
        }
        Ok(last.is_some())
    }

    /// Back to the last breakpoint before this place; false, at the beginning, when there is none.
    pub fn go_back(&mut self, task: TaskId) -> Result<bool, ReplayError> {
        let position = self.session.position();
        let steps = self.steps_taken(task)?;
        self.restart(0)?;
        let mut last = None;
        while self.session.position() < position {
            let place = self.session.position();
            if let Some(running) = self.runs_before()? {
                let mut hits = 0;
                while let Ahead::Breakpoint = self.run_ahead(running, hits > 0)? {
                    hits += 1;
                    last = Some((place, Within::Breakpoints(hits)));
                }
            }
            if self.event()? == Step::Finished {
                break;
            }
        }
        for step in 0..steps {
            if self.breakpoints.contains(&self.session.body(task)?.regs.rip()) {
                last = Some((position, Within::Steps(step)));
            }
            self.single(task)?;
        }
        match last {
            Some((place, within)) => self.go_to(place, within)?,
            None => self.go_to_first_instruction()?,
        }
        Ok(last.is_some())
    }

    fn go_to_first_instruction(&mut self) -> Result<(), ReplayError> {
        self.restart(0)?;
        while self.session.tasks().next().is_none() && self.event()? != Step::Finished {}
        self.task = self.session.tasks().next().map_or(0, |body| body.id);
        Ok(())
    }

    /// Runs to the next event's place, and no further.
    fn run_to_event(&mut self, task: TaskId) -> Result<(), ReplayError> {
        let set = std::mem::take(&mut self.breakpoints);
        let result = self.run_with_breakpoints(task).map(drop);
        self.breakpoints = set;
        let body = self.session.body(task)?;
        sys::set_registers(body.real, &body.regs).map_err(ReplayError::io("set registers of the replay"))?;
        result
    }
}
