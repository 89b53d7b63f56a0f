// SPDX-License-Identifier: Apache-2.0
//! C2SP signed notes and checkpoints: <https://c2sp.org/signed-note>, `tlog-checkpoint`, `tlog-cosignature` of Ed25519.

use crate::cosign;
use crate::hash::{sha256, Digest32};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

/// Longest note that is read; a checkpoint with a hundred cosignatures is far below.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
const MAX_SIGNATURES: usize = 100;
const ED25519: u8 = 1;
const COSIGNATURE: u8 = 4;

/// Why a note, key or checkpoint is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoteError(pub &'static str);

type Result<T> = std::result::Result<T, NoteError>;

/// Bytes that become an Ed25519 private key; wiped when dropped and never printed.
#[derive(Clone)]
pub struct SigningSeed(Zeroizing<[u8; 32]>);

impl SigningSeed {
    /// Take 32 random bytes as a private key (RFC 8032 §5.1.5).
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> [u8; 32] {
        *self.0
    }
}

impl fmt::Debug for SigningSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSeed(…)")
    }
}

/// Signs notes under one name.
#[derive(Clone)]
pub struct NoteSigner {
    name: String,
    hash: [u8; 4],
    algorithm: u8,
    key: SigningKey,
}

impl NoteSigner {
    /// A signer of notes; `name` must be without white space and `+`.
    ///
    /// # Errors
    /// When the name is not allowed.
    pub fn new(name: &str, seed: &SigningSeed) -> Result<Self> {
        Self::with_algorithm(name, seed, ED25519)
    }

    /// A witness's signer of timestamped cosignatures.
    ///
    /// # Errors
    /// When the name is not allowed.
    pub fn witness(name: &str, seed: &SigningSeed) -> Result<Self> {
        Self::with_algorithm(name, seed, COSIGNATURE)
    }

    fn with_algorithm(name: &str, seed: &SigningSeed, algorithm: u8) -> Result<Self> {
        check_name(name)?;
        let key = SigningKey::from_bytes(&seed.0);
        let hash = key_hash(name, algorithm, key.verifying_key().as_bytes());
        Ok(Self { name: name.to_owned(), hash, algorithm, key })
    }

    /// The key's text for others: `name+hash+base64`.
    #[must_use]
    pub fn verifier_key(&self) -> String {
        let public = self.key.verifying_key();
        encode_key(&self.name, self.hash, self.algorithm, public.as_bytes())
    }

    /// A note of `text`, which must end in a newline, with this signature.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.line(self.key.sign(text.as_bytes()).to_bytes().as_slice()))
    }

    /// The cosignature line that a witness adds to a checkpoint's note at `seconds` since 1970.
    #[must_use]
    pub fn cosign(&self, text: &str, seconds: u64) -> String {
        let signature = self.key.sign(&cosigned_message(text, seconds));
        self.line(&[&seconds.to_be_bytes()[..], &signature.to_bytes()].concat())
    }

    fn line(&self, signature: &[u8]) -> String {
        signature_line(&self.name, self.hash, signature)
    }
}

/// Checks signatures of one key.
#[derive(Clone, Debug)]
pub struct VerifierKey {
    name: String,
    hash: [u8; 4],
    algorithm: u8,
    public: Vec<u8>,
    key: PublicKey,
}

#[derive(Clone, Debug)]
enum PublicKey {
    Ed25519(VerifyingKey),
    MlDsa(Box<cosign::PublicKey>),
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.algorithm, &self.public) == (&other.name, other.algorithm, &other.public)
    }
}

impl Eq for VerifierKey {}

