// SPDX-License-Identifier: Apache-2.0
//! Starting a log and opening one again: what a crash left behind is cut away, put right and recorded.

use crate::appender::Appender;
use crate::chain::ChainState;
use crate::error::{EvidenceError, Place};
use crate::hash::{from_hex, to_hex};
use crate::interrupted;
use crate::key::SecretKey;
use crate::merge::LogCheck;
use crate::names;
use crate::names::log_id;
use crate::options::WriterOptions;
use crate::records::{self, Begin, Damage, DamageClass, HmacInfo, Repair, Resume};
use crate::sidecar::{Chainstate, MAX_SIDECAR_BYTES};
use crate::signing::CheckpointSigner;
use crate::verify::Tail;
use crate::writer::{Cadence, LogWriter, WriterKey};
use base64::Engine;
use sha2::Digest;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Instant;

/// Damaged bytes up to this many are kept inside the `resume` record, more in a file of their own.
const KEPT_DAMAGE_BYTES: u64 = 4096;

impl LogWriter {
    /// Seal the first line of a new log into an empty file.
    pub(crate) fn start(file: Appender, options: WriterOptions) -> Result<Self, EvidenceError> {
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id).map_err(|error| EvidenceError::io(&file.path, "name", io::Error::other(error)))?;
        let log = to_hex(&id);
        let named = !options.origin.is_empty();
        let origin = if named { options.origin.clone() } else { format!("observer.local/log/{log}") };
        let key = options.hmac_key.clone().map(|secret| WriterKey::new(secret, 0));
        let signer = CheckpointSigner::new(&origin, &options)?;
        let (plain, cosigner) = signer.as_ref().map(CheckpointSigner::verifier_keys).unwrap_or_default();
        let begin = Begin {
            format: records::FORMAT.to_owned(),
            version: records::VERSION,
            log,
            origin,
            hmac: key.as_ref().map(|key| HmacInfo { key: key.secret.id(), epoch: 0 }),
            signer: plain,
            cosigner,
            start: None,
            stamp: (options.clock)(),
        };
        let mut writer = Self::assemble(file, options, begin, ChainState::default());
        (writer.key, writer.signer) = (key, signer);
        writer.last_stamp = Some(writer.begin.stamp.clone());
        if let Some(key) = writer.key.take() {
            writer.keep_key(&key)?;
            writer.key = Some(key);
        }
        let begin = writer.begin.clone();
        writer.seal_record(records::BEGIN, &begin)?;
        writer.sync()?;
        Ok(writer)
    }

    fn assemble(file: Appender, options: WriterOptions, begin: Begin, chain: ChainState) -> Self {
        let now = Instant::now();
        let start = begin.start.as_ref();
        let (segment, segment_first) = start.map_or((0, 0), |start| (start.segment, start.size));
        let rotate_at = options.rotate_bytes.unwrap_or(u64::MAX);
        let cadence = Cadence {
            checkpoint_lines: 0,
            checkpoint_at: now,
            epoch_lines: 0,
            epoch_at: now,
            unsynced_lines: 0,
            chainstate_at: now,
            rotate_at,
        };
        let path = file.path.clone();
        let (key, signer, last_stamp) = (None, None, None);
        let pruned = begin.start.as_ref().map_or(0, |start| start.pruned);
        Self { path, options, file, chain, begin, key, signer, segment, segment_first, pruned, cadence, last_stamp }
    }

    /// Open a log to append: checks all of its newest file, cuts away what a crash left at its end, puts sidecars right,
    /// and seals a `resume` record that says so.
    ///
    /// # Errors
    /// A finding when its lines do not hold: such a log is evidence and is not written to. `KeyUnusable` when it is
    /// signed and no key is given, or the other way round. `Refused` when another writer holds it or it is a link.
    pub fn open(path: &Path, options: WriterOptions) -> Result<Self, EvidenceError> {
        let mut repairs = interrupted::finish(path, &options)?;
        let handle = options.fs.open(path).map_err(|error| open_error(path, error))?;
        let mut file = Appender::new(path, handle);
        let mut check = LogCheck::new(path, options.hmac_key.as_ref());
        let state = read_chainstate(path, &options);
        check.watch = state.iter().map(|state| state.state.tree.size()).collect();
        let outcome = check.run(file.reader(0), 1);
        let tail = reordered(outcome, &check, state.as_ref().ok())?;
        let damage = repair_tail(&mut file, tail, &check, &options)?;
        let Some(begin) = check.header.clone() else {
            let mut writer = Self::start(file, options)?;
            writer.resume(false, damage, repairs)?;
            return Ok(writer);
        };
        repairs.extend(reconcile(path, &check, state, &options)?);
        let mut writer = Self::assemble(file, options, begin, check.chain.clone());
        writer.key = current_key(path, &writer.options, &check)?;
        writer.signer = CheckpointSigner::new(&writer.begin.origin, &writer.options)?;
        let named = writer.signer.as_ref().map(CheckpointSigner::verifier_keys).unwrap_or_default();
        if named != (writer.begin.signer.clone(), writer.begin.cosigner.clone()) {
            let cause = format!("{} was begun with another checkpoint key, or with none", path.display());
            return Err(EvidenceError::KeyUnusable { cause });
        }
        writer.last_stamp.clone_from(&check.found.last_stamp);
        writer.pruned = check.found.pruned_before;
        writer.resume(check.found.closed, damage, repairs)?;
        Ok(writer)
    }

    fn resume(&mut self, clean: bool, damage: Option<Damage>, repairs: Vec<Repair>) -> Result<(), EvidenceError> {
        let stamp = self.stamp()?;
        self.seal_record(records::RESUME, &Resume { clean, damage, stamp: stamp.clone() })?;
        for repair in repairs {
            self.seal_record(records::REPAIR, &Repair { stamp: stamp.clone(), ..repair })?;
        }
        self.sync()?;
        self.write_sidecars(true);
        Ok(())
    }
}

