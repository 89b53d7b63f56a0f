// SPDX-License-Identifier: Apache-2.0
//! Proves that a log is whole and in order, or says where it is not. Spec: `docs/spec/evidence-log.md` §7.

use crate::chain::{ChainState, Fault};
use crate::error::{EvidenceError, Place};
use crate::hash::{to_hex, Digest32, MacKey};
use crate::json::check_event;
use crate::key::SecretKey;
use crate::line::{parse, Parsed};
use crate::records::{Begin, Damage, Loss, Resume, BEGIN, END, FORMAT, LOSS, RESUME, VERSION};
use crate::scan::{Raw, Scanner};
use crate::vfs::open_for_reading;
use serde::{Serialize, Serializer};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How a file ends. Anything but `Whole` is damage that a crash explains, not tampering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Tail {
    /// With the newline of its last line.
    Whole,
    /// In the middle of a line.
    Torn {
        /// Where the damage begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
    /// In zero bytes.
    Zeroed {
        /// Where the damage begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
}

/// What else a verification should insist on.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Fewest lines the log must have, known from elsewhere; fewer is [`EvidenceError::Truncated`].
    pub min_size: Option<u64>,
}

/// What a verification proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainProof {
    /// The log's random identity, 32 hexadecimal digits.
    pub log: String,
    /// The log's name.
    pub origin: String,
    /// Sequence of the first line proven.
    pub first_sequence: u64,
    /// Sequence of the last line proven.
    pub last_sequence: u64,
    /// Lines proven, the writer's own records among them.
    pub lines: u64,
    /// Lines that are events.
    pub events: u64,
    /// Chain value of the last line.
    #[serde(serialize_with = "hex")]
    pub head: Digest32,
    /// Leaves of the tree: the sequence of the line to come.
    pub size: u64,
    /// RFC 6962 root of all lines.
    #[serde(serialize_with = "hex")]
    pub root: Digest32,
    /// Bytes of whole lines.
    pub bytes: u64,
    /// Every line carries an HMAC.
    pub signed: bool,
    /// The HMACs were checked with the key.
    pub key_checked: bool,
    /// The last line is an `end`: the writer closed the log.
    pub closed: bool,
    /// How the file ends.
    pub tail: Tail,
    /// Damage that earlier crashes left and the log itself declares.
    pub damage: Vec<Damage>,
    /// Events that the log itself declares as lost.
    pub dropped: u64,
}

fn hex<S: Serializer>(digest: &Digest32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_hex(digest))
}

/// Prove that a log is whole and in order, reading it once, forward, in constant memory.
///
/// # Errors
/// A finding ([`EvidenceError::is_finding`]) with line, byte offset and sequence, or why the file could not be judged.
pub fn verify_log(
    path: &Path,
    key: Option<&SecretKey>,
    options: &VerifyOptions,
) -> Result<ChainProof, EvidenceError> {
    let file = open_for_reading(path).map_err(|error| refused_or_io(path, error))?;
    let mut check = LogCheck::new(path, key);
    let tail = check.run(file)?;
    let proof = check.finish(tail)?;
    match options.min_size {
        Some(wanted) if proof.size < wanted => Err(EvidenceError::Truncated {
            place: Place {
                path: path.to_path_buf(),
                line: proof.lines + 1,
                offset: proof.bytes,
                sequence: proof.size,
            },
            cause: format!("{} lines are known to have been sealed", wanted),
        }),
        _ => Ok(proof),
    }
}

pub(crate) fn refused_or_io(path: &Path, error: std::io::Error) -> EvidenceError {
    if error.kind() == std::io::ErrorKind::InvalidInput {
        return EvidenceError::Format {
            path: path.to_path_buf(),
            offset: 0,
            cause: error.to_string(),
        };
    }
    EvidenceError::io(path, "open", error)
}

/// The state of a verification between lines; the writer uses it too when it opens a log again.
pub(crate) struct LogCheck {
    path: PathBuf,
    key: Option<SecretKey>,
    mac: Option<MacKey>,
    pub(crate) chain: ChainState,
    pub(crate) begin: Option<Begin>,
    pub(crate) bytes: u64,
    lines: u64,
    events: u64,
    pub(crate) closed: bool,
    damage: Vec<Damage>,
    dropped: u64,
}

impl LogCheck {
    pub(crate) fn new(path: &Path, key: Option<&SecretKey>) -> Self {
        Self {
            path: path.to_path_buf(),
            key: key.cloned(),
            mac: key.and_then(SecretKey::mac_key),
            chain: ChainState::default(),
            begin: None,
            bytes: 0,
            lines: 0,
            events: 0,
            closed: false,
            damage: Vec::new(),
            dropped: 0,
        }
    }

    /// Check every whole line of `input`; returns how it ends.
    pub(crate) fn run(&mut self, input: impl Read) -> Result<Tail, EvidenceError> {
        let mut scanner = Scanner::new(input, 0);
        loop {
            match scanner
                .next_line()
                .map_err(|error| EvidenceError::io(&self.path, "read", error))?
            {
                Raw::Line(line, offset) => self.line(line, offset)?,
                Raw::TooLong(_) => return Err(self.broken("longer than a line may be")),
                Raw::End(tail) => return Ok(tail),
            }
        }
    }

