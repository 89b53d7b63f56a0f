// SPDX-License-Identifier: Apache-2.0
//! Calls that change more than memory they name: mappings, shared objects, registers, other processes.

use crate::engine::maps::{page_up, regions};
use crate::error::ReplayError;
use crate::record::outputs::{buffers, bytes_at};
use crate::record::store::Store;
use crate::record::task::{Call, Task};
use crate::stream::{Effect, Mapping, Source};
use observer_capture::sys::{read_memory, Tid};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};

const MAP_TYPE: u64 = 0xf;
const MAP_PRIVATE: u64 = 2;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x100;
/// Advice that changes content, or what a child inherits. Source: asm-generic/mman-common.h.
const ADVICE: [u64; 9] = [4, 9, 10, 11, 18, 19, 24, 102, 103];
/// Larger files that a private mapping shows are kept as they were when it was made.
const FOLLOWED_MAX: u64 = 64 << 20;
/// Of larger files only what is mapped is kept.
const WHOLE_FILE_MAX: u64 = 256 << 20;

const FUTEX_WAITERS: u32 = 0x8000_0000;
const FUTEX_OWNER_DIED: u32 = 0x4000_0000;
const FUTEX_OWNER: u32 = 0x3fff_ffff;

/// Shared objects of the recording, by device and inode; System V segments by their id.
#[derive(Debug, Default)]
pub struct Objects {
    known: HashMap<(u64, u64), u32>,
    files: Vec<Followed>,
    next: u32,
}

/// The file behind an object.
#[derive(Debug)]
struct Followed {
    object: u32,
    file: File,
    size: u64,
}

impl Objects {
    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The object of a file, if it is one.
    #[must_use]
    pub fn of(&self, meta: &Metadata) -> Option<u32> {
        self.known.get(&(meta.dev(), meta.ino())).copied()
    }

    /// What the kernel makes of a futex word that lies in an object, when thread `tid` ends and owns it. Source: futex(2),
    /// FUTEX_OWNER_DIED.
    #[must_use]
    pub fn abandoned(&self, tid: Tid, word: u64) -> Option<Effect> {
        let region = regions(tid).ok()?.into_iter().find(|r| r.shared && r.start <= word && word < r.end)?;
        let object = self.known.get(&region.file).or_else(|| self.known.get(&(u64::MAX, region.file.1)))?;
        let held = bytes_at(tid, word, 4).first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))?;
        let now = (held & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        let offset = region.offset + (word - region.start);
        (held & FUTEX_OWNER == tid.unsigned_abs()).then(|| Effect::Object(*object, offset, now.to_le_bytes().to_vec()))
    }

    /// Words of objects that say that an owner died, as a thread sees them that shares them. For one that was killed nobody could look
    /// what it held.
    #[must_use]
    pub fn marked_dead(&self, tid: Tid) -> Vec<Effect> {
        let mut effects = Vec::new();
        for region in regions(tid).unwrap_or_default().iter().filter(|r| r.shared && r.end - r.start <= FOLLOWED_MAX) {
            let Some(object) = self.known.get(&region.file).or_else(|| self.known.get(&(u64::MAX, region.file.1))) else {
                continue;
            };
            let bytes = bytes_at(tid, region.start, region.end - region.start);
            for (number, word) in bytes.as_chunks::<4>().0.iter().enumerate() {
                if u32::from_le_bytes(*word) & !FUTEX_WAITERS == FUTEX_OWNER_DIED {
                    effects.push(Effect::Object(*object, region.offset + 4 * number as u64, word.to_vec()));
                }
            }
        }
        effects
    }

    /// Objects whose file has another size than before.
    pub fn resized(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for one in &mut self.files {
            let size = one.file.metadata().map_or(one.size, |meta| meta.len());
            if size != one.size {
                one.size = size;
                effects.push(Effect::ObjectSize(one.object, size));
            }
        }
        effects
    }

    /// Nothing is shared yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn map(start: u64, length: u64, prot: u64, from: Source) -> Effect {
    Effect::Map(Box::new(Mapping {
        start,
        length: page_up(length),
        prot: (prot & 0xffff_ffff) as u32,
        grows: false,
        private: false,
        from,
    }))
}

/// Context of one finished call.
pub struct Done<'a, 'b> {
    /// The caller.
    pub task: &'a mut Task,
    /// The call.
    pub call: &'a Call,
    /// What it returned, not an error.
    pub result: i64,
    /// Where files go.
    pub store: &'a mut Store<'b>,
    /// What is shared.
    pub objects: &'a mut Objects,
}

