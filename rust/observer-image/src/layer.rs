// SPDX-License-Identifier: Apache-2.0
//! The writable layer of a container, at the instant of its memory: the upper directory of the overlay that is its root.
//!
//! Files are copied while everything runs; while it stands, those are copied again that changed meanwhile. A file counts as changed
//! when its marks differ, when they are so young that a later write could have left them as they are, or when it is mapped to be written.

use crate::components::Part;
use crate::error::Result;
use crate::maps::Mapping;
use crate::procfs;
use crate::sys;
use observer_snapshot::error::io_error;
use observer_snapshot::manifest::Component;
use observer_snapshot::writer::{Scratch, Writer};
use serde_json::{json, Map};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a file in one component; a larger file has several.
const PIECE: u64 = 32 << 20;
/// Times of files move on in steps of a few ms: what is younger than this may change without showing it.
const YOUNG_NS: i64 = 50_000_000;

/// What tells that a file is as it was.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Marks {
    inode: u64,
    size: u64,
    mode: u32,
    changed_ns: i64,
}

fn marks(facts: &Metadata) -> Marks {
    let changed_ns = facts.ctime() * 1_000_000_000 + facts.ctime_nsec();
    Marks { inode: facts.ino(), size: facts.size(), mode: facts.mode(), changed_ns }
}

struct Kept {
    marks: Marks,
    young: bool,
    components: Vec<Component>,
}

/// The layer as far as it was copied.
pub struct Layer {
    root: PathBuf,
    files: BTreeMap<PathBuf, Kept>,
    /// Files that were copied while everything stood.
    pub again: u64,
}

/// Where the writable layer of a process's root is.
///
/// # Errors
/// Why there is none, as a sentence for the snapshot's label.
pub fn find(pid: u32) -> std::result::Result<PathBuf, String> {
    let text = procfs::text(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let root = text.lines().rev().find(|line| line.split(' ').nth(4) == Some("/"));
    let (_, rest) = root.and_then(|line| line.split_once(" - ")).ok_or("its root cannot be found")?;
    let options = rest.splitn(3, ' ').nth(2).unwrap_or("");
    if !rest.starts_with("overlay ") {
        return Err("its root is no overlay: it has no writable layer of its own".into());
    }
    let upper = options.split(',').find_map(|option| option.strip_prefix("upperdir="));
    let upper = upper.ok_or("its root is an overlay that cannot be written")?;
    let path = PathBuf::from(upper.replace("\\040", " ").replace("\\134", "\\"));
    if path.is_dir() {
        return Ok(path);
    }
    Err(format!("the writable layer {upper} cannot be reached from here"))
}

impl Layer {
    /// Copy a layer while everything runs.
    ///
    /// # Errors
    /// The snapshot's disk refuses.
    pub fn copy(root: PathBuf, writer: &Writer) -> Result<Layer> {
        let mut out = Layer { root, files: BTreeMap::new(), again: 0 };
        let mut scratch = writer.scratch()?;
        for (path, facts) in walk(&out.root) {
            let kept = out.keep(&path, &facts, (writer, &mut scratch))?;
            out.files.insert(path, kept);
        }
        Ok(out)
    }

    /// Copy again what has changed; everything stands. `mapped` are the mappings of all processes.
    ///
    /// # Errors
    /// The snapshot's disk refuses.
    pub fn settle<'a>(&mut self, writer: &Writer, mapped: impl Iterator<Item = &'a Mapping>) -> Result<()> {
        let written = mapped.filter(|mapping| mapping.shared() && mapping.permissions.contains('w')).map(|mapping| mapping.inode);
        let written: HashSet<u64> = written.collect();
        let mut scratch = writer.scratch()?;
        let mut before = std::mem::take(&mut self.files);
        for (path, facts) in walk(&self.root) {
            let known = before.remove(&path).filter(|kept| !kept.young && kept.marks == marks(&facts));
            let kept = match known.filter(|_| !written.contains(&facts.ino())) {
                Some(kept) => kept,
                None => {
                    self.again += 1;
                    self.keep(&path, &facts, (writer, &mut scratch))?
                }
            };
            self.files.insert(path, kept);
        }
        Ok(())
    }

    /// Its components, which are written already.
    #[must_use]
    pub fn components(self) -> Vec<Component> {
        self.files.into_values().flat_map(|kept| kept.components).collect()
    }

    fn keep(&self, path: &Path, facts: &Metadata, (writer, scratch): (&Writer, &mut Scratch)) -> Result<Kept> {
        let marks = marks(facts);
        let young = sys::wall_ns() as i64 - marks.changed_ns < YOUNG_NS;
        let whole = self.root.join(path);
        let mut components = Vec::new();
        if !facts.is_file() {
            let target = if facts.is_symlink() { fs::read_link(&whole).unwrap_or_default() } else { PathBuf::new() };
            let (mut component, bytes) = part(path, (facts, is_opaque(&whole, facts)), 0, target.as_os_str().as_bytes().to_vec());
            writer.add_component(scratch, &mut component, &bytes)?;
            return Ok(Kept { marks, young, components: vec![component] });
        }
        // One that was removed meanwhile is not found again while everything stands.
        if let Ok(mut file) = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&whole) {
            loop {
                let bytes = piece(&mut file).map_err(|source| io_error("read", &whole, source))?;
                let last = (bytes.len() as u64) < PIECE;
                if components.is_empty() || !bytes.is_empty() {
                    let (mut component, bytes) = part(path, (facts, false), components.len(), bytes);
                    writer.add_component(scratch, &mut component, &bytes)?;
                    components.push(component);
                }
                if last {
                    break;
                }
            }
        }
        Ok(Kept { marks, young, components })
    }
}

