// SPDX-License-Identifier: Apache-2.0
//! The files that a debugger asks for, from the recording: the program and its libraries under the names that the program used.

use crate::error::ReplayError;
use crate::replay::session::Session;
use crate::stream::{Effect, Event, Exec, Source, TaskId, What};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const OPENAT: u32 = 257;
const OPEN: u32 = 2;
const MMAP: u32 = 9;
const LONGEST_PATH: u64 = 4096;
/// PT_INTERP. Source: elf(5).
const PT_INTERP: u32 = 3;

/// What is known of names, files and auxiliary vectors.
#[derive(Default)]
pub struct Names {
    /// Path → digest of its content.
    blobs: HashMap<String, [u8; 32]>,
    /// (process, descriptor) → path.
    opened: HashMap<(TaskId, u64), String>,
    /// Auxiliary vector by task, as the kernel made it.
    pub auxv: HashMap<TaskId, Vec<u8>>,
    /// Files that the debugger has open.
    pub handles: HashMap<u64, File>,
}

impl Names {
    /// Learns from an event that was replayed.
    pub fn see(&mut self, session: &mut Session, event: &Event) -> Result<(), ReplayError> {
        match &event.what {
            What::Call(_, exit) | What::Return(exit) => {
                let Ok(body) = session.body(event.task) else { return Ok(()) };
                let (nr, args) = body.call;
                if matches!(nr, OPEN | OPENAT) && exit.result >= 0 {
                    let text = body.read(args[usize::from(nr == OPENAT)], LONGEST_PATH);
                    let end = text.iter().position(|b| *b == 0).unwrap_or(0);
                    let path = String::from_utf8_lossy(&text[..end]).into_owned();
                    self.opened.insert((body.pid, exit.result.cast_unsigned()), path);
                } else if nr == MMAP {
                    let path = self.opened.get(&(body.pid, args[4] & 0xffff_ffff)).cloned();
                    for effect in &exit.effects {
                        if let (Effect::Map(mapping), Some(path)) = (effect, &path) {
                            self.name(path, &mapping.from);
                        }
                    }
                }
            }
            What::Exec(exec) => self.exec(session, event.task, exec)?,
            What::Fork(fork) => {
                let own = self.auxv.get(&event.task).cloned().unwrap_or_default();
                self.auxv.insert(fork.child, own);
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, path: &str, from: &Source) {
        if let Source::Blob(digest, _) = from {
            self.blobs.insert(path.to_owned(), *digest);
        }
    }

    /// The program lies lowest; its interpreter, if it names one, is the file of the last mapping.
    fn exec(&mut self, session: &mut Session, task: TaskId, exec: &Exec) -> Result<(), ReplayError> {
        let mut files: Vec<_> = exec.maps.iter().filter(|m| matches!(m.from, Source::Blob(..))).collect();
        files.sort_by_key(|m| m.start);
        if let Some(first) = files.first() {
            self.name(&exec.exe, &first.from);
            let interpreter = self.file(session, &exec.exe)?.and_then(|file| interpreter(&file));
            if let (Some(path), Some(last)) = (interpreter, files.last()) {
                self.name(&path, &last.from);
            }
        }
        self.auxv.insert(task, auxv(session, task)?);
        Ok(())
    }

    /// The content of a path, when the recording has it.
    pub fn file(&self, session: &mut Session, path: &str) -> Result<Option<File>, ReplayError> {
        let Some(digest) = self.blobs.get(path) else { return Ok(None) };
        session.files.blob(digest)?.try_clone().map(Some).map_err(ReplayError::io("copy a descriptor"))
    }
}

fn word(file: &File, at: u64) -> Option<u64> {
    let mut bytes = [0u8; 8];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn interpreter(file: &File) -> Option<String> {
    let headers = word(file, 32)?;
    let count = word(file, 56)? & 0xffff;
    for number in 0..count.min(64) {
        let at = headers.checked_add(number * 56)?;
        if word(file, at)? & 0xffff_ffff == u64::from(PT_INTERP) {
            let (offset, length) = (word(file, at + 8)?, word(file, at + 32)?.min(LONGEST_PATH));
            let mut text = vec![0u8; usize::try_from(length).ok()?];
            file.read_exact_at(&mut text, offset).ok()?;
            text.pop();
            return String::from_utf8(text).ok();
        }
    }
    None
}

/// The auxiliary vector above arguments and environment on a fresh stack. Source: the x86-64 psABI, 3.4.1.
fn auxv(session: &mut Session, task: TaskId) -> Result<Vec<u8>, ReplayError> {
    let body = session.body(task)?;
    let stack = body.read(body.regs.rsp(), 1 << 20);
    let words: Vec<u64> =
        stack.chunks_exact(8).map(|w| u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]])).collect();
    let Some(argc) = words.first().and_then(|n| usize::try_from(*n).ok()) else { return Ok(Vec::new()) };
    let Some(envp) = argc.checked_add(2).filter(|at| *at < words.len()) else { return Ok(Vec::new()) };
    let Some(end) = words[envp..].iter().position(|w| *w == 0) else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for pair in words[envp + end + 1..].chunks_exact(2) {
        out.extend(pair.iter().flat_map(|w| w.to_le_bytes()));
        if pair[0] == 0 {
            break;
        }
    }
    Ok(out)
}
