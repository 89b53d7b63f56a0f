// SPDX-License-Identifier: Apache-2.0
//! A replayed thread: a process of its own that has memory and registers and nothing else. All that it asks of the kernel is skipped.

use crate::engine::remote::{call_trapping, checked};
use crate::engine::stub::{Zygote, GADGET};
use crate::engine::sys::{self, SYSCALL_STOP};
use crate::error::ReplayError;
use crate::record::signals::tsc_instruction;
use crate::regs::Regs;
use crate::replay::files::Files;
use crate::stream::{Mapping, Source, TaskId};
use observer_capture::sys::{read_memory, write_memory, Tid, Wait};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

/// Why a thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the entry of a call.
    Call,
    /// At an instruction that reads the time stamp counter: its length, and whether it is rdtscp.
    Tsc(u64, bool),
    /// At an instruction that raised this signal.
    Fault(i32),
    /// It is gone.
    Gone,
}

/// One replayed thread.
#[derive(Clone, Debug)]
pub struct Body {
    /// Number in the stream.
    pub id: TaskId,
    /// Thread id when it was recorded.
    pub tid: u32,
    /// Process id when it was recorded.
    pub pid: u32,
    /// The task that made it.
    pub parent: TaskId,
    /// The process that plays it now.
    pub real: Tid,
    /// Number of its address space; threads share one.
    pub space: u32,
    /// The program's registers.
    pub regs: Regs,
    /// In a call: registers at its entry are `regs`.
    pub in_call: bool,
    /// Number of the call it was in last, and arguments as they were at the entry.
    pub call: (u32, [u64; 6]),
    /// The executable it runs.
    pub exe: String,
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> ReplayError {
    ReplayError::io(what)
}

impl Body {
    /// Runs to the next stop that matters. Signals from outside are swallowed.
    pub fn run(&mut self) -> Result<Stop, ReplayError> {
        sys::set_registers(self.real, &self.regs).map_err(failed("set registers of the replay"))?;
        loop {
            sys::resume_emulating(self.real).map_err(failed("resume the replay"))?;
            match sys::wait_for(self.real).map_err(failed("wait for the replay"))? {
                Wait::Stopped(SYSCALL_STOP, _) => {
                    self.regs = sys::registers(self.real).map_err(failed("read registers of the replay"))?;
                    return Ok(Stop::Call);
                }
                Wait::Stopped(signal, 0) => {
                    let info = sys::siginfo(self.real).map_err(failed("read a signal of the replay"))?;
                    if crate::record::signals::is_fault(signal, sys::siginfo_code(&info)) {
                        return self.fault(signal);
                    }
                }
                Wait::Stopped(..) | Wait::Other => {}
                Wait::Exited(_) | Wait::Signaled(..) => return Ok(Stop::Gone),
            }
        }
    }

    fn fault(&mut self, signal: i32) -> Result<Stop, ReplayError> {
        self.regs = sys::registers(self.real).map_err(failed("read registers of the replay"))?;
        if signal == libc::SIGSEGV {
            if let Some((length, with_cpu)) = tsc_instruction(self.real, self.regs.rip()) {
                return Ok(Stop::Tsc(length, with_cpu));
            }
        }
        Ok(Stop::Fault(signal))
    }

    /// Makes a call of the engine's own in it.
    pub fn call(&self, nr: i64, args: [u64; 6], what: &'static str) -> Result<u64, ReplayError> {
        let result = call_trapping(self.real, &self.regs, GADGET, (nr, args), &mut None);
        result.and_then(|result| checked(result, what)).map_err(failed(what))
    }

    /// Bytes of its memory, as many as can be read.
    #[must_use]
    pub fn read(&self, address: u64, length: u64) -> Vec<u8> {
        crate::record::outputs::bytes_at(self.real, address, length)
    }

    /// Writes its memory, whatever its protection.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), ReplayError> {
        if bytes.is_empty() || write_memory(self.real, address, bytes) {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(format!("/proc/{}/mem", self.real));
        file.and_then(|file| file.write_all_at(bytes, address)).map_err(failed("write memory of the replay"))
    }

    /// The same bytes are there.
    #[must_use]
    pub fn holds(&self, address: u64, bytes: &[u8]) -> bool {
        let mut found = vec![0u8; bytes.len()];
        read_memory(self.real, address, &mut found) == bytes.len() && found == bytes
    }

    /// Makes a mapping.
    pub fn map(&self, mapping: &Mapping, files: &mut Files, zygote: &Zygote) -> Result<(), ReplayError> {
        let shared = !mapping.private && matches!(mapping.from, Source::Object(..) | Source::NewObject(..));
        let mut flags = libc::MAP_FIXED | libc::MAP_NORESERVE | if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        if mapping.grows {
            flags |= libc::MAP_GROWSDOWN;
        }
        let send =
            |file: &std::fs::File| zygote.send_file(self.real, &self.regs, file).map_err(failed("take a file into the replay"));
        let (fd, offset) = match &mapping.from {
            Source::Zero => {
                flags |= libc::MAP_ANONYMOUS;
                (u64::MAX, 0)
            }
            Source::Blob(digest, offset) => (send(files.blob(digest)?)?, *offset),
            Source::Object(number, offset) => (send(files.object(*number)?)?, *offset),
            Source::NewObject(number, size, content, offset) => {
                files.new_object(*number, *size, content.as_ref())?;
                (send(files.object(*number)?)?, *offset)
            }
        };
        let prot = u64::from(mapping.prot & 7);
        let args = [mapping.start, mapping.length, prot, u64::from(flags.unsigned_abs()), fd, offset];
        let made = self.call(libc::SYS_mmap, args, "map memory of the replay");
        if fd != u64::MAX {
            self.call(libc::SYS_close, [fd, 0, 0, 0, 0, 0], "close a file in the replay")?;
        }
        made.map(drop)
    }
}
