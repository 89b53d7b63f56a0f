// SPDX-License-Identifier: Apache-2.0
//! Names of the files around a log. Spec: `docs/spec/manifest-and-chainstate.md` §2.

use crate::hash::from_hex;
use crate::stamp::Stamp;
use std::path::{Path, PathBuf};

/// Suffix of a rotated file's description.
pub const MANIFEST: &str = ".manifest";
/// Suffix of a compressed rotated file.
pub const COMPRESSED: &str = ".zst";

/// A path with text added to its last name.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Where the state of a log's chain is kept.
#[must_use]
pub fn chainstate(log: &Path) -> PathBuf {
    beside(log, ".chainstate")
}

/// Where a log's newest checkpoint is kept.
#[must_use]
pub fn checkpoint(log: &Path) -> PathBuf {
    beside(log, ".checkpoint")
}

/// Where the current epoch's key is kept when the log made its own.
#[must_use]
pub fn sealkey(log: &Path) -> PathBuf {
    beside(log, ".sealkey")
}

/// What a log's file is called after rotation.
#[must_use]
pub fn rotated(log: &Path, stamp: &Stamp, first_sequence: u64) -> PathBuf {
    beside(log, &format!(".{}.{first_sequence:012}", stamp.compact()))
}

/// The first sequence that a rotated file's name states, when `name` is one of `log`'s.
#[must_use]
pub fn first_sequence(log_name: &str, name: &str) -> Option<u64> {
    let (time, digits) = name.strip_prefix(log_name)?.strip_prefix('.')?.split_once('.')?;
    let time_fits = time.len() == 16
        && time.bytes().enumerate().all(|(at, b)| match at {
            8 => b == b'T',
            15 => b == b'Z',
            _ => b.is_ascii_digit(),
        });
    let digits_fit = (12..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if time_fits && digits_fit {
        digits.parse().ok()
    } else {
        None
    }
}

/// The log that a rotated file's name belongs to.
#[must_use]
pub fn log_of(name: &str) -> Option<&str> {
    let (rest, _) = name.rsplit_once('.')?;
    let (log, _) = rest.rsplit_once('.')?;
    first_sequence(log, name).map(|_| log)
}

/// The 16 bytes that a log's id spells.
pub(crate) fn log_id(text: &str) -> Option<[u8; 16]> {
    let padded = format!("{text}{}", "0".repeat(32));
    let digest = (text.len() == 32).then(|| from_hex(padded.as_bytes())).flatten()?;
    digest[..16].try_into().ok()
}
