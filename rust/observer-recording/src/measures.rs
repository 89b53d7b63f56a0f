// SPDX-License-Identifier: Apache-2.0
//! Structures that the kernel fills are told by the words in which they differ from the one before them of the same call.
//! Source: docs/spec/recording.md §4.1.

use crate::varint::{zigzag, Cursor, DecodeError};

/// Bytes of a structure that is compared: whole words, from
pub const LEAST: usize = 16;
/// to this.
pub const MOST: usize = 512;
const WORDS: usize = MOST / 8;
/// Longest telling: the mask and every word.
const TOLD: usize = 10 * (WORDS + 1);

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

fn put(told: &mut [u8; TOLD], mut at: usize, mut value: u64) -> usize {
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
    /// Remembers a structure; appends its differences to `out` and returns true when that is shorter than itself.
    pub fn tell(&mut self, nr: u32, what: u8, part: u16, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        if !comparable(what, bytes.len()) {
            return false;
        }
        let Some(place) = self.last.get_mut(nr as usize) else { return false };
        let count = bytes.len() / 8;
        let same = place.as_ref().is_some_and(|l| l.what == what && l.part == part && l.count == count);
        let last = place.get_or_insert_with(|| Box::new(Last { what, part, words: [0; WORDS], count }));
        if !same {
            (last.what, last.part, last.count) = (what, part, count);
            last.words.iter_mut().zip(words(bytes)).for_each(|(into, word)| *into = word);
            return false;
        }
        let (mut told, mut mask, mut end) = ([0u8; TOLD], 0u64, 0);
        for (bit, (then, now)) in last.words.iter_mut().zip(words(bytes)).enumerate() {
            if *then != now {
                mask |= 1 << bit;
                end = put(&mut told, end, zigzag(now.wrapping_sub(*then) as i64));
                *then = now;
            }
        }
        if end + 10 >= bytes.len() {
            return false;
        }
        crate::varint::put(out, mask);
        out.extend_from_slice(&told[..end]);
        true
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
    pub fn take(&mut self, nr: u32, what: u8, part: u16, length: usize, from: &mut Cursor<'_>) -> Result<Vec<u8>, DecodeError> {
        let last = self.last.get_mut(nr as usize).and_then(Option::as_mut).ok_or(DecodeError::Range)?;
        if !comparable(what, length) || last.what != what || last.part != part || last.count * 8 != length {
            return Err(DecodeError::Range);
        }
        let mask = from.varint()?;
        if last.count < 64 && mask >> last.count != 0 {
            return Err(DecodeError::Range);
        }
        let mut out = Vec::with_capacity(length);
        for (bit, word) in last.words.iter_mut().take(last.count).enumerate() {
            if mask >> bit & 1 == 1 {
                *word = word.wrapping_add(from.signed()? as u64);
            }
            out.extend_from_slice(&word.to_le_bytes());
        }
        Ok(out)
    }
}
