// SPDX-License-Identifier: Apache-2.0
//! Proves that a log is whole and in order, or says where it is not. Spec: `docs/spec/evidence-log.md` §7.

use crate::error::{EvidenceError, Place};
use crate::hash::{to_hex, Digest32};
use crate::key::SecretKey;
use crate::merge::LogCheck;
use crate::records::{Damage, PrunedFile};
use crate::stamp::ClockStep;
use crate::vfs::open_for_reading;
use serde::{Serialize, Serializer};
use std::path::Path;

/// How a file ends. Anything but `Whole` is damage that a crash explains, not tampering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Tail {
    /// With the newline of its last line.
    Whole,
    /// In the middle of a line.
    Torn {
        /// Where the damage begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
    /// In zero bytes.
    Zeroed {
        /// Where the damage begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
}

/// What else a verification should insist on.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Fewest lines the log must have, known from elsewhere; fewer is [`EvidenceError::Truncated`].
    pub min_size: Option<u64>,
    /// Threads to use; 0 and 1 mean this one only.
    pub threads: usize,
}

/// What a verification proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainProof {
    /// The log's random identity, 32 hexadecimal digits.
    pub log: String,
    /// The log's name.
    pub origin: String,
    /// The verifier key that the log names for its checkpoints.
    pub signer: Option<String>,
    /// The verifier key that it names for a second signature on them, of ML-DSA-44.
    pub cosigner: Option<String>,
    /// Sequence of the first line proven.
    pub first_sequence: u64,
    /// Sequence of the last line proven.
    pub last_sequence: u64,
    /// Lines proven, the writer's own records among them.
    pub lines: u64,
    /// Lines that are events.
    pub events: u64,
    /// Chain value of the last line.
    #[serde(serialize_with = "hex")]
    pub head: Digest32,
    /// Leaves of the tree: the sequence of the line to come.
    pub size: u64,
    /// RFC 6962 root of all lines.
    #[serde(serialize_with = "hex")]
    pub root: Digest32,
    /// Bytes of whole lines.
    pub bytes: u64,
    /// Every line carries an HMAC.
    pub signed: bool,
    /// The HMACs were checked with the key.
    pub key_checked: bool,
    /// Key epoch after the last line.
    pub epoch: u64,
    /// The last line is an `end`: the writer closed the log.
    pub closed: bool,
    /// How the file ends.
    pub tail: Tail,
    /// Damage that earlier crashes left and the log itself declares.
    pub damage: Vec<Damage>,
    /// Events that the log itself declares as lost.
    pub dropped: u64,
    /// Repairs of sidecars that the log itself declares.
    pub repairs: u64,
    /// Checkpoints inside the log, all right.
    pub checkpoints: u64,
    /// Lines that the last of them covers.
    pub checkpoint_size: Option<u64>,
    /// Older files that the log itself declares as removed by policy.
    pub pruned: Vec<PrunedFile>,
    /// All lines before this sequence were removed by policy, as the log itself declares; 0 when none were.
    pub pruned_before: u64,
    /// Steps of the wall clock.
    pub clock: Vec<ClockStep>,
}

fn hex<S: Serializer>(digest: &Digest32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_hex(digest))
}

/// Prove that a log is whole and in order, reading it once, forward, in constant memory.
///
/// # Errors
/// A finding ([`EvidenceError::is_finding`]) with line, byte offset and sequence, or why the file could not be judged.
pub fn verify_log(path: &Path, key: Option<&SecretKey>, options: &VerifyOptions) -> Result<ChainProof, EvidenceError> {
    let file = open_for_reading(path).map_err(|error| refused_or_io(path, error))?;
    let mut check = LogCheck::new(path, key);
    let tail = check.run(file, options.threads)?;
    let proof = proof_of(&check, tail)?;
    match options.min_size {
        Some(wanted) if proof.size < wanted => Err(EvidenceError::Truncated {
            place: Place { path: path.to_path_buf(), line: proof.lines + 1, offset: proof.bytes, sequence: proof.size },
            cause: format!("{} lines are known to have been sealed", wanted),
        }),
        _ => Ok(proof),
    }
}

pub(crate) fn refused_or_io(path: &Path, error: std::io::Error) -> EvidenceError {
    if error.kind() == std::io::ErrorKind::InvalidInput {
        return EvidenceError::Format { path: path.to_path_buf(), offset: 0, cause: error.to_string() };
    }
    EvidenceError::io(path, "open", error)
}

/// What a finished check proved.
pub(crate) fn proof_of(check: &LogCheck, tail: Tail) -> Result<ChainProof, EvidenceError> {
    let Some(begin) = check.begin.as_ref() else {
        return Err(check.foreign("no whole line"));
    };
    let found = check.found.clone();
    Ok(ChainProof {
        log: begin.log.clone(),
        origin: begin.origin.clone(),
        signer: begin.signer.clone(),
        cosigner: begin.cosigner.clone(),
        first_sequence: check.first_sequence,
        last_sequence: check.chain.next_seq().saturating_sub(1),
        lines: found.lines,
        events: found.events,
        head: check.chain.head,
        size: check.chain.tree.size(),
        root: check.chain.tree.root(),
        bytes: check.bytes,
        signed: begin.hmac.is_some(),
        key_checked: check.has_key(),
        epoch: check.epoch,
        closed: found.closed,
        tail,
        damage: found.damage,
        dropped: found.dropped,
        repairs: found.repairs,
        checkpoints: found.checkpoints,
        checkpoint_size: found.last_checkpoint.as_ref().map(|checkpoint| checkpoint.size),
        pruned: found.pruned,
        pruned_before: found.pruned_before,
        clock: found.clock,
    })
}
