// SPDX-License-Identifier: Apache-2.0
//! Most of the Merkle tree over many lines: the complete subtrees that they make up, many nodes at a time.

use crate::abreast::WORTH_WIDE;
use crate::hash::{node_hash, Digest32};
use observer_lanes::{digest, Block, Lanes, Wide, BLOCK, START};

/// A complete subtree: how high it is, and its root.
pub(crate) type Subtree = (u32, Digest32);

/// The complete subtrees that the leaves from index `first` on make up, from left to right.
pub(crate) fn subtrees(first: u64, leaves: &[Digest32]) -> Vec<Subtree> {
    let (mut nodes, mut low) = (leaves.to_vec(), first);
    let (mut left, mut right, mut height) = (Vec::new(), Vec::new(), 0);
    let mut wide = if leaves.len() >= 2 * WORTH_WIDE { Wide::new() } else { None };
    while !nodes.is_empty() {
        let skip = usize::try_from(low & 1).unwrap_or(0);
        left.extend(nodes.iter().take(skip).map(|node| (height, *node)));
        if (nodes.len() - skip) % 2 == 1 {
            right.extend(nodes.pop().map(|node| (height, node)));
        }
        nodes = parents(&nodes[skip.min(nodes.len())..], &mut wide);
        (low, height) = (low.div_ceil(2), height + 1);
    }
    left.extend(right.into_iter().rev());
    left
}

/// The nodes above pairs of nodes.
fn parents(nodes: &[Digest32], wide: &mut Option<Wide>) -> Vec<Digest32> {
    let pairs = nodes.as_chunks::<2>().0;
    let (many, few) = match wide {
        Some(_) if pairs.len() % 16 >= WORTH_WIDE => (pairs, &pairs[..0]),
        Some(_) => pairs.split_at(pairs.len() / 16 * 16),
        None => (&pairs[..0], pairs),
    };
    let mut out = Vec::with_capacity(pairs.len());
    if let (Some(wide), false) = (wide, many.is_empty()) {
        side_by_side(many, wide, &mut out);
    }
    out.extend(few.iter().map(|[left, right]| node_hash(left, right)));
    out
}

/// The same, sixteen at a time.
fn side_by_side(pairs: &[[Digest32; 2]], wide: &mut Wide, out: &mut Vec<Digest32>) {
    let mut blocks = [node_blocks(); 16];
    for some in pairs.chunks(16) {
        for (lane, ([first, second], [left, right])) in blocks.iter_mut().zip(some).enumerate() {
            first[1..33].copy_from_slice(left);
            first[33..].copy_from_slice(&right[..31]);
            second[0] = right[31];
            wide.set(lane, &START);
        }
        wide.step(std::array::from_fn(|lane| &blocks[lane][0]));
        wide.step(std::array::from_fn(|lane| &blocks[lane][1]));
        out.extend((0..some.len()).map(|lane| digest(&wide.get(lane))));
    }
}

/// The message 0x01 ‖ left ‖ right (RFC 6962 §2.1) and its padding, where left and right are zeros.
fn node_blocks() -> [Block; 2] {
    let mut blocks = [[0; BLOCK]; 2];
    blocks[0][0] = 1;
    blocks[1][1] = 0x80;
    blocks[1][62..].copy_from_slice(&(65_u16 * 8).to_be_bytes());
    blocks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hash::leaf_hash;
    use crate::tree::Frontier;

    #[test]
    fn nodes_are_those_of_the_definition() {
        let nodes: Vec<Digest32> = (0..90_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        for count in 0..90 {
            let expected: Vec<Digest32> = nodes[..count].chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            assert_eq!(parents(&nodes[..count], &mut Wide::new()), expected);
            assert_eq!(parents(&nodes[..count], &mut None), expected);
        }
    }

    #[test]
    fn subtrees_make_the_same_tree_as_leaves() {
        for first in 0..35_u64 {
            for count in 0..40_u64 {
                let leaf = |n: u64| leaf_hash(&n.to_be_bytes());
                let mut one = Frontier::default();
                (0..first).for_each(|n| one.push(leaf(n)));
                let mut other = one.clone();
                let leaves: Vec<Digest32> = (first..first + count).map(leaf).collect();
                leaves.iter().for_each(|leaf| one.push(*leaf));
                other.push_all(&subtrees(first, &leaves));
                assert_eq!(one, other, "{first} {count}");
            }
        }
    }
}
