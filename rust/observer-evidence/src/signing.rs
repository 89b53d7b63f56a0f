// SPDX-License-Identifier: Apache-2.0
//! The keys that sign a log's checkpoints: Ed25519, and ML-DSA-44 beside it when asked for. Spec: `docs/spec/evidence-log.md` §6.

use crate::cosign::Cosigner;
use crate::error::EvidenceError;
use crate::note::{Checkpoint, NoteError, NoteSigner, VerifierKey};
use crate::options::WriterOptions;
use crate::records::Begin;

/// Signs the checkpoints of one log.
pub(crate) struct CheckpointSigner {
    plain: NoteSigner,
    second: Option<Cosigner>,
}

impl CheckpointSigner {
    /// The signer that the options ask for; None when they ask for none.
    pub(crate) fn new(origin: &str, options: &WriterOptions) -> Result<Option<Self>, EvidenceError> {
        let Some(seed) = &options.signing_seed else {
            return Ok(None);
        };
        let unusable = |error: NoteError| EvidenceError::KeyUnusable { cause: format!("origin {origin:?}: {error}") };
        let second = options.cosigning_seed.as_ref().map(|seed| Cosigner::new(origin, seed)).transpose();
        let (plain, second) = (NoteSigner::new(origin, seed).map_err(unusable)?, second.map_err(unusable)?);
        Ok(Some(Self { plain, second }))
    }

    /// What the log's first line names: `signer` and `cosigner`.
    pub(crate) fn verifier_keys(&self) -> (Option<String>, Option<String>) {
        (Some(self.plain.verifier_key()), self.second.as_ref().map(Cosigner::verifier_key))
    }

    /// The checkpoint's note with all signatures, made at `seconds` since 1970.
    pub(crate) fn sign(&self, checkpoint: &Checkpoint, seconds: u64) -> String {
        let second = self.second.as_ref().and_then(|second| second.cosign(checkpoint, seconds));
        self.plain.sign(&checkpoint.text()) + &second.unwrap_or_default()
    }
}

/// The keys that must sign each checkpoint of the log that begins so.
pub(crate) fn signers(begin: &Begin) -> Result<Vec<VerifierKey>, NoteError> {
    let plain = begin.signer.as_deref().map(VerifierKey::parse).transpose()?;
    let second = begin.cosigner.as_deref().map(VerifierKey::parse).transpose()?;
    if second.as_ref().is_some_and(|second| !second.is_ml_dsa() || plain.is_none()) {
        return Err(NoteError("a cosigner is an ML-DSA-44 key beside a signer"));
    }
    Ok(plain.into_iter().chain(second).collect())
}
