// SPDX-License-Identifier: Apache-2.0
//! The events of both sides in one order, copies merged, written as the elements of a JSON array.

use crate::clock::ClockMap;
use crate::error::ReportError;
use crate::event::Event;
use crate::form::{split, Entry};
use crate::index::{Index, Item, COPY, MALFORMED};
use crate::lines::Lines;
use crate::moment;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Entries of the index kept in memory: 72 bytes each.
const ROOM: usize = 1 << 20;
/// Events of one nanosecond among which copies are looked for.
const GROUP: usize = 1 << 18;
const MALFORMED_CHARS: usize = 2048;
const WINDOW: usize = 1 << 18;
const PROGRESS_LINES: u64 = 1 << 17;
const NAMES: [&str; 2] = ["host", "guest"];

/// One side: its files, oldest first, and the clocks of both origins.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Side {
    /// 0 host, 1 guest.
    pub origin: u8,
    /// Plain files.
    pub files: Vec<PathBuf>,
    /// Clock of this origin.
    #[serde(default)]
    pub clocks: ClockMap,
}

/// Where to write and how much memory to use.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Appended to.
    pub output: PathBuf,
    /// For the index; must exist.
    pub scratch: PathBuf,
    /// Entries of the index kept in memory; 0 for the default.
    pub room: usize,
}

/// What was written.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Written {
    /// Elements of the array.
    pub events: u64,
    /// Copies that were merged into another.
    pub merged: u64,
    /// Elements that are no event.
    pub malformed: u64,
    /// Elements that stand elsewhere than their log has them.
    #[serde(rename = "outOfOrder")]
    pub out_of_order: u64,
    /// Copies may remain: more events fell into one nanosecond than are compared.
    #[serde(rename = "copiesUnchecked")]
    pub copies_unchecked: u64,
    /// Per origin: info, warning, error, critical.
    #[serde(skip)]
    pub classes: [[u64; 4]; 2],
    /// Per origin: least and greatest corrected time, ns.
    #[serde(skip)]
    pub spans: [Option<(i64, i64)>; 2],
}

