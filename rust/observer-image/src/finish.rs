// SPDX-License-Identifier: Apache-2.0
//! After everything runs again: store what was kept, put nodes together, write components and the manifest.

use crate::capture::{Capture, KEPT_READY};
use crate::components::{self, Part};
use crate::error::Result;
use crate::layer::Layer;
use crate::maps;
use crate::procfs;
use crate::request::{Request, Selection};
use crate::session::{EarlierFile, Report};
use crate::standing::Standing;
use observer_snapshot::frame::FileKey;
use observer_snapshot::layout::Codec;
use observer_snapshot::manifest::{Component, FileEntry, Manifest, Process, Source, SCHEMA};
use observer_snapshot::node::{Place, STORED};
use observer_snapshot::reader::Snapshot;
use observer_snapshot::writer::Writer;
use observer_snapshot::PAGE;
use serde_json::{json, Map, Value};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Remember the pages of an earlier file; returns its list of files.
pub(crate) fn learn(writer: &Writer, path: &str, key: Option<&FileKey>) -> Result<Vec<FileEntry>> {
    let snapshot = Snapshot::open(Path::new(path), key)?;
    let mut files = snapshot.manifest.files.clone();
    if let Some(first) = files.first_mut() {
        first.key = key.map(FileKey::to_hex);
    }
    for process in &snapshot.manifest.processes {
        for region in &process.regions {
            for listed in &region.nodes {
                let Ok(entries) = snapshot.node(region, listed) else { continue }; // damage is no reason to refuse a new snapshot
                let mut known = writer.known();
                for entry in entries.iter().filter(|entry| entry.class == STORED) {
                    known.add(&entry.digest, Place { file: entry.place.file + 1, ..entry.place });
                }
            }
        }
    }
    Ok(files)
}

pub(crate) fn finish(mut capture: Capture<'_>, mut standing: Vec<Standing>) -> Result<Report> {
    for process in &mut standing {
        capture.store(process, true)?;
        process.turn_to_copy()?;
        capture.store(process, false)?;
        process.copy = None; // it has been read: it ends
        capture.rebuild(process)?;
    }
    capture.session.kept.clear(KEPT_READY);
    let mut sources = Vec::new();
    let processes: Vec<Process> = standing.iter().map(|process| describe(&mut capture, process, &mut sources)).collect();
    let components = write_components(&mut capture, &mut standing)?;
    let request = capture.request;
    let own = FileEntry { file_id: request.snapshot_id.clone(), key: None };
    let earlier = capture.session.files.iter().map(|file| file.entry.clone());
    let known = if capture.session.files.is_empty() { &capture.known } else { &capture.session.known };
    let files: Vec<FileEntry> = std::iter::once(own).chain(earlier).chain(known.iter().cloned()).collect();
    let mut metadata = request.metadata.clone();
    metadata.insert("machine".into(), json!(observer_snapshot::elf_core::machine()));
    let manifest = Manifest {
        schema: SCHEMA.into(),
        snapshot_id: request.snapshot_id.clone(),
        container_id: request.container_id.clone(),
        plugin_id: None,
        wall_ns: capture.instant.0,
        boot_ns: capture.instant.1,
        boot_id: boot_id(request),
        target: request.target.clone(),
        method: method(&capture),
        totals: totals(&capture, &processes),
        files,
        sources,
        processes,
        components,
        metadata,
    };
    write(capture, &manifest)
}

