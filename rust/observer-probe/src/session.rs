// SPDX-License-Identifier: Apache-2.0
//! One watch from start to end: a thread takes what the probe sends and hands it on to be sealed.

use crate::command::Waiting;
use crate::config::Config;
use crate::error::ProbeError;
use crate::feed::{Feed, Sink};
use crate::kernel::Kernel;
use crate::lives::Lives;
use crate::losses::{account, Losses};
use crate::output::Output;
use crate::plan;
use crate::priority::with_priority;
use crate::stock;
use observer_evidence::{SecretKey, Severity};
use serde::Serialize;
use serde_json::{json, Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The blocks are looked at so often although nobody called: bounds how late a trigger is seen and what `kill -9` can cost.
const LOOK_MS: i32 = 10;
/// When nothing came, the next look is so much later each time,
const LATER_MS: i32 = 10;
/// up to this.
const IDLE_MS: i32 = 50;
/// Losses are read so often.
const HOUSEKEEPING: Duration = Duration::from_millis(200);
/// Messages taken in one go, before anything else is looked after.
const BATCH: usize = 65_536;
/// Open files of processes that already run are listed up to so many processes.
const LIST_FILES_OF: usize = 200;

/// What a watch did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Exit status of the command, when one was started and exited.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Process id of the command.
    pub root: Option<u32>,
    /// Calls recorded or, before a trigger, seen.
    pub calls: u64,
    /// Messages received.
    pub received: u64,
    /// Messages the kernel was to send.
    pub seen: u64,
    /// What was declared lost, of all kinds.
    pub lost: u64,
    /// How long it went, seconds.
    pub seconds: f64,
    /// Recordings sealed.
    pub recordings: Vec<PathBuf>,
    /// Bytes that the kept past takes in memory.
    pub kept_bytes: u64,
    /// Seconds it reaches back.
    pub kept_s: f64,
}

#[derive(Default)]
struct Wishes {
    stop: Option<String>,
    triggers: Vec<Value>,
    notes: Vec<Value>,
    report: Report,
    over: bool,
}

/// A running watch.
pub struct Session {
    wishes: Arc<Mutex<Wishes>>,
    thread: Mutex<Option<JoinHandle<Result<Report, ProbeError>>>>,
}

fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn wall_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Session {
    /// Loads the probe, takes stock of what already runs and begins; when this returns, everything from then on is recorded.
    pub fn start(config: Config, key: Option<SecretKey>) -> Result<Session, ProbeError> {
        let plans = plan::table(&config.only)?;
        let mut kernel = Kernel::load(&config, &plans)?;
        let root = config.command.as_ref().map(Waiting::start).transpose()?;
        let mut lives = Lives::new(&config.containers, root.as_ref().map(Waiting::pid));
        targets(&config, &mut kernel, &mut lives, root.as_ref())?;
        let mut output = with_priority(|| Output::new(&config, key, monotonic_ns()))?;
        kernel.attach()?;
        take_stock(&config, &mut kernel, &mut lives, &mut output)?;
        let feed = Feed::new(lives, root.as_ref().map(Waiting::pid));
        let wishes = Arc::new(Mutex::new(Wishes::default()));
        let mut watching = Watching {
            stalled: Instant::now() + Duration::from_millis(config.stall_ms),
            config,
            kernel,
            feed,
            output,
            losses: Losses::default(),
            wishes: Arc::clone(&wishes),
            began: Instant::now(),
            looked: Instant::now(),
            root,
        };
        let thread = std::thread::Builder::new().name("observer-watch".to_owned());
        let thread = with_priority(|| thread.spawn(move || watching.run()));
        let thread = thread.map_err(ProbeError::io("start the watching thread"))?;
        Ok(Session { wishes, thread: Mutex::new(Some(thread)) })
    }

    fn wishes(&self) -> std::sync::MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals the past and what follows, for a reason that was found outside.
    pub fn trigger(&self, reason: Value) {
        self.wishes().triggers.push(reason);
    }

    /// Seals a line of low volume about now: what was learnt outside the probe, of containers for example.
    pub fn note(&self, line: Value) {
        self.wishes().notes.push(line);
    }

    /// How it goes, and whether it is over.
    pub fn status(&self) -> (Report, bool) {
        let wishes = self.wishes();
        (wishes.report.clone(), wishes.over)
    }

    /// Ends the watch and waits until all is sealed. `reason` goes into the end line.
    pub fn stop(&self, reason: &str) -> Result<Report, ProbeError> {
        self.wishes().stop = Some(reason.to_owned());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(self.status().0) };
        thread.join().map_err(|_| ProbeError::Load("the watching thread died".to_owned()))?
    }
}

