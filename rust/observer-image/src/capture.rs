// SPDX-License-Identifier: Apache-2.0
//! One snapshot: mark, copy while everything runs, stop, copy what is left, let go, write.

use crate::components::{self, Part};
use crate::draft::{Changes, RegionDraft};
use crate::error::{ImageError, Result};
use crate::kept::Kept;
use crate::layer::{self, Layer};
use crate::maps::{self, Mapping};
use crate::memory::Memory;
use crate::pagemap::{self, PageMap, Stretch};
use crate::pipeline::{self, Done, Job, Supply};
use crate::policy;
use crate::procfs;
use crate::request::Request;
use crate::session::{scope, Report, Secrets, Session, Watched};
use crate::standing::{self, Standing};
use crate::stop::Stop;
use crate::tracking::{self, Tracker};
use crate::{finish, sys};
use observer_snapshot::layout::Codec;
use observer_snapshot::manifest::FileEntry;
use observer_snapshot::node::{Entry, REFERENCE};
use observer_snapshot::writer::{Plan, Writer};
use observer_snapshot::PAGE;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is left may be kept in memory, so that everything runs again while it is compressed; more is written while it stands.
const KEPT_MAX: u64 = 96 << 20;
/// Room that is always made ready.
pub(crate) const KEPT_READY: usize = 32 << 20;

/// One capture on its way.
pub(crate) struct Capture<'a> {
    pub session: &'a mut Session,
    pub request: &'a Request,
    pub secrets: &'a Secrets,
    pub writer: Writer,
    pub workers: usize,
    pub known: Vec<FileEntry>,
    pub labels: Vec<String>,
    pub stood_ns: Vec<u64>,
    pub rounds: u32,
    pub reread: u64,
    pub changes: BTreeMap<u32, Changes>,
    pub parts: Vec<Part>,
    pub forked: u32,
    pub layer: Option<Layer>,
    pub layer_files: Option<u64>,
    pub phases_ns: [u64; 3],
    pub stored_while_stopped: bool,
    pub restless: Vec<u32>,
    pub instant: (u64, u64),
}

fn file_id(text: &str) -> Result<[u8; 16]> {
    let mut out = [0; 16];
    hex::decode_to_slice(text.replace('-', ""), &mut out)
        .map_err(|_| ImageError::Usage("the snapshot's id is not a UUID".into()))?;
    Ok(out)
}

pub(crate) fn capture(session: &mut Session, request: &Request, secrets: &Secrets) -> Result<Report> {
    let done = begin(session, request, secrets).and_then(|mut capture| {
        let standing = if request.bodies.is_empty() { capture.take()? } else { capture.take_bodies()? };
        finish::finish(capture, standing)
    });
    if done.is_err() {
        session.reset(); // marks were taken whose pages were not written
    }
    done
}

pub(crate) fn begin<'a>(session: &'a mut Session, request: &'a Request, secrets: &'a Secrets) -> Result<Capture<'a>> {
    let codec = Codec { compressed: request.compressed, encrypted: request.encrypted };
    let plan = Plan {
        path: PathBuf::from(&request.path),
        codec,
        file_id: file_id(&request.snapshot_id)?,
        key_block: secrets.key_block.clone(),
        key: secrets.key.clone(),
    };
    if request.bodies.is_empty() && scope(request).members().is_empty() {
        return Err(ImageError::Gone(request.pids.first().copied().unwrap_or(0)));
    }
    let writer = Writer::create(&plan)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if request.workers == 0 { processors } else { request.workers };
    session.origins.forget();
    let mut capture = Capture {
        session,
        request,
        secrets,
        writer,
        workers,
        known: Vec::new(),
        labels: Vec::new(),
        stood_ns: Vec::new(),
        rounds: 0,
        reread: 0,
        changes: BTreeMap::new(),
        parts: Vec::new(),
        forked: 0,
        layer: None,
        layer_files: None,
        phases_ns: [0; 3],
        stored_while_stopped: false,
        restless: Vec::new(),
        instant: (0, 0),
    };
    capture.know()?;
    Ok(capture)
}

