// SPDX-License-Identifier: Apache-2.0
//! Loads the probe, attaches it, and owns its maps. Everything it makes in the kernel hangs on this process's descriptors, so it
//! is gone when the process is, however that ends.

use crate::abi::{Lane, Loss, LossKey, Plan, BLOCK, BLOCKS_MAX};
use crate::config::Config;
use crate::error::ProbeError;
use crate::lanes::Lanes;
use crate::missing::explain;
use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

#[cfg(target_arch = "x86_64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../object/x86_64.bpf.o");
#[cfg(target_arch = "aarch64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../object/aarch64.bpf.o");

/// Kinds of loss, numbered from 1. Source: docs/spec/bpf-abi.md §6.
const LOSS_KINDS: u32 = 5;
const MODE_ALL: u32 = 1;
const MODE_PIDS: u32 = 2;
const MODE_CGROUPS: u32 = 4;

/// Program and tracepoint. The lives of processes come first, so that nobody is born unseen while the rest attaches.
const PROGRAMS: [(&str, &str); 8] = [
    ("on_cgroup", "cgroup_mkdir"),
    ("on_cgroup_end", "cgroup_rmdir"),
    ("on_fork", "sched_process_fork"),
    ("on_exec", "sched_process_exec"),
    ("on_end", "sched_process_exit"),
    ("on_signal", "signal_deliver"),
    ("on_exit", "sys_exit"),
    ("on_enter", "sys_enter"),
];
/// The tracepoint had another name before Linux 6.3.
const URING: [&str; 2] = ["io_uring_submit_req", "io_uring_submit_sqe"];

/// The loaded probe.
pub struct Kernel {
    ebpf: Ebpf,
    bell: RingBuf<MapData>,
    lanes: Lanes,
    /// The kernel tells us of submissions to io_uring.
    pub sees_uring: bool,
}

/// Kernels before 5.11 count maps against RLIMIT_MEMLOCK; without the right to raise it the load says so itself.
fn raise_memlock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid struct for the duration of the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

fn btf() -> Result<Btf, ProbeError> {
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(ProbeError::Capability {
            what: "the kernel has no type information (/sys/kernel/btf/vmlinux)".to_owned(),
            how: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of the distributions since 2020 are; in a container mount /sys",
        });
    }
    Btf::from_sys_fs().map_err(|e| explain(&e))
}

fn cpus() -> Result<u32, ProbeError> {
    let count = aya::util::nr_cpus().map_err(|(what, e)| ProbeError::Load(format!("{what}: {e}")))?;
    u32::try_from(count).map_err(|_| ProbeError::Load("too many CPUs".to_owned()))
}

