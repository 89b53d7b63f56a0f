// SPDX-License-Identifier: Apache-2.0
//! The writer: seals events one after the other, and leaves a log that opens whatever happened to it.
//!
//! Rule for every error: an event whose append failed is not sealed, everything before it is whole on disk or pending.

use crate::chain::ChainState;
use crate::error::EvidenceError;
use crate::hash::{to_hex, Digest32, MacKey};
use crate::json::check_event;
use crate::key::SecretKey;
use crate::line::MAX_EVENT_BYTES;
use crate::records::{self, Begin, Damage, DamageClass, End, HmacInfo, Loss, Resume};
use crate::stamp::Stamp;
use crate::verify::{LogCheck, Tail};
use crate::vfs::{Handle, RealFs, Vfs};
use base64::Engine;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes held back at most before they go to the kernel; larger writes are not faster.
const BUFFER_BYTES: usize = 256 * 1024;
/// Damaged bytes up to this many are kept inside the `resume` record.
const KEPT_DAMAGE_BYTES: usize = 4096;

/// How bad an event is; decides when it must be on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Detail.
    Verbose,
    /// Normal.
    #[default]
    Info,
    /// Unusual.
    Warning,
    /// Failed: forced to the disk before `append` returns.
    Error,
    /// Failing: forced to the disk before `append` returns.
    Critical,
}

/// When sealed lines leave the process. Events of severity Error and above are always forced to the disk at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Kept in a buffer of 256 KiB; `kill -9` loses what is in it. Fastest.
    Buffered,
    /// Written to the kernel before `append` returns: survives `kill -9`, not power loss.
    #[default]
    Kernel,
    /// As Kernel, and forced to the disk after every so many lines.
    Group(u32),
    /// Forced to the disk before `append` returns: survives power loss.
    Disk,
}

/// How a log is written.
#[derive(Clone)]
pub struct WriterOptions {
    /// Signs every line; None makes an unsigned log.
    pub hmac_key: Option<SecretKey>,
    /// When lines leave the process.
    pub durability: Durability,
    /// Name of the log, for its checkpoints; empty gives `observer.local/log/<log id>`.
    pub origin: String,
    /// Where the writer's own records get their time from.
    pub clock: fn() -> Stamp,
    /// The file system; tests put one here that fails on purpose.
    pub fs: Arc<dyn Vfs>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            hmac_key: None,
            durability: Durability::default(),
            origin: String::new(),
            clock: Stamp::now,
            fs: Arc::new(RealFs),
        }
    }
}

/// What a closed log ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReport {
    /// Lines in the log, the writer's own records among them.
    pub size: u64,
    /// Chain value of the last line.
    pub head: Digest32,
    /// RFC 6962 root of all lines.
    pub root: Digest32,
}

/// Appends sealed lines to one log. Dropping it without `close` leaves a log that verifies and says it was not closed.
pub struct LogWriter {
    path: PathBuf,
    handle: Box<dyn Handle>,
    mac: Option<MacKey>,
    durability: Durability,
    clock: fn() -> Stamp,
    chain: ChainState,
    pending: Vec<u8>,
    file_len: u64,
    unsynced_lines: u64,
    stopped: Option<&'static str>,
}

impl LogWriter {
    /// Make a new log (mode 0600) and seal its `begin` record; the log exists on disk when this returns.
    ///
    /// # Errors
    /// When the file exists, cannot be made, or the disk is full.
    pub fn create(path: &Path, options: WriterOptions) -> Result<Self, EvidenceError> {
        let handle = options
            .fs
            .create(path)
            .map_err(|error| EvidenceError::io(path, "create", error))?;
        let mut writer = Self::with(path, handle, &options);
        if let Err(error) = writer.begin(&options) {
            // Nothing was sealed: leave nothing behind. The error to tell is the first one.
            let _ = options.fs.remove(path);
            return Err(error);
        }
        let directory = path.parent().unwrap_or(Path::new("."));
        options
            .fs
            .sync_dir(directory)
            .map_err(|error| EvidenceError::io(directory, "sync", error))?;
        Ok(writer)
    }

