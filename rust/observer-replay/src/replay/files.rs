// SPDX-License-Identifier: Apache-2.0
//! The files of a recording: stored content, checked against its name before it is used, and shared objects made from it.

use crate::engine::stub::{copy_into, shared_file};
use crate::error::ReplayError;
use crate::pool::Pool;
use crate::record::store::{hex, BLOBS};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Opened files and objects of one replay.
pub struct Files {
    dir: PathBuf,
    pool: Option<Pool>,
    blobs: HashMap<[u8; 32], File>,
    objects: HashMap<u32, File>,
    /// Where objects are mapped, in any process.
    shown: Vec<(u64, u64)>,
    /// A program can write to one.
    written: bool,
}

fn check(file: &mut File, digest: &[u8; 32], name: &str) -> Result<(), ReplayError> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0u8; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(ReplayError::io(format!("read the stored file {name}")))? {
            0 => break,
            got => hash.update(&buffer[..got]),
        }
    }
    let found: [u8; 32] = hash.finalize().into();
    if found != *digest {
        return Err(ReplayError::Damaged(format!("the stored file {name} is not what was recorded: its digest differs")));
    }
    Ok(())
}

impl Files {
    /// Those of the recording in `dir`; what `pool` knows to be unchanged since it was hashed is not hashed again.
    #[must_use]
    pub fn of(dir: &Path, pool: Option<Pool>) -> Files {
        Files { dir: dir.join(BLOBS), pool, blobs: HashMap::new(), objects: HashMap::new(), shown: Vec::new(), written: false }
    }

    /// The recording's directory.
    #[must_use]
    pub fn recording(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// A stored file.
    pub fn blob(&mut self, digest: &[u8; 32]) -> Result<&mut File, ReplayError> {
        let name = hex(digest);
        match self.blobs.entry(*digest) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => {
                let opened =
                    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(self.dir.join(&name));
                let mut file = opened.map_err(|source| match source.raw_os_error() {
                    Some(libc::ELOOP) => ReplayError::Damaged(format!("the stored file {name} is not a plain file")),
                    _ => ReplayError::io(format!("open the stored file {name}"))(source),
                })?;
                let Some(meta) = file.metadata().ok().filter(|meta| meta.is_file()) else {
                    return Err(ReplayError::Damaged(format!("the stored file {name} is not a plain file")));
                };
                if self.pool.as_ref().and_then(|pool| pool.digest_of(&meta)) != Some(*digest) {
                    check(&mut file, digest, &name)?;
                    self.pool.iter().for_each(|pool| pool.remember(&meta, digest));
                }
                Ok(place.insert(file))
            }
        }
    }

    /// Makes a shared object.
    pub fn new_object(&mut self, number: u32, size: u64, content: Option<&[u8; 32]>) -> Result<(), ReplayError> {
        let what = "make a shared object";
        let mut file = shared_file(0).map_err(ReplayError::io(what))?;
        if let Some(digest) = content {
            let from = self.blob(digest)?;
            from.seek(SeekFrom::Start(0)).and_then(|_| copy_into(from, &mut file)).map_err(ReplayError::io(what))?;
        }
        file.set_len(size).map_err(ReplayError::io(what))?;
        self.objects.insert(number, file);
        Ok(())
    }

    /// There are shared objects; and some that a program can write to.
    #[must_use]
    pub fn shared(&self) -> (bool, bool) {
        (!self.objects.is_empty(), self.written)
    }

    /// An object is mapped, or what is mapped there is moved or protected anew.
    pub fn shows(&mut self, start: u64, length: u64, writable: bool) {
        self.shown.push((start, length));
        self.written |= writable;
    }

    /// A range can be written to, whatever is there.
    pub fn unlock(&mut self, start: u64, length: u64) {
        self.written |= self.overlaps(start, length);
    }

    /// Some process has an object there.
    #[must_use]
    pub fn overlaps(&self, start: u64, length: u64) -> bool {
        self.shown.iter().any(|(at, size)| start < at.saturating_add(*size) && *at < start.saturating_add(length))
    }

    /// The replay goes back to where nothing could be written; without `objects`, to before there were any.
    pub fn forget(&mut self, objects: bool) {
        self.written = false;
        if objects {
            self.objects.clear();
            self.shown.clear();
        }
    }

    /// A shared object.
    pub fn object(&self, number: u32) -> Result<&File, ReplayError> {
        self.objects
            .get(&number)
            .ok_or_else(|| ReplayError::Damaged(format!("the replay stream uses shared object {number} before it is made")))
    }

    /// Gives one another size.
    pub fn resize_object(&mut self, number: u32, size: u64) -> Result<(), ReplayError> {
        self.written = true;
        self.object(number)?.set_len(size).map_err(ReplayError::io("resize a shared object"))
    }

    /// Writes into one.
    pub fn write_object(&mut self, number: u32, offset: u64, bytes: &[u8]) -> Result<(), ReplayError> {
        self.written = true;
        self.object(number)?.write_all_at(bytes, offset).map_err(ReplayError::io("write a shared object"))
    }
}
