// SPDX-License-Identifier: Apache-2.0
//! Typed calls: fixed-layout records of a host's function calls, told by the `call_table` line that was sealed before them.
//! Source: docs/spec/plugin-recording.md §3. Every length comes from outside and is checked before it is used.

use crate::error::RecordingError;
use observer_model::decode::quote;
use serde::Deserialize;
use serde_json::{json, Map, Value};

/// Bytes before the arguments.
const HEAD: usize = 32;
/// Bytes before the content of a blob.
const BLOB_HEAD: usize = 16;
/// Bytes of content that decoded text shows.
const SHOWN: usize = 32;
/// The call did not return.
pub const NO_RESULT: u16 = 1;
/// The policy refused the call.
pub const DENIED: u16 = 2;
/// Tag of the blob that carries the reason of a decision made per call.
const REASON: u16 = 0xffff;

/// One parameter of a function in the table.
#[derive(Debug, Deserialize)]
pub struct Param {
    name: String,
    kind: String,
    #[serde(default = "four")]
    width: usize,
}

fn four() -> usize {
    4
}

/// One function of the table.
#[derive(Debug, Deserialize)]
pub struct Function {
    name: String,
    params: Vec<Param>,
    /// `errno`, `i32` or `none`.
    result: String,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// What a `call_table` line says.
#[derive(Debug, Default, Deserialize)]
pub struct CallTable {
    functions: Vec<Function>,
    #[serde(default)]
    errnos: Vec<String>,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    tid: u32,
}

/// Bytes of one call and where its parts begin.
#[derive(Clone, Copy, Debug)]
pub struct TypedCall<'a> {
    bytes: &'a [u8],
    /// Index of the function in the table.
    pub function: u16,
    /// `NO_RESULT`, `DENIED`, and 4 (memory out of range), 8 (content clipped), 16 (a limit refused it).
    pub flags: u16,
    /// CLOCK_MONOTONIC at entry, ns.
    pub start_ns: u64,
    /// CLOCK_MONOTONIC at return, ns.
    pub end_ns: u64,
    /// What it returned.
    pub result: i32,
    entry: usize,
}

/// A piece of the caller's memory, as it was at entry or at return.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    /// Index of the parameter.
    pub param: u16,
    /// Read at return, not at entry.
    pub out: bool,
    /// Bytes asked for; more than `content` when some lay outside the memory.
    pub length: u32,
    /// The bytes.
    pub content: &'a [u8],
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Takes the first call off `bytes`.
fn first(bytes: &[u8]) -> Option<(TypedCall<'_>, &[u8])> {
    let size = u32_at(bytes, 0)? as usize;
    let entry = u32_at(bytes, 28)? as usize;
    if size < HEAD || !size.is_multiple_of(8) || entry < HEAD || entry > size || size > bytes.len() {
        return None;
    }
    let (own, rest) = bytes.split_at(size);
    let call = TypedCall {
        bytes: own,
        function: u16_at(own, 4)?,
        flags: u16_at(own, 6)?,
        start_ns: u64_at(own, 8)?,
        end_ns: u64_at(own, 16)?,
        result: u32_at(own, 24)? as i32,
        entry,
    };
    Some((call, rest))
}

/// Goes through the calls of a payload; a malformed one ends it with an error.
pub fn calls(mut payload: &[u8]) -> impl Iterator<Item = Result<TypedCall<'_>, RecordingError>> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        match first(payload) {
            Some((call, rest)) => {
                at += payload.len() - rest.len();
                payload = rest;
                Some(Ok(call))
            }
            None => {
                payload = &[];
                Some(Err(RecordingError::Malformed(format!("typed call at byte {at} of its chunk is malformed"))))
            }
        }
    })
}

/// Number of calls, and the first and largest start time.
pub fn measure(payload: &[u8]) -> Result<(u32, u64, u64), RecordingError> {
    let (mut at, mut count, mut first_ns, mut last_ns) = (0, 0u32, 0, 0);
    while at < payload.len() {
        let size = u32_at(payload, at).map_or(0, |n| n as usize);
        let whole = size >= HEAD && size.is_multiple_of(8) && size <= payload.len() - at;
        let start_ns = u64_at(payload, at + 8).filter(|_| whole);
        let Some(start_ns) = start_ns else {
            return Err(RecordingError::Malformed(format!("typed call at byte {at} of its chunk is malformed")));
        };
        first_ns = if count == 0 { start_ns } else { first_ns };
        last_ns = last_ns.max(start_ns);
        count += 1;
        at += size;
    }
    Ok((count, first_ns, last_ns))
}

impl<'a> TypedCall<'a> {
    fn blobs(&self, arguments: usize) -> Vec<Blob<'a>> {
        let mut found = Vec::new();
        let mut at = HEAD + arguments.next_multiple_of(8);
        while let Some((blob, next)) = self.blob(at) {
            found.push(blob);
            at = next;
        }
        found
    }

    fn blob(&self, at: usize) -> Option<(Blob<'a>, usize)> {
        let stored = u32_at(self.bytes, at + 12)? as usize;
        let content = self.bytes.get(at + BLOB_HEAD..(at + BLOB_HEAD).checked_add(stored)?)?;
        let (param, out) = (u16_at(self.bytes, at)?, at >= self.entry);
        let blob = Blob { param, out, length: u32_at(self.bytes, at + 8)?, content };
        Some((blob, at + (BLOB_HEAD + stored).next_multiple_of(8)))
    }

    fn argument(&self, at: usize, width: usize) -> u64 {
        let wide = if width == 8 { u64_at(self.bytes, at) } else { u32_at(self.bytes, at).map(u64::from) };
        wide.unwrap_or(0)
    }
}