impl VerifierKey {
    /// Read `name+hash+base64`.
    ///
    /// # Errors
    /// Malformed, an unknown algorithm, or a hash that does not fit.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError("a verifier key is name+hash+base64"));
        };
        check_name(name)?;
        let blob = STANDARD.decode(blob).map_err(|_| NoteError("the key is not base64"))?;
        let (algorithm, public) = match blob.split_first() {
            Some((&algorithm @ (ED25519 | COSIGNATURE | cosign::ML_DSA_44), public)) => (algorithm, public),
            _ => return Err(NoteError("unknown key algorithm")),
        };
        let expected = key_hash(name, algorithm, public);
        if crate::hash::to_hex(&expected) != hash {
            return Err(NoteError("the key's hash does not fit"));
        }
        let key = if algorithm == cosign::ML_DSA_44 {
            PublicKey::MlDsa(cosign::public_key(public)?)
        } else {
            let point: &[u8; 32] = public.try_into().map_err(|_| NoteError("the key is not 32 bytes"))?;
            PublicKey::Ed25519(VerifyingKey::from_bytes(point).map_err(|_| NoteError("the key is not a point"))?)
        };
        Ok(Self { name: name.to_owned(), hash: expected, algorithm, public: public.to_vec(), key })
    }

    /// True for a key whose signatures hold against a quantum computer.
    #[must_use]
    pub fn is_ml_dsa(&self) -> bool {
        self.algorithm == cosign::ML_DSA_44
    }

    /// The name that signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's text.
    #[must_use]
    pub fn text(&self) -> String {
        encode_key(&self.name, self.hash, self.algorithm, &self.public)
    }

    /// Check this key's signature on a note; for one that states its time, returns its seconds since 1970.
    ///
    /// # Errors
    /// No signature of this key, or a wrong one: an unreadable signature of a known key refuses the whole note.
    pub fn verify(&self, note: &Note<'_>) -> Result<Option<u64>> {
        let mut mine = note.signatures.iter().filter(|s| s.name == self.name && s.hash == self.hash);
        let found = mine.next().ok_or(NoteError("not signed by this key"))?;
        let key = match &self.key {
            PublicKey::MlDsa(key) => return cosign::verify(key, &self.name, note.text, &found.bytes).map(Some),
            PublicKey::Ed25519(key) => key,
        };
        let (time, signature) = match self.algorithm {
            COSIGNATURE if found.bytes.len() == 72 => {
                let (time, signature) = found.bytes.split_at(8);
                (Some(u64::from_be_bytes(time.try_into().unwrap_or_default())), signature)
            }
            _ => (None, found.bytes.as_slice()),
        };
        let signature = Signature::from_slice(signature).map_err(|_| NoteError("the signature is malformed"))?;
        let message = match time {
            Some(seconds) => cosigned_message(note.text, seconds),
            None => note.text.as_bytes().to_vec(),
        };
        key.verify_strict(&message, &signature).map_err(|_| NoteError("the signature is wrong"))?;
        Ok(time)
    }
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature<'a> {
    /// Who says to have signed.
    pub name: &'a str,
    /// Key hash.
    pub hash: [u8; 4],
    /// The signature itself.
    pub bytes: Vec<u8>,
}

/// A note taken apart; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed, its last newline included.
    pub text: &'a str,
    /// Signature lines in order.
    pub signatures: Vec<NoteSignature<'a>>,
}

impl<'a> Note<'a> {
    /// Take a note apart.
    ///
    /// # Errors
    /// When it is not of the form that the specification gives.
    pub fn parse(note: &'a str) -> Result<Self> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError("the note is too long"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError("the note holds a control character"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError("no blank line before the signatures"))?;
        let (text, rest) = (&note[..=split], &note[split + 2..]);
        let lines = rest.strip_suffix('\n').ok_or(NoteError("the note does not end in a newline"))?;
        let signatures = lines.split('\n').map(parse_signature).collect::<Result<Vec<_>>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError("too many signatures"));
        }
        Ok(Self { text, signatures })
    }
}

fn parse_signature(line: &str) -> Result<NoteSignature<'_>> {
    let malformed = NoteError("a signature line is malformed");
    let (name, blob) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(malformed)?;
    check_name(name)?;
    let blob = STANDARD.decode(blob).map_err(|_| malformed)?;
    match blob.split_first_chunk::<4>() {
        Some((hash, bytes)) if !bytes.is_empty() => Ok(NoteSignature { name, hash: *hash, bytes: bytes.to_vec() }),
        _ => Err(malformed),
    }
}

