// SPDX-License-Identifier: Apache-2.0
//! Marks the pages of a process so that those it writes are known. When ours is the last descriptor and we end, the marks go.

use crate::maps::Mapping;
use crate::pagemap::PageMap;
use crate::{inject, sys};
use std::os::fd::OwnedFd;

/// Marks of one process.
pub struct Tracker {
    uffd: OwnedFd,
    /// For how long a thread stood to make the call, ns.
    pub stood_ns: u64,
}

impl Tracker {
    /// Get a userfaultfd of the process.
    ///
    /// # Errors
    /// Why not, as a sentence for the snapshot's label.
    pub fn attach(pid: u32, map: &PageMap) -> Result<Tracker, String> {
        if !map.scans() {
            return Err("the kernel has no PAGEMAP_SCAN (Linux 6.7)".into());
        }
        let (uffd, stood_ns) = inject::userfaultfd(pid)?;
        sys::uffd_api(&uffd).map_err(|error| format!("the kernel cannot mark writes by itself: {error}"))?;
        Ok(Tracker { uffd, stood_ns })
    }

    /// False when the process has executed another program since: these marks are of memory that is gone.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        sys::uffd_is_alive(&self.uffd)
    }

    /// Register a mapping; false when the kernel does not take this kind.
    #[must_use]
    pub fn register(&self, mapping: &Mapping) -> bool {
        sys::uffd_register(&self.uffd, mapping.start, mapping.size()).is_ok()
    }
}

/// True for mappings that are worth marking: private memory. What others can write too is read while everything stands.
#[must_use]
pub fn is_candidate(mapping: &Mapping) -> bool {
    let special = mapping.has("io") || mapping.has("pf") || mapping.has("ht") || mapping.name.starts_with("[v");
    !special && !mapping.shared()
}
