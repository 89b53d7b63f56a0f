// SPDX-License-Identifier: Apache-2.0
//! What the writer does by itself between events: checkpoints, key epochs, clock steps, sidecars.

use crate::error::EvidenceError;
use crate::hash::to_hex;
use crate::names;
use crate::note::Checkpoint;
use crate::options::Durability;
use crate::records::{self, CheckpointRecord, ClockRecord, EpochRecord, WitnessRecord};
use crate::sidecar::Chainstate;
use crate::stamp::Stamp;
use crate::writer::{LogWriter, WriterKey};
use std::time::{Duration, Instant};

/// Least time between two writings of the chainstate; it is a convenience, and each costs an fsync.
const CHAINSTATE_INTERVAL: Duration = Duration::from_secs(1);

impl LogWriter {
    /// Do what is due. Call it now and then while no events come, so that a quiet log is checkpointed and synced too.
    ///
    /// # Errors
    /// Only when lines could not be forced to the disk.
    pub fn tick(&mut self) -> Result<(), EvidenceError> {
        self.upkeep(false)
    }

    /// Do what is due after an append. What fails here for want of space stays due and does not fail the append, whose
    /// event is sealed; what stops the file is told by the next call.
    pub(crate) fn upkeep(&mut self, severe: bool) -> Result<(), EvidenceError> {
        let timed = self.cadence.checkpoint_at.elapsed() >= self.options.checkpoint_interval;
        let lines = self.cadence.checkpoint_lines;
        let checkpoint_due = lines > 0 && (severe || timed || lines >= self.options.checkpoint_lines);
        if checkpoint_due {
            let _ = self.seal_checkpoint();
        }
        if self.epoch_due() {
            let _ = self.next_epoch();
        }
        let due = match self.options.durability {
            Durability::Disk => true,
            Durability::Group(lines) => self.cadence.unsynced_lines >= u64::from(lines),
            Durability::Buffered | Durability::Kernel => checkpoint_due && timed && self.signer.is_some(),
        };
        if severe || due {
            self.sync()?;
        }
        if self.rotation_due() {
            self.rotate();
        }
        self.write_sidecars(false);
        Ok(())
    }

    /// Read the clocks for a record, and first declare a step of the wall clock since the last one.
    pub(crate) fn stamp(&mut self) -> Result<Stamp, EvidenceError> {
        let stamp = (self.options.clock)();
        if let Some(step_ns) = self.last_stamp.as_ref().and_then(|before| before.step_to(&stamp)) {
            self.seal_record(records::CLOCK, &ClockRecord { step_ns, stamp: stamp.clone() })?;
        }
        self.last_stamp = Some(stamp.clone());
        Ok(stamp)
    }

    /// The note of a checkpoint of all lines so far; None when the log signs none.
    pub(crate) fn signed_note(&self) -> Option<String> {
        let checkpoint =
            Checkpoint { origin: self.begin.origin.clone(), size: self.chain.next_seq(), root: self.chain.tree.root() };
        let seconds = (self.options.clock)().wall_ns / 1_000_000_000;
        self.signer.as_ref().map(|signer| signer.sign(&checkpoint, seconds))
    }

    /// Seal a checkpoint of all lines so far; nothing when the log signs none.
    pub(crate) fn seal_checkpoint(&mut self) -> Result<(), EvidenceError> {
        if self.signer.is_some() {
            // The clock first: it may seal a record of its own, which the checkpoint then covers.
            let stamp = self.stamp()?;
            let note = self.signed_note().unwrap_or_default();
            self.seal_record(records::CHECKPOINT, &CheckpointRecord { note, stamp })?;
        }
        self.cadence.checkpoint_lines = 0;
        self.cadence.checkpoint_at = Instant::now();
        Ok(())
    }

