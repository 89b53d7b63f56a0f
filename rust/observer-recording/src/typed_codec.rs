// SPDX-License-Identifier: Apache-2.0
//! Makes typed calls small before they are compressed: a call is told by the words in which it differs from the one before
//! it of the same function and size. Source: docs/spec/plugin-recording.md §3.3. Each chunk decodes alone.

use crate::chunk::MAX_PAYLOAD;
use crate::error::RecordingError;
use crate::varint::{put, zigzag, Cursor};
use std::collections::HashMap;

/// Calls of more words are stored as they are.
const MOST_WORDS: usize = 64;
/// Words 1 and 2 are times: entry, and return counted from entry.
const ENTRY: usize = 1;
const RETURN: usize = 2;

type Words = Vec<u64>;

#[derive(Default)]
struct Memory {
    places: HashMap<(u16, usize), usize>,
    before: Vec<Words>,
    last: Option<((u16, usize), usize)>,
    entry: u64,
}

fn malformed(at: usize) -> RecordingError {
    RecordingError::Malformed(format!("typed call at byte {at} of its chunk is malformed"))
}

/// Size of the call that begins `bytes`, a multiple of 8 from 32 on that lies inside.
fn size_of(bytes: &[u8]) -> Option<usize> {
    let size = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    (size >= 32 && size.is_multiple_of(8) && size <= bytes.len()).then_some(size)
}

fn words_of(call: &[u8]) -> impl Iterator<Item = u64> + '_ {
    call.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

fn function_of(first: u64) -> u16 {
    (first >> 32) as u16
}

/// Encodes whole calls as the recorder laid them out.
pub fn encode(mut raw: &[u8]) -> Result<Vec<u8>, RecordingError> {
    let total = raw.len();
    if total > MAX_PAYLOAD {
        return Err(RecordingError::Malformed("more than 64 MiB of typed calls at once".to_owned()));
    }
    let mut out = Vec::with_capacity(total / 4);
    let mut memory = Memory::default();
    let mut words: Words = Vec::new();
    while !raw.is_empty() {
        let size = size_of(raw).ok_or_else(|| malformed(total - raw.len()))?;
        let (call, rest) = raw.split_at(size);
        raw = rest;
        put(&mut out, (size / 8) as u64);
        if size / 8 > MOST_WORDS {
            memory.entry = words_of(call).nth(ENTRY).unwrap_or(0);
            out.extend_from_slice(call);
            continue;
        }
        words.clear();
        words.extend(words_of(call));
        let entry = words[ENTRY];
        words[RETURN] = words[RETURN].wrapping_sub(entry);
        words[ENTRY] = entry.wrapping_sub(memory.entry);
        memory.entry = entry;
        memory.put(&words, &mut out);
    }
    Ok(out)
}

/// Writes a varint at `at`, where ten bytes are left for each of at most 64 words; returns where it ends.
fn put_at(told: &mut [u8; MOST_WORDS * 10], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        told[at] = (value as u8) | 0x80;
        value >>= 7;
        at += 1;
    }
    told[at] = value as u8;
    at + 1
}

impl Memory {
    fn slot(&mut self, function: u16, length: usize) -> &mut Words {
        let key = (function, length);
        let place = match self.last {
            Some((same, place)) if same == key => place,
            _ => *self.places.entry(key).or_insert(self.before.len()),
        };
        self.last = Some((key, place));
        if place == self.before.len() {
            self.before.push(vec![0; length]);
        }
        &mut self.before[place]
    }

    fn put(&mut self, words: &[u64], out: &mut Vec<u8>) {
        let function = function_of(words[0]);
        out.extend_from_slice(&function.to_le_bytes());
        let before = self.slot(function, words.len());
        let (mut mask, mut told) = (0u64, [0u8; MOST_WORDS * 10]);
        let mut end = 0;
        for (bit, (now, then)) in words.iter().zip(before.iter_mut()).enumerate() {
            if now != then {
                mask |= 1 << bit;
                end = put_at(&mut told, end, zigzag(now.wrapping_sub(*then) as i64));
                *then = *now;
            }
        }
        put(out, mask);
        out.extend_from_slice(&told[..end]);
    }

    fn take(&mut self, input: &mut Cursor<'_>, length: usize) -> Option<Words> {
        let function = u16::from_le_bytes(input.take(2).ok()?.try_into().ok()?);
        let mask = input.varint().ok()?;
        let before = self.slot(function, length);
        for (bit, word) in before.iter_mut().enumerate() {
            if mask >> bit & 1 == 1 {
                *word = word.wrapping_add(input.signed().ok()? as u64);
            }
        }
        Some(before.clone())
    }
}

/// Turns an encoded payload back into the calls as they were laid out.
pub fn decode(payload: &[u8]) -> Result<Vec<u8>, RecordingError> {
    let mut input = Cursor::new(payload);
    let mut memory = Memory::default();
    let mut out = Vec::with_capacity(payload.len().saturating_mul(4).min(MAX_PAYLOAD));
    while !input.done() {
        let at = out.len();
        let length = input.varint().ok().and_then(|n| usize::try_from(n).ok());
        let length = length.filter(|n| (4..=(MAX_PAYLOAD - at) / 8).contains(n)).ok_or_else(|| malformed(at))?;
        if length > MOST_WORDS {
            let call = input.take(length * 8).map_err(|_| malformed(at))?;
            memory.entry = words_of(call).nth(ENTRY).unwrap_or(0);
            out.extend_from_slice(call);
        } else {
            let mut words = memory.take(&mut input, length).ok_or_else(|| malformed(at))?;
            words[ENTRY] = words[ENTRY].wrapping_add(memory.entry);
            words[RETURN] = words[RETURN].wrapping_add(words[ENTRY]);
            memory.entry = words[ENTRY];
            words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::*;

    fn call() -> impl Strategy<Value = Vec<u8>> {
        (0u16..3, proptest::collection::vec(any::<u8>(), 3..90)).prop_map(|(function, seed)| {
            let mut call: Vec<u8> = seed.iter().flat_map(|b| u64::from(*b).to_le_bytes()).collect();
            let size = (call.len() + 8) as u32;
            let mut head = size.to_le_bytes().to_vec();
            head.extend_from_slice(&function.to_le_bytes());
            head.extend_from_slice(&[0, 0]);
            head.append(&mut call);
            head
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(calls in proptest::collection::vec(call(), 0..40)) {
            let raw = calls.concat();
            prop_assert_eq!(decode(&encode(&raw).unwrap()).unwrap(), raw);
        }

        #[test]
        fn hostile_payloads_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
            let _ = encode(&bytes);
        }
    }
}
