// SPDX-License-Identifier: Apache-2.0
//! What was not recorded: read from the probe's counters, sealed as `loss` lines as soon as it is seen, and summed at the end so
//! that received + lost = the kernel's own count can be checked by anyone.

use crate::abi::{Lane, Loss, LossKey};
use crate::feed::Received;
use serde_json::{json, Value};
use std::collections::HashMap;

/// Name and reason of each kind of loss. Source: docs/spec/bpf-abi.md §6.
const KINDS: [(&str, &str); 5] = [
    ("records", "the kernel's buffer was full"),
    ("records", "two records would have been built at once on one CPU"),
    ("calls", "the table of threads was full"),
    ("calls", "a 32-bit or x32 call: only the machine's own 64-bit calls are decoded"),
    ("operations", "submitted through io_uring, which makes no system call for them"),
];

/// Turns growing counters into lines.
#[derive(Debug, Default)]
pub struct Losses {
    known: HashMap<LossKey, Loss>,
    /// Sum of all that was declared.
    pub total: u64,
}

impl Losses {
    /// A line for each loss that grew since last time, with the moment it is about.
    pub fn grown(&mut self, now: &[(LossKey, Loss)]) -> Vec<(u64, Value)> {
        let mut out = Vec::new();
        for (key, loss) in now {
            let before = self.known.insert(*key, *loss).unwrap_or_default();
            let count = loss.count.saturating_sub(before.count);
            if count == 0 {
                continue;
            }
            self.total += count;
            let (what, reason) = KINDS.get(key.what.wrapping_sub(1) as usize).copied().unwrap_or(("records", "unknown"));
            let first = if before.count == 0 { loss.first_ns } else { before.last_ns };
            let line = json!({
                "type": "loss", "what": what, "count": count, "reason": reason, "cpu": key.cpu, "cgroup_id": key.cgroup,
                "first_ns": first, "last_ns": loss.last_ns,
            });
            out.push((loss.last_ns, line));
        }
        out
    }
}

/// The line that closes the account: what each CPU counted, and what arrived.
#[must_use]
pub fn account(counters: &[Lane], received: &Received, malformed: u64) -> Value {
    let sum = |of: fn(&Lane) -> u64| counters.iter().map(of).sum::<u64>();
    json!({
        "type": "probe", "cpus": counters, "seen": sum(|c| c.seen), "received": received.messages, "calls": received.calls,
        "lost": sum(|c| c.lost_ring + c.lost_busy), "cut": sum(|c| c.cut), "unreadable": sum(|c| c.unreadable),
        "without_entry": received.without_entry, "malformed": received.malformed + malformed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_is_declared_and_nothing_twice() {
        let key = LossKey { cgroup: 7, cpu: 1, what: 1 };
        let at = |count, last_ns| vec![(key, Loss { count, first_ns: 10, last_ns })];
        let mut losses = Losses::default();
        let first = losses.grown(&at(3, 20));
        assert_eq!((first.len(), first[0].1["count"].as_u64(), first[0].1["first_ns"].as_u64()), (1, Some(3), Some(10)));
        assert!(losses.grown(&at(3, 20)).is_empty());
        let second = losses.grown(&at(5, 30));
        assert_eq!((second[0].1["count"].as_u64(), second[0].1["first_ns"].as_u64()), (Some(2), Some(20)));
        assert_eq!(losses.total, 5);
    }
}
