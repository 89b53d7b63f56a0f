// SPDX-License-Identifier: Apache-2.0
//! Spans, log records and metrics as plain values, before they take a form.

use std::borrow::Cow;

/// How signals are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OTLP protocol buffers.
    Protobuf,
    /// OTLP/JSON: ids in hex, enums as numbers, 64-bit integers as strings.
    Json,
}

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
}

/// The value of an attribute or a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A real number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// A list of texts.
    List(Vec<String>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

impl Value<'_> {
    /// The value that JSON has: lists of texts as lists, other structures as their JSON text, null as nothing.
    #[must_use]
    pub fn of_json(json: &serde_json::Value) -> Option<Value<'static>> {
        use serde_json::Value as Json;
        Some(match json {
            Json::Null => return None,
            Json::Bool(flag) => Value::Flag(*flag),
            Json::String(text) => Value::Text(Cow::Owned(cut(text).into_owned())),
            Json::Number(number) => number.as_i64().map_or_else(|| Value::Real(number.as_f64().unwrap_or(0.0)), Value::Int),
            Json::Array(items) if items.iter().all(Json::is_string) => {
                Value::List(items.iter().filter_map(Json::as_str).map(|text| cut(text).into_owned()).collect())
            }
            other => Value::Text(Cow::Owned(cut(&other.to_string()).into_owned())),
        })
    }
}

/// A named value.
pub type Attribute<'a> = (Cow<'a, str>, Value<'a>);

/// A log record.
#[derive(Clone, Debug)]
pub struct Log<'a> {
    /// Since the Unix epoch, ns.
    pub time_ns: u64,
    /// OTLP severity number, 1–24.
    pub severity: u8,
    /// What kind of event.
    pub event_name: Cow<'a, str>,
    /// In words.
    pub body: Cow<'a, str>,
    /// The span it belongs to.
    pub span: [u8; 8],
    /// Attributes.
    pub attributes: Vec<Attribute<'a>>,
}

impl Log<'_> {
    /// The name of its severity.
    #[must_use]
    pub fn severity_text(&self) -> &'static str {
        match self.severity {
            0..=4 => "TRACE",
            5..=8 => "DEBUG",
            9..=12 => "INFO",
            13..=16 => "WARN",
            17..=20 => "ERROR",
            _ => "FATAL",
        }
    }
}

/// A span.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its id.
    pub id: [u8; 8],
    /// The span that caused it.
    pub parent: Option<[u8; 8]>,
    /// Its name.
    pub name: String,
    /// Since the Unix epoch, ns.
    pub start_ns: u64,
    /// Since the Unix epoch, ns; never before the start.
    pub end_ns: u64,
    /// Why it failed, when it did.
    pub error: Option<String>,
    /// Attributes.
    pub attributes: Vec<Attribute<'static>>,
}

/// One point of a cumulative sum.
#[derive(Clone, Debug)]
pub struct Point {
    /// Value.
    pub value: u64,
    /// Attributes.
    pub attributes: Vec<Attribute<'static>>,
}

/// One point of a cumulative histogram.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Values counted.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Least value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// One count more than there are bounds.
    pub buckets: Vec<u64>,
    /// Attributes.
    pub attributes: Vec<Attribute<'static>>,
}

/// What a metric holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// A monotonic cumulative sum.
    Sum(Vec<Point>),
    /// A cumulative histogram with these upper bounds.
    Histogram(&'static [f64], Vec<Spread>),
}

/// A metric.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// UCUM unit.
    pub unit: &'static str,
    /// From, ns since the Unix epoch.
    pub start_ns: u64,
    /// Until.
    pub end_ns: u64,
    /// Its points.
    pub data: Data,
}

/// Longest text of a body or attribute, bytes.
pub const LONGEST: usize = 16 * 1024;

/// The text, or its beginning and how much was left out.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{} [… {} bytes more]", &text[..end], text.len() - end))
}
