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
/// Longest telling: every word.
const LONGEST: usize = 10 * WORDS;

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

fn put(told: &mut [u8; LONGEST], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        told[at] = (value as u8) | 0x80;
        value >>= 7;
        at += 1;
    }
    told[at] = value as u8;
    at + 1
}

impl Default for Measures {
    fn default() -> Self {
        Measures { last: vec![None; NUMBERS] }
    }
}

impl Measures {
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
        let (mut told, mut mask, mut twins, mut end) = ([0u8; LONGEST], 0u64, 0u64, 0);
        let mut before = [None; 2];
        for (bit, (then, now)) in last.words.iter_mut().zip(words(bytes)).enumerate() {
            if *then != now {
                mask |= 1 << bit;
                if before[bit % 2] == Some(now) {
                    twins |= 1 << bit;
                } else {
                    end = put(&mut told, end, zigzag(now.wrapping_sub(*then) as i64));
                }
                *then = now;
            }
            before[bit % 2] = Some(now);
        }
        if end + 20 >= bytes.len() {
            return AS_IS;
        }
        crate::varint::put(out, mask);
        if twins != 0 {
            crate::varint::put(out, twins);
        }
        out.extend_from_slice(&told[..end]);
        if twins == 0 {
            TOLD
        } else {
            TOLD | TWINS
        }
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

    /// Remembers a text; appends how much of the one before it begins with, and the rest, when that is worth it.
    pub fn tell(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8], out: &mut Vec<u8>) -> u8 {
        let Some((of, last)) = self.place(nr, what, part, bytes.len()) else { return AS_IS };
        let alike = |pair: &(&u8, &u8)| pair.0 == pair.1;
        let shared = if *of == what { bytes.iter().zip(last.iter()).take_while(alike).count() } else { 0 };
        *of = what;
        last.truncate(shared);
        last.extend_from_slice(&bytes[shared..]);
        if shared < SHARED {
            return AS_IS;
        }
        crate::varint::put(out, shared as u64);
        out.extend_from_slice(&bytes[shared..]);
        TOLD
    }

    /// Remembers a text that was stored as it is.
    pub fn remember(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8]) {
        if let Some((of, last)) = self.place(nr, what, part, bytes.len()) {
            *of = what;
            last.clear();
            last.extend_from_slice(bytes);
        }
    }

    /// Reads a text that was told.
    pub fn take(&mut self, nr: u32, what: u8, part: u16, length: usize, from: &mut Cursor<'_>) -> Result<Vec<u8>, DecodeError> {
        let (of, last) = self.place(nr, what, part, length).ok_or(DecodeError::Range)?;
        let shared = usize::try_from(from.varint()?).map_err(|_| DecodeError::Range)?;
        if *of != what || shared > last.len() || shared > length {
            return Err(DecodeError::Range);
        }
        last.truncate(shared);
        last.extend_from_slice(from.take(length - shared)?);
        Ok(last.clone())
    }
}
