// SPDX-License-Identifier: Apache-2.0
//! Signals as OTLP/JSON: names in lowerCamelCase, ids in hex, enums as numbers, 64-bit integers as strings.
//! Source: opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding".

use crate::signal::{Attribute, Data, Log, Metric, Span, Value};
use std::io::Write;

/// A JSON string, everything outside printable ASCII escaped where JSON asks for it, U+2028 and U+007F too.
pub fn text(out: &mut Vec<u8>, value: &str) {
    let _ = serde_json::to_writer(&mut *out, value); // into memory: cannot fail
}

fn raw(out: &mut Vec<u8>, bytes: &str) {
    out.extend_from_slice(bytes.as_bytes());
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out.push(b'"');
}

fn quoted(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    let _ = write!(out, "\"{number}\"");
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
            quoted(out, int);
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
    let _ = write!(
        out,
        "{{\"timeUnixNano\":\"{0}\",\"observedTimeUnixNano\":\"{0}\",\"severityNumber\":{1},\"severityText\":\"{2}\",\"eventName\":",
        log.time_ns,
        log.severity,
        log.severity_text()
    );
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
                list(out, &point.buckets, quoted);
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
