// SPDX-License-Identifier: Apache-2.0
//! Keeps recorder and program on one CPU while stops are frequent. In virtual machines a stop that wakes another CPU costs many
//! times more than one that stays. A program that computes without calling the kernel gets all its CPUs back.
//!
//! The program must not notice: what it reads with sched_getaffinity(2) is answered with its own mask (see `tracer.rs`), and a
//! thread that sets its own affinity is never touched again. /proc/self/status does show the narrowed mask.

use crate::sys::{self, CpuMask, Tid};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// When to keep everything on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// While stops are frequent.
    Auto,
    /// From start to end.
    Always,
    /// Never.
    Never,
}

const TICK: Duration = Duration::from_millis(50);
/// Below this many stops a second a stop's extra cost is lost in the noise, and a second CPU is worth more.
const CALM_PER_SECOND: f64 = 1_000.0;
/// The other mode gets one tick of trial after this many.
const TRIAL_EVERY: u32 = 12;
/// By how much a trial must win, so that noise does not flip the choice.
const BETTER: f64 = 1.25;

struct Shared {
    threads: Mutex<HashSet<Tid>>,
    stops: AtomicU64,
    pinned: AtomicBool,
    /// A thread was added since the last tick: it may have inherited a mask that was just replaced.
    grown: AtomicBool,
    over: AtomicBool,
}

/// Decides and applies the policy.
pub struct Pinning {
    shared: Arc<Shared>,
    /// The mask the program would have without us.
    pub own: CpuMask,
    controller: Option<JoinHandle<()>>,
}

impl Pinning {
    /// Applies the policy to the calling thread (children inherit it) and starts watching for `auto`.
    pub fn start(policy: Policy) -> std::io::Result<Pinning> {
        let own = CpuMask::of(0)?;
        let narrow = policy != Policy::Never && own.count() > 1;
        let shared = Arc::new(Shared {
            threads: Mutex::new(HashSet::from([sys::own_tid()])),
            stops: AtomicU64::new(0),
            pinned: AtomicBool::new(narrow),
            grown: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let mut controller = None;
        if narrow && policy == Policy::Auto {
            let theirs = Arc::clone(&shared);
            controller = Some(std::thread::Builder::new().name("observer-pin".to_owned()).spawn(move || watch(&theirs, own))?);
        }
        if narrow {
            CpuMask::current().apply(0)?;
        }
        Ok(Pinning { shared, own, controller })
    }

    /// True while the program's threads are held on one CPU.
    #[must_use]
    pub fn active(&self) -> bool {
        self.shared.pinned.load(Ordering::Relaxed)
    }

    /// Counts a stop.
    pub fn stop(&self) {
        self.shared.stops.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread of the program appeared; it inherited its parent's mask.
    pub fn add(&self, tid: Tid) {
        self.lock().insert(tid);
        self.shared.grown.store(true, Ordering::Relaxed);
    }

    /// A thread ended, or chose its own CPUs.
    pub fn remove(&self, tid: Tid) {
        self.lock().remove(&tid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Tid>> {
        self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pinning {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(controller) = self.controller.take() {
            controller.thread().unpark();
            let _ = controller.join();
        }
        let _ = self.own.apply(0);
    }
}

/// Chooses between one CPU and all of them by what it measures: stops a second, the speed at which the program gets on while it
/// talks to the kernel. Which of the two is faster depends on the machine and on who else is running, and changes.
struct Chooser {
    /// The mode that was faster when both were last compared: true is one CPU.
    home_narrow: bool,
    /// Stops a second at home, averaged.
    home_rate: f64,
    ticks: u32,
    trial: bool,
}

impl Chooser {
    /// The mode for the next tick, given this tick's mode and rate.
    fn next(&mut self, narrow: bool, rate: f64) -> bool {
        if rate < CALM_PER_SECOND {
            self.trial = false;
            return false;
        }
        if narrow != self.home_narrow && !self.trial {
            return self.home_narrow; // busy again after a calm time
        }
        if self.trial {
            self.trial = false;
            if rate > self.home_rate * BETTER {
                self.home_narrow = narrow;
                self.home_rate = rate;
            }
            return self.home_narrow;
        }
        self.home_rate = if self.home_rate == 0.0 { rate } else { self.home_rate.mul_add(0.7, rate * 0.3) };
        self.ticks += 1;
        self.trial = self.ticks.is_multiple_of(TRIAL_EVERY);
        self.home_narrow ^ self.trial
    }
}

fn watch(shared: &Shared, own: CpuMask) {
    let mut chooser = Chooser { home_narrow: true, home_rate: 0.0, ticks: 0, trial: false };
    let mut before = 0;
    while !shared.over.load(Ordering::Relaxed) {
        std::thread::park_timeout(TICK);
        let now = shared.stops.load(Ordering::Relaxed);
        let rate = (now - before) as f64 / TICK.as_secs_f64();
        before = now;
        let narrow = shared.pinned.load(Ordering::Relaxed);
        let wanted = chooser.next(narrow, rate);
        let grown = shared.grown.swap(false, Ordering::Relaxed);
        if wanted && (!narrow || chooser.ticks % TRIAL_EVERY == 1) {
            move_all(shared, CpuMask::current(), true); // where the scheduler put this thread is a quiet place
        } else if !wanted && (narrow || grown) {
            move_all(shared, own, false);
        }
    }
}

fn move_all(shared: &Shared, mask: CpuMask, pinned: bool) {
    let threads = shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
    for tid in threads.iter() {
        let _ = mask.apply(*tid); // gone threads do not matter
    }
    shared.pinned.store(pinned, Ordering::Relaxed);
}
