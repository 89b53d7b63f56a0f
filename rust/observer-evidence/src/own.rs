// SPDX-License-Identifier: Apache-2.0
//! Checks and notes the writer's own records while a log is verified.

use crate::check::KindLine;
use crate::error::{EvidenceError, MacFault};
use crate::hash::to_hex;
use crate::merge::{LogCheck, SealedCheckpoint, MAX_EPOCH};
use crate::note::{Checkpoint, Note};
use crate::records;
use crate::stamp::{ClockStep, Stamp};
use serde::Deserialize;

/// What is checked of an `end`; other fields are the writer's.
#[derive(Deserialize)]
struct EndFacts {
    size: u64,
    root: String,
}

/// What is checked of a `checkpoint`.
#[derive(Deserialize)]
struct CheckpointFacts {
    note: String,
}

/// What is checked of an `epoch`.
#[derive(Deserialize)]
struct EpochFacts {
    epoch: u64,
    key: String,
}

impl LogCheck {
    /// Check one of the writer's own records; all lines before it are in the tree.
    pub(crate) fn record(&mut self, line: &KindLine, event: &[u8]) -> Result<(), EvidenceError> {
        self.found.closed = line.kind == records::END;
        self.found.lines_since_event += 1;
        let malformed = "a malformed record of the writer's own";
        let first = self.file_lines == 0;
        match line.kind.as_str() {
            records::BEGIN | records::SEGMENT if !first => return Err(self.broken("a first line in the middle")),
            records::END => {
                let end: EndFacts = self.parsed(event, malformed)?;
                if end.size != self.chain.next_seq() || end.root != to_hex(&self.chain.tree.root()) {
                    return Err(self.broken("the end record states another size or root"));
                }
            }
            records::CHECKPOINT => {
                let record: CheckpointFacts = self.parsed(event, malformed)?;
                self.checkpoint(record.note)?;
            }
            records::EPOCH => {
                let record: EpochFacts = self.parsed(event, malformed)?;
                self.next_epoch(&record)?;
            }
            _ => self.note(&line.kind, event),
        }
        self.clock(&line.kind, event);
        Ok(())
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, event: &[u8], cause: &str) -> Result<T, EvidenceError> {
        serde_json::from_slice(event).map_err(|_| self.broken(cause))
    }

    fn note(&mut self, kind: &str, event: &[u8]) {
        let found = &mut self.found;
        match kind {
            records::RESUME => {
                let resume: Option<records::Resume> = serde_json::from_slice(event).ok();
                found.damage.extend(resume.and_then(|resume| resume.damage));
            }
            records::LOSS => {
                let loss: Option<records::Loss> = serde_json::from_slice(event).ok();
                found.dropped = found.dropped.saturating_add(loss.map_or(0, |loss| loss.dropped));
            }
            records::PRUNE => {
                let prune: Option<records::Prune> = serde_json::from_slice(event).ok();
                let removed = prune.map(|prune| prune.removed).unwrap_or_default();
                found.pruned_before = records::pruned_with(found.pruned_before, &removed);
                found.pruned.extend(removed);
            }
            records::WITNESS => {
                let answer: Option<records::WitnessRecord> = serde_json::from_slice(event).ok();
                found.witnessed = answer.filter(|a| a.refusal.is_none()).map(|a| a.note).or(found.witnessed.take());
            }
            records::REPAIR => found.repairs += 1,
            _ => {}
        }
    }

    fn clock(&mut self, kind: &str, event: &[u8]) {
        let Ok(stamp) = serde_json::from_slice::<Stamp>(event) else {
            return;
        };
        let step = self.found.last_stamp.as_ref().and_then(|before| before.step_to(&stamp));
        if let Some(step_ns) = step {
            let (sequence, declared) = (self.chain.next_seq(), kind == records::CLOCK);
            self.found.clock.push(ClockStep { sequence, step_ns, declared });
        }
        self.found.last_stamp = Some(stamp);
    }

    fn checkpoint(&mut self, note: String) -> Result<(), EvidenceError> {
        let parsed = Note::parse(&note).map_err(|error| self.broken(&format!("its checkpoint: {error}")))?;
        let stated = Checkpoint::parse(parsed.text).map_err(|error| self.broken(&format!("its checkpoint: {error}")))?;
        let origin = self.begin.as_ref().map(|begin| begin.origin.as_str());
        let right = stated.size == self.chain.next_seq() && stated.root == self.chain.tree.root();
        if !right || Some(stated.origin.as_str()) != origin {
            return Err(self.broken("the checkpoint states another origin, size or root"));
        }
        for signer in &self.signers {
            signer.verify(&parsed).map_err(|error| EvidenceError::MacMismatch {
                fault: MacFault::Forged,
                place: self.place(),
                cause: format!("its checkpoint: {error}"),
            })?;
        }
        self.found.checkpoints += 1;
        self.found.last_checkpoint = Some(SealedCheckpoint { size: stated.size, note });
        Ok(())
    }

    fn next_epoch(&mut self, record: &EpochFacts) -> Result<(), EvidenceError> {
        self.epoch += 1;
        if record.epoch != self.epoch || self.epoch > MAX_EPOCH {
            return Err(self.broken("the epoch record does not count on"));
        }
        self.key_id = Some(record.key.clone());
        let epoch = self.epoch;
        let key = self.ring.as_mut().and_then(|ring| ring.from(epoch, 1).pop());
        match key {
            Some(key) if key.id != record.key => {
                let cause = "the epoch record names another key".to_owned();
                Err(EvidenceError::MacMismatch { fault: MacFault::Forged, place: self.place(), cause })
            }
            _ => Ok(()),
        }
    }
}