/// Tells the probe what to watch.
fn targets(config: &Config, kernel: &mut Kernel, lives: &mut Lives, root: Option<&Waiting>) -> Result<(), ProbeError> {
    if let Some(root) = root {
        kernel.add_pid(root.pid())?;
    }
    for inode in &config.namespaces {
        kernel.add_namespace(*inode)?;
    }
    enter_cgroups(config, kernel, lives)?;
    for pid in &config.pids {
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            return Err(ProbeError::NotFound(format!("there is no process {pid}")));
        }
        kernel.add_pid(*pid)?;
    }
    Ok(())
}

/// Watches the cgroups and all below them; what is made from then on announces itself once the probe is attached.
fn enter_cgroups(config: &Config, kernel: &mut Kernel, lives: &mut Lives) -> Result<(), ProbeError> {
    for dir in &config.cgroups {
        let below = stock::cgroups_below(dir);
        if below.is_empty() {
            return Err(ProbeError::NotFound(format!("there is no cgroup {}", dir.display())));
        }
        for (id, path) in below {
            kernel.add_cgroup(id)?;
            let name = lives.cgroups.name_of(&path);
            lives.cgroups.learn(id, name);
        }
    }
    Ok(())
}

/// Watched processes that already run, found after the probe was attached: who is born meanwhile announces itself.
fn take_stock(config: &Config, kernel: &mut Kernel, lives: &mut Lives, output: &mut Output) -> Result<(), ProbeError> {
    let now = monotonic_ns();
    enter_cgroups(config, kernel, lives)?; // again: one may have been made before the probe was attached
    let mut found: Vec<u32> = config.pids.clone();
    let all = stock::pids();
    let inside = |pid: &&u32| stock::pid_namespace(**pid).is_some_and(|n| config.namespaces.iter().any(|m| u64::from(*m) == n));
    if !config.namespaces.is_empty() {
        found.extend(all.iter().filter(inside));
        for pid in &found {
            kernel.add_pid(*pid)?;
        }
    }
    if !found.is_empty() {
        // Descendants of the named ones; repeated until nobody new is found, since they may fork meanwhile.
        let mut parents: Vec<(u32, u32)> = all.iter().filter_map(|pid| Some((*pid, stock::parent(*pid)?))).collect();
        loop {
            let (mine, rest): (Vec<_>, Vec<_>) = parents.into_iter().partition(|(_, parent)| found.contains(parent));
            parents = rest;
            if mine.is_empty() {
                break;
            }
            for (pid, _) in mine {
                kernel.add_pid(pid)?;
                if !found.contains(&pid) {
                    found.push(pid);
                }
            }
        }
    }
    if config.all {
        found.extend(all.iter().filter(|pid| **pid != std::process::id()));
    } else if !config.cgroups.is_empty() {
        let tops: Vec<String> = config.cgroups.iter().map(|dir| lives.cgroups.name_of(dir)).collect();
        let below =
            |path: &str| tops.iter().any(|t| path == t || path.strip_prefix(t.as_str()).is_some_and(|r| r.starts_with('/')));
        found.extend(all.iter().filter(|pid| stock::cgroup_path(**pid).is_some_and(|path| below(&path))));
    }
    found.sort_unstable();
    found.dedup();
    let with_files = found.len() <= LIST_FILES_OF;
    for pid in found {
        lives.existing(pid, now, 0, with_files, output);
    }
    Ok(())
}

struct Watching {
    config: Config,
    kernel: Kernel,
    feed: Feed,
    output: Output,
    losses: Losses,
    wishes: Arc<Mutex<Wishes>>,
    began: Instant,
    looked: Instant,
    stalled: Instant,
    root: Option<Waiting>,
}

impl Watching {
    fn run(&mut self) -> Result<Report, ProbeError> {
        let outcome = self.watch();
        let _ = self.look_after();
        self.kernel.detach();
        let report = self.finish(outcome);
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(report) = &report {
            wishes.report = report.clone();
        }
        wishes.over = true;
        report
    }

