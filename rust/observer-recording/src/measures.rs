// SPDX-License-Identifier: Apache-2.0
//! Structures that the kernel fills are told by the words in which they differ from the one before them of the same call, texts that
//! it reads by what they share with the one before.
//! Source: docs/spec/recording.md §4.1.

use crate::varint::{zigzag, Cursor, DecodeError};

/// Bytes of a structure that is compared: whole words, from
pub const LEAST: usize = 16;
/// to this.
pub const MOST: usize = 512;
const WORDS: usize = MOST / 8;

/// How a blob is stored: bits of its head.
pub const AS_IS: u8 = 0;
/// By difference from the one before it.
pub const TOLD: u8 = 32;
/// And some of its words by the word two places before them: the seconds and nanoseconds of times that are the same.
pub const TWINS: u8 = 64;

/// The last structure of one call number.
#[derive(Clone)]
struct Last {
    what: u8,
    part: u16,
    words: [u64; WORDS],
    count: usize,
}

/// The last structures by call number; numbers that no call has are not compared.
pub struct Measures {
    last: Vec<Option<Box<Last>>>,
}

/// Numbers below this are compared.
const NUMBERS: usize = 512;

/// Whether a piece of memory of this length, read at that moment, is one to compare.
fn comparable(what: u8, length: usize) -> bool {
    what & 0x18 == 8 && length.is_multiple_of(8) && (LEAST..=MOST).contains(&length)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.as_chunks::<8>().0.get(at).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Those of the words in `mask` that are equal to the one two places before them.
fn twins(mask: u64, bytes: &[u8]) -> u64 {
    let (mut found, mut left) = (0, mask & !3);
    while left != 0 {
        let bit = left.trailing_zeros() as usize;
        left &= left - 1;
        found |= u64::from(word(bytes, bit) == word(bytes, bit - 2)) << bit;
    }
    found
}

impl Default for Measures {
    fn default() -> Self {
        Measures { last: vec![None; NUMBERS] }
    }
}

impl Measures {
    /// Nothing is remembered any more; the memory for it stays.
    pub fn forget(&mut self) {
        self.last.iter_mut().flatten().for_each(|last| last.count = 0);
    }

    /// Remembers a structure; appends its differences to `out` when they are shorter than itself. Returns how it is told.
    pub fn tell(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8], out: &mut Vec<u8>) -> u8 {
        if !comparable(what, bytes.len()) {
            return AS_IS;
        }
        let Some(place) = self.last.get_mut(nr as usize) else { return AS_IS };
        let count = bytes.len() / 8;
        let same = place.as_ref().is_some_and(|l| l.what == what && l.part == part && l.count == count);
        let last = place.get_or_insert_with(|| Box::new(Last { what, part, words: [0; WORDS], count }));
        if !same {
            (last.what, last.part, last.count) = (what, part, count);
            last.words.iter_mut().zip(words(bytes)).for_each(|(into, word)| *into = word);
            return AS_IS;
        }
        let mask =
            last.words.iter().zip(words(bytes)).enumerate().fold(0, |m, (bit, (then, now))| m | u64::from(*then != now) << bit);
        let (start, twins) = (out.len(), twins(mask, bytes));
        crate::varint::put(out, mask);
        if twins != 0 {
            crate::varint::put(out, twins);
        }
        let mut left = mask;
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            let (then, now) = (&mut last.words[bit], word(bytes, bit));
            if twins >> bit & 1 == 0 {
                crate::varint::put(out, zigzag(now.wrapping_sub(*then) as i64));
            }
            *then = now;
        }
        if out.len() - start >= bytes.len() {
            out.truncate(start);
            return AS_IS;
        }
        TOLD | if twins == 0 { 0 } else { TWINS }
    }

    /// Remembers a structure that was stored as it is.
    pub fn remember(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8]) {
        if !comparable(what, bytes.len()) {
            return;
        }
        let Some(place) = self.last.get_mut(nr as usize) else { return };
        let mut last = Last { what, part, words: [0; WORDS], count: bytes.len() / 8 };
        last.words.iter_mut().zip(words(bytes)).for_each(|(into, word)| *into = word);
        *place = Some(Box::new(last));
    }

    /// Reads differences back into the structure.
    pub fn take(&mut self, nr: u32, head: u8, part: u16, length: usize, from: &mut Cursor<'_>) -> Result<Vec<u8>, DecodeError> {
        let what = head & 0x1f;
        let last = self.last.get_mut(nr as usize).and_then(Option::as_mut).ok_or(DecodeError::Range)?;
        if !comparable(what, length) || last.what != what || last.part != part || last.count * 8 != length {
            return Err(DecodeError::Range);
        }
        let mask = from.varint()?;
        let twins = if head & TWINS == 0 { 0 } else { from.varint()? };
        if (last.count < 64 && mask >> last.count != 0) || twins & !mask != 0 || twins & 3 != 0 {
            return Err(DecodeError::Range);
        }
        let (mut out, mut before) = (Vec::with_capacity(length), [0; 2]);
        for (bit, word) in last.words.iter_mut().take(last.count).enumerate() {
            if twins >> bit & 1 == 1 {
                *word = before[bit % 2];
            } else if mask >> bit & 1 == 1 {
                *word = word.wrapping_add(from.signed()? as u64);
            }
            before[bit % 2] = *word;
            out.extend_from_slice(&word.to_le_bytes());
        }
        Ok(out)
    }
}

