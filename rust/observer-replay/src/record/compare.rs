// SPDX-License-Identifier: Apache-2.0
//! For calls nobody has modelled: all memory the process can write, before and after.

use crate::engine::maps::{hash_bytes, regions, Pagemap, Region, HASH_START, PAGE};
use crate::stream::Effect;
use observer_capture::sys::{read_memory, Tid};
use std::collections::HashMap;

/// More touched memory than this is not compared: the call is marked as not replayable instead.
const LIMIT: usize = 1 << 30;

/// Checksums of the touched pages before a call.
#[derive(Debug)]
pub struct Before {
    pages: HashMap<u64, u64>,
}

fn writable(tid: Tid) -> Vec<Region> {
    let write = libc::PROT_WRITE.unsigned_abs();
    regions(tid).unwrap_or_default().into_iter().filter(|r| r.prot & write != 0 && !r.is_kernels()).collect()
}

fn each_page(tid: Tid, mut visit: impl FnMut(u64, &[u8])) -> Option<()> {
    let pagemap = Pagemap::open(tid).ok()?;
    let (mut buffer, mut total) = (vec![0u8; 256 * PAGE as usize], 0);
    for region in writable(tid) {
        let mut run = |address: u64, length: usize| {
            total += length;
            let got = if total > LIMIT { 0 } else { read_memory(tid, address, &mut buffer[..length]) };
            for (number, page) in buffer[..got].chunks(PAGE as usize).enumerate() {
                visit(address + number as u64 * PAGE, page);
            }
        };
        if region.shared {
            let mut at = region.start;
            while at < region.end {
                let length = (region.end - at).min(256 * PAGE);
                run(at, usize::try_from(length).unwrap_or(0));
                at += length;
            }
        } else {
            pagemap.own_runs(&region, &mut run);
        }
    }
    (total <= LIMIT).then_some(())
}

impl Before {
    /// Looks at a process that is about to make a call; None when it has too much memory.
    pub fn of(tid: Tid) -> Option<Before> {
        let mut pages = HashMap::new();
        each_page(tid, |address, page| {
            pages.insert(address, hash_bytes(HASH_START, page));
        })?;
        Some(Before { pages })
    }

    /// The pages that are different now.
    pub fn changes(&self, tid: Tid) -> Vec<Effect> {
        let mut effects = Vec::new();
        let zero = hash_bytes(HASH_START, &[0; PAGE as usize]);
        let _ = each_page(tid, |address, page| {
            if *self.pages.get(&address).unwrap_or(&zero) != hash_bytes(HASH_START, page) {
                effects.push(Effect::Memory(address, page.to_vec()));
            }
        });
        effects
    }
}
