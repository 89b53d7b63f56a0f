// SPDX-License-Identifier: Apache-2.0
//! Calls and delivered signals as log records.

use crate::lines::{severity, uid};
use crate::signal::{cut, Attribute, Log, Value};
use crate::tree::{signal_text, Tree};
use observer_model::{decode, Arch, ArgClass, SignalRecord, SyscallRecord};
use observer_recording::outcome::Outcome;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Signals by which a program dies of its own fault.
const FAULTS: [u32; 6] = [4, 6, 7, 8, 11, 31];
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

fn severity_of(outcome: Outcome) -> u8 {
    if outcome == Outcome::Denied {
        severity::WARN
    } else {
        severity::INFO
    }
}

/// Address and port of a `struct sockaddr`. Source: ip(7), ipv6(7).
fn internet(bytes: &[u8]) -> Option<(IpAddr, u16)> {
    let family = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let address = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?)),
        _ => return None,
    };
    Some((address, port))
}

/// The path inside a decoded argument's quotes, as the program gave it.
pub fn path_of(record: &SyscallRecord, text: &str) -> Option<String> {
    let quoted = text.strip_prefix('"')?;
    let inside = quoted.strip_suffix("...").unwrap_or(quoted).strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(cut(inside).into_owned());
    }
    // The text has escapes: take the bytes themselves, from the argument whose beginning it is.
    let plain = inside.split('\\').next().unwrap_or("").as_bytes();
    let blob = record.blobs.iter().find(|blob| blob.part == 0 && blob.bytes.starts_with(plain))?;
    Some(cut(&String::from_utf8_lossy(&blob.bytes)).into_owned())
}

/// A syscall.
#[must_use]
pub fn call(tree: &Tree, arch: Arch, number: u64, record: &SyscallRecord) -> Log<'static> {
    let decoded = decode(arch, record);
    let outcome = Outcome::of(record);
    let body = decoded.to_string();
    let mut attributes: Vec<Attribute<'static>> = Vec::with_capacity(10);
    attributes.push(("syscall.outcome".into(), outcome.name().into()));
    attributes.push(("syscall.duration_ns".into(), Value::Int(record.duration_ns as i64)));
    attributes.push(("process.pid".into(), Value::Int(i64::from(record.pid))));
    attributes.push(("thread.id".into(), Value::Int(i64::from(record.tid))));
    attributes.push(("log.record.uid".into(), uid(&tree.trace, &format!("s{number}")).into()));
    if outcome != Outcome::NoResult {
        attributes.push(("syscall.result".into(), Value::Int(record.result)));
    }
    if let Some(errno) = decoded.errno {
        attributes.push(("error.type".into(), errno.into()));
    }
    for argument in &decoded.args {
        match argument.class {
            ArgClass::Path => {
                if let Some(path) = path_of(record, &argument.text) {
                    attributes.push(("file.path".into(), path.into()));
                    break;
                }
            }
            ArgClass::Socket => {
                if let Some((address, port)) = record.blobs.iter().find_map(|blob| internet(&blob.bytes)) {
                    attributes.push(("network.peer.address".into(), address.to_string().into()));
                    attributes.push(("network.peer.port".into(), Value::Int(i64::from(port))));
                    break;
                }
            }
            _ => {}
        }
    }
    attributes.push(("syscall.name".into(), decoded.name.into()));
    Log {
        time_ns: tree.wall(record.start_ns),
        severity: severity_of(outcome),
        event_name: "process.syscall".into(),
        body: if body.len() <= crate::signal::LONGEST { body.into() } else { cut(&body).into_owned().into() },
        span: tree.span(record.pid, record.start_ns),
        attributes,
    }
}

