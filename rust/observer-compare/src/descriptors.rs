// SPDX-License-Identifier: Apache-2.0
//! What each file descriptor of each process stands for, so that one more open file does not shift all that follow.

use observer_model::{Arg, ArgType, Decoded, Ret, SyscallRecord, When};
use std::collections::HashMap;
use std::rc::Rc;

/// Descriptors by process, a process being a node of the tree.
#[derive(Default)]
pub struct Descriptors {
    tables: HashMap<usize, HashMap<i32, Rc<str>>>,
}

/// Paths whose content differs from run to run.
const VOLATILE: [&str; 5] = ["\"/proc/", "\"/sys/", "\"/dev/urandom", "\"/dev/random", "getrandom"];

/// Whether what is read from a thing with this label differs between equal runs.
#[must_use]
pub fn is_volatile(label: &str) -> bool {
    VOLATILE.iter().any(|v| label.starts_with(v))
}

impl Descriptors {
    /// Begins a process with the descriptors of the one that started it.
    pub fn begin(&mut self, process: usize, parent: Option<usize>) {
        if self.tables.contains_key(&process) {
            return;
        }
        let table = match parent {
            Some(parent) => self.tables.get(&parent).cloned().unwrap_or_default(),
            None => (0..3).map(|fd| (fd, ["stdin", "stdout", "stderr"][fd as usize].into())).collect(),
        };
        self.tables.insert(process, table);
    }

    /// What a descriptor stands for; its number when that is not known.
    #[must_use]
    pub fn label(&self, process: usize, fd: i32) -> Rc<str> {
        let known = self.tables.get(&process).and_then(|t| t.get(&fd));
        known.cloned().unwrap_or_else(|| fd.to_string().into())
    }

    /// Learns from a call that returned; `path` is its first path without what differs between runs.
    pub fn learn(&mut self, process: usize, call: &SyscallRecord, decoded: &Decoded, ret: Option<Ret>, path: Option<&str>) {
        if call.result < 0 {
            return;
        }
        let name = decoded.name.as_str();
        if matches!(name, "pipe" | "pipe2" | "socketpair") {
            self.learn_two(process, call, name);
            return;
        }
        let copied = matches!(name, "dup" | "dup2" | "dup3") || (name == "fcntl" && ret == Some(Ret::Fd));
        let Ok(fd) = i32::try_from(call.result) else { return };
        if copied {
            let label = self.label(process, low(call.args[0]));
            self.set(process, fd, label);
        } else if ret == Some(Ret::Fd) {
            let label = match path {
                Some(path) => path.to_owned(),
                None if name.starts_with("accept") => format!("{name} {}", self.label(process, low(call.args[0]))),
                None => name.to_owned(),
            };
            self.set(process, fd, label.into());
        }
    }

    fn learn_two(&mut self, process: usize, call: &SyscallRecord, name: &str) {
        let argument = if name == "socketpair" { 3 } else { 0 };
        let Some(blob) = call.blobs.iter().find(|b| b.arg == argument && b.when == When::Exit) else { return };
        for (index, word) in blob.bytes.chunks_exact(4).take(2).enumerate() {
            let fd = i32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            self.set(process, fd, format!("{name} {index}").into());
        }
    }

    fn set(&mut self, process: usize, fd: i32, label: Rc<str>) {
        self.tables.entry(process).or_default().insert(fd, label);
    }
}

/// The low half of a register, which is all that the kernel looks at for a descriptor.
#[allow(clippy::cast_possible_truncation)]
#[must_use]
pub fn low(register: u64) -> i32 {
    register as u32 as i32
}

/// Whether an argument is a descriptor.
#[must_use]
pub fn is_descriptor(arg: &Arg) -> bool {
    matches!(arg.ty, ArgType::Fd | ArgType::DirFd)
}
