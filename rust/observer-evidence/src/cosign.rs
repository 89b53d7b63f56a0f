// SPDX-License-Identifier: Apache-2.0
//! Timestamped ML-DSA-44 signatures of checkpoints: <https://c2sp.org/tlog-cosignature>, type 0x06. They hold against
//! a quantum computer, and name who signs. The log itself may sign so beside Ed25519; a witness may too.

use crate::note::{check_name, encode_key, key_hash, signature_line, Checkpoint, NoteError, SigningSeed};
use ml_dsa::{ExpandedSigningKey, MlDsa44, Signature, SigningKey, VerifyingKey};

/// C2SP's number for this kind of signature.
pub(crate) const ML_DSA_44: u8 = 6;
/// FIPS 204 table 2: bytes of a public key.
const PUBLIC_BYTES: usize = 1312;
/// Bytes of a signature's time.
const TIME_BYTES: usize = 8;
/// FIPS 204's context string; C2SP leaves it empty, its message has a label of its own.
const CONTEXT: &[u8] = b"";

/// Signs checkpoints under one name.
#[derive(Clone)]
pub struct Cosigner {
    name: String,
    hash: [u8; 4],
    public: Vec<u8>,
    key: ExpandedSigningKey<MlDsa44>,
}

impl Cosigner {
    /// A signer; `name` must be without white space and `+`, and at most 255 bytes.
    ///
    /// # Errors
    /// When the name is not allowed.
    pub fn new(name: &str, seed: &SigningSeed) -> Result<Self, NoteError> {
        check_name(name)?;
        if u8::try_from(name.len()).is_err() {
            return Err(NoteError("a name that signs with ML-DSA-44 has at most 255 bytes"));
        }
        let key = SigningKey::<MlDsa44>::from_seed(&seed.bytes().into()).expanded_key().clone();
        let public = key.verifying_key().encode().to_vec();
        Ok(Self { name: name.to_owned(), hash: key_hash(name, ML_DSA_44, &public), public, key })
    }

    /// The key's text for others: `name+hash+base64`.
    #[must_use]
    pub fn verifier_key(&self) -> String {
        encode_key(&self.name, self.hash, ML_DSA_44, &self.public)
    }

    /// The signature line for a checkpoint's note, signed at `seconds` since 1970; None for an origin of more than 255 bytes.
    #[must_use]
    pub fn cosign(&self, checkpoint: &Checkpoint, seconds: u64) -> Option<String> {
        let message = message(&self.name, checkpoint, seconds)?;
        let signature = self.key.sign_deterministic(&message, CONTEXT).ok()?;
        let signature = [&seconds.to_be_bytes()[..], &signature.encode()].concat();
        Some(signature_line(&self.name, self.hash, &signature))
    }
}

/// The public half of such a key.
pub(crate) type PublicKey = VerifyingKey<MlDsa44>;

/// Read a public key.
pub(crate) fn public_key(bytes: &[u8]) -> Result<Box<PublicKey>, NoteError> {
    let encoded: &[u8; PUBLIC_BYTES] = bytes.try_into().map_err(|_| NoteError("the key is not 1,312 bytes"))?;
    Ok(Box::new(PublicKey::decode(&(*encoded).into())))
}

/// Check a signature of the note's checkpoint; returns its seconds since 1970.
pub(crate) fn verify(key: &PublicKey, name: &str, text: &str, signature: &[u8]) -> Result<u64, NoteError> {
    let malformed = NoteError("the signature is malformed");
    let (time, signature) = signature.split_first_chunk::<TIME_BYTES>().ok_or(malformed)?;
    let seconds = u64::from_be_bytes(*time);
    let signature = Signature::<MlDsa44>::try_from(signature).map_err(|_| malformed)?;
    let message = message(name, &Checkpoint::parse(text)?, seconds).ok_or(malformed)?;
    if i64::try_from(seconds).is_ok() && key.verify_with_context(&message, CONTEXT, &signature) {
        return Ok(seconds);
    }
    Err(NoteError("the signature is wrong"))
}

/// What is signed: a `cosigned_message` of the specification, of all lines from the first on.
fn message(name: &str, checkpoint: &Checkpoint, seconds: u64) -> Option<Vec<u8>> {
    let mut out = b"subtree/v1\n\0".to_vec();
    out.push(u8::try_from(name.len()).ok()?);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&seconds.to_be_bytes());
    out.push(u8::try_from(checkpoint.origin.len()).ok()?);
    out.extend_from_slice(checkpoint.origin.as_bytes());
    out.extend_from_slice(&0_u64.to_be_bytes());
    out.extend_from_slice(&checkpoint.size.to_be_bytes());
    out.extend_from_slice(&checkpoint.root);
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::note::{Note, NoteSigner, VerifierKey};

    #[test]
    fn both_signatures_of_a_note_verify_and_no_other() {
        let (seed, name) = (SigningSeed::new([9; 32]), "example.org/log");
        let checkpoint = Checkpoint { origin: name.into(), size: 7, root: [1; 32] };
        let (signer, cosigner) = (NoteSigner::new(name, &seed).unwrap(), Cosigner::new(name, &seed).unwrap());
        let note = signer.sign(&checkpoint.text()) + &cosigner.cosign(&checkpoint, 1_800_000_000).unwrap();
        let key = VerifierKey::parse(&cosigner.verifier_key()).unwrap();
        assert_eq!(key.text(), cosigner.verifier_key());
        assert_eq!(key.verify(&Note::parse(&note).unwrap()), Ok(Some(1_800_000_000)));
        let plain = VerifierKey::parse(&signer.verifier_key()).unwrap();
        assert_eq!(plain.verify(&Note::parse(&note).unwrap()), Ok(None));
        let line = note.lines().last().unwrap().len();
        for at in (0..note.len()).filter(|at| at % 41 == 0 || *at < 60 || *at > note.len() - line && *at < note.len() - line + 60)
        {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(mutant) = String::from_utf8(bytes) else { continue };
            let verified = Note::parse(&mutant).is_ok_and(|note| plain.verify(&note).is_ok() && key.verify(&note).is_ok());
            assert!(!verified, "byte {at}");
        }
        let other = Cosigner::new("example.org/other", &seed).unwrap();
        let foreign = VerifierKey::parse(&other.verifier_key()).unwrap();
        assert!(foreign.verify(&Note::parse(&note).unwrap()).is_err());
        assert!(Cosigner::new(&"x".repeat(256), &seed).is_err());
    }
}
