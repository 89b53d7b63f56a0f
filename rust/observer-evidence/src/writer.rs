// SPDX-License-Identifier: Apache-2.0
//! The writer: seals events one after the other, and leaves a log that opens whatever happened to it.
//!
//! Rule for every error: an event whose append failed is not sealed, everything before it is whole on disk or pending.
//! Opening is in `open`, the writer's own records are in `upkeep`, the change of files is in `rotate`.

use crate::appender::Appender;
use crate::chain::ChainState;
use crate::error::EvidenceError;
use crate::hash::{to_hex, Digest32, MacKey};
use crate::interrupted;
use crate::json::check_event;
use crate::key::SecretKey;
use crate::line::MAX_EVENT_BYTES;
use crate::options::{Durability, Severity, WriterOptions};
use crate::records::{self, Begin, End, Loss};
use crate::signing::CheckpointSigner;
use crate::stamp::Stamp;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bytes held back at most before they go to the kernel; larger writes are not faster.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a closed log ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReport {
    /// Lines in the log, the writer's own records among them.
    pub size: u64,
    /// Chain value of the last line.
    pub head: Digest32,
    /// RFC 6962 root of all lines.
    pub root: Digest32,
}

/// The key that signs at the moment.
pub(crate) struct WriterKey {
    pub(crate) secret: SecretKey,
    pub(crate) mac: MacKey,
    pub(crate) epoch: u64,
}

impl WriterKey {
    pub(crate) fn new(secret: SecretKey, epoch: u64) -> Self {
        Self { mac: secret.mac_key(), secret, epoch }
    }
}

/// What has gone by since the last of each kind.
pub(crate) struct Cadence {
    pub(crate) checkpoint_lines: u64,
    pub(crate) checkpoint_at: Instant,
    pub(crate) epoch_lines: u64,
    pub(crate) epoch_at: Instant,
    pub(crate) unsynced_lines: u64,
    pub(crate) chainstate_at: Instant,
    pub(crate) rotate_at: u64,
}

/// Appends sealed lines to one log. Dropping it without `close` leaves a log that verifies and says it was not closed.
pub struct LogWriter {
    pub(crate) path: PathBuf,
    pub(crate) options: WriterOptions,
    pub(crate) file: Appender,
    pub(crate) chain: ChainState,
    pub(crate) begin: Begin,
    pub(crate) key: Option<WriterKey>,
    pub(crate) signer: Option<CheckpointSigner>,
    pub(crate) segment: u64,
    pub(crate) segment_first: u64,
    /// All lines before this one were removed by policy.
    pub(crate) pruned: u64,
    pub(crate) cadence: Cadence,
    pub(crate) last_stamp: Option<Stamp>,
}

impl LogWriter {
    /// Make a new log (mode 0600) and seal its `begin` record; the log exists on disk when this returns.
    ///
    /// # Errors
    /// When the file exists or rotated files of a log of this name do, when it cannot be made, or the disk is full.
    pub fn create(path: &Path, options: WriterOptions) -> Result<Self, EvidenceError> {
        let fs = options.fs.clone();
        interrupted::refuse_old_files(path, fs.as_ref())?;
        let handle = fs.create(path).map_err(|error| EvidenceError::io(path, "create", error))?;
        let started = Self::start(Appender::new(path, handle), options);
        if started.is_err() {
            // Nothing was sealed: leave nothing behind. The error to tell is the first one.
            let _ = fs.remove(path);
        }
        let mut writer = started?;
        // Before the directory is forced: a log that is found after a crash has its chainstate beside it.
        writer.write_sidecars(true);
        let directory = path.parent().unwrap_or(Path::new("."));
        fs.sync_dir(directory).map_err(|error| EvidenceError::io(directory, "sync", error))?;
        Ok(writer)
    }

