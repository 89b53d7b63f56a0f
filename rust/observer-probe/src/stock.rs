// SPDX-License-Identifier: Apache-2.0
//! What /proc and the cgroup tree say of what already runs. Source: proc(5), cgroups(7).

use serde_json::{json, Map, Value};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest argv kept in a line of the log.
const ARGV_BYTES_MAX: usize = 16 * 1024;
/// Open files listed for a process that already runs.
const FILES_MAX: usize = 256;

fn text(bytes: &[u8]) -> Value {
    json!(String::from_utf8_lossy(bytes))
}

fn link(path: &Path) -> Option<Value> {
    fs::read_link(path).ok().map(|target| text(target.as_os_str().as_bytes()))
}

/// Processes of this machine, as this pid namespace sees them.
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Field of /proc/pid/status, as its words.
fn status(pid: u32) -> Vec<(String, Vec<String>)> {
    let all = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let words = |rest: &str| rest.split_whitespace().map(str::to_owned).collect();
    let all = String::from_utf8_lossy(&all);
    all.lines().filter_map(|line| line.split_once(':')).map(|(key, rest)| (key.to_owned(), words(rest))).collect()
}

/// The parent of a process.
pub fn parent(pid: u32) -> Option<u32> {
    status(pid).into_iter().find(|(key, _)| key == "PPid").and_then(|(_, words)| words.first()?.parse().ok())
}

fn argv(pid: u32) -> Option<Value> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/cmdline")).ok()?.take(ARGV_BYTES_MAX as u64).read_to_end(&mut bytes).ok()?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Some(bytes.split(|b| *b == 0).map(text).collect())
}

/// A process's working directory.
pub fn cwd(pid: u32) -> Option<String> {
    link(Path::new(&format!("/proc/{pid}/cwd")))?.as_str().map(str::to_owned)
}

/// Path of a process's cgroup in the unified hierarchy.
pub fn cgroup_path(pid: u32) -> Option<String> {
    let all = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    all.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Ids of a cgroup's directory and of all below it: what the probe compares with. Bounded, so that a loop cannot hold us.
pub fn cgroups_below(top: &Path) -> Vec<(u64, PathBuf)> {
    let (mut out, mut waiting) = (Vec::new(), vec![top.to_owned()]);
    while let Some(dir) = waiting.pop() {
        let Ok(facts) = fs::symlink_metadata(&dir) else { continue };
        if !facts.is_dir() || out.len() > 65_000 {
            continue;
        }
        out.push((facts.ino(), dir.clone()));
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        waiting.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    out
}

fn is_script(file: &Path) -> bool {
    let mut first = [0; 2];
    fs::File::open(file).and_then(|mut f| f.read_exact(&mut first)).is_ok() && first == *b"#!"
}

/// Whether a process may run what it does because it executed this file: it is the file itself, or the file is a script, or it
/// cannot be told any more.
pub fn may_have_become(pid: u32, filename: &[u8]) -> bool {
    let Some(rest) = filename.strip_prefix(b"/") else { return true };
    let file = PathBuf::from(format!("/proc/{pid}/root")).join(std::ffi::OsStr::from_bytes(rest));
    let (Ok(ran), Ok(runs)) = (fs::metadata(&file), fs::metadata(format!("/proc/{pid}/exe"))) else { return true };
    (ran.dev(), ran.ino()) == (runs.dev(), runs.ino()) || is_script(&file)
}

/// Namespace inode numbers of a process, by kind.
fn namespaces(pid: u32) -> Map<String, Value> {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let inode = |kind: &str| {
        let target = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
        target.to_str()?.split_once('[')?.1.trim_end_matches(']').parse::<u64>().ok()
    };
    kinds.iter().filter_map(|kind| Some(((*kind).to_owned(), json!(inode(kind)?)))).collect()
}

/// Inode number of a process's pid namespace.
pub fn pid_namespace(pid: u32) -> Option<u64> {
    namespaces(pid).get("pid").and_then(Value::as_u64)
}

/// Open files as descriptor → what it leads to, the first 256.
fn files(pid: u32) -> Map<String, Value> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Map::new() };
    let named = |e: fs::DirEntry| Some((e.file_name().to_str()?.to_owned(), link(&e.path())?));
    entries.flatten().take(FILES_MAX).filter_map(named).collect()
}

/// Executable, argv, directory, ids, namespaces and cgroup of a process as keys of a `process` line; what is gone is left out.
pub fn describe(pid: u32, with_files: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let proc = PathBuf::from(format!("/proc/{pid}"));
    for (key, value) in [("exe", link(&proc.join("exe"))), ("argv", argv(pid)), ("cwd", link(&proc.join("cwd")))] {
        out.extend(value.map(|v| (key.to_owned(), v)));
    }
    for (key, words) in status(pid) {
        let number = |i: usize| words.get(i).and_then(|w| w.parse::<u64>().ok());
        match key.as_str() {
            "PPid" => out.extend(number(0).map(|n| ("ppid".to_owned(), json!(n)))),
            "Uid" => ids(&mut out, ["uid", "euid"], [number(0), number(1)]),
            "Gid" => ids(&mut out, ["gid", "egid"], [number(0), number(1)]),
            "NSpid" if words.len() > 1 => out.extend(number(words.len() - 1).map(|n| ("ns_pid".to_owned(), json!(n)))),
            "Threads" => out.extend(number(0).map(|n| ("threads".to_owned(), json!(n)))),
            _ => {}
        }
    }
    out.extend(cgroup_path(pid).map(|path| ("cgroup".to_owned(), json!(path))));
    let namespaces = namespaces(pid);
    if !namespaces.is_empty() {
        out.insert("namespaces".to_owned(), Value::Object(namespaces));
    }
    if with_files {
        out.insert("files".to_owned(), Value::Object(files(pid)));
    }
    out
}

fn ids(out: &mut Map<String, Value>, keys: [&str; 2], values: [Option<u64>; 2]) {
    for (key, value) in keys.into_iter().zip(values) {
        out.extend(value.map(|n| (key.to_owned(), json!(n))));
    }
}
