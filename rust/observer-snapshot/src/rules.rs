// SPDX-License-Identifier: Apache-2.0
//! What a manifest must hold to before anything is done with it.

use crate::manifest::{Manifest, Process, Region, SCHEMA};
use crate::node::{REFERENCE, UNKNOWN, ZERO};
use crate::{NODE_BYTES, PAGE};

/// A component is handed out in one piece, so it must fit the memory of whoever looks at a file of a stranger.
const COMPONENT_BYTES_MAX: u64 = 64 << 20;
const PAGE_MASK: u64 = PAGE as u64 - 1;

/// Check everything that a reader relies on.
///
/// # Errors
/// The first thing that cannot be, as a sentence.
pub fn check(manifest: &Manifest, file_length: u64) -> Result<(), String> {
    if manifest.schema != SCHEMA {
        return Err(format!("a manifest of schema {:?}", manifest.schema));
    }
    if manifest.files.is_empty() {
        return Err("a manifest without its own file".into());
    }
    for process in &manifest.processes {
        check_process(manifest, process).map_err(|what| format!("process {}: {what}", process.pid))?;
    }
    for component in &manifest.components {
        let room = component.frames.len() as u64 * crate::frame::COMPONENT_MAX as u64;
        if component.size_bytes > room || component.frames.iter().any(|offset| *offset >= file_length) {
            return Err(format!("component {:?} is larger than its frames", component.name));
        }
        if component.size_bytes > COMPONENT_BYTES_MAX {
            return Err(format!("component {:?} is larger than 64 MiB", component.name));
        }
        digest(&component.digest)?;
    }
    Ok(())
}

fn check_process(manifest: &Manifest, process: &Process) -> Result<(), String> {
    let mut behind = 0;
    for region in &process.regions {
        if region.start < behind {
            return Err(format!("region {:#x} overlaps the one before it", region.start));
        }
        check_region(manifest, region).map_err(|what| format!("region {:#x}: {what}", region.start))?;
        behind = region.end();
    }
    Ok(())
}

fn check_region(manifest: &Manifest, region: &Region) -> Result<(), String> {
    let end = region.start.checked_add(region.size);
    if end.is_none() || region.size >= 1 << 63 || region.size == 0 || (region.start | region.size) & PAGE_MASK != 0 {
        return Err("a size or a place that cannot be".into());
    }
    if ![ZERO, REFERENCE, UNKNOWN].contains(&region.unlisted) {
        return Err("an unknown class of pages".into());
    }
    let mode = region.permissions.as_bytes();
    if mode.len() != 4 || !mode.iter().all(|letter| b"rwxps-".contains(letter)) {
        return Err("permissions that are none".into());
    }
    if region.source.is_some_and(|source| source as usize >= manifest.sources.len()) {
        return Err("a backing file that is not listed".into());
    }
    digest(&region.digest)?;
    let (mut next, nodes) = (region.start / NODE_BYTES, region.end().div_ceil(NODE_BYTES));
    for (index, file, _, text) in &region.nodes {
        if *index < next || *index >= nodes || *file as usize >= manifest.files.len() {
            return Err("a node that is out of order or out of the region".into());
        }
        digest(text)?;
        next = index + 1;
    }
    Ok(())
}

/// Read a digest.
///
/// # Errors
/// When it is not 64 hexadecimal digits.
pub fn digest(text: &str) -> Result<[u8; 32], String> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).map_err(|_| "a digest that is none".to_owned())?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::FileEntry;

    fn manifest(regions: Vec<(u64, u64)>) -> Manifest {
        let regions = regions
            .into_iter()
            .map(|(start, size)| Region { start, size, permissions: "rw-p".into(), digest: "0".repeat(64), ..Region::default() })
            .collect();
        Manifest {
            schema: SCHEMA.into(),
            files: vec![FileEntry { file_id: String::new(), key: None }],
            processes: vec![Process { regions, ..Process::default() }],
            ..Manifest::default()
        }
    }

    #[test]
    fn regions_that_cannot_be_are_refused() {
        assert_eq!(check(&manifest(vec![(4096, 4096), (8192, 4096)]), 9), Ok(()));
        for bad in [
            vec![(4096, 8192), (8192, 4096)],
            vec![(0, 0)],
            vec![(1, 4096)],
            vec![(0, 1 << 63)],
            vec![(u64::MAX - 4095, 4096)],
            vec![(8192, 4096), (4096, 4096)],
        ] {
            assert!(check(&manifest(bad.clone()), 9).is_err(), "{bad:?}");
        }
    }
}
