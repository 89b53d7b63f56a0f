// SPDX-License-Identifier: Apache-2.0
//! Opens a snapshot file and the files it refers to; reads frames within limits and checks every page that it hands out.

use crate::digest::{self, Digest};
use crate::error::{Result, SnapshotError};
use crate::frame::{FileKey, Kind};
use crate::manifest::{Component, Manifest, Process, Region};
use crate::node::{self, Entry, REFERENCE, STORED, ZERO};
use crate::opened::{format, Opened};
use crate::source::Sources;
use crate::{rules, PAGE};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

const FRAMES_CACHED: usize = 64; // 4 MiB of pages

/// A snapshot open for reading.
pub struct Snapshot {
    pub(crate) files: Vec<Opened>,
    /// What it says.
    pub manifest: Manifest,
    /// The manifest's digest, hexadecimal.
    pub manifest_digest: String,
    /// The signed note, where there is one.
    pub note: Option<String>,
    /// Where pages by reference are read from.
    pub sources: Sources,
    frames: HashMap<(u32, u64), Arc<Vec<u8>>>,
    order: VecDeque<(u32, u64)>,
    zero: Digest,
    /// Offsets of this file's own frames that were opened and held, while somebody asks.
    pub(crate) opened: Option<HashSet<u64>>,
}

fn id_text(id: &[u8; 16]) -> String {
    let text = hex::encode(id);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

/// What a region's pages are, in order; see [`Snapshot::visit`].
pub enum Seen<'a> {
    /// Whole pages whose digests hold.
    Content(&'a [u8]),
    /// This many pages of this class of `node` without content.
    Class(u8, u64),
    /// This many pages that do not hold, and why.
    Damaged(u64, String),
}

impl Seen<'_> {
    /// How many pages it tells of.
    #[must_use]
    pub fn pages(&self) -> u64 {
        match self {
            Seen::Content(bytes) => (bytes.len() / PAGE) as u64,
            Seen::Class(_, count) | Seen::Damaged(count, _) => *count,
        }
    }
}

impl Snapshot {
    /// Open a snapshot; files it refers to are looked for beside it.
    ///
    /// # Errors
    /// Anything that does not hold up to the manifest; pages are checked when they are read.
    pub fn open(path: &Path, key: Option<&FileKey>) -> Result<Snapshot> {
        let (own, header) = Opened::open(path, key)?;
        let (mut stored, mut plain) = (Vec::new(), Vec::new());
        own.frame(own.trailer.manifest, Some(Kind::Manifest), &mut stored, &mut plain).map_err(|error| match (error, key) {
            (SnapshotError::Damaged { what, .. }, Some(_)) if what.contains("seal") => {
                SnapshotError::Key { path: path.to_path_buf(), what: "this key does not open it" }
            }
            (error, _) => error,
        })?;
        let manifest_digest = hex::encode(digest::of(&plain));
        let manifest: Manifest = serde_json::from_slice(&plain)
            .map_err(|error| format(path, own.trailer.manifest, format!("a manifest that is no manifest: {error}")))?;
        rules::check(&manifest, own.length).map_err(|what| format(path, own.trailer.manifest, what))?;
        if manifest.snapshot_id != id_text(&header.file_id) {
            return Err(format(path, 16, "a manifest of another file"));
        }
        let mut note = None;
        if own.trailer.signature != 0 {
            own.frame(own.trailer.signature, Some(Kind::Signature), &mut stored, &mut plain)?;
            note = Some(String::from_utf8_lossy(&plain).into_owned());
        }
        let mut snapshot = Snapshot {
            files: vec![own],
            sources: Sources::new(&manifest.sources),
            manifest,
            manifest_digest,
            note,
            frames: HashMap::new(),
            order: VecDeque::new(),
            opened: None,
            zero: digest::zero_page(),
        };
        snapshot.open_others(path)?;
        Ok(snapshot)
    }

    fn open_others(&mut self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        for entry in self.manifest.files.iter().skip(1) {
            let plain = entry.file_id.len() == 36 && entry.file_id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
            let names = [format!("{}.osnap", entry.file_id), format!("{}.retired", entry.file_id)];
            let found = names.iter().map(|name| folder.join(name)).find(|path| plain && path.is_file());
            let found =
                found.ok_or_else(|| SnapshotError::Missing { path: path.to_path_buf(), wanted: entry.file_id.clone() })?;
            let key = entry.key.as_ref().and_then(|text| FileKey::new(&hex::decode(text).ok()?));
            let (opened, header) = Opened::open(&found, key.as_ref())?;
            if id_text(&header.file_id) != entry.file_id {
                return Err(format(&found, 16, "another file than its name says"));
            }
            self.files.push(opened);
        }
        Ok(())
    }

