// SPDX-License-Identifier: Apache-2.0
//! The rules an event must keep: one JSON object (RFC 8259) in UTF-8 on one line, no key twice, bounded depth.
//!
//! Two parsers that disagree about the same bytes are an attack, so what they disagree on is refused: duplicate keys,
//! lone surrogates, bytes below 0x20, very deep nesting, very long numbers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// Deepest nesting of objects and arrays; far below the recursion limit of common parsers.
pub const MAX_DEPTH: usize = 64;
/// Longest number text; common parsers differ above their own limits.
pub const MAX_NUMBER_BYTES: usize = 128;
/// Objects with more keys than this are checked with a set instead of pair by pair.
const PAIRWISE_KEYS: usize = 24;

/// Why an event is refused and the offset of the byte where that shows.
pub type Refusal = (&'static str, usize);

/// Check that bytes are one JSON object that every parser reads alike.
///
/// # Errors
/// The rule that is broken and the byte offset where that shows.
pub fn check_event(bytes: &[u8]) -> Result<(), Refusal> {
    check_bytes(bytes)?;
    Parser::new(bytes, Room::default()).whole()
}

/// Check what must hold of an event's bytes whatever they spell.
pub(crate) fn check_bytes(bytes: &[u8]) -> Result<(), Refusal> {
    // No early exit, so that the compiler can look at many bytes at once.
    let (low, high) = bytes.iter().fold((0xff, 0), |(low, high), &b| (b.min(low), high | b));
    if low < 0x20 {
        return Err(("control byte", bytes.iter().position(|&b| b < 0x20).unwrap_or(0)));
    }
    if high >= 0x80 {
        std::str::from_utf8(bytes).map_err(|error| ("invalid UTF-8", error.valid_up_to()))?;
    }
    Ok(())
}

/// A member of the outermost object: where its key begins, where its value begins, and the byte after that.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) start: usize,
    pub(crate) value: usize,
    pub(crate) end: usize,
}

/// What a parser notes; room for it is used again from event to event.
#[derive(Default)]
pub(crate) struct Room {
    /// Where the keys of the objects that are open lie.
    keys: Vec<Range<usize>>,
    /// Members of the outermost object.
    pub(crate) members: Vec<Member>,
}

pub(crate) struct Parser<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
    depth: usize,
    pub(crate) room: Room,
    /// A key so far was written with an escape.
    escaped_keys: bool,
}

/// Offset of the first quote or backslash.
#[inline]
fn find_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const LONG_STRING: usize = 32;
    // Most strings are short: eight bytes at a time cost less than setting up for more. A byte is zero after the exclusive or
    // where it is the one looked for; the lowest such byte is exact.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|chunk| chunk.try_into().ok()) {
        let word = u64::from_le_bytes(chunk);
        let found = zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
        if at == LONG_STRING {
            return memchr::memchr2(b'"', b'\\', &bytes[at..]).map(|more| at + more);
        }
    }
    bytes[at..].iter().position(|&b| b == b'"' || b == b'\\').map(|more| at + more)
}

impl<'a> Parser<'a> {
    pub(crate) fn new(bytes: &'a [u8], mut room: Room) -> Self {
        room.keys.clear();
        Self { bytes, at: 0, depth: 0, room, escaped_keys: false }
    }

    /// All bytes are one object.
    pub(crate) fn whole(&mut self) -> Result<(), Refusal> {
        if self.bytes.first() != Some(&b'{') {
            return Err(("not a JSON object", 0));
        }
        self.room.members.clear();
        self.value()?;
        if self.at != self.bytes.len() {
            return Err(("bytes after the JSON object", self.at));
        }
        Ok(())
    }

    /// Go on at a byte inside the outermost object.
    pub(crate) fn inside(&mut self, at: usize) {
        (self.at, self.depth) = (at, 1);
    }

    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn fail<T>(&self, cause: &'static str) -> Result<T, Refusal> {
        Err((cause, self.at))
    }

