// SPDX-License-Identifier: Apache-2.0
//! Runs a replay to breakpoints and instruction by instruction. A thread first runs ahead to where its next event begins, with the
//! breakpoints in its memory; it is then put back to just before that place, the breakpoints are taken out, and the session replays
//! the event as it always does. So breakpoints are never in memory when something is compared, copied or summed up.

use crate::debug::files::Names;
use crate::engine::sys::{self, SYSCALL_STOP};
use crate::error::ReplayError;
use crate::record::signals::{is_fault, tsc_instruction};
use crate::regs::index::{ORIG_RAX, RAX, RIP};
use crate::replay::session::{Session, Step};
use crate::stream::{TaskId, What};
use observer_capture::sys::Wait;
use std::collections::BTreeSet;

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const INT3: u8 = 0xcc;

/// Why a debugged replay stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// At a breakpoint, or after a step.
    Trap,
    /// A signal was delivered.
    Signal(i32),
    /// Nothing is left; the command's exit status or signal.
    Exited(i32),
    /// The command was ended by this signal.
    Killed(i32),
    /// Interrupted by the debugger.
    Interrupted,
}

/// A replay, its breakpoints, and what is known of its files.
pub struct Runner<'s> {
    /// The replay.
    pub session: &'s mut Session,
    /// Addresses.
    pub breakpoints: BTreeSet<u64>,
    /// Names and files.
    pub names: Names,
    /// The thread that ran last.
    pub task: TaskId,
    /// It already ran to where its next event begins.
    pub(super) ahead: bool,
}

pub(super) enum Ahead {
    /// At the start of its next event.
    Ready,
    /// At a breakpoint.
    Breakpoint,
}

