// SPDX-License-Identifier: Apache-2.0
//! What calls about mappings did although they failed: they go from mapping to mapping, and those before the failure stay changed.

use crate::engine::maps::{page_up, regions, Region, PAGE};
use crate::record::special::advise;
use crate::record::task::Call;
use crate::stream::Effect;
use observer_capture::sys::Tid;

const ENOMEM: i64 = -12;
const EINVAL: i64 = -22;
const MADV_DONTNEED: u64 = 4;
/// Mappings whose pages are not given up: locked, of large pages, of a device, sealed. Source: proc(5), VmFlags.
const KEPT: [&str; 4] = ["lo", "ht", "pf", "sl"];
const MAP_FIXED: u64 = 0x10;
const MREMAP_FIXED: u64 = 2;

/// Parts of `start..end` that are mapped.
fn mapped(tid: Tid, start: u64, end: u64) -> Vec<Region> {
    let mut all = regions(tid).unwrap_or_default();
    all.retain(|region| region.start < end && start < region.end);
    for region in &mut all {
        (region.start, region.end) = (region.start.max(start), region.end.min(end));
    }
    all
}

/// Parts of `start..end` that are not.
fn holes(tid: Tid, start: u64, length: u64) -> Vec<Effect> {
    let end = start.saturating_add(page_up(length));
    let mut effects = Vec::new();
    let mut at = start;
    for region in mapped(tid, start, end) {
        if at < region.start {
            effects.push(Effect::Unmap(at, region.start - at));
        }
        at = region.end;
    }
    if at < end {
        effects.push(Effect::Unmap(at, end - at));
    }
    effects
}

/// First address in `start..end` whose pages are not given up.
fn first_kept(tid: Tid, start: u64, end: u64) -> Option<u64> {
    let smaps = std::fs::read(format!("/proc/{tid}/smaps")).ok()?;
    let mut at = (0, 0);
    for line in String::from_utf8_lossy(&smaps).lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if at.0 < end && start < at.1 && flags.split_whitespace().any(|flag| KEPT.contains(&flag)) {
                return Some(at.0.max(start));
            }
        } else if let Some((from, rest)) = line.split_once('-') {
            let to = rest.split(' ').next().unwrap_or("");
            if let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) {
                at = (from, to);
            }
        }
    }
    None
}

fn advised(tid: Tid, start: u64, end: u64, advice: u64) -> Vec<Effect> {
    mapped(tid, start, end).iter().flat_map(|r| advise([r.start, r.end - r.start, advice, 0, 0, 0])).collect()
}

/// Effects of a call that returned the error `result`.
#[must_use]
pub fn effects(tid: Tid, call: &Call, result: i64) -> Vec<Effect> {
    let [start, length, prot, flags, to, _] = call.args;
    let end = start.saturating_add(page_up(length));
    match i64::from(call.nr) {
        libc::SYS_mprotect | libc::SYS_pkey_mprotect if result != EINVAL => {
            mapped(tid, start, end).iter().map(|r| Effect::Protect(r.start, r.end - r.start, r.prot)).collect()
        }
        libc::SYS_madvise if result == ENOMEM => advised(tid, start, end, prot),
        libc::SYS_madvise if prot == MADV_DONTNEED && start % PAGE == 0 => {
            first_kept(tid, start, end).map_or_else(Vec::new, |kept| advised(tid, start, kept, prot))
        }
        // What was there before goes first.
        libc::SYS_mmap if flags & MAP_FIXED != 0 => holes(tid, start, length),
        libc::SYS_mremap if flags & MREMAP_FIXED != 0 => {
            let mut effects = holes(tid, to, prot);
            effects.extend(holes(tid, start, length));
            effects
        }
        _ => Vec::new(),
    }
}
