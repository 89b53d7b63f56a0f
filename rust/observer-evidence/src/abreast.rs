// SPDX-License-Identifier: Apache-2.0
//! All hashes of many lines, side by side in lanes. What a line's hashes need stands in the line itself and in the one before it, so
//! no line waits for another one's result.
//!
//! A lane takes one line after the other. It reads the line once: leaf, chain value and what the HMAC signs begin with the same
//! bytes, so their hash is noted at the two places where they part, and taken up there again.

use crate::chain::{Linked, Sums};
use crate::hash::{pad, Digest32};
use observer_lanes::{digest, Block, Lanes, State, Turns, Wide, BLOCK, START};
use std::array::from_fn;
use std::ops::Range;

/// Lanes that must have work for sixteen of them to be faster than one after the other.
pub(crate) const WORTH_WIDE: usize = 5;

/// What is hashed up to the next stop of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Body,
    Head,
    Leaf,
    Chain,
    Signed,
    Inner,
    Outer,
}

/// What one lane hashes: the blocks of a whole line, then those with which its other hashes end.
struct Row {
    blocks: Vec<Block>,
    at: usize,
    stop: usize,
    part: Part,
    /// The line's index.
    line: usize,
    /// Where head and line end, in blocks, then the ends of chain value and of what is signed.
    ends: [usize; 4],
    /// The hash of the body's whole blocks, and of the head's.
    body: State,
    head: State,
}

impl Row {
    fn new() -> Self {
        let blocks = vec![[0; BLOCK]];
        Self { blocks, at: 0, stop: 0, part: Part::Nothing, line: 0, ends: [0; 4], body: START, head: START }
    }

    /// Lay out the blocks of a line.
    fn fill(&mut self, index: usize, one: &Linked<'_>) {
        let (line, body, head) = (one.line, one.parsed.body_len, one.parsed.head_len);
        let leaf = padded_blocks(1 + line.len());
        let chain = leaf + padded_blocks((1 + head) % BLOCK + 32);
        let signed = if one.key.is_some() { chain + padded_blocks((1 + body) % BLOCK + 32) } else { chain };
        // Two for the HMAC, one into which padding may spill.
        if self.blocks.len() < signed + 3 {
            self.blocks.resize(signed + 3, [0; BLOCK]);
        }
        let bytes = self.blocks.as_flattened_mut();
        bytes[0] = 0;
        bytes[1..=line.len()].copy_from_slice(line);
        pad(bytes, 1 + line.len(), leaf * BLOCK, 1 + line.len());
        put_end(bytes, 1 + head, &one.prev, leaf..chain);
        if one.key.is_some() {
            put_end(bytes, 1 + body, &one.prev, chain..signed);
        }
        (self.line, self.at, self.ends) = (index, 0, [(1 + head) / BLOCK, leaf, chain, signed]);
        if one.key.is_some() {
            self.hash(Part::Body, (1 + body) / BLOCK);
        } else {
            self.hash(Part::Head, self.ends[0]);
        }
    }

    fn hash(&mut self, part: Part, stop: usize) {
        (self.part, self.stop) = (part, stop);
    }

    /// Lay out the next block of the HMAC, whose message is the key's block and a digest.
    fn hash_digest(&mut self, part: Part, digest: &Digest32) {
        let block = &mut self.blocks[self.at];
        block[..32].copy_from_slice(digest);
        pad(block, 32, BLOCK, BLOCK + 32);
        self.hash(part, self.at + 1);
    }
}

/// Blocks of a message's last `bytes` and its padding.
fn padded_blocks(bytes: usize) -> usize {
    (bytes + 9).div_ceil(BLOCK)
}

/// Put the last blocks of the message of `bytes`'s first `length` bytes and `suffix` at `place`.
fn put_end(bytes: &mut [u8], length: usize, suffix: &Digest32, place: Range<usize>) {
    let (from, rest, to) = (length / BLOCK * BLOCK, length % BLOCK, place.start * BLOCK);
    bytes.copy_within(from..from + BLOCK, to);
    bytes[to + rest..to + rest + 32].copy_from_slice(suffix);
    pad(bytes, to + rest + 32, place.end * BLOCK, length + 32);
}

/// Lines, their sums, and the first line that no lane has taken.
struct Work<'a> {
    lines: &'a [Linked<'a>],
    sums: Vec<Sums>,
    next: usize,
}

