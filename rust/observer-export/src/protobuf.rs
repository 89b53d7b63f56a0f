// SPDX-License-Identifier: Apache-2.0
//! Signals as OTLP protocol buffers. Field numbers: opentelemetry-proto 1.x, `common.proto`, `logs.proto`, `trace.proto`, `metrics.proto`.

use crate::signal::{Attribute, Data, Log, Metric, Span, Value};
use crate::wire::{bytes, fixed32, fixed64, nested, number, packed64};

const CUMULATIVE: u64 = 2;
const INTERNAL: u64 = 1;
const STATUS_ERROR: u64 = 2;

fn value(out: &mut Vec<u8>, field: u32, value: &Value<'_>) {
    nested(out, field, |out| match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Flag(flag) => number(out, 2, u64::from(*flag)),
        Value::Int(int) => number(out, 3, *int as u64),
        Value::Real(real) => fixed64(out, 4, real.to_bits()),
        Value::List(items) => nested(out, 5, |out| {
            for item in items {
                nested(out, 1, |out| bytes(out, 1, item.as_bytes()));
            }
        }),
    });
}

fn attributes(out: &mut Vec<u8>, field: u32, list: &[Attribute<'_>]) {
    for (key, held) in list {
        nested(out, field, |out| {
            bytes(out, 1, key.as_bytes());
            value(out, 2, held);
        });
    }
}

/// One `LogRecord`, without tag and length.
pub fn log(out: &mut Vec<u8>, trace: &[u8; 16], log: &Log<'_>) {
    fixed64(out, 1, log.time_ns);
    number(out, 2, u64::from(log.severity));
    bytes(out, 3, log.severity_text().as_bytes());
    nested(out, 5, |out| bytes(out, 1, log.body.as_bytes()));
    attributes(out, 6, &log.attributes);
    fixed32(out, 8, 1); // sampled: it is here
    bytes(out, 9, trace);
    bytes(out, 10, &log.span);
    fixed64(out, 11, log.time_ns);
    bytes(out, 12, log.event_name.as_bytes());
}

/// One `Span`, without tag and length.
pub fn span(out: &mut Vec<u8>, trace: &[u8; 16], span: &Span) {
    bytes(out, 1, trace);
    bytes(out, 2, &span.id);
    if let Some(parent) = &span.parent {
        bytes(out, 4, parent);
    }
    bytes(out, 5, span.name.as_bytes());
    number(out, 6, INTERNAL);
    fixed64(out, 7, span.start_ns);
    fixed64(out, 8, span.end_ns);
    attributes(out, 9, &span.attributes);
    if let Some(why) = &span.error {
        nested(out, 15, |out| {
            bytes(out, 2, why.as_bytes());
            number(out, 3, STATUS_ERROR);
        });
    }
    fixed32(out, 16, 1);
}

/// One `Metric`, without tag and length.
pub fn metric(out: &mut Vec<u8>, metric: &Metric) {
    bytes(out, 1, metric.name.as_bytes());
    bytes(out, 2, metric.description.as_bytes());
    bytes(out, 3, metric.unit.as_bytes());
    match &metric.data {
        Data::Sum(points) => nested(out, 7, |out| {
            for point in points {
                nested(out, 1, |out| {
                    fixed64(out, 2, metric.start_ns);
                    fixed64(out, 3, metric.end_ns);
                    fixed64(out, 6, point.value);
                    attributes(out, 7, &point.attributes);
                });
            }
            number(out, 2, CUMULATIVE);
            number(out, 3, 1);
        }),
        Data::Histogram(bounds, points) => nested(out, 9, |out| {
            for point in points {
                nested(out, 1, |out| {
                    fixed64(out, 2, metric.start_ns);
                    fixed64(out, 3, metric.end_ns);
                    fixed64(out, 4, point.count);
                    fixed64(out, 5, point.sum.to_bits());
                    packed64(out, 6, point.buckets.iter().copied());
                    packed64(out, 7, bounds.iter().map(|bound| bound.to_bits()));
                    attributes(out, 9, &point.attributes);
                    fixed64(out, 11, point.min.to_bits());
                    fixed64(out, 12, point.max.to_bits());
                });
            }
            number(out, 2, CUMULATIVE);
        }),
    }
}

/// A `Resource` as a field.
pub fn resource(out: &mut Vec<u8>, field: u32, list: &[Attribute<'_>]) {
    nested(out, field, |out| attributes(out, 1, list));
}

/// An `InstrumentationScope` as a field.
pub fn scope(out: &mut Vec<u8>, field: u32, name: &str, version: &str) {
    nested(out, field, |out| {
        bytes(out, 1, name.as_bytes());
        bytes(out, 2, version.as_bytes());
    });
}
