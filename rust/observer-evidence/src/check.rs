// SPDX-License-Identifier: Apache-2.0
//! Checks a block of lines knowing only what the line before it states: the part of a verification that any core can do.

use crate::alike::Checker;
use crate::chain::{check, sums, Fault, Linked, Sums};
use crate::hash::Digest32;
use crate::hash::MacKey;
use crate::key::EpochKey;
use crate::lanes::{subtrees, Subtree};
use crate::line::parse;
use crate::records::EPOCH;
use crate::scan::Block;
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

/// What the lines of a block before this one leave behind.
#[derive(Default)]
struct SoFar<'a> {
    /// Epochs begun in this block.
    epochs: usize,
    events: Checker<'a>,
}

impl Job {
    pub(crate) fn run(mut self) -> Checked {
        let lines = self.block.bytes.len() / 256 + 1;
        let mut out = Checked {
            leaves: Vec::with_capacity(lines),
            runs: Vec::new(),
            kinds: Vec::new(),
            head: self.prev,
            good_bytes: 0,
            fault: None,
            block: std::mem::take(&mut self.block),
        };
        let bytes = std::mem::take(&mut out.block.bytes);
        out.fault = self.lines(&bytes, &mut out).err();
        out.block.bytes = bytes;
        self.put_together(&mut out);
        out
    }

    /// Check lines two by two, which SHA-256 is fastest with.
    fn lines(&self, bytes: &[u8], out: &mut Checked) -> Result<(), LineFault> {
        let (mut at, mut so_far) = (0, SoFar::default());
        let mut next = |prev: &Digest32| -> Option<Result<(usize, Linked<'_>), LineFault>> {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
            let start = at;
            at += line.len() + 1;
            Some(parse(line).map_err(LineFault::Malformed).map(|parsed| (start, Linked { line, parsed, prev: *prev })))
        };
        while let Some(first) = next(&out.head) {
            let (start, first) = first?;
            let with_key = !self.keys.is_empty();
            // The line after it follows from what this one states, whether or not that is right.
            let stated = first.parsed.chain_bytes().unwrap_or_default();
            match next(&stated) {
                Some(Ok((second_start, second))) => {
                    let [one, two] = sums([first, second], with_key);
                    self.line(out, (start, &first, &one), &mut so_far)?;
                    self.line(out, (second_start, &second, &two), &mut so_far)?;
                }
                other => {
                    let [one] = sums([first], with_key);
                    self.line(out, (start, &first, &one), &mut so_far)?;
                    other.transpose()?;
                }
            }
        }
        Ok(())
    }

    fn line<'a>(
        &self,
        out: &mut Checked,
        (start, one, sums): (usize, &Linked<'a>, &Sums),
        so_far: &mut SoFar<'a>,
    ) -> Result<(), LineFault> {
        let parsed = &one.parsed;
        let key: Option<&MacKey> = self.keys.get(so_far.epochs).map(|key| &key.mac);
        check(self.first_seq + out.leaves.len() as u64, one, sums, self.signed, key).map_err(LineFault::Link)?;
        so_far.events.check(parsed.event).map_err(|(cause, at)| LineFault::Rule(cause, at))?;
        if let Some(kind) = parsed.kind {
            let event = start + parsed.body_len - parsed.event.len();
            so_far.epochs += usize::from(kind == EPOCH);
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
