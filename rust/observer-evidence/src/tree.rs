// SPDX-License-Identifier: Apache-2.0
//! The RFC 6962 Merkle tree over the lines, kept as its right edge: O(log n) hashes from which the root follows.

use crate::hash::{node_hash, sha256, Digest32};

/// The roots of the complete subtrees that make up a tree of `size` leaves, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Digest32>,
}

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
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// Root hash of the tree; SHA-256 of nothing for an empty one (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Digest32 {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else {
            return sha256(b"");
        };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}
