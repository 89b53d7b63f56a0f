// SPDX-License-Identifier: Apache-2.0
//! The events that the writer itself seals, one `kind` each. Spec: `docs/spec/evidence-log.md` §5.

use crate::stamp::Stamp;
use serde::{Deserialize, Serialize};

/// Name of the format, in the first line of every file.
pub const FORMAT: &str = "observer-evidence-log";
/// Version of the format that this crate writes and the newest it reads.
pub const VERSION: u64 = 1;

/// Kind of the first line of a log.
pub const BEGIN: &str = "begin";
/// Kind of the first line of every later file of a log.
pub const SEGMENT: &str = "segment";
/// Kind of the line sealed when a log is opened again.
pub const RESUME: &str = "resume";
/// Kind of the line that tells that a sidecar was put right.
pub const REPAIR: &str = "repair";
/// Kind of the line sealed when a log is closed.
pub const END: &str = "end";
/// Kind of the line that declares events lost before they could be sealed.
pub const LOSS: &str = "loss";
/// Kind of the line that declares a step of the wall clock.
pub const CLOCK: &str = "clock";
/// Kind of the line that holds a signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// Kind of the line after which the next key signs.
pub const EPOCH: &str = "epoch";
/// Kind of the line that declares older files removed by policy.
pub const PRUNE: &str = "prune";
/// Kind of the line that holds a witness's answer.
pub const WITNESS: &str = "witness";

/// `begin` and `segment`: what log this file is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u64,
    /// 32 hexadecimal digits, random: no two logs have the same first line.
    pub log: String,
    /// Name of the log as a checkpoint origin.
    pub origin: String,
    /// The key whose HMAC every line carries; absent in an unsigned log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacInfo>,
    /// The C2SP verifier key of the log's checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The C2SP verifier key of a second signature on each of them, of ML-DSA-44.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosigner: Option<String>,
    /// Only in `segment`.
    #[serde(flatten)]
    pub start: Option<SegmentStart>,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// Where the chain and the tree stand at the start of a later file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentStart {
    /// Number of the file, from 1.
    pub segment: u64,
    /// Chain value of the line before.
    pub chain: String,
    /// Lines before.
    pub size: u64,
    /// Roots of the complete subtrees of the lines before, largest first.
    pub frontier: Vec<String>,
    /// SHA-256 of the manifest of the file before.
    pub manifest: String,
    /// All lines before this one were removed by policy, as `prune` records said that may have gone with them since.
    #[serde(default, skip_serializing_if = "is_none_pruned")]
    pub pruned: u64,
}

fn is_none_pruned(pruned: &u64) -> bool {
    *pruned == 0
}

/// Which HMAC key signs from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacInfo {
    /// Key id, 16 hexadecimal digits.
    pub key: String,
    /// Key epoch, from 0.
    pub epoch: u64,
}

/// What kind of damage a crash left at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageClass {
    /// The last line was not written to its end.
    TornTail,
    /// The file ends in zero bytes: its length reached the disk, its data did not.
    ZeroedTail,
    /// Not even the first line was whole.
    TornBegin,
    /// Writes that were not yet forced to the disk reached it in part or out of order.
    Reordered,
}

/// Damage found and cut away when a log was opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// What it looks like.
    pub class: DamageClass,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// How many bytes were cut away.
    pub bytes: u64,
    /// SHA-256 of those bytes.
    pub sha256: String,
    /// The bytes themselves in base64, when they are at most 4 KiB and not all zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// `resume`: the log goes on after a stop or a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The line before was an `end`.
    pub clean: bool,
    /// What was cut away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `end`: the writer closed the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Lines before this one.
    pub size: u64,
    /// Root of the tree of those lines.
    pub root: String,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `loss`: events that happened and could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// How many.
    pub dropped: u64,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `checkpoint`: a signed statement of the size and root of the lines before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// C2SP signed note.
    pub note: String,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `epoch`: the next line is signed with the next key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the new epoch.
    pub epoch: u64,
    /// Id of its key.
    pub key: String,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `clock`: the wall clock stepped against boot time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// By how much, forward positive.
    pub step_ns: i64,
    /// When, after the step.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `repair`: a sidecar did not fit the log and was written anew from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Which sidecar: `chainstate`, `manifest`, `rotation`.
    pub what: String,
    /// What was found.
    pub found: String,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// `prune`: older files were removed by policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    /// What was removed.
    pub removed: Vec<PrunedFile>,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// One removed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedFile {
    /// Its name.
    pub file: String,
    /// Its first sequence.
    pub first: u64,
    /// Its last sequence.
    pub last: u64,
    /// SHA-256 of its manifest, which stays.
    pub manifest: String,
}

/// Where the lines begin that are kept, once `removed` are gone as well as all before `pruned`. What is missing before them
/// and was never declared is not declared by them either.
pub(crate) fn pruned_with(pruned: u64, removed: &[PrunedFile]) -> u64 {
    removed
        .iter()
        .fold(pruned, |pruned, file| if file.first <= pruned { pruned.max(file.last.saturating_add(1)) } else { pruned })
}

/// `witness`: what a witness answered to a checkpoint of this log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// The checkpoint with the witness's cosignature, or the one it refused.
    pub note: String,
    /// Why it refused; absent when it cosigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// The canonical bytes of a record: compact JSON in field order.
pub(crate) fn to_event<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}
