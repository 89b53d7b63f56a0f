// SPDX-License-Identifier: Apache-2.0
//! Turns each call into a few numbers that are equal for calls that mean the same, in one pass over a recording.

use crate::descriptors::{is_descriptor, is_volatile, low, Descriptors};
use crate::names::{self, Ids};
use crate::run::{Reading, Run, Thread, Token};
use crate::tree::Tree;
use observer_model::meaning::Special;
use observer_model::{
    decode, flags, lookup, Arch, ArgClass, ArgType, Decoded, DecodedArg, Record, Ret, SignalRecord, SyscallRecord,
};
use observer_recording::chunk::Kind;
use observer_recording::codec::ChunkDecoder;
use observer_recording::outcome::Outcome;
use observer_recording::{typed, RecordingError, RecordingReader};
use serde_json::Value;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Calls of which a run makes as many as the schedule has it, not as the program wants: left out unless asked for.
pub const SCHEDULE: [&str; 4] = ["futex", "sched_yield", "restart_syscall", "rt_sigreturn"];

/// Names of temporary files that are remembered.
const MOST_MADE_UP: usize = 100_000;

/// wait4(2): return at once. Source: include/uapi/linux/wait.h.
const WNOHANG: u64 = 1;

/// Content longer than this is compared as it is, without looking for ids in it.
const LONGEST_TEXT: usize = 64 * 1024;

struct Pass<'a> {
    reading: &'a Reading<'a>,
    arch: Arch,
    run: Run,
    descriptors: Descriptors,
    made_up: HashMap<String, String>,
    calls: usize,
}

/// The ids of one recording at one moment.
struct Now<'a> {
    tree: &'a Tree,
    names: &'a [String],
    at: u64,
}

impl Ids for Now<'_> {
    fn name(&self, id: u32) -> Option<&str> {
        let node = self.tree.find(id, self.at)?;
        self.names.get(node).map(String::as_str)
    }
}

/// Reads every call of a recording once.
pub fn read(reader: &RecordingReader, tree: Tree, reading: &Reading<'_>) -> Result<Run, RecordingError> {
    let threads = tree.nodes.iter().map(|_| Thread::default()).collect();
    let run = Run { tree, threads, first_ns: u64::MAX, ..Run::default() };
    let arch = reader.arch().unwrap_or(Arch::X86_64);
    let mut pass = Pass { reading, arch, run, descriptors: Descriptors::default(), made_up: HashMap::new(), calls: 0 };
    for line in &reader.chunks {
        let (header, payload) = reader.chunk(line)?;
        match header.kind {
            Kind::Records => {
                for (number, record) in (header.first_record..).zip(ChunkDecoder::new(&payload, &header)) {
                    match record.map_err(|e| RecordingError::Malformed(format!("record {number}: {e}")))? {
                        Record::Call(call) => pass.call(number, &call)?,
                        Record::Signal(signal) => pass.signal(number, &signal),
                    }
                }
            }
            Kind::Calls => {
                let lines = payload.split(|b| *b == b'\n').filter(|l| !l.is_empty());
                for (number, line) in (header.first_record..).zip(lines) {
                    let bad = |e| RecordingError::Malformed(format!("call {number} is not JSON: {e}"));
                    pass.embedder(number, &serde_json::from_slice(line).map_err(bad)?)?;
                }
            }
            Kind::Typed => {
                for (number, call) in (header.first_record..).zip(typed::calls(&payload)) {
                    pass.embedder(number, &reader.table.json(&call?))?;
                }
            }
            _ => {}
        }
    }
    pass.run.first_ns = pass.run.first_ns.min(pass.run.last_ns);
    Ok(pass.run)
}

/// Arguments that depend on where memory happens to lie (how much of an arena is given back), or on who was faster.
fn follows_address(call: &str, argument: &str) -> bool {
    matches!((call, argument), ("munmap", _) | ("wait4" | "waitid", "options"))
}

/// The texts of descriptors, or all others.
fn of(texts: &[(ArgClass, String)], descriptors: bool) -> Vec<&str> {
    texts.iter().filter(|t| (t.0 == ArgClass::Fd && t.1 != "AT_FDCWD") == descriptors).map(|t| t.1.as_str()).collect()
}