    /// Open a log to append: checks all of it, cuts away what a crash left at its end, and seals a `resume` record that
    /// says so.
    ///
    /// # Errors
    /// A finding when its lines do not hold: such a log is evidence and is not written to. `KeyUnusable` when it is
    /// signed and no key is given, or the other way round. `Refused` when another writer holds it or it is a link.
    pub fn open(path: &Path, options: WriterOptions) -> Result<Self, EvidenceError> {
        let handle = options
            .fs
            .open(path)
            .map_err(|error| open_error(path, error))?;
        let mut writer = Self::with(path, handle, &options);
        let mut check = LogCheck::new(path, options.hmac_key.as_ref());
        let tail = check.run(HandleReader {
            handle: writer.handle.as_mut(),
            offset: 0,
        })?;
        let damage = writer.repair(tail, check.bytes)?;
        let Some(begin) = check.begin.as_ref() else {
            writer.begin(&options)?;
            writer.resume(false, damage)?;
            return Ok(writer);
        };
        if begin.hmac.is_some() && options.hmac_key.is_none() {
            let cause = format!(
                "{} is signed; without its key nothing can be added",
                path.display()
            );
            return Err(EvidenceError::KeyUnusable { cause });
        }
        writer.chain = check.chain.clone();
        writer.resume(check.closed, damage)?;
        Ok(writer)
    }

    fn with(path: &Path, handle: Box<dyn Handle>, options: &WriterOptions) -> Self {
        Self {
            path: path.to_path_buf(),
            handle,
            mac: options.hmac_key.as_ref().and_then(SecretKey::mac_key),
            durability: options.durability,
            clock: options.clock,
            chain: ChainState::default(),
            pending: Vec::new(),
            file_len: 0,
            unsynced_lines: 0,
            stopped: None,
        }
    }

