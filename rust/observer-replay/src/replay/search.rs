// SPDX-License-Identifier: Apache-2.0
//! Finds a state that was recorded in the middle of a computation: with a comparer in the program's code where it allows one, else
//! with a hardware breakpoint.

use crate::engine::comparer::{Comparer, Wanted, SIZE};
use crate::engine::maps::{dead_stack, state_sum, PAGE};
use crate::engine::stub::{BASE, END};
use crate::engine::sys::{self, SYSCALL_STOP};
use crate::error::ReplayError;
use crate::regs::{index, Regs};
use crate::replay::body::{failed, Body};
use crate::stream::Point;
use observer_capture::sys::Wait;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to look at least, and how many times the time that was recorded.
const SEARCH: Duration = Duration::from_secs(20);
const TIMES: u32 = 40;
/// While the program runs freely: how often to look whether it has stopped.
const LOOK: Duration = Duration::from_micros(300);
const IMPATIENT: u32 = 200;

/// So many words are compared at each passage.
const MOST_WORDS: usize = 64;

/// What came of looking: an error in words when the state did not come.
type Found = Result<(), String>;

/// Pages of an address space as they were at its last point.
pub type Known = BTreeMap<u64, Arc<[u8]>>;

/// A point to look for.
pub struct Sought<'a> {
    /// It.
    pub point: &'a Point,
    /// Pages as they were there.
    pub known: &'a Known,
}

impl Deref for Sought<'_> {
    type Target = Point;

    fn deref(&self) -> &Point {
        self.point
    }
}

/// How a state that has the registers of a point differs from it.
enum Differs {
    /// Not at all.
    Nowhere,
    /// In these words, which hold something else in the point.
    Words(Vec<Word>),
    /// Somewhere in memory that the point holds only a checksum of.
    Elsewhere,
}

type Word = (u64, [u8; 8]);

impl Body {
    /// Words of the pages that are known which are not what they were.
    fn differing(&self, point: &Sought<'_>) -> Vec<Word> {
        let mut found = Vec::new();
        let dead = dead_stack(self.real, point.regs.rsp());
        for (page, recorded) in point.known {
            let now = self.read(*page, PAGE);
            let pairs = recorded.as_chunks::<8>().0.iter().zip(now.as_chunks::<8>().0).enumerate();
            let differing = pairs.filter(|(_, (recorded, now))| recorded != now);
            let words = differing.map(|(number, (recorded, _))| (page + 8 * number as u64, *recorded));
            found.extend(words.filter(|(address, _)| !dead.contains(address)));
        }
        found
    }

    fn compared(&self, point: &Sought<'_>, skip: &[(u64, u64)]) -> Result<Differs, ReplayError> {
        let words = self.differing(point);
        if !words.is_empty() {
            return Ok(Differs::Words(words));
        }
        let sum = state_sum(self.real, skip, u64::MAX, self.regs.rsp()).map_err(failed("sum up the replay's memory"))?;
        Ok(if sum == Some(point.memory) { Differs::Nowhere } else { Differs::Elsewhere })
    }

    fn is_at(&self, point: &Sought<'_>) -> Result<bool, ReplayError> {
        Ok(self.regs.same_instant(&point.regs) && matches!(self.compared(point, &[(BASE, END)])?, Differs::Nowhere))
    }

    /// Runs until registers and memory are those of `point`; or says what happened before they were. `recorded` is how long it took.
    pub fn run_to_point(&mut self, point: &Sought<'_>, recorded: Duration) -> Result<Found, ReplayError> {
        if self.is_at(point)? {
            return Ok(Ok(()));
        }
        let until = Instant::now() + SEARCH.max(recorded * TIMES);
        match Comparer::new(self.real, &wanted(point, &point.words)) {
            Some(comparer) => self.compare(point, comparer, until),
            None => self.pass_by(point, until),
        }
    }

    fn compare(&mut self, point: &Sought<'_>, comparer: Comparer, until: Instant) -> Result<Found, ReplayError> {
        if let Some(found) = self.leave_place(point, &comparer)? {
            return Ok(found);
        }
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let flags = flags | libc::MAP_FIXED_NOREPLACE;
        let args = [comparer.base, SIZE, u64::from(prot.unsigned_abs()), u64::from(flags.unsigned_abs()), u64::MAX, 0];
        self.call(libc::SYS_mmap, args, "make room for a comparer")?;
        self.put_in(&comparer)?;
        self.write(point.regs.rip(), &comparer.jump)?;
        sys::set_registers(self.real, &self.regs).map_err(failed("set registers of the replay"))?;
        let (base, original) = (comparer.base, comparer.original.clone());
        let found = self.run_compared(point, comparer, until);
        if !matches!(&found, Ok(Err(what)) if what == GONE) {
            self.write(point.regs.rip(), &original)?;
            self.call(libc::SYS_munmap, [base, SIZE, 0, 0, 0, 0], "take a comparer out")?;
        }
        found
    }

    fn put_in(&self, comparer: &Comparer) -> Result<(), ReplayError> {
        self.write(comparer.base, &comparer.code)?;
        self.write(comparer.base + PAGE, &comparer.data)
    }

    /// A thread in the middle of the instructions that will be replaced is led out of there.
    fn leave_place(&mut self, point: &Sought<'_>, comparer: &Comparer) -> Result<Option<Found>, ReplayError> {
        let (first, last) = (point.regs.rip(), point.regs.rip() + comparer.original.len() as u64);
        while self.regs.rip() > first && self.regs.rip() < last {
            sys::set_registers(self.real, &self.regs).map_err(failed("set registers of the replay"))?;
            sys::step(self.real, 0).map_err(failed("step the replay"))?;
            match sys::wait_for(self.real).map_err(failed("wait for the replay"))? {
                Wait::Stopped(libc::SIGTRAP, 0) => {}
                _ => return Ok(Some(Err("it stops before it comes to the recorded state".to_owned()))),
            }
            self.regs = sys::registers(self.real).map_err(failed("read registers of the replay"))?;
            if self.is_at(point)? {
                return Ok(Some(Ok(())));
            }
        }
        Ok(None)
    }

