// SPDX-License-Identifier: Apache-2.0
//! Writes a snapshot file: frames from many threads, then manifest, signature and trailer.

use crate::dedup::Known;
use crate::digest::{self, Digest};
use crate::error::{io_error, Result, SnapshotError};
use crate::frame::{FileKey, Head, Kind, Opener, Press, Sealer, COMPONENT_MAX, HEAD};
use crate::layout::{Codec, Header, Trailer, ENDS};
use crate::manifest::{Component, Manifest};
use crate::node::{self, Entry, Place, HASHED, STORED, ZERO};
use crate::{FRAME_PAGES, PAGE};
use observer_evidence::{NoteSigner, SigningSeed};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name under which stores sign; the key tells them apart.
pub const SIGNER: &str = "observer-snapshot";

/// How a file is to be made.
pub struct Plan {
    /// Where; must not exist.
    pub path: PathBuf,
    /// How its content is kept.
    pub codec: Codec,
    /// The snapshot's UUID.
    pub file_id: [u8; 16],
    /// The age file that holds the key; empty without encryption.
    pub key_block: Vec<u8>,
    /// The key.
    pub key: Option<FileKey>,
}

/// A file being written. Dropped before [`Writer::finish`] it removes what it wrote.
pub struct Writer {
    file: File,
    part: PathBuf,
    path: PathBuf,
    end: AtomicU64,
    sealer: Sealer,
    opener: Opener,
    start: Vec<u8>,
    known: Mutex<Known>,
    zero: Digest,
    finished: bool,
    counts: Counts,
}

/// What was written, by kind.
#[derive(Default)]
pub struct Counts {
    /// Pages stored in this file.
    pub stored: AtomicU64,
    /// Pages that were stored already.
    pub duplicate: AtomicU64,
    /// Zero pages.
    pub zero: AtomicU64,
}

/// What a finished file is called in the log.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its manifest's digest, hexadecimal.
    pub manifest_digest: String,
    /// Its length.
    pub bytes: u64,
    /// The signer's verifier key; empty without a signature.
    pub signer: String,
}

/// A thread's room for making frames.
pub struct Scratch {
    press: Press,
    digests: Vec<Digest>,
    fresh: Vec<u8>,
    out: Vec<u8>,
    waiting: Vec<(usize, usize, u8)>, // entry, offset in `out`, page of the frame
}

