// SPDX-License-Identifier: Apache-2.0
//! When memory is summed up at a call: as often as fits into a fiftieth of a process's time, so that the cost has a bound.

use crate::engine::{maps, sys};
use crate::record::lives::CHECK_LIMIT;
use crate::record::tracer::Tracer;
use crate::stream::What;
use observer_capture::sys::Tid;
use std::time::{Duration, Instant};

/// Checks take at most this part of a process's time.
const SHARE: u32 = 50;
/// What the first check is taken to cost before it is known.
const GUESS: Duration = Duration::from_micros(500);

/// What checks have cost a process since its program began.
#[derive(Clone, Copy, Debug)]
pub struct Cadence {
    began: Instant,
    spent: Duration,
    last: Duration,
}

impl Default for Cadence {
    fn default() -> Cadence {
        Cadence { began: Instant::now(), spent: Duration::ZERO, last: GUESS }
    }
}

impl Cadence {
    fn is_due(&self, now: Instant) -> bool {
        (self.spent + self.last) * SHARE <= now.duration_since(self.began)
    }
}

impl Tracer<'_> {
    /// The thread is at the entry of a call: sums up its memory when it is time to.
    pub(super) fn check_now_and_then(&mut self, tid: Tid) {
        let began = Instant::now();
        if self.tasks.get(&tid).is_none_or(|task| !task.cadence.is_due(began)) {
            return;
        }
        self.check(tid);
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.cadence.last = began.elapsed();
            task.cadence.spent += task.cadence.last;
        }
    }

    /// Sums up the memory of a process, when nobody else can be writing to it.
    pub(super) fn check(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get(&tid) else { return };
        let alone = self.tasks.values().filter(|other| other.space == task.space).count() == 1;
        if !alone || task.own_stacks {
            return;
        }
        let rsp = sys::registers(tid).map_or(0, |regs| regs.rsp());
        if let Ok(Some(sum)) = maps::checksum(tid, &[], CHECK_LIMIT, rsp) {
            let id = task.id;
            self.emitter.event(id, What::Check(sum));
        }
    }
}