fn boot_id(request: &Request) -> String {
    match &request.instant {
        Some((_, _, known)) => known.clone(),
        None => procfs::text("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
    }
}

fn write(capture: Capture<'_>, manifest: &Manifest) -> Result<Report> {
    let (request, secrets, session) = (capture.request, capture.secrets, capture.session);
    let finished = capture.writer.finish(manifest, secrets.seed.as_ref())?;
    let codec = Codec { compressed: request.compressed, encrypted: request.encrypted };
    let mut id = [0; 16];
    hex::decode_to_slice(request.snapshot_id.replace('-', ""), &mut id).unwrap_or_default();
    let file = EarlierFile::open(Path::new(&request.path), codec, (id, &request.snapshot_id), secrets.key.as_ref())?;
    if session.files.is_empty() {
        session.known = capture.known;
    }
    session.files.insert(0, file);
    Ok(Report {
        manifest_digest: finished.manifest_digest,
        bytes: finished.bytes,
        signer: finished.signer,
        method: manifest.method.clone(),
        totals: manifest.totals.clone(),
        processes: manifest.processes.len(),
        regions: manifest.processes.iter().map(|process| process.regions.len()).sum(),
    })
}

fn describe(capture: &mut Capture<'_>, standing: &Standing, sources: &mut Vec<Source>) -> Process {
    let pid = standing.pid;
    let named = |start: u64| standing.told.as_ref()?.names.iter().find(|(from, to, _)| (*from..*to).contains(&start));
    let origins = &mut capture.session.origins;
    let regions = standing.regions.iter().map(|draft| {
        let at = origins.list(standing.real, &draft.mapping, sources);
        let mut region = draft.to_region(at, at.and_then(|at| sources.get(at as usize)));
        if let Some((_, _, name)) = named(region.start) {
            region.name.clone_from(name);
        }
        region
    });
    let regions = regions.collect();
    if let Some(told) = &standing.told {
        let (comm, exe) = (told.comm.clone(), told.exe.clone());
        return Process { pid, ppid: told.ppid, comm, exe, threads: standing.threads.clone(), regions };
    }
    let text = |name: &str| {
        let found = capture.parts.iter().find(|(part, _)| part.pid == pid && part.kind == "process" && part.name == name);
        found.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    let stat =
        standing.parts.iter().find(|(part, _)| part.name == "stat").map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    let stat = stat.unwrap_or_default();
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse().ok());
    let comm = stat
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .map_or_else(|| maps::comm(pid), |(name, _)| name.to_owned());
    Process { pid, ppid: parent.unwrap_or(0), comm, exe: text("exe"), threads: standing.threads.clone(), regions }
}

fn wanted(selection: &Selection, component: &Component) -> bool {
    selection.components.is_empty() || selection.components.contains(&component.kind)
}

fn write_components(capture: &mut Capture<'_>, standing: &mut [Standing]) -> Result<Vec<Component>> {
    let mut parts: Vec<Part> = std::mem::take(&mut capture.parts);
    for process in &mut *standing {
        parts.append(&mut process.parts);
        if process.told.is_none() {
            parts.extend(components::descriptors(process.pid, &process.descriptors));
        }
    }
    if let Some(first) = standing.first().filter(|first| first.told.is_none()) {
        parts.extend(components::cgroups(first.pid));
        parts.extend(components::kernel(first.pid));
    }
    let live: Vec<u32> = standing.iter().map(|process| process.pid).collect();
    parts.retain(|(component, _)| {
        wanted(&capture.request.selection, component) && (component.pid == 0 || live.contains(&component.pid))
    });
    let mut scratch = capture.writer.scratch()?;
    let mut out = Vec::with_capacity(parts.len());
    capture.layer_files = capture.layer.as_ref().map(|layer| layer.again);
    out.extend(capture.layer.take().map(Layer::components).unwrap_or_default());
    for (mut component, bytes) in parts {
        capture.writer.add_component(&mut scratch, &mut component, &bytes)?;
        out.push(component);
    }
    Ok(out)
}

fn method(capture: &Capture<'_>) -> Map<String, Value> {
    let marked = capture.session.watched.values().any(|watched| watched.tracker.is_some());
    let replayed = !capture.request.bodies.is_empty();
    let tracking = match (replayed, marked, capture.forked > 0) {
        (true, ..) => "replay",
        (_, true, _) => "uffd-wp",
        (_, _, true) => "fork",
        _ => "stop",
    };
    let value = json!({
        "tracking": tracking,
        "stop": if replayed { "replay" } else { "ptrace" },
        "labels": capture.labels,
        "pauses_ns": capture.stood_ns,
        "phases_ns": {"stop": capture.phases_ns[0], "look": capture.phases_ns[1], "read": capture.phases_ns[2]},
        "layer_files_copied_again": capture.layer_files,
        "rounds": capture.rounds,
        "reread_pages": capture.reread,
        "stored_while_stopped": capture.stored_while_stopped,
        "not_stopped_threads": capture.restless,
        "increment": !capture.session.files.is_empty(),
    });
    value.as_object().cloned().unwrap_or_default()
}

fn totals(capture: &Capture<'_>, processes: &[Process]) -> Map<String, Value> {
    let counts = capture.writer.counts();
    let page = PAGE as u64;
    let excluded: u64 = processes.iter().flat_map(|p| &p.regions).filter(|r| r.policy == "excluded").map(|r| r.size).sum();
    let mapped: u64 = processes.iter().flat_map(|p| &p.regions).map(|r| r.size).sum();
    let value = json!({
        "stored_bytes": counts.stored.load(Ordering::SeqCst) * page,
        "duplicate_bytes": counts.duplicate.load(Ordering::SeqCst) * page,
        "zero_bytes": counts.zero.load(Ordering::SeqCst) * page,
        "mapped_bytes": mapped,
        "excluded_bytes": excluded,
        "processes": processes.len(),
        "threads": processes.iter().map(|p| p.threads.len()).sum::<usize>(),
        "regions": processes.iter().map(|p| p.regions.len()).sum::<usize>(),
    });
    value.as_object().cloned().unwrap_or_default()
}