impl<'s> Runner<'s> {
    /// Takes a session over; replays up to the first program's first instruction.
    pub fn new(session: &'s mut Session) -> Result<Runner<'s>, ReplayError> {
        let mut runner = Runner { session, breakpoints: BTreeSet::new(), names: Names::default(), task: 0, ahead: false };
        while runner.session.tasks().next().is_none() {
            if runner.event()? == Step::Finished {
                break;
            }
        }
        Ok(runner)
    }

    /// Replays one event, and learns from it.
    pub fn event(&mut self) -> Result<Step, ReplayError> {
        self.ahead = false;
        let step = self.session.step()?;
        if let Step::Event(event) = &step {
            self.names.see(self.session, event)?;
        }
        Ok(step)
    }

    /// Replays to an event, for going to a place before the debugger is there.
    pub fn to(&mut self, event: u64) -> Result<(), ReplayError> {
        while self.session.position() < event && self.event()? != Step::Finished {}
        if let Some(task) = self.runs_before()?.filter(|_| event > 0) {
            self.task = task;
            self.run_with_breakpoints(task)?; // to the instruction that makes the call, not past it
        }
        Ok(())
    }

    /// The next event's task when it has to run before that event: what it runs may hold breakpoints.
    pub(super) fn runs_before(&mut self) -> Result<Option<TaskId>, ReplayError> {
        let Some(event) = self.session.peek()? else { return Ok(None) };
        let runs = match &event.what {
            What::Call(entry, _) | What::Enter(entry) => !entry.restarted,
            What::Tsc { .. } | What::Random(_) => true,
            What::Signal(signal) => signal.fault,
            What::Death(death) => death.fault,
            _ => false,
        };
        Ok(Some(event.task).filter(|_| runs))
    }

    /// Goes on to a breakpoint, a signal or the end. `interrupted` is asked now and then.
    pub fn go(&mut self, interrupted: &mut dyn FnMut() -> bool) -> Result<Halt, ReplayError> {
        let mut first = true;
        loop {
            if let Some(task) = self.runs_before()?.filter(|_| !self.ahead) {
                let over = std::mem::take(&mut first) && task == self.task;
                self.task = task;
                if let Ahead::Breakpoint = self.run_ahead(task, over)? {
                    return Ok(Halt::Trap);
                }
            }
            if let Some(halt) = self.finish_event()? {
                return Ok(halt);
            }
            if interrupted() {
                return Ok(Halt::Interrupted);
            }
        }
    }

    /// One instruction of the current task, or what its instruction asks of the kernel with all that comes before its return.
    pub fn step(&mut self) -> Result<Halt, ReplayError> {
        loop {
            let next = self.runs_before()?;
            match next {
                Some(task) if task == self.task && !self.ahead => {
                    if self.at_event(task)? {
                        self.ahead = true;
                    } else if self.single(task)? {
                        return Ok(Halt::Trap);
                    } else {
                        self.ahead = true;
                    }
                }
                _ => {
                    let own = self.session.peek()?.map(|event| event.task) == Some(self.task);
                    let ends = own && self.returns_next()?;
                    if let Some(halt) = self.finish_event()? {
                        return Ok(halt);
                    }
                    let gone = self.session.body(self.task).is_err() && self.session.tasks().next().is_some();
                    if ends || gone {
                        return Ok(Halt::Trap);
                    }
                }
            }
        }
    }

    /// The next event gives its task back to the program.
    fn returns_next(&mut self) -> Result<bool, ReplayError> {
        let event = self.session.peek()?;
        Ok(event.is_some_and(|e| {
            matches!(
                e.what,
                What::Call(..) | What::Return(_) | What::Tsc { .. } | What::Random(_) | What::Signal(_) | What::Exec(_)
            )
        }))
    }

    fn finish_event(&mut self) -> Result<Option<Halt>, ReplayError> {
        let signal = match self.session.peek()?.map(|event| (event.task, &event.what)) {
            Some((task, What::Signal(signal))) => Some((task, i32::try_from(signal.number).unwrap_or(0))),
            _ => None,
        };
        if self.event()? == Step::Finished {
            let ended = self.session.ended.unwrap_or_default();
            let exited = Halt::Exited(ended.exit_code.unwrap_or(0));
            return Ok(Some(ended.signal.map_or(exited, Halt::Killed)));
        }
        Ok(signal.map(|(task, number)| {
            self.task = task;
            Halt::Signal(number)
        }))
    }

    /// At an instruction whose effect is an event: a call, or reading the time stamp counter.
    pub(super) fn at_event(&mut self, task: TaskId) -> Result<bool, ReplayError> {
        let body = self.session.body(task)?;
        let code = body.read(body.regs.rip(), 2);
        Ok(code == SYSCALL || tsc_instruction(body.real, body.regs.rip()).is_some())
    }

    /// One instruction; false when it raised a fault, which is the next event.
    pub(super) fn single(&mut self, task: TaskId) -> Result<bool, ReplayError> {
        let body = self.session.body(task)?;
        let before = body.regs;
        sys::set_registers(body.real, &body.regs).map_err(ReplayError::io("set registers of the replay"))?;
        sys::step(body.real, 0).map_err(ReplayError::io("step the replay"))?;
        let stop = sys::wait_for(body.real).map_err(ReplayError::io("wait for the replay"))?;
        match stop {
            Wait::Stopped(libc::SIGTRAP, _) => {
                body.regs = sys::registers(body.real).map_err(ReplayError::io("read registers of the replay"))?;
                body.regs.0[ORIG_RAX] = before.0[ORIG_RAX];
                Ok(true)
            }
            _ => {
                body.regs = before;
                Ok(false)
            }
        }
    }

    /// Runs to the next event's place or a breakpoint; `over` steps off a breakpoint that the task stands on.
    pub(super) fn run_ahead(&mut self, task: TaskId, over: bool) -> Result<Ahead, ReplayError> {
        if self.breakpoints.is_empty() {
            return Ok(Ahead::Ready); // the session runs there itself
        }
        let at = self.session.body(task)?.regs.rip();
        if self.breakpoints.contains(&at) {
            if !over {
                return Ok(Ahead::Breakpoint);
            }
            if self.at_event(task)? || !self.single(task)? {
                self.ahead = true;
                return Ok(Ahead::Ready);
            }
            if self.breakpoints.contains(&self.session.body(task)?.regs.rip()) {
                return Ok(Ahead::Breakpoint);
            }
        }
        let saved = self.insert(task)?;
        let result = self.run_with_breakpoints(task);
        for (address, byte) in saved {
            self.session.body(task)?.write(address, &[byte])?;
        }
        result
    }

    fn insert(&mut self, task: TaskId) -> Result<Vec<(u64, u8)>, ReplayError> {
        let wanted: Vec<u64> = self.breakpoints.iter().copied().collect();
        let body = self.session.body(task)?;
        let mut saved = Vec::new();
        for address in wanted {
            if let Some(byte) = body.read(address, 1).first() {
                body.write(address, &[INT3])?;
                saved.push((address, *byte));
            }
        }
        Ok(saved)
    }

    pub(super) fn run_with_breakpoints(&mut self, task: TaskId) -> Result<Ahead, ReplayError> {
        let breakpoints = self.breakpoints.clone();
        let body = self.session.body(task)?;
        sys::set_registers(body.real, &body.regs).map_err(ReplayError::io("set registers of the replay"))?;
        loop {
            sys::resume_emulating(body.real).map_err(ReplayError::io("resume the replay"))?;
            let stop = sys::wait_for(body.real).map_err(ReplayError::io("wait for the replay"))?;
            let Wait::Stopped(signal, event) = stop else { return Ok(Ahead::Ready) };
            if signal == SYSCALL_STOP {
                body.regs = sys::registers(body.real).map_err(ReplayError::io("read registers of the replay"))?;
                body.regs.0[RIP] = body.regs.0[RIP].wrapping_sub(2); // the session meets the instruction again
                body.regs.0[RAX] = body.regs.0[ORIG_RAX];
                body.regs.0[ORIG_RAX] = u64::MAX;
                self.ahead = true;
                return Ok(Ahead::Ready);
            }
            let info = sys::siginfo(body.real).map_err(ReplayError::io("read a signal of the replay"))?;
            if event != 0 || !is_fault(signal, sys::siginfo_code(&info)) {
                continue; // from outside
            }
            body.regs = sys::registers(body.real).map_err(ReplayError::io("read registers of the replay"))?;
            let before = body.regs.rip().wrapping_sub(1);
            if signal == libc::SIGTRAP && breakpoints.contains(&before) {
                body.regs.0[RIP] = before;
                return Ok(Ahead::Breakpoint);
            }
            self.ahead = true;
            return Ok(Ahead::Ready);
        }
    }
}
