// SPDX-License-Identifier: Apache-2.0
//! Digests of pages, nodes and regions; pages many at a time, so that all lanes of the processor work.

use crate::PAGE;
use blake3::platform::Platform;
use blake3::IncrementCounter;

/// A BLAKE3 digest.
pub type Digest = [u8; 32];

/// Pages whose digests are computed together: the widest processors hash 16 inputs at a time.
pub const BATCH: usize = 16;

// BLAKE3's constants (section 2.1 of its paper): the initial words, those of SHA-256, and the flags.
const WORDS: [u32; 8] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const PARENT: u8 = 4;
const ROOT: u8 = 8;
const CHUNK: usize = 1024;

/// Digest of anything.
#[must_use]
pub fn of(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

/// True when a page is all zero.
#[must_use]
pub fn is_zero(page: &[u8]) -> bool {
    // Or-ing words lets the compiler use wide registers; the early end saves most of the work on ordinary pages.
    page.chunks(256).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Digests of whole pages, in order; each equals `blake3::hash` of its page.
pub fn pages(bytes: &[u8], out: &mut Vec<Digest>) {
    let platform = Platform::detect();
    for group in bytes.chunks(BATCH * PAGE) {
        let whole = group.len() / PAGE;
        batch(platform, &group[..whole * PAGE], out);
    }
}

fn chunk(bytes: &[u8], at: usize) -> &[u8; CHUNK] {
    const NONE: [u8; CHUNK] = [0; CHUNK];
    bytes.get(at..at + CHUNK).and_then(|part| part.try_into().ok()).unwrap_or(&NONE)
}

/// A page is four chunks, two parents and a root; each level is one call for all pages of the batch.
fn batch(platform: Platform, bytes: &[u8], out: &mut Vec<Digest>) {
    let count = bytes.len() / PAGE;
    if count == 0 {
        return;
    }
    let mut leaves = [[0u8; BATCH * 32]; 4];
    for (index, level) in leaves.iter_mut().enumerate() {
        let mut inputs = [chunk(bytes, 0); BATCH];
        for (page, input) in inputs.iter_mut().enumerate().take(count) {
            *input = chunk(bytes, page * PAGE + index * CHUNK);
        }
        let (counter, flags) = (index as u64, (0, CHUNK_START, CHUNK_END));
        let room = &mut level[..count * 32];
        platform.hash_many(&inputs[..count], &WORDS, counter, IncrementCounter::No, flags.0, flags.1, flags.2, room);
    }
    let left = parents(platform, &leaves[0], &leaves[1], count, PARENT);
    let right = parents(platform, &leaves[2], &leaves[3], count, PARENT);
    let roots = parents(platform, &left, &right, count, PARENT | ROOT);
    for page in 0..count {
        let mut digest = [0; 32];
        digest.copy_from_slice(&roots[page * 32..page * 32 + 32]);
        out.push(digest);
    }
}

fn parents(platform: Platform, left: &[u8], right: &[u8], count: usize, flags: u8) -> [u8; BATCH * 32] {
    let mut blocks = [[0u8; 64]; BATCH];
    for (page, block) in blocks.iter_mut().enumerate().take(count) {
        block[..32].copy_from_slice(&left[page * 32..page * 32 + 32]);
        block[32..].copy_from_slice(&right[page * 32..page * 32 + 32]);
    }
    let mut inputs = [&blocks[0]; BATCH];
    for (input, block) in inputs.iter_mut().zip(&blocks) {
        *input = block;
    }
    let mut out = [0; BATCH * 32];
    platform.hash_many(&inputs[..count], &WORDS, 0, IncrementCounter::No, flags, 0, 0, &mut out[..count * 32]);
    out
}

/// Digest of a page of zeros.
#[must_use]
pub fn zero_page() -> Digest {
    of(&[0; PAGE])
}

/// What a region's digest covers besides its nodes.
#[derive(Clone, Copy, Debug)]
pub struct RegionHead {
    /// Bytes.
    pub size: u64,
    /// Class of pages in nodes that are not listed.
    pub unlisted: u8,
    /// Digest of the backing file; zeros for none.
    pub source: Digest,
    /// Offset in the backing file.
    pub offset: u64,
}

/// Digest of a region from its listed nodes.
pub fn region(head: RegionHead, nodes: impl Iterator<Item = (u64, Digest)>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"observer-region-1\n");
    hasher.update(&head.size.to_le_bytes());
    hasher.update(&[head.unlisted]);
    hasher.update(&head.source);
    hasher.update(&head.offset.to_le_bytes());
    for (index, digest) in nodes {
        hasher.update(&index.to_le_bytes());
        hasher.update(&digest);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_any_length_are_plain_blake3() {
        let mut bytes = vec![0u8; 37 * PAGE];
        let mut state = 9u64;
        for byte in &mut bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 33) as u8;
        }
        for count in [0, 1, 2, 3, 5, 15, 16, 17, 32, 37] {
            let mut got = Vec::new();
            pages(&bytes[..count * PAGE], &mut got);
            let want: Vec<Digest> = bytes[..count * PAGE].chunks(PAGE).map(of).collect();
            assert_eq!(got, want, "{count} pages");
        }
    }

    #[test]
    fn a_zero_page_is_told_from_one_with_a_last_bit() {
        let mut page = [0u8; PAGE];
        assert!(is_zero(&page));
        page[PAGE - 1] = 1;
        assert!(!is_zero(&page));
    }
}
