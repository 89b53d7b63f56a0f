// SPDX-License-Identifier: Apache-2.0
//! What can be said of a log. Spec: `docs/spec/evidence-log.md` §7.

use crate::verify::ChainProof;
use serde::Serialize;
use std::path::PathBuf;

/// What is said of a log, from best to worst; the worst finding is the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Everything holds.
    Verified,
    /// Events were lost before sealing, and the log says so.
    DeclaredLoss,
    /// Everything holds up to a line; what follows is not yet signed or witnessed as the policy wants it.
    VerifiedTo,
    /// As Verified; a crash tore the last line.
    TornTail,
    /// As Verified; a crash left zeros at the end.
    ZeroedTail,
    /// Time runs in a way that no declared step explains.
    ClockAnomaly,
    /// Sequence numbers jump, repeat or run backwards.
    SeqGap,
    /// A file that must be there is not.
    SegmentMissing,
    /// What the policy makes mandatory is not there.
    PolicyDowngrade,
    /// Signed with another key.
    WrongKey,
    /// The log is older than a checkpoint that is known of it.
    Rollback,
    /// Two signed statements about the same log contradict each other.
    Fork,
    /// Lines are not what was sealed.
    Tampered,
}

impl Verdict {
    /// True when the evidence does not hold.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self >= Self::ClockAnomaly
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub verdict: Verdict,
    /// Stable error code.
    pub code: &'static str,
    /// One sentence.
    pub text: String,
    /// The file.
    pub path: PathBuf,
    /// Line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Byte offset in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// First sequence that is affected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Last sequence that is affected, where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Signed notes that prove it to others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// Everything found about one log.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The live file's path.
    pub log: PathBuf,
    /// The worst of the findings.
    pub verdict: Verdict,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What was proven; absent when the first file does not even begin as a log.
    pub proof: Option<ChainProof>,
    /// Files read.
    pub files: u64,
    /// Lines covered by a checkpoint with the signatures that the policy wants.
    pub covered_size: Option<u64>,
    /// Lines up to which the witnesses of the policy have cosigned.
    pub witnessed_size: Option<u64>,
    /// When, seconds since 1970.
    pub witnessed_at: Option<u64>,
    /// Lines after the last covered one.
    pub tail_lines: Option<u64>,
    /// Time after the last cosignature, s.
    pub tail_seconds: Option<u64>,
}