    /// Sequence of the next line.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.chain.next_seq()
    }

    /// Where the chain stands, lines not yet written included.
    #[must_use]
    pub fn state(&self) -> &ChainState {
        &self.chain
    }

    /// The first record of the log's file: its identity, name and keys.
    #[must_use]
    pub fn identity(&self) -> &Begin {
        &self.begin
    }

    /// Seal one event: the exact bytes of a JSON object without newline. Returns its sequence (from 0; 0 is the log's
    /// own `begin` record, so events start at 1).
    ///
    /// # Errors
    /// `InvalidEvent`, `StorageFull` or I/O; the event is then not sealed.
    pub fn append(&mut self, event: &[u8], severity: Severity) -> Result<u64, EvidenceError> {
        self.append_batch(&[(event, severity)])
    }

    /// Seal several events, all or none. Returns the sequence of the first; the others follow without gap.
    ///
    /// # Errors
    /// As [`LogWriter::append`].
    pub fn append_batch(&mut self, events: &[(&[u8], Severity)]) -> Result<u64, EvidenceError> {
        for (event, _) in events {
            check_event_size(event)?;
        }
        let severe = events.iter().any(|(_, severity)| *severity >= Severity::Error);
        let first = self.seal_lines(events.iter().map(|(event, _)| (None, *event)), severe)?;
        self.upkeep(severe)?;
        Ok(first)
    }

    /// Seal a `loss` record: `dropped` events happened that could not be sealed.
    ///
    /// # Errors
    /// As [`LogWriter::append`].
    pub fn declare_loss(&mut self, dropped: u64, reason: &str) -> Result<u64, EvidenceError> {
        let loss = Loss { dropped, reason: reason.chars().take(1000).collect(), stamp: self.stamp()? };
        self.seal_record(records::LOSS, &loss)
    }

    pub(crate) fn seal_record<T: serde::Serialize>(&mut self, kind: &'static str, record: &T) -> Result<u64, EvidenceError> {
        self.seal_lines(std::iter::once((Some(kind), records::to_event(record).as_slice())), false)
    }

    /// Seal lines, all or none.
    fn seal_lines<'a>(
        &mut self,
        lines: impl Iterator<Item = (Option<&'static str>, &'a [u8])>,
        severe: bool,
    ) -> Result<u64, EvidenceError> {
        self.file.check_running()?;
        let first = self.chain.next_seq();
        let at_once = severe || self.options.durability != Durability::Buffered;
        if at_once || self.file.pending.len() >= BUFFER_BYTES {
            self.file.write_pending(first)?;
        }
        let before = at_once.then(|| self.chain.clone());
        let mac = self.key.as_ref().map(|key| &key.mac);
        self.chain.seal(&mut self.file.pending, lines, mac);
        if let Some(before) = before {
            self.write_or_undo(before)?;
        }
        let count = self.chain.next_seq() - first;
        self.cadence.unsynced_lines += count;
        self.cadence.checkpoint_lines += count;
        self.cadence.epoch_lines += count;
        Ok(first)
    }

    /// Write what was just sealed, or leave the log as it was before.
    fn write_or_undo(&mut self, before: ChainState) -> Result<(), EvidenceError> {
        let whole_bytes = self.file.length;
        self.file.write_pending(before.next_seq()).inspect_err(|_| {
            self.file.pending.clear();
            self.chain = before;
            if self.file.is_running() && self.file.length != whole_bytes {
                // A failed cut stops the appender by itself; the error to tell is the first one.
                let _ = self.file.truncate(whole_bytes);
            }
        })
    }

    /// Give all lines to the kernel: they survive the end of this process from here on.
    ///
    /// # Errors
    /// `StorageFull` or I/O; lines not written stay pending and are tried again.
    pub fn flush(&mut self) -> Result<(), EvidenceError> {
        self.file.check_running()?;
        self.file.write_pending(self.chain.next_seq())
    }

    /// Force all lines to the disk: they survive power loss from here on.
    ///
    /// # Errors
    /// As [`LogWriter::flush`]; after a failed fdatasync the writer stops, because the kernel may have dropped the data.
    pub fn sync(&mut self) -> Result<(), EvidenceError> {
        self.flush()?;
        self.file.sync()?;
        self.cadence.unsynced_lines = 0;
        Ok(())
    }

    /// Seal a last checkpoint and an `end` record and force everything to the disk.
    ///
    /// # Errors
    /// As [`LogWriter::sync`].
    pub fn close(mut self) -> Result<CloseReport, EvidenceError> {
        self.flush()?;
        self.seal_checkpoint()?;
        let stamp = self.stamp()?;
        let end = End { size: self.chain.next_seq(), root: to_hex(&self.chain.tree.root()), stamp };
        self.seal_record(records::END, &end)?;
        self.sync()?;
        self.write_sidecars(true);
        Ok(CloseReport { size: self.chain.next_seq(), head: self.chain.head, root: self.chain.tree.root() })
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if self.file.is_running() {
            // Nobody is left to tell; the log then ends at its last whole line.
            let _ = self.file.write_pending(self.chain.next_seq());
        }
    }
}

fn check_event_size(event: &[u8]) -> Result<(), EvidenceError> {
    if event.len() > MAX_EVENT_BYTES {
        return Err(EvidenceError::InvalidEvent { cause: "longer than an event may be", offset: MAX_EVENT_BYTES });
    }
    check_event(event).map_err(|(cause, offset)| EvidenceError::InvalidEvent { cause, offset })
}
