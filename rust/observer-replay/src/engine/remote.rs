// SPDX-License-Identifier: Apache-2.0
//! System calls made in a stopped thread: registers are set so that it executes one `syscall` instruction, and put back.

use crate::engine::sys;
use crate::regs::{index, Regs};
use observer_capture::sys::{Tid, Wait};
use std::io;

fn prepared(regs: &Regs, gadget: u64, nr: i64, args: [u64; 6]) -> Regs {
    let mut call = *regs;
    call.0[index::RAX] = nr.cast_unsigned();
    call.0[index::ORIG_RAX] = u64::MAX; // else the kernel might take it for an interrupted call to restart
    call.0[index::RIP] = gadget;
    call.set_args(args);
    call
}

fn unexpected(what: Wait) -> io::Error {
    io::Error::other(format!("the thread did not make the call it was told to: {what:?}"))
}

/// Makes a call in thread `tid`, which is stopped and whose registers are `regs`; `gadget` is the address of a `syscall`
/// instruction in its memory. Leaves the registers as they were.
pub fn call_at(tid: Tid, regs: &Regs, gadget: u64, nr: i64, args: [u64; 6]) -> io::Result<i64> {
    sys::set_registers(tid, &prepared(regs, gadget, nr, args))?;
    for _ in 0..2 {
        sys::resume_to_syscall(tid, 0)?;
        match sys::wait_for(tid)? {
            Wait::Stopped(sys::SYSCALL_STOP, _) => {}
            other => return Err(unexpected(other)),
        }
    }
    let result = sys::registers(tid)?.0[index::RAX].cast_signed();
    sys::set_registers(tid, regs)?;
    Ok(result)
}

/// The same where an `int3` follows the `syscall`: one stop instead of two. Does not put the registers back.
/// `born` collects the id of a thread that the call makes.
pub fn call_trapping(tid: Tid, regs: &Regs, gadget: u64, (nr, args): (i64, [u64; 6]), born: &mut Option<Tid>) -> io::Result<i64> {
    sys::set_registers(tid, &prepared(regs, gadget, nr, args))?;
    loop {
        sys::resume(tid, 0)?;
        match sys::wait_for(tid)? {
            Wait::Stopped(libc::SIGTRAP, 0) => break,
            Wait::Stopped(_, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {
                *born = sys::event_message(tid).ok().and_then(|id| Tid::try_from(id).ok());
            }
            Wait::Stopped(signal, 0) if signal != libc::SIGSEGV && signal != libc::SIGBUS && signal != libc::SIGSYS => {} // swallowed
            Wait::Stopped(_, libc::PTRACE_EVENT_STOP) => {}
            other => return Err(unexpected(other)),
        }
    }
    Ok(sys::registers(tid)?.0[index::RAX].cast_signed())
}

/// A result that is an error number, as one.
pub fn checked(result: i64, what: &str) -> io::Result<u64> {
    if (-4095..0).contains(&result) {
        let source = io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(0));
        return Err(io::Error::new(source.kind(), format!("{what}: {source}")));
    }
    Ok(result.cast_unsigned())
}
