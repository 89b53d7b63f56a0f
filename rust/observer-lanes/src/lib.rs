// SPDX-License-Identifier: Apache-2.0
//! SHA-256 of many independent messages at a time, one block of each.
//!
//! One SHA-256 is a chain of instructions that wait for each other. [`Wide`] hashes sixteen messages in the sixteen lanes of 512-bit
//! registers; [`Turns`] a few in turn with `sha2`, whose SHA instructions then fill each other's gaps. On a core of the Sapphire Rapids
//! kind a block costs 20 ns with the first, 37 with the second and 48 alone (`docs/adr/0006-hashing-in-lanes.md`). What messages and
//! blocks are is the caller's business. [`quotes`] looks through text with the same registers; `wide.rs` and `quotes.rs` are the only
//! unsafe code.

#[cfg(not(target_arch = "x86_64"))]
mod none;
#[cfg(target_arch = "x86_64")]
mod quotes;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(not(target_arch = "x86_64"))]
use none as wide;
#[cfg(not(target_arch = "x86_64"))]
use none as quotes;

use sha2::block_api::compress256;
pub use wide::Wide;

/// Bytes of a block.
pub const BLOCK: usize = 64;
/// What is hashed at a time.
pub type Block = [u8; BLOCK];
/// The hash of the blocks so far.
pub type State = [u32; 8];
/// The hash of no block: FIPS 180-4 §5.3.3.
pub const START: State = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// What a text holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many quotes there are.
    pub quotes: usize,
    /// There is a backslash.
    pub escapes: bool,
    /// There is a byte below 0x20.
    pub low: bool,
    /// There is a byte above 0x7f.
    pub high: bool,
}

/// Look through a text, 64 bytes at a time, and put the offsets of its quotes into the first elements of `offsets`, which grows where
/// it must. None where the processor cannot, or when the text is too long for such offsets.
pub fn quotes(text: &[u8], offsets: &mut Vec<u16>) -> Option<Seen> {
    quotes::quotes(text, offsets)
}

/// Hashes `N` messages side by side.
pub trait Lanes<const N: usize> {
    /// Let a lane go on from a state.
    fn set(&mut self, lane: usize, state: &State);
    /// Where a lane stands.
    fn get(&self, lane: usize) -> State;
    /// Hash the next block of each lane.
    fn step(&mut self, blocks: [&Block; N]);
}

/// Hash one more block of one message.
pub fn compress(state: &mut State, block: &Block) {
    compress256(state, std::slice::from_ref(block));
}

