// SPDX-License-Identifier: Apache-2.0
//! Identifies the files behind mappings, so that unmodified pages can be referred to instead of copied.

use crate::maps::Mapping;
use observer_snapshot::manifest::Source;
use observer_snapshot::source;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

/// Larger files are identified by build id, size and time only: reading them through would cost seconds.
const DIGEST_MAX: u64 = 512 << 20;

type Key = (String, u64, String);
type Marks = (u64, u64, u64, u64);

/// The files that were found, each once; kept between snapshots so that a digest is computed once.
#[derive(Default)]
pub struct Origins {
    found: HashMap<Key, Option<(Source, usize)>>,
    files: Vec<File>,
    digests: HashMap<Marks, String>,
}

fn marks(source: &Source) -> Marks {
    (source.device, source.inode, source.size_bytes, source.mtime_ns)
}

impl Origins {
    /// True when the mapping's file is there and is the one that is mapped.
    pub fn knows(&mut self, pid: u32, mapping: &Mapping) -> bool {
        self.look(pid, mapping).is_some()
    }

    fn look(&mut self, pid: u32, mapping: &Mapping) -> Option<&(Source, usize)> {
        if !mapping.name.starts_with('/') || mapping.shared_memory() || mapping.name.ends_with(" (deleted)") {
            return None;
        }
        let key = (mapping.device.clone(), mapping.inode, mapping.name.clone());
        if !self.found.contains_key(&key) {
            let opened = open(pid, mapping).and_then(|file| Some((source::describe(&mapping.name, &file)?, file)));
            let entry = opened.map(|(described, file)| {
                self.files.push(file);
                (described, self.files.len() - 1)
            });
            self.found.insert(key.clone(), entry);
        }
        self.found.get(&key).and_then(Option::as_ref)
    }

    /// Put the mapping's file into a manifest's list; returns its index.
    pub fn list(&mut self, pid: u32, mapping: &Mapping, sources: &mut Vec<Source>) -> Option<u32> {
        let (mut described, file) = self.look(pid, mapping).cloned()?;
        if let Some(at) = sources.iter().position(|known| marks(known) == marks(&described) && known.path == described.path) {
            return Some(at as u32);
        }
        if described.size_bytes <= DIGEST_MAX {
            let known = self.digests.get(&marks(&described)).cloned();
            let digest = known.or_else(|| source::whole_digest(self.files.get(file)?));
            if let Some(digest) = &digest {
                self.digests.insert(marks(&described), digest.clone());
            }
            described.digest = digest;
        }
        sources.push(described);
        Some(sources.len() as u32 - 1)
    }

    /// Forget which files are behind which mappings: they may have changed. Digests stay.
    pub fn forget(&mut self) {
        self.found.clear();
        self.files.clear();
    }
}

/// The mapped file itself, by the kernel's link to it, or by its path in the process's own root when it is still the same.
fn open(pid: u32, mapping: &Mapping) -> Option<File> {
    let link = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    let path = format!("/proc/{pid}/root{}", mapping.name);
    let plain = |path: &str| std::fs::metadata(path).is_ok_and(|facts| facts.is_file());
    let by_link = Some(&link).filter(|path| plain(path)).and_then(|path| File::open(path).ok());
    by_link.or_else(|| {
        let file = Some(&path).filter(|path| plain(path)).and_then(|path| File::open(path).ok())?;
        (file.metadata().ok()?.ino() == mapping.inode).then_some(file)
    })
}
