// SPDX-License-Identifier: Apache-2.0
//! One line of the log: its exact bytes and their parts. Spec: `docs/spec/evidence-log.md` §3.

use crate::hash::{from_hex, Digest32};

/// Longest line without its newline; a reader never holds more than this of one line.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// Longest event: a line less 1 KiB for the envelope.
pub const MAX_EVENT_BYTES: usize = MAX_LINE_BYTES - 1024;

/// `,"chainHash":"` + 64 digits + `"}`.
pub(crate) const CHAIN_FIELD_BYTES: usize = 14 + 64 + 2;
/// `,"hmac":"` + 64 digits + `"`.
const HMAC_FIELD_BYTES: usize = 9 + 64 + 1;

/// The parts of one line; all slices point into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Sequence number, from 0; also the index of the line's leaf in the tree.
    pub seq: u64,
    /// Set on the writer's own records (`begin`, `resume`, `end` …), absent on events.
    pub kind: Option<&'a str>,
    /// The event's exact bytes.
    pub event: &'a [u8],
    /// 64 digits of the HMAC.
    pub hmac: Option<&'a [u8]>,
    /// 64 digits of the chain value.
    pub chain: &'a [u8],
    /// Bytes before `,"hmac"` (or before `,"chainHash"` when there is none): what the HMAC signs.
    pub body_len: usize,
    /// Bytes before `,"chainHash"`: what the chain hashes.
    pub head_len: usize,
}

impl Parsed<'_> {
    /// The HMAC as bytes; None when there is none.
    #[must_use]
    pub fn hmac_bytes(&self) -> Option<Digest32> {
        self.hmac.and_then(from_hex)
    }

    /// The chain value as bytes.
    #[must_use]
    pub fn chain_bytes(&self) -> Option<Digest32> {
        from_hex(self.chain)
    }
}

/// Split a line (without newline) into its parts. Checks the envelope only: no hash, and not the event's inside.
///
/// # Errors
/// One sentence that says which part is not as the format wants it.
pub fn parse(line: &[u8]) -> Result<Parsed<'_>, &'static str> {
    if line.len() > MAX_LINE_BYTES {
        return Err("longer than a line may be");
    }
    let head_len = line.len().checked_sub(CHAIN_FIELD_BYTES).ok_or("line too short")?;
    let (head, chain_field) = line.split_at(head_len);
    let chain = chain_field
        .strip_prefix(b",\"chainHash\":\"")
        .and_then(|rest| rest.strip_suffix(b"\"}"))
        .filter(|text| is_hex(text))
        .ok_or("no chainHash at the end of the line")?;
    let (body_len, hmac) = split_hmac(head)?;
    let (seq, after_seq) = parse_seq(line)?;
    let (kind, event_at) = parse_kind(line, after_seq)?;
    let event = line.get(event_at..body_len).ok_or("no event")?;
    if event.first() != Some(&b'{') || event.last() != Some(&b'}') {
        return Err("the event is not an object");
    }
    Ok(Parsed { seq, kind, event, hmac, chain, body_len, head_len })
}

fn split_hmac(head: &[u8]) -> Result<(usize, Option<&[u8]>), &'static str> {
    if head.last() != Some(&b'"') {
        return Ok((head.len(), None));
    }
    let body_len = head.len().checked_sub(HMAC_FIELD_BYTES).ok_or("line too short")?;
    let hmac = head[body_len..]
        .strip_prefix(b",\"hmac\":\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .filter(|text| is_hex(text))
        .ok_or("malformed hmac")?;
    Ok((body_len, Some(hmac)))
}

fn is_hex(text: &[u8]) -> bool {
    // No early exit, so that the compiler can look at many digits at once.
    let bad = |bad, &b: &u8| bad | !(b.wrapping_sub(b'0') < 10 || b.wrapping_sub(b'a') < 6);
    text.len() == 64 && !text.iter().fold(false, bad)
}

fn parse_seq(line: &[u8]) -> Result<(u64, usize), &'static str> {
    let digits = line.strip_prefix(b"{\"seq\":").ok_or("the line does not begin with seq")?;
    let count = digits.iter().take(21).take_while(|b| b.is_ascii_digit()).count();
    let leading_zero = count > 1 && digits[0] == b'0';
    if count == 0 || leading_zero {
        return Err("malformed seq");
    }
    let mut seq: u64 = 0;
    for digit in &digits[..count] {
        seq = seq.checked_mul(10).and_then(|s| s.checked_add(u64::from(digit - b'0'))).ok_or("malformed seq")?;
    }
    Ok((seq, 7 + count))
}

fn parse_kind(line: &[u8], at: usize) -> Result<(Option<&str>, usize), &'static str> {
    let rest = line.get(at..).unwrap_or_default();
    if let Some(after) = rest.strip_prefix(b",\"kind\":\"") {
        let length = after.iter().take(32).take_while(|b| b.is_ascii_lowercase()).count();
        if length == 0 || !after[length..].starts_with(b"\",\"event\":") {
            return Err("malformed kind");
        }
        let kind = std::str::from_utf8(&after[..length]).map_err(|_| "malformed kind")?;
        return Ok((Some(kind), at + 9 + length + 10));
    }
    if rest.starts_with(b",\"event\":") {
        return Ok((None, at + 9));
    }
    Err("no event after seq")
}