pub(crate) fn repair(what: &str, found: &str) -> Repair {
    Repair { what: what.to_owned(), found: found.to_owned(), stamp: crate::Stamp::default() }
}

fn read_chainstate(path: &Path, options: &WriterOptions) -> Result<Chainstate, &'static str> {
    if !options.has_sidecars() {
        return Err("unused");
    }
    let bytes = match options.fs.read(&names::chainstate(path), MAX_SIDECAR_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err("missing"),
        Err(_) => return Err("unreadable"),
    };
    let unsigned = Chainstate::parse(&bytes, None);
    let Some(first) = &options.hmac_key else {
        return unsigned;
    };
    // The epoch it states says which key signed it; a lie only makes the signature not fit.
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    let epoch: u64 = field("epoch ").and_then(|epoch| epoch.parse().ok()).filter(|&epoch| epoch < 1 << 20).ok_or("malformed")?;
    let log = field("log ").and_then(|log| log_id(&log)).ok_or("malformed")?;
    let key = (0..epoch).fold(first.clone(), |key, _| key.next_epoch(&log));
    Chainstate::parse(&bytes, Some(&key.mac_key()))
}

/// A line that does not hold, beyond what is known to have reached the disk, is a write that did so in part.
fn reordered(outcome: Result<Tail, EvidenceError>, check: &LogCheck, state: Option<&Chainstate>) -> Result<Tail, EvidenceError> {
    let error = match outcome {
        Ok(tail) => return Ok(tail),
        Err(error) => error,
    };
    let header = check.header.as_ref();
    let segment = header.and_then(|header| header.start.as_ref()).map_or(0, |start| start.segment);
    let of_this_log = |state: &&Chainstate| header.is_some_and(|header| header.log == state.log) && state.segment <= segment;
    // One of the file before knows nothing of this one: it was not yet written anew when the power went.
    let durable = state.filter(of_this_log).map(|state| if state.segment == segment { state.durable } else { 0 });
    match durable {
        Some(durable) if error.is_finding() && check.is_settled() && check.bytes >= durable => {
            Ok(Tail::Torn { offset: check.bytes, bytes: u64::MAX })
        }
        _ => Err(error),
    }
}

/// Cut a damaged tail away and describe it.
fn repair_tail(
    file: &mut Appender,
    tail: Tail,
    check: &LogCheck,
    options: &WriterOptions,
) -> Result<Option<Damage>, EvidenceError> {
    let path = file.path.clone();
    (file.length, file.durable) = (check.bytes, 0);
    let (class, offset) = match tail {
        Tail::Whole => return Ok(None),
        Tail::Torn { offset: 0, .. } | Tail::Zeroed { offset: 0, .. } => (DamageClass::TornBegin, 0),
        Tail::Torn { offset, bytes: u64::MAX } => (DamageClass::Reordered, offset),
        Tail::Torn { offset, .. } => (DamageClass::TornTail, offset),
        Tail::Zeroed { offset, .. } => (DamageClass::ZeroedTail, offset),
    };
    let (mut hasher, mut bytes, mut kept) = (sha2::Sha256::new(), 0, Vec::new());
    let (mut chunk, mut reader) = (vec![0; 64 * 1024], file.reader(offset));
    loop {
        let count = reader.read(&mut chunk).map_err(|error| EvidenceError::io(&path, "read", error))?;
        if count == 0 {
            break;
        }
        hasher.update(&chunk[..count]);
        if bytes < 8 * 1024 * 1024 {
            kept.extend_from_slice(&chunk[..count]);
        }
        bytes += count as u64;
    }
    if offset == 0 && !is_start_of_begin(&kept) {
        return Err(check.foreign("no whole line"));
    }
    let nonzero = kept.iter().any(|&b| b != 0);
    if nonzero && bytes > KEPT_DAMAGE_BYTES {
        let beside = names::beside(&path, &format!(".damage-{:012}", check.chain.next_seq()));
        options.fs.replace(&beside, &kept).map_err(|error| EvidenceError::io(&beside, "write", error))?;
    }
    file.truncate(offset)?;
    let inline = nonzero && bytes <= KEPT_DAMAGE_BYTES;
    let kept = inline.then(|| base64::engine::general_purpose::STANDARD.encode(&kept));
    Ok(Some(Damage { class, offset, bytes, sha256: to_hex(&hasher.finalize()), kept }))
}

