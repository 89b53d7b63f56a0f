// SPDX-License-Identifier: Apache-2.0
//! Checkpoints, key epochs, rotation and sidecars, as someone sees them who looks into the directory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use observer_evidence::{
    read_lines, verify_log, Chainstate, EvidenceError, LogWriter, Manifest, Note, SecretKey, Severity, SigningSeed, VerifierKey,
    VerifyOptions, WriterOptions,
};
use std::fs;
use std::path::{Path, PathBuf};

fn agent(key: bool) -> WriterOptions {
    WriterOptions {
        hmac_key: key.then(|| SecretKey::new(vec![7; 32]).unwrap()),
        signing_seed: Some(SigningSeed::new([3; 32])),
        origin: "example.org/host".into(),
        rotate_bytes: Some(20_000),
        checkpoint_lines: 16,
        epoch_lines: 40,
        ..WriterOptions::default()
    }
}

fn fill(writer: &mut LogWriter, count: u64) {
    for n in 0..count {
        writer.append(format!("{{\"n\":{n}}}").as_bytes(), Severity::Info).unwrap();
    }
}

fn rotated(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e.to_string_lossy().bytes().all(|b| b.is_ascii_digit())));
    paths.sort();
    paths
}

fn prove(path: &Path, key: bool) -> Result<observer_evidence::ChainProof, EvidenceError> {
    let key = key.then(|| SecretKey::new(vec![7; 32]).unwrap());
    verify_log(path, key.as_ref(), &VerifyOptions { threads: 3, ..VerifyOptions::default() })
}

#[test]
fn files_change_and_the_chain_and_the_tree_go_on() {
    for key in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host-events.log");
        let mut writer = LogWriter::create(&path, agent(key)).unwrap();
        fill(&mut writer, 300);
        let report = writer.close().unwrap();
        let files = rotated(directory.path());
        assert!(files.len() >= 2, "{files:?}");
        let (mut size, mut previous) = (0, None);
        for file in &files {
            let proof = prove(file, key).unwrap();
            assert_eq!(proof.first_sequence, size);
            size = proof.size;
            let bytes =
                fs::read(file.with_file_name(format!("{}.manifest", file.file_name().unwrap().to_string_lossy()))).unwrap();
            let manifest = Manifest::parse(&bytes).unwrap();
            assert_eq!((manifest.entries, manifest.size), (proof.lines, proof.size));
            assert_eq!(manifest.root, observer_evidence::to_hex(&proof.root));
            assert_eq!(manifest.previous_manifest, previous);
            let signer = VerifierKey::parse(proof.signer.as_ref().unwrap()).unwrap();
            signer.verify(&Note::parse(manifest.checkpoint.as_ref().unwrap()).unwrap()).unwrap();
            use sha2::Digest;
            previous = Some(observer_evidence::to_hex(&sha2::Sha256::digest(&bytes)));
            assert_eq!(proof.epoch > 0, key);
        }
        let last = prove(&path, key).unwrap();
        assert_eq!((last.first_sequence, last.size, last.root), (size, report.size, report.root));
        let header = read_lines(&path).unwrap().next().unwrap().unwrap();
        assert!(String::from_utf8(header.event).unwrap().contains(&previous.unwrap()));
    }
}

#[test]
fn a_stolen_current_key_does_not_sign_the_past() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let options = WriterOptions { keep_key: true, rotate_bytes: None, ..agent(true) };
    let mut writer = LogWriter::create(&path, options).unwrap();
    fill(&mut writer, 100);
    drop(writer);
    let kept = fs::read_to_string(directory.path().join("log.sealkey")).unwrap();
    assert!(kept.starts_with("2 ") && !kept.contains(&"07".repeat(32)), "{kept}");
    // The log opens with the kept key alone, and all of it verifies with the first key.
    let mut writer = LogWriter::open(&path, WriterOptions { hmac_key: None, keep_key: true, ..agent(true) }).unwrap();
    fill(&mut writer, 60);
    writer.close().unwrap();
    let proof = prove(&path, true).unwrap();
    assert_eq!((proof.epoch, proof.key_checked), (4, true));
}

