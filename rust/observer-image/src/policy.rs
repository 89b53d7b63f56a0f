// SPDX-License-Identifier: Apache-2.0
//! What is done with each mapping: copied, referred to, hashed or left out, and why.

use crate::maps::Mapping;
use crate::request::{fits, Selection};
use observer_snapshot::node::{REFERENCE, UNKNOWN, ZERO};

/// What a mapping's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Private memory without a file.
    Anonymous,
    /// A private view of a file: pages that were written are memory, the rest is the file's.
    PrivateFile,
    /// A shared view of a file.
    SharedFile,
    /// Shared memory without a file on a disk.
    SharedMemory,
    /// Not memory: a device, or the kernel's own.
    Special,
}

/// What is done with a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it is.
    pub kind: Kind,
    /// `copied`, `reference`, `hash` or `excluded`.
    pub policy: &'static str,
    /// Why it is not copied.
    pub why: String,
    /// Class of pages in nodes that are not listed.
    pub unlisted: u8,
}

/// What a mapping is.
#[must_use]
pub fn kind(mapping: &Mapping) -> Kind {
    let vdso = mapping.name == "[vdso]";
    if !vdso && (mapping.has("io") || mapping.has("pf") || mapping.name.starts_with("[vvar") || mapping.name == "[vsyscall]") {
        return Kind::Special;
    }
    if mapping.anonymous() {
        return if mapping.shared() { Kind::SharedMemory } else { Kind::Anonymous };
    }
    if mapping.shared_memory() || mapping.name.starts_with("/dev/") {
        return Kind::SharedMemory;
    }
    if mapping.shared() {
        return Kind::SharedFile;
    }
    Kind::PrivateFile
}

/// Decide; `source` tells whether its file can be identified and so be referred to.
#[must_use]
pub fn decide(mapping: &Mapping, selection: &Selection, source: bool) -> Decision {
    let kind = kind(mapping);
    let excluded = |why: &str| Decision { kind, policy: "excluded", why: why.to_owned(), unlisted: UNKNOWN };
    if kind == Kind::Special {
        return excluded("memory of a device or of the kernel");
    }
    if mapping.has("dd") && !selection.dontdump && !mapping.has("io") && mapping.name != "[vdso]" {
        return excluded("the program asked not to dump it (MADV_DONTDUMP)");
    }
    if let Some(why) = unselected(mapping, selection) {
        return excluded(&why);
    }
    let referred = matches!(kind, Kind::PrivateFile | Kind::SharedFile) && source && !selection.file_pages;
    let unlisted = if referred { REFERENCE } else { ZERO };
    if selection.hash_only.iter().any(|pattern| fits(pattern, &mapping.name)) {
        return Decision { kind, policy: "hash", why: "only digests were asked for".into(), unlisted };
    }
    let policy = if referred && !mapping.permissions.contains('w') { "reference" } else { "copied" };
    Decision { kind, policy, why: String::new(), unlisted }
}

fn unselected(mapping: &Mapping, selection: &Selection) -> Option<String> {
    let overlaps = |(start, end): &(u64, u64)| mapping.start < *end && *start < mapping.end;
    if !selection.addresses.is_empty() && !selection.addresses.iter().any(overlaps) {
        return Some("its address was not asked for".into());
    }
    if !selection.names.is_empty() && !selection.names.iter().any(|pattern| fits(pattern, &mapping.name)) {
        return Some("its name was not asked for".into());
    }
    if !selection.permissions.chars().all(|letter| mapping.permissions.contains(letter)) {
        return Some("its permissions were not asked for".into());
    }
    if selection.anonymous_only && !mapping.anonymous() {
        return Some("only memory without a file was asked for".into());
    }
    if selection.max_region_bytes.is_some_and(|most| mapping.size() > most) {
        return Some(format!("it is larger than {} bytes", selection.max_region_bytes.unwrap_or(0)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(permissions: &str, inode: u64, name: &str) -> Mapping {
        Mapping { start: 4096, end: 8192, permissions: permissions.into(), inode, name: name.into(), ..Mapping::default() }
    }

    #[test]
    fn mappings_are_what_they_are() {
        for (permissions, inode, name, want) in [
            ("rw-p", 0, "[heap]", Kind::Anonymous),
            ("rw-p", 0, "", Kind::Anonymous),
            ("r-xp", 7, "/usr/bin/x", Kind::PrivateFile),
            ("rw-s", 7, "/var/db", Kind::SharedFile),
            ("rw-s", 7, "/memfd:x (deleted)", Kind::SharedMemory),
            ("rw-s", 9, "/dev/zero (deleted)", Kind::SharedMemory),
            ("r--p", 0, "[vvar]", Kind::Special),
            ("r-xp", 0, "[vdso]", Kind::Anonymous),
        ] {
            assert_eq!(kind(&mapping(permissions, inode, name)), want, "{name}");
        }
    }

    #[test]
    fn what_the_program_hides_is_left_out_unless_asked_for() {
        let mut hidden = mapping("rw-p", 0, "");
        hidden.flags = vec!["dd".into()];
        assert_eq!(decide(&hidden, &Selection::default(), false).policy, "excluded");
        let asked = Selection { dontdump: true, ..Selection::default() };
        assert_eq!(decide(&hidden, &asked, false).policy, "copied");
    }
}
