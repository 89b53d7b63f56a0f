// SPDX-License-Identifier: Apache-2.0
//! Stops all threads of all processes together, and lets them go again whatever happens.
//!
//! ptrace alone does it: when the recorder dies, the kernel lets every tracee go. A cgroup would stay frozen.
//! Everything here belongs to one thread of ours; a tracee that cannot be stopped is let go when that thread ends.

use crate::error::{refused, ImageError, Result};
use crate::hurry::Hurry;
use crate::procfs::{self, Scope};
use crate::sys::{self, Tid, Wait};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

const EVENT_STOP: i32 = 128; // PTRACE_EVENT_STOP
const ROUNDS: u32 = 64; // a tree that still grows after this many looks forks faster than it can be stopped
const LOOKS: u32 = 64; // about 20 us: a thread that runs on another processor needs no longer
const NAP_MIN: Duration = Duration::from_micros(10);
const NAP_MAX: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_millis(500); // a thread that sleeps uninterruptibly runs no code of its own meanwhile

/// A thread that is held.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Its process.
    pub pid: u32,
    /// Its id.
    pub tid: u32,
    signal: i32,
    stopped: bool,
}

/// Everything that is held; dropping it lets everything go.
#[derive(Default)]
pub struct Stop {
    threads: BTreeMap<u32, Held>,
    hurry: Option<Hurry>,
    /// CLOCK_MONOTONIC when it began to stand: the last moment at which none had stopped yet, ns. One that was asked to stop and
    /// waits for a processor to do so is not held up by us.
    pub stands_since_ns: u64,
    /// Threads that sleep uninterruptibly and could not be stopped: they run no code of their own.
    pub restless: Vec<u32>,
}

impl Stop {
    /// Stop every thread of the processes `found`, then of all that the scope has by then, until there is no new one.
    ///
    /// # Errors
    /// None of them is there any more, or one may not be traced.
    pub fn all(scope: &Scope, found: &[u32]) -> Result<Stop> {
        let mut stop = Stop::default();
        (stop.hurry, stop.stands_since_ns) = (Hurry::begin(), sys::monotonic_ns());
        let mut pids: Vec<u32> = found.to_vec();
        for _ in 0..ROUNDS {
            let fresh = stop.seize(&pids)?;
            if fresh == 0 && pids.iter().all(|pid| stop.holds(*pid) || !procfs::is_alive(*pid)) {
                return if stop.threads.is_empty() {
                    Err(ImageError::Gone(found.first().copied().unwrap_or(0)))
                } else {
                    Ok(stop)
                };
            }
            pids = scope.members().into_iter().collect();
        }
        Err(ImageError::Usage("the processes fork faster than they can be stopped".into()))
    }

    fn holds(&self, pid: u32) -> bool {
        self.threads.values().any(|held| held.pid == pid)
    }

    /// Seize and stop the threads that are not held yet; returns how many there were.
    fn seize(&mut self, pids: &[u32]) -> Result<usize> {
        let mut fresh = Vec::new();
        for &pid in pids {
            for tid in procfs::threads(pid) {
                if self.threads.contains_key(&tid) {
                    continue;
                }
                match sys::seize(tid as Tid, 0) {
                    Ok(()) => {}
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => continue,
                    Err(error) => return Err(why_not(pid, error)),
                }
                self.threads.insert(tid, Held { pid, tid, signal: 0, stopped: false });
                let _ = sys::interrupt(tid as Tid); // one that has just ended shows below
                fresh.push(tid);
            }
        }
        let count = fresh.len();
        self.await_stops(fresh);
        Ok(count)
    }

    /// Look at all of them again and again until each has stopped, or has ended.
    fn await_stops(&mut self, mut left: Vec<u32>) {
        let began = sys::monotonic_ns();
        for looks in 0.. {
            let now = sys::monotonic_ns();
            left.retain(|tid| self.still_runs(*tid));
            if !self.threads.values().any(|held| held.stopped) {
                self.stands_since_ns = now; // all of them were seen to run after this
            }
            if left.is_empty() {
                return;
            }
            if now - began > PATIENCE.as_nanos() as u64 {
                return self.restless.append(&mut left);
            }
            if looks > LOOKS {
                // They may need this processor to get to their stop; yielding it would let everybody else have a turn of milliseconds.
                thread::sleep(Duration::from_nanos((now - began) / 16).clamp(NAP_MIN, NAP_MAX));
            }
        }
    }

    fn still_runs(&mut self, tid: u32) -> bool {
        match sys::wait(tid as Tid, false) {
            Ok(Wait::Stopped(signal, event)) => {
                if let Some(held) = self.threads.get_mut(&tid) {
                    held.stopped = true;
                    // Stopped on the way to a signal: it is handed over when the thread is let go.
                    held.signal = if event == 0 { signal & 0x7f } else { 0 };
                    debug_assert!(event == 0 || event == EVENT_STOP);
                }
                false
            }
            Ok(Wait::Running) => true,
            Ok(Wait::Ended) | Err(_) => {
                self.threads.remove(&tid);
                false
            }
        }
    }

    /// The threads of a process that are stopped, the leader first.
    #[must_use]
    pub fn threads(&self, pid: u32) -> Vec<Held> {
        let mut out: Vec<Held> = self.threads.values().filter(|held| held.pid == pid && held.stopped).copied().collect();
        out.sort_by_key(|held| (held.tid != pid, held.tid));
        out
    }

    /// The processes that are held.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let mut out: Vec<u32> = self.threads.values().map(|held| held.pid).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// What is still to be done takes long: others get their turns meanwhile.
    pub fn take_time(&mut self) {
        self.hurry = None;
    }

    /// Let everything go; returns for how long it was held, ns.
    pub fn release(mut self) -> u64 {
        self.let_go();
        sys::monotonic_ns() - self.stands_since_ns
    }

    fn let_go(&mut self) {
        for held in std::mem::take(&mut self.threads).into_values().filter(|held| held.stopped) {
            let _ = sys::detach(held.tid as Tid, held.signal); // one that was killed meanwhile has gone already
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Why a process may not be traced.
pub fn why_not(pid: u32, error: std::io::Error) -> ImageError {
    let tracer = procfs::status(pid, "TracerPid").and_then(|text| text.parse().ok()).unwrap_or(0);
    if tracer != 0 {
        return ImageError::Traced { pid, tracer };
    }
    refused("stop", pid, error)
}
