// SPDX-License-Identifier: Apache-2.0
//! What must hold for any bytes whatever, one function per parser of hostile input. The fuzzer calls them with what it makes up,
//! `tests/fuzz_corpus.rs` with what the fuzzer once found worth keeping.

use observer_snapshot::frame::{Head, Opener, HEAD};
use observer_snapshot::layout::{Codec, Header, Trailer, ENDS};
use observer_snapshot::manifest::{Manifest, Region};
use observer_snapshot::node;
use observer_snapshot::reader::{Seen, Snapshot};
use observer_snapshot::{rules, verify, PAGE};
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A parser of hostile bytes and what must hold for it.
pub type Oracle = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const ORACLES: [(&str, Oracle); 4] = [("ends", ends), ("frame", frame), ("node", node), ("whole", whole)];

fn first<const N: usize>(data: &[u8]) -> Option<&[u8; N]> {
    data.get(..N)?.try_into().ok()
}

/// Header and trailer: what is accepted has one spelling.
pub fn ends(data: &[u8]) {
    let Some(bytes) = first::<ENDS>(data) else { return };
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), *bytes, "a header has another spelling");
        assert!(header.key_block <= 64 * 1024);
    }
    if let Some(trailer) = Trailer::decode(bytes, &data[ENDS..]) {
        assert_eq!(trailer.encode(&data[ENDS..]), *bytes, "a trailer has another spelling");
    }
}

fn checked(head: &mut [u8], stored: &[u8]) {
    let mut hasher = crc32fast::Hasher::new();
    head[12..16].fill(0);
    hasher.update(head);
    hasher.update(stored);
    head[12..16].copy_from_slice(&hasher.finalize().to_le_bytes());
}

/// A frame: no more bytes come out of it than its head says, and no head says more than the limits of its kind.
pub fn frame(data: &[u8]) {
    let Some(head) = first::<HEAD>(data) else { return };
    let mut stored = data[HEAD..].to_vec();
    let mut bytes = *head;
    bytes[4..8].copy_from_slice(&(stored.len() as u32).to_le_bytes());
    checked(&mut bytes, &stored);
    let codec = Codec { compressed: true, encrypted: false };
    let Ok(head) = Head::decode(&bytes, codec) else { return };
    assert!(head.plain <= 64 << 20);
    let Some(opener) = Opener::new(codec, [7; 16], None) else { return };
    let mut out = Vec::new();
    if opener.open(&bytes, &head, &mut stored, &mut out).is_ok() {
        assert_eq!(out.len(), head.plain as usize);
    }
}

/// A node: its runs add up to its pages, and written again it says the same.
pub fn node(data: &[u8]) {
    for pages in [1, 7, 1024] {
        let Ok(entries) = node::decode(data, pages) else { continue };
        assert_eq!(entries.len() as u64, pages);
        let again = node::decode(&node::encode(&entries), pages);
        assert!(again.is_ok_and(|again| again == entries), "a node changes when it is written again");
    }
}

/// A whole file whose checksums hold, with a manifest that is made up, and whatever else as its frames: it is refused, or all of it
/// can be gone over in the memory that a frame needs.
pub fn whole(data: &[u8]) {
    let middle = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (manifest, frames) = data.split_at(middle);
    let Ok(path) = write(manifest, frames.get(1..).unwrap_or_default()) else { return };
    let Ok(mut snapshot) = Snapshot::open(&path, None) else { return };
    assert_eq!(rules::check(&snapshot.manifest, u64::MAX), Ok(()));
    let regions: Vec<(u32, Region)> =
        snapshot.manifest.processes.iter().flat_map(|p| p.regions.iter().map(|region| (p.pid, region.clone()))).collect();
    for (pid, region) in &regions {
        assert!(region.size < 1 << 63 && region.start.checked_add(region.size).is_some());
        let mut pages = 0;
        let done = snapshot.visit(region, (0, region.pages()), &mut |seen| {
            assert!(!matches!(seen, Seen::Content(bytes) if bytes.len() % PAGE != 0));
            pages += seen.pages();
            Ok(())
        });
        assert!(done.is_err() || pages == region.pages(), "pages are left out");
        let _ = snapshot.read(*pid, region.start, PAGE.min(region.size as usize));
    }
    let _ = verify::verify(&mut snapshot, None);
}

/// Write the file; returns a path by which it can be opened.
fn write(manifest: &[u8], frames: &[u8]) -> std::io::Result<PathBuf> {
    let id = serde_json::from_slice::<Manifest>(manifest).map(|m| m.snapshot_id).unwrap_or_default();
    let mut file_id = [0; 16];
    for (slot, pair) in file_id.iter_mut().zip(id.replace('-', "").as_bytes().chunks(2)) {
        *slot = std::str::from_utf8(pair).ok().and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    }
    let header = Header { codec: Codec { compressed: false, encrypted: false }, file_id, key_block: 0 }.encode();
    let mut out = header.to_vec();
    let mut rest = frames;
    while rest.len() >= HEAD {
        let (mut head, body) = (rest[..HEAD].to_vec(), &rest[HEAD..]);
        let length = (u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize).min(body.len());
        checked(&mut head, &body[..length]);
        out.extend_from_slice(&head);
        out.extend_from_slice(&body[..length]);
        rest = &body[length..];
    }
    let at = out.len() as u64;
    let size = (manifest.len() as u32).to_le_bytes();
    let mut head = [0; HEAD];
    head[0] = 4;
    head[4..8].copy_from_slice(&size);
    head[8..12].copy_from_slice(&size);
    checked(&mut head, manifest);
    out.extend_from_slice(&head);
    out.extend_from_slice(manifest);
    let trailer = Trailer { manifest: at, signature: 0, length: out.len() as u64 + ENDS as u64 };
    out.extend_from_slice(&trailer.encode(&header));
    FILE.with_borrow_mut(|mine| {
        let mine = match mine {
            Some(mine) => mine,
            None => mine.insert(nameless()?),
        };
        mine.set_len(0)?;
        mine.write_all_at(&out, 0)?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", mine.as_raw_fd())))
    })
}

thread_local! {
    /// One for all inputs of a thread: making a name and removing it takes longer than reading a file.
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// A file in memory where there is a place for it.
fn nameless() -> std::io::Result<File> {
    tempfile::tempfile_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" })
}
