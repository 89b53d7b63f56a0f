// SPDX-License-Identifier: Apache-2.0
//! What the recorder knows of each thread.

use crate::engine::sys::{self, SIGINFO};
use crate::record::checks::Cadence;
use crate::record::outputs::Plan;
use crate::regs::Regs;
use crate::stream::{Effect, Point, TaskId};
use observer_capture::sys::Tid;
use observer_model::SyscallRecord;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a thread may run while others could.
pub const SLICE: Duration = Duration::from_millis(10);

/// A call that a thread is in.
#[derive(Debug)]
pub struct Call {
    /// Registers at its entry, as the program set them.
    pub regs: Regs,
    /// Number.
    pub nr: u32,
    /// Arguments.
    pub args: [u64; 6],
    /// What to read at its exit.
    pub plan: Plan,
    /// The ordinary record of it.
    pub record: Box<SyscallRecord>,
    /// It is not made; this is what the program gets.
    pub instead: Option<i64>,
    /// execve has replaced the program.
    pub executed: bool,
    /// Bytes that will have gone to a standard stream by the kernel's own moving, looked at before.
    pub peeked: Option<Vec<u8>>,
    /// Arguments were changed for the kernel; the program gets its own back.
    pub restore: bool,
}

/// Where a thread is in the recorder's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Stopped between two instructions, may be chosen.
    Ready,
    /// Runs the program's own instructions.
    Running,
    /// In the kernel.
    Kernel,
    /// Stopped by job control.
    Stopped,
}

/// A traced thread.
#[derive(Debug)]
pub struct Task {
    /// Its number in the stream.
    pub id: TaskId,
    /// Thread id.
    pub tid: Tid,
    /// Process.
    pub pid: Tid,
    /// Parent process.
    pub parent: Tid,
    /// Number of its address space; threads share one.
    pub space: u32,
    /// It may share memory with other address spaces.
    pub shares: bool,
    /// Where it is.
    pub state: State,
    /// It was put aside in the middle of a computation, not at a boundary.
    pub midway: bool,
    /// The call it is in.
    pub call: Option<Box<Call>>,
    /// Registers at the boundary it last left.
    pub boundary: Regs,
    /// Number of the call that the kernel may restart, and its arguments.
    pub interrupted: Option<(u32, [u64; 6], u64)>,
    /// Signals that came in the middle of a computation.
    pub deferred: VecDeque<(i32, [u8; SIGINFO])>,
    /// The same, once given to the kernel again.
    pub requeued: VecDeque<(i32, [u8; SIGINFO])>,
    /// Where the kernel clears the thread id at its end.
    pub clear_tid: u64,
    /// Head of the list of robust futexes.
    pub robust: u64,
    /// Address of a `syscall` instruction that the recorder may use.
    pub gadget: u64,
    /// End of the heap.
    pub heap_end: u64,
    /// It chose its own CPUs.
    pub own_affinity: bool,
    /// The program wants the time stamp counter to trap.
    pub own_tsc_traps: bool,
    /// A fault that kills it has been seen.
    pub fatal_fault: bool,
    /// The state in the middle of a computation at which a signal is delivered.
    pub point: Option<Point>,
    /// When its memory is summed up.
    pub cadence: Cadence,
    /// How long it may compute before it is looked at.
    pub patience: Duration,
    /// Words that the kernel changes when it ends.
    pub at_end: Vec<u64>,
    /// The same, in memory that it shares with other processes.
    pub at_end_shared: Vec<Effect>,
    /// Its end makes a stop of its own.
    pub exit_watched: bool,
    /// The process has had stacks besides its first: what lies on them is not compared.
    pub own_stacks: bool,
    /// What it maps to be read can be executed, too.
    pub reads_execute: bool,
    /// Its end is in the stream already.
    pub dead: bool,
}

impl Task {
    /// The command itself.
    #[must_use]
    pub fn root(tid: Tid, parent: Tid) -> Task {
        Task {
            id: 0,
            tid,
            pid: tid,
            parent,
            space: 0,
            shares: false,
            state: State::Running,
            midway: false,
            call: None,
            boundary: Regs::default(),
            interrupted: None,
            deferred: VecDeque::new(),
            requeued: VecDeque::new(),
            clear_tid: 0,
            robust: 0,
            gadget: 0,
            heap_end: 0,
            own_affinity: false,
            own_tsc_traps: false,
            fatal_fault: false,
            point: None,
            cadence: Cadence::default(),
            patience: SLICE,
            at_end: Vec::new(),
            at_end_shared: Vec::new(),
            exit_watched: false,
            own_stacks: false,
            reads_execute: false,
            dead: false,
        }
    }

    /// A task that this one makes.
    #[must_use]
    pub fn child(&self, id: TaskId, tid: Tid, thread: bool, space: u32) -> Task {
        let (pid, parent) = if thread { (self.pid, self.parent) } else { (tid, self.pid) };
        let mut child = Task::root(tid, parent);
        child.id = id;
        child.pid = pid;
        child.space = space;
        child.shares = self.shares;
        child.exit_watched = self.exit_watched;
        child.state = State::Ready;
        child.gadget = self.gadget;
        child.heap_end = self.heap_end;
        child.own_affinity = self.own_affinity;
        child.own_stacks = self.own_stacks;
        child.reads_execute = self.reads_execute;
        child.own_tsc_traps = self.own_tsc_traps;
        child
    }

    /// Protection of memory that it asks for with `prot`. Source: personality(2), READ_IMPLIES_EXEC.
    #[must_use]
    pub fn protection(&self, prot: u64) -> u64 {
        let executes = self.reads_execute && prot & libc::PROT_READ as u64 != 0;
        if executes {
            prot | libc::PROT_EXEC as u64
        } else {
            prot
        }
    }

    /// Threads with the same group may see each other's writes.
    #[must_use]
    pub fn group(&self) -> u32 {
        if self.shares {
            u32::MAX
        } else {
            self.space
        }
    }

    /// The thread, which is stopped with these registers, is at a boundary.
    pub fn leave_from(&mut self, regs: Regs) {
        self.boundary = regs;
        if regs.leaving() != regs {
            let _ = sys::set_registers(self.tid, &regs.leaving()); // else it is dead
        }
    }

    /// In the kernel, about to execute another program.
    #[must_use]
    pub fn in_exec(&self) -> bool {
        let nr = self.call.as_ref().map(|call| i64::from(call.nr));
        self.in_call() && matches!(nr, Some(libc::SYS_execve | libc::SYS_execveat))
    }

    /// In the kernel, in a call.
    #[must_use]
    pub fn in_call(&self) -> bool {
        self.state == State::Kernel
    }
}
