// SPDX-License-Identifier: Apache-2.0
//! The events of a recording, in order, chunk by chunk.

use crate::error::ReplayError;
use crate::stream::{Decoder, Event, FORMAT};
use observer_recording::chunk::Kind;
use observer_recording::RecordingReader;
use serde_json::Value;
use std::path::Path;

/// Bytes that are decoded already are dropped when there are so many.
const KEEP: usize = 4 << 20;

/// Reads one recording's stream.
pub struct EventSource {
    reader: RecordingReader,
    /// The `replay_start` line.
    pub start: Value,
    decoder: Decoder,
    chunk: usize,
    buffer: Vec<u8>,
    at: usize,
    ahead: Option<Event>,
    time_ns: u64,
}

/// A place in a stream that can be returned to.
#[derive(Clone, Debug)]
pub struct Place {
    decoder: Decoder,
    chunk: usize,
    rest: Vec<u8>,
    ahead: Option<Event>,
    time_ns: u64,
}

fn start_line(reader: &RecordingReader) -> Result<Value, ReplayError> {
    let text = observer_recording::query::lines(reader, 0, 16)?;
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let starts = lines.filter_map(|mut line| line.get_mut("event").map(Value::take));
    let found = starts.into_iter().find(|event| event.get("type").and_then(Value::as_str) == Some("replay_start"));
    let start = found.ok_or_else(|| {
        ReplayError::Unsupported(format!(
            "{} was not recorded for replay: it holds no inputs to replay from",
            reader.dir().display()
        ))
    })?;
    match start.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => Ok(start),
        other => {
            Err(ReplayError::Unsupported(format!("its replay stream has format {other:?}; this build knows format {FORMAT}")))
        }
    }
}

impl EventSource {
    /// Opens the recording in `dir`.
    pub fn open(dir: &Path) -> Result<EventSource, ReplayError> {
        let reader = RecordingReader::open(dir)?;
        let start = start_line(&reader)?;
        let time_ns = start.get("at_ns").and_then(Value::as_u64).unwrap_or(0);
        let decoder = Decoder::default();
        Ok(EventSource { reader, start, decoder, chunk: 0, buffer: Vec::new(), at: 0, ahead: None, time_ns })
    }

    /// The recording was closed by its writer, so the stream is whole.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reader.end.is_some()
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        let rest = self.buffer.get(self.at..).unwrap_or_default().to_vec();
        Place { decoder: self.decoder.clone(), chunk: self.chunk, rest, ahead: self.ahead.clone(), time_ns: self.time_ns }
    }

    /// Goes on from there again; from the beginning without one.
    pub fn return_to(&mut self, place: Option<&Place>) {
        let began = self.start.get("at_ns").and_then(Value::as_u64).unwrap_or(0);
        let place = place.cloned().unwrap_or(Place {
            decoder: Decoder::default(),
            chunk: 0,
            rest: Vec::new(),
            ahead: None,
            time_ns: began,
        });
        (self.decoder, self.chunk, self.buffer, self.at) = (place.decoder, place.chunk, place.rest, 0);
        (self.ahead, self.time_ns) = (place.ahead, place.time_ns);
    }

    /// The recording.
    #[must_use]
    pub fn reader(&self) -> &RecordingReader {
        &self.reader
    }

    /// CLOCK_MONOTONIC ns of the event that [`EventSource::next`] returned last.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        self.time_ns
    }

    /// Registers of an entry of the event that was returned last.
    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Adds the next chunk's bytes; false after the last.
    fn more(&mut self) -> Result<bool, ReplayError> {
        while let Some(line) = self.reader.chunks.get(self.chunk) {
            self.chunk += 1;
            let (header, payload) = self.reader.chunk(line)?;
            if header.kind == Kind::Replay {
                if self.at > KEEP {
                    self.buffer.drain(..self.at);
                    self.at = 0;
                }
                self.buffer.extend_from_slice(&payload);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Length of the event at the front, once all of its bytes are there.
    fn whole(&self) -> Option<()> {
        let rest = self.buffer.get(self.at..)?;
        let mut length = 0usize;
        for (number, byte) in rest.iter().enumerate().take(5) {
            length |= usize::from(byte & 0x7f) << (7 * number);
            if byte & 0x80 == 0 {
                return (rest.len() > number + length).then_some(());
            }
        }
        (rest.len() >= 5).then_some(()) // impossible: the decoder says so
    }

    /// The next event without taking it.
    pub fn peek(&mut self) -> Result<Option<&Event>, ReplayError> {
        if self.ahead.is_none() {
            while self.whole().is_none() {
                if !self.more()? {
                    if self.at < self.buffer.len() && self.is_closed() {
                        return Err(ReplayError::Damaged("the replay stream ends within an event".to_owned()));
                    }
                    return Ok(None);
                }
            }
            let mut rest = &self.buffer[self.at..];
            let event = self.decoder.take(&mut rest)?;
            self.at = self.buffer.len() - rest.len();
            self.ahead = Some(event);
        }
        Ok(self.ahead.as_ref())
    }

    /// Takes the next event.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Event>, ReplayError> {
        self.peek()?;
        let event = self.ahead.take();
        if let Some(event) = &event {
            self.time_ns = self.time_ns.saturating_add(event.dt_ns);
        }
        Ok(event)
    }
}
