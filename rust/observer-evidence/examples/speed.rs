// SPDX-License-Identifier: Apache-2.0
//! Measures sealing and verifying; prints one JSON object. Rates are lines per CPU second, those with fdatasync per second.
//!
//! `speed DIRECTORY LINES`, or `speed ceiling LOG`: the CPU seconds of nothing but the SHA-256 that verifying the log needs.

use observer_evidence::{verify_log, Durability, EvidenceError, LogWriter, SecretKey, Severity, VerifyOptions, WriterOptions};
use observer_lanes::{Lanes, Turns, Wide};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Lines of about 300 bytes in the file, as the figures in the documentation are.
fn event(number: u64) -> Vec<u8> {
    let text = "service entered failed state after the watchdog timed out; restarting it once more now";
    format!("{{\"n\":\"{number:012}\",\"source\":\"systemd.failures\",\"severity\":\"Warning\",\"message\":\"{text}\"}}")
        .into_bytes()
}

/// CPU seconds of this process, all threads: what a busy neighbour cannot change.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn append(path: &Path, lines: u64, options: WriterOptions, batch: usize) -> Result<f64, EvidenceError> {
    let _ = std::fs::remove_file(path);
    let events: Vec<Vec<u8>> = (0..lines).map(event).collect();
    let mut writer = LogWriter::create(path, options)?;
    let cpu = cpu_s();
    for chunk in events.chunks(batch) {
        let batch: Vec<(&[u8], Severity)> = chunk.iter().map(|event| (event.as_slice(), Severity::Info)).collect();
        writer.append_batch(&batch)?;
    }
    writer.flush()?;
    let rate = lines as f64 / (cpu_s() - cpu);
    writer.close()?;
    Ok(rate)
}

/// Lines in a group, and groups in one turn on the disk.
const GROUP: usize = 256;
const TURN: usize = 40;

/// Group commit and what the disk itself allows: the same number of bytes, a group at a time, with nothing but write and
/// fdatasync. They take turns, so that a slow moment of the disk slows both; returns the medians of lines per second.
fn group_commit(directory: &Path) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (path, other) = (directory.join("speed.group"), directory.join("speed.bare"));
    let options = WriterOptions { durability: Durability::Group(GROUP as u32), ..WriterOptions::default() };
    let (mut writer, mut bare) = (LogWriter::create(&path, options)?, std::fs::File::create(&other)?);
    let events: Vec<Vec<u8>> = (0..GROUP as u64).map(event).collect();
    let batch: Vec<(&[u8], Severity)> = events.iter().map(|event| (event.as_slice(), Severity::Info)).collect();
    let chunk = vec![b'x'; events.iter().map(|event| event.len() + 100).sum()];
    let (mut ours, mut disk) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let started = Instant::now();
        for _ in 0..TURN {
            writer.append_batch(&batch)?;
        }
        ours.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        for _ in 0..TURN {
            bare.write_all(&chunk)?;
            bare.sync_data()?;
        }
        disk.push(started.elapsed().as_secs_f64());
    }
    writer.close()?;
    std::fs::remove_file(path)?;
    std::fs::remove_file(other)?;
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (GROUP * TURN) as f64 / times[times.len() / 2]
    };
    Ok((median(disk), median(ours)))
}

fn verify(path: &Path, key: Option<&SecretKey>, threads: usize) -> Result<f64, EvidenceError> {
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let started = cpu_s();
        let proof = verify_log(path, key, &VerifyOptions { threads, ..VerifyOptions::default() })?;
        best = best.max(proof.lines as f64 / (cpu_s() - started));
    }
    Ok(best)
}

/// Blocks of SHA-256 that a line needs: its bytes once, the ends of chain value and leaf, and a node of the tree.
fn blocks(line: usize) -> usize {
    let head = line - 80;
    let ends = ((1 + head) % 64 + 32 + 9).div_ceil(64) + ((1 + line) % 64 + 9).div_ceil(64);
    (1 + line) / 64 + ends + 2
}

/// CPU seconds to hash as many blocks as the log's lines need, as many side by side as the verifier hashes, the best of five.
fn ceiling(path: &Path) -> std::io::Result<f64> {
    let bytes = std::fs::read(path)?;
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').filter(|line| line.len() > 80).collect();
    let best = (0..5).map(|_| match Wide::new() {
        Some(wide) => hash_all(wide, &lines),
        None => hash_all(Turns::<2>::default(), &lines),
    });
    Ok(best.fold(f64::INFINITY, f64::min))
}

/// CPU seconds to hash the lines' blocks, `N` lines side by side, all as long as the first of them.
fn hash_all<const N: usize>(mut lanes: impl Lanes<N>, lines: &[&[u8]]) -> f64 {
    let started = cpu_s();
    for some in lines.as_chunks::<N>().0 {
        let some = some.map(|line| line.as_chunks::<64>().0);
        for block in 0..blocks(64 * some[0].len()) {
            lanes.step(some.map(|line| &line[block % line.len()]));
        }
    }
    std::hint::black_box(lanes.get(0));
    cpu_s() - started
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, path] = arguments.as_slice() {
        if command == "ceiling" {
            println!("{{\"sha256_s\":{:.6}}}", ceiling(Path::new(path))?);
            return Ok(());
        }
    }
    let directory = Path::new(arguments.get(1).map_or(".", String::as_str));
    let lines: u64 = arguments.get(2).map_or(Ok(500_000), |n| n.parse())?;
    let path = directory.join("speed.log");
    let key = SecretKey::new(vec![7; 32])?;
    let buffered = || WriterOptions { durability: Durability::Buffered, ..WriterOptions::default() };
    let keyed = || WriterOptions { hmac_key: Some(key.clone()), ..buffered() };
    let signed_rate = append(&path, lines, keyed(), 256)?;
    let signed_verify = verify(&path, Some(&key), 1)?;
    let append_rate = append(&path, lines, buffered(), 256)?;
    let bytes = std::fs::metadata(&path)?.len();
    let (one, two) = (verify(&path, None, 1)?, verify(&path, None, 2)?);
    std::fs::remove_file(&path)?;
    let (bare_rate, group_rate) = group_commit(directory)?;
    println!(
        "{{\"lines\":{lines},\"bytes_per_line\":{:.1},\"append_per_s\":{append_rate:.0},\"append_signed_per_s\":{signed_rate:.0},\
         \"verify_one_thread_per_s\":{one:.0},\"verify_two_threads_per_s\":{two:.0},\"verify_signed_per_s\":{signed_verify:.0},\
         \"bare_fdatasync_256_per_s\":{bare_rate:.0},\"group_256_per_s\":{group_rate:.0}}}",
        bytes as f64 / lines as f64
    );
    Ok(())
}