/// A delivered signal.
#[must_use]
pub fn signal(tree: &Tree, number: u64, record: &SignalRecord) -> Log<'static> {
    let name = signal_text(record.signo);
    let from = if record.sender_pid == 0 { "the kernel".to_owned() } else { format!("process {}", record.sender_pid) };
    let mut attributes: Vec<Attribute<'static>> = vec![
        ("observer.signal.name".into(), name.clone().into()),
        ("observer.signal.code".into(), Value::Int(i64::from(record.code))),
        ("process.pid".into(), Value::Int(i64::from(record.pid))),
        ("thread.id".into(), Value::Int(i64::from(record.tid))),
        ("log.record.uid".into(), uid(&tree.trace, &format!("s{number}")).into()),
    ];
    if record.sender_pid != 0 {
        attributes.push(("observer.signal.sender_pid".into(), Value::Int(i64::from(record.sender_pid))));
    }
    Log {
        time_ns: tree.wall(record.start_ns),
        severity: if is_fault(record.signo) { severity::ERROR } else { severity::INFO },
        event_name: "process.signal".into(),
        body: format!("{name} from {from}").into(),
        span: tree.span(record.pid, record.start_ns),
        attributes,
    }
}

/// Whether a program dies of this signal by its own fault.
#[must_use]
pub fn is_fault(signo: u32) -> bool {
    FAULTS.contains(&signo)
}

/// Keys of an embedder's call under the names of attributes.
const EMBEDDED: [(&str, &str); 9] = [
    ("duration_ns", "syscall.duration_ns"),
    ("result", "syscall.result"),
    ("errno", "error.type"),
    ("allowed", "policy.allowed"),
    ("reason", "policy.reason"),
    ("policy_version", "policy.version"),
    ("trust_score", "policy.trust_score"),
    ("enforcement_mode", "policy.enforcement_mode"),
    ("violation_action", "policy.violation_action"),
];

/// A call of an embedder or of a plugin, from its JSON.
#[must_use]
pub fn embedded(tree: &Tree, number: u64, call: &Json) -> Log<'static> {
    let outcome = Outcome::of_json(call);
    let integer = |key: &str| call.get(key).and_then(Json::as_u64);
    let (pid, start) = (integer("pid").unwrap_or(0), integer("start_ns").unwrap_or(0));
    let name = call.get("syscall").and_then(Json::as_str).unwrap_or("?");
    let args = call.get("args").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown = |arg: &Json| arg.get("text").or(Some(arg)).and_then(Json::as_str).map_or_else(|| arg.to_string(), str::to_owned);
    let result = call.get("result_text").or_else(|| call.get("result")).filter(|value| !value.is_null());
    let result = result.map(|value| format!(" = {}", value.as_str().unwrap_or(&value.to_string()))).unwrap_or_default();
    let body = format!("{name}({}){result}", args.iter().map(shown).collect::<Vec<_>>().join(", "));
    let mut attributes: Vec<Attribute<'static>> = vec![
        ("syscall.outcome".into(), outcome.name().into()),
        ("process.pid".into(), Value::Int(pid as i64)),
        ("thread.id".into(), Value::Int(integer("tid").unwrap_or(0) as i64)),
        ("log.record.uid".into(), uid(&tree.trace, &format!("s{number}")).into()),
    ];
    for (key, attribute) in EMBEDDED {
        if let Some(value) = call.get(key).and_then(Value::of_json) {
            attributes.push((Cow::Borrowed(attribute), value));
        }
    }
    if let Some(user) = call.pointer("/identity/user").or_else(|| call.pointer("/identity/user_id")).and_then(Value::of_json) {
        attributes.push(("user.id".into(), user));
    }
    attributes.push(("syscall.name".into(), name.to_owned().into()));
    Log {
        time_ns: integer("wall_ns").unwrap_or_else(|| tree.wall(start)),
        severity: severity_of(outcome),
        event_name: "process.syscall".into(),
        body: cut(&body).into_owned().into(),
        span: tree.span(u32::try_from(pid).unwrap_or(0), start),
        attributes,
    }
}
