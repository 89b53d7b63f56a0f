// SPDX-License-Identifier: Apache-2.0
//! Where the quotes of a text are, 64 bytes at a time.

#![allow(clippy::cast_possible_truncation)]

use crate::Seen;
use std::arch::x86_64::*;

/// Longest text whose offsets fit.
const MAX_BYTES: usize = 1 << 16;

pub(crate) fn quotes(text: &[u8], offsets: &mut Vec<u16>) -> Option<Seen> {
    let can =
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi2");
    if !can || text.len() > MAX_BYTES {
        return None;
    }
    // A step writes room for 64 offsets at once, however many there are.
    offsets.resize(offsets.len().max(text.len() + 64), 0);
    // SAFETY: the processor has the features, and there is room for an offset of each byte and 64 more.
    Some(unsafe { look(text, offsets) })
}

/// # Safety
/// `offsets` must have room for 64 more offsets than `text` has bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
unsafe fn look(text: &[u8], offsets: &mut [u16]) -> Seen {
    let (numbers, mut seen, mut count) = (numbers(), Seen::default(), 0_usize);
    let (mut escapes, mut low, mut high) = (0, 0, 0);
    for (index, chunk) in text.chunks(64).enumerate() {
        let present = u64::MAX >> (64 - chunk.len());
        // SAFETY: only bytes of the chunk are read.
        let bytes = unsafe { _mm512_maskz_loadu_epi8(present, chunk.as_ptr().cast()) };
        let found = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'"'.cast_signed()));
        escapes |= _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(b'\\'.cast_signed()));
        low |= _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)) & present;
        high |= _mm512_movepi8_mask(bytes);
        let (within, base) = (_mm512_maskz_compress_epi8(found, numbers), _mm512_set1_epi16((index * 64) as i16));
        let halves = [_mm512_castsi512_si256(within), _mm512_extracti64x4_epi64::<1>(within)];
        for (half, place) in halves.into_iter().zip([count, count + 32]) {
            let wide = _mm512_add_epi16(_mm512_cvtepu8_epi16(half), base);
            // SAFETY: no more offsets were found than bytes looked at, so that 64 from `count` on are inside.
            unsafe { _mm512_storeu_si512(offsets.as_mut_ptr().add(place).cast(), wide) };
        }
        count += found.count_ones() as usize;
    }
    (seen.quotes, seen.escapes, seen.low, seen.high) = (count, escapes != 0, low != 0, high != 0);
    seen
}

/// The bytes 0 to 63.
#[inline]
#[target_feature(enable = "avx512f")]
fn numbers() -> __m512i {
    let bytes: [u8; 64] = std::array::from_fn(|n| n as u8);
    // SAFETY: 64 bytes that may be read; the instruction asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