/// The digest that a state spells once all blocks of a message are hashed, its padding included.
#[must_use]
pub fn digest(state: &State) -> [u8; 32] {
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// `N` messages in turn, on any machine.
#[derive(Clone)]
pub struct Turns<const N: usize>([State; N]);

impl<const N: usize> Default for Turns<N> {
    fn default() -> Self {
        Self([START; N])
    }
}

impl<const N: usize> Lanes<N> for Turns<N> {
    fn set(&mut self, lane: usize, state: &State) {
        self.0[lane] = *state;
    }

    fn get(&self, lane: usize) -> State {
        self.0[lane]
    }

    fn step(&mut self, blocks: [&Block; N]) {
        for (state, block) in self.0.iter_mut().zip(blocks) {
            compress(state, block);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    /// A message with its padding, FIPS 180-4 §5.1.1.
    fn padded(message: &[u8]) -> Vec<Block> {
        let mut bytes = message.to_vec();
        bytes.push(0x80);
        bytes.resize((bytes.len() + 8).next_multiple_of(BLOCK), 0);
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&(8 * message.len() as u64).to_be_bytes());
        bytes.as_chunks().0.to_vec()
    }

    /// Hash messages, each in a lane of its own; a lane that has ended is overtaken by the others.
    fn hash<const N: usize>(mut lanes: impl Lanes<N>, messages: &[Vec<u8>]) -> Vec<[u8; 32]> {
        let blocks: Vec<Vec<Block>> = messages.iter().map(|message| padded(message)).collect();
        let mut out = vec![[0; 32]; messages.len()];
        for (some, out) in blocks.chunks(N).zip(out.chunks_mut(N)) {
            (0..N).for_each(|lane| lanes.set(lane, &START));
            for step in 0..some.iter().map(Vec::len).max().unwrap() {
                lanes.step(std::array::from_fn(|lane| some.get(lane).and_then(|all| all.get(step)).unwrap_or(&[0; BLOCK])));
                for (lane, all) in some.iter().enumerate().filter(|(_, all)| all.len() == step + 1) {
                    out[lane] = digest(&lanes.get(lane));
                    assert_eq!(all.len(), step + 1);
                }
            }
        }
        out
    }

    fn agree(messages: &[Vec<u8>]) {
        let expected: Vec<[u8; 32]> = messages.iter().map(|message| Sha256::digest(message).into()).collect();
        assert_eq!(hash(Turns::<2>::default(), messages), expected);
        if let Some(wide) = Wide::new() {
            assert_eq!(hash(wide, messages), expected);
        }
    }

    fn hex(digest: &[u8]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of FIPS 180 and of NIST's "Cryptographic Standards and Guidelines", in every lane.
    #[test]
    fn published_digests() {
        let published: [(&[u8], &str); 5] = [
            (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
            ),
            (&[b'a'; 1_000_000], "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ];
        for (message, expected) in published {
            let messages = vec![message.to_vec(); 16];
            for digest in hash(Turns::<3>::default(), &messages) {
                assert_eq!(hex(&digest), expected);
            }
            for digest in Wide::new().map(|wide| hash(wide, &messages)).unwrap_or_default() {
                assert_eq!(hex(&digest), expected);
            }
        }
    }

    proptest! {
        #[test]
        fn lanes_do_not_touch_each_other(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..40)) {
            agree(&messages);
        }
    }

    fn looks_right(text: &[u8], offsets: &mut Vec<u16>) {
        let Some(seen) = super::quotes(text, offsets) else {
            assert!(text.len() > 1 << 16 || !is_x86());
            return;
        };
        let places: Vec<usize> = (0..text.len()).filter(|&at| text[at] == b'"').collect();
        assert_eq!(offsets[..seen.quotes].iter().map(|&at| usize::from(at)).collect::<Vec<_>>(), places);
        let any = |wanted: fn(u8) -> bool| text.iter().any(|&byte| wanted(byte));
        assert_eq!((seen.escapes, seen.low, seen.high), (any(|b| b == b'\\'), any(|b| b < 0x20), any(|b| b > 0x7f)));
    }

    /// Where a text can be looked through.
    fn is_x86() -> bool {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx512vbmi2");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    proptest! {
        #[test]
        fn quotes_are_where_they_are(text in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'a'), Just(b'~'), any::<u8>()], 0..400)) {
            looks_right(&text, &mut Vec::new());
        }
    }

    #[test]
    fn the_longest_text_and_nothing_but_quotes() {
        let mut offsets = Vec::new();
        for length in [0, 1, 63, 64, 65, 128, 65_535, 65_536, 65_537, 300] {
            looks_right(&vec![b'"'; length], &mut offsets);
            looks_right(&vec![b' '; length], &mut offsets);
        }
    }

    #[test]
    fn a_lane_goes_on_from_any_state() {
        let blocks: Vec<Block> = (0..40_u8).map(|n| std::array::from_fn(|at| n.wrapping_mul(31) ^ at as u8)).collect();
        let states: Vec<State> = (0..16_u32).map(|n| std::array::from_fn(|at| START[at].rotate_left(n))).collect();
        let Some(mut wide) = Wide::new() else { return };
        (0..16).for_each(|lane| wide.set(lane, &states[lane]));
        (0..16).for_each(|lane| assert_eq!(wide.get(lane), states[lane]));
        wide.step(std::array::from_fn(|lane| &blocks[2 * lane]));
        for (lane, mut state) in states.into_iter().enumerate() {
            compress(&mut state, &blocks[2 * lane]);
            assert_eq!(wide.get(lane), state, "{lane}");
        }
    }
}
