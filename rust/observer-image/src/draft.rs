// SPDX-License-Identifier: Apache-2.0
//! The pages of one process as they are known so far, by window; regions may grow, split and join between two looks.

use crate::error::Result;
use crate::maps::Mapping;
use crate::pagemap::{self, Stretch};
use crate::pipeline;
use crate::policy::Decision;
use observer_snapshot::digest::{self, Digest, RegionHead};
use observer_snapshot::manifest::{NodeEntry, Region, Source};
use observer_snapshot::node::Entry;
use observer_snapshot::writer::{Scratch, Writer};
use observer_snapshot::{source, NODE_BYTES, PAGE};
use std::collections::BTreeMap;

/// Where a node is, and which part of the address space it tells of.
#[derive(Clone, Copy, Debug)]
pub struct NodeRef {
    /// Index into the files.
    pub file: u32,
    /// Offset of its frame.
    pub offset: u64,
    /// Its digest.
    pub digest: Digest,
    /// First address and behind the last.
    pub span: Stretch,
}

/// A region as it is being put together.
#[derive(Clone, Debug)]
pub struct RegionDraft {
    /// The mapping.
    pub mapping: Mapping,
    /// What is done with it.
    pub decision: Decision,
    /// Its nodes by first address.
    pub nodes: BTreeMap<u64, NodeRef>,
}

/// Gives back the entries of a node: (file, offset, pages).
pub type ReadNode<'a> = dyn Fn(u32, u64, u64) -> Result<Vec<Entry>> + 'a;

impl RegionDraft {
    /// A region without pages.
    #[must_use]
    pub fn new(mapping: Mapping, decision: Decision) -> RegionDraft {
        RegionDraft { mapping, decision, nodes: BTreeMap::new() }
    }

    /// Its address range.
    #[must_use]
    pub fn span(&self) -> Stretch {
        (self.mapping.start, self.mapping.end)
    }

    /// The part of it that lies in a window.
    #[must_use]
    pub fn part(&self, window: u64) -> Stretch {
        (self.mapping.start.max(window * NODE_BYTES), self.mapping.end.min((window + 1) * NODE_BYTES))
    }

    /// Remember a node that a job has written.
    pub fn set(&mut self, span: Stretch, node: Option<(u64, Digest)>) {
        match node {
            Some((offset, digest)) => {
                self.nodes.insert(span.0, NodeRef { file: 0, offset, digest, span });
            }
            None => {
                self.nodes.remove(&span.0);
            }
        }
    }

    /// As the manifest lists it.
    #[must_use]
    pub fn to_region(&self, at: Option<u32>, listed: Option<&Source>) -> Region {
        let mapping = &self.mapping;
        let head = RegionHead {
            size: mapping.size(),
            unlisted: self.decision.unlisted,
            source: source::digest_bytes(listed),
            offset: mapping.offset,
        };
        let index = |node: &NodeRef| node.span.0 / NODE_BYTES;
        let digest = digest::region(head, self.nodes.values().map(|node| (index(node), node.digest)));
        let entry = |node: &NodeRef| -> NodeEntry { (index(node), node.file, node.offset, hex::encode(node.digest)) };
        Region {
            start: mapping.start,
            size: mapping.size(),
            permissions: mapping.permissions.clone(),
            offset: mapping.offset,
            name: mapping.name.clone(),
            source: at,
            policy: self.decision.policy.to_owned(),
            why: self.decision.why.clone(),
            flags: mapping.flags.clone(),
            unlisted: self.decision.unlisted,
            digest: hex::encode(digest),
            nodes: self.nodes.values().map(entry).collect(),
        }
    }
}

/// What changed in memory that is marked: pages with new content, and pages that have none any more.
#[derive(Default)]
pub struct Changes {
    /// New content by address.
    pub pages: BTreeMap<u64, Entry>,
    /// Stretches that were given back: they read as zeros, or as the file again.
    pub gone: Vec<Stretch>,
}

impl Changes {
    /// Take in that stretches were given back.
    pub fn forget(&mut self, gone: &[Stretch]) {
        for (start, end) in gone {
            let stale: Vec<u64> = self.pages.range(*start..*end).map(|(address, _)| *address).collect();
            for address in stale {
                self.pages.remove(&address);
            }
        }
        self.gone = pagemap::either(&self.gone, gone);
    }
}

/// Build the nodes of `region` from what was known of its addresses before (`old`) and from what changed since.
///
/// # Errors
/// A node cannot be read again or written.
pub fn rebuild(
    region: &mut RegionDraft,
    old: &[RegionDraft],
    changes: &Changes,
    (writer, scratch): (&Writer, &mut Scratch),
    read: &ReadNode<'_>,
) -> Result<()> {
    let (start, end) = region.span();
    let known: Vec<NodeRef> = old
        .iter()
        .filter(|draft| draft.mapping.start < end && start < draft.mapping.end)
        .flat_map(|draft| draft.nodes.values().filter(|node| node.span.0 < end && start < node.span.1).copied())
        .collect();
    let mut windows: Vec<u64> = known.iter().map(|node| node.span.0 / NODE_BYTES).collect();
    windows.extend(changes.pages.range(start..end).map(|(address, _)| address / NODE_BYTES));
    windows.sort_unstable();
    windows.dedup();
    for window in windows {
        let part = region.part(window);
        let mine: Vec<&NodeRef> = known.iter().filter(|node| node.span.0 < part.1 && part.0 < node.span.1).collect();
        let gone = pagemap::both(&[part], &changes.gone);
        let changed = changes.pages.range(part.0..part.1).next().is_some() || !gone.is_empty();
        if let ([node], false) = (mine.as_slice(), changed) {
            if node.span == part {
                region.nodes.insert(part.0, **node);
                continue;
            }
        }
        let mut entries = vec![Entry::of(region.decision.unlisted); ((part.1 - part.0) / PAGE as u64) as usize];
        for node in mine {
            overlay(&mut entries, part, node, read)?;
        }
        let slot = |address: u64| ((address - part.0) / PAGE as u64) as usize;
        for (from, to) in gone {
            entries[slot(from)..slot(to)].fill(Entry::of(region.decision.unlisted));
            // zeros, or the file's page again
        }
        for (address, entry) in changes.pages.range(part.0..part.1) {
            entries[slot(*address)] = *entry;
        }
        let node = pipeline::put_node(writer, scratch, &entries, region.decision.unlisted)?;
        region.set(part, node);
    }
    Ok(())
}

fn overlay(entries: &mut [Entry], part: Stretch, node: &NodeRef, read: &ReadNode<'_>) -> Result<()> {
    let old = read(node.file, node.offset, (node.span.1 - node.span.0) / PAGE as u64)?;
    for (step, entry) in old.into_iter().enumerate() {
        let address = node.span.0 + (step * PAGE) as u64;
        if address >= part.0 && address < part.1 {
            entries[((address - part.0) / PAGE as u64) as usize] = entry;
        }
    }
    Ok(())
}
