// SPDX-License-Identifier: Apache-2.0
//! A copy of a process by its own fork, for kernels that cannot follow writes: it stands while its page tables are copied, and the
//! copy is read when it runs again. What it writes meanwhile is copied by the kernel, so there must be memory for that.

use crate::components;
use crate::inject;
use crate::maps::Mapping;
use crate::procfs;
use crate::stop::Held;
use crate::sys::{self, Tid, Wait};
use std::io;

const TRACE_CLONE: libc::c_int = 1 << 3; // PTRACE_O_TRACECLONE
const EXIT_KILL: libc::c_int = 1 << 20; // PTRACE_O_EXITKILL: of the copy, never of the process
const SUSPEND_SECCOMP: libc::c_int = 1 << 21; // PTRACE_O_SUSPEND_SECCOMP; needs CAP_SYS_ADMIN
const EVENT_CLONE: i32 = 3;
const EVENT_STOP: i32 = 128;
/// No memory cgroup limits a process to more than this; the kernel shows "none" as the largest number of pages.
const NO_LIMIT: u64 = 1 << 60;

/// The copy: stopped, traced by the calling thread, never run. Dropping it ends it and takes it off its parent's hands.
pub struct Forked {
    parent: u32,
    /// The copy.
    pub child: Tid,
}

/// True for memory that a fork copies as it is.
#[must_use]
pub fn is_copied(mapping: &Mapping) -> bool {
    !mapping.shared() && !mapping.has("dc") && !mapping.has("wf") && !mapping.name.starts_with("[v")
}

/// Why there is not enough memory for a copy, if there is not: all that the process has may have to be kept twice.
#[must_use]
pub fn too_little_memory(pid: u32) -> Option<String> {
    let kib = |text: Option<String>| text.and_then(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    let needed = kib(procfs::status(pid, "RssAnon")) << 10;
    let meminfo = procfs::text("/proc/meminfo").unwrap_or_default();
    let free = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")).map(str::to_owned);
    let mut room = kib(free) << 10;
    let parts = components::cgroups(pid);
    let number = |name: &str| {
        let found = parts.iter().find(|(component, _)| component.name == name);
        found.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()?.trim().parse::<u64>().ok())
    };
    for (limit, used) in [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")] {
        if let (Some(limit), Some(used)) = (number(limit).filter(|limit| *limit < NO_LIMIT), number(used)) {
            room = room.min(limit.saturating_sub(used));
        }
    }
    (room < needed).then(|| format!("a copy may need {} MiB, and {} MiB are free", needed >> 20, room >> 20))
}

impl Forked {
    /// Let a stopped thread of a process fork it.
    ///
    /// # Errors
    /// Why it cannot, as a sentence for the snapshot's label.
    #[cfg(target_arch = "x86_64")]
    pub fn of(held: Held) -> Result<Forked, String> {
        let tid = held.tid as Tid;
        let instruction = inject::call_instruction(held.pid).map_err(|error| error.to_string())?;
        let filtered = procfs::status(held.pid, "Seccomp").is_some_and(|mode| mode != "0");
        let options = TRACE_CLONE | if filtered { SUSPEND_SECCOMP } else { 0 };
        sys::set_options(tid, options).map_err(|error| match filtered {
            true => "its seccomp filter cannot be suspended without CAP_SYS_ADMIN".to_owned(),
            false => format!("PTRACE_SETOPTIONS: {error}"),
        })?;
        let done = fork_in(tid, instruction);
        let _ = sys::set_options(tid, 0); // what holds it lets it go soon
        let child = done.map_err(|error| format!("fork: {error}"))?;
        let out = Forked { parent: held.pid, child };
        sys::set_options(child, EXIT_KILL).map_err(|error| format!("the copy cannot be held: {error}"))?;
        Ok(out)
    }

    /// Other processors have no injection.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn of(_: Held) -> Result<Forked, String> {
        Err("forking is for x86-64".to_owned())
    }

    /// End the copy, and let its parent, which does not know of it, take the exit status that the kernel keeps for it.
    fn end(&self) -> io::Result<()> {
        sys::kill(self.child, libc::SIGKILL)?;
        while sys::wait(self.child, true)? != Wait::Ended {}
        let tid = self.parent as Tid;
        let instruction = inject::call_instruction(self.parent)?;
        let options = if procfs::status(self.parent, "Seccomp").is_some_and(|mode| mode != "0") { SUSPEND_SECCOMP } else { 0 };
        sys::seize(tid, options)?;
        sys::interrupt(tid)?;
        let signal = match sys::wait(tid, true)? {
            Wait::Stopped(signal, event) if event != EVENT_STOP => signal & 0x7f,
            _ => 0,
        };
        let all = (libc::__WALL | libc::WNOHANG) as u64;
        let call = (libc::SYS_wait4 as u64, [self.child as u64, 0, all, 0, 0, 0]);
        let taken = masked(tid, || inject::call_in(tid, instruction, call));
        sys::detach(tid, signal)?;
        taken.map(drop)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let _ = self.end(); // a parent that has ended meanwhile has nothing left to take
    }
}

/// Do something in a thread with all signals blocked: none must arrive between a step and its trap.
fn masked<T>(tid: Tid, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mask = sys::signal_mask_word(tid)?;
    sys::set_signal_mask(tid, u64::MAX)?;
    let done = work();
    sys::set_signal_mask(tid, mask)?;
    done
}

#[cfg(target_arch = "x86_64")]
fn fork_in(tid: Tid, instruction: u64) -> io::Result<Tid> {
    masked(tid, || {
        let before = sys::registers(tid)?;
        let mut during = before;
        // No signal tells the parent of the copy's end, and no wait of its own finds the copy.
        (during.rip, during.rax, during.orig_rax) = (instruction, libc::SYS_clone as u64, u64::MAX);
        (during.rdi, during.rsi, during.rdx, during.r10, during.r8) = (0, 0, 0, 0, 0);
        sys::set_registers(tid, &during)?;
        let born = born_in(tid);
        let after = sys::registers(tid);
        sys::set_registers(tid, &before)?;
        let result = after?.rax as i64;
        match born? {
            Some(child) => Ok(child),
            None if result < 0 => Err(io::Error::from_raw_os_error(-result as i32)),
            None => Err(io::Error::other("nobody told of the copy")),
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn born_in(tid: Tid) -> io::Result<Option<Tid>> {
    sys::step(tid)?;
    if sys::wait(tid, true)? != Wait::Stopped(libc::SIGTRAP, EVENT_CLONE) {
        return Ok(None);
    }
    let child = sys::event_message(tid)? as Tid;
    sys::step(tid)?;
    sys::wait(tid, true)?;
    sys::wait(child, true)?; // it begins with a stop
    Ok(Some(child))
}
