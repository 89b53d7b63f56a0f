// SPDX-License-Identifier: Apache-2.0
//! The change from one file to the next. Order and crash states: `docs/spec/manifest-and-chainstate.md` §4.

use crate::appender::Appender;
use crate::error::EvidenceError;
use crate::hash::{sha256, to_hex, Digest32};
use crate::names;
use crate::records::{self, Begin, HmacInfo, SegmentStart};
use crate::sidecar::{Manifest, MANIFEST_FORMAT, MAX_SIDECAR_BYTES};
use crate::stamp::Stamp;
use crate::writer::LogWriter;
use sha2::Digest;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The library's own default: text shrinks to about a third, at hundreds of MB a second.
const ZSTD_LEVEL: i32 = 3;
/// After a rotation that failed for want of space, the file may grow by this much before the next try.
const RETRY_BYTES: u64 = 256 * 1024;

impl LogWriter {
    pub(crate) fn rotation_due(&self) -> bool {
        self.options.rotate_bytes.is_some() && self.file.length > self.cadence.rotate_at && self.file.is_running()
    }

    /// Go on in a new file. When that is not possible now, go on in this one and try again later.
    pub(crate) fn rotate(&mut self) {
        if self.try_rotate().is_err() {
            self.cadence.rotate_at = self.file.length + RETRY_BYTES;
        }
    }

    fn try_rotate(&mut self) -> Result<(), EvidenceError> {
        self.seal_checkpoint()?;
        self.next_epoch()?;
        self.sync()?;
        let stamp = self.stamp()?;
        self.sync()?;
        let fs = self.options.fs.clone();
        let rotated = names::rotated(&self.path, &stamp, self.segment_first);
        let (manifest_path, next_path) = (names::beside(&rotated, names::MANIFEST), names::beside(&self.path, ".next"));
        let manifest = self.manifest(&rotated, &stamp)?.encode();
        let undo = |_: &EvidenceError| {
            // As it was before: the manifest must not describe a file that goes on.
            for path in [&next_path, &manifest_path] {
                let _ = fs.remove(path);
            }
        };
        let placed = fs.replace(&manifest_path, &manifest);
        placed.map_err(|error| EvidenceError::io(&manifest_path, "write", error))?;
        let (file, chain, begin) = self.next_file(&next_path, &manifest, stamp).inspect_err(undo)?;
        self.change_names(&next_path, &rotated).inspect_err(undo)?;
        (self.file, self.chain, self.begin) = (file, chain, begin);
        self.file.path.clone_from(&self.path);
        self.segment += 1;
        self.segment_first = self.chain.next_seq() - 1;
        self.cadence.rotate_at = self.options.rotate_bytes.unwrap_or(u64::MAX);
        self.write_sidecars(true);
        Ok(())
    }

