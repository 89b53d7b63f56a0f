// SPDX-License-Identifier: Apache-2.0
//! One snapshot file, open: its ends are whole, and its frames are read within their limits.

use crate::error::{io_error, Result, SnapshotError};
use crate::frame::{FileKey, Head, Kind, Opener, HEAD};
use crate::layout::{Header, Refused, Trailer, ENDS};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// One file of a snapshot.
pub(crate) struct Opened {
    pub path: PathBuf,
    file: File,
    opener: Opener,
    pub length: u64,
    pub trailer: Trailer,
    pub start: u64,
}

/// Header and key block of a file, before any key is needed.
///
/// # Errors
/// Not a snapshot, newer, or unreadable.
pub fn read_start(path: &Path) -> Result<(Header, Vec<u8>)> {
    let file = open_file(path)?;
    read_start_of(path, &file)
}

fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|source| io_error("open", path, source))?;
    let plain = file.metadata().map_err(|source| io_error("open", path, source))?.is_file();
    if plain {
        return Ok(file);
    }
    Err(format(path, 0, "not a plain file"))
}

pub(crate) fn format(path: &Path, offset: u64, what: impl Into<String>) -> SnapshotError {
    SnapshotError::Format { path: path.to_path_buf(), offset, what: what.into() }
}

fn read_start_of(path: &Path, file: &File) -> Result<(Header, Vec<u8>)> {
    let mut bytes = [0; ENDS];
    read_at(path, file, &mut bytes, 0)?;
    let header = Header::decode(&bytes).map_err(|refused| match refused {
        Refused::Format(offset, what) => format(path, offset, what),
        Refused::Newer(version) => SnapshotError::Newer { path: path.to_path_buf(), version },
    })?;
    let mut block = vec![0; header.key_block as usize];
    read_at(path, file, &mut block, ENDS as u64)?;
    Ok((header, block))
}

fn read_at(path: &Path, file: &File, out: &mut [u8], at: u64) -> Result<()> {
    file.read_exact_at(out, at).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof if at == 0 => format(path, 0, "not a snapshot: too short"),
        io::ErrorKind::UnexpectedEof => format(path, at, "the file ends inside a frame"),
        _ => io_error("read", path, source),
    })
}

impl Opened {
    /// Open a file whose key is known.
    pub fn open(path: &Path, key: Option<&FileKey>) -> Result<(Opened, Header)> {
        let file = open_file(path)?;
        let (header, block) = read_start_of(path, &file)?;
        let length = file.metadata().map_err(|source| io_error("open", path, source))?.len();
        let start = ENDS as u64 + u64::from(header.key_block);
        let truncated = || SnapshotError::Truncated { path: path.to_path_buf(), length };
        let at = length.checked_sub(ENDS as u64).filter(|at| *at >= start).ok_or_else(truncated)?;
        let mut bytes = [0; ENDS];
        read_at(path, &file, &mut bytes, at)?;
        let first = [&header.encode()[..], &block].concat();
        let trailer = Trailer::decode(&bytes, &first).filter(|t| t.length == length).ok_or_else(truncated)?;
        let opener = Opener::new(header.codec, header.file_id, key)
            .ok_or(SnapshotError::Key { path: path.to_path_buf(), what: "no key was given" })?;
        Ok((Opened { path: path.to_path_buf(), file, opener, length, trailer, start }, header))
    }

    /// Read a frame's head.
    pub fn head(&self, offset: u64) -> Result<([u8; HEAD], Head)> {
        let end = self.length - ENDS as u64;
        let room = end.checked_sub(offset).filter(|room| *room >= HEAD as u64 && offset >= self.start);
        let room = room.ok_or_else(|| format(&self.path, offset, "a frame outside the file"))?;
        let mut bytes = [0; HEAD];
        read_at(&self.path, &self.file, &mut bytes, offset)?;
        let head = Head::decode(&bytes, self.opener.codec()).map_err(|what| format(&self.path, offset, what))?;
        if u64::from(head.stored) + HEAD as u64 > room {
            return Err(format(&self.path, offset, "a frame that is longer than the file"));
        }
        Ok((bytes, head))
    }

    /// Read, check and open a frame; `stored` and `plain` are reused.
    pub fn frame(&self, offset: u64, wanted: Option<Kind>, stored: &mut Vec<u8>, plain: &mut Vec<u8>) -> Result<Head> {
        let (bytes, head) = self.head(offset)?;
        if wanted.is_some_and(|kind| kind != head.kind) {
            return Err(format(&self.path, offset, "a frame of another kind than the one referred to"));
        }
        stored.resize(head.stored as usize, 0);
        read_at(&self.path, &self.file, stored, offset + HEAD as u64)?;
        self.opener.open(&bytes, &head, stored, plain).map_err(|what| SnapshotError::Damaged {
            path: self.path.clone(),
            offset,
            what: what.to_owned(),
        })?;
        Ok(head)
    }
}
