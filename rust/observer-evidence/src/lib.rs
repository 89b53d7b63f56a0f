// SPDX-License-Identifier: Apache-2.0
//! The sealed log: writing, reading and verifying tamper-evident lines. Knows nothing of Python or of syscalls.
//!
//! Bytes come from callers (events) and from disk (hostile); facts leave as [`ChainProof`] or as [`EvidenceError`],
//! never as a bare yes or no. The format is `docs/spec/evidence-log.md`; where it and this code differ, this code is wrong.
#![forbid(unsafe_code)]

mod abreast;
mod alike;
mod appender;
mod audit;
mod chain;
mod check;
mod cosign;
mod error;
mod files;
mod hash;
mod interrupted;
mod json;
mod judge;
mod key;
mod line;
mod merge;
mod names;
mod note;
mod open;
mod options;
mod own;
mod policy;
mod proof;
mod prove;
mod reader;
mod records;
mod rotate;
mod scan;
mod sealing;
mod sidecar;
mod signing;
mod stamp;
mod subtrees;
mod tree;
mod upkeep;
mod verdict;
mod verify;
mod vfs;
mod writer;

pub use audit::audit;
pub use chain::ChainState;
pub use cosign::Cosigner;
pub use error::{EvidenceError, MacFault, Place};
pub use files::logs_in;
pub use hash::{from_hex, leaf_hash, to_hex, Digest32};
pub use json::check_event;
pub use key::SecretKey;
pub use line::{parse as parse_line, Parsed, MAX_EVENT_BYTES, MAX_LINE_BYTES};
pub use note::{Checkpoint, Note, NoteError, NoteSigner, SigningSeed, VerifierKey};
pub use options::{Durability, Severity, WriterOptions, ROTATE_BYTES};
pub use policy::{Policy, PolicyText};
pub use proof::RecordProof;
pub use prove::{prove, prove_consistency};
pub use reader::{read_lines, Line, LineReader};
pub use records::{Damage, DamageClass};
pub use sidecar::{Chainstate, Manifest};
pub use stamp::{ClockStep, Stamp};
pub use tree::{consistency_ranges, inclusion_ranges, verify_consistency, verify_inclusion, Collector, Frontier};
pub use verdict::{Audit, Finding, Verdict};
pub use verify::{verify_log, ChainProof, Tail, VerifyOptions};
pub use vfs::{Handle, RealFs, Vfs};
pub use writer::{CloseReport, LogWriter};
