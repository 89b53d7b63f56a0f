// SPDX-License-Identifier: Apache-2.0
//! Reads what a receiver answers: `ExportLogsServiceResponse` and its sisters, which say the same with the same field numbers.

/// What a receiver did not take of a request that it accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// Signals rejected.
    pub rejected: i64,
    /// Why, in its own words; attacker-controlled text.
    pub message: String,
}

/// The partial success of a protobuf answer. Bytes that make no sense say nothing, as if they were not there.
#[must_use]
pub fn partial_success(mut bytes: &[u8]) -> Partial {
    while let Some((field, held)) = take(&mut bytes) {
        if let (1, Held::Bytes(inside)) = (field, held) {
            return partial(inside);
        }
    }
    Partial::default()
}

fn partial(mut bytes: &[u8]) -> Partial {
    let mut found = Partial::default();
    while let Some((field, held)) = take(&mut bytes) {
        match (field, held) {
            (1, Held::Number(number)) => found.rejected = number as i64,
            (2, Held::Bytes(text)) => found.message = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    found
}

enum Held<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Held<'a>)> {
    let tag = varint(bytes)?;
    let length = match tag & 7 {
        0 => return Some((tag >> 3, Held::Number(varint(bytes)?))),
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let held = bytes.get(..length)?;
    *bytes = &bytes[length..];
    Some((tag >> 3, Held::Bytes(held)))
}

#[cfg(test)]
mod tests {
    use super::{partial_success, Partial};

    #[test]
    fn reads_rejections_and_survives_nonsense() {
        let answer = [0x0a, 0x07, 0x08, 0x05, 0x12, 0x03, b'w', b'h', b'y'];
        assert_eq!(partial_success(&answer), Partial { rejected: 5, message: "why".to_owned() });
        assert_eq!(partial_success(&[]), Partial::default());
        for end in 0..answer.len() {
            let _ = partial_success(&answer[..end]);
        }
        assert_eq!(partial_success(&[0xff; 64]), Partial::default());
        assert_eq!(partial_success(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Partial::default());
    }
}
