// SPDX-License-Identifier: Apache-2.0
//! A recording as numbers: what is kept of it while it is compared.

use crate::tree::Tree;
use std::collections::hash_map::RandomState;
use std::collections::BTreeMap;

/// One call as numbers. 64 bytes each: what bounds the memory of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Token {
    /// Name, and what it acts on: paths, sockets, what descriptors stand for.
    pub key: u64,
    /// All arguments that do not differ between equal runs.
    pub args: u32,
    /// What it returned.
    pub result: u32,
    /// What it wrote or read.
    pub data: u32,
    /// Name.
    pub name: u32,
    /// All arguments but what descriptors stand for.
    pub rest: u32,
    /// What its descriptors stand for; 0 without one.
    pub label: u32,
    /// What the descriptor stands for that it opened; 0 without one.
    pub opens: u32,
    /// `Outcome` as a number.
    pub outcome: u8,
    /// Record number.
    pub record: u64,
    /// CLOCK_MONOTONIC at entry, ns.
    pub start_ns: u64,
    /// Entry to return, ns.
    pub duration_ns: u64,
}

const _: () = assert!(size_of::<Token>() == 64);

impl Token {
    /// Equal exactly for calls that are equal in everything that is compared.
    #[must_use]
    pub fn exact(&self) -> u64 {
        let parts = u64::from(self.args) << 32 | u64::from(self.result);
        let mixed = (self.key ^ parts.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed.rotate_left(31) ^ u64::from(self.data).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

/// What one thread did.
#[derive(Debug, Default)]
pub struct Thread {
    /// Its calls in the order of their return.
    pub calls: Vec<Token>,
    /// Signals delivered to it: apart, because where they arrive is not the program's doing.
    pub signals: Vec<Token>,
}

/// One recording as numbers.
#[derive(Debug, Default)]
pub struct Run {
    /// Its processes and threads.
    pub tree: Tree,
    /// By node of the tree.
    pub threads: Vec<Thread>,
    /// Calls left out, by name.
    pub left_out: BTreeMap<String, u64>,
    /// First start of a call, CLOCK_MONOTONIC ns.
    pub first_ns: u64,
    /// Last end of a call.
    pub last_ns: u64,
}

/// How a recording is read.
pub struct Reading<'a> {
    /// Shared by both recordings, unknown to who made them.
    pub hasher: &'a RandomState,
    /// One name per node of the tree, as the pairing gave it.
    pub names: &'a [String],
    /// Compare the calls of `SCHEDULE` too.
    pub all: bool,
    /// More calls than this are refused.
    pub most_calls: usize,
}
