// SPDX-License-Identifier: Apache-2.0
//! What the report needs to know of an event; everything else stays in its bytes.

use crate::moment;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The parts of an event that are read; unknown keys are passed over.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow, default)]
    pub(crate) timestamp: Cow<'a, str>,
    #[serde(borrow, default)]
    sequence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) source: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) category: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) severity: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) message: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) attributes: Vec<Attribute<'a>>,
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) run: Cow<'a, str>,
    #[serde(default)]
    pub(crate) collector: Option<Clocks>,
    #[serde(default)]
    pub(crate) observed: Option<Observed>,
}

/// One attribute.
#[derive(Debug, Deserialize)]
pub(crate) struct Attribute<'a> {
    #[serde(borrow, default)]
    pub(crate) key: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) value: Cow<'a, str>,
}

/// The collector's clocks, read together.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Clocks {
    pub(crate) wall_ns: i64,
    pub(crate) monotonic_ns: i64,
    pub(crate) boottime_ns: i64,
}

/// When it happened, as the feed tells.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Observed {
    pub(crate) wall_ns: i64,
    #[serde(default)]
    pub(crate) monotonic_ns: Option<i64>,
}

/// Farthest that a feed's wall clock may lie from the collector's to be placed on the boot clock by the difference, ns.
const NEAR_NS: i64 = 120_000_000_000;

impl<'a> Event<'a> {
    /// Read an event; None where the bytes are no such JSON object.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        serde_json::from_str(text).ok()
    }

    /// The first value of an attribute.
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|one| one.key == key).map(|one| &*one.value)
    }

    /// Nanoseconds since 1970 that the event itself states.
    pub(crate) fn stated_ns(&self) -> Option<i64> {
        self.observed.map(|seen| seen.wall_ns).or_else(|| moment::parse(&self.timestamp))
    }

    /// When it happened on the boot clock of the collector's boot; None where nothing tells.
    pub(crate) fn boottime_ns(&self) -> Option<i64> {
        let clocks = self.collector.filter(|clocks| clocks.boottime_ns > 0)?;
        let Some(seen) = self.observed else { return Some(clocks.boottime_ns) };
        if let Some(monotonic) = seen.monotonic_ns {
            return clocks.boottime_ns.checked_sub(clocks.monotonic_ns.checked_sub(monotonic)?);
        }
        let ago = clocks.wall_ns.checked_sub(seen.wall_ns)?;
        (ago.abs() <= NEAR_NS).then(|| clocks.boottime_ns.saturating_sub(ago))
    }

    /// The side that relayed it, where it was relayed.
    pub(crate) fn peer_origin(&self) -> Option<u8> {
        match self.attribute("peer_origin")? {
            "host" => Some(0),
            "guest" => Some(1),
            _ => None,
        }
    }

    /// 0 info (and what is unknown), 1 warning, 2 error, 3 critical: the classes of the original health counters.
    pub(crate) fn class(&self) -> usize {
        match &*self.severity {
            "Warning" | "warning" => 1,
            "Error" | "error" => 2,
            "Critical" | "critical" => 3,
            _ => 0,
        }
    }

    /// Digest of everything but `peer_origin`: two copies of one event have the same.
    pub(crate) fn identity(&self, origin: u8) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update([origin]);
        let number = self.sequence.map_or("", RawValue::get);
        for part in [&*self.timestamp, number, &self.source, &self.category, &self.severity, &self.message, &self.kind, &self.run]
        {
            put(&mut hash, part);
        }
        for one in self.attributes.iter().filter(|one| one.key != "peer_origin") {
            put(&mut hash, &one.key);
            put(&mut hash, &one.value);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        short
    }
}

fn put(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part.as_bytes());
}
