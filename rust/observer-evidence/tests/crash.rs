// SPDX-License-Identifier: Apache-2.0
//! Loss of power at every kind of moment, and a full disk at every byte: the log opens, and what was acknowledged is there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sim;

use observer_evidence::{
    audit, read_lines, Durability, EvidenceError, LogWriter, Policy, SecretKey, Severity, SigningSeed, WriterOptions,
};
use sim::{Dice, Disk};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn options(disk: &Disk, durability: Durability, keyed: bool) -> WriterOptions {
    WriterOptions {
        hmac_key: keyed.then(|| SecretKey::new(vec![7; 32]).unwrap()),
        signing_seed: keyed.then(|| SigningSeed::new([3; 32])),
        durability,
        rotate_bytes: Some(6_000),
        checkpoint_lines: 8,
        epoch_lines: 30,
        fs: Arc::new(disk.clone()),
        ..WriterOptions::default()
    }
}

/// Events that were acknowledged as durable: sequence and bytes.
type Acknowledged = BTreeMap<u64, Vec<u8>>;

/// Write until the power goes; `lie` acknowledges what was not forced to the disk.
fn work(disk: &Disk, durability: Durability, keyed: bool, dice: &mut Dice, lie: bool) -> Acknowledged {
    let (mut durable, mut pending) = (Acknowledged::new(), Acknowledged::new());
    let Ok(mut writer) = LogWriter::create(Path::new("log"), options(disk, durability, keyed)) else {
        return durable;
    };
    for n in 0..150_u32 {
        let event = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(dice.roll(120))).into_bytes();
        let severity = if dice.roll(12) == 0 { Severity::Error } else { Severity::Info };
        let Ok(seq) = writer.append(&event, severity) else { break };
        pending.insert(seq, event);
        let synced = dice.roll(15) == 0 && writer.sync().is_ok();
        if lie || synced || severity == Severity::Error || durability == Durability::Disk {
            durable.append(&mut pending);
        }
    }
    // The power goes: nothing of this process reaches the disk any more.
    disk.die_at(0);
    durable
}

/// A directory in memory where there is one: these tests lose power on a disk of their own.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn sealed(path: &Path) -> BTreeMap<u64, Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name == "log" || (name.starts_with("log.2") && !name.ends_with(".manifest"))
    });
    let lines = files.iter().flat_map(|file| read_lines(file).unwrap().map(Result::unwrap));
    lines.map(|line| (line.seq, line.event)).collect()
}

