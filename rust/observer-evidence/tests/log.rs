// SPDX-License-Identifier: Apache-2.0
//! What a user of the crate notices: lines come back as sealed, and every change to the file is found and placed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use observer_evidence::{
    read_lines, verify_log, DamageClass, Durability, EvidenceError, LogWriter, SecretKey, Severity, Tail, VerifyOptions,
    WriterOptions,
};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn key() -> SecretKey {
    SecretKey::new(vec![7; 32]).unwrap()
}

fn options(key: Option<SecretKey>) -> WriterOptions {
    WriterOptions { hmac_key: key, ..WriterOptions::default() }
}

fn sample(directory: &Path, key: Option<SecretKey>) -> PathBuf {
    let path = directory.join("events.log");
    let mut writer = LogWriter::create(&path, options(key)).unwrap();
    for n in 0..5 {
        let event = format!("{{\"n\":{n},\"text\":\"grüße \\u0041\"}}");
        assert_eq!(writer.append(event.as_bytes(), Severity::Info).unwrap(), n + 1);
    }
    let report = writer.close().unwrap();
    assert_eq!(report.size, 7);
    path
}

fn verify(path: &Path, key: Option<&SecretKey>) -> Result<observer_evidence::ChainProof, EvidenceError> {
    verify_log(path, key, &VerifyOptions::default())
}

