// SPDX-License-Identifier: Apache-2.0
//! The filter under which replayed processes are: what is not called from the engine's page, or is none of its eleven calls, kills.
#![allow(clippy::unwrap_used)]

use observer_capture::sys::{Tid, Wait};
use observer_replay::engine::remote::call_trapping;
use observer_replay::engine::stub::{end, spawn_from, Cell, Zygote, DATA, GADGET};
use observer_replay::engine::sys;
use observer_replay::regs::{index, Regs};

/// Sets a replayed process to make a call at an address, and lets the kernel have it.
fn killed_by(tid: Tid, address: u64, nr: i64, args: [u64; 6]) -> Wait {
    let mut regs = sys::registers(tid).unwrap();
    regs.0[index::RIP] = address;
    regs.0[index::RAX] = nr.cast_unsigned();
    regs.0[index::ORIG_RAX] = u64::MAX;
    regs.set_args(args);
    sys::set_registers(tid, &regs).unwrap();
    sys::resume(tid, 0).unwrap();
    sys::wait_for(tid).unwrap()
}

fn mapped(zygote: &Zygote, regs: &Regs) -> (Tid, u64) {
    let tid = spawn_from(zygote.tid, regs, false).unwrap();
    let args = [0, 4096, 7, 0x22, u64::MAX, 0]; // readable, writable, executable; private, anonymous
    let page = call_trapping(tid, regs, GADGET, (libc::SYS_mmap, args), &mut None).unwrap();
    assert!(page > 0);
    (tid, page.cast_unsigned())
}

#[test]
fn a_call_from_elsewhere_and_an_unexpected_call_kill() {
    let zygote = Zygote::start(Cell { stack: 8 << 20, ..Cell::default() }).unwrap();
    let regs = sys::registers(zygote.tid).unwrap();
    let killed = |what: Wait| matches!(what, Wait::Signaled(libc::SIGSYS, _));

    let (tid, page) = mapped(&zygote, &regs);
    sys::write_memory(tid, page, &[0x0f, 0x05, 0xcc]);
    let allowed_elsewhere = [0, 4096, 3, 0x22, u64::MAX, 0];
    assert!(killed(killed_by(tid, page, libc::SYS_mmap, allowed_elsewhere)), "mmap from the program's own memory");

    for nr in [
        libc::SYS_openat,
        libc::SYS_socket,
        libc::SYS_kill,
        libc::SYS_execve,
        libc::SYS_ptrace,
        libc::SYS_write,
        libc::SYS_seccomp,
    ] {
        let (tid, _) = mapped(&zygote, &regs);
        assert!(killed(killed_by(tid, GADGET, nr, [0, DATA, 0, 0, 0, 0])), "call {nr} from the engine's page");
    }
    let (tid, _) = mapped(&zygote, &regs);
    assert_eq!(killed_by(tid, GADGET, libc::SYS_munmap, [0x10000, 4096, 0, 0, 0, 0]), Wait::Stopped(libc::SIGTRAP, 0));
    end(tid);
}
