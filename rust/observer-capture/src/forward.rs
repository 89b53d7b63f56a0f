// SPDX-License-Identifier: Apache-2.0
//! Signals that reach the recorder go on to the program. A terminal sends its signals (Ctrl-C) to the whole foreground group,
//! the program included, so those are not sent twice.

use crate::sys::Tid;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// The pid that gets them; 0 while there is none.
static TARGET: AtomicI32 = AtomicI32::new(0);

/// Passed on when another process sends them to the recorder.
const FORWARDED: [i32; 8] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM, libc::SIGWINCH];
/// Ignored by the recorder; the program gets the terminal's own.
const IGNORED: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    let target = TARGET.load(Ordering::Relaxed);
    // SAFETY: the kernel passes a valid siginfo; kill and errno access are async-signal-safe.
    unsafe {
        let errno = *libc::__errno_location();
        if target > 0 && (*info).si_code != libc::SI_KERNEL {
            libc::kill(target, signal);
        }
        *libc::__errno_location() = errno;
    }
}

/// Forwards signals while it lives; then puts back what was there before.
pub struct Forwarding {
    before: Vec<(i32, libc::sigaction)>,
}

fn install(signal: i32, ignore: bool) -> libc::sigaction {
    // SAFETY: both actions are valid locals, the handler is async-signal-safe.
    unsafe {
        let (mut new, mut old): (libc::sigaction, libc::sigaction) = (mem::zeroed(), mem::zeroed());
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
        new.sa_sigaction = if ignore { libc::SIG_IGN } else { handler as usize };
        new.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(signal, &new, &mut old);
        old
    }
}

impl Forwarding {
    /// Starts forwarding to `pid`.
    pub fn start(pid: Tid) -> Forwarding {
        TARGET.store(pid, Ordering::Relaxed);
        let forwarded = FORWARDED.iter().map(|s| (*s, install(*s, false)));
        let ignored = IGNORED.iter().map(|s| (*s, install(*s, true)));
        Forwarding { before: forwarded.chain(ignored).collect() }
    }

    /// The program is gone: its pid may be somebody else's soon.
    pub fn forget() {
        TARGET.store(0, Ordering::Relaxed);
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        Self::forget();
        for (signal, action) in &self.before {
            // SAFETY: `action` came from sigaction for the same signal.
            unsafe { libc::sigaction(*signal, action, ptr::null_mut()) };
        }
    }
}