    fn begin(&mut self, options: &WriterOptions) -> Result<(), EvidenceError> {
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id)
            .map_err(|error| EvidenceError::io(&self.path, "name", io::Error::other(error)))?;
        let log = to_hex(&id);
        let origin = if options.origin.is_empty() {
            format!("observer.local/log/{log}")
        } else {
            options.origin.clone()
        };
        let hmac = options.hmac_key.as_ref().map(|key| HmacInfo {
            key: key.id(),
            epoch: 0,
        });
        let (format, stamp) = (records::FORMAT.to_owned(), (self.clock)());
        let begin = Begin {
            format,
            version: records::VERSION,
            log,
            origin,
            hmac,
            stamp,
        };
        self.seal_record(records::BEGIN, &records::to_event(&begin))?;
        self.sync()
    }

    fn resume(&mut self, clean: bool, damage: Option<Damage>) -> Result<(), EvidenceError> {
        let resume = Resume {
            clean,
            damage,
            stamp: (self.clock)(),
        };
        self.seal_record(records::RESUME, &records::to_event(&resume))?;
        self.sync()
    }

    /// Cut a damaged tail away and describe it.
    fn repair(&mut self, tail: Tail, whole_bytes: u64) -> Result<Option<Damage>, EvidenceError> {
        self.file_len = whole_bytes;
        let (class, offset, bytes) = match tail {
            Tail::Whole => return Ok(None),
            Tail::Torn { offset: 0, bytes } | Tail::Zeroed { offset: 0, bytes } => {
                (DamageClass::TornBegin, 0, bytes)
            }
            Tail::Torn { offset, bytes } => (DamageClass::TornTail, offset, bytes),
            Tail::Zeroed { offset, bytes } => (DamageClass::ZeroedTail, offset, bytes),
        };
        let mut kept = Vec::new();
        let reader = HandleReader {
            handle: self.handle.as_mut(),
            offset,
        };
        let limit = KEPT_DAMAGE_BYTES as u64;
        reader
            .take(limit)
            .read_to_end(&mut kept)
            .map_err(|error| EvidenceError::io(&self.path, "read", error))?;
        if offset == 0 && !is_start_of_begin(&kept) {
            let cause = "not a sealed log: no whole line".to_owned();
            return Err(EvidenceError::Format {
                path: self.path.clone(),
                offset,
                cause,
            });
        }
        let digest = self.digest_from(offset)?;
        let keep = bytes <= limit && kept.iter().any(|&b| b != 0);
        self.truncate(offset)?;
        let kept = keep.then(|| base64::engine::general_purpose::STANDARD.encode(&kept));
        Ok(Some(Damage {
            class,
            offset,
            bytes,
            sha256: to_hex(&digest),
            kept,
        }))
    }

    fn digest_from(&mut self, offset: u64) -> Result<Digest32, EvidenceError> {
        use sha2::Digest;
        let mut hasher = sha2::Sha256::new();
        let mut reader = HandleReader {
            handle: self.handle.as_mut(),
            offset,
        };
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finalize().into()),
                Ok(count) => hasher.update(&chunk[..count]),
                Err(error) => return Err(EvidenceError::io(&self.path, "read", error)),
            }
        }
    }

    /// Sequence of the next line.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.chain.next_seq()
    }

    /// Where the chain stands, lines not yet written included.
    #[must_use]
    pub fn state(&self) -> &ChainState {
        &self.chain
    }

    /// Seal one event: the exact bytes of a JSON object without newline. Returns its sequence (from 0; 0 is the log's
    /// own `begin` record, so events start at 1).
    ///
    /// # Errors
    /// `InvalidEvent`, `StorageFull` or I/O; the event is then not sealed.
    pub fn append(&mut self, event: &[u8], severity: Severity) -> Result<u64, EvidenceError> {
        self.append_batch(&[(event, severity)])
    }

    /// Seal several events, all or none. Returns the sequence of the first; the others follow without gap.
    ///
    /// # Errors
    /// As [`LogWriter::append`].
    pub fn append_batch(&mut self, events: &[(&[u8], Severity)]) -> Result<u64, EvidenceError> {
        for (event, _) in events {
            check_event_size(event)?;
        }
        let severe = events
            .iter()
            .any(|(_, severity)| *severity >= Severity::Error);
        self.seal_all(events.iter().map(|(event, _)| (None, *event)), severe)
    }

    /// Seal a `loss` record: `dropped` events happened that could not be sealed.
    ///
    /// # Errors
    /// As [`LogWriter::append`].
    pub fn declare_loss(&mut self, dropped: u64, reason: &str) -> Result<u64, EvidenceError> {
        let loss = Loss {
            dropped,
            reason: reason.chars().take(1000).collect(),
            stamp: (self.clock)(),
        };
        self.seal_record(records::LOSS, &records::to_event(&loss))
    }

    fn seal_record(&mut self, kind: &'static str, event: &[u8]) -> Result<u64, EvidenceError> {
        self.seal_all(std::iter::once((Some(kind), event)), false)
    }

    fn seal_all<'a>(
        &mut self,
        lines: impl Iterator<Item = (Option<&'static str>, &'a [u8])>,
        severe: bool,
    ) -> Result<u64, EvidenceError> {
        self.check_running()?;
        let first = self.chain.next_seq();
        let at_once = severe || self.durability != Durability::Buffered;
        if at_once || self.pending.len() >= BUFFER_BYTES {
            self.write_pending()?;
        }
        let before = at_once.then(|| self.chain.clone());
        for (kind, event) in lines {
            self.chain
                .seal(&mut self.pending, kind, event, self.mac.as_ref());
        }
        if let Some(before) = before {
            self.write_or_undo(before)?;
        }
        self.unsynced_lines += self.chain.next_seq() - first;
        let due = match self.durability {
            Durability::Disk => true,
            Durability::Group(lines) => self.unsynced_lines >= u64::from(lines),
            Durability::Buffered | Durability::Kernel => false,
        };
        if severe || due {
            self.sync()?;
        }
        Ok(first)
    }

    /// Write what was just sealed, or leave the log as it was before.
    fn write_or_undo(&mut self, before: ChainState) -> Result<(), EvidenceError> {
        let whole_bytes = self.file_len;
        self.write_pending().inspect_err(|_| {
            self.pending.clear();
            self.chain = before;
            // A failed cut stops the writer, which `truncate` notes; the error to tell is the first one.
            let _ = self.truncate(whole_bytes);
        })
    }

    /// Give all lines to the kernel: they survive the end of this process from here on.
    ///
    /// # Errors
    /// `StorageFull` or I/O; lines not written stay pending and are tried again.
    pub fn flush(&mut self) -> Result<(), EvidenceError> {
        self.check_running()?;
        self.write_pending()
    }

    /// Force all lines to the disk: they survive power loss from here on.
    ///
    /// # Errors
    /// As [`LogWriter::flush`]; after a failed fdatasync the writer stops, because the kernel may have dropped the data.
    pub fn sync(&mut self) -> Result<(), EvidenceError> {
        self.flush()?;
        if let Err(error) = self.handle.sync() {
            self.stopped = Some("sync");
            return Err(EvidenceError::io(&self.path, "sync", error));
        }
        self.unsynced_lines = 0;
        Ok(())
    }

    /// Seal an `end` record and force everything to the disk.
    ///
    /// # Errors
    /// As [`LogWriter::sync`].
    pub fn close(mut self) -> Result<CloseReport, EvidenceError> {
        self.flush()?;
        let root = to_hex(&self.chain.tree.root());
        let end = End {
            size: self.chain.next_seq(),
            root,
            stamp: (self.clock)(),
        };
        self.seal_record(records::END, &records::to_event(&end))?;
        self.sync()?;
        Ok(CloseReport {
            size: self.chain.next_seq(),
            head: self.chain.head,
            root: self.chain.tree.root(),
        })
    }

    fn check_running(&self) -> Result<(), EvidenceError> {
        match self.stopped {
            None => Ok(()),
            Some(op) => Err(EvidenceError::Stopped {
                path: self.path.clone(),
                op,
            }),
        }
    }

    fn write_pending(&mut self) -> Result<(), EvidenceError> {
        let mut done = 0;
        while done < self.pending.len() {
            match self.handle.append(&self.pending[done..]) {
                Ok(0) => return Err(self.keep_whole_lines(done, ErrorKind::WriteZero.into())),
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.keep_whole_lines(done, error)),
            }
        }
        self.file_len += done as u64;
        self.pending.clear();
        Ok(())
    }

    /// After a write that took `done` bytes and failed: cut the file back to its last whole line.
    fn keep_whole_lines(&mut self, done: usize, error: io::Error) -> EvidenceError {
        let whole = memchr::memrchr(b'\n', &self.pending[..done]).map_or(0, |newline| newline + 1);
        self.pending.drain(..whole);
        self.file_len += whole as u64;
        if done != whole {
            if let Err(cut_error) = self.truncate(self.file_len) {
                return cut_error;
            }
        }
        match error.kind() {
            ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::WriteZero => EvidenceError::StorageFull {
                path: self.path.clone(),
                sequence: self.chain.next_seq(),
            },
            _ => {
                self.stopped = Some("write");
                EvidenceError::io(&self.path, "write", error)
            }
        }
    }

    fn truncate(&mut self, length: u64) -> Result<(), EvidenceError> {
        if let Err(error) = self.handle.truncate(length) {
            self.stopped = Some("truncate");
            return Err(EvidenceError::io(&self.path, "truncate", error));
        }
        self.file_len = length;
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if self.stopped.is_none() {
            // Nobody is left to tell; the log then ends at its last whole line.
            let _ = self.write_pending();
        }
    }
}

