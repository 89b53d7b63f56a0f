// SPDX-License-Identifier: Apache-2.0
//! Frames: compressed, sealed, and opened again within limits known beforehand.

use crate::layout::Codec;
use crate::{FRAME_PAGES, PAGE};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroizing;

/// Bytes of a frame's head.
pub const HEAD: usize = 24;
/// Bytes that sealing adds.
pub const TAG: usize = 16;
/// Largest manifest.
pub const MANIFEST_MAX: u32 = 64 << 20;
/// Largest component frame.
pub const COMPONENT_MAX: usize = 1 << 20;
const NODE_MAX: u32 = 64 << 10;
const SIGNATURE_MAX: u32 = 64 << 10;
const ZSTD: u8 = 1;
const SEALED: u8 = 2;
const LEVEL: i32 = 1; // measured: level 3 is no smaller on memory, LZ4 is 1.5 to 1.9 times larger

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pages.
    Pages = 1,
    /// A node.
    Node = 2,
    /// Part of a component.
    Component = 3,
    /// The manifest.
    Manifest = 4,
    /// The signed note.
    Signature = 5,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it holds.
    pub kind: Kind,
    codec: u8,
    /// Pages in it.
    pub pages: u16,
    /// Bytes that follow the head.
    pub stored: u32,
    /// Bytes when opened.
    pub plain: u32,
    check: u32,
    number: u64,
}

impl Head {
    fn encode(&self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        out[0] = self.kind as u8;
        out[1] = self.codec;
        out[2..4].copy_from_slice(&self.pages.to_le_bytes());
        out[4..8].copy_from_slice(&self.stored.to_le_bytes());
        out[8..12].copy_from_slice(&self.plain.to_le_bytes());
        out[16..].copy_from_slice(&self.number.to_le_bytes());
        out
    }

    /// Read a head and hold it to the limits of its kind.
    ///
    /// # Errors
    /// What cannot be, as a sentence.
    pub fn decode(bytes: &[u8; HEAD], codec: Codec) -> Result<Head, &'static str> {
        let kind = match bytes[0] {
            1 => Kind::Pages,
            2 => Kind::Node,
            3 => Kind::Component,
            4 => Kind::Manifest,
            5 => Kind::Signature,
            _ => return Err("a frame of unknown kind"),
        };
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[16..]);
        let pages = u16::from_le_bytes([bytes[2], bytes[3]]);
        let head = Head {
            kind,
            codec: bytes[1],
            pages,
            stored: four(4),
            plain: four(8),
            check: four(12),
            number: u64::from_le_bytes(number),
        };
        head.check(codec)?;
        Ok(head)
    }

    fn check(&self, codec: Codec) -> Result<(), &'static str> {
        let sealed = self.codec & SEALED != 0;
        if self.codec & !(ZSTD | SEALED) != 0 || sealed != codec.encrypted {
            return Err("a frame of unknown codec");
        }
        let fits = match self.kind {
            Kind::Pages => {
                (1..=FRAME_PAGES).contains(&usize::from(self.pages)) && self.plain as usize == usize::from(self.pages) * PAGE
            }
            Kind::Node => self.pages == 0 && self.plain <= NODE_MAX,
            Kind::Component => self.pages == 0 && self.plain as usize <= COMPONENT_MAX,
            Kind::Manifest => self.pages == 0 && self.plain <= MANIFEST_MAX,
            Kind::Signature => self.pages == 0 && self.plain <= SIGNATURE_MAX,
        };
        let tag = if sealed { TAG as u32 } else { 0 };
        let inner = self.stored.checked_sub(tag).ok_or("a frame shorter than its tag")?;
        let exact = if self.codec & ZSTD != 0 { inner < self.plain } else { inner == self.plain };
        if fits && exact {
            return Ok(());
        }
        Err("a frame of a length that cannot be")
    }
}

/// A file key; wiped when dropped, never printed.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; 32]>);

impl FileKey {
    /// Take 32 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<FileKey> {
        Some(FileKey(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Its bytes in hexadecimal, for a manifest that is itself sealed.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0.as_slice())
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.0.as_slice()).ok().map(LessSafeKey::new)
    }
}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(…)")
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn associated(file_id: &[u8; 16], head: &[u8; HEAD]) -> [u8; 16 + HEAD] {
    let mut out = [0; 16 + HEAD];
    out[..16].copy_from_slice(file_id);
    out[16..].copy_from_slice(head);
    out
}

/// Makes frames of one file; shared by all threads that write to it.
pub struct Sealer {
    codec: Codec,
    cipher: Option<LessSafeKey>,
    file_id: [u8; 16],
    next: AtomicU64,
}