/// Lose power once; returns how many acknowledged events are gone, or what else is wrong.
fn cut(seed: u64, lie: bool) -> Result<usize, String> {
    let mut dice = Dice(seed);
    let (disk, keyed) = (Disk::new(), dice.roll(2) == 0);
    let modes = [Durability::Buffered, Durability::Kernel, Durability::Group(5), Durability::Disk];
    let durability = if lie { Durability::Kernel } else { modes[dice.roll(4)] };
    if dice.roll(4) == 0 {
        disk.refuse_links();
    }
    disk.die_at(1 + dice.roll(900) as u64);
    let durable = work(&disk, durability, keyed, &mut dice, lie);
    let directory = scratch();
    disk.survivors(&mut dice, directory.path());
    let path = directory.path().join("log");
    if durable.is_empty() && !path.exists() {
        return Ok(0);
    }
    let real = WriterOptions { fs: WriterOptions::default().fs, ..options(&disk, durability, keyed) };
    let mut writer = LogWriter::open(&path, real).map_err(|error| format!("does not open: {error}"))?;
    writer.append(b"{\"after\":true}", Severity::Info).map_err(|error| error.to_string())?;
    writer.close().map_err(|error| error.to_string())?;
    let key = keyed.then(|| SecretKey::new(vec![7; 32]).unwrap());
    let judged = audit(&path, key.as_ref(), &Policy::default(), 1).map_err(|error| error.to_string())?;
    if judged.verdict.is_failure() {
        return Err(format!("{:?}", judged.findings));
    }
    let found = sealed(&path);
    Ok(durable.iter().filter(|(seq, event)| found.get(seq) != Some(event)).count())
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let cuts: u64 = std::env::var("OBSERVER_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    for seed in 0..cuts {
        match cut(seed, false) {
            Ok(0) => {}
            Ok(lost) => panic!("seed {seed}: {lost} acknowledged events are gone"),
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}

/// Die before the operation `at`; what is left must verify as it lies there, open, go on, and verify again.
/// Returns false when the work was done before.
fn killed(at: u64, keyed: bool, links: bool) -> bool {
    let (disk, mut dice) = (Disk::new(), Dice(5));
    if !links {
        disk.refuse_links();
    }
    disk.die_at(at);
    let durable = work(&disk, Durability::Kernel, keyed, &mut dice, true);
    let ended = disk.operations() < at;
    let directory = scratch();
    disk.left(directory.path());
    let path = directory.path().join("log");
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    if durable.is_empty() {
        return true;
    }
    let key = keyed.then(|| SecretKey::new(vec![7; 32]).unwrap());
    let judge = |when: &str| {
        let judged = audit(&path, key.as_ref(), &Policy::default(), 1).unwrap();
        assert!(!judged.verdict.is_failure(), "operation {at}, {when}, {names:?}: {:?}", judged.findings);
        judged.proof.unwrap().size
    };
    let before = judge("as it lies there");
    assert!(durable.keys().all(|&seq| seq < before), "operation {at}: acknowledged lines are gone");
    let real = WriterOptions { fs: WriterOptions::default().fs, ..options(&disk, Durability::Kernel, keyed) };
    let mut writer = LogWriter::open(&path, real).unwrap_or_else(|error| panic!("operation {at}: {error}, {names:?}"));
    assert!(writer.next_sequence() >= before);
    writer.append(b"{\"after\":true}", Severity::Info).unwrap();
    drop(writer);
    judge("opened again");
    let found = sealed(&path);
    assert!(durable.iter().all(|(seq, event)| found.get(seq) == Some(event)), "operation {at}");
    !ended
}

#[test]
fn killed_before_any_operation_an_honest_log_holds_and_goes_on() {
    let stride = std::env::var("OBSERVER_KILL_STRIDE").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
    let kinds = [(true, true), (false, true), (true, false)];
    let points: usize =
        kinds.iter().map(|&(keyed, links)| (1..).step_by(stride).take_while(|&at| killed(at, keyed, links)).count()).sum();
    assert!(points * stride > 900, "only {points}");
}

/// The test above can fail: a writer that acknowledges before forcing to the disk is caught.
#[test]
fn a_writer_that_lies_is_caught() {
    let caught = (0..60).filter(|&seed| matches!(cut(seed, true), Ok(lost) if lost > 0)).count();
    assert!(caught > 20, "only {caught} of 60");
}

#[test]
fn a_full_disk_at_any_byte_leaves_whole_lines_and_the_log_goes_on() {
    // Every byte of a small log; and a larger one with key, epochs, checkpoints and rotation at every 61st.
    for (keyed, most, step, events) in [(false, 2_700, 1, 12), (true, 14_000, 61, 40)] {
        for room in (0..most).step_by(step) {
            let disk = Disk::new();
            disk.set_free(Some(room));
            let mut opened = match LogWriter::create(Path::new("log"), options(&disk, Durability::Kernel, keyed)) {
                Ok(writer) => writer,
                Err(EvidenceError::StorageFull { .. }) => continue,
                Err(error) => panic!("room {room}: {error}"),
            };
            let (mut acknowledged, mut refused) = (Vec::new(), 0);
            for n in 0..events {
                let event = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(100));
                match opened.append(event.as_bytes(), Severity::Info) {
                    Ok(seq) => acknowledged.push((seq, event.into_bytes())),
                    Err(EvidenceError::StorageFull { .. }) => refused += 1,
                    Err(error) => panic!("room {room}: {error}"),
                }
            }
            disk.set_free(None);
            opened.declare_loss(refused, "disk full").unwrap();
            opened.append(b"{\"room\":true}", Severity::Info).unwrap();
            opened.close().unwrap();
            let directory = scratch();
            disk.survivors(&mut Dice(1), directory.path());
            let path = directory.path().join("log");
            let key = keyed.then(|| SecretKey::new(vec![7; 32]).unwrap());
            let judged = audit(&path, key.as_ref(), &Policy::default(), 1).unwrap();
            assert!(!judged.verdict.is_failure(), "room {room}: {:?}", judged.findings);
            let found = sealed(&path);
            for (seq, event) in &acknowledged {
                assert_eq!(found.get(seq), Some(event), "room {room} sequence {seq}");
            }
            let events = found.values().filter(|event| event.starts_with(b"{\"n\":")).count();
            assert_eq!(events, acknowledged.len(), "room {room}: a refused event was sealed");
        }
    }
}
