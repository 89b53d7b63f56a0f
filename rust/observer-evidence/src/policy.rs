// SPDX-License-Identifier: Apache-2.0
//! What a verification insists on, so that an unsigned or foreign log cannot stand in for the right one.

use crate::note::{Checkpoint, Note, NoteError, VerifierKey};
use serde::{Deserialize, Serialize};

/// A policy as its file says it. Everything absent is not insisted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyText {
    /// The log's name.
    pub origin: Option<String>,
    /// Every line must carry an HMAC, and the key must be at hand.
    pub require_hmac: bool,
    /// C2SP verifier keys; a checkpoint of a log that one of them signs must cover it.
    pub signers: Vec<String>,
    /// C2SP verifier keys of witnesses.
    pub witnesses: Vec<String>,
    /// How many of them must have cosigned; absent means all.
    pub quorum: Option<usize>,
    /// Fewest lines.
    pub min_size: Option<u64>,
    /// Most lines that may follow the last witnessed or signed one; absent means any number.
    pub max_tail: Option<u64>,
    /// Signed checkpoints known from elsewhere, such as a peer's copy.
    pub known: Vec<String>,
}

/// A policy whose keys are ready for use.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub(crate) text: PolicyText,
    pub(crate) signers: Vec<VerifierKey>,
    pub(crate) witnesses: Vec<VerifierKey>,
}

impl Policy {
    /// Read a policy's keys.
    ///
    /// # Errors
    /// A malformed key, or a quorum that its witnesses cannot reach.
    pub fn new(text: PolicyText) -> Result<Self, NoteError> {
        let keys = |texts: &[String]| texts.iter().map(|key| VerifierKey::parse(key)).collect::<Result<Vec<_>, _>>();
        let (signers, witnesses) = (keys(&text.signers)?, keys(&text.witnesses)?);
        match text.quorum {
            Some(quorum) if quorum > witnesses.len() => Err(NoteError("the quorum is more than there are witnesses")),
            Some(0) => Err(NoteError("a quorum of none asks for nothing; leave the witnesses out instead")),
            _ => Ok(Self { text, signers, witnesses }),
        }
    }

    pub(crate) fn quorum(&self) -> usize {
        self.text.quorum.unwrap_or(self.witnesses.len())
    }

    /// Seconds since 1970 of the cosignature that completes the quorum on a note; None when it is not reached.
    pub(crate) fn witnessed_at(&self, note: &Note<'_>) -> Option<u64> {
        let mut times: Vec<u64> = self.witnesses.iter().filter_map(|key| key.verify(note).ok().flatten()).collect();
        times.sort_unstable();
        if self.quorum() == 0 {
            None
        } else {
            times.get(self.quorum() - 1).copied()
        }
    }
}

/// A signed statement about a log that was found somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: String,
    /// Where from, for people.
    pub(crate) source: &'static str,
}

impl Known {
    /// Read a note and check that all of `signers` signed it.
    pub(crate) fn read(note: &str, signers: &[VerifierKey], source: &'static str) -> Result<Self, NoteError> {
        let parsed = Note::parse(note)?;
        for signer in signers {
            signer.verify(&parsed)?;
        }
        Ok(Self { checkpoint: Checkpoint::parse(parsed.text)?, note: note.to_owned(), source })
    }
}
