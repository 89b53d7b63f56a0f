// SPDX-License-Identifier: Apache-2.0
//! The manifest's members, as `docs/spec/snapshot.md` section 3 lists them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The schema that this version writes.
pub const SCHEMA: &str = "observer.snapshot/1";

/// All that a snapshot says besides pages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The snapshot.
    pub snapshot_id: String,
    /// Its container.
    #[serde(default)]
    pub container_id: Option<String>,
    /// Its plugin.
    #[serde(default)]
    pub plugin_id: Option<String>,
    /// The instant, CLOCK_REALTIME in ns.
    pub wall_ns: u64,
    /// The same, CLOCK_BOOTTIME in ns.
    pub boot_ns: u64,
    /// The kernel's id of that boot.
    pub boot_id: String,
    /// What was asked for.
    pub target: Map<String, Value>,
    /// How it was captured.
    pub method: Map<String, Value>,
    /// Files that hold pages; the first is this one.
    pub files: Vec<FileEntry>,
    /// Backing files.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Processes.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// State that is not memory.
    #[serde(default)]
    pub components: Vec<Component>,
    /// Facts in text.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Counts.
    #[serde(default)]
    pub totals: Map<String, Value>,
}

/// A file that holds pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its id, UUID text.
    pub file_id: String,
    /// Its key in hexadecimal, when it is encrypted and not this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A backing file, as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its path in the target's own view.
    pub path: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Last modification, ns since 1970.
    pub mtime_ns: u64,
    /// Inode.
    pub inode: u64,
    /// Device, as stat(2) gives it.
    pub device: u64,
    /// GNU build id in hexadecimal.
    #[serde(default)]
    pub build_id: Option<String>,
    /// Digest of the whole file in hexadecimal.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Process {
    /// Its id, as the machine sees it.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// Its name.
    pub comm: String,
    /// Its executable.
    pub exe: String,
    /// Ids of its threads, the leader first.
    pub threads: Vec<u32>,
    /// Its memory, by address.
    pub regions: Vec<Region>,
}

/// A listed node: index, file, offset, digest in hexadecimal.
pub type NodeEntry = (u64, u32, u64, String);

/// A region of memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Region {
    /// Where it begins.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// `rwxp`.
    pub permissions: String,
    /// Offset in its file.
    pub offset: u64,
    /// Its name.
    pub name: String,
    /// Index into `sources`.
    #[serde(default)]
    pub source: Option<u32>,
    /// `copied`, `reference`, `hash` or `excluded`.
    pub policy: String,
    /// Why it was not copied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// `VmFlags`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Class of pages in nodes that are not listed.
    pub unlisted: u8,
    /// Its digest in hexadecimal.
    pub digest: String,
    /// Listed nodes.
    #[serde(default)]
    pub nodes: Vec<NodeEntry>,
}

impl Region {
    /// First address behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Its pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.size / crate::PAGE as u64
    }
}

/// State that is not memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Component {
    /// Kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Its process; 0 for the machine's or the container's.
    #[serde(default)]
    pub pid: u32,
    /// Its thread; 0 for none.
    #[serde(default)]
    pub tid: u32,
    /// Facts about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Bytes.
    pub size_bytes: u64,
    /// Digest in hexadecimal.
    pub digest: String,
    /// Offsets of its frames in this file.
    pub frames: Vec<u64>,
}
