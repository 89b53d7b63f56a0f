// SPDX-License-Identifier: Apache-2.0
//! What is looked at while everything stands: mappings, what was written last, registers, descriptors. As little as can be.

use crate::components::{self, Part};
use crate::descriptors::Descriptor;
use crate::draft::RegionDraft;
use crate::error::{ImageError, Result};
use crate::forked::{self, Forked};
use crate::maps::{self, Mapping};
use crate::memory::Memory;
use crate::origin::Origins;
use crate::pagemap::{self, PageMap, Stretch};
use crate::policy::{self, Decision, Kind};
use crate::request::{Body, Selection};
use crate::session::Watched;
use crate::stop::Held;
use crate::tracking;
use observer_snapshot::node::REFERENCE;
use observer_snapshot::PAGE;
use std::fs::File;
use std::os::fd::AsRawFd;

/// A process as it stood.
pub struct Standing {
    /// Its id.
    pub pid: u32,
    /// The id that the kernel knows it by; another one where a replay holds it.
    pub real: u32,
    /// What the caller knows of a process that it holds.
    pub told: Option<Body>,
    /// Its threads, the leader first.
    pub threads: Vec<u32>,
    /// Its regions; those that are not marked have no nodes yet.
    pub regions: Vec<RegionDraft>,
    /// Which of them are marked, by index.
    pub marked: Vec<bool>,
    /// What was written in marked regions since the last look, and has content.
    pub dirty: Vec<Stretch>,
    /// What was given back in marked regions since the last look.
    pub gone: Vec<Stretch>,
    /// By region that is not marked: what is to be read of it.
    pub fresh: Vec<(usize, Vec<Stretch>)>,
    /// State that is not memory.
    pub parts: Vec<Part>,
    /// Descriptors.
    pub descriptors: Vec<Descriptor>,
    /// Reads it.
    pub memory: Memory,
    /// A copy of it, which is read when it runs again.
    pub copy: Option<Forked>,
    /// Regions that are read from the copy, by index.
    pub later: Vec<usize>,
}

/// Look at one process.
///
/// # Errors
/// It was killed.
pub fn look(
    pid: u32,
    (watched, copy): (&mut Watched, Option<Forked>),
    (held, mut parts): (&[Held], Vec<Part>),
    (selection, origins): (&Selection, &mut Origins),
) -> Result<Standing> {
    let mut mappings = maps::of(pid).ok_or(ImageError::Gone(pid))?;
    maps::add_flags(&mut mappings, &watched.flags);
    let (files, descriptors) = components::at_stop(pid);
    parts.extend(files);
    let mut out = Standing {
        pid,
        real: pid,
        told: None,
        threads: held.iter().map(|thread| thread.tid).collect(),
        regions: Vec::with_capacity(mappings.len()),
        marked: Vec::with_capacity(mappings.len()),
        dirty: Vec::new(),
        gone: Vec::new(),
        fresh: Vec::new(),
        parts,
        descriptors,
        memory: Memory::of(pid),
        copy: None,
        later: Vec::new(),
    };
    out.copy = copy;
    for mapping in mappings {
        out.look_at(pid, mapping, watched, (selection, origins));
    }
    Ok(out)
}

impl Standing {
    pub(crate) fn look_at(
        &mut self,
        pid: u32,
        mapping: Mapping,
        watched: &mut Watched,
        (selection, origins): (&Selection, &mut Origins),
    ) {
        let source = origins.knows(pid, &mapping);
        let decision = policy::decide(&mapping, selection, source);
        let span = (mapping.start, mapping.end);
        let copied = decision.policy != "excluded";
        let inside = pagemap::without(&[span], &watched.marked).is_empty();
        if copied && self.copy.is_some() && forked::is_copied(&mapping) {
            self.later.push(self.regions.len());
            self.marked.push(false);
            self.regions.push(RegionDraft::new(mapping, decision));
            return;
        }
        let may_be_marked = copied && inside && tracking::is_candidate(&mapping);
        let found = if may_be_marked { watched.map.look(span, &mut watched.armed).ok() } else { None };
        let index = self.regions.len();
        if let Some(found) = found {
            self.dirty.extend(found.written);
            self.gone.extend(found.gone);
            self.marked.push(true);
        } else {
            let content = with_first_page(&mapping, &decision, content(pid, &mapping, &decision, &mut watched.map));
            if !content.is_empty() {
                self.fresh.push((index, content));
            }
            self.marked.push(false);
        }
        self.regions.push(RegionDraft::new(mapping, decision));
    }