/// Write the events of all sides; see `docs/spec/master-report.md` §3.
///
/// # Errors
/// When a file cannot be read or written, or `progress` (called with lines done, twice per line) returns false.
pub fn write_events(
    sides: &[Side],
    options: &WriteOptions,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Written, ReportError> {
    let room = if options.room == 0 { ROOM } else { options.room };
    let mut index = Index::new(&options.scratch, room);
    let mut written = Written::default();
    let mut done = 0u64;
    for side in sides {
        index_side(side, sides, &mut index, &mut written, &mut done, progress)?;
    }
    let files: Vec<Vec<PathBuf>> = (0..2)
        .map(|origin| sides.iter().filter(|side| side.origin == origin).flat_map(|side| side.files.clone()).collect())
        .collect();
    let mut out = Output::open(&options.output, files)?;
    let mut sorted = index.sorted()?;
    let mut group: Vec<Item> = Vec::new();
    while let Some(item) = sorted.next()? {
        done += 1;
        if done.is_multiple_of(PROGRESS_LINES) && !progress(done) {
            return Err(ReportError::Stopped);
        }
        let full = group.len() >= GROUP;
        if full || group.first().is_some_and(|first| first.key != item.key) {
            written.copies_unchecked += u64::from(full && group[0].key == item.key);
            out.group(&mut group, &mut written)?;
        }
        group.push(item);
    }
    out.group(&mut group, &mut written)?;
    out.close()?;
    Ok(written)
}

fn index_side(
    side: &Side,
    sides: &[Side],
    index: &mut Index,
    written: &mut Written,
    done: &mut u64,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), ReportError> {
    let mut last = i64::MIN;
    for (number, path) in side.files.iter().enumerate() {
        let mut lines = Lines::open(path)?;
        while let Some(span) = lines.next()? {
            *done += 1;
            if (*done).is_multiple_of(PROGRESS_LINES) && !progress(*done) {
                return Err(ReportError::Stopped);
            }
            let bytes = lines.bytes();
            if bytes.is_empty() {
                continue;
            }
            let entry = if span.cut { None } else { split(bytes) };
            if entry.as_ref().is_some_and(|entry| entry.own) {
                continue;
            }
            let event = entry.as_ref().and_then(|entry| Event::parse(entry.event));
            let mut item = Item {
                key: last,
                origin: side.origin,
                file: u16::try_from(number).unwrap_or(u16::MAX),
                offset: span.offset,
                length: u32::try_from(span.length).unwrap_or(u32::MAX),
                error: -1,
                id: [0; 16],
                flags: MALFORMED,
                side: side.origin,
            };
            if let Some(event) = &event {
                written.out_of_order += u64::from(place(&mut item, event, sides, last));
            }
            last = if item.flags == 0 { item.key } else { last };
            index.push(item)?;
        }
    }
    Ok(())
}

/// Say whose event it is and when it happened; tells whether it happened before the one that its log has before it.
fn place(item: &mut Item, event: &Event<'_>, sides: &[Side], last: i64) -> bool {
    let peer = event.peer_origin().filter(|&peer| peer != item.side);
    item.flags = u8::from(peer.is_some()) * COPY;
    item.origin = peer.unwrap_or(item.side);
    item.id = event.identity(item.origin);
    let fallback = ClockMap::default();
    let clocks = sides.iter().find(|one| one.origin == item.origin).map_or(&fallback, |one| &one.clocks);
    if let Some(placed) = clocks.place(event) {
        (item.key, item.error) = (placed.ns, placed.error);
    }
    peer.is_none() && item.key < last
}

/// Reads lines back by place, mostly forward, and writes elements.
struct Output {
    path: PathBuf,
    out: BufWriter<File>,
    sources: Vec<Vec<(PathBuf, Option<Window>)>>,
    line: Vec<u8>,
    first: bool,
}

struct Window {
    file: File,
    begin: u64,
    bytes: Vec<u8>,
}

impl Output {
    fn open(path: &Path, files: Vec<Vec<PathBuf>>) -> Result<Self, ReportError> {
        let file = File::options().append(true).create(true).open(path).map_err(|error| ReportError::io(path, "write", error))?;
        let sources = files.into_iter().map(|side| side.into_iter().map(|path| (path, None)).collect()).collect();
        Ok(Self {
            path: path.to_path_buf(),
            out: BufWriter::with_capacity(1 << 20, file),
            sources,
            line: Vec::new(),
            first: true,
        })
    }

    /// Write the events of one nanosecond: copies go to their original.
    fn group(&mut self, group: &mut Vec<Item>, written: &mut Written) -> Result<(), ReportError> {
        if group.len() == 1 {
            self.element(&group[0], &[], written)?;
        } else if !group.is_empty() {
            let mut originals: HashMap<[u8; 16], usize> = HashMap::new();
            for (at, item) in group.iter().enumerate() {
                if item.flags == 0 {
                    originals.entry(item.id).or_insert(at);
                }
            }
            let mut copies: HashMap<usize, Vec<Item>> = HashMap::new();
            let mut owners: Vec<usize> = Vec::with_capacity(group.len());
            for (at, item) in group.iter().enumerate() {
                let owner = if item.flags & COPY == 0 { at } else { *originals.entry(item.id).or_insert(at) };
                owners.push(owner);
                if owner != at {
                    copies.entry(owner).or_default().push(*item);
                    written.merged += 1;
                }
            }
            for (at, item) in group.iter().enumerate() {
                if owners[at] == at {
                    self.element(item, copies.get(&at).map_or(&[], Vec::as_slice), written)?;
                }
            }
        }
        group.clear();
        Ok(())
    }

    fn element(&mut self, item: &Item, copies: &[Item], written: &mut Written) -> Result<(), ReportError> {
        let mut extra = String::new();
        for copy in copies {
            self.fetch(copy)?;
            let entry = split(&self.line);
            extra.push_str(if extra.is_empty() { ",\"alsoIn\":[" } else { "," });
            extra.push_str(&format!("{{\"origin\":\"{}\"", NAMES[usize::from(copy.side & 1)]));
            if let Some(entry) = &entry {
                push_place(&mut extra, entry);
            }
            extra.push('}');
        }
        if !extra.is_empty() {
            extra.push(']');
        }
        self.fetch(item)?;
        let line = std::mem::take(&mut self.line);
        let outcome = self.write_element(item, &line, &extra, written);
        self.line = line;
        outcome.map_err(|error| ReportError::io(&self.path, "write", error))
    }

    fn write_element(&mut self, item: &Item, line: &[u8], extra: &str, written: &mut Written) -> std::io::Result<()> {
        self.out.write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        written.events += 1;
        let origin = usize::from(item.origin & 1);
        write!(self.out, "{{\"origin\":\"{}\"", NAMES[origin])?;
        let entry = split(line);
        let span = &mut written.spans[origin];
        if item.key != i64::MIN {
            *span = Some(span.map_or((item.key, item.key), |(first, last)| (first.min(item.key), last.max(item.key))));
        }
        match entry {
            Some(entry) if item.flags & MALFORMED == 0 => {
                let class = Event::parse(entry.event).map_or(0, |event| event.class());
                written.classes[origin][class] += 1;
                self.write_event(&entry)?;
            }
            entry => {
                written.malformed += 1;
                written.classes[origin][0] += 1;
                self.write_malformed(entry.as_ref(), line)?;
            }
        }
        if item.key == i64::MIN {
            self.out.write_all(b",\"corrected\":null,\"errorMs\":null")?;
        } else {
            write!(self.out, ",\"corrected\":\"{}\",\"errorMs\":", moment::format(item.key))?;
            if item.error < 0 {
                self.out.write_all(b"null")?;
            } else {
                write!(self.out, "{}", (item.error as f64 / 1e6 * 1000.0).ceil() / 1000.0)?;
            }
        }
        if item.flags & COPY != 0 {
            write!(self.out, ",\"relayedBy\":\"{}\"", NAMES[usize::from(item.side & 1)])?;
        }
        self.out.write_all(extra.as_bytes())?;
        self.out.write_all(b"}")
    }

    fn write_event(&mut self, entry: &Entry<'_>) -> std::io::Result<()> {
        let (mut head, mut tail) = (String::new(), String::new());
        push_chain(&mut head, entry);
        push_rest(&mut tail, entry);
        self.out.write_all(head.as_bytes())?;
        self.out.write_all(b",\"event\":")?;
        self.out.write_all(entry.event)?;
        self.out.write_all(tail.as_bytes())
    }

    fn write_malformed(&mut self, entry: Option<&Entry<'_>>, line: &[u8]) -> std::io::Result<()> {
        let text: String = String::from_utf8_lossy(line).chars().take(MALFORMED_CHARS).collect();
        let mut head = String::new();
        match entry {
            Some(entry) => push_place(&mut head, entry),
            None => head.push_str(",\"chainHash\":null"),
        }
        write!(self.out, "{head},\"event\":null,\"malformed\":")?;
        serde_json::to_writer(&mut self.out, &text).map_err(std::io::Error::from)
    }

    /// Put the bytes of an entry's line into `self.line`.
    fn fetch(&mut self, item: &Item) -> Result<(), ReportError> {
        self.line.clear();
        let Some((path, window)) =
            self.sources.get_mut(usize::from(item.side & 1)).and_then(|files| files.get_mut(usize::from(item.file)))
        else {
            return Ok(());
        };
        let failed = |error| ReportError::io(path, "read", error);
        let window = match window {
            Some(window) => window,
            None => window.insert(Window { file: File::open(&*path).map_err(failed)?, begin: 0, bytes: Vec::new() }),
        };
        let wanted = item.length as usize;
        let inside = item.offset.checked_sub(window.begin).and_then(|at| usize::try_from(at).ok());
        let at = match inside.filter(|at| at + wanted <= window.bytes.len()) {
            Some(at) => at,
            None => {
                window.file.seek(SeekFrom::Start(item.offset)).map_err(failed)?;
                window.bytes.resize(WINDOW.max(wanted), 0);
                let mut have = 0;
                while have < window.bytes.len() {
                    match window.file.read(&mut window.bytes[have..]).map_err(failed)? {
                        0 => break,
                        count => have += count,
                    }
                }
                window.bytes.truncate(have);
                window.begin = item.offset;
                0
            }
        };
        let end = (at + wanted).min(window.bytes.len());
        self.line.extend_from_slice(&window.bytes[at.min(end)..end]);
        Ok(())
    }

    fn close(mut self) -> Result<(), ReportError> {
        let path = self.path.clone();
        self.out.flush().map_err(|error| ReportError::io(&path, "write", error))
    }
}

fn push_chain(text: &mut String, entry: &Entry<'_>) {
    match entry.chain {
        Some(chain) => text.push_str(&format!(",\"chainHash\":\"{chain}\"")),
        None => text.push_str(",\"chainHash\":null"),
    }
}

fn push_rest(text: &mut String, entry: &Entry<'_>) {
    if let Some(seq) = entry.seq {
        text.push_str(&format!(",\"seq\":{seq}"));
    }
    if let Some(hmac) = entry.hmac {
        text.push_str(&format!(",\"hmac\":\"{hmac}\""));
    }
}

fn push_place(text: &mut String, entry: &Entry<'_>) {
    push_chain(text, entry);
    push_rest(text, entry);
}
