// SPDX-License-Identifier: Apache-2.0
//! From the probe's messages to records and process lines: joins what was read before a call with its outcome, and keeps count
//! of who lives. Decides nothing about what records mean.

use crate::abi::{flag, kind, Blobs, Call, Event, Message};
use crate::lives::{Lives, Program};
use crate::plan::ARCH;
use observer_evidence::Severity;
use observer_model::{flags, SignalRecord, SyscallRecord};
use serde_json::Value;
use std::collections::HashMap;
use std::iter::Chain;

/// The memory of one call: what was read before it ran, then what was read when it returned.
pub type Parts<'a> = Chain<Blobs<'a>, Blobs<'a>>;

/// Where records and lines go.
pub trait Sink {
    /// One call, its memory apart.
    fn call(&mut self, call: &SyscallRecord, parts: Parts<'_>);
    /// One signal.
    fn signal(&mut self, signal: SignalRecord);
    /// One line of low volume, about `at_ns`.
    fn line(&mut self, at_ns: u64, line: Value, severity: Severity);
}

/// Counts of what arrived, to be held against the kernel's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Messages the kernel counts as sent.
    pub messages: u64,
    /// Calls recorded.
    pub calls: u64,
    /// Calls whose ENTRY did not arrive.
    pub without_entry: u64,
    /// Messages that are none of this ABI.
    pub malformed: u64,
}

/// What was read before a call ran.
#[derive(Default)]
struct Early {
    /// Its registers: a successful exec leaves none of them.
    args: Option<[u64; 6]>,
    /// Memory, as it came.
    memory: Vec<u8>,
}

/// Turns messages into records.
pub struct Feed {
    /// By thread, until the call returns.
    early: HashMap<u32, Early>,
    /// Who lives.
    pub lives: Lives,
    /// What arrived.
    pub received: Received,
    /// A command that has not yet become the program it is to be: its calls are the recorder's own.
    quiet: Option<u32>,
    execve: u32,
    chdir: u32,
    fchdir: u32,
}

impl Feed {
    /// A feed for the processes in `lives`; `command` is a child that waits to execute its program.
    #[must_use]
    pub fn new(lives: Lives, command: Option<u32>) -> Feed {
        let number = |name| observer_model::by_name(ARCH, name).map_or(u32::MAX, |call| call.nr);
        let (execve, chdir, fchdir) = (number("execve"), number("chdir"), number("fchdir"));
        Feed { early: HashMap::new(), lives, received: Received::default(), quiet: command, execve, chdir, fchdir }
    }

    /// Takes one message.
    pub fn take(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        match crate::abi::parse(bytes) {
            Some(Message::Call(call, parts)) => self.call(&call, parts, sink),
            Some(Message::Event(event, text)) => {
                self.received.messages += 1;
                self.event(&event, text, sink);
            }
            None => self.received.malformed += 1,
        }
    }

    fn call(&mut self, call: &Call, late: Blobs<'_>, sink: &mut impl Sink) {
        let head = &call.head;
        if head.kind == kind::CALL {
            self.received.messages += 1;
        }
        if self.quiet.is_some_and(|pid| pid == head.pid) {
            if head.nr != self.execve {
                return;
            }
            self.quiet = None;
        }
        if head.kind == kind::ENTRY {
            self.early.insert(head.tid, Early { args: Some(call.args), memory: late.bytes.to_vec() });
            return;
        }
        let mut kept = Early::default();
        if head.flags & flag::HAS_ENTRY != 0 {
            match self.early.remove(&head.tid) {
                Some(early) => kept = early,
                None => self.received.without_entry += 1,
            }
        }
        let parts = Blobs { bytes: &kept.memory }.chain(late);
        self.received.calls += 1;
        if call.result == 0 && (head.nr == self.chdir || head.nr == self.fchdir) {
            let path = parts.clone().next().filter(|_| head.nr == self.chdir).map(|(_, _, bytes)| bytes);
            self.lives.moved(head.pid, path);
        }
        sink.call(&record(call, kept.args), parts);
    }

    fn event(&mut self, event: &Event, text: &[u8], sink: &mut impl Sink) {
        let head = &event.head;
        match head.kind {
            kind::FORK => self.lives.forked(event, sink),
            kind::EXEC => {
                if event.other_tid != head.tid {
                    self.early.remove(&head.tid);
                    if let Some(early) = self.early.remove(&event.other_tid) {
                        self.early.insert(head.tid, early);
                    }
                }
                let argv = self.early.get(&head.tid).map(|early| argv(Blobs { bytes: &early.memory })).unwrap_or_default();
                self.lives.executed(event, &Program { filename: text, argv }, sink);
            }
            kind::EXIT => {
                self.early.remove(&head.tid);
                self.lives.ended(event, sink);
            }
            kind::PLACE => self.lives.placed(event, sink),
            kind::CGROUP => self.lives.cgroups.made(event.cgroup, text),
            _ => {
                self.lives.seen(event, sink);
                sink.signal(signal(event));
            }
        }
    }
}

/// The strings of a vector argument, in order.
fn argv(parts: Blobs<'_>) -> Vec<Vec<u8>> {
    let vector = parts.clone().find(|(_, part, _)| *part == 1).map(|(what, ..)| what & 7);
    parts.filter(|(what, part, _)| *part > 0 && Some(what & 7) == vector).map(|(.., bytes)| bytes.to_vec()).collect()
}

fn record(call: &Call, args: Option<[u64; 6]>) -> SyscallRecord {
    let head = &call.head;
    let mut bits = u32::from(head.flags & flag::OF_RECORD);
    if (-516..=-512).contains(&call.result) {
        bits |= flags::RESTARTED;
    }
    SyscallRecord {
        tid: head.tid,
        pid: head.pid,
        nr: head.nr,
        flags: bits,
        start_ns: head.at_ns.saturating_sub(head.duration_ns()),
        duration_ns: head.duration_ns(),
        result: if bits & flags::NO_RESULT == 0 { call.result } else { 0 },
        args: args.unwrap_or(call.args),
        blobs: Vec::new(),
    }
}

/// SIGCHLD, whose sender is a process although its code is positive. Source: sigaction(2).
const SIGCHLD: u32 = 17;

fn signal(event: &Event) -> SignalRecord {
    let from_process = event.code <= 0 || event.head.nr == SIGCHLD;
    SignalRecord {
        tid: event.head.tid,
        pid: event.head.pid,
        start_ns: event.head.at_ns,
        signo: event.head.nr,
        code: event.code,
        sender_pid: if from_process { event.other_tid } else { 0 },
        sender_uid: if from_process { event.other_pid } else { 0 },
    }
}
