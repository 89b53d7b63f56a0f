// SPDX-License-Identifier: Apache-2.0
//! Calls and signals as a Perfetto trace: a track per process and thread, a slice per call, an instant per signal.
//! Field numbers: perfetto's `trace_packet.proto`, `track_descriptor.proto`, `track_event.proto`, `clock_snapshot.proto`.

use crate::redact::Redactor;
use crate::rows::{Row, Rows};
use crate::tree::Tree;
use crate::wire::{bytes, nested, number};
use observer_recording::{RecordingError, RecordingReader};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};

const MONOTONIC: u64 = 3;
const REALTIME: u64 = 1;
const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;
/// Records handed out at once.
const PART: usize = 8192;
/// Processes the recording knows nothing of get tracks from here on.
const UNKNOWN: u64 = 1 << 40;

/// A trace under construction.
pub struct Timeline {
    /// What goes in.
    pub rows: Rows,
    begun: bool,
    processes: HashSet<u64>,
    threads: HashMap<(u64, u32), u64>,
}

/// One `TracePacket` with its timestamp, if it has one.
fn packet(out: &mut Vec<u8>, time_ns: Option<u64>, inside: impl FnOnce(&mut Vec<u8>)) {
    nested(out, 1, |out| {
        if let Some(time_ns) = time_ns {
            number(out, 8, time_ns);
            number(out, 58, MONOTONIC);
        }
        number(out, 10, 1); // one writer: one sequence
        inside(out);
    });
}

impl Timeline {
    /// Begins before the first record.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn new(reader: &RecordingReader, trace: [u8; 16], redactor: Redactor) -> Result<Timeline, RecordingError> {
        let rows = Rows::new(Tree::of(reader, trace)?, reader, redactor);
        Ok(Timeline { rows, begun: false, processes: HashSet::new(), threads: HashMap::new() })
    }

    /// The next packets' bytes and how many records they show; none at the end.
    ///
    /// # Errors
    /// When a chunk is not what was sealed.
    pub fn next(&mut self, reader: &RecordingReader) -> Result<(usize, Vec<u8>), RecordingError> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            clocks(&mut out, reader);
        }
        let rows = self.rows.next(reader, PART)?;
        for row in &rows {
            let track = self.track(&mut out, row);
            event(&mut out, row, track);
        }
        Ok((rows.len(), out))
    }

    /// The track of a row's thread, described when it is first seen.
    fn track(&mut self, out: &mut Vec<u8>, row: &Row) -> u64 {
        let process = row.process.map_or(UNKNOWN + u64::from(row.pid), |place| place as u64) + 1;
        if self.processes.insert(process) {
            let span = row.process.and_then(|place| self.rows.tree.nth_span(place));
            packet(out, None, |out| {
                nested(out, 60, |out| {
                    number(out, 1, process << 1);
                    nested(out, 3, |out| {
                        number(out, 1, u64::from(row.pid));
                        bytes(out, 6, span.map_or_else(|| format!("process {}", row.pid), |span| span.name).as_bytes());
                    });
                });
            });
        }
        let next = (self.threads.len() as u64) << 1 | 1;
        let track = *self.threads.entry((process, row.tid)).or_insert(next);
        if track == next {
            packet(out, None, |out| {
                nested(out, 60, |out| {
                    number(out, 1, track);
                    number(out, 5, process << 1);
                    nested(out, 4, |out| {
                        number(out, 1, u64::from(row.pid));
                        number(out, 2, u64::from(row.tid));
                    });
                });
            });
        }
        track
    }
}

fn clocks(out: &mut Vec<u8>, reader: &RecordingReader) {
    let at = |key: &str| reader.start.get(key).and_then(Json::as_u64).unwrap_or(0);
    packet(out, None, |out| {
        nested(out, 6, |out| {
            for (clock, time) in [(MONOTONIC, at("monotonic_ns")), (REALTIME, at("wall_ns"))] {
                nested(out, 1, |out| {
                    number(out, 1, clock);
                    number(out, 2, time);
                });
            }
            number(out, 2, MONOTONIC);
        });
    });
}

fn event(out: &mut Vec<u8>, row: &Row, track: u64) {
    let kind = if row.kind == "signal" { INSTANT } else { SLICE_BEGIN };
    packet(out, Some(row.start_ns), |out| {
        nested(out, 11, |out| {
            number(out, 9, kind);
            number(out, 11, track);
            bytes(out, 22, row.outcome.unwrap_or("signal").as_bytes());
            bytes(out, 23, row.name.as_bytes());
            nested(out, 4, |out| {
                bytes(out, 10, b"call");
                bytes(out, 6, row.text.as_bytes());
            });
            nested(out, 4, |out| {
                bytes(out, 10, b"record");
                bytes(out, 6, format!("s{}", row.record).as_bytes());
            });
        });
    });
    if kind == SLICE_BEGIN {
        packet(out, Some(row.start_ns.saturating_add(row.duration_ns.unwrap_or(0))), |out| {
            nested(out, 11, |out| {
                number(out, 9, SLICE_END);
                number(out, 11, track);
            });
        });
    }
}
