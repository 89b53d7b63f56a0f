// SPDX-License-Identifier: Apache-2.0
//! Whose turn it is: the recorder's threads come before what they record.

/// The threads that take and seal come before those that are watched: who waits for his turn behind what he watches loses it.
const PRIORITY: i32 = -10;

/// Runs `make`, whose threads take over a higher priority; without the right to it they have the ordinary one.
pub fn with_priority<T>(make: impl FnOnce() -> T) -> T {
    // SAFETY: a plain call about the calling thread.
    let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // SAFETY: as above; giving priority up again needs no right.
    let raised = before > PRIORITY && unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY) } == 0;
    let made = make();
    if raised {
        // SAFETY: as above.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, before) };
    }
    made
}
