// SPDX-License-Identifier: Apache-2.0
//! Where in the newcomer's memory lies what a recorded call wrote: the addresses that the two calls name, and those that the
//! structures name to which they point, go in pairs.

use crate::record::outputs::bytes_at;
use crate::regs::Regs;
use observer_capture::sys::Tid;

/// Bytes of a structure that are looked at for addresses: a message header, sixteen buffers.
const STRUCT: u64 = 256;
/// Nothing that is written lies further behind the address that names it.
const REACH: u64 = 1 << 30;
const LOWEST: u64 = 0x10000;
const DEPTH: u32 = 2;

/// Pairs of addresses: recorded, and of the newcomer.
#[derive(Debug, Default)]
pub struct Places(Vec<(u64, u64)>);

fn words(tid: Tid, address: u64) -> Vec<u64> {
    bytes_at(tid, address, STRUCT).as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

impl Places {
    /// Those of two calls.
    #[must_use]
    pub fn between(old: (Tid, &Regs), new: (Tid, &Regs)) -> Places {
        let mut places = Places::default();
        let mut level: Vec<(u64, u64)> = old.1.args().into_iter().zip(new.1.args()).collect();
        for depth in 0..=DEPTH {
            level.retain(|(was, is)| *was >= LOWEST && *is >= LOWEST && *was < 1 << 47 && *is < 1 << 47);
            places.0.extend(&level);
            if depth < DEPTH {
                let below = |(was, is): &(u64, u64)| words(old.0, *was).into_iter().zip(words(new.0, *is)).collect::<Vec<_>>();
                level = level.iter().flat_map(below).collect();
            }
        }
        places
    }

    /// The newcomer's address for a recorded one: of a pair that names it, else of the nearest before it.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<u64> {
        if let Some((_, is)) = self.0.iter().find(|(was, _)| *was == address) {
            return Some(*is);
        }
        let before = self.0.iter().filter(|(was, _)| *was < address && address - was < REACH);
        before.max_by_key(|(was, _)| *was).map(|(was, is)| is + (address - was))
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn an_address_that_is_named_goes_before_one_that_is_near() {
        let places = Places(vec![(0x20000, 0x90000), (0x20100, 0x50000)]);
        assert_eq!(places.of(0x20000), Some(0x90000));
        assert_eq!(places.of(0x20010), Some(0x90010));
        assert_eq!(places.of(0x20108), Some(0x50008));
        assert_eq!(places.of(0x10000), None);
    }
}