impl Done<'_, '_> {
    /// Effects beyond those of the table.
    pub fn effects(&mut self) -> Result<Vec<Effect>, ReplayError> {
        let (a, address) = (self.call.args, self.result.cast_unsigned());
        Ok(match i64::from(self.call.nr) {
            libc::SYS_mmap => self.mmap()?,
            libc::SYS_munmap => vec![Effect::Unmap(a[0], page_up(a[1]))],
            libc::SYS_mprotect | libc::SYS_pkey_mprotect => {
                vec![Effect::Protect(a[0], page_up(a[1]), (self.task.protection(a[2]) & 0xffff_ffff) as u32)]
            }
            libc::SYS_mremap => vec![Effect::Remap(a[0], page_up(a[1]), page_up(a[2]), address, (a[3] & 0xffff_ffff) as u32)],
            libc::SYS_remap_file_pages => self.rearranged(a[0], a[1]),
            libc::SYS_brk => self.brk(),
            libc::SYS_madvise => advise(a),
            libc::SYS_process_madvise => {
                let parts = buffers(self.task.tid, a[1], a[2], address);
                parts.iter().flat_map(|(start, length)| advise([*start, *length, a[3], 0, 0, 0])).collect()
            }
            libc::SYS_shmat => self.attach(address)?,
            libc::SYS_shmdt => detach(self.call),
            libc::SYS_process_vm_writev => Vec::new(), // the target's memory: see the tracer
            _ => Vec::new(),
        })
    }

    fn brk(&mut self) -> Vec<Effect> {
        let (old, new) = (self.task.heap_end, self.result.cast_unsigned());
        self.task.heap_end = new;
        if old == 0 && self.call.args[0] == 0 {
            return Vec::new();
        }
        if old == 0 {
            let heap = regions(self.task.tid).unwrap_or_default().into_iter().find(|region| region.name == "[heap]");
            return heap.map(|r| map(r.start, r.end - r.start, u64::from(r.prot), Source::Zero)).into_iter().collect();
        }
        let (old, new) = (page_up(old), page_up(new));
        match new.cmp(&old) {
            std::cmp::Ordering::Greater => vec![map(old, new - old, self.task.protection(3), Source::Zero)],
            std::cmp::Ordering::Less => vec![Effect::Unmap(new, old - new)],
            std::cmp::Ordering::Equal => Vec::new(),
        }
    }

    fn mmap(&mut self) -> Result<Vec<Effect>, ReplayError> {
        let [_, length, prot, flags, fd, offset] = self.call.args;
        let (start, prot) = (self.result.cast_unsigned(), self.task.protection(prot));
        let private = flags & MAP_TYPE == MAP_PRIVATE;
        if flags & MAP_ANONYMOUS != 0 {
            let from = if private { Source::Zero } else { self.new_anonymous(start, length) };
            let mut effect = map(start, length, prot, from);
            if let Effect::Map(mapping) = &mut effect {
                mapping.grows = flags & MAP_GROWSDOWN != 0;
            }
            return Ok(vec![effect]);
        }
        let path = format!("/proc/{}/fd/{}", self.task.tid, fd & 0xffff_ffff);
        let meta = fs::metadata(&path).map_err(ReplayError::io("look at a mapped file"))?;
        if meta.file_type().is_char_device() && meta.rdev() == libc::makedev(1, 5) {
            let from = if private { Source::Zero } else { self.new_object(length) };
            return Ok(vec![map(start, length, prot, from)]);
        }
        let Some(file) = File::open(&path).ok().filter(|_| meta.is_file()) else {
            return Ok(self.opaque(start, length, prot));
        };
        if !private {
            return Ok(vec![map(start, length, prot, self.shared_file(file, &meta, prot, offset)?)]);
        }
        // A private mapping shows what is written to the file later, until it is itself written to.
        if self.objects.of(&meta).is_some()
            || (meta.len() <= FOLLOWED_MAX && (is_writable(self.task.tid, fd) || self.store.is_new(&meta)))
        {
            let mut effect = map(start, length, prot, self.shared_file(file, &meta, 0, offset)?);
            if let Effect::Map(mapping) = &mut effect {
                mapping.private = true;
            }
            return Ok(vec![effect]);
        }
        let drawn = match prot & libc::PROT_EXEC as u64 {
            0 => Vec::new(),
            _ => self.store.random.replace(self.task.tid, &file, (offset, page_up(length)), start),
        };
        let mut effects = vec![map(start, length, prot, self.private_file(file, &meta, length, offset)?)];
        effects.extend(drawn);
        Ok(effects)
    }

    /// A device, or a file that cannot be opened again: its bytes as they are now.
    fn opaque(&mut self, start: u64, length: u64, prot: u64) -> Vec<Effect> {
        let bytes = bytes_at(self.task.tid, start, length);
        vec![map(start, length, prot, Source::Zero), Effect::Memory(start, bytes)]
    }

    /// Pages of a shared mapping show another part of its file.
    fn rearranged(&self, start: u64, length: u64) -> Vec<Effect> {
        let all = regions(self.task.tid).unwrap_or_default();
        let Some(region) = all.into_iter().find(|r| r.start <= start && start < r.end) else { return Vec::new() };
        let Some(object) = self.objects.known.get(&region.file) else { return Vec::new() };
        let offset = region.offset + (start - region.start);
        vec![map(start, length, u64::from(region.prot), Source::Object(*object, offset))]
    }

