// SPDX-License-Identifier: Apache-2.0
//! The verdict on a log with all its files, sidecars and known checkpoints. Spec: `docs/spec/evidence-log.md` §7,
//! `docs/spec/manifest-and-chainstate.md` §5.

use crate::abreast::Abreast;
use crate::chain::{check, Linked};
use crate::error::{EvidenceError, MacFault};
use crate::files::{hold, names_of, of_log, Form, LogFile};
use crate::hash::{sha256, to_hex};
use crate::key::SecretKey;
use crate::line::parse;
use crate::merge::LogCheck;
use crate::names;
use crate::note::VerifierKey;
use crate::policy::{Known, Policy};
use crate::sidecar::{Manifest, MAX_SIDECAR_BYTES};
use crate::signing::signers;
use crate::verdict::{Audit, Finding, Verdict};
use crate::verify::Tail;
use crate::vfs::{RealFs, Vfs};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Judge the log whose live file is `path`, with all its rotated files.
///
/// # Errors
/// When files cannot be read; what is wrong with the log itself is a finding.
pub fn audit(path: &Path, key: Option<&SecretKey>, policy: &Policy, threads: usize) -> Result<Audit, EvidenceError> {
    let mut tries = 0;
    loop {
        let mut run = Run::new(path, key, policy, threads);
        // Before the files: what they know may only be less than what is read after them.
        run.collect_known();
        let files = hold(path)?;
        let judged = run.files(&files);
        // A writer that rotates, compresses or prunes meanwhile takes files away from under the reader's eyes.
        let failed = !judged.as_ref().is_ok_and(|audit| !audit.verdict.is_failure());
        if !failed || tries == MAX_TRIES || names_of(&of_log(path)?) == names_of(&files) {
            return judged;
        }
        tries += 1;
    }
}

/// A log rotates every few seconds at most, so a second look nearly always suffices.
const MAX_TRIES: u32 = 5;

