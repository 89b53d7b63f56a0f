// SPDX-License-Identifier: Apache-2.0
//! The address space right after execve: what is mapped from which file, and what the kernel put there itself.

use crate::engine::maps::{regions, Pagemap, Region, PAGE};
use crate::engine::remote;
use crate::error::ReplayError;
use crate::record::store::Store;
use crate::record::vdso;
use crate::regs::Regs;
use crate::stream::{Exec, Mapping, Source};
use observer_capture::sys::{read_memory, Tid};
use serde_bytes::ByteBuf;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

const PR_SET_TSC: u64 = 26;
const PR_TSC_SIGSEGV: u64 = 2;

/// A new program as it begins, and where the recorder may make calls in it.
pub struct Begun {
    /// For the stream.
    pub exec: Exec,
    /// Address of a `syscall` instruction, 0 for none.
    pub gadget: u64,
}

/// Opens the file behind a mapping. Source: proc(5), map_files needs privilege; the path serves everybody else.
fn open_mapped(tid: Tid, region: &Region) -> Option<File> {
    let right = |file: &File| file.metadata().is_ok_and(|meta| meta.ino() == region.file.1 && meta.is_file());
    let exe = format!("/proc/{tid}/exe");
    let by_range = format!("/proc/{tid}/map_files/{:x}-{:x}", region.start, region.end);
    let by_path = format!("/proc/{tid}/root{}", region.name);
    [by_range, exe, by_path].iter().filter_map(|path| File::open(path).ok()).find(right)
}

/// All pages that the process has of its own in a region.
fn own_pages(tid: Tid, pagemap: &Pagemap, region: &Region, out: &mut Vec<(u64, ByteBuf)>) {
    pagemap.own_runs(region, &mut |address, length| {
        let mut bytes = vec![0u8; length];
        let got = read_memory(tid, address, &mut bytes);
        bytes.truncate(got);
        if bytes.iter().any(|byte| *byte != 0) {
            out.push((address, ByteBuf::from(bytes)));
        }
    });
}

fn whole(tid: Tid, region: &Region, out: &mut Vec<(u64, ByteBuf)>) {
    let mut bytes = vec![0u8; usize::try_from(region.end - region.start).unwrap_or(0)];
    for (number, page) in bytes.chunks_mut(PAGE as usize).enumerate() {
        read_memory(tid, region.start + number as u64 * PAGE, page);
    }
    out.push((region.start, ByteBuf::from(bytes)));
}

fn source(tid: Tid, region: &Region, store: &mut Store<'_>, exec: &mut Exec) -> Result<Source, ReplayError> {
    if region.file.1 == 0 {
        if region.name == "[vdso]" {
            whole(tid, region, &mut exec.memory);
        }
        return Ok(Source::Zero);
    }
    if let Some(mut file) = open_mapped(tid, region) {
        if region.prot & libc::PROT_EXEC.unsigned_abs() != 0 {
            store.random.replace(tid, &file, (region.offset, region.end - region.start), region.start);
            // kept with its own pages
        }
        return Ok(Source::Blob(store.keep(&mut file)?, region.offset));
    }
    whole(tid, region, &mut exec.memory);
    Ok(Source::Zero)
}

/// Looks at thread `tid`, stopped at the exit of a successful execve with these registers.
pub fn begin(tid: Tid, regs: &Regs, store: &mut Store<'_>) -> Result<Begun, ReplayError> {
    let what = || format!("read the memory map of process {tid}");
    let maps = regions(tid).map_err(ReplayError::io(what()))?;
    let gadget = vdso::replace(tid, &maps).or_else(|| vdso::find_gadget(tid, &maps)).unwrap_or(0);
    if gadget != 0 {
        let _ = remote::call_at(tid, regs, gadget, libc::SYS_prctl, [PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0, 0]);
    }
    let exe = fs::read_link(format!("/proc/{tid}/exe")).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let mut exec = Exec { exe, regs: *regs, maps: Vec::new(), memory: Vec::new() };
    let pagemap = Pagemap::open(tid).map_err(ReplayError::io(what()))?;
    for region in maps.iter().filter(|region| !region.is_kernels()) {
        let from = source(tid, region, store, &mut exec)?;
        if region.name != "[vdso]" {
            own_pages(tid, &pagemap, region, &mut exec.memory);
        }
        let length = region.end - region.start;
        exec.maps.push(Mapping {
            start: region.start,
            length,
            prot: region.prot,
            grows: region.name == "[stack]",
            private: false,
            from,
        });
    }
    Ok(Begun { exec, gadget })
}
