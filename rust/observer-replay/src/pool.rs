// SPDX-License-Identifier: Apache-2.0
//! Files that many recordings of one user hold: stored once, linked into each, and hashed once for as long as they stay the same.
//! Nothing here is needed to replay: a recording holds all of its files, this only saves time and space. Source: docs/spec/replay.md §6.

use crate::error::ReplayError;
use crate::record::store::{copy_and_hash, hex};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{symlink, DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A file that changed more recently may change again within the same tick of its clock.
const SETTLED_S: i64 = 2;
/// How often what no recording holds any more is thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long it is kept: programs are recorded more than once.
const KEEP_FREE: Duration = Duration::from_secs(86_400);
const KEEP_SEEN: Duration = Duration::from_secs(30 * 86_400);
/// What everybody on the machine may read; the rest is only in the recording, and goes with it.
const WORLD_READABLE: u32 = 0o004;

/// The pool of one user.
#[derive(Clone, Debug)]
pub struct Pool {
    dir: PathBuf,
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).recursive(true).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// What must be the same for a file's content to be the same. Nobody but the kernel sets the time of a change (ctime).
fn state(meta: &Metadata) -> String {
    format!("{}-{}.{}-{}.{}", meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
}

/// The same for the pool's own copies, which nobody writes to. Links that recordings make and drop change their ctime.
fn own_state(meta: &Metadata) -> String {
    format!("own-{}-{}.{}", meta.size(), meta.mtime(), meta.mtime_nsec())
}

/// A name that nobody else uses for a file that is being made.
fn fresh(dir: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    dir.join(format!(".new-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(out)
}

fn age(meta: &Metadata) -> Duration {
    meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}

impl Pool {
    /// The pool in `dir`, which is made; None where that cannot be, and everything works without it.
    #[must_use]
    pub fn open(dir: Option<&Path>) -> Option<Pool> {
        let dir = dir?.to_owned();
        make_dir(&dir.join("seen")).ok()?;
        Pool::existing(Some(&dir))
    }

    /// The same, of which nothing is made.
    #[must_use]
    pub fn existing(dir: Option<&Path>) -> Option<Pool> {
        let dir = dir?.to_owned();
        // SAFETY: plain call.
        let own = unsafe { libc::geteuid() };
        let meta = fs::symlink_metadata(&dir).ok()?;
        (meta.is_dir() && meta.uid() == own).then_some(Pool { dir })
    }

    fn seen(&self, meta: &Metadata) -> PathBuf {
        self.dir.join("seen").join(format!("{}-{}", meta.dev(), meta.ino()))
    }

    /// The digest of a file's content, if it was computed before and the file is as it was then.
    #[must_use]
    pub fn digest_of(&self, meta: &Metadata) -> Option<[u8; 32]> {
        let known = fs::read_link(self.seen(meta)).ok()?;
        let (was, digest) = known.to_str()?.rsplit_once('-')?;
        (was == state(meta) || was == own_state(meta)).then(|| unhex(digest)).flatten()
    }

    /// Remembers the digest that a file of others has, unless it changed so recently that it may be changing still.
    pub fn remember(&self, meta: &Metadata, digest: &[u8; 32]) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed());
        if meta.ctime() + SETTLED_S <= now {
            self.note(meta, &state(meta), digest);
        }
    }

    fn note(&self, meta: &Metadata, state: &str, digest: &[u8; 32]) {
        let temporary = fresh(&self.dir.join("seen"));
        let _ = symlink(format!("{state}-{}", hex(digest)), &temporary);
        let _ = fs::rename(&temporary, self.seen(meta));
    }

    /// Puts the content of an open file at `place`, as a link to the pool's copy; returns its digest. None when that cannot be: it
    /// is not for the pool, or the two are not on one file system.
    pub fn keep(
        &self,
        file: &mut File,
        meta: &Metadata,
        place: &dyn Fn(&[u8; 32]) -> PathBuf,
    ) -> Result<Option<[u8; 32]>, ReplayError> {
        if meta.mode() & WORLD_READABLE == 0 {
            return Ok(None);
        }
        if let Some(digest) = self.digest_of(meta) {
            if self.link(&digest, &place(&digest)) {
                return Ok(Some(digest));
            }
        }
        let what = || format!("keep a mapped file in {}", self.dir.display());
        let temporary = fresh(&self.dir);
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o400).open(&temporary);
        let mut copy = made.map_err(ReplayError::io(what()))?;
        let digest = copy_and_hash(file, &mut copy).map_err(ReplayError::io(what()))?;
        if file.metadata().is_ok_and(|after| state(&after) == state(meta)) {
            self.remember(meta, &digest);
        }
        if self.link(&digest, &place(&digest)) {
            let _ = fs::remove_file(&temporary); // the pool has it already, from a file that looked another
            return Ok(Some(digest));
        }
        fs::rename(&temporary, self.dir.join(hex(&digest))).map_err(ReplayError::io(what()))?;
        if let Ok(stored) = copy.metadata() {
            self.note(&stored, &own_state(&stored), &digest);
        }
        Ok(self.link(&digest, &place(&digest)).then_some(digest))
    }

    /// Links the pool's copy, if it is there and is what it was when it was hashed.
    fn link(&self, digest: &[u8; 32], place: &Path) -> bool {
        let stored = self.dir.join(hex(digest));
        let whole = |meta: &Metadata| meta.is_file() && self.digest_of(meta).as_ref() == Some(digest);
        if !fs::symlink_metadata(&stored).is_ok_and(|meta| whole(&meta)) {
            return false;
        }
        fs::hard_link(&stored, place).map_or_else(|e| e.kind() == io::ErrorKind::AlreadyExists, |()| true)
    }

    /// Throws away what no recording has held for a day, and what was seen a month ago.
    pub fn sweep(&self) {
        let stamp = self.dir.join("swept");
        if fs::metadata(&stamp).is_ok_and(|meta| age(&meta) < SWEEP_EVERY) {
            return;
        }
        let _ = fs::write(&stamp, b"");
        let _ = fs::set_permissions(&stamp, fs::Permissions::from_mode(0o600));
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let meta = entry.path().symlink_metadata().ok();
            let changed = |meta: &Metadata| SystemTime::UNIX_EPOCH + Duration::from_secs(meta.ctime().unsigned_abs());
            let free = |meta: &Metadata| meta.is_file() && meta.nlink() == 1 && entry.file_name() != *"swept";
            let old = |meta: &Metadata| SystemTime::now().duration_since(changed(meta)).is_ok_and(|age| age > KEEP_FREE);
            if meta.is_some_and(|meta| free(&meta) && old(&meta)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        for entry in fs::read_dir(self.dir.join("seen")).into_iter().flatten().flatten() {
            if entry.path().symlink_metadata().is_ok_and(|meta| age(&meta) > KEEP_SEEN) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::Pool;
    use sha2::{Digest, Sha256};
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;

    fn place(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("observer-pool-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a scratch directory");
        dir
    }

    #[test]
    fn two_recordings_hold_one_copy_and_a_change_of_it_is_noticed() {
        let dir = place("twice");
        let pool = Pool::open(Some(&dir.join("files"))).expect("a pool");
        let source = dir.join("program");
        fs::write(&source, b"content").expect("a file");
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).expect("its mode");
        let keep = |name: &str| {
            let mut file = File::open(&source).expect("open");
            let meta = file.metadata().expect("metadata");
            pool.keep(&mut file, &meta, &|_| dir.join(name)).expect("kept")
        };
        let digest: [u8; 32] = Sha256::digest(b"content").into();
        assert_eq!(keep("a"), Some(digest));
        assert_eq!(keep("b"), Some(digest));
        let inode = |name: &str| fs::metadata(dir.join(name)).expect("a kept file").ino();
        assert_eq!(inode("a"), inode("b"));
        let kept = fs::metadata(dir.join("a")).expect("a kept file");
        assert_eq!(pool.digest_of(&kept), Some(digest));
        fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o600)).expect("its mode");
        fs::write(dir.join("a"), b"CONTENT").expect("a change");
        assert_eq!(pool.digest_of(&fs::metadata(dir.join("a")).expect("a changed file")), None);
        fs::remove_file(dir.join("a")).expect("gone");
        assert_eq!(keep("c"), Some(digest));
        assert_eq!(fs::read(dir.join("c")).expect("a fresh copy"), b"content");
        fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn private_files_stay_out() {
        let dir = place("private");
        let pool = Pool::open(Some(&dir.join("files"))).expect("a pool");
        let source = dir.join("secret");
        fs::write(&source, b"content").expect("a file");
        fs::set_permissions(&source, fs::Permissions::from_mode(0o600)).expect("its mode");
        let mut file = File::open(&source).expect("open");
        let meta = file.metadata().expect("metadata");
        assert_eq!(pool.keep(&mut file, &meta, &|_| dir.join("a")).expect("no error"), None);
        assert!(!dir.join("a").exists());
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
