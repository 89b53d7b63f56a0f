// SPDX-License-Identifier: Apache-2.0
//! A command that is started but waits at a gate until the probe watches it, so that nothing it does is missed.

use crate::config::Command;
use crate::error::ProbeError;
use std::ffi::{CString, OsString};
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
fn bytes(text: &str) -> OsString {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{10FF80}'..='\u{10FFFF}' => out.push((u32::from(c) & 0xff) as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    OsString::from_vec(out)
}

/// What execve(2) is given. The standard library would hand a file without a `#!` line to a shell, as execvp(3) does; a
/// recorder executes what it was told to or says why not.
struct Image {
    path: CString,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    _held: Vec<CString>,
}

// SAFETY: the pointers lead into `_held`, which moves with them and is never changed.
unsafe impl Send for Image {}
// SAFETY: likewise; they are only read.
unsafe impl Sync for Image {}

impl Image {
    fn of(command: &Command) -> io::Result<Image> {
        let word = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::other);
        let pair = |mut key: OsString, value: OsString| {
            key.push("=");
            key.push(value);
            word(key)
        };
        let argv = command.argv.iter().map(|text| word(bytes(text))).collect::<io::Result<Vec<_>>>()?;
        let envp = match &command.env {
            Some(env) => env.iter().map(|(key, value)| pair(bytes(key), bytes(value))).collect::<io::Result<Vec<_>>>()?,
            None => std::env::vars_os().map(|(key, value)| pair(key, value)).collect::<io::Result<Vec<_>>>()?,
        };
        let ended = |words: &[CString]| words.iter().map(|w| w.as_ptr()).chain([std::ptr::null()]).collect();
        let (path, arguments, variables) = (word(bytes(&command.executable))?, ended(&argv), ended(&envp));
        Ok(Image { path, argv: arguments, envp: variables, _held: argv.into_iter().chain(envp).collect() })
    }

    /// Executes it in this process; returns only why that failed.
    fn execute(&self) -> io::Error {
        // SAFETY: both lists end in a null pointer and live as long as `self`; execve is async-signal-safe.
        unsafe { libc::execve(self.path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        io::Error::last_os_error()
    }
}

fn prepare(command: &Command) -> std::process::Command {
    let mut out = std::process::Command::new(bytes(&command.executable));
    out.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    out
}

impl Waiting {
    /// Forks the child; it waits before its exec until [`Waiting::go`].
    pub fn start(command: &Command) -> Result<Waiting, ProbeError> {
        let (gate_in, gate_out) = pipe().map_err(ProbeError::io("make a pipe"))?;
        let (pid_in, pid_out) = pipe().map_err(ProbeError::io("make a pipe"))?;
        let mut prepared = prepare(command);
        let image = Image::of(command).map_err(ProbeError::io("take the command"))?;
        let (gate, told, opener) = (gate_in.as_raw_fd(), pid_out.as_raw_fd(), gate_out.as_raw_fd());
        // SAFETY: between fork and exec only close, getpid, write, read and execve are called, which are async-signal-safe;
        // the descriptor that is closed is the child's own copy.
        unsafe {
            prepared.pre_exec(move || {
                // With its own copy open it would wait for ever for a recorder that is gone.
                libc::close(opener);
                let pid = libc::getpid().to_ne_bytes();
                let mut go = [0u8; 1];
                if libc::write(told, pid.as_ptr().cast(), 4) != 4 || libc::read(gate, go.as_mut_ptr().cast(), 1) != 1 {
                    return Err(io::Error::from_raw_os_error(libc::ECANCELED));
                }
                Err(image.execute())
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
