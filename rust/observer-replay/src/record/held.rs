// SPDX-License-Identifier: Apache-2.0
//! Calls that move bytes from a pipe to a standard stream. What they move can be seen only while it waits in the pipe: such a call
//! is held at its entry until something is there, and then moves no more than was seen.

use crate::engine::sys;
use crate::record::moved;
use crate::record::task::{Call, State};
use crate::record::tracer::Tracer;
use crate::regs::index;
use observer_capture::sys::Tid;

/// SPLICE_F_NONBLOCK. Source: splice(2).
const NONBLOCK: u64 = 2;

/// Arguments of a call's length and flags, when it moves bytes out of a pipe.
fn length_and_flags(nr: u32) -> Option<(usize, usize)> {
    match i64::from(nr) {
        libc::SYS_splice => Some((index::R8, 5)),
        libc::SYS_tee => Some((index::RDX, 3)),
        _ => None,
    }
}

/// A signal waits that the thread does not block. Source: proc(5), SigPnd, ShdPnd, SigBlk.
fn has_signal(tid: Tid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
    };
    (mask("SigPnd:") | mask("ShdPnd:")) & !mask("SigBlk:") != 0
}

impl Tracer<'_> {
    /// Whether a call that is about to be made must wait until there is something to move.
    pub(super) fn must_wait(&self, tid: Tid, call: &Call) -> bool {
        let Some((_, flags)) = length_and_flags(call.nr) else { return false };
        let empty = call.peeked.as_ref().is_some_and(Vec::is_empty);
        empty && call.args[flags] & NONBLOCK == 0 && moved::waits(tid, call.args[0])
    }

    /// The call moves no more than was seen.
    pub(super) fn bound(tid: Tid, call: &mut Call) {
        let Some((length, _)) = length_and_flags(call.nr) else { return };
        let Some(seen) = call.peeked.as_ref().map(|bytes| bytes.len() as u64).filter(|seen| *seen > 0) else { return };
        if call.regs.0[length] > seen {
            let mut regs = call.regs;
            regs.0[length] = seen;
            call.restore = true;
            let _ = sys::set_registers(tid, &regs);
        }
    }

    /// Holds a thread at the entry of its call; others may run.
    pub(super) fn hold(&mut self, tid: Tid) {
        self.held.push(tid);
        if self.running == Some(tid) {
            self.running = None;
        }
    }

    /// Lets go of the threads whose calls would not wait any more.
    pub(super) fn release(&mut self) {
        for tid in std::mem::take(&mut self.held) {
            let Some(mut call) = self.tasks.get_mut(&tid).filter(|t| t.state == State::Kernel).and_then(|t| t.call.take()) else {
                continue;
            };
            call.peeked = moved::before(tid, call.nr, &call.args, &self.streams);
            let still = self.must_wait(tid, &call) && !has_signal(tid);
            if still {
                self.held.push(tid);
            } else {
                Self::bound(tid, &mut call);
            }
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.call = Some(call);
            }
            if !still {
                let _ = self.go_on(tid, 0);
            }
        }
    }
}