/// Pages and the indexes of their entries.
type Placed<'a> = &'a [(usize, &'a [u8])];

impl Writer {
    /// Begin a file.
    ///
    /// # Errors
    /// The file exists, or cannot be made.
    pub fn create(plan: &Plan) -> Result<Writer> {
        let mut name = plan.path.clone().into_os_string();
        name.push(".part");
        let part = PathBuf::from(name);
        if plan.path.exists() {
            return Err(io_error("make", &plan.path, io::ErrorKind::AlreadyExists.into()));
        }
        let keyless = || SnapshotError::Key { path: plan.path.clone(), what: "no key was given" };
        let sealer = Sealer::new(plan.codec, plan.file_id, plan.key.as_ref()).ok_or_else(keyless)?;
        let opener = Opener::new(plan.codec, plan.file_id, plan.key.as_ref()).ok_or_else(keyless)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|source| io_error("make", &part, source))?;
        let header = Header { codec: plan.codec, file_id: plan.file_id, key_block: plan.key_block.len() as u32 };
        let head = [&header.encode()[..], &plan.key_block].concat();
        let writer = Writer {
            file,
            part,
            path: plan.path.clone(),
            end: AtomicU64::new(head.len() as u64),
            sealer,
            opener,
            start: head,
            known: Mutex::new(Known::default()),
            zero: digest::zero_page(),
            finished: false,
            counts: Counts::default(),
        };
        writer.put(&writer.start, 0)?;
        Ok(writer)
    }

    fn put(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(|source| io_error("write", &self.path, source))
    }

    fn append(&self, bytes: &[u8]) -> Result<u64> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        self.put(bytes, at)?;
        Ok(at)
    }

    fn failed(&self, source: io::Error) -> SnapshotError {
        io_error("compress for", &self.path, source)
    }

    /// Pages known to be stored; lock it only to look up or to add.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Digest of a zero page.
    #[must_use]
    pub fn zero(&self) -> &Digest {
        &self.zero
    }

    /// Room for one thread.
    ///
    /// # Errors
    /// When there is no memory for a compressor.
    pub fn scratch(&self) -> Result<Scratch> {
        let press = self.sealer.press().map_err(|source| self.failed(source))?;
        Ok(Scratch { press, digests: Vec::new(), fresh: Vec::new(), out: Vec::new(), waiting: Vec::new() })
    }

    /// Add the entries of some consecutive pages to `entries`; frames gather in the scratch until [`Writer::settle`].
    ///
    /// # Errors
    /// When compressing fails.
    pub fn add_pages(&self, scratch: &mut Scratch, bytes: &[u8], keep: bool, entries: &mut Vec<Entry>) -> Result<()> {
        let mut pages: Vec<(usize, &[u8])> = Vec::with_capacity(bytes.len() / PAGE);
        for page in bytes.chunks_exact(PAGE) {
            let zero = digest::is_zero(page);
            if zero {
                self.counts.zero.fetch_add(1, Ordering::Relaxed);
            } else {
                pages.push((entries.len(), page));
            }
            entries.push(Entry::of(if zero {
                ZERO
            } else if keep {
                STORED
            } else {
                HASHED
            }));
        }
        scratch.digests.clear();
        if pages.len() == bytes.len() / PAGE {
            digest::pages(bytes, &mut scratch.digests);
        } else {
            scratch.fresh.clear();
            pages.iter().for_each(|(_, page)| scratch.fresh.extend_from_slice(page));
            digest::pages(&scratch.fresh, &mut scratch.digests);
        }
        for ((at, _), digest) in pages.iter().zip(&scratch.digests) {
            entries[*at].digest = *digest;
        }
        if keep {
            let together = (pages.len() == bytes.len() / PAGE).then_some(bytes);
            self.frame_pages(scratch, (&pages, together), entries)?;
        }
        Ok(())
    }

    /// Put pages that are not known yet into frames of at most 16; `together` are the same bytes where they lie one after the other.
    fn frame_pages(
        &self,
        scratch: &mut Scratch,
        (pages, together): (Placed<'_>, Option<&[u8]>),
        entries: &mut [Entry],
    ) -> Result<()> {
        let mut fresh: Vec<(usize, &[u8])> = Vec::with_capacity(pages.len());
        {
            let known = self.known();
            for (at, page) in pages {
                match known.find(&entries[*at].digest) {
                    Some(place) => entries[*at].place = place,
                    None => fresh.push((*at, page)),
                }
            }
        }
        self.counts.duplicate.fetch_add((pages.len() - fresh.len()) as u64, Ordering::Relaxed);
        self.counts.stored.fetch_add(fresh.len() as u64, Ordering::Relaxed);
        for group in fresh.chunks(FRAME_PAGES) {
            let at = scratch.out.len();
            scratch.waiting.extend(group.iter().enumerate().map(|(index, (entry, _))| (*entry, at, index as u8)));
            let plain = match together {
                Some(bytes) if fresh.len() == pages.len() && pages.len() <= FRAME_PAGES => bytes,
                _ => {
                    scratch.fresh.clear();
                    group.iter().for_each(|(_, page)| scratch.fresh.extend_from_slice(page));
                    &scratch.fresh
                }
            };
            let sealed = self.sealer.seal(&mut scratch.press, Kind::Pages, plain, &mut scratch.out);
            sealed.map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    /// Write the gathered frames and tell their pages' entries where they are.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn settle(&self, scratch: &mut Scratch, entries: &mut [Entry]) -> Result<()> {
        if scratch.out.is_empty() {
            return Ok(());
        }
        let base = self.append(&scratch.out)?;
        let mut known = self.known();
        for (entry, at, index) in scratch.waiting.drain(..) {
            let place = Place { file: 0, offset: base + at as u64, index };
            entries[entry].place = place;
            known.add(&entries[entry].digest, place);
        }
        scratch.out.clear();
        Ok(())
    }

    /// Write a node; returns its offset and digest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add_node(&self, scratch: &mut Scratch, entries: &[Entry]) -> Result<(u64, Digest)> {
        let digest = node::digest(entries, &self.zero);
        let offset = self.add_frame(&mut scratch.press, Kind::Node, &node::encode(entries))?;
        Ok((offset, digest))
    }

    /// Read a node of this file again.
    ///
    /// # Errors
    /// The disk refuses, or does not give back what was written.
    pub fn read_node(&self, offset: u64, pages: u64) -> Result<Vec<Entry>> {
        read_node(&self.file, &self.opener, &self.path, (offset, pages))
    }

    fn add_frame(&self, press: &mut Press, kind: Kind, plain: &[u8]) -> Result<u64> {
        let mut out = Vec::with_capacity(plain.len() + 64);
        self.sealer.seal(press, kind, plain, &mut out).map_err(|source| self.failed(source))?;
        self.append(&out)
    }

    /// Write a component's bytes; fills in its size, digest and frames.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add_component(&self, scratch: &mut Scratch, component: &mut Component, bytes: &[u8]) -> Result<()> {
        component.size_bytes = bytes.len() as u64;
        component.digest = hex::encode(digest::of(bytes));
        component.frames.clear();
        for part in bytes.chunks(COMPONENT_MAX) {
            component.frames.push(self.add_frame(&mut scratch.press, Kind::Component, part)?);
        }
        Ok(())
    }

    /// Write manifest, signature and trailer, force everything to the disk and give the file its name.
    ///
    /// # Errors
    /// When the disk refuses; nothing is left behind then.
    pub fn finish(mut self, manifest: &Manifest, seed: Option<&SigningSeed>) -> Result<Finished> {
        let mut scratch = self.scratch()?;
        let plain = serde_json::to_vec(manifest).map_err(|error| self.failed(error.into()))?;
        if plain.len() > crate::frame::MANIFEST_MAX as usize {
            return Err(SnapshotError::Usage(format!("the manifest would have {} bytes; select fewer regions", plain.len())));
        }
        let manifest_digest = hex::encode(digest::of(&plain));
        let at = self.add_frame(&mut scratch.press, Kind::Manifest, &plain)?;
        let (mut signature, mut signer) = (0, String::new());
        if let Some(seed) = seed {
            let key = NoteSigner::new(SIGNER, seed).map_err(|error| SnapshotError::Usage(error.to_string()))?;
            let note = key.sign(&signed_text(&manifest.snapshot_id, &manifest_digest));
            signature = self.add_frame(&mut scratch.press, Kind::Signature, note.as_bytes())?;
            signer = key.verifier_key();
        }
        let bytes = self.close(Trailer { manifest: at, signature, length: 0 })?;
        Ok(Finished { manifest_digest, bytes, signer })
    }

    fn close(&mut self, trailer: Trailer) -> Result<u64> {
        let sync = |source| io_error("write", &self.path, source);
        self.file.sync_data().map_err(sync)?;
        let length = self.end.load(Ordering::SeqCst) + ENDS as u64;
        self.append(&Trailer { length, ..trailer }.encode(&self.start))?;
        self.file.sync_all().map_err(sync)?;
        fs::rename(&self.part, &self.path).map_err(sync)?;
        self.finished = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(sync)?;
        Ok(length)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.part); // it is ours alone; nothing better can be done where it cannot be removed
        }
    }
}

/// Read a node by its place in any open file.
///
/// # Errors
/// It cannot be read or does not hold.
pub fn read_node(file: &File, opener: &Opener, path: &Path, (offset, pages): (u64, u64)) -> Result<Vec<Entry>> {
    let damaged = |what: &str| SnapshotError::Damaged { path: path.to_path_buf(), offset, what: what.to_owned() };
    let mut bytes = [0; HEAD];
    file.read_exact_at(&mut bytes, offset).map_err(|source| io_error("read", path, source))?;
    let head = Head::decode(&bytes, opener.codec()).map_err(damaged)?;
    let (mut stored, mut plain) = (vec![0; head.stored as usize], Vec::new());
    file.read_exact_at(&mut stored, offset + HEAD as u64).map_err(|source| io_error("read", path, source))?;
    opener.open(&bytes, &head, &mut stored, &mut plain).map_err(damaged)?;
    node::decode(&plain, pages).map_err(damaged)
}

/// The text that is signed.
#[must_use]
pub fn signed_text(snapshot_id: &str, manifest_digest: &str) -> String {
    format!("observer snapshot\n{snapshot_id}\n{manifest_digest}\n")
}
