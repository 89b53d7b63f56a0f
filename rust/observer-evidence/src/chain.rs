// SPDX-License-Identifier: Apache-2.0
//! The chain of lines: sealing the next lines and checking some. Each byte of a line is read once by SHA-256.
//!
//! The leaf, the chain value and what the HMAC signs begin with the same bytes, so one hash state is copied at the two
//! places where they part. Spec: `docs/spec/evidence-log.md` §4.

use crate::hash::{from_hex, hex64, same, Digest32, MacKey, GENESIS};
use crate::line::Parsed;
use crate::sealing::{complete, Lead, Tail};
use crate::subtrees::subtrees;
use crate::tree::Frontier;
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

    /// Append sealed lines, each with its newline, to `out` and step forward.
    pub(crate) fn seal<'a>(
        &mut self,
        out: &mut Vec<u8>,
        lines: impl Iterator<Item = (Option<&'static str>, &'a [u8])>,
        mac: Option<&MacKey>,
    ) {
        let first = self.next_seq();
        let (mut leaves, mut tails, mut waiting): (Vec<Digest32>, _, _) = (Vec::new(), [Tail::EMPTY; 2], 0);
        for (seq, (kind, event)) in (first..).zip(lines) {
            let start = out.len();
            push_body(out, seq, kind, event);
            let mut end = out.len() - start;
            let mut lead = Lead::new(&out[start..]);
            lead.advance(end);
            let mut state = lead.state();
            if let Some(mac) = mac {
                let signed = sign(&lead, end, &self.head, mac);
                out.extend_from_slice(b",\"hmac\":\"");
                out.extend_from_slice(&signed);
                out.push(b'"');
                end = out.len() - start;
                let mut lead = Lead::resume(state, &out[start..]);
                lead.advance(end);
                state = lead.state();
            }
            Lead::resume(state, &out[start..]).finish(end, &self.head, &mut tails[0]);
            // The leaf of the line before waits for nothing here: it is hashed in this one's shadow.
            complete(&mut tails[..=waiting]);
            self.head = tails[0].digest();
            leaves.extend((waiting == 1).then(|| tails[1].digest()));
            out.extend_from_slice(b",\"chainHash\":\"");
            out.extend_from_slice(&hex64(&self.head));
            out.extend_from_slice(b"\"}");
            let mut lead = Lead::resume(state, &out[start..]);
            end = out.len() - start;
            lead.advance(end);
            lead.finish(end, b"", &mut tails[1]);
            waiting = 1;
            out.push(b'\n');
        }
        complete(&mut tails[1..=waiting]);
        leaves.extend((waiting == 1).then(|| tails[1].digest()));
        self.tree.push_all(&subtrees(first, &leaves));
    }
}

/// The MAC, in hex, of a line that ends at `end` so far and follows `head`.
fn sign(lead: &Lead, end: usize, head: &Digest32, mac: &MacKey) -> [u8; 64] {
    let mut signed = Tail::EMPTY;
    lead.finish(end, head, &mut signed);
    complete(std::slice::from_mut(&mut signed));
    hex64(&mac.mac(&signed.digest()))
}

fn push_body(out: &mut Vec<u8>, seq: u64, kind: Option<&str>, event: &[u8]) {
    out.extend_from_slice(b"{\"seq\":");
    push_decimal(out, seq);
    if let Some(kind) = kind {
        out.extend_from_slice(b",\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b",\"event\":");
    out.extend_from_slice(event);
}

/// A line, its parts, and what its hashes hang on besides.
#[derive(Clone, Copy)]
pub(crate) struct Linked<'a> {
    pub(crate) line: &'a [u8],
    pub(crate) parsed: Parsed<'a>,
    /// The chain value before it.
    pub(crate) prev: Digest32,
    /// The chain value that it states.
    pub(crate) chain: Digest32,
    /// The key that must have signed it, when that is at hand.
    pub(crate) key: Option<&'a MacKey>,
}

/// What a line's bytes come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) chain: Digest32,
    pub(crate) leaf: Digest32,
    /// Zeros without a key.
    pub(crate) mac: Digest32,
}

/// Hold a line against what its bytes come to.
pub(crate) fn check(seq: u64, one: &Linked<'_>, sums: &Sums, signed: bool) -> Result<(), Fault> {
    let parsed = &one.parsed;
    if parsed.seq != seq {
        return Err(Fault::Sequence(parsed.seq));
    }
    if one.chain != sums.chain {
        return Err(Fault::Chain);
    }
    match (signed, parsed.hmac, one.key) {
        (true, None, _) => Err(Fault::Unsigned),
        (false, Some(_), _) => Err(Fault::Signed),
        (true, Some(text), Some(_)) if !from_hex(text).is_some_and(|tag| same(&tag, &sums.mac)) => Err(Fault::Mac),
        _ => Ok(()),
    }
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}
