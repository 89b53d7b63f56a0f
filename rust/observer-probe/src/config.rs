// SPDX-License-Identifier: Apache-2.0
//! What to watch and how, as the caller gives it in JSON.

use crate::error::ProbeError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

/// Something to watch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Directory of the recording, not yet existing.
    pub path: PathBuf,
    /// The `trace_start` object.
    pub start: Value,
    /// Everything on this machine but the recorder itself.
    #[serde(default)]
    pub all: bool,
    /// Processes, with all they start.
    #[serde(default)]
    pub pids: Vec<u32>,
    /// Inode numbers of pid namespaces: everybody in them, and whoever is born in them.
    #[serde(default)]
    pub namespaces: Vec<u32>,
    /// Directories of cgroups (v2, or the unified hierarchy of a hybrid machine), with all below them.
    #[serde(default)]
    pub cgroups: Vec<PathBuf>,
    /// A command to start and to watch with all it starts.
    pub command: Option<Command>,
    /// Names of syscalls or classes to record; empty for all.
    #[serde(default)]
    pub only: Vec<String>,
    /// Bytes kept of read and write buffers; at most 4096.
    #[serde(default = "default_data")]
    pub data_bytes: u32,
    /// Bytes kept of each string; at most 4096.
    #[serde(default = "default_string")]
    pub string_bytes: u32,
    /// Size of the kernel's buffer for all CPUs; a power of two and at least a page. Each CPU gets two blocks of 128 KiB at least.
    #[serde(default = "default_ring")]
    pub ring_bytes: u32,
    /// Keep the past in memory, and seal it when a trigger fires.
    pub pre_trigger: Option<PreTrigger>,
    /// Facts about containers that are put beside processes, by cgroup directory.
    #[serde(default)]
    pub containers: Vec<Value>,
    /// For tests of the accounting: nothing is taken from the ring buffer for so long after the start.
    #[serde(default)]
    pub stall_ms: u64,
}

/// A command to start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Absolute path of the executable.
    pub executable: String,
    /// Argument vector with the name first.
    pub argv: Vec<String>,
    /// Environment; None passes on the recorder's.
    pub env: Option<Vec<(String, String)>>,
}

/// How much of the past is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreTrigger {
    /// Seconds before the trigger.
    pub before_s: f64,
    /// Seconds after it.
    pub after_s: f64,
    /// Most memory for it, bytes, compressed.
    pub memory_bytes: u64,
    /// Conditions that fire, each in the condition language.
    pub conditions: Vec<String>,
    /// Which of them stand for a risk rule: the rule's id by the condition.
    #[serde(default)]
    pub rules: HashMap<String, String>,
    /// Path of a Unix socket on which a request fires; made, and removed at the end.
    pub control: Option<PathBuf>,
    /// Windows to seal before stopping; 0 for no end.
    #[serde(default)]
    pub windows: u32,
}

/// What strace shows of a buffer by default.
fn default_data() -> u32 {
    32
}

/// PATH_MAX: no path is cut.
fn default_string() -> u32 {
    4096
}

/// Holds 0.2 s of a million calls per second.
pub const RING_BYTES: u32 = 16 << 20;

fn default_ring() -> u32 {
    RING_BYTES
}

impl Config {
    /// Parses the caller's JSON and refuses what cannot mean anything.
    pub fn parse(json: &[u8]) -> Result<Config, ProbeError> {
        let config: Config = serde_json::from_slice(json).map_err(|e| ProbeError::Config(format!("configuration: {e}")))?;
        let by_id = !config.pids.is_empty() || !config.namespaces.is_empty();
        let targets = [config.all, by_id, !config.cgroups.is_empty(), config.command.is_some()];
        let wrong = |why: &str| Err(ProbeError::Config(why.to_owned()));
        if !targets.contains(&true) {
            return wrong("nothing to watch was named");
        }
        if config.data_bytes > 4096 || config.string_bytes > 4096 {
            return wrong("at most 4096 bytes are kept of a buffer or string");
        }
        if let Some(past) = &config.pre_trigger {
            if !(past.before_s.is_finite() && past.before_s >= 0.0 && past.after_s.is_finite() && past.after_s >= 0.0) {
                return wrong("a window is a number of seconds");
            }
            if past.memory_bytes < 1 << 20 {
                return wrong("at least 1 MiB of memory is needed for the past");
            }
        }
        if !config.ring_bytes.is_power_of_two() || config.ring_bytes < 4096 {
            return wrong("the ring buffer's size is a power of two, and at least 4096");
        }
        Ok(config)
    }
}
