// SPDX-License-Identifier: Apache-2.0
//! The notes of an ELF core: threads with registers, signals, the auxiliary vector, mapped files. Source: core(5), Linux's elfcore.h.

use crate::error::Result;
use crate::manifest::Process;
use crate::reader::Snapshot;
use crate::PAGE;

const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_X86_XSTATE: u32 = 0x202;
const NT_FILE: u32 = 0x4649_4c45;
const NT_SIGINFO: u32 = 0x5349_4749;
const PRSTATUS_HEAD: usize = 112; // bytes of elf_prstatus before pr_reg on 64-bit machines
const FIELDS: usize = 40; // of /proc/PID/stat that are used

fn note(out: &mut Vec<u8>, name: &[u8], kind: u32, content: &[u8]) {
    out.extend_from_slice(&(name.len() as u32 + 1).to_le_bytes());
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(name);
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn part(snapshot: &Snapshot, kind: &str, name: &str, pid: u32, tid: u32) -> Result<Option<Vec<u8>>> {
    snapshot.find_component(kind, name, pid, tid).map(|found| snapshot.component(found)).transpose()
}

/// All notes of a process.
///
/// # Errors
/// A component does not hold.
pub fn of_process(snapshot: &Snapshot, process: &Process) -> Result<Vec<u8>> {
    let pid = process.pid;
    let mut out = Vec::new();
    let stat = part(snapshot, "process", "stat", pid, 0)?.unwrap_or_default();
    let facts = Stat::parse(&stat);
    for (index, tid) in process.threads.iter().enumerate() {
        let Some(registers) = part(snapshot, "registers", "prstatus", pid, *tid)? else { continue };
        let mask = part(snapshot, "signals", "sigmask", pid, *tid)?.unwrap_or_default();
        note(&mut out, b"CORE", NT_PRSTATUS, &prstatus(process, *tid, &registers, (&mask, &facts)));
        if index == 0 {
            let line = part(snapshot, "process", "cmdline", pid, 0)?.unwrap_or_default();
            note(&mut out, b"CORE", NT_PRPSINFO, &prpsinfo(process, &facts, &line));
            if let Some(info) = part(snapshot, "signals", "siginfo", pid, *tid)? {
                note(&mut out, b"CORE", NT_SIGINFO, &info);
            }
            if let Some(auxv) = part(snapshot, "process", "auxv", pid, 0)? {
                note(&mut out, b"CORE", NT_AUXV, &auxv);
            }
            note(&mut out, b"CORE", NT_FILE, &files(process));
        }
        if let Some(registers) = part(snapshot, "registers", "fpregset", pid, *tid)? {
            note(&mut out, b"CORE", NT_FPREGSET, &registers);
        }
        if let Some(registers) = part(snapshot, "registers", "xstate", pid, *tid)? {
            note(&mut out, b"LINUX", NT_X86_XSTATE, &registers);
        }
    }
    Ok(out)
}

/// What of /proc/PID/stat goes into notes.
struct Stat {
    state: u8,
    fields: Vec<u64>, // from ppid on
}

impl Stat {
    fn parse(bytes: &[u8]) -> Stat {
        let behind = bytes.iter().rposition(|byte| *byte == b')').map_or(bytes.len(), |at| at + 1);
        let text = String::from_utf8_lossy(&bytes[behind..]);
        let mut words = text.split_ascii_whitespace();
        let state = words.next().and_then(|word| word.bytes().next()).unwrap_or(b'T');
        let fields = words.take(FIELDS).map(|word| word.parse().unwrap_or(0)).collect();
        Stat { state, fields }
    }

    fn field(&self, index: usize) -> u64 {
        self.fields.get(index).copied().unwrap_or(0)
    }
}

fn prstatus(process: &Process, tid: u32, registers: &[u8], (mask, facts): (&[u8], &Stat)) -> Vec<u8> {
    let mut out = vec![0; PRSTATUS_HEAD];
    out[24..24 + mask.len().min(8)].copy_from_slice(&mask[..mask.len().min(8)]); // pr_sighold
    let ids = [u64::from(tid), u64::from(process.ppid), facts.field(1), facts.field(2)];
    for (slot, id) in ids.iter().enumerate() {
        out[32 + slot * 4..36 + slot * 4].copy_from_slice(&(*id as u32).to_le_bytes());
    }
    out.extend_from_slice(registers);
    out.extend_from_slice(&1u32.to_le_bytes()); // pr_fpvalid
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn prpsinfo(process: &Process, facts: &Stat, line: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 136];
    out[0] = b"RSDTZW".iter().position(|state| *state == facts.state).unwrap_or(0) as u8;
    out[1] = facts.state;
    let ids = [process.pid, process.ppid, facts.field(1) as u32, facts.field(2) as u32];
    for (slot, id) in ids.iter().enumerate() {
        out[24 + slot * 4..28 + slot * 4].copy_from_slice(&id.to_le_bytes());
    }
    let name = &process.comm.as_bytes()[..process.comm.len().min(15)];
    out[40..40 + name.len()].copy_from_slice(name);
    for (slot, byte) in out[56..135].iter_mut().zip(line) {
        *slot = if *byte == 0 { b' ' } else { *byte };
    }
    out
}

fn files(process: &Process) -> Vec<u8> {
    let named: Vec<_> = process.regions.iter().filter(|region| region.name.starts_with('/')).collect();
    let mut out = Vec::new();
    out.extend_from_slice(&(named.len() as u64).to_le_bytes());
    out.extend_from_slice(&(PAGE as u64).to_le_bytes());
    for region in &named {
        for value in [region.start, region.end(), region.offset / PAGE as u64] {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    for region in &named {
        out.extend_from_slice(region.name.as_bytes());
        out.push(0);
    }
    out
}
