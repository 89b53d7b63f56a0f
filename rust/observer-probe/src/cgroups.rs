// SPDX-License-Identifier: Apache-2.0
//! Cgroups by their ids: what they are called, known from the probe, from a walk at the start, or asked of the kernel.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// So many names are remembered; then those of cgroups that are gone are forgotten.
const NAMES_MAX: usize = 100_000;
/// Kind of a file handle that is an inode's 64-bit id. Source: linux/exportfs.h, FILEID_KERNFS.
const FILEID_KERNFS: libc::c_int = 0xfe;
/// Inode number of the first cgroup namespace, in which all paths are from the top. Source: linux/proc_ns.h.
const FIRST_NAMESPACE: &str = "cgroup:[4026531835]";

/// Names of cgroups.
#[derive(Debug)]
pub struct Cgroups {
    /// Where the unified hierarchy is mounted.
    top: PathBuf,
    /// Paths that the kernel tells are those that /proc shows us.
    first: bool,
    names: HashMap<u64, String>,
}

impl Default for Cgroups {
    fn default() -> Self {
        let space = fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
        Cgroups { top: root(), first: space.as_os_str() == FIRST_NAMESPACE, names: HashMap::new() }
    }
}

/// Where the unified hierarchy is mounted: at the top, or beside version 1.
fn root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    });
    found.next_back().unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup"))
}

impl Cgroups {
    /// The name of a cgroup's directory: its path in the hierarchy.
    #[must_use]
    pub fn name_of(&self, dir: &Path) -> String {
        match dir.strip_prefix(&self.top) {
            Ok(rest) if rest.as_os_str().is_empty() => "/".to_owned(),
            Ok(rest) => format!("/{}", rest.display()),
            Err(_) => dir.display().to_string(),
        }
    }

    /// The directory at the top.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Remembers what a cgroup is called.
    pub fn learn(&mut self, id: u64, name: String) {
        if self.names.len() >= NAMES_MAX {
            self.names.retain(|id, _| ask(&self.top, *id).is_some());
        }
        self.names.insert(id, name);
    }

    /// The kernel made a cgroup of this path.
    pub fn made(&mut self, id: u64, path: &[u8]) {
        if self.first && !path.is_empty() {
            self.learn(id, String::from_utf8_lossy(path).into_owned());
        } else {
            self.name(id);
        }
    }

    /// What a cgroup is called; a name not known is asked of the kernel, which knows it while the cgroup is there.
    pub fn name(&mut self, id: u64) -> Option<String> {
        if let Some(name) = self.names.get(&id) {
            return Some(name.clone());
        }
        let name = self.name_of(&ask(&self.top, id)?);
        self.learn(id, name.clone());
        Some(name)
    }

    /// The id of a cgroup by its name, 0 for one that is not known.
    #[must_use]
    pub fn id(&self, name: &str) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let dir = self.top.join(name.trim_start_matches('/'));
        fs::symlink_metadata(dir).map_or(0, |facts| facts.ino())
    }
}

#[repr(C)]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u32; 2],
}

/// The directory of the cgroup with this id. Source: open_by_handle_at(2); needs CAP_DAC_READ_SEARCH.
fn ask(top: &Path, id: u64) -> Option<PathBuf> {
    let mount = fs::File::open(top).ok()?;
    let handle = Handle { bytes: 8, kind: FILEID_KERNFS, id: [id as u32, (id >> 32) as u32] };
    // SAFETY: the kernel reads a `file_handle` of the length it says; the descriptors are ours.
    let opened = unsafe {
        let fd =
            libc::open_by_handle_at(mount.as_raw_fd(), (&raw const handle).cast_mut().cast(), libc::O_PATH | libc::O_CLOEXEC);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
    };
    let path = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
    // Removed meanwhile: its name is still what it was called.
    let name = path.to_str()?;
    let name = Path::new(name.strip_suffix(" (deleted)").unwrap_or(name));
    name.starts_with(top).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_a_cgroup_by_its_id() {
        let mut cgroups = Cgroups::default();
        let id = cgroups.id("/");
        let Some(path) = ask(&cgroups.top.clone(), id) else {
            eprintln!("skipped: no unified hierarchy, or no right to open by handle");
            return;
        };
        assert_eq!(path, cgroups.top);
        assert_eq!(cgroups.name(id).as_deref(), Some("/"));
        assert_eq!(cgroups.name(u64::MAX), None);
    }
}
