// SPDX-License-Identifier: Apache-2.0
//! Signals: at a boundary they are delivered, in the middle of a computation they wait for the next one; what the kernel makes of a
//! delivery (frame, registers) is recorded, so that a replay needs no signals at all.

use crate::engine::sys::{self, SIGINFO};
use crate::error::ReplayError;
use crate::record::outputs::bytes_at;
use crate::record::task::{State, Task};
use crate::record::tracer::Tracer;
use crate::regs::{index, Regs};
use crate::stream::{Signal, What};
use observer_capture::sys::{read_memory, Tid, Wait};
use observer_model::{Record, SignalRecord};
use serde_bytes::ByteBuf;

/// Bytes of the frame without the floating point part: return address, ucontext, siginfo. Source: arch/x86 rt_sigframe.
const FRAME: u64 = 8 + 304 + 128;
/// Where the frame points to its floating point part.
const FRAME_FP: usize = 8 + 224;
/// Where that part says how long it is (sw_reserved.extended_size; 0 for the plain 512 bytes).
const FP_SIZE_AT: usize = 468;
const FP_MAX: u64 = 16 * 1024;

/// A reading of the time stamp counter that trapped: length of the instruction, and whether it is rdtscp.
pub fn tsc_instruction(tid: Tid, rip: u64) -> Option<(u64, bool)> {
    let mut code = [0u8; 3];
    let got = read_memory(tid, rip, &mut code);
    match &code[..got] {
        [0x0f, 0x31, ..] => Some((2, false)),
        [0x0f, 0x01, 0xf9] => Some((3, true)),
        _ => None,
    }
}

/// Registers after a reading of the counter.
#[must_use]
pub fn after_tsc(regs: &Regs, length: u64, value: u64, aux: Option<u32>) -> Regs {
    let mut next = *regs;
    next.0[index::RAX] = value & 0xffff_ffff;
    next.0[index::RDX] = value >> 32;
    if let Some(aux) = aux {
        next.0[index::RCX] = u64::from(aux);
    }
    next.0[index::RIP] += length;
    next
}

/// `si_code` of a call that the program itself intercepts (PR_SET_SYSCALL_USER_DISPATCH): there is no stop for that call.
const SYS_USER_DISPATCH: i32 = 2;

/// A signal that the thread's own instruction raised.
#[must_use]
pub fn is_fault(signal: i32, code: i32) -> bool {
    if signal == libc::SIGSYS {
        return code == SYS_USER_DISPATCH;
    }
    code > 0 && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP)
}

/// Whether the program handles the signal. Source: proc(5), SigCgt.
pub fn is_caught(tid: Tid, signal: i32) -> bool {
    let Ok(status) = std::fs::read(format!("/proc/{tid}/status")) else { return false };
    let status = String::from_utf8_lossy(&status);
    let mask =
        status.lines().find_map(|line| line.strip_prefix("SigCgt:")).and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Signals whose default is to do nothing, or to stop or continue the process. Source: signal(7).
fn is_harmless(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGCHLD
            | libc::SIGURG
            | libc::SIGWINCH
            | libc::SIGCONT
            | libc::SIGSTOP
            | libc::SIGTSTP
            | libc::SIGTTIN
            | libc::SIGTTOU
    )
}

