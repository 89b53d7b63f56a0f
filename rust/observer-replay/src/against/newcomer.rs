// SPDX-License-Identifier: Apache-2.0
//! The other program's process. The kernel loads it; from its first instruction on none of its calls is made but those that are
//! about its own memory and signals, and a filter kills it for any other that should come through.

use crate::engine::maps::regions;
use crate::engine::remote;
use crate::engine::sys::{self, SYSCALL_STOP};
use crate::error::ReplayError;
use crate::record::signals::{after_tsc, is_fault, tsc_instruction};
use crate::record::vdso;
use crate::regs::{index, Regs};
use observer_capture::sys::{read_memory, syscall_stop, SyscallStop, Tid, Wait};
use observer_capture::{CaptureError, Config};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const PR_SET_NO_NEW_PRIVS: u64 = 38;
const PR_SET_TSC: u64 = 26;
const PR_TSC_SIGSEGV: u64 = 2;
/// Where the filter lies for the moment in which it is installed: this far below the stack pointer.
const BELOW: u64 = 4096;
const ALLOWED: [i64; 13] = [
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_brk,
    libc::SYS_arch_prctl,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
];

/// What the newcomer asks for.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// A call, with these registers.
    Call(Regs),
    /// The time stamp counter.
    Counter,
    /// It raised this signal.
    Fault(i32),
    /// Nothing: it is gone.
    Gone,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Call(regs) => write!(f, "makes call {}", regs.nr()),
            Asked::Counter => write!(f, "reads the time stamp counter"),
            Asked::Fault(signal) => write!(f, "raises signal {signal}"),
            Asked::Gone => write!(f, "is gone"),
        }
    }
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> ReplayError {
    ReplayError::io(what)
}

/// The process.
pub struct Newcomer {
    /// Its id.
    pub tid: Tid,
    regs: Regs,
    /// A signal that it is to meet before it goes on.
    posted: Option<i32>,
    standing: bool,
}

fn filter() -> Vec<u8> {
    let count = ALLOWED.len() as u8;
    let mut ops: Vec<(u16, u8, u8, u32)> = vec![(0x20, 0, 0, 0)]; // load the number
    for (at, nr) in ALLOWED.iter().enumerate() {
        ops.push((0x15, count - at as u8, 0, *nr as u32)); // equal: to the last instruction
    }
    ops.extend([(0x06, 0, 0, libc::SECCOMP_RET_KILL_PROCESS), (0x06, 0, 0, libc::SECCOMP_RET_ALLOW)]);
    ops.iter().flat_map(|(code, jt, jf, k)| [&code.to_le_bytes()[..], &[*jt, *jf], &k.to_le_bytes()].concat()).collect()
}

impl Newcomer {
    /// Starts a program; it stands at its first instruction.
    pub fn start(config: &Config) -> Result<Newcomer, ReplayError> {
        let exec = config.exec()?;
        let what = || format!("start {}", config.executable);
        let (gate_in, gate_out) = observer_capture::sys::pipe().map_err(ReplayError::io(what()))?;
        let (report_in, report_out) = observer_capture::sys::pipe().map_err(ReplayError::io(what()))?;
        // SAFETY: a signal set is plain data; all-zero is the empty set.
        let signals: libc::sigset_t = unsafe { std::mem::zeroed() };
        let tid = observer_capture::sys::fork_stopped(&exec, gate_in.as_raw_fd(), report_out.as_raw_fd(), &signals)
            .map_err(ReplayError::io(what()))?;
        drop((gate_in, report_out));
        let mut other = Newcomer { tid, regs: Regs::default(), posted: None, standing: true };
        let mut report = File::from(report_in);
        report.read_exact(&mut [0]).map_err(ReplayError::io(what()))?;
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACEEXEC;
        sys::seize(tid, options).map_err(|e| ReplayError::from(CaptureError::Trace(e)))?;
        File::from(gate_out).write_all(b"g").map_err(ReplayError::io(what()))?;
        if !other.reach_exec()? {
            let mut errno = [0u8; 4];
            let _ = report.read_exact(&mut errno);
            let source = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
            return Err(CaptureError::Exec { path: config.executable.clone(), source }.into());
        }
        other.prepare()?;
        Ok(other)
    }

    fn reach_exec(&mut self) -> Result<bool, ReplayError> {
        loop {
            match sys::wait_for(self.tid).map_err(failed("wait for the other program"))? {
                Wait::Stopped(_, libc::PTRACE_EVENT_EXEC) => break,
                Wait::Stopped(..) => sys::resume(self.tid, 0).map_err(failed("start the other program"))?,
                Wait::Exited(_) | Wait::Signaled(..) => {
                    self.standing = false;
                    return Ok(false);
                }
                Wait::Other => {}
            }
        }
        sys::resume_to_syscall(self.tid, 0).map_err(failed("start the other program"))?; // to the exit of execve
        sys::wait_for(self.tid).map_err(failed("wait for the other program"))?;
        self.regs = sys::registers(self.tid).map_err(failed("read registers of the other program"))?;
        Ok(true)
    }

