// SPDX-License-Identifier: Apache-2.0
//! Header and trailer: fixed bytes at the two ends of the file.

use crate::digest::{self, Digest};

/// Length of the header and of the trailer.
pub const ENDS: usize = 64;
/// Longest key block.
pub const KEY_BLOCK_MAX: u32 = 64 * 1024;
const MAGIC: &[u8; 8] = b"OBSNAP\x01\n";
const END: &[u8; 8] = b"OBSNEND\n";
const VERSION: u16 = 1;
const COMPRESSED: u16 = 1;
const ENCRYPTED: u16 = 2;

/// How the content is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    /// Frames are compressed where that makes them shorter.
    pub compressed: bool,
    /// Every frame is sealed.
    pub encrypted: bool,
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the content is kept.
    pub codec: Codec,
    /// The snapshot's UUID.
    pub file_id: [u8; 16],
    /// Bytes of the key block.
    pub key_block: u32,
}

/// Why a header or a trailer is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not ours or malformed: where and what.
    Format(u64, &'static str),
    /// A newer version.
    Newer(u16),
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

impl Header {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ENDS] {
        let mut out = [0; ENDS];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let mut flags = if self.codec.compressed { COMPRESSED } else { 0 };
        flags |= if self.codec.encrypted { ENCRYPTED } else { 0 };
        out[10..12].copy_from_slice(&flags.to_le_bytes());
        out[16..32].copy_from_slice(&self.file_id);
        out[32..36].copy_from_slice(&self.key_block.to_le_bytes());
        out
    }

    /// Read the bytes.
    ///
    /// # Errors
    /// Anything that a version 1 header does not say.
    pub fn decode(bytes: &[u8; ENDS]) -> Result<Header, Refused> {
        if &bytes[..8] != MAGIC {
            return Err(Refused::Format(0, "not a snapshot: no OBSNAP header"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(Refused::Newer(version));
        }
        let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
        let zero = bytes[12..16].iter().chain(&bytes[36..]).all(|byte| *byte == 0);
        if version == 0 || flags & !(COMPRESSED | ENCRYPTED) != 0 || !zero {
            return Err(Refused::Format(8, "a header with unknown flags"));
        }
        let codec = Codec { compressed: flags & COMPRESSED != 0, encrypted: flags & ENCRYPTED != 0 };
        let mut file_id = [0; 16];
        file_id.copy_from_slice(&bytes[16..32]);
        let key_block = u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]);
        if key_block > KEY_BLOCK_MAX || (key_block > 0) != codec.encrypted {
            return Err(Refused::Format(32, "a key block of a length that cannot be"));
        }
        Ok(Header { codec, file_id, key_block })
    }
}

/// The trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Offset of the manifest frame.
    pub manifest: u64,
    /// Offset of the signature frame; 0 for none.
    pub signature: u64,
    /// Length of the file.
    pub length: u64,
}

impl Trailer {
    fn digest(start: &[u8], head: &[u8]) -> Digest {
        digest::of(&[start, head].concat())
    }

    /// The bytes; `start` is the file's header and key block.
    #[must_use]
    pub fn encode(&self, start: &[u8]) -> [u8; ENDS] {
        let mut out = [0; ENDS];
        out[..8].copy_from_slice(END);
        out[8..16].copy_from_slice(&self.manifest.to_le_bytes());
        out[16..24].copy_from_slice(&self.signature.to_le_bytes());
        out[24..32].copy_from_slice(&self.length.to_le_bytes());
        let digest = Self::digest(start, &out[..32]);
        out[32..].copy_from_slice(&digest);
        out
    }

    /// Read the bytes; None when they are no whole trailer of this file.
    #[must_use]
    pub fn decode(bytes: &[u8; ENDS], start: &[u8]) -> Option<Trailer> {
        let whole = &bytes[..8] == END && bytes[32..] == Self::digest(start, &bytes[..32]);
        whole.then(|| Trailer { manifest: word(bytes, 8), signature: word(bytes, 16), length: word(bytes, 24) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_come_back_and_no_flipped_bit_does() {
        let codec = Codec { compressed: true, encrypted: true };
        let header = Header { codec, file_id: [7; 16], key_block: 200 };
        assert_eq!(Header::decode(&header.encode()), Ok(header));
        let trailer = Trailer { manifest: 1 << 40, signature: 5, length: u64::MAX };
        let bytes = trailer.encode(&[7; 16]);
        assert_eq!(Trailer::decode(&bytes, &[7; 16]), Some(trailer));
        for bit in 0..ENDS * 8 {
            let mut broken = bytes;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Trailer::decode(&broken, &[7; 16]), None, "bit {bit}");
        }
        assert_eq!(Trailer::decode(&bytes, &[8; 16]), None);
    }
}
