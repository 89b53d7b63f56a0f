// SPDX-License-Identifier: Apache-2.0
//! Puts the effects of recorded calls into replayed threads.

use crate::effects::table;
use crate::engine::maps::{hash_bytes, HASH_START};
use crate::engine::sys;
use crate::error::ReplayError;
use crate::record::outputs::buffers;
use crate::replay::body::Body;
use crate::replay::session::Session;
use crate::stream::{Effect, Exit, TaskId};
use std::io::Write;

/// MADV_DONTFORK, MADV_WIPEONFORK.
const WITHHELD: [u32; 2] = [10, 18];
/// modify_ldt(2) that changes an entry, of the old and the present kind; arch_prctl(2).
const WRITES_LDT: [u64; 2] = [1, 0x11];
const ARCH_SET_CPUID: u64 = 0x1012;
const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const MREMAP_DONTUNMAP: u64 = 4;

/// Where the program's own buffers of an outgoing call are.
fn outgoing(body: &Body, nr: u32, args: &[u64; 6], length: u64) -> Vec<(u64, u64)> {
    match table::sent(nr) {
        Some((at, true)) => buffers(body.real, args[usize::from(at)], args[2], length),
        Some((at, false)) => vec![(args[usize::from(at)], length)],
        None => Vec::new(),
    }
}

impl Session {
    /// The call that the task is in returns.
    pub(super) fn returns(&mut self, task: TaskId, exit: &Exit) -> Result<(), ReplayError> {
        let body = self.body(task)?;
        let (nr, args) = body.call;
        let length = u64::try_from(exit.result).unwrap_or(0);
        if exit.sent != 0 {
            let parts = outgoing(body, nr, &args, length);
            let sent = parts.iter().fold(HASH_START, |hash, (at, length)| hash_bytes(hash, &body.read(*at, *length)));
            if sent != exit.sent {
                self.differs(task, "the bytes it writes differ from those that were recorded", None)?;
            }
        }
        for effect in &exit.effects {
            self.apply(task, effect, length)?;
        }
        self.follow_limits(task, exit.result)?;
        self.follow_processor(task, exit.result)?;
        let replaced = exit.effects.iter().any(|effect| matches!(effect, Effect::Regs(_)));
        let body = self.body(task)?;
        if !replaced {
            body.regs = body.regs.returned(exit.result);
        }
        body.in_call = false;
        Ok(())
    }

