// SPDX-License-Identifier: Apache-2.0
//! Stops all threads of all processes together, and lets them go again whatever happens.
//!
//! ptrace alone does it: when the recorder dies, the kernel lets every tracee go. A cgroup would stay frozen.
//! Everything here belongs to one thread of ours; a tracee that cannot be stopped is let go when that thread ends.

use crate::error::{refused, ImageError, Result};
use crate::procfs::{self, Scope};
use crate::sys::{self, Tid, Wait};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

const EVENT_STOP: i32 = 128; // PTRACE_EVENT_STOP
const ROUNDS: u32 = 64; // a tree that still grows after this many looks forks faster than it can be stopped
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
    /// CLOCK_MONOTONIC when the first thread was asked to stop, ns.
    pub began_ns: u64,
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
        stop.began_ns = sys::monotonic_ns();
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
        for tid in &fresh {
            self.await_stop(*tid);
        }
        Ok(fresh.len())
    }

    fn await_stop(&mut self, tid: u32) {
        let end = sys::monotonic_ns() + PATIENCE.as_nanos() as u64;
        let mut looks = 0u32;
        loop {
            match sys::wait(tid as Tid, false) {
                Ok(Wait::Stopped(signal, event)) => {
                    if let Some(held) = self.threads.get_mut(&tid) {
                        held.stopped = true;
                        // Stopped on the way to a signal: it is handed over when the thread is let go.
                        held.signal = if event == 0 { signal & 0x7f } else { 0 };
                        debug_assert!(event == 0 || event == EVENT_STOP);
                    }
                    return;
                }
                Ok(Wait::Running) if sys::monotonic_ns() < end => {
                    looks += 1;
                    if looks < 2000 {
                        thread::yield_now();
                    } else {
                        thread::sleep(Duration::from_micros(50));
                    }
                }
                Ok(Wait::Running) => {
                    self.restless.push(tid);
                    return;
                }
                Ok(Wait::Ended) | Err(_) => {
                    self.threads.remove(&tid);
                    return;
                }
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

    /// Let everything go; returns for how long it was held, ns.
    pub fn release(mut self) -> u64 {
        self.let_go();
        sys::monotonic_ns() - self.began_ns
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
