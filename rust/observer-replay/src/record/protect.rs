// SPDX-License-Identifier: Apache-2.0
//! The recorder keeps itself out of reach of what it records: a program that stopped, traced or overwrote its recorder would stand still
//! with it, or forge what is recorded.

use std::path::Path;

const EPERM: i64 = -1;
/// Signals that nobody can handle.
const BINDING: [u64; 2] = [libc::SIGKILL as u64, libc::SIGSTOP as u64];

/// A thread of this process.
fn is_own(id: u64) -> bool {
    let id = id & 0xffff_ffff;
    id == u64::from(std::process::id()) || (id > 0 && Path::new(&format!("/proc/self/task/{id}")).exists())
}

/// What a call gets that is aimed at the recorder; None when it is not.
#[must_use]
pub fn refuse(nr: u32, args: &[u64; 6]) -> Option<i64> {
    let aimed = match i64::from(nr) {
        libc::SYS_ptrace => args[1] != 0 && is_own(args[1]),
        libc::SYS_process_vm_readv | libc::SYS_process_vm_writev => is_own(args[0]),
        libc::SYS_kill | libc::SYS_tkill | libc::SYS_rt_sigqueueinfo => BINDING.contains(&args[1]) && is_own(args[0]),
        libc::SYS_tgkill | libc::SYS_rt_tgsigqueueinfo => BINDING.contains(&args[2]) && is_own(args[0]),
        libc::SYS_prlimit64 => args[2] != 0 && is_own(args[0]),
        _ => false,
    };
    aimed.then_some(EPERM)
}

/// While it lives, other processes of the same user may neither trace this one nor read or write its memory. Source: ptrace(2),
/// "Ptrace access mode checking".
pub struct Closed {
    before: i32,
}

impl Closed {
    /// Closes.
    #[must_use]
    pub fn now() -> Closed {
        // SAFETY: plain calls on the process's own flag.
        unsafe {
            let before = libc::prctl(libc::PR_GET_DUMPABLE);
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            Closed { before }
        }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        if self.before == 1 {
            // SAFETY: as above.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
        }
    }
}