impl Kernel {
    /// Loads the probe for `config`; nothing is watched yet.
    pub fn load(config: &Config, plans: &[(u32, Plan)]) -> Result<Kernel, ProbeError> {
        raise_memlock();
        let btf = btf()?;
        let by_pid = !config.pids.is_empty() || !config.namespaces.is_empty() || config.command.is_some();
        let modes = [(config.all, MODE_ALL), (by_pid, MODE_PIDS), (!config.cgroups.is_empty(), MODE_CGROUPS)];
        let mode: u32 = modes.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum();
        let cpus = cpus()?;
        let blocks = blocks_each(config.ring_bytes, cpus);
        let namespaces = u32::from(!config.namespaces.is_empty());
        let (own, wake) = (std::process::id(), (blocks / 4).clamp(1, WAKE_BYTES / BLOCK as u32));
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&btf));
        loader.override_global("obs_mode", &mode, true);
        loader.override_global("obs_namespaces", &namespaces, true);
        loader.override_global("obs_self", &own, true);
        loader.override_global("obs_string_max", &config.string_bytes, true);
        loader.override_global("obs_data_max", &config.data_bytes, true);
        loader.override_global("obs_blocks", &blocks, true);
        loader.override_global("obs_wake_blocks", &wake, true);
        loader.map_max_entries("blocks", cpus * blocks);
        loader.map_max_entries("lanes", cpus);
        loader.map_max_entries("works", cpus);
        let mut ebpf = loader.load(OBJECT).map_err(|e: EbpfError| explain(&e))?;
        fill_plans(&mut ebpf, plans)?;
        let bell = ebpf.take_map("bell").ok_or_else(|| missing("bell"))?;
        let bell = RingBuf::try_from(bell).map_err(|e| explain(&e))?;
        let lanes = Lanes::map(map_fd(&ebpf, "lanes")?, map_fd(&ebpf, "blocks")?, cpus, blocks)?;
        let mut kernel = Kernel { ebpf, bell, lanes, sees_uring: false };
        for (program, tracepoint) in PROGRAMS {
            kernel.verify(program, tracepoint, &btf).map_err(|e| explain(&e))?;
        }
        kernel.place_for_losses(cpus)?;
        kernel.sees_uring = URING.iter().any(|tracepoint| kernel.verify("on_uring", tracepoint, &btf).is_ok());
        Ok(kernel)
    }

    /// Losses of cgroups for which the table has no room are counted under cgroup 0, which is there from the start.
    fn place_for_losses(&mut self, cpus: u32) -> Result<(), ProbeError> {
        let mut map = self.map::<LossKey, Loss>("losses")?;
        for (cpu, what) in (0..cpus).flat_map(|cpu| (1..=LOSS_KINDS).map(move |what| (cpu, what))) {
            map.insert(LossKey { cgroup: 0, cpu, what }, Loss::default(), 0).map_err(|e| explain(&e))?;
        }
        Ok(())
    }

    fn program(&mut self, name: &str) -> Result<&mut BtfTracePoint, ProgramError> {
        let program = self.ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?;
        program.try_into()
    }

    fn verify(&mut self, program: &str, tracepoint: &str, btf: &Btf) -> Result<(), ProgramError> {
        self.program(program)?.load(tracepoint, btf)
    }

    /// Attaches every program: from here on records come.
    pub fn attach(&mut self) -> Result<(), ProbeError> {
        for (name, _) in PROGRAMS {
            self.program(name).and_then(|p| p.attach().map(drop)).map_err(|e| explain(&e))?;
        }
        if self.sees_uring {
            self.sees_uring = self.program("on_uring").and_then(|p| p.attach().map(drop)).is_ok();
        }
        Ok(())
    }

    /// Detaches: no record comes after this returns, but some may still lie in the ring buffer.
    pub fn detach(&mut self) {
        for (name, _) in PROGRAMS.iter().rev().chain(&[("on_uring", "")]) {
            if let Ok(program) = self.program(name) {
                let _ = program.unload();
            }
        }
    }

    fn map<K: aya::Pod, V: aya::Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>, ProbeError> {
        let map = self.ebpf.map_mut(name).ok_or_else(|| ProbeError::Load(format!("the object has no map {name}")))?;
        HashMap::try_from(map).map_err(|e| explain(&e))
    }

    /// Watches a process; returns false when it was watched already.
    pub fn add_pid(&mut self, pid: u32) -> Result<bool, ProbeError> {
        let mut map = self.map::<u32, u32>("pids")?;
        if map.get(&pid, 0).is_ok() {
            return Ok(false);
        }
        map.insert(pid, 1, 0).map_err(|e| explain(&e))?;
        Ok(true)
    }

    /// Watches who is born in a pid namespace.
    pub fn add_namespace(&mut self, inode: u32) -> Result<(), ProbeError> {
        self.map::<u32, u32>("namespaces")?.insert(inode, 1, 0).map_err(|e| explain(&e))
    }

    /// Watches a cgroup; returns false when it was watched already.
    pub fn add_cgroup(&mut self, id: u64) -> Result<bool, ProbeError> {
        let mut map = self.map::<u64, u32>("cgroups")?;
        if map.get(&id, 0).is_ok() {
            return Ok(false);
        }
        map.insert(id, 1, 0).map_err(|e| explain(&e))?;
        Ok(true)
    }

    /// Whether any process is still watched by its id.
    pub fn any_pid(&mut self) -> bool {
        self.map::<u32, u32>("pids").is_ok_and(|map| map.keys().next().is_some())
    }

    /// What each CPU has counted so far.
    #[must_use]
    pub fn counters(&self) -> Vec<Lane> {
        self.lanes.counters()
    }

    /// Bytes in the blocks that were no message.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.lanes.malformed
    }

    /// Losses so far, by cgroup, CPU and kind.
    pub fn losses(&mut self) -> Result<Vec<(LossKey, Loss)>, ProbeError> {
        let map = self.map::<LossKey, Loss>("losses")?;
        Ok(map.iter().flatten().collect())
    }

    /// Descriptor that becomes readable when much is waiting.
    pub fn bell_fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// Hands each waiting message to `take`, at most about `limit`; returns how many.
    pub fn drain(&mut self, limit: usize, detached: bool, take: impl FnMut(&[u8])) -> usize {
        while self.bell.next().is_some() {}
        self.lanes.drain(limit, detached, take)
    }
}

/// Wakes the recorder when so much is waiting, at most.
const WAKE_BYTES: u32 = 512 * 1024;
/// A buffer of the size that is not asked for has so much for each CPU at least.
const LEAST_EACH: u64 = 1 << 20;

/// Blocks for each CPU out of `bytes` in all: at least two.
fn blocks_each(bytes: u32, cpus: u32) -> u32 {
    let least = if bytes == crate::config::RING_BYTES { LEAST_EACH } else { 0 };
    let each = (u64::from(bytes) / u64::from(cpus.max(1))).max(least) / BLOCK as u64;
    each.clamp(2, BLOCKS_MAX as u64) as u32
}

fn missing(map: &str) -> ProbeError {
    ProbeError::Load(format!("the object has no map {map}"))
}

fn map_fd<'a>(ebpf: &'a Ebpf, name: &str) -> Result<BorrowedFd<'a>, ProbeError> {
    match ebpf.map(name) {
        Some(Map::Array(map)) => Ok(map.fd().as_fd()),
        _ => Err(missing(name)),
    }
}

fn fill_plans(ebpf: &mut Ebpf, plans: &[(u32, Plan)]) -> Result<(), ProbeError> {
    let map = ebpf.map_mut("plans").ok_or_else(|| ProbeError::Load("the object has no plans".to_owned()))?;
    let mut map: Array<_, Plan> = Array::try_from(map).map_err(|e| explain(&e))?;
    for (nr, plan) in plans {
        map.set(*nr, plan, 0).map_err(|e| explain(&e))?;
    }
    Ok(())
}