fn piece(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    file.take(PIECE).read_to_end(&mut out)?;
    Ok(out)
}

/// The overlay's mark of a directory that hides what lies below it. Source: overlayfs.rst.
fn is_opaque(path: &Path, facts: &Metadata) -> bool {
    facts.is_dir() && ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| sys::has_attribute(path, name, b"y"))
}

fn part(path: &Path, (facts, opaque): (&Metadata, bool), number: usize, bytes: Vec<u8>) -> Part {
    let kind = facts.file_type();
    let named = match () {
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "link",
        () if kind.is_char_device() && facts.rdev() == 0 => "removed", // the overlay's mark of a file that was removed
        () if kind.is_file() => "file",
        () => "special",
    };
    let mut metadata = Map::new();
    metadata.insert("kind".into(), json!(named));
    metadata.insert("mode".into(), json!(facts.mode() & 0o7777));
    metadata.insert("uid".into(), json!(facts.uid()));
    metadata.insert("gid".into(), json!(facts.gid()));
    metadata.insert("mtime_ns".into(), json!(facts.mtime() * 1_000_000_000 + facts.mtime_nsec()));
    if opaque {
        metadata.insert("opaque".into(), json!(true));
    }
    if number > 0 {
        metadata.insert("piece".into(), json!(number));
    }
    if path.to_str().is_none() {
        metadata.insert("path_hex".into(), json!(hex::encode(path.as_os_str().as_bytes())));
    }
    let name = path.to_string_lossy().into_owned();
    (Component { kind: "file".into(), name, metadata, ..Component::default() }, bytes)
}

/// Everything below a directory, directories before what is in them; nothing is followed.
fn walk(root: &Path) -> Vec<(PathBuf, Metadata)> {
    let (mut out, mut todo) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = todo.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let path = folder.join(AsRef::<OsStr>::as_ref(&entry.file_name()));
            let Ok(facts) = entry.metadata() else { continue }; // of the link itself; one that has just gone
            if facts.is_dir() {
                todo.push(path.clone());
            }
            out.push((path, facts));
        }
    }
    out.sort_by(|one, two| one.0.cmp(&two.0));
    out
}
