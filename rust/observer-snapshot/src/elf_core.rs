// SPDX-License-Identifier: Apache-2.0
//! Writes a process of a snapshot as an ELF core that gdb, lldb, drgn and readelf open. Source: elf(5), core(5).

use crate::error::{io_error, Result, SnapshotError};
use crate::manifest::{Process, Region};
use crate::node::{self, REFERENCE, ZERO};
use crate::notes;
use crate::reader::{Seen, Snapshot};
use crate::PAGE;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

const EHDR: u64 = 64;
const PHDR: u64 = 56;
const SHDR: u64 = 64;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PN_XNUM: u16 = 0xffff;
/// Larger files cannot be made by any file system.
const LARGEST: u64 = 1 << 60;
/// A stretch of this many pages that were never touched is left out of the file: a debugger could not read it through anyway.
const GAP_PAGES: u64 = 1 << 18; // 1 GiB; what is smaller is a hole in the file and reads as the zeros it was

/// What was written, and what could not be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CoreReport {
    /// Segments.
    pub segments: u64,
    /// Bytes of memory in it, holes included.
    pub memory_bytes: u64,
    /// Pages read from backing files.
    pub reference_pages: u64,
    /// Pages of backing files that are not here: zeros in the core.
    pub absent_pages: u64,
    /// Pages that were not captured: zeros in the core.
    pub unknown_pages: u64,
    /// Pages that do not hold: zeros in the core.
    pub damaged_pages: u64,
    /// Machine for which it was written: e_machine.
    pub machine: u16,
}

struct Segment<'a> {
    region: &'a Region,
    first: u64,
    pages: u64,
    in_file: bool,
    offset: u64,
}

/// e_machine of the computer that this runs on.
#[must_use]
pub fn machine() -> u16 {
    if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    }
}

/// Write the core of a process; the file must not exist.
///
/// # Errors
/// No such process, or the disk refuses; pages that are not there are counted.
pub fn write(snapshot: &mut Snapshot, pid: u32, path: &Path) -> Result<CoreReport> {
    let process = snapshot.process(pid).cloned();
    let process = process.ok_or_else(|| SnapshotError::NotFound(format!("the snapshot has no process {pid}")))?;
    let notes = notes::of_process(snapshot, &process)?;
    let mut segments = plan(&process);
    let machine = snapshot.manifest.metadata.get("machine").and_then(serde_json::Value::as_u64);
    let mut report = CoreReport { machine: machine.map_or_else(self::machine, |m| m as u16), ..CoreReport::default() };
    let in_file =
        segments.iter().filter(|segment| segment.in_file).try_fold(0u64, |sum, s| sum.checked_add(s.pages * PAGE as u64));
    if in_file.is_none_or(|bytes| bytes > LARGEST) {
        return Err(SnapshotError::Usage(format!(
            "process {pid} is too large for a core: a region of it reaches far beyond its file"
        )));
    }
    let head = head(&mut segments, notes.len() as u64, report.machine);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|source| io_error("make", path, source))?;
    let put = |bytes: &[u8], at: u64| file.write_all_at(bytes, at).map_err(|source| io_error("write", path, source));
    put(&head, 0)?;
    put(&notes, head.len() as u64)?;
    let end = segments.last().map_or(0, |s| s.offset + if s.in_file { s.pages * PAGE as u64 } else { 0 });
    file.set_len(end.max(head.len() as u64 + notes.len() as u64)).map_err(|source| io_error("write", path, source))?;
    for segment in segments.iter().filter(|segment| segment.in_file) {
        fill(snapshot, segment, &file, path, &mut report)?;
    }
    report.segments = segments.len() as u64;
    Ok(report)
}

/// One segment for each region, or more where a long stretch of it was never touched.
fn plan(process: &Process) -> Vec<Segment<'_>> {
    let mut out = Vec::new();
    for region in &process.regions {
        let excluded = region.policy == "excluded";
        let add = |out: &mut Vec<_>, first, last, in_file| {
            if last > first {
                out.push(Segment { region, first, pages: last - first, in_file, offset: 0 });
            }
        };
        let (mut from, mut at) = (0, 0);
        if region.unlisted == ZERO && !excluded {
            for (index, ..) in &region.nodes {
                let (start, count) = node::span(region.start, region.size, *index);
                if start.saturating_sub(at) >= GAP_PAGES {
                    add(&mut out, from, at, true);
                    add(&mut out, at, start, false);
                    from = start;
                }
                at = start + count;
            }
            let last = region.pages();
            if last - at >= GAP_PAGES {
                add(&mut out, from, at, true);
                add(&mut out, at, last, false);
                continue;
            }
        }
        add(&mut out, from, region.pages(), !excluded);
    }
    out
}