    /// The description of the file at hand, all of whose lines are on disk.
    fn manifest(&mut self, rotated: &Path, stamp: &Stamp) -> Result<Manifest, EvidenceError> {
        let size = self.chain.next_seq();
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            version: 1,
            log: self.begin.log.clone(),
            origin: self.begin.origin.clone(),
            segment: self.segment,
            file: name(rotated),
            bytes: self.file.length,
            sha256: to_hex(&self.file_digest()?),
            first_sequence: self.segment_first,
            last_sequence: size - 1,
            entries: size - self.segment_first,
            final_chain_hash: to_hex(&self.chain.head),
            size,
            root: to_hex(&self.chain.tree.root()),
            frontier: self.chain.tree.nodes().iter().map(|node| to_hex(node)).collect(),
            previous_manifest: self.begin.start.as_ref().map(|start| start.manifest.clone()),
            rotated_at: stamp.compact(),
            checkpoint: self.signed_note(),
        })
    }

    fn file_digest(&mut self) -> Result<Digest32, EvidenceError> {
        let (mut hasher, mut chunk) = (sha2::Sha256::new(), vec![0; 64 * 1024]);
        let path = self.path.clone();
        let mut reader = self.file.reader(0);
        loop {
            match reader.read(&mut chunk).map_err(|error| EvidenceError::io(&path, "read", error))? {
                0 => return Ok(hasher.finalize().into()),
                count => hasher.update(&chunk[..count]),
            }
        }
    }

    /// Make the next file with its first line, on disk, under a name of its own.
    fn next_file(
        &self,
        path: &Path,
        manifest: &[u8],
        stamp: Stamp,
    ) -> Result<(Appender, crate::ChainState, Begin), EvidenceError> {
        let _ = self.options.fs.remove(path);
        let handle = self.options.fs.create(path).map_err(|error| EvidenceError::io(path, "create", error))?;
        let (mut file, mut chain) = (Appender::new(path, handle), self.chain.clone());
        let hmac = self.key.as_ref().map(|key| HmacInfo { key: key.secret.id(), epoch: key.epoch });
        let start = SegmentStart {
            segment: self.segment + 1,
            chain: to_hex(&chain.head),
            size: chain.next_seq(),
            frontier: chain.tree.nodes().iter().map(|node| to_hex(node)).collect(),
            manifest: to_hex(&sha256(manifest)),
            pruned: self.pruned,
        };
        let begin = Begin { hmac, start: Some(start), stamp, ..self.begin.clone() };
        let mac = self.key.as_ref().map(|key| &key.mac);
        let event = records::to_event(&begin);
        chain.seal(&mut file.pending, std::iter::once((Some(records::SEGMENT), event.as_slice())), mac);
        file.write_pending(chain.next_seq())?;
        file.sync()?;
        Ok((file, chain, begin))
    }

    /// The live file gets its rotated name, the next file the live one. Where the file system knows hard links there is
    /// a live file at every moment.
    fn change_names(&mut self, next: &Path, rotated: &Path) -> Result<(), EvidenceError> {
        let fs = self.options.fs.clone();
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // Manifest and next file first: whoever finds two names for one file must find these too.
        fs.sync_dir(directory).map_err(|error| EvidenceError::io(directory, "sync", error))?;
        let linked = fs.link(&self.path, rotated).is_ok();
        if !linked {
            fs.rename(&self.path, rotated).map_err(|error| EvidenceError::io(&self.path, "rename", error))?;
        }
        if let Err(error) = fs.rename_over(next, &self.path) {
            let undone = if linked { fs.remove(rotated) } else { fs.rename(rotated, &self.path) };
            if undone.is_err() {
                self.file.stop("rename");
            }
            return Err(EvidenceError::io(next, "rename", error));
        }
        fs.sync_dir(directory).map_err(|error| {
            self.file.stop("sync of the directory");
            EvidenceError::io(directory, "sync", error)
        })
    }

    /// Compress rotated files, whose lines stay provable: each is replaced by its `.zst` once that is on disk whole.
    ///
    /// # Errors
    /// When a file cannot be read, compressed or removed; the others stay as they are.
    pub fn compress_rotated(&mut self) -> Result<Vec<PathBuf>, EvidenceError> {
        let directory = self.path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let fs = self.options.fs.clone();
        let log = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names = fs.list(&directory).map_err(|error| EvidenceError::io(&directory, "list", error))?;
        let mut done = Vec::new();
        for name in names.iter().filter(|name| names::first_sequence(&log, name).is_some()) {
            let path = directory.join(name);
            let at = path.clone();
            let failed = |op: &'static str| {
                let at = at.clone();
                move |error| EvidenceError::io(&at, op, error)
            };
            let lines = fs.read(&path, u64::MAX).map_err(failed("read"))?;
            let packed = zstd::bulk::compress(&lines, ZSTD_LEVEL).map_err(failed("compress"))?;
            let target = names::beside(&path, names::COMPRESSED);
            fs.replace(&target, &packed).map_err(failed("write"))?;
            fs.sync_dir(&directory).map_err(failed("sync"))?;
            fs.remove(&path).map_err(failed("remove"))?;
            done.push(target);
        }
        Ok(done)
    }

    /// Seal a record that rotated files were removed by policy, and then remove them; their manifests stay.
    ///
    /// # Errors
    /// When the record cannot be sealed, in which case nothing is removed; or when a file cannot be removed.
    pub fn prune(&mut self, keep_bytes: u64) -> Result<Vec<PathBuf>, EvidenceError> {
        let directory = self.path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let chosen = self.prunable(&directory, keep_bytes)?;
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let stamp = self.stamp()?;
        let removed: Vec<_> = chosen.iter().map(|(_, file)| file.clone()).collect();
        self.pruned = records::pruned_with(self.pruned, &removed);
        self.seal_record(records::PRUNE, &records::Prune { removed, stamp })?;
        self.seal_checkpoint()?;
        self.sync()?;
        let fs = self.options.fs.clone();
        for (path, _) in &chosen {
            fs.remove(path).map_err(|error| EvidenceError::io(path, "remove", error))?;
        }
        fs.sync_dir(&directory).map_err(|error| EvidenceError::io(&directory, "sync", error))?;
        Ok(chosen.into_iter().map(|(path, _)| path).collect())
    }

    /// The oldest rotated files beyond `keep_bytes`, oldest first.
    fn prunable(&self, directory: &Path, keep_bytes: u64) -> Result<Vec<(PathBuf, records::PrunedFile)>, EvidenceError> {
        let fs = &self.options.fs;
        let log = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut names = fs.list(directory).map_err(|error| EvidenceError::io(directory, "list", error))?;
        names.sort_by_key(|name| std::cmp::Reverse(names::first_sequence(&log, name.trim_end_matches(names::COMPRESSED))));
        let (mut kept, mut chosen) = (0, Vec::new());
        for name in names {
            let plain = name.trim_end_matches(names::COMPRESSED);
            let Some(first) = names::first_sequence(&log, plain) else {
                continue;
            };
            let path = directory.join(&name);
            kept += fs.length(&path).map_err(|error| EvidenceError::io(&path, "look at", error))?;
            if kept > keep_bytes {
                let manifest_path = directory.join(format!("{plain}{}", names::MANIFEST));
                let Ok(bytes) = fs.read(&manifest_path, MAX_SIDECAR_BYTES) else {
                    continue;
                };
                let Some(manifest) = Manifest::parse(&bytes) else {
                    continue;
                };
                let (last, manifest) = (manifest.last_sequence, to_hex(&sha256(&bytes)));
                chosen.push((path, records::PrunedFile { file: plain.to_owned(), first, last, manifest }));
            }
        }
        chosen.reverse();
        Ok(chosen)
    }
}
