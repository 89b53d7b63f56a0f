// SPDX-License-Identifier: Apache-2.0
//! What a caller asks for, as JSON.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Which pages and components.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Only regions that overlap one of these.
    pub addresses: Vec<(u64, u64)>,
    /// Only regions whose name fits one of these patterns (`*`, `?`).
    pub names: Vec<String>,
    /// Only regions that have all of these letters.
    pub permissions: String,
    /// Only memory without a file.
    pub anonymous_only: bool,
    /// Larger regions are not copied.
    pub max_region_bytes: Option<u64>,
    /// Regions of which only digests are kept: patterns of names, `*` for all.
    pub hash_only: Vec<String>,
    /// Copy regions that the program marked MADV_DONTDUMP.
    pub dontdump: bool,
    /// Copy pages of files too.
    pub file_pages: bool,
    /// Types of components; empty for all.
    pub components: Vec<String>,
}

/// State of a process that the caller knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Told {
    /// Type of the component.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its thread; 0 for the process.
    pub tid: u32,
    /// Its bytes, hexadecimal.
    pub hex: String,
    /// Where a descriptor leads.
    pub path: Option<String>,
}

/// A process that the caller holds still, under another id than it had: a replay at some point.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Body {
    /// Its id, as recorded.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// The process that holds its memory now.
    pub real: u32,
    /// Its name.
    pub comm: String,
    /// Its program.
    pub exe: String,
    /// Ids of its threads, the leader first.
    pub threads: Vec<u32>,
    /// Names of its mappings by address range.
    pub names: Vec<(u64, u64, String)>,
    /// Its state.
    pub parts: Vec<Told>,
}

/// A capture.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Processes.
    pub pids: Vec<u32>,
    /// And what descends from them.
    pub descendants: bool,
    /// And this cgroup's.
    pub cgroup: Option<String>,
    /// Never these.
    pub never: Vec<u32>,
    /// Instead of all that: processes that stand already.
    pub bodies: Vec<Body>,
    /// Address ranges that are the caller's own in them.
    pub hidden: Vec<(u64, u64)>,
    /// Their instant: CLOCK_REALTIME and CLOCK_BOOTTIME, ns, and the id of the boot.
    pub instant: Option<(u64, u64, String)>,
    /// The snapshot, UUID text.
    pub snapshot_id: String,
    /// Its container.
    pub container_id: Option<String>,
    /// What was asked for, for the manifest.
    pub target: Map<String, Value>,
    /// Facts in text, for the manifest.
    pub metadata: Map<String, Value>,
    /// What to keep.
    pub selection: Selection,
    /// `auto`, `uffd-wp`, `fork` or `stop`.
    pub tracking: String,
    /// Copy the writable layer of the first process's root too.
    pub layer: bool,
    /// Threads that copy; 0 for one for each processor.
    pub workers: usize,
    /// The file to write.
    pub path: String,
    /// Compress.
    pub compressed: bool,
    /// Seal.
    pub encrypted: bool,
    /// An earlier file of the same store whose pages may be referred to.
    pub known: Option<String>,
}

/// True when `text` fits a pattern of `*` and `?`.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p).is_some_and(|want| *want == '?' || (*want != '*' && *want == text[t])) {
            (p, t) = (p + 1, t + 1);
        } else if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, tried)) = star {
            (p, t) = (at + 1, tried + 1);
            star = Some((at, tried + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("[heap]", "[heap]", true),
            ("*.so*", "/lib/libc.so.6", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*a", "abab", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, text), want, "{pattern} {text}");
        }
    }
}
