// SPDX-License-Identifier: Apache-2.0
//! The one door for time: two clocks and the boot they belong to, read together.

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Two clock readings taken together. Wall time may step; boot time only runs forward, within one boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// `CLOCK_REALTIME`, ns since the Unix epoch.
    pub wall_ns: u64,
    /// `CLOCK_BOOTTIME`, ns since boot, sleep included.
    pub boot_ns: u64,
    /// The kernel's random id of this boot; empty where there is none.
    pub boot: String,
}

/// A step of the wall clock against boot time, found between two of the writer's own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClockStep {
    /// Sequence of the record after the step.
    pub sequence: u64,
    /// By how much, ns, forward positive; the least value when boot time itself ran backwards.
    pub step_ns: i64,
    /// The log declares it in a `clock` record.
    pub declared: bool,
}

/// Steps below this are ordinary discipline of the clock.
const STEP_NS: i128 = 1_000_000_000;

impl Stamp {
    /// The wall time as `YYYYMMDDTHHMMSSZ`, the form that names of rotated files carry.
    #[must_use]
    pub fn compact(&self) -> String {
        let seconds = self.wall_ns / 1_000_000_000;
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// How far the wall clock stepped against boot time between this reading and `later`; None when it did not, or
    /// when the machine was booted in between.
    #[must_use]
    pub fn step_to(&self, later: &Self) -> Option<i64> {
        if self.boot != later.boot || self.boot.is_empty() {
            return None;
        }
        let elapsed = i128::from(later.boot_ns) - i128::from(self.boot_ns);
        if elapsed < 0 {
            return Some(i64::MIN);
        }
        let step = i128::from(later.wall_ns) - i128::from(self.wall_ns) - elapsed;
        // 500 ppm is as fast as the kernel slews a clock.
        let beyond = step.abs() > STEP_NS + elapsed / 2000;
        beyond.then(|| i64::try_from(step).unwrap_or(i64::MAX))
    }

    /// Read the clocks.
    #[must_use]
    pub fn now() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let wall_ns = wall.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)).unwrap_or(0);
        static BOOT: OnceLock<String> = OnceLock::new();
        let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = BOOT.get_or_init(|| read().trim().to_owned()).clone();
        Self { wall_ns, boot_ns: boot_ns(), boot }
    }
}

#[cfg(unix)]
fn boot_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(unix))]
fn boot_ns() -> u64 {
    0
}

/// Days since 1970-01-01 as year, month, day of the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from 1 March, so that the leap day is the last one; an era is 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_times_are_utc() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_795_409_634, "20261123T045354Z"),
            (4_102_444_800, "21000101T000000Z"),
        ] {
            let stamp = Stamp { wall_ns: seconds * 1_000_000_000, ..Stamp::default() };
            assert_eq!(stamp.compact(), text);
        }
    }

    #[test]
    fn steps_are_told_from_discipline_and_from_reboots() {
        let at = |wall: u64, boot_ns: u64, boot: &str| Stamp { wall_ns: wall, boot_ns, boot: boot.to_owned() };
        let second = 1_000_000_000;
        let start = at(100 * second, 50 * second, "a");
        assert_eq!(start.step_to(&at(110 * second, 60 * second, "a")), None);
        assert_eq!(start.step_to(&at(170 * second, 60 * second, "a")), Some(60 * i64::try_from(second).unwrap_or(0)));
        assert_eq!(start.step_to(&at(90 * second, 60 * second, "a")), Some(-20 * i64::try_from(second).unwrap_or(0)));
        assert_eq!(start.step_to(&at(110 * second, 40 * second, "a")), Some(i64::MIN));
        assert_eq!(start.step_to(&at(900 * second, second, "b")), None);
    }
}
