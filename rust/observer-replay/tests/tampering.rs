// SPDX-License-Identifier: Apache-2.0
//! Whoever can seal another history can still not make a replay agree with it: each kind of change to the events of a recording,
//! sealed anew, is found when the program runs again.
#![allow(clippy::unwrap_used, clippy::panic)]

use observer_capture::Config;
use observer_recording::{Recorder, RecordingReader, RecordingWriter};
use observer_replay::regs::{index, Regs};
use observer_replay::replay::session::{Options, Session};
use observer_replay::replay::source::EventSource;
use observer_replay::stream::{Effect, Encoder, Event, What};
use observer_replay::ReplayError;
use serde_json::{json, Map, Value};
use std::fs;
use std::path::Path;

const START: &str = r#"{"trace_id":"0b0e0000-0000-4000-8000-000000000000","source":"ptrace","arch":"x86_64"}"#;
const SCRIPT: &str = "read line </etc/hostname; echo $line $$; exit 5";

fn record(dir: &Path) {
    let start: Value = serde_json::from_str(START).unwrap();
    let config = json!({"path": dir, "start": start, "executable": "/bin/sh", "argv": ["sh", "-c", SCRIPT],
        "env": [["PATH", "/usr/bin:/bin"]]});
    let report = observer_replay::record_command(&Config::parse(config.to_string().as_bytes()).unwrap(), None).unwrap();
    assert_eq!(report.exit_code, Some(5));
}

/// An event, and the registers at its entry.
type Step = (Event, Option<Regs>);

fn events(dir: &Path) -> Vec<Step> {
    let mut source = EventSource::open(dir).unwrap();
    let mut all = Vec::new();
    while let Some(event) = source.next().unwrap() {
        let regs = match &event.what {
            What::Call(entry, _) | What::Enter(entry) => Some(source.decoder().entry(event.task, &entry.regs)),
            _ => None,
        };
        all.push((event, regs));
    }
    all
}

/// Seals these events as a recording of their own, with the files and facts of another.
fn seal(dir: &Path, of: &Path, steps: &[Step]) {
    let recorder = Recorder::start(RecordingWriter::create(dir, START.as_bytes(), None).unwrap()).unwrap();
    let lines = observer_recording::query::lines(&RecordingReader::open(of).unwrap(), 0, 10_000).unwrap();
    for line in lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
        if matches!(line["event"]["type"].as_str(), Some("replay_start" | "blob")) {
            recorder.push_line(line["event"].to_string().into_bytes(), observer_evidence::Severity::Info);
        }
    }
    let mut encoder = Encoder::default();
    for (event, regs) in steps {
        let mut event = event.clone();
        if let (What::Call(entry, _) | What::Enter(entry), Some(regs)) = (&mut event.what, regs) {
            entry.regs = encoder.entry(event.task, regs);
        }
        recorder.push_replay(&encoder.bytes(&event).unwrap());
    }
    recorder.finish(Map::from_iter([("status".to_owned(), json!("completed"))])).unwrap();
    fs::create_dir(dir.join("blobs")).unwrap();
    for blob in fs::read_dir(of.join("blobs")).unwrap() {
        let blob = blob.unwrap();
        fs::copy(blob.path(), dir.join("blobs").join(blob.file_name())).unwrap();
    }
}

fn replay(dir: &Path, keep_going: bool) -> Result<Session, ReplayError> {
    let mut session = Session::open(dir, Options { output: false, keep_going, ..Options::default() })?;
    session.run()?;
    Ok(session)
}

/// Position of the last call with this name (the program's own are behind those of its loader).
fn call(steps: &[Step], name: &str) -> usize {
    let nr = observer_model::by_name(observer_model::Arch::X86_64, name).unwrap().nr;
    steps.iter().rposition(|(event, regs)| matches!(event.what, What::Call(..)) && regs.is_some_and(|r| r.nr() == nr)).unwrap()
}

fn exit_of(step: &mut Step) -> &mut observer_replay::stream::Exit {
    let What::Call(_, exit) = &mut step.0.what else { panic!("no call") };
    exit
}

