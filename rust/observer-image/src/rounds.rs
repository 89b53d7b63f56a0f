// SPDX-License-Identifier: Apache-2.0
//! Memory that is marked: rounds of copying while everything runs, and putting its nodes together afterwards.

use crate::capture::{hashed_only, Capture};
use crate::draft;
use crate::error::{ImageError, Result};
use crate::memory::Memory;
use crate::pagemap;
use crate::pipeline::Supply;
use crate::session::EarlierFile;
use crate::standing::Standing;
use observer_snapshot::PAGE;

const ROUNDS_MAX: u32 = 4;
/// A round that finds no more than this is the last: it is read in less than a millisecond.
const ROUND_ENOUGH: u64 = 2 << 20;

impl Capture<'_> {
    /// Copy what was written meanwhile, again and again, until little is left.
    pub(crate) fn rounds_of_copying(&mut self) -> Result<()> {
        let mut before = u64::MAX;
        for _ in 0..ROUNDS_MAX {
            let mut found = 0;
            let pids: Vec<u32> = self.session.watched.keys().copied().collect();
            for pid in pids {
                found += self.round(pid)?;
            }
            self.rounds += 1;
            self.reread += found / PAGE as u64;
            if found <= ROUND_ENOUGH || found > before / 2 {
                return Ok(());
            }
            before = found;
        }
        Ok(())
    }

    fn round(&mut self, pid: u32) -> Result<u64> {
        let Some(watched) = self.session.watched.get_mut(&pid) else { return Ok(0) };
        let (mut dirty, mut gone) = (Vec::new(), Vec::new());
        for stretch in watched.marked.clone() {
            match watched.map.look(stretch, &mut watched.armed) {
                Ok(found) => {
                    dirty.extend(found.written);
                    gone.extend(found.gone);
                }
                // Something else is mapped there now: all of it is read while everything stands.
                Err(_) => {
                    watched.marked = pagemap::without(&watched.marked, &[stretch]);
                    watched.armed = pagemap::without(&watched.armed, &[stretch]);
                }
            }
        }
        let memory = Memory::of(pid);
        let hashed = hashed_only(&watched.regions);
        let entries = self.copy_pages(&Supply::Process(&memory), &dirty, &hashed)?;
        let changes = self.changes.entry(pid).or_default();
        changes.forget(&gone);
        changes.pages.extend(entries);
        Ok(pagemap::bytes(&dirty))
    }

    /// Put the nodes of a process's marked regions together.
    pub(crate) fn rebuild(&mut self, standing: &mut Standing) -> Result<()> {
        let Some(watched) = self.session.watched.get_mut(&standing.pid) else { return Ok(()) };
        let mut changes = self.changes.remove(&standing.pid).unwrap_or_default();
        changes.forget(&standing.gone);
        let mut scratch = self.writer.scratch()?;
        let (writer, files) = (&self.writer, &self.session.files);
        let read = |file: u32, offset: u64, pages: u64| match file {
            0 => Ok(writer.read_node(offset, pages)?),
            _ => match files.get(file as usize - 1) {
                Some(earlier) => EarlierFile::node(earlier, file, offset, pages),
                None => Err(ImageError::Usage("a node of a file that is not open".into())),
            },
        };
        for (region, marked) in standing.regions.iter_mut().zip(&standing.marked) {
            if *marked {
                draft::rebuild(region, &watched.regions, &changes, (writer, &mut scratch), &read)?;
            }
        }
        let spans = standing.regions.iter().zip(&standing.marked).filter(|(_, marked)| **marked).map(|(region, _)| region.span());
        watched.marked = pagemap::either(&spans.collect::<Vec<_>>(), &[]);
        watched.armed = pagemap::both(&watched.armed, &watched.marked);
        let kept = standing.regions.iter().zip(&standing.marked).filter(|(_, marked)| **marked).map(|(region, _)| region.clone());
        watched.regions = kept.collect();
        Ok(())
    }
}
