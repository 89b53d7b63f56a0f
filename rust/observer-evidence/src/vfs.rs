// SPDX-License-Identifier: Apache-2.0
//! The few file operations the log needs, as traits, so that tests can cut the power or fill the disk at any byte.

use std::fs::{File, OpenOptions};
use std::io;
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

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
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
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain file",
        ));
    }
    Ok(file)
}

fn link_refusal(error: io::Error) -> io::Error {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a symbolic link; name the file itself",
        );
    }
    error
}

fn check_plain(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain file",
        ));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&metadata) > 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file has a second hard link",
        ));
    }
    Ok(())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    // NONBLOCK: opening a FIFO that someone put there must not hang.
    let flags =
        rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
    options
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
}

#[cfg(not(unix))]
fn private(_options: &mut OpenOptions) {}

#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(io::Error::from)
}

#[cfg(not(unix))]
fn lock(_file: &File) -> io::Result<()> {
    Ok(())
}
