// SPDX-License-Identifier: Apache-2.0
//! Copies of the files a program maps, named by their SHA-256, in `blobs/` of the recording. Source: docs/spec/replay.md §5.

use crate::error::ReplayError;
use crate::pool::Pool;
use crate::record::random::Random;
use observer_recording::Recorder;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the directory of files within a recording.
pub const BLOBS: &str = "blobs";
const COPY_BUFFER: usize = 1 << 20;
/// FICLONE: share the blocks of another file where the file system can. Source: linux/fs.h.
const FICLONE: libc::c_ulong = 0x4004_9409;

/// Lower-case hex of a digest.
#[must_use]
pub fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Identity = (u64, u64, u64, i64, i64, i64);

fn identity(meta: &fs::Metadata) -> Identity {
    let changed = meta.ctime().wrapping_mul(1_000_000_000).wrapping_add(meta.ctime_nsec());
    (meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), changed)
}

/// Keeps files for one recording.
pub struct Store<'a> {
    recorder: &'a Recorder,
    dir: PathBuf,
    began: std::time::SystemTime,
    /// Random numbers that code in mapped files draws from the processor.
    pub random: Random,
    pool: Option<Pool>,
    known: HashMap<Identity, [u8; 32]>,
    sealed: HashMap<[u8; 32], u64>,
}

impl<'a> Store<'a> {
    /// Makes the directory in recording `path`; files that others hold as well come from `pool`.
    pub fn create(recorder: &'a Recorder, path: &Path, pool: Option<Pool>) -> Result<Store<'a>, ReplayError> {
        let dir = path.join(BLOBS);
        DirBuilder::new().mode(0o700).create(&dir).map_err(ReplayError::io(format!("create directory {}", dir.display())))?;
        let began = std::time::SystemTime::now();
        Ok(Store { recorder, dir, began, pool, random: Random::default(), known: HashMap::new(), sealed: HashMap::new() })
    }

    /// Whether a file was written since the recording began.
    #[must_use]
    pub fn is_new(&self, meta: &fs::Metadata) -> bool {
        meta.modified().is_ok_and(|at| at >= self.began)
    }

    /// Keeps the content of an open file; returns its digest.
    pub fn keep(&mut self, file: &mut File) -> Result<[u8; 32], ReplayError> {
        let meta = file.metadata().map_err(ReplayError::io("look at a mapped file"))?;
        let identity = identity(&meta);
        if let Some(digest) = self.known.get(&identity) {
            return Ok(*digest);
        }
        let pooled = match &self.pool {
            Some(pool) => pool.keep(file, &meta, &|digest| self.dir.join(hex(digest)))?,
            None => None,
        };
        let digest = match pooled {
            Some(digest) => digest,
            None => self.copy(file)?,
        };
        self.known.insert(identity, digest);
        self.seal(digest, meta.len());
        Ok(digest)
    }

    fn copy(&self, file: &mut File) -> Result<[u8; 32], ReplayError> {
        let temporary = self.dir.join(format!(".new-{}", self.known.len()));
        let what = || format!("keep a mapped file in {}", self.dir.display());
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary);
        let mut copy = made.map_err(ReplayError::io(what()))?;
        let digest = copy_and_hash(file, &mut copy).map_err(ReplayError::io(what()))?;
        let place = self.dir.join(hex(&digest));
        fs::rename(&temporary, &place).map_err(ReplayError::io(what()))?;
        Ok(digest)
    }

    /// Keeps bytes as a file of their own.
    pub fn keep_bytes(&mut self, bytes: &[u8]) -> Result<[u8; 32], ReplayError> {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let what = || format!("keep mapped bytes in {}", self.dir.display());
        if !self.sealed.contains_key(&digest) {
            let place = self.dir.join(hex(&digest));
            let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&place);
            made.and_then(|mut file| file.write_all(bytes)).map_err(ReplayError::io(what()))?;
            self.seal(digest, bytes.len() as u64);
        }
        Ok(digest)
    }

    fn seal(&mut self, digest: [u8; 32], length: u64) {
        if self.sealed.insert(digest, length).is_none() {
            let line = json!({"type": "blob", "sha256": hex(&digest), "length": length});
            self.recorder.push_line(line.to_string().into_bytes(), observer_evidence::Severity::Info);
        }
    }
}

/// Copies a file from its beginning, sharing its blocks where that can be; returns its digest.
pub fn copy_and_hash(from: &mut File, to: &mut File) -> std::io::Result<[u8; 32]> {
    // SAFETY: two descriptors that are open for the whole call.
    let shared = unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) } == 0;
    from.seek(SeekFrom::Start(0))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0u8; COPY_BUFFER]);
    loop {
        let got = match from.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(got) => got,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hash.update(&buffer[..got]);
        if !shared {
            to.write_all(&buffer[..got])?;
        }
    }
}
