// SPDX-License-Identifier: Apache-2.0
//! A batch of encoded signals of one kind, from which requests of any part can be made without encoding again.

use crate::signal::{Attribute, Form, Signal};
use crate::wire::nested;
use crate::{json, protobuf};
use std::ops::Range;
use std::sync::Arc;

/// What stands before the signals of every request: resource and scope, encoded once.
#[derive(Clone, Debug)]
pub struct Envelope {
    form: Form,
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    /// Encodes resource and scope.
    #[must_use]
    pub fn new(form: Form, resource: &[Attribute<'_>], version: &str) -> Envelope {
        let (mut res, mut scope) = (Vec::new(), Vec::new());
        match form {
            Form::Protobuf => {
                protobuf::resource(&mut res, 1, resource);
                protobuf::scope(&mut scope, 1, "observer", version);
            }
            Form::Json => {
                res.push(b'{');
                json::attributes(&mut res, resource);
                res.push(b'}');
                scope.extend_from_slice(b"{\"name\":\"observer\",\"version\":");
                json::text(&mut scope, version);
                scope.push(b'}');
            }
        }
        Envelope { form, resource: res, scope }
    }
}

/// Encoded signals and where each ends.
pub struct Batch {
    /// Their kind.
    pub signal: Signal,
    envelope: Arc<Envelope>,
    items: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(signal: Signal, envelope: Arc<Envelope>) -> Batch {
        Batch { signal, envelope, items: Vec::new(), ends: Vec::new() }
    }

    /// How many signals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of the signals alone.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.items.len()
    }

    /// The form of the signals.
    #[must_use]
    pub fn form(&self) -> Form {
        self.envelope.form
    }

    /// Appends one signal: `encode` writes it, without tag and length.
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        match self.envelope.form {
            Form::Protobuf => nested(&mut self.items, 2, encode),
            Form::Json => encode(&mut self.items),
        }
        self.ends.push(self.items.len());
    }

    /// A whole request (or line) with these signals; a range beyond the end is cut.
    #[must_use]
    pub fn request(&self, range: Range<usize>) -> Vec<u8> {
        let last = range.end.min(self.ends.len());
        let first = range.start.min(last);
        let place = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        let mut out = Vec::with_capacity(place(last) - place(first) + self.envelope.resource.len() + 128);
        match self.envelope.form {
            Form::Protobuf => nested(&mut out, 1, |out| {
                out.extend_from_slice(&self.envelope.resource);
                nested(out, 2, |out| {
                    out.extend_from_slice(&self.envelope.scope);
                    out.extend_from_slice(&self.items[place(first)..place(last)]);
                });
            }),
            Form::Json => self.json(&mut out, (first..last).map(|index| &self.items[place(index)..place(index + 1)])),
        }
        out
    }

    fn json<'a>(&self, out: &mut Vec<u8>, items: impl Iterator<Item = &'a [u8]>) {
        let (outer, inner, each) = match self.signal {
            Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
            Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
            Signal::Metrics => ("resourceMetrics", "scopeMetrics", "metrics"),
        };
        out.extend_from_slice(format!("{{\"{outer}\":[{{\"resource\":").as_bytes());
        out.extend_from_slice(&self.envelope.resource);
        out.extend_from_slice(format!(",\"{inner}\":[{{\"scope\":").as_bytes());
        out.extend_from_slice(&self.envelope.scope);
        out.extend_from_slice(format!(",\"{each}\":[").as_bytes());
        for (index, item) in items.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item);
        }
        out.extend_from_slice(b"]}]}]}");
    }
}
