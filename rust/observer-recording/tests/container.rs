// SPDX-License-Identifier: Apache-2.0
//! A recording on disk: what was pushed is read back, what was changed is noticed, what was cut off is told.
#![allow(missing_docs, clippy::unwrap_used)]

use observer_evidence::Severity;
use observer_model::{Record, SyscallRecord};
use observer_recording::{verify_recording, Recorder, RecordingError, RecordingReader, RecordingWriter};
use serde_json::Map;
use std::fs;
use std::path::{Path, PathBuf};

const START: &[u8] = br#"{"trace_id":"0b0e0000-0000-4000-8000-000000000001","arch":"x86_64","wall_ns":5,"monotonic_ns":1}"#;

fn call(n: u64) -> Record {
    Record::Call(SyscallRecord { tid: 7, pid: 7, nr: 1, start_ns: 1000 + n, args: [n, 2, 3, 0, 0, 0], ..Default::default() })
}

fn made(dir: &Path, calls: u64) -> PathBuf {
    let path = dir.join("rec");
    let recorder = Recorder::start(RecordingWriter::create(&path, START, None).unwrap()).unwrap();
    recorder.push_line(br#"{"type":"process","what":"start","pid":7,"tid":7}"#.to_vec(), Severity::Info);
    for n in 0..calls {
        assert!(recorder.push(&call(n)));
        if n % 1000 == 999 {
            recorder.flush(false).unwrap();
        }
    }
    recorder.finish(Map::new()).unwrap();
    path
}

#[test]
fn what_was_pushed_is_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), 2500);
    let reader = RecordingReader::open(&path).unwrap();
    assert_eq!(reader.records(), 2500);
    assert!(reader.chunks.len() >= 3);
    let mut seen = Vec::new();
    for line in &reader.chunks {
        let (header, payload) = reader.chunk(line).unwrap();
        let decoder = observer_recording::codec::ChunkDecoder::new(&payload, &header);
        seen.extend(decoder.map(Result::unwrap));
    }
    assert_eq!(seen, (0..2500).map(call).collect::<Vec<_>>());
    let proof = verify_recording(&path, None).unwrap();
    assert_eq!((proof.records, proof.closed, proof.unsealed_bytes), (2500, true, 0));
}

#[test]
fn every_flipped_bit_of_a_sealed_chunk_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), 50);
    let segment = path.join("segments/000000.seg");
    let good = fs::read(&segment).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&segment, &bad).unwrap();
        let error = verify_recording(&path, None).unwrap_err();
        if bit / 8 >= 32 {
            assert!(matches!(error, RecordingError::Chunk { offset: 32, .. }), "byte {}: {error}", bit / 8);
        }
    }
}

#[test]
fn bytes_after_the_last_sealed_chunk_are_counted_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), 50);
    let segment = path.join("segments/000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes.extend_from_slice(b"OCHK and then the power went");
    fs::write(&segment, bytes).unwrap();
    let proof = verify_recording(&path, None).unwrap();
    assert_eq!((proof.records, proof.unsealed_bytes), (50, 28));
}

#[test]
fn missing_and_shortened_segments_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), 50);
    let segment = path.join("segments/000000.seg");
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(verify_recording(&path, None), Err(RecordingError::Chunk { .. })));
    fs::remove_file(&segment).unwrap();
    assert!(matches!(verify_recording(&path, None), Err(RecordingError::Chunk { .. })));
}

#[test]
fn a_segment_that_is_a_link_or_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = made(dir.path(), 50);
    let segment = path.join("segments/000000.seg");
    fs::rename(&segment, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &segment).unwrap();
    assert!(verify_recording(&path, None).is_err());
    fs::remove_file(&segment).unwrap();
    fs::create_dir(&segment).unwrap();
    assert!(verify_recording(&path, None).is_err());
}

#[test]
fn a_recorder_that_vanished_leaves_what_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rec");
    let recorder = Recorder::start(RecordingWriter::create(&path, START, None).unwrap()).unwrap();
    recorder.push(&call(0));
    recorder.flush(false).unwrap();
    recorder.push(&call(1)); // never flushed; the process could die here
    let proof = verify_recording(&path, None).unwrap();
    assert_eq!((proof.records, proof.closed), (1, false));
    std::mem::forget(recorder);
}

#[test]
fn foreign_and_newer_directories_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(RecordingReader::open(dir.path()), Err(RecordingError::Malformed(_))));
    let path = dir.path().join("rec");
    let mut log = observer_evidence::LogWriter::create(
        &{
            fs::create_dir(&path).unwrap();
            path.join("sealed.log")
        },
        Default::default(),
    )
    .unwrap();
    log.append(br#"{"type":"trace_start","format":2,"trace_id":"0b0e0000-0000-4000-8000-000000000001"}"#, Severity::Info)
        .unwrap();
    log.close().unwrap();
    assert!(matches!(RecordingReader::open(&path), Err(RecordingError::Newer(_))));
}