/// A file cut off inside its first line is only ours when what is there is the start of one, or zeros.
fn is_start_of_begin(bytes: &[u8]) -> bool {
    const START: &[u8] = b"{\"seq\":0,\"kind\":\"begin\"";
    let common = bytes.iter().zip(START).take_while(|(a, b)| a == b).count();
    common == START.len() || bytes[common..].iter().all(|&b| b == 0)
}

/// Hold the chainstate against the log: lines it knows to be on disk must be there and be the same.
fn reconcile(
    path: &Path,
    check: &LogCheck,
    state: Result<Chainstate, &'static str>,
    options: &WriterOptions,
) -> Result<Option<Repair>, EvidenceError> {
    let state = match state {
        Ok(state) => state,
        Err("unused") => return Ok(None),
        // The keeper of its own key cannot check a signature made with a key it has forgotten.
        Err(_) if options.hmac_key.is_none() && check.begin.as_ref().is_some_and(|b| b.hmac.is_some()) => return Ok(None),
        Err(found) => return Ok(Some(repair("chainstate", found))),
    };
    let place = Place { sequence: state.state.tree.size(), ..check.place() };
    let segment = check.header.as_ref().and_then(|h| h.start.as_ref()).map_or(0, |start| start.segment);
    let (known, here) = (state.state.tree.size(), check.chain.tree.size());
    if check.header.as_ref().is_some_and(|header| header.log != state.log) {
        return Ok(Some(repair("chainstate", "of another log")));
    }
    if state.segment > segment || (state.segment == segment && state.durable > check.bytes) {
        let cause = format!("its chainstate knows {known} lines, {} bytes of them on disk", state.durable);
        return Err(EvidenceError::Truncated { place: Place { path: path.to_path_buf(), ..check.place() }, cause });
    }
    if check.watched.get(&known).is_some_and(|root| *root != state.state.tree.root()) {
        let cause = "the log was rewritten after its chainstate was written".to_owned();
        return Err(EvidenceError::ChainBroken { place, cause });
    }
    Ok((known != here).then(|| repair("chainstate", &format!("stale: {known} lines, the log has {here}"))))
}

/// The key that signs from here on: worked out from the one given, or the one that the log keeps itself.
fn current_key(path: &Path, options: &WriterOptions, check: &LogCheck) -> Result<Option<WriterKey>, EvidenceError> {
    let Some(begin) = &check.begin else {
        return Ok(None);
    };
    let (Some(_), Some(log)) = (&begin.hmac, log_id(&begin.log)) else {
        return Ok(None);
    };
    if let Some(first) = &options.hmac_key {
        let secret = (0..check.epoch).fold(first.clone(), |key, _| key.next_epoch(&log));
        return Ok(Some(WriterKey::new(secret, check.epoch)));
    }
    let unusable = |cause: &str| EvidenceError::KeyUnusable { cause: format!("{}: {cause}", path.display()) };
    let kept = options.fs.read(&names::sealkey(path), 16 * 1024);
    let kept = zeroize::Zeroizing::new(kept.map_err(|_| unusable("the log is signed; without its key nothing can be added"))?);
    let text = std::str::from_utf8(&kept).ok().and_then(|text| text.trim_end().split_once(' '));
    let (epoch, digits) = text.ok_or_else(|| unusable("its kept key is malformed"))?;
    let secret = from_hex(digits.as_bytes()).and_then(|key| SecretKey::new(key.to_vec()).ok());
    let (Ok(epoch), Some(secret)) = (epoch.parse::<u64>(), secret) else {
        return Err(unusable("its kept key is malformed"));
    };
    // A crash between the epoch record and the new key leaves the key one epoch behind.
    let secret = if epoch + 1 == check.epoch { secret.next_epoch(&log) } else { secret };
    if check.key_id.as_deref() != Some(secret.id().as_str()) {
        return Err(unusable("its kept key is not the one that signs its last lines"));
    }
    Ok(Some(WriterKey::new(secret, check.epoch)))
}

fn open_error(path: &Path, error: io::Error) -> EvidenceError {
    let cause = match error.kind() {
        ErrorKind::WouldBlock => "another writer has it open",
        ErrorKind::InvalidInput => "it is a link or not a plain file",
        _ => return EvidenceError::io(path, "open", error),
    };
    EvidenceError::Refused { path: path.to_path_buf(), cause }
}