impl Capture<'_> {
    /// Learn what earlier files hold, or move on in the session's own chain.
    fn know(&mut self) -> Result<()> {
        if let Some(path) = self.request.known.as_ref().filter(|_| self.session.files.is_empty()) {
            self.known = finish::learn(&self.writer, path, self.secrets.known_key.as_ref())?;
        }
        for watched in self.session.watched.values_mut() {
            for node in watched.regions.iter_mut().flat_map(|region| region.nodes.values_mut()) {
                node.file += 1; // the file that was first is now the second
            }
        }
        Ok(())
    }

    fn marks(&self) -> bool {
        matches!(self.request.tracking.as_str(), "" | "auto" | "uffd-wp")
    }

    fn take(&mut self) -> Result<Vec<Standing>> {
        let members: Vec<u32> = scope(self.request).members().into_iter().collect();
        self.session.watched.retain(|pid, watched| members.contains(pid) && watched.is_followed(*pid));
        for pid in &members {
            // One that has gone meanwhile is simply not a member any more.
            if let Err(error) = self.prepare(*pid) {
                if procfs::is_alive(*pid) {
                    return Err(error);
                }
            }
        }
        self.copy_layer(members.first().copied())?;
        self.rounds_of_copying()?;
        self.session.kept.reserve(KEPT_READY);
        let mut stop = Stop::all(&scope(self.request), &members)?;
        self.phases_ns[0] = sys::monotonic_ns() - stop.stands_since_ns;
        let standing = self.while_standing(&mut stop);
        self.restless.clone_from(&stop.restless);
        self.stood_ns.push(stop.release());
        self.session.kept.sort();
        standing
    }

    /// Mark a process and copy what is newly marked while it runs.
    fn prepare(&mut self, pid: u32) -> Result<()> {
        self.parts.extend(components::early(pid));
        self.parts.extend(procfs::threads(pid).into_iter().filter_map(|tid| components::thread_facts(pid, tid)));
        let marks = self.marks();
        let (mut watched, fresh) = match self.session.watched.remove(&pid) {
            Some(watched) => (watched, false),
            None => (watch(pid)?, true),
        };
        if fresh && marks {
            match Tracker::attach(pid, &watched.map) {
                Ok(tracker) => {
                    self.stood_ns.push(tracker.stood_ns);
                    watched.tracker = Some(tracker);
                }
                Err(why) => self.labels.push(format!("process {pid} is not followed while it runs: {why}")),
            }
        }
        let mappings = maps::of(pid).ok_or(ImageError::Gone(pid))?;
        for mapping in &mappings {
            self.session.origins.knows(pid, mapping); // files are opened now, not while everything stands
        }
        let copied = self.copy_new(pid, &mut watched, mappings);
        self.session.watched.insert(pid, watched);
        copied
    }

    fn copy_new(&mut self, pid: u32, watched: &mut Watched, mut mappings: Vec<Mapping>) -> Result<()> {
        let Some(tracker) = &watched.tracker else { return Ok(()) };
        if mappings.iter().any(|mapping| !watched.flags.contains_key(&mapping.start)) {
            watched.flags = maps::flags(pid);
        }
        maps::add_flags(&mut mappings, &watched.flags);
        let memory = Memory::of(pid);
        let mut drafts: Vec<(RegionDraft, Vec<Stretch>)> = Vec::new();
        for mapping in mappings.into_iter().filter(tracking::is_candidate) {
            let source = self.session.origins.knows(pid, &mapping);
            let decision = policy::decide(&mapping, &self.request.selection, source);
            let whole = [(mapping.start, mapping.end)];
            let unmarked = pagemap::without(&whole, &watched.marked);
            let markable = decision.policy != "excluded" && (mapping.anonymous() || decision.unlisted == REFERENCE);
            if !markable || unmarked.is_empty() || !tracker.register(&mapping) {
                continue;
            }
            for (start, end) in unmarked {
                let part = Mapping { start, end, offset: mapping.offset + (start - mapping.start), ..mapping.clone() };
                let Ok(content) = watched.map.arm((start, end), &mut watched.armed) else {
                    continue; // unmapped meanwhile: what is there then is read while everything stands
                };
                watched.marked = pagemap::either(&watched.marked, &[(start, end)]);
                let content = standing::with_first_page(&part, &decision, content);
                drafts.push((RegionDraft::new(part, decision.clone()), content));
            }
        }
        for chunk in drafts.chunks_mut(256) {
            self.copy_nodes(&memory, chunk)?;
        }
        watched.regions.extend(drafts.into_iter().map(|(draft, _)| draft));
        Ok(())
    }

    /// Write the nodes of regions from what their process holds.
    fn copy_nodes(&self, memory: &Memory, drafts: &mut [(RegionDraft, Vec<Stretch>)]) -> Result<()> {
        let mut places = Vec::new();
        let mut jobs = Vec::new();
        for (index, (draft, content)) in drafts.iter().enumerate() {
            for (window, stretches) in pipeline::by_window(content) {
                let span = draft.part(window);
                places.push((index, span));
                let keep = draft.decision.policy != "hash";
                jobs.push(Job { supply: Supply::Process(memory), stretches, keep, node: Some((span, draft.decision.unlisted)) });
            }
        }
        let done = pipeline::run(&self.writer, &jobs, self.workers)?;
        for ((index, span), done) in places.into_iter().zip(done) {
            if let Done::Node(node) = done {
                drafts[index].0.set(span, node);
            }
        }
        Ok(())
    }

    /// Store single pages; returns their entries by address.
    pub(crate) fn copy_pages(&self, supply: &Supply<'_>, dirty: &[Stretch], hashed: &[Stretch]) -> Result<Vec<(u64, Entry)>> {
        let again = || match supply {
            Supply::Process(memory) => Supply::Process(memory),
            Supply::Kept(kept, pid) => Supply::Kept(kept, *pid),
        };
        let mut jobs = Vec::new();
        for (keep, list) in [(true, pagemap::without(dirty, hashed)), (false, pagemap::both(dirty, hashed))] {
            for stretches in pipeline::by_window(&list).into_values() {
                jobs.push(Job { supply: again(), stretches, keep, node: None });
            }
        }
        let done = pipeline::run(&self.writer, &jobs, self.workers)?;
        let mut out = Vec::new();
        for (job, done) in jobs.iter().zip(done) {
            let Done::Pages(entries) = done else { continue };
            let addresses = job.stretches.iter().flat_map(|(start, end)| (*start..*end).step_by(PAGE));
            out.extend(addresses.zip(entries));
        }
        Ok(out)
    }

    /// Everything that has to be done while nothing moves.
    fn while_standing(&mut self, stop: &mut Stop) -> Result<Vec<Standing>> {
        self.instant = (sys::wall_ns(), sys::boot_ns());
        let mut out = Vec::new();
        for pid in stop.processes() {
            self.look_who(pid)?;
            let held = stop.threads(pid);
            let parts = held.iter().flat_map(|thread| components::of_thread(*thread)).collect();
            let copy = self.fork(pid, &held); // after the registers were read: a thread of it does it
            let Some(watched) = self.session.watched.get_mut(&pid) else { continue };
            match standing::look(pid, (watched, copy), (&held, parts), (&self.request.selection, &mut self.session.origins)) {
                Ok(standing) => out.push(standing),
                Err(error) if procfs::is_alive(pid) => return Err(error),
                Err(_) => self.labels.push(format!("process {pid} was killed during the capture")),
            }
        }
        self.phases_ns[1] = sys::monotonic_ns() - stop.stands_since_ns - self.phases_ns[0];
        let out = self.read_what_is_left(out, stop);
        self.phases_ns[2] = sys::monotonic_ns() - stop.stands_since_ns - self.phases_ns[0] - self.phases_ns[1];
        out
    }

    fn copy_layer(&mut self, first: Option<u32>) -> Result<()> {
        let Some(pid) = first.filter(|_| self.request.layer) else { return Ok(()) };
        match layer::find(pid) {
            Ok(root) => self.layer = Some(Layer::copy(root, &self.writer)?),
            Err(why) => self.labels.push(format!("the file system of process {pid} is not copied: {why}")),
        }
        Ok(())
    }

    fn read_what_is_left(&mut self, mut out: Vec<Standing>, stop: &mut Stop) -> Result<Vec<Standing>> {
        if let Some(layer) = &mut self.layer {
            stop.take_time();
            layer.settle(&self.writer, out.iter().flat_map(|standing| standing.regions.iter().map(|region| &region.mapping)))?;
        }
        let left: u64 = out.iter().map(Standing::left).sum();
        let mut kept = std::mem::take(&mut self.session.kept);
        if left <= KEPT_MAX {
            for standing in &out {
                kept.take(standing.pid, &standing.memory, &standing.dirty);
                standing.fresh.iter().for_each(|(_, stretches)| kept.take(standing.pid, &standing.memory, stretches));
            }
            self.session.kept = kept;
            return Ok(out);
        }
        self.session.kept = kept;
        self.stored_while_stopped = true;
        stop.take_time();
        for standing in &mut out {
            self.store(standing, false)?;
        }
        Ok(out)
    }

    /// Store what was left of a process: from its memory while it stands, or from what was kept of it.
    pub(crate) fn store(&mut self, standing: &mut Standing, from_kept: bool) -> Result<()> {
        let kept = std::mem::take(&mut self.session.kept);
        let done = self.store_from(standing, from_kept.then_some(&kept));
        self.session.kept = kept;
        done
    }

    fn store_from(&mut self, standing: &mut Standing, kept: Option<&Kept>) -> Result<()> {
        let supply = || kept.map_or(Supply::Process(&standing.memory), |kept| Supply::Kept(kept, standing.pid));
        let hashed = hashed_only(&standing.regions);
        let entries = self.copy_pages(&supply(), &standing.dirty, &hashed)?;
        self.reread += entries.len() as u64;
        let (mut places, mut jobs) = (Vec::new(), Vec::new());
        for (index, content) in &standing.fresh {
            let draft = &standing.regions[*index];
            for (window, stretches) in pipeline::by_window(content) {
                let span = draft.part(window);
                places.push((*index, span));
                let keep = draft.decision.policy != "hash";
                jobs.push(Job { supply: supply(), stretches, keep, node: Some((span, draft.decision.unlisted)) });
            }
        }
        let done = pipeline::run(&self.writer, &jobs, self.workers)?;
        drop(jobs);
        for ((index, span), done) in places.into_iter().zip(done) {
            if let Done::Node(node) = done {
                standing.regions[index].set(span, node);
            }
        }
        self.changes.entry(standing.pid).or_default().pages.extend(entries);
        standing.dirty.clear();
        standing.fresh.clear();
        Ok(())
    }
}

pub(crate) fn hashed_only(regions: &[RegionDraft]) -> Vec<Stretch> {
    regions.iter().filter(|region| region.decision.policy == "hash").map(RegionDraft::span).collect()
}

pub(crate) fn open_map(pid: u32) -> Result<PageMap> {
    PageMap::open(pid).map_err(|error| crate::error::refused("read the page map of", pid, error))
}

pub(crate) fn watch(pid: u32) -> Result<Watched> {
    let map = open_map(pid)?;
    Ok(Watched {
        start_ticks: procfs::start_ticks(pid).ok_or(ImageError::Gone(pid))?,
        tracker: None,
        map,
        flags: maps::flags(pid),
        regions: Vec::new(),
        marked: Vec::new(),
        armed: Vec::new(),
    })
}
