// SPDX-License-Identifier: Apache-2.0
//! A part of one record, put together in one place and appended at once: no look at free memory for every byte.

use crate::varint::zigzag;
use std::hash::Hasher;

/// Mixes thread ids; they are the kernel's, so that nobody can choose them to collide at will.
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u32(u32::from(*b)));
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Bytes put together before they are appended at once, at most so many.
pub struct Row<const MOST: usize> {
    bytes: [u8; MOST],
    length: usize,
}

impl<const MOST: usize> Row<MOST> {
    /// None yet.
    pub fn new() -> Self {
        Row { bytes: [0; MOST], length: 0 }
    }

    /// What was put together.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Leaves a byte to be set later; returns its place.
    pub fn mark(&mut self) -> usize {
        self.byte(0);
        self.length - 1
    }

    /// Sets a byte that was left.
    pub fn set(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.bytes.get_mut(at) {
            *place = byte;
        }
    }

    /// Appends a varint.
    pub fn put(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.byte((v as u8) | 0x80);
            v >>= 7;
        }
        self.byte(v as u8);
    }

    /// Appends a signed varint.
    pub fn put_signed(&mut self, v: i64) {
        self.put(zigzag(v));
    }

    /// Appends a byte.
    pub fn byte(&mut self, b: u8) {
        if let Some(at) = self.bytes.get_mut(self.length) {
            *at = b;
            self.length += 1;
        }
    }
}