    /// Turn to the copy: what is to be read of it is known only now.
    ///
    /// # Errors
    /// The copy was killed.
    pub fn turn_to_copy(&mut self) -> Result<()> {
        let Some(copy) = &self.copy else { return Ok(()) };
        let child = copy.child.unsigned_abs();
        let mut map = PageMap::open(child).map_err(|error| crate::error::refused("read the copy of", self.pid, error))?;
        self.memory = Memory::of(child);
        for index in std::mem::take(&mut self.later) {
            let RegionDraft { mapping, decision, .. } = &self.regions[index];
            let content = with_first_page(mapping, decision, content(child, mapping, decision, &mut map));
            if !content.is_empty() {
                self.fresh.push((index, content));
            }
        }
        Ok(())
    }

    /// Bytes that are still to be read.
    #[must_use]
    pub fn left(&self) -> u64 {
        pagemap::bytes(&self.dirty) + self.fresh.iter().map(|(_, list)| pagemap::bytes(list)).sum::<u64>()
    }
}

/// What is to be read of a mapping that is not marked.
#[must_use]
pub fn content(pid: u32, mapping: &Mapping, decision: &Decision, map: &mut PageMap) -> Vec<Stretch> {
    let span = (mapping.start, mapping.end);
    if decision.policy == "excluded" {
        return Vec::new();
    }
    let referred = decision.unlisted == REFERENCE;
    match decision.kind {
        Kind::Special => Vec::new(),
        Kind::Anonymous if mapping.name == "[vdso]" => vec![span], // the kernel's pages: the page map does not show them
        Kind::Anonymous => map.populated(span, false).unwrap_or_default(),
        Kind::PrivateFile | Kind::SharedFile if !referred => vec![span],
        Kind::PrivateFile => map.populated(span, false).unwrap_or_default(),
        Kind::SharedFile if mapping.permissions.contains('w') => map.populated(span, true).unwrap_or_default(),
        Kind::SharedFile => Vec::new(),
        Kind::SharedMemory => shared_content(pid, mapping).or_else(|| map.populated(span, true).ok()).unwrap_or_default(),
    }
}

/// The same with the first page of a file that is referred to: it names an executable's build, so that symbols can be found
/// without the file.
#[must_use]
pub fn with_first_page(mapping: &Mapping, decision: &Decision, content: Vec<Stretch>) -> Vec<Stretch> {
    if decision.policy == "excluded" || decision.unlisted != REFERENCE || mapping.offset != 0 {
        return content;
    }
    pagemap::either(&[(mapping.start, mapping.start + PAGE as u64)], &content)
}

/// Parts of shared memory that have content, whoever wrote it; holes are not touched, since a look would fill them.
fn shared_content(pid: u32, mapping: &Mapping) -> Option<Vec<Stretch>> {
    let path = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    // Devices and the kernel's own rings (io_uring, perf) know nothing of holes: some answer 0 to whatever is sought.
    let plain = std::fs::metadata(&path).is_ok_and(|facts| facts.is_file());
    let file = plain.then(|| File::open(&path).ok())??;
    let (mut at, end) = (mapping.offset, mapping.offset + mapping.size());
    let mut out = Vec::new();
    let seek = |from: u64, what| {
        // SAFETY: plain numbers; the descriptor is ours.
        let found = unsafe { libc::lseek(file.as_raw_fd(), from as libc::off_t, what) };
        u64::try_from(found).ok()
    };
    while at < end {
        let Some(data) = seek(at, libc::SEEK_DATA).filter(|data| *data < end) else { break };
        let hole = seek(data, libc::SEEK_HOLE).unwrap_or(end).min(end);
        if data < at || hole <= data {
            return None; // a file system that does not get on
        }
        let (first, last) = (data / PAGE as u64 * PAGE as u64, hole.next_multiple_of(PAGE as u64));
        pagemap::push(
            &mut out,
            (mapping.start + first - mapping.offset, (mapping.start + last - mapping.offset).min(mapping.end)),
        );
        at = hole;
    }
    Some(out)
}
