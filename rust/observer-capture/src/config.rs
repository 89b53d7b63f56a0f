// SPDX-License-Identifier: Apache-2.0
//! What to record and how, as the caller gives it in JSON.

use crate::error::CaptureError;
use crate::pinning::Policy;
use crate::sys::Exec;
use observer_model::{Arch, Classes};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::path::PathBuf;

/// The architecture this build traces.
#[cfg(target_arch = "x86_64")]
pub const ARCH: Arch = Arch::X86_64;
/// The architecture this build traces.
#[cfg(target_arch = "aarch64")]
pub const ARCH: Arch = Arch::Aarch64;
/// Its AUDIT_ARCH number, which the kernel gives with each stop. Source: linux/audit.h.
#[cfg(target_arch = "x86_64")]
pub const AUDIT_ARCH: u32 = 0xC000_003E;
/// Its AUDIT_ARCH number, which the kernel gives with each stop. Source: linux/audit.h.
#[cfg(target_arch = "aarch64")]
pub const AUDIT_ARCH: u32 = 0xC000_00B7;

/// A command to record.
#[derive(Debug, Deserialize)]
pub struct Config {
    /// Directory of the recording, not yet existing.
    pub path: PathBuf,
    /// The `trace_start` object.
    pub start: Value,
    /// Absolute path of the executable.
    pub executable: String,
    /// Argument vector with the name first.
    pub argv: Vec<String>,
    /// Environment; None passes on the recorder's.
    pub env: Option<Vec<(String, String)>>,
    /// Directory to start in; None keeps the recorder's.
    pub cwd: Option<String>,
    /// Bytes kept of read and write buffers.
    #[serde(default = "default_data")]
    pub data_bytes: usize,
    /// Bytes kept of each string.
    #[serde(default = "default_string")]
    pub string_bytes: usize,
    /// Keep recorder and program on one CPU.
    #[serde(default = "default_pin")]
    pub pin: Policy,
    /// Names of syscalls or classes to record; empty for all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Record children too.
    #[serde(default = "default_follow")]
    pub follow: bool,
    /// Where files that many recordings for replay hold are stored once; None: each holds its own.
    #[serde(default)]
    pub files: Option<PathBuf>,
}

/// What strace shows of a buffer by default, so people find what they are used to.
fn default_data() -> usize {
    32
}

/// PATH_MAX: no path is cut.
fn default_string() -> usize {
    4096
}

fn default_pin() -> Policy {
    Policy::Auto
}

fn default_follow() -> bool {
    true
}

fn c_string(text: String) -> Result<CString, CaptureError> {
    CString::new(unescape(text)).map_err(|e| CaptureError::Config(format!("a NUL byte inside an argument: {e}")))
}

/// Python hands over bytes that are not UTF-8 as lone surrogates U+DC80…U+DCFF, which JSON cannot carry to us; it sends
/// them as U+10FF80…U+10FFFF instead, and here they become bytes again.
fn unescape(text: String) -> Vec<u8> {
    if !text.contains(|c| ('\u{10FF80}'..='\u{10FFFF}').contains(&c)) {
        return text.into_bytes();
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{10FF80}'..='\u{10FFFF}' => out.push((c as u32 & 0xff) as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

impl Config {
    /// Parses the caller's JSON.
    pub fn parse(json: &[u8]) -> Result<Config, CaptureError> {
        serde_json::from_slice(json).map_err(|e| CaptureError::Config(format!("configuration: {e}")))
    }

    /// What the child needs for exec.
    pub fn exec(&self) -> Result<Exec, CaptureError> {
        let env: Vec<CString> = match &self.env {
            Some(pairs) => pairs.iter().map(|(k, v)| c_string(format!("{k}={v}"))).collect::<Result<_, _>>()?,
            None => std::env::vars_os().filter_map(|(k, v)| os_pair(&k, &v)).collect(),
        };
        Ok(Exec {
            path: c_string(self.executable.clone())?,
            argv: self.argv.iter().cloned().map(c_string).collect::<Result<_, _>>()?,
            env,
            cwd: self.cwd.clone().map(c_string).transpose()?,
            filter: self.filter()?,
        })
    }

    /// The seccomp filter that traces only the chosen calls; empty when all are wanted.
    fn filter(&self) -> Result<Vec<libc::sock_filter>, CaptureError> {
        let mut numbers = BTreeSet::new();
        for word in &self.only {
            let found = numbers_of(word);
            if found.is_empty() {
                return Err(CaptureError::Config(format!("'{word}' is neither a system call nor a class of them")));
            }
            numbers.extend(found);
        }
        Ok(if numbers.is_empty() { Vec::new() } else { program(&numbers) })
    }
}

fn os_pair(key: &std::ffi::OsStr, value: &std::ffi::OsStr) -> Option<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok()
}

fn numbers_of(word: &str) -> Vec<u32> {
    if let Some(call) = observer_model::by_name(ARCH, word) {
        return vec![call.nr];
    }
    let class = Classes::NAMES.into_iter().find(|(name, _)| *name == word);
    let Some((_, class)) = class else { return Vec::new() };
    observer_model::all(ARCH).filter(|call| call.classes.has(class)).map(|call| call.nr).collect()
}

/// Offsets in struct seccomp_data and BPF opcodes. Source: linux/seccomp.h, linux/bpf_common.h.
fn program(numbers: &BTreeSet<u32>) -> Vec<libc::sock_filter> {
    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let trace = op(RETURN, 0, 0, libc::SECCOMP_RET_TRACE);
    let mut out = vec![op(LOAD, 0, 0, 4), op(JUMP_EQUAL, 1, 0, AUDIT_ARCH), trace, op(LOAD, 0, 0, 0)];
    for nr in numbers {
        out.push(op(JUMP_EQUAL, 0, 1, *nr));
        out.push(trace);
    }
    out.push(op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    out
}
