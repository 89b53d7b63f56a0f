// SPDX-License-Identifier: Apache-2.0
//! Writes a snapshot again, whole in one file, with another codec or for other recipients. The manifest's facts stay as they are.

use crate::error::{Result, SnapshotError};
use crate::manifest::{FileEntry, Region};
use crate::node::{self, Entry};
use crate::reader::{Seen, Snapshot};
use crate::writer::{Finished, Plan, Scratch, Writer};
use crate::PAGE;
use observer_evidence::SigningSeed;

/// Write `snapshot` as `plan` says. Every page is checked on the way; one that does not hold ends it.
///
/// # Errors
/// Damage, or the disk refuses; nothing is left behind then.
pub fn convert(snapshot: &mut Snapshot, plan: &Plan, seed: Option<&SigningSeed>) -> Result<Finished> {
    let writer = Writer::create(plan)?;
    let mut scratch = writer.scratch()?;
    let mut manifest = snapshot.manifest.clone();
    let own = FileEntry { file_id: manifest.snapshot_id.clone(), key: None };
    manifest.files = vec![own];
    for process in &mut manifest.processes {
        let pid = process.pid;
        for region in &mut process.regions {
            copy_region(snapshot, pid, region, &writer, &mut scratch)?;
        }
    }
    for component in &mut manifest.components {
        let bytes = snapshot.component(component)?;
        writer.add_component(&mut scratch, component, &bytes)?;
    }
    writer.finish(&manifest, seed)
}

fn copy_region(snapshot: &mut Snapshot, pid: u32, region: &mut Region, writer: &Writer, scratch: &mut Scratch) -> Result<()> {
    let old = region.clone();
    for (slot, (index, ..)) in old.nodes.iter().enumerate() {
        let (first, count) = node::span(old.start, old.size, *index);
        let range = (first, first + count);
        let mut entries: Vec<Entry> = Vec::with_capacity((range.1 - range.0) as usize);
        let hashed = snapshot.node(&old, &old.nodes[slot])?;
        let path = snapshot.path().to_path_buf();
        snapshot.visit(&old, range, &mut |seen| {
            match seen {
                Seen::Content(bytes) => {
                    for group in bytes.chunks(crate::FRAME_PAGES * PAGE) {
                        writer.add_pages(scratch, group, true, &mut entries)?;
                    }
                }
                Seen::Class(class, count) => {
                    for _ in 0..count {
                        let known = hashed[entries.len()].digest;
                        entries.push(Entry { digest: known, ..Entry::of(class) });
                    }
                }
                Seen::Damaged(count, what) => {
                    let pages =
                        format!("{count} pages from {:#x}: {what}", old.start + (first + entries.len() as u64) * PAGE as u64);
                    return Err(SnapshotError::Pages {
                        path: path.clone(),
                        pid,
                        region: old.start,
                        name: old.name.clone(),
                        pages,
                    });
                }
            }
            Ok(())
        })?;
        writer.settle(scratch, &mut entries)?;
        let (offset, digest) = writer.add_node(scratch, &entries)?;
        region.nodes[slot] = (*index, 0, offset, hex::encode(digest));
    }
    Ok(())
}