/// Bytes that the arguments of a function take; an unknown function has none.
fn arguments(function: &Function) -> usize {
    function.params.iter().map(|p| if p.width == 8 { 8 } else { 4 }).sum()
}

fn shown(blobs: &[Blob<'_>], skip: usize) -> String {
    let mut start = Vec::with_capacity(SHOWN);
    let total: usize = blobs.iter().skip(skip).map(|b| b.content.len()).sum();
    for blob in blobs.iter().skip(skip) {
        start.extend_from_slice(&blob.content[..blob.content.len().min(SHOWN - start.len())]);
    }
    quote(&start, total > start.len())
}

fn pointed(kind: &str, blobs: &[Blob<'_>]) -> Option<String> {
    let first = blobs.first()?;
    let text = match (kind, first.content.len()) {
        ("path" | "text", _) => quote(first.content, first.content.len() < first.length as usize),
        ("gather", _) => shown(blobs, 1),
        ("scatter", _) => shown(blobs, usize::from(!first.out)),
        ("out", 4) => format!("[{}]", u32_at(first.content, 0)?),
        ("out", 8) => format!("[{}]", u64_at(first.content, 0)?),
        ("out", 2) => format!("[{}]", u16_at(first.content, 0)?),
        _ => shown(blobs, 0),
    };
    Some(text)
}

fn text_of(param: &Param, value: u64, blobs: &[Blob<'_>]) -> String {
    match param.kind.as_str() {
        "fd" | "n" => (value as u32).to_string(),
        "flags" | "rights" => format!("{value:#x}"),
        "i32" => (value as u32 as i32).to_string(),
        "i64" => (value as i64).to_string(),
        "u64" => value.to_string(),
        kind => pointed(kind, blobs).unwrap_or_else(|| format!("{value:#x}")),
    }
}

fn class_of(kind: &str) -> &str {
    match kind {
        "fd" | "path" | "flags" => kind,
        "rights" => "flags",
        "gather" | "scatter" | "fill" | "sized" | "array" | "out" | "text" => "data",
        _ => "number",
    }
}

impl CallTable {
    /// Reads a `call_table` line.
    pub fn parse(line: &Value) -> Result<CallTable, RecordingError> {
        CallTable::deserialize(line).map_err(|e| RecordingError::Malformed(format!("call_table: {e}")))
    }

    /// Name of a call's function.
    #[must_use]
    pub fn name(&self, call: &TypedCall<'_>) -> &str {
        self.functions.get(usize::from(call.function)).map_or("?", |f| f.name.as_str())
    }

    /// Classes of a call's function.
    pub fn classes(&self, call: &TypedCall<'_>) -> impl Iterator<Item = &str> {
        self.functions.get(usize::from(call.function)).into_iter().flat_map(|f| f.classes.iter().map(String::as_str))
    }

    /// The call as the JSON object of an embedder's call.
    #[must_use]
    pub fn json(&self, call: &TypedCall<'_>) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("syscall", json!(self.name(call)));
        put("pid", json!(self.pid));
        put("tid", json!(self.tid));
        put("start_ns", json!(call.start_ns));
        put("flags", json!(call.flags));
        put("allowed", json!(call.flags & DENIED == 0));
        if call.flags & NO_RESULT == 0 {
            put("duration_ns", json!(call.end_ns.saturating_sub(call.start_ns)));
        } else {
            put("no_result", json!(true));
        }
        if let Some(function) = self.functions.get(usize::from(call.function)) {
            let blobs = call.blobs(arguments(function));
            put("classes", json!(function.classes));
            put("args", self.arguments_json(function, call, &blobs));
            if let Some(reason) = reason_of(function, call, &blobs) {
                put("reason", json!(reason));
            }
            if call.flags & NO_RESULT == 0 {
                self.result_json(function, call, &mut out);
            }
        }
        Value::Object(out)
    }

    fn arguments_json(&self, function: &Function, call: &TypedCall<'_>, blobs: &[Blob<'_>]) -> Value {
        let mut at = HEAD;
        let mut list = Vec::new();
        for (index, param) in function.params.iter().enumerate() {
            let own: Vec<Blob<'_>> = blobs.iter().copied().filter(|b| usize::from(b.param) == index).collect();
            let text = text_of(param, call.argument(at, param.width), &own);
            list.push(json!({"name": param.name, "text": text, "class": class_of(&param.kind)}));
            at += if param.width == 8 { 8 } else { 4 };
        }
        Value::Array(list)
    }

    fn result_json(&self, function: &Function, call: &TypedCall<'_>, out: &mut Map<String, Value>) {
        out.insert("result".to_owned(), json!(call.result));
        let errno = usize::try_from(call.result).ok().and_then(|n| self.errnos.get(n));
        let text = match (function.result.as_str(), call.result, errno) {
            ("none", ..) => String::new(),
            ("errno", 1.., Some(errno)) => {
                out.insert("errno".to_owned(), json!(errno));
                format!("{} {errno}", call.result)
            }
            _ => call.result.to_string(),
        };
        out.insert("result_text".to_owned(), json!(text));
    }
}

/// Why the call was refused or allowed: told with the call, or by the table for calls that it refuses always.
fn reason_of(function: &Function, call: &TypedCall<'_>, blobs: &[Blob<'_>]) -> Option<String> {
    if let Some(blob) = blobs.iter().find(|b| b.param == REASON) {
        return Some(String::from_utf8_lossy(blob.content).into_owned());
    }
    match call.flags & (DENIED | 16) {
        18 => Some("the limit of open descriptors is reached".to_owned()),
        _ => function.reason.clone(),
    }
}
