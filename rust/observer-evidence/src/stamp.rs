// SPDX-License-Identifier: Apache-2.0
//! The one door for time: two clocks and the boot they belong to, read together.

use serde::{Deserialize, Serialize};

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

impl Stamp {
    /// Read the clocks.
    #[must_use]
    pub fn now() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let wall_ns = wall
            .map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
            .unwrap_or(0);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            wall_ns,
            boot_ns: boot_ns(),
            boot: boot.trim().to_owned(),
        }
    }
}

#[cfg(unix)]
fn boot_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(unix))]
fn boot_ns() -> u64 {
    0
}
