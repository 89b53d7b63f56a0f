// SPDX-License-Identifier: Apache-2.0
//! A call's entry and its return.

use crate::effects::table;
use crate::engine::maps::{hash_bytes, HASH_START};
use crate::engine::sys;
use crate::error::ReplayError;
use crate::record::checks::Cadence;
use crate::record::outputs::{buffers, bytes_at, Plan};
use crate::record::special::{self, Done};
use crate::record::streams::behind;
use crate::record::task::{Call, State, Task};
use crate::record::tracer::Tracer;
use crate::record::{image, moved, partly, protect};
use crate::regs::{index, Regs};
use crate::stream::{Effect, Exit, What};
use observer_capture::config::{ARCH, AUDIT_ARCH};
use observer_capture::memory::Fetcher;
use observer_capture::sys::{syscall_stop, SyscallStop, Tid};
use observer_model::{flags, Record, SyscallRecord, When};
use std::fs::Metadata;

/// Restart codes, which only tracers see: −516 … −512. Source: linux/errno.h.
pub fn is_restart(result: i64) -> bool {
    (-516..=-512).contains(&result)
}

/// Marks the number of a call that came through the 32-bit entry: its table is another.
const FOREIGN: u32 = 1 << 31;
const PR_SET_TSC: u64 = 26;
const PR_GET_TSC: u64 = 25;
const CLONE_UNTRACED: u64 = libc::CLONE_UNTRACED as u64;
const READ_IMPLIES_EXEC: u64 = 0x40_0000;
const MADV_FREE: u64 = 8;
const MADV_DONTNEED: u64 = 4;

/// What a program gets without the kernel being asked.
fn instead(tid: Tid, nr: u32, args: &[u64; 6]) -> Option<i64> {
    if i64::from(nr) == libc::SYS_prctl && args[0] == PR_SET_TSC {
        return Some(if matches!(args[1], 1 | 2) { 0 } else { -22 }); // the recorder needs the counter to trap
    }
    if i64::from(nr) == libc::SYS_clone3 && u64_at(tid, args[0]) & CLONE_UNTRACED != 0 {
        return Some(-38); // it would run unseen; programs fall back to clone
    }
    table::refused(nr).or_else(|| protect::refuse(nr, args))
}