    fn spaces(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    pub(crate) fn value(&mut self) -> Result<(), Refusal> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.fail("not JSON"),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Refusal>) -> Result<(), Refusal> {
        if self.depth == MAX_DEPTH {
            return self.fail("nested too deep");
        }
        self.depth += 1;
        self.at += 1;
        self.spaces();
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Refusal> {
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        let first_key = self.room.keys.len();
        loop {
            if self.peek() != b'"' {
                return self.fail("an object key must be a string");
            }
            let start = self.at;
            let (key, escaped) = self.string()?;
            self.escaped_keys |= escaped;
            self.room.keys.push(key);
            self.spaces();
            if self.peek() != b':' {
                return self.fail("missing ':'");
            }
            self.at += 1;
            self.spaces();
            let value = self.at;
            self.value()?;
            if self.depth == 1 {
                self.room.members.push(Member { start, value, end: self.at });
            }
            if self.more(b'}')? {
                continue;
            }
            let outcome = distinct(self.bytes, &self.room.keys[first_key..], self.escaped_keys);
            self.room.keys.truncate(first_key);
            return if outcome { Ok(()) } else { self.fail("an object has the same key twice") };
        }
    }

    fn array(&mut self) -> Result<(), Refusal> {
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    /// After a member: true for a comma, false for the closing byte.
    fn more(&mut self, close: u8) -> Result<bool, Refusal> {
        self.spaces();
        let byte = self.peek();
        if byte != b',' && byte != close {
            return self.fail("missing ',' or closing bracket");
        }
        self.at += 1;
        if byte == b',' {
            self.spaces();
        }
        Ok(byte == b',')
    }

    /// The bytes between the quotes, and whether there are escapes. That none is a control byte was checked before.
    fn string(&mut self) -> Result<(Range<usize>, bool), Refusal> {
        self.at += 1;
        let (start, mut escaped) = (self.at, false);
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(plain) = find_special(rest) else {
                self.at = self.bytes.len();
                return self.fail("unfinished string");
            };
            self.at += plain;
            if rest[plain] == b'"' {
                self.at += 1;
                return Ok((start..self.at - 1, escaped));
            }
            escaped = true;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), Refusal> {
        let tail = self.bytes.get(self.at + 1..).unwrap_or_default();
        match tail.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match code_unit(&tail[1..]) {
                Some(0xD800..=0xDBFF) => {
                    let low = if tail.get(5..7) == Some(b"\\u") { code_unit(&tail[7..]) } else { None };
                    if !matches!(low, Some(0xDC00..=0xDFFF)) {
                        return self.fail("lone surrogate");
                    }
                    self.at += 12;
                }
                Some(0xDC00..=0xDFFF) => return self.fail("lone surrogate"),
                Some(_) => self.at += 6,
                None => return self.fail("bad escape"),
            },
            _ => return self.fail("bad escape"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        let leading_zero = self.peek() == b'0';
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return self.fail("bad number");
        }
        if self.peek() == b'.' {
            self.at += 1;
            if self.digits() == 0 {
                return self.fail("bad number");
            }
        }
        let mut exponent = false;
        if matches!(self.peek(), b'e' | b'E') {
            exponent = true;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fail("bad number");
            }
        }
        if self.at - start > MAX_NUMBER_BYTES {
            return self.fail("number too long");
        }
        // Without an exponent 128 bytes cannot spell so much.
        if exponent && !is_finite(&self.bytes[start..self.at]) {
            return self.fail("number too large");
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Refusal> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fail("not JSON");
        }
        self.at += word.len();
        Ok(())
    }
}

/// True for what binary64 holds: of more some parsers make infinity, some the largest number, some fail.
fn is_finite(number: &[u8]) -> bool {
    let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    value.is_some_and(f64::is_finite)
}

fn code_unit(digits: &[u8]) -> Option<u32> {
    let digits = digits.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

fn distinct(bytes: &[u8], keys: &[Range<usize>], escaped: bool) -> bool {
    let text = |key: &Range<usize>| &bytes[key.clone()];
    if keys.len() <= PAIRWISE_KEYS && !escaped {
        let same = |one: &Range<usize>, other: &Range<usize>| one.len() == other.len() && text(one) == text(other);
        return keys.iter().enumerate().all(|(i, key)| !keys[..i].iter().any(|before| same(before, key)));
    }
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().all(|key| seen.insert(unescape(text(key))))
}

/// The text a key stands for; only called on keys whose escapes were checked.
fn unescape(key: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', key).is_none() {
        return Cow::Borrowed(key);
    }
    let quoted = [b"\"", key, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(key),
    }
}
