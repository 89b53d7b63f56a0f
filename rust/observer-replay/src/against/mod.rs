// SPDX-License-Identifier: Apache-2.0
//! Another program, or the same one in another environment, fed with the inputs of a recording as far as it asks for the same. The
//! recorded program is replayed beside it: at each call both stand at its entry, and the two calls are compared as text without what
//! differs between any two runs (addresses, times, process ids). What a call gave is then given to both.

mod newcomer;
mod relocate;

pub use newcomer::Newcomer;

use crate::effects::table;
use crate::error::ReplayError;
use crate::record::outputs::{buffers, bytes_at};
use crate::regs::Regs;
use crate::replay::session::Session;
use crate::stream::{Effect, Entry, Exit, Mapping, Signal, Source, TaskId, What};
use newcomer::Asked;
use observer_capture::config::ARCH;
use observer_capture::memory::{Fetcher, Limits};
use observer_capture::sys::Tid;
use observer_model::{flags, SyscallRecord, When};
use relocate::Places;
use serde_json::{json, Value};
use std::io::Write;
use std::os::unix::fs::FileExt;

const ROOT: TaskId = 0;
const MAP_ANONYMOUS: u64 = 0x20;
const CLONE_VFORK: u64 = 0x4000;
const KEPT: Limits = Limits { string: 4096, data: 4096 };
/// Memory is each program's own affair: how much it asks for says nothing of what it does.
const MEMORY: [i64; 6] =
    [libc::SYS_brk, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_mlock];
/// Calls that are about the process itself and name its addresses: made for real, so that they hold for the addresses it has.
const REAL: [i64; 5] =
    [libc::SYS_arch_prctl, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_sigaltstack, libc::SYS_rt_sigreturn];

fn is_memory(regs: &Regs) -> bool {
    let nr = i64::from(regs.nr());
    MEMORY.contains(&nr) || (nr == libc::SYS_mmap && regs.args()[3] & MAP_ANONYMOUS != 0)
}

/// A call that is about to be made, without what its answer brings.
fn call_of(tid: Tid, regs: &Regs) -> observer_model::Decoded {
    let (nr, args) = (regs.nr(), regs.args());
    let mut record = SyscallRecord { nr, args, flags: flags::NO_RESULT, ..SyscallRecord::default() };
    if let Some(known) = observer_model::lookup(ARCH, nr) {
        Fetcher::new(tid, KEPT, &mut record, &mut [0; 4096]).run(known.fetches, When::Entry);
    }
    observer_model::decode(ARCH, &record)
}

fn text(call: &observer_model::Decoded) -> String {
    let args: Vec<&str> = call.args.iter().map(|arg| arg.text.as_str()).collect();
    format!("{}({})", call.name, args.join(", "))
}

/// How far the two went together.
#[derive(Debug)]
pub enum End {
    /// To the end of the recorded program.
    Together,
    /// They part here: what is said of it, the recorded call or event, and the newcomer's.
    Parted(String, Option<String>, Option<String>),
    /// The recording goes on in a way that cannot be fed to another program.
    Beyond(String),
}

/// Two programs side by side.
pub struct Against {
    recorded: Session,
    other: Newcomer,
    /// Calls that both made.
    pub calls: u64,
    /// Memory that the newcomer asked for beyond the recorded program's calls, and the like: not compared.
    pub own_calls: u64,
    output: bool,
    /// What could not be placed in the newcomer's memory.
    pub unplaced: u64,
}

impl Against {
    /// Puts a newcomer, stopped at its first instruction, beside a recording that is about to begin.
    #[must_use]
    pub fn new(recorded: Session, other: Newcomer, output: bool) -> Against {
        Against { recorded, other, calls: 0, own_calls: 0, output, unplaced: 0 }
    }

