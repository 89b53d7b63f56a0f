// SPDX-License-Identifier: Apache-2.0
//! Processes that the caller holds still: a replay at some point of a recording. Nothing is marked and nothing is stopped here.

use crate::capture::{watch, Capture};
use crate::components::Part;
use crate::error::{ImageError, Result};
use crate::maps;
use crate::memory::Memory;
use crate::pagemap::Stretch;
use crate::request::{Body, Told};
use crate::standing::Standing;
use observer_snapshot::manifest::Component;
use serde_json::{json, Map};

impl Capture<'_> {
    /// Copy the processes of the request.
    pub(crate) fn take_bodies(&mut self) -> Result<Vec<Standing>> {
        if let Some((wall_ns, boot_ns, _)) = self.request.instant {
            self.instant = (wall_ns, boot_ns);
        }
        let request = self.request;
        request.bodies.iter().map(|body| self.take_body(body)).collect()
    }

    fn take_body(&mut self, body: &Body) -> Result<Standing> {
        let mut watched = watch(body.real)?;
        let mut mappings = maps::of(body.real).ok_or(ImageError::Gone(body.pid))?;
        maps::add_flags(&mut mappings, &watched.flags);
        let mut out = Standing {
            pid: body.pid,
            real: body.real,
            told: Some(body.clone()),
            threads: body.threads.clone(),
            regions: Vec::with_capacity(mappings.len()),
            marked: Vec::with_capacity(mappings.len()),
            dirty: Vec::new(),
            gone: Vec::new(),
            fresh: Vec::new(),
            parts: body.parts.iter().map(|told| part(body.pid, told)).collect::<Result<_>>()?,
            descriptors: Vec::new(),
            memory: Memory::of(body.real),
            copy: None,
            later: Vec::new(),
        };
        let hidden = |span: Stretch| self.request.hidden.iter().any(|(start, end)| span.0 < *end && *start < span.1);
        for mapping in mappings {
            if !hidden((mapping.start, mapping.end)) {
                out.look_at(body.real, mapping, &mut watched, (&self.request.selection, &mut self.session.origins));
            }
        }
        self.store(&mut out, false)?;
        Ok(out)
    }
}

fn part(pid: u32, told: &Told) -> Result<Part> {
    let bytes = hex::decode(&told.hex).map_err(|_| ImageError::Usage("a component is not hexadecimal".into()))?;
    let metadata = told.path.iter().map(|path| ("path".to_owned(), json!(path)));
    let component = Component {
        kind: told.kind.clone(),
        name: told.name.clone(),
        pid,
        tid: told.tid,
        metadata: Map::from_iter(metadata),
        ..Component::default()
    };
    Ok((component, bytes))
}
