// SPDX-License-Identifier: Apache-2.0
//! Copies pages with all processors: read, digest, compress, seal, write; each thread a window of 4 MiB at a time.

use crate::error::{ImageError, Result};
use crate::kept::Kept;
use crate::memory::Memory;
use crate::pagemap::Stretch;
use observer_snapshot::digest::Digest;
use observer_snapshot::node::{Entry, UNKNOWN};
use observer_snapshot::writer::{Scratch, Writer};
use observer_snapshot::{FRAME_PAGES, NODE_BYTES, PAGE};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Where pages come from.
pub enum Supply<'a> {
    /// The process.
    Process(&'a Memory),
    /// What was read of the process with this id while it stood.
    Kept(&'a Kept, u32),
}

/// Some pages of one region in one window.
pub struct Job<'a> {
    /// Where they come from.
    pub supply: Supply<'a>,
    /// Which.
    pub stretches: Vec<Stretch>,
    /// Store them; otherwise only their digests are kept.
    pub keep: bool,
    /// Make a node of this part of the region, with this class for pages that are not among them.
    pub node: Option<(Stretch, u8)>,
}

/// What became of a job.
pub enum Done {
    /// A node: offset and digest; None when all its pages are of the class that need not be listed.
    Node(Option<(u64, Digest)>),
    /// Pages, in the order of the job's stretches.
    Pages(Vec<Entry>),
}

/// Cut stretches at the borders of windows: index and part.
#[must_use]
pub fn by_window(stretches: &[Stretch]) -> BTreeMap<u64, Vec<Stretch>> {
    let mut out: BTreeMap<u64, Vec<Stretch>> = BTreeMap::new();
    for &(mut start, end) in stretches {
        while start < end {
            let index = start / NODE_BYTES;
            let stop = end.min((index + 1) * NODE_BYTES);
            out.entry(index).or_default().push((start, stop));
            start = stop;
        }
    }
    out
}

/// Do all jobs; the results are in their order.
///
/// # Errors
/// The first failure of any thread.
pub fn run(writer: &Writer, jobs: &[Job<'_>], workers: usize) -> Result<Vec<Done>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Done>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let failure: Mutex<Option<ImageError>> = Mutex::new(None);
    let work = || {
        let ended = worker(writer, jobs, &next, &results);
        if let Err(error) = ended {
            next.store(jobs.len(), Ordering::SeqCst); // the others need not go on
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.clamp(1, jobs.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(results.into_iter().flatten().collect())
}

fn worker(writer: &Writer, jobs: &[Job<'_>], next: &AtomicUsize, results: &Mutex<Vec<Option<Done>>>) -> Result<()> {
    let mut scratch = writer.scratch()?;
    let mut buffer = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::SeqCst);
        let Some(job) = jobs.get(at) else { return Ok(()) };
        let done = one(writer, job, &mut scratch, &mut buffer)?;
        results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(done);
    }
}

fn one(writer: &Writer, job: &Job<'_>, scratch: &mut Scratch, buffer: &mut Vec<u8>) -> Result<Done> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut take = |group: &[Stretch], bytes: &[u8], known: bool| -> Result<()> {
        debug_assert!(!group.is_empty());
        if !known {
            entries.extend((0..bytes.len() / PAGE).map(|_| Entry::of(UNKNOWN)));
            return Ok(());
        }
        for part in bytes.chunks(FRAME_PAGES * PAGE) {
            writer.add_pages(scratch, part, job.keep, &mut entries)?;
        }
        Ok(writer.settle(scratch, &mut entries)?) // while the bytes are still in the processor's cache
    };
    match &job.supply {
        Supply::Process(memory) => memory.read(&job.stretches, buffer, &mut take)?,
        Supply::Kept(kept, pid) => kept.read(*pid, &job.stretches, &mut take)?,
    }
    let Some(((start, end), class)) = job.node else { return Ok(Done::Pages(entries)) };
    let mut all = vec![Entry::of(class); ((end - start) / PAGE as u64) as usize];
    let mut source = entries.into_iter();
    for (from, to) in &job.stretches {
        let range = ((from - start) / PAGE as u64) as usize..((to - start) / PAGE as u64) as usize;
        all[range].iter_mut().zip(&mut source).for_each(|(slot, entry)| *slot = entry);
    }
    Ok(Done::Node(put_node(writer, scratch, &all, class)?))
}

/// Write a node, unless all its pages are of the class that need not be listed.
///
/// # Errors
/// When the disk refuses.
pub fn put_node(writer: &Writer, scratch: &mut Scratch, entries: &[Entry], class: u8) -> Result<Option<(u64, Digest)>> {
    if entries.iter().all(|entry| entry.class == class) {
        return Ok(None);
    }
    Ok(Some(writer.add_node(scratch, entries)?))
}
