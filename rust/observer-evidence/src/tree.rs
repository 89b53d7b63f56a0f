// SPDX-License-Identifier: Apache-2.0
//! The RFC 6962 Merkle tree over the lines, kept as its right edge: O(log n) hashes from which the root follows.
//!
//! Proofs are lists of subtree hashes. Which subtrees a proof needs is known from its numbers alone, so a proof is made
//! by reading the log once and keeping only those ([`Collector`]), and checked by the same recursion (RFC 6962 §2.1).

use crate::hash::{node_hash, sha256, Digest32};
use crate::subtrees::Subtree;
use std::collections::HashMap;

/// The roots of the complete subtrees that make up a tree of `size` leaves, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Digest32>,
}

/// Leaves `.0` up to, not including, `.1`.
pub type Range = (u64, u64);

impl Frontier {
    /// Rebuild a frontier from its parts; None when the number of nodes does not fit the size.
    #[must_use]
    pub fn from_parts(size: u64, nodes: Vec<Digest32>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Subtree roots, largest subtree first.
    #[must_use]
    pub fn nodes(&self) -> &[Digest32] {
        &self.nodes
    }

    /// Add the next leaf hash.
    pub fn push(&mut self, leaf: Digest32) {
        self.push_seen(leaf, |_, _| {});
    }

    /// Add the next leaf hash and show every subtree that it completes, the leaf itself first.
    pub fn push_seen(&mut self, leaf: Digest32, mut see: impl FnMut(Range, &Digest32)) {
        let (mut node, mut low, high) = (leaf, self.size, self.size + 1);
        see((low, high), &node);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
                low = high - 2 * (high - low);
                see((low, high), &node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// Add complete subtrees from left to right; each must fit where the tree ends.
    pub(crate) fn push_all(&mut self, subtrees: &[Subtree]) {
        for &(height, root) in subtrees {
            let (mut node, mut level) = (root, height);
            while self.size >> level & 1 == 1 {
                if let Some(left) = self.nodes.pop() {
                    node = node_hash(&left, &node);
                }
                level += 1;
            }
            self.nodes.push(node);
            self.size += 1 << height;
        }
    }

    /// Root hash of the tree; SHA-256 of nothing for an empty one (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Digest32 {
        self.root_from(0).unwrap_or_else(|| sha256(b""))
    }

    /// The complete subtrees with the leaves they stand on, from left to right.
    fn parts(&self) -> impl DoubleEndedIterator<Item = (Range, &Digest32)> {
        let mut low = 0;
        let mut parts = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let width = 1_u64 << (63 - (self.size - low).leading_zeros());
            parts.push(((low, low + width), node));
            low += width;
        }
        parts.into_iter()
    }

    /// Root of the leaves from `low` to the end, where `low` is the left edge of one of the complete subtrees.
    fn root_from(&self, low: u64) -> Option<Digest32> {
        let mut right: Option<Digest32> = None;
        for ((start, _), node) in self.parts().rev() {
            if start < low {
                break;
            }
            right = Some(right.map_or(*node, |right| node_hash(node, &right)));
        }
        right
    }
}

/// Keeps the subtree hashes that one proof needs while leaves go by.
pub struct Collector {
    wanted: Vec<Range>,
    found: HashMap<Range, Digest32>,
}

impl Collector {
    /// Collect these subtrees; subtrees that lie wholly before the first leaf shown come from `start`.
    #[must_use]
    pub fn new(wanted: Vec<Range>, start: &Frontier) -> Self {
        let mut collector = Self { wanted, found: HashMap::new() };
        for (range, node) in start.parts() {
            collector.see(range, node);
        }
        collector
    }

    /// Look at a complete subtree.
    pub fn see(&mut self, range: Range, node: &Digest32) {
        if self.wanted.contains(&range) {
            self.found.insert(range, *node);
        }
    }

    /// The proof, once the tree has reached the size that the ranges were made for; None when a subtree is not known
    /// because the lines under it were pruned.
    #[must_use]
    pub fn finish(&self, tree: &Frontier) -> Option<Vec<Digest32>> {
        let edge = |&(low, high): &Range| {
            if high == tree.size() {
                tree.root_from(low)
            } else {
                None
            }
        };
        self.wanted.iter().map(|range| self.found.get(range).copied().or_else(|| edge(range))).collect()
    }
}

/// Largest power of two below `width`, which must be at least 2.
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

/// The subtrees that prove leaf `index` in a tree of `size` leaves, nearest to the leaf first.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range> {
    let (mut low, mut high) = (0, size);
    let mut ranges = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The subtrees that prove that a tree of `old` leaves is the beginning of one of `new` leaves.
#[must_use]
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range> {
    if old == 0 || old >= new {
        return Vec::new();
    }
    let (mut low, mut high, mut whole) = (0, new, true);
    let mut ranges = Vec::new();
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
            whole = false;
        }
    }
    if !whole {
        ranges.push((low, high));
    }
    ranges.reverse();
    ranges
}

