// SPDX-License-Identifier: Apache-2.0
//! What a crash leaves of a change of files, how it is told from other things, and how it is brought to an end.
//! Order and crash states: `docs/spec/manifest-and-chainstate.md` §4.

use crate::error::EvidenceError;
use crate::hash::{sha256, to_hex};
use crate::line::{parse, MAX_LINE_BYTES};
use crate::names;
use crate::open::repair;
use crate::options::WriterOptions;
use crate::records::{Begin, Repair, SEGMENT};
use crate::sidecar::{Manifest, MAX_SIDECAR_BYTES};
use crate::vfs::Vfs;
use std::io;
use std::path::{Path, PathBuf};

/// How far the change came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// No next file lies about.
    None,
    /// There is a next file, perhaps torn; the live file is still the one before.
    Prepared,
    /// The live file already has its rotated name (this one) too.
    Doubled(String),
    /// The live file has its rotated name only; the next file is the live one.
    Moved,
}

fn next_path(log: &Path) -> PathBuf {
    names::beside(log, ".next")
}

/// A file's first line with its newline.
fn first_line(fs: &dyn Vfs, path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs.read(path, MAX_LINE_BYTES as u64 + 1).ok()?;
    let newline = memchr::memchr(b'\n', &bytes)?;
    bytes.truncate(newline + 1);
    Some(bytes)
}

/// The sequence that the first line of a file states.
pub(crate) fn first_sequence(fs: &dyn Vfs, path: &Path) -> Option<u64> {
    let line = first_line(fs, path)?;
    parse(line.strip_suffix(b"\n")?).ok().map(|parsed| parsed.seq)
}

/// Tell how far a change of files came from the names in the directory.
pub(crate) fn state(fs: &dyn Vfs, log: &Path, names: &[String]) -> Rotation {
    let has = |name: &str| names.iter().any(|other| other == name);
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !has(&format!("{name}.next")) {
        return Rotation::None;
    }
    if !has(&name) {
        return Rotation::Moved;
    }
    let Some(live) = first_line(fs, log) else {
        return Rotation::Prepared;
    };
    let directory = log.parent().unwrap_or(Path::new("."));
    let twin = |other: &&String| {
        names::first_sequence(&name, other).is_some() && first_line(fs, &directory.join(other)).as_ref() == Some(&live)
    };
    match names.iter().find(twin) {
        Some(twin) if follows(fs, log, &directory.join(twin)) => Rotation::Doubled(twin.clone()),
        _ => Rotation::Prepared,
    }
}

/// True when the next file begins with the record that follows `rotated`, and the live file is that file.
fn follows(fs: &dyn Vfs, log: &Path, rotated: &Path) -> bool {
    let Ok(bytes) = fs.read(&names::beside(rotated, names::MANIFEST), MAX_SIDECAR_BYTES) else {
        return false;
    };
    let (Some(manifest), Some(line)) = (Manifest::parse(&bytes), first_line(fs, &next_path(log))) else {
        return false;
    };
    let length = |path: &Path| fs.length(path).ok();
    let same = length(log) == Some(manifest.bytes) && length(rotated) == Some(manifest.bytes);
    let parsed = line.strip_suffix(b"\n").and_then(|line| parse(line).ok());
    let begin = parsed.filter(|parsed| parsed.kind == Some(SEGMENT)).map(|parsed| serde_json::from_slice::<Begin>(parsed.event));
    let start = begin.and_then(Result::ok).and_then(|begin| begin.start);
    same && start.is_some_and(|start| start.size == manifest.size && start.manifest == to_hex(&sha256(&bytes)))
}

/// Bring a change of files that a crash cut short to one of its two ends; what was done is to be recorded.
pub(crate) fn finish(path: &Path, options: &WriterOptions) -> Result<Vec<Repair>, EvidenceError> {
    let fs = options.fs.as_ref();
    if !options.has_sidecars() {
        return Ok(Vec::new());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let listed = || fs.list(directory).map_err(|error| EvidenceError::io(directory, "list", error));
    let (names, next) = (listed()?, next_path(path));
    let done = match state(fs, path, &names) {
        Rotation::None => return undo_manifests(path, options, &names),
        Rotation::Prepared => fs.remove(&next),
        Rotation::Doubled(_) => fs.rename_over(&next, path),
        Rotation::Moved if first_sequence(fs, &next).is_some() => fs.rename(&next, path),
        Rotation::Moved => Err(io::Error::other("the live file is missing and the next one is not whole")),
    };
    done.and_then(|()| fs.sync_dir(directory)).map_err(|error| EvidenceError::io(&next, "finish the rotation of", error))?;
    let mut repairs = vec![repair("rotation", "cut short by a crash")];
    repairs.extend(undo_manifests(path, options, &listed()?)?);
    Ok(repairs)
}

/// Remove manifests without their file that describe the file which still is the live one.
fn undo_manifests(path: &Path, options: &WriterOptions, names: &[String]) -> Result<Vec<Repair>, EvidenceError> {
    let (fs, mut repairs) = (options.fs.as_ref(), Vec::new());
    let log = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = path.parent().unwrap_or(Path::new("."));
    let Some(live) = names.contains(&log).then(|| first_sequence(fs, path)).flatten() else {
        return Ok(repairs);
    };
    for name in names.iter().filter_map(|name| name.strip_suffix(names::MANIFEST)) {
        let alone = !names.iter().any(|other| other == name || *other == format!("{name}{}", names::COMPRESSED));
        if alone && names::first_sequence(&log, name) == Some(live) {
            let manifest = directory.join(format!("{name}{}", names::MANIFEST));
            fs.remove(&manifest).map_err(|error| EvidenceError::io(&manifest, "remove", error))?;
            repairs.push(repair("manifest", "of a rotation that a crash cut short"));
        }
    }
    Ok(repairs)
}

/// Refuse to begin a log among the files of another one of its name, of which it is no continuation.
pub(crate) fn refuse_old_files(path: &Path, fs: &dyn Vfs) -> Result<(), EvidenceError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let log = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = fs.list(directory).map_err(|error| EvidenceError::io(directory, "list", error))?;
    let of_log = |name: &String| {
        let plain = name.strip_suffix(names::MANIFEST).or(name.strip_suffix(names::COMPRESSED)).unwrap_or(name);
        names::first_sequence(&log, plain).is_some() || *name == format!("{log}.next")
    };
    match names.iter().any(of_log) {
        true => {
            Err(EvidenceError::Refused { path: path.to_path_buf(), cause: "rotated files of a log of this name lie beside it" })
        }
        false => Ok(()),
    }
}
