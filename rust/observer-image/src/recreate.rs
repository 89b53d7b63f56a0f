// SPDX-License-Identifier: Apache-2.0
//! A process of a snapshot as a stopped process again, for debuggers: its memory at its addresses, its threads with their registers,
//! in a [`Cell`]. Every system call it would make is trapped, so it can reach nothing.

use crate::cell::{self, Cell};
use crate::error::{ImageError, Result};
use crate::maps;
use crate::procfs;
use crate::sys::{self, Tid};
use observer_snapshot::manifest::{Process, Region};
use observer_snapshot::node::{REFERENCE, ZERO};
use observer_snapshot::reader::{Seen, Snapshot};
use observer_snapshot::{SnapshotError, PAGE};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Places for the two pages of the cell: in the middle of the address space, where kernels put nothing.
const PLACES: [u64; 6] =
    [0x6fff_f000_0000, 0x5fff_f000_0000, 0x4fff_f000_0000, 0x3fff_f000_0000, 0x2fff_f000_0000, 0x1fff_f000_0000];
const USER_END: u64 = 0x7fff_ffff_f000;
const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
const MAP_FLAGS: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE) as u64;
const TSYNC: u64 = 1; // SECCOMP_FILTER_FLAG_TSYNC
const RET_TRAP: u32 = 0x0003_0000; // SECCOMP_RET_TRAP
const PATIENCE: u32 = 2000; // looks, a millisecond apart, for all threads to stand

/// What was re-created.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Recreated {
    /// The process, as this machine knows it.
    pub pid: u32,
    /// Its threads by their ids in the snapshot.
    pub threads: BTreeMap<u32, u32>,
    /// Pages with content that were put in.
    pub pages: u64,
    /// Pages that are zeros there because the snapshot does not have them.
    pub absent_pages: u64,
    /// It has a user namespace of its own.
    pub own_user: bool,
    /// Address of the two pages that are not the snapshot's.
    pub cell: u64,
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> ImageError {
    move |error| ImageError::Usage(format!("the process cannot be re-created here: {what}: {error}"))
}

/// Re-create a process. All of it belongs to the calling thread and ends with it.
///
/// # Errors
/// The snapshot has no such process, is of another kind of machine, or the kernel refuses.
pub fn recreate(snapshot: &mut Snapshot, pid: u32) -> Result<(Cell, Recreated)> {
    let process = snapshot.process(pid).cloned();
    let process = process.ok_or_else(|| SnapshotError::NotFound(format!("the snapshot has no process {pid}")))?;
    if process.threads.is_empty() || !cfg!(target_arch = "x86_64") {
        return Err(ImageError::Usage("only a process with threads can be re-created, and only on x86-64".into()));
    }
    let base = free_place(&process)?;
    let mut cell = Cell::start(base).map_err(refused("new namespaces"))?;
    let mut out = Recreated { own_user: cell.own_user, cell: base, ..Recreated::default() };
    clear(&cell)?;
    for region in process.regions.iter().filter(|region| region.end() <= USER_END) {
        put_region(snapshot, &cell, region, &mut out)?;
    }
    for _ in 1..process.threads.len() {
        cell.add_thread().map_err(refused("a thread"))?;
    }
    name_threads(snapshot, &cell, &process);
    describe_memory(snapshot, &cell, &process);
    lock(&cell)?;
    for (tid, now) in process.threads.iter().zip(&cell.threads) {
        set_thread(snapshot, (pid, *tid), *now)?;
        out.threads.insert(*tid, now.unsigned_abs());
    }
    out.pid = cell.pid.unsigned_abs();
    let_stand(&cell)?;
    Ok((cell, out))
}

fn free_place(process: &Process) -> Result<u64> {
    let taken = |place: u64| process.regions.iter().any(|region| region.start < place + cell::SIZE && place < region.end());
    let free = PLACES.into_iter().find(|place| !taken(*place));
    free.ok_or_else(|| ImageError::Usage("the process leaves no room for the two pages that re-create it".into()))
}