    /// The file's own path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.files[0].path
    }

    fn cached(&mut self, file: u32, offset: u64) -> Result<Arc<Vec<u8>>> {
        if let Some(found) = self.frames.get(&(file, offset)) {
            return Ok(Arc::clone(found));
        }
        let opened = self.files.get(file as usize).ok_or_else(|| format(self.path(), offset, "a file that is not listed"))?;
        let (mut stored, mut plain) = (Vec::new(), Vec::new());
        opened.frame(offset, Some(Kind::Pages), &mut stored, &mut plain)?;
        if self.order.len() >= FRAMES_CACHED {
            if let Some(oldest) = self.order.pop_front() {
                self.frames.remove(&oldest);
            }
        }
        if let Some(seen) = self.opened.as_mut().filter(|_| file == 0) {
            seen.insert(offset);
        }
        let found = Arc::new(plain);
        self.frames.insert((file, offset), Arc::clone(&found));
        self.order.push_back((file, offset));
        Ok(found)
    }

    /// Read a listed node of a region and check its digest.
    ///
    /// # Errors
    /// It cannot be read or does not hold.
    pub fn node(&self, region: &Region, listed: &(u64, u32, u64, String)) -> Result<Vec<Entry>> {
        let (index, file, offset, text) = listed;
        let opened = &self.files[*file as usize];
        let (mut stored, mut plain) = (Vec::new(), Vec::new());
        opened.frame(*offset, Some(Kind::Node), &mut stored, &mut plain)?;
        let mut entries = node::decode(&plain, node::span(region.start, region.size, *index).1)
            .map_err(|w| format(&opened.path, *offset, w))?;
        if hex::encode(node::digest(&entries, &self.zero)) != *text {
            let what = "the digest of a node".to_owned();
            return Err(SnapshotError::Damaged { path: opened.path.clone(), offset: *offset, what });
        }
        if *file != 0 {
            self.translate(*file, &mut entries)?;
        }
        Ok(entries)
    }

    /// Files in a node of an earlier file are numbered as that file's manifest did; its list continues behind it in ours.
    fn translate(&self, file: u32, entries: &mut [Entry]) -> Result<()> {
        for entry in entries.iter_mut().filter(|entry| entry.class == STORED) {
            let place = &mut entry.place;
            place.file = place.file.saturating_add(file);
            if place.file as usize >= self.files.len() {
                return Err(format(self.path(), place.offset, "a file that is not listed"));
            }
        }
        Ok(())
    }

    /// The region that holds an address.
    #[must_use]
    pub fn region_at(&self, pid: u32, address: u64) -> Option<&Region> {
        let process = self.process(pid)?;
        let at = process.regions.partition_point(|region| region.end() <= address);
        process.regions.get(at).filter(|region| region.start <= address)
    }

    /// A process by id.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.manifest.processes.iter().find(|process| process.pid == pid)
    }

    /// Go over pages `first` to `last` (exclusive) of a region in order.
    ///
    /// # Errors
    /// What `visit` returns; damage is shown to it instead.
    pub fn visit(&mut self, region: &Region, range: (u64, u64), visit: &mut dyn FnMut(Seen<'_>) -> Result<()>) -> Result<()> {
        let (mut at, last) = range;
        let window = (region.start + at * PAGE as u64) / crate::NODE_BYTES;
        let mut listed = region.nodes.partition_point(|(index, ..)| *index < window);
        while at < last {
            let span = region.nodes.get(listed).map_or((last, 0), |(index, ..)| node::span(region.start, region.size, *index));
            let next = span.0.clamp(at, last);
            if next > at {
                visit(Seen::Class(region.unlisted, next - at))?;
                at = next;
                continue;
            }
            let (base, end) = (span.0, last.min(span.0 + span.1));
            match self.node(region, &region.nodes[listed]) {
                Ok(entries) => self.visit_entries(&entries[(at - base) as usize..(end - base) as usize], visit)?,
                Err(error) => visit(Seen::Damaged(end - at, error.to_string()))?,
            }
            (at, listed) = (end, listed + 1);
        }
        Ok(())
    }

    fn visit_entries(&mut self, entries: &[Entry], visit: &mut dyn FnMut(Seen<'_>) -> Result<()>) -> Result<()> {
        let mut rest = entries;
        let mut digests = Vec::with_capacity(crate::FRAME_PAGES);
        while let Some(first) = rest.first() {
            let count = run_length(rest);
            let (run, after) = rest.split_at(count);
            rest = after;
            if first.class != STORED {
                visit(Seen::Class(first.class, count as u64))?;
                continue;
            }
            let start = usize::from(first.place.index) * PAGE;
            match self.cached(first.place.file, first.place.offset) {
                Ok(frame) => match frame.get(start..start + count * PAGE) {
                    Some(bytes) => check_run(run, bytes, &mut digests, visit)?,
                    None => visit(Seen::Damaged(count as u64, "pages that their frame does not have".into()))?,
                },
                Err(error) => visit(Seen::Damaged(count as u64, error.to_string()))?,
            }
        }
        Ok(())
    }

    /// Read memory of a process.
    ///
    /// # Errors
    /// Some of it does not hold, or is not known.
    pub fn read(&mut self, pid: u32, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(length.min(1 << 30));
        while out.len() < length {
            let at = address.wrapping_add(out.len() as u64);
            let region = self.region_at(pid, at).cloned();
            let region = region.ok_or_else(|| SnapshotError::NotFound(format!("process {pid} has no memory at {at:#x}")))?;
            let wanted = (length - out.len()).min((region.end() - at) as usize);
            self.read_region(pid, &region, at - region.start, wanted, &mut out)?;
        }
        Ok(out)
    }

    /// Append bytes of one region.
    ///
    /// # Errors
    /// As for [`Snapshot::read`].
    pub fn read_region(&mut self, pid: u32, region: &Region, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<()> {
        let page = PAGE as u64;
        let (first, last) = (offset / page, (offset + length as u64).div_ceil(page));
        let (mut skip, end) = ((offset % page) as usize, out.len() + length);
        let (mut at, path) = (first, self.path().to_path_buf());
        let sources = self.sources.clone();
        let mut take = |bytes: &[u8]| {
            let part = &bytes[skip.min(bytes.len())..];
            skip = skip.saturating_sub(bytes.len());
            out.extend_from_slice(&part[..part.len().min(end - out.len())]);
        };
        self.visit(region, (first, last), &mut |seen| {
            let refuse = |pages: String| {
                let (path, name) = (path.clone(), region.name.clone());
                SnapshotError::Pages { path, pid, region: region.start, name, pages }
            };
            let here = region.start + at * page;
            let count = seen.pages();
            match seen {
                Seen::Content(bytes) => take(bytes),
                Seen::Class(ZERO, count) => (0..count).for_each(|_| take(&[0; PAGE])),
                Seen::Class(REFERENCE, count) => {
                    for step in 0..count {
                        take(&sources.page(region.source, region.offset + (at + step) * page).map_err(refuse)?);
                    }
                }
                Seen::Class(node::HASHED, count) => {
                    return Err(refuse(format!("{count} pages from {here:#x}: only the digest was kept")))
                }
                Seen::Class(_, count) => return Err(refuse(format!("{count} pages from {here:#x}: not captured"))),
                Seen::Damaged(count, what) => return Err(refuse(format!("{count} pages from {here:#x}: {what}"))),
            }
            at += count;
            Ok(())
        })
    }

    /// A component's bytes.
    ///
    /// # Errors
    /// They do not hold.
    pub fn component(&self, component: &Component) -> Result<Vec<u8>> {
        let own = &self.files[0];
        let (mut stored, mut plain, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for offset in &component.frames {
            own.frame(*offset, Some(Kind::Component), &mut stored, &mut plain)?;
            out.extend_from_slice(&plain);
            if out.len() as u64 > component.size_bytes {
                break;
            }
        }
        if out.len() as u64 == component.size_bytes && hex::encode(digest::of(&out)) == component.digest {
            return Ok(out);
        }
        let what = format!("component {} {:?} of process {}", component.kind, component.name, component.pid);
        Err(SnapshotError::Damaged { path: own.path.clone(), offset: component.frames.first().copied().unwrap_or(0), what })
    }

    /// A component by its names.
    #[must_use]
    pub fn find_component(&self, kind: &str, name: &str, pid: u32, tid: u32) -> Option<&Component> {
        let same = |c: &&Component| c.kind == kind && c.name == name && c.pid == pid && c.tid == tid;
        self.manifest.components.iter().find(same)
    }
}

fn run_length(entries: &[Entry]) -> usize {
    let first = entries[0];
    let together = entries.iter().enumerate().take_while(|(step, entry)| {
        let place = &entry.place;
        let near = place.file == first.place.file && place.offset == first.place.offset;
        entry.class == first.class
            && (first.class != STORED || (near && usize::from(place.index) == usize::from(first.place.index) + step))
    });
    together.count().max(1)
}

fn check_run(
    run: &[Entry],
    bytes: &[u8],
    digests: &mut Vec<Digest>,
    visit: &mut dyn FnMut(Seen<'_>) -> Result<()>,
) -> Result<()> {
    digests.clear();
    digest::pages(bytes, digests);
    if digests.iter().zip(run).all(|(got, entry)| *got == entry.digest) {
        return visit(Seen::Content(bytes));
    }
    for (step, page) in bytes.chunks_exact(PAGE).enumerate() {
        if digests[step] == run[step].digest {
            visit(Seen::Content(page))?;
        } else {
            visit(Seen::Damaged(1, "the page's digest".into()))?;
        }
    }
    Ok(())
}
