// SPDX-License-Identifier: Apache-2.0
//! Quoting of bytes, equal to strace's: C escapes, octal for everything outside printable ASCII.

/// Puts bytes in double quotes; `...` follows when they are only the beginning.
///
/// Octal escapes are as short as the next byte allows: `\0`, but `\0001` when an octal digit follows.
#[must_use]
pub fn quote(bytes: &[u8], truncated: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for (index, byte) in bytes.iter().enumerate() {
        push_byte(&mut out, *byte, bytes.get(index + 1).copied());
    }
    out.push('"');
    if truncated {
        out.push_str("...");
    }
    out
}

fn push_byte(out: &mut String, byte: u8, next: Option<u8>) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x0c => out.push_str("\\f"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0x0b => out.push_str("\\v"),
        0x20..=0x7e => out.push(char::from(byte)),
        _ if matches!(next, Some(b'0'..=b'7')) => out.push_str(&format!("\\{byte:03o}")),
        _ => out.push_str(&format!("\\{byte:o}")),
    }
}

/// Like [`quote`], ending at the first NUL (fixed-size character arrays).
pub(super) fn quote_until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    quote(bytes.get(..end).unwrap_or(bytes), end == bytes.len())
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn escapes_as_strace_does() {
        assert_eq!(quote(b"a\"b\\c\n", false), r#""a\"b\\c\n""#);
        assert_eq!(quote(b"\0x\x001\x7f\xc3\xa4", false), r#""\0x\0001\177\303\244""#);
        assert_eq!(quote(b"\x009\x007\x1b[m", false), r#""\09\0007\33[m""#);
        assert_eq!(quote(b"ab", true), r#""ab"..."#);
        assert_eq!(quote(b"", false), r#""""#);
    }
}
