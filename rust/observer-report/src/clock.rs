// SPDX-License-Identifier: Apache-2.0
//! Raw readings to the report's time. The map is made by the caller; here it is only applied.

use crate::event::Event;
use serde::Deserialize;
use std::collections::HashMap;

/// One corner of a piecewise linear map.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Knot {
    /// Reading, ns.
    pub at: i64,
    /// Report time less reading, ns.
    pub offset: i64,
    /// Half width of the interval, ns; negative where nothing bounds it. Holds from this knot to the next.
    pub error: i64,
}

/// How the readings of one boot become report time.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct BootMap {
    /// By boot clock.
    #[serde(default)]
    pub boottime: Vec<Knot>,
    /// By wall clock, for events that were placed on no boot clock.
    #[serde(default)]
    pub wall: Vec<Knot>,
}

/// How all readings of one origin become report time.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ClockMap {
    /// By boot id.
    #[serde(default)]
    pub boots: HashMap<String, BootMap>,
    /// By run: the boot in which that run of the agent read its clocks.
    #[serde(default)]
    pub runs: HashMap<String, String>,
    /// For events of no known boot, by wall clock.
    #[serde(default)]
    pub wall: Vec<Knot>,
}

/// Report time and the half width of its interval (negative: unknown), ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) ns: i64,
    pub(crate) error: i64,
}

impl ClockMap {
    /// Place an event in report time; None where it states no time at all.
    pub(crate) fn place(&self, event: &Event<'_>) -> Option<Placed> {
        let boot = event.attribute("boot_id");
        let home = self.runs.get(&*event.run).map(String::as_str).or(boot);
        if home.is_some() && (boot.is_none() || boot == home) {
            if let (Some(map), Some(reading)) = (home.and_then(|id| self.boots.get(id)), event.boottime_ns()) {
                if let Some(placed) = apply(&map.boottime, reading) {
                    return Some(placed);
                }
            }
        }
        let stated = event.stated_ns()?;
        let wall = boot.and_then(|id| self.boots.get(id)).map_or(&self.wall, |map| &map.wall);
        apply(wall, stated).or_else(|| apply(&self.wall, stated)).or(Some(Placed { ns: stated, error: -1 }))
    }
}

fn apply(knots: &[Knot], reading: i64) -> Option<Placed> {
    let after = knots.partition_point(|knot| knot.at <= reading);
    let (left, right) = (after.checked_sub(1).and_then(|at| knots.get(at)), knots.get(after));
    let (offset, error) = match (left, right) {
        (Some(left), Some(right)) => {
            let share = (reading - left.at) as f64 / (right.at - left.at).max(1) as f64;
            ((left.offset as f64 + (right.offset - left.offset) as f64 * share).round() as i64, left.error)
        }
        (Some(one), None) => (one.offset, one.error),
        (None, Some(one)) => (one.offset, one.error),
        (None, None) => return None,
    };
    Some(Placed { ns: reading.saturating_add(offset), error })
}