/// A file cut off inside its first line is only ours when what is there is the start of one, or zeros.
fn is_start_of_begin(bytes: &[u8]) -> bool {
    const START: &[u8] = b"{\"seq\":0,\"kind\":\"begin\"";
    let common = bytes.iter().zip(START).take_while(|(a, b)| a == b).count();
    common == START.len() || bytes[common..].iter().all(|&b| b == 0)
}

fn check_event_size(event: &[u8]) -> Result<(), EvidenceError> {
    if event.len() > MAX_EVENT_BYTES {
        return Err(EvidenceError::InvalidEvent {
            cause: "longer than an event may be",
            offset: MAX_EVENT_BYTES,
        });
    }
    check_event(event).map_err(|(cause, offset)| EvidenceError::InvalidEvent { cause, offset })
}

fn open_error(path: &Path, error: io::Error) -> EvidenceError {
    match error.kind() {
        ErrorKind::WouldBlock => EvidenceError::Refused {
            path: path.to_path_buf(),
            cause: "another writer has it open",
        },
        ErrorKind::InvalidInput => EvidenceError::Refused {
            path: path.to_path_buf(),
            cause: "it is a link or not a plain file",
        },
        _ => EvidenceError::io(path, "open", error),
    }
}

struct HandleReader<'a> {
    handle: &'a mut dyn Handle,
    offset: u64,
}

impl Read for HandleReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.handle.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
