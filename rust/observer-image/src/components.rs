// SPDX-License-Identifier: Apache-2.0
//! State that is not memory: registers and signals of threads, what /proc says of processes, the cgroup, the kernel.

use crate::descriptors::{self, Descriptor, Sockets};
use crate::procfs;
use crate::stop::Held;
use crate::sys::{self, Tid};
use observer_snapshot::manifest::Component;
use serde_json::{json, Map};
use std::fs;
use std::path::Path;

/// A component and its bytes, before they are written.
pub type Part = (Component, Vec<u8>);

#[cfg(target_arch = "x86_64")]
const SETS: &[(&str, usize)] = &[("prstatus", 1), ("fpregset", 2), ("xstate", 0x202)];
#[cfg(not(target_arch = "x86_64"))]
const SETS: &[(&str, usize)] = &[("prstatus", 1), ("fpregset", 2)];

/// Files of /proc/PID that do not change much: read before the stop.
const EARLY: &[&str] = &[
    "cmdline",
    "environ",
    "auxv",
    "limits",
    "cgroup",
    "mountinfo",
    "uid_map",
    "gid_map",
    "oom_score_adj",
    "personality",
    "loginuid",
    "timerslack_ns",
    "coredump_filter",
    "attr/current",
];
/// Files read while everything stands.
const AT_STOP: &[&str] = &["stat", "status"];
const NAMESPACES: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
const LINKS: &[&str] = &["cwd", "root", "exe"];
/// Files of /proc that tell of the kernel.
const KERNEL: &[&str] = &[
    "meminfo",
    "pressure/cpu",
    "pressure/memory",
    "pressure/io",
    "modules",
    "version",
    "cmdline",
    "loadavg",
    "uptime",
    "stat",
    "vmstat",
    "swaps",
    "filesystems",
    "mounts",
    "sys/kernel/osrelease",
    "sys/kernel/hostname",
    "sys/kernel/tainted",
    "sys/kernel/random/boot_id",
    "sys/kernel/randomize_va_space",
];
const NETWORK: &[&str] = &["tcp", "tcp6", "udp", "udp6", "unix", "dev", "route", "arp", "netstat", "snmp", "sockstat"];
/// Files of a cgroup, of either version; the rest is not state.
const CGROUP_PREFIXES: &[&str] =
    &["memory.", "cpu.", "cpuacct.", "cpuset.", "pids.", "io.", "blkio.", "hugetlb.", "cgroup.", "freezer.", "misc."];
const CGROUP_NEVER: &[&str] = &["memory.force_empty", "cgroup.kill", "cgroup.clone_children", "memory.reclaim"];

fn part(kind: &str, name: &str, (pid, tid): (u32, u32), bytes: Vec<u8>) -> Part {
    (Component { kind: kind.into(), name: name.into(), pid, tid, ..Component::default() }, bytes)
}

/// Registers and signals of a stopped thread.
#[must_use]
pub fn of_thread(held: Held) -> Vec<Part> {
    let (tid, ids) = (held.tid as Tid, (held.pid, held.tid));
    let mut out = Vec::new();
    for (name, set) in SETS {
        if let Ok(bytes) = sys::register_set(tid, *set) {
            out.push(part("registers", name, ids, bytes));
        }
    }
    let signals =
        [("siginfo", sys::signal_info(tid)), ("sigmask", sys::signal_mask(tid)), ("pending", sys::pending_signals(tid, false))];
    for (name, bytes) in signals {
        if let Some(bytes) = bytes.ok().filter(|bytes| !bytes.is_empty()) {
            out.push(part("signals", name, ids, bytes));
        }
    }
    if held.pid == held.tid {
        if let Some(bytes) = sys::pending_signals(tid, true).ok().filter(|bytes| !bytes.is_empty()) {
            out.push(part("signals", "shared_pending", ids, bytes));
        }
    }
    out
}

/// What does not change much of a process.
#[must_use]
pub fn early(pid: u32) -> Vec<Part> {
    let mut out: Vec<Part> = files(&format!("/proc/{pid}"), EARLY, "process", pid);
    for name in NAMESPACES {
        if let Ok(target) = fs::read_link(format!("/proc/{pid}/ns/{name}")) {
            let text = target.to_string_lossy();
            let inode = text.rsplit_once('[').map_or("", |(_, rest)| rest.trim_end_matches(']'));
            out.push(part("namespace", name, (pid, 0), inode.as_bytes().to_vec()));
        }
    }
    for name in LINKS {
        if let Ok(target) = fs::read_link(format!("/proc/{pid}/{name}")) {
            out.push(part("process", name, (pid, 0), target.to_string_lossy().into_owned().into_bytes()));
        }
    }
    out
}

