// SPDX-License-Identifier: Apache-2.0
//! From what was read to what is said of it: missing files, known checkpoints, the policy, damage, clocks.

use crate::audit::Run;
use crate::error::EvidenceError;
use crate::hash::to_hex;
use crate::note::Note;
use crate::policy::Known;
use crate::records::PrunedFile;
use crate::sidecar::Chainstate;
use crate::verdict::{Audit, Verdict};
use crate::verify::{proof_of, ChainProof, Tail};

impl Run<'_> {
    pub(crate) fn conclude(mut self) -> Result<Audit, EvidenceError> {
        self.judge_missing();
        let proof = proof_of(&self.check, self.tail).ok().map(|mut proof| {
            proof.first_sequence = self.first.unwrap_or(proof.first_sequence);
            proof
        });
        if let Some(proof) = &proof {
            if !self.broken {
                self.judge_chainstate(proof);
                self.judge_cut_short(proof);
            }
            self.judge_notes(proof);
        }
        let mut audit = Audit {
            log: self.path.to_path_buf(),
            verdict: Verdict::Verified,
            findings: Vec::new(),
            proof,
            files: self.files,
            covered_size: None,
            witnessed_size: None,
            witnessed_at: None,
            tail_lines: None,
            tail_seconds: None,
        };
        if let Some(proof) = audit.proof.clone() {
            self.judge_policy(&proof, &mut audit);
            self.judge_rest(&proof);
        }
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        audit.verdict = self.findings.first().map_or(Verdict::Verified, |finding| finding.verdict);
        audit.findings = self.findings;
        Ok(audit)
    }

    /// Missing lines are a fault unless the log itself declares them pruned.
    fn judge_missing(&mut self) {
        let pruned: Vec<PrunedFile> = self.check.found.pruned.clone();
        for (first, last, path) in std::mem::take(&mut self.missing) {
            let mut next = first.max(self.check.found.pruned_before.min(last + 1));
            for file in &pruned {
                if file.first <= next && next <= file.last {
                    next = file.last + 1;
                }
            }
            if next <= last {
                let text = format!("the file with sequence {next} to {last} is missing and was not declared as pruned");
                let finding = self.find(Verdict::SegmentMissing, "OBS405", text);
                (finding.first, finding.last, finding.path) = (Some(next), Some(last), path);
            }
        }
    }

    fn judge_chainstate(&mut self, proof: &ChainProof) {
        let Some(bytes) = self.chainstate.take() else { return };
        // Without the epoch's key a signed one cannot be checked; the writer does so when it opens the log.
        let Ok(state) = Chainstate::parse(&bytes, None) else { return };
        let known = state.state.tree.size();
        if state.log == proof.log && known > proof.size && state.durable > proof.bytes {
            let text = format!("its chainstate knows {known} lines on disk, the log has {}", proof.size);
            let finding = self.find(Verdict::Tampered, "OBS406", text);
            (finding.first, finding.last) = (Some(proof.size), Some(known - 1));
        }
    }

    /// A manifest of the live file, left by a crash inside its rotation, must describe what is there.
    fn judge_cut_short(&mut self, proof: &ChainProof) {
        let Some(manifest) = self.cut_short.take() else { return };
        let root = self.check.watched.get(&manifest.size).map(|root| to_hex(root));
        if manifest.log != proof.log || root.as_ref() != Some(&manifest.root) {
            let text =
                format!("a manifest of the live file knows {} lines of another log, or more than there are", manifest.size);
            let finding = self.find(Verdict::Tampered, "OBS405", text);
            finding.first = Some(proof.size.min(manifest.size));
        }
    }

    /// Hold the log against every signed statement that is known of it.
    fn judge_notes(&mut self, proof: &ChainProof) {
        let signers = self.signers();
        for known in self.known.clone() {
            let stated = &known.checkpoint;
            if stated.origin != proof.origin {
                continue;
            }
            if let Err(error) = Known::read(&known.note, &signers, known.source) {
                let text = format!("a checkpoint {} is not signed by the log: {error}", known.source);
                self.find(Verdict::Tampered, "OBS402", text);
                continue;
            }
            let here = self.check.watched.get(&stated.size).copied();
            let finding = if stated.size > proof.size && self.broken {
                continue;
            } else if stated.size > proof.size {
                let text = format!("a checkpoint {} has {} lines, the log has {}", known.source, stated.size, proof.size);
                let finding = self.find(Verdict::Rollback, "OBS406", text);
                (finding.first, finding.last) = (Some(proof.size), Some(stated.size - 1));
                finding
            } else if here.is_some_and(|root| root != stated.root) {
                let text = format!("a checkpoint {} of {} lines has another root than the log", known.source, stated.size);
                let finding = self.find(Verdict::Fork, "OBS401", text);
                finding.last = Some(stated.size.saturating_sub(1));
                finding
            } else {
                continue;
            };
            finding.evidence.push(known.note.clone());
        }
    }

    fn judge_policy(&mut self, proof: &ChainProof, audit: &mut Audit) {
        let policy = self.policy;
        let mut refuse = |text: String| {
            self.find(Verdict::PolicyDowngrade, "OBS402", text);
        };
        if policy.text.origin.as_ref().is_some_and(|origin| *origin != proof.origin) {
            refuse(format!("the policy is for another log; this one is {}", proof.origin));
        }
        if policy.text.require_hmac && !(proof.signed && proof.key_checked) {
            let lack = if proof.signed { "the key is not at hand" } else { "the log is unsigned" };
            refuse(format!("the policy wants an HMAC on every line; {lack}"));
        }
        let signers = self.signers();
        // All keys of the log sign each of its checkpoints: that one of them is trusted is enough.
        let trusted = policy.signers.is_empty() || signers.iter().any(|signer| policy.signers.contains(signer));
        if !trusted {
            self.find(Verdict::PolicyDowngrade, "OBS402", "no signer that the policy trusts signs this log".to_owned());
        }
        let sealed = self.check.found.last_checkpoint.clone().map(|checkpoint| checkpoint.note);
        let witnessed = self.check.found.witnessed.clone();
        let notes = self.known.iter().map(|known| known.note.clone()).chain(sealed).chain(witnessed);
        let (mut signed_size, mut witnessed) = (None, None);
        for note in notes {
            let Ok(known) = Known::read(&note, &signers, "") else { continue };
            let fits = known.checkpoint.size <= proof.size && known.checkpoint.origin == proof.origin;
            if !trusted || signers.is_empty() || !fits {
                continue;
            }
            signed_size = signed_size.max(Some(known.checkpoint.size));
            let cosigned = Note::parse(&note).ok().and_then(|note| policy.witnessed_at(&note));
            witnessed = witnessed.max(cosigned.map(|at| (known.checkpoint.size, at)));
        }
        audit.witnessed_size = witnessed.map(|(size, _)| size);
        audit.witnessed_at = witnessed.map(|(_, at)| at);
        let wanted = !policy.witnesses.is_empty() || !policy.signers.is_empty();
        audit.covered_size = if policy.witnesses.is_empty() { signed_size } else { audit.witnessed_size };
        let Some(covered) = audit.covered_size else {
            if wanted {
                let text = "no checkpoint carries the signatures that the policy wants".to_owned();
                self.find(Verdict::PolicyDowngrade, "OBS402", text);
            }
            return;
        };
        self.judge_tail(proof, audit, covered, wanted);
    }

    /// Lines after the last covered one: a closing checkpoint and its `end` are never more than a few.
    fn judge_tail(&mut self, proof: &ChainProof, audit: &mut Audit, covered: u64, wanted: bool) {
        let tail = proof.size.saturating_sub(covered);
        audit.tail_lines = Some(tail);
        let now = self.check.found.last_stamp.as_ref().map(|stamp| stamp.wall_ns / 1_000_000_000);
        audit.tail_seconds = audit.witnessed_at.and_then(|at| now.map(|now| now.saturating_sub(at)));
        let own_records = self.check.found.lines_since_event >= tail && proof.closed;
        if self.policy.text.max_tail.is_some_and(|most| tail > most) {
            let text = format!("{tail} lines follow the last covered one, more than the policy allows");
            let finding = self.find(Verdict::PolicyDowngrade, "OBS402", text);
            (finding.first, finding.last) = (Some(covered), Some(proof.last_sequence));
        } else if wanted && tail > 0 && !own_records {
            let seconds = audit.tail_seconds.map(|s| format!(", {s} s")).unwrap_or_default();
            let text = format!("verified to sequence {}; {tail} lines{seconds} are not covered yet", covered.saturating_sub(1));
            let finding = self.find(Verdict::VerifiedTo, "OBS000", text);
            (finding.first, finding.last) = (Some(covered), Some(proof.last_sequence));
        }
    }

    fn judge_rest(&mut self, proof: &ChainProof) {
        if self.policy.text.min_size.is_some_and(|least| proof.size < least) {
            let least = self.policy.text.min_size.unwrap_or(0);
            let text = format!("the policy wants {least} lines, the log has {}", proof.size);
            let finding = self.find(Verdict::Rollback, "OBS406", text);
            (finding.first, finding.last) = (Some(proof.size), Some(least - 1));
        }
        let damage = match proof.tail {
            Tail::Whole => None,
            Tail::Torn { offset, bytes } => Some((Verdict::TornTail, "torn line", offset, bytes)),
            Tail::Zeroed { offset, bytes } => Some((Verdict::ZeroedTail, "run of zeros", offset, bytes)),
        };
        if let Some((verdict, what, offset, bytes)) = damage {
            let text = format!("the file ends in a {what} of {bytes} bytes: damage by a crash, not tampering");
            let finding = self.find(verdict, "OBS500", text);
            (finding.offset, finding.first) = (Some(offset), Some(proof.size));
        }
        if proof.dropped > 0 {
            let text = format!("the log declares {} events lost before sealing", proof.dropped);
            self.find(Verdict::DeclaredLoss, "OBS000", text);
        }
        for step in proof.clock.iter().filter(|step| !step.declared) {
            let text = if step.step_ns == i64::MIN {
                "boot time runs backwards within one boot".to_owned()
            } else {
                format!("the wall clock steps by {} ms and no clock record declares it", step.step_ns / 1_000_000)
            };
            let finding = self.find(Verdict::ClockAnomaly, "OBS407", text);
            finding.first = Some(step.sequence);
        }
    }
}
