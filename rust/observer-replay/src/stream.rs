// SPDX-License-Identifier: Apache-2.0
//! The events that a replay is made of, and their bytes. `docs/spec/replay.md` is the contract.

use crate::error::ReplayError;
use crate::regs::{RegDelta, Regs};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Version of the event layout, in the `replay_start` line.
pub const FORMAT: u64 = 2;

/// A thread of the recording: 0 is the command, others count up in order of creation.
pub type TaskId = u32;

/// One thing that happened to one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The task.
    pub task: TaskId,
    /// CLOCK_MONOTONIC ns since the event before.
    pub dt_ns: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A call from entry to return, with nothing of another task in between.
    Call(Entry, Exit),
    /// A call began; its `Return` follows later, or never.
    Enter(Entry),
    /// The call that the task is in returned.
    Return(Exit),
    /// A signal's handler begins to run.
    Signal(Box<Signal>),
    /// The task, which is in a call, made another.
    Fork(Box<Fork>),
    /// The task, which is in execve, has a new program.
    Exec(Box<Exec>),
    /// The task ended.
    Death(Death),
    /// The task read the time stamp counter.
    Tsc {
        /// The value it got.
        value: u64,
        /// What rdtscp put into rcx; None for rdtsc.
        aux: Option<u32>,
    },
    /// The task was put aside in the middle of a computation.
    Preempt(Box<Point>),
    /// Checksum of the memory the task can write, at this point.
    Check(u64),
    /// Something that replay cannot be sure of, with the reason.
    Note(String),
    /// The kernel changed memory while the task sleeps in a call.
    Meanwhile(Vec<Effect>),
    /// The task drew a random number from the processor: registers afterwards.
    Random(Box<Regs>),
}

/// State at the entry of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Registers, as differences from the task's last entry.
    pub regs: RegDelta,
    /// The kernel restarted the interrupted call: the task did not run in between.
    pub restarted: bool,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The kernel's return value; −516…−512 are its restart codes.
    pub result: i64,
    /// FNV-1a of the bytes the program gave away in the call, 0 for none.
    pub sent: u64,
    /// What else the call changed, in order.
    pub effects: Vec<Effect>,
}

/// A change that a call made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Bytes in the task's memory.
    Memory(u64, #[serde(with = "serde_bytes")] Vec<u8>),
    /// Bytes in another task's memory.
    MemoryOf(TaskId, u64, #[serde(with = "serde_bytes")] Vec<u8>),
    /// All registers (sigreturn).
    Regs(Box<Regs>),
    /// Floating point and vector registers, as PTRACE_GETREGSET NT_X86_XSTATE gives them.
    Xstate(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A mapping appeared, replacing what was there.
    Map(Box<Mapping>),
    /// A range was unmapped: address, length.
    Unmap(u64, u64),
    /// Protection of a range: address, length, PROT_ bits.
    Protect(u64, u64, u32),
    /// mremap(2): old address, old length, new length, new address, flags.
    Remap(u64, u64, u64, u64, u32),
    /// madvise(2) that changes content or inheritance: address, length, advice.
    Advise(u64, u64, u32),
    /// Bytes written to standard output (1) or error (2), from the memory that the arguments name.
    Output(u8),
    /// Bytes that the kernel moved to standard output (1) or error (2) by itself.
    OutputBytes(u8, #[serde(with = "serde_bytes")] Vec<u8>),
    /// Bytes in a shared object: object, offset, bytes.
    Object(u32, u64, #[serde(with = "serde_bytes")] Vec<u8>),
    /// A shared object has another size: object, bytes.
    ObjectSize(u32, u64),
}

/// A mapping of the task's address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Bytes, whole pages.
    pub length: u64,
    /// PROT_ bits.
    pub prot: u32,
    /// Grows downwards, as stacks do.
    pub grows: bool,
    /// Shows a shared object, but what is written here stays here.
    pub private: bool,
    /// What it shows.
    pub from: Source,
}

/// Where a mapping's first content comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Zeros.
    Zero,
    /// A stored file: SHA-256, offset. Private.
    Blob([u8; 32], u64),
    /// A shared object: number, offset.
    Object(u32, u64),
    /// A new shared object with this number, of this size, that begins with the content of a stored file (or zeros), offset.
    NewObject(u32, u64, Option<[u8; 32]>, u64),
}

/// A handler begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Number.
    pub number: u32,
    /// `si_code`.
    pub code: i32,
    /// Raised by the task's own instruction (a fault), so the replay raises it as well.
    pub fault: bool,
    /// Where, when that is in the middle of a computation; None at a call's boundary or a fault.
    pub at: Option<Point>,
    /// Registers at the handler's first instruction.
    pub regs: Regs,
    /// Address and bytes of the frame the kernel pushed.
    pub frame: (u64, serde_bytes::ByteBuf),
    /// Floating point and vector registers at the handler's first instruction.
    #[serde(with = "serde_bytes")]
    pub xstate: Vec<u8>,
}

/// A state in the middle of a computation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// All registers.
    pub regs: Regs,
    /// Checksum of the memory that the task can write, and of its vector registers.
    pub memory: u64,
    /// Words of memory that tell how far the computation is, the most telling first: address, content.
    pub words: Vec<(u64, [u8; 8])>,
    /// Low halves of vector registers that do: number, content.
    pub vectors: Vec<(u8, u64)>,
    /// Pages that are not what they were at the last point in the same memory; an empty one is gone. A state that is like this one but for a word of
    /// a page that is known is told apart by that word from then on.
    pub pages: Vec<(u64, serde_bytes::ByteBuf)>,
    /// General registers that do: bit N for the register that instructions call N.
    pub moving: u16,
}

