// SPDX-License-Identifier: Apache-2.0
//! Records to bytes and back: the encoding of docs/spec/recording.md §4, what both directions share. Stateless between chunks.

use std::collections::HashMap;

pub use crate::decode::ChunkDecoder;
pub use crate::encode::{ChunkEncoder, Part};

pub(crate) const SAME_THREAD: u8 = 1;
pub(crate) const HAS_FLAGS: u8 = 2;
pub(crate) const NEGATIVE: u8 = 4;
pub(crate) const ZERO: u8 = 8;
pub(crate) const HAS_BLOBS: u8 = 16;
pub(crate) const SIGNAL: u8 = 128;

/// Numbers below this index `last_args` directly; the rest go through a map.
const DENSE: usize = 512;

/// The last argument registers per syscall number: arguments are stored as differences from them.
pub(crate) struct LastArgs {
    dense: Vec<[u64; 6]>,
    sparse: HashMap<u32, [u64; 6]>,
}

impl LastArgs {
    pub fn new() -> Self {
        LastArgs { dense: vec![[0; 6]; DENSE], sparse: HashMap::new() }
    }

    /// Nothing is remembered any more.
    pub fn forget(&mut self) {
        self.dense.fill([0; 6]);
        self.sparse.clear();
    }

    pub fn slot(&mut self, nr: u32) -> &mut [u64; 6] {
        match self.dense.get_mut(nr as usize) {
            Some(slot) => slot,
            None => self.sparse.entry(nr).or_insert([0; 6]),
        }
    }
}

/// The columns of a chunk of kind 7: what is alike lies together, so that compressing it takes less time and less room.
pub(crate) const COLUMNS: usize = 3;
/// Start and duration.
pub(crate) const TIMES: usize = 0;
/// What else is known of a record.
pub(crate) const FACTS: usize = 1;
/// The bytes of memory that were not told by difference.
pub(crate) const MEMORY: usize = 2;
