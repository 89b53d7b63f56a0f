// SPDX-License-Identifier: Apache-2.0
//! While a process stands, the thread that holds it goes first: on a busy machine each turn of somebody else is milliseconds long.

use std::io;
use std::mem;

/// The calling thread is ahead of all that is not of real time; dropping this puts it back in line.
pub struct Hurry(());

impl Hurry {
    /// Go ahead, where the kernel allows it (CAP_SYS_NICE or a limit) and nobody has asked for another way of scheduling.
    #[must_use]
    pub fn begin() -> Option<Hurry> {
        (policy() == libc::SCHED_OTHER && schedule(libc::SCHED_FIFO, 1).is_ok()).then_some(Hurry(()))
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        let _ = schedule(libc::SCHED_OTHER, 0); // always allowed: it asks for less
    }
}

fn policy() -> libc::c_int {
    // SAFETY: plain numbers; 0 is the calling thread.
    unsafe { libc::sched_getscheduler(0) }
}

/// Threads that are started meanwhile inherit it: one that had to wait for its first turn would be no help.
fn schedule(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: all-zero is valid for this plain structure on every C library.
    let mut wanted: libc::sched_param = unsafe { mem::zeroed() };
    wanted.sched_priority = priority;
    // SAFETY: the structure is a live local; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &wanted) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_put_back_in_line() {
        let hurry = Hurry::begin();
        assert_eq!(policy() == libc::SCHED_FIFO, hurry.is_some());
        drop(hurry);
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