/// A new task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// Its number.
    pub child: TaskId,
    /// Its thread id when it was recorded.
    pub tid: u32,
    /// Its process id when it was recorded.
    pub pid: u32,
    /// It shares memory with the parent.
    pub shares_memory: bool,
    /// Its registers at its first instruction.
    pub regs: Regs,
    /// What the kernel wrote into its memory.
    pub effects: Vec<Effect>,
}

/// A new program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The executable, as /proc/pid/exe named it.
    pub exe: String,
    /// Registers at its first instruction.
    pub regs: Regs,
    /// Its whole address space, in order of addresses.
    pub maps: Vec<Mapping>,
    /// Bytes that differ from what the mappings show.
    pub memory: Vec<(u64, serde_bytes::ByteBuf)>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Exit status, when it exited.
    pub exit_code: Option<i32>,
    /// Signal, when one killed it.
    pub signal: Option<i32>,
    /// What the kernel wrote into memory it shared (child_tid, robust futexes).
    pub effects: Vec<Effect>,
    /// The fault that killed it was its own: the replay meets it too.
    pub fault: bool,
}

fn damaged(number: u64, why: impl std::fmt::Display) -> ReplayError {
    ReplayError::Damaged(format!("the replay stream is damaged at event {number}: {why}"))
}

/// Turns events into the payload of chunks.
#[derive(Debug, Default)]
pub struct Encoder {
    last: HashMap<TaskId, Regs>,
}

impl Encoder {
    /// Registers at an entry, as the stream holds them.
    pub fn entry(&mut self, task: TaskId, regs: &Regs) -> RegDelta {
        let last = self.last.entry(task).or_default();
        let delta = RegDelta::between(last, regs);
        *last = *regs;
        delta
    }

    /// The bytes of one event, with its length in front.
    pub fn bytes(&self, event: &Event) -> Result<Vec<u8>, ReplayError> {
        let body = postcard::to_stdvec(event).map_err(|e| ReplayError::Damaged(format!("an event cannot be encoded: {e}")))?;
        let mut out = Vec::with_capacity(body.len() + 4);
        let mut left = body.len();
        while left >= 0x80 {
            out.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
        out.extend_from_slice(&body);
        Ok(out)
    }
}

/// Turns payloads back into events.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    last: HashMap<TaskId, Regs>,
    next: u64,
}

impl Decoder {
    /// The full registers of an entry event that was just decoded.
    pub fn entry(&mut self, task: TaskId, delta: &RegDelta) -> Regs {
        let last = self.last.entry(task).or_default();
        *last = delta.apply(last);
        *last
    }

    /// Takes one event from the front of `payload`.
    pub fn take(&mut self, payload: &mut &[u8]) -> Result<Event, ReplayError> {
        let number = self.next;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let Some((byte, rest)) = payload.split_first() else { return Err(damaged(number, "it ends in a length")) };
            *payload = rest;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 28 {
                return Err(damaged(number, "a length is impossible"));
            }
        }
        let body = payload.get(..length).ok_or_else(|| damaged(number, "it ends before the event does"))?;
        let (event, rest) = postcard::take_from_bytes(body).map_err(|e| damaged(number, e))?;
        if !rest.is_empty() {
            return Err(damaged(number, "bytes are left over"));
        }
        *payload = &payload[length..];
        self.next += 1;
        Ok(event)
    }
}
