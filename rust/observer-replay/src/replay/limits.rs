// SPDX-License-Identifier: Apache-2.0
//! What the processes of a replay may use. The kernel holds each of them to descriptors, CPU time and memory (setrlimit(2)); all of
//! them together are watched from a thread that kills them at a limit. Descriptors never, and processes only, come from the engine.

use crate::engine::stub::Rlimits;
use crate::error::ReplayError;
use crate::replay::session::Session;
use observer_capture::sys::Tid;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the processes are looked at.
const PERIOD: Duration = Duration::from_millis(10);
const PAGE: u64 = 4096;

/// The limits of one replay; none where there is no number.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes resident, of all processes together.
    pub memory: Option<u64>,
    /// Bytes that one process may map to write to privately.
    pub data: Option<u64>,
    /// Seconds of CPU time: the replayed processes and the replayer.
    pub cpu_time: Option<f64>,
    /// Seconds from the start.
    pub wall_time: Option<f64>,
    /// Open files of one process.
    pub descriptors: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<usize>,
}

impl Limits {
    /// What the kernel holds each process to.
    #[must_use]
    pub fn rlimits(&self) -> Rlimits {
        let cpu = self.cpu_time.map(|seconds| seconds.max(0.0).ceil() as u64 + 1);
        Rlimits { data: self.data, cpu, descriptors: self.descriptors }
    }
}

#[derive(Default)]
struct Shared {
    members: Mutex<BTreeSet<Tid>>,
    reached: Mutex<Option<String>>,
    over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches the processes of one replay.
pub struct Guard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    limits: Limits,
}

/// Fields of /proc/pid/stat behind the name: utime and stime are the 12th and 13th. Source: proc(5).
fn cpu_ticks(pid: Tid) -> u64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0 };
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

fn resident(pid: Tid) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * PAGE
}

/// CPU seconds of this process and of those that it has waited for.
fn own_cpu() -> f64 {
    let of = |who| {
        // SAFETY: rusage is plain data, and a valid local.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::getrusage(who, &mut usage) };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

fn over(limits: &Limits, members: &BTreeSet<Tid>, (began, cpu_began, tick): (Instant, f64, f64)) -> Option<String> {
    if let Some(limit) = limits.wall_time.filter(|limit| began.elapsed().as_secs_f64() > *limit) {
        return Some(format!("max_wall_time: {limit} s allowed"));
    }
    if let Some(limit) = limits.cpu_time {
        let spent = own_cpu() - cpu_began + members.iter().map(|pid| cpu_ticks(*pid)).sum::<u64>() as f64 * tick;
        if spent > limit {
            return Some(format!("max_cpu_time: {spent:.2} s used, {limit} allowed"));
        }
    }
    let limit = limits.memory?;
    let used: u64 = members.iter().map(|pid| resident(*pid)).sum();
    (used > limit).then(|| format!("max_memory: {used} bytes resident, {limit} allowed"))
}

fn watch(limits: Limits, shared: &Shared) {
    // SAFETY: plain call.
    let tick = 1.0 / unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let since = (Instant::now(), own_cpu(), tick);
    while !shared.over.load(Ordering::Relaxed) {
        std::thread::park_timeout(PERIOD);
        let members = lock(&shared.members);
        if let Some(reason) = over(&limits, &members, since) {
            lock(&shared.reached).get_or_insert(reason);
            for pid in members.iter() {
                // SAFETY: plain numbers; a member is not waited for while this lock is held, so the number is still its own.
                unsafe { libc::kill(*pid, libc::SIGKILL) };
            }
        }
    }
}

impl Guard {
    /// Begins to watch.
    pub fn start(limits: Limits) -> io::Result<Guard> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let watched = limits.memory.is_some() || limits.cpu_time.is_some() || limits.wall_time.is_some();
        let spawn = || std::thread::Builder::new().name("observer-limits".to_owned()).spawn(move || watch(limits, &theirs));
        let thread = if watched { Some(spawn()?) } else { None };
        Ok(Guard { shared, thread, limits })
    }

    /// One more process.
    pub fn add(&self, pid: Tid) {
        lock(&self.shared.members).insert(pid);
    }

    /// One less; it is about to be ended.
    pub fn remove(&self, pid: Tid) {
        lock(&self.shared.members).remove(&pid);
    }

    /// Whether there may be another beside so many.
    pub fn may_add(&self, now: usize) -> bool {
        let Some(limit) = self.limits.processes.filter(|limit| now >= *limit) else { return true };
        self.reach(format!("max_processes: {limit} allowed"));
        false
    }

    /// Says that the kernel refused something for a limit.
    pub fn reach(&self, reason: String) {
        lock(&self.shared.reached).get_or_insert(reason);
    }

    /// The limit that was reached, and how.
    #[must_use]
    pub fn reached(&self) -> Option<String> {
        lock(&self.shared.reached).clone()
    }

    /// What an errno means under these limits.
    pub fn judge(&self, errno: Option<i32>) {
        match (errno, self.limits.descriptors, self.limits.data) {
            (Some(libc::EMFILE), Some(limit), _) => self.reach(format!("max_file_descriptors: {limit} allowed")),
            (Some(libc::ENOMEM), _, Some(limit)) => self.reach(format!("max_memory: {limit} bytes allowed")),
            _ => {}
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Session {
    /// The kinds of namespaces that the replay has left: `filesystem` (and all files), `ipc`, `network`, `uts`.
    #[must_use]
    pub fn isolation(&self) -> Vec<&'static str> {
        let space = |pid: &str, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
        let own = self.zygote.tid.to_string();
        let kinds = [("filesystem", "mnt"), ("ipc", "ipc"), ("network", "net"), ("uts", "uts")];
        let left = |(_, kind): &&(&str, &str)| space(&own, kind).is_some_and(|there| Some(there) != space("self", kind));
        kinds.iter().filter(left).map(|(name, _)| *name).collect()
    }

    /// There may be one more process.
    pub(super) fn room_for_one(&self) -> Result<(), ReplayError> {
        if self.guard.may_add(self.bodies.len()) {
            return Ok(());
        }
        Err(ReplayError::Limit("max_processes".to_owned())) // the guard says how many
    }
}
