// SPDX-License-Identifier: Apache-2.0
//! Records and replays from the command line, without Python: `lab record DIR CMD…`, `lab replay DIR`, `lab list DIR`;
//! `lab back DIR` replays, goes back to several places and on again, and says what checkpoints cost. LAB_FILES names
//! the pool of stored files, LAB_QUIET keeps it from saying how it went.
use observer_replay::replay::listing::Listing;
use observer_replay::replay::session::{Options, Session};
use std::path::Path;

/// Replays with a checkpoint every so many events; then goes back to each tenth, and to the end again.
fn back(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::open(dir, Options { output: false, ..Options::default() })?;
    session.run()?;
    let (end, checks) = (session.position(), session.checks);
    session.go_to(0)?;
    for tenth in 1..10 {
        session.go_to(end * tenth / 10)?;
        let resident: u64 = session.tasks().map(|body| resident(body.real)).sum();
        let began = std::time::Instant::now();
        let made = session.keep_checkpoint()?;
        println!(
            "checkpoint at {}: {made}, {:.2} ms for {} MiB",
            session.position(),
            began.elapsed().as_secs_f64() * 1e3,
            resident >> 20
        );
    }
    for tenth in (0..10).rev() {
        let began = std::time::Instant::now();
        session.go_to(end * tenth / 10)?;
        println!("back to {}: {:.2} ms", session.position(), began.elapsed().as_secs_f64() * 1e3);
    }
    session.run()?;
    println!("{end} events, {checks} checks; again {} events, {} checks", session.position(), session.checks);
    Ok(())
}

fn resident(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn record(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let exe = std::process::Command::new("sh").args(["-c", "command -v \"$0\"", &args[2]]).output()?;
    let exe = String::from_utf8(exe.stdout)?.trim().to_owned();
    let start = serde_json::json!({"trace_id": "0b0e0000-0000-4000-8000-000000000000", "source": "ptrace", "arch": "x86_64"});
    let config = serde_json::json!({"path": args[1], "start": start, "executable": exe, "argv": args[2..], "files": std::env::var("LAB_FILES").ok()});
    let config = observer_capture::Config::parse(config.to_string().as_bytes())?;
    let report = observer_replay::record_command(&config, None)?;
    if let Some(signal) = report.signal {
        std::process::exit(128 + signal);
    }
    std::process::exit(report.exit_code.unwrap_or(0));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("record") => {
            record(&args)?;
        }
        Some("back") => back(Path::new(&args[1]))?,
        Some("list") => {
            let mut listing = Listing::open(Path::new(&args[1]))?;
            while let Some(line) = listing.next()? {
                println!("{line}");
            }
        }
        _ => {
            let mut session = Session::open(
                Path::new(&args[1]),
                Options { files: std::env::var_os("LAB_FILES").map(Into::into), ..Options::default() },
            )?;
            if let Err(error) = session.run() {
                eprintln!("lab: {error}");
                if let observer_replay::ReplayError::Diverged(d) = &error {
                    eprintln!("{}", d.to_json());
                }
                std::process::exit(16);
            }
            if std::env::var_os("LAB_QUIET").is_none() {
                eprintln!(
                    "lab: {} events, {} checks, notes {:?}, {:?}",
                    session.position(),
                    session.checks,
                    session.notes,
                    session.ended
                );
            }
        }
    }
    Ok(())
}