pub(crate) struct Run<'a> {
    pub(crate) path: &'a Path,
    key: Option<&'a SecretKey>,
    pub(crate) policy: &'a Policy,
    threads: usize,
    pub(crate) check: LogCheck,
    pub(crate) findings: Vec<Finding>,
    pub(crate) known: Vec<Known>,
    pub(crate) missing: Vec<(u64, u64, PathBuf)>,
    previous_manifest: Option<String>,
    /// The manifest of the live file, when a crash stopped its rotation.
    pub(crate) cut_short: Option<Manifest>,
    pub(crate) chainstate: Option<Vec<u8>>,
    pub(crate) tail: Tail,
    pub(crate) files: u64,
    pub(crate) first: Option<u64>,
    pub(crate) broken: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(path: &'a Path, key: Option<&'a SecretKey>, policy: &'a Policy, threads: usize) -> Self {
        Self {
            path,
            key,
            policy,
            threads,
            check: LogCheck::new(path, key),
            findings: Vec::new(),
            known: Vec::new(),
            missing: Vec::new(),
            previous_manifest: None,
            cut_short: None,
            chainstate: None,
            tail: Tail::Whole,
            files: 0,
            first: None,
            broken: false,
        }
    }

    pub(crate) fn find(&mut self, verdict: Verdict, code: &'static str, text: String) -> &mut Finding {
        self.findings.push(Finding {
            verdict,
            code,
            text,
            path: self.path.to_path_buf(),
            line: None,
            offset: None,
            first: None,
            last: None,
            evidence: Vec::new(),
        });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Signed statements about this log that lie beside it or that the policy brings.
    pub(crate) fn collect_known(&mut self) {
        self.chainstate = RealFs.read(&names::chainstate(self.path), MAX_SIDECAR_BYTES).ok();
        let beside = RealFs.read(&names::checkpoint(self.path), MAX_SIDECAR_BYTES);
        let beside = beside.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let notes = self.policy.text.known.iter().map(|note| (note.clone(), "known from elsewhere"));
        for (note, source) in notes.chain(beside.map(|note| (note, "beside the log"))) {
            match Known::read(&note, &[], source) {
                Ok(known) => self.known.push(known),
                Err(error) => {
                    self.find(Verdict::Tampered, "OBS405", format!("a checkpoint {source} is malformed: {error}"));
                }
            }
        }
        self.check.watch = self.known.iter().map(|known| known.checkpoint.size).collect();
    }

    fn files(mut self, files: &[LogFile]) -> Result<Audit, EvidenceError> {
        if files.iter().all(|file| file.form == Form::Missing) {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(EvidenceError::io(self.path, "open", missing));
        }
        for file in files {
            self.file(file)?;
        }
        self.conclude()
    }

    fn file(&mut self, file: &LogFile) -> Result<(), EvidenceError> {
        if file.rotated.is_none() {
            self.cut_short = file.parsed_manifest();
            self.check.watch.extend(self.cut_short.iter().map(|manifest| manifest.size));
        }
        if file.form == Form::Missing {
            self.file_missing(file);
            return Ok(());
        }
        self.bridge(file)?;
        self.check.next_file(&file.path);
        self.files += 1;
        match file.open() {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                self.replaced(file, &error);
                return Ok(());
            }
            Err(error) => return Err(EvidenceError::io(&file.path, "open", error)),
            Ok(input) => self.lines_of(file, input)?,
        }
        self.first = self.first.or(self.check.begin.as_ref().map(|_| self.check.first_sequence));
        self.manifest(file);
        Ok(())
    }

    /// Something else lies in a file's place.
    fn replaced(&mut self, file: &LogFile, error: &std::io::Error) {
        let expected = self.check.chain.next_seq();
        let text = format!("a file of the log was replaced: {error}");
        let finding = self.find(Verdict::Tampered, "OBS405", text);
        (finding.path, finding.first) = (file.path.clone(), file.rotated.or(Some(expected)));
        self.broken = true;
    }

    /// Checks the lines of one file and judges how it ends.
    fn lines_of(&mut self, file: &LogFile, input: Box<dyn Read>) -> Result<(), EvidenceError> {
        match self.check.run(input, self.threads) {
            Ok(tail) if file.rotated.is_some() && tail != Tail::Whole => {
                let place = self.check.place();
                let finding = self.find(Verdict::Tampered, "OBS406", "a rotated file is cut off".to_owned());
                (finding.path, finding.line, finding.offset) = (place.path, Some(place.line), Some(place.offset));
                finding.first = Some(place.sequence);
            }
            Ok(tail) => {
                self.tail = tail;
                // A live file gets its name once its first line is on the disk.
                if self.check.header.is_none() && self.files > 1 {
                    let place = self.check.place();
                    let finding = self.find(Verdict::Tampered, "OBS406", "the live file holds no whole line".to_owned());
                    (finding.path, finding.line, finding.offset) = (place.path, Some(1), Some(0));
                    finding.first = Some(place.sequence);
                }
            }
            Err(error) if error.is_finding() || matches!(error, EvidenceError::Format { .. }) => {
                self.broken = true;
                self.fault(file, &error)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A file that should be here is not: told now when its manifest tells, or later by what follows.
    fn file_missing(&mut self, file: &LogFile) {
        match file.parsed_manifest() {
            Some(manifest) => {
                self.missing.push((manifest.first_sequence, manifest.last_sequence, file.path.clone()));
                self.previous_manifest = file.manifest.as_deref().map(|bytes| to_hex(&sha256(bytes)));
            }
            None if file.rotated.is_none() => {
                let first = self.check.chain.next_seq();
                let finding = self.find(Verdict::SegmentMissing, "OBS405", "the live file is missing".to_owned());
                finding.first = Some(first);
            }
            None => {
                let finding = self.find(Verdict::SegmentMissing, "OBS405", "a rotated file is missing".to_owned());
                finding.path.clone_from(&file.path);
            }
        }
    }

    /// When lines are missing before a file, note them and start anew with what the file says of itself.
    pub(crate) fn bridge(&mut self, file: &LogFile) -> Result<(), EvidenceError> {
        let Some(first) = first_seq(file) else { return Ok(()) };
        let (expected, begun) = (self.check.chain.next_seq(), self.check.begin.is_some());
        if self.broken || first > expected {
            let known = self.missing.iter().any(|(low, high, _)| *low <= expected && first <= high + 1);
            self.previous_manifest = None;
            // Who names one rotated file asks about that file; what came before it is in its first line.
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            let asked_alone = !begun && names::log_of(&name).is_some();
            if first > expected && !known && !self.broken && !asked_alone {
                self.missing.push((expected, first - 1, file.path.clone()));
            }
            if begun || first > 0 {
                let mut fresh = LogCheck::new(&file.path, self.key);
                std::mem::swap(&mut fresh.found, &mut self.check.found);
                std::mem::swap(&mut fresh.watch, &mut self.check.watch);
                std::mem::swap(&mut fresh.watched, &mut self.check.watched);
                self.broken = false;
                self.check = fresh;
            }
        }
        Ok(())
    }

    /// Hold a rotated file against its manifest, and the manifest against what the next file says of it.
    fn manifest(&mut self, file: &LogFile) {
        let stated = self.check.header.as_ref().and_then(|header| header.start.as_ref()).map(|start| start.manifest.clone());
        if let (Some(stated), Some(previous)) = (&stated, &self.previous_manifest) {
            if stated != previous {
                let text = "the manifest before this file is not the one that was sealed".to_owned();
                self.find(Verdict::Tampered, "OBS405", text).path.clone_from(&file.path);
            }
        }
        self.previous_manifest = None;
        if file.rotated.is_none() {
            return;
        }
        let cause = match (file.manifest.as_deref(), file.parsed_manifest()) {
            (None, _) => Some("its manifest is missing".to_owned()),
            (Some(_), None) => Some("its manifest is malformed".to_owned()),
            (Some(bytes), Some(manifest)) => {
                self.previous_manifest = Some(to_hex(&sha256(bytes)));
                if self.broken {
                    None
                } else {
                    self.manifest_fault(file, &manifest)
                }
            }
        };
        if let Some(cause) = cause {
            let text = format!("a rotated file and its manifest disagree: {cause}");
            let finding = self.find(Verdict::Tampered, "OBS405", text);
            (finding.path, finding.first) = (file.path.clone(), file.rotated);
        }
    }

    fn manifest_fault(&self, file: &LogFile, manifest: &Manifest) -> Option<String> {
        let chain = &self.check.chain;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let facts = [
            (manifest.file == name, "name"),
            (manifest.size == chain.next_seq(), "size"),
            (manifest.last_sequence + 1 == chain.next_seq(), "last sequence"),
            (Some(manifest.first_sequence) == file.rotated, "first sequence"),
            (manifest.entries + manifest.first_sequence == chain.next_seq(), "entries"),
            (manifest.final_chain_hash == to_hex(&chain.head), "final chain hash"),
            (manifest.root == to_hex(&chain.tree.root()), "root"),
            (manifest.bytes == self.check.bytes, "bytes"),
            (self.check.begin.as_ref().is_some_and(|begin| begin.log == manifest.log), "log"),
        ];
        if let Some((_, name)) = facts.iter().find(|(right, _)| !right) {
            return Some((*name).to_owned());
        }
        let signers = self.signers();
        if signers.is_empty() {
            return None;
        }
        let note = manifest.checkpoint.as_deref().unwrap_or_default();
        match Known::read(note, &signers, "manifest") {
            Ok(known) if known.checkpoint.root == chain.tree.root() && known.checkpoint.size == manifest.size => None,
            Ok(_) => Some("its checkpoint states another root".to_owned()),
            Err(error) => Some(format!("its checkpoint: {error}")),
        }
    }

    /// The keys that must sign each of the log's checkpoints.
    pub(crate) fn signers(&self) -> Vec<VerifierKey> {
        self.check.begin.as_ref().and_then(|begin| signers(begin).ok()).unwrap_or_default()
    }

    /// True when something besides its first line says that a file is one of a sealed log: that line was destroyed then.
    fn is_ours(&self, file: &LogFile) -> bool {
        let sidecars = self.chainstate.is_some() || !self.known.is_empty() || file.manifest.is_some();
        sidecars || file.rotated.is_some() || self.files > 1 || has_sealed_line(file)
    }

    /// A fault inside a file: its kind, place and how far it reaches.
    fn fault(&mut self, file: &LogFile, error: &EvidenceError) -> Result<(), EvidenceError> {
        let (verdict, code) = match error {
            EvidenceError::SequenceGap { .. } => (Verdict::SeqGap, "OBS403"),
            EvidenceError::Truncated { .. } => (Verdict::Tampered, "OBS406"),
            EvidenceError::MacMismatch { fault: MacFault::WrongKey, .. } => (Verdict::WrongKey, "OBS402"),
            EvidenceError::MacMismatch { fault: MacFault::Unsigned, .. } => (Verdict::PolicyDowngrade, "OBS402"),
            EvidenceError::MacMismatch { .. } => (Verdict::Tampered, "OBS402"),
            EvidenceError::Format { .. } if self.check.begin.is_none() && !self.is_ours(file) => return Err(clone_format(error)),
            EvidenceError::Format { .. } => (Verdict::Tampered, "OBS500"),
            _ => (Verdict::Tampered, "OBS401"),
        };
        let place = error.place().cloned().unwrap_or_else(|| self.check.place());
        let last = last_bad(file, place.offset, place.sequence).unwrap_or(place.sequence);
        let finding = self.find(verdict, code, error.to_string());
        finding.path = place.path;
        (finding.line, finding.offset) = (Some(place.line), Some(place.offset));
        (finding.first, finding.last) = (Some(place.sequence), Some(last.max(place.sequence)));
        Ok(())
    }
}

fn clone_format(error: &EvidenceError) -> EvidenceError {
    match error {
        EvidenceError::Format { path, offset, cause } => {
            EvidenceError::Format { path: path.clone(), offset: *offset, cause: cause.clone() }
        }
        other => EvidenceError::Format { path: PathBuf::new(), offset: 0, cause: other.to_string() },
    }
}

/// True when one of a file's next lines has the form of a sealed one.
fn has_sealed_line(file: &LogFile) -> bool {
    let Ok(input) = file.open() else { return false };
    let mut input = BufReader::new(input.take(4 * crate::line::MAX_LINE_BYTES as u64));
    let mut line = Vec::new();
    (0..8).any(|_| {
        line.clear();
        let read = input.read_until(b'\n', &mut line).unwrap_or(0);
        read > 0 && line.strip_suffix(b"\n").is_some_and(|line| parse(line).is_ok())
    })
}

/// The sequence that a file's first line states.
fn first_seq(file: &LogFile) -> Option<u64> {
    let mut line = Vec::new();
    let limit = crate::line::MAX_LINE_BYTES as u64 + 1;
    BufReader::new(file.open().ok()?.take(limit)).read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\n")?;
    parse(line).ok().map(|parsed| parsed.seq)
}

/// How far a fault reaches: the last line that does not follow from what stands before it.
fn last_bad(file: &LogFile, offset: u64, sequence: u64) -> Option<u64> {
    let mut input = BufReader::new(file.open().ok()?);
    std::io::copy(&mut input.by_ref().take(offset), &mut std::io::sink()).ok()?;
    let (mut line, mut last, mut before, mut hasher) = (Vec::new(), sequence, None, Abreast::new());
    let limit = crate::line::MAX_LINE_BYTES as u64 + 2;
    loop {
        line.clear();
        if input.by_ref().take(limit).read_until(b'\n', &mut line).ok()? == 0 {
            return Some(last);
        }
        let Some(whole) = line.strip_suffix(b"\n") else { return Some(last) };
        let follows = parse(whole).ok().and_then(|parsed| {
            let (seq, prev) = before?;
            let one = Linked { line: whole, parsed, prev, chain: parsed.chain_bytes()?, key: None };
            check(seq, &one, hasher.sums(&[one]).first()?, parsed.hmac.is_some()).ok()
        });
        if follows.is_none() {
            last = parse(whole).map_or(last, |parsed| parsed.seq.max(last));
        }
        before = parse(whole).ok().and_then(|parsed| Some((parsed.seq.checked_add(1)?, parsed.chain_bytes()?)));
    }
}
