// SPDX-License-Identifier: Apache-2.0
//! Which files belong to one log: the live one, rotated ones, compressed ones, their manifests.

use crate::error::EvidenceError;
use crate::interrupted::{self, Rotation};
use crate::names;
use crate::sidecar::{Manifest, MAX_SIDECAR_BYTES};
use crate::vfs::{open_for_reading, RealFs, Vfs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    /// Its path, or where it should be.
    pub(crate) path: PathBuf,
    /// First sequence that its name states; None for the live file.
    pub(crate) rotated: Option<u64>,
    /// What lies there.
    pub(crate) form: Form,
    /// Its manifest's bytes; of the live file only when a crash stopped its rotation after they were written.
    pub(crate) manifest: Option<Vec<u8>>,
    /// The file itself, so that it is at hand whatever a writer does with its name.
    held: Option<Arc<File>>,
}

/// In which form a file is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Compressed,
    Missing,
}

impl LogFile {
    /// The file's lines, decompressed.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read>> {
        let file = match &self.held {
            Some(file) => Arc::clone(file),
            None => Arc::new(open_for_reading(&self.place())?),
        };
        let file = Held { file, at: 0 };
        match self.form {
            Form::Compressed => {
                // Not a byte more than the manifest knows, whatever the compressed file would become.
                let most = self.parsed_manifest().map_or(u64::MAX, |manifest| manifest.bytes.saturating_add(1));
                Ok(Box::new(Unpacked(zstd::stream::read::Decoder::new(file)?.take(most))))
            }
            Form::Plain | Form::Missing => Ok(Box::new(file)),
        }
    }

    /// Where its bytes lie.
    fn place(&self) -> PathBuf {
        match self.form {
            Form::Compressed => names::beside(&self.path, names::COMPRESSED),
            Form::Plain | Form::Missing => self.path.clone(),
        }
    }

    pub(crate) fn parsed_manifest(&self) -> Option<Manifest> {
        self.manifest.as_deref().and_then(Manifest::parse)
    }
}

/// Reads a file from its beginning, whoever else reads it.
struct Held {
    file: Arc<File>,
    at: u64,
}

impl Read for Held {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(self.at))?;
        let count = file.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Files held open at most; far below what a process may have, and more than a writer changes during one verification.
const MOST_HELD: usize = 256;
/// A writer that rotates is done with it after a few looks.
const MOST_LOOKS: u32 = 1000;

/// As [`of_log`], all of one moment: a writer may rotate, compress and prune from here on.
///
/// # Errors
/// As [`of_log`].
pub(crate) fn hold(path: &Path) -> Result<Vec<LogFile>, EvidenceError> {
    let mut files = of_log(path)?;
    for _ in 0..MOST_LOOKS {
        for file in files.iter_mut().rev().filter(|file| file.form != Form::Missing).take(MOST_HELD) {
            // What cannot be opened is told when its lines are wanted.
            file.held = open_for_reading(&file.place()).ok().map(Arc::new);
        }
        let again = of_log(path)?;
        if names_of(&again) == names_of(&files) {
            break;
        }
        files = again;
    }
    Ok(files)
}

/// What tells two looks at a directory apart.
pub(crate) fn names_of(files: &[LogFile]) -> Vec<(&Path, Form)> {
    files.iter().map(|file| (file.path.as_path(), file.form)).collect()
}

/// Decompressed lines; where the compressed ones are damaged they end.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The damage shows as a rotated file that is cut off there, with its place.
        let end = |error: io::Error| if error.kind() == io::ErrorKind::Interrupted { Err(error) } else { Ok(0) };
        self.0.read(buffer).or_else(end)
    }
}

/// All files of the log whose live file is `path`, oldest first, the live one last.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn of_log(path: &Path) -> Result<Vec<LogFile>, EvidenceError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let log = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = RealFs.list(directory).map_err(|error| EvidenceError::io(directory, "list", error))?;
    let mut rotated: BTreeMap<(u64, String), Form> = BTreeMap::new();
    for name in &names {
        let (plain, form) = match (name.strip_suffix(names::COMPRESSED), name.strip_suffix(names::MANIFEST)) {
            (Some(plain), _) => (plain, Form::Compressed),
            (_, Some(plain)) => (plain, Form::Missing),
            _ => (name.as_str(), Form::Plain),
        };
        let Some(first) = names::first_sequence(&log, plain) else { continue };
        let entry = rotated.entry((first, plain.to_owned())).or_insert(form);
        // A crash between compressing and removing leaves both: the plain one is the original.
        if *entry == Form::Missing || form == Form::Plain {
            *entry = form;
        }
    }
    let read = |path: &Path| RealFs.read(&names::beside(path, names::MANIFEST), MAX_SIDECAR_BYTES).ok();
    let mut live = LogFile { path: path.to_path_buf(), rotated: None, form: Form::Plain, manifest: None, held: None };
    match interrupted::state(&RealFs, path, &names) {
        Rotation::Moved => live.path = names::beside(path, ".next"),
        // Under its rotated name it is described already, and nothing follows it yet.
        Rotation::Doubled(twin) => rotated.retain(|(_, name), form| {
            *form = if *name == twin { Form::Missing } else { *form };
            true
        }),
        Rotation::Prepared => {}
        Rotation::None if names.contains(&log) => {}
        Rotation::None => live.form = Form::Missing,
    }
    let live_first = interrupted::first_sequence(&RealFs, &live.path);
    let mut files: Vec<LogFile> = Vec::new();
    for ((first, name), form) in rotated {
        let path = directory.join(name);
        let manifest = read(&path);
        if form == Form::Missing && live_first == Some(first) {
            live.manifest = manifest.or(live.manifest.take());
        } else {
            files.push(LogFile { manifest, path, rotated: Some(first), form, held: None });
        }
    }
    files.push(live);
    Ok(files)
}

/// The live files of all logs in a directory, by name.
///
/// # Errors
/// When the directory cannot be read.
pub fn logs_in(directory: &Path) -> Result<Vec<PathBuf>, EvidenceError> {
    let names = RealFs.list(directory).map_err(|error| EvidenceError::io(directory, "list", error))?;
    let mut logs = BTreeSet::new();
    for name in &names {
        let plain = name.trim_end_matches(names::COMPRESSED).trim_end_matches(names::MANIFEST);
        if let Some(log) = names::log_of(plain) {
            logs.insert(log.to_owned());
        } else if looks_like_log(&directory.join(name)) {
            logs.insert(name.clone());
        }
    }
    Ok(logs.into_iter().map(|name| directory.join(name)).collect())
}

fn looks_like_log(path: &Path) -> bool {
    let mut start = Vec::new();
    let hidden = path.extension().is_some_and(|e| e == "next" || e == "tmp");
    let read = |file: std::fs::File, start: &mut Vec<u8>| file.take(64).read_to_end(start).is_ok();
    if hidden || !open_for_reading(path).is_ok_and(|file| read(file, &mut start)) {
        return false;
    }
    let has = |what: &[u8]| memchr::memmem::find(&start, what).is_some();
    start.starts_with(b"{\"seq\":") && (has(b",\"kind\":\"begin\",") || has(b",\"kind\":\"segment\","))
}
