// SPDX-License-Identifier: Apache-2.0
//! The vectors that the Python API and the reference verifier read too, and every parser on mutants of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use observer_evidence::{
    check_event, parse_line, verify_log, Chainstate, EvidenceError, Manifest, Note, RecordProof, SecretKey, Tail, VerifierKey,
    VerifyOptions,
};
use sha2::Digest;
use std::fs;
use std::path::{Path, PathBuf};

fn vectors() -> Vec<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/evidence-log");
    let mut paths: Vec<_> = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 50);
    paths
}

fn split(bytes: &[u8]) -> (String, &[u8]) {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    (String::from_utf8(bytes[..at].to_vec()).unwrap(), &bytes[at + 2..])
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
}

fn code(error: &EvidenceError) -> &'static str {
    match error {
        EvidenceError::ChainBroken { .. } => "OBS401",
        EvidenceError::MacMismatch { .. } => "OBS402",
        EvidenceError::SequenceGap { .. } => "OBS403",
        EvidenceError::Format { .. } => "OBS500",
        EvidenceError::Newer { .. } => "OBS501",
        _ => "other",
    }
}

#[test]
fn every_vector_gets_its_answer() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("vector.log");
    for path in vectors() {
        let bytes = fs::read(&path).unwrap();
        let (head, data) = split(&bytes);
        fs::write(&log, data).unwrap();
        let key = field(&head, "key").map(|hex| {
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            SecretKey::new(bytes.collect()).unwrap()
        });
        for threads in [1, 4] {
            let outcome = verify_log(&log, key.as_ref(), &VerifyOptions { threads, ..VerifyOptions::default() });
            let answer = match &outcome {
                Ok(proof) => match proof.tail {
                    Tail::Whole => "proven",
                    Tail::Torn { .. } => "torn",
                    Tail::Zeroed { .. } => "zeroed",
                },
                Err(error) => code(error),
            };
            assert_eq!(Some(answer.to_owned()), field(&head, "expect"), "{}: {outcome:?}", path.display());
            if let Some(place) = outcome.as_ref().err().and_then(EvidenceError::place) {
                assert_eq!(Some(place.line.to_string()), field(&head, "line"), "{}", path.display());
            }
        }
    }
}

/// A small generator of numbers, so that a failure names the seed that shows it again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.roll(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.roll(bytes.len());
            match self.roll(5) {
                0 => bytes[at] ^= 1 << self.roll(8),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"{}[]\",:\\0\n\0\xff"[self.roll(12)]),
                3 => bytes.truncate(at),
                _ => {
                    let end = (at + self.roll(64)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
    }
}

/// The chain of a log from its first line on, worked out by the letter of `docs/spec/evidence-log.md` §4.
fn was_sealed(lines: &[u8]) -> bool {
    let mut prev = [0_u8; 32];
    lines.split_inclusive(|&b| b == b'\n').all(|line| {
        let head = &line[..line.len() - "\n,\"chainHash\":\"\"}".len() - 64];
        let hash = sha2::Sha256::new_with_prefix([0]).chain_update(head).chain_update(prev);
        prev = hash.finalize().into();
        line[head.len()..] == *format!(",\"chainHash\":\"{}\"}}\n", observer_evidence::to_hex(&prev)).as_bytes()
    })
}

/// The fallback where coverage-guided fuzzing is not at hand: mutants of every vector through every parser. No panic, and
/// what JSON text is accepted is accepted by an independent parser too.
#[test]
fn mutants_neither_panic_nor_pass_what_others_refuse() {
    let runs: usize = std::env::var("OBSERVER_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("mutant.log");
    let mut dice = Dice(20_261_123);
    for path in vectors() {
        let bytes = fs::read(&path).unwrap();
        let (_, data) = split(&bytes);
        for _ in 0..runs {
            let mut mutant = data.to_vec();
            dice.mutate(&mut mutant);
            for line in mutant.split(|&b| b == b'\n') {
                if let Ok(parsed) = parse_line(line) {
                    if check_event(parsed.event).is_ok() {
                        let other: Result<serde_json::Value, _> = serde_json::from_slice(parsed.event);
                        assert!(other.is_ok(), "{}", String::from_utf8_lossy(parsed.event));
                    }
                }
                let text = String::from_utf8_lossy(line);
                let _ = Note::parse(&text.replace("\\n", "\n")).is_ok();
            }
            let text = String::from_utf8_lossy(&mutant);
            let _ = RecordProof::parse(&text).is_ok();
            let _ = VerifierKey::parse(&text).is_ok();
            let _ = (Manifest::parse(&mutant).is_some(), Chainstate::parse(&mutant, None).is_ok());
            if dice.roll(20) == 0 {
                fs::write(&log, &mutant).unwrap();
                let proven = verify_log(&log, None, &VerifyOptions::default());
                // A mutant that proves is a whole prefix of the vector, or of the log that the vector was made of, when it undid
                // what is wrong with the vector: nothing made up ever passes.
                if let Ok(proof) = proven {
                    let whole = &mutant[..usize::try_from(proof.bytes).unwrap()];
                    assert!(data.starts_with(whole) || was_sealed(whole), "{}", path.display());
                }
            }
        }
    }
}
