// SPDX-License-Identifier: Apache-2.0
//! Proofs of one record that travel without the log: <https://c2sp.org/tlog-proof>.

use crate::hash::{leaf_hash, Digest32};
use crate::note::{Checkpoint, Note, NoteError, VerifierKey, MAX_NOTE_BYTES};
use crate::scan::Block;
use crate::tree::{consistency_ranges, inclusion_ranges, verify_inclusion, Collector, Frontier};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^64 leaves has proofs of 64 hashes.
const MAX_HASHES: usize = 64;

/// Collects a proof while a log is verified.
pub(crate) struct Prover {
    size: u64,
    index: Option<u64>,
    collector: Option<Collector>,
    wanted: Vec<(u64, u64)>,
    /// The hashes, once the tree was as large as asked for.
    pub(crate) hashes: Option<Vec<Digest32>>,
    /// The record's line.
    pub(crate) line: Option<Vec<u8>>,
}

impl Prover {
    /// Prove that the line at `index` is in the tree of `size` lines.
    pub(crate) fn inclusion(index: u64, size: u64) -> Self {
        Self::with(size, Some(index), inclusion_ranges(index, size))
    }

    /// Prove that the tree of `old` lines is the beginning of the tree of `size` lines.
    pub(crate) fn consistency(old: u64, size: u64) -> Self {
        Self::with(size, None, consistency_ranges(old, size))
    }

    fn with(size: u64, index: Option<u64>, wanted: Vec<(u64, u64)>) -> Self {
        Self { size, index, collector: None, wanted, hashes: None, line: None }
    }

    pub(crate) fn push(&mut self, tree: &mut Frontier, leaf: Digest32, block: &Block, at: usize) {
        let collector = self.collector.get_or_insert_with(|| Collector::new(self.wanted.clone(), tree));
        if self.index == Some(tree.size()) {
            self.line = block.bytes.split(|&b| b == b'\n').nth(at).map(<[u8]>::to_vec);
        }
        tree.push_seen(leaf, |range, node| collector.see(range, node));
        if tree.size() == self.size {
            self.hashes = collector.finish(tree);
        }
    }
}

/// A proof that one line is in a log, with the signed checkpoint that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProof {
    /// Sequence of the line.
    pub index: u64,
    /// Inclusion proof, nearest to the leaf first.
    pub hashes: Vec<Digest32>,
    /// Signed note, cosignatures included.
    pub checkpoint: String,
}

impl RecordProof {
    /// The proof as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        format!("{HEADER}\nindex {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Read a proof; nothing is verified yet.
    ///
    /// # Errors
    /// When it is not of the form that the specification gives.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        if text.len() > MAX_NOTE_BYTES + 8192 {
            return Err(NoteError("the proof is too long"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(NoteError("the proof has no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(NoteError("not a tlog-proof of version 1"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let digits = lines.next().and_then(|line| line.strip_prefix("index ")).unwrap_or_default();
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let index = digits.parse().ok().filter(|_| plain).ok_or(NoteError("the proof's index is malformed"))?;
        let decode = |line: &str| STANDARD.decode(line).ok().and_then(|hash| Digest32::try_from(hash).ok());
        let hashes: Option<Vec<_>> = lines.map(decode).collect();
        let hashes = hashes.filter(|hashes| hashes.len() <= MAX_HASHES);
        let hashes = hashes.ok_or(NoteError("the proof's hashes are malformed"))?;
        Ok(Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Check that `line` (the record's exact bytes, without newline) is in the log that `signer` signs.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify(&self, line: &[u8], signer: &VerifierKey) -> Result<Checkpoint, NoteError> {
        let note = Note::parse(&self.checkpoint)?;
        signer.verify(&note)?;
        let checkpoint = Checkpoint::parse(note.text)?;
        let leaf = leaf_hash(line);
        if verify_inclusion(&leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root) {
            return Ok(checkpoint);
        }
        Err(NoteError("the line is not in the tree at that index"))
    }
}