#[test]
fn lines_come_back_as_sealed_and_prove() {
    for key in [None, Some(key())] {
        let directory = tempfile::tempdir().unwrap();
        let path = sample(directory.path(), key.clone());
        let proof = verify(&path, key.as_ref()).unwrap();
        assert_eq!((proof.lines, proof.events, proof.closed, proof.tail), (7, 5, true, Tail::Whole));
        assert_eq!((proof.signed, proof.key_checked), (key.is_some(), key.is_some()));
        let lines: Vec<_> = read_lines(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(lines[1].event, b"{\"n\":0,\"text\":\"gr\xc3\xbc\xc3\x9fe \\u0041\"}");
        assert_eq!(lines[6].kind.as_deref(), Some("end"));
    }
}

#[test]
fn every_flipped_bit_is_found() {
    for key in [None, Some(key())] {
        let directory = tempfile::tempdir().unwrap();
        let path = sample(directory.path(), key.clone());
        let whole = fs::read(&path).unwrap();
        let newlines: Vec<usize> = whole.iter().enumerate().filter(|(_, &b)| b == b'\n').map(|(i, _)| i).collect();
        for at in 0..whole.len() {
            {
                let bit = (at * 5 + 3) % 8;
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                // A flip may make or lose the very last newline, which is damage; all else is an error.
                match verify(&path, None) {
                    Ok(proof) => assert!(proof.tail != Tail::Whole && at == *newlines.last().unwrap(), "byte {at} bit {bit}"),
                    Err(error) => {
                        let line = newlines.iter().filter(|&&n| n < at).count() as u64 + 1;
                        if let Some(place) = error.place() {
                            assert!(place.line <= line + 1 && place.line >= line, "{error} for byte {at} in line {line}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn deleting_swapping_and_repeating_lines_is_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = sample(directory.path(), None);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cases: [Vec<&str>; 3] = [
        [&lines[..3], &lines[4..]].concat(),
        [&lines[..3], &[lines[4], lines[3]], &lines[5..]].concat(),
        [&lines[..4], &lines[3..]].concat(),
    ];
    for (case, expected) in cases.iter().zip([3, 3, 4]) {
        fs::write(&path, case.join("\n") + "\n").unwrap();
        let error = verify(&path, None).unwrap_err();
        assert!(matches!(error, EvidenceError::SequenceGap { .. }), "{error}");
        assert_eq!(error.place().unwrap().sequence, expected);
    }
}

#[test]
fn keys_must_fit() {
    let directory = tempfile::tempdir().unwrap();
    let signed = sample(directory.path(), Some(key()));
    let other = SecretKey::new(vec![8; 40]).unwrap();
    assert!(matches!(verify(&signed, Some(&other)), Err(EvidenceError::MacMismatch { .. })));
    assert!(!verify(&signed, None).unwrap().key_checked);
    assert!(matches!(LogWriter::open(&signed, options(None)), Err(EvidenceError::KeyUnusable { .. })));
    fs::remove_file(&signed).unwrap();
    let unsigned = sample(directory.path(), None);
    assert!(matches!(verify(&unsigned, Some(&key())), Err(EvidenceError::MacMismatch { .. })));
    assert!(matches!(LogWriter::open(&unsigned, options(Some(key()))), Err(EvidenceError::MacMismatch { .. })));
    assert!(SecretKey::new(vec![0; 31]).is_err());
    assert_eq!(format!("{:?}", key()), "SecretKey(…)");
}

#[test]
fn a_log_opens_again_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = sample(directory.path(), Some(key()));
    let mut writer = LogWriter::open(&path, options(Some(key()))).unwrap();
    assert_eq!(writer.append(b"{}", Severity::Critical).unwrap(), 8);
    assert!(matches!(LogWriter::open(&path, options(Some(key()))), Err(EvidenceError::Refused { .. })));
    drop(writer);
    let proof = verify(&path, Some(&key())).unwrap();
    assert_eq!((proof.lines, proof.closed), (9, false));
    assert!(matches!(LogWriter::create(&path, options(None)), Err(EvidenceError::Io { .. })));
}

#[test]
fn a_torn_or_zeroed_tail_is_damage_and_is_recorded() {
    for cut in 0..400 {
        let directory = tempfile::tempdir().unwrap();
        let path = sample(directory.path(), None);
        let whole = fs::read(&path).unwrap();
        let keep = whole.len() - cut.min(whole.len());
        let mut bytes = whole[..keep].to_vec();
        let zeros = cut % 3 == 0 && cut > 0;
        if zeros {
            bytes.extend(vec![0; 4096]);
        }
        fs::write(&path, &bytes).unwrap();
        let at_line_end = whole[keep - 1] == b'\n';
        let mut writer = LogWriter::open(&path, options(None)).unwrap();
        writer.append(b"{\"after\":true}", Severity::Info).unwrap();
        writer.close().unwrap();
        let proof = verify(&path, None).unwrap();
        assert_eq!(proof.tail, Tail::Whole);
        assert_eq!(proof.damage.len(), usize::from(!at_line_end || zeros), "cut {cut}");
        if let Some(damage) = proof.damage.first() {
            let zeroed = at_line_end && zeros;
            assert_eq!(damage.class, if zeroed { DamageClass::ZeroedTail } else { DamageClass::TornTail });
        }
    }
}

#[test]
fn a_file_of_someone_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    for content in ["my notes", "my notes\n", "{\"seq\":0,\"kind\":\"other\"", "{}\n"] {
        fs::write(&path, content).unwrap();
        assert!(matches!(LogWriter::open(&path, options(None)), Err(EvidenceError::Format { .. })), "{content}");
        assert!(matches!(verify(&path, None), Err(EvidenceError::Format { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    for content in ["", "{\"seq\":0,\"kind\":\"begin\",\"ev", "\0\0\0"] {
        fs::write(&path, content).unwrap();
        LogWriter::open(&path, options(None)).unwrap().close().unwrap();
        assert_eq!(verify(&path, None).unwrap().lines, 3, "{content}");
    }
}

#[test]
fn events_that_parsers_read_differently_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let mut writer = LogWriter::create(&path, options(None)).unwrap();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let bad: [&[u8]; 14] = [
        b"",
        b"[]",
        b"{} ",
        b"{\"a\":1,\"a\":2}",
        b"{\"a\":1,\"\\u0061\":2}",
        b"{\"a\":\"\xff\"}",
        b"{\n}",
        b"{\"a\":\"\t\"}",
        b"{\"a\":01}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":NaN}",
        b"{\"a\":1,}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for event in bad {
        let outcome = writer.append(event, Severity::Info);
        assert!(matches!(outcome, Err(EvidenceError::InvalidEvent { .. })), "{}", String::from_utf8_lossy(event));
    }
    writer.append(b"{\"a\":{\"a\":[{\"a\":-1.5e+9},null,true]},\"b\":\"\\ud83d\\ude00\"}", Severity::Info).unwrap();
    writer.close().unwrap();
    assert_eq!(verify(&path, None).unwrap().events, 1);
}

#[test]
fn an_endless_line_is_refused_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let path = sample(directory.path(), None);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    for _ in 0..16 {
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    let tail = verify(&path, None).unwrap().tail;
    assert!(matches!(tail, Tail::Torn { bytes: 16_777_216, .. }));
    file.write_all(b"\n").unwrap();
    assert!(matches!(verify(&path, None), Err(EvidenceError::ChainBroken { .. })));
}

#[test]
fn buffered_lines_reach_the_file_on_flush_and_on_drop() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let buffered = WriterOptions { durability: Durability::Buffered, ..options(None) };
    let mut writer = LogWriter::create(&path, buffered).unwrap();
    writer.append(b"{}", Severity::Info).unwrap();
    assert_eq!(verify(&path, None).unwrap().lines, 1);
    writer.append(b"{}", Severity::Error).unwrap();
    assert_eq!(verify(&path, None).unwrap().lines, 3);
    writer.append(b"{}", Severity::Info).unwrap();
    drop(writer);
    assert_eq!(verify(&path, None).unwrap().lines, 4);
}

#[cfg(unix)]
#[test]
fn links_are_refused_and_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = sample(directory.path(), None);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let link = directory.path().join("link.log");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(verify(&link, None), Err(EvidenceError::Format { .. })));
    assert!(matches!(LogWriter::open(&link, options(None)), Err(EvidenceError::Refused { .. })));
    fs::remove_file(&link).unwrap();
    fs::hard_link(&path, &link).unwrap();
    assert!(matches!(LogWriter::open(&path, options(None)), Err(EvidenceError::Refused { .. })));
}