/// True when `proof` shows that `leaf` stands at `index` in the tree of `size` leaves with `root`.
#[must_use]
pub fn verify_inclusion(leaf: &Digest32, index: u64, size: u64, proof: &[Digest32], root: &Digest32) -> bool {
    if index >= size {
        return false;
    }
    let ranges = inclusion_ranges(index, size);
    if ranges.len() != proof.len() {
        return false;
    }
    let join = |node: Digest32, (&(low, _), other): (&Range, &Digest32)| {
        if low > index {
            node_hash(&node, other)
        } else {
            node_hash(other, &node)
        }
    };
    ranges.iter().zip(proof).fold(*leaf, join) == *root
}

/// True when `proof` shows that the tree of `old.0` leaves with root `old.1` is the beginning of the tree `new`.
#[must_use]
pub fn verify_consistency(old: (u64, &Digest32), new: (u64, &Digest32), proof: &[Digest32]) -> bool {
    if old.0 == 0 || old.0 >= new.0 {
        let same = old.0 == 0 || (old.0 == new.0 && old.1 == new.1);
        return same && proof.is_empty() && (old.0 > 0 || *old.1 == sha256(b""));
    }
    let ranges = consistency_ranges(old.0, new.0);
    if ranges.len() != proof.len() {
        return false;
    }
    // When the old size is a power of two its root is itself the first subtree and the proof does not repeat it.
    let mut pairs = ranges.iter().zip(proof);
    let seed = if old.0.is_power_of_two() { *old.1 } else { pairs.next().map_or([0; 32], |(_, node)| *node) };
    let (mut old_root, mut new_root) = (seed, seed);
    for (&(low, _), other) in pairs {
        if low < old.0 {
            old_root = node_hash(other, &old_root);
            new_root = node_hash(other, &new_root);
        } else {
            new_root = node_hash(&new_root, other);
        }
    }
    old_root == *old.1 && new_root == *new.1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hash::leaf_hash;

    fn frontier(size: u64) -> Frontier {
        let mut tree = Frontier::default();
        (0..size).for_each(|n| tree.push(leaf_hash(&n.to_be_bytes())));
        tree
    }

    /// RFC 6962 §2.1, word for word.
    fn mth(leaves: &[Digest32]) -> Digest32 {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
                node_hash(&mth(left), &mth(right))
            }
        }
    }

    fn collect(wanted: Vec<Range>, start: u64, size: u64) -> Vec<Digest32> {
        let mut tree = frontier(start);
        let mut collector = Collector::new(wanted, &tree);
        for n in start..size {
            tree.push_seen(leaf_hash(&n.to_be_bytes()), |range, node| collector.see(range, node));
        }
        collector.finish(&tree).unwrap()
    }

    #[test]
    fn roots_are_those_of_the_definition() {
        let leaves: Vec<_> = (0..70_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        for size in 0..=70 {
            assert_eq!(frontier(size).root(), mth(&leaves[..size as usize]), "{size}");
        }
    }

    #[test]
    fn inclusion_proofs_hold_and_their_mutants_do_not() {
        for size in 1..40 {
            let root = frontier(size).root();
            for index in 0..size {
                let leaf = leaf_hash(&index.to_be_bytes());
                // Lines before `index` may be pruned: the frontier there is enough.
                let proof = collect(inclusion_ranges(index, size), index, size);
                assert!(verify_inclusion(&leaf, index, size, &proof, &root), "{index} of {size}");
                assert!(!verify_inclusion(&leaf, index + 1, size, &proof, &root));
                assert!(!verify_inclusion(&root, index, size, &proof, &leaf) || size == 1);
                for at in 0..proof.len() {
                    let mut mutant = proof.clone();
                    mutant[at][at % 32] ^= 4;
                    assert!(!verify_inclusion(&leaf, index, size, &mutant, &root));
                    mutant.remove(at);
                    assert!(!verify_inclusion(&leaf, index, size, &mutant, &root));
                }
            }
        }
    }

    #[test]
    fn consistency_proofs_hold_and_their_mutants_do_not() {
        for new in 0..40 {
            for old in 0..=new {
                let (old_root, new_root) = (frontier(old).root(), frontier(new).root());
                let proof = collect(consistency_ranges(old, new), 0, new);
                assert!(verify_consistency((old, &old_root), (new, &new_root), &proof), "{old} {new}");
                if old == 0 || old == new {
                    continue;
                }
                assert!(!verify_consistency((old, &new_root), (new, &new_root), &proof));
                assert!(!verify_consistency((old, &old_root), (new, &old_root), &proof));
                for at in 0..proof.len() {
                    let mut mutant = proof.clone();
                    mutant[at][at % 32] ^= 4;
                    assert!(!verify_consistency((old, &old_root), (new, &new_root), &mutant));
                }
            }
        }
    }
}
