// SPDX-License-Identifier: Apache-2.0
//! Going back: copies of all replayed processes at some moments, from which the replay goes on to any later one. A replayed process is
//! memory and registers, so a copy is a fork; what neither side writes stays shared.

use crate::engine::{stub, sys};
use crate::error::ReplayError;
use crate::replay::body::Body;
use crate::replay::search::Known;
use crate::replay::session::{Ended, Session, Step};
use crate::replay::source::Place;
use crate::stream::TaskId;
use observer_capture::sys::Tid;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many are kept; of more, every other one is dropped.
const MOST: usize = 16;
/// How far apart in time of replaying at first; the distance grows with the length of the replay.
const APART: Duration = Duration::from_millis(250);
/// Trees with more threads are not copied by themselves.
const MOST_TASKS: usize = 64;

/// A moment of a replay that can be gone back to.
pub struct Checkpoint {
    place: Place,
    bodies: Vec<Body>,
    /// Some of its processes map shared objects, to which nobody could write until then.
    shares: bool,
    advanced: bool,
    position: u64,
    written: [u64; 2],
    ended: Option<Ended>,
    command: Vec<TaskId>,
    threaded: HashSet<u32>,
    notes: usize,
    checks: u64,
    known: HashMap<u32, Arc<Known>>,
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.bodies.iter().for_each(|body| stub::end(body.real));
    }
}

/// What a session keeps to go back.
#[derive(Default)]
pub struct Past {
    kept: Vec<Checkpoint>,
    /// When the last one was made, and how long until the next.
    last: Option<(Instant, Duration)>,
}

/// Copies stopped processes, and which of them share memory.
fn copies<'b>(bodies: impl Iterator<Item = &'b Body>) -> Result<Vec<Body>, ReplayError> {
    let mut first: HashMap<u32, Tid> = HashMap::new();
    let mut made: Vec<Body> = Vec::new();
    for body in bodies {
        let known = first.get(&body.space).copied();
        let real = match stub::spawn_from(known.unwrap_or(body.real), &body.regs, known.is_some()) {
            Ok(real) => real,
            Err(error) => {
                made.iter().for_each(|body| stub::end(body.real));
                return Err(error);
            }
        };
        made.push(Body { real, ..body.clone() });
        if known.is_none() {
            first.insert(body.space, real);
        } else if let Ok(state) = sys::xstate(body.real) {
            sys::set_xstate(real, &state).map_err(ReplayError::io("copy vector registers of the replay"))?;
        }
    }
    Ok(made)
}

impl Session {
    /// A copy of this moment; None where there can be none: shared objects that can be written to are not copied with a process, nor is memory that a program
    /// keeps from its children, and what was changed is not come back to.
    pub fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ReplayError> {
        let (shares, written) = self.files.shared();
        if self.modified || self.instead.is_some() || self.withheld || written {
            return Ok(None);
        }
        Ok(Some(Checkpoint {
            place: self.source.place(),
            bodies: copies(self.bodies.values())?,
            shares,
            advanced: self.advanced,
            position: self.position,
            written: self.written,
            ended: self.ended,
            command: self.command.clone(),
            threaded: self.threaded.clone(),
            notes: self.notes.len(),
            checks: self.checks,
            known: self.known.clone(),
        }))
    }

    /// Makes a checkpoint now, to go back to; false where there can be none.
    pub fn keep_checkpoint(&mut self) -> Result<bool, ReplayError> {
        let Some(made) = self.checkpoint()? else { return Ok(false) };
        let past = &mut self.past;
        past.kept.retain(|one| one.position < made.position);
        past.kept.push(made);
        if past.kept.len() > MOST {
            let mut number = 0;
            past.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        Ok(true)
    }

    /// Between events: a checkpoint when the last one is long ago, in a session that keeps them.
    pub(super) fn maybe_checkpoint(&mut self) -> Result<(), ReplayError> {
        if !self.options.checkpoints {
            return Ok(());
        }
        let (last, apart) = *self.past.last.get_or_insert_with(|| (Instant::now(), APART));
        if last.elapsed() < apart || self.bodies.len() > MOST_TASKS {
            return Ok(());
        }
        let began = Instant::now();
        self.keep_checkpoint()?;
        // What it costs stays a small part of the time, however much memory there is; and so does their number.
        self.past.last = Some((Instant::now(), (began.elapsed() * 20).max(apart * 9 / 8)));
        Ok(())
    }

    /// Goes to where `event` events were replayed: onwards, or back by way of the nearest checkpoint before it.
    pub fn go_to(&mut self, event: u64) -> Result<(), ReplayError> {
        if event < self.position {
            self.back_to(event)?;
        }
        while self.position < event && self.step()? != Step::Finished {}
        Ok(())
    }

    /// Goes back to the last checkpoint at or before `event`, or to the beginning. What was changed is not changed again.
    pub fn back_to(&mut self, event: u64) -> Result<(), ReplayError> {
        if self.files.shared().1 {
            self.past.kept.retain(|one| !one.shares);
        }
        let found = self.past.kept.iter().rposition(|one| one.position <= event);
        let bodies = match found {
            Some(at) => copies(self.past.kept[at].bodies.iter())?,
            None => Vec::new(),
        };
        for body in self.bodies.values() {
            self.guard.remove(body.real);
            stub::end(body.real);
        }
        bodies.iter().for_each(|body| self.guard.add(body.real));
        self.bodies = bodies.into_iter().map(|body| (body.id, body)).collect();
        let from = found.map(|at| &self.past.kept[at]);
        self.source.return_to(from.map(|one| &one.place));
        self.position = from.map_or(0, |one| one.position);
        self.advanced = from.is_some_and(|one| one.advanced);
        self.written = from.map_or([0; 2], |one| one.written);
        self.ended = from.and_then(|one| one.ended);
        self.command = from.map_or(vec![0], |one| one.command.clone());
        self.checks = from.map_or(0, |one| one.checks);
        self.notes.truncate(from.map_or(0, |one| one.notes));
        self.files.forget(!from.is_some_and(|one| one.shares));
        self.threaded = from.map_or_else(HashSet::new, |one| one.threaded.clone());
        self.known = from.map_or_else(HashMap::new, |one| one.known.clone());
        (self.withheld, self.modified, self.instead) = (false, false, None);
        self.differences.clear();
        self.past.last = None;
        Ok(())
    }

    /// Events at which there are checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<u64> {
        self.past.kept.iter().map(|one| one.position).collect()
    }
}