/// What a checkpoint says: a log of this name has this many lines with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Lines.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Digest32,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Read the text of a note. Extension lines are allowed and ignored.
    ///
    /// # Errors
    /// When one of the three lines is missing or malformed.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError("a checkpoint has three lines"));
        };
        let plain = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| plain).ok_or(NoteError("the checkpoint's size is malformed"))?;
        let root = STANDARD.decode(root).ok().and_then(|root| Digest32::try_from(root).ok());
        let root = root.ok_or(NoteError("the checkpoint's root is malformed"))?;
        if origin.is_empty() {
            return Err(NoteError("the checkpoint has no origin"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// True for names the format allows: not empty, no white space, no `+`, no control characters.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(NoteError("a key name must not be empty or hold white space or '+'"))
}

pub(crate) fn key_hash(name: &str, algorithm: u8, public: &[u8]) -> [u8; 4] {
    let digest = sha256(&[name.as_bytes(), b"\n", &[algorithm], public].concat());
    [digest[0], digest[1], digest[2], digest[3]]
}

pub(crate) fn encode_key(name: &str, hash: [u8; 4], algorithm: u8, public: &[u8]) -> String {
    format!("{name}+{}+{}", crate::hash::to_hex(&hash), STANDARD.encode([&[algorithm], public].concat()))
}

pub(crate) fn signature_line(name: &str, hash: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&hash, signature].concat()))
}

fn cosigned_message(text: &str, seconds: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {seconds}\n{text}").into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_checked() {
        for (name, good) in [("a", true), ("", false), ("a b", false), ("a+b", false), ("a\u{a0}b", false)] {
            assert_eq!(is_name(name), good, "{name:?}");
        }
    }

    #[test]
    fn signing_and_verifying_agree() {
        let seed = SigningSeed::new([9; 32]);
        let signer = NoteSigner::new("example.org/log", &seed).unwrap();
        let text = Checkpoint { origin: "example.org/log".into(), size: 7, root: [1; 32] }.text();
        let signed = signer.sign(&text);
        let key = VerifierKey::parse(&signer.verifier_key()).unwrap();
        assert_eq!(key.text(), signer.verifier_key());
        let note = Note::parse(&signed).unwrap();
        assert_eq!(key.verify(&note), Ok(None));
        assert_eq!(Checkpoint::parse(note.text).unwrap().size, 7);
        let witness = NoteSigner::witness("witness.example", &seed).unwrap();
        let both = signed.clone() + &witness.cosign(&text, 1_700_000_000);
        let witness_key = VerifierKey::parse(&witness.verifier_key()).unwrap();
        assert_eq!(witness_key.verify(&Note::parse(&both).unwrap()), Ok(Some(1_700_000_000)));
        let forged = both.replacen('7', "8", 1);
        assert!(witness_key.verify(&Note::parse(&forged).unwrap()).is_err());
        assert!(key.verify(&Note::parse(&forged).unwrap()).is_err());
    }

    // The example of the signed-note specification.
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    // The example of Go's sumdb/note.
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn published_examples_verify() {
        for (key, note) in [(KEY, NOTE), (GO_KEY, GO_NOTE)] {
            let key = VerifierKey::parse(key).unwrap();
            assert_eq!(key.verify(&Note::parse(note).unwrap()), Ok(None));
        }
    }

    #[test]
    fn every_mutant_of_the_published_example_is_refused() {
        let key = VerifierKey::parse(KEY).unwrap();
        for at in 0..NOTE.len() {
            for bit in [0, 1, 5] {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else {
                    continue;
                };
                let verified = Note::parse(&text).is_ok_and(|note| key.verify(&note).is_ok());
                assert!(!verified, "byte {at} bit {bit}: {text}");
            }
        }
        for at in 0..KEY.len() {
            let mut bytes = KEY.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(VerifierKey::parse(std::str::from_utf8(&bytes).unwrap()).is_err(), "byte {at}");
        }
    }
}
