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
/// Kind of the line sealed when a log is opened again.
pub const RESUME: &str = "resume";
/// Kind of the line sealed when a log is closed.
pub const END: &str = "end";
/// Kind of the line that declares events lost before they could be sealed.
pub const LOSS: &str = "loss";

/// `begin`: what this log is.
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
    /// When.
    #[serde(flatten)]
    pub stamp: Stamp,
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

/// The canonical bytes of a record: compact JSON in field order.
pub(crate) fn to_event<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}
