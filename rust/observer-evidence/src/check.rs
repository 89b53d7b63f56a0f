// SPDX-License-Identifier: Apache-2.0
//! Checks a block of lines knowing only what the line before it states: the part of a verification that any core can do.

use crate::abreast::Abreast;
use crate::alike::Checker;
use crate::chain::{check, Fault, Linked, Sums};
use crate::hash::Digest32;
use crate::key::EpochKey;
use crate::line::parse;
use crate::records::EPOCH;
use crate::scan::Block;
use crate::subtrees::{subtrees, Subtree};
use std::ops::Range;
use std::sync::Arc;

/// One block to check and what is known before its first line.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) block: Block,
    pub(crate) first_seq: u64,
    pub(crate) prev: Digest32,
    pub(crate) signed: bool,
    /// Keys of the epoch that the block begins in and of as many as may begin inside it; empty without a key.
    pub(crate) keys: Vec<Arc<EpochKey>>,
    /// Sizes of the tree at which its root is wanted.
    pub(crate) watch: Vec<u64>,
    /// Keep the leaves, for a proof.
    pub(crate) keep_leaves: bool,
}

/// Lines whose leaves are put together already.
pub(crate) struct Run {
    pub(crate) lines: usize,
    pub(crate) subtrees: Vec<Subtree>,
}

/// A line of the writer's own inside a block.
pub(crate) struct KindLine {
    pub(crate) index: usize,
    pub(crate) offset: u64,
    pub(crate) kind: String,
    pub(crate) event: Range<usize>,
}

/// Why a line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFault {
    Malformed(&'static str),
    Link(Fault),
    Rule(&'static str, usize),
}

/// What a block proved to be.
pub(crate) struct Checked {
    pub(crate) block: Block,
    /// Leaf hashes of the lines that hold; only kept when asked for.
    pub(crate) leaves: Vec<Digest32>,
    /// Those leaves in runs; one ends before each line of the writer's own and at each size that is watched.
    pub(crate) runs: Vec<Run>,
    pub(crate) kinds: Vec<KindLine>,
    pub(crate) head: Digest32,
    /// Bytes of the lines that hold.
    pub(crate) good_bytes: u64,
    /// The first line that does not hold; nothing after it was looked at.
    pub(crate) fault: Option<LineFault>,
}

impl Job {
    pub(crate) fn run(mut self, hasher: &mut Abreast) -> Checked {
        let mut out = Checked {
            leaves: Vec::new(),
            runs: Vec::new(),
            kinds: Vec::new(),
            head: self.prev,
            good_bytes: 0,
            fault: None,
            block: std::mem::take(&mut self.block),
        };
        let bytes = std::mem::take(&mut out.block.bytes);
        out.fault = self.lines(&bytes, &mut out, hasher).err();
        out.block.bytes = bytes;
        self.put_together(&mut out);
        out
    }

    /// Check the lines, as far as they have the form of lines; the first fault of all is the one that counts.
    fn lines(&self, bytes: &[u8], out: &mut Checked, hasher: &mut Abreast) -> Result<(), LineFault> {
        let (lines, malformed) = self.parse(bytes);
        out.leaves.reserve_exact(lines.len());
        let sums = hasher.sums(&lines);
        let (mut start, mut events) = (0, Checker::default());
        for (one, sums) in lines.iter().zip(&sums) {
            self.line(out, (start, one, sums), &mut events)?;
            start += one.line.len() + 1;
        }
        malformed.map_or(Ok(()), |cause| Err(LineFault::Malformed(cause)))
    }

    /// The lines up to the first that is malformed, and why that one is. What a line follows is what the one before it states,
    /// whether or not that is right.
    fn parse<'a>(&'a self, bytes: &'a [u8]) -> (Vec<Linked<'a>>, Option<&'static str>) {
        let mut lines = Vec::with_capacity(bytes.len() / 256 + 1);
        let (mut rest, mut prev, mut epochs) = (bytes, self.prev, 0);
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let parsed = match parse(&rest[..end]) {
                Ok(parsed) => parsed,
                Err(cause) => return (lines, Some(cause)),
            };
            let (chain, key) = (parsed.chain_bytes().unwrap_or_default(), self.keys.get(epochs).map(|key| &key.mac));
            lines.push(Linked { line: &rest[..end], parsed, prev, chain, key: key.filter(|_| parsed.hmac.is_some()) });
            epochs += usize::from(parsed.kind == Some(EPOCH));
            (prev, rest) = (chain, rest.get(end + 1..).unwrap_or_default());
        }
        (lines, None)
    }

    fn line<'a>(
        &self,
        out: &mut Checked,
        (start, one, sums): (usize, &Linked<'a>, &Sums),
        events: &mut Checker<'a>,
    ) -> Result<(), LineFault> {
        let parsed = &one.parsed;
        check(self.first_seq + out.leaves.len() as u64, one, sums, self.signed).map_err(LineFault::Link)?;
        events.check(parsed.event).map_err(|(cause, at)| LineFault::Rule(cause, at))?;
        if let Some(kind) = parsed.kind {
            let event = start + parsed.body_len - parsed.event.len();
            out.kinds.push(KindLine {
                index: out.leaves.len(),
                offset: out.block.offset + start as u64,
                kind: kind.to_owned(),
                event: event..event + parsed.event.len(),
            });
        }
        out.head = sums.chain;
        out.leaves.push(sums.leaf);
        out.good_bytes = (start + one.line.len() + 1) as u64;
        Ok(())
    }

    /// Most of the tree over the lines: what any core can do, so that little is left to the one that puts blocks together.
    fn put_together(&self, out: &mut Checked) {
        let total = out.leaves.len();
        let mut ends: Vec<usize> = out.kinds.iter().map(|kind| kind.index).collect();
        let watched = self.watch.iter().filter_map(|size| usize::try_from(size.checked_sub(self.first_seq)?).ok());
        ends.extend(watched.filter(|&end| end <= total));
        ends.push(total);
        ends.sort_unstable();
        ends.dedup();
        let mut from = 0;
        for end in ends {
            let leaves = &out.leaves[from..end];
            let made = if self.keep_leaves { Vec::new() } else { subtrees(self.first_seq + from as u64, leaves) };
            out.runs.push(Run { lines: end - from, subtrees: made });
            from = end;
        }
        if !self.keep_leaves {
            out.leaves = Vec::new();
        }
    }
}

/// How many lines are epoch records.
pub(crate) fn count_epochs(bytes: &[u8]) -> u64 {
    let lines = bytes.split(|&b| b == b'\n');
    lines.filter(|line| parse(line).is_ok_and(|parsed| parsed.kind == Some(EPOCH))).count() as u64
}
