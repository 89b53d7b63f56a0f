// SPDX-License-Identifier: Apache-2.0
//! The few file operations the log needs, as traits, so that tests can cut the power or fill the disk at any byte.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// An open log file.
pub trait Handle: Send {
    /// Write at the end, once; returns how many bytes were taken.
    ///
    /// # Errors
    /// As write(2).
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Read at an offset; 0 at the end.
    ///
    /// # Errors
    /// As pread(2).
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Cut the file to a length.
    ///
    /// # Errors
    /// As ftruncate(2).
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Force data and length to the disk.
    ///
    /// # Errors
    /// As fdatasync(2).
    fn sync(&mut self) -> io::Result<()>;
}

/// A file system.
pub trait Vfs: Send + Sync {
    /// Create a file that must not exist, readable by its owner only, and lock it.
    ///
    /// # Errors
    /// `AlreadyExists`, or as open(2).
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>>;
    /// Open and lock an existing plain file for appending.
    ///
    /// # Errors
    /// `WouldBlock` when another writer holds it, `InvalidInput` when it is a link or not a plain file, or as open(2).
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>>;
    /// Remove a file.
    ///
    /// # Errors
    /// As unlink(2).
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Read a small file, at most `limit` bytes of it.
    ///
    /// # Errors
    /// `NotFound`, or as open(2) and read(2).
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// Put a small file in place, whole or not at all: written beside, forced to the disk, renamed.
    ///
    /// # Errors
    /// As write(2), fsync(2) and rename(2).
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// As [`Vfs::replace`], and overwrite the bytes of the file that was there before.
    ///
    /// # Errors
    /// As [`Vfs::replace`].
    fn replace_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace(path, bytes)
    }
    /// Length of a file.
    ///
    /// # Errors
    /// As stat(2).
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// Give a file another name, which must be free.
    ///
    /// # Errors
    /// `AlreadyExists`, or as rename(2).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Give a file a second name, which must be free.
    ///
    /// # Errors
    /// `AlreadyExists`, or as link(2); file systems without hard links refuse.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Give a file the name of another one, which thereby loses it; at no moment has nobody that name.
    ///
    /// # Errors
    /// As rename(2).
    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Names in a directory.
    ///
    /// # Errors
    /// As opendir(3).
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Force a directory's entries to the disk.
    ///
    /// # Errors
    /// As fsync(2).
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
}

/// The operating system's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Vfs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true);
        private(&mut options);
        let file = options.open(path)?;
        lock(&file)?;
        Ok(Box::new(RealHandle(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        private(&mut options);
        let file = options.open(path).map_err(link_refusal)?;
        check_plain(&file)?;
        lock(&file)?;
        Ok(Box::new(RealHandle(file)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::take(open_for_reading(path)?, limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let beside = path.with_file_name(name);
        // A left-over of a crash, or a link that someone put there: gone, never followed.
        let _ = std::fs::remove_file(&beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        private(&mut options);
        let mut file = options.open(&beside)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
            let _ = std::fs::remove_file(&beside);
        })
    }

    fn replace_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true);
        private(&mut options);
        let old = options.open(path).ok();
        self.replace(path, bytes)?;
        // Only once the new key is in place: a crash in between must not leave the log without any.
        if let Some(mut old) = old {
            let length = usize::try_from(old.metadata()?.len().min(64 * 1024)).unwrap_or(0);
            old.write_all(&vec![0; length])?;
            old.sync_all()?;
        }
        Ok(())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::symlink_metadata(path)?.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename_to_free(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let names = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if cfg!(unix) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

struct RealHandle(File);

impl Handle for RealHandle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.0, bytes)
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        io::Seek::seek(&mut self.0, io::SeekFrom::Start(offset))?;
        io::Read::read(&mut self.0, buffer)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Open a log for reading: a plain file, never through a symbolic link at its last step.
///
/// # Errors
/// As open(2); `InvalidInput` for a link or a thing that is not a plain file.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    private(&mut options);
    let file = options.open(path).map_err(link_refusal)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    Ok(file)
}

fn link_refusal(error: io::Error) -> io::Error {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link; name the file itself");
    }
    error
}

fn check_plain(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&metadata) > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file has a second hard link"));
    }
    Ok(())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    // NONBLOCK: opening a FIFO that someone put there must not hang.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
}

#[cfg(not(unix))]
fn private(_options: &mut OpenOptions) {}

#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)
}

#[cfg(not(unix))]
fn lock(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{renameat_with, RenameFlags, CWD};
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}