/// Signals that stop a process, unless it handles them.
pub fn is_stop(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// A signal that the recorder had given to the kernel again is what it was before.
fn restore_original(task: &mut Task, signal: i32, info: &mut [u8; SIGINFO]) {
    let own = i32::from_le_bytes([info[16], info[17], info[18], info[19]]) == std::process::id().cast_signed();
    if !own || sys::siginfo_code(info) != libc::SI_QUEUE {
        return;
    }
    let at = task.requeued.iter().position(|(number, _)| *number == signal);
    if let Some((_, original)) = at.and_then(|at| task.requeued.remove(at)) {
        *info = original;
        let _ = sys::set_siginfo(task.tid, info);
    }
}

/// Address and bytes of the frame that the kernel just pushed.
fn frame(tid: Tid, rsp: u64) -> (u64, Vec<u8>) {
    let mut bytes = bytes_at(tid, rsp, FRAME);
    let fp = bytes.get(FRAME_FP..).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
    if fp > rsp {
        let head = bytes_at(tid, fp, 512);
        let size = head.get(FP_SIZE_AT..).and_then(|b| b.first_chunk::<4>()).map_or(0, |b| u64::from(u32::from_le_bytes(*b)));
        bytes = bytes_at(tid, rsp, fp - rsp + size.clamp(512, FP_MAX));
    }
    (rsp, bytes)
}

impl Tracer<'_> {
    pub(super) fn signal(&mut self, tid: Tid, signal: i32) -> Result<(), ReplayError> {
        if !self.armed {
            return self.go_on(tid, if signal == libc::SIGSTOP { 0 } else { signal });
        }
        let (Ok(mut info), Ok(regs)) = (sys::siginfo(tid), sys::registers(tid)) else { return self.go_on(tid, 0) };
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        restore_original(task, signal, &mut info);
        let fault = is_fault(signal, sys::siginfo_code(&info));
        if fault && signal == libc::SIGSEGV && !task.own_tsc_traps {
            if let Some((length, with_cpu)) = tsc_instruction(tid, regs.rip()) {
                return self.time_stamp(tid, &regs, length, with_cpu);
            }
        }
        if fault && signal == libc::SIGILL {
            if let Some(next) = crate::record::random::drawn(tid, &regs) {
                return self.played(tid, next, What::Random(Box::new(next)));
            }
        }
        let caught = is_caught(tid, signal);
        let midway = task.state == State::Running && !task.boundary.is_untouched(&regs);
        if midway && !fault && (caught || (is_stop(signal) && self.has_friends(tid))) {
            let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
            // Standard signals do not queue: one that is waiting stands for all that come. Source: signal(7).
            if signal >= 32 || task.deferred.iter().all(|(waiting, _)| *waiting != signal) {
                task.deferred.push_back((signal, info));
            }
            return self.go_on(tid, 0);
        }
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.fatal_fault = fault && !caught;
        }
        self.note_signal(tid, signal, &info);
        if !caught {
            let dies = !is_harmless(signal);
            if dies && self.tasks.get(&tid).is_some_and(|t| !t.midway) && !fault && !midway {
                self.check(tid);
            }
            return self.go_on(tid, signal);
        }
        self.deliver(tid, (signal, &info), fault)
    }

    /// Lets the kernel push the frame and stops at the handler's first instruction.
    pub(super) fn deliver(&mut self, tid: Tid, (signal, info): (i32, &[u8; SIGINFO]), fault: bool) -> Result<(), ReplayError> {
        if sys::step(tid, signal).is_err() {
            return Ok(());
        }
        let Ok(what) = sys::wait_for(tid) else { return Ok(()) };
        let entered =
            what == Wait::Stopped(libc::SIGTRAP, 0) && sys::siginfo(tid).is_ok_and(|i| sys::siginfo_code(&i) == libc::SIGTRAP);
        if !entered {
            self.queue_stop(tid, what); // no room for the frame, or killed
            return Ok(());
        }
        let regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
        let (address, bytes) = frame(tid, regs.rsp());
        let xstate = sys::xstate(tid).map_err(ReplayError::io("read vector registers"))?;
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        task.leave_from(regs);
        task.interrupted = None;
        let code = sys::siginfo_code(info);
        let number = signal.unsigned_abs();
        let at = task.point.take();
        let event = Signal { number, code, fault, at, regs, frame: (address, ByteBuf::from(bytes)), xstate };
        let id = task.id;
        self.emitter.event(id, What::Signal(Box::new(event)));
        self.go_on(tid, 0)
    }

    fn time_stamp(&mut self, tid: Tid, regs: &Regs, length: u64, with_cpu: bool) -> Result<(), ReplayError> {
        let mut cpu = 0u32;
        // SAFETY: reads a counter of the processor; every x86-64 has both instructions.
        let value = unsafe { std::arch::x86_64::__rdtscp(&raw mut cpu) };
        let aux = with_cpu.then_some(cpu);
        let next = after_tsc(regs, length, value, aux);
        self.played(tid, next, What::Tsc { value, aux })
    }

    /// An instruction was played by the recorder: the thread is at a boundary.
    fn played(&mut self, tid: Tid, next: Regs, what: What) -> Result<(), ReplayError> {
        sys::set_registers(tid, &next).map_err(ReplayError::io("set registers"))?;
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        task.leave_from(next);
        let id = task.id;
        self.emitter.event(id, what);
        if self.deliver_waiting(tid, None)? {
            return Ok(());
        }
        self.go_on(tid, 0)
    }

    pub(super) fn note_signal(&mut self, tid: Tid, signal: i32, info: &[u8; SIGINFO]) {
        let code = sys::siginfo_code(info);
        let word = |at: usize| u32::from_le_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let by_process = code <= 0 || signal == libc::SIGCHLD;
        let pid = self.tasks.get(&tid).map_or(tid, |t| t.pid);
        let record = SignalRecord {
            tid: tid.unsigned_abs(),
            pid: pid.unsigned_abs(),
            start_ns: sys::monotonic_ns(),
            signo: signal.unsigned_abs(),
            code,
            sender_pid: if by_process { word(16) } else { 0 },
            sender_uid: if by_process { word(20) } else { 0 },
        };
        self.recorder.push(&Record::Signal(record));
    }

    /// A job-control stop stays a stop; the end of a slice puts the thread aside; the first stop of a new thread is over.
    pub(super) fn paused(&mut self, tid: Tid, signal: i32) -> Result<(), ReplayError> {
        if is_stop(signal) {
            let regs = sys::registers(tid);
            let _ = sys::listen(tid);
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.midway |= task.state == State::Running && !regs.is_ok_and(|regs| task.boundary.is_untouched(&regs));
                task.state = State::Stopped;
            }
            if self.running == Some(tid) {
                self.running = None;
            }
            if tid == self.root && signal != libc::SIGSTOP && observer_capture::sys::in_foreground() {
                observer_capture::sys::stop_self(); // so that the shell gets its terminal back
            }
            return Ok(());
        }
        match self.tasks.get(&tid).map(|task| (task.state, task.call.is_some())) {
            Some((State::Stopped, true) | (State::Kernel, _)) => {
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.state = State::Kernel;
                }
                self.go_on(tid, 0)
            }
            Some((State::Stopped, false)) => {
                self.make_ready(tid);
                Ok(())
            }
            Some((State::Running, _)) => self.interrupted(tid),
            Some((State::Ready, _)) | None => Ok(()), // already waits for its turn
        }
    }
}
