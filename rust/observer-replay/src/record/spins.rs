// SPDX-License-Identifier: Apache-2.0
//! A thread that computes on while others, or a signal, wait. At a boundary it is just put aside. In the middle of a computation that
//! is allowed where a replay can find the place again: in a loop that changes nothing, whose state recurs.

use crate::engine::{maps, sys};
use crate::error::ReplayError;
use crate::record::lives::CHECK_LIMIT;
use crate::record::task::{State, SLICE};
use crate::record::tracer::Tracer;
use crate::stream::{Effect, Point, What};
use observer_capture::sys::{Tid, Wait};
use std::time::{Duration, Instant};

/// A loop that waits comes round in far less.
const ROUND: Duration = Duration::from_millis(8);
/// The same place may be passed so often before the whole state recurs.
const PASSES: u32 = 16;
/// A signal that found no such loop for so long is delivered all the same, and marked.
const PATIENCE: Duration = Duration::from_secs(1);
/// Futex operations during whose sleep the kernel changes the word: LOCK_PI, LOCK_PI2. Source: futex(2).
const CHANGED_ASLEEP: [u64; 2] = [6, 13];

impl Tracer<'_> {
    /// A thread sleeps in its call.
    pub(super) fn asleep(&mut self, tid: Tid) {
        let Some((id, call)) = self.tasks.get(&tid).and_then(|task| task.call.as_ref().map(|call| (task.id, call))) else {
            return;
        };
        if i64::from(call.nr) == libc::SYS_futex && CHANGED_ASLEEP.contains(&(call.args[1] & 0x7f)) {
            let bytes = crate::record::outputs::bytes_at(tid, call.args[0], 4);
            let effects = vec![Effect::Memory(call.args[0], bytes)];
            self.emitter.event(id, What::Meanwhile(effects));
        }
    }

    fn put_aside(&mut self, tid: Tid, midway: bool) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.midway = midway;
            task.state = State::Ready;
            task.patience = SLICE;
        }
        if self.running == Some(tid) {
            self.running = None;
        }
        self.ready.push_back(tid);
    }

    /// The running thread was interrupted, because it has had its time.
    pub(super) fn interrupted(&mut self, tid: Tid) -> Result<(), ReplayError> {
        let Some(task) = self.tasks.get(&tid) else { return Ok(()) };
        let regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
        if regs.same_state(&task.boundary) && task.deferred.is_empty() {
            self.put_aside(tid, false);
            return Ok(());
        }
        let group = task.group();
        let strangers = self.ready.iter().filter_map(|other| self.tasks.get(other)).any(|other| other.group() != group);
        if task.deferred.is_empty() && strangers {
            self.put_aside(tid, true); // who shares no memory with it may run at any point of it
            return Ok(());
        }
        match self.recurring(tid)? {
            Found::Point(point) => self.use_point(tid, *point),
            Found::Elsewhere => Ok(()),
            Found::Nothing => self.nothing_recurs(tid),
        }
    }

    fn use_point(&mut self, tid: Tid, point: Point) -> Result<(), ReplayError> {
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        task.patience = SLICE;
        if let Some((signal, info)) = task.deferred.pop_front() {
            task.point = Some(point);
            let _ = sys::set_siginfo(tid, &info);
            return self.deliver(tid, (signal, &info), false);
        }
        task.boundary = point.regs;
        let id = task.id;
        self.emitter.event(id, What::Preempt(Box::new(point)));
        self.put_aside(tid, false);
        Ok(())
    }

    /// The computation makes progress: it goes on, and is looked at again later. A signal cannot wait for ever.
    fn nothing_recurs(&mut self, tid: Tid) -> Result<(), ReplayError> {
        let waited = self.slice.elapsed();
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        if task.deferred.is_empty() || waited < PATIENCE {
            task.patience = (waited * 2).min(PATIENCE);
            return self.go_on(tid, 0);
        }
        let regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
        let sum = maps::checksum(tid, (0, 0), u64::MAX, regs.rsp()).ok().flatten().unwrap_or(0);
        let number = task.deferred.front().map_or(0, |(signal, _)| *signal);
        self.mark(tid, &format!("signal {number} came in a long computation without calls: the replay may not find the place"));
        self.use_point(tid, Point { regs, memory: sum, words: Vec::new() })
    }

    /// Looks whether the state of an interrupted thread recurs. It is stopped at a SIGTRAP afterwards, unless something else came.
    fn recurring(&mut self, tid: Tid) -> Result<Found, ReplayError> {
        let failed = |what| ReplayError::io(what);
        if !self.stepped(tid)? {
            return Ok(Found::Elsewhere);
        }
        let regs = sys::registers(tid).map_err(failed("read registers"))?;
        let Ok(Some(memory)) = maps::checksum(tid, (0, 0), CHECK_LIMIT, regs.rsp()) else { return Ok(Found::Nothing) };
        let point = Box::new(Point { regs, memory, words: Vec::new() });
        if !self.stepped(tid)? {
            return Ok(Found::Elsewhere);
        }
        if sys::registers(tid).is_ok_and(|now| now.same_instant(&regs)) {
            return Ok(Found::Point(point));
        }
        sys::hardware_breakpoint(tid, Some(regs.rip())).map_err(failed("set a breakpoint"))?;
        let found = self.comes_again(tid, point);
        let _ = sys::hardware_breakpoint(tid, None);
        found
    }

    /// One instruction, but never a system call: that would go unseen.
    fn stepped(&mut self, tid: Tid) -> Result<bool, ReplayError> {
        let rip = sys::registers(tid).map_err(ReplayError::io("read registers"))?.rip();
        if crate::record::outputs::bytes_at(tid, rip, 2) == [0x0f, 0x05] {
            self.go_on(tid, 0)?;
            return Ok(false);
        }
        sys::step(tid, 0).map_err(ReplayError::io("step a thread"))?;
        match sys::wait_for(tid).map_err(ReplayError::io("wait for a thread"))? {
            Wait::Stopped(libc::SIGTRAP, 0) => Ok(true),
            other => {
                self.queue_stop(tid, other);
                Ok(false)
            }
        }
    }

    fn comes_again(&mut self, tid: Tid, point: Box<Point>) -> Result<Found, ReplayError> {
        let began = Instant::now();
        let mut asked = false;
        let mut passes = 0;
        sys::resume_to_syscall(tid, 0).map_err(ReplayError::io("resume a thread"))?;
        loop {
            match sys::wait(tid, true) {
                Ok(Some((_, Wait::Stopped(libc::SIGTRAP, 0)))) => {
                    let same = sys::registers(tid).is_ok_and(|now| now.same_instant(&point.regs));
                    if same
                        && maps::checksum(tid, (0, 0), CHECK_LIMIT, point.regs.rsp()).is_ok_and(|sum| sum == Some(point.memory))
                    {
                        return Ok(Found::Point(point));
                    }
                    passes += 1;
                    if passes > PASSES || began.elapsed() > ROUND {
                        return Ok(Found::Nothing);
                    }
                    sys::resume_to_syscall(tid, 0).map_err(ReplayError::io("resume a thread"))?;
                }
                Ok(Some((_, Wait::Stopped(libc::SIGTRAP, libc::PTRACE_EVENT_STOP)))) if asked => return Ok(self.trapped(tid)),
                Ok(Some((_, other))) => {
                    self.queue_stop(tid, other);
                    return Ok(Found::Elsewhere);
                }
                Ok(None) => {}
                Err(_) if began.elapsed() > ROUND && !asked => {
                    asked = true;
                    let _ = sys::interrupt(tid);
                }
                Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
                Err(e) => return Err(ReplayError::io("wait for a thread")(e)),
            }
        }
    }

    /// A signal can be given to a thread only at a stop for one: one more step makes it that.
    fn trapped(&mut self, tid: Tid) -> Found {
        match self.stepped(tid) {
            Ok(true) => Found::Nothing,
            _ => Found::Elsewhere,
        }
    }
}

/// What looking for a recurring state came to.
enum Found {
    /// It recurs here.
    Point(Box<Point>),
    /// It does not; the thread is stopped.
    Nothing,
    /// Something else happened, which is queued.
    Elsewhere,
}
