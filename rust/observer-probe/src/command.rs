// SPDX-License-Identifier: Apache-2.0
//! A command that is started but waits at a gate until the probe watches it, so that nothing it does is missed.

use crate::config::Command;
use crate::error::ProbeError;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{channel, Receiver};

/// The child at its gate, then running.
pub struct Waiting {
    pid: u32,
    gate: Option<File>,
    started: Receiver<io::Result<Child>>,
    child: Option<Child>,
    error: Option<io::Error>,
    path: String,
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us both, and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Bytes that are not UTF-8 travel as U+10FF80 … U+10FFFF, since JSON cannot carry them.
fn bytes(text: &str) -> std::ffi::OsString {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{10FF80}'..='\u{10FFFF}' => out.push((u32::from(c) & 0xff) as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    std::ffi::OsString::from_vec(out)
}

fn prepare(command: &Command) -> std::process::Command {
    let mut out = std::process::Command::new(bytes(&command.executable));
    if let Some((name, rest)) = command.argv.split_first() {
        out.arg0(bytes(name)).args(rest.iter().map(|word| bytes(word)));
    }
    if let Some(env) = &command.env {
        out.env_clear().envs(env.iter().map(|(key, value)| (bytes(key), bytes(value))));
    }
    out.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    out
}

impl Waiting {
    /// Forks the child; it waits before its exec until [`Waiting::go`].
    pub fn start(command: &Command) -> Result<Waiting, ProbeError> {
        let (gate_in, gate_out) = pipe().map_err(ProbeError::io("make a pipe"))?;
        let (pid_in, pid_out) = pipe().map_err(ProbeError::io("make a pipe"))?;
        let mut prepared = prepare(command);
        let (gate, told) = (gate_in.as_raw_fd(), pid_out.as_raw_fd());
        // SAFETY: between fork and exec only getpid, write and read are called, which are async-signal-safe.
        unsafe {
            prepared.pre_exec(move || {
                let pid = libc::getpid().to_ne_bytes();
                let mut go = [0u8; 1];
                if libc::write(told, pid.as_ptr().cast(), 4) != 4 || libc::read(gate, go.as_mut_ptr().cast(), 1) != 1 {
                    return Err(io::Error::from_raw_os_error(libc::ECANCELED));
                }
                Ok(())
            });
        }
        // spawn() returns only after the exec, so it runs beside us.
        let (tell, started) = channel();
        std::thread::Builder::new()
            .name("observer-spawn".to_owned())
            .spawn(move || {
                let child = prepared.spawn();
                drop((gate_in, pid_out));
                let _ = tell.send(child);
            })
            .map_err(ProbeError::io("start a thread"))?;
        let mut pid = [0u8; 4];
        File::from(pid_in).read_exact(&mut pid).map_err(ProbeError::io("fork"))?;
        let path = command.executable.clone();
        Ok(Waiting { pid: u32::from_ne_bytes(pid), gate: Some(File::from(gate_out)), started, child: None, error: None, path })
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens the gate.
    pub fn go(&mut self) -> Result<(), ProbeError> {
        let Some(mut gate) = self.gate.take() else { return Ok(()) };
        gate.write_all(b"g").map_err(ProbeError::io("start the program"))?;
        match self.started.recv() {
            Ok(Ok(child)) => self.child = Some(child),
            Ok(Err(error)) => self.error = Some(error),
            Err(_) => self.error = Some(io::Error::from_raw_os_error(libc::ECHILD)),
        }
        Ok(())
    }

    /// Whether the child has ended; reaps it.
    pub fn ended(&mut self) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => self.error.is_some(),
        }
    }

    /// Why the program could not be executed, if it could not.
    pub fn exec_error(&mut self) -> Result<(), ProbeError> {
        match self.error.take() {
            Some(source) => Err(ProbeError::Exec { path: self.path.clone(), source }),
            None => Ok(()),
        }
    }
}
