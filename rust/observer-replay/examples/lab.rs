// SPDX-License-Identifier: Apache-2.0
//! Records and replays from the command line, without Python: `lab record DIR CMD…`, `lab replay DIR`, `lab list DIR`. LAB_FILES names
//! the pool of stored files, LAB_QUIET keeps it from saying how it went.
use observer_replay::replay::listing::Listing;
use observer_replay::replay::session::{Options, Session};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("record") => {
            let exe = std::process::Command::new("sh").args(["-c", "command -v \"$0\"", &args[2]]).output()?;
            let exe = String::from_utf8(exe.stdout)?.trim().to_owned();
            let start =
                serde_json::json!({"trace_id": "0b0e0000-0000-4000-8000-000000000000", "source": "ptrace", "arch": "x86_64"});
            let config = serde_json::json!({"path": args[1], "start": start, "executable": exe, "argv": args[2..], "files": std::env::var("LAB_FILES").ok()});
            let config = observer_capture::Config::parse(config.to_string().as_bytes())?;
            let report = observer_replay::record_command(&config, None)?;
            if let Some(signal) = report.signal {
                std::process::exit(128 + signal);
            }
            std::process::exit(report.exit_code.unwrap_or(0));
        }
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