    /// Runs both until they part.
    pub fn run(&mut self) -> Result<End, ReplayError> {
        let mut started = false;
        loop {
            let Some(event) = self.recorded.peek()?.cloned() else { return Ok(End::Together) };
            if event.task != ROOT {
                self.recorded.step()?;
                continue;
            }
            let end = match event.what {
                What::Exec(_) if started => Some(End::Beyond("the recorded program executes another one".to_owned())),
                What::Exec(_) => {
                    started = true;
                    self.skip()?
                }
                What::Call(entry, exit) => self.call(&entry, Some(exit))?,
                What::Enter(entry) => self.call(&entry, None)?,
                What::Fork(fork) if fork.shares_memory && !self.in_vfork()? => {
                    Some(End::Beyond("the recorded program makes threads".to_owned()))
                }
                What::Signal(signal) => self.signal(&signal)?,
                What::Death(death) => self.death(death.exit_code)?,
                _ => self.skip()?,
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    fn skip(&mut self) -> Result<Option<End>, ReplayError> {
        self.recorded.step()?;
        Ok(None)
    }

    fn in_vfork(&mut self) -> Result<bool, ReplayError> {
        let (nr, args) = self.recorded.body(ROOT)?.call;
        Ok(i64::from(nr) == libc::SYS_vfork || (i64::from(nr) == libc::SYS_clone && args[0] & CLONE_VFORK != 0))
    }

    /// Runs the newcomer to its next call that is not its own affair.
    fn next_of_other(&mut self) -> Result<Asked, ReplayError> {
        loop {
            let asked = self.other.run()?;
            match asked {
                Asked::Call(regs) if is_memory(&regs) => {
                    self.own_calls += 1;
                    self.other.make(&regs)?;
                }
                Asked::Counter => self.other.give_counter(self.recorded.time_ns())?,
                asked => return Ok(asked),
            }
        }
    }

    /// Both are to make the same call.
    fn call(&mut self, entry: &Entry, exit: Option<Exit>) -> Result<Option<End>, ReplayError> {
        if !self.recorded.advance()? {
            return self.skip();
        }
        let body = self.recorded.body(ROOT)?;
        let (tid, regs) = (body.real, body.regs);
        if is_memory(&regs) || entry.restarted {
            return self.pass(exit.is_none());
        }
        let theirs = match self.next_of_other()? {
            Asked::Call(theirs) => theirs,
            other => {
                return Ok(Some(End::Parted(
                    format!("the other program {other} where a call was recorded"),
                    Some(text(&call_of(tid, &regs))),
                    None,
                )))
            }
        };
        let (was, is) = (call_of(tid, &regs), call_of(self.other.tid, &theirs));
        if let Some(what) = difference(&was, &is, (tid, &regs), (self.other.tid, &theirs)) {
            return Ok(Some(End::Parted(what, Some(text(&was)), Some(text(&is)))));
        }
        self.calls += 1;
        let exit = match exit {
            Some(exit) => Some(exit),
            None => self.exit_of()?,
        };
        let Some(exit) = exit else { return Ok(self.recorded.peek()?.is_none().then_some(End::Together)) };
        let places = Places::between((tid, &regs), (self.other.tid, &theirs));
        self.answer(&theirs, &exit, &places)?;
        self.recorded.step().map(|_| None)
    }

    /// Steps over a recorded call that the newcomer need not make.
    fn pass(&mut self, open: bool) -> Result<Option<End>, ReplayError> {
        if !open {
            return self.skip();
        }
        match self.exit_of()? {
            Some(_) => self.skip(),
            None => Ok(None),
        }
    }

    /// Replays what others did during a call, up to its return; None when it never returns.
    fn exit_of(&mut self) -> Result<Option<Exit>, ReplayError> {
        self.recorded.step()?;
        loop {
            match self.recorded.peek()?.map(|event| (event.task, event.what.clone())) {
                Some((ROOT, What::Return(exit))) => return Ok(Some(exit)),
                Some((ROOT, What::Fork(fork))) if fork.shares_memory && !self.in_vfork()? => return Ok(None),
                Some((ROOT, What::Death(_) | What::Exec(_) | What::Signal(_))) | None => return Ok(None),
                Some(_) => self.recorded.step().map(drop)?,
            }
        }
    }

    /// Gives the newcomer what the recorded program was given.
    fn answer(&mut self, theirs: &Regs, exit: &Exit, places: &Places) -> Result<(), ReplayError> {
        if REAL.contains(&i64::from(theirs.nr())) {
            return self.other.make(theirs).map(drop);
        }
        let mut result = exit.result;
        for effect in &exit.effects {
            match effect {
                Effect::Memory(address, bytes) => match places.of(*address) {
                    Some(place) => self.other.write(place, bytes)?,
                    None => self.unplaced += 1,
                },
                Effect::Map(mapping) => result = self.map(theirs, mapping)?,
                Effect::Output(stream) => self.emit(*stream, &sent(self.other.tid, theirs, exit.result))?,
                Effect::OutputBytes(stream, bytes) => self.emit(*stream, bytes)?,
                _ => {}
            }
        }
        self.other.returns(theirs, result)
    }

    /// A mapped file becomes memory with its content: no file is opened.
    fn map(&mut self, theirs: &Regs, mapping: &Mapping) -> Result<i64, ReplayError> {
        let (length, prot, flags) = (theirs.args()[1], theirs.args()[2], theirs.args()[3]);
        let mut content = vec![0u8; usize::try_from(length).unwrap_or(0)];
        let read = |file: &std::fs::File, offset: u64, content: &mut Vec<u8>| {
            let mut at = 0;
            while let Ok(got @ 1..) = file.read_at(&mut content[at..], offset + at as u64) {
                at += got;
            }
        };
        match &mapping.from {
            Source::Blob(digest, offset) => read(self.recorded.files.blob(digest)?, *offset, &mut content),
            Source::NewObject(_, _, Some(digest), offset) => read(self.recorded.files.blob(digest)?, *offset, &mut content),
            Source::Object(number, offset) => read(self.recorded.files.object(*number)?, *offset, &mut content),
            Source::Zero | Source::NewObject(..) => {}
        }
        let private = (flags & 0x10_0010) | MAP_ANONYMOUS | 2; // MAP_FIXED, MAP_FIXED_NOREPLACE; MAP_PRIVATE
        let address = self.other.make_call(theirs, libc::SYS_mmap, [theirs.args()[0], length, prot, private, u64::MAX, 0])?;
        if address > 0 {
            self.other.write(address.cast_unsigned(), &content)?;
        }
        Ok(address)
    }

    fn emit(&self, stream: u8, bytes: &[u8]) -> Result<(), ReplayError> {
        if !self.output {
            return Ok(());
        }
        let done = if stream == 2 {
            std::io::stderr().write_all(bytes)
        } else {
            let mut out = std::io::stdout();
            out.write_all(bytes).and_then(|()| out.flush())
        };
        done.map_err(ReplayError::io("write what the other program writes"))
    }

    /// A signal comes where it came when it was recorded: between the same two calls.
    fn signal(&mut self, signal: &Signal) -> Result<Option<End>, ReplayError> {
        let number = i32::try_from(signal.number).unwrap_or(0);
        self.recorded.step()?;
        if !signal.fault {
            self.other.post(number)?;
            return Ok(None);
        }
        match self.next_of_other()? {
            Asked::Fault(own) if own == number => {
                self.other.post(number)?;
                Ok(None)
            }
            other => Ok(Some(End::Parted(
                format!("the other program {other} where signal {number} was raised"),
                Some(format!("signal {number}")),
                None,
            ))),
        }
    }

    /// The recorded program is over: the newcomer is in the call that ends it, or raises the same signal.
    fn death(&mut self, exit_code: Option<i32>) -> Result<Option<End>, ReplayError> {
        self.recorded.step()?;
        if exit_code.is_some() {
            return Ok(Some(End::Together));
        }
        match self.next_of_other()? {
            Asked::Call(theirs) => {
                let made = text(&call_of(self.other.tid, &theirs));
                Ok(Some(End::Parted(
                    "the other program goes on where a signal ended the recorded one".to_owned(),
                    None,
                    Some(made),
                )))
            }
            _ => Ok(Some(End::Together)),
        }
    }

    /// What is told of it, and the newcomer's process id when it was left standing, stopped, for a debugger to look at.
    pub fn tell(mut self, end: &End) -> Result<Value, ReplayError> {
        let (status, what, was, is) = match end {
            End::Together => ("completed", None, None, None),
            End::Parted(what, was, is) => ("diverged", Some(what), was.as_ref(), is.as_ref()),
            End::Beyond(what) => ("stopped", Some(what), None, None),
        };
        let pid = if status == "diverged" { Some(self.other.leave()?) } else { None };
        Ok(json!({
            "status": status, "what": what, "recorded": was, "other": is, "event": self.recorded.position(),
            "time_ns": self.recorded.time_ns(), "calls": self.calls, "own_calls": self.own_calls, "unplaced": self.unplaced,
            "exit_code": self.recorded.ended.and_then(|end| end.exit_code), "pid": pid,
        }))
    }
}

/// The bytes that a call gives away.
fn sent(tid: Tid, regs: &Regs, result: i64) -> Vec<u8> {
    let (args, length) = (regs.args(), u64::try_from(result).unwrap_or(0));
    match table::sent(regs.nr()) {
        Some((at, true)) => {
            let parts = buffers(tid, args[usize::from(at)], args[2], length);
            parts.iter().flat_map(|(address, length)| bytes_at(tid, *address, *length)).collect()
        }
        Some((at, false)) => bytes_at(tid, args[usize::from(at)], length),
        None => Vec::new(),
    }
}

/// In what two calls differ, if they do.
fn difference(
    was: &observer_model::Decoded,
    is: &observer_model::Decoded,
    old: (Tid, &Regs),
    new: (Tid, &Regs),
) -> Option<String> {
    if was.name != is.name {
        return Some(format!("the other program calls {} where {} was recorded", is.name, was.name));
    }
    if REAL.contains(&i64::from(old.1.nr())) {
        return None; // of these, what is compared are addresses
    }
    if was.stable_args() != is.stable_args() {
        let differing = was.args.iter().zip(&is.args).find(|(a, b)| a.stable && b.stable && a.text != b.text);
        let name = differing.map_or("arguments", |(arg, _)| arg.name);
        return Some(format!("the {name} of {} differs", was.name));
    }
    let whole = i64::from(i32::MAX);
    let length = |regs: &Regs| i64::try_from(regs.args()[2]).unwrap_or(whole).min(whole);
    (sent(old.0, old.1, length(old.1)) != sent(new.0, new.1, length(new.1)))
        .then(|| format!("the bytes given away in {} differ", was.name))
}