    /// Takes clocks and calls away from it.
    fn prepare(&mut self) -> Result<(), ReplayError> {
        let what = "prepare the other program";
        let maps = regions(self.tid).map_err(failed(what))?;
        let gadget = vdso::replace(self.tid, &maps).or_else(|| vdso::find_gadget(self.tid, &maps));
        let gadget = gadget.ok_or_else(|| ReplayError::Unsupported("the other program has no system call in it".to_owned()))?;
        let call = |nr, args| remote::call_at(self.tid, &self.regs, gadget, nr, args).map_err(failed(what));
        call(libc::SYS_prctl, [PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0, 0])?;
        call(libc::SYS_prctl, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0])?;
        let program = filter();
        let place = (self.regs.rsp() - BELOW) & !0xf;
        let saved = crate::record::outputs::bytes_at(self.tid, place, 16 + program.len() as u64);
        let mut data = ((program.len() / 8) as u64).to_le_bytes().to_vec();
        data.extend((place + 16).to_le_bytes());
        data.extend(program);
        self.write(place, &data)?;
        call(libc::SYS_seccomp, [1, 0, place, 0, 0, 0])?;
        self.write(place, &saved)
    }

    /// Runs to what it asks for next.
    pub fn run(&mut self) -> Result<Asked, ReplayError> {
        sys::set_registers(self.tid, &self.regs).map_err(failed("set registers of the other program"))?;
        if let Some(signal) = self.posted.take() {
            sys::kill_thread(self.tid, self.tid, signal).map_err(failed("signal the other program"))?;
        }
        let mut deliver = 0;
        loop {
            sys::resume_emulating_with(self.tid, deliver).map_err(failed("resume the other program"))?;
            deliver = 0;
            let stop = sys::wait_for(self.tid).map_err(failed("wait for the other program"))?;
            let Wait::Stopped(signal, event) = stop else {
                self.standing = false;
                return Ok(Asked::Gone);
            };
            self.regs = sys::registers(self.tid).map_err(failed("read registers of the other program"))?;
            if signal == SYSCALL_STOP {
                return Ok(Asked::Call(self.regs));
            }
            if event != 0 {
                continue;
            }
            let info = sys::siginfo(self.tid).map_err(failed("read a signal of the other program"))?;
            if !is_fault(signal, sys::siginfo_code(&info)) {
                deliver = signal;
            } else if signal == libc::SIGSEGV && tsc_instruction(self.tid, self.regs.rip()).is_some() {
                return Ok(Asked::Counter);
            } else {
                return Ok(Asked::Fault(signal));
            }
        }
    }

    /// It is to meet this signal before it goes on.
    pub fn post(&mut self, signal: i32) -> Result<(), ReplayError> {
        self.posted = Some(signal);
        Ok(())
    }

    /// The call it asked for has this result.
    pub fn returns(&mut self, asked: &Regs, result: i64) -> Result<(), ReplayError> {
        self.regs = asked.returned(result);
        Ok(())
    }

    /// Makes the call that it asked for.
    pub fn make(&mut self, asked: &Regs) -> Result<i64, ReplayError> {
        let result = self.execute(asked)?;
        self.regs = sys::registers(self.tid).map_err(failed("read registers of the other program"))?;
        Ok(result)
    }

    /// Makes another call at the same place, and puts the registers back.
    pub fn make_call(&mut self, asked: &Regs, nr: i64, args: [u64; 6]) -> Result<i64, ReplayError> {
        let mut call = *asked;
        call.0[index::ORIG_RAX] = nr.cast_unsigned();
        call.set_args(args);
        self.execute(&call)
    }

    /// A skipped call is asked for again, and this time it is made.
    fn execute(&mut self, asked: &Regs) -> Result<i64, ReplayError> {
        let mut again = *asked;
        again.0[index::RIP] = asked.rip().wrapping_sub(2);
        again.0[index::RAX] = asked.0[index::ORIG_RAX];
        again.0[index::ORIG_RAX] = u64::MAX;
        sys::set_registers(self.tid, &again).map_err(failed("set registers of the other program"))?;
        let mut entered = false;
        loop {
            sys::resume_to_syscall(self.tid, 0).map_err(failed("resume the other program"))?;
            match sys::wait_for(self.tid).map_err(failed("wait for the other program"))? {
                Wait::Stopped(SYSCALL_STOP, _) => match syscall_stop(self.tid) {
                    Ok(SyscallStop::Entry(..)) => entered = true,
                    Ok(SyscallStop::Exit(result)) if entered => return Ok(result),
                    _ => {}
                },
                Wait::Stopped(..) => {} // a signal that nobody sent it
                gone => return Err(ReplayError::Unsupported(format!("the other program is gone: {gone:?}"))),
            }
        }
    }

    /// Gives it a value of the time stamp counter.
    pub fn give_counter(&mut self, value: u64) -> Result<(), ReplayError> {
        if let Some((length, with_cpu)) = tsc_instruction(self.tid, self.regs.rip()) {
            self.regs = after_tsc(&self.regs, length, value, with_cpu.then_some(0));
        }
        Ok(())
    }

    /// Writes its memory, also where it may not.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), ReplayError> {
        let mut same = vec![0u8; bytes.len()];
        if read_memory(self.tid, address, &mut same) == bytes.len() && same == bytes {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(format!("/proc/{}/mem", self.tid));
        file.and_then(|file| file.write_all_at(bytes, address)).map_err(failed("write memory of the other program"))
    }

    /// Lets it go, stopped, for a debugger to look at; whoever asked for that has to end it.
    pub fn leave(&mut self) -> Result<Tid, ReplayError> {
        let _ = sys::set_registers(self.tid, &self.regs);
        observer_capture::sys::detach(self.tid, libc::SIGSTOP).map_err(failed("let the other program go"))?;
        self.standing = false;
        Ok(self.tid)
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if self.standing {
            crate::engine::stub::end(self.tid);
        }
    }
}