impl Work<'_> {
    /// Hash until fewer than `enough` lanes have something to hash.
    fn turn<const N: usize>(&mut self, lanes: &mut impl Lanes<N>, rows: &mut [Row; N], enough: usize) {
        let mut busy = N;
        for (lane, row) in rows.iter_mut().enumerate() {
            busy -= usize::from(!self.goes_on(row, lanes, lane));
        }
        while busy >= enough {
            lanes.step(from_fn(|lane| &rows[lane].blocks[rows[lane].at]));
            for (lane, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.part != Part::Nothing) {
                row.at += 1;
                busy -= usize::from(!self.goes_on(row, lanes, lane));
            }
        }
    }

    /// Do what has to be done where a lane stops, until there is a block to hash; false when there is none.
    #[inline]
    fn goes_on<const N: usize>(&mut self, row: &mut Row, lanes: &mut impl Lanes<N>, lane: usize) -> bool {
        while row.at == row.stop {
            let state = lanes.get(lane);
            match row.part {
                Part::Nothing => {
                    let Some(line) = self.lines.get(self.next) else {
                        return false;
                    };
                    row.fill(self.next, line);
                    lanes.set(lane, &START);
                    self.next += 1;
                }
                Part::Body => {
                    row.body = state;
                    row.hash(Part::Head, row.ends[0]);
                }
                Part::Head => {
                    row.head = state;
                    row.hash(Part::Leaf, row.ends[1]);
                }
                Part::Leaf => {
                    self.sums[row.line].leaf = digest(&state);
                    lanes.set(lane, &row.head);
                    row.hash(Part::Chain, row.ends[2]);
                }
                _ => self.finish(row, lanes, lane, &state),
            }
        }
        true
    }

    /// The stops after the chain value's end; those of the HMAC are only reached with a key.
    fn finish<const N: usize>(&mut self, row: &mut Row, lanes: &mut impl Lanes<N>, lane: usize, state: &State) {
        let (sums, key) = (&mut self.sums[row.line], self.lines[row.line].key);
        match (row.part, key) {
            (Part::Chain, _) => sums.chain = digest(state),
            (Part::Outer, _) => sums.mac = digest(state),
            _ => {}
        }
        match (row.part, key) {
            (Part::Chain, Some(_)) => {
                lanes.set(lane, &row.body);
                row.hash(Part::Signed, row.ends[3]);
            }
            (Part::Signed, Some(key)) => {
                lanes.set(lane, key.inner());
                row.hash_digest(Part::Inner, &digest(state));
            }
            (Part::Inner, Some(key)) => {
                lanes.set(lane, key.outer());
                row.hash_digest(Part::Outer, &digest(state));
            }
            _ => (row.part, row.at, row.stop) = (Part::Nothing, 0, 0),
        }
    }
}

/// Hashes lines; its memory is used again from one block of lines to the next.
pub(crate) struct Abreast {
    wide: Option<Wide>,
    rows: Box<[Row; 16]>,
}

impl Abreast {
    pub(crate) fn new() -> Self {
        Self::with(Wide::new())
    }

    fn with(wide: Option<Wide>) -> Self {
        Self { wide, rows: Box::new(from_fn(|_| Row::new())) }
    }

    /// The sums of lines, in their order; the MAC of those that come with a key.
    pub(crate) fn sums(&mut self, lines: &[Linked<'_>]) -> Vec<Sums> {
        let mut work = Work { lines, sums: vec![Sums::default(); lines.len()], next: 0 };
        if let Some(wide) = &mut self.wide {
            work.turn(wide, &mut self.rows, WORTH_WIDE);
            for (lane, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| row.part != Part::Nothing) {
                let mut alone = Turns::<1>::default();
                alone.set(0, &wide.get(lane));
                work.turn(&mut alone, std::array::from_mut(row), 1);
            }
        } else if let Some(two) = self.rows.first_chunk_mut() {
            work.turn(&mut Turns::<2>::default(), two, 1);
        }
        work.sums
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hash::{leaf_hash, sha256, MacKey};
    use crate::line::parse;
    use proptest::prelude::*;

    /// A line as `docs/spec/evidence-log.md` §3 has it, whatever its hashes.
    fn line(filling: usize, signed: bool) -> Vec<u8> {
        let mac = if signed { format!(",\"hmac\":\"{}\"", "5a".repeat(32)) } else { String::new() };
        format!("{{\"seq\":7,\"event\":{{\"m\":\"{}\"}}{mac},\"chainHash\":\"{}\"}}", "x".repeat(filling), "c3".repeat(32))
            .into_bytes()
    }

    /// §4 of the same page, word for word.
    fn by_definition(one: &Linked<'_>) -> Sums {
        let mixed = |length: usize| sha256(&[&[0], &one.line[..length], &one.prev].concat());
        let mac = one.key.map_or([0; 32], |key| key.mac(&mixed(one.parsed.body_len)));
        Sums { chain: mixed(one.parsed.head_len), leaf: leaf_hash(one.line), mac }
    }

    fn agree(shapes: &[(usize, bool)]) {
        let keys = [MacKey::new(&[7; 32]), MacKey::new(&[9; 100])];
        let lines: Vec<Vec<u8>> = shapes.iter().map(|&(filling, signed)| line(filling, signed)).collect();
        let linked: Vec<Linked<'_>> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| {
                let parsed = parse(line).unwrap();
                let key = parsed.hmac.map(|_| &keys[n % 2]);
                Linked { line, parsed, prev: [n as u8; 32], chain: parsed.chain_bytes().unwrap(), key }
            })
            .collect();
        let expected: Vec<Sums> = linked.iter().map(by_definition).collect();
        for wide in [Wide::new(), None] {
            let mut hasher = Abreast::with(wide);
            assert_eq!(hasher.sums(&linked), expected);
            // What another line left in a lane does not matter.
            let (some, rest) = linked.split_at(linked.len() / 2);
            assert_eq!(
                [hasher.sums(rest), hasher.sums(some)].concat(),
                [&expected[some.len()..], &expected[..some.len()]].concat()
            );
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_definition(shapes in proptest::collection::vec((0_usize..600, any::<bool>()), 0..60)) {
            agree(&shapes);
        }
    }

    #[test]
    fn lines_of_every_length() {
        agree(&(0..400).map(|filling| (filling, filling % 3 == 0)).collect::<Vec<_>>());
        agree(&[(1, true), (500_000, true), (3, false), (70_000, false)]);
    }
}
