// SPDX-License-Identifier: Apache-2.0
//! Measures sealing and verifying; prints one JSON object. Rates are lines per CPU second, those with fdatasync per second.
//!
//! `speed DIRECTORY LINES`.

use observer_evidence::{verify_log, Durability, EvidenceError, LogWriter, SecretKey, Severity, VerifyOptions, WriterOptions};
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
    let durability = options.durability;
    let mut writer = LogWriter::create(path, options)?;
    let (started, cpu) = (Instant::now(), cpu_s());
    for chunk in events.chunks(batch) {
        let batch: Vec<(&[u8], Severity)> = chunk.iter().map(|event| (event.as_slice(), Severity::Info)).collect();
        writer.append_batch(&batch)?;
    }
    writer.flush()?;
    let waits_for_disk = matches!(durability, Durability::Group(_));
    let seconds = if waits_for_disk { started.elapsed().as_secs_f64() } else { cpu_s() - cpu };
    let rate = lines as f64 / seconds;
    writer.close()?;
    Ok(rate)
}

/// What the disk itself allows: the same bytes, 256 lines at a time, with nothing but write and fdatasync.
fn bare(path: &Path, lines: u64) -> std::io::Result<f64> {
    let mut file = std::fs::File::create(path)?;
    let chunk = vec![b'x'; 256 * 300];
    let started = Instant::now();
    for _ in 0..lines / 256 {
        file.write_all(&chunk)?;
        file.sync_data()?;
    }
    Ok(lines as f64 / started.elapsed().as_secs_f64())
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
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
    let synced = lines.min(40_960) / 256 * 256;
    let bare_rate = bare(&directory.join("speed.bare"), synced)?;
    let group = WriterOptions { durability: Durability::Group(256), ..WriterOptions::default() };
    let group_rate = append(&directory.join("speed.group"), synced, group, 256)?;
    for name in ["speed.log", "speed.bare", "speed.group"] {
        std::fs::remove_file(directory.join(name))?;
    }
    println!(
        "{{\"lines\":{lines},\"bytes_per_line\":{:.1},\"append_per_s\":{append_rate:.0},\"append_signed_per_s\":{signed_rate:.0},\
         \"verify_one_thread_per_s\":{one:.0},\"verify_two_threads_per_s\":{two:.0},\"verify_signed_per_s\":{signed_verify:.0},\
         \"bare_fdatasync_256_per_s\":{bare_rate:.0},\"group_256_per_s\":{group_rate:.0}}}",
        bytes as f64 / lines as f64
    );
    Ok(())
}
