// SPDX-License-Identifier: Apache-2.0
//! Puts checked blocks together in order: the tree, the writer's own records, the place of the first fault.

use crate::abreast::Abreast;
use crate::chain::{ChainState, Fault};
use crate::check::{count_epochs, Checked, Job, LineFault, Run};
use crate::error::{EvidenceError, MacFault, Place};
use crate::hash::{from_hex, Digest32};
use crate::key::{KeyRing, SecretKey};
use crate::line::{parse, Parsed};
use crate::names::log_id;
use crate::note::VerifierKey;
use crate::proof::Prover;
use crate::records::{self, Begin, Damage, FORMAT, VERSION};
use crate::scan::{Block, Raw, Scanner};
use crate::signing::signers;
use crate::stamp::{ClockStep, Stamp};
use crate::tree::Frontier;
use crate::verify::Tail;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::Mutex;

/// Most epochs a first line may claim: each costs a key derivation before anything else can be checked.
pub(crate) const MAX_EPOCH: u64 = 1 << 20;

/// Most lines a log may claim to have before a file.
const MAX_LINES: u64 = 1 << 62;

/// A checkpoint that the log itself holds and that proved right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCheckpoint {
    /// Lines that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// Counts and records found on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) lines: u64,
    pub(crate) events: u64,
    pub(crate) closed: bool,
    pub(crate) damage: Vec<Damage>,
    pub(crate) dropped: u64,
    pub(crate) repairs: u64,
    pub(crate) checkpoints: u64,
    pub(crate) last_checkpoint: Option<SealedCheckpoint>,
    pub(crate) pruned: Vec<records::PrunedFile>,
    /// All lines before this one were removed by policy, as the log declares.
    pub(crate) pruned_before: u64,
    pub(crate) witnessed: Option<String>,
    pub(crate) clock: Vec<ClockStep>,
    pub(crate) last_stamp: Option<Stamp>,
    /// The writer's own lines since the last event.
    pub(crate) lines_since_event: u64,
}

/// The state of a verification between lines; the writer uses it too when it opens a log again.
pub(crate) struct LogCheck {
    path: PathBuf,
    key: Option<SecretKey>,
    pub(crate) ring: Option<KeyRing>,
    pub(crate) signers: Vec<VerifierKey>,
    pub(crate) chain: ChainState,
    pub(crate) begin: Option<Begin>,
    /// The first line of the file at hand.
    pub(crate) header: Option<Begin>,
    pub(crate) first_sequence: u64,
    pub(crate) epoch: u64,
    /// Id of the key that signs at the end.
    pub(crate) key_id: Option<String>,
    /// Remember the root of the tree when it had these many leaves.
    pub(crate) watch: Vec<u64>,
    pub(crate) watched: BTreeMap<u64, Digest32>,
    pub(crate) prover: Option<Prover>,
    settled: bool,
    /// Bytes and lines of the file at hand.
    pub(crate) bytes: u64,
    pub(crate) file_lines: u64,
    pub(crate) found: Findings,
}

/// What the next block follows, known before the blocks before it are checked.
#[derive(Clone)]
struct Lead {
    seq: u64,
    prev: Digest32,
    epoch: u64,
}

/// Where blocks come from, and how the file ends once that is known.
struct Source<R> {
    scanner: Scanner<R>,
    lead: Option<Lead>,
    end: Option<Result<Tail, &'static str>>,
}

impl LogCheck {
    pub(crate) fn new(path: &Path, key: Option<&SecretKey>) -> Self {
        Self {
            path: path.to_path_buf(),
            key: key.cloned(),
            ring: None,
            signers: Vec::new(),
            chain: ChainState::default(),
            begin: None,
            header: None,
            first_sequence: 0,
            epoch: 0,
            key_id: None,
            watch: Vec::new(),
            watched: BTreeMap::new(),
            prover: None,
            settled: true,
            bytes: 0,
            file_lines: 0,
            found: Findings::default(),
        }
    }

    /// Chain and tree are of the same line, so that a writer may go on from here.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Go on with the next file of the same log.
    pub(crate) fn next_file(&mut self, path: &Path) {
        self.path = path.to_path_buf();
        (self.bytes, self.file_lines, self.header) = (0, 0, None);
    }

