// SPDX-License-Identifier: Apache-2.0
//! Bytes to the end of one file: whole lines or nothing, whatever the disk does.

use crate::error::EvidenceError;
use crate::vfs::Handle;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The end of a log's file.
pub(crate) struct Appender {
    pub(crate) path: PathBuf,
    handle: Box<dyn Handle>,
    /// Whole lines not yet given to the kernel.
    pub(crate) pending: Vec<u8>,
    /// Bytes of whole lines that the kernel has.
    pub(crate) length: u64,
    /// Bytes of whole lines that the disk has.
    pub(crate) durable: u64,
    stopped: Option<&'static str>,
}

impl Appender {
    pub(crate) fn new(path: &Path, handle: Box<dyn Handle>) -> Self {
        Self { path: path.to_path_buf(), handle, pending: Vec::new(), length: 0, durable: 0, stopped: None }
    }

    /// Fail when an earlier failure left the file in an unknown state.
    pub(crate) fn check_running(&self) -> Result<(), EvidenceError> {
        match self.stopped {
            None => Ok(()),
            Some(op) => Err(EvidenceError::Stopped { path: self.path.clone(), op }),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.stopped.is_none()
    }

    /// Refuse everything from here on.
    pub(crate) fn stop(&mut self, op: &'static str) {
        self.stopped = Some(op);
    }

    /// Give pending lines to the kernel. On failure the file ends in a whole line and the rest stays pending.
    pub(crate) fn write_pending(&mut self, sequence: u64) -> Result<(), EvidenceError> {
        let mut done = 0;
        while done < self.pending.len() {
            match self.handle.append(&self.pending[done..]) {
                Ok(0) => return Err(self.keep_whole_lines(done, sequence, ErrorKind::WriteZero.into())),
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.keep_whole_lines(done, sequence, error)),
            }
        }
        self.length += done as u64;
        self.pending.clear();
        Ok(())
    }

    /// After a write that took `done` bytes and failed: cut the file back to its last whole line.
    fn keep_whole_lines(&mut self, done: usize, sequence: u64, error: io::Error) -> EvidenceError {
        let whole = memchr::memrchr(b'\n', &self.pending[..done]).map_or(0, |newline| newline + 1);
        self.pending.drain(..whole);
        self.length += whole as u64;
        if done != whole {
            if let Err(cut_error) = self.truncate(self.length) {
                return cut_error;
            }
        }
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge | ErrorKind::WriteZero => {
                EvidenceError::StorageFull { path: self.path.clone(), sequence }
            }
            _ => {
                self.stopped = Some("write");
                EvidenceError::io(&self.path, "write", error)
            }
        }
    }

    /// Cut the file to `length` bytes, which must be the end of a line.
    pub(crate) fn truncate(&mut self, length: u64) -> Result<(), EvidenceError> {
        if let Err(error) = self.handle.truncate(length) {
            self.stopped = Some("truncate");
            return Err(EvidenceError::io(&self.path, "truncate", error));
        }
        self.length = length;
        self.durable = self.durable.min(length);
        Ok(())
    }

    /// Force what the kernel has to the disk; after a failure nothing more is written, because the kernel may have
    /// dropped the data.
    pub(crate) fn sync(&mut self) -> Result<(), EvidenceError> {
        if self.durable == self.length {
            return Ok(());
        }
        if let Err(error) = self.handle.sync() {
            self.stopped = Some("sync");
            return Err(EvidenceError::io(&self.path, "sync", error));
        }
        self.durable = self.length;
        Ok(())
    }

    /// The file's bytes from an offset on.
    pub(crate) fn reader(&mut self, offset: u64) -> HandleReader<'_> {
        HandleReader { handle: self.handle.as_mut(), offset }
    }
}

/// Reads a handle forward.
pub(crate) struct HandleReader<'a> {
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
