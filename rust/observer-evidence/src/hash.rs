// SPDX-License-Identifier: Apache-2.0
//! SHA-256, HMAC-SHA256 and hexadecimal text: the only primitives the format uses.

use observer_lanes::{compress, digest, Block, State, BLOCK, START};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// A SHA-256 value.
pub type Digest32 = [u8; 32];

/// The chain value before the first line.
pub const GENESIS: Digest32 = [0; 32];

const HEX: &[u8; 16] = b"0123456789abcdef";

/// RFC 6962 leaf hash: SHA-256 of 0x00 and the bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Digest32 {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finalize().into()
}

/// RFC 6962 interior node: SHA-256 of 0x01, left and right.
#[must_use]
pub fn node_hash(left: &Digest32, right: &Digest32) -> Digest32 {
    let mut block = [0_u8; 65];
    block[0] = 1;
    block[1..33].copy_from_slice(left);
    block[33..].copy_from_slice(right);
    Sha256::digest(block).into()
}

/// SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest32 {
    Sha256::digest(bytes).into()
}

/// End a message of `length` bytes, those hashed before included, whose last ones end in `bytes` at `at`; its last block ends at
/// `end` (FIPS 180-4 §5.1.1).
#[inline]
pub(crate) fn pad(bytes: &mut [u8], at: usize, end: usize, length: usize) {
    bytes[at] = 0x80;
    bytes[at + 1..end - 8].fill(0);
    bytes[end - 8..end].copy_from_slice(&(8 * length as u64).to_be_bytes());
}

/// A keyed HMAC-SHA256 (RFC 2104) whose key schedule is done once; wiped from memory when dropped.
#[derive(Clone)]
pub struct MacKey {
    /// SHA-256 of the key's two blocks: what the inner and the outer hash go on from.
    inner: State,
    outer: State,
}

impl MacKey {
    /// Prepare a key; every length is allowed by RFC 2104.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            block[..32].copy_from_slice(&sha256(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let [inner, outer] = [0x36, 0x5c].map(|mask| {
            let (mut state, mut masked) = (START, block.map(|byte| byte ^ mask));
            compress(&mut state, &masked);
            masked.zeroize();
            state
        });
        block.zeroize();
        Self { inner, outer }
    }

    pub(crate) fn inner(&self) -> &State {
        &self.inner
    }

    pub(crate) fn outer(&self) -> &State {
        &self.outer
    }

    /// HMAC-SHA256 of a message.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> Digest32 {
        finish(&self.outer, &finish(&self.inner, message))
    }
}

impl Drop for MacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The digest of one block whose hash is `state`, and a message after it.
fn finish(state: &State, message: &[u8]) -> Digest32 {
    let (mut state, (blocks, rest)) = (*state, message.as_chunks::<BLOCK>());
    blocks.iter().for_each(|block| compress(&mut state, block));
    let mut last: [Block; 2] = [[0; BLOCK]; 2];
    let count = (rest.len() + 9).div_ceil(BLOCK);
    let bytes = last.as_flattened_mut();
    bytes[..rest.len()].copy_from_slice(rest);
    pad(bytes, rest.len(), count * BLOCK, BLOCK + message.len());
    last[..count].iter().for_each(|block| compress(&mut state, block));
    digest(&state)
}

/// True when two digests are the same; takes the same time whatever differs.
#[must_use]
pub fn same(one: &Digest32, other: &Digest32) -> bool {
    std::hint::black_box(one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other))) == 0
}

/// Lower-case hexadecimal text of a digest.
#[must_use]
pub fn hex64(digest: &Digest32) -> [u8; 64] {
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(digest) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    out
}

/// Lower-case hexadecimal text of bytes.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]).map(char::from).collect()
}

/// Read exactly 64 lower-case hexadecimal digits; upper case is refused, so that a line has one spelling.
#[must_use]
pub fn from_hex(text: &[u8]) -> Option<Digest32> {
    let text: &[u8; 64] = text.try_into().ok()?;
    // No early exit, so that the compiler can look at many digits at once.
    let (mut values, mut bad) = ([0_u8; 64], 0_u8);
    for (value, &digit) in values.iter_mut().zip(text) {
        let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        let (is_number, is_letter) = (number < 10, letter < 6);
        bad |= u8::from(!(is_number | is_letter));
        *value = if is_number { number } else { letter.wrapping_add(10) };
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(values.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    (bad == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};

    #[test]
    fn a_mac_is_what_another_implementation_makes_of_it() {
        let bytes: Vec<u8> = (0..300_u32).map(|n| (n * 7 % 251) as u8).collect();
        for key in (0..=70).chain([127, 128, 129, 300]) {
            for message in (0..=140).chain([300]) {
                let mut other = Hmac::<Sha256>::new_from_slice(&bytes[..key]).unwrap();
                other.update(&bytes[..message]);
                let expected: Digest32 = other.finalize().into_bytes().into();
                assert_eq!(MacKey::new(&bytes[..key]).mac(&bytes[..message]), expected, "{key} {message}");
            }
        }
    }

    /// RFC 4231 §4.2 and §4.7.
    #[test]
    fn published_macs() {
        let short = MacKey::new(&[0x0b; 20]).mac(b"Hi There");
        assert_eq!(to_hex(&short), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let long = MacKey::new(&[0xaa; 131]).mac(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(to_hex(&long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn same_is_equality() {
        let one = sha256(b"one");
        assert!(same(&one, &one));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same(&one, &other));
        }
    }
}
