// SPDX-License-Identifier: Apache-2.0
//! /proc/PID/maps and the flags of smaps. Source: proc(5).

use crate::procfs;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

const ROOM: usize = 64 << 10; // 500 mappings; with less the kernel is asked more often, while everything stands

/// A mapping of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Behind the last address.
    pub end: u64,
    /// `rwxp`.
    pub permissions: String,
    /// Offset in its file.
    pub offset: u64,
    /// Device as `major:minor`.
    pub device: String,
    /// Inode; 0 for none.
    pub inode: u64,
    /// Path or `[name]`.
    pub name: String,
    /// Two-letter flags.
    pub flags: Vec<String>,
}

impl Mapping {
    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.end - self.start
    }

    /// True for one that other processes see written.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.permissions.ends_with('s')
    }

    /// True for memory without a file.
    #[must_use]
    pub fn anonymous(&self) -> bool {
        self.inode == 0 && !self.name.starts_with('/')
    }

    /// True for shared memory that has no file on a disk: memfd, System V, anonymous.
    #[must_use]
    pub fn shared_memory(&self) -> bool {
        let names = ["/memfd:", "/dev/zero", "/SYSV", "/dev/shm/", "anon_inode:"];
        self.inode != 0 && names.iter().any(|name| self.name.starts_with(name))
    }

    /// Its flag.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|mine| mine == flag)
    }
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let (permissions, offset, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permissions: permissions.to_owned(),
        offset: u64::from_str_radix(offset, 16).ok()?,
        device: device.to_owned(),
        inode: inode.parse().ok()?,
        name: unescape(words.next().unwrap_or("").trim_start()),
        flags: Vec::new(),
    })
}

/// The kernel writes a newline in a path as `\012`.
fn unescape(name: &str) -> String {
    name.replace("\\012", "\n")
}

/// The mappings of a process, in order; None when it has gone.
#[must_use]
pub fn of(pid: u32) -> Option<Vec<Mapping>> {
    let mut bytes = Vec::with_capacity(ROOM);
    File::open(format!("/proc/{pid}/maps")).ok()?.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).lines().filter_map(parse_line).collect())
}

/// Flags of each mapping by its first address; reading them walks the whole memory, so it is done while the target runs.
#[must_use]
pub fn flags(pid: u32) -> HashMap<u64, Vec<String>> {
    let Ok(bytes) = std::fs::read(format!("/proc/{pid}/smaps")) else { return HashMap::new() };
    let text = String::from_utf8_lossy(&bytes);
    let (mut out, mut start) = (HashMap::new(), 0);
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("VmFlags:") {
            out.insert(start, list.split_ascii_whitespace().map(str::to_owned).collect());
        } else if let Some(mapping) = parse_line(line).filter(|mapping| mapping.end > mapping.start) {
            start = mapping.start;
        }
    }
    out
}

/// Mappings of a process that is being looked at for the first time: with flags.
#[must_use]
pub fn with_flags(pid: u32) -> Option<Vec<Mapping>> {
    let known = flags(pid);
    let mut all = of(pid)?;
    add_flags(&mut all, &known);
    Some(all)
}

/// Give mappings the flags that were found before.
pub fn add_flags(all: &mut [Mapping], known: &HashMap<u64, Vec<String>>) {
    for mapping in all {
        mapping.flags = known.get(&mapping.start).cloned().unwrap_or_default();
    }
}

/// Name of a process, without what a terminal would obey.
#[must_use]
pub fn comm(pid: u32) -> String {
    procfs::text(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end_matches('\n').to_owned()
}