    /// Watches until told to stop, the command's tree is gone, or sealing fails; returns why.
    fn watch(&mut self) -> Result<String, ProbeError> {
        if let Some(root) = &mut self.root {
            self.feed.lives.initial(root.pid(), monotonic_ns(), &mut self.output);
            root.go()?;
        }
        let mut nap_ms = LOOK_MS;
        loop {
            self.wait(nap_ms);
            if Instant::now() < self.stalled {
                continue;
            }
            let taken = self.drain(false);
            nap_ms = if taken > 0 { LOOK_MS } else { (nap_ms + LATER_MS).min(IDLE_MS) };
            self.output.settle(monotonic_ns());
            self.output.failed()?;
            if self.looked.elapsed() >= HOUSEKEEPING || self.output.hurried() || self.root_ended() {
                self.look_after()?;
                if let Some(reason) = self.told_to_stop(taken) {
                    return Ok(reason);
                }
            }
        }
    }

    fn wait(&self, nap_ms: i32) {
        let mut poll = libc::pollfd { fd: self.kernel.bell_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&mut poll, 1, nap_ms) };
    }

    fn drain(&mut self, detached: bool) -> usize {
        let Watching { kernel, feed, output, .. } = self;
        kernel.drain(BATCH, detached, |bytes| feed.take(bytes, output))
    }

    fn root_ended(&mut self) -> bool {
        self.root.as_mut().is_some_and(Waiting::ended)
    }

    fn look_after(&mut self) -> Result<(), ProbeError> {
        self.looked = Instant::now();
        for (at_ns, line) in self.losses.grown(&self.kernel.losses()?) {
            self.output.line(at_ns, line, Severity::Warning);
        }
        let report = self.report()?;
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.report = report;
        let triggers = std::mem::take(&mut wishes.triggers);
        let notes = std::mem::take(&mut wishes.notes);
        drop(wishes);
        for note in notes {
            self.output.line(monotonic_ns(), note, Severity::Info);
        }
        for trigger in triggers {
            self.output.fire(monotonic_ns(), &trigger)?;
        }
        self.output.tick(monotonic_ns(), self.losses.total)
    }

    fn told_to_stop(&mut self, taken: usize) -> Option<String> {
        if self.output.enough() {
            return Some("the wanted number of windows is sealed".to_owned());
        }
        if let Some(root) = &mut self.root {
            let gone = root.ended() && taken == 0;
            if gone && !self.kernel.any_pid() {
                return Some("completed".to_owned());
            }
        }
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).stop.clone()
    }

    fn report(&mut self) -> Result<Report, ProbeError> {
        let counters = self.kernel.counters();
        let ending = self.feed.lives.ending.unwrap_or_default();
        let (kept_bytes, kept_s) = self.output.kept(monotonic_ns());
        Ok(Report {
            exit_code: ending.exit_code,
            signal: ending.signal,
            root: self.feed.lives.root,
            calls: self.feed.received.calls,
            received: self.feed.received.messages,
            seen: counters.iter().map(|c| c.seen).sum(),
            lost: self.losses.total,
            seconds: self.began.elapsed().as_secs_f64(),
            recordings: self.output.recordings.clone(),
            kept_bytes,
            kept_s,
        })
    }

    /// Takes what still lies in the ring buffer, closes the account and seals the end.
    fn finish(&mut self, outcome: Result<String, ProbeError>) -> Result<Report, ProbeError> {
        while self.drain(true) > 0 {}
        let now = monotonic_ns();
        for (at_ns, line) in self.losses.grown(&self.kernel.losses()?) {
            self.output.line(at_ns, line, Severity::Warning);
        }
        let received = self.feed.received;
        let counters = self.kernel.counters();
        let line = account(&counters, &received, self.kernel.malformed());
        self.output.line(now, line, Severity::Info);
        if let (Some(root), Ok(_)) = (&mut self.root, &outcome) {
            root.exec_error()?;
        }
        let mut end: Map<String, Value> = Map::new();
        end.insert("wall_ns".into(), json!(wall_ns()));
        end.insert("monotonic_ns".into(), json!(now));
        let ending = self.feed.lives.ending.unwrap_or_default();
        match &outcome {
            Ok(reason) => {
                end.insert("status".into(), json!("completed"));
                end.insert("reason".into(), json!(reason));
                if self.config.command.is_some() {
                    end.insert("exit_code".into(), json!(ending.exit_code));
                    end.insert("signal".into(), json!(ending.signal));
                }
            }
            Err(error) => {
                end.insert("status".into(), json!("failed"));
                end.insert("reason".into(), json!(error.to_string()));
            }
        }
        end.insert("lost".into(), json!(self.losses.total));
        let sealed = self.output.close(end);
        let report = self.report()?;
        outcome?;
        sealed?;
        Ok(report)
    }
}
