// SPDX-License-Identifier: Apache-2.0
//! What /proc says of a process at its start and at each exec. Source: proc(5).

use crate::sys::Tid;
use serde_json::{json, Map, Value};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

/// Longest argv kept in a line of the log; the whole of it is in the `execve` record.
const ARGV_BYTES_MAX: usize = 16 * 1024;

fn link(pid: Tid, name: &str) -> Value {
    match fs::read_link(format!("/proc/{pid}/{name}")) {
        Ok(path) => json!(String::from_utf8_lossy(path.as_os_str().as_bytes())),
        Err(_) => Value::Null,
    }
}

fn argv(pid: Tid) -> Value {
    let mut bytes = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|f| f.take(ARGV_BYTES_MAX as u64).read_to_end(&mut bytes));
    if read.is_err() {
        return Value::Null;
    }
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.split(|b| *b == 0).map(|a| json!(String::from_utf8_lossy(a))).collect()
}

/// Adds uid, euid, gid and egid from the `Uid:` and `Gid:` lines of /proc/pid/status.
fn add_ids(pid: Tid, to: &mut Map<String, Value>) {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return };
    for (line, real, effective) in [("Uid:", "uid", "euid"), ("Gid:", "gid", "egid")] {
        let numbers = status.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_default();
        let mut numbers = numbers.split_whitespace().filter_map(|n| n.parse::<u32>().ok());
        to.insert(real.to_owned(), json!(numbers.next()));
        to.insert(effective.to_owned(), json!(numbers.next()));
    }
}

/// Process and parent process of a thread, from the `Tgid:` and `PPid:` lines of /proc/tid/status.
#[must_use]
pub fn family(tid: Tid) -> Option<(Tid, Tid)> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let number = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).and_then(|n| n.trim().parse().ok());
    Some((number("Tgid:")?, number("PPid:")?))
}

/// Executable, argv, directory and ids of a process, as keys of a `process` line.
#[must_use]
pub fn describe(pid: Tid) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("exe".to_owned(), link(pid, "exe"));
    out.insert("argv".to_owned(), argv(pid));
    out.insert("cwd".to_owned(), link(pid, "cwd"));
    add_ids(pid, &mut out);
    out
}

/// What is wrong with an executable's word size or machine, if it is an ELF file and not one of ours.
#[must_use]
pub fn foreign_elf(path: &str) -> Option<String> {
    let mut head = [0u8; 20];
    fs::File::open(path).and_then(|mut f| f.read_exact(&mut head)).ok()?;
    if &head[0..4] != b"\x7fELF" {
        return None;
    }
    let machine = u16::from_le_bytes([head[18], head[19]]);
    let ours = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    match (head[4], machine) {
        (1, 62) => Some("x32".to_owned()),
        (1, _) => Some("32-bit".to_owned()),
        (2, m) if m == ours => None,
        (_, m) => Some(format!("foreign (ELF machine {m})")),
    }
}
