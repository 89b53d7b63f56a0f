// SPDX-License-Identifier: Apache-2.0
//! Which pages are stored already, in this file or in an earlier one; bounded, so that memory does not grow with the target.

use crate::digest::Digest;
use crate::node::Place;
use std::collections::HashMap;

/// Pages that are remembered: 4 GiB of content in about 100 MB at most; what comes after is stored without asking.
const PAGES_MAX: usize = 1 << 20;

/// Places by content.
#[derive(Default)]
pub struct Known {
    // 16 bytes of the digest: an attacker who could make two pages agree in them needs 2^64 tries, and a reader compares all 32.
    places: HashMap<[u8; 16], Place>,
}

fn short(digest: &Digest) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    out
}

impl Known {
    /// Where a page with this digest is stored.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<Place> {
        self.places.get(&short(digest)).copied()
    }

    /// Remember a page.
    pub fn add(&mut self, digest: &Digest, place: Place) {
        if self.places.len() < PAGES_MAX {
            self.places.entry(short(digest)).or_insert(place);
        }
    }
}