    /// A signed note over all lines so far, for a witness; everything it covers is on disk when this returns.
    ///
    /// # Errors
    /// As [`LogWriter::sync`].
    pub fn checkpoint(&mut self) -> Result<Option<String>, EvidenceError> {
        self.sync()?;
        Ok(self.signed_note())
    }

    /// Seal what a witness answered: the note with its cosignature, or the note and why it was refused.
    ///
    /// # Errors
    /// As [`LogWriter::append`].
    pub fn record_witness(&mut self, note: &str, refusal: Option<&str>) -> Result<u64, EvidenceError> {
        let stamp = self.stamp()?;
        let answer = WitnessRecord { note: note.to_owned(), refusal: refusal.map(str::to_owned), stamp };
        let seq = self.seal_record(records::WITNESS, &answer)?;
        if refusal.is_none() && self.options.has_sidecars() {
            // The newest checkpoint with cosignatures is the one worth keeping beside the log.
            let _ = self.options.fs.replace(&names::checkpoint(&self.path), note.as_bytes());
        }
        self.sync()?;
        Ok(seq)
    }

    fn epoch_due(&self) -> bool {
        let (lines, age) = (self.cadence.epoch_lines, self.cadence.epoch_at.elapsed());
        self.key.is_some() && (lines >= self.options.epoch_lines || (lines > 0 && age >= self.options.epoch_interval))
    }

    /// Sign on with the next key and forget this one.
    pub(crate) fn next_epoch(&mut self) -> Result<(), EvidenceError> {
        let stamp = self.stamp()?;
        let (Some(key), Some(log)) = (&self.key, crate::names::log_id(&self.begin.log)) else {
            return Ok(());
        };
        let next = WriterKey::new(key.secret.next_epoch(&log), key.epoch + 1);
        let record = EpochRecord { epoch: next.epoch, key: next.secret.id(), stamp };
        self.seal_record(records::EPOCH, &record)?;
        self.sync()?;
        self.keep_key(&next)?;
        self.key = Some(next);
        self.cadence.epoch_lines = 0;
        self.cadence.epoch_at = Instant::now();
        Ok(())
    }

    /// Put the current epoch's key where the next start finds it, in place of the one before.
    pub(crate) fn keep_key(&mut self, key: &WriterKey) -> Result<(), EvidenceError> {
        if !self.options.keep_key {
            return Ok(());
        }
        let path = names::sealkey(&self.path);
        let text = zeroize::Zeroizing::new(format!("{} {}\n", key.epoch, to_hex(key.secret.bytes())));
        let written = self.options.fs.replace_secret(&path, text.as_bytes());
        written.map_err(|error| {
            // Lines of the next epoch must not be written with a key that the next start would not have.
            self.file.stop("write of the sealing key");
            EvidenceError::io(&path, "write", error)
        })
    }

    /// Write chainstate and checkpoint beside the log; not oftener than once a second unless `now`. A failure is no
    /// loss: both follow from the log.
    pub(crate) fn write_sidecars(&mut self, now: bool) {
        let due = now || self.cadence.chainstate_at.elapsed() >= CHAINSTATE_INTERVAL;
        if !self.options.has_sidecars() || !due || !self.file.is_running() || !self.file.pending.is_empty() {
            return;
        }
        self.cadence.chainstate_at = Instant::now();
        let state = Chainstate {
            log: self.begin.log.clone(),
            segment: self.segment,
            state: self.chain.clone(),
            entries: self.chain.next_seq() - self.segment_first,
            durable: self.file.durable,
            epoch: self.key.as_ref().map_or(0, |key| key.epoch),
        };
        let bytes = state.encode(self.key.as_ref().map(|key| &key.mac));
        let _ = self.options.fs.replace(&names::chainstate(&self.path), &bytes);
        let on_disk = self.file.durable == self.file.length;
        if let Some(note) = self.signed_note().filter(|_| on_disk) {
            let _ = self.options.fs.replace(&names::checkpoint(&self.path), note.as_bytes());
        }
    }
}