fn u64_at(tid: Tid, address: u64) -> u64 {
    bytes_at(tid, address, 8).first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Tracer<'_> {
    pub(super) fn syscall(&mut self, tid: Tid) -> Result<(), ReplayError> {
        match syscall_stop(tid) {
            Ok(SyscallStop::Entry(arch, ..)) => self.entry(tid, arch),
            Ok(SyscallStop::Exit(result)) => self.exit(tid, result),
            Ok(SyscallStop::None) | Err(_) => self.go_on(tid, 0),
        }
    }

    fn entry(&mut self, tid: Tid, arch: u32) -> Result<(), ReplayError> {
        let Ok(regs) = sys::registers(tid) else { return self.go_on(tid, 0) };
        let foreign = arch != AUDIT_ARCH;
        let (nr, args) = (if foreign { regs.nr() | FOREIGN } else { regs.nr() }, regs.args());
        self.armed |= i64::from(nr) == libc::SYS_execve;
        if !self.armed {
            return self.go_on(tid, 0);
        }
        if foreign {
            self.outcome.foreign_calls += 1;
            self.mark(tid, "a call through the 32-bit entry (int 0x80)");
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        let restarted = task.interrupted.take().filter(|(.., rip)| *rip == regs.rip());
        task.state = State::Kernel;
        let pid = task.pid;
        let call = self.begun((tid, pid), nr, &regs, restarted);
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        let (id, first) = (task.id, task.id == 0 && task.boundary == Regs::default());
        requeue(task);
        let waits = self.must_wait(tid, &call);
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        task.call = Some(call);
        if !first {
            self.emitter.enter(id, &regs, restarted.is_some());
            self.at_entry(tid, nr, &args)?;
        }
        if waits {
            self.hold(tid);
            return Ok(());
        }
        self.go_on(tid, 0)
    }

    /// A call that is about to be made: what it names is read, and how it will be read again is planned.
    fn begun(&mut self, (tid, pid): (Tid, Tid), nr: u32, regs: &Regs, restarted: Option<(u32, [u64; 6], u64)>) -> Box<Call> {
        let args = regs.args();
        let (plan_nr, plan_args) = restarted.map_or((nr, args), |(nr, args, _)| (nr, args));
        let mut record =
            Box::new(SyscallRecord { tid: tid.unsigned_abs(), pid: pid.unsigned_abs(), nr, args, ..SyscallRecord::default() });
        if let Some(known) = observer_model::lookup(ARCH, nr) {
            Fetcher::new(tid, self.limits, &mut record, &mut self.scratch).run(known.fetches, When::Entry);
        }
        record.start_ns = sys::monotonic_ns();
        let plan = Plan::new(tid, plan_nr, &plan_args);
        let peeked = special::before(tid, nr, &args).or_else(|| moved::before(tid, nr, &args, &self.streams));
        let instead = instead(tid, nr, &args);
        let mut call =
            Box::new(Call { regs: *regs, nr, args: plan_args, plan, record, instead, executed: false, peeked, restore: false });
        adjust(tid, &mut call);
        Self::bound(tid, &mut call);
        call
    }

    fn exit(&mut self, tid: Tid, result: i64) -> Result<(), ReplayError> {
        let now = sys::monotonic_ns();
        let Some(mut call) = self.tasks.get_mut(&tid).and_then(|t| t.call.take()) else { return self.go_on(tid, 0) };
        let result = call.instead.unwrap_or(result);
        let mut regs = call.regs.returned(result);
        if call.instead.is_some() || call.restore {
            let mut own = regs;
            own.0[index::ORIG_RAX] = call.regs.0[index::ORIG_RAX];
            let _ = sys::set_registers(tid, &own);
        }
        call.record.duration_ns = now.saturating_sub(call.record.start_ns);
        call.record.result = result;
        if is_restart(result) {
            call.record.flags |= flags::RESTARTED;
        }
        self.show_own_affinity(tid, &call, result);
        self.keep_own_tsc(tid, &call, result);
        self.mark_unmodelled(tid, &call, result);
        if call.executed {
            self.fetch_after(tid, &mut call, &[]);
            self.begin_program(tid)?;
        } else {
            let exit = self.finished(tid, &call, result, &mut regs)?;
            self.fetch_after(tid, &mut call, &exit.effects);
            let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
            task.boundary = regs;
            task.interrupted = is_restart(result).then_some((call.nr, call.args, call.regs.rip()));
            let id = task.id;
            self.emitter.leave(id, exit);
        }
        if result == 0 && i64::from(call.nr) == libc::SYS_kill && call.args[1] == libc::SIGKILL as u64 {
            self.await_death(call.args[0]);
        }
        self.recorder.push(&Record::Call(*call.record));
        if i64::from(call.nr) != libc::SYS_sched_yield || !self.yields(tid) {
            self.make_ready(tid);
        }
        Ok(())
    }

    fn mark_unmodelled(&mut self, tid: Tid, call: &Call, result: i64) {
        if !call.plan.unmodelled || (-4095..0).contains(&result) {
            return;
        }
        let name = observer_model::lookup(ARCH, call.nr).map_or_else(|| format!("call {}", call.nr), |c| c.name.to_owned());
        let (first, second) = (call.args[0], call.args[1]);
        self.mark(tid, &format!("{name}({first:#x}, {second:#x}) is not modelled: all memory was compared"));
    }

    /// A thread that gives up its turn goes behind the others, if there are any.
    fn yields(&mut self, tid: Tid) -> bool {
        let gives = self.running == Some(tid) && !self.ready.is_empty();
        if gives {
            self.running = None;
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.state = State::Ready;
            }
            self.ready.push_back(tid);
        }
        gives
    }

    /// For the ordinary record: what the call wrote, from its effects as far as they hold it.
    fn fetch_after(&mut self, tid: Tid, call: &mut Call, effects: &[Effect]) {
        let Some(row) = observer_model::lookup(ARCH, call.nr) else { return };
        let known: Vec<(u64, &[u8])> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Memory(address, bytes) => Some((*address, bytes.as_slice())),
                _ => None,
            })
            .collect();
        Fetcher::new(tid, self.limits, &mut call.record, &mut self.scratch).knowing(&known).run(row.fetches, When::Exit);
    }

    /// Everything the call changed.
    fn finished(&mut self, tid: Tid, call: &Call, result: i64, regs: &mut Regs) -> Result<Exit, ReplayError> {
        let mut effects = call.plan.effects(tid, &call.args, result);
        if !(-4095..0).contains(&result) {
            let Some(task) = self.tasks.get_mut(&tid) else { return Ok(Exit { result, sent: 0, effects }) };
            note_addresses(task, call);
            let mut done = Done { task, call, result, store: &mut self.store, objects: &mut self.objects };
            effects.splice(0..0, done.effects()?);
            if task_shares_newly(task) {
                let _ = sys::watch_exit(tid);
            }
        } else {
            effects.extend(partly::effects(tid, call, result));
        }
        match i64::from(call.nr) {
            libc::SYS_rt_sigreturn => {
                *regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
                let _ = sys::set_registers(tid, &regs.leaving());
                effects.push(Effect::Regs(Box::new(*regs)));
                effects.push(Effect::Xstate(sys::xstate(tid).unwrap_or_default()));
            }
            libc::SYS_arch_prctl if call.args[0] == 0x1001 || call.args[0] == 0x1002 => {
                *regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
                effects.push(Effect::Regs(Box::new(*regs)));
            }
            libc::SYS_process_vm_writev if result > 0 => self.wrote_foreign(tid, call, result, &mut effects),
            _ => {}
        }
        let file = table::sent(call.nr).and_then(|_| behind(tid, call.args[0])).filter(|_| result > 0);
        let sent = self.sent((tid, file.as_ref()), call, result, &mut effects);
        if result >= 0 {
            effects.extend(moved::objects_changed((tid, file.as_ref()), call, &mut self.objects));
        }
        Ok(Exit { result, sent, effects })
    }

    fn wrote_foreign(&mut self, tid: Tid, call: &Call, result: i64, effects: &mut Vec<Effect>) {
        let Some(target) = Tid::try_from(call.args[0]).ok().and_then(|pid| self.tasks.get(&pid)) else { return };
        for (address, bytes) in special::foreign_writes(call, tid, target.tid, result.unsigned_abs()) {
            effects.push(Effect::MemoryOf(target.id, address, bytes));
        }
    }

    /// Checksum of what the program gave away; what went to a standard stream, or into a shared file, becomes an effect.
    fn sent(&mut self, (tid, file): (Tid, Option<&Metadata>), call: &Call, result: i64, effects: &mut Vec<Effect>) -> u64 {
        let length = u64::try_from(result).unwrap_or(0);
        if length == 0 {
            return 0;
        }
        let Some((argument, vector)) = table::sent(call.nr) else {
            effects.extend(moved::after(tid, call, length, &self.streams));
            return 0;
        };
        if let Some(file) = file {
            effects.extend(self.streams.which(tid, call.args[0], file).map(Effect::Output));
            if let Some(target) = self.streams.memory_of(tid, call.args[0], file).and_then(|target| self.tasks.get(&target)) {
                effects.extend(moved::into_memory(tid, call, length, (target.tid, target.id)));
            }
            if let Some(object) = self.objects.of(file) {
                effects.extend(moved::into_object(tid, call, length, object));
            }
        }
        let address = call.args[usize::from(argument)];
        let parts = if vector { buffers(tid, address, call.args[2], length) } else { vec![(address, length)] };
        parts.iter().fold(HASH_START, |hash, (address, length)| hash_bytes(hash, &bytes_at(tid, *address, *length)))
    }

    /// While pinned, the program must see its own CPU mask.
    fn show_own_affinity(&mut self, tid: Tid, call: &Call, result: i64) {
        if i64::from(call.nr) == libc::SYS_sched_setaffinity && result == 0 {
            let target = Tid::try_from(call.args[0]).ok().filter(|target| *target != 0).unwrap_or(tid);
            self.pinning.remove(target);
            if let Some(task) = self.tasks.get_mut(&target) {
                task.own_affinity = true;
            }
        }
        let asked = Tid::try_from(call.args[0]).ok().filter(|asked| *asked != 0).unwrap_or(tid);
        if self.tasks.get(&asked).is_some_and(|task| task.own_affinity) {
            return;
        }
        if i64::from(call.nr) == libc::SYS_sched_getaffinity && result > 0 {
            let mask = self.pinning.own;
            let size = usize::try_from(result).unwrap_or(0).min(mask.bytes().len());
            sys::write_memory(tid, call.args[2], &mask.bytes()[..size]);
        }
    }

    /// The time stamp counter traps for the recorder; the program is shown what it chose itself. Source: prctl(2).
    fn keep_own_tsc(&mut self, tid: Tid, call: &Call, result: i64) {
        if i64::from(call.nr) != libc::SYS_prctl || result != 0 {
            return;
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        match call.args[0] {
            PR_SET_TSC => task.own_tsc_traps = call.args[1] == 2,
            PR_GET_TSC => {
                let value = if task.own_tsc_traps { 2u32 } else { 1 };
                sys::write_memory(tid, call.args[1], &value.to_le_bytes());
            }
            _ => {}
        }
    }

    fn begin_program(&mut self, tid: Tid) -> Result<(), ReplayError> {
        let regs = sys::registers(tid).map_err(ReplayError::io("read registers"))?;
        let begun = image::begin(tid, &regs, &mut self.store)?;
        let space = self.next_space;
        self.next_space += 1;
        let Some(task) = self.tasks.get_mut(&tid) else { return Ok(()) };
        task.boundary = regs;
        task.gadget = begun.gadget;
        task.space = space;
        (task.own_stacks, task.reads_execute) = (false, false);
        task.cadence = Cadence::default();
        (task.shares, task.heap_end, task.clear_tid, task.robust, task.interrupted) = (false, 0, 0, 0, None);
        let id = task.id;
        if begun.gadget == 0 {
            self.mark(tid, "no system call instruction was found: reading the time stamp counter is not recorded");
        }
        self.emitter.event(id, What::Exec(Box::new(begun.exec)));
        Ok(())
    }
}

