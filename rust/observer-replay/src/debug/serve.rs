// SPDX-License-Identifier: Apache-2.0
//! gdb's remote serial protocol over a replay. Source: the gdb manual, appendix "Remote Serial Protocol".

use crate::debug::layout;
use crate::debug::listener::{Stream, LOOK};
use crate::debug::packets::{hex, unhex, Connection, Input, LONGEST};
use crate::debug::runner::{Halt, Runner};
use crate::engine::sys;
use crate::error::ReplayError;
use crate::replay::session::Session;
use crate::stream::TaskId;
use std::time::Instant;

const FEATURES: &str = "swbreak+;hwbreak+;qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:threads:read+;\
                        QStartNoAckMode+;vContSupported+;ReverseStep+;ReverseContinue+";

pub(super) struct Server<'s> {
    pub(super) runner: Runner<'s>,
    connection: Connection<Stream>,
    /// The thread that registers and memory are asked of.
    chosen: TaskId,
    over: bool,
}

/// Serves one debugger until it leaves; the replay is first brought to `event`.
pub fn serve(session: &mut Session, stream: Stream, event: u64) -> Result<(), ReplayError> {
    let mut runner = Runner::new(session)?;
    runner.to(event)?;
    let chosen = runner.task;
    let mut server = Server { runner, connection: Connection::new(stream), chosen, over: false };
    while !server.over {
        let input = server.connection.read().map_err(ReplayError::io("read from the debugger"))?;
        match input {
            Input::Closed => break,
            Input::Interrupt => server.send("S05")?,
            Input::Packet(packet) => server.answer(&packet)?,
        }
    }
    Ok(())
}

pub(super) fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// A part of a document, as qXfer wants it: `m` more follows, `l` last.
fn part(document: &[u8], range: &str) -> Vec<u8> {
    let (offset, length) = range.split_once(',').unwrap_or((range, "0"));
    let offset = number(offset).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(document.len());
    let length = number(length).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(LONGEST / 2);
    let rest = &document[offset..];
    let mut out = vec![if rest.len() > length { b'm' } else { b'l' }];
    out.extend_from_slice(&rest[..rest.len().min(length)]);
    out
}

