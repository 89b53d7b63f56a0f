// SPDX-License-Identifier: Apache-2.0
//! Measures the encoder alone: log records of eight attributes, searched for secrets, as protobuf and as JSON; prints one JSON object.

use observer_export::batch::Envelope;
use observer_export::signal::{Attribute, Form, Log, Signal, Value};
use observer_export::{json, protobuf, Batch, Redactor};
use std::sync::Arc;
use std::time::Instant;

const RECORDS: u64 = 1_000_000;
/// As many as there are in a request, and in a line of a file.
const BATCHES: [u64; 2] = [8192, 1024];

fn record(number: u64) -> Log<'static> {
    let attributes: Vec<Attribute<'static>> = vec![
        ("syscall.name".into(), "openat".into()),
        ("syscall.outcome".into(), "ok".into()),
        ("syscall.duration_ns".into(), Value::Int(1234)),
        ("syscall.result".into(), Value::Int(3)),
        ("process.pid".into(), Value::Int(4711)),
        ("thread.id".into(), Value::Int(4711)),
        ("log.record.uid".into(), format!("0b0e7d8c3f0a4c5a9d2f6c1b7a8e9f00:s{number}").into()),
        ("file.path".into(), "/etc/hosts".into()),
    ];
    Log {
        time_ns: 1_764_240_000_000_000_000 + number,
        severity: 9,
        event_name: "process.syscall".into(),
        body: "openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY|O_CLOEXEC) = 3".into(),
        span: [1, 2, 3, 4, 5, 6, 7, 8],
        attributes,
    }
}

fn rate(form: Form, redact: bool) -> (f64, u64) {
    let redactor = Redactor::new(redact);
    let envelope = Arc::new(Envelope::new(form, &[], "0"));
    let (trace, started, mut bytes) = ([7; 16], Instant::now(), 0);
    let most = BATCHES[usize::from(form == Form::Json)];
    for first in (0..RECORDS).step_by(most as usize) {
        let mut batch = Batch::new(Signal::Logs, Arc::clone(&envelope));
        for number in first..(first + most).min(RECORDS) {
            let mut log = record(number);
            redactor.log(&mut log);
            match form {
                Form::Protobuf => batch.push(|out| protobuf::log(out, &trace, &log)),
                Form::Json => batch.push(|out| json::log(out, &trace, &log)),
            }
        }
        bytes += batch.request(0..batch.len()).len() as u64;
    }
    (RECORDS as f64 / started.elapsed().as_secs_f64(), bytes / RECORDS)
}

fn main() {
    let (unsearched, _) = rate(Form::Protobuf, false);
    let (protobuf, protobuf_bytes) = rate(Form::Protobuf, true);
    let (json, json_bytes) = rate(Form::Json, true);
    println!("{{\"unsearched\":{unsearched:.0},\"protobuf\":{protobuf:.0},\"protobuf_bytes\":{protobuf_bytes},\"json\":{json:.0},\"json_bytes\":{json_bytes}}}");
}
