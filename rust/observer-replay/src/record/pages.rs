// SPDX-License-Identifier: Apache-2.0
//! The pages that points hold: all that a process has of its own, as far as that is not much, each only where it changed since the last
//! point in the same memory. A replay keeps them in the same way.

use crate::engine::maps::{hash_bytes, regions, Pagemap, HASH_START, PAGE};
use crate::record::outputs::bytes_at;
use crate::record::tracer::Tracer;
use observer_capture::sys::Tid;
use serde_bytes::ByteBuf;
use std::collections::{BTreeSet, HashMap};

/// So many pages of a process are kept (32 MiB); of larger ones only those that were seen to change.
const MOST: usize = 8192;

/// What is known of a process's pages.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Checksums of the pages that points hold.
    sums: HashMap<u64, u64>,
    /// That is all it has of its own.
    pub whole: bool,
}

fn own(tid: Tid) -> Vec<u64> {
    let (Ok(all), Ok(pagemap)) = (regions(tid), Pagemap::open(tid)) else { return Vec::new() };
    let mut pages = Vec::new();
    for region in all.iter().filter(|region| region.is_private_writable()) {
        pagemap.own_runs(region, &mut |start, length| {
            let room = MOST.saturating_sub(pages.len()) + 1; // one more than fits tells that there is more
            pages.extend((start..start + length as u64).step_by(4096).take(room));
        });
    }
    pages
}

impl Kept {
    /// Pages that hold something else than at the last point, `seen` among them; an empty one is gone.
    fn changed(&mut self, tid: Tid, seen: Vec<u64>) -> Vec<(u64, ByteBuf)> {
        let own = own(tid);
        let mut pages: BTreeSet<u64> = seen.into_iter().chain(self.sums.keys().copied()).collect();
        self.whole = own.len() <= MOST;
        if self.whole {
            pages.extend(own);
        }
        let mut changed = Vec::new();
        for page in pages {
            let bytes = bytes_at(tid, page, PAGE);
            let sum = hash_bytes(HASH_START, &bytes);
            if self.sums.insert(page, sum) != Some(sum) {
                changed.push((page, ByteBuf::from(bytes)));
            }
        }
        changed
    }
}

impl Tracer<'_> {
    /// What the thread's point has to tell of its pages; `seen` are some that change.
    pub(super) fn pages_changed(&mut self, tid: Tid, seen: Vec<u64>) -> Vec<(u64, ByteBuf)> {
        let Some(space) = self.tasks.get(&tid).map(|task| task.space) else { return Vec::new() };
        let tasks = &self.tasks;
        self.kept.retain(|space, _| tasks.values().any(|task| task.space == *space));
        self.kept.entry(space).or_default().changed(tid, seen)
    }
}