/// A thread that shares memory with other processes is looked at when it ends, however it does: the kernel then marks its robust
/// futexes there.
fn task_shares_newly(task: &mut Task) -> bool {
    let newly = task.shares && !task.exit_watched;
    task.exit_watched |= task.shares;
    newly
}

/// Changes the registers of a call that must not be made, or not so.
fn adjust(tid: Tid, call: &mut Call) {
    let mut regs = call.regs;
    if call.instead.is_some() {
        regs.0[index::ORIG_RAX] = u64::MAX;
    } else if i64::from(call.nr) == libc::SYS_madvise && call.args[2] == MADV_FREE {
        // Freed lazily, pages would vanish at some moment that nobody sees.
        regs.0[index::RDX] = MADV_DONTNEED;
        call.restore = true;
    } else if i64::from(call.nr) == libc::SYS_clone && call.args[0] & CLONE_UNTRACED != 0 {
        regs.0[index::RDI] &= !CLONE_UNTRACED; // it would run unseen
        call.restore = true;
    } else {
        return;
    }
    let _ = sys::set_registers(tid, &regs);
}

/// Signals that came in the middle of a computation meet the program in this call, or right after it.
fn requeue(task: &mut Task) {
    while let Some((signal, info)) = task.deferred.pop_front() {
        let number = task.requeued.len() as u64;
        if sys::queue_signal(task.pid, task.tid, signal, number).is_ok() {
            task.requeued.push_back((signal, info));
        }
    }
}

/// Addresses that matter when the thread ends.
fn note_addresses(task: &mut Task, call: &Call) {
    match i64::from(call.nr) {
        libc::SYS_sigaltstack => task.own_stacks |= call.args[0] != 0,
        libc::SYS_personality if call.args[0] & 0xffff_ffff != 0xffff_ffff => {
            task.reads_execute = call.args[0] & READ_IMPLIES_EXEC != 0;
        }
        libc::SYS_set_tid_address => task.clear_tid = call.args[0],
        libc::SYS_set_robust_list => task.robust = call.args[0],
        _ => {}
    }
}