/// Take away what the kernel gave the new program.
fn clear(cell: &Cell) -> Result<()> {
    for mapping in maps::of(cell.pid.unsigned_abs()).unwrap_or_default() {
        let own = mapping.start >= cell.base && mapping.end <= cell.base + cell::SIZE;
        if !own && mapping.end <= USER_END {
            let call = (libc::SYS_munmap as u64, [mapping.start, mapping.size(), 0, 0, 0, 0]);
            cell.call(cell.pid, call).map_err(refused("munmap"))?;
        }
    }
    Ok(())
}

fn protection(region: &Region) -> u64 {
    let bits = [('r', libc::PROT_READ), ('w', libc::PROT_WRITE), ('x', libc::PROT_EXEC)];
    bits.iter().filter(|(letter, _)| region.permissions.contains(*letter)).map(|(_, bit)| *bit as u64).sum()
}

fn put_region(snapshot: &mut Snapshot, cell: &Cell, region: &Region, out: &mut Recreated) -> Result<()> {
    let map = (libc::SYS_mmap as u64, [region.start, region.size, READ_WRITE, MAP_FLAGS, u64::MAX, 0]);
    cell.call(cell.pid, map).map_err(refused("mmap"))?;
    if region.policy != "excluded" {
        fill(snapshot, cell, region, out)?;
    }
    let protect = (libc::SYS_mprotect as u64, [region.start, region.size, protection(region), 0, 0, 0]);
    cell.call(cell.pid, protect).map_err(refused("mprotect"))?;
    Ok(())
}

fn fill(snapshot: &mut Snapshot, cell: &Cell, region: &Region, out: &mut Recreated) -> Result<()> {
    let page = PAGE as u64;
    let sources = snapshot.sources.clone();
    let mut at = 0;
    let put = |bytes: &[u8], at: u64| {
        let done = sys::write_memory(cell.pid, region.start + at * page, bytes);
        done.then_some(()).ok_or_else(|| SnapshotError::Usage("the memory of the re-created process cannot be written".into()))
    };
    snapshot.visit(region, (0, region.pages()), &mut |seen| {
        let count = seen.pages();
        match seen {
            Seen::Content(bytes) => {
                put(bytes, at)?;
                out.pages += count;
            }
            Seen::Class(REFERENCE, _) => {
                let there = sources.pages_from(region.source, region.offset.saturating_add(at * page)).min(count);
                out.absent_pages += count - there;
                for step in at..at + there {
                    match sources.page(region.source, region.offset + step * page) {
                        Ok(bytes) => put(&bytes, step)?,
                        Err(_) => out.absent_pages += 1,
                    }
                }
                out.pages += count;
            }
            Seen::Class(ZERO, _) => {}
            Seen::Class(..) | Seen::Damaged(..) => out.absent_pages += count,
        }
        at += count;
        Ok(())
    })?;
    Ok(())
}

fn part(snapshot: &Snapshot, kind: &str, name: &str, (pid, tid): (u32, u32)) -> Vec<u8> {
    let found = snapshot.find_component(kind, name, pid, tid).map(|component| snapshot.component(component));
    found.and_then(std::result::Result::ok).unwrap_or_default()
}

/// Names help who looks; without them everything else is still right.
fn name_threads(snapshot: &Snapshot, cell: &Cell, process: &Process) {
    for (tid, now) in process.threads.iter().zip(&cell.threads) {
        let facts = part(snapshot, "thread", "facts", (process.pid, *tid));
        let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap_or_default();
        let name = facts.get("comm").and_then(serde_json::Value::as_str).filter(|name| !name.is_empty()).unwrap_or(&process.comm);
        let mut bytes = name.as_bytes()[..name.len().min(15)].to_vec();
        bytes.push(0);
        let call = (libc::SYS_prctl as u64, [libc::PR_SET_NAME as u64, cell.room(), 0, 0, 0, 0]);
        let _ = cell.call_with(*now, &bytes, call);
    }
}