#[allow(clippy::cast_possible_truncation)]
fn short(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

impl Pass<'_> {
    fn node(&self, tid: u32, pid: u32, at: u64) -> usize {
        self.run.tree.find(tid, at).or_else(|| self.run.tree.find(pid, at)).unwrap_or(0)
    }

    fn now(&self, at: u64) -> Now<'_> {
        Now { tree: &self.run.tree, names: self.reading.names, at }
    }

    fn keep(&mut self, node: usize, token: Token) -> Result<(), RecordingError> {
        self.calls += 1;
        if self.calls > self.reading.most_calls {
            let most = self.reading.most_calls;
            return Err(RecordingError::Malformed(format!("more than {most} calls are too many to compare at once")));
        }
        self.run.first_ns = self.run.first_ns.min(token.start_ns);
        self.run.last_ns = self.run.last_ns.max(token.start_ns.saturating_add(token.duration_ns));
        if let Some(thread) = self.run.threads.get_mut(node) {
            thread.calls.push(token);
        }
        Ok(())
    }

    /// What the schedule decides: calls of `SCHEDULE`, calls that a signal interrupted and the kernel made again, and looking
    /// for an ended child without finding one.
    fn leaves_out(&mut self, call: &SyscallRecord, decoded: &Decoded) -> bool {
        let name = decoded.name.as_str();
        let why = match name {
            _ if self.reading.all => return false,
            _ if SCHEDULE.contains(&name) => name.to_owned(),
            _ if call.flags & flags::RESTARTED != 0 => format!("{name}, interrupted"),
            "wait4" | "waitid" if call.args[2] & WNOHANG != 0 && (call.result == 0 || decoded.errno == Some("ECHILD")) => {
                format!("{name}, nobody had ended")
            }
            _ => return false,
        };
        *self.run.left_out.entry(why).or_insert(0) += 1;
        true
    }

    /// Learns names that were made up: of files in a temporary directory that must not have been there before.
    fn learn_made_up(&mut self, decoded: &Decoded) {
        let Some(path) = decoded.args.iter().find(|a| a.class == ArgClass::Path) else { return };
        let anew = decoded.name.starts_with("mkdir") || decoded.args.iter().any(|a| a.text.contains("O_EXCL"));
        if anew && self.made_up.len() < MOST_MADE_UP {
            if let Some(plain) = names::of_new_file(&path.text) {
                self.made_up.insert(path.text.clone(), plain);
            }
        }
    }

    fn call(&mut self, record: u64, call: &SyscallRecord) -> Result<(), RecordingError> {
        let decoded = decode(self.arch, call);
        let node = self.node(call.tid, call.pid, call.start_ns);
        let process = self.run.tree.process_of(node);
        let parent = self.run.tree.nodes.get(process).and_then(|n| n.parent).map(|p| self.run.tree.process_of(p));
        self.descriptors.begin(process, parent);
        let ret = lookup(self.arch, call.nr).map(|known| known.ret_for(&call.args));
        self.learn_made_up(&decoded);
        let texts = self.texts(process, call, &decoded);
        let path = texts.iter().find(|t| t.0 == ArgClass::Path).map(|t| t.1.as_str());
        let opened = path.filter(|_| ret == Some(Ret::Fd) && call.result >= 0);
        let volatile = texts.iter().any(|t| t.0 == ArgClass::Fd && is_volatile(&t.1)) || is_volatile(&decoded.name);
        if !self.leaves_out(call, &decoded) {
            let hasher = self.reading.hasher;
            let acts_on: Vec<&str> = texts
                .iter()
                .filter(|t| matches!(t.0, ArgClass::Path | ArgClass::Fd | ArgClass::Socket))
                .map(|t| t.1.as_str())
                .collect();
            let token = Token {
                key: hasher.hash_one((&decoded.name, acts_on)),
                args: short(hasher.hash_one(texts.iter().map(|t| &t.1).collect::<Vec<_>>())),
                result: short(hasher.hash_one(self.result(call, &decoded, ret, volatile))),
                data: if volatile { 0 } else { self.data(call) },
                name: short(hasher.hash_one(&decoded.name)),
                rest: short(hasher.hash_one(of(&texts, false))),
                label: if of(&texts, true).is_empty() { 0 } else { short(hasher.hash_one(of(&texts, true))) | 1 },
                opens: opened.map_or(0, |path| short(hasher.hash_one(vec![path])) | 1),
                outcome: Outcome::of(call) as u8,
                record,
                start_ns: call.start_ns,
                duration_ns: call.duration_ns,
            };
            self.keep(node, token)?;
        }
        self.descriptors.learn(process, call, &decoded, ret, path);
        Ok(())
    }

    /// The arguments that equal runs have in common, as text without what differs.
    fn texts(&self, process: usize, call: &SyscallRecord, decoded: &Decoded) -> Vec<(ArgClass, String)> {
        let now = self.now(call.start_ns);
        let known = lookup(self.arch, call.nr);
        let mut fds = known.into_iter().flat_map(|k| {
            let numbers = (0..6).filter(|i| k.arg_for(*i, &call.args).is_some_and(is_descriptor));
            numbers.map(|i| low(call.args[i]))
        });
        let mut found = Vec::with_capacity(decoded.args.len());
        for arg in &decoded.args {
            let text = match arg.class {
                _ if follows_address(&decoded.name, arg.name) => continue,
                ArgClass::Fd if arg.text == "AT_FDCWD" => {
                    fds.next();
                    arg.text.clone()
                }
                ArgClass::Fd if !arg.text.starts_with('[') => {
                    let fd = fds.next();
                    fd.map_or_else(|| arg.text.clone(), |fd| self.descriptors.label(process, fd).to_string())
                }
                ArgClass::Pid => self.id(arg, call.start_ns),
                ArgClass::Data | ArgClass::Fd => continue, // content is compared by its bytes
                _ if !arg.stable => continue,
                ArgClass::Path => match self.made_up.get(&arg.text) {
                    Some(plain) => plain.clone(),
                    None => names::path(&arg.text, &now),
                },
                ArgClass::Struct | ArgClass::Text => names::numbers(&self.labelled(process, &arg.text), &now),
                _ => arg.text.clone(),
            };
            found.push((arg.class, text));
        }
        found
    }

    fn id(&self, arg: &DecodedArg, at: u64) -> String {
        match arg.text.trim_matches(['[', ']']).parse::<u32>() {
            Ok(id) if id > 1 => self.now(at).name(id).unwrap_or("another").to_owned(),
            _ => arg.text.clone(),
        }
    }

    /// `fd=5` as what it stands for.
    fn labelled(&self, process: usize, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("fd=") {
            let (before, after) = rest.split_at(at + 3);
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            out.push_str(before);
            match after[..digits].parse::<i32>() {
                Ok(fd) => out.push_str(&self.descriptors.label(process, fd)),
                Err(_) => out.push_str(&after[..digits]),
            }
            rest = &after[digits..];
        }
        out + rest
    }

    fn result(&self, call: &SyscallRecord, decoded: &Decoded, ret: Option<Ret>, volatile: bool) -> String {
        if let Some(errno) = decoded.errno {
            return errno.to_owned();
        }
        match ret {
            Some(Ret::Fd) => "a descriptor".to_owned(),
            Some(Ret::Size) if volatile => "a size".to_owned(),
            Some(Ret::Pid) if call.result > 0 => {
                let id = u32::try_from(call.result).unwrap_or(0);
                self.now(u64::MAX).name(id).unwrap_or("another").to_owned()
            }
            _ if decoded.result_stable => decoded.result.clone(),
            _ => String::new(),
        }
    }

    /// Content that the call wrote or read, without ids.
    fn data(&self, call: &SyscallRecord) -> u32 {
        let Some(known) = lookup(self.arch, call.nr) else { return 0 };
        let now = self.now(call.start_ns);
        let mut hash = 0u64;
        for blob in &call.blobs {
            let from = match known.arg_for(usize::from(blob.arg), &call.args).map(|a| a.ty) {
                Some(ArgType::Data(_)) => 0,
                Some(ArgType::Special(Special::Iovec(_))) => 1, // part 0 is the array of pointers
                Some(ArgType::Special(Special::Msghdr(_))) => 4,
                _ => continue,
            };
            if blob.part < from {
                continue;
            }
            let text = std::str::from_utf8(&blob.bytes).ok().filter(|t| t.len() <= LONGEST_TEXT);
            let own = match text {
                Some(text) => self.reading.hasher.hash_one(names::content(text, &now)),
                None => self.reading.hasher.hash_one(&blob.bytes),
            };
            hash = hash.rotate_left(7).wrapping_mul(31) ^ own;
        }
        short(hash)
    }

    fn signal(&mut self, record: u64, signal: &SignalRecord) {
        let node = self.node(signal.tid, signal.pid, signal.start_ns);
        let key = self.reading.hasher.hash_one(("signal", signal.signo));
        let token = Token { key, args: signal.signo, name: short(key), record, start_ns: signal.start_ns, ..Token::default() };
        if let Some(thread) = self.run.threads.get_mut(node) {
            thread.signals.push(token);
        }
    }

    fn embedder(&mut self, record: u64, call: &Value) -> Result<(), RecordingError> {
        let hasher = self.reading.hasher;
        let text = |key: &str| call.get(key).map_or("", |v| v.as_str().unwrap_or(""));
        let number = |key: &str| call.get(key).and_then(Value::as_u64).unwrap_or(0);
        let node =
            self.node(u32::try_from(number("tid")).unwrap_or(0), u32::try_from(number("pid")).unwrap_or(0), number("start_ns"));
        let class = |arg: &Value| arg.get("class").and_then(Value::as_str).unwrap_or("text").to_owned();
        let word = |arg: &Value| arg.get("text").unwrap_or(arg).as_str().map_or_else(|| arg.to_string(), str::to_owned);
        let args: Vec<(String, String)> =
            call.get("args").and_then(Value::as_array).into_iter().flatten().map(|a| (class(a), word(a))).collect();
        let acts_on: Vec<&str> = args.iter().filter(|a| matches!(a.0.as_str(), "path" | "fd")).map(|a| a.1.as_str()).collect();
        let name = text("syscall");
        let result = [
            text("result_text"),
            text("errno"),
            text("reason"),
            if call.get("allowed") == Some(&Value::Bool(false)) { "denied" } else { "" },
        ];
        let token = Token {
            key: hasher.hash_one((name, acts_on)),
            args: short(hasher.hash_one(&args)),
            result: short(hasher.hash_one(result)),
            rest: short(hasher.hash_one(&args)),
            name: short(hasher.hash_one(name)),
            outcome: Outcome::of_json(call) as u8,
            record,
            start_ns: number("start_ns"),
            duration_ns: number("duration_ns"),
            ..Token::default()
        };
        self.keep(node, token)
    }
}
