// SPDX-License-Identifier: Apache-2.0
//! A thread that computes on while others, or a signal, wait. At a boundary it is just put aside. In the middle of a computation that
//! is allowed where a replay can find the place again: in a loop that changes nothing, whose state recurs.

use crate::engine::{maps, sys};
use crate::error::ReplayError;
use crate::record::lives::CHECK_LIMIT;
use crate::record::signals::{is_caught, is_fault, is_stop};
use crate::record::task::{State, Task, SLICE};
use crate::record::tracer::Tracer;
use crate::regs::Regs;
use crate::stream::{Effect, Point, What};
use observer_capture::sys::{Tid, Wait};
use std::time::{Duration, Instant};

/// A loop that waits comes round in far less.
const ROUND: Duration = Duration::from_millis(8);
/// The same place may be passed so often before the whole state recurs.
const PASSES: u32 = 16;
/// A signal that found no such loop for so long is delivered all the same, and marked.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many times what it cost to put a thread aside it may run until it is put aside again.
const WORTH: u32 = 5;
const SHORTEST: Duration = Duration::from_millis(2);
/// From so many signals on that a replay has to search for in a process whose pages are not all known, a recording is marked: an
/// interpreter comes by the same place in nearly the same state again and again, and each time all memory is compared.
const STORM: u32 = 8;
/// A state is summed up so often while it is waited for to recur.
const SUMS: u32 = 3;
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
        if task.boundary.is_untouched(&regs) && task.deferred.is_empty() {
            self.put_aside(tid, false);
            return Ok(());
        }
        let group = task.group();
        let alike = |other: &Task| other.group() == group;
        let (mut friends, mut strangers) = (false, false);
        for other in self.ready.iter().filter_map(|other| self.tasks.get(other)) {
            friends |= alike(other);
            strangers |= !alike(other);
        }
        if self.deliverable(tid).is_none() && !friends {
            if strangers {
                self.put_aside(tid, true); // who shares no memory with it may run at any point of it
                return Ok(());
            }
            return self.go_on(tid, 0);
        }
        let began = Instant::now();
        let found = match self.recurring(tid)? {
            Found::Nothing => self.findable(tid)?,
            found => found,
        };
        match found {
            Found::Point(mut point, seen) => {
                point.pages = self.pages_changed(tid, seen);
                self.use_point(tid, *point)?;
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.patience = (began.elapsed() * WORTH).clamp(SHORTEST, PATIENCE);
                }
                Ok(())
            }
            Found::Elsewhere => Ok(()),
            Found::Nothing => self.nothing_recurs(tid),
        }
    }

    /// Others share memory with this thread.
    pub(super) fn has_friends(&self, tid: Tid) -> bool {
        let group = self.tasks.get(&tid).map(Task::group);
        self.tasks.values().any(|other| other.tid != tid && Some(other.group()) == group)
    }

    /// Which of the signals that wait for this thread it does not block.
    fn deliverable(&self, tid: Tid) -> Option<usize> {
        let task = self.tasks.get(&tid)?;
        let blocked = if task.deferred.is_empty() { 0 } else { sys::blocked_signals(tid).unwrap_or(0) };
        task.deferred.iter().position(|(signal, _)| blocked >> (signal - 1) & 1 == 0)
    }

    /// Gives one of the signals that wait to the thread, which is stopped at a signal; false when there is none.
    pub(super) fn deliver_waiting(&mut self, tid: Tid, point: Option<Point>) -> Result<bool, ReplayError> {
        let Some(at) = self.deliverable(tid) else { return Ok(false) };
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(false) };
        let Some((signal, info)) = task.deferred.remove(at) else { return Ok(false) };
        self.note_signal(tid, signal, &info);
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(false) };
        if is_stop(signal) && !is_caught(tid, signal) {
            if let Some(point) = point {
                task.leave_from(point.regs);
                task.midway = false;
                let id = task.id;
                self.emitter.event(id, What::Preempt(Box::new(point)));
            }
            return self.go_on(tid, signal).map(|()| true);
        }
        let all_known = self.kept.get(&task.space).is_some_and(|kept| kept.whole);
        let searched = point.is_some() && !all_known;
        task.point = point;
        let _ = sys::set_siginfo(tid, &info);
        self.searched += u32::from(searched);
        if self.searched == STORM {
            self.mark(
                tid,
                "many signals came in computations without calls in much memory: the replay may not find each place in its time",
            );
        }
        self.deliver(tid, (signal, &info), false).map(|()| true)
    }

    fn use_point(&mut self, tid: Tid, point: Point) -> Result<(), ReplayError> {
        if self.deliver_waiting(tid, Some(point.clone()))? {
            return Ok(());
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        task.leave_from(point.regs);
        let id = task.id;
        self.emitter.event(id, What::Preempt(Box::new(point)));
        self.put_aside(tid, false);
        Ok(())
    }

    /// No place was found where a replay could find the state. It goes on, and is looked at again later, but not for ever.
    fn nothing_recurs(&mut self, tid: Tid) -> Result<(), ReplayError> {
        let waited = self.slice.elapsed();
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        if waited < PATIENCE {
            task.patience = (waited * 2).min(PATIENCE);
            return self.go_on(tid, 0);
        }
        let regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
        let memory = maps::state_sum(tid, &[], u64::MAX, regs.rsp()).ok().flatten().unwrap_or(0);
        let what = task.deferred.front().map_or("a switch".to_owned(), |(signal, _)| format!("signal {signal}"));
        self.mark(tid, &format!("{what} came in a long computation without calls: the replay may not find the place"));
        let pages = self.pages_changed(tid, Vec::new());
        self.use_point(tid, Point { regs, memory, words: Vec::new(), vectors: Vec::new(), pages, moving: 0 })
    }

    /// Looks whether the state of an interrupted thread recurs. It is stopped at a SIGTRAP afterwards, unless something else came.
    fn recurring(&mut self, tid: Tid) -> Result<Found, ReplayError> {
        let failed = |what| ReplayError::io(what);
        if !self.stepped(tid)? {
            return Ok(Found::Elsewhere);
        }
        let regs = sys::registers(tid).map_err(failed("read registers"))?;
        let Ok(Some(memory)) = maps::state_sum(tid, &[], CHECK_LIMIT, regs.rsp()) else { return Ok(Found::Nothing) };
        let point = Box::new(Point { regs, memory, words: Vec::new(), vectors: Vec::new(), pages: Vec::new(), moving: 0 });
        if !self.stepped(tid)? {
            return Ok(Found::Elsewhere);
        }
        let same = |now: &Regs| now.same_instant(&regs);
        let mut sums = 0;
        let mut again = |tid: Tid| {
            sums += 1;
            sums <= SUMS && maps::state_sum(tid, &[], CHECK_LIMIT, regs.rsp()).is_ok_and(|sum| sum == Some(memory))
        };
        if sys::registers(tid).is_ok_and(|now| same(&now)) && again(tid) {
            return Ok(Found::Point(point, Vec::new()));
        }
        let began = Instant::now();
        for _ in 0..PASSES {
            match self.run_to(tid, regs.rip(), began)? {
                Ran::There if sys::registers(tid).is_ok_and(|now| same(&now)) && again(tid) => {
                    return Ok(Found::Point(point, Vec::new()))
                }
                Ran::There => {}
                Ran::Late => return Ok(Found::Nothing),
                Ran::Elsewhere => return Ok(Found::Elsewhere),
            }
        }
        Ok(Found::Nothing)
    }

    /// One instruction, but never a system call: that would go unseen.
    pub(super) fn stepped(&mut self, tid: Tid) -> Result<bool, ReplayError> {
        let rip = sys::registers(tid).map_err(ReplayError::io("read registers"))?.rip();
        if crate::record::outputs::bytes_at(tid, rip, 2) == [0x0f, 0x05] {
            self.go_on(tid, 0)?;
            return Ok(false);
        }
        loop {
            sys::step(tid, 0).map_err(ReplayError::io("step a thread"))?;
            match sys::wait_for(tid).map_err(ReplayError::io("wait for a thread"))? {
                Wait::Stopped(libc::SIGTRAP, 0) => return Ok(true),
                Wait::Stopped(signal, 0) if self.put_off(tid, signal) => {}
                other => {
                    self.queue_stop(tid, other);
                    return Ok(false);
                }
            }
        }
    }

    /// Runs a thread until it comes to an address. It is stopped at a SIGTRAP afterwards, unless something else came.
    pub(super) fn run_to(&mut self, tid: Tid, rip: u64, began: Instant) -> Result<Ran, ReplayError> {
        if sys::registers(tid).is_ok_and(|regs| regs.rip() == rip) && !self.stepped(tid)? {
            return Ok(Ran::Elsewhere);
        }
        sys::hardware_breakpoint(tid, Some(rip)).map_err(ReplayError::io("set a breakpoint"))?;
        let ran = self.comes_to(tid, began);
        let _ = sys::hardware_breakpoint(tid, None);
        match ran? {
            Ran::Late if !self.stepped(tid)? => Ok(Ran::Elsewhere), // a signal can be given only at a stop for one
            ran => Ok(ran),
        }
    }

    fn comes_to(&mut self, tid: Tid, began: Instant) -> Result<Ran, ReplayError> {
        let mut asked = false;
        let resume = || sys::resume_to_syscall(tid, 0).map_err(ReplayError::io("resume a thread"));
        resume()?;
        loop {
            match sys::wait(tid, true) {
                Ok(Some((_, Wait::Stopped(libc::SIGTRAP, 0)))) => return Ok(Ran::There),
                Ok(Some((_, Wait::Stopped(libc::SIGTRAP, libc::PTRACE_EVENT_STOP)))) if asked => return Ok(Ran::Late),
                Ok(Some((_, Wait::Stopped(signal, 0)))) if signal != sys::SYSCALL_STOP && self.put_off(tid, signal) => resume()?,
                Ok(Some((_, other))) => {
                    self.queue_stop(tid, other);
                    return Ok(Ran::Elsewhere);
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

    /// A signal that comes while the thread is looked at waits with the others, if it can.
    fn put_off(&mut self, tid: Tid, signal: i32) -> bool {
        let Ok(info) = sys::siginfo(tid) else { return false };
        if is_fault(signal, sys::siginfo_code(&info)) || !is_caught(tid, signal) {
            return false;
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return false };
        task.deferred.push_back((signal, info));
        true
    }
}

/// Where running to an address came to.
pub(super) enum Ran {
    /// There.
    There,
    /// Not there in time; stopped somewhere.
    Late,
    /// Something else happened, which is queued, or the thread goes on.
    Elsewhere,
}

/// What looking for a recurring state came to.
pub(super) enum Found {
    /// It recurs here, or can be told from others; and pages that were seen to change.
    Point(Box<Point>, Vec<u64>),
    /// It does not; the thread is stopped.
    Nothing,
    /// Something else happened, which is queued.
    Elsewhere,
}
