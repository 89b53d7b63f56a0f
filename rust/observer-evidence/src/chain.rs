// SPDX-License-Identifier: Apache-2.0
//! The chain of lines: sealing the next line and checking one. Each byte of a line is read once by SHA-256.
//!
//! The leaf, the chain value and what the HMAC signs begin with the same bytes, so one hash state is cloned at the two
//! places where they part. Spec: `docs/spec/evidence-log.md` §4.

use crate::hash::{hex64, Digest32, MacKey, GENESIS};
use crate::line::Parsed;
use crate::tree::Frontier;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Where a log stands after its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainState {
    /// Chain value of the last line; zeros before the first.
    pub head: Digest32,
    /// The tree of all lines; its size is the next sequence.
    pub tree: Frontier,
}

impl Default for ChainState {
    fn default() -> Self {
        Self { head: GENESIS, tree: Frontier::default() }
    }
}

/// How a line fails to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another sequence than the next one.
    Sequence(u64),
    /// The chain value is not the one computed.
    Chain,
    /// The HMAC is not the one computed.
    Mac,
    /// No HMAC where there must be one.
    Unsigned,
    /// An HMAC in a log that was begun without a key.
    Signed,
}

impl ChainState {
    /// Sequence of the next line.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.tree.size()
    }

    /// Append one sealed line and its newline to `out` and step forward; returns its sequence.
    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, kind: Option<&str>, event: &[u8], mac: Option<&MacKey>) -> u64 {
        let seq = self.next_seq();
        let start = out.len();
        out.extend_from_slice(b"{\"seq\":");
        push_decimal(out, seq);
        if let Some(kind) = kind {
            out.extend_from_slice(b",\"kind\":\"");
            out.extend_from_slice(kind.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"event\":");
        out.extend_from_slice(event);
        let mut hasher = Sha256::new();
        hasher.update([0]);
        hasher.update(&out[start..]);
        if let Some(mac) = mac {
            let field_at = out.len();
            let tag = mac.mac(&fork(&hasher, &self.head));
            out.extend_from_slice(b",\"hmac\":\"");
            out.extend_from_slice(&hex64(&tag));
            out.push(b'"');
            hasher.update(&out[field_at..]);
        }
        let head_len = out.len();
        let head = fork(&hasher, &self.head);
        out.extend_from_slice(b",\"chainHash\":\"");
        out.extend_from_slice(&hex64(&head));
        out.extend_from_slice(b"\"}");
        hasher.update(&out[head_len..]);
        out.push(b'\n');
        self.head = head;
        self.tree.push(hasher.finalize().into());
        seq
    }
}

/// The chain value and leaf hash of a line that follows `prev`.
pub(crate) fn check_links(
    seq: u64,
    prev: &Digest32,
    line: &[u8],
    parsed: &Parsed<'_>,
    signed: bool,
    key: Option<&MacKey>,
) -> Result<(Digest32, Digest32), Fault> {
    if parsed.seq != seq {
        return Err(Fault::Sequence(parsed.seq));
    }
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(&line[..parsed.body_len]);
    let unsigned_state = key.map(|key| (key, hasher.clone()));
    hasher.update(&line[parsed.body_len..parsed.head_len]);
    let head = fork(&hasher, prev);
    if hex64(&head) != parsed.chain {
        return Err(Fault::Chain);
    }
    match (signed, parsed.hmac_bytes()) {
        (true, None) => return Err(Fault::Unsigned),
        (false, Some(_)) => return Err(Fault::Signed),
        (true, Some(tag)) => {
            if let Some((key, state)) = unsigned_state {
                if !key.verify(&fork(&state, prev), &tag) {
                    return Err(Fault::Mac);
                }
            }
        }
        (false, None) => {}
    }
    hasher.update(&line[parsed.head_len..]);
    Ok((head, hasher.finalize().into()))
}

/// SHA-256 of what `state` has read, followed by the previous chain value.
fn fork(state: &Sha256, prev: &Digest32) -> Digest32 {
    let mut state = state.clone();
    state.update(prev);
    state.finalize().into()
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}
