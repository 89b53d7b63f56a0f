// SPDX-License-Identifier: Apache-2.0
//! Changes to a replay: other results, other arguments. What follows is marked as modified.

use crate::error::ReplayError;
use crate::replay::session::{Session, Step};
use crate::stream::{Exit, TaskId};

impl Session {
    /// The call that is about to return (after [`Session::advance`]) returns this instead.
    pub fn override_result(&mut self, result: i64) {
        self.instead = Some(result);
        self.modified = true;
    }

    /// The task is in a call; its arguments become these.
    pub fn override_args(&mut self, task: TaskId, args: [u64; 6]) -> Result<(), ReplayError> {
        self.modified = true;
        let body = self.body(task)?;
        body.regs.set_args(args);
        body.call.1 = args;
        Ok(())
    }

    pub(super) fn returns_maybe_changed(&mut self, task: TaskId, exit: &Exit) -> Result<(), ReplayError> {
        match self.instead.take() {
            Some(result) => self.returns(task, &Exit { result, sent: 0, effects: Vec::new() }),
            None => self.returns(task, exit),
        }
    }

    /// Replays all events up to a recorded time, CLOCK_MONOTONIC ns.
    pub fn run_to_time(&mut self, time_ns: u64) -> Result<(), ReplayError> {
        loop {
            let now = self.time_ns();
            match self.peek()? {
                Some(event) if now.saturating_add(event.dt_ns) <= time_ns => self.step().map(drop)?,
                _ => return Ok(()),
            }
        }
    }

    /// Replays to the end.
    pub fn run(&mut self) -> Result<(), ReplayError> {
        while self.step()? != Step::Finished {}
        Ok(())
    }
}
