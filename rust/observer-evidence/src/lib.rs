// SPDX-License-Identifier: Apache-2.0
//! The sealed log: writing, reading and verifying tamper-evident lines. Knows nothing of Python or of syscalls.
//!
//! Bytes come from callers (events) and from disk (hostile); facts leave as [`ChainProof`] or as [`EvidenceError`],
//! never as a bare yes or no. The format is `docs/spec/evidence-log.md`; where it and this code differ, this code is wrong.
#![forbid(unsafe_code)]

mod chain;
mod error;
mod hash;
mod json;
mod key;
mod line;
mod reader;
mod records;
mod scan;
mod stamp;
mod tree;
mod verify;
mod vfs;
mod writer;

pub use chain::ChainState;
pub use error::{EvidenceError, Place};
pub use hash::{from_hex, leaf_hash, to_hex, Digest32};
pub use json::check_event;
pub use key::SecretKey;
pub use line::{parse as parse_line, Parsed, MAX_EVENT_BYTES, MAX_LINE_BYTES};
pub use reader::{read_lines, Line, LineReader};
pub use records::{Damage, DamageClass};
pub use stamp::Stamp;
pub use tree::Frontier;
pub use verify::{verify_log, ChainProof, Tail, VerifyOptions};
pub use vfs::{Handle, RealFs, Vfs};
pub use writer::{CloseReport, Durability, LogWriter, Severity, WriterOptions};