    /// A stack ends where the recorded one did.
    fn follow_limits(&mut self, task: TaskId, result: i64) -> Result<(), ReplayError> {
        let body = self.body(task)?;
        let (nr, args) = body.call;
        let address = match i64::from(nr) {
            libc::SYS_setrlimit if args[0] == 3 => args[1],
            libc::SYS_prlimit64 if args[1] == 3 && (args[0] == 0 || args[0] == u64::from(body.pid)) => args[2],
            _ => 0,
        };
        if result == 0 && address != 0 {
            let soft = body.read(address, 8).first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
            sys::set_stack_limit(body.real, soft.unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// What a call set up in the processor is set up here, too: segments, and whether CPUID raises a signal.
    fn follow_processor(&mut self, task: TaskId, result: i64) -> Result<(), ReplayError> {
        let body = self.body(task)?;
        let (nr, args) = (i64::from(body.call.0), body.call.1);
        let sets = match nr {
            libc::SYS_modify_ldt => WRITES_LDT.contains(&args[0]),
            libc::SYS_arch_prctl => args[0] == ARCH_SET_CPUID,
            _ => false,
        };
        if result == 0 && sets {
            body.call(nr, args, "set up the processor as recorded")?;
        }
        Ok(())
    }

    /// One effect; `length` is what the call returned.
    pub(super) fn apply(&mut self, task: TaskId, effect: &Effect, length: u64) -> Result<(), ReplayError> {
        let place = |n: u64| [n, 0, 0, 0, 0, 0];
        match effect {
            Effect::Memory(address, bytes) => self.body(task)?.write(*address, bytes)?,
            Effect::MemoryOf(other, address, bytes) => {
                if let Ok(body) = self.body(*other) {
                    body.write(*address, bytes)?;
                }
            }
            Effect::Regs(regs) => self.body(task)?.regs = **regs,
            Effect::Xstate(bytes) => self.set_xstate(task, bytes)?,
            Effect::Map(mapping) => self.map(task, mapping)?,
            Effect::Unmap(start, length) => {
                let mut args = place(*start);
                args[1] = *length;
                self.body(task)?.call(libc::SYS_munmap, args, "unmap memory of the replay")?;
            }
            Effect::Protect(start, length, prot) => {
                if prot & 2 != 0 {
                    self.files.unlock(*start, *length);
                }
                let args = [*start, *length, u64::from(*prot), 0, 0, 0];
                self.body(task)?.call(libc::SYS_mprotect, args, "protect memory of the replay")?;
            }
            Effect::Remap(old, old_length, new_length, new, flags) => {
                self.remap(task, (*old, *old_length), (*new, *new_length), *flags)?
            }
            Effect::Advise(start, length, advice) => {
                self.withheld |= WITHHELD.contains(advice);
                let args = [*start, *length, u64::from(*advice), 0, 0, 0];
                self.body(task)?.call(libc::SYS_madvise, args, "advise on memory of the replay")?;
            }
            Effect::Output(stream) => self.output(task, *stream, length)?,
            Effect::OutputBytes(stream, bytes) => self.emit(*stream, bytes)?,
            Effect::ObjectSize(object, size) => self.files.resize_object(*object, *size)?,
            Effect::Object(object, offset, bytes) => self.files.write_object(*object, *offset, bytes)?,
        }
        Ok(())
    }

    fn remap(&mut self, task: TaskId, old: (u64, u64), new: (u64, u64), flags: u32) -> Result<(), ReplayError> {
        let keep = u64::from(flags) & MREMAP_DONTUNMAP;
        let moved = new.0 != old.0;
        if moved && self.files.overlaps(old.0, old.1) {
            self.files.shows(new.0, new.1, false);
        }
        let flags = if moved { MREMAP_MAYMOVE | MREMAP_FIXED | keep } else { keep };
        let args = [old.0, old.1, new.1, flags, if moved { new.0 } else { 0 }, 0];
        self.body(task)?.call(libc::SYS_mremap, args, "move memory of the replay").map(drop)
    }

    pub(super) fn set_xstate(&mut self, task: TaskId, bytes: &[u8]) -> Result<(), ReplayError> {
        let real = self.body(task)?.real;
        if bytes.is_empty() {
            return Ok(());
        }
        sys::set_xstate(real, bytes).map_err(ReplayError::io("set vector registers of the replay (another kind of processor?)"))
    }

    /// What the program wrote to a standard stream, taken from its own memory.
    fn output(&mut self, task: TaskId, stream: u8, length: u64) -> Result<(), ReplayError> {
        let body = self.body(task)?;
        let (nr, args) = body.call;
        let parts = outgoing(body, nr, &args, length);
        let bytes: Vec<u8> = parts.iter().flat_map(|(address, length)| body.read(*address, *length)).collect();
        self.emit(stream, &bytes)
    }

    fn emit(&mut self, stream: u8, bytes: &[u8]) -> Result<(), ReplayError> {
        let at = usize::from(stream.clamp(1, 2) - 1);
        let before = self.written[at];
        self.written[at] += bytes.len() as u64;
        let old = usize::try_from(self.told[at].saturating_sub(before)).unwrap_or(usize::MAX).min(bytes.len());
        self.told[at] = self.told[at].max(self.written[at]);
        let bytes = &bytes[old..];
        if !self.options.output || bytes.is_empty() {
            return Ok(());
        }
        let done = if stream == 2 { std::io::stderr().write_all(bytes) } else { unbuffered(bytes) };
        done.map_err(ReplayError::io(format!("write to the replay's standard {}", if stream == 2 { "error" } else { "output" })))
    }
}

/// Writes to descriptor 1 past the line buffer of Rust's standard output.
fn unbuffered(bytes: &[u8]) -> std::io::Result<()> {
    use std::os::fd::FromRawFd;
    // SAFETY: descriptor 1 is this process's own; it is not closed, as the file is never dropped.
    let mut file = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(1) });
    file.write_all(bytes)
}
