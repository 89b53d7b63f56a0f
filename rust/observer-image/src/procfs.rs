// SPDX-License-Identifier: Apache-2.0
//! What /proc says: which processes belong together, their threads, small files. Source: proc(5).

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Largest file of /proc that is kept.
pub const FILE_MAX: u64 = 4 << 20;
const ROOM: usize = 16 << 10;

/// A small file, as far as it can be read.
#[must_use]
pub fn read(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(ROOM); // an empty vector would be filled in ten reads, of 32 bytes at first
    fs::File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut out).ok()?;
    Some(out)
}

/// The same as text.
#[must_use]
pub fn text(path: impl AsRef<Path>) -> Option<String> {
    read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn numbers(folder: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut out: Vec<u32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    out.sort_unstable();
    out
}

/// Threads of a process, the leader first.
#[must_use]
pub fn threads(pid: u32) -> Vec<u32> {
    let mut out = numbers(&format!("/proc/{pid}/task"));
    out.sort_by_key(|tid| (*tid != pid, *tid));
    out
}

/// A field of /proc/PID/status.
#[must_use]
pub fn status(pid: u32, field: &str) -> Option<String> {
    field_of(&text(format!("/proc/{pid}/status"))?, field).map(str::to_owned)
}

fn field_of<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

/// False for a process that has ended and only waits for its parent, or that never had memory.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let Some(status) = text(format!("/proc/{pid}/status")) else { return false };
    let runs = field_of(&status, "State").is_some_and(|state| !state.starts_with(['Z', 'X']));
    runs && field_of(&status, "VmSize").is_some()
}

/// Ticks after boot at which it began; tells a process from a later one of the same number.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    let text = text(format!("/proc/{pid}/stat"))?;
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Children of a process, of all its threads.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let lists = threads(pid).into_iter().filter_map(|tid| text(format!("/proc/{pid}/task/{tid}/children")));
    lists.flat_map(|list| list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Which processes are asked for.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// These.
    pub pids: Vec<u32>,
    /// And all that descend from them.
    pub descendants: bool,
    /// And all in this cgroup and those below it.
    pub cgroup: Option<String>,
    /// Never these: ourselves.
    pub never: Vec<u32>,
}

impl Scope {
    /// The processes that there are now.
    #[must_use]
    pub fn members(&self) -> BTreeSet<u32> {
        let mut out = BTreeSet::new();
        let mut todo = self.pids.clone();
        if let Some(cgroup) = &self.cgroup {
            in_cgroup(Path::new(cgroup), &mut todo);
        }
        while let Some(pid) = todo.pop() {
            if self.never.contains(&pid) || !is_alive(pid) || !out.insert(pid) {
                continue;
            }
            if self.descendants {
                todo.extend(children(pid));
            }
        }
        out
    }
}

fn in_cgroup(folder: &Path, out: &mut Vec<u32>) {
    if let Some(list) = text(folder.join("cgroup.procs")) {
        out.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid > 0));
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        in_cgroup(&entry.path(), out);
    }
}