/// Tell the kernel where arguments, heap and the auxiliary vector are, so that debuggers find loaded libraries. Source: prctl(2),
/// `struct prctl_mm_map`. A kernel that does not take it leaves only that out.
fn describe_memory(snapshot: &Snapshot, cell: &Cell, process: &Process) {
    let auxv = part(snapshot, "process", "auxv", (process.pid, 0));
    let places = places(&part(snapshot, "process", "stat", (process.pid, 0)), process);
    let mut bytes: Vec<u8> = places.iter().flat_map(|place| place.to_le_bytes()).collect();
    let behind = cell.room() + bytes.len() as u64 + 16;
    bytes.extend_from_slice(&behind.to_le_bytes());
    bytes.extend_from_slice(&(auxv.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&u32::MAX.to_le_bytes()); // no other executable
    let size = bytes.len() as u64;
    bytes.extend_from_slice(&auxv);
    if bytes.len() <= PAGE {
        let call = (libc::SYS_prctl as u64, [libc::PR_SET_MM as u64, libc::PR_SET_MM_MAP as u64, cell.room(), size, 0, 0]);
        let _ = cell.call_with(cell.pid, &bytes, call);
    }
}

/// Code, data, heap, stack, arguments and environment, as proc(5) numbers them in /proc/PID/stat; of a moment of a recording, which
/// has no such file, what the kernel takes for them: its own check is that they lie in order.
fn places(stat: &[u8], process: &Process) -> [u64; 11] {
    let text = String::from_utf8_lossy(stat);
    let Some((_, rest)) = text.rsplit_once(')') else {
        let (start, end) = process.regions.first().map_or((0, 0), |region| (region.start, region.end()));
        return [start, end, start, end, end, end, end, start, end, start, end];
    };
    let words: Vec<u64> = rest.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
    [26, 27, 45, 46, 47, 47, 28, 48, 49, 50, 51].map(|number: usize| words.get(number - 3).copied().unwrap_or(0))
}

/// From here on every system call of every thread is trapped.
fn lock(cell: &Cell) -> Result<()> {
    let no_more = (libc::SYS_prctl as u64, [libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0]);
    cell.call(cell.pid, no_more).map_err(refused("no_new_privs"))?;
    let mut bytes = vec![0; 16];
    bytes[0] = 1; // struct sock_fprog: one instruction, behind it
    bytes[8..16].copy_from_slice(&(cell.room() + 16).to_le_bytes());
    bytes.extend_from_slice(&[6, 0, 0, 0]); // BPF_RET | BPF_K
    bytes.extend_from_slice(&RET_TRAP.to_le_bytes());
    let filter = (libc::SYS_seccomp as u64, [1, TSYNC, cell.room(), 0, 0, 0]);
    cell.call_with(cell.pid, &bytes, filter).map_err(refused("seccomp"))?;
    sys::write_memory(cell.pid, cell.room(), &[0; PAGE]);
    Ok(())
}

/// Give a thread its registers.
fn set_thread(snapshot: &Snapshot, ids: (u32, u32), now: Tid) -> Result<()> {
    let general = part(snapshot, "registers", "prstatus", ids);
    if general.is_empty() {
        return Ok(()); // it slept uninterruptibly and has none in the snapshot
    }
    let extended = part(snapshot, "registers", "xstate", ids);
    if !extended.is_empty() {
        let _ = sys::set_register_set(now, 0x202, &extended); // another processor's set may be larger than this one's
    }
    sys::set_register_set(now, libc::NT_PRSTATUS as usize, &general).map_err(refused("registers"))
}

/// Let the tracer go and the threads stand: each is handed a stop before its first instruction.
fn let_stand(cell: &Cell) -> Result<()> {
    for tid in &cell.threads {
        sys::detach(*tid, libc::SIGSTOP).map_err(refused("let go"))?;
    }
    let pid = cell.pid.unsigned_abs();
    let stands = |tid: u32| procfs::text(format!("/proc/{pid}/task/{tid}/stat")).is_some_and(|text| text.contains(") T "));
    for _ in 0..PATIENCE {
        if procfs::threads(pid).into_iter().all(stands) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(ImageError::Usage("the re-created process does not stand".into()))
}
