// SPDX-License-Identifier: Apache-2.0
//! Hashes of the line that is being sealed.
//!
//! A line's chain value needs the one before it, so lines are sealed one after the other. What does not wait is hashed in the shadow
//! of what does: one SHA-256 leaves the processor's SHA unit idle half of the time.

use crate::hash::Digest32;
use observer_lanes::{compress, digest, Block, State, BLOCK, START};

/// The beginning of a message 0x00 ‖ `bytes`, hashed as far as whole blocks go.
#[derive(Clone, Copy)]
pub(crate) struct Lead<'a> {
    state: State,
    bytes: &'a [u8],
    /// Whole blocks hashed.
    done: usize,
}

impl<'a> Lead<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { state: START, bytes, done: 0 }
    }

    /// Go on with a beginning whose bytes are now at hand again, and more of them.
    pub(crate) fn resume((state, done): (State, usize), bytes: &'a [u8]) -> Self {
        Self { state, bytes, done }
    }

    /// What `resume` needs.
    pub(crate) fn state(&self) -> (State, usize) {
        (self.state, self.done)
    }

    /// Hash as far as whole blocks of the first `end` bytes go.
    pub(crate) fn advance(&mut self, end: usize) {
        while self.done < (1 + end) / BLOCK {
            self.step();
        }
    }

    fn step(&mut self) {
        let at = self.done * BLOCK;
        let mut first = [0; BLOCK];
        let block: &Block = if self.done == 0 {
            first[1..].copy_from_slice(&self.bytes[..BLOCK - 1]);
            &first
        } else {
            // A range of 64 bytes is one block; the fallback cannot be reached.
            self.bytes[at - 1..at + BLOCK - 1].try_into().unwrap_or(&first)
        };
        compress(&mut self.state, block);
        self.done += 1;
    }

    /// What is left of the first `end` bytes, then a suffix of at most 56 bytes, as the last blocks of a message.
    #[inline]
    pub(crate) fn finish(&self, end: usize, suffix: &[u8], tail: &mut Tail) {
        let from = self.done * BLOCK;
        let flat = tail.blocks.as_flattened_mut();
        flat.fill(0);
        let at = usize::from(from == 0);
        let rest = &self.bytes[(from + at - 1)..end];
        let (middle, length) = (at + rest.len(), at + rest.len() + suffix.len());
        flat[at..middle].copy_from_slice(rest);
        flat[middle..length].copy_from_slice(suffix);
        flat[length] = 0x80;
        tail.state = self.state;
        tail.count = (length + 9).div_ceil(BLOCK);
        let bits = 8 * (1 + end + suffix.len()) as u64;
        flat[tail.count * BLOCK - 8..tail.count * BLOCK].copy_from_slice(&bits.to_be_bytes());
    }
}

/// The last blocks of a message, padding included.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    state: State,
    blocks: [Block; 2],
    count: usize,
}

impl Tail {
    /// Of no message yet.
    pub(crate) const EMPTY: Self = Self { state: START, blocks: [[0; BLOCK]; 2], count: 0 };

    /// The digest, once all blocks are hashed.
    #[inline]
    pub(crate) fn digest(&self) -> Digest32 {
        digest(&self.state)
    }
}

/// Hash the last blocks of messages.
#[inline]
pub(crate) fn complete(tails: &mut [Tail]) {
    for block in 0..2 {
        for tail in &mut *tails {
            if block < tail.count {
                compress(&mut tail.state, &tail.blocks[block]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn parts_make_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0..700_u32).map(|n| (n * 7 % 251) as u8).collect();
        for long in (0..420_usize).chain([500, 700]) {
            for (middle, suffix) in [(long, 0), (long, 32), (long / 2, 56), (long.saturating_sub(74), 32)] {
                let expected = |end: usize| {
                    let mut hasher = Sha256::new();
                    hasher.update([0]);
                    hasher.update(&bytes[..end]);
                    hasher.update(&bytes[..suffix]);
                    <Digest32>::from(hasher.finalize())
                };
                let mut leads = [Lead::new(&bytes), Lead::new(&bytes)];
                leads[0].advance(middle);
                leads[1].advance(long);
                let mut tails = [Tail::EMPTY; 2];
                leads[0].finish(middle, &bytes[..suffix], &mut tails[0]);
                leads[1].finish(long, &bytes[..suffix], &mut tails[1]);
                complete(&mut tails);
                assert_eq!(tails.map(|tail| tail.digest()), [expected(middle), expected(long)], "{middle} {long} {suffix}");
            }
        }
    }
}
