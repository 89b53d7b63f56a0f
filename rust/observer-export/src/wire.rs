// SPDX-License-Identifier: Apache-2.0
//! Writing of the protocol buffers wire format: tags, varints, fixed-width numbers, nested messages of any depth.
//! Source: protobuf.dev, "Encoding". A field is written even when it has its default value, as the caller decides.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// Appends a varint.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn tag(out: &mut Vec<u8>, field: u32, kind: u64) {
    varint(out, u64::from(field) << 3 | kind);
}

/// A field of type int64, uint64, enum or bool.
#[inline]
pub fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

/// A field of type fixed64, sfixed64 or (by its bits) double.
#[inline]
pub fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field of type fixed32.
#[inline]
pub fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field of type string or bytes.
#[inline]
pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, LENGTH);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A packed repeated field of fixed 64-bit numbers.
pub fn packed64(out: &mut Vec<u8>, field: u32, values: impl ExactSizeIterator<Item = u64>) {
    tag(out, field, LENGTH);
    varint(out, values.len() as u64 * 8);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// A nested message: `inside` writes its fields. The length is filled in afterwards; most messages are shorter than 128 bytes.
#[inline]
pub fn nested(out: &mut Vec<u8>, field: u32, inside: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, LENGTH);
    let at = out.len();
    out.push(0);
    inside(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    let mut coded = Vec::with_capacity(5);
    varint(&mut coded, length as u64);
    let more = coded.len() - 1;
    out.resize(out.len() + more, 0);
    out.copy_within(at + 1..at + 1 + length, at + 1 + more);
    out[at..=at + more].copy_from_slice(&coded);
}
