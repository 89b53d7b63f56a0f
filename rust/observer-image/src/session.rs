// SPDX-License-Identifier: Apache-2.0
//! A session of snapshots of the same processes: the first is whole, each later one costs what was written since.

use crate::capture;
use crate::draft::RegionDraft;
use crate::error::{ImageError, Result};
use crate::origin::Origins;
use crate::pagemap::{PageMap, Stretch};
use crate::procfs::Scope;
use crate::request::Request;
use crate::tracking::Tracker;
use observer_evidence::SigningSeed;
use observer_snapshot::frame::{FileKey, Opener};
use observer_snapshot::layout::Codec;
use observer_snapshot::manifest::FileEntry;
use observer_snapshot::node::{Entry, STORED};
use observer_snapshot::writer;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

/// An earlier file of the session, open for its nodes.
pub struct EarlierFile {
    /// As the manifest lists it.
    pub entry: FileEntry,
    file: File,
    opener: Opener,
    path: PathBuf,
}

impl EarlierFile {
    /// Open a finished file.
    ///
    /// # Errors
    /// It has gone.
    pub fn open(path: &Path, codec: Codec, file_id: ([u8; 16], &str), key: Option<&FileKey>) -> Result<EarlierFile> {
        let file = File::open(path).map_err(|source| observer_snapshot::error::io_error("open", path, source))?;
        let opener = Opener::new(codec, file_id.0, key);
        let opener = opener.ok_or_else(|| ImageError::Usage("an earlier file of the session has no key".into()))?;
        let entry = FileEntry { file_id: file_id.1.to_owned(), key: key.map(FileKey::to_hex) };
        Ok(EarlierFile { entry, file, opener, path: path.to_path_buf() })
    }

    /// Read a node of it; its entries' files count from `index`, where this file is in the list.
    ///
    /// # Errors
    /// It does not hold.
    pub fn node(&self, index: u32, offset: u64, pages: u64) -> Result<Vec<Entry>> {
        let mut entries = writer::read_node(&self.file, &self.opener, &self.path, (offset, pages))?;
        entries.iter_mut().filter(|entry| entry.class == STORED).for_each(|entry| entry.place.file += index);
        Ok(entries)
    }
}

/// What is remembered of a process between two snapshots.
pub struct Watched {
    /// Tells it from a later process of the same number.
    pub start_ticks: u64,
    /// Its marks.
    pub tracker: Option<Tracker>,
    /// Its page map.
    pub map: PageMap,
    /// Flags of its mappings.
    pub flags: HashMap<u64, Vec<String>>,
    /// Its regions as they were.
    pub regions: Vec<RegionDraft>,
    /// Regions that are followed.
    pub marked: Vec<Stretch>,
    /// Windows of them that are marked: those that ever had content.
    pub armed: Vec<Stretch>,
}

impl Watched {
    /// Its marks are still those of that process: it is the same, and runs the same program.
    #[must_use]
    pub fn is_followed(&self, pid: u32) -> bool {
        let same = crate::procfs::start_ticks(pid) == Some(self.start_ticks);
        same && self.tracker.as_ref().is_some_and(Tracker::is_alive)
    }
}

/// What a capture tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The manifest's digest.
    pub manifest_digest: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The signer's verifier key.
    pub signer: String,
    /// How writes were followed.
    pub method: Map<String, Value>,
    /// Counts.
    pub totals: Map<String, Value>,
    /// Processes.
    pub processes: usize,
    /// Regions.
    pub regions: usize,
}

/// Snapshots of the same processes.
#[derive(Default)]
pub struct Session {
    pub(crate) watched: BTreeMap<u32, Watched>,
    pub(crate) files: Vec<EarlierFile>,
    pub(crate) origins: Origins,
    pub(crate) known: Vec<FileEntry>,
    pub(crate) kept: crate::kept::Kept,
}

/// Secrets of one capture.
#[derive(Default)]
pub struct Secrets {
    /// The age file with the key.
    pub key_block: Vec<u8>,
    /// The key.
    pub key: Option<FileKey>,
    /// Signs the manifest.
    pub seed: Option<SigningSeed>,
    /// Opens the file that `known` names.
    pub known_key: Option<FileKey>,
}

impl Session {
    /// Take a snapshot.
    ///
    /// # Errors
    /// The processes have gone or may not be read, or the file cannot be written; then no file is left.
    pub fn capture(&mut self, request: &Request, secrets: &Secrets) -> Result<Report> {
        // Tracees belong to the thread that attached: when this one ends, the kernel lets go what could not be let go before.
        std::thread::scope(|scope| {
            let running = scope.spawn(|| capture::capture(self, request, secrets));
            running.join().unwrap_or_else(|_| Err(ImageError::Usage("the capture ended in a fault of its own".into())))
        })
    }

    /// Forget all marks: the next snapshot is whole.
    pub fn reset(&mut self) {
        self.watched.clear();
        self.files.clear();
    }
}

/// The scope of a request.
#[must_use]
pub fn scope(request: &Request) -> Scope {
    Scope {
        pids: request.pids.clone(),
        descendants: request.descendants,
        cgroup: request.cgroup.clone(),
        never: request.never.clone(),
    }
}