/// What is read of a process while it stands.
#[must_use]
pub fn at_stop(pid: u32) -> (Vec<Part>, Vec<Descriptor>) {
    (files(&format!("/proc/{pid}"), AT_STOP, "process", pid), descriptors::of(pid))
}

/// A thread's own name, and where it was in the kernel shortly before the stop.
#[must_use]
pub fn thread_facts(pid: u32, tid: u32) -> Option<Part> {
    let folder = format!("/proc/{pid}/task/{tid}");
    let text = |name: &str| procfs::text(format!("{folder}/{name}")).unwrap_or_default().trim_end().to_owned();
    let facts = json!({"comm": text("comm"), "syscall": text("syscall"), "wchan": text("wchan")});
    Some(part("thread", "facts", (pid, tid), serde_json::to_vec(&facts).ok()?))
}

/// Descriptors as components.
#[must_use]
pub fn descriptors(pid: u32, found: &[Descriptor]) -> Vec<Part> {
    let sockets = Sockets::of(pid);
    let one = |descriptor: &Descriptor| {
        let bytes = serde_json::to_vec(&descriptors::describe(descriptor, &sockets)).unwrap_or_default();
        let (mut component, bytes) = part("descriptor", &descriptor.number.to_string(), (pid, 0), bytes);
        component.metadata = Map::from_iter([("path".to_owned(), json!(descriptor.path))]);
        (component, bytes)
    };
    found.iter().map(one).collect()
}

fn files(folder: &str, names: &[&str], kind: &str, pid: u32) -> Vec<Part> {
    let one = |name: &&str| Some(part(kind, name, (pid, 0), procfs::read(format!("{folder}/{name}"))?));
    names.iter().filter_map(one).filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// The kernel's own state; network tables as the process sees them.
#[must_use]
pub fn kernel(pid: u32) -> Vec<Part> {
    let mut out = files("/proc", KERNEL, "kernel", 0);
    for name in NETWORK {
        if let Some(bytes) = procfs::read(format!("/proc/{pid}/net/{name}")).filter(|bytes| !bytes.is_empty()) {
            out.push(part("kernel", &format!("net/{name}"), (0, 0), bytes));
        }
    }
    out
}

/// Limits and counters of the cgroups that a process is in, of each hierarchy.
#[must_use]
pub fn cgroups(pid: u32) -> Vec<Part> {
    let mounts = procfs::text("/proc/self/mounts").unwrap_or_default();
    let list = procfs::text(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mut out = Vec::new();
    for line in list.lines() {
        let mut words = line.splitn(3, ':');
        let (_, controllers, path) = (words.next(), words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let place = mounts.lines().find_map(|mount| place_of(mount, controllers));
        let Some(place) = place else { continue };
        let folder = Path::new(place).join(path.trim_start_matches('/'));
        cgroup_files(&folder, pid, &mut out);
    }
    out
}

fn place_of<'a>(mount: &'a str, controllers: &str) -> Option<&'a str> {
    let words: Vec<&str> = mount.split(' ').collect();
    let (place, kind, options) = (*words.get(1)?, *words.get(2)?, *words.get(3)?);
    let first = controllers.split(',').next().unwrap_or("");
    let fits =
        if first.is_empty() { kind == "cgroup2" } else { kind == "cgroup" && options.split(',').any(|option| option == first) };
    fits.then_some(place)
}

fn cgroup_files(folder: &Path, pid: u32, out: &mut Vec<Part>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    for name in names {
        let wanted = CGROUP_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !CGROUP_NEVER.contains(&name.as_str());
        if !wanted || !folder.join(&name).metadata().is_ok_and(|facts| facts.is_file()) {
            continue;
        }
        if let Some(bytes) = procfs::read(folder.join(&name)).filter(|bytes| !bytes.is_empty()) {
            let (mut component, bytes) = part("cgroup", &name, (pid, 0), bytes);
            component.metadata = Map::from_iter([("folder".to_owned(), json!(folder.to_string_lossy()))]);
            out.push((component, bytes));
        }
    }
}