    /// Check every whole line of `input` with `threads` threads; returns how it ends.
    pub(crate) fn run(&mut self, input: impl Read, threads: usize) -> Result<Tail, EvidenceError> {
        let mut source = Source { scanner: Scanner::new(input), lead: None, end: None };
        if threads > 1 {
            self.run_beside(&mut source, threads)?;
        } else {
            let mut hasher = Abreast::new();
            while let Some(job) = self.next_job(&mut source)? {
                self.merge_and_reuse(job.run(&mut hasher), &mut source)?;
            }
        }
        match source.end {
            Some(Err(cause)) => Err(self.broken(cause)),
            Some(Ok(tail)) => Ok(tail),
            None => Ok(Tail::Whole),
        }
    }

    /// Other threads check blocks; this one reads them, a few ahead, and puts them together in order.
    fn run_beside(&mut self, source: &mut Source<impl Read>, threads: usize) -> Result<(), EvidenceError> {
        let (give, take) = mpsc::channel::<(Job, SyncSender<Checked>)>();
        let (take, mut waiting) = (Mutex::new(take), VecDeque::new());
        // Nobody fails while holding it.
        let next = || take.lock().ok().and_then(|take| take.recv().ok());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut hasher = Abreast::new();
                    while let Some((job, answer)) = next() {
                        // Nobody waits for it once a fault was found before it.
                        let _ = answer.send(job.run(&mut hasher));
                    }
                });
            }
            let give = give;
            loop {
                while waiting.len() < 2 * threads {
                    let Some(job) = self.next_job(source)? else { break };
                    let (answer, checked) = mpsc::sync_channel(1);
                    // They listen until `give` is gone.
                    let _ = give.send((job, answer));
                    waiting.push_back(checked);
                }
                let Some(checked) = waiting.pop_front() else { return Ok(()) };
                let lost = || EvidenceError::io(&self.path, "check", std::io::Error::other("a thread ended early"));
                let checked = checked.recv().map_err(|_| lost())?;
                self.merge_and_reuse(checked, source)?;
            }
        })
    }

    fn merge_and_reuse(&mut self, mut checked: Checked, source: &mut Source<impl Read>) -> Result<(), EvidenceError> {
        self.merge(&mut checked)?;
        source.scanner.give_back(checked.block.bytes);
        Ok(())
    }

    /// The next block to check; None at the end.
    fn next_job(&mut self, source: &mut Source<impl Read>) -> Result<Option<Job>, EvidenceError> {
        if source.end.is_some() {
            return Ok(None);
        }
        match source.scanner.next_block().map_err(|error| EvidenceError::io(&self.path, "read", error))? {
            Raw::Block(block) => return self.job(block, &mut source.lead).map(Some),
            Raw::TooLong(_) => source.end = Some(Err("longer than a line may be")),
            Raw::End(tail) => source.end = Some(Ok(tail)),
        }
        Ok(None)
    }

    /// Prepare a block for checking.
    fn job(&mut self, block: Block, lead: &mut Option<Lead>) -> Result<Job, EvidenceError> {
        if lead.is_none() {
            let line = &block.bytes[..memchr::memchr(b'\n', &block.bytes).unwrap_or(0)];
            self.read_first(line)?;
            *lead = Some(Lead { seq: self.chain.next_seq(), prev: self.chain.head, epoch: self.epoch });
        }
        let here = lead.clone().unwrap_or(Lead { seq: 0, prev: [0; 32], epoch: 0 });
        // Which epoch a line is of matters to who holds the key.
        let look = self.ring.is_some();
        let epochs = if look { memchr::memmem::find_iter(&block.bytes, b"\"kind\":\"epoch\"").count() } else { 0 };
        let keys = self.ring.as_mut().map(|ring| ring.from(here.epoch, epochs + 1)).unwrap_or_default();
        if let Ok(last) = parse(block.last_line()) {
            let (seq, prev) = (last.seq.saturating_add(1), last.chain_bytes().unwrap_or_default());
            // A line that only looks like an epoch record has broken the chain or is an event; count what really is one.
            let real = if epochs == 0 { 0 } else { count_epochs(&block.bytes) };
            *lead = Some(Lead { seq, prev, epoch: here.epoch + real });
        }
        let signed = self.begin.as_ref().is_some_and(|begin| begin.hmac.is_some());
        let (watch, keep_leaves) = (self.watch.clone(), self.prover.is_some());
        Ok(Job { block, first_seq: here.seq, prev: here.prev, signed, keys, watch, keep_leaves })
    }

    fn merge(&mut self, checked: &mut Checked) -> Result<(), EvidenceError> {
        let Checked { block, leaves, runs, kinds, head, good_bytes, fault } = checked;
        let (mut kinds, mut index, mut own) = (kinds.iter().peekable(), 0, 0);
        self.settled = false;
        for run in runs {
            self.put_run(run, own, &leaves[index.min(leaves.len())..], (block, index));
            index += run.lines;
            own = 0;
            if let Some(kind) = kinds.next_if(|kind| kind.index == index) {
                self.bytes = kind.offset;
                self.record(kind, &block.bytes[kind.event.clone()])?;
                own = 1;
            }
        }
        self.chain.head = *head;
        self.bytes = block.offset + *good_bytes;
        self.settled = true;
        fault.take().map_or(Ok(()), |fault| Err(self.fault(fault)))
    }

    /// Put a run of lines into the tree, the first `own` of which are the writer's own.
    fn put_run(&mut self, run: &Run, own: usize, leaves: &[Digest32], (block, index): (&Block, usize)) {
        let events = run.lines.saturating_sub(own) as u64;
        if events > 0 {
            self.found.events += events;
            self.found.lines_since_event = 0;
            self.found.closed = false;
        }
        match &mut self.prover {
            Some(prover) => {
                for (at, leaf) in leaves.iter().take(run.lines).enumerate() {
                    prover.push(&mut self.chain.tree, *leaf, block, index + at);
                }
            }
            None => self.chain.tree.push_all(&run.subtrees),
        }
        if self.watch.contains(&self.chain.tree.size()) {
            self.watched.insert(self.chain.tree.size(), self.chain.tree.root());
        }
        self.file_lines += run.lines as u64;
        self.found.lines += run.lines as u64;
    }

    /// Read the first line of a file: what log this is, and where its chain and tree stand.
    fn read_first(&mut self, line: &[u8]) -> Result<(), EvidenceError> {
        let parsed = match parse(line) {
            Ok(parsed) => parsed,
            Err(cause) => return Err(self.broken(cause)),
        };
        let header = self.read_header(&parsed)?;
        let start = self.read_start(&header)?;
        if self.begin.is_none() {
            self.first_sequence = start.next_seq();
            self.epoch = header.hmac.as_ref().map_or(0, |hmac| hmac.epoch);
            self.chain = start;
            self.adopt(&header)?;
            self.begin = Some(header.clone());
        } else if self.chain != start || self.begin.as_ref().is_some_and(|begin| begin.log != header.log) {
            return Err(self.broken("the file does not continue the one before"));
        }
        self.match_key(&header)?;
        let pruned = header.start.as_ref().map_or(0, |start| start.pruned);
        self.found.pruned_before = self.found.pruned_before.max(pruned);
        self.key_id = header.hmac.as_ref().map(|hmac| hmac.key.clone());
        self.header = Some(header);
        Ok(())
    }

    fn read_header(&self, parsed: &Parsed<'_>) -> Result<Begin, EvidenceError> {
        if !matches!(parsed.kind, Some(records::BEGIN | records::SEGMENT)) {
            return Err(self.foreign("the first line is not a begin or segment record"));
        }
        let value: serde_json::Value =
            serde_json::from_slice(parsed.event).map_err(|_| self.foreign("its first record is malformed"))?;
        if value.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
            return Err(self.foreign("another format's name"));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(1..=VERSION) => {}
            Some(version) if version > 0 => return Err(EvidenceError::Newer { path: self.path.clone(), version }),
            _ => return Err(self.foreign("no version")),
        }
        let header: Begin = serde_json::from_value(value).map_err(|_| self.foreign("its first record is malformed"))?;
        if header.start.is_some() != (parsed.kind == Some(records::SEGMENT)) || log_id(&header.log).is_none() {
            return Err(self.foreign("its first record is malformed"));
        }
        Ok(header)
    }

    fn read_start(&self, header: &Begin) -> Result<ChainState, EvidenceError> {
        let Some(start) = &header.start else {
            return Ok(ChainState::default());
        };
        let nodes: Option<Vec<_>> = start.frontier.iter().map(|node| from_hex(node.as_bytes())).collect();
        // No log comes near that size; a tree that could not count on is refused.
        let tree = nodes.filter(|_| start.size < MAX_LINES).and_then(|nodes| Frontier::from_parts(start.size, nodes));
        match (from_hex(start.chain.as_bytes()), tree) {
            (Some(head), Some(tree)) => Ok(ChainState { head, tree }),
            _ => Err(self.foreign("its segment record is malformed")),
        }
    }

    /// Take over the keys that a log's first line names.
    fn adopt(&mut self, header: &Begin) -> Result<(), EvidenceError> {
        self.signers = signers(header).map_err(|error| self.foreign(&format!("its signer: {error}")))?;
        if self.epoch > MAX_EPOCH || self.epoch > self.chain.next_seq() {
            return Err(self.foreign("its key epoch is out of range"));
        }
        if let (Some(key), Some(log), true) = (&self.key, log_id(&header.log), header.hmac.is_some()) {
            self.ring = Some(KeyRing::new(key, log, self.epoch));
        }
        Ok(())
    }

    fn match_key(&mut self, header: &Begin) -> Result<(), EvidenceError> {
        let epoch = self.epoch;
        let mine = self.ring.as_mut().and_then(|ring| ring.from(epoch, 1).pop());
        let (fault, cause) = match (&self.key, &header.hmac, mine) {
            (Some(_), None, _) => (MacFault::Unsigned, "the log is unsigned, but a key was given".to_owned()),
            (Some(_), Some(info), Some(key)) if key.id != info.key || epoch != info.epoch => {
                let cause = format!("wrong key: lines are signed with key {}, the key given is {}", info.key, key.id);
                (MacFault::WrongKey, cause)
            }
            _ => return Ok(()),
        };
        Err(EvidenceError::MacMismatch { fault, place: self.place(), cause })
    }

    /// The next line's place.
    pub(crate) fn place(&self) -> Place {
        Place { path: self.path.clone(), line: self.file_lines + 1, offset: self.bytes, sequence: self.chain.next_seq() }
    }

    pub(crate) fn foreign(&self, cause: &str) -> EvidenceError {
        EvidenceError::Format { path: self.path.clone(), offset: 0, cause: format!("not a sealed log: {cause}") }
    }

    pub(crate) fn broken(&self, cause: &str) -> EvidenceError {
        if self.begin.is_none() {
            return self.foreign(cause);
        }
        EvidenceError::ChainBroken { place: self.place(), cause: cause.to_owned() }
    }

    fn fault(&self, fault: LineFault) -> EvidenceError {
        let place = self.place();
        let mac = |fault, cause: &str| {
            let (place, cause) = (place.clone(), cause.to_owned());
            EvidenceError::MacMismatch { fault, place, cause }
        };
        match fault {
            LineFault::Malformed(cause) => self.broken(&format!("not a line of this format: {cause}")),
            LineFault::Rule(cause, at) => EvidenceError::Format {
                path: self.path.clone(),
                offset: place.offset,
                cause: format!("sealed event at sequence {} breaks a rule: {cause}, its byte {at}", place.sequence),
            },
            LineFault::Link(Fault::Sequence(found)) => EvidenceError::SequenceGap { place, found },
            LineFault::Link(Fault::Chain) => self.broken("the line or the one before it is not what was sealed"),
            LineFault::Link(Fault::Mac) => {
                mac(MacFault::Forged, "the chain holds but the HMAC does not: rewritten without the key")
            }
            LineFault::Link(Fault::Unsigned) => mac(MacFault::Unsigned, "the HMAC is missing"),
            LineFault::Link(Fault::Signed) => mac(MacFault::Forged, "an HMAC in a log that was begun unsigned"),
        }
    }
}