#[test]
fn a_stale_missing_or_corrupt_chainstate_is_repaired_and_the_repair_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let state = directory.path().join("log.chainstate");
    LogWriter::create(&path, agent(false)).unwrap().close().unwrap();
    let old = fs::read(&state).unwrap();
    let open = || LogWriter::open(&path, agent(false)).unwrap().close().unwrap();
    open();
    assert_eq!(prove(&path, false).unwrap().repairs, 0);
    fs::write(&state, &old).unwrap();
    open();
    fs::remove_file(&state).unwrap();
    open();
    fs::write(&state, b"0\n1\n2\n").unwrap();
    open();
    assert_eq!(prove(&path, false).unwrap().repairs, 3);
    let parsed = Chainstate::parse(&fs::read(&state).unwrap(), None).unwrap();
    assert_eq!(parsed.state.tree.root(), prove(&path, false).unwrap().root);
}

#[test]
fn a_log_cut_below_what_its_chainstate_knows_is_not_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut writer = LogWriter::create(&path, agent(true)).unwrap();
    fill(&mut writer, 20);
    writer.close().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, lines[..12].join("\n") + "\n").unwrap();
    assert!(matches!(LogWriter::open(&path, agent(true)), Err(EvidenceError::Truncated { .. })));
}

#[test]
fn pruning_is_recorded_and_what_remains_still_proves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut writer = LogWriter::create(&path, agent(true)).unwrap();
    fill(&mut writer, 400);
    let before = rotated(directory.path());
    let removed = writer.prune(25_000).unwrap();
    writer.close().unwrap();
    assert!(!removed.is_empty() && removed.len() < before.len());
    assert_eq!(rotated(directory.path()), before[removed.len()..]);
    for file in rotated(directory.path()) {
        prove(&file, true).unwrap();
    }
    assert_eq!(prove(&path, true).unwrap().pruned.len(), removed.len());
}

#[test]
fn compressed_files_verify_and_prove_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut writer = LogWriter::create(&path, agent(true)).unwrap();
    fill(&mut writer, 400);
    let files = rotated(directory.path()).len();
    assert_eq!(writer.compress_rotated().unwrap().len(), files);
    writer.close().unwrap();
    assert!(rotated(directory.path()).is_empty());
    let key = SecretKey::new(vec![7; 32]).unwrap();
    let judged = observer_evidence::audit(&path, Some(&key), &observer_evidence::Policy::default(), 2).unwrap();
    assert_eq!((judged.verdict, judged.files), (observer_evidence::Verdict::Verified, files as u64 + 1));
    let (proof, line) = observer_evidence::prove(&path, 3, Some(&key)).unwrap();
    let signer = VerifierKey::parse(judged.proof.unwrap().signer.as_ref().unwrap()).unwrap();
    assert_eq!(
        observer_evidence::RecordProof::parse(&proof.encode()).unwrap().verify(&line, &signer).unwrap().origin,
        "example.org/host"
    );
}

#[test]
fn the_checkpoint_key_must_stay_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    LogWriter::create(&path, agent(false)).unwrap().close().unwrap();
    for seed in [None, Some(SigningSeed::new([4; 32]))] {
        let options = WriterOptions { signing_seed: seed, ..agent(false) };
        assert!(matches!(LogWriter::open(&path, options), Err(EvidenceError::KeyUnusable { .. })));
    }
}

#[test]
fn a_step_of_the_clock_is_declared() {
    use observer_evidence::Stamp;
    use std::sync::atomic::{AtomicU64, Ordering};
    static TICKS: AtomicU64 = AtomicU64::new(0);
    fn clock() -> Stamp {
        let ticks = TICKS.fetch_add(1, Ordering::Relaxed);
        let step = if ticks >= 2 { 3_600_000_000_000 } else { 0 };
        Stamp { wall_ns: 1_800_000_000_000_000_000 + ticks * 1_000_000 - step, boot_ns: ticks * 1_000_000, boot: "b".into() }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut writer = LogWriter::create(&path, WriterOptions { clock, ..agent(false) }).unwrap();
    writer.declare_loss(1, "test").unwrap();
    writer.close().unwrap();
    let proof = prove(&path, false).unwrap();
    assert_eq!(proof.clock.len(), 1);
    assert!(proof.clock[0].declared && proof.clock[0].step_ns == -3_600_000_000_000);
}