    /// Shared memory without a name: the kernel keeps it in a file all the same.
    fn new_anonymous(&mut self, start: u64, length: u64) -> Source {
        let from = self.new_object(length);
        let all = regions(self.task.tid).unwrap_or_default();
        let region = all.into_iter().find(|r| r.start <= start && start < r.end);
        if let Some(region) = region {
            self.objects.known.insert(region.file, self.objects.next);
        }
        from
    }

    fn new_object(&mut self, length: u64) -> Source {
        self.task.shares = true;
        Source::NewObject(self.objects.fresh(), page_up(length), None, 0)
    }

    fn private_file(&mut self, mut file: File, meta: &Metadata, length: u64, offset: u64) -> Result<Source, ReplayError> {
        if meta.len() <= WHOLE_FILE_MAX {
            return Ok(Source::Blob(self.store.keep(&mut file)?, offset));
        }
        let mut bytes = vec![0u8; usize::try_from(page_up(length).min(meta.len().saturating_sub(offset))).unwrap_or(0)];
        file.read_exact_at(&mut bytes, offset).map_err(ReplayError::io("read a mapped file"))?;
        Ok(Source::Blob(self.store.keep_bytes(&bytes)?, 0))
    }

    fn shared_file(&mut self, mut file: File, meta: &Metadata, prot: u64, offset: u64) -> Result<Source, ReplayError> {
        if prot & 2 != 0 {
            self.task.shares = true;
        }
        if let Some(known) = self.objects.of(meta) {
            return Ok(Source::Object(known, offset));
        }
        let object = self.objects.fresh();
        self.objects.known.insert((meta.dev(), meta.ino()), object);
        let blob = if meta.len() > 0 { Some(self.store.keep(&mut file)?) } else { None };
        self.objects.files.push(Followed { object, file, size: meta.len() });
        Ok(Source::NewObject(object, meta.len(), blob, offset))
    }

    fn attach(&mut self, address: u64) -> Result<Vec<Effect>, ReplayError> {
        let all = regions(self.task.tid).map_err(ReplayError::io("read a memory map"))?;
        let Some(region) = all.into_iter().find(|region| region.start == address) else { return Ok(Vec::new()) };
        self.task.shares = true;
        let (length, key) = (region.end - region.start, (u64::MAX, region.file.1));
        if let Some(known) = self.objects.known.get(&key) {
            return Ok(vec![map(address, length, u64::from(region.prot), Source::Object(*known, 0))]);
        }
        let object = self.objects.fresh();
        self.objects.known.insert(key, object);
        let bytes = bytes_at(self.task.tid, address, length);
        let blob = if bytes.iter().any(|byte| *byte != 0) { Some(self.store.keep_bytes(&bytes)?) } else { None };
        Ok(vec![map(address, length, u64::from(region.prot), Source::NewObject(object, length, blob, 0))])
    }
}

/// Whether a descriptor can be written through. Source: proc(5), fdinfo.
fn is_writable(tid: Tid, fd: u64) -> bool {
    let info = fs::read_to_string(format!("/proc/{tid}/fdinfo/{}", fd & 0xffff_ffff)).unwrap_or_default();
    let flags =
        info.lines().find_map(|line| line.strip_prefix("flags:")).and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_ACCMODE.unsigned_abs() != 0)
}

/// An madvise(2) that changes content or inheritance.
pub(super) fn advise(args: [u64; 6]) -> Vec<Effect> {
    let advice = if args[2] == 8 { 4 } else { args[2] }; // MADV_FREE was made MADV_DONTNEED
    if ADVICE.contains(&advice) {
        return vec![Effect::Advise(args[0], page_up(args[1]), advice as u32)];
    }
    Vec::new()
}

/// The length of a System V segment is known only while it is mapped: it was noted at the entry.
fn detach(call: &Call) -> Vec<Effect> {
    let length = call.peeked.as_ref().and_then(|bytes| bytes.first_chunk::<8>()).map_or(0, |bytes| u64::from_le_bytes(*bytes));
    vec![Effect::Unmap(call.args[0], length)]
}

/// What to note before a call that destroys it.
#[must_use]
pub fn before(tid: Tid, nr: u32, args: &[u64; 6]) -> Option<Vec<u8>> {
    if i64::from(nr) != libc::SYS_shmdt {
        return None;
    }
    let all = regions(tid).ok()?;
    let region = all.into_iter().find(|region| region.start == args[0])?;
    Some((region.end - region.start).to_le_bytes().to_vec())
}

/// Pieces of another process's memory that process_vm_writev(2) wrote.
#[must_use]
pub fn foreign_writes(call: &Call, caller: Tid, target: Tid, result: u64) -> Vec<(u64, Vec<u8>)> {
    buffers(caller, call.args[3], call.args[4], result)
        .into_iter()
        .map(|(address, length)| {
            let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0)];
            let got = read_memory(target, address, &mut bytes);
            bytes.truncate(got);
            (address, bytes)
        })
        .collect()
}
