// SPDX-License-Identifier: Apache-2.0
//! SHA-256, HMAC-SHA256 and hexadecimal text: the only primitives the format uses.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

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

/// A keyed HMAC-SHA256 whose key schedule is done once.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Prepare a key; every length is allowed by RFC 2104.
    pub fn new(key: &[u8]) -> Option<Self> {
        Hmac::<Sha256>::new_from_slice(key).ok().map(Self)
    }

    /// HMAC-SHA256 of a message.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> Digest32 {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// True when `tag` is the HMAC of `message`; takes the same time whatever differs.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &Digest32) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    }
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
