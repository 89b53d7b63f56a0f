// SPDX-License-Identifier: Apache-2.0
//! Writes a snapshot of memory that the caller holds: that of a plugin, or of a process that was replayed.

use crate::digest::{self, RegionHead};
use crate::error::{Result, SnapshotError};
use crate::manifest::{Component, FileEntry, Manifest, Region};
use crate::node::{self, Entry, ZERO};
use crate::writer::{Finished, Plan, Scratch, Writer};
use crate::{FRAME_PAGES, NODE_BYTES, PAGE};
use observer_evidence::SigningSeed;

/// Write `manifest` with these contents: one for each region of each process, in order, and one for each component.
///
/// # Errors
/// A content is not of its region's size, or the disk refuses; nothing is left behind then.
pub fn compose(
    plan: &Plan,
    manifest: &mut Manifest,
    regions: &[&[u8]],
    components: &[&[u8]],
    seed: Option<&SigningSeed>,
) -> Result<Finished> {
    let writer = Writer::create(plan)?;
    let mut scratch = writer.scratch()?;
    manifest.files = vec![FileEntry { file_id: manifest.snapshot_id.clone(), key: None }];
    let mut contents = regions.iter();
    for region in manifest.processes.iter_mut().flat_map(|process| &mut process.regions) {
        let content = contents.next().copied().unwrap_or_default();
        if content.len() as u64 != region.size {
            return Err(SnapshotError::Usage(format!(
                "region {:#x} has {} bytes, not {}",
                region.start,
                content.len(),
                region.size
            )));
        }
        put_region(&writer, &mut scratch, region, content)?;
    }
    let mut contents = components.iter();
    for component in &mut manifest.components {
        put_component(&writer, &mut scratch, component, contents.next().copied().unwrap_or_default())?;
    }
    crate::rules::check(manifest, u64::MAX).map_err(SnapshotError::Usage)?;
    writer.finish(manifest, seed)
}

fn put_component(writer: &Writer, scratch: &mut Scratch, component: &mut Component, content: &[u8]) -> Result<()> {
    writer.add_component(scratch, component, content)
}

fn put_region(writer: &Writer, scratch: &mut Scratch, region: &mut Region, content: &[u8]) -> Result<()> {
    region.unlisted = ZERO;
    "copied".clone_into(&mut region.policy);
    let head = RegionHead { size: region.size, unlisted: ZERO, source: [0; 32], offset: region.offset };
    let mut digests = Vec::new();
    region.nodes.clear();
    for index in region.start / NODE_BYTES..region.end().div_ceil(NODE_BYTES) {
        let (first, count) = node::span(region.start, region.size, index);
        let part = &content[first as usize * PAGE..(first + count) as usize * PAGE];
        let mut entries: Vec<Entry> = Vec::with_capacity(count as usize);
        for group in part.chunks(FRAME_PAGES * PAGE) {
            writer.add_pages(scratch, group, true, &mut entries)?;
        }
        writer.settle(scratch, &mut entries)?;
        if entries.iter().all(|entry| entry.class == ZERO) {
            continue;
        }
        let (offset, digest) = writer.add_node(scratch, &entries)?;
        region.nodes.push((index, 0, offset, hex::encode(digest)));
        digests.push((index, digest));
    }
    region.digest = hex::encode(digest::region(head, digests.into_iter()));
    Ok(())
}