/// A thread's own compressor.
pub struct Press(Option<zstd::bulk::Compressor<'static>>, Vec<u8>);

impl Sealer {
    /// For a new file; None when an encrypted one has no key.
    #[must_use]
    pub fn new(codec: Codec, file_id: [u8; 16], key: Option<&FileKey>) -> Option<Sealer> {
        let cipher = if codec.encrypted { Some(key?.cipher()?) } else { None };
        Some(Sealer { codec, cipher, file_id, next: AtomicU64::new(1) })
    }

    /// A compressor for one thread.
    ///
    /// # Errors
    /// When the library has no memory for it.
    pub fn press(&self) -> std::io::Result<Press> {
        let inner = if self.codec.compressed { Some(zstd::bulk::Compressor::new(LEVEL)?) } else { None };
        Ok(Press(inner, Vec::new()))
    }

    /// Append a frame of `plain` to `out`.
    ///
    /// # Errors
    /// When compressing or sealing fails, which they do only without memory.
    pub fn seal(&self, press: &mut Press, kind: Kind, plain: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        let Press(compressor, room) = press;
        let mut codec = if self.cipher.is_some() { SEALED } else { 0 };
        let mut content = plain;
        if let Some(compressor) = compressor {
            room.resize(zstd::zstd_safe::compress_bound(plain.len()), 0);
            let length = compressor.compress_to_buffer(plain, room.as_mut_slice())?;
            if length < plain.len() {
                codec |= ZSTD;
                content = &room[..length];
            }
        }
        let tag = if self.cipher.is_some() { TAG } else { 0 };
        let pages = if kind == Kind::Pages { (plain.len() / PAGE) as u16 } else { 0 };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let head = Head { kind, codec, pages, stored: (content.len() + tag) as u32, plain: plain.len() as u32, check: 0, number };
        let bytes = head.encode();
        out.extend_from_slice(&bytes);
        let start = out.len();
        out.extend_from_slice(content);
        if let Some(cipher) = &self.cipher {
            let aad = Aad::from(associated(&self.file_id, &bytes));
            let tag = cipher
                .seal_in_place_separate_tag(nonce(number), aad, &mut out[start..])
                .map_err(|_| std::io::Error::other("sealing failed"))?;
            out.extend_from_slice(tag.as_ref());
        }
        let check = checksum(&bytes, &out[start..]);
        out[start - HEAD + 12..start - HEAD + 16].copy_from_slice(&check.to_le_bytes());
        Ok(())
    }
}

/// CRC-32 of a frame: of its head with zeros in the checksum's place, and of what is stored.
fn checksum(head: &[u8; HEAD], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&without_check(head));
    hasher.update(stored);
    hasher.finalize()
}

fn without_check(head: &[u8; HEAD]) -> [u8; HEAD] {
    let mut bytes = *head;
    bytes[12..16].fill(0);
    bytes
}

/// Opens frames of one file.
pub struct Opener {
    codec: Codec,
    cipher: Option<LessSafeKey>,
    file_id: [u8; 16],
}

impl Opener {
    /// For a file with this header; None when it is encrypted and there is no key.
    #[must_use]
    pub fn new(codec: Codec, file_id: [u8; 16], key: Option<&FileKey>) -> Option<Opener> {
        let cipher = if codec.encrypted { Some(key?.cipher()?) } else { None };
        Some(Opener { codec, cipher, file_id })
    }

    /// The file's codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Open what is stored behind `head`; `stored` is used up. The plain bytes replace what is in `out`.
    ///
    /// # Errors
    /// What does not hold, as a sentence.
    pub fn open(&self, bytes: &[u8; HEAD], head: &Head, stored: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if checksum(bytes, stored) != head.check {
            return Err("the checksum of a frame");
        }
        let content: &[u8] = match &self.cipher {
            Some(cipher) => {
                let aad = Aad::from(associated(&self.file_id, &without_check(bytes)));
                cipher.open_in_place(nonce(head.number), aad, stored).map_err(|_| "the seal of a frame")?
            }
            None if head.codec & ZSTD == 0 => {
                std::mem::swap(stored, out); // as it is: nothing has to be moved
                return Ok(());
            }
            None => stored,
        };
        out.clear();
        if head.codec & ZSTD == 0 {
            out.extend_from_slice(content);
            return Ok(());
        }
        // Room is only reserved: what a head promises and does not hold costs no memory.
        out.reserve_exact(head.plain as usize);
        match decompress(content, out) {
            Ok(length) if length == head.plain as usize => Ok(()),
            _ => Err("the compressed content of a frame"),
        }
    }
}

thread_local! {
    /// Each thread's own: making one for every frame costs as much as a small frame does.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompress into the room that `out` has; returns how much came out.
fn decompress(content: &[u8], out: &mut Vec<u8>) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|mine| {
        let mine = match mine {
            Some(mine) => mine,
            None => mine.insert(zstd::bulk::Decompressor::new()?),
        };
        mine.decompress_to_buffer(content, out)
    })
}