fn register(steps: &mut [Step], name: &str, at: usize) {
    let place = call(steps, name);
    steps[place].1.as_mut().unwrap().0[at] ^= 1;
}

type Change = (&'static str, fn(&mut Vec<Step>), &'static str);

const CHANGES: [Change; 13] = [
    ("an argument", |s| register(s, "write", index::RDX), "registers differ at a call"),
    ("the number of a call", |s| register(s, "getpid", index::ORIG_RAX), "it calls getpid where"),
    ("the place of a call", |s| register(s, "write", index::RIP), "registers differ at a call"),
    ("a register that is no argument", |s| register(s, "write", index::RBX), "registers differ at a call"),
    ("the stack pointer", |s| register(s, "write", index::RSP), "registers differ at a call"),
    (
        "a result",
        |s| {
            let at = call(s, "getpid");
            exit_of(&mut s[at]).result += 1;
        },
        "differ",
    ),
    (
        "what a call read",
        |s| {
            let at = call(s, "read");
            let found = exit_of(&mut s[at]).effects.iter().any(|e| matches!(e, Effect::Memory(..)));
            assert!(found);
            for effect in &mut exit_of(&mut s[at]).effects {
                if let Effect::Memory(_, bytes) = effect {
                    bytes[0] ^= 0x20;
                }
            }
        },
        "it calls read where",
    ),
    (
        "what was written",
        |s| {
            let at = call(s, "write");
            exit_of(&mut s[at]).sent ^= 1;
        },
        "the bytes it writes differ",
    ),
    (
        "a checksum of memory",
        |s| {
            let sum = s.iter_mut().find_map(|step| if let What::Check(sum) = &mut step.0.what { Some(sum) } else { None });
            *sum.unwrap() ^= 1;
        },
        "content of its memory differs",
    ),
    (
        "the random bytes that the program began with",
        |s| {
            let What::Exec(exec) = &mut s[0].0.what else { panic!("no exec") };
            let (start, stack) = exec.memory.last_mut().map(|part| (part.0, &mut part.1)).unwrap();
            let words: Vec<u64> = stack.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
            let at = words.iter().position(|word| *word == libc::AT_RANDOM).unwrap() + 1;
            stack[usize::try_from(words[at] - start).unwrap() + 3] ^= 1; // the C library keeps it in its own memory
        },
        "content of its memory differs",
    ),
    (
        "how it ended",
        |s| {
            let What::Death(death) = &mut s.last_mut().unwrap().0.what else { panic!("no death") };
            death.exit_code = Some(0);
        },
        "it ends with status 5 where 0 was recorded",
    ),
    (
        "a call taken out",
        |s| {
            let at = call(s, "read");
            s.remove(at);
        },
        "it",
    ),
    (
        "two calls in another order",
        |s| {
            let at = call(s, "write");
            s.swap(at, at - 1);
        },
        "it calls",
    ),
];

#[test]
fn each_kind_of_change_is_found() {
    let place = tempfile::tempdir().unwrap();
    let original = place.path().join("original");
    record(&original);
    let steps = events(&original);
    let same = place.path().join("same");
    seal(&same, &original, &steps);
    let session = replay(&same, false).unwrap();
    assert_eq!(session.ended.unwrap().exit_code, Some(5));
    assert!(session.checks > 0);
    for (number, (what, change, wanted)) in CHANGES.iter().enumerate() {
        let dir = place.path().join(number.to_string());
        let mut changed = steps.clone();
        change(&mut changed);
        assert!(changed != steps, "{what}: nothing was changed");
        seal(&dir, &original, &changed);
        match replay(&dir, false) {
            Err(ReplayError::Diverged(found)) => assert!(found.what.contains(wanted), "{what}: {found}"),
            Err(other) => panic!("{what}: {other}"),
            Ok(_) => panic!("{what} was not found"),
        }
        if let Ok(session) = replay(&dir, true) {
            assert!(!session.differences.is_empty(), "{what}: went on and did not tell");
        }
    }
}
