// SPDX-License-Identifier: Apache-2.0
//! Sixteen SHA-256 in the lanes of 512-bit registers.
//!
//! Word *t* of all sixteen blocks is one register, so each line of FIPS 180-4 §6.2.2 becomes a few instructions for sixteen messages.
//! A rotation and a function of three words are one instruction each (`vprord`, `vpternlogd`).

use crate::{Block, Lanes, State, START};
use std::arch::x86_64::*;
use std::array::from_fn;

/// FIPS 180-4 §4.2.2.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Sixteen messages in step. Word *w* of the state of lane *l* is `0[w][l]`.
#[derive(Clone)]
#[repr(align(64))]
pub struct Wide([[u32; 16]; 8]);

impl Wide {
    /// Sixteen lanes at their start; None where the processor cannot.
    #[must_use]
    pub fn new() -> Option<Self> {
        let can = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        can.then(|| Self(START.map(|word| [word; 16])))
    }
}

impl Lanes<16> for Wide {
    fn set(&mut self, lane: usize, state: &State) {
        for (words, word) in self.0.iter_mut().zip(state) {
            words[lane] = *word;
        }
    }

    fn get(&self, lane: usize) -> State {
        from_fn(|word| self.0[word][lane])
    }

    fn step(&mut self, blocks: [&Block; 16]) {
        // SAFETY: `new` is the only way to a `Wide`, and it has found both features.
        unsafe { step(&mut self.0, blocks) }
    }
}

/// Sixteen rounds, written out, so that every letter and word is a register. Instead of moving all letters by one, the next round
/// names them otherwise: `$at[$a]` is the first in round `$t`.
macro_rules! rounds {
    ($at:ident, $first:expr, |$t:ident| $word:expr) => {
        rounds!($at, $first, |$t| $word; 0 0, 1 7, 2 6, 3 5, 4 4, 5 3, 6 2, 7 1, 8 0, 9 7, 10 6, 11 5, 12 4, 13 3, 14 2, 15 1)
    };
    ($at:ident, $first:expr, |$t:ident| $word:expr; $($n:literal $a:literal),*) => {$({
        let $t = $n;
        let word = $word;
        let letters = [
            $at[$a], $at[($a + 1) % 8], $at[($a + 2) % 8], $at[($a + 3) % 8],
            $at[($a + 4) % 8], $at[($a + 5) % 8], $at[($a + 6) % 8], $at[($a + 7) % 8],
        ];
        ($at[($a + 3) % 8], $at[($a + 7) % 8]) = round(letters, word, K[$first + $t]);
    })*};
}

#[target_feature(enable = "avx512f,avx512bw")]
fn step(state: &mut [[u32; 16]; 8], blocks: [&Block; 16]) {
    let mut words = words_of(blocks);
    let mut start = [_mm512_setzero_si512(); 8];
    for (start, words) in start.iter_mut().zip(&*state) {
        // SAFETY: 64 bytes that may be read; the instruction asks for no alignment.
        *start = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
    }
    let mut at = start;
    rounds!(at, 0, |t| words[t]);
    for first in [16, 32, 48] {
        rounds!(at, first, |t| {
            words[t] = next_word([words[t], words[(t + 1) % 16], words[(t + 9) % 16], words[(t + 14) % 16]]);
            words[t]
        });
    }
    for ((out, now), before) in state.iter_mut().zip(at).zip(start) {
        let sum = _mm512_add_epi32(now, before);
        // SAFETY: `out` is 64 bytes that may be written; the instruction asks for no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sum) }
    }
}

/// Words of the blocks, big-endian: register *t* holds word *t* of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words_of(blocks: [&Block; 16]) -> [__m512i; 16] {
    let swap = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut rows = [swap; 16];
    for (row, block) in rows.iter_mut().zip(blocks) {
        // SAFETY: 64 bytes that may be read; the instruction asks for no alignment.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        *row = _mm512_shuffle_epi8(bytes, swap);
    }
    transpose(rows)
}

/// Row *r*, column *c* becomes row *c*, column *r*: in steps of one, two, four and eight columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut ones = rows;
    for n in (0..16).step_by(2) {
        ones[n] = _mm512_unpacklo_epi32(rows[n], rows[n + 1]);
        ones[n + 1] = _mm512_unpackhi_epi32(rows[n], rows[n + 1]);
    }
    let mut twos = ones;
    for n in (0..16).step_by(4) {
        twos[n] = _mm512_unpacklo_epi64(ones[n], ones[n + 2]);
        twos[n + 1] = _mm512_unpackhi_epi64(ones[n], ones[n + 2]);
        twos[n + 2] = _mm512_unpacklo_epi64(ones[n + 1], ones[n + 3]);
        twos[n + 3] = _mm512_unpackhi_epi64(ones[n + 1], ones[n + 3]);
    }
    // Quarter *q* of `twos[4 * g + c]` now holds column 4 * q + c of rows 4 * g to 4 * g + 3.
    let mut out = twos;
    for c in 0..4 {
        let (even, odd) = (quarters::<0x88>(twos[c], twos[4 + c]), quarters::<0xdd>(twos[c], twos[4 + c]));
        let (even_low, odd_low) = (quarters::<0x88>(twos[8 + c], twos[12 + c]), quarters::<0xdd>(twos[8 + c], twos[12 + c]));
        (out[c], out[8 + c]) = (quarters::<0x88>(even, even_low), quarters::<0xdd>(even, even_low));
        (out[4 + c], out[12 + c]) = (quarters::<0x88>(odd, odd_low), quarters::<0xdd>(odd, odd_low));
    }
    out
}

/// The even (0x88) or odd (0xdd) quarters of two registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn quarters<const WHICH: i32>(one: __m512i, two: __m512i) -> __m512i {
    _mm512_shuffle_i32x4::<WHICH>(one, two)
}

/// The next word of the message schedule, from those before it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn next_word([oldest, early, middle, late]: [__m512i; 4]) -> __m512i {
    let low = xor3(_mm512_ror_epi32::<7>(early), _mm512_ror_epi32::<18>(early), _mm512_srli_epi32::<3>(early));
    let high = xor3(_mm512_ror_epi32::<17>(late), _mm512_ror_epi32::<19>(late), _mm512_srli_epi32::<10>(late));
    _mm512_add_epi32(_mm512_add_epi32(oldest, middle), _mm512_add_epi32(low, high))
}

/// What a round makes of the eight letters: the new values of d and h.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round([a, b, c, d, e, f, g, h]: [__m512i; 8], word: __m512i, key: u32) -> (__m512i, __m512i) {
    const CHOOSE: i32 = 0xca;
    const MAJORITY: i32 = 0xe8;
    let turned = xor3(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
    let chosen = _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g);
    let word = _mm512_add_epi32(_mm512_add_epi32(h, word), _mm512_set1_epi32(key.cast_signed()));
    let one = _mm512_add_epi32(word, _mm512_add_epi32(turned, chosen));
    let turned = xor3(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
    let most = _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c);
    (_mm512_add_epi32(d, one), _mm512_add_epi32(one, _mm512_add_epi32(turned, most)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor3(one: __m512i, two: __m512i, three: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(one, two, three)
}
