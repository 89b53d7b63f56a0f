// SPDX-License-Identifier: Apache-2.0
//! A disk in memory that loses power or fills up where the test says.
//!
//! What was not forced to the disk survives sector by sector as the dice fall: data, length and zeros independently.
//! Changes of names survive in order, up to some point after the last one that was forced (a journalling file system).
#![allow(dead_code)]

use observer_evidence::{Handle, Vfs};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

type Names = BTreeMap<PathBuf, u64>;

#[derive(Default)]
struct State {
    inodes: HashMap<u64, Inode>,
    names: Names,
    /// Name tables since the last one that surely is on disk, which is the first.
    history: Vec<Names>,
    operations: u64,
    dies_at: Option<u64>,
    free: Option<usize>,
    no_links: bool,
    next: u64,
}

/// The disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

/// A small generator of numbers; a failure prints the seed that shows it again.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }
}

impl Disk {
    pub fn new() -> Self {
        let state = State { history: vec![Names::new()], ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Lose power at the operation with this number.
    pub fn die_at(&self, operation: u64) {
        self.state().dies_at = Some(operation);
    }

    /// Have room for so many more bytes.
    pub fn set_free(&self, bytes: Option<usize>) {
        self.state().free = bytes;
    }

    /// Be a file system without hard links.
    pub fn refuse_links(&self) {
        self.state().no_links = true;
    }

    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Write what is there after `kill -9` into a real directory: all that the kernel was given.
    pub fn left(&self, directory: &Path) {
        let state = self.state();
        let mut written: HashMap<u64, PathBuf> = HashMap::new();
        for (path, inode) in &state.names {
            let target = directory.join(path.file_name().unwrap());
            match written.get(inode) {
                Some(other) => std::fs::hard_link(other, target).unwrap(),
                None => {
                    std::fs::write(&target, &state.inodes[inode].seen).unwrap();
                    written.insert(*inode, target);
                }
            }
        }
    }

    /// Write what survives the loss of power into a real directory.
    pub fn survivors(&self, dice: &mut Dice, directory: &Path) {
        let state = self.state();
        let names = &state.history[dice.roll(state.history.len())];
        let mut written: HashMap<u64, PathBuf> = HashMap::new();
        for (path, inode) in names {
            let target = directory.join(path.file_name().unwrap());
            match written.get(inode) {
                Some(other) => std::fs::hard_link(other, target).unwrap(),
                None => {
                    std::fs::write(&target, Self::survivor(&state.inodes[inode], dice)).unwrap();
                    written.insert(*inode, target);
                }
            }
        }
    }

    fn survivor(inode: &Inode, dice: &mut Dice) -> Vec<u8> {
        let (seen, durable) = (&inode.seen, &inode.durable);
        if seen == durable {
            return durable.clone();
        }
        let length = match dice.roll(4) {
            0 => durable.len(),
            1 | 2 => seen.len(),
            _ => durable.len().min(seen.len()) + dice.roll(durable.len().abs_diff(seen.len()) + 1),
        };
        let mut data = durable.clone();
        data.resize(length, 0);
        let likely = dice.roll(4);
        for at in (0..length).step_by(SECTOR) {
            let end = (at + SECTOR).min(length).min(seen.len());
            if at < end && dice.roll(4) <= likely {
                data[at..end].copy_from_slice(&seen[at..end]);
            }
        }
        data
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.operations += 1;
        if state.dies_at.is_some_and(|at| state.operations >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(state)
    }
}

impl State {
    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn renamed(&mut self) {
        let names = self.names.clone();
        self.history.push(names);
    }

    /// How many of `wanted` bytes fit; an error when none do.
    fn take(&mut self, wanted: usize) -> io::Result<usize> {
        let Some(free) = self.free else { return Ok(wanted) };
        let taken = free.min(wanted);
        self.free = Some(free - taken);
        if taken == 0 && wanted > 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(taken)
    }
}

impl Vfs for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let mut state = self.step()?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.next += 1;
        let inode = state.next;
        state.inodes.insert(inode, Inode::default());
        state.names.insert(path.to_path_buf(), inode);
        state.renamed();
        Ok(Box::new(Open { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let inode = self.step()?.inode(path)?;
        Ok(Box::new(Open { disk: self.clone(), inode }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.inode(path)?;
        state.names.remove(path);
        state.renamed();
        Ok(())
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let state = self.step()?;
        let data = &state.inodes[&state.inode(path)?].seen;
        Ok(data[..data.len().min(usize::try_from(limit).unwrap())].to_vec())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        if state.free.is_some_and(|free| free < bytes.len()) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.next += 1;
        let inode = state.next;
        state.inodes.insert(inode, Inode { seen: bytes.to_vec(), durable: bytes.to_vec() });
        state.names.insert(path.to_path_buf(), inode);
        state.renamed();
        Ok(())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let state = self.step()?;
        Ok(state.inodes[&state.inode(path)?].seen.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        let inode = state.inode(from)?;
        if state.names.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.names.remove(from);
        state.names.insert(to.to_path_buf(), inode);
        state.renamed();
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        let inode = state.inode(from)?;
        if state.no_links {
            return Err(ErrorKind::Unsupported.into());
        }
        if state.names.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.names.insert(to.to_path_buf(), inode);
        state.renamed();
        Ok(())
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        let inode = state.inode(from)?;
        state.names.remove(from);
        state.names.insert(to.to_path_buf(), inode);
        state.renamed();
        Ok(())
    }

    fn list(&self, _directory: &Path) -> io::Result<Vec<String>> {
        let state = self.step()?;
        Ok(state.names.keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn sync_dir(&self, _directory: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.history = vec![state.names.clone()];
        Ok(())
    }
}

struct Open {
    disk: Disk,
    inode: u64,
}

impl Handle for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.step()?;
        let taken = state.take(bytes.len())?;
        state.inodes.get_mut(&self.inode).unwrap().seen.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.step()?;
        let data = &state.inodes[&self.inode].seen;
        let rest = &data[data.len().min(usize::try_from(offset).unwrap())..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let length = usize::try_from(length).unwrap();
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        let freed = inode.seen.len().saturating_sub(length);
        inode.seen.resize(length, 0);
        if let Some(free) = state.free {
            state.free = Some(free + freed);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        inode.durable.clone_from(&inode.seen);
        Ok(())
    }
}