    fn line(&mut self, line: &[u8], offset: u64) -> Result<(), EvidenceError> {
        let parsed = match parse(line) {
            Ok(parsed) => parsed,
            Err(cause) if self.begin.is_none() => return Err(self.foreign(cause)),
            Err(cause) => return Err(self.broken(&format!("not a line of this format: {cause}"))),
        };
        if self.begin.is_none() {
            self.read_begin(&parsed)?;
        }
        let signed = self
            .begin
            .as_ref()
            .is_some_and(|begin| begin.hmac.is_some());
        let mac = self.mac.take();
        let outcome = self.chain.check(line, &parsed, signed, mac.as_ref());
        self.mac = mac;
        outcome.map_err(|fault| self.fault(fault))?;
        if let Err((cause, at)) = check_event(parsed.event) {
            let cause = format!(
                "sealed event at sequence {} breaks a rule: {cause}, its byte {at}",
                parsed.seq
            );
            return Err(EvidenceError::Format {
                path: self.path.clone(),
                offset,
                cause,
            });
        }
        self.lines += 1;
        self.bytes = offset + line.len() as u64 + 1;
        self.note_kind(&parsed);
        Ok(())
    }

    fn read_begin(&mut self, parsed: &Parsed<'_>) -> Result<(), EvidenceError> {
        if parsed.kind != Some(BEGIN) {
            return Err(self.foreign("the first line is not a begin record"));
        }
        let value: serde_json::Value = serde_json::from_slice(parsed.event)
            .map_err(|_| self.foreign("the begin record is malformed"))?;
        if value.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
            return Err(self.foreign("another format's name"));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(1..=VERSION) => {}
            Some(version) => {
                return Err(EvidenceError::Newer {
                    path: self.path.clone(),
                    version,
                })
            }
            None => return Err(self.foreign("no version")),
        }
        let begin: Begin = serde_json::from_value(value)
            .map_err(|_| self.foreign("the begin record is malformed"))?;
        self.match_key(&begin)?;
        self.begin = Some(begin);
        Ok(())
    }

    fn match_key(&self, begin: &Begin) -> Result<(), EvidenceError> {
        let cause = match (&self.key, &begin.hmac) {
            (Some(_), None) => "the log is unsigned, but a key was given".to_owned(),
            (Some(key), Some(info)) if key.id() != info.key => {
                format!(
                    "wrong key: lines are signed with key {}, this key is {}",
                    info.key,
                    key.id()
                )
            }
            _ => return Ok(()),
        };
        Err(EvidenceError::MacMismatch {
            place: self.place(),
            cause,
        })
    }

    fn note_kind(&mut self, parsed: &Parsed<'_>) {
        self.closed = parsed.kind == Some(END);
        match parsed.kind {
            None => self.events += 1,
            Some(RESUME) => {
                let resume: Option<Resume> = serde_json::from_slice(parsed.event).ok();
                self.damage.extend(resume.and_then(|resume| resume.damage));
            }
            Some(LOSS) => {
                let loss: Option<Loss> = serde_json::from_slice(parsed.event).ok();
                self.dropped = self
                    .dropped
                    .saturating_add(loss.map_or(0, |loss| loss.dropped));
            }
            Some(_) => {}
        }
    }

    /// The next line's place.
    fn place(&self) -> Place {
        Place {
            path: self.path.clone(),
            line: self.lines + 1,
            offset: self.bytes,
            sequence: self.chain.next_seq(),
        }
    }

    fn foreign(&self, cause: &str) -> EvidenceError {
        EvidenceError::Format {
            path: self.path.clone(),
            offset: 0,
            cause: format!("not a sealed log: {cause}"),
        }
    }

    fn broken(&self, cause: &str) -> EvidenceError {
        if self.begin.is_none() {
            return self.foreign(cause);
        }
        EvidenceError::ChainBroken {
            place: self.place(),
            cause: cause.to_owned(),
        }
    }

    fn fault(&self, fault: Fault) -> EvidenceError {
        let place = self.place();
        let mac = |cause: &str| EvidenceError::MacMismatch {
            place: place.clone(),
            cause: cause.to_owned(),
        };
        match fault {
            Fault::Sequence(found) => EvidenceError::SequenceGap { place, found },
            Fault::Chain => self.broken("the line or the one before it is not what was sealed"),
            Fault::Mac => mac("the chain holds but the HMAC does not: rewritten without the key"),
            Fault::Unsigned => mac("the HMAC is missing"),
            Fault::Signed => mac("an HMAC in a log that was begun unsigned"),
        }
    }

    pub(crate) fn finish(self, tail: Tail) -> Result<ChainProof, EvidenceError> {
        let Some(begin) = self.begin.as_ref() else {
            return Err(self.foreign("no whole line"));
        };
        Ok(ChainProof {
            log: begin.log.clone(),
            origin: begin.origin.clone(),
            first_sequence: 0,
            last_sequence: self.chain.next_seq().saturating_sub(1),
            lines: self.lines,
            events: self.events,
            head: self.chain.head,
            size: self.chain.tree.size(),
            root: self.chain.tree.root(),
            bytes: self.bytes,
            signed: begin.hmac.is_some(),
            key_checked: self.key.is_some(),
            closed: self.closed,
            tail,
            damage: self.damage,
            dropped: self.dropped,
        })
    }
}
