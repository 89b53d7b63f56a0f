// SPDX-License-Identifier: Apache-2.0
//! Backing files: what identifies one, and pages read from it again.

use crate::digest;
use crate::manifest::Source;
use crate::PAGE;
use object::{Object, ReadCache};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const DIGEST_BUFFER: usize = 256 * 1024; // stays in the second-level cache

/// GNU build id of an ELF file, hexadecimal; None for what is no ELF file or has none.
#[must_use]
pub fn build_id(file: &File) -> Option<String> {
    let cache = ReadCache::new(file);
    let parsed = object::File::parse(&cache).ok()?;
    parsed.build_id().ok().flatten().map(hex::encode)
}

/// Digest of a whole file, hexadecimal; None when it cannot be read.
#[must_use]
pub fn whole_digest(file: &File) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    let (mut buffer, mut reader) = (vec![0; DIGEST_BUFFER], file);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Some(hasher.finalize().to_hex().to_string()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(_) => return None,
        };
    }
}

/// What identifies an open file, without its digest.
#[must_use]
pub fn describe(path: &str, file: &File) -> Option<Source> {
    let facts = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(Source {
        path: path.to_owned(),
        size_bytes: facts.len(),
        mtime_ns: mtime(&facts),
        inode: facts.ino(),
        device: facts.dev(),
        build_id: build_id(file),
        digest: None,
    })
}

fn mtime(facts: &std::fs::Metadata) -> u64 {
    let seconds = u64::try_from(facts.mtime()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec().unsigned_abs())
}

/// The backing files of a snapshot, opened when they are needed; only ever read.
#[derive(Clone)]
pub struct Sources(Arc<Inner>);

struct Inner {
    listed: Vec<Source>,
    roots: Mutex<Vec<PathBuf>>,
    open: Mutex<HashMap<u32, Result<Arc<File>, String>>>,
}

impl Sources {
    /// Of these files.
    #[must_use]
    pub fn new(listed: &[Source]) -> Sources {
        let roots = Mutex::new(vec![PathBuf::from("/")]);
        Sources(Arc::new(Inner { listed: listed.to_vec(), roots, open: Mutex::new(HashMap::new()) }))
    }

    /// Look under this directory first, as for another root or a copy of the image.
    pub fn add_root(&self, root: &Path) {
        self.0.roots.lock().unwrap_or_else(PoisonError::into_inner).insert(0, root.to_path_buf());
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The file, when one is found that is the same as it was.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    pub fn open(&self, index: Option<u32>) -> Result<Arc<File>, String> {
        let index = index.ok_or("a page by reference without a backing file")?;
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(index).or_insert_with(|| self.find(index)).clone()
    }

    fn find(&self, index: u32) -> Result<Arc<File>, String> {
        let wanted = self.0.listed.get(index as usize).ok_or("a backing file that is not listed")?;
        let inside = Path::new(wanted.path.trim_start_matches('/'));
        if inside.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(format!("the backing file's path is not one: {:?}", wanted.path));
        }
        let roots = self.0.roots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut why = format!("{} is not here", wanted.path);
        for path in roots.iter().map(|root| root.join(inside)) {
            // Not a device and not a FIFO: opening one could hang.
            if !path.metadata().is_ok_and(|facts| facts.is_file()) {
                continue;
            }
            match File::open(&path) {
                Ok(file) if same(wanted, &file) => return Ok(Arc::new(file)),
                Ok(_) => why = format!("{} is not what it was", path.display()),
                Err(error) => why = format!("{}: {error}", path.display()),
            }
        }
        Err(why)
    }

    /// How many pages the file has from an offset on; 0 when it is not here.
    #[must_use]
    pub fn pages_from(&self, index: Option<u32>, offset: u64) -> u64 {
        let length = self.open(index).ok().and_then(|file| file.metadata().ok()).map_or(0, |facts| facts.len());
        length.saturating_sub(offset).div_ceil(PAGE as u64)
    }

    /// A page; behind the file's end it is zeros, as in memory.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn page(&self, index: Option<u32>, offset: u64) -> Result<[u8; PAGE], String> {
        let file = self.open(index)?;
        let mut out = [0; PAGE];
        let mut filled = 0;
        while filled < PAGE {
            match file.read_at(&mut out[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => return Err(format!("the backing file cannot be read: {error}")),
            }
        }
        Ok(out)
    }
}

/// The same file by its quick marks, or else by build id or digest: a copy on another machine has other marks.
fn same(wanted: &Source, file: &File) -> bool {
    let Ok(facts) = file.metadata() else { return false };
    if facts.len() != wanted.size_bytes {
        return false;
    }
    let quick = mtime(&facts) == wanted.mtime_ns && facts.ino() == wanted.inode && facts.dev() == wanted.device;
    if quick {
        return true;
    }
    match (&wanted.digest, &wanted.build_id) {
        (Some(digest), _) => whole_digest(file).as_ref() == Some(digest),
        (None, Some(id)) => build_id(file).as_ref() == Some(id),
        (None, None) => false,
    }
}

/// The digest as bytes; zeros when it is not known.
#[must_use]
pub fn digest_bytes(source: Option<&Source>) -> digest::Digest {
    let text = source.and_then(|source| source.digest.as_deref());
    text.and_then(|text| crate::rules::digest(text).ok()).unwrap_or([0; 32])
}
