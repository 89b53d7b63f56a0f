// SPDX-License-Identifier: Apache-2.0
//! Reads everything that a snapshot says and tells what does not hold, by region and page.

use crate::digest::{self, RegionHead};
use crate::error::Result;
use crate::frame::HEAD;
use crate::layout::ENDS;
use crate::manifest::Region;
use crate::reader::{Seen, Snapshot};
use crate::{rules, source, writer, PAGE};
use observer_evidence::{Note, VerifierKey};
use serde::Serialize;
use std::collections::HashSet;

const LISTED_MAX: usize = 1000; // places that are named; all are counted

/// A place that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Damage {
    /// The process; 0 for none.
    pub pid: u32,
    /// Start of the region; 0 for none.
    pub region: u64,
    /// Its name, or the component's.
    pub name: String,
    /// Address of the first page.
    pub address: u64,
    /// How many pages.
    pub pages: u64,
    /// What does not hold.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Pages whose digests hold.
    pub pages_held: u64,
    /// Regions whose digests hold.
    pub regions_held: u64,
    /// Components that hold.
    pub components_held: u64,
    /// Frames that hold.
    pub frames_held: u64,
    /// Bytes that were read of this file.
    pub bytes: u64,
    /// Verifier key of the signature, when it holds.
    pub signer: String,
    /// How many places do not hold.
    pub damage_count: u64,
    /// The first of them.
    pub damage: Vec<Damage>,
}

impl Report {
    fn add(&mut self, damage: Damage) {
        self.damage_count += 1;
        if self.damage.len() < LISTED_MAX {
            self.damage.push(damage);
        }
    }
}

fn elsewhere(name: impl Into<String>, what: impl Into<String>) -> Damage {
    Damage { pid: 0, region: 0, name: name.into(), address: 0, pages: 0, what: what.into() }
}

/// Check every page, node, region, component, frame and the signature.
///
/// # Errors
/// Only when reading itself cannot go on; what does not hold is in the report.
pub fn verify(snapshot: &mut Snapshot, signer: Option<&str>) -> Result<Report> {
    let mut report = Report::default();
    check_note(snapshot, signer, &mut report);
    snapshot.opened = Some(HashSet::new());
    let processes = std::mem::take(&mut snapshot.manifest.processes);
    let done = processes.iter().try_for_each(|process| {
        process.regions.iter().try_for_each(|region| check_region(snapshot, process.pid, region, &mut report))
    });
    snapshot.manifest.processes = processes;
    let opened = snapshot.opened.take().unwrap_or_default();
    done?;
    for component in &snapshot.manifest.components {
        match snapshot.component(component) {
            Ok(_) => report.components_held += 1,
            Err(error) => report.add(elsewhere(format!("{} {}", component.kind, component.name), error.to_string())),
        }
    }
    walk(snapshot, &opened, &mut report);
    Ok(report)
}

fn check_region(snapshot: &mut Snapshot, pid: u32, region: &Region, report: &mut Report) -> Result<()> {
    let before = report.damage_count;
    let mut at = 0u64;
    snapshot.visit(region, (0, region.pages()), &mut |seen| {
        at += match seen {
            Seen::Content(bytes) => {
                let count = (bytes.len() / PAGE) as u64;
                report.pages_held += count;
                count
            }
            Seen::Class(_, count) => count,
            Seen::Damaged(pages, what) => {
                let address = region.start + at * PAGE as u64;
                report.add(Damage { pid, region: region.start, name: region.name.clone(), address, pages, what });
                pages
            }
        };
        Ok(())
    })?;
    let named = region.source.and_then(|index| snapshot.manifest.sources.get(index as usize));
    let head =
        RegionHead { size: region.size, unlisted: region.unlisted, source: source::digest_bytes(named), offset: region.offset };
    let nodes = region.nodes.iter().map(|(index, _, _, text)| (*index, rules::digest(text).unwrap_or_default()));
    if hex::encode(digest::region(head, nodes)) != region.digest {
        let what = "the region's digest".to_owned();
        report.add(Damage {
            pid,
            region: region.start,
            name: region.name.clone(),
            address: region.start,
            pages: region.pages(),
            what,
        });
    } else if report.damage_count == before {
        report.regions_held += 1;
    }
    Ok(())
}

/// Go over all frames of this file, also those that a later one replaced: a bit that changed anywhere is found.
fn walk(snapshot: &Snapshot, opened: &HashSet<u64>, report: &mut Report) {
    let own = &snapshot.files[0];
    let (mut stored, mut plain) = (Vec::new(), Vec::new());
    let (mut at, end) = (own.start, own.length - ENDS as u64);
    while at < end {
        let head = match own.head(at) {
            Ok((_, head)) => head,
            Err(error) => {
                report.add(elsewhere(format!("frame at byte {at}"), error.to_string()));
                break; // where the next frame begins is not known any more
            }
        };
        let held = opened.contains(&at).then_some(Ok(head)); // its pages were read and held
        match held.unwrap_or_else(|| own.frame(at, None, &mut stored, &mut plain)) {
            Ok(_) => report.frames_held += 1,
            Err(error) => report.add(elsewhere(format!("frame at byte {at}"), error.to_string())),
        }
        at += HEAD as u64 + u64::from(head.stored);
    }
    report.bytes = at;
}

fn check_note(snapshot: &Snapshot, signer: Option<&str>, report: &mut Report) {
    let text = writer::signed_text(&snapshot.manifest.snapshot_id, &snapshot.manifest_digest);
    let Some(note) = &snapshot.note else {
        if signer.is_some() {
            report.add(elsewhere("signature", "there is none"));
        }
        return;
    };
    let checked = Note::parse(note).map_err(|error| error.to_string()).and_then(|parsed| {
        if parsed.text != text {
            return Err("the signature is of another manifest".to_owned());
        }
        let Some(key) = signer else { return Ok(()) };
        let key = VerifierKey::parse(key).map_err(|error| error.to_string())?;
        key.verify(&parsed).map(drop).map_err(|error| error.to_string())
    });
    match checked {
        Ok(()) => report.signer = signer.unwrap_or_default().to_owned(),
        Err(what) => report.add(elsewhere("signature", what)),
    }
}