    fn run_compared(&mut self, point: &Sought<'_>, mut comparer: Comparer, until: Instant) -> Result<Found, ReplayError> {
        let skip = [(BASE, END), (comparer.base, comparer.base + SIZE)];
        let mut words = point.words.clone();
        while Instant::now() < until {
            sys::resume_emulating(self.real).map_err(failed("resume the replay"))?;
            let stopped = self.stop_before(until)?;
            let regs = sys::registers(self.real).map_err(failed("read registers of the replay"));
            if stopped != Some(Wait::Stopped(libc::SIGTRAP, 0)) {
                return Ok(Err(otherwise(stopped)));
            }
            let regs = regs?;
            if regs.rip() != comparer.matched {
                return Ok(Err("it traps before it comes to the recorded state".to_owned()));
            }
            self.regs = regs;
            self.regs.0[index::RIP] = point.regs.rip();
            if !comparer.flags_count {
                self.regs.0[index::EFLAGS] = point.regs.0[index::EFLAGS];
            }
            if !self.regs.same_instant(&point.regs) {
                continue;
            }
            self.write(point.regs.rip(), &comparer.original)?;
            match self.compared(point, &skip)? {
                Differs::Nowhere => return Ok(Ok(())),
                Differs::Words(found) => comparer = self.learn(point, &mut words, &found, (comparer, regs))?,
                Differs::Elsewhere => {}
            }
            self.write(point.regs.rip(), &comparer.jump)?;
        }
        Ok(Err(otherwise(None)))
    }

    /// A state was taken for the point's that differs from it in some words: from now on they are compared at each passage as well.
    fn learn(
        &self,
        point: &Sought<'_>,
        words: &mut Vec<Word>,
        found: &[Word],
        old: (Comparer, Regs),
    ) -> Result<Comparer, ReplayError> {
        let (comparer, mut regs) = old;
        let new = found.first().into_iter().chain(found.last().filter(|_| found.len() > 1));
        words.splice(0..0, new.copied());
        words.truncate(MOST_WORDS);
        let Some(better) = Comparer::at(self.real, &wanted(point, words), comparer.base) else { return Ok(comparer) };
        self.put_in(&better)?;
        regs.0[index::RIP] = better.matched;
        sys::set_registers(self.real, &regs).map_err(failed("set registers of the replay"))?;
        Ok(better)
    }

    /// Waits for the next stop, but not longer than `until`: then the process is stopped, and None returned.
    fn stop_before(&self, until: Instant) -> Result<Option<Wait>, ReplayError> {
        let mut turns = 0;
        loop {
            if let Some((_, what)) = sys::wait(self.real, false).map_err(failed("wait for the replay"))? {
                return Ok(Some(what));
            }
            turns += 1;
            if turns < IMPATIENT {
                sys::yield_cpu();
            } else if Instant::now() < until {
                std::thread::sleep(LOOK);
            } else {
                let _ = sys::interrupt(self.real);
                let what = sys::wait_for(self.real).map_err(failed("wait for the replay"))?;
                let interrupted = matches!(what, Wait::Stopped(_, libc::PTRACE_EVENT_STOP));
                return Ok((!interrupted).then_some(what));
            }
        }
    }

    fn pass_by(&mut self, point: &Sought<'_>, until: Instant) -> Result<Found, ReplayError> {
        sys::set_registers(self.real, &self.regs).map_err(failed("set registers of the replay"))?;
        if self.regs.rip() == point.regs.rip() {
            sys::step(self.real, 0).map_err(failed("step the replay"))?; // else the breakpoint would be met at once
            sys::wait_for(self.real).map_err(failed("wait for the replay"))?;
        }
        sys::hardware_breakpoint(self.real, Some(point.regs.rip())).map_err(failed("set a breakpoint in the replay"))?;
        let found = self.hit(point, until);
        let _ = sys::hardware_breakpoint(self.real, None);
        found
    }

    fn hit(&mut self, point: &Sought<'_>, until: Instant) -> Result<Found, ReplayError> {
        while Instant::now() < until {
            sys::resume_emulating(self.real).map_err(failed("resume the replay"))?;
            let stopped = self.stop_before(until)?;
            if stopped != Some(Wait::Stopped(libc::SIGTRAP, 0)) {
                return Ok(Err(otherwise(stopped)));
            }
            self.regs = sys::registers(self.real).map_err(failed("read registers of the replay"))?;
            if self.is_at(point)? {
                return Ok(Ok(()));
            }
        }
        Ok(Err(otherwise(None)))
    }
}

fn wanted<'a>(point: &'a Point, words: &'a [Word]) -> Wanted<'a> {
    Wanted { regs: &point.regs, words, vectors: &point.vectors, moving: point.moving }
}

const GONE: &str = "its process is gone";

fn otherwise(stopped: Option<Wait>) -> String {
    match stopped {
        None => "the recorded state did not come in time".to_owned(),
        Some(Wait::Stopped(SYSCALL_STOP, _)) => "it makes a call before it comes to the recorded state".to_owned(),
        Some(Wait::Exited(_) | Wait::Signaled(..)) => GONE.to_owned(),
        Some(_) => "it faults before it comes to the recorded state".to_owned(),
    }
}
