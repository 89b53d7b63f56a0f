// SPDX-License-Identifier: Apache-2.0
//! Checks a block of lines knowing only what the line before it states: the part of a verification that any core can do.

use crate::chain::{check_links, Fault};
use crate::hash::Digest32;
use crate::json::check_event;
use crate::key::EpochKey;
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
    pub(crate) leaves: Vec<Digest32>,
    pub(crate) kinds: Vec<KindLine>,
    pub(crate) head: Digest32,
    /// Bytes of the lines that hold.
    pub(crate) good_bytes: u64,
    /// The first line that does not hold; nothing after it was looked at.
    pub(crate) fault: Option<LineFault>,
}

impl Job {
    pub(crate) fn run(self) -> Checked {
        let lines = self.block.bytes.len() / 256 + 1;
        let mut out = Checked {
            leaves: Vec::with_capacity(lines),
            kinds: Vec::new(),
            head: self.prev,
            good_bytes: 0,
            fault: None,
            block: self.block,
        };
        let mut epoch = 0;
        let bytes = std::mem::take(&mut out.block.bytes);
        let mut at = 0;
        for newline in memchr::memchr_iter(b'\n', &bytes) {
            let seq = self.first_seq + out.leaves.len() as u64;
            let key = self.keys.get(epoch);
            if let Err(fault) = out.line(&bytes, at..newline, seq, self.signed, key) {
                out.fault = Some(fault);
                break;
            }
            let is_epoch = out.kinds.last().is_some_and(|k| k.index + 1 == out.leaves.len() && k.kind == EPOCH);
            epoch += usize::from(is_epoch);
            at = newline + 1;
        }
        out.good_bytes = at as u64;
        out.block.bytes = bytes;
        out
    }
}

impl Checked {
    fn line(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        seq: u64,
        signed: bool,
        key: Option<&Arc<EpochKey>>,
    ) -> Result<(), LineFault> {
        let line = &bytes[range.clone()];
        let parsed = parse(line).map_err(LineFault::Malformed)?;
        let links = check_links(seq, &self.head, line, &parsed, signed, key.map(|key| &key.mac));
        let (head, leaf) = links.map_err(LineFault::Link)?;
        check_event(parsed.event).map_err(|(cause, at)| LineFault::Rule(cause, at))?;
        if let Some(kind) = parsed.kind {
            let start = range.start + parsed.body_len - parsed.event.len();
            self.kinds.push(KindLine {
                index: self.leaves.len(),
                offset: self.block.offset + range.start as u64,
                kind: kind.to_owned(),
                event: start..start + parsed.event.len(),
            });
        }
        self.head = head;
        self.leaves.push(leaf);
        Ok(())
    }
}
