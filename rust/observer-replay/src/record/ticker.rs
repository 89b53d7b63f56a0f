// SPDX-License-Identifier: Apache-2.0
//! Wakes the recorder now and then while it waits for the program, so that it can share out time.

use observer_capture::sys::{own_tid, Tid};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often.
const PERIOD: Duration = Duration::from_millis(2);

extern "C" fn nothing(_signal: i32) {}

fn signal() -> i32 {
    libc::SIGRTMAX() - 2
}

/// Interrupts the thread that made it until it is dropped.
pub struct Ticker {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    before: libc::sigaction,
}

fn tick(target: Tid, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::thread::park_timeout(PERIOD);
        // SAFETY: plain numbers; the target lives as long as the ticker.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), target, signal()) };
    }
}

impl Ticker {
    /// Starts.
    pub fn start() -> std::io::Result<Ticker> {
        // SAFETY: both actions are valid locals, and the handler does nothing.
        let before = unsafe {
            let (mut new, mut old): (libc::sigaction, libc::sigaction) = (mem::zeroed(), mem::zeroed());
            let handler: extern "C" fn(i32) = nothing;
            new.sa_sigaction = handler as usize;
            libc::sigaction(signal(), &new, &mut old);
            old
        };
        let over = Arc::new(AtomicBool::new(false));
        let (theirs, target) = (Arc::clone(&over), own_tid());
        let spawned = std::thread::Builder::new().name("observer-tick".to_owned()).spawn(move || tick(target, &theirs));
        Ok(Ticker { over, thread: Some(spawned?), before })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        // SAFETY: `before` came from sigaction for the same signal.
        unsafe { libc::sigaction(signal(), &self.before, ptr::null_mut()) };
    }
}
