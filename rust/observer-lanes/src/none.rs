// SPDX-License-Identifier: Apache-2.0
//! Where there are no 512-bit registers.

use crate::{Block, Lanes, Seen, State};
use std::convert::Infallible;

/// Sixteen messages in step: not here.
#[derive(Clone)]
pub struct Wide(Infallible);

impl Wide {
    /// None: this processor cannot.
    #[must_use]
    pub fn new() -> Option<Self> {
        None
    }
}

impl Lanes<16> for Wide {
    fn set(&mut self, _: usize, _: &State) {
        match self.0 {}
    }

    fn get(&self, _: usize) -> State {
        match self.0 {}
    }

    fn step(&mut self, _: [&Block; 16]) {
        match self.0 {}
    }
}

pub(crate) fn quotes(_: &[u8], _: &mut Vec<u16>) -> Option<Seen> {
    None
}
