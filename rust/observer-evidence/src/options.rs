// SPDX-License-Identifier: Apache-2.0
//! How a log is written: keys, cadence, limits. Every number here is policy that the format does not depend on.

use crate::key::SecretKey;
use crate::note::SigningSeed;
use crate::stamp::Stamp;
use crate::vfs::{RealFs, Vfs};
use std::sync::Arc;
use std::time::Duration;

/// The original design's limit of one file, 5 MiB.
pub const ROTATE_BYTES: u64 = 5 * 1024 * 1024;

/// How bad an event is; decides when it must be on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Detail.
    Verbose,
    /// Normal.
    #[default]
    Info,
    /// Unusual.
    Warning,
    /// Failed: forced to the disk before `append` returns.
    Error,
    /// Failing: forced to the disk before `append` returns.
    Critical,
}

/// When sealed lines leave the process. Events of severity Error and above are always forced to the disk at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Kept in a buffer of 256 KiB; `kill -9` loses what is in it. Fastest.
    Buffered,
    /// Written to the kernel before `append` returns: survives `kill -9`, not power loss.
    #[default]
    Kernel,
    /// As Kernel, and forced to the disk after every so many lines.
    Group(u32),
    /// Forced to the disk before `append` returns: survives power loss.
    Disk,
}

/// How a log is written.
#[derive(Clone)]
pub struct WriterOptions {
    /// Signs every line; the key of epoch 0. None makes an unsigned log, or takes the key that the log keeps itself.
    pub hmac_key: Option<SecretKey>,
    /// Keep the current epoch's key in `<log>.sealkey`, so that epoch 0's need not stay on this machine.
    pub keep_key: bool,
    /// When lines leave the process.
    pub durability: Durability,
    /// Name of the log, for its checkpoints; empty gives `observer.local/log/<log id>`.
    pub origin: String,
    /// Signs checkpoints; None makes none.
    pub signing_seed: Option<SigningSeed>,
    /// Signs checkpoints with ML-DSA-44 as well; nothing without `signing_seed`.
    pub cosigning_seed: Option<SigningSeed>,
    /// Most lines between two checkpoints.
    pub checkpoint_lines: u64,
    /// Most time between two checkpoints while lines come.
    pub checkpoint_interval: Duration,
    /// Most lines signed with one epoch's key.
    pub epoch_lines: u64,
    /// Most time that one epoch's key signs.
    pub epoch_interval: Duration,
    /// A file past this length is rotated; None never rotates.
    pub rotate_bytes: Option<u64>,
    /// Keep `<log>.chainstate` and `<log>.checkpoint`; always so when files are rotated.
    pub sidecars: bool,
    /// Where the writer's own records get their time from.
    pub clock: fn() -> Stamp,
    /// The file system; tests put one here that fails on purpose.
    pub fs: Arc<dyn Vfs>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            hmac_key: None,
            keep_key: false,
            durability: Durability::default(),
            origin: String::new(),
            signing_seed: None,
            cosigning_seed: None,
            checkpoint_lines: 256,
            checkpoint_interval: Duration::from_secs(1),
            epoch_lines: 65_536,
            epoch_interval: Duration::from_secs(15 * 60),
            rotate_bytes: None,
            sidecars: false,
            clock: Stamp::now,
            fs: Arc::new(RealFs),
        }
    }
}

impl WriterOptions {
    /// What an agent that runs for months wants: sidecars, and rotation at 5 MiB.
    #[must_use]
    pub fn agent() -> Self {
        Self { rotate_bytes: Some(ROTATE_BYTES), sidecars: true, ..Self::default() }
    }

    pub(crate) fn has_sidecars(&self) -> bool {
        self.sidecars || self.rotate_bytes.is_some()
    }
}
