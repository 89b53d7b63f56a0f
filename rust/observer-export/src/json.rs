// SPDX-License-Identifier: Apache-2.0
//! Signals as OTLP/JSON: names in lowerCamelCase, ids in hex, enums as numbers, 64-bit integers as strings.
//! Source: opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding".

use crate::signal::{Attribute, Data, Log, Metric, Span, Value};
use std::io::Write;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A JSON string: quotes, backslashes and what is below U+0020 are escaped, all else stands as it is.
pub fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(at) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bits of those bytes of a word that are 0. What is above the first of them may be wrong.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Where the first byte is that must be escaped; eight are looked at at once.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = below | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
    at.map(|at| words.len() * 8 + at)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        8 => b'b',
        12 => b'f',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn raw(out: &mut Vec<u8>, bytes: &str) {
    out.extend_from_slice(bytes.as_bytes());
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.push(b'"');
}

/// A 64-bit integer, which JSON has as a string.
fn quoted(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut at, mut left) = ([0u8; 20], 20, number);
    while at == 20 || left > 0 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out.push(b'"');
    out.extend_from_slice(&digits[at..]);
    out.push(b'"');
}

fn quoted_signed(out: &mut Vec<u8>, number: i64) {
    let at = out.len();
    quoted(out, number.unsigned_abs());
    if number < 0 {
        out.insert(at + 1, b'-');
    }
}

fn real(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = serde_json::to_writer(&mut *out, &value);
    } else {
        raw(
            out,
            if value.is_nan() {
                "\"NaN\""
            } else if value > 0.0 {
                "\"Infinity\""
            } else {
                "\"-Infinity\""
            },
        );
    }
}

fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

fn value(out: &mut Vec<u8>, held: &Value<'_>) {
    match held {
        Value::Text(held) => {
            raw(out, "{\"stringValue\":");
            text(out, held);
        }
        Value::Flag(flag) => raw(out, if *flag { "{\"boolValue\":true" } else { "{\"boolValue\":false" }),
        Value::Int(int) => {
            raw(out, "{\"intValue\":");
            quoted_signed(out, *int);
        }
        Value::Real(number) => {
            raw(out, "{\"doubleValue\":");
            real(out, *number);
        }
        Value::List(items) => {
            raw(out, "{\"arrayValue\":{\"values\":");
            list(out, items, |out, item| {
                raw(out, "{\"stringValue\":");
                text(out, item);
                out.push(b'}');
            });
            out.push(b'}');
        }
    }
    out.push(b'}');
}

/// `"attributes":[…]`.
pub fn attributes(out: &mut Vec<u8>, held: &[Attribute<'_>]) {
    raw(out, "\"attributes\":");
    list(out, held, |out, (key, held)| {
        raw(out, "{\"key\":");
        text(out, key);
        raw(out, ",\"value\":");
        value(out, held);
        out.push(b'}');
    });
}

/// One log record.
pub fn log(out: &mut Vec<u8>, trace: &[u8; 16], log: &Log<'_>) {
    raw(out, "{\"timeUnixNano\":");
    quoted(out, log.time_ns);
    raw(out, ",\"observedTimeUnixNano\":");
    quoted(out, log.time_ns);
    let _ = write!(out, ",\"severityNumber\":{},\"severityText\":\"", log.severity);
    raw(out, log.severity_text());
    raw(out, "\",\"eventName\":");
    text(out, &log.event_name);
    raw(out, ",\"body\":{\"stringValue\":");
    text(out, &log.body);
    raw(out, "},");
    attributes(out, &log.attributes);
    raw(out, ",\"flags\":1,\"traceId\":");
    hex(out, trace);
    raw(out, ",\"spanId\":");
    hex(out, &log.span);
    out.push(b'}');
}

/// One span.
pub fn span(out: &mut Vec<u8>, trace: &[u8; 16], span: &Span) {
    raw(out, "{\"traceId\":");
    hex(out, trace);
    raw(out, ",\"spanId\":");
    hex(out, &span.id);
    if let Some(parent) = &span.parent {
        raw(out, ",\"parentSpanId\":");
        hex(out, parent);
    }
    raw(out, ",\"flags\":1,\"name\":");
    text(out, &span.name);
    let _ = write!(out, ",\"kind\":1,\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{}\",", span.start_ns, span.end_ns);
    attributes(out, &span.attributes);
    raw(out, ",\"status\":{");
    if let Some(why) = &span.error {
        raw(out, "\"message\":");
        text(out, why);
        raw(out, ",\"code\":2");
    }
    raw(out, "}}");
}

fn times(out: &mut Vec<u8>, metric: &Metric) {
    let (start, end) = (metric.start_ns, metric.end_ns);
    let _ = write!(out, "\"startTimeUnixNano\":\"{start}\",\"timeUnixNano\":\"{end}\",");
}

/// One metric.
pub fn metric(out: &mut Vec<u8>, metric: &Metric) {
    raw(out, "{\"name\":");
    text(out, metric.name);
    raw(out, ",\"description\":");
    text(out, metric.description);
    raw(out, ",\"unit\":");
    text(out, metric.unit);
    match &metric.data {
        Data::Sum(points) => {
            raw(out, ",\"sum\":{\"dataPoints\":");
            list(out, points, |out, point| {
                out.push(b'{');
                times(out, metric);
                raw(out, "\"asInt\":");
                quoted(out, point.value);
                out.push(b',');
                attributes(out, &point.attributes);
                out.push(b'}');
            });
            raw(out, ",\"aggregationTemporality\":2,\"isMonotonic\":true}}");
        }
        Data::Histogram(bounds, points) => {
            raw(out, ",\"histogram\":{\"dataPoints\":");
            list(out, points, |out, point| {
                out.push(b'{');
                times(out, metric);
                raw(out, "\"count\":");
                quoted(out, point.count);
                for (name, number) in [("sum", point.sum), ("min", point.min), ("max", point.max)] {
                    let _ = write!(out, ",\"{name}\":");
                    real(out, number);
                }
                raw(out, ",\"bucketCounts\":");
                list(out, &point.buckets, |out, count| quoted(out, *count));
                raw(out, ",\"explicitBounds\":");
                list(out, *bounds, |out, bound| real(out, *bound));
                out.push(b',');
                attributes(out, &point.attributes);
                out.push(b'}');
            });
            raw(out, ",\"aggregationTemporality\":2}}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_and_ids_are_strings() {
        for number in [0, 1, 9, 10, 1_764_240_000_123_456_789, u64::MAX] {
            assert_eq!(written(|out| quoted(out, number)), format!("\"{number}\""));
        }
        for number in [0, -1, 42, i64::MIN, i64::MAX] {
            assert_eq!(written(|out| quoted_signed(out, number)), format!("\"{number}\""));
        }
        assert_eq!(written(|out| hex(out, &[0, 0x7f, 0xff])), "\"007fff\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_written_as_serde_writes_it(value in "(?s).*", control in "[\u{0}-\u{20}\"\\\\\u{7f}é]*") {
            let whole = format!("{value}{control}");
            proptest::prop_assert_eq!(written(|out| text(out, &whole)), serde_json::to_string(&whole).unwrap());
        }
    }
}