impl Server<'_> {
    pub(super) fn send(&mut self, text: &str) -> Result<(), ReplayError> {
        self.send_bytes(text.as_bytes())
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        self.connection.send(bytes).map_err(ReplayError::io("answer the debugger"))
    }

    /// Threads are numbered from 1 for gdb: 0 means any.
    fn thread(text: &str) -> Option<TaskId> {
        let id = text.rsplit('.').next().and_then(|t| t.strip_prefix('p').or(Some(t))).and_then(number)?;
        TaskId::try_from(id).ok()?.checked_sub(1)
    }

    fn answer(&mut self, packet: &[u8]) -> Result<(), ReplayError> {
        let text = String::from_utf8_lossy(packet).into_owned();
        let (head, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
        match head {
            "?" => self.send_stop(Halt::Trap),
            "g" => {
                let registers = self.registers()?;
                self.send(&registers.map_or_else(|| "E01".to_owned(), |bytes| hex(&bytes)))
            }
            "G" => self.set_registers(rest),
            "p" => self.register(rest),
            "P" => self.set_register(rest),
            "m" => self.read_memory(rest),
            "M" => self.write_memory(rest),
            "Z" | "z" => self.breakpoint(head == "Z", rest),
            "c" | "s" => self.resume(head == "s"),
            "b" => self.back(rest),
            "H" => {
                if let Some(task) = Self::thread(rest.get(1..).unwrap_or("")).filter(|t| self.runner.session.body(*t).is_ok()) {
                    self.chosen = task;
                }
                self.send("OK")
            }
            "T" => {
                let alive = Self::thread(rest).is_some_and(|task| self.runner.session.body(task).is_ok());
                self.send(if alive { "OK" } else { "E01" })
            }
            "D" => {
                self.over = true;
                self.send("OK")
            }
            "k" => {
                self.over = true;
                Ok(())
            }
            "q" | "Q" => self.query(&text),
            "v" => self.verbose(&text, packet),
            _ => self.send(""),
        }
    }

    fn query(&mut self, text: &str) -> Result<(), ReplayError> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "qSupported" => self.send(&format!("PacketSize={LONGEST:x};{FEATURES}")),
            "QStartNoAckMode" => {
                self.send("OK")?;
                self.connection.stop_acknowledging();
                Ok(())
            }
            "qAttached" => self.send("1"),
            "qC" => self.send(&format!("QC{:x}", self.chosen + 1)),
            "qfThreadInfo" => {
                let ids: Vec<String> = self.runner.session.tasks().map(|body| format!("{:x}", body.id + 1)).collect();
                self.send(&format!("m{}", ids.join(",")))
            }
            "qsThreadInfo" => self.send("l"),
            "qSymbol" => self.send("OK"),
            "qXfer" => self.transfer(rest),
            _ => self.send(""),
        }
    }

    fn transfer(&mut self, rest: &str) -> Result<(), ReplayError> {
        let mut parts = rest.splitn(4, ':');
        let (kind, _read, annex, range) =
            (parts.next().unwrap_or(""), parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let document = match kind {
            "features" if annex == "target.xml" => layout::target_xml().into_bytes(),
            "auxv" => self.runner.names.auxv.get(&self.chosen).cloned().unwrap_or_default(),
            "exec-file" => self.runner.session.body(self.chosen).map(|body| body.exe.clone().into_bytes()).unwrap_or_default(),
            "threads" => self.threads_xml().into_bytes(),
            _ => return self.send("E00"),
        };
        let answer = part(&document, range);
        self.send_bytes(&answer)
    }

    fn threads_xml(&self) -> String {
        let rows = self.runner.session.tasks().map(|body| {
            let program = body.exe.rsplit('/').next().unwrap_or("").replace(['<', '>', '&', '"'], "?");
            let (pid, tid) = (body.pid, body.tid);
            format!("<thread id=\"{:x}\" name=\"{program}\">recorded as process {pid} thread {tid}</thread>", body.id + 1)
        });
        format!("<?xml version=\"1.0\"?><threads>{}</threads>", rows.collect::<String>())
    }

    fn registers(&mut self) -> Result<Option<Vec<u8>>, ReplayError> {
        let Ok(body) = self.runner.session.body(self.chosen) else { return Ok(None) };
        let fx = sys::xstate(body.real).unwrap_or_default();
        Ok(Some(layout::all(&body.regs, &fx)))
    }

    fn register(&mut self, text: &str) -> Result<(), ReplayError> {
        let range = number(text).and_then(|n| layout::place(usize::try_from(n).ok()?));
        let found = match (self.registers()?, range) {
            (Some(bytes), Some((range, _))) => bytes.get(range).map(hex),
            _ => None,
        };
        self.send(&found.unwrap_or_else(|| "E01".to_owned()))
    }

    fn set_one(&mut self, number: usize, bytes: &[u8]) -> bool {
        let Some((range, Some(at))) = layout::place(number) else { return false };
        let Ok(body) = self.runner.session.body(self.chosen) else { return false };
        if bytes.len() < range.len() {
            return false;
        }
        let mut word = [0u8; 8];
        word[..range.len()].copy_from_slice(&bytes[..range.len()]);
        let value = u64::from_le_bytes(word);
        if body.regs.0[at] != value {
            body.regs.0[at] = value;
            self.runner.session.modified = true;
        }
        true
    }

    fn set_register(&mut self, text: &str) -> Result<(), ReplayError> {
        let parsed =
            text.split_once('=').and_then(|(n, value)| Some((usize::try_from(number(n)?).ok()?, unhex(value.as_bytes())?)));
        let done = parsed.is_some_and(|(n, bytes)| self.set_one(n, &bytes));
        self.send(if done { "OK" } else { "E01" })
    }

    fn set_registers(&mut self, text: &str) -> Result<(), ReplayError> {
        let Some(bytes) = unhex(text.as_bytes()) else { return self.send("E01") };
        for number in 0..60 {
            if let Some((range, Some(_))) = layout::place(number) {
                if let Some(own) = bytes.get(range) {
                    self.set_one(number, own);
                }
            }
        }
        self.send("OK")
    }

    fn read_memory(&mut self, text: &str) -> Result<(), ReplayError> {
        let asked = text.split_once(',').and_then(|(at, length)| Some((number(at)?, number(length)?)));
        let Some((address, length)) = asked else { return self.send("E01") };
        let length = length.min(LONGEST as u64 / 2 - 16);
        let found = self.runner.session.body(self.chosen).map(|body| body.read(address, length)).unwrap_or_default();
        self.send(&if found.is_empty() && length > 0 { "E14".to_owned() } else { hex(&found) })
    }

    fn write_memory(&mut self, text: &str) -> Result<(), ReplayError> {
        let parsed = text.split_once(':').and_then(|(place, bytes)| {
            let address = number(place.split_once(',')?.0)?;
            Some((address, unhex(bytes.as_bytes())?))
        });
        let Some((address, bytes)) = parsed else { return self.send("E01") };
        let done = self.runner.session.body(self.chosen).and_then(|body| body.write(address, &bytes)).is_ok();
        self.runner.session.modified |= done;
        self.send(if done { "OK" } else { "E14" })
    }

    fn breakpoint(&mut self, set: bool, text: &str) -> Result<(), ReplayError> {
        let mut parts = text.split(',');
        let (kind, address) = (parts.next().unwrap_or(""), parts.next().and_then(number));
        match (kind, address) {
            ("0" | "1", Some(address)) if set => {
                self.runner.breakpoints.insert(address);
                self.send("OK")
            }
            ("0" | "1", Some(address)) => {
                self.runner.breakpoints.remove(&address);
                self.send("OK")
            }
            _ => self.send(""), // watchpoints: gdb then steps and compares
        }
    }

    fn verbose(&mut self, text: &str, packet: &[u8]) -> Result<(), ReplayError> {
        if text == "vCont?" {
            return self.send("vCont;c;C;s;S");
        }
        if let Some(actions) = text.strip_prefix("vCont;") {
            let first = actions.split(';').next().unwrap_or("c");
            let (action, thread) = first.split_once(':').unwrap_or((first, ""));
            if let Some(task) = Self::thread(thread).filter(|t| self.runner.session.body(*t).is_ok()) {
                self.runner.task = task;
            }
            return self.resume(action.starts_with('s') || action.starts_with('S'));
        }
        if text.starts_with("vFile:") {
            return self.file(packet);
        }
        if text.starts_with("vKill") {
            self.over = true;
            return self.send("OK");
        }
        self.send("")
    }

    fn resume(&mut self, step: bool) -> Result<(), ReplayError> {
        let Server { runner, connection, .. } = self;
        let mut looked = Instant::now();
        let mut interrupted = || {
            if looked.elapsed() < LOOK {
                return false;
            }
            looked = Instant::now();
            let _ = connection.stream().set_nonblocking(true);
            let found = matches!(connection.read(), Ok(Input::Interrupt | Input::Closed));
            let _ = connection.stream().set_nonblocking(false);
            found
        };
        let halt = if step { runner.step() } else { runner.go(&mut interrupted) };
        match halt {
            Ok(halt) => {
                if self.runner.session.body(self.runner.task).is_err() {
                    self.runner.task = self.runner.session.tasks().next().map_or(0, |body| body.id);
                }
                self.chosen = self.runner.task;
                self.send_stop(halt)
            }
            Err(ReplayError::Diverged(divergence)) => {
                let text = format!("observer: {divergence}\n");
                self.send(&format!("O{}", hex(text.as_bytes())))?;
                self.chosen = divergence.task;
                self.send_stop(Halt::Trap)
            }
            Err(other) => Err(other),
        }
    }

    /// `bs` and `bc`: one instruction, or to a breakpoint, backwards.
    fn back(&mut self, how: &str) -> Result<(), ReplayError> {
        let found = match how {
            "s" => self.runner.step_back(self.chosen),
            "c" => self.runner.go_back(self.chosen),
            _ => return self.send(""),
        };
        match found {
            Ok(found) => {
                self.chosen = self.runner.task;
                let begin = if found { "" } else { "replaylog:begin;" };
                self.send(&format!("T05{begin}thread:{:x};", self.chosen + 1))
            }
            Err(ReplayError::Usage(why)) => {
                self.send(&format!("O{}", hex(format!("observer: {why}\n").as_bytes())))?;
                self.send_stop(Halt::Trap)
            }
            Err(other) => Err(other),
        }
    }

    fn send_stop(&mut self, halt: Halt) -> Result<(), ReplayError> {
        let text = match halt {
            Halt::Exited(code) => format!("W{:02x}", code & 0xff),
            Halt::Killed(signal) => format!("X{signal:02x}"),
            Halt::Trap => format!("T05thread:{:x};", self.chosen + 1),
            Halt::Interrupted => format!("T02thread:{:x};", self.chosen + 1),
            Halt::Signal(signal) => format!("T{:02x}thread:{:x};", gdb_signal(signal), self.chosen + 1),
        };
        self.send(&text)
    }
}

/// Signals have numbers of their own in the protocol. Source: gdb's include/gdb/signals.def.
fn gdb_signal(signal: i32) -> i32 {
    match signal {
        libc::SIGBUS => 10,
        libc::SIGUSR1 => 30,
        libc::SIGUSR2 => 31,
        libc::SIGCHLD => 20,
        libc::SIGCONT => 19,
        libc::SIGSTOP => 17,
        libc::SIGTSTP => 18,
        libc::SIGURG => 16,
        libc::SIGIO => 23,
        libc::SIGSYS => 12,
        libc::SIGPWR => 32,
        34..=64 => signal + 11,
        other => other,
    }
}
