// SPDX-License-Identifier: Apache-2.0
//! Who stands there: a process that was followed, one that is new or runs another program by now, or one that forks a copy of itself.

use crate::capture::{open_map, watch, Capture};
use crate::components;
use crate::error::Result;
use crate::forked::{self, Forked};
use crate::stop::Held;

impl Capture<'_> {
    /// A process that is new, or is another program than it was before the stop, is looked at as if for the first time.
    pub(crate) fn look_who(&mut self, pid: u32) -> Result<()> {
        let what = match self.session.watched.get_mut(&pid) {
            Some(watched) if watched.tracker.as_ref().is_some_and(|tracker| !tracker.is_alive()) => "executed another program",
            Some(watched) => {
                if watched.tracker.is_none() {
                    watched.map = open_map(pid)?; // it may be another program too, and nothing else tells
                }
                return Ok(());
            }
            None => "began",
        };
        self.labels.push(format!("process {pid} {what} during the capture and is stopped and copied"));
        self.changes.remove(&pid);
        self.session.watched.insert(pid, watch(pid)?);
        self.parts.retain(|(component, _)| component.pid != pid);
        self.parts.extend(components::early(pid));
        Ok(())
    }

    /// Let a process that is not followed fork a copy of itself, where that is wanted and there is memory for it.
    pub(crate) fn fork(&mut self, pid: u32, held: &[Held]) -> Option<Forked> {
        let followed = self.session.watched.get(&pid).is_some_and(|watched| watched.tracker.is_some());
        if followed || !matches!(self.request.tracking.as_str(), "" | "auto" | "fork") {
            return None;
        }
        let held = *held.first()?;
        let made = match forked::too_little_memory(pid) {
            Some(why) => Err(why),
            None => Forked::of(held),
        };
        match made {
            Ok(copy) => {
                self.forked += 1;
                Some(copy)
            }
            Err(why) => {
                self.labels.push(format!("process {pid} is not forked, but stopped and copied: {why}"));
                None
            }
        }
    }
}