fn head(segments: &mut [Segment<'_>], notes: u64, machine: u16) -> Vec<u8> {
    let count = segments.len() as u64 + 1;
    let extended = count >= u64::from(PN_XNUM);
    let start = EHDR + count * PHDR + if extended { SHDR } else { 0 };
    let mut at = (start + notes).next_multiple_of(PAGE as u64);
    let mut out = Vec::with_capacity(start as usize);
    elf_header(&mut out, machine, if extended { PN_XNUM } else { count as u16 }, extended.then_some(EHDR + count * PHDR));
    program_header(&mut out, (PT_NOTE, 4), start, 0, (notes, notes), 4);
    for segment in segments {
        segment.offset = at;
        let bytes = segment.pages * PAGE as u64;
        let in_file = if segment.in_file { bytes } else { 0 };
        at += in_file;
        let mode = segment.region.permissions.as_bytes();
        let flags = u32::from(mode[0] == b'r') * 4 + u32::from(mode[1] == b'w') * 2 + u32::from(mode[2] == b'x');
        let address = segment.region.start + segment.first * PAGE as u64;
        program_header(&mut out, (PT_LOAD, flags), segment.offset, address, (in_file, bytes), PAGE as u64);
    }
    if extended {
        // Section header 0 holds the number of segments when it does not fit into e_phnum.
        let mut section = [0; SHDR as usize];
        section[44..48].copy_from_slice(&(count as u32).to_le_bytes());
        out.extend_from_slice(&section);
    }
    out
}

fn elf_header(out: &mut Vec<u8>, machine: u16, segments: u16, sections: Option<u64>) {
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    out.extend_from_slice(&4u16.to_le_bytes()); // ET_CORE
    out.extend_from_slice(&machine.to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&0u64.to_le_bytes());
    out.extend_from_slice(&EHDR.to_le_bytes());
    out.extend_from_slice(&sections.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&0u32.to_le_bytes());
    for value in [EHDR as u16, PHDR as u16, segments, SHDR as u16, u16::from(sections.is_some()), 0] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn program_header(
    out: &mut Vec<u8>,
    (kind, flags): (u32, u32),
    offset: u64,
    address: u64,
    (file, memory): (u64, u64),
    align: u64,
) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    for value in [offset, address, 0, file, memory, align] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn fill(snapshot: &mut Snapshot, segment: &Segment<'_>, file: &File, path: &Path, report: &mut CoreReport) -> Result<()> {
    let (page, region) = (PAGE as u64, segment.region);
    let sources = snapshot.sources.clone();
    let mut at = segment.first;
    let last = segment.first + segment.pages;
    report.memory_bytes += segment.pages * page;
    let put = |bytes: &[u8], at: u64| {
        let place = segment.offset + (at - segment.first) * page;
        file.write_all_at(bytes, place).map_err(|source| io_error("write", path, source))
    };
    snapshot.visit(region, (segment.first, last), &mut |seen| {
        at += match seen {
            Seen::Content(bytes) => {
                put(bytes, at)?;
                (bytes.len() / PAGE) as u64
            }
            Seen::Class(ZERO, count) => count,
            Seen::Class(REFERENCE, count) => {
                let there = sources.pages_from(region.source, region.offset.saturating_add(at * page)).min(count);
                for step in at..at + there {
                    match sources.page(region.source, region.offset + step * page) {
                        Ok(bytes) => put(&bytes, step)?,
                        Err(_) => report.absent_pages += 1,
                    }
                }
                report.absent_pages += count - there;
                report.reference_pages += count;
                count
            }
            Seen::Class(_, count) => {
                report.unknown_pages += count;
                count
            }
            Seen::Damaged(count, _) => {
                report.damaged_pages += count;
                count
            }
        };
        Ok(())
    })
}