/// Shortest and longest text that is compared, and the least that two must share at their beginning.
const TEXT: std::ops::RangeInclusive<usize> = 8..=512;
const SHARED: usize = 4;

/// The last texts that the kernel read, by call number: paths are told by what they share with the one before.
pub struct Texts {
    last: Vec<(u8, Vec<u8>)>,
}

impl Default for Texts {
    fn default() -> Self {
        Texts { last: vec![(0, Vec::new()); NUMBERS] }
    }
}

impl Texts {
    fn place(&mut self, nr: u32, what: u8, part: u16, length: usize) -> Option<&mut (u8, Vec<u8>)> {
        if what & 0x18 != 0 || part != 0 || !TEXT.contains(&length) {
            return None;
        }
        self.last.get_mut(nr as usize)
    }

    /// Nothing is remembered any more; the memory for it stays.
    pub fn forget(&mut self) {
        self.last.iter_mut().for_each(|(_, text)| text.clear());
    }

    /// Remembers a text; appends to `out` how much of the one before it begins with, when that is worth it. Returns how it is told, and
    /// how much of it.
    pub fn tell(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8], out: &mut Vec<u8>) -> (u8, usize) {
        let Some((of, last)) = self.place(nr, what, part, bytes.len()) else { return (AS_IS, 0) };
        let alike = |pair: &(&u8, &u8)| pair.0 == pair.1;
        let shared = if *of == what { bytes.iter().zip(last.iter()).take_while(alike).count() } else { 0 };
        *of = what;
        last.truncate(shared);
        last.extend_from_slice(&bytes[shared..]);
        if shared < SHARED {
            return (AS_IS, 0);
        }
        crate::varint::put(out, shared as u64);
        (TOLD, shared)
    }

    /// Remembers a text that was stored as it is.
    pub fn remember(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8]) {
        if let Some((of, last)) = self.place(nr, what, part, bytes.len()) {
            *of = what;
            last.clear();
            last.extend_from_slice(bytes);
        }
    }

    /// Puts a text together that was told: it ends with `rest`, and begins as the one before it does.
    pub fn take(&mut self, nr: u32, what: u8, part: u16, length: usize, rest: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let (of, last) = self.place(nr, what, part, length).ok_or(DecodeError::Range)?;
        let shared = length.checked_sub(rest.len()).ok_or(DecodeError::Range)?;
        if *of != what || shared > last.len() {
            return Err(DecodeError::Range);
        }
        last.truncate(shared);
        last.extend_from_slice(rest);
        Ok(last.clone())
    }
}
